"""Doors: why a case is urgent, its most serious topic, and when somebody last worked on career formation."""

from alembic import op

revision = "intake_0005"
down_revision = "intake_0004"
branch_labels = None
depends_on = None

_COLUMNS = ("urgency", "most_serious", "career_touched_at", "career_reported_at")


def upgrade() -> None:
    op.execute(
        """
        ALTER TABLE case_
            ADD COLUMN urgency text[] NOT NULL DEFAULT '{}'
                CHECK (urgency <@ ARRAY['nothing_to_eat', 'violence', 'danger_to_life']),
            ADD COLUMN most_serious text CHECK (most_serious IS NULL OR most_serious = ANY (topics)),
            ADD COLUMN career_touched_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            ADD COLUMN career_reported_at timestamptz
        """
    )
    op.execute("UPDATE case_ SET career_touched_at = opened_at")
    op.execute(
        """
        UPDATE case_ SET urgency = array_remove(ARRAY[
            CASE WHEN 'nothing_to_eat' = ANY (topics) THEN 'nothing_to_eat' END,
            CASE WHEN 'violence' = ANY (topics) THEN 'violence' END], NULL)
        WHERE topics && ARRAY['violence', 'nothing_to_eat']
        """
    )
    op.execute("CREATE INDEX case_career_touched ON case_ (career_touched_at) WHERE status = 'open'")
    op.execute("CREATE INDEX case_pressing ON case_ (id) WHERE urgent AND status = 'open'")
    op.execute(f"GRANT UPDATE ({', '.join(_COLUMNS)}) ON case_ TO tsunagu_intake")


def downgrade() -> None:
    for column in _COLUMNS:
        op.execute(f"ALTER TABLE case_ DROP COLUMN {column}")
