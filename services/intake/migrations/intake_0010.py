"""What a consent covers, disclosures, emergencies with their reviews, and the statutory meetings' lane."""

# ruff: noqa: S608  (put together from this file's own words)

from alembic import op

revision = "intake_0010"
down_revision = "intake_0009"
branch_labels = None
depends_on = None

_TABLES = (
    """
    ALTER TABLE case_consent
        ADD COLUMN valid_from date,
        ADD COLUMN categories text[] NOT NULL DEFAULT '{}',
        ADD COLUMN witness bytea,
        ADD CONSTRAINT case_consent_period CHECK (valid_from <= valid_until)
    """,
    # The bases on which a holder may disclose. What is said in a statutory meeting is not disclosed, it stays there.
    """
    CREATE TABLE disclosure (
        id              uuid PRIMARY KEY,
        case_id         uuid NOT NULL REFERENCES case_,
        recipient       text NOT NULL CHECK (recipient <> ''),
        purpose         text NOT NULL,
        sets            text[] NOT NULL CHECK (cardinality(sets) > 0),
        basis           text NOT NULL
            CHECK (basis IN ('consent', 'appi_69_2_2', 'appi_69_2_3', 'appi_69_2_4', 'emergency')),
        consent_version integer,
        until           date NOT NULL,
        reason          text NOT NULL,
        made_by         text NOT NULL,
        at              timestamptz NOT NULL,
        CHECK ((basis = 'consent') = (consent_version IS NOT NULL)),
        FOREIGN KEY (case_id, consent_version) REFERENCES case_consent
    )
    """,
    "CREATE INDEX disclosure_case ON disclosure (case_id, id)",
    """
    CREATE TABLE disclosure_end (
        disclosure_id uuid PRIMARY KEY REFERENCES disclosure,
        ended_by      text NOT NULL,
        at            timestamptz NOT NULL
    )
    """,
    """
    CREATE TABLE emergency_access (
        id            uuid PRIMARY KEY,
        case_id       uuid NOT NULL REFERENCES case_,
        agency        text NOT NULL,
        actor         text NOT NULL,
        holder        text NOT NULL CHECK (holder <> agency),
        reason        text NOT NULL,
        words         bytea NOT NULL,
        declared_at   timestamptz NOT NULL,
        ends_at       timestamptz NOT NULL CHECK (ends_at = declared_at + interval '60 minutes'),
        review_due_on date NOT NULL
    )
    """,
    "CREATE INDEX emergency_access_case ON emergency_access (case_id, agency, declared_at)",
    "CREATE INDEX emergency_access_holder ON emergency_access (holder, id)",
    """
    CREATE TABLE emergency_review (
        emergency_id uuid PRIMARY KEY REFERENCES emergency_access,
        verdict      text NOT NULL,
        reviewed_by  text NOT NULL,
        at           timestamptz NOT NULL
    )
    """,
    """
    CREATE TABLE meeting (
        id           uuid PRIMARY KEY,
        municipality text NOT NULL CHECK (municipality ~ '^[0-9]{6}$'),
        kind         text NOT NULL CHECK (kind IN ('shien_kaigi', 'chosei_kaigi_27_3')),
        held_on      date NOT NULL,
        topic        text NOT NULL,
        convened_by  text NOT NULL,
        at           timestamptz NOT NULL
    )
    """,
    """
    CREATE TABLE meeting_member (
        meeting_id uuid NOT NULL REFERENCES meeting,
        agency     text NOT NULL,
        PRIMARY KEY (agency, meeting_id)
    )
    """,
    "CREATE INDEX meeting_member_meeting ON meeting_member (meeting_id)",
    """
    CREATE TABLE meeting_case (
        meeting_id uuid NOT NULL REFERENCES meeting,
        case_id    uuid NOT NULL REFERENCES case_,
        put_by     text NOT NULL,
        at         timestamptz NOT NULL,
        PRIMARY KEY (meeting_id, case_id)
    )
    """,
    "CREATE INDEX meeting_case_case ON meeting_case (case_id)",
    """
    CREATE TABLE meeting_note (
        id         uuid PRIMARY KEY,
        meeting_id uuid NOT NULL,
        case_id    uuid NOT NULL,
        sealed     bytea NOT NULL,
        written_by text NOT NULL,
        at         timestamptz NOT NULL,
        FOREIGN KEY (meeting_id, case_id) REFERENCES meeting_case
    )
    """,
    "CREATE INDEX meeting_note_meeting ON meeting_note (meeting_id, case_id, id)",
)
_NEW = (
    "disclosure", "disclosure_end", "emergency_access", "emergency_review", "meeting", "meeting_member",
    "meeting_case", "meeting_note",
)  # fmt: skip

_DOOR = "(SELECT acting_door()) IS NOT NULL"
_ME = "(SELECT acting_agency())"
_TODAY = "(clock_timestamp() AT TIME ZONE 'Asia/Tokyo')::date"
_BY_CONSENT = """
    SELECT FROM case_ k JOIN case_consent c ON c.case_id = k.id AND c.version = k.consent_version
    WHERE k.id = lent AND c.state = 'given' AND acting_agency() = ANY (c.recipients)
        AND (c.valid_until IS NULL OR c.valid_until >= (clock_timestamp() AT TIME ZONE 'Asia/Tokyo')::date)
"""
# What was let read on consent is gone with it, as in `tables/disclosures.py`. A meeting lends its cases to its members
# on its day, and to who convened it; an emergency to who was told of it, and judges it, though the case moved on since.
_WAYS_IN = (
    f"{_BY_CONSENT} AND (c.valid_from IS NULL OR c.valid_from <= {_TODAY})",
    f"""
    SELECT FROM disclosure d
    WHERE d.case_id = lent AND d.recipient = acting_agency() AND d.until >= {_TODAY}
        AND NOT EXISTS (SELECT FROM disclosure_end e WHERE e.disclosure_id = d.id)
        AND NOT EXISTS (SELECT FROM case_consent c WHERE d.consent_version IS NOT NULL AND c.case_id = d.case_id
            AND c.version > d.consent_version AND c.state <> 'given')
    """,
    f"""
    SELECT FROM meeting_case c JOIN meeting m ON m.id = c.meeting_id
        JOIN meeting_member a ON a.meeting_id = m.id AND a.agency = acting_agency()
    WHERE c.case_id = lent AND (m.held_on = {_TODAY} OR m.convened_by = a.agency)
    """,
    "SELECT FROM emergency_access e WHERE e.case_id = lent AND e.holder = acting_agency()",
)


def _behind_the_wall(function: str, *ways: str) -> str:
    """A function that looks through a door of its own, or policies would ask for one another in a circle."""
    found = " OR ".join(f"EXISTS ({way})" for way in ways)
    return f"""
    CREATE OR REPLACE FUNCTION {function} RETURNS boolean LANGUAGE plpgsql STABLE SECURITY DEFINER
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


_SITS_IN = _behind_the_wall(
    "sits_in(held uuid)",
    "SELECT FROM meeting m WHERE m.id = held AND m.convened_by = acting_agency()",
    "SELECT FROM meeting_member a WHERE a.meeting_id = held AND a.agency = acting_agency()",
)
_OF_CASE = f"{_DOOR} OR EXISTS (SELECT FROM case_ k WHERE k.id = case_id)"
_POLICIES = {
    "disclosure": f"{_OF_CASE} OR recipient = {_ME}",
    "disclosure_end": f"{_DOOR} OR EXISTS (SELECT FROM disclosure d WHERE d.id = disclosure_id)",
    "emergency_access": f"{_OF_CASE} OR holder = {_ME} OR agency = {_ME}",
    "emergency_review": f"{_DOOR} OR EXISTS (SELECT FROM emergency_access e WHERE e.id = emergency_id)",
    "meeting": f"{_DOOR} OR convened_by = {_ME} OR sits_in(id)",
    **dict.fromkeys(("meeting_member", "meeting_case", "meeting_note"), f"{_DOOR} OR sits_in(meeting_id)"),
}


def upgrade() -> None:
    for statement in _TABLES:
        op.execute(statement)
    # Only added to: what was disclosed, declared or said stays on record, and ends by another row.
    op.execute(f"REVOKE UPDATE, DELETE ON {', '.join(_NEW)} FROM tsunagu_intake")
    op.execute(_behind_the_wall("case_is_lent(lent uuid)", *_WAYS_IN))
    op.execute(_SITS_IN)
    op.execute("REVOKE ALL ON FUNCTION sits_in(uuid) FROM PUBLIC")
    op.execute("GRANT EXECUTE ON FUNCTION sits_in(uuid) TO tsunagu_intake")
    for table, policy in _POLICIES.items():
        op.execute(f"CREATE POLICY concerned ON {table} USING ({policy})")
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")


def downgrade() -> None:
    op.execute(_behind_the_wall("case_is_lent(lent uuid)", _BY_CONSENT))
    for table in reversed(_NEW):
        op.execute(f"DROP TABLE {table}")
    op.execute("DROP FUNCTION sits_in(uuid)")
    op.execute("ALTER TABLE case_consent DROP CONSTRAINT case_consent_period")
    for column in ("valid_from", "categories", "witness"):
        op.execute(f"ALTER TABLE case_consent DROP COLUMN {column}")
