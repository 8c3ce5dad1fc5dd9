"""Requests are found by their referral: the two indexes there are hold only some of them, and neither could be used."""

from alembic import op

revision = "training_0019"
down_revision = "training_0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE INDEX seat_request_by_referral ON seat_request (referral_id) WHERE referral_id IS NOT NULL")


def downgrade() -> None:
    op.execute("DROP INDEX seat_request_by_referral")
