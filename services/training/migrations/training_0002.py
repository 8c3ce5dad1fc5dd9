"""What intake told of cases: whose municipality's they are, and the newest word about consent."""

from alembic import op

revision = "training_0002"
down_revision = "training_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Its opening and its consent may be heard in either order, so every fact may still be missing.
    op.execute(
        """
        CREATE TABLE case_fact (
            case_id             uuid PRIMARY KEY,
            municipality        text CHECK (municipality ~ '^[0-9]{6}$'),
            consent_state       text CHECK (consent_state IN ('given', 'not_yet', 'refused', 'withdrawn')),
            consent_version     integer,
            consent_purposes    text[] NOT NULL DEFAULT '{}',
            consent_recipients  text[] NOT NULL DEFAULT '{}',
            consent_valid_until date,
            CHECK ((consent_state IS NULL) = (consent_version IS NULL))
        )
        """
    )
    op.execute("REVOKE DELETE ON case_fact FROM tsunagu_training")


def downgrade() -> None:
    op.execute("DROP TABLE case_fact")
