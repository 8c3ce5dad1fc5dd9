"""No two seats of a person overlap in time; course runs change late or are cancelled; what a region says about both.

The database keeps the days of each seat that somebody has, by the ledger's entries alone, and refuses a second one on
any of them. A change stands on record with everybody whom it affects; a cancelled course run takes no seat again.
"""

from alembic import op

revision = "training_0014"
down_revision = "training_0013_guards"
branch_labels = None
depends_on = None

# The days of a case as one range, so that an ordinary range index refuses overlaps: `btree_gist`, which would compare
# case and days side by side, is the database administrator's to install, and this role may not.
_SEAT_TIME = """
CREATE TYPE days_of_case AS RANGE (subtype = text, collation = "C");
CREATE FUNCTION day_of_case(case_id uuid, day date) RETURNS text LANGUAGE sql IMMUTABLE
RETURN case_id::text || ' ' || lpad((day - date '0001-01-01')::text, 7, '0');
CREATE TABLE seat_time (
    -- No foreign keys: written by the ledger's trigger alone, out of the rows that they would look up again.
    seat_request_id uuid PRIMARY KEY,
    case_id         uuid NOT NULL,
    course_run_id   uuid NOT NULL,
    first_on        date NOT NULL,
    last_on         date NOT NULL CHECK (last_on >= first_on),
    span            days_of_case NOT NULL GENERATED ALWAYS AS (
        days_of_case(day_of_case(case_id, first_on), day_of_case(case_id, last_on), '[]')
    ) STORED,
    CONSTRAINT seat_time_never_overlaps EXCLUDE USING gist (span WITH &&)
);
CREATE INDEX seat_time_of_case ON seat_time (case_id);
CREATE INDEX seat_time_of_course ON seat_time (course_run_id);
CREATE TABLE seat_to_offer (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    course_run_id uuid NOT NULL
);
CREATE INDEX seat_to_offer_of_course ON seat_to_offer (course_run_id)
"""
_CHANGES = """
ALTER TABLE course_run ADD COLUMN min_enrolment integer CHECK (min_enrolment >= 1),
    ADD COLUMN cancel_decision_on date, ADD COLUMN cancelled_at timestamptz;
CREATE INDEX course_run_of_field ON course_run (field, starts_on);
CREATE INDEX course_run_to_be_decided ON course_run (cancel_decision_on)
    WHERE cancel_decision_on IS NOT NULL AND cancelled_at IS NULL;
ALTER TABLE seat_request ADD COLUMN benefit_ends_on date,
    ADD COLUMN moved_from uuid REFERENCES seat_request,
    DROP CONSTRAINT seat_request_referral_id_key;
-- A referral asks once; what its request became after a change goes on for it, one at a time.
CREATE UNIQUE INDEX seat_request_of_referral ON seat_request (referral_id) WHERE moved_from IS NULL;
CREATE UNIQUE INDEX seat_request_goes_on ON seat_request (moved_from) WHERE moved_from IS NOT NULL;
CREATE UNIQUE INDEX seat_request_follows_referral ON seat_request (referral_id) WHERE state <> 'released';
CREATE TABLE course_change (
    id            uuid PRIMARY KEY,
    course_run_id uuid NOT NULL REFERENCES course_run,
    kind          text NOT NULL CHECK (kind IN ('changed', 'cancelled')),
    reason        text NOT NULL,
    before        jsonb NOT NULL,
    after         jsonb,
    agency        text NOT NULL,
    at            timestamptz NOT NULL,
    CHECK ((kind = 'cancelled') = (after IS NULL))
);
CREATE INDEX course_change_of_course ON course_change (course_run_id, id);
CREATE UNIQUE INDEX course_cancelled_once ON course_change (course_run_id) WHERE kind = 'cancelled';
CREATE TABLE affected (
    id              uuid PRIMARY KEY,
    change_id       uuid NOT NULL REFERENCES course_change,
    place           integer NOT NULL CHECK (place >= 1),
    seat_request_id uuid NOT NULL REFERENCES seat_request,
    case_id         uuid NOT NULL,
    municipality    text NOT NULL,
    stood           text NOT NULL,
    effect          text NOT NULL,
    afterwards      text NOT NULL CHECK (afterwards IN ('keeps', 'first_in_line', 'ended')),
    next_request_id uuid REFERENCES seat_request,
    offers          jsonb NOT NULL,
    others          jsonb NOT NULL,
    owner           text NOT NULL,
    answer_by       timestamptz NOT NULL,
    at              timestamptz NOT NULL,
    UNIQUE (change_id, place),
    UNIQUE (change_id, seat_request_id),
    CHECK ((afterwards = 'first_in_line') = (next_request_id IS NOT NULL))
);
CREATE INDEX affected_of_municipality ON affected (municipality, answer_by, id);
CREATE INDEX affected_of_case ON affected (case_id);
CREATE TABLE affected_answer (
    affected_id uuid PRIMARY KEY REFERENCES affected,
    answer      text NOT NULL CHECK (answer IN ('accept', 'stay', 'leave')),
    moved_to    uuid REFERENCES seat_request,
    agency      text NOT NULL,
    at          timestamptz NOT NULL,
    CHECK ((answer = 'accept') = (moved_to IS NOT NULL))
);
CREATE TABLE cancellation_due (
    course_run_id uuid PRIMARY KEY REFERENCES course_run,
    decide_on     date NOT NULL,
    applicants    integer NOT NULL,
    min_enrolment integer NOT NULL,
    at            timestamptz NOT NULL
);
CREATE TABLE region_setting (
    id                       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    prefecture               text NOT NULL CHECK (prefecture ~ '^(0[1-9]|[1-3][0-9]|4[0-7])$'),
    max_open_applications    integer CHECK (max_open_applications >= 1),
    alternatives_within_days integer NOT NULL CHECK (alternatives_within_days BETWEEN 1 AND 366),
    answer_within_days       integer NOT NULL CHECK (answer_within_days BETWEEN 1 AND 30),
    neighbours               jsonb NOT NULL DEFAULT '{}',
    in_force_from            date NOT NULL,
    decided_by               text NOT NULL,
    recorded_by              text NOT NULL,
    recorded_at              timestamptz NOT NULL
);
CREATE INDEX region_setting_in_force ON region_setting (prefecture, in_force_from DESC, id DESC)
"""

# What is answered as passing (503) was true when it was decided: another course run gave the person a seat since.
_KEEP = """
CREATE FUNCTION keep_seat_time() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = training, pg_temp AS $$
BEGIN
    IF NEW.kind <> 'hold' THEN
        DELETE FROM seat_time WHERE seat_request_id = NEW.seat_request_id;
        RETURN NULL;
    END IF;
    INSERT INTO seat_time (seat_request_id, case_id, course_run_id, first_on, last_on)
    SELECT r.id, r.case_id, c.id, c.starts_on, c.ends_on FROM seat_request r JOIN course_run c ON c.id = r.course_run_id
    WHERE r.id = NEW.seat_request_id AND c.cancelled_at IS NULL
    ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the person has another seat at that time, or the course run is cancelled'
            USING ERRCODE = 'serialization_failure';
    END IF;
    RETURN NULL;
END $$
"""
_LAST = """
CREATE FUNCTION last_day_of(seat_request_id uuid, first_on date, last_on date) RETURNS date LANGUAGE sql STABLE
SET search_path = training, pg_temp AS $$
SELECT greatest(first_on, least(last_on, (
    SELECT e.ended_on FROM training_end e WHERE e.seat_request_id = $1 ORDER BY e.number DESC LIMIT 1
)))
$$
"""
_MOVE = """
CREATE FUNCTION move_seat_time() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = training, pg_temp AS $$
BEGIN
    UPDATE seat_time SET first_on = NEW.starts_on,
        last_on = last_day_of(seat_request_id, NEW.starts_on, NEW.ends_on)
    WHERE course_run_id = NEW.id;
    RETURN NULL;
EXCEPTION WHEN exclusion_violation THEN
    RAISE EXCEPTION 'somebody would have two seats at a time' USING ERRCODE = 'serialization_failure';
END $$
"""
# Who left has time again; where an end is corrected and somebody has taken another seat since, the earlier word stays.
_END = """
CREATE FUNCTION end_seat_time() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = training, pg_temp AS $$
BEGIN
    UPDATE seat_time t SET last_on = last_day_of(t.seat_request_id, c.starts_on, c.ends_on)
    FROM course_run c WHERE t.seat_request_id = NEW.seat_request_id AND c.id = t.course_run_id;
    RETURN NULL;
EXCEPTION WHEN exclusion_violation THEN
    RETURN NULL;
END $$
"""
# Only added to, and no lock on those course runs: whoever gives a seat back has locked another one.
_OFFER = """
CREATE FUNCTION offer_elsewhere() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = training, pg_temp AS $$
BEGIN
    INSERT INTO seat_to_offer (course_run_id)
    SELECT course_run_id FROM seat_request
    WHERE case_id = OLD.case_id AND state = 'waiting' AND course_run_id <> OLD.course_run_id;
    RETURN NULL;
END $$
"""
_CANCEL = """
CREATE FUNCTION cancel_course_run() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = training, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM course_run WHERE id = NEW.course_run_id AND (capacity > 0 OR granted > 0))
        OR EXISTS (SELECT FROM seat_request WHERE course_run_id = NEW.course_run_id AND state <> 'released') THEN
        RAISE EXCEPTION 'a course run is cancelled once it has no seat and nobody in it'
            USING ERRCODE = 'check_violation';
    END IF;
    UPDATE course_run SET cancelled_at = NEW.at WHERE id = NEW.course_run_id;
    RETURN NULL;
END $$
"""
_CANCELLED = """
CREATE FUNCTION guard_cancelled_run() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = training, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM course_run WHERE id = NEW.course_run_id AND cancelled_at IS NOT NULL) THEN
        RAISE EXCEPTION 'that course run is cancelled' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$
"""
_TRIGGERS = """
CREATE TRIGGER keep_seat_time AFTER INSERT ON seat_entry FOR EACH ROW
    WHEN (NEW.kind IN ('hold', 'release', 'expire')) EXECUTE FUNCTION keep_seat_time();
CREATE TRIGGER move_seat_time AFTER UPDATE OF starts_on, ends_on ON course_run FOR EACH ROW
    WHEN ((OLD.starts_on, OLD.ends_on) IS DISTINCT FROM (NEW.starts_on, NEW.ends_on))
    EXECUTE FUNCTION move_seat_time();
CREATE TRIGGER end_seat_time AFTER INSERT ON training_end FOR EACH ROW EXECUTE FUNCTION end_seat_time();
CREATE TRIGGER offer_elsewhere AFTER DELETE OR UPDATE ON seat_time FOR EACH ROW EXECUTE FUNCTION offer_elsewhere();
CREATE TRIGGER cancel_course_run AFTER INSERT ON course_change FOR EACH ROW WHEN (NEW.kind = 'cancelled')
    EXECUTE FUNCTION cancel_course_run();
CREATE TRIGGER guard_cancelled_run AFTER INSERT ON seat_entry FOR EACH ROW WHEN (NEW.kind IN ('open', 'grant'))
    EXECUTE FUNCTION guard_cancelled_run();
REVOKE ALL ON FUNCTION keep_seat_time(), move_seat_time(), end_seat_time(), offer_elsewhere(), cancel_course_run(),
    guard_cancelled_run() FROM PUBLIC;
REVOKE INSERT, UPDATE, DELETE ON seat_time FROM tsunagu_training;
REVOKE INSERT, UPDATE ON seat_to_offer FROM tsunagu_training;
REVOKE UPDATE, DELETE ON course_change, affected, affected_answer, cancellation_due, region_setting
    FROM tsunagu_training;
GRANT INSERT (min_enrolment, cancel_decision_on), UPDATE (min_enrolment, cancel_decision_on) ON course_run
    TO tsunagu_training
"""
# Where two seats overlapped before there was a rule, the one that was asked for first keeps its days.
_FILL = """
INSERT INTO seat_time (seat_request_id, case_id, course_run_id, first_on, last_on)
SELECT r.id, r.case_id, c.id, c.starts_on, last_day_of(r.id, c.starts_on, c.ends_on)
FROM seat_request r JOIN course_run c ON c.id = r.course_run_id WHERE r.state NOT IN ('waiting', 'released')
ORDER BY r.requested_at, r.id ON CONFLICT DO NOTHING
"""

# A kind of its own beside `return`, whatever else the ledger's kinds came to be: from a pool's free seats to the run.
_KIND = """
DO $$
DECLARE
    found text;
BEGIN
    found := pg_get_functiondef('count_seat_entry()'::regprocedure);
    -- Words that are not there would be left as they are, and nobody would hear of it before the first cancellation.
    ASSERT found LIKE '%WHEN ''return'' THEN%';
    EXECUTE replace(found, $a$WHEN 'return' THEN$a$, $a$WHEN 'return', 'course_cancelled' THEN$a$);
    found := pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'seat_entry_has_its_accounts';
    ASSERT found LIKE '%WHEN ''return''::text THEN%';
    ALTER TABLE seat_entry DROP CONSTRAINT seat_entry_has_its_accounts;
    EXECUTE 'ALTER TABLE seat_entry ADD CONSTRAINT seat_entry_has_its_accounts ' || replace(found,
        $a$WHEN 'return'::text THEN$a$,
        $a$WHEN 'course_cancelled'::text THEN pool_id IS NOT NULL AND seat_request_id IS NULL
           WHEN 'return'::text THEN$a$);
    found := pg_get_viewdef('seat_leg'::regclass);
    ASSERT found LIKE '%WHEN ''return''::text THEN ''%';
    EXECUTE 'CREATE OR REPLACE VIEW seat_leg WITH (security_invoker = true) AS ' || regexp_replace(found,
        $a$WHEN 'return'::text THEN '(\\w+)'::text$a$,
        $a$WHEN 'course_cancelled'::text THEN '\\1'::text WHEN 'return'::text THEN '\\1'::text$a$, 'g');
END $$
"""
_NO_KIND = """
DO $$
DECLARE
    found text;
BEGIN
    found := pg_get_functiondef('count_seat_entry()'::regprocedure);
    EXECUTE replace(found, $a$WHEN 'return', 'course_cancelled' THEN$a$, $a$WHEN 'return' THEN$a$);
    found := pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'seat_entry_has_its_accounts';
    ALTER TABLE seat_entry DROP CONSTRAINT seat_entry_has_its_accounts;
    EXECUTE 'ALTER TABLE seat_entry ADD CONSTRAINT seat_entry_has_its_accounts ' || regexp_replace(found,
        $a$WHEN 'course_cancelled'::text THEN .*?WHEN$a$, 'WHEN');
    found := pg_get_viewdef('seat_leg'::regclass);
    EXECUTE 'CREATE OR REPLACE VIEW seat_leg WITH (security_invoker = true) AS ' || regexp_replace(found,
        $a$WHEN 'course_cancelled'::text THEN '\\w+'::text$a$, '', 'g');
END $$
"""

_BEFORE = """
DROP TRIGGER guard_cancelled_run ON seat_entry;
DROP TRIGGER end_seat_time ON training_end;
DROP TRIGGER move_seat_time ON course_run;
DROP TRIGGER keep_seat_time ON seat_entry;
DROP TABLE region_setting, cancellation_due, affected_answer, affected, course_change, seat_to_offer, seat_time;
DROP FUNCTION guard_cancelled_run();
DROP FUNCTION cancel_course_run();
DROP FUNCTION offer_elsewhere();
DROP FUNCTION end_seat_time();
DROP FUNCTION move_seat_time();
DROP FUNCTION last_day_of(uuid, date, date);
DROP FUNCTION keep_seat_time();
DROP FUNCTION day_of_case(uuid, date);
DROP TYPE days_of_case;
DROP INDEX seat_request_of_referral;
DROP INDEX seat_request_follows_referral;
ALTER TABLE seat_request DROP COLUMN benefit_ends_on, DROP COLUMN moved_from,
    ADD CONSTRAINT seat_request_referral_id_key UNIQUE (referral_id);
DROP INDEX course_run_to_be_decided;
DROP INDEX course_run_of_field;
ALTER TABLE course_run DROP COLUMN min_enrolment, DROP COLUMN cancel_decision_on, DROP COLUMN cancelled_at
"""


def upgrade() -> None:
    _each(_SEAT_TIME)
    _each(_CHANGES)
    for function in (_KEEP, _LAST, _MOVE, _END, _OFFER, _CANCEL, _CANCELLED, _KIND, _FILL):
        op.execute(function)
    _each(_TRIGGERS)


def downgrade() -> None:
    op.execute(_NO_KIND)
    _each(_BEFORE)


def _each(statements: str) -> None:
    """asyncpg prepares what it is given, and can prepare one statement at a time only."""
    for statement in statements.split(";\n"):
        op.execute(statement)
