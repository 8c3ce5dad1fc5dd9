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
SELECT CAST(coalesce(sum(p.granted), 0) AS integer)
FROM decision_allotment a
JOIN decision_allotment b ON b.decision_id IN (SELECT id FROM older UNION SELECT id FROM newer)
JOIN pool p ON p.decision_allotment_id = b.id
JOIN course_run c ON c.id = p.course_run_id
WHERE a.id = $1 AND (
    b.id = a.id
    OR (b.decision_id <> a.decision_id AND p.municipalities && a.municipalities AND allotment_covers(a, c))
)
$$
"""


def _refuse(because: str) -> str:
    return f"RAISE EXCEPTION '{because}' USING ERRCODE = 'check_violation';"


# After the entry was counted, so that the sums have it. Whoever grants waits for whoever decides, and the other way
# round: what is looked at here still holds when it is committed. In the record's own order nothing is granted earlier
# than what was done last, and nothing at a moment that lies before this transaction, as a clock elsewhere may have it.
_GUARD = f"""
CREATE FUNCTION guard_delegated_seat() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = training, pg_temp AS $$
DECLARE
    into_pool pool;
    allotted decision_allotment;
    run course_run;
    last_at timestamptz;
BEGIN
    SELECT * INTO into_pool FROM pool WHERE id = NEW.pool_id;
    IF into_pool.kind <> 'delegated' THEN
        RETURN NULL;
    END IF;
    IF NEW.kind = 'hold' THEN
        IF NOT decision_in_force(into_pool.decision_allotment_id, NEW.at)
            AND into_pool.decision_allotment_id IS NOT NULL THEN
            {_refuse("the decision that granted this seat is not in force")}
        END IF;
        RETURN NULL;
    END IF;
    IF into_pool.decision_allotment_id IS NULL THEN
        {_refuse("no seat is delegated without a decision")}
    END IF;
    IF NEW.at < transaction_timestamp() THEN
        {_refuse("a seat is granted at the time of the database")}
    END IF;
    SELECT * INTO allotted FROM decision_allotment WHERE id = into_pool.decision_allotment_id;
    SELECT s.last_at INTO last_at FROM sub_committee s
    WHERE s.id = (SELECT sub_committee_id FROM decision WHERE id = allotted.decision_id) FOR UPDATE;
    SELECT * INTO run FROM course_run WHERE id = NEW.course_run_id;
    IF NOT decision_in_force(allotted.id, GREATEST(NEW.at, last_at)) THEN
        {_refuse("no seat is delegated without a decision in force")}
    END IF;
    IF NOT (into_pool.municipalities <@ allotted.municipalities AND allotment_covers(allotted, run)) THEN
        {_refuse("that allotment is for other municipalities or courses")}
    END IF;
    IF allotment_used(allotted.id) > allotted.seats THEN
        {_refuse("more seats than were allotted")}
    END IF;
    RETURN NULL;
END $$
"""

_TRIGGERS = """
CREATE TRIGGER complete_pool BEFORE INSERT ON pool FOR EACH ROW
    WHEN (NEW.municipality IS NOT NULL AND NEW.municipalities = '{}') EXECUTE FUNCTION complete_pool();
CREATE TRIGGER guard_delegated_seat AFTER INSERT ON seat_entry FOR EACH ROW WHEN (NEW.kind IN ('grant', 'hold'))
    EXECUTE FUNCTION guard_delegated_seat();
REVOKE ALL ON FUNCTION guard_delegated_seat(), complete_pool() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION complete_pool() TO tsunagu_training
"""

# Not back where a pool belongs to several together, or two of one municipality rest on two decisions.
_BEFORE = """
DROP TRIGGER guard_delegated_seat ON seat_entry;
DROP TRIGGER complete_pool ON pool;
DROP FUNCTION guard_delegated_seat();
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
    for function in (_COMPLETE, _COVERS, _USED, _GUARD):
        op.execute(function)
    _each(_TRIGGERS)


def downgrade() -> None:
    _each(_BEFORE)


def _each(statements: str) -> None:
    """asyncpg prepares what it is given, and can prepare one statement at a time only."""
    for statement in statements.split(";"):
        if statement.strip():
            op.execute(statement)
