"""What the coordinator has taken over at work says so: by who answers for it alone it could not be told."""

from alembic import op

revision = "referral_0014"
down_revision = "referral_0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # 0.1.0 takes nothing over, and writes it beside us as not taken over.
    op.execute("ALTER TABLE referral ADD COLUMN taken_over boolean NOT NULL DEFAULT false")


def downgrade() -> None:
    op.execute("ALTER TABLE referral DROP COLUMN taken_over")
