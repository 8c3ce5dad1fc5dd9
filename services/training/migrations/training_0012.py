"""A hold in a delegated pool is for one of its municipalities, whatever code asks for it.

Code of release 0.1.0 may still run beside this one. It takes a pool of several together, which has no one municipality,
for a pool that is open to all.
"""

from alembic import op

revision = "training_0012"
down_revision = "training_0011"
branch_labels = None
depends_on = None

_HOLD_BEFORE = """
CREATE OR REPLACE FUNCTION guard_delegated_hold() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = training, pg_temp AS $$
DECLARE
    held_in record;
BEGIN
    SELECT decision_allotment_id, cut_off_at, kept INTO held_in FROM pool WHERE id = NEW.pool_id;
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

# As what passes (503): the same request, made again, comes to this release's code, and finds another pool.
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


def upgrade() -> None:
    op.execute(_HOLD)


def downgrade() -> None:
    op.execute(_HOLD_BEFORE)
