"""What was accepted here and intake has yet to hear of, in order: by it is read what intake says meanwhile."""

from alembic import op

revision = "referral_0017"
down_revision = "referral_0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Of what was accepted before, nobody knows what intake has heard: its word is taken as it comes, as it was.
    op.execute("ALTER TABLE case_fact ADD COLUMN accepted_ahead uuid[] NOT NULL DEFAULT '{}'")


def downgrade() -> None:
    op.execute("ALTER TABLE case_fact DROP COLUMN accepted_ahead")
