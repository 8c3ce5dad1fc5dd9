"""A referral follows the person to another course run: what it named before, and on which seat and consent it rests."""

from alembic import op

revision = "referral_0021"
down_revision = "referral_0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "ALTER TABLE referral ADD COLUMN seat_since timestamptz, ADD COLUMN seat_course_run_id uuid,"
        " ADD COLUMN consent_version integer NOT NULL DEFAULT 0 CHECK (consent_version >= 0)"
    )
    op.execute(
        "CREATE INDEX referral_school_unknown_idx ON referral (seat_course_run_id)"
        " WHERE seat_course_run_id <> course_run_id"
    )
    op.execute(
        """
        CREATE TABLE course_change (
            referral_id       uuid NOT NULL,
            version           integer NOT NULL,
            receiver_before   text NOT NULL,
            course_run_before uuid NOT NULL,
            PRIMARY KEY (referral_id, version),
            FOREIGN KEY (referral_id, version) REFERENCES referral_step
        )
        """
    )


def downgrade() -> None:
    op.execute("DROP TABLE course_change")
    op.execute(
        "ALTER TABLE referral DROP COLUMN seat_since, DROP COLUMN seat_course_run_id, DROP COLUMN consent_version"
    )
