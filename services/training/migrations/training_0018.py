"""What a file said of a course run's pools: it is known again by that when the same file comes once more."""

from alembic import op

revision = "training_0018"
down_revision = "training_0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Empty for what was offered before: such a row is taken at its word, as it was until now.
    op.execute("ALTER TABLE course_run ADD COLUMN shared_as text")
    op.execute("GRANT INSERT (shared_as), UPDATE (shared_as) ON course_run TO tsunagu_training")


def downgrade() -> None:
    op.execute("ALTER TABLE course_run DROP COLUMN shared_as")
