"""A month's map keeps how many different cases stand behind counts of records: by them is judged what is small."""

from alembic import op

revision = "referral_0015"
down_revision = "referral_0014"
branch_labels = None
depends_on = None

_COLUMNS = ("waiting_cases", "unmet_cases", "turned_away_cases")


def upgrade() -> None:
    # Months of before don't have them, and what is kept is never rewritten: to others they say less.
    for column in _COLUMNS:
        op.execute(f"ALTER TABLE map_snapshot_cell ADD COLUMN {column} integer")


def downgrade() -> None:
    for column in _COLUMNS:
        op.execute(f"ALTER TABLE map_snapshot_cell DROP COLUMN {column}")
