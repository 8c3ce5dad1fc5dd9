"""Course runs, pools, the ledger of seats, requests and the facts that follow from them.

The database itself makes overselling impossible, whatever a caller's code does: a pool's counters move only with an
entry of the ledger, by a trigger that the login role can't imitate, and CHECKs hold them within what was granted.
"""

from alembic import op

revision = "training_0001"
down_revision = None
branch_labels = ("training",)
depends_on = None

_COURSE_RUN = """
CREATE TABLE course_run (
    id                    uuid PRIMARY KEY,
    course_number         text NOT NULL UNIQUE,
    title                 text NOT NULL,
    provider_agency       text NOT NULL,
    prefecture            text NOT NULL CHECK (prefecture ~ '^[0-9]{2}$'),
    site_municipality     text NOT NULL CHECK (site_municipality ~ '^[0-9]{6}$'),
    system                text NOT NULL,
    field                 text NOT NULL,
    starts_on             date NOT NULL,
    ends_on               date NOT NULL,
    applications_close_at timestamptz NOT NULL,
    capacity              integer NOT NULL CHECK (capacity >= 0),
    granted               integer NOT NULL DEFAULT 0,
    hold_hours            integer NOT NULL DEFAULT 72 CHECK (hold_hours BETWEEN 1 AND 2400),
    source                text NOT NULL,
    checked_on            date NOT NULL,
    version               integer NOT NULL DEFAULT 1,
    CHECK (ends_on >= starts_on),
    CONSTRAINT course_run_grants_within_capacity CHECK (granted BETWEEN 0 AND capacity)
) WITH (fillfactor = 70)
"""

_POOL = """
CREATE TABLE pool (
    id            uuid PRIMARY KEY,
    course_run_id uuid NOT NULL REFERENCES course_run,
    kind          text NOT NULL CHECK (kind IN ('general', 'delegated')),
    municipality  text CHECK (municipality ~ '^[0-9]{6}$'),
    granted       integer NOT NULL DEFAULT 0,
    held          integer NOT NULL DEFAULT 0,
    filled        integer NOT NULL DEFAULT 0,
    next_line_no  integer NOT NULL DEFAULT 1,
    version       integer NOT NULL DEFAULT 0,
    CHECK ((kind = 'delegated') = (municipality IS NOT NULL)),
    CONSTRAINT pool_never_oversold CHECK (0 <= held AND 0 <= filled AND held + filled <= granted),
    UNIQUE NULLS NOT DISTINCT (course_run_id, kind, municipality),
    UNIQUE (id, course_run_id)
) WITH (fillfactor = 50)
"""

_SEAT_REQUEST = """
CREATE TABLE seat_request (
    id              uuid PRIMARY KEY,
    course_run_id   uuid NOT NULL,
    pool_id         uuid NOT NULL,
    case_id         uuid NOT NULL,
    municipality    text NOT NULL CHECK (municipality ~ '^[0-9]{6}$'),
    referral_id     uuid UNIQUE,
    requested_by    text NOT NULL,
    state           text NOT NULL CHECK (
        state IN ('waiting', 'held', 'nominated', 'countersigned', 'instructed', 'enrolled', 'released')
    ),
    line_no         integer,
    hold_until      timestamptz,
    expires_at      timestamptz,
    requested_at    timestamptz NOT NULL,
    released_reason text,
    version         integer NOT NULL DEFAULT 1,
    FOREIGN KEY (pool_id, course_run_id) REFERENCES pool (id, course_run_id),
    CHECK (state <> 'waiting' OR line_no IS NOT NULL),
    CHECK ((state = 'released') = (released_reason IS NOT NULL)),
    -- An instruction (受講指示) ends the race against the clock: from then on nothing runs out.
    CHECK ((state IN ('waiting', 'held', 'nominated', 'countersigned')) = (expires_at IS NOT NULL))
) WITH (fillfactor = 70)
"""

_SEAT_ENTRY = """
CREATE TABLE seat_entry (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pool_id         uuid NOT NULL,
    course_run_id   uuid NOT NULL,
    kind            text NOT NULL,
    granted_delta   integer NOT NULL DEFAULT 0,
    held_delta      integer NOT NULL DEFAULT 0,
    filled_delta    integer NOT NULL DEFAULT 0,
    seat_request_id uuid REFERENCES seat_request,
    at              timestamptz NOT NULL,
    by              text,
    cause           text,
    FOREIGN KEY (pool_id, course_run_id) REFERENCES pool (id, course_run_id),
    CONSTRAINT seat_entry_moves_what_its_kind_says CHECK (
        CASE kind
            WHEN 'grant'   THEN granted_delta > 0 AND held_delta =  0 AND filled_delta = 0
            WHEN 'return'  THEN granted_delta < 0 AND held_delta =  0 AND filled_delta = 0
            WHEN 'hold'    THEN granted_delta = 0 AND held_delta =  1 AND filled_delta = 0
            WHEN 'release' THEN granted_delta = 0 AND held_delta = -1 AND filled_delta = 0
            WHEN 'expire'  THEN granted_delta = 0 AND held_delta = -1 AND filled_delta = 0
            WHEN 'enrol'   THEN granted_delta = 0 AND held_delta = -1 AND filled_delta = 1
            ELSE false
        END
    ),
    CHECK ((kind IN ('grant', 'return')) = (seat_request_id IS NULL))
)
"""

_FACTS = """
CREATE TABLE nomination (
    seat_request_id     uuid PRIMARY KEY REFERENCES seat_request,
    agency              text NOT NULL,
    legal_entity        text NOT NULL,
    notification_number text NOT NULL,
    authority           text NOT NULL,
    at                  timestamptz NOT NULL
);
CREATE TABLE countersignature (
    seat_request_id     uuid PRIMARY KEY REFERENCES seat_request,
    agency              text NOT NULL,
    legal_entity        text,
    notification_number text,
    authority           text NOT NULL,
    at                  timestamptz NOT NULL
);
CREATE TABLE instruction (
    id                  uuid PRIMARY KEY,
    seat_request_id     uuid NOT NULL UNIQUE REFERENCES seat_request,
    agency              text NOT NULL,
    legal_entity        text NOT NULL,
    notification_number text,
    authority           text NOT NULL,
    at                  timestamptz NOT NULL
);
CREATE TABLE enrolment (
    seat_request_id     uuid PRIMARY KEY REFERENCES seat_request,
    agency              text NOT NULL,
    legal_entity        text,
    authority           text NOT NULL,
    at                  timestamptz NOT NULL
);
CREATE TABLE region_authority (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    prefecture    text NOT NULL CHECK (prefecture ~ '^[0-9]{2}$'),
    mode          text NOT NULL CHECK (mode IN ('current_law', 'delegated')),
    in_force_from date NOT NULL,
    decided_by    text NOT NULL,
    recorded_by   text NOT NULL,
    recorded_at   timestamptz NOT NULL
)
"""

_INDEXES = (
    "CREATE INDEX course_run_catalogue ON course_run (starts_on, id)",
    "CREATE UNIQUE INDEX seat_request_one_live ON seat_request (course_run_id, case_id) WHERE state <> 'released'",
    "CREATE UNIQUE INDEX seat_request_line ON seat_request (pool_id, line_no) WHERE state = 'waiting'",
    "CREATE INDEX seat_request_due ON seat_request (expires_at) WHERE expires_at IS NOT NULL",
    "CREATE INDEX seat_request_case ON seat_request (case_id)",
    "CREATE INDEX seat_request_of_municipality ON seat_request (municipality, id)",
    "CREATE INDEX seat_entry_of_pool ON seat_entry (pool_id, id)",
    "CREATE UNIQUE INDEX seat_entry_held_once ON seat_entry (seat_request_id) WHERE kind = 'hold'",
    "CREATE UNIQUE INDEX seat_entry_ended_once ON seat_entry (seat_request_id) WHERE held_delta = -1",
    "CREATE INDEX region_authority_in_force ON region_authority (prefecture, in_force_from DESC, id DESC)",
)

# The function runs as the schema's owner: the login role may add entries, and only thereby moves the counters.
_COUNT = """
CREATE FUNCTION count_seat_entry() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = training, pg_temp AS $$
BEGIN
    IF NEW.kind IN ('release', 'expire', 'enrol') AND NOT EXISTS (
        SELECT FROM seat_entry
        WHERE seat_request_id = NEW.seat_request_id AND kind = 'hold' AND pool_id = NEW.pool_id
    ) THEN
        RAISE EXCEPTION 'this pool holds no seat for that request' USING ERRCODE = 'check_violation';
    END IF;
    UPDATE pool
    SET granted = granted + NEW.granted_delta, held = held + NEW.held_delta, filled = filled + NEW.filled_delta
    WHERE id = NEW.pool_id;
    IF NEW.granted_delta <> 0 THEN
        UPDATE course_run SET granted = granted + NEW.granted_delta WHERE id = NEW.course_run_id;
    END IF;
    RETURN NULL;
END $$
"""

_RIGHTS = """
REVOKE ALL ON FUNCTION count_seat_entry() FROM PUBLIC;
REVOKE UPDATE, DELETE ON seat_entry, nomination, countersignature, instruction, enrolment, region_authority
    FROM tsunagu_training;
REVOKE INSERT, UPDATE, DELETE ON course_run, pool, seat_request FROM tsunagu_training;
GRANT INSERT (id, course_number, title, provider_agency, prefecture, site_municipality, system, field, starts_on,
        ends_on, applications_close_at, capacity, hold_hours, source, checked_on),
    UPDATE (title, provider_agency, prefecture, site_municipality, system, field, starts_on,
        ends_on, applications_close_at, capacity, hold_hours, source, checked_on, version)
    ON course_run TO tsunagu_training;
GRANT INSERT (id, course_run_id, kind, municipality), UPDATE (next_line_no, version) ON pool TO tsunagu_training;
GRANT INSERT, UPDATE (pool_id, state, expires_at, released_reason, version) ON seat_request TO tsunagu_training
"""


def upgrade() -> None:
    for table in (_COURSE_RUN, _POOL, _SEAT_REQUEST, _SEAT_ENTRY):
        op.execute(table)
    _each(_FACTS)
    for index in _INDEXES:
        op.execute(index)
    op.execute(_COUNT)
    op.execute(
        "CREATE TRIGGER count_seat_entry AFTER INSERT ON seat_entry FOR EACH ROW EXECUTE FUNCTION count_seat_entry()"
    )
    _each(_RIGHTS)


def downgrade() -> None:
    facts = ("region_authority", "enrolment", "instruction", "countersignature", "nomination")
    for table in (*facts, "seat_entry", "seat_request", "pool", "course_run"):
        op.execute(f"DROP TABLE {table}")
    op.execute("DROP FUNCTION count_seat_entry()")


def _each(statements: str) -> None:
    """asyncpg prepares what it is given, and can prepare one statement at a time only."""
    for statement in statements.split(";"):
        op.execute(statement)
