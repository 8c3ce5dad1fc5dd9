"""Expand: what nothing reads may stay empty. 0.1.0 still writes these three; the next release drops them."""

from alembic import op

revision = "referral_0002"
down_revision = "referral_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE course_option ALTER prefecture DROP NOT NULL, ALTER capacity DROP NOT NULL")
    op.execute("ALTER TABLE course_pool ALTER kind DROP NOT NULL")


def downgrade() -> None:
    op.execute(
        "UPDATE course_option SET prefecture = coalesce(prefecture, left(site_municipality, 2)),"
        " capacity = coalesce(capacity, 0)"
    )
    op.execute("ALTER TABLE course_option ALTER prefecture SET NOT NULL, ALTER capacity SET NOT NULL")
    op.execute(
        "UPDATE course_pool SET kind ="
        " coalesce(kind, CASE WHEN municipality IS NULL THEN 'general' ELSE 'delegated' END)"
    )
    op.execute("ALTER TABLE course_pool ALTER kind SET NOT NULL")
