"""What ends before its case does: words that may be emptied, inquiries that may go, by the clock and by nobody else."""

# ruff: noqa: S608  (put together from this file's own words)

from alembic import op

revision = "intake_0016"
down_revision = "intake_0015"
branch_labels = None
depends_on = None

_WORDS = {"meeting_note": "sealed", "emergency_access": "words"}
_BY_THE_CLOCK = "(SELECT acting_door()) = 'sweep'"


def upgrade() -> None:
    for table, column in _WORDS.items():
        op.execute(f"ALTER TABLE {table} ALTER {column} DROP NOT NULL")
        op.execute(f"GRANT UPDATE ({column}) ON {table} TO tsunagu_intake")
        # Emptied, and never written anew.
        op.execute(
            f"CREATE POLICY ends ON {table} AS RESTRICTIVE FOR UPDATE"
            f" USING ({_BY_THE_CLOCK}) WITH CHECK ({_BY_THE_CLOCK} AND {column} IS NULL)"
        )
    op.execute("GRANT DELETE ON inquiry, inquiry_answer TO tsunagu_intake")
    for table in ("inquiry", "inquiry_answer"):
        op.execute(f"CREATE POLICY ends ON {table} AS RESTRICTIVE FOR DELETE USING ({_BY_THE_CLOCK})")
    op.execute("CREATE INDEX emergency_access_kept ON emergency_access (declared_at) WHERE words IS NOT NULL")
    op.execute("CREATE INDEX meeting_note_kept ON meeting_note (meeting_id) WHERE sealed IS NOT NULL")
    op.execute("CREATE INDEX inquiry_at ON inquiry (at)")


def downgrade() -> None:
    op.execute("DROP INDEX emergency_access_kept, meeting_note_kept, inquiry_at")
    op.execute("REVOKE DELETE ON inquiry, inquiry_answer FROM tsunagu_intake")
    for table in ("inquiry", "inquiry_answer"):
        op.execute(f"DROP POLICY ends ON {table}")
    for table, column in _WORDS.items():
        op.execute(f"DROP POLICY ends ON {table}")
        op.execute(f"REVOKE UPDATE ({column}) ON {table} FROM tsunagu_intake")
        op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
        # Words that went don't come back: bytes that nobody can open stand in their place.
        op.execute(f"UPDATE {table} SET {column} = '' WHERE {column} IS NULL")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY, ALTER {column} SET NOT NULL")
