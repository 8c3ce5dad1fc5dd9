"""Instruments, rules and professions as data; evidence, sealed; tasks; and the second wall around what is a person's.

The wall is that of intake (decision 0029): row-level security with FORCE, and where nobody said who acts, no row.
"""

import json
import tomllib
from datetime import date
from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "assessment_0004"
down_revision = "assessment_0003"
branch_labels = None
depends_on = None

# What this release brings along. The files are named for their versions, and never change.
_SHIPPED = Path(__file__).parent.parent / "instruments"
_INSTRUMENTS = ("fdp-sample-1", "career-formation-sample-1", "life-domains-sample-1")

_TABLES = (
    """
    CREATE TABLE instrument_version (
        version        text PRIMARY KEY,
        instrument     text NOT NULL,
        content        jsonb NOT NULL,
        published_by   text NOT NULL,
        published_at   timestamptz NOT NULL,
        effective_from date NOT NULL
    )
    """,
    "CREATE INDEX instrument_version_name ON instrument_version (instrument, effective_from, published_at)",
    """
    CREATE TABLE rule_version (
        version               integer PRIMARY KEY,
        effective_from        date NOT NULL,
        low                   smallint NOT NULL CHECK (low BETWEEN 1 AND 4),
        conference_within     smallint NOT NULL CHECK (conference_within > 0),
        reassess_flagged      smallint NOT NULL CHECK (reassess_flagged > 0),
        reassess_undetermined smallint NOT NULL CHECK (reassess_undetermined > 0),
        reassess_clear        smallint NOT NULL CHECK (reassess_clear > 0),
        decided_by            text NOT NULL,
        decided_on            date NOT NULL,
        published_by          text NOT NULL,
        published_at          timestamptz NOT NULL
    )
    """,
    """
    CREATE TABLE profession (
        code       text PRIMARY KEY,
        english    text NOT NULL,
        japanese   text NOT NULL,
        in_use     boolean NOT NULL DEFAULT true,
        version    integer NOT NULL DEFAULT 1,
        changed_by text NOT NULL,
        changed_at timestamptz NOT NULL
    )
    """,
    # `version`: what is told about a case is told in its order.
    """
    ALTER TABLE case_fact
        ADD COLUMN version integer NOT NULL DEFAULT 0,
        ADD COLUMN consent_categories text[] NOT NULL DEFAULT '{}',
        ADD COLUMN opened_at timestamptz
    """,
    "UPDATE case_fact SET version = assessments",
    """
    CREATE TABLE task (
        id            uuid PRIMARY KEY,
        case_id       uuid NOT NULL REFERENCES case_fact,
        kind          text NOT NULL,
        state         text NOT NULL
            CHECK (state IN ('planned', 'open', 'arrived', 'came_back', 'done', 'dropped')),
        owner         text NOT NULL CHECK (owner <> ''),
        due_on        date NOT NULL,
        tier          smallint NOT NULL DEFAULT 0 CHECK (tier BETWEEN 0 AND 2),
        lane          text NOT NULL DEFAULT 'consent' CHECK (lane IN ('consent', 'shien_kaigi_art9')),
        origin        text NOT NULL CHECK (origin IN ('rule', 'conference', 'plan')),
        origin_id     uuid NOT NULL,
        programme_id  uuid,
        course_run_id uuid,
        referral_id   uuid,
        reason        text,
        words         bytea,
        version       integer NOT NULL DEFAULT 1,
        created_at    timestamptz NOT NULL,
        CHECK ((kind = 'referral') = (programme_id IS NOT NULL)),
        CHECK ((kind = 'seat') = (course_run_id IS NOT NULL))
    )
    """,
    # A case has one such duty at a time, also when two rate it at once.
    """
    CREATE UNIQUE INDEX task_duty ON task (case_id, kind)
        WHERE origin = 'rule' AND state IN ('open', 'arrived', 'came_back')
    """,
    "CREATE INDEX task_owner ON task (owner, due_on, id) WHERE state IN ('open', 'arrived', 'came_back')",
    "CREATE INDEX task_due ON task (due_on, tier) WHERE state IN ('open', 'arrived', 'came_back')",
    "CREATE INDEX task_case ON task (case_id, id)",
    "CREATE INDEX task_origin ON task (origin_id)",
    "CREATE INDEX task_referral ON task (referral_id) WHERE referral_id IS NOT NULL",
    """
    CREATE TABLE task_step (
        task_id uuid NOT NULL REFERENCES task,
        number  integer NOT NULL CHECK (number >= 1),
        name    text NOT NULL,
        state   text NOT NULL,
        owner   text NOT NULL,
        due_on  date NOT NULL,
        reason  text,
        by      text NOT NULL,
        at      timestamptz NOT NULL,
        PRIMARY KEY (task_id, number)
    )
    """,
)

# What was flagged before there were versions was flagged by the first.
_RATINGS = (
    """
    ALTER TABLE assessment
        ADD COLUMN instrument text NOT NULL DEFAULT 'fdp',
        ADD COLUMN levels jsonb,
        ADD COLUMN not_observed text[] NOT NULL DEFAULT '{}',
        ADD COLUMN professions text[] NOT NULL DEFAULT '{}',
        ADD COLUMN rule_version integer DEFAULT 1 REFERENCES rule_version,
        ADD COLUMN joint_id uuid UNIQUE,
        ADD CONSTRAINT assessment_levels CHECK ((instrument = 'fdp') = (levels IS NULL)),
        ALTER prolongation_risk DROP NOT NULL,
        ADD CONSTRAINT assessment_flag CHECK ((instrument = 'fdp') = (prolongation_risk IS NOT NULL)),
        ADD CONSTRAINT assessment_rule CHECK ((instrument = 'fdp') = (rule_version IS NOT NULL))
    """,
    "CREATE INDEX assessment_rated ON assessment (case_id, instrument, rated_at, number)",
    """
    CREATE TABLE evidence (
        assessment_id uuid NOT NULL REFERENCES assessment,
        item          text NOT NULL,
        sealed        bytea NOT NULL,
        PRIMARY KEY (assessment_id, item)
    )
    """,
)

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
)
# Who has, or had, something to do, or rated it, sees whose case it is. It looks through a door of its own, or the
# policies of a case and of a task would ask for one another in a circle. A later way in is a line here.
_IS_LENT = """
    CREATE OR REPLACE FUNCTION case_is_lent(lent uuid) RETURNS boolean LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = assessment, pg_temp AS $$
    DECLARE
        told CONSTANT text := coalesce(current_setting('tsunagu.door', true), '');
        found boolean;
    BEGIN
        PERFORM set_config('tsunagu.door', 'wall', true);
        found := EXISTS (SELECT FROM task t WHERE t.case_id = lent AND t.owner = acting_agency())
            OR EXISTS (SELECT FROM assessment a WHERE a.case_id = lent AND a.rated_by = acting_agency());
        PERFORM set_config('tsunagu.door', told, true);
        RETURN found;
    END $$
    """
_DOOR = "(SELECT acting_door()) IS NOT NULL"
_ME = "(SELECT acting_agency())"
_SERVED = "ANY ((SELECT acting_municipalities())::text[])"
_CASE = (
    f"{_DOOR} OR coalesce(holder, opened_by) = {_ME} OR opened_by = {_ME}"
    f" OR municipality = {_SERVED} OR 'prefecture:' || left(municipality, 2) = {_SERVED}"
    f" OR (consent_state = 'given' AND {_ME} = ANY (consent_recipients)) OR case_is_lent(case_id)"
)


def _of_case(column: str) -> str:
    """Named with its table where `case_fact` has such a column too: a bare one would be compared with itself."""
    return f"{_DOOR} OR EXISTS (SELECT FROM case_fact k WHERE k.case_id = {column})"


_OWN = f"{_DOOR} OR agency = {_ME}"
_POLICIES = {
    "case_fact": (_CASE, None),
    "assessment": (_of_case("assessment.case_id"), None),
    "evidence": (f"{_DOOR} OR EXISTS (SELECT FROM assessment a WHERE a.id = assessment_id)", None),
    # Who has something to do sees that, also when the case has moved on.
    "task": (f"{_of_case('task.case_id')} OR owner = {_ME}", None),
    "task_step": (f"{_DOOR} OR EXISTS (SELECT FROM task t WHERE t.id = task_id)", None),
    # The frame's tables. Nobody writes into the log in another's name.
    **dict.fromkeys(("data_key", "erasure", "erasure_order", "legal_hold"), (_of_case("subject_id"), None)),
    "access_log": (f"{_OWN} OR {_of_case('subject_id')}", _OWN),
    "import_file": (_OWN, None),
}


def upgrade() -> None:
    for statement in _TABLES:
        op.execute(statement)
    _bring_along()
    for statement in (*_RATINGS, *_FUNCTIONS, _IS_LENT):
        op.execute(statement)
    op.execute("REVOKE ALL ON FUNCTION case_is_lent(uuid) FROM PUBLIC")
    op.execute("GRANT EXECUTE ON FUNCTION case_is_lent(uuid) TO tsunagu_assessment")
    op.execute("REVOKE UPDATE, DELETE ON instrument_version, rule_version, evidence, task_step FROM tsunagu_assessment")
    op.execute("REVOKE DELETE ON task, profession FROM tsunagu_assessment")
    for table, (seen, written) in _POLICIES.items():
        check = "" if written is None else f" WITH CHECK ({written})"
        op.execute(f"CREATE POLICY concerned ON {table} USING ({seen}){check}")
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")


def _bring_along() -> None:
    connection, long_ago = op.get_bind(), date(2000, 1, 1)
    for name in _INSTRUMENTS:
        content = tomllib.loads((_SHIPPED / f"{name}.toml").read_text(encoding="utf-8"))
        connection.execute(
            sa.text(
                "INSERT INTO instrument_version VALUES (:version, :name, CAST(:content AS jsonb), 'tsunagu',"
                " clock_timestamp(), :long_ago)"
            ),
            {
                "version": name,
                "name": content["name"],
                "content": json.dumps(content, ensure_ascii=False),
                "long_ago": long_ago,
            },
        )
    connection.execute(
        sa.text(
            "INSERT INTO rule_version VALUES (1, :long_ago, 2, 10, 90, 30, 180, 'tsunagu', :long_ago, 'tsunagu',"
            " clock_timestamp())"
        ),
        {"long_ago": long_ago},
    )
    for each in tomllib.loads((_SHIPPED / "professions.toml").read_text(encoding="utf-8"))["professions"]:
        connection.execute(
            sa.text(
                "INSERT INTO profession (code, english, japanese, changed_by, changed_at)"
                " VALUES (:code, :english, :japanese, 'tsunagu', clock_timestamp())"
            ),
            each,
        )


def downgrade() -> None:
    for table in _POLICIES:
        op.execute(f"DROP POLICY concerned ON {table}")
        op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY, DISABLE ROW LEVEL SECURITY")
    for table in ("task_step", "task", "evidence", "profession"):
        op.execute(f"DROP TABLE {table}")
    op.execute("DELETE FROM assessment WHERE instrument <> 'fdp'")
    op.execute("DROP INDEX assessment_rated")
    for column in ("joint_id", "rule_version", "professions", "not_observed", "levels", "instrument"):
        op.execute(f"ALTER TABLE assessment DROP COLUMN {column} CASCADE")
    op.execute("ALTER TABLE assessment ALTER prolongation_risk SET NOT NULL")
    op.execute("ALTER TABLE case_fact DROP COLUMN version, DROP COLUMN consent_categories, DROP COLUMN opened_at")
    for table in ("rule_version", "instrument_version"):
        op.execute(f"DROP TABLE {table}")
    for function in ("case_is_lent(uuid)", "acting_door()", "acting_municipalities()", "acting_agency()"):
        op.execute(f"DROP FUNCTION {function}")
