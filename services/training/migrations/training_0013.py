"""Seats that move on: to whom a decision names next at the cut-off, lent or swapped by agreement, carried over.

An entry may take seats from one pool into another of the same course run. The database refuses by itself a lent seat
without an agreement of both, a swap half done, a seat sent to somebody whom the decision does not name, and more than
is free. What the triggers look at stands in the next migration.
"""

from alembic import op

revision = "training_0013"
down_revision = "training_0012"
branch_labels = None
depends_on = None

_NAMED_NEXT = """
ALTER TABLE decision_allotment ADD COLUMN carries_over boolean NOT NULL DEFAULT false;
CREATE TABLE allotment_onward (
    decision_allotment_id uuid NOT NULL REFERENCES decision_allotment,
    step                  integer NOT NULL CHECK (step > 0),
    municipalities        text[] NOT NULL CHECK (cardinality(municipalities) > 0),
    cut_off_on            date NOT NULL,
    PRIMARY KEY (decision_allotment_id, step)
);
-- Seats of an allotment's number, from one period into the next; both sides stand in the row.
CREATE TABLE allotment_entry (
    id                bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind              text NOT NULL CHECK (kind = 'carry_over'),
    from_allotment_id uuid NOT NULL UNIQUE REFERENCES decision_allotment,
    to_allotment_id   uuid NOT NULL REFERENCES decision_allotment,
    seats             integer NOT NULL CHECK (seats BETWEEN 1 AND 9),
    at                timestamptz NOT NULL
);
CREATE INDEX allotment_entry_to ON allotment_entry (to_allotment_id);
CREATE INDEX decision_allotment_carries_over ON decision_allotment (fiscal_year, quarter) WHERE carries_over
"""

_AGREEMENTS = """
CREATE TABLE seat_agreement (
    id            uuid PRIMARY KEY,
    kind          text NOT NULL CHECK (kind IN ('lend', 'swap')),
    proposed_by   text NOT NULL,
    proposed_for  text NOT NULL,
    asked         text NOT NULL CHECK (asked <> proposed_for),
    answer_before timestamptz NOT NULL,
    recorded_at   timestamptz NOT NULL
);
CREATE TABLE agreement_leg (
    agreement_id uuid NOT NULL REFERENCES seat_agreement,
    number       integer NOT NULL CHECK (number IN (1, 2)),
    pool_id      uuid NOT NULL REFERENCES pool,
    giver        text NOT NULL,
    taker        text NOT NULL CHECK (taker <> giver),
    seats        integer NOT NULL CHECK (seats BETWEEN 1 AND 1000),
    until_on     date NOT NULL,
    PRIMARY KEY (agreement_id, number)
);
CREATE TABLE agreement_step (
    agreement_id uuid NOT NULL REFERENCES seat_agreement,
    number       integer NOT NULL CHECK (number > 1),
    step         text NOT NULL
        CHECK (step IN ('agreed', 'declined', 'withdrawn', 'lapsed', 'recalled', 'given_back')),
    by           text,
    at           timestamptz NOT NULL,
    PRIMARY KEY (agreement_id, number)
);
CREATE INDEX seat_agreement_for ON seat_agreement (proposed_for, id);
CREATE INDEX seat_agreement_asked ON seat_agreement (asked, id);
CREATE INDEX seat_agreement_to_answer ON seat_agreement (answer_before);
CREATE INDEX agreement_leg_of_pool ON agreement_leg (pool_id)
"""

_POOLS = """
ALTER TABLE pool ADD COLUMN source_pool_id uuid REFERENCES pool, ADD COLUMN agreement_id uuid,
    ADD COLUMN agreement_leg integer, ADD COLUMN onward_step integer,
    ADD CONSTRAINT pool_of_an_agreement FOREIGN KEY (agreement_id, agreement_leg) REFERENCES agreement_leg,
    ADD CONSTRAINT pool_moved_one_way CHECK (
        num_nonnulls(source_pool_id, agreement_id, agreement_leg) IN (0, 3)
        AND num_nonnulls(agreement_id, onward_step) <= 1
        AND (num_nonnulls(agreement_id, onward_step) = 0 OR decision_allotment_id IS NOT NULL)
    ),
    DROP CONSTRAINT pool_once,
    ADD CONSTRAINT pool_once UNIQUE NULLS NOT DISTINCT
        (course_run_id, kind, municipalities, decision_allotment_id, agreement_id, onward_step, target_groups);
CREATE INDEX pool_of_agreement ON pool (agreement_id) WHERE agreement_id IS NOT NULL;
GRANT INSERT (source_pool_id, agreement_id, agreement_leg, onward_step) ON pool TO tsunagu_training
"""

_ONE_POOL = """
            WHEN 'open'    THEN pool_id IS NULL AND seat_request_id IS NULL
            WHEN 'close'   THEN pool_id IS NULL AND seat_request_id IS NULL
            WHEN 'grant'   THEN pool_id IS NOT NULL AND seat_request_id IS NULL
            WHEN 'return'  THEN pool_id IS NOT NULL AND seat_request_id IS NULL
            WHEN 'hold'    THEN pool_id IS NOT NULL AND seat_request_id IS NOT NULL AND seats = 1
            WHEN 'release' THEN pool_id IS NOT NULL AND seat_request_id IS NOT NULL AND seats = 1
            WHEN 'expire'  THEN pool_id IS NOT NULL AND seat_request_id IS NOT NULL AND seats = 1
            WHEN 'enrol'   THEN pool_id IS NOT NULL AND seat_request_id IS NOT NULL AND seats = 1
"""
_ENTRIES = f"""
DROP TRIGGER count_seat_entry ON seat_entry;
ALTER TABLE seat_entry ADD COLUMN to_pool_id uuid REFERENCES pool,
    DROP CONSTRAINT seat_entry_has_its_accounts,
    ADD CONSTRAINT seat_entry_has_its_accounts CHECK (
        CASE kind {_ONE_POOL}
            WHEN 'lend'     THEN pool_id IS NOT NULL AND seat_request_id IS NULL
            WHEN 'swap'     THEN pool_id IS NOT NULL AND seat_request_id IS NULL
            WHEN 'recall'   THEN pool_id IS NOT NULL AND seat_request_id IS NULL
            WHEN 'transfer' THEN pool_id IS NOT NULL AND seat_request_id IS NULL
            ELSE false
        END
    ),
    ADD CONSTRAINT seat_entry_into_another_pool CHECK (
        (to_pool_id IS NOT NULL) = (kind IN ('lend', 'swap', 'recall', 'transfer')) AND to_pool_id <> pool_id
    );
CREATE TRIGGER count_seat_entry AFTER INSERT ON seat_entry FOR EACH ROW WHEN (NEW.to_pool_id IS NULL)
    EXECUTE FUNCTION count_seat_entry()
"""

# Both sides of every entry, also where both are pools: what was free in one is free in the other.
_LEG = """
CREATE OR REPLACE VIEW seat_leg WITH (security_invoker = true) AS
SELECT e.id AS entry_id, e.course_run_id, e.at, leg.account, leg.pool_id, leg.seats
FROM seat_entry e CROSS JOIN LATERAL (
    SELECT CASE WHEN e.to_pool_id IS NOT NULL THEN 'free' ELSE CASE e.kind
            WHEN 'open' THEN 'outside' WHEN 'close' THEN 'run' WHEN 'grant' THEN 'run' WHEN 'return' THEN 'free'
            WHEN 'hold' THEN 'free' ELSE 'held' END END AS source,
        CASE WHEN e.to_pool_id IS NOT NULL THEN 'free' ELSE CASE e.kind
            WHEN 'open' THEN 'run' WHEN 'close' THEN 'outside' WHEN 'grant' THEN 'free' WHEN 'return' THEN 'run'
            WHEN 'hold' THEN 'held' WHEN 'enrol' THEN 'filled' ELSE 'free' END END AS target
) side CROSS JOIN LATERAL (
    VALUES (side.source, CASE WHEN side.source IN ('free', 'held', 'filled') THEN e.pool_id END, -e.seats),
           (side.target,
            CASE WHEN side.target IN ('free', 'held', 'filled') THEN coalesce(e.to_pool_id, e.pool_id) END, e.seats)
) AS leg (account, pool_id, seats)
"""
_LEG_BEFORE = """
CREATE OR REPLACE VIEW seat_leg WITH (security_invoker = true) AS
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

# What a decision entrusts with what was carried over.
_SEATS = """
CREATE FUNCTION allotment_seats(decision_allotment_id uuid) RETURNS integer LANGUAGE sql STABLE
SET search_path = training, pg_temp AS $$
SELECT CAST(
    a.seats + (SELECT coalesce(sum(seats), 0) FROM allotment_entry WHERE to_allotment_id = $1)
    - (SELECT coalesce(sum(seats), 0) FROM allotment_entry WHERE from_allotment_id = $1) AS integer
) FROM decision_allotment a WHERE a.id = $1
$$
"""

# A decision and those that it supersedes, or that supersede it, entrust the same seats one after the other. Each of
# those seats counts once: in the allotment nearest to its own, as services/training/domain/pools.py grants, and in the
# next where that one is full. What nobody has room for counts in the nearest. Lent seats count where they were lent.
_USED = """
CREATE OR REPLACE FUNCTION allotment_used(decision_allotment_id uuid) RETURNS integer LANGUAGE plpgsql STABLE
SET search_path = training, pg_temp AS $$
#variable_conflict use_column
DECLARE
    mine CONSTANT uuid := $1;
    of_decision CONSTANT uuid := (SELECT a.decision_id FROM decision_allotment a WHERE a.id = mine);
    ids uuid[];
    left_of integer[];
    earlier record;
    near record;
    uncounted integer;
    taken integer;
    nearest integer;
BEGIN
    IF NOT EXISTS (SELECT FROM decision_supersedes WHERE of_decision IN (decision_id, superseded_id)) THEN
        RETURN (SELECT CAST(coalesce(sum(p.granted), 0) AS integer) FROM pool p
            WHERE p.decision_allotment_id = mine);
    END IF;
    WITH RECURSIVE beside (id, municipalities) AS (
        SELECT a.id, a.municipalities FROM decision_allotment a WHERE a.id = mine
        UNION SELECT a.id, a.municipalities FROM beside
        JOIN decision_allotment a ON a.decision_id = of_decision AND a.municipalities && beside.municipalities
    )
    SELECT array_agg(b.id ORDER BY b.id), array_agg(
        allotment_seats(b.id)
        - (SELECT CAST(coalesce(sum(p.granted), 0) AS integer) FROM pool p WHERE p.decision_allotment_id = b.id)
        ORDER BY b.id
    ) INTO ids, left_of FROM beside b;
    FOR earlier IN
        WITH RECURSIVE
        older (id) AS (
            SELECT of_decision
            UNION SELECT s.superseded_id FROM decision_supersedes s JOIN older ON older.id = s.decision_id
        ),
        newer (id) AS (
            SELECT of_decision
            UNION SELECT s.decision_id FROM decision_supersedes s JOIN newer ON newer.id = s.superseded_id
        )
        SELECT p.id, p.granted, p.course_run_id, coalesce(source.municipalities, p.municipalities) AS municipalities
        FROM decision_allotment b
        JOIN pool p ON p.decision_allotment_id = b.id AND p.granted > 0 AND p.onward_step IS NULL
        LEFT JOIN pool source ON source.id = p.source_pool_id
        WHERE b.decision_id <> of_decision
            AND b.decision_id IN (SELECT id FROM older UNION SELECT id FROM newer)
            AND EXISTS (
                SELECT FROM decision_allotment a
                WHERE a.id = ANY(ids) AND a.municipalities && coalesce(source.municipalities, p.municipalities)
            )
        ORDER BY cardinality(coalesce(source.municipalities, p.municipalities)), p.id
    LOOP
        uncounted := earlier.granted;
        nearest := NULL;
        FOR near IN
            SELECT array_position(ids, a.id) AS place FROM decision_allotment a
            JOIN course_run c ON c.id = earlier.course_run_id
            WHERE a.id = ANY(ids) AND a.municipalities && earlier.municipalities AND allotment_covers(a, c)
            ORDER BY cardinality(a.municipalities) > cardinality(earlier.municipalities), a.course_number IS NULL, a.id
        LOOP
            nearest := coalesce(nearest, near.place);
            taken := GREATEST(0, LEAST(uncounted, left_of[near.place]));
            left_of[near.place] := left_of[near.place] - taken;
            uncounted := uncounted - taken;
        END LOOP;
        IF nearest IS NOT NULL THEN
            left_of[nearest] := left_of[nearest] - uncounted;
        END IF;
    END LOOP;
    RETURN allotment_seats(mine) - left_of[array_position(ids, mine)];
END $$
"""
_USED_BEFORE = """
CREATE FUNCTION allotment_used(decision_allotment_id uuid) RETURNS integer LANGUAGE sql STABLE
SET search_path = training, pg_temp AS $$
WITH RECURSIVE
older (id) AS (
    SELECT decision_id FROM decision_allotment WHERE id = $1
    UNION SELECT s.superseded_id FROM decision_supersedes s JOIN older ON older.id = s.decision_id
),
newer (id) AS (
    SELECT decision_id FROM decision_allotment WHERE id = $1
    UNION SELECT s.decision_id FROM decision_supersedes s JOIN newer ON newer.id = s.superseded_id
)
SELECT CAST(
    (SELECT coalesce(sum(granted), 0) FROM pool WHERE decision_allotment_id = $1)
    + (
        SELECT coalesce(sum(p.granted), 0)
        FROM decision_allotment a
        JOIN decision_allotment b ON b.decision_id <> a.decision_id
            AND b.decision_id IN (SELECT id FROM older UNION SELECT id FROM newer)
        JOIN pool p ON p.decision_allotment_id = b.id AND p.municipalities && a.municipalities
        JOIN course_run c ON c.id = p.course_run_id
        WHERE a.id = $1 AND allotment_covers(a, c)
    ) AS integer
)
$$
"""

_RIGHTS = (
    "REVOKE UPDATE, DELETE ON seat_agreement, agreement_leg, agreement_step, allotment_entry FROM tsunagu_training",
    # To lock what two may answer at once; nothing in it is ever changed.
    "GRANT UPDATE (id) ON seat_agreement TO tsunagu_training",
    "REVOKE INSERT, UPDATE, DELETE ON allotment_onward FROM tsunagu_training",
)

# Not back where seats have moved: there is no account in which they would be.
_BEFORE = f"""
DROP TRIGGER count_seat_entry ON seat_entry;
ALTER TABLE seat_entry DROP CONSTRAINT seat_entry_into_another_pool,
    DROP CONSTRAINT seat_entry_has_its_accounts,
    DROP COLUMN to_pool_id,
    ADD CONSTRAINT seat_entry_has_its_accounts CHECK (CASE kind {_ONE_POOL} ELSE false END);
CREATE TRIGGER count_seat_entry AFTER INSERT ON seat_entry FOR EACH ROW EXECUTE FUNCTION count_seat_entry();
DROP FUNCTION allotment_used(uuid);
DROP FUNCTION allotment_seats(uuid);
DROP INDEX pool_of_agreement;
ALTER TABLE pool DROP CONSTRAINT pool_once, DROP CONSTRAINT pool_moved_one_way, DROP CONSTRAINT pool_of_an_agreement,
    DROP COLUMN source_pool_id, DROP COLUMN agreement_id, DROP COLUMN agreement_leg, DROP COLUMN onward_step,
    ADD CONSTRAINT pool_once UNIQUE NULLS NOT DISTINCT
        (course_run_id, kind, municipalities, decision_allotment_id, target_groups);
DROP TABLE agreement_step, agreement_leg, seat_agreement, allotment_entry, allotment_onward;
DROP INDEX IF EXISTS decision_allotment_carries_over;
ALTER TABLE decision_allotment DROP COLUMN carries_over
"""


def upgrade() -> None:
    for statements in (_NAMED_NEXT, _AGREEMENTS, _POOLS, _ENTRIES):
        _each(statements)
    for statement in (_LEG, _SEATS, _USED, *_RIGHTS):
        op.execute(statement)


def downgrade() -> None:
    op.execute(_LEG_BEFORE)
    _each(_BEFORE)
    op.execute(_USED_BEFORE)


def _each(statements: str) -> None:
    """asyncpg prepares what it is given, and can prepare one statement at a time only."""
    for statement in statements.split(";\n"):
        op.execute(statement)
