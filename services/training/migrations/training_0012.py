"""The line: rules of its order, what each offer rested on and was answered, pauses, seats together, priority pools.

Of an offer is kept the line as it was decided on, so that it can be asked again. The database refuses by itself that a
rule or an offer is changed afterwards, an answer without an offer or a second one, and a seat of a priority pool for
somebody of whom nobody said that they belong to its target group.
"""

from alembic import op

revision = "training_0012"
down_revision = "training_0011"
branch_labels = None
depends_on = None

_TABLES = """
CREATE TABLE line_rule (
    id           uuid PRIMARY KEY,
    prefecture   text CHECK (prefecture ~ '^(0[1-9]|[1-3][0-9]|4[0-7])$'),
    version      integer NOT NULL CHECK (version >= 1),
    effective_on date NOT NULL,
    criteria     text[] NOT NULL CHECK (criteria <@ ARRAY['own_line', 'target_group', 'fewest_offers', 'referred']),
    decided_by   text NOT NULL,
    decision_id  uuid REFERENCES decision,
    recorded_by  text NOT NULL,
    recorded_at  timestamptz NOT NULL,
    CONSTRAINT line_rule_once UNIQUE NULLS NOT DISTINCT (prefecture, version)
);
CREATE TABLE line_round (
    id            uuid PRIMARY KEY,
    course_run_id uuid NOT NULL REFERENCES course_run,
    line_rule_id  uuid REFERENCES line_rule,
    kept          jsonb NOT NULL,
    by            text,
    cause         text,
    at            timestamptz NOT NULL
);
CREATE TABLE seat_offer (
    seat_request_id uuid NOT NULL REFERENCES seat_request,
    number          integer NOT NULL CHECK (number >= 1),
    round_id        uuid NOT NULL REFERENCES line_round,
    pool_id         uuid NOT NULL REFERENCES pool,
    expires_at      timestamptz NOT NULL,
    PRIMARY KEY (seat_request_id, number)
);
CREATE TABLE seat_offer_answer (
    seat_request_id uuid NOT NULL,
    number          integer NOT NULL,
    answer          text NOT NULL CHECK (answer IN ('accepted', 'kept_waiting', 'left', 'lapsed')),
    reason          text,
    by              text,
    at              timestamptz NOT NULL,
    PRIMARY KEY (seat_request_id, number),
    FOREIGN KEY (seat_request_id, number) REFERENCES seat_offer,
    CHECK (answer <> 'kept_waiting' OR reason IS NOT NULL)
);
CREATE TABLE target_group_claim (
    seat_request_id uuid NOT NULL REFERENCES seat_request,
    target_group    text NOT NULL,
    basis           text NOT NULL,
    by              text NOT NULL,
    at              timestamptz NOT NULL,
    PRIMARY KEY (seat_request_id, target_group)
);
ALTER TABLE course_run ADD COLUMN hold_days integer CHECK (hold_days BETWEEN 1 AND 60),
    ADD COLUMN offer_days integer NOT NULL DEFAULT 3 CHECK (offer_days BETWEEN 1 AND 20),
    ADD COLUMN line_due_at timestamptz, ADD COLUMN priority_opens_at timestamptz;
ALTER TABLE seat_request ADD COLUMN line_since timestamptz, ADD COLUMN paused_until timestamptz,
    ADD COLUMN together_id uuid, ADD COLUMN offered boolean NOT NULL DEFAULT false,
    ADD COLUMN offers integer NOT NULL DEFAULT 0 CHECK (offers >= 0),
    ADD COLUMN target_groups text[] NOT NULL DEFAULT '{}';
ALTER TABLE pool ADD COLUMN target_groups text[] NOT NULL DEFAULT '{}', ADD COLUMN opens_at timestamptz,
    DROP CONSTRAINT pool_kind_check,
    ADD CONSTRAINT pool_kind_check CHECK (kind IN ('general', 'delegated', 'priority')),
    ADD CONSTRAINT pool_is_for_target_groups CHECK (
        (kind = 'priority') = (cardinality(target_groups) > 0) AND (kind = 'priority') = (opens_at IS NOT NULL)
    ),
    DROP CONSTRAINT pool_once,
    ADD CONSTRAINT pool_once UNIQUE NULLS NOT DISTINCT
        (course_run_id, kind, municipalities, decision_allotment_id, target_groups);
CREATE INDEX course_run_line_due ON course_run (line_due_at) WHERE line_due_at IS NOT NULL;
CREATE INDEX seat_request_paused ON seat_request (course_run_id, paused_until)
    WHERE paused_until IS NOT NULL AND state = 'waiting';
CREATE INDEX line_round_of_course ON line_round (course_run_id, id);
CREATE INDEX seat_offer_of_round ON seat_offer (round_id)
"""

# An offer that runs out, is given back or is nominated by code of before is answered all the same: by what it came to.
_HOLD = """
CREATE FUNCTION guard_priority_hold() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = training, pg_temp AS $$
BEGIN
    IF EXISTS (
        SELECT FROM pool p WHERE p.id = NEW.pool_id AND p.kind = 'priority' AND p.opens_at > NEW.at
        AND NOT EXISTS (
            SELECT FROM seat_request r WHERE r.id = NEW.seat_request_id AND r.target_groups && p.target_groups
        )
    ) THEN
        RAISE EXCEPTION 'this seat is for a target group' USING ERRCODE = 'serialization_failure';
    END IF;
    RETURN NULL;
END $$
"""

_RIGHTS = """
CREATE TRIGGER guard_priority_hold AFTER INSERT ON seat_entry FOR EACH ROW WHEN (NEW.kind = 'hold')
    EXECUTE FUNCTION guard_priority_hold();
REVOKE ALL ON FUNCTION guard_priority_hold() FROM PUBLIC;
REVOKE UPDATE, DELETE ON line_rule, line_round, seat_offer, seat_offer_answer, target_group_claim
    FROM tsunagu_training;
GRANT INSERT (hold_days, offer_days, priority_opens_at),
    UPDATE (hold_days, offer_days, priority_opens_at, line_due_at) ON course_run TO tsunagu_training;
GRANT UPDATE (line_no, line_since, paused_until, together_id, offered, offers) ON seat_request TO tsunagu_training;
GRANT INSERT (target_groups, opens_at), UPDATE (opens_at) ON pool TO tsunagu_training
"""

_BEFORE = """
DROP TRIGGER guard_priority_hold ON seat_entry;
DROP FUNCTION guard_priority_hold();
DROP INDEX course_run_line_due;
DROP INDEX seat_request_paused;
ALTER TABLE pool DROP CONSTRAINT pool_once, DROP CONSTRAINT pool_is_for_target_groups, DROP CONSTRAINT pool_kind_check,
    DROP COLUMN target_groups, DROP COLUMN opens_at,
    ADD CONSTRAINT pool_kind_check CHECK (kind IN ('general', 'delegated')),
    ADD CONSTRAINT pool_once UNIQUE NULLS NOT DISTINCT (course_run_id, kind, municipalities, decision_allotment_id);
ALTER TABLE seat_request DROP COLUMN line_since, DROP COLUMN paused_until, DROP COLUMN together_id,
    DROP COLUMN offered, DROP COLUMN offers, DROP COLUMN target_groups;
ALTER TABLE course_run DROP COLUMN hold_days, DROP COLUMN offer_days, DROP COLUMN line_due_at,
    DROP COLUMN priority_opens_at;
DROP TABLE target_group_claim, seat_offer_answer, seat_offer, line_round, line_rule
"""


def upgrade() -> None:
    _each(_TABLES)
    op.execute(_HOLD)
    _each(_RIGHTS)


def downgrade() -> None:
    _each(_BEFORE)


def _each(statements: str) -> None:
    """asyncpg prepares what it is given, and can prepare one statement at a time only."""
    for statement in statements.split(";"):
        op.execute(statement)
