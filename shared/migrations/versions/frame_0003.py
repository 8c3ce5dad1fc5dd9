"""Erasing in two steps: an order that is committed, then the end; and legal holds, under which nothing is erased."""

from alembic import op

revision = "frame_0003"
down_revision = "frame_0002"
branch_labels = None
depends_on = None

_TABLES = (
    """
    CREATE TABLE erasure_order (
        subject_id uuid PRIMARY KEY,
        ordered_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        agency     text NOT NULL CHECK (agency <> ''),
        actor      text NOT NULL CHECK (actor <> ''),
        reason     text NOT NULL CHECK (reason <> '')
    )
    """,
    """
    CREATE TABLE legal_hold (
        subject_id uuid NOT NULL,
        number     integer NOT NULL CHECK (number >= 1),
        step       text NOT NULL CHECK (step = CASE number % 2 WHEN 1 THEN 'placed' ELSE 'lifted' END),
        reason     text NOT NULL CHECK (reason <> ''),
        agency     text NOT NULL CHECK (agency <> ''),
        actor      text NOT NULL CHECK (actor <> ''),
        at         timestamptz NOT NULL,
        PRIMARY KEY (subject_id, number)
    )
    """,
    # What was erased before there were orders was ordered, too.
    """
    INSERT INTO erasure_order (subject_id, ordered_at, agency, actor, reason)
    SELECT subject_id, erased_at, erased_by, 'upgrade', reason FROM erasure
    """,
    "CREATE INDEX erasure_order_at ON erasure_order (ordered_at)",
)


def upgrade() -> None:
    for statement in _TABLES:
        op.execute(statement)
    schema = op.get_bind().exec_driver_sql("SELECT current_schema()").scalar_one()
    op.execute(f"REVOKE UPDATE, DELETE ON erasure_order, legal_hold FROM tsunagu_{schema}")


def downgrade() -> None:
    op.execute("DROP TABLE legal_hold, erasure_order")
