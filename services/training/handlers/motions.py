"""Motions: tabled, amended, put to the vote, voted on, and what becomes of them."""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.training.domain import decisions as in_force
from services.training.domain import deliberation as counting
from services.training.domain.decisions import Decision
from services.training.domain.deliberation import Choice, Meeting, Outcome, Place, Tally
from services.training.domain.motions import (
    About,
    Motion,
    MotionState,
    Move,
    Proposal,
    Purpose,
    in_vain,
    legal_moves,
    propose,
)
from services.training.domain.refusals import Denied, NotNow
from services.training.handlers.deliberation import keeper_only, keeps_record, lock
from services.training.tables import decisions
from services.training.tables import deliberation as record
from services.training.tables.decisions import Made
from services.training.tables.deliberation import Committee, rules_of
from shared.auth import Actor, Role
from shared.bus.envelope import new_id
from shared.bus.mailbox import emit
from shared.events import Event, QuotaDecided, QuotaLapsed, QuotaRatified, QuotaSuperseded
from shared.problems import FORBIDDEN, NOT_FOUND, Problem
from shared.service import JST, day_in_japan, expect, working_day_after

Stopped = Denied | NotNow
"""Why something was not done."""


async def table_motion(
    session: AsyncSession,
    sub_committee_id: UUID,
    about: About,
    proposal: Proposal,
    *,
    proposed_by: str,
    actor: Actor,
    now: datetime,
) -> Motion | Denied:
    """A motion, in its first version."""
    committee = await lock(session, sub_committee_id, actor=actor, now=now)
    denied = propose(about, proposal, prefecture=committee.prefecture)
    if denied is not None:
        return denied
    motion = Motion(new_id(), committee.id, about, version=1)
    await decisions.add_motion(session, motion, proposed_by=proposed_by, by=actor.agency, now=committee.now)
    await decisions.add_version(session, motion.id, 1, proposal, by=actor.agency, now=committee.now)
    return motion


async def amend_motion(
    session: AsyncSession, motion_id: UUID, proposal: Proposal, *, read: int, actor: Actor, now: datetime
) -> Motion | Stopped:
    """The motion as it is to read now; the versions before stay. 412 if somebody else amended it meanwhile."""
    committee, motion = await _lock_motion(session, motion_id, Move.AMEND, actor=actor, now=now)
    if isinstance(motion, NotNow):
        return motion
    expect(motion.version, read)
    denied = propose(motion.about, proposal, prefecture=committee.prefecture)
    if denied is not None:
        return denied
    amended = replace(motion, version=motion.version + 1)
    await decisions.add_version(session, motion.id, amended.version, proposal, by=actor.agency, now=committee.now)
    return amended


async def withdraw_motion(session: AsyncSession, motion_id: UUID, *, actor: Actor, now: datetime) -> Motion | Stopped:
    """A motion is taken back, also while it is voted on."""
    committee, motion = await _lock_motion(session, motion_id, Move.WITHDRAW, actor=actor, now=now)
    if isinstance(motion, NotNow):
        return motion
    await decisions.withdraw(session, motion.id, by=actor.agency, now=committee.now)
    if motion.state is MotionState.UNDER_VOTE:
        voting = await _voting(session, committee, motion.id)
        tally = counting.count(voting.meeting.kind, voting.roll, voting.votes)
        await decisions.end_ballot(session, voting.ballot_id, "withdrawn", tally, by=actor.agency, now=committee.now)
    return replace(motion, withdrawn=True)


# --- the vote -------------------------------------------------------------------------------------------------------


async def put_motion(
    session: AsyncSession, motion_id: UUID, meeting_id: UUID, *, actor: Actor, now: datetime
) -> Motion | Stopped:
    """Put it to the vote in a meeting that has it on its agenda; or put an urgent decision on it up for ratification.

    What would contradict a decision in force is found before anybody votes on it.
    """
    committee, motion = await _lock_motion(session, motion_id, Move.PUT, actor=actor, now=now)
    if isinstance(motion, NotNow):
        return motion
    meeting = await record.find_meeting(session, committee.id, meeting_id)
    if meeting is None:
        raise Problem(NOT_FOUND)
    if not meeting.votes or meeting.answers_are_late(committee.now):
        return Denied("no_votes_are_taken", "meeting_id")
    if not await record.is_on_agenda(session, meeting.id, motion.id):
        return Denied("not_on_the_agenda", "meeting_id")
    earlier = [
        row for row in await decisions.read_ballots(session, motion_id=motion.id) if row.meeting_id == meeting.id
    ]
    if any(row.purpose == motion.purpose for row in earlier):
        return Denied("put_once_in_a_meeting", "meeting_id")
    if motion.purpose is Purpose.DECIDE:
        found = await _decide(session, committee, motion)
        if isinstance(found, Denied):
            return found
    version, _ = await record.rules_on(session, committee.id, meeting.held_on or day_in_japan(committee.now))
    values = {
        "id": new_id(),
        "sub_committee_id": committee.id,
        "meeting_id": meeting.id,
        "motion_id": motion.id,
        "motion_version": motion.version,
        "rule_version": version,
        "purpose": motion.purpose.value,
        "now": committee.now,
        "by": actor.agency,
    }
    await decisions.add_ballot(session, values)
    return replace(motion, ballots=[*motion.ballots, (motion.purpose, None)])


@dataclass(frozen=True, slots=True)
class _Voting:
    """A vote that is going on."""

    ballot_id: UUID
    purpose: Purpose
    meeting: Meeting
    roll: list[Place]
    votes: dict[UUID, Choice]
    rules: counting.Rules


async def _voting(session: AsyncSession, committee: Committee, motion_id: UUID) -> _Voting:
    row = await decisions.find_open_ballot(session, motion_id)
    assert row is not None
    meeting = await record.find_meeting(session, committee.id, row.meeting_id)
    assert meeting is not None
    roll = await record.read_roll(session, meeting.id)
    votes = await decisions.read_votes(session, row.id)
    return _Voting(row.id, Purpose(row.purpose), meeting, roll, votes, rules_of(row))


async def vote(
    session: AsyncSession,
    motion_id: UUID,
    member_id: UUID,
    choice: Choice,
    dissent: str | None,
    *,
    actor: Actor,
    now: datetime,
) -> Motion | Stopped:
    """A seat's vote, by its own body. In a meeting the keeper of the record may write down a show of hands."""
    committee, motion = await _lock_any(session, motion_id, now)
    if Move.VOTE not in legal_moves(motion):
        return NotNow(legal_moves(motion))
    voting = await _voting(session, committee, motion.id)
    place = next((each for each in voting.roll if each.member_id == member_id), None)
    _own_seat_only(place, voting.meeting, committee, actor)
    denied = counting.vote(voting.meeting, place, has_voted=member_id in voting.votes, now=committee.now)
    if denied is not None:
        return denied
    values = {
        "id": voting.ballot_id,
        "member_id": member_id,
        "meeting_id": voting.meeting.id,
        "choice": choice.value,
        "dissent": dissent,
        "now": committee.now,
        "by": actor.agency,
    }
    await decisions.add_vote(session, values)
    return motion


def _own_seat_only(place: Place | None, meeting: Meeting, committee: Committee, actor: Actor) -> None:
    writes_hands_down = (
        meeting.kind is counting.MeetingKind.MEETING
        and Role.PLANNER in actor.roles
        and keeps_record(actor, committee.prefecture)
    )
    if (place is None or place.agency != actor.agency) and not writes_hands_down:
        raise Problem(
            FORBIDDEN,
            detail="A body votes for its own seat only.",
            detail_ja="自機関の委員としてだけ投票できます。",
        )


@dataclass(frozen=True, slots=True)
class Concluded:
    """What a vote came to, and the decision that was made, ratified or refused by it."""

    outcome: Outcome
    tally: Tally
    decision_id: UUID | None


async def conclude_motion(
    session: AsyncSession, motion_id: UUID, *, actor: Actor, now: datetime
) -> Concluded | Stopped:
    """Close the vote and count it. What passed is a decision from this moment on."""
    committee, motion = await _lock_motion(session, motion_id, Move.CONCLUDE, actor=actor, now=now)
    if isinstance(motion, NotNow):
        return motion
    voting = await _voting(session, committee, motion.id)
    counted = counting.conclude_vote(voting.meeting, voting.roll, voting.votes, voting.rules, now=committee.now)
    if isinstance(counted, Denied):
        return counted
    outcome, tally = counted
    decision: Decision | None = None
    if voting.purpose is Purpose.DECIDE and outcome is Outcome.PASSED:
        found = await _decide(session, committee, motion)
        if isinstance(found, Denied):
            return found
        decision = found
    await decisions.end_ballot(session, voting.ballot_id, outcome.value, tally, by=actor.agency, now=committee.now)
    if decision is not None:
        await _make(session, committee, motion, decision, actor=actor, ballot_id=voting.ballot_id)
    if voting.purpose is Purpose.RATIFY and outcome is not Outcome.NO_QUORUM:
        await _ratify(session, committee, motion, voting.ballot_id, ratified=outcome is Outcome.PASSED)
    return Concluded(outcome, tally, motion.decision_id if decision is None else decision.id)


async def decide_urgently(
    session: AsyncSession, motion_id: UUID, member_id: UUID, *, actor: Actor, now: datetime
) -> Motion | Stopped:
    """The chair decides alone (専決): in force at once, and gone unless a vote ratifies it in time."""
    committee, motion = await _lock_motion(session, motion_id, Move.DECIDE_URGENTLY, actor=actor, now=now)
    if isinstance(motion, NotNow):
        return motion
    today = day_in_japan(committee.now)
    seats = await record.read_seats(session, committee.id)
    if not any(seat.id == member_id and seat.presides and seat.sits_on(today) for seat in seats):
        return Denied("only_the_chair", "member_id")
    decision = await _decide(session, committee, motion, ratify_before=await _ratify_before(session, committee))
    if isinstance(decision, Denied):
        return decision
    await _make(session, committee, motion, decision, actor=actor, chair=member_id)
    return replace(motion, decision_id=decision.id, urgent=True)


# --- decisions ------------------------------------------------------------------------------------------------------


async def _decide(
    session: AsyncSession, committee: Committee, motion: Motion, *, ratify_before: datetime | None = None
) -> Decision | Denied:
    """The decision on a motion, if it were made now, unless it contradicts one that is in force."""
    book = await decisions.read_book(session, committee.id)
    proposal = decisions.proposal_of((await decisions.read_versions(session, motion.id))[-1])
    wanted = Decision(
        id=new_id(),
        kind=motion.about.value,
        number="",
        # Nothing is in force before it was decided.
        effective_at=max(committee.now, begin_of(proposal.effective_from)),
        ends_at=None if proposal.ends_on is None else begin_of(proposal.ends_on + timedelta(days=1)),
        ratify_before=ratify_before,
        supersedes=proposal.supersedes,
        allotments=tuple(line.allotment for line in proposal.allotments),
    )
    denied = in_vain(proposal, day_in_japan(wanted.effective_at)) or in_force.decide(wanted, book, now=committee.now)
    return replace(wanted, version=in_force.next_version(wanted, book)) if denied is None else denied


async def _make(
    session: AsyncSession,
    committee: Committee,
    motion: Motion,
    decision: Decision,
    *,
    actor: Actor,
    ballot_id: UUID | None = None,
    chair: UUID | None = None,
) -> None:
    """The decision stands, and is told."""
    year = fiscal_year(day_in_japan(committee.now))
    made = Made(
        motion.id,
        motion.version,
        year,
        await decisions.next_serial(session, committee.id, year),
        committee.now,
        ballot_id,
        chair,
    )
    await decisions.add_decision(session, committee.id, decision, made, by=actor.agency)
    await _tell_decided(session, committee, motion, decision)


def begin_of(day: date) -> datetime:
    """The moment at which a day begins in Japan."""
    return datetime.combine(day, time(), JST).astimezone(UTC)


def fiscal_year(day: date) -> int:
    """年度: from April on."""
    return day.year if day.month >= 4 else day.year - 1


async def _ratify_before(session: AsyncSession, committee: Committee) -> datetime:
    """The end of the last working day: the moment at which the next day begins (民法 Art. 141)."""
    today = day_in_japan(committee.now)
    _, rules = await record.rules_on(session, committee.id, today)
    return begin_of(working_day_after(today, rules.ratify_within) + timedelta(days=1))


async def _ratify(
    session: AsyncSession, committee: Committee, motion: Motion, ballot_id: UUID, *, ratified: bool
) -> None:
    """By a vote that came in time; after that there is nothing left to ratify, and the sweep says so."""
    assert motion.decision_id is not None
    book = await decisions.read_book(session, committee.id)
    if in_force.ratify(book[motion.decision_id], committee.now) is not None:
        return
    await decisions.ratify(session, motion.decision_id, ballot_id, ratified=ratified, now=committee.now)
    if not ratified:
        await _tell_lapsed(session, committee, motion.decision_id, committee.now, "refused")
        return
    event = QuotaRatified(decision_id=motion.decision_id, prefecture=committee.prefecture)
    await _tell(session, motion.decision_id, "ratified", event, committee.now)


async def lapse_next(session: AsyncSession, now: datetime) -> bool:
    """An urgent decision lapsed by itself when its time was over; here it is told, once."""
    found = await record.lock_next_lapsed(session, now)
    if found is None:
        return False
    sub_committee_id, decision_id = found
    committee = await record.lock_committee(session, sub_committee_id, now)
    assert committee is not None
    # Read again under the lock: it may have been ratified while we looked for it.
    decision = (await decisions.read_book(session, committee.id))[decision_id]
    if decision.refused_at is None and decision.lapses_at is not None:
        await _tell_lapsed(session, committee, decision_id, decision.lapses_at, "not_ratified")
    return True


# --- telling --------------------------------------------------------------------------------------------------------


async def _tell_decided(session: AsyncSession, committee: Committee, motion: Motion, decision: Decision) -> None:
    newest = decisions.proposal_of((await decisions.read_versions(session, motion.id))[-1])
    event = QuotaDecided(
        decision_id=decision.id,
        prefecture=committee.prefecture,
        kind=decision.kind,
        effective_at=decision.effective_at,
        ends_at=decision.ends_at,
        cut_off_on=min((line.cut_off_on for line in newest.allotments), default=None),
        urgent=decision.ratify_before is not None,
        ratify_before=decision.ratify_before,
    )
    await _tell(session, decision.id, "decided", event, committee.now)
    for old in sorted(decision.supersedes):
        superseded = QuotaSuperseded(
            decision_id=old,
            prefecture=committee.prefecture,
            by_decision=decision.id,
            superseded_at=decision.effective_at,
        )
        await _tell(session, old, "superseded", superseded, committee.now, by_decision=decision.id)


async def _tell_lapsed(
    session: AsyncSession, committee: Committee, decision_id: UUID, at: datetime, reason: str
) -> None:
    event = QuotaLapsed(decision_id=decision_id, prefecture=committee.prefecture, lapsed_at=at, reason=reason)
    await _tell(session, decision_id, "lapsed", event, committee.now)


async def _tell(
    session: AsyncSession,
    decision_id: UUID,
    news: str,
    event: Event,
    now: datetime,
    *,
    by_decision: UUID | None = None,
) -> None:
    number = await decisions.tell(session, decision_id, news, by_decision=by_decision, now=now)
    await emit(session, (event, number), at=now)


# --- locks ----------------------------------------------------------------------------------------------------------


async def _lock_motion(
    session: AsyncSession, motion_id: UUID, move: Move, *, actor: Actor, now: datetime
) -> tuple[Committee, Motion | NotNow]:
    """The motion under its sub-committee's lock, for the keeper of the record, if the move is legal."""
    committee, motion = await _lock_any(session, motion_id, now)
    keeper_only(actor, committee.prefecture)
    legal = legal_moves(motion)
    return committee, motion if move in legal else NotNow(legal)


async def _lock_any(session: AsyncSession, motion_id: UUID, now: datetime) -> tuple[Committee, Motion]:
    sub_committee_id = await decisions.committee_of(session, motion_id)
    committee = None if sub_committee_id is None else await record.lock_committee(session, sub_committee_id, now)
    found = None if committee is None else await decisions.find_motion(session, motion_id, committee.now)
    if committee is None or found is None:
        raise Problem(NOT_FOUND)
    return committee, found[0]
