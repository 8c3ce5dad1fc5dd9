"""Drafts: half-typed sheets, each sealed with a key of its own."""

from alembic import op

revision = "intake_0004"
down_revision = "intake_0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE draft (
            id           uuid PRIMARY KEY,
            agency       text NOT NULL,
            begun_by     text NOT NULL,
            saved_by     text NOT NULL,
            sealed       bytea NOT NULL,
            fields       text[] NOT NULL,
            version      integer NOT NULL DEFAULT 1,
            begun_at     timestamptz NOT NULL,
            saved_at     timestamptz NOT NULL,
            discarded_at timestamptz,
            case_id      uuid REFERENCES case_,
            CHECK (discarded_at IS NULL OR case_id IS NULL)
        )
        """
    )
    op.execute("CREATE INDEX draft_of_agency ON draft (agency, id)")
    op.execute("CREATE INDEX draft_ended ON draft (saved_at) WHERE discarded_at IS NOT NULL OR case_id IS NOT NULL")


def downgrade() -> None:
    op.execute("DROP TABLE draft")
