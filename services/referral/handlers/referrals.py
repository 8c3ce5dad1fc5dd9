"""Sending a referral and moving it, by hand, by training's facts, or by what the person says about consent."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, or_
from sqlalchemy.ext.asyncio import AsyncSession

from services.referral.domain.moves import Kind, Moved, NotMoved, Party, Referral, State, advance
from services.referral.domain.routing import Routing, route
from services.referral.tables import directory, facts, referrals, schema
from shared.auth import Actor, served
from shared.bus.envelope import new_id
from shared.bus.mailbox import emit
from shared.consent import FOR_REFERRAL, FOR_TRAINING, Consent, ConsentLacking, consent_gap, takes_back
from shared.events import (
    Event,
    ReferralAccepted,
    ReferralDeclined,
    ReferralReceived,
    ReferralSent,
    ReferralWithdrawn,
    TrainingReferred,
)
from shared.problems import NOT_FOUND, Problem, case_not_known
from shared.service import day_in_japan, expect

# --- Sending ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sent:
    """On its way; the sender stays responsible."""

    referral: Referral


@dataclass(frozen=True, slots=True)
class TargetNotKnown:
    """No such programme or course run here (yet)."""


@dataclass(frozen=True, slots=True)
class AlreadyReferred:
    """An open referral of this case waits there already."""

    referral_id: UUID


@dataclass(frozen=True, slots=True)
class Target:
    """To a programme, or to a course run."""

    programme_id: UUID | None
    course_run_id: UUID | None


async def send_referral(
    session: AsyncSession,
    *,
    case_id: UUID,
    target: Target,
    hold_until: datetime | None,
    task_id: UUID | None,
    actor: Actor,
    now: datetime,
) -> Sent | TargetNotKnown | ConsentLacking | AlreadyReferred:
    """Refer a case to a programme or to a course run. `task_id`: what a conference decided, done by hand after all."""
    # The case's row is the lock: a withdrawn consent and a second referral both wait for it.
    fact = _concerning(await facts.lock_case_fact(session, case_id), actor)
    return await send(session, fact, target, sender=actor.agency, hold_until=hold_until, task_id=task_id, now=now)


async def send(
    session: AsyncSession,
    fact: Row[Any],
    target: Target,
    *,
    sender: str,
    hold_until: datetime | None,
    task_id: UUID | None,
    now: datetime,
) -> Sent | TargetNotKnown | ConsentLacking | AlreadyReferred:
    """Send a locked case in an agency's name; by whichever door it came, what is asked is the same."""
    receiver = await _receiver(session, target)
    if receiver is None:
        return TargetNotKnown()
    purposes = FOR_REFERRAL if target.course_run_id is None else FOR_TRAINING
    lacking = consent_gap(facts.consent_of(fact), purposes=purposes, receiver=receiver, today=day_in_japan(now))
    if lacking is not None:
        return lacking
    for waiting in await referrals.lock_open_referrals(session, fact.case_id):
        if (waiting.programme_id, waiting.course_run_id) == (target.programme_id, target.course_run_id):
            return AlreadyReferred(waiting.id)
    sent = Referral(
        id=new_id(),
        case_id=fact.case_id,
        municipality=fact.municipality,
        sender=sender,
        receiver=receiver,
        programme_id=target.programme_id,
        course_run_id=target.course_run_id,
        seat_request_id=None,
        state=State.SENT,
        progress=None,
        reason=None,
        sent_at=now,
        version=1,
    )
    await referrals.add_referral(session, sent, at=now)
    await emit(session, *((event, sent.version) for event in _sending(sent, hold_until, task_id)), at=now)
    return Sent(sent)


async def _receiver(session: AsyncSession, target: Target) -> str | None:
    if target.programme_id is not None:
        programme = await directory.find_programme(session, target.programme_id)
        return None if programme is None else str(programme.agency_id)
    assert target.course_run_id is not None
    course = await facts.find_course(session, target.course_run_id)
    return None if course is None else str(course.provider)


def _sending(sent: Referral, hold_until: datetime | None, task_id: UUID | None) -> Sequence[Event]:
    told: list[Event] = [
        ReferralSent(
            case_id=sent.case_id,
            referral_id=sent.id,
            sender=sent.sender,
            receiver=sent.receiver,
            programme_id=sent.programme_id,
            course_run_id=sent.course_run_id,
            task_id=task_id,
        )
    ]
    if sent.course_run_id is not None:
        told.append(
            TrainingReferred(
                case_id=sent.case_id,
                referral_id=sent.id,
                course_run_id=sent.course_run_id,
                municipality=sent.municipality,
                sender=sent.sender,
                hold_until=hold_until,
            )
        )
    return told


# --- Moving ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NotInvolved:
    """It may be looked at from the municipality, but only sender and receiver move it."""


async def move_referral(
    session: AsyncSession,
    referral_id: UUID,
    name: str,
    *,
    actor: Actor,
    now: datetime,
    reason: str | None = None,
    read: int | None = None,
) -> Moved | NotMoved | NotInvolved:
    """Make an agency's move: receive, accept, decline or withdraw."""
    referral = _visible(await referrals.lock_referral(session, referral_id), actor)
    parties = referral.parties(actor.agency)
    if not parties:
        return NotInvolved()
    if read is not None:
        expect(referral.version, read)
    moved = advance(referral, name, parties, reason=reason)
    if isinstance(moved, Moved):
        told = await _store(session, referral, moved, by=actor.agency, now=now)
        await emit(session, *told, at=now)
    return moved


async def follow_training(
    session: AsyncSession,
    *,
    case_id: UUID,
    referral_id: UUID | None,
    name: str,
    now: datetime,
    reason: str | None = None,
    seat_request_id: UUID | None = None,
    party: Party = Party.TRAINING,
) -> None:
    """Let a fact about a seat move its referral; what is not legal (any more) changes nothing."""
    if referral_id is None:
        return  # a seat that was asked for directly
    referral = await referrals.lock_referral(session, referral_id)
    if referral is not None and referral.case_id == case_id:
        await _follow(session, referral, name, party, reason=reason, seat_request_id=seat_request_id, now=now)


async def follow_nomination(
    session: AsyncSession, *, case_id: UUID, course_run_id: UUID, seat_request_id: UUID, name: str, now: datetime
) -> None:
    """The same for facts that name no referral: case, course and seat lead to it."""
    for referral in await referrals.lock_open_referrals(session, case_id, course_run_id=course_run_id):
        if referral.seat_request_id == seat_request_id:
            await _follow(session, referral, name, Party.TRAINING, seat_request_id=seat_request_id, now=now)


async def _follow(
    session: AsyncSession,
    referral: Referral,
    name: str,
    party: Party,
    *,
    now: datetime,
    reason: str | None = None,
    seat_request_id: UUID | None,
) -> None:
    moved = advance(referral, name, {party}, reason=reason)
    if isinstance(moved, NotMoved):
        return
    seat = replace(moved.referral, seat_request_id=seat_request_id or referral.seat_request_id)
    told = await _store(session, referral, replace(moved, referral=seat), by=party.value, now=now)
    await emit(session, *told, at=now)


async def _store(
    session: AsyncSession, before: Referral, moved: Moved, *, by: str, now: datetime
) -> Sequence[tuple[Event, int]]:
    """Write the move and its step; what there is to tell about it."""
    after = moved.referral
    await referrals.store_move(session, after, step=moved.move.name, by=by, at=now)
    event = None if after.state is before.state else _changed(after)
    return [] if event is None else [(event, after.version)]


def _changed(to: Referral) -> Event | None:
    if to.state is State.RECEIVED:
        return ReferralReceived(case_id=to.case_id, referral_id=to.id, receiver=to.receiver)
    if to.state is State.ACCEPTED:
        return ReferralAccepted(case_id=to.case_id, referral_id=to.id, sender=to.sender, receiver=to.receiver)
    ended = {State.DECLINED: ReferralDeclined, State.WITHDRAWN: ReferralWithdrawn}.get(to.state)
    if ended is None or to.reason is None:
        return None
    return ended(case_id=to.case_id, referral_id=to.id, sender=to.sender, receiver=to.receiver, reason=to.reason)


# --- Looking ---------------------------------------------------------------------------------------------------------


def _visible(referral: Referral | None, actor: Actor) -> Referral:
    """For its sender, its receiver, and the agencies of the case's municipality. For others there is none."""
    if referral is None or not (referral.parties(actor.agency) or actor.serves(referral.municipality)):
        raise Problem(NOT_FOUND)
    return referral


async def get_referral(session: AsyncSession, referral_id: UUID, actor: Actor) -> tuple[Referral, Sequence[Row[Any]]]:
    """A referral with its steps."""
    referral = _visible(await referrals.find_referral(session, referral_id), actor)
    return referral, await referrals.steps_of(session, referral_id)


async def list_referrals(
    session: AsyncSession,
    actor: Actor,
    *,
    box: str | None,
    state: str | None,
    case_id: UUID | None,
    before: UUID | None,
    limit: int,
) -> Sequence[Referral]:
    """What my agency receives (`in`), what it sent (`out`), or everything that it may see."""
    column = schema.referral.c
    conditions = {"in": column.receiver == actor.agency, "out": column.sender == actor.agency}
    visible = or_(*conditions.values(), served(column.municipality, actor.municipalities))
    chosen = [visible if box is None else conditions[box]]
    if state is not None:
        chosen.append(column.state == state)
    if case_id is not None:
        chosen.append(column.case_id == case_id)
    return await referrals.list_referrals(session, *chosen, before=before, limit=limit)


async def find_candidates(session: AsyncSession, case_id: UUID, actor: Actor, now: datetime) -> Routing:
    """Where a case may go, best first. There is always somebody: the opener, if nobody else."""
    fact = _concerning(await facts.find_case_fact(session, case_id), actor)
    case = await facts.case_to_route(session, fact)
    return route(case, await directory.options_near(session, fact.municipality, now), now)


def _concerning(fact: Row[Any] | None, actor: Actor) -> Row[Any]:
    if fact is None or not (fact.opened_by == actor.agency or actor.serves(fact.municipality)):
        raise case_not_known()
    return fact


# --- Consent ---------------------------------------------------------------------------------------------------------


async def note_consent(
    session: AsyncSession,
    case_id: UUID,
    consent: Consent,
    *,
    version: int,
    now: datetime,
    because: str = "consent_withdrawn",
) -> None:
    """Keep the newest word about consent; what it takes back ends, unless somebody has accepted it."""
    newest = await facts.put_case_fact(
        session,
        case_id,
        schema.case_fact.c.consent_version,
        consent_version=version,
        consent_state=consent.state,
        consent_purposes=sorted(consent.purposes),
        consent_recipients=sorted(consent.recipients),
        consent_valid_until=consent.valid_until,
        consent_valid_from=consent.valid_from,
    )
    if not newest:
        return
    reason = "consent_refused" if consent.state == "refused" else because
    told: list[tuple[Event, int]] = []
    for referral in await referrals.lock_open_referrals(session, case_id):
        if not _is_taken_back(consent, referral):
            continue
        moved = advance(referral, "end_consent", {Party.PERSON}, reason=reason)
        assert isinstance(moved, Moved)  # an open referral can always be taken back
        told += await _store(session, referral, moved, by=Party.PERSON.value, now=now)
    await emit(session, *told, at=now)


def _is_taken_back(consent: Consent, referral: Referral) -> bool:
    purposes = FOR_REFERRAL if referral.kind is Kind.PROGRAMME else FOR_TRAINING
    return takes_back(consent, purposes=purposes, receiver=referral.receiver)
