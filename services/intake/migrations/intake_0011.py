"""The wall around orders to erase and legal holds."""

# ruff: noqa: S608  (put together from this file's own words)

from alembic import op

revision = "intake_0011"
down_revision = "intake_0010"
branch_labels = None
depends_on = None

_DOOR = "(SELECT acting_door()) IS NOT NULL"
_CONCERNED = f"""
    {_DOOR} OR EXISTS (SELECT FROM case_ k WHERE k.id = subject_id)
    OR EXISTS (SELECT FROM draft d WHERE d.id = subject_id)
"""
# In its own name, and about what concerns it.
_WRITTEN = f"{_DOOR} OR (agency = (SELECT acting_agency()) AND EXISTS (SELECT FROM case_ k WHERE k.id = subject_id))"


def upgrade() -> None:
    op.execute("CREATE INDEX draft_of_case ON draft (case_id) WHERE case_id IS NOT NULL")
    for table in ("erasure_order", "legal_hold"):
        op.execute(f"CREATE POLICY concerned ON {table} USING ({_CONCERNED}) WITH CHECK ({_WRITTEN})")
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")


def downgrade() -> None:
    op.execute("DROP INDEX draft_of_case")
    for table in ("erasure_order", "legal_hold"):
        op.execute(f"DROP POLICY IF EXISTS concerned ON {table}")
        op.execute(f"ALTER TABLE IF EXISTS {table} NO FORCE ROW LEVEL SECURITY, DISABLE ROW LEVEL SECURITY")
