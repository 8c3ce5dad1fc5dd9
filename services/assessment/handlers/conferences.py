"""The joint case conference (合同ケース会議): called, prepared, opened, written in. Its ends: `conference_ends`."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.assessment.domain import conference as domain
from services.assessment.domain.conference import (
    Answer,
    Conference,
    Lane,
    Mapped,
    Member,
    NotCalled,
    State,
    legal_on,
    may_see,
)
from services.assessment.domain.joint import Seat
from services.assessment.domain.moves import NotMoved
from services.assessment.domain.tasks import Kind
from services.assessment.handlers.access import OWN_DUTY, concerning, concerns, key_to_write, writable
from services.assessment.handlers.joint import NotBegun, Shown, begin_joint
from services.assessment.handlers.telling import tell
from services.assessment.tables import cases, conference_words, conferences, instruments, tasks
from services.assessment.tables.cases import Case
from services.assessment.tables.conference_words import Problem as MappedProblem
from services.assessment.tables.conference_words import Written, place_of
from services.assessment.tables.conferences import Row
from shared.auth import Actor
from shared.bus.envelope import new_id
from shared.consent import FOR_CONFERENCE, consent_gap
from shared.events import ConferenceCalled, ConferencePostponed, Event
from shared.problems import NOT_FOUND, Problem, case_not_known
from shared.service import day_in_japan

PURPOSE = {Lane.CONSENT: "case_conference", Lane.ART_9: "meeting"}
"""The purpose in the access log, as intake has it."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A conference as somebody stands to it now: in which parts, and what they may do."""

    row: Row
    case: Case
    today: date
    parties: frozenset[str]

    @property
    def held(self) -> Conference:
        """The conference itself."""
        return self.row.conference

    @property
    def legal(self) -> tuple[str, ...]:
        """What can be done with it, by this caller, today."""
        return legal_on(self.held, self.parties, self.today)

    def basis(self, agency: str) -> str:
        """On what an agency reads and writes in it (DOMAIN.md 2)."""
        if self.held.lane is Lane.ART_9:
            return Lane.ART_9.value
        return OWN_DUTY if agency == self.case.holder else "consent"


@dataclass(frozen=True, slots=True)
class NotYours:
    """Who takes no part in it moves nothing in it."""


@dataclass(frozen=True, slots=True)
class Calling:
    """What somebody wants to call."""

    lane: Lane
    held_on: date
    members: tuple[Member, ...]
    begins_at: str | None = None


async def call_conference(
    session: AsyncSession, case_id: UUID, calling: Calling, *, conference_id: UUID, actor: Actor, now: datetime
) -> Seen | NotCalled:
    """Call a conference about a case. With consent it is to meet the rule's duty, where that waits."""
    case = writable(concerning(await cases.lock_case(session, case_id), actor))
    today = day_in_japan(now)
    refused = await _refused(session, case, calling, actor, today)
    if refused is not None:
        return refused
    members = tuple(
        replace(member, answer=Answer.COMING) if member.agency == actor.agency else member
        for member in sorted(set(calling.members))
    )
    held = Conference(conference_id, case_id, calling.lane, actor.agency, State.CALLED, calling.held_on, members)
    duty = await _duty(session, case_id) if calling.lane is Lane.CONSENT else None
    row = Row(held, calling.begins_at, duty, None, 1, now)
    await conferences.add_conference(session, row)
    called = ConferenceCalled(
        case_id=case_id,
        conference_id=conference_id,
        chair=actor.agency,
        members=sorted(held.agencies - {actor.agency}),
        held_on=held.held_on,
        by_duty=duty is not None,
    )
    await tell_in_lane(session, held, called, now=now)
    return seen_by(row, case, actor.agency, today)


async def _refused(session: AsyncSession, case: Case, calling: Calling, actor: Actor, today: date) -> NotCalled | None:
    if case.closed_at is not None:
        return NotCalled("case_closed")
    if await instruments.unknown_professions(session, [member.profession for member in calling.members]):
        return NotCalled("no_such_profession")
    agencies = {member.agency for member in calling.members}
    return domain.call(
        calling.lane,
        calling.held_on,
        by=actor.agency,
        by_kind=actor.kind,
        serves=actor.serves(case.municipality),
        members=agencies,
        covered=covered(case, {actor.agency, *agencies}, today),
        today=today,
    )


async def _duty(session: AsyncSession, case_id: UUID) -> UUID | None:
    for row in await tasks.lock_waiting(session, case_id, {Kind.JOINT_CONFERENCE}):
        if not await conferences.is_linked(session, row.task.id):
            return row.task.id
    return None


def covered(case: Case, agencies: Collection[str], today: date) -> set[str]:
    """Those to whom the person's consent reaches for a case conference, and the holder of the case."""
    return {
        agency
        for agency in agencies
        if agency == case.holder
        or consent_gap(case.consent, purposes=FOR_CONFERENCE, receiver=agency, today=today) is None
    }


# --- moving it ------------------------------------------------------------------------------------------------------


async def enter(session: AsyncSession, conference_id: UUID, *, actor: Actor, now: datetime) -> Seen:
    """A conference with its case, both locked, as the caller stands to it. 404 for whom there is none."""
    found = await conferences.find_conference(session, conference_id)
    # The case first, as everywhere.
    case = None if found is None else await cases.lock_case(session, found.conference.case_id)
    row = None if case is None else await conferences.lock_conference(session, conference_id)
    return _visible(row, case, actor.agency, day_in_japan(now))


async def get_conference(session: AsyncSession, conference_id: UUID, *, actor: Actor, now: datetime) -> Seen:
    """The same, to look at."""
    row = await conferences.find_conference(session, conference_id)
    case = None if row is None else await cases.find_case(session, row.conference.case_id)
    return _visible(row, case, actor.agency, day_in_japan(now))


async def list_conferences(
    session: AsyncSession,
    *,
    case_id: UUID | None,
    after: tuple[date, UUID],
    limit: int,
    actor: Actor,
    now: datetime,
) -> list[Seen]:
    """Those of a case, or in which the caller's agency sits and which are still to be held; by day."""
    if case_id is not None and not await _may_ask(session, case_id, actor):
        raise case_not_known()
    today, found = day_in_japan(now), list[Seen]()
    while True:
        if case_id is None:
            rows = await conferences.list_own(session, actor.agency, after=after, limit=limit)
        else:
            rows = await conferences.list_of_case(session, case_id, after=after, limit=limit)
        for row in rows:
            case = await cases.find_case(session, row.conference.case_id)
            if case is not None and sees(row.conference, case, actor.agency, today):
                found.append(seen_by(row, case, actor.agency, today))
        if len(rows) < limit or len(found) >= limit:
            return found[:limit]
        after = (rows[-1].conference.held_on, rows[-1].conference.id)


async def list_steps(session: AsyncSession, conference_id: UUID, *, actor: Actor, now: datetime) -> Sequence[Any]:
    """Everything that happened to a conference; off the day of a meeting by Art. 9, what its chair did."""
    seen = await get_conference(session, conference_id, actor=actor, now=now)
    own_only = domain.own_record_only(seen.held, seen.today)
    return [
        step for step in await conferences.find_steps(session, conference_id) if not own_only or step.by == actor.agency
    ]


async def _may_ask(session: AsyncSession, case_id: UUID, actor: Actor) -> bool:
    """Whoever sits in a conference that they see knows of its case; so does for whose business it is."""
    case = await cases.find_case(session, case_id)
    return case is not None and (concerns(case, actor) or actor.agency in case.consent.recipients)


def _visible(row: Row | None, case: Case | None, agency: str, today: date) -> Seen:
    if row is None or case is None or not sees(row.conference, case, agency, today):
        raise Problem(NOT_FOUND)
    writable(case)
    return seen_by(row, case, agency, today)


def sees(held: Conference, case: Case, agency: str, today: date) -> bool:
    """Whether an agency hears of it at all."""
    return may_see(held, agency, holder=case.holder, consented=agency in covered(case, {agency}, today), today=today)


def seen_by(row: Row, case: Case, agency: str, today: date) -> Seen:
    """A conference as an agency stands to it."""
    return Seen(row, case, today, frozenset(row.conference.parties(agency, case.holder)))


async def begin_move(
    session: AsyncSession, conference_id: UUID, name: str, *, actor: Actor, now: datetime
) -> tuple[Seen, State] | NotMoved | NotYours:
    """Whether the caller may do one thing with it now, with everything locked; and to which state it leads."""
    seen = await enter(session, conference_id, actor=actor, now=now)
    if not seen.parties:
        return NotYours()
    moved = domain.move(seen.held, name, seen.parties, seen.today)
    return moved if isinstance(moved, NotMoved) else (seen, State(moved.state))


async def store_move(
    session: AsyncSession, seen: Seen, held: Conference, name: str, *, reason: str | None = None, by: str, now: datetime
) -> Seen:
    """What became of it, as its next step."""
    version = await conferences.change_conference(session, held, name, reason=reason, by=by, at=now)
    return replace(seen, row=replace(seen.row, conference=held, reason=reason, version=version))


async def tell_in_lane(session: AsyncSession, held: Conference, *events: Event, now: datetime) -> None:
    """Of a meeting by Art. 9 nothing is told to anybody."""
    if held.lane is Lane.CONSENT and events:
        await tell(session, held.case_id, *events, now=now)


async def invite(
    session: AsyncSession, conference_id: UUID, members: Sequence[Member], *, actor: Actor, now: datetime
) -> Seen | NotMoved | NotYours | NotCalled:
    """More members. Consent has to reach to each of them, as for the first."""
    begun = await begin_move(session, conference_id, "invite", actor=actor, now=now)
    if not isinstance(begun, tuple):
        return begun
    seen, _ = begun
    if await instruments.unknown_professions(session, [member.profession for member in members]):
        return NotCalled("no_such_profession")
    agencies = {member.agency for member in members}
    strangers = agencies - covered(seen.case, agencies, seen.today)
    if seen.held.lane is Lane.CONSENT and strangers:
        return NotCalled("not_covered", tuple(sorted(strangers)))
    await conferences.add_members(session, conference_id, members)
    known = {(member.agency, member.profession) for member in seen.held.members}
    new = [member for member in dict.fromkeys(members) if (member.agency, member.profession) not in known]
    held = replace(seen.held, members=tuple(sorted((*seen.held.members, *new))))
    return await store_move(session, seen, held, "invite", by=actor.agency, now=now)


async def postpone(
    session: AsyncSession, conference_id: UUID, held_on: date, *, actor: Actor, now: datetime
) -> Seen | NotMoved | NotYours | NotCalled:
    """It is held on another day."""
    begun = await begin_move(session, conference_id, "postpone", actor=actor, now=now)
    if not isinstance(begun, tuple):
        return begun
    seen, _ = begun
    if held_on < seen.today:
        return NotCalled("in_the_past")
    held = replace(seen.held, held_on=held_on)
    changed = await store_move(session, seen, held, "postpone", by=actor.agency, now=now)
    event = ConferencePostponed(case_id=held.case_id, conference_id=held.id, chair=held.chair, held_on=held_on)
    await tell_in_lane(session, held, event, now=now)
    return changed


async def answer(
    session: AsyncSession,
    conference_id: UUID,
    *,
    coming: bool,
    profession: str | None,
    actor: Actor,
    now: datetime,
) -> Seen | NotMoved | NotYours:
    """A member comes, or doesn't: for one of its places, or for all of them."""
    begun = await begin_move(session, conference_id, "answer", actor=actor, now=now)
    if not isinstance(begun, tuple):
        return begun
    seen, _ = begun
    said = Answer.COMING if coming else Answer.NOT_COMING
    await conferences.store_answer(session, conference_id, actor.agency, profession, said)
    members = tuple(
        replace(member, answer=said)
        if member.agency == actor.agency and profession in {None, member.profession}
        else member
        for member in seen.held.members
    )
    held = replace(seen.held, members=members)
    return await store_move(session, seen, held, "answer", reason=said.value, by=actor.agency, now=now)


async def rate_jointly(
    session: AsyncSession,
    conference_id: UUID,
    seats: frozenset[Seat] | None,
    *,
    rubric: str | None,
    joint_id: UUID,
    actor: Actor,
    now: datetime,
) -> Shown | NotMoved | NotYours | NotBegun:
    """Ask the members to rate, each for itself: all who didn't say no, or these of them."""
    begun = await begin_move(session, conference_id, "rate_jointly", actor=actor, now=now)
    if not isinstance(begun, tuple):
        return begun
    seen, _ = begun
    places = {Seat(m.agency, m.profession): m.answer for m in seen.held.members}
    if seats is not None and not seats <= places.keys():
        return NotBegun("not_in_conference")
    asked = seats or frozenset(seat for seat, said in places.items() if said is not Answer.NOT_COMING)
    outcome = await begin_joint(
        session,
        seen.case.id,
        asked,
        rubric=rubric,
        joint_id=joint_id,
        actor=actor,
        now=now,
        lane=seen.held.lane.value,
        conference_id=conference_id,
    )
    if isinstance(outcome, Shown):
        await store_move(session, seen, seen.held, "rate_jointly", by=actor.agency, now=now)
    return outcome


async def open_conference(
    session: AsyncSession, conference_id: UUID, *, actor: Actor, now: datetime
) -> Seen | NotMoved | NotYours:
    """It begins."""
    begun = await begin_move(session, conference_id, "open", actor=actor, now=now)
    if not isinstance(begun, tuple):
        return begun
    seen, state = begun
    return await store_move(session, seen, replace(seen.held, state=state), "open", by=actor.agency, now=now)


# --- writing in it --------------------------------------------------------------------------------------------------

_WRITES = {"put_on_agenda": "agenda_item", "write_minutes": "conference_minutes"}


async def write(
    session: AsyncSession, conference_id: UUID, name: str, words: str, *, actor: Actor, now: datetime
) -> Seen | NotMoved | NotYours:
    """One more item of the agenda (put_on_agenda), or the minutes as they stand now (write_minutes)."""
    begun = await begin_move(session, conference_id, name, actor=actor, now=now)
    if not isinstance(begun, tuple):
        return begun
    seen, _ = begun
    table, row_id = _WRITES[name], new_id()
    sealed = await seal(session, seen, words, table, row_id, actor)
    await conference_words.add_words(session, table, conference_id, Written(row_id, sealed, actor.agency, now))
    return await store_move(session, seen, seen.held, name, by=actor.agency, now=now)


async def map_problem(
    session: AsyncSession, conference_id: UUID, mapped: Mapped, note: str | None, *, actor: Actor, now: datetime
) -> Seen | NotMoved | NotYours:
    """A need, who covers it, and who could; in place of what was said of it before."""
    begun = await begin_move(session, conference_id, "map_problem", actor=actor, now=now)
    if not isinstance(begun, tuple):
        return begun
    seen, _ = begun
    row_id = new_id()
    sealed = None if note is None else await seal(session, seen, note, "mapped_problem", row_id, actor)
    problem = MappedProblem(row_id, mapped, sealed, actor.agency, now)
    await conference_words.add_problem(session, conference_id, problem)
    return await store_move(session, seen, seen.held, "map_problem", by=actor.agency, now=now)


async def seal(session: AsyncSession, seen: Seen, words: str, table: str, row_id: UUID, actor: Actor) -> bytes:
    """Words of a locked conference, sealed in their place; the log says who wrote, and on which basis."""
    key = await key_to_write(
        session,
        seen.case.id,
        [table],
        purpose=PURPOSE[seen.held.lane],
        basis=seen.basis(actor.agency),
        actor=actor,
    )
    return key.seal(words, place_of(table, row_id))
