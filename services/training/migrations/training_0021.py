"""Entries of a request follow one another; a hold is of its own course run, in time; no fact without a seat.

Until now an entry with a number below the last one was looked at as if what came after it were not there: a seat that
had been given back could be given back once more, and somebody else's in the same pool was sold twice.
"""

from alembic import op

revision = "training_0021"
down_revision = "training_0020"
branch_labels = None
depends_on = None

_BEFORE = """SELECT kind, pool_id INTO before FROM seat_entry
        WHERE command = NEW.command AND number < NEW.number ORDER BY number DESC LIMIT 1;"""
_LAST = """SELECT kind, pool_id, number INTO before FROM seat_entry
        WHERE command = NEW.command AND number <> NEW.number ORDER BY number DESC LIMIT 1;
        IF before.number > NEW.number THEN
            RAISE EXCEPTION 'the entries of a request follow one another' USING ERRCODE = 'check_violation';
        END IF;"""
_CHANGED = """
DO $do$
DECLARE
    found text := pg_get_functiondef('count_seat_entry()'::regprocedure);
BEGIN
    -- Words that are not there would be left as they are, and nobody would hear of it.
    ASSERT position($old${old}$old$ IN found) > 0;
    EXECUTE replace(found, $old${old}$old$, $new${new}$new$);
END $do$
"""

# Whoever holds a seat asked the database what time it is in the same transaction, so no earlier than this began. In
# the same statement as the days: asking for a seat takes no statement more.
_KEEP = """
CREATE OR REPLACE FUNCTION keep_seat_time() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = training, pg_temp AS $$
BEGIN
    IF NEW.kind <> 'hold' THEN
        DELETE FROM seat_time WHERE seat_request_id = NEW.seat_request_id;
        RETURN NULL;
    END IF;
    INSERT INTO seat_time (seat_request_id, case_id, course_run_id, first_on, last_on)
    SELECT r.id, r.case_id, c.id, c.starts_on, c.ends_on FROM seat_request r JOIN course_run c ON c.id = r.course_run_id
    WHERE r.id = NEW.seat_request_id AND c.cancelled_at IS NULL{own}
    ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN{because}
        RAISE EXCEPTION 'the person has another seat at that time, or the course run is cancelled'
            USING ERRCODE = 'serialization_failure';
    END IF;
    RETURN NULL;
END $$
"""
_OWN = """
        AND c.id = NEW.course_run_id AND NEW.at BETWEEN transaction_timestamp() AND c.applications_close_at"""
_BECAUSE = """
        IF NEW.at < transaction_timestamp() THEN
            RAISE EXCEPTION 'a seat is held at the time of the database' USING ERRCODE = 'check_violation';
        END IF;
        IF EXISTS (SELECT FROM course_run WHERE id = NEW.course_run_id AND applications_close_at < NEW.at) THEN
            RAISE EXCEPTION 'applications for that course run are closed' USING ERRCODE = 'check_violation';
        END IF;
        IF NOT EXISTS (
            SELECT FROM seat_request WHERE id = NEW.seat_request_id AND course_run_id = NEW.course_run_id
        ) THEN
            RAISE EXCEPTION 'that request is for another course run' USING ERRCODE = 'check_violation';
        END IF;"""

# A nomination, a result, a paper or an enrolment of somebody who has no seat would promise one that is not there.
_SEATED = """
CREATE FUNCTION check_seated() RETURNS trigger LANGUAGE plpgsql SET search_path = training, pg_temp AS $$
BEGIN
    IF coalesce((
        SELECT kind FROM seat_entry WHERE command = NEW.seat_request_id ORDER BY number DESC LIMIT 1
    ), '') NOT IN ('hold', 'enrol') THEN
        RAISE EXCEPTION 'nobody has a seat by that request' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$
"""
_FACTS = ("nomination", "countersignature", "selection", "instruction", "enrolment")


def upgrade() -> None:
    op.execute(_CHANGED.format(old=_BEFORE, new=_LAST))
    op.execute(_KEEP.format(own=_OWN, because=_BECAUSE))
    op.execute(_SEATED)
    for table in _FACTS:
        op.execute(f"CREATE TRIGGER check_seated BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION check_seated()")


def downgrade() -> None:
    for table in _FACTS:
        op.execute(f"DROP TRIGGER check_seated ON {table}")
    op.execute("DROP FUNCTION check_seated()")
    op.execute(_KEEP.format(own="", because=""))
    op.execute(_CHANGED.format(old=_LAST, new=_BEFORE))
