"""What the database refuses by itself about the sub-committee (分科会), whatever a caller's code does.

Triggers count each vote themselves and refuse another outcome; no decision without a vote that passed, or the chair's
mark; what was voted on is what is decided, since the database alone copies it; and no two decisions contradict.
"""

# ruff: noqa: S608  (put together from this file's own words)

from alembic import op

revision = "training_0005_guards"
down_revision = "training_0005"
branch_labels = None
depends_on = None

_GUARD = """
CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = training, pg_temp AS $$
{body}
$$
"""
# Whoever writes about a sub-committee waits for whoever does: what is checked here still holds when it is committed.
_LOCK = "PERFORM FROM sub_committee c WHERE c.id = {of} FOR UPDATE;"
_LOCK_OF_MEETING = _LOCK.format(of="(SELECT sub_committee_id FROM committee_meeting WHERE id = NEW.meeting_id)")
_LOCK_OF_MOTION = _LOCK.format(of="(SELECT sub_committee_id FROM motion WHERE id = NEW.motion_id)")
_LOCK_OF_BALLOT = _LOCK.format(of="(SELECT sub_committee_id FROM ballot WHERE id = NEW.ballot_id)")


def _refuse(because: str) -> str:
    return f"RAISE EXCEPTION '{because}' USING ERRCODE = 'check_violation';"


_MEETING_IS_OVER = (
    "EXISTS (SELECT FROM meeting_step WHERE meeting_id = NEW.meeting_id AND step IN ('closed', 'cancelled'))"
)
_ROLL_IS_CALLED = (
    "EXISTS (SELECT FROM meeting_step s JOIN committee_meeting m ON m.id = s.meeting_id WHERE m.id = NEW.meeting_id"
    " AND s.step = CASE m.kind WHEN 'meeting' THEN 'held' ELSE 'convened' END)"
)

_GUARDS = {
    # A roll is written before the votes, names members only, and leaves none of them out (the step below looks).
    "meeting_roll": f"""
BEGIN
    {_LOCK_OF_MEETING}
    IF {_ROLL_IS_CALLED} OR {_MEETING_IS_OVER} THEN
        {_refuse("the roll of this meeting is closed")}
    END IF;
    IF NOT EXISTS (
        SELECT FROM committee_member c JOIN committee_meeting m ON m.sub_committee_id = c.sub_committee_id
        WHERE c.id = NEW.member_id AND m.id = NEW.meeting_id AND (c.voting, c.presides) = (NEW.voting, NEW.presides)
    ) THEN
        {_refuse("only members stand on the roll, as what they are")}
    END IF;
    RETURN NEW;
END""",
    "meeting_agenda": f"""
BEGIN
    {_LOCK_OF_MEETING}
    IF {_ROLL_IS_CALLED} OR {_MEETING_IS_OVER} THEN
        {_refuse("the agenda of this meeting is closed")}
    END IF;
    RETURN NEW;
END""",
    "meeting_step": f"""
DECLARE
    meeting committee_meeting;
    steps text[];
    on_day date;
BEGIN
    {_LOCK_OF_MEETING}
    SELECT * INTO meeting FROM committee_meeting WHERE id = NEW.meeting_id;
    SELECT array_agg(step) INTO steps FROM meeting_step WHERE meeting_id = NEW.meeting_id;
    steps := coalesce(steps, '{{}}');
    IF steps && ARRAY['closed', 'cancelled']
        OR (NEW.step = 'held' AND (meeting.kind <> 'meeting' OR NOT steps @> ARRAY['convened']))
        OR (NEW.step = 'closed'
            AND NOT steps @> ARRAY[CASE meeting.kind WHEN 'meeting' THEN 'held' ELSE 'convened' END])
        OR (NEW.step = 'cancelled'
            AND (steps @> ARRAY['held'] OR EXISTS (SELECT FROM ballot WHERE meeting_id = meeting.id)))
        OR (NEW.step = 'closed' AND EXISTS (
            SELECT FROM ballot b WHERE b.meeting_id = meeting.id
            AND NOT EXISTS (SELECT FROM ballot_end e WHERE e.ballot_id = b.id)))
    THEN
        {_refuse("this meeting can not take that step")}
    END IF;
    IF NEW.step = (CASE meeting.kind WHEN 'meeting' THEN 'held' ELSE 'convened' END) THEN
        on_day := coalesce(meeting.held_on, CAST(NEW.at AT TIME ZONE 'Asia/Tokyo' AS date));
        IF EXISTS (
            SELECT FROM (
                SELECT c.id FROM committee_member c LEFT JOIN committee_member_end e ON e.member_id = c.id
                WHERE c.sub_committee_id = meeting.sub_committee_id AND c.from_on <= on_day
                    AND coalesce(on_day <= e.until_on, true)
            ) AS sitting
            FULL JOIN (SELECT member_id FROM meeting_roll WHERE meeting_id = meeting.id) AS roll
                ON roll.member_id = sitting.id
            WHERE roll.member_id IS NULL OR sitting.id IS NULL
        ) THEN
            {_refuse("the roll is not the list of members of that day")}
        END IF;
    END IF;
    RETURN NEW;
END""",
    "motion_version": f"""
BEGIN
    {_LOCK_OF_MOTION}
    IF NEW.version <> 1 + coalesce((SELECT max(version) FROM motion_version WHERE motion_id = NEW.motion_id), 0) THEN
        {_refuse("the versions of a motion follow one another")}
    END IF;
    IF EXISTS (SELECT FROM decision WHERE motion_id = NEW.motion_id)
        OR EXISTS (SELECT FROM motion_withdrawal WHERE motion_id = NEW.motion_id)
        OR EXISTS (
            SELECT FROM ballot b LEFT JOIN ballot_end e ON e.ballot_id = b.id
            WHERE b.motion_id = NEW.motion_id AND coalesce(e.outcome <> 'no_quorum', true)
        )
    THEN
        {_refuse("nothing is edited once it was put to the vote or decided")}
    END IF;
    RETURN NEW;
END""",
    "motion_withdrawal": f"""
BEGIN
    {_LOCK_OF_MOTION}
    IF EXISTS (SELECT FROM decision WHERE motion_id = NEW.motion_id) THEN
        {_refuse("what is decided can not be withdrawn")}
    END IF;
    RETURN NEW;
END""",
    "ballot": f"""
DECLARE
    made decision;
BEGIN
    {_LOCK.format(of="NEW.sub_committee_id")}
    IF NOT {_ROLL_IS_CALLED} OR {_MEETING_IS_OVER} THEN
        {_refuse("no votes are taken in this meeting")}
    END IF;
    SELECT * INTO made FROM decision WHERE motion_id = NEW.motion_id;
    IF EXISTS (SELECT FROM motion_withdrawal WHERE motion_id = NEW.motion_id)
        OR (NEW.purpose = 'decide') <> (made.id IS NULL)
        OR NEW.motion_version <> coalesce(
            made.motion_version, (SELECT max(version) FROM motion_version WHERE motion_id = NEW.motion_id))
        OR EXISTS (
            SELECT FROM ballot b LEFT JOIN ballot_end e ON e.ballot_id = b.id
            WHERE b.motion_id = NEW.motion_id AND coalesce(e.outcome <> 'no_quorum', true)
        )
        OR (made.id IS NOT NULL AND coalesce(made.ratify_before <= NEW.opened_at, true))
    THEN
        {_refuse("this motion can not be put to the vote")}
    END IF;
    RETURN NEW;
END""",
    "vote": f"""
DECLARE
    place meeting_roll;
    meeting committee_meeting;
BEGIN
    {_LOCK_OF_BALLOT}
    SELECT * INTO place FROM meeting_roll WHERE meeting_id = NEW.meeting_id AND member_id = NEW.member_id;
    SELECT * INTO meeting FROM committee_meeting WHERE id = NEW.meeting_id;
    IF EXISTS (SELECT FROM ballot_end WHERE ballot_id = NEW.ballot_id) THEN
        {_refuse("this vote is closed")}
    END IF;
    IF place.member_id IS NOT NULL AND NOT (place.voting AND (meeting.kind = 'written' OR place.present)) THEN
        {_refuse("only voting members vote, and in a meeting only those present")}
    END IF;
    IF NEW.at > meeting.answers_by THEN
        {_refuse("the answer comes too late")}
    END IF;
    RETURN NEW;
END""",
    "ballot_end": f"""
DECLARE
    put ballot;
    meeting committee_meeting;
    rule committee_rule;
    counted record;
    base integer;
    truth text;
BEGIN
    {_LOCK_OF_BALLOT}
    SELECT * INTO put FROM ballot WHERE id = NEW.ballot_id;
    SELECT * INTO meeting FROM committee_meeting WHERE id = put.meeting_id;
    SELECT * INTO rule FROM committee_rule
    WHERE sub_committee_id = put.sub_committee_id AND version = put.rule_version;
    SELECT count(*) AS entitled,
           count(*) FILTER (
               WHERE CASE meeting.kind WHEN 'meeting' THEN r.present ELSE v.choice IS NOT NULL END
           ) AS present,
           count(v.choice) AS voted,
           count(*) FILTER (WHERE v.choice = 'for') AS fors,
           count(*) FILTER (WHERE v.choice = 'against') AS againsts,
           count(*) FILTER (WHERE v.choice = 'abstain') AS abstentions,
           coalesce(bool_or(r.presides AND v.choice = 'for'), false) AS chair_is_for
    INTO counted
    FROM meeting_roll r LEFT JOIN vote v ON v.ballot_id = put.id AND v.member_id = r.member_id
    WHERE r.meeting_id = put.meeting_id AND r.voting;
    base := CASE meeting.kind WHEN 'meeting' THEN counted.present ELSE counted.entitled END;
    truth := CASE
        WHEN EXISTS (SELECT FROM motion_withdrawal WHERE motion_id = put.motion_id) THEN 'withdrawn'
        WHEN NOT share_reached(CAST(counted.present AS integer), CAST(counted.entitled AS integer),
            rule.quorum_parts, rule.quorum_of, rule.quorum_more_than) THEN 'no_quorum'
        WHEN share_reached(CAST(counted.fors AS integer), base,
                rule.majority_parts, rule.majority_of, rule.majority_more_than)
            OR (rule.chair_breaks_ties AND counted.chair_is_for AND counted.fors = counted.againsts
                AND share_reached(CAST(counted.fors + 1 AS integer), base,
                    rule.majority_parts, rule.majority_of, rule.majority_more_than)) THEN 'passed'
        ELSE 'rejected' END;
    IF truth <> 'withdrawn' AND counted.voted < base AND coalesce(NEW.at <= meeting.answers_by, true) THEN
        {_refuse("votes are missing")}
    END IF;
    IF (NEW.outcome, NEW.entitled, NEW.present, NEW.fors, NEW.againsts, NEW.abstentions) IS DISTINCT FROM
        (truth, CAST(counted.entitled AS integer), CAST(counted.present AS integer), CAST(counted.fors AS integer),
         CAST(counted.againsts AS integer), CAST(counted.abstentions AS integer))
    THEN
        {_refuse("the votes were counted otherwise")}
    END IF;
    RETURN NEW;
END""",
    "decision": f"""
DECLARE
    proposal motion_version;
BEGIN
    {_LOCK.format(of="NEW.sub_committee_id")}
    SELECT * INTO proposal FROM motion_version WHERE motion_id = NEW.motion_id AND version = NEW.motion_version;
    IF EXISTS (SELECT FROM motion_withdrawal WHERE motion_id = NEW.motion_id) THEN
        {_refuse("a motion that was withdrawn decides nothing")}
    END IF;
    IF NEW.ballot_id IS NOT NULL AND NOT EXISTS (
        SELECT FROM ballot b JOIN ballot_end e ON e.ballot_id = b.id
        WHERE b.id = NEW.ballot_id AND b.purpose = 'decide' AND e.outcome = 'passed'
            AND (b.motion_id, b.motion_version) = (NEW.motion_id, NEW.motion_version)
    ) THEN
        {_refuse("no decision without a vote that passed")}
    END IF;
    IF NEW.ballot_id IS NULL AND (
        EXISTS (
            SELECT FROM ballot b LEFT JOIN ballot_end e ON e.ballot_id = b.id
            WHERE b.motion_id = NEW.motion_id AND coalesce(e.outcome <> 'no_quorum', true)
        )
        OR NEW.motion_version <> (SELECT max(version) FROM motion_version WHERE motion_id = NEW.motion_id)
        OR NOT EXISTS (
            SELECT FROM committee_member c LEFT JOIN committee_member_end e ON e.member_id = c.id
            WHERE c.id = NEW.decided_by_member AND c.sub_committee_id = NEW.sub_committee_id AND c.presides
                AND CAST(NEW.decided_at AT TIME ZONE 'Asia/Tokyo' AS date)
                    BETWEEN c.from_on AND coalesce(e.until_on, 'infinity')
        )
    ) THEN
        {_refuse("only the chair decides urgently, on what was not put to the vote")}
    END IF;
    IF NEW.effective_at <> GREATEST(
            NEW.decided_at, CAST(proposal.effective_from AS timestamp) AT TIME ZONE 'Asia/Tokyo')
        OR NEW.ends_at IS DISTINCT FROM CAST(proposal.ends_on + 1 AS timestamp) AT TIME ZONE 'Asia/Tokyo'
    THEN
        {_refuse("a decision takes effect and ends as its motion says")}
    END IF;
    RETURN NEW;
END""",
    "ratification": f"""
BEGIN
    {_LOCK_OF_BALLOT}
    IF NOT EXISTS (
        SELECT FROM decision d
        JOIN ballot b ON b.id = NEW.ballot_id AND b.purpose = 'ratify' AND b.motion_id = d.motion_id
        JOIN ballot_end e ON e.ballot_id = b.id
        WHERE d.id = NEW.decision_id AND d.ratify_before > NEW.at
            AND e.outcome = CASE NEW.outcome WHEN 'ratified' THEN 'passed' ELSE 'rejected' END
    ) THEN
        {_refuse("a decision is ratified by a vote, in time")}
    END IF;
    RETURN NEW;
END""",
}

# What was voted on is what is decided: the login role can't write these two tables, only this can.
_COPY = """
CREATE FUNCTION decision_content() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = training, pg_temp AS $$
DECLARE
    gone uuid;
BEGIN
    INSERT INTO decision_supersedes (decision_id, superseded_id)
    SELECT NEW.id, unnest(supersedes) FROM motion_version
    WHERE motion_id = NEW.motion_id AND version = NEW.motion_version;
    INSERT INTO decision_allotment (decision_id, number, municipalities, course_number, system, field, quarter,
        fiscal_year, seats, cut_off_on, returns_percent, lendable)
    SELECT NEW.id, a.number, a.municipalities, a.course_number, a.system, a.field, a.quarter, a.fiscal_year, a.seats,
        a.cut_off_on, a.returns_percent, a.lendable
    FROM motion_version v CROSS JOIN LATERAL ROWS FROM (jsonb_to_recordset(v.content -> 'allotments') AS (
        municipalities text[], course_number text, system text, field text, quarter integer, fiscal_year integer,
        seats integer, cut_off_on date, returns_percent integer, lendable boolean
    )) WITH ORDINALITY AS a (municipalities, course_number, system, field, quarter, fiscal_year, seats, cut_off_on,
        returns_percent, lendable, number)
    WHERE v.motion_id = NEW.motion_id AND v.version = NEW.motion_version;
    SELECT s.superseded_id INTO gone
    FROM decision_supersedes s JOIN decision prior ON prior.id = s.superseded_id
    JOIN motion theirs ON theirs.id = prior.motion_id JOIN motion mine ON mine.id = NEW.motion_id
    WHERE s.decision_id = NEW.id AND (
        prior.sub_committee_id <> NEW.sub_committee_id OR theirs.about <> mine.about
        OR LEAST(
            coalesce(prior.ends_at, 'infinity'),
            (SELECT l.lapses_at FROM decision_life l WHERE l.id = prior.id AND l.lapses_at <= NEW.decided_at),
            (SELECT min(newer.effective_at)
             FROM decision_supersedes by JOIN decision_life newer ON newer.id = by.decision_id
             WHERE by.superseded_id = prior.id AND by.decision_id <> NEW.id AND newer.lapses_at IS NULL)
        ) <= NEW.effective_at
    ) LIMIT 1;
    IF gone IS NOT NULL THEN
        RAISE EXCEPTION 'there is nothing left of decision % to supersede', gone USING ERRCODE = 'check_violation';
    END IF;
    SELECT theirs.decision_id INTO gone
    FROM decision_allotment mine
    JOIN decision_allotment theirs ON theirs.decision_id <> NEW.id AND mine.municipalities && theirs.municipalities
        AND allotments_overlap(mine, theirs)
    JOIN decision_life prior ON prior.id = theirs.decision_id
    WHERE mine.decision_id = NEW.id
        AND NOT EXISTS (
            SELECT FROM decision_supersedes s WHERE s.decision_id = NEW.id AND s.superseded_id = theirs.decision_id
        )
        AND GREATEST(NEW.effective_at, prior.effective_at)
            < LEAST(coalesce(NEW.ends_at, 'infinity'), decision_closes_at(prior.id, NEW.decided_at))
    LIMIT 1;
    IF gone IS NOT NULL THEN
        RAISE EXCEPTION 'contradicts decision % in force', gone USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$
"""


def upgrade() -> None:
    for table, body in _GUARDS.items():
        _guard(table, f"guard_{table}", _GUARD.format(name=f"guard_{table}", body=body), "BEFORE")
    _guard("decision", "decision_content", _COPY, "AFTER")


def _guard(table: str, name: str, function: str, when: str) -> None:
    op.execute(function)
    op.execute(f"REVOKE ALL ON FUNCTION {name}() FROM PUBLIC")
    op.execute(f"CREATE TRIGGER {name} {when} INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION {name}()")


def downgrade() -> None:
    for table in _GUARDS:
        op.execute(f"DROP FUNCTION guard_{table}() CASCADE")
    op.execute("DROP FUNCTION decision_content() CASCADE")
