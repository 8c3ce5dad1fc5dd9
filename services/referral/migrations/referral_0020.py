"""What training tells: how new the last word about a paper is, and which seats a referral has left for another."""

from alembic import op

revision = "referral_0020"
down_revision = "referral_0019"
branch_labels = None
depends_on = None

_ABOUT = "ALTER TABLE training_word ADD CONSTRAINT training_word_about_check CHECK (about IN ({}))"
_BEFORE = "'end', 'at_end', 'one_month', 'three_months'"


def upgrade() -> None:
    op.execute("ALTER TABLE training_word DROP CONSTRAINT training_word_about_check")
    op.execute(_ABOUT.format(f"{_BEFORE}, 'paper'"))
    op.execute(
        """
        CREATE TABLE left_seat (
            referral_id     uuid NOT NULL REFERENCES referral,
            seat_request_id uuid NOT NULL,
            PRIMARY KEY (referral_id, seat_request_id)
        )
        """
    )


def downgrade() -> None:
    op.execute("DROP TABLE left_seat")
    op.execute("DELETE FROM training_word WHERE about = 'paper'")
    op.execute("ALTER TABLE training_word DROP CONSTRAINT training_word_about_check")
    op.execute(_ABOUT.format(_BEFORE))
