"""The requests of a course run in one step, as the yearly report reads them, however many years there are."""

from alembic import op

revision = "training_0011"
down_revision = "training_0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE INDEX seat_request_of_course ON seat_request (course_run_id, id)")


def downgrade() -> None:
    op.execute("DROP INDEX seat_request_of_course")
