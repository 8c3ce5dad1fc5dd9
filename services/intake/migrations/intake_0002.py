"""What is known about the person: sealed field by field, every version kept. The next step moves there too."""

from alembic import op

revision = "intake_0002"
down_revision = "intake_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE case_ ADD COLUMN sheet_version integer NOT NULL DEFAULT 0 CHECK (sheet_version >= 0)")
    # What was written before lies here in the clear until the sweep has sealed it; nothing new is written.
    op.execute("ALTER TABLE case_ ALTER COLUMN next_step DROP NOT NULL")
    op.execute("CREATE INDEX case_unsealed_next_step ON case_ (id) WHERE next_step IS NOT NULL")
    op.execute(
        """
        CREATE TABLE personal_value (
            case_id    uuid NOT NULL REFERENCES case_,
            field      text NOT NULL,
            version    integer NOT NULL CHECK (version >= 1),
            sealed     bytea,
            written_by text NOT NULL,
            at         timestamptz NOT NULL,
            PRIMARY KEY (case_id, field, version)
        )
        """
    )
    op.execute("REVOKE UPDATE, DELETE ON personal_value FROM tsunagu_intake")


def downgrade() -> None:
    op.execute("DROP TABLE personal_value")
    op.execute("ALTER TABLE case_ DROP COLUMN sheet_version")
    op.execute("DROP INDEX case_unsealed_next_step")
    op.execute("UPDATE case_ SET next_step = '次の対応を決める' WHERE next_step IS NULL")
    op.execute("ALTER TABLE case_ ALTER COLUMN next_step SET NOT NULL")
