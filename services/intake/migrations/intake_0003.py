"""Custody: a ledger of who held a case when, that alone moves a case's holder; anchors, endings, and daily proofs."""

from alembic import op

revision = "intake_0003"
down_revision = "intake_0002"
branch_labels = None
depends_on = None

_TABLES = (
    """
    ALTER TABLE case_
        ADD COLUMN anchor text CHECK (length(anchor) BETWEEN 1 AND 60),
        ADD COLUMN hand_off_open boolean NOT NULL DEFAULT false,
        ADD COLUMN ended text,
        ADD COLUMN custody_number integer NOT NULL DEFAULT 0
    """,
    """
    CREATE TABLE custody (
        case_id uuid NOT NULL REFERENCES case_,
        number  integer NOT NULL CHECK (number >= 1),
        step    text NOT NULL CHECK (step IN ('opened', 'handed_over', 'closed', 'reopened')),
        holder  text NOT NULL,
        ended   text,
        by      text NOT NULL,
        at      timestamptz NOT NULL,
        PRIMARY KEY (case_id, number),
        CHECK ((step = 'opened') = (number = 1)),
        CONSTRAINT custody_ends_with_a_reason CHECK ((step = 'closed') = (ended IS NOT NULL))
    )
    """,
    "CREATE INDEX custody_holder ON custody (holder, case_id)",
    """
    CREATE TABLE custody_proof (
        agency   text NOT NULL,
        day      date NOT NULL,
        document jsonb NOT NULL,
        made_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (agency, day)
    )
    """,
    # Whoever opened a case held it first; whoever holds it now was handed it.
    """
    INSERT INTO custody (case_id, number, step, holder, by, at)
    SELECT id, 1, 'opened', opened_by, opened_by, opened_at FROM case_
    """,
    """
    INSERT INTO custody (case_id, number, step, holder, by, at)
    SELECT id, 2, 'handed_over', holder_agency, holder_agency, clock_timestamp() FROM case_
    WHERE holder_agency <> opened_by
    """,
    "UPDATE case_ SET custody_number = CASE WHEN holder_agency = opened_by THEN 1 ELSE 2 END",
)

# Runs as the schema's owner: the login role may add to the ledger, and only thereby moves a case.
_MOVE = """
CREATE FUNCTION move_custody() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = intake, pg_temp AS $$
BEGIN
    UPDATE case_
    SET holder_agency = NEW.holder, custody_number = NEW.number, ended = NEW.ended,
        status = CASE NEW.step WHEN 'closed' THEN 'closed' ELSE 'open' END,
        anchor = CASE WHEN holder_agency = NEW.holder THEN anchor END,
        hand_off_open = hand_off_open AND NEW.step NOT IN ('closed', 'handed_over')
    WHERE id = NEW.case_id AND custody_number = NEW.number - 1
        AND (NEW.step = 'opened' OR (status = 'open') = (NEW.step IN ('handed_over', 'closed')))
        AND (NEW.step <> 'closed' OR holder_agency = NEW.holder);
    IF NOT FOUND THEN
        RAISE EXCEPTION 'this step does not follow on how the case is held' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$
"""

_RIGHTS = (
    "REVOKE ALL ON FUNCTION move_custody() FROM PUBLIC",
    "REVOKE UPDATE, DELETE ON custody, custody_proof FROM tsunagu_intake",
    "REVOKE UPDATE ON case_ FROM tsunagu_intake",
    """
    GRANT UPDATE (topics, needs, urgent, next_step, next_step_on, consent_state, consent_version, screening_outcome,
        version, sheet_version, anchor, hand_off_open) ON case_ TO tsunagu_intake
    """,
)


def upgrade() -> None:
    for statement in (*_TABLES, _MOVE):
        op.execute(statement)
    op.execute("CREATE TRIGGER move_custody AFTER INSERT ON custody FOR EACH ROW EXECUTE FUNCTION move_custody()")
    for statement in _RIGHTS:
        op.execute(statement)


def downgrade() -> None:
    op.execute("GRANT UPDATE ON case_ TO tsunagu_intake")
    op.execute("DROP TABLE custody_proof, custody")
    op.execute("DROP FUNCTION move_custody()")
    for column in ("anchor", "hand_off_open", "ended", "custody_number"):
        op.execute(f"ALTER TABLE case_ DROP COLUMN {column}")
