"""The second book knows what a coordinator has taken over at work, also where it had sent that itself."""

from alembic import op

revision = "intake_0019"
down_revision = "intake_0018"
branch_labels = None
depends_on = None

# What was taken over and is open still was taken over at work; where it stands now is in its last entry.
_TAKEN_OVER = """
    UPDATE referral_custody r SET taken_over = true
    WHERE r.ended IS NULL
        AND NOT EXISTS (SELECT FROM referral_custody l WHERE l.referral_id = r.referral_id AND l.number > r.number)
        AND EXISTS (
            SELECT FROM timeline t WHERE t.case_id = r.case_id AND t.kind = 'referral_taken_over'
                AND t.codes->>'referral_id' = r.referral_id::text
        )
"""


def upgrade() -> None:
    op.execute("ALTER TABLE referral_custody ADD COLUMN taken_over boolean NOT NULL DEFAULT false")
    op.execute(_TAKEN_OVER)


def downgrade() -> None:
    op.execute("ALTER TABLE referral_custody DROP COLUMN taken_over")
