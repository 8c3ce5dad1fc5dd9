"""Delegated pools (委ねる枠) rest on a decision, and may belong to several municipalities together.

The database refuses by itself what the code must not do: a seat that comes into a delegated pool without an allotment
in force, for a municipality or a course run that it does not name, or beyond its number; and a hold on such a seat when
its decision is in force no more. Pools of before have no allotment: they keep their seats and get no new ones.
"""

# ruff: noqa: S608  (put together from this file's own words)

from alembic import op

revision = "training_0007"
down_revision = "training_0006"
branch_labels = None
depends_on = None

_POOL = """
ALTER TABLE pool ADD COLUMN municipalities text[] NOT NULL DEFAULT '{}',
    ADD COLUMN decision_allotment_id uuid REFERENCES decision_allotment;
UPDATE pool SET municipalities = ARRAY[municipality] WHERE municipality IS NOT NULL;
ALTER TABLE pool
    DROP CONSTRAINT pool_check,
    DROP CONSTRAINT pool_course_run_id_kind_municipality_key,
    ADD CONSTRAINT pool_belongs_to_municipalities CHECK (
        (kind = 'delegated') = (cardinality(municipalities) > 0)
        AND municipality IS NOT DISTINCT FROM CASE cardinality(municipalities) WHEN 1 THEN municipalities[1] END
    ),
    ADD CONSTRAINT pool_rests_on_an_allotment CHECK (kind = 'delegated' OR decision_allotment_id IS NULL),
    ADD CONSTRAINT pool_once UNIQUE NULLS NOT DISTINCT (course_run_id, kind, municipalities, decision_allotment_id);
CREATE INDEX pool_of_allotment ON pool (decision_allotment_id) WHERE decision_allotment_id IS NOT NULL;
GRANT INSERT (municipalities, decision_allotment_id) ON pool TO tsunagu_training
"""

# Code of release 0.1.0 names one municipality; the list follows.
_COMPLETE = """
CREATE FUNCTION complete_pool() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.municipalities := ARRAY[NEW.municipality];
    RETURN NEW;
END $$
"""

# As services/training/domain/pools.py has it; tests hold both against each other.
_COVERS = """
CREATE FUNCTION allotment_covers(a decision_allotment, c course_run) RETURNS boolean LANGUAGE sql STABLE
SET search_path = training, pg_temp AS $$
SELECT c.prefecture = (
    SELECT s.prefecture FROM decision d JOIN sub_committee s ON s.id = d.sub_committee_id WHERE d.id = a.decision_id
) AND CASE
    WHEN a.course_number IS NOT NULL THEN a.course_number = c.course_number
    ELSE a.fiscal_year = extract(year FROM c.starts_on - interval '3 months')
        AND coalesce(a.system = c.system, true)
        AND coalesce(a.field = c.field, true)
        AND coalesce(a.quarter = extract(quarter FROM c.starts_on - interval '3 months'), true)
END
$$
"""

# A decision and those that it supersedes, or that supersede it, entrust the same seats one after the other: what was
# granted under one of them counts in the number of whichever is in force.
_USED = """
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


def _refuse(because: str) -> str:
    return f"RAISE EXCEPTION '{because}' USING ERRCODE = 'check_violation';"


# Code of release 0.1.0 may still run beside this one: it takes a pool of several together, which has no one
# municipality, for a pool that is open to all. And a decision may have come between a request's look at the pools and
# its hold: what was read is no longer true, and the same request, made again, finds another pool. So both are answered
# as what passes (503), not as a fault.
_HOLD = """
CREATE FUNCTION guard_delegated_hold() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = training, pg_temp AS $$
DECLARE
    held_in record;
BEGIN
    SELECT kind, municipalities, decision_allotment_id INTO held_in FROM pool WHERE id = NEW.pool_id;
    IF held_in.kind = 'delegated' AND NOT EXISTS (
        SELECT FROM seat_request WHERE id = NEW.seat_request_id AND municipality = ANY(held_in.municipalities)
    ) THEN
        RAISE EXCEPTION 'this seat belongs to other municipalities' USING ERRCODE = 'serialization_failure';
    END IF;
    IF held_in.decision_allotment_id IS NULL THEN
        RETURN NULL;
    END IF;
    IF NOT decision_in_force(held_in.decision_allotment_id, NEW.at) THEN
        RAISE EXCEPTION 'the decision that granted this seat is not in force' USING ERRCODE = 'serialization_failure';
    END IF;
    RETURN NULL;
END $$
"""

# Once for all entries of a statement, after they were counted: a file grants thousands. Whoever grants waits for who
# decides, and the other way round, so what is looked at here still holds when it is committed. In the record's order
# nothing is granted earlier than what was done last, and nothing at a moment before this transaction, by another clock.
_GRANTS = f"""
CREATE FUNCTION guard_delegated_grants() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = training, pg_temp AS $$
DECLARE
    allotted record;
BEGIN
    IF NOT EXISTS (SELECT FROM entered WHERE kind = 'grant') THEN
        RETURN NULL;
    END IF;
    IF EXISTS (
        SELECT FROM entered e JOIN pool p ON p.id = e.pool_id
        WHERE e.kind = 'grant' AND p.kind = 'delegated' AND p.decision_allotment_id IS NULL
    ) THEN
        {_refuse("no seat is delegated without a decision")}
    END IF;
    PERFORM FROM sub_committee s WHERE s.id IN (
        SELECT d.sub_committee_id FROM entered e JOIN pool p ON p.id = e.pool_id
        JOIN decision_allotment a ON a.id = p.decision_allotment_id JOIN decision d ON d.id = a.decision_id
        WHERE e.kind = 'grant'
    ) ORDER BY s.id FOR UPDATE;
    FOR allotted IN
        SELECT a.id, a.seats, min(e.at) AS first_at, GREATEST(max(e.at), max(s.last_at)) AS at,
               bool_and(p.municipalities <@ a.municipalities AND allotment_covers(a, c)) AS is_named
        FROM entered e
        JOIN pool p ON p.id = e.pool_id
        JOIN course_run c ON c.id = e.course_run_id
        JOIN decision_allotment a ON a.id = p.decision_allotment_id
        JOIN decision d ON d.id = a.decision_id
        JOIN sub_committee s ON s.id = d.sub_committee_id
        WHERE e.kind = 'grant'
        GROUP BY a.id
    LOOP
        IF allotted.first_at < transaction_timestamp() THEN
            {_refuse("a seat is granted at the time of the database")}
        END IF;
        IF NOT decision_in_force(allotted.id, allotted.at) THEN
            {_refuse("no seat is delegated without a decision in force")}
        END IF;
        IF NOT allotted.is_named THEN
            {_refuse("that allotment is for other municipalities or courses")}
        END IF;
        IF allotment_used(allotted.id) > allotted.seats THEN
            {_refuse("more seats than were allotted")}
        END IF;
    END LOOP;
    RETURN NULL;
END $$
"""

_TRIGGERS = """
CREATE TRIGGER complete_pool BEFORE INSERT ON pool FOR EACH ROW
    WHEN (NEW.municipality IS NOT NULL AND NEW.municipalities = '{}') EXECUTE FUNCTION complete_pool();
CREATE TRIGGER guard_delegated_hold AFTER INSERT ON seat_entry FOR EACH ROW WHEN (NEW.kind = 'hold')
    EXECUTE FUNCTION guard_delegated_hold();
CREATE TRIGGER guard_delegated_grants AFTER INSERT ON seat_entry REFERENCING NEW TABLE AS entered
    FOR EACH STATEMENT EXECUTE FUNCTION guard_delegated_grants();
REVOKE ALL ON FUNCTION guard_delegated_hold(), guard_delegated_grants(), complete_pool() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION complete_pool() TO tsunagu_training
"""

# Not back where a pool belongs to several together, or two of one municipality rest on two decisions.
_BEFORE = """
DROP TRIGGER guard_delegated_grants ON seat_entry;
DROP TRIGGER guard_delegated_hold ON seat_entry;
DROP TRIGGER complete_pool ON pool;
DROP FUNCTION guard_delegated_grants();
DROP FUNCTION guard_delegated_hold();
DROP FUNCTION complete_pool();
DROP FUNCTION allotment_used(uuid);
DROP FUNCTION allotment_covers(decision_allotment, course_run);
DROP INDEX pool_of_allotment;
ALTER TABLE pool DROP CONSTRAINT pool_once,
    DROP CONSTRAINT pool_belongs_to_municipalities,
    DROP CONSTRAINT pool_rests_on_an_allotment,
    DROP COLUMN municipalities,
    DROP COLUMN decision_allotment_id,
    ADD CONSTRAINT pool_check CHECK ((kind = 'delegated') = (municipality IS NOT NULL)),
    ADD CONSTRAINT pool_course_run_id_kind_municipality_key
        UNIQUE NULLS NOT DISTINCT (course_run_id, kind, municipality)
"""


def upgrade() -> None:
    _each(_POOL)
    for function in (_COMPLETE, _COVERS, _USED, _HOLD, _GRANTS):
        op.execute(function)
    _each(_TRIGGERS)


def downgrade() -> None:
    _each(_BEFORE)


def _each(statements: str) -> None:
    """asyncpg prepares what it is given, and can prepare one statement at a time only."""
    for statement in statements.split(";"):
        if statement.strip():
            op.execute(statement)
