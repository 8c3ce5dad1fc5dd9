"""Cut-off (枠の戻る日) of delegated pools: from when on what nobody holds goes back, what stayed, and who was warned.

The moment stands beside the pool, so that neither a request nor the clock has to look for it. The database refuses by
itself a cut-off before its time or of another number, a hold in a pool that is still to be cut off, and a grant after.
"""

from alembic import op

revision = "training_0010"
down_revision = "training_0009"
branch_labels = None
depends_on = None

# The decided day belongs to those who keep it.
_MOMENT = """
CREATE FUNCTION cut_off_of(cut_off_on date) RETURNS timestamptz LANGUAGE sql IMMUTABLE
RETURN (cut_off_on + 1)::timestamp AT TIME ZONE 'Asia/Tokyo'
"""
_TABLES = """
ALTER TABLE pool ADD COLUMN cut_off_at timestamptz, ADD COLUMN kept integer CHECK (kept >= 0);
UPDATE pool p SET cut_off_at = cut_off_of(a.cut_off_on) FROM decision_allotment a WHERE a.id = p.decision_allotment_id;
ALTER TABLE pool ADD CONSTRAINT pool_has_a_cut_off CHECK ((cut_off_at IS NULL) = (decision_allotment_id IS NULL));
CREATE INDEX pool_to_be_cut_off ON pool (cut_off_at) WHERE kept IS NULL AND cut_off_at IS NOT NULL;
CREATE TABLE pool_cut_off (
    pool_id        uuid PRIMARY KEY REFERENCES pool,
    free           integer NOT NULL CHECK (free >= 0),
    kept           integer NOT NULL CHECK (kept BETWEEN 0 AND free),
    -- The ledger's last entry before: what went back since are the pool's returns after it.
    entries_before bigint NOT NULL,
    at             timestamptz NOT NULL
);
CREATE TABLE pool_cut_off_warning (
    pool_id      uuid PRIMARY KEY REFERENCES pool,
    free         integer NOT NULL,
    would_return integer NOT NULL CHECK (would_return BETWEEN 1 AND free),
    at           timestamptz NOT NULL
)
"""

_SET = """
CREATE FUNCTION set_cut_off() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = training, pg_temp AS $$
BEGIN
    SELECT cut_off_of(cut_off_on) INTO NEW.cut_off_at FROM decision_allotment WHERE id = NEW.decision_allotment_id;
    RETURN NEW;
END $$
"""

# As services/training/domain/cut_off.py has it.
_CUT_OFF = """
CREATE FUNCTION cut_off_pool() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = training, pg_temp AS $$
DECLARE
    cut record;
BEGIN
    SELECT p.course_run_id, p.cut_off_at, p.granted - p.held - p.filled AS free, a.returns_percent INTO cut
    FROM pool p JOIN decision_allotment a ON a.id = p.decision_allotment_id WHERE p.id = NEW.pool_id FOR UPDATE OF p;
    IF cut.cut_off_at IS NULL OR NEW.at < cut.cut_off_at THEN
        RAISE EXCEPTION 'the cut-off of that pool has not come' USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.free <> cut.free OR NEW.kept <> cut.free - ceil(cut.free * cut.returns_percent / 100.0) THEN
        RAISE EXCEPTION 'another part of that pool goes back' USING ERRCODE = 'check_violation';
    END IF;
    NEW.entries_before := coalesce((SELECT max(id) FROM seat_entry WHERE course_run_id = cut.course_run_id), 0);
    UPDATE pool SET kept = NEW.kept WHERE id = NEW.pool_id;
    RETURN NEW;
END $$
"""

_GRANT = """
CREATE FUNCTION guard_grant_after_cut_off() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = training, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM pool WHERE id = NEW.pool_id AND (kept IS NOT NULL OR cut_off_at <= NEW.at)) THEN
        RAISE EXCEPTION 'no seat is delegated after the cut-off' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$
"""

_HOLD_BEFORE = """
CREATE OR REPLACE FUNCTION guard_delegated_hold() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
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

_HOLD = """
CREATE OR REPLACE FUNCTION guard_delegated_hold() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = training, pg_temp AS $$
DECLARE
    held_in record;
BEGIN
    SELECT kind, municipalities, decision_allotment_id, cut_off_at, kept INTO held_in FROM pool WHERE id = NEW.pool_id;
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
    IF held_in.kept IS NULL AND held_in.cut_off_at <= NEW.at THEN
        RAISE EXCEPTION 'the cut-off of this seat has passed' USING ERRCODE = 'serialization_failure';
    END IF;
    RETURN NULL;
END $$
"""

_TRIGGERS = """
CREATE TRIGGER set_cut_off BEFORE INSERT ON pool FOR EACH ROW
    WHEN (NEW.decision_allotment_id IS NOT NULL) EXECUTE FUNCTION set_cut_off();
CREATE TRIGGER cut_off_pool BEFORE INSERT ON pool_cut_off FOR EACH ROW EXECUTE FUNCTION cut_off_pool();
CREATE TRIGGER guard_grant_after_cut_off AFTER INSERT ON seat_entry FOR EACH ROW WHEN (NEW.kind = 'grant')
    EXECUTE FUNCTION guard_grant_after_cut_off();
REVOKE ALL ON FUNCTION set_cut_off(), cut_off_pool(), guard_grant_after_cut_off() FROM PUBLIC;
REVOKE UPDATE, DELETE ON pool_cut_off, pool_cut_off_warning FROM tsunagu_training
"""

_BEFORE = """
DROP TRIGGER guard_grant_after_cut_off ON seat_entry;
DROP TRIGGER set_cut_off ON pool;
DROP TABLE pool_cut_off_warning, pool_cut_off;
DROP FUNCTION guard_grant_after_cut_off();
DROP FUNCTION cut_off_pool();
DROP FUNCTION set_cut_off();
DROP INDEX pool_to_be_cut_off;
ALTER TABLE pool DROP CONSTRAINT pool_has_a_cut_off, DROP COLUMN cut_off_at, DROP COLUMN kept;
DROP FUNCTION cut_off_of(date)
"""


def upgrade() -> None:
    op.execute(_MOMENT)
    _each(_TABLES)
    for function in (_SET, _CUT_OFF, _GRANT, _HOLD):
        op.execute(function)
    _each(_TRIGGERS)


def downgrade() -> None:
    op.execute(_HOLD_BEFORE)
    _each(_BEFORE)


def _each(statements: str) -> None:
    """asyncpg prepares what it is given, and can prepare one statement at a time only."""
    for statement in statements.split(";\n"):
        op.execute(statement)
