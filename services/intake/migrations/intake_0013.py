"""Notices that a closed case has been kept long enough."""

from alembic import op

revision = "intake_0013"
down_revision = "intake_0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE retention_notice (
            case_id        uuid NOT NULL REFERENCES case_,
            custody_number integer NOT NULL,
            noticed_at     timestamptz NOT NULL,
            erase_on       date NOT NULL,
            PRIMARY KEY (case_id, custody_number)
        )
        """
    )
    op.execute("CREATE INDEX retention_notice_erase_on ON retention_notice (erase_on, case_id)")
    op.execute("CREATE INDEX custody_closed ON custody (at) WHERE step = 'closed'")
    op.execute("REVOKE UPDATE, DELETE ON retention_notice FROM tsunagu_intake")
    op.execute(
        "CREATE POLICY concerned ON retention_notice"
        " USING ((SELECT acting_door()) IS NOT NULL OR EXISTS (SELECT FROM case_ k WHERE k.id = case_id))"
    )
    op.execute("ALTER TABLE retention_notice ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")


def downgrade() -> None:
    op.execute("DROP TABLE retention_notice")
    op.execute("DROP INDEX custody_closed")
