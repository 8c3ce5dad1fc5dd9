"""A lower capacity takes lent seats too, and then only as many; that a course run begins with few stands on record.

Until now a lent seat could leave its pool to the lender alone, so a course run whose last seats were lent could not
become smaller: the change was refused as a fault.
"""

# ruff: noqa: S608  (put together from this file's own words)

from alembic import op

revision = "training_0017"
down_revision = "training_0016"
branch_labels = None
depends_on = None


def _guard(lent_seats_stay: str) -> str:
    """As `training_0013_guards` made it, with when a lent seat may not leave otherwise than to who lent it."""
    return f"""
CREATE OR REPLACE FUNCTION guard_moved_pool() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = training, pg_temp AS $$
DECLARE
    moved pool;
BEGIN
    SELECT * INTO moved FROM pool WHERE id = NEW.pool_id;
    IF moved.agreement_id IS NOT NULL{lent_seats_stay} THEN
        RAISE EXCEPTION 'lent seats come from who lends them, and go back there' USING ERRCODE = 'check_violation';
    END IF;
    IF moved.onward_step IS NOT NULL AND NEW.kind = 'grant' THEN
        RAISE EXCEPTION 'these seats come at a cut-off only' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$
"""


# What leaves lent pools by a command leaves the course run by the same one. The command's entries are all there: this
# is looked at after the statement that made them.
_NOT_WITH_THE_CAPACITY = """ AND (
        NEW.kind = 'grant' OR (
            SELECT coalesce(sum(e.seats) FILTER (WHERE e.kind = 'close'), 0)
                < coalesce(sum(e.seats) FILTER (WHERE e.kind = 'return' AND p.agreement_id IS NOT NULL), 0)
            FROM seat_entry e LEFT JOIN pool p ON p.id = e.pool_id
            WHERE e.command = NEW.command AND e.course_run_id = NEW.course_run_id
        )
    )"""


_CONFIRMATION = """
CREATE TABLE course_confirmation (
    course_run_id uuid PRIMARY KEY REFERENCES course_run,
    applicants    integer NOT NULL,
    min_enrolment integer NOT NULL,
    agency        text NOT NULL,
    at            timestamptz NOT NULL
);
REVOKE UPDATE, DELETE ON course_confirmation FROM tsunagu_training
"""
# As services/training/domain/late_changes.py has it (`NOBODYS_CHOICE`).
_KEPT_WORD = """
CREATE FUNCTION guard_confirmed_run() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = training, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM course_confirmation WHERE course_run_id = NEW.course_run_id) THEN
        RAISE EXCEPTION 'it was decided that this course run begins' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$
"""
_TRIGGER = """
CREATE TRIGGER guard_confirmed_run BEFORE INSERT ON course_change FOR EACH ROW
    WHEN (NEW.kind = 'cancelled' AND NEW.reason NOT IN ('disaster', 'facilities', 'instructor'))
    EXECUTE FUNCTION guard_confirmed_run();
REVOKE ALL ON FUNCTION guard_confirmed_run() FROM PUBLIC
"""


def upgrade() -> None:
    op.execute(_guard(_NOT_WITH_THE_CAPACITY))
    _each(_CONFIRMATION)
    op.execute(_KEPT_WORD)
    _each(_TRIGGER)


def downgrade() -> None:
    op.execute("DROP TRIGGER guard_confirmed_run ON course_change")
    op.execute("DROP FUNCTION guard_confirmed_run()")
    op.execute("DROP TABLE course_confirmation")
    op.execute(_guard(""))


def _each(statements: str) -> None:
    """asyncpg prepares what it is given, and can prepare one statement at a time only."""
    for statement in statements.split(";\n"):
        op.execute(statement)
