"""From which day on a consent holds."""

from alembic import op

revision = "training_0003"
down_revision = "training_0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE case_fact ADD COLUMN consent_valid_from date")


def downgrade() -> None:
    op.execute("ALTER TABLE case_fact DROP COLUMN consent_valid_from")
