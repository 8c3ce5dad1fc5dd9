"""To whom a hand-off was made; how consent was given and who wrote it down; and what it ended by being taken back."""

# ruff: noqa: S608  (put together from this file's own words)

from alembic import op

revision = "intake_0015"
down_revision = "intake_0014"
branch_labels = None
depends_on = None

_COLUMNS = (
    "ALTER TABLE screening ADD COLUMN receiver text, ADD COLUMN holder text",
    "ALTER TABLE case_consent ADD COLUMN form text CHECK (form IN ('written', 'oral'))",
    "ALTER TABLE case_ ADD COLUMN consent_by text",
    "GRANT UPDATE (consent_by) ON case_ TO tsunagu_intake",
    """
    UPDATE case_ k SET consent_by = c.recorded_by FROM case_consent c
    WHERE c.case_id = k.id AND c.version = k.consent_version
    """,
)
_TODAY = "(clock_timestamp() AT TIME ZONE 'Asia/Tokyo')::date"
_STANDS = f"""
    c.state = 'given' AND (c.valid_from IS NULL OR c.valid_from <= {_TODAY})
        AND (c.valid_until IS NULL OR c.valid_until >= {_TODAY})
"""
_CONSENT = "SELECT FROM case_ k JOIN case_consent c ON c.case_id = k.id AND c.version = k.consent_version"
_DISCLOSED = f"""
    SELECT FROM disclosure d
    WHERE d.case_id = lent AND d.recipient = acting_agency() AND d.until >= {_TODAY}
        AND NOT EXISTS (SELECT FROM disclosure_end e WHERE e.disclosure_id = d.id)
"""
_NAMED = f"{_CONSENT} WHERE k.id = lent AND acting_agency() = ANY (c.recipients) AND {_STANDS}"
_OTHER_WAYS = (
    f"""
    SELECT FROM meeting_case c JOIN meeting m ON m.id = c.meeting_id
        JOIN meeting_member a ON a.meeting_id = m.id AND a.agency = acting_agency()
    WHERE c.case_id = lent AND (m.held_on = {_TODAY} OR m.convened_by = a.agency)
    """,
    "SELECT FROM emergency_access e WHERE e.case_id = lent AND e.holder = acting_agency()",
)
# An end is now written whenever consent takes something back. What runs out ends nothing, and lends nothing either.
_LENT = f"{_DISCLOSED} AND (d.consent_version IS NULL OR EXISTS ({_CONSENT} WHERE k.id = lent AND {_STANDS}))"
_LENT_BEFORE = f"""
    {_DISCLOSED} AND NOT EXISTS (SELECT FROM case_consent c WHERE d.consent_version IS NOT NULL
        AND c.case_id = d.case_id AND c.version > d.consent_version AND c.state <> 'given')
"""
_ENDED_BY_NOW = """
    INSERT INTO disclosure_end (disclosure_id, ended_by, at)
    SELECT DISTINCT ON (d.id) d.id, c.recorded_by, c.at FROM disclosure d
        JOIN case_consent c ON c.case_id = d.case_id AND c.version > d.consent_version
    WHERE c.state <> 'given' OR NOT (c.recipients = '{}' OR d.recipient = ANY (c.recipients))
        OR NOT (c.purposes = '{}' OR d.purpose = ANY (c.purposes))
        OR NOT (c.categories = '{}' OR d.sets && c.categories)
    ORDER BY d.id, c.version
    ON CONFLICT DO NOTHING
"""


def _case_is_lent(disclosed: str) -> str:
    """The function of `intake_0010`, which looks through a door of its own; with the way of a disclosure as told."""
    found = " OR ".join(f"EXISTS ({way})" for way in (_NAMED, disclosed, *_OTHER_WAYS))
    return f"""
    CREATE OR REPLACE FUNCTION case_is_lent(lent uuid) RETURNS boolean LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = intake, pg_temp AS $$
    DECLARE
        told CONSTANT text := coalesce(current_setting('tsunagu.door', true), '');
        found boolean;
    BEGIN
        PERFORM set_config('tsunagu.door', 'wall', true);
        found := {found};
        PERFORM set_config('tsunagu.door', told, true);
        RETURN found;
    END $$
    """


def upgrade() -> None:
    for statement in _COLUMNS:
        op.execute(statement)
    op.execute(_ENDED_BY_NOW)
    op.execute(_case_is_lent(_LENT))


def downgrade() -> None:
    op.execute(_case_is_lent(_LENT_BEFORE))
    for column in ("screening.receiver", "screening.holder", "case_consent.form", "case_.consent_by"):
        table, name = column.split(".")
        op.execute(f"ALTER TABLE {table} DROP COLUMN {name}")
