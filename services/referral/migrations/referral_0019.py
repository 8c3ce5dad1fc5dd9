"""What training tells: words about the end and the set days, outcomes that are corrected, pools of several towns."""

from alembic import op

revision = "referral_0019"
down_revision = "referral_0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE training_word (
            referral_id uuid NOT NULL REFERENCES referral,
            about       text NOT NULL CHECK (about IN ('end', 'at_end', 'one_month', 'three_months')),
            outcome     text,
            sequence    bigint NOT NULL,
            PRIMARY KEY (referral_id, about)
        )
        """
    )
    op.execute("ALTER TABLE referral_outcome ADD COLUMN corrects integer[] NOT NULL DEFAULT '{}'")
    op.execute("ALTER TABLE course_pool ADD COLUMN municipalities text[] NOT NULL DEFAULT '{}'")


def downgrade() -> None:
    # The release before counts no pool of several towns: as one without a town it would be everybody's.
    op.execute("DELETE FROM course_pool WHERE municipality IS NULL AND municipalities <> '{}'")
    op.execute("ALTER TABLE course_pool DROP COLUMN municipalities")
    op.execute("ALTER TABLE referral_outcome DROP COLUMN corrects")
    op.execute("DROP TABLE training_word")
