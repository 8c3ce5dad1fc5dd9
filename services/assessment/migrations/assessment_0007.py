"""Support plans: versions with their lines, every step with its words sealed, and which task a line brought.

Versions, lines, steps and words are only added. An agency that carries a line which the person agreed to sees whose
case it is, wherever it is.
"""

from alembic import op

revision = "assessment_0007"
down_revision = "assessment_0006"
branch_labels = None
depends_on = None

_TABLES = (
    """
    CREATE TABLE plan (
        id              uuid PRIMARY KEY,
        case_id         uuid NOT NULL REFERENCES case_fact,
        number          integer NOT NULL CHECK (number >= 1),
        state           text NOT NULL CHECK (state IN ('draft', 'agreed', 'heard', 'in_force', 'changing',
            'change_agreed', 'change_heard', 'evaluated', 'given_up', 'interrupted')),
        version         integer NOT NULL CHECK (version >= 1),
        agreed_version  integer CHECK (agreed_version <= version),
        decided_version integer CHECK (decided_version <= agreed_version),
        monitor_on      date NOT NULL,
        steps           integer NOT NULL,
        next_plan_id    uuid REFERENCES plan,
        created_by      text NOT NULL,
        created_at      timestamptz NOT NULL,
        ended_at        timestamptz,
        UNIQUE (case_id, number),
        CHECK ((ended_at IS NOT NULL) = (state IN ('evaluated', 'given_up', 'interrupted'))),
        CHECK (decided_version IS NOT NULL
            OR state NOT IN ('in_force', 'changing', 'change_agreed', 'change_heard', 'evaluated'))
    )
    """,
    # A case has one plan at work, also when two draft one at once.
    "CREATE UNIQUE INDEX plan_at_work ON plan (case_id) WHERE ended_at IS NULL",
    "CREATE INDEX plan_to_decide ON plan (id) WHERE state IN ('heard', 'change_heard')",
    """
    CREATE TABLE plan_version (
        plan_id    uuid NOT NULL REFERENCES plan,
        version    integer NOT NULL CHECK (version >= 1),
        problems   bytea NOT NULL,
        goal       bytea NOT NULL,
        monitor_on date NOT NULL,
        written_by text NOT NULL,
        written_at timestamptz NOT NULL,
        PRIMARY KEY (plan_id, version)
    )
    """,
    """
    CREATE TABLE plan_line (
        id        uuid PRIMARY KEY,
        plan_id   uuid NOT NULL,
        version   integer NOT NULL,
        place     smallint NOT NULL CHECK (place >= 1),
        who       text NOT NULL CHECK (who IN ('person', 'family', 'desk', 'agency')),
        agency    text,
        what      bytea NOT NULL,
        begins_on date NOT NULL,
        ends_on   date NOT NULL CHECK (ends_on >= begins_on),
        rhythm    text NOT NULL,
        scheme    text,
        FOREIGN KEY (plan_id, version) REFERENCES plan_version,
        UNIQUE (plan_id, version, place),
        CHECK ((who = 'agency') = (agency IS NOT NULL))
    )
    """,
    "CREATE INDEX plan_line_agency ON plan_line (agency, plan_id) WHERE agency IS NOT NULL",
    # `code` and `detail` hold codes, days and ids; whatever is a word is sealed in `plan_word`.
    """
    CREATE TABLE plan_step (
        plan_id uuid NOT NULL REFERENCES plan,
        number  integer NOT NULL CHECK (number >= 1),
        move    text NOT NULL,
        state   text NOT NULL,
        version integer NOT NULL,
        on_day  date NOT NULL,
        code    text,
        detail  jsonb NOT NULL DEFAULT '{}',
        by      text NOT NULL,
        at      timestamptz NOT NULL,
        PRIMARY KEY (plan_id, number)
    )
    """,
    """
    CREATE TABLE plan_word (
        plan_id uuid NOT NULL,
        number  integer NOT NULL,
        field   text NOT NULL,
        sealed  bytea NOT NULL,
        PRIMARY KEY (plan_id, number, field),
        FOREIGN KEY (plan_id, number) REFERENCES plan_step
    )
    """,
    """
    CREATE TABLE plan_task (
        task_id uuid PRIMARY KEY REFERENCES task,
        line_id uuid NOT NULL REFERENCES plan_line
    )
    """,
    "CREATE INDEX plan_task_line ON plan_task (line_id)",
)
# A way into a case, beside those in `case_is_lent`: it looks through a door of its own, or the policies of a case and
# of a plan would ask for one another in a circle.
_PLAN_LENDS = """
    CREATE FUNCTION plan_lends(lent uuid) RETURNS boolean LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = assessment, pg_temp AS $$
    DECLARE
        told CONSTANT text := coalesce(current_setting('tsunagu.door', true), '');
        found boolean;
    BEGIN
        PERFORM set_config('tsunagu.door', 'wall', true);
        found := EXISTS (SELECT FROM plan p JOIN plan_line l ON l.plan_id = p.id AND l.version <= p.agreed_version
            WHERE p.case_id = lent AND l.agency = acting_agency());
        PERFORM set_config('tsunagu.door', told, true);
        RETURN found;
    END $$
    """
_DOOR = "(SELECT acting_door()) IS NOT NULL"
_OF_PLAN = f"{_DOOR} OR EXISTS (SELECT FROM plan p WHERE p.id = plan_id)"
_POLICIES = {
    "plan": f"{_DOOR} OR EXISTS (SELECT FROM case_fact k WHERE k.case_id = plan.case_id)",
    **dict.fromkeys(("plan_version", "plan_line", "plan_step", "plan_word"), _OF_PLAN),
    "plan_task": f"{_DOOR} OR EXISTS (SELECT FROM plan_line l WHERE l.id = line_id)",
}


def upgrade() -> None:
    for statement in (*_TABLES, _PLAN_LENDS):
        op.execute(statement)
    op.execute("REVOKE ALL ON FUNCTION plan_lends(uuid) FROM PUBLIC")
    op.execute("GRANT EXECUTE ON FUNCTION plan_lends(uuid) TO tsunagu_assessment")
    op.execute(
        "REVOKE UPDATE, DELETE ON plan_version, plan_line, plan_step, plan_word, plan_task FROM tsunagu_assessment"
    )
    op.execute("REVOKE DELETE ON plan FROM tsunagu_assessment")
    for table, seen in _POLICIES.items():
        op.execute(f"CREATE POLICY concerned ON {table} USING ({seen})")
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
    op.execute("CREATE POLICY carries_line ON case_fact USING (plan_lends(case_id))")


def downgrade() -> None:
    op.execute("DROP POLICY carries_line ON case_fact")
    op.execute("DROP FUNCTION plan_lends(uuid)")
    for table in ("plan_task", "plan_word", "plan_step", "plan_line", "plan_version", "plan"):
        op.execute(f"DROP TABLE {table}")
