"""Trial places at host workplaces: course runs of a system of their own, by the same ledger, pools and facts.

No table of their own: columns of a course run, why a step was skipped, and which registrations cover which act there.
"""

from alembic import op

revision = "training_0016"
down_revision = "training_0015"
branch_labels = None
depends_on = None

_STEPS = "('visit', 'half_day', 'week', 'paid_trial', 'job')"
_RUNS = f"""
ALTER TABLE course_run ADD COLUMN host_workplace_id uuid, ADD COLUMN host_workplace_name text,
    ADD COLUMN from_time time, ADD COLUMN until_time time,
    ADD CONSTRAINT trial_has_its_step CHECK ((system = 'trial') = (field IN {_STEPS})),
    ADD CONSTRAINT trial_has_its_host CHECK (
        (system = 'trial') = (host_workplace_id IS NOT NULL) AND (system = 'trial') = (host_workplace_name IS NOT NULL)
    ),
    ADD CONSTRAINT trial_has_its_hours CHECK (
        (from_time IS NULL) = (until_time IS NULL) AND from_time < until_time
        AND (from_time IS NULL OR system = 'trial')
    );
CREATE INDEX trial_of_host ON course_run (host_workplace_id, starts_on) WHERE system = 'trial';
ALTER TABLE seat_request ADD COLUMN skipped_because text
    CHECK (skipped_because IN ('worked_before', 'plan_decided', 'host_agrees', 'person_wishes'));
ALTER TABLE nomination ALTER COLUMN notification_number DROP NOT NULL;
GRANT INSERT (host_workplace_id, host_workplace_name, from_time, until_time),
    UPDATE (host_workplace_id, host_workplace_name, from_time, until_time) ON course_run TO tsunagu_training
"""
# Somebody who asked for a visit would find themselves in a job otherwise, by a file.
_STAYS = """
CREATE FUNCTION guard_trial_run() RETURNS trigger LANGUAGE plpgsql SET search_path = training, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'a trial place stays what it is: another step or host is another course run'
        USING ERRCODE = 'check_violation';
END $$
"""
_STAYS_TRIGGER = """
CREATE TRIGGER guard_trial_run BEFORE UPDATE OF system, field, host_workplace_id ON course_run FOR EACH ROW
    WHEN ('trial' IN (OLD.system, NEW.system) AND (OLD.system, OLD.field, OLD.host_workplace_id)
        IS DISTINCT FROM (NEW.system, NEW.field, NEW.host_workplace_id))
    EXECUTE FUNCTION guard_trial_run()
"""
# Whoever is nominated for a trial place is out of the race with the clock, as others are once they have a paper.
_CLOCK = """
ALTER TABLE seat_request DROP CONSTRAINT seat_request_check2,
    ADD CONSTRAINT seat_request_has_its_clock CHECK (
        (state IN ('waiting', 'held', 'nominated', 'countersigned')) = (expires_at IS NOT NULL) OR state = 'nominated'
    )
"""
_CLOCK_BEFORE = """
UPDATE seat_request r SET expires_at = (c.starts_on + 1)::timestamp AT TIME ZONE 'Asia/Tokyo'
FROM course_run c WHERE c.id = r.course_run_id AND r.state = 'nominated' AND r.expires_at IS NULL;
ALTER TABLE seat_request DROP CONSTRAINT seat_request_has_its_clock, ADD CONSTRAINT seat_request_check2
    CHECK ((state IN ('waiting', 'held', 'nominated', 'countersigned')) = (expires_at IS NOT NULL))
"""
_RUNS_OUT = """
CREATE FUNCTION guard_clock() RETURNS trigger LANGUAGE plpgsql SET search_path = training, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM course_run WHERE id = NEW.course_run_id AND system = 'trial') THEN
        RAISE EXCEPTION 'a nomination for a course runs out' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$
"""
_RUNS_OUT_TRIGGER = """
CREATE TRIGGER guard_clock BEFORE INSERT OR UPDATE OF state, expires_at ON seat_request FOR EACH ROW
    WHEN (NEW.state = 'nominated' AND NEW.expires_at IS NULL) EXECUTE FUNCTION guard_clock()
"""
_BASES = """
ALTER TABLE registration DROP CONSTRAINT registration_basis_is_known,
    ADD CONSTRAINT registration_basis_is_known CHECK (basis IN ('free_placement_notification', 'placement_permission',
        'public_employment_office', 'training_school', 'support_desk'{more}))
"""
# As services/training/domain/instruction.py has it (`RESTS_ON`).
_RESTS_ON = """
CREATE OR REPLACE FUNCTION act_rests_on(act text) RETURNS text[] LANGUAGE sql IMMUTABLE RETURN CASE
    WHEN act = 'nominate' THEN ARRAY['free_placement_notification', 'placement_permission']
    WHEN act IN ('countersign', 'instruct', 'cancel') THEN ARRAY['public_employment_office']
    WHEN act = 'instruct_delegated' THEN ARRAY['free_placement_notification']
    WHEN act IN ('select', 'enrol', 'certify', 'end') THEN ARRAY['training_school']
    {more}
    WHEN act = 'record_outcome' THEN ARRAY['free_placement_notification', 'placement_permission',
        'public_employment_office', 'training_school', 'support_desk'{host}]
END
"""
_MORE = """WHEN act = 'nominate_unpaid'
        THEN ARRAY['free_placement_notification', 'placement_permission', 'support_desk']
    WHEN act = 'host' THEN ARRAY['host_workplace']"""
# As `act_at` has it; what it doesn't name rests on nothing there, and is refused: no countersignature, and no paper.
_AT_A_TRIAL = """act := coalesce((
        SELECT CASE WHEN act IN ('select', 'enrol', 'certify', 'end') THEN 'host'
            WHEN act = 'nominate' AND c.field IN ('visit', 'half_day', 'week') THEN 'nominate_unpaid'
            WHEN act IN ('nominate', 'record_outcome') THEN act
            ELSE 'none_at_a_trial' END
        FROM seat_request r JOIN course_run c ON c.id = r.course_run_id
        WHERE r.id = CAST(fact ->> 'seat_request_id' AS uuid) AND c.system = 'trial'
    ), act);
    """
_WHERE = "SELECT r.id, r.legal_entity, r.number INTO own"
_CHANGED = """
DO $do$
DECLARE
    found text := pg_get_functiondef('check_registration()'::regprocedure);
BEGIN
    -- Words that are not there would be left as they are, and a school would sign for a host workplace.
    ASSERT position($old${old}$old$ IN found) > 0;
    EXECUTE replace(found, $old${old}$old$, $new${new}$new$);
END $do$
"""


def upgrade() -> None:
    for statement in _RUNS.split(";\n"):
        op.execute(statement)
    op.execute(_STAYS)
    op.execute(_STAYS_TRIGGER)
    op.execute(_CLOCK)
    op.execute(_RUNS_OUT)
    op.execute(_RUNS_OUT_TRIGGER)
    op.execute(_BASES.format(more=", 'host_workplace'"))
    op.execute(_RESTS_ON.format(more=_MORE, host=", 'host_workplace'"))
    op.execute(_CHANGED.format(old=_WHERE, new=_AT_A_TRIAL + _WHERE))


def downgrade() -> None:
    op.execute(_CHANGED.format(old=_AT_A_TRIAL + _WHERE, new=_WHERE))
    op.execute(_RESTS_ON.format(more="", host=""))
    op.execute("DELETE FROM registration WHERE basis = 'host_workplace'")
    op.execute(_BASES.format(more=""))
    op.execute("DROP TRIGGER guard_trial_run ON course_run")
    op.execute("DROP TRIGGER guard_clock ON seat_request")
    op.execute("DROP FUNCTION guard_trial_run(), guard_clock()")
    for statement in _CLOCK_BEFORE.split(";\n"):
        op.execute(statement)
    op.execute("ALTER TABLE seat_request DROP COLUMN skipped_because")
    op.execute("UPDATE nomination SET notification_number = '' WHERE notification_number IS NULL")
    op.execute("ALTER TABLE nomination ALTER COLUMN notification_number SET NOT NULL")
    op.execute(
        "ALTER TABLE course_run DROP COLUMN host_workplace_id, DROP COLUMN host_workplace_name, DROP COLUMN from_time,"
        " DROP COLUMN until_time, DROP CONSTRAINT trial_has_its_step"
    )
