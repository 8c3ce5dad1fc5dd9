"""Whose word the word about room is, and the word about trial places: an agency's own stands against files."""

from alembic import op

revision = "referral_0010"
down_revision = "referral_0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE programme ADD COLUMN capacity_said_by text")
    op.execute("ALTER TABLE host_workplace ADD COLUMN steps_said_by text, ADD COLUMN steps_said_on date")
    # Who wrote the version in which the word became what it is.
    op.execute(
        """
        UPDATE programme SET capacity_said_by = told.by
        FROM (
            SELECT DISTINCT ON (entry_id) entry_id, by
            FROM (
                SELECT entry_id, version, by, word, lag(word) OVER (PARTITION BY entry_id ORDER BY version) AS before
                FROM (
                    SELECT entry_id, version, by, jsonb_build_array(entry -> 'capacity_state',
                        entry -> 'capacity_total', entry -> 'capacity_free', entry -> 'capacity_confirmed_on') AS word
                    FROM directory_version WHERE kind = 'programme'
                ) AS words
            ) AS changes
            WHERE word IS DISTINCT FROM before
            ORDER BY entry_id, version DESC
        ) AS told
        WHERE programme.id::text = told.entry_id
        """
    )
    op.execute("UPDATE host_workplace SET steps_said_on = confirmed_on")


def downgrade() -> None:
    op.execute("ALTER TABLE host_workplace DROP COLUMN steps_said_on, DROP COLUMN steps_said_by")
    op.execute("ALTER TABLE programme DROP COLUMN capacity_said_by")
