"""利用停止: what is known about a person is kept, and not used."""

from alembic import op

revision = "intake_0012"
down_revision = "intake_0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE case_ ADD COLUMN use_stopped boolean NOT NULL DEFAULT false")
    op.execute("GRANT UPDATE (use_stopped) ON case_ TO tsunagu_intake")


def downgrade() -> None:
    op.execute("ALTER TABLE case_ DROP COLUMN use_stopped")
