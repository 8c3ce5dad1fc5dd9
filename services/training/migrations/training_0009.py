"""What follows a seat: registrations, the school's results, kinds of instruction, attendance, the end, what came of it.

Each is a table that only grows. A correction is another row with the next number; the last number stands. Nothing is
certified, ended or found out about who was never enrolled, whatever a caller's code does.
"""

from alembic import op

revision = "training_0009"
down_revision = "training_0008"
branch_labels = None
depends_on = None

_TABLES = """
CREATE TABLE registration (
    id           uuid PRIMARY KEY,
    agency       text NOT NULL,
    basis        text NOT NULL CHECK (
        basis IN ('free_placement_notification', 'placement_permission', 'public_employment_office')
    ),
    legal_entity text NOT NULL CHECK (legal_entity ~ '^[0-9]{13}$'),
    number       text CHECK (number <> ''),
    valid_from   date NOT NULL,
    valid_until  date CHECK (valid_until >= valid_from),
    -- Each is corrected or ended once; who errs twice corrects the correction.
    supersedes   uuid UNIQUE,
    recorded_by  text NOT NULL,
    recorded_at  timestamptz NOT NULL,
    UNIQUE (id, agency),
    FOREIGN KEY (supersedes, agency) REFERENCES registration (id, agency),
    CHECK (basis = 'public_employment_office' OR number IS NOT NULL)
);
CREATE INDEX registration_of_agency ON registration (agency, id);
ALTER TABLE nomination ADD COLUMN registration_id uuid, ADD FOREIGN KEY (registration_id, agency)
    REFERENCES registration (id, agency);
ALTER TABLE countersignature ADD COLUMN registration_id uuid, ADD FOREIGN KEY (registration_id, agency)
    REFERENCES registration (id, agency);
ALTER TABLE instruction ADD COLUMN registration_id uuid, ADD COLUMN document_number text,
    ADD COLUMN kind text NOT NULL DEFAULT 'instruction'
        CHECK (kind IN ('instruction', 'support_instruction', 'recommendation')),
    ADD FOREIGN KEY (registration_id, agency) REFERENCES registration (id, agency),
    ADD UNIQUE (id, kind);
CREATE TABLE instruction_cancellation (
    instruction_id      uuid PRIMARY KEY,
    -- 求職者支援法 Art. 12: the support instruction alone is cancelled when it is no longer needed.
    kind                text NOT NULL DEFAULT 'support_instruction' CHECK (kind = 'support_instruction'),
    reason              text NOT NULL,
    agency              text NOT NULL,
    legal_entity        text NOT NULL,
    notification_number text,
    registration_id     uuid NOT NULL,
    at                  timestamptz NOT NULL,
    FOREIGN KEY (instruction_id, kind) REFERENCES instruction (id, kind),
    FOREIGN KEY (registration_id, agency) REFERENCES registration (id, agency)
);
CREATE TABLE selection (
    id              uuid PRIMARY KEY,
    seat_request_id uuid NOT NULL REFERENCES seat_request,
    number          integer NOT NULL CHECK (number >= 1),
    result          text NOT NULL CHECK (result IN ('in_selection', 'accepted', 'reserve', 'rejected')),
    rank            integer CHECK (rank >= 1),
    reason          text,
    result_on       date NOT NULL,
    moved_up        boolean NOT NULL DEFAULT false,
    agency          text NOT NULL,
    at              timestamptz NOT NULL,
    UNIQUE (seat_request_id, number),
    CHECK ((result = 'reserve') = (rank IS NOT NULL)),
    CHECK ((result = 'rejected') = (reason IS NOT NULL)),
    CHECK (result = 'accepted' OR NOT moved_up)
);
CREATE TABLE attendance_certificate (
    id              uuid PRIMARY KEY,
    seat_request_id uuid NOT NULL REFERENCES enrolment,
    month           date NOT NULL CHECK (extract(day FROM month) = 1),
    number          integer NOT NULL CHECK (number >= 1),
    days_held       integer NOT NULL CHECK (days_held BETWEEN 0 AND 31),
    days_present    integer NOT NULL CHECK (days_present >= 0),
    days_excused    integer NOT NULL CHECK (days_excused >= 0),
    excused         jsonb NOT NULL,
    days_to_come    integer CHECK (days_to_come >= 0),
    agency          text NOT NULL,
    at              timestamptz NOT NULL,
    UNIQUE (seat_request_id, month, number),
    CONSTRAINT attendance_adds_up CHECK (days_present + days_excused <= days_held)
);
CREATE TABLE training_end (
    id              uuid PRIMARY KEY,
    seat_request_id uuid NOT NULL REFERENCES enrolment,
    number          integer NOT NULL CHECK (number >= 1),
    ending          text NOT NULL CHECK (ending IN ('completed', 'left')),
    reason          text,
    ended_on        date NOT NULL,
    agency          text NOT NULL,
    at              timestamptz NOT NULL,
    UNIQUE (seat_request_id, number),
    CHECK ((ending = 'left') = (reason IS NOT NULL))
);
CREATE TABLE employment_outcome (
    id              uuid PRIMARY KEY,
    seat_request_id uuid NOT NULL REFERENCES enrolment,
    checkpoint      text NOT NULL CHECK (checkpoint IN ('at_end', 'one_month', 'three_months')),
    number          integer NOT NULL CHECK (number >= 1),
    outcome         text NOT NULL,
    agency          text NOT NULL,
    at              timestamptz NOT NULL,
    UNIQUE (seat_request_id, checkpoint, number)
);
CREATE INDEX seat_request_under_selection ON seat_request (course_run_id) WHERE state IN ('nominated', 'countersigned')
"""

# A month that is not in the course is refused here as well: the course's days may have moved since the code looked.
_GUARD = """
CREATE FUNCTION check_certified_month() RETURNS trigger LANGUAGE plpgsql SET search_path = training, pg_temp AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM seat_request r JOIN course_run c ON c.id = r.course_run_id
        WHERE r.id = NEW.seat_request_id AND NEW.month <= c.ends_on
            AND NEW.month >= date_trunc('month', c.starts_on::timestamp)::date
    ) THEN
        RAISE EXCEPTION 'that month is not in the course' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$
"""

_FACTS = "registration, instruction_cancellation, selection, attendance_certificate, training_end, employment_outcome"


def upgrade() -> None:
    for statement in _TABLES.split(";\n"):
        op.execute(statement)
    op.execute(_GUARD)
    op.execute(
        "CREATE TRIGGER check_certified_month BEFORE INSERT ON attendance_certificate FOR EACH ROW"
        " EXECUTE FUNCTION check_certified_month()"
    )
    op.execute(f"REVOKE UPDATE, DELETE ON {_FACTS} FROM tsunagu_training")


def downgrade() -> None:
    op.execute("DROP INDEX seat_request_under_selection")
    op.execute(
        "DROP TABLE employment_outcome, training_end, attendance_certificate, selection, instruction_cancellation"
    )
    op.execute("DROP FUNCTION check_certified_month()")
    op.execute("ALTER TABLE instruction DROP COLUMN registration_id, DROP COLUMN kind, DROP COLUMN document_number")
    op.execute("ALTER TABLE countersignature DROP COLUMN registration_id")
    op.execute("ALTER TABLE nomination DROP COLUMN registration_id")
    op.execute("DROP TABLE registration")
