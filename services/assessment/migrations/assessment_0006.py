"""Joint case conferences: members, agenda, problem map, minutes; and a wall that keeps Art. 9 among its members."""

from alembic import op

revision = "assessment_0006"
down_revision = "assessment_0005"
branch_labels = None
depends_on = None

_TABLES = (
    """
    CREATE TABLE conference (
        id        uuid PRIMARY KEY,
        case_id   uuid NOT NULL REFERENCES case_fact,
        lane      text NOT NULL CHECK (lane IN ('consent', 'shien_kaigi_art9')),
        chair     text NOT NULL CHECK (chair <> ''),
        state     text NOT NULL CHECK (state IN ('called', 'in_session', 'concluded', 'cancelled')),
        held_on   date NOT NULL,
        begins_at text CHECK (begins_at ~ '^[0-2][0-9]:[0-5][0-9]$'),
        task_id   uuid REFERENCES task,
        reason    text,
        version   integer NOT NULL DEFAULT 1,
        called_at timestamptz NOT NULL,
        CHECK (task_id IS NULL OR lane = 'consent')
    )
    """,
    "CREATE INDEX conference_case ON conference (case_id, id)",
    "CREATE INDEX conference_chair ON conference (chair, held_on, id) WHERE state IN ('called', 'in_session')",
    # A duty is met by one conference at a time.
    "CREATE UNIQUE INDEX conference_duty ON conference (task_id) WHERE task_id IS NOT NULL AND state <> 'cancelled'",
    """
    CREATE TABLE conference_member (
        conference_id uuid NOT NULL REFERENCES conference,
        agency        text NOT NULL CHECK (agency <> ''),
        profession    text NOT NULL REFERENCES profession,
        answer        text NOT NULL DEFAULT 'asked' CHECK (answer IN ('asked', 'coming', 'not_coming')),
        present       boolean,
        PRIMARY KEY (conference_id, agency, profession)
    )
    """,
    "CREATE INDEX conference_member_agency ON conference_member (agency, conference_id)",
    """
    CREATE TABLE conference_step (
        conference_id uuid NOT NULL REFERENCES conference,
        number        integer NOT NULL CHECK (number >= 1),
        name          text NOT NULL,
        state         text NOT NULL,
        held_on       date NOT NULL,
        reason        text,
        by            text NOT NULL,
        at            timestamptz NOT NULL,
        PRIMARY KEY (conference_id, number)
    )
    """,
    """
    CREATE TABLE agenda_item (
        id            uuid PRIMARY KEY,
        conference_id uuid NOT NULL REFERENCES conference,
        words         bytea NOT NULL,
        written_by    text NOT NULL,
        at            timestamptz NOT NULL
    )
    """,
    "CREATE INDEX agenda_item_conference ON agenda_item (conference_id, id)",
    """
    CREATE TABLE mapped_problem (
        id            uuid PRIMARY KEY,
        conference_id uuid NOT NULL REFERENCES conference,
        need          text NOT NULL,
        covered_by    text[] NOT NULL,
        could         text[] NOT NULL,
        words         bytea,
        written_by    text NOT NULL,
        at            timestamptz NOT NULL
    )
    """,
    "CREATE INDEX mapped_problem_conference ON mapped_problem (conference_id, id)",
    """
    CREATE TABLE conference_minutes (
        id            uuid PRIMARY KEY,
        conference_id uuid NOT NULL REFERENCES conference,
        words         bytea NOT NULL,
        written_by    text NOT NULL,
        at            timestamptz NOT NULL
    )
    """,
    "CREATE INDEX conference_minutes_conference ON conference_minutes (conference_id, id)",
)
_ADDED_TO = ("conference_step", "agenda_item", "mapped_problem", "conference_minutes")

_HAS_TASK = "SELECT FROM task t WHERE t.case_id = lent AND t.owner = acting_agency()"
_HAS_RATED = "SELECT FROM assessment a WHERE a.case_id = lent AND a.rated_by = acting_agency()"
_HAS_SEAT = (
    "SELECT FROM joint_seat s JOIN joint_rating j ON j.id = s.joint_id"
    " WHERE j.case_id = lent AND s.agency = acting_agency()"
)
# A conference lends its case to who takes part: with consent as long as there is one, by Art. 9 on its day.
_CONFERS = """
    SELECT FROM conference c JOIN case_fact k ON k.case_id = c.case_id
    WHERE c.case_id = lent
        AND (c.chair = acting_agency() OR EXISTS (
            SELECT FROM conference_member m WHERE m.conference_id = c.id AND m.agency = acting_agency()
                AND CASE c.lane WHEN 'consent' THEN k.consent_state = 'given'
                    ELSE c.held_on = (clock_timestamp() AT TIME ZONE 'Asia/Tokyo')::date END))
"""
_CHAIRS = "SELECT FROM conference c WHERE c.id = held AND c.chair = acting_agency()"
_IS_MEMBER = "SELECT FROM conference_member m WHERE m.conference_id = held AND m.agency = acting_agency()"
_HOLDS = """
    SELECT FROM conference c JOIN case_fact k ON k.case_id = c.case_id
    WHERE c.id = held AND c.lane = 'consent' AND coalesce(k.holder, k.opened_by) = acting_agency()
"""


def _behind_the_wall(function: str, *ways: str) -> str:
    """A function that looks through a door of its own, or policies would ask for one another in a circle."""
    found = " OR ".join(f"EXISTS ({way})" for way in ways)
    return f"""
    CREATE OR REPLACE FUNCTION {function} RETURNS boolean LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = assessment, pg_temp AS $$
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


_DOOR = "(SELECT acting_door()) IS NOT NULL"
_ME = "(SELECT acting_agency())"
_SITS = f"{_DOOR} OR sits_in(conference_id)"
_POLICIES = {
    "conference": f"{_DOOR} OR chair = {_ME} OR sits_in(id)",
    **dict.fromkeys(("conference_member", *_ADDED_TO), _SITS),
}
_OF_CASE = "EXISTS (SELECT FROM case_fact k WHERE k.case_id = task.case_id)"
_TASK = f"{_DOOR} OR owner = {_ME} OR {_OF_CASE}"
# What comes of a meeting by Art. 9 is its owner's and its chair's to see, also where the case is many agencies'.
_TASK_IN_ITS_LANE = f"{_DOOR} OR owner = {_ME} OR CASE lane WHEN 'consent' THEN {_OF_CASE} ELSE chairs(origin_id) END"

_JOINT_OF_CASE = "EXISTS (SELECT FROM case_fact k WHERE k.case_id = joint_rating.case_id)"
_JOINT = f"{_DOOR} OR {_JOINT_OF_CASE}"
# Nor who rated together in such a meeting.
_JOINT_IN_ITS_LANE = f"{_DOOR} OR CASE lane WHEN 'consent' THEN {_JOINT_OF_CASE} ELSE sits_in(conference_id) END"


def upgrade() -> None:
    for statement in _TABLES:
        op.execute(statement)
    op.execute(f"REVOKE UPDATE, DELETE ON {', '.join(_ADDED_TO)} FROM tsunagu_assessment")
    op.execute("REVOKE DELETE ON conference, conference_member FROM tsunagu_assessment")
    op.execute(_behind_the_wall("case_is_lent(lent uuid)", _HAS_TASK, _HAS_RATED, _HAS_SEAT, _CONFERS))
    for name, ways in {"chairs": (_CHAIRS,), "sits_in": (_CHAIRS, _IS_MEMBER, _HOLDS)}.items():
        op.execute(_behind_the_wall(f"{name}(held uuid)", *ways))
        op.execute(f"REVOKE ALL ON FUNCTION {name}(uuid) FROM PUBLIC")
        op.execute(f"GRANT EXECUTE ON FUNCTION {name}(uuid) TO tsunagu_assessment")
    for table, seen in _POLICIES.items():
        op.execute(f"CREATE POLICY concerned ON {table} USING ({seen})")
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE joint_rating ADD FOREIGN KEY (conference_id) REFERENCES conference")
    op.execute(f"ALTER POLICY concerned ON task USING ({_TASK_IN_ITS_LANE})")
    op.execute(f"ALTER POLICY concerned ON joint_rating USING ({_JOINT_IN_ITS_LANE})")


def downgrade() -> None:
    op.execute(f"ALTER POLICY concerned ON joint_rating USING ({_JOINT})")
    op.execute(f"ALTER POLICY concerned ON task USING ({_TASK})")
    op.execute(_behind_the_wall("case_is_lent(lent uuid)", _HAS_TASK, _HAS_RATED, _HAS_SEAT))
    for table in reversed(_POLICIES):
        op.execute(f"DROP TABLE {table} CASCADE")
    for name in ("sits_in", "chairs"):
        op.execute(f"DROP FUNCTION {name}(uuid)")
