"""Tasks that training brings: a step at a host workplace was completed, and somebody looks at the next one."""

from alembic import op

revision = "assessment_0009"
down_revision = "assessment_0008"
branch_labels = None
depends_on = None

_ORIGIN = """
ALTER TABLE task DROP CONSTRAINT task_origin_check,
    ADD CONSTRAINT task_origin_check CHECK (origin IN ('rule', 'conference', 'plan'{more}))
"""


def upgrade() -> None:
    op.execute(_ORIGIN.format(more=", 'training'"))


def downgrade() -> None:
    op.execute("DELETE FROM task_step WHERE task_id IN (SELECT id FROM task WHERE origin = 'training')")
    op.execute("DELETE FROM task WHERE origin = 'training'")
    op.execute(_ORIGIN.format(more=""))
