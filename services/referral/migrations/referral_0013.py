"""A month's map keeps what its municipalities share, so that it is judged by what each reader may see."""

from alembic import op

revision = "referral_0013"
down_revision = "referral_0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Months of before don't have it, and what is kept is never rewritten: to others they say less.
    op.execute("ALTER TABLE map_snapshot ADD COLUMN shared jsonb")


def downgrade() -> None:
    op.execute("ALTER TABLE map_snapshot DROP COLUMN shared")
