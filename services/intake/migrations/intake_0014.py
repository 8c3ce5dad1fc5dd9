"""A search costs what its own towns hold: fingerprints lie by municipality, names without a day of birth apart."""

from alembic import op

revision = "intake_0014"
down_revision = "intake_0013"
branch_labels = None
depends_on = None

_NAMES = "('reading', 'name', 'previous_reading', 'previous_name')"


def upgrade() -> None:
    # A case's municipality never changes, so it may stand here too.
    op.execute("ALTER TABLE person_index ADD COLUMN municipality text, ADD COLUMN dayless boolean")
    op.execute(
        f"""
        UPDATE person_index i SET municipality = c.municipality, dayless = i.kind IN {_NAMES} AND NOT EXISTS (
            SELECT FROM person_index d WHERE d.case_id = i.case_id AND d.kind = 'birth_date')
        FROM case_ c WHERE c.id = i.case_id
        """  # noqa: S608  (put together from this file's own words)
    )
    op.execute("ALTER TABLE person_index ALTER COLUMN municipality SET NOT NULL, ALTER COLUMN dayless SET NOT NULL")
    op.execute("DROP INDEX person_index_fingerprint")
    op.execute(
        "CREATE INDEX person_index_fingerprint ON person_index (fingerprint, municipality, dayless, case_id)"
        " INCLUDE (kind)"
    )
    # In which towns an agency has cases: asked at every search, and answered from one town to the next.
    op.execute("CREATE INDEX case_holder_town ON case_ (holder_agency, municipality)")
    op.execute("CREATE INDEX case_opener_town ON case_ (opened_by, municipality)")


def downgrade() -> None:
    op.execute("DROP INDEX case_holder_town")
    op.execute("DROP INDEX case_opener_town")
    op.execute("DROP INDEX person_index_fingerprint")
    op.execute("ALTER TABLE person_index DROP COLUMN municipality, DROP COLUMN dayless")
    op.execute("CREATE INDEX person_index_fingerprint ON person_index (fingerprint, case_id) INCLUDE (kind)")
