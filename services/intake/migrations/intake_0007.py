"""Lists of other agencies: which of their numbers became which case, so that a list sent twice opens none twice."""

from alembic import op

revision = "intake_0007"
down_revision = "intake_0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Keyed fingerprints: another agency's number may lead to a person, and what its line said certainly does.
    op.execute(
        """
        CREATE TABLE listed_case (
            agency  text NOT NULL,
            number  bytea NOT NULL,
            line    bytea NOT NULL,
            case_id uuid NOT NULL REFERENCES case_,
            PRIMARY KEY (agency, number)
        )
        """
    )
    op.execute("CREATE INDEX listed_case_case ON listed_case (case_id)")
    op.execute("REVOKE UPDATE ON listed_case FROM tsunagu_intake")


def downgrade() -> None:
    op.execute("DROP TABLE listed_case")
