"""The same person at two doors: keyed fingerprints, a ledger of links, and questions to other municipalities' desks."""

from alembic import op

revision = "intake_0009"
down_revision = "intake_0008"
branch_labels = None
depends_on = None

_TABLES = (
    """
    CREATE TABLE person_index (
        case_id     uuid NOT NULL REFERENCES case_,
        kind        text NOT NULL,
        fingerprint bytea NOT NULL CHECK (length(fingerprint) = 16),
        PRIMARY KEY (case_id, kind)
    )
    """,
    # With the kind, so that a search reads nothing but this index until it knows whom to show.
    "CREATE INDEX person_index_fingerprint ON person_index (fingerprint, case_id) INCLUDE (kind)",
    """
    CREATE TABLE person_indexed (
        case_id       uuid PRIMARY KEY REFERENCES case_,
        index_version integer NOT NULL CHECK (index_version >= 0)
    )
    """,
    "CREATE INDEX person_indexed_version ON person_indexed (index_version)",
    # By no key yet: the sweep makes the fingerprints of what was written before.
    "INSERT INTO person_indexed (case_id, index_version) SELECT id, 0 FROM case_",
    # An entry follows on the one before it, and odd ones link: two can't link, or unlink, at once.
    """
    CREATE TABLE person_link (
        case_a uuid NOT NULL REFERENCES case_,
        case_b uuid NOT NULL REFERENCES case_,
        number integer NOT NULL CHECK (number >= 1),
        before integer GENERATED ALWAYS AS (NULLIF(number - 1, 0)) STORED,
        step   text NOT NULL CHECK (step IN ('linked', 'unlinked')),
        reason text NOT NULL,
        by     text NOT NULL,
        at     timestamptz NOT NULL,
        PRIMARY KEY (case_a, case_b, number),
        FOREIGN KEY (case_a, case_b, before) REFERENCES person_link,
        CONSTRAINT person_link_of_two CHECK (case_a < case_b),
        CONSTRAINT person_link_alternates CHECK ((step = 'linked') = (number % 2 = 1))
    )
    """,
    "CREATE INDEX person_link_b ON person_link (case_b, case_a)",
    """
    CREATE TABLE inquiry (
        id              uuid PRIMARY KEY,
        case_id         uuid NOT NULL REFERENCES case_,
        municipality    text NOT NULL CHECK (municipality ~ '^[0-9]{6}$'),
        consent_version integer NOT NULL,
        asked_by        text NOT NULL,
        at              timestamptz NOT NULL,
        UNIQUE (case_id, municipality, consent_version)
    )
    """,
    "CREATE INDEX inquiry_municipality ON inquiry (municipality, id)",
    """
    CREATE TABLE inquiry_answer (
        inquiry_id  uuid NOT NULL REFERENCES inquiry,
        answered_by text NOT NULL,
        answer      text NOT NULL CHECK (answer IN ('known', 'not_known', 'will_get_in_touch')),
        case_id     uuid REFERENCES case_,
        at          timestamptz NOT NULL,
        PRIMARY KEY (inquiry_id, answered_by),
        CHECK ((answer = 'known') = (case_id IS NOT NULL))
    )
    """,
    "REVOKE UPDATE, DELETE ON person_link, inquiry, inquiry_answer FROM tsunagu_intake",
)

_DOOR = "(SELECT acting_door()) IS NOT NULL"
_ME = "(SELECT acting_agency())"
_SERVED = "ANY ((SELECT acting_municipalities())::text[])"


def _case(column: str) -> str:
    return f"EXISTS (SELECT FROM case_ k WHERE k.id = {column})"


_ASKED = f"(municipality = {_SERVED} OR 'prefecture:' || left(municipality, 2) = {_SERVED})"
_POLICIES = {
    # Found by its equal and by nothing else: a fingerprint shows nothing until its case does.
    "person_index": (f"{_DOOR} OR {_ME} IS NOT NULL", f"{_DOOR} OR {_case('case_id')}"),
    "person_indexed": (f"{_DOOR} OR {_ME} IS NOT NULL", f"{_DOOR} OR {_case('case_id')}"),
    "person_link": (f"{_DOOR} OR {_case('case_a')} OR {_case('case_b')}", None),
    "inquiry": (f"{_DOOR} OR {_case('case_id')} OR {_ASKED}", f"{_DOOR} OR {_case('case_id')}"),
    "inquiry_answer": (
        f"{_DOOR} OR answered_by = {_ME} OR EXISTS (SELECT FROM inquiry q WHERE q.id = inquiry_id)",
        f"{_DOOR} OR answered_by = {_ME}",
    ),
}


def upgrade() -> None:
    for statement in _TABLES:
        op.execute(statement)
    for table, (seen, written) in _POLICIES.items():
        check = "" if written is None else f" WITH CHECK ({written})"
        op.execute(f"CREATE POLICY concerned ON {table} USING ({seen}){check}")
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")


def downgrade() -> None:
    op.execute("DROP TABLE inquiry_answer, inquiry, person_link, person_indexed, person_index")
