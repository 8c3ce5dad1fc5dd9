"""The records of a request that several changes affected, one after the other, in one step."""

from alembic import op

revision = "training_0022"
down_revision = "training_0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE INDEX affected_of_request ON affected (seat_request_id, id)")


def downgrade() -> None:
    op.execute("DROP INDEX affected_of_request")
