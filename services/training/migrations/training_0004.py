"""Plans of training seats: versions with their lines, and the ledger of seats between the lines.

The database itself refuses a version whose parts don't sum, an entry that leaves a line below nothing or goes to
another period, and a command that is done twice, whatever a caller's code does.
"""

from alembic import op

revision = "training_0004"
down_revision = "training_0003"
branch_labels = None
depends_on = None

_PLAN = """
CREATE TABLE plan (
    id          uuid PRIMARY KEY,
    fiscal_year integer NOT NULL CHECK (fiscal_year BETWEEN 1990 AND 2199),
    prefecture  text NOT NULL CHECK (prefecture ~ '^(0[1-9]|[1-3][0-9]|4[0-7])$'),
    in_force    integer,
    version     integer NOT NULL DEFAULT 0,
    UNIQUE (fiscal_year, prefecture)
);
CREATE TABLE plan_version (
    plan_id      uuid NOT NULL REFERENCES plan,
    version_no   integer NOT NULL CHECK (version_no >= 1),
    effective_on date NOT NULL,
    decided_by   text NOT NULL,
    source       text NOT NULL,
    decision_id  uuid,
    recorded_by  text NOT NULL,
    recorded_at  timestamptz NOT NULL,
    PRIMARY KEY (plan_id, version_no)
);
ALTER TABLE plan ADD CONSTRAINT plan_in_force_is_a_version FOREIGN KEY (id, in_force) REFERENCES plan_version;
CREATE TABLE plan_line (
    plan_id        uuid NOT NULL,
    version_no     integer NOT NULL,
    place          integer NOT NULL CHECK (place >= 0),
    key            text NOT NULL CHECK (key ~ '^[a-z0-9][a-z0-9_.-]{0,63}$'),
    parent         text,
    kind           text NOT NULL CHECK (kind IN ('partition', 'overlay', 'limit', 'floor')),
    seats          integer CHECK (seats BETWEEN 0 AND 100000),
    percent        numeric(5, 2) CHECK (percent > 0 AND percent <= 100),
    quarter        smallint CHECK (quarter BETWEEN 1 AND 4),
    system         text,
    field          text,
    target_group   text,
    municipalities text[] NOT NULL DEFAULT '{}',
    minimum_lot    integer NOT NULL CHECK (minimum_lot BETWEEN 1 AND 1000),
    per_course     boolean NOT NULL,
    label          text NOT NULL,
    PRIMARY KEY (plan_id, version_no, key),
    FOREIGN KEY (plan_id, version_no) REFERENCES plan_version,
    FOREIGN KEY (plan_id, version_no, parent) REFERENCES plan_line,
    CHECK (CASE kind WHEN 'floor' THEN coalesce(seats, percent) IS NOT NULL
                     ELSE seats IS NOT NULL AND percent IS NULL END),
    CHECK (kind IN ('partition', 'limit') OR parent IS NOT NULL),
    CHECK (kind = 'limit' OR NOT per_course)
);
CREATE TABLE plan_command (
    plan_id     uuid NOT NULL,
    command_id  uuid NOT NULL,
    kind        text NOT NULL CHECK (kind IN ('opening', 'carry_over', 'transfer', 'open_to_all')),
    version_no  integer NOT NULL,
    asked       jsonb NOT NULL,
    reason      text,
    decision_id uuid,
    by          text,
    at          timestamptz NOT NULL,
    PRIMARY KEY (plan_id, command_id),
    UNIQUE (plan_id, command_id, kind),
    FOREIGN KEY (plan_id, version_no) REFERENCES plan_version
);
CREATE UNIQUE INDEX plan_version_opens_once ON plan_command (plan_id, version_no) WHERE kind = 'opening';
CREATE TABLE plan_entry (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    plan_id    uuid NOT NULL,
    command_id uuid NOT NULL,
    kind       text NOT NULL,
    from_line  text,
    to_line    text,
    seats      integer NOT NULL CHECK (seats BETWEEN 1 AND 100000),
    FOREIGN KEY (plan_id, command_id, kind) REFERENCES plan_command (plan_id, command_id, kind),
    CONSTRAINT plan_entry_once UNIQUE NULLS NOT DISTINCT (plan_id, command_id, from_line, to_line),
    -- A version alone gives and takes, everything else takes from one line what it gives to another.
    CONSTRAINT plan_entry_has_two_sides CHECK (
        CASE kind WHEN 'opening' THEN (from_line IS NULL) <> (to_line IS NULL)
                  ELSE from_line IS NOT NULL AND to_line IS NOT NULL AND from_line <> to_line END
    )
);
CREATE INDEX plan_entry_of_plan ON plan_entry (plan_id, id);
CREATE TABLE plan_account (
    plan_id uuid NOT NULL REFERENCES plan,
    line    text NOT NULL,
    seats   integer NOT NULL,
    planned integer NOT NULL,
    PRIMARY KEY (plan_id, line),
    CONSTRAINT plan_line_never_below_nothing CHECK (seats >= 0 AND planned >= 0)
);
CREATE TABLE plan_quarter_end (
    plan_id uuid NOT NULL REFERENCES plan,
    quarter smallint NOT NULL CHECK (quarter BETWEEN 1 AND 4),
    at      timestamptz NOT NULL,
    PRIMARY KEY (plan_id, quarter)
);
CREATE INDEX course_run_of_prefecture ON course_run (prefecture, starts_on)
"""

# What is decided is recorded whole, in one statement, and never added to.
_LINES = """
CREATE FUNCTION check_plan_lines() RETURNS trigger LANGUAGE plpgsql SET search_path = training, pg_temp AS $$
DECLARE
    broken text;
BEGIN
    SELECT min(l.key) INTO broken FROM (SELECT DISTINCT plan_id, version_no FROM added) v
    JOIN plan_line l USING (plan_id, version_no) LEFT JOIN added a USING (plan_id, version_no, key) WHERE a.key IS NULL;
    IF broken IS NOT NULL THEN
        RAISE EXCEPTION 'a version of a plan is recorded whole' USING ERRCODE = 'check_violation';
    END IF;
    SELECT min(p.key) INTO broken FROM added p JOIN LATERAL (
        SELECT sum(c.seats) AS seats FROM added c
        WHERE c.plan_id = p.plan_id AND c.version_no = p.version_no AND c.parent = p.key AND c.kind = 'partition'
    ) parts ON parts.seats IS NOT NULL
    WHERE p.kind = 'partition' AND p.seats <> parts.seats;
    IF broken IS NOT NULL THEN
        RAISE EXCEPTION 'the parts of a line do not sum'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'plan_parts_sum';
    END IF;
    SELECT min(l.key) INTO broken FROM added l
    JOIN added p ON p.plan_id = l.plan_id AND p.version_no = l.version_no AND p.key = l.parent
    WHERE p.kind IN ('limit', 'floor') OR (l.kind = 'partition' AND p.kind <> 'partition')
    OR (l.kind <> 'partition' AND NOT l.per_course AND p.seats
        < greatest(l.seats, ceil(p.seats * coalesce(l.percent, 0) / 100)));
    IF broken IS NOT NULL THEN
        RAISE EXCEPTION 'a line is not inside its parent'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'plan_line_inside_parent';
    END IF;
    WITH RECURSIVE reached AS (
        SELECT plan_id, version_no, key FROM added WHERE parent IS NULL
        UNION SELECT l.plan_id, l.version_no, l.key FROM added l JOIN reached r
        ON l.plan_id = r.plan_id AND l.version_no = r.version_no AND l.parent = r.key
    ) SELECT min(l.key) INTO broken FROM added l LEFT JOIN reached r USING (plan_id, version_no, key)
    WHERE r.key IS NULL;
    IF broken IS NOT NULL THEN
        RAISE EXCEPTION 'lines stand in a circle' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$
"""

_PERIOD = """
CREATE FUNCTION period_of_plan_line(of_plan uuid, of_version integer, of_line text) RETURNS integer LANGUAGE sql STABLE
SET search_path = training, pg_temp AS $$
    WITH RECURSIVE upwards AS (
        SELECT key, parent, quarter, 0 AS step FROM plan_line
        WHERE plan_id = of_plan AND version_no = of_version AND key = of_line
        UNION ALL SELECT l.key, l.parent, l.quarter, u.step + 1 FROM plan_line l JOIN upwards u ON l.key = u.parent
        WHERE l.plan_id = of_plan AND l.version_no = of_version
    ) SELECT quarter FROM upwards WHERE quarter IS NOT NULL ORDER BY step LIMIT 1
$$
"""

# The function runs as the schema's owner: the login role may add entries, and only thereby moves seats.
_COUNT = """
CREATE FUNCTION count_plan_entry() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = training, pg_temp AS $$
DECLARE
    decided integer;
    source  integer;
    target  integer;
    given   integer := CASE WHEN NEW.kind = 'opening' THEN NEW.seats ELSE 0 END;
BEGIN
    SELECT version_no INTO decided FROM plan_command WHERE plan_id = NEW.plan_id AND command_id = NEW.command_id;
    IF NEW.kind <> 'opening' THEN
        IF decided IS DISTINCT FROM (SELECT in_force FROM plan WHERE id = NEW.plan_id) THEN
            RAISE EXCEPTION 'that version of the plan is not in force' USING ERRCODE = 'check_violation';
        END IF;
        IF 2 <> (SELECT count(*) FROM plan_line WHERE plan_id = NEW.plan_id AND version_no = decided
                 AND kind = 'partition' AND key IN (NEW.from_line, NEW.to_line)) THEN
            RAISE EXCEPTION 'the plan has no such lines with seats' USING ERRCODE = 'check_violation';
        END IF;
        source := period_of_plan_line(NEW.plan_id, decided, NEW.from_line);
        target := period_of_plan_line(NEW.plan_id, decided, NEW.to_line);
        IF (NEW.kind = 'carry_over' AND target IS DISTINCT FROM source + 1)
        OR (NEW.kind = 'carry_over' AND source IS NULL)
        OR (NEW.kind <> 'carry_over' AND target IS DISTINCT FROM source) THEN
            RAISE EXCEPTION 'the lines are of other periods'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'plan_entry_period';
        END IF;
        IF NEW.kind = 'open_to_all' AND NEW.to_line IS DISTINCT FROM (
            SELECT parent FROM plan_line WHERE plan_id = NEW.plan_id AND version_no = decided AND key = NEW.from_line
        ) THEN
            RAISE EXCEPTION 'seats open to all that the parent is for' USING ERRCODE = 'check_violation';
        END IF;
    END IF;
    IF NEW.from_line IS NOT NULL THEN
        UPDATE plan_account SET seats = seats - NEW.seats, planned = planned - given
        WHERE plan_id = NEW.plan_id AND line = NEW.from_line;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'that line has no seats' USING ERRCODE = 'check_violation';
        END IF;
    END IF;
    IF NEW.to_line IS NOT NULL THEN
        INSERT INTO plan_account AS a (plan_id, line, seats, planned)
        VALUES (NEW.plan_id, NEW.to_line, NEW.seats, given)
        ON CONFLICT (plan_id, line) DO UPDATE SET seats = a.seats + NEW.seats, planned = a.planned + given;
    END IF;
    RETURN NULL;
END $$
"""

_IN_FORCE = """
CREATE FUNCTION check_plan_in_force() RETURNS trigger LANGUAGE plpgsql SET search_path = training, pg_temp AS $$
BEGIN
    IF NEW.in_force IS NULL OR NEW.in_force < OLD.in_force OR EXISTS (
        SELECT FROM (
            SELECT l.key AS line, l.seats FROM plan_line l
            WHERE l.plan_id = NEW.id AND l.version_no = NEW.in_force AND l.kind = 'partition' AND NOT EXISTS (
                SELECT FROM plan_line part WHERE part.plan_id = l.plan_id AND part.version_no = l.version_no
                AND part.parent = l.key AND part.kind = 'partition'
            )
        ) decided
        FULL JOIN (SELECT line, planned FROM plan_account WHERE plan_id = NEW.id) account USING (line)
        WHERE coalesce(decided.seats, 0) <> coalesce(account.planned, 0)
    ) THEN
        RAISE EXCEPTION 'the seats of the version in force are not those of the ledger'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'plan_in_force_is_opened';
    END IF;
    RETURN NULL;
END $$
"""

_TRIGGERS = """
CREATE TRIGGER check_plan_lines AFTER INSERT ON plan_line REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION check_plan_lines();
CREATE TRIGGER count_plan_entry AFTER INSERT ON plan_entry FOR EACH ROW EXECUTE FUNCTION count_plan_entry();
CREATE TRIGGER check_plan_in_force AFTER UPDATE OF in_force ON plan
    FOR EACH ROW EXECUTE FUNCTION check_plan_in_force()
"""

_RIGHTS = """
REVOKE ALL ON FUNCTION count_plan_entry() FROM PUBLIC;
REVOKE UPDATE, DELETE ON plan_version, plan_line, plan_command, plan_entry, plan_quarter_end FROM tsunagu_training;
REVOKE INSERT, UPDATE, DELETE ON plan, plan_account FROM tsunagu_training;
GRANT INSERT (id, fiscal_year, prefecture), UPDATE (in_force, version) ON plan TO tsunagu_training
"""


def upgrade() -> None:
    _each(_PLAN)
    for function in (_LINES, _PERIOD, _COUNT, _IN_FORCE):
        op.execute(function)
    _each(_TRIGGERS)
    _each(_RIGHTS)


def downgrade() -> None:
    op.execute("DROP INDEX course_run_of_prefecture")
    op.execute("ALTER TABLE plan DROP CONSTRAINT plan_in_force_is_a_version")
    for table in ("quarter_end", "account", "entry", "command", "line", "version"):
        op.execute(f"DROP TABLE plan_{table}")
    op.execute("DROP TABLE plan")
    for function in ("check_plan_lines()", "period_of_plan_line(uuid, integer, text)", "count_plan_entry()"):
        op.execute(f"DROP FUNCTION {function}")
    op.execute("DROP FUNCTION check_plan_in_force()")


def _each(statements: str) -> None:
    """asyncpg prepares what it is given, and can prepare one statement at a time only."""
    for statement in statements.split(";"):
        op.execute(statement)
