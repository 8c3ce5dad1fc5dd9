"""What new routing rules would have made of past cases stays with the version."""

from alembic import op

revision = "referral_0012"
down_revision = "referral_0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Versions of before say nothing of it, and a version never changes.
    op.execute("ALTER TABLE routing_rule ADD COLUMN tried jsonb")


def downgrade() -> None:
    op.execute("ALTER TABLE routing_rule DROP COLUMN tried")
