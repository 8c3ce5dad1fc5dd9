"""Who holds a case, whether it is closed or erased, and what the person agreed to, as intake told it."""

from alembic import op

revision = "assessment_0003"
down_revision = "assessment_0002"
branch_labels = None
depends_on = None

_COLUMNS = {
    # Nobody else, as long as it never moved: who opened it.
    "holder": "text",
    "custody_version": "bigint",
    "closed_at": "timestamptz",
    "erased_at": "timestamptz",
    "consent_state": "text CHECK (consent_state IN ('given', 'not_yet', 'refused', 'withdrawn'))",
    "consent_version": "integer",
    "consent_purposes": "text[] NOT NULL DEFAULT '{}'",
    "consent_recipients": "text[] NOT NULL DEFAULT '{}'",
    "consent_valid_until": "date",
    "consent_valid_from": "date",
}


def upgrade() -> None:
    op.execute(f"ALTER TABLE case_fact {', '.join(f'ADD COLUMN {name} {kind}' for name, kind in _COLUMNS.items())}")


def downgrade() -> None:
    op.execute(f"ALTER TABLE case_fact {', '.join(f'DROP COLUMN {name}' for name in _COLUMNS)}")
