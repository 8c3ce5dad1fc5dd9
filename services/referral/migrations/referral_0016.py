"""What is told of an unmet need has an order of its own: it may get another coordinator before it ends."""

from alembic import op

revision = "referral_0016"
down_revision = "referral_0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE need_unmet ADD COLUMN version integer NOT NULL DEFAULT 1")
    # Its end was told as the second word.
    op.execute("UPDATE need_unmet SET version = 2 WHERE state <> 'open'")


def downgrade() -> None:
    op.execute("ALTER TABLE need_unmet DROP COLUMN version")
