"""Expand: two columns that nothing reads may stay empty. 0.1.0 still writes them; the next release drops them."""

from alembic import op

revision = "assessment_0002"
down_revision = "assessment_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE case_fact ALTER known_at DROP NOT NULL, ALTER closed DROP NOT NULL")


def downgrade() -> None:
    op.execute("UPDATE case_fact SET known_at = coalesce(known_at, now()), closed = coalesce(closed, false)")
    op.execute("ALTER TABLE case_fact ALTER known_at SET NOT NULL, ALTER closed SET NOT NULL")
