"""The ledger of seats in two sides: each entry takes seats from one account and puts them into another.

What a course run may share out (its capacity) moves by entries too, so that every number is the sum of its entries.
Code of release 0.1.0 may go on beside it: its entries are completed, and a capacity that it writes becomes an entry.
"""

from alembic import op

revision = "training_0006"
down_revision = "training_0005_guards"
branch_labels = None
depends_on = None

_TWO_SIDES = """
DROP TRIGGER count_seat_entry ON seat_entry;
DROP INDEX seat_entry_held_once;
DROP INDEX seat_entry_ended_once;
ALTER TABLE seat_entry ALTER COLUMN pool_id DROP NOT NULL, ADD COLUMN seats integer, ADD COLUMN command uuid,
    ADD COLUMN number integer;
UPDATE seat_entry e
SET seats = greatest(abs(granted_delta), abs(held_delta)),
    command = coalesce(seat_request_id, gen_random_uuid()),
    number = CASE WHEN kind IN ('release', 'expire', 'enrol')
        THEN (SELECT version FROM seat_request r WHERE r.id = e.seat_request_id) ELSE 1 END;
ALTER TABLE seat_entry
    DROP CONSTRAINT seat_entry_moves_what_its_kind_says,
    DROP CONSTRAINT seat_entry_check,
    ADD CONSTRAINT seat_entry_of_a_course FOREIGN KEY (course_run_id) REFERENCES course_run,
    ADD CONSTRAINT seat_entry_moves_seats CHECK (seats IS NOT NULL AND seats > 0),
    ADD CONSTRAINT seat_entry_has_its_accounts CHECK (
        CASE kind
            WHEN 'open'    THEN pool_id IS NULL AND seat_request_id IS NULL
            WHEN 'close'   THEN pool_id IS NULL AND seat_request_id IS NULL
            WHEN 'grant'   THEN pool_id IS NOT NULL AND seat_request_id IS NULL
            WHEN 'return'  THEN pool_id IS NOT NULL AND seat_request_id IS NULL
            WHEN 'hold'    THEN pool_id IS NOT NULL AND seat_request_id IS NOT NULL AND seats = 1
            WHEN 'release' THEN pool_id IS NOT NULL AND seat_request_id IS NOT NULL AND seats = 1
            WHEN 'expire'  THEN pool_id IS NOT NULL AND seat_request_id IS NOT NULL AND seats = 1
            WHEN 'enrol'   THEN pool_id IS NOT NULL AND seat_request_id IS NOT NULL AND seats = 1
            ELSE false
        END
    ),
    ADD CONSTRAINT seat_entry_has_a_command CHECK (
        command IS NOT NULL AND number IS NOT NULL AND (seat_request_id IS NULL OR command = seat_request_id)
    ),
    -- The same command again, whoever repeats it, enters nothing twice.
    ADD CONSTRAINT seat_entry_once UNIQUE (command, number);
INSERT INTO seat_entry (course_run_id, kind, seats, command, number, at)
SELECT id, 'open', capacity, gen_random_uuid(), 1, now() FROM course_run WHERE capacity > 0;
ALTER TABLE course_run ALTER COLUMN capacity SET DEFAULT 0;
CREATE INDEX seat_entry_of_course ON seat_entry (course_run_id, id);
CREATE INDEX seat_entry_of_capacity ON seat_entry (course_run_id) WHERE pool_id IS NULL;
"""

_COMPLETE = """
CREATE FUNCTION complete_seat_entry() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.seats := greatest(abs(NEW.granted_delta), abs(NEW.held_delta));
    NEW.command := coalesce(NEW.seat_request_id, gen_random_uuid());
    NEW.number := 1 + coalesce((SELECT max(number) FROM seat_entry WHERE command = NEW.command), 0);
    RETURN NEW;
END $$
"""

# The functions run as the schema's owner: the login role may add entries, and only thereby moves the counters.
_COUNT = """
CREATE OR REPLACE FUNCTION count_seat_entry() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = training, pg_temp AS $$
DECLARE
    before record;
BEGIN
    IF NEW.seat_request_id IS NOT NULL THEN
        SELECT kind, pool_id INTO before FROM seat_entry
        WHERE command = NEW.command AND number < NEW.number ORDER BY number DESC LIMIT 1;
        IF NEW.kind = 'hold' THEN
            IF before.kind IN ('hold', 'enrol') THEN
                RAISE EXCEPTION 'that request has a seat already' USING ERRCODE = 'check_violation';
            END IF;
        ELSIF before.kind IS DISTINCT FROM 'hold' OR before.pool_id <> NEW.pool_id THEN
            RAISE EXCEPTION 'this pool holds no seat for that request' USING ERRCODE = 'check_violation';
        END IF;
    END IF;
    CASE NEW.kind
        WHEN 'hold' THEN UPDATE pool SET held = held + 1 WHERE id = NEW.pool_id;
        WHEN 'release', 'expire' THEN UPDATE pool SET held = held - 1 WHERE id = NEW.pool_id;
        WHEN 'enrol' THEN UPDATE pool SET held = held - 1, filled = filled + 1 WHERE id = NEW.pool_id;
        WHEN 'grant' THEN
            UPDATE pool SET granted = granted + NEW.seats WHERE id = NEW.pool_id;
            UPDATE course_run SET granted = granted + NEW.seats WHERE id = NEW.course_run_id;
        WHEN 'return' THEN
            UPDATE pool SET granted = granted - NEW.seats WHERE id = NEW.pool_id;
            UPDATE course_run SET granted = granted - NEW.seats WHERE id = NEW.course_run_id;
        WHEN 'open', 'close' THEN
            -- Their sum, however often: where the code of the last release wrote it, the entry only follows.
            UPDATE course_run SET capacity = (
                SELECT coalesce(sum(CASE kind WHEN 'open' THEN seats ELSE -seats END), 0)
                FROM seat_entry WHERE course_run_id = NEW.course_run_id AND pool_id IS NULL
            ) WHERE id = NEW.course_run_id;
    END CASE;
    RETURN NULL;
END $$
"""

_FOLLOW = """
CREATE FUNCTION follow_capacity() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = training, pg_temp AS $$
DECLARE
    more integer;
BEGIN
    SELECT NEW.capacity - coalesce(sum(CASE kind WHEN 'open' THEN seats ELSE -seats END), 0) INTO more
    FROM seat_entry WHERE course_run_id = NEW.id AND pool_id IS NULL;
    IF more <> 0 THEN
        INSERT INTO seat_entry (course_run_id, kind, seats, command, number, at)
        VALUES (NEW.id, CASE WHEN more > 0 THEN 'open' ELSE 'close' END, abs(more), gen_random_uuid(), 1, now());
    END IF;
    RETURN NULL;
END $$
"""

_TRIGGERS = """
CREATE TRIGGER complete_seat_entry BEFORE INSERT ON seat_entry FOR EACH ROW WHEN (NEW.seats IS NULL)
    EXECUTE FUNCTION complete_seat_entry();
CREATE TRIGGER count_seat_entry AFTER INSERT ON seat_entry FOR EACH ROW EXECUTE FUNCTION count_seat_entry();
CREATE TRIGGER follow_capacity AFTER INSERT OR UPDATE OF capacity ON course_run FOR EACH ROW
    WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION follow_capacity();
"""

# Both sides of every entry: what left an account, and what came into another. Their sum is nothing, always.
_LEG = """
CREATE VIEW seat_leg WITH (security_invoker = true) AS
SELECT e.id AS entry_id, e.course_run_id, e.at, leg.account, leg.pool_id, leg.seats
FROM seat_entry e CROSS JOIN LATERAL (
    SELECT CASE e.kind
            WHEN 'open' THEN 'outside' WHEN 'close' THEN 'run' WHEN 'grant' THEN 'run' WHEN 'return' THEN 'free'
            WHEN 'hold' THEN 'free' ELSE 'held' END AS source,
        CASE e.kind
            WHEN 'open' THEN 'run' WHEN 'close' THEN 'outside' WHEN 'grant' THEN 'free' WHEN 'return' THEN 'run'
            WHEN 'hold' THEN 'held' WHEN 'enrol' THEN 'filled' ELSE 'free' END AS target
) side CROSS JOIN LATERAL (
    VALUES (side.source, CASE WHEN side.source IN ('free', 'held', 'filled') THEN e.pool_id END, -e.seats),
           (side.target, CASE WHEN side.target IN ('free', 'held', 'filled') THEN e.pool_id END, e.seats)
) AS leg (account, pool_id, seats)
"""

_RIGHTS = """
REVOKE ALL ON FUNCTION complete_seat_entry(), follow_capacity() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION complete_seat_entry() TO tsunagu_training;
REVOKE ALL ON seat_leg FROM tsunagu_training;
GRANT SELECT ON seat_leg TO tsunagu_training
"""

_ONE_SIDE = """
DROP VIEW seat_leg;
DROP TRIGGER follow_capacity ON course_run;
DROP TRIGGER count_seat_entry ON seat_entry;
DROP TRIGGER complete_seat_entry ON seat_entry;
DROP FUNCTION follow_capacity();
DROP FUNCTION complete_seat_entry();
DROP INDEX seat_entry_of_course;
DELETE FROM seat_entry WHERE pool_id IS NULL;
UPDATE seat_entry SET
    granted_delta = CASE kind WHEN 'grant' THEN seats WHEN 'return' THEN -seats ELSE 0 END,
    held_delta = CASE WHEN seat_request_id IS NULL THEN 0 WHEN kind = 'hold' THEN 1 ELSE -1 END,
    filled_delta = CASE kind WHEN 'enrol' THEN 1 ELSE 0 END;
ALTER TABLE seat_entry
    DROP CONSTRAINT seat_entry_of_a_course,
    DROP CONSTRAINT seat_entry_has_its_accounts,
    DROP COLUMN seats, DROP COLUMN command, DROP COLUMN number,
    ALTER COLUMN pool_id SET NOT NULL,
    ADD CONSTRAINT seat_entry_moves_what_its_kind_says CHECK (
        CASE kind
            WHEN 'grant'   THEN granted_delta > 0 AND held_delta =  0 AND filled_delta = 0
            WHEN 'return'  THEN granted_delta < 0 AND held_delta =  0 AND filled_delta = 0
            WHEN 'hold'    THEN granted_delta = 0 AND held_delta =  1 AND filled_delta = 0
            WHEN 'release' THEN granted_delta = 0 AND held_delta = -1 AND filled_delta = 0
            WHEN 'expire'  THEN granted_delta = 0 AND held_delta = -1 AND filled_delta = 0
            WHEN 'enrol'   THEN granted_delta = 0 AND held_delta = -1 AND filled_delta = 1
            ELSE false
        END
    ),
    ADD CONSTRAINT seat_entry_check CHECK ((kind IN ('grant', 'return')) = (seat_request_id IS NULL));
ALTER TABLE course_run ALTER COLUMN capacity DROP DEFAULT;
CREATE UNIQUE INDEX seat_entry_held_once ON seat_entry (seat_request_id) WHERE kind = 'hold';
CREATE UNIQUE INDEX seat_entry_ended_once ON seat_entry (seat_request_id) WHERE held_delta = -1
"""

_COUNT_ONE_SIDE = """
CREATE OR REPLACE FUNCTION count_seat_entry() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = training, pg_temp AS $$
BEGIN
    IF NEW.kind IN ('release', 'expire', 'enrol') AND NOT EXISTS (
        SELECT FROM seat_entry
        WHERE seat_request_id = NEW.seat_request_id AND kind = 'hold' AND pool_id = NEW.pool_id
    ) THEN
        RAISE EXCEPTION 'this pool holds no seat for that request' USING ERRCODE = 'check_violation';
    END IF;
    UPDATE pool
    SET granted = granted + NEW.granted_delta, held = held + NEW.held_delta, filled = filled + NEW.filled_delta
    WHERE id = NEW.pool_id;
    IF NEW.granted_delta <> 0 THEN
        UPDATE course_run SET granted = granted + NEW.granted_delta WHERE id = NEW.course_run_id;
    END IF;
    RETURN NULL;
END $$
"""


def upgrade() -> None:
    _each(_TWO_SIDES)
    for function in (_COMPLETE, _COUNT, _FOLLOW):
        op.execute(function)
    _each(_TRIGGERS)
    op.execute(_LEG)
    _each(_RIGHTS)


def downgrade() -> None:
    _each(_ONE_SIDE)
    op.execute(_COUNT_ONE_SIDE)
    op.execute(
        "CREATE TRIGGER count_seat_entry AFTER INSERT ON seat_entry FOR EACH ROW EXECUTE FUNCTION count_seat_entry()"
    )


def _each(statements: str) -> None:
    """asyncpg prepares what it is given, and can prepare one statement at a time only."""
    for statement in statements.split(";"):
        if statement.strip():
            op.execute(statement)
