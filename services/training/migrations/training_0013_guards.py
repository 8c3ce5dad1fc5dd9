"""What the database refuses by itself about seats that move, whatever a caller's code does.

No lent seat without an agreement of both, and then those seats alone; both sides of a swap or none; at a cut-off on to
nobody but whom the decision names next; a moved seat keeps the decision that granted it, and a lent one goes back to
who lent it. That more leaves a pool than is free in it, the pool's own CHECK refuses.
"""

# ruff: noqa: S608  (put together from this file's own words)

from alembic import op

revision = "training_0013_guards"
down_revision = "training_0013"
branch_labels = None
depends_on = None


def _refuse(because: str) -> str:
    return f"RAISE EXCEPTION '{because}' USING ERRCODE = 'check_violation';"


_TRIGGER = "RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = training, pg_temp AS"

# After `decision_content`, by its name: what was voted on is copied by the database alone.
_ONWARD = f"""
CREATE FUNCTION decision_onward() {_TRIGGER} $$
BEGIN
    UPDATE decision_allotment a SET carries_over = true
    FROM motion_version v CROSS JOIN LATERAL ROWS FROM (jsonb_to_recordset(v.content -> 'allotments') AS (
        carries_over boolean
    )) WITH ORDINALITY AS line (carries_over, number)
    WHERE v.motion_id = NEW.motion_id AND v.version = NEW.motion_version
        AND a.decision_id = NEW.id AND a.number = line.number AND line.carries_over;
    INSERT INTO allotment_onward (decision_allotment_id, step, municipalities, cut_off_on)
    SELECT a.id, named.step, named.municipalities, named.cut_off_on
    FROM motion_version v CROSS JOIN LATERAL ROWS FROM (jsonb_to_recordset(v.content -> 'allotments') AS (
        onward jsonb
    )) WITH ORDINALITY AS line (onward, number)
    CROSS JOIN LATERAL ROWS FROM (jsonb_to_recordset(coalesce(line.onward, '[]')) AS (
        municipalities text[], cut_off_on date
    )) WITH ORDINALITY AS named (municipalities, cut_off_on, step)
    JOIN decision_allotment a ON a.decision_id = NEW.id AND a.number = line.number
    WHERE v.motion_id = NEW.motion_id AND v.version = NEW.motion_version;
    RETURN NULL;
END $$
"""

# As services/training/domain/agreements.py has it.
_STEP = f"""
CREATE FUNCTION guard_agreement_step() {_TRIGGER} $$
DECLARE
    agreed seat_agreement;
    before record;
BEGIN
    SELECT * INTO agreed FROM seat_agreement WHERE id = NEW.agreement_id FOR UPDATE;
    SELECT number, step INTO before FROM agreement_step WHERE agreement_id = NEW.agreement_id
    ORDER BY number DESC LIMIT 1;
    IF NEW.number <> coalesce(before.number, 1) + 1 THEN
        {_refuse("the steps of an agreement follow one another")}
    END IF;
    IF (CASE NEW.step
        WHEN 'lapsed' THEN before.step IS NULL AND NEW.at >= agreed.answer_before
        WHEN 'recalled' THEN before.step IS NOT DISTINCT FROM 'agreed' AND agreed.kind = 'lend'
        WHEN 'given_back' THEN before.step IS NOT DISTINCT FROM 'agreed' AND agreed.kind = 'lend'
        ELSE before.step IS NULL AND NEW.at < agreed.answer_before END)
    THEN
        RETURN NEW;
    END IF;
    {_refuse("this agreement can not take that step")}
END $$
"""

# A recall brings the lent seats' last moment forward: from then on what is free goes back, and what comes free later.
_RECALL = f"""
CREATE FUNCTION recall_lent_seats() {_TRIGGER} $$
BEGIN
    UPDATE pool SET cut_off_at = NEW.at
    WHERE agreement_id = NEW.agreement_id AND kept IS NULL AND cut_off_at > NEW.at;
    RETURN NULL;
END $$
"""

_POOL = f"""
CREATE OR REPLACE FUNCTION set_cut_off() {_TRIGGER} $$
DECLARE
    leg record;
    named allotment_onward;
BEGIN
    IF NEW.agreement_id IS NOT NULL THEN
        SELECT l.*, s.course_run_id, s.decision_allotment_id INTO leg
        FROM agreement_leg l JOIN pool s ON s.id = l.pool_id
        WHERE l.agreement_id = NEW.agreement_id AND l.number = NEW.agreement_leg;
        IF (NEW.source_pool_id, NEW.course_run_id, NEW.decision_allotment_id, NEW.municipalities)
            IS DISTINCT FROM (leg.pool_id, leg.course_run_id, leg.decision_allotment_id, ARRAY[leg.taker])
        THEN
            {_refuse("seats are lent as both agreed")}
        END IF;
        NEW.cut_off_at := cut_off_of(leg.until_on);
    ELSIF NEW.onward_step IS NOT NULL THEN
        SELECT * INTO named FROM allotment_onward
        WHERE decision_allotment_id = NEW.decision_allotment_id AND step = NEW.onward_step;
        IF named.step IS NULL OR NOT (NEW.municipalities @> named.municipalities
            AND NEW.municipalities <@ named.municipalities)
        THEN
            {_refuse("the decision names somebody else next")}
        END IF;
        NEW.cut_off_at := cut_off_of(named.cut_off_on);
    ELSE
        SELECT cut_off_of(cut_off_on) INTO NEW.cut_off_at FROM decision_allotment
        WHERE id = NEW.decision_allotment_id;
    END IF;
    RETURN NEW;
END $$
"""
_POOL_BEFORE = f"""
CREATE OR REPLACE FUNCTION set_cut_off() {_TRIGGER} $$
BEGIN
    SELECT cut_off_of(cut_off_on) INTO NEW.cut_off_at FROM decision_allotment WHERE id = NEW.decision_allotment_id;
    RETURN NEW;
END $$
"""

# Lent seats, and those that somebody else was offered next, go back whole.
_PERCENT = """
CREATE FUNCTION returns_percent_of(p pool) RETURNS integer LANGUAGE sql STABLE
SET search_path = training, pg_temp AS $$
SELECT CASE WHEN num_nonnulls(p.agreement_id, p.onward_step) > 0 THEN 100
    ELSE (SELECT a.returns_percent FROM decision_allotment a WHERE a.id = p.decision_allotment_id) END
$$
"""
_NEXT = """
CREATE FUNCTION next_municipalities_of(p pool) RETURNS text[] LANGUAGE sql STABLE
SET search_path = training, pg_temp AS $$
SELECT coalesce(
    (SELECT source.municipalities FROM pool source WHERE source.id = p.source_pool_id),
    (SELECT o.municipalities FROM allotment_onward o
     WHERE o.decision_allotment_id = p.decision_allotment_id AND o.step = coalesce(p.onward_step, 0) + 1
         AND p.agreement_id IS NULL),
    '{}'
)
$$
"""
_CUT_OFF = """
CREATE OR REPLACE FUNCTION cut_off_pool() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = training, pg_temp AS $$
DECLARE
    cut record;
BEGIN
    SELECT p.course_run_id, p.cut_off_at, p.granted - p.held - p.filled AS free, {percent} INTO cut
    FROM pool p JOIN decision_allotment a ON a.id = p.decision_allotment_id WHERE p.id = NEW.pool_id FOR UPDATE OF p;
    IF cut.cut_off_at IS NULL OR NEW.at < cut.cut_off_at THEN
        RAISE EXCEPTION 'the cut-off of that pool has not come' USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.free <> cut.free OR NEW.kept <> cut.free - ceil(cut.free * cut.returns_percent / 100.0) THEN
        RAISE EXCEPTION 'another part of that pool goes back' USING ERRCODE = 'check_violation';
    END IF;
    NEW.entries_before := coalesce((SELECT max(id) FROM seat_entry WHERE course_run_id = cut.course_run_id), 0);
    UPDATE pool SET kept = NEW.kept WHERE id = NEW.pool_id;
    RETURN NEW;
END $$
"""

_MOVE = f"""
CREATE FUNCTION count_moved_seats() {_TRIGGER} $$
DECLARE
    giver pool;
    taker pool;
    leg record;
BEGIN
    UPDATE pool SET granted = granted - NEW.seats WHERE id = NEW.pool_id RETURNING * INTO giver;
    UPDATE pool SET granted = granted + NEW.seats WHERE id = NEW.to_pool_id RETURNING * INTO taker;
    IF (giver.course_run_id, taker.course_run_id) IS DISTINCT FROM (NEW.course_run_id, NEW.course_run_id) THEN
        {_refuse("seats stay in their course run")}
    END IF;
    IF giver.decision_allotment_id IS NULL OR giver.decision_allotment_id <> taker.decision_allotment_id THEN
        {_refuse("a moved seat keeps the decision that granted it")}
    END IF;
    IF NEW.kind = 'recall' THEN
        IF giver.source_pool_id IS DISTINCT FROM NEW.to_pool_id THEN
            {_refuse("a lent seat goes back to who lent it")}
        END IF;
        IF giver.kept IS NULL AND decision_in_force(giver.decision_allotment_id, NEW.at) THEN
            {_refuse("lent seats stay until they are due or recalled")}
        END IF;
        RETURN NULL;
    END IF;
    IF NEW.at < transaction_timestamp() THEN
        {_refuse("a seat moves at the time of the database")}
    END IF;
    IF NOT decision_in_force(giver.decision_allotment_id, NEW.at) THEN
        {_refuse("no seat moves on a decision that is over")}
    END IF;
    IF NEW.kind = 'transfer' THEN
        IF giver.agreement_id IS NOT NULL OR giver.kept IS NULL
            OR taker.onward_step IS DISTINCT FROM coalesce(giver.onward_step, 0) + 1
        THEN
            {_refuse("only at a cut-off, and only to whom the decision names next")}
        END IF;
        RETURN NULL;
    END IF;
    SELECT l.seats, g.kind, a.lendable, (
        SELECT step FROM agreement_step s WHERE s.agreement_id = l.agreement_id ORDER BY number DESC LIMIT 1
    ) AS step INTO leg
    FROM agreement_leg l JOIN seat_agreement g ON g.id = l.agreement_id
    JOIN decision_allotment a ON a.id = giver.decision_allotment_id
    WHERE l.agreement_id = taker.agreement_id AND l.number = taker.agreement_leg;
    IF leg.step IS DISTINCT FROM 'agreed' OR leg.kind <> NEW.kind OR leg.seats <> NEW.seats
        OR taker.source_pool_id <> giver.id OR (NEW.command, NEW.number) <> (taker.agreement_id, taker.agreement_leg)
    THEN
        {_refuse("no seat is lent without an agreement of both")}
    END IF;
    IF NOT leg.lendable THEN
        {_refuse("the decision does not let these seats be lent")}
    END IF;
    IF num_nonnulls(giver.agreement_id, giver.onward_step, giver.kept) > 0
        OR NEW.at >= LEAST(giver.cut_off_at, taker.cut_off_at)
    THEN
        {_refuse("these seats are due back")}
    END IF;
    RETURN NULL;
END $$
"""

_SWAP = f"""
CREATE FUNCTION guard_swaps() {_TRIGGER} $$
BEGIN
    IF EXISTS (SELECT FROM entered WHERE kind = 'swap' GROUP BY command HAVING count(*) <> 2) THEN
        {_refuse("a swap moves both or none")}
    END IF;
    RETURN NULL;
END $$
"""

_SHARED_OUT = f"""
CREATE FUNCTION guard_moved_pool() {_TRIGGER} $$
DECLARE
    moved pool;
BEGIN
    SELECT * INTO moved FROM pool WHERE id = NEW.pool_id;
    IF moved.agreement_id IS NOT NULL THEN
        {_refuse("lent seats come from who lends them, and go back there")}
    END IF;
    IF moved.onward_step IS NOT NULL AND NEW.kind = 'grant' THEN
        {_refuse("these seats come at a cut-off only")}
    END IF;
    RETURN NULL;
END $$
"""

# As services/training/domain/carry_over.py has it.
_CARRY = f"""
CREATE FUNCTION guard_carry_over() {_TRIGGER} $$
DECLARE
    ended decision_allotment;
    follows decision_allotment;
    over_at timestamptz;
BEGIN
    SELECT * INTO ended FROM decision_allotment WHERE id = NEW.from_allotment_id;
    SELECT * INTO follows FROM decision_allotment WHERE id = NEW.to_allotment_id;
    PERFORM FROM sub_committee s JOIN decision d ON d.sub_committee_id = s.id
    WHERE d.id IN (ended.decision_id, follows.decision_id) ORDER BY s.id FOR UPDATE OF s;
    IF NOT ended.carries_over OR follows.quarter IS DISTINCT FROM ended.quarter + 1
        OR follows.fiscal_year IS DISTINCT FROM ended.fiscal_year
        OR (follows.system, follows.field) IS DISTINCT FROM (ended.system, ended.field)
        OR NOT (follows.municipalities @> ended.municipalities AND follows.municipalities <@ ended.municipalities)
    THEN
        {_refuse("seats are carried over as the decision says, into the next quarter")}
    END IF;
    over_at := (make_date(ended.fiscal_year, 4, 1) + make_interval(months => ended.quarter * 3))
        AT TIME ZONE 'Asia/Tokyo';
    IF NEW.at < over_at OR NOT decision_in_force(ended.id, over_at - interval '1 microsecond')
        OR NOT decision_in_force(follows.id, NEW.at)
    THEN
        {_refuse("the quarter is not over, or nothing in force comes after it")}
    END IF;
    IF allotment_seats(ended.id) - allotment_used(ended.id) < NEW.seats THEN
        {_refuse("more is carried over than is left")}
    END IF;
    RETURN NEW;
END $$
"""


def _grants(seats: str) -> str:
    """As `training_0007` made it, with what an allotment's number is once seats were carried over."""
    return f"""
CREATE OR REPLACE FUNCTION guard_delegated_grants() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = training, pg_temp AS $$
DECLARE
    allotted record;
BEGIN
    IF NOT EXISTS (SELECT FROM entered WHERE kind = 'grant') THEN
        RETURN NULL;
    END IF;
    IF EXISTS (
        SELECT FROM entered e JOIN pool p ON p.id = e.pool_id
        WHERE e.kind = 'grant' AND p.kind = 'delegated' AND p.decision_allotment_id IS NULL
    ) THEN
        {_refuse("no seat is delegated without a decision")}
    END IF;
    PERFORM FROM sub_committee s WHERE s.id IN (
        SELECT d.sub_committee_id FROM entered e JOIN pool p ON p.id = e.pool_id
        JOIN decision_allotment a ON a.id = p.decision_allotment_id JOIN decision d ON d.id = a.decision_id
        WHERE e.kind = 'grant'
    ) ORDER BY s.id FOR UPDATE;
    FOR allotted IN
        SELECT a.id, a.seats, min(e.at) AS first_at, GREATEST(max(e.at), max(s.last_at)) AS at,
               bool_and(p.municipalities <@ a.municipalities AND allotment_covers(a, c)) AS is_named
        FROM entered e
        JOIN pool p ON p.id = e.pool_id
        JOIN course_run c ON c.id = e.course_run_id
        JOIN decision_allotment a ON a.id = p.decision_allotment_id
        JOIN decision d ON d.id = a.decision_id
        JOIN sub_committee s ON s.id = d.sub_committee_id
        WHERE e.kind = 'grant'
        GROUP BY a.id
    LOOP
        IF allotted.first_at < transaction_timestamp() THEN
            {_refuse("a seat is granted at the time of the database")}
        END IF;
        IF NOT decision_in_force(allotted.id, allotted.at) THEN
            {_refuse("no seat is delegated without a decision in force")}
        END IF;
        IF NOT allotted.is_named THEN
            {_refuse("that allotment is for other municipalities or courses")}
        END IF;
        IF allotment_used(allotted.id) > {seats} THEN
            {_refuse("more seats than were allotted")}
        END IF;
    END LOOP;
    RETURN NULL;
END $$
"""


_TRIGGERS = """
CREATE TRIGGER decision_onward AFTER INSERT ON decision FOR EACH ROW EXECUTE FUNCTION decision_onward();
CREATE TRIGGER guard_agreement_step BEFORE INSERT ON agreement_step FOR EACH ROW
    EXECUTE FUNCTION guard_agreement_step();
CREATE TRIGGER recall_lent_seats AFTER INSERT ON agreement_step FOR EACH ROW
    WHEN (NEW.step IN ('recalled', 'given_back')) EXECUTE FUNCTION recall_lent_seats();
CREATE TRIGGER count_moved_seats AFTER INSERT ON seat_entry FOR EACH ROW WHEN (NEW.to_pool_id IS NOT NULL)
    EXECUTE FUNCTION count_moved_seats();
CREATE TRIGGER guard_swaps AFTER INSERT ON seat_entry REFERENCING NEW TABLE AS entered
    FOR EACH STATEMENT EXECUTE FUNCTION guard_swaps();
CREATE TRIGGER guard_moved_pool AFTER INSERT ON seat_entry FOR EACH ROW WHEN (NEW.kind IN ('grant', 'return'))
    EXECUTE FUNCTION guard_moved_pool();
CREATE TRIGGER guard_carry_over BEFORE INSERT ON allotment_entry FOR EACH ROW EXECUTE FUNCTION guard_carry_over();
REVOKE ALL ON FUNCTION decision_onward(), guard_agreement_step(), recall_lent_seats(), count_moved_seats(),
    guard_swaps(), guard_moved_pool(), guard_carry_over() FROM PUBLIC
"""

_BEFORE = """
DROP FUNCTION decision_onward() CASCADE;
DROP FUNCTION guard_agreement_step() CASCADE;
DROP FUNCTION recall_lent_seats() CASCADE;
DROP FUNCTION count_moved_seats() CASCADE;
DROP FUNCTION guard_swaps() CASCADE;
DROP FUNCTION guard_moved_pool() CASCADE;
DROP FUNCTION guard_carry_over() CASCADE;
DROP FUNCTION returns_percent_of(pool);
DROP FUNCTION next_municipalities_of(pool)
"""


def upgrade() -> None:
    cut_off = _CUT_OFF.format(percent="returns_percent_of(p) AS returns_percent")
    for function in (
        _ONWARD,
        _STEP,
        _RECALL,
        _POOL,
        _PERCENT,
        _NEXT,
        cut_off,
        _MOVE,
        _SWAP,
        _SHARED_OUT,
        _CARRY,
        _grants("allotment_seats(allotted.id)"),
    ):
        op.execute(function)
    _each(_TRIGGERS)


def downgrade() -> None:
    for function in (_grants("allotted.seats"), _CUT_OFF.format(percent="a.returns_percent"), _POOL_BEFORE):
        op.execute(function)
    _each(_BEFORE)


def _each(statements: str) -> None:
    """asyncpg prepares what it is given, and can prepare one statement at a time only."""
    for statement in statements.split(";\n"):
        op.execute(statement)
