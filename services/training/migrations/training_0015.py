"""In whose name every act is done, held by the database too; papers as a numbered series; reasons of absence apart.

What was done before stays as it is: the new columns are empty there. A row that names no registration, as the code of
the last release writes it, is completed from the agency's own where one covers the act, and refused where none does.
"""

from alembic import op

revision = "training_0015"
down_revision = "training_0014"
branch_labels = None
depends_on = None

_BASES = """
ALTER TABLE registration DROP CONSTRAINT registration_basis_check, DROP CONSTRAINT registration_check1,
    ADD CONSTRAINT registration_basis_is_known CHECK (basis IN ('free_placement_notification', 'placement_permission',
        'public_employment_office', 'training_school', 'support_desk')),
    ADD CONSTRAINT registration_has_its_number CHECK (
        number IS NOT NULL OR basis NOT IN ('free_placement_notification', 'placement_permission')
    )
"""
_BASES_BEFORE = """
ALTER TABLE registration DROP CONSTRAINT registration_basis_is_known, DROP CONSTRAINT registration_has_its_number,
    ADD CONSTRAINT registration_basis_check CHECK (
        basis IN ('free_placement_notification', 'placement_permission', 'public_employment_office')
    ),
    ADD CONSTRAINT registration_check1 CHECK (basis = 'public_employment_office' OR number IS NOT NULL)
"""
_UNNAMED = ("selection", "attendance_certificate", "training_end", "employment_outcome")
_NAME = """
ALTER TABLE {table} ADD COLUMN {entity}notification_number text, ADD COLUMN registration_id uuid,
    ADD FOREIGN KEY (registration_id, agency) REFERENCES registration (id, agency)
"""

# As services/training/domain/instruction.py has it (`RESTS_ON`).
_RESTS_ON = """
CREATE FUNCTION act_rests_on(act text) RETURNS text[] LANGUAGE sql IMMUTABLE RETURN CASE
    WHEN act = 'nominate' THEN ARRAY['free_placement_notification', 'placement_permission']
    WHEN act IN ('countersign', 'instruct', 'cancel') THEN ARRAY['public_employment_office']
    WHEN act = 'instruct_delegated' THEN ARRAY['free_placement_notification']
    WHEN act IN ('select', 'enrol', 'certify', 'end') THEN ARRAY['training_school']
    WHEN act = 'record_outcome' THEN ARRAY['free_placement_notification', 'placement_permission',
        'public_employment_office', 'training_school', 'support_desk']
END
"""
_CHECK = """
CREATE FUNCTION check_registration() RETURNS trigger LANGUAGE plpgsql SET search_path = training, pg_temp AS $$
DECLARE
    fact jsonb := to_jsonb(NEW);
    act text := TG_ARGV[0];
    day date := (NEW.at AT TIME ZONE 'Asia/Tokyo')::date;
    own record;
BEGIN
    IF fact ->> 'moved_up' = 'true' THEN
        -- A reserve moves up by the word that ranked it, and in that name, whatever became of the name since.
        IF NOT EXISTS (
            SELECT FROM selection s WHERE s.seat_request_id = NEW.seat_request_id
            AND s.number = (fact ->> 'number')::integer - 1 AND s.result = 'reserve' AND s.agency = NEW.agency
            AND s.registration_id IS NOT DISTINCT FROM NEW.registration_id
            AND s.legal_entity IS NOT DISTINCT FROM NEW.legal_entity
        ) THEN
            RAISE EXCEPTION 'nobody ranked this reserve in that name' USING ERRCODE = 'check_violation';
        END IF;
        RETURN NEW;
    END IF;
    IF act = 'instruct' AND fact ->> 'kind' = 'instruction' AND fact ->> 'authority' = 'delegated' THEN
        act := 'instruct_delegated';
    END IF;
    SELECT r.id, r.legal_entity, r.number INTO own FROM registration r
    WHERE r.agency = NEW.agency AND r.basis = ANY(act_rests_on(act))
        AND day >= r.valid_from AND (r.valid_until IS NULL OR day <= r.valid_until)
        AND NOT EXISTS (SELECT FROM registration later WHERE later.supersedes = r.id)
        AND (NEW.registration_id IS NULL OR NEW.registration_id = r.id)
        AND (NEW.legal_entity IS NULL OR NEW.legal_entity = r.legal_entity)
        AND (NEW.notification_number IS NULL OR NEW.notification_number = r.number)
    ORDER BY r.valid_from DESC, r.id DESC LIMIT 1;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no registration of this agency covers this act on that day' USING ERRCODE = 'check_violation';
    END IF;
    NEW.registration_id := own.id;
    NEW.legal_entity := own.legal_entity;
    NEW.notification_number := own.number;
    RETURN NEW;
END $$
"""
_ACTS = {
    "nomination": "nominate",
    "countersignature": "countersign",
    "instruction": "instruct",
    "instruction_cancellation": "cancel",
    "selection": "select",
    "enrolment": "enrol",
    "attendance_certificate": "certify",
    "training_end": "end",
    "employment_outcome": "record_outcome",
}

_SERIES = """
ALTER TABLE instruction DROP CONSTRAINT instruction_seat_request_id_key,
    ADD COLUMN number integer NOT NULL DEFAULT 1 CHECK (number >= 1),
    ADD COLUMN changes uuid UNIQUE,
    ADD CONSTRAINT instruction_of_a_request UNIQUE (id, seat_request_id),
    ADD CONSTRAINT instruction_numbered UNIQUE (seat_request_id, number),
    ADD CONSTRAINT instruction_changes_its_own FOREIGN KEY (changes, seat_request_id)
        REFERENCES instruction (id, seat_request_id),
    ADD CONSTRAINT only_support_instructions_change CHECK (changes IS NULL OR kind = 'support_instruction');
UPDATE seat_request r SET version = r.version + 1,
    state = CASE WHEN EXISTS (SELECT FROM countersignature c WHERE c.seat_request_id = r.id)
        THEN 'countersigned' ELSE 'nominated' END,
    expires_at = (greatest(c.starts_on, (now() AT TIME ZONE 'Asia/Tokyo')::date) + 1)::timestamp
        AT TIME ZONE 'Asia/Tokyo' - interval '1 microsecond'
FROM course_run c, instruction i JOIN instruction_cancellation x ON x.instruction_id = i.id
WHERE c.id = r.course_run_id AND i.seat_request_id = r.id AND r.state = 'instructed'
"""
# Whoever adds to a series holds its request: two at once come one after the other.
_ONE_STANDS = """
CREATE FUNCTION check_paper_follows() RETURNS trigger LANGUAGE plpgsql SET search_path = training, pg_temp AS $$
DECLARE
    last record;
BEGIN
    PERFORM FROM seat_request WHERE id = NEW.seat_request_id FOR NO KEY UPDATE;
    SELECT i.id, i.number, i.kind, x.instruction_id IS NOT NULL AS cancelled INTO last
    FROM instruction i LEFT JOIN instruction_cancellation x ON x.instruction_id = i.id
    WHERE i.seat_request_id = NEW.seat_request_id ORDER BY i.number DESC LIMIT 1;
    IF NEW.number <> coalesce(last.number, 0) + 1 THEN
        RAISE EXCEPTION 'papers are numbered one after the other' USING ERRCODE = 'check_violation';
    END IF;
    IF last.id IS NULL OR last.cancelled THEN
        IF NEW.changes IS NOT NULL THEN
            RAISE EXCEPTION 'no paper stands that could be changed' USING ERRCODE = 'check_violation';
        END IF;
    ELSIF NEW.changes IS DISTINCT FROM last.id OR last.kind <> 'support_instruction' THEN
        RAISE EXCEPTION 'another paper of this request stands' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$
"""
_STILL_STANDS = """
CREATE FUNCTION check_paper_stands() RETURNS trigger LANGUAGE plpgsql SET search_path = training, pg_temp AS $$
BEGIN
    PERFORM FROM seat_request r JOIN instruction i ON i.seat_request_id = r.id WHERE i.id = NEW.instruction_id
    FOR NO KEY UPDATE OF r;
    IF EXISTS (SELECT FROM instruction WHERE changes = NEW.instruction_id) THEN
        RAISE EXCEPTION 'another paper has taken its place' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$
"""

# Illness is special-care data: the reasons lie apart from the days, and go when the case is erased.
_REASONS = """
CREATE TABLE absence_reasons (
    certificate_id uuid PRIMARY KEY REFERENCES attendance_certificate,
    days           jsonb NOT NULL CHECK (days <> '{}')
);
INSERT INTO absence_reasons (certificate_id, days)
SELECT id, excused FROM attendance_certificate WHERE excused <> '{}';
ALTER TABLE attendance_certificate DROP COLUMN excused;
REVOKE UPDATE ON absence_reasons FROM tsunagu_training
"""
_REASONS_BEFORE = """
ALTER TABLE attendance_certificate ADD COLUMN excused jsonb NOT NULL DEFAULT '{}';
UPDATE attendance_certificate a SET excused = r.days FROM absence_reasons r WHERE r.certificate_id = a.id;
ALTER TABLE attendance_certificate ALTER COLUMN excused DROP DEFAULT;
DROP TABLE absence_reasons
"""
_SERIES_BEFORE = """
ALTER TABLE instruction DROP CONSTRAINT instruction_changes_its_own, DROP COLUMN changes, DROP COLUMN number,
    DROP CONSTRAINT instruction_of_a_request, ADD UNIQUE (seat_request_id)
"""


def upgrade() -> None:
    op.execute(_BASES)
    for table in _UNNAMED:
        op.execute(_NAME.format(table=table, entity="legal_entity text, ADD COLUMN "))
    op.execute(_NAME.format(table="enrolment", entity=""))
    _each(_SERIES)
    for function in (_RESTS_ON, _CHECK, _ONE_STANDS, _STILL_STANDS):
        op.execute(function)
    for table, act in _ACTS.items():
        _before_insert(table, "check_registration", f"'{act}'")
    _before_insert("instruction", "check_paper_follows")
    _before_insert("instruction_cancellation", "check_paper_stands")
    _each(_REASONS)


def downgrade() -> None:
    _each(_REASONS_BEFORE)
    for table in _ACTS:
        op.execute(f"DROP TRIGGER check_registration ON {table}")
    op.execute("DROP TRIGGER check_paper_follows ON instruction")
    op.execute("DROP TRIGGER check_paper_stands ON instruction_cancellation")
    op.execute("DROP FUNCTION check_registration(), check_paper_follows(), check_paper_stands(), act_rests_on(text)")
    op.execute(_SERIES_BEFORE)
    op.execute("ALTER TABLE enrolment DROP COLUMN notification_number, DROP COLUMN registration_id")
    for table in _UNNAMED:
        op.execute(
            f"ALTER TABLE {table} DROP COLUMN legal_entity, DROP COLUMN notification_number,"
            " DROP COLUMN registration_id"
        )
    op.execute("DELETE FROM registration WHERE basis IN ('training_school', 'support_desk')")
    op.execute(_BASES_BEFORE)


def _before_insert(table: str, function: str, argument: str = "") -> None:
    op.execute(
        f"CREATE TRIGGER {function} BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION {function}({argument})"
    )


def _each(statements: str) -> None:
    """asyncpg prepares what it is given, and can prepare one statement at a time only."""
    for statement in statements.split(";\n"):
        op.execute(statement)
