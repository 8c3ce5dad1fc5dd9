"""Referrals that a conference decided: kept until every fact they rest on has come, sent once, or given up."""

from alembic import op

revision = "referral_0004"
down_revision = "referral_0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE decided_referral (
            task_id         uuid PRIMARY KEY,
            case_id         uuid NOT NULL,
            owner           text NOT NULL,
            programme_id    uuid,
            course_run_id   uuid,
            consent_version integer NOT NULL,
            state           text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'sent', 'not_sent')),
            referral_id     uuid,
            reason          text,
            decided_at      timestamptz NOT NULL,
            try_at          timestamptz NOT NULL,
            CHECK ((programme_id IS NULL) <> (course_run_id IS NULL))
        )
        """
    )
    op.execute("CREATE INDEX decided_referral_case ON decided_referral (case_id) WHERE state = 'waiting'")
    op.execute("CREATE INDEX decided_referral_course ON decided_referral (course_run_id) WHERE state = 'waiting'")
    op.execute("CREATE INDEX decided_referral_try ON decided_referral (try_at) WHERE state = 'waiting'")
    op.execute("REVOKE DELETE ON decided_referral FROM tsunagu_referral")


def downgrade() -> None:
    op.execute("DROP TABLE decided_referral")
