"""The second wall: row-level security on every table that concerns a person, for the owner too (FORCE).

Who acts is told at the begin of each transaction (`shared.database.Acting`); where nobody was told, nobody sees a row.
A later table of a case gets `ENABLE`, `FORCE` and the policy of its neighbours; a later way in, besides holding,
having opened and serving the municipality, gets a line in `case_is_lent`. The start refuses a table without a wall.
"""

from alembic import op

revision = "intake_0008"
down_revision = "intake_0007"
branch_labels = None
depends_on = None

_FUNCTIONS = (
    """
    CREATE FUNCTION acting_agency() RETURNS text LANGUAGE sql STABLE
    RETURN nullif(current_setting('tsunagu.agency', true), '')
    """,
    """
    CREATE FUNCTION acting_municipalities() RETURNS text[] LANGUAGE sql STABLE
    RETURN string_to_array(current_setting('tsunagu.municipalities', true), ',')
    """,
    """
    CREATE FUNCTION acting_door() RETURNS text LANGUAGE sql STABLE
    RETURN nullif(current_setting('tsunagu.door', true), '')
    """,
    # It looks through a door of its own, or the policy of case_ would ask for that of case_consent, and so on in a
    # circle. (Only a superuser could say so with the function's SET.) The day is Japan's: a consent ends with a day.
    """
    CREATE FUNCTION case_is_lent(lent uuid) RETURNS boolean LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = intake, pg_temp AS $$
    DECLARE
        told CONSTANT text := coalesce(current_setting('tsunagu.door', true), '');
        is_lent boolean;
    BEGIN
        PERFORM set_config('tsunagu.door', 'wall', true);
        is_lent := EXISTS (
            SELECT FROM case_ k JOIN case_consent c ON c.case_id = k.id AND c.version = k.consent_version
            WHERE k.id = lent AND c.state = 'given' AND acting_agency() = ANY (c.recipients)
                AND (c.valid_until IS NULL OR c.valid_until >= (clock_timestamp() AT TIME ZONE 'Asia/Tokyo')::date)
        );
        PERFORM set_config('tsunagu.door', told, true);
        RETURN is_lent;
    END $$
    """,
    "REVOKE ALL ON FUNCTION case_is_lent(uuid) FROM PUBLIC",
    "GRANT EXECUTE ON FUNCTION case_is_lent(uuid) TO tsunagu_intake",
)

# Each asked once per statement, not once per row.
_DOOR = "(SELECT acting_door()) IS NOT NULL"
_ME = "(SELECT acting_agency())"
_SERVED = "ANY ((SELECT acting_municipalities())::text[])"

_ITS_AGENCY = f"holder_agency = {_ME} OR opened_by = {_ME}"
_ITS_MUNICIPALITY = f"municipality = {_SERVED} OR 'prefecture:' || left(municipality, 2) = {_SERVED}"
_CONCERNED = f"{_DOOR} OR {_ITS_AGENCY} OR {_ITS_MUNICIPALITY} OR case_is_lent(id)"
# A case may be opened in any municipality: nobody is turned away.
_OPENING = f"{_DOOR} OR (opened_by = {_ME} AND holder_agency = {_ME})"
_OWN = f"{_DOOR} OR agency = {_ME}"


def _of_case(column: str) -> str:
    """There where its case is, by that table's own policy."""
    return f"{_DOOR} OR EXISTS (SELECT FROM case_ k WHERE k.id = {column})"


_SUBJECT = " OR ".join(
    (
        _of_case("subject_id"),
        "EXISTS (SELECT FROM draft d WHERE d.id = subject_id)",
        "EXISTS (SELECT FROM import_file f WHERE f.id = subject_id)",
    )
)

_POLICIES = {
    **dict.fromkeys(
        ("case_consent", "screening", "timeline", "custody", "personal_value", "support_record"),
        (_of_case("case_id"), None),
    ),
    **dict.fromkeys(("draft", "custody_proof", "import_file", "listed_case"), (_OWN, None)),
    "erasure": (_SUBJECT, None),
    # The key comes before the draft or file that is sealed with it.
    "data_key": (_SUBJECT, f"{_DOOR} OR {_ME} IS NOT NULL"),
    # Nobody writes into the log in another's name.
    "access_log": (f"{_OWN} OR {_of_case('subject_id')}", _OWN),
}


def upgrade() -> None:
    for statement in _FUNCTIONS:
        op.execute(statement)
    op.execute(f"CREATE POLICY concerned ON case_ FOR SELECT USING ({_CONCERNED})")
    op.execute(f"CREATE POLICY changed ON case_ FOR UPDATE USING ({_CONCERNED})")
    op.execute(f"CREATE POLICY opened ON case_ FOR INSERT WITH CHECK ({_OPENING})")
    for table, (seen, written) in _POLICIES.items():
        check = "" if written is None else f" WITH CHECK ({written})"
        op.execute(f"CREATE POLICY concerned ON {table} USING ({seen}){check}")
    for table in ("case_", *_POLICIES):
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")


def downgrade() -> None:
    op.execute("DROP POLICY opened ON case_")
    op.execute("DROP POLICY changed ON case_")
    for table in ("case_", *_POLICIES):
        op.execute(f"DROP POLICY concerned ON {table}")
        op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY, DISABLE ROW LEVEL SECURITY")
    for function in ("case_is_lent(uuid)", "acting_door()", "acting_municipalities()", "acting_agency()"):
        op.execute(f"DROP FUNCTION {function}")
