"""To whom a hand-off was made, and who held the case then."""

from alembic import op

revision = "intake_0015"
down_revision = "intake_0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE screening ADD COLUMN receiver text, ADD COLUMN holder text")


def downgrade() -> None:
    op.execute("ALTER TABLE screening DROP COLUMN receiver, DROP COLUMN holder")
