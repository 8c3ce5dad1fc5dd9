"""Sending referrals: one, a draft, several together, or a request for a case. Moving them is in `moving`."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from services.referral.domain.moves import Referral
from services.referral.domain.options import covers
from services.referral.domain.routing_rules import rules_on
from services.referral.domain.states import State, Verb
from services.referral.handlers.links import keep_link
from services.referral.handlers.looking import concerning
from services.referral.handlers.places import sent_on
from services.referral.handlers.telling import sending
from services.referral.handlers.waiting import with_clock
from services.referral.tables import calendars, directory, facts, neighbours, referrals, routing_rules
from services.referral.tables.directory import Offer
from services.referral.tables.referrals import Group
from shared.auth import Actor
from shared.bus.envelope import new_id
from shared.bus.mailbox import emit
from shared.consent import FOR_REFERRAL, FOR_TRAINING, LAST_WORD, ConsentLacking, consent_gap
from shared.problems import case_not_known
from shared.service import day_in_japan


@dataclass(frozen=True, slots=True)
class Target:
    """To a programme, or to a course run."""

    programme_id: UUID | None
    course_run_id: UUID | None


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be sent, and how."""

    target: Target
    verb: Verb = Verb.TRANSFER
    hold_until: datetime | None = None
    task_id: UUID | None = None
    """What a joint case conference decided, and is carried out hereby."""
    draft: bool = False
    knowingly: bool = False
    """Although an open referral of this case is there already, or routing leaves the programme out."""
    group_id: UUID | None = None
    rerouted_from: UUID | None = None
    instead_of: UUID | None = None
    """What was declined, or nobody answered, and is sent on hereby."""


@dataclass(frozen=True, slots=True)
class Sent:
    """On its way, or a draft; the sender stays responsible."""

    referral: Referral


@dataclass(frozen=True, slots=True)
class SentTogether:
    """Several, under one parent."""

    group: Group
    referrals: tuple[Referral, ...]


@dataclass(frozen=True, slots=True)
class TargetNotKnown:
    """No such programme or course run here (yet)."""


@dataclass(frozen=True, slots=True)
class NotTheHolder:
    """Only its holder gives a case: who that is now, and whether it was asked for (request) or offered (transfer)."""

    holder: str
    verb: Verb


@dataclass(frozen=True, slots=True)
class HoldsAlready:
    """Nobody asks for a case that they hold."""


@dataclass(frozen=True, slots=True)
class AlreadyReferred:
    """An open referral of this case is there already."""

    referral_id: UUID


@dataclass(frozen=True, slots=True)
class CaseIsClosed:
    """The support has ended; who takes the person up again reopens the case first."""


@dataclass(frozen=True, slots=True)
class DoesNotFit:
    """Routing leaves it out, for these reasons: ended, other_municipality. It may be meant all the same."""

    reasons: tuple[str, ...]


NotSent = CaseIsClosed | DoesNotFit | TargetNotKnown | ConsentLacking | AlreadyReferred | NotTheHolder


async def send_referral(
    session: AsyncSession, *, case_id: UUID, order: Order, actor: Actor, now: datetime
) -> Sent | NotSent:
    """Refer a case to a programme or to a course run, or write the draft of it."""
    # The case's row is the lock: a withdrawn consent and a second referral both wait for it.
    fact = concerning(await facts.lock_case_fact(session, case_id), actor)
    return await send(session, fact, order, sender=actor.agency, now=now)


async def send(session: AsyncSession, fact: Row[Any], order: Order, *, sender: str, now: datetime) -> Sent | NotSent:
    """Send a locked case in an agency's name; by whichever door it came, what is asked is the same."""
    offer = await find_offer(session, order.target)
    if offer is None:
        return TargetNotKnown()
    receiver = offer.agency
    # Of a draft this is asked when it is sent.
    if not order.draft and (stands := not_the_holder(fact, order.verb, sender)) is not None:
        return stands
    if not order.draft and (lacking := consent_lacks(fact, order.target, receiver, now)) is not None:
        return lacking
    if fact.closed_at is not None:
        return CaseIsClosed()
    if not order.knowingly and (unfit := await does_not_fit(session, fact, offer, now)) is not None:
        return unfit
    if (there := await open_there(session, fact.case_id, order)) is not None:
        return AlreadyReferred(there)
    made = await _new(session, fact, order, sender=sender, receiver=receiver, now=now)
    step = "draft" if order.draft else "send"
    await referrals.add_referral(session, made, step=step, by=sender, task_id=order.task_id, at=now)
    if not order.draft:
        made = await keep_link(session, made, now)
        told = sending(made, hold_until=order.hold_until, task_id=order.task_id)
        await emit(session, *((event, made.version) for event in told), at=now)
        if order.rerouted_from is None:
            await sent_on(session, fact, made, instead_of=order.instead_of, now=now)
    return Sent(made)


async def send_together(
    session: AsyncSession,
    *,
    case_id: UUID,
    orders: Sequence[Order],
    mode: Literal["parts", "first"],
    actor: Actor,
    now: datetime,
) -> SentTogether | NotSent:
    """Refer a case to several receivers under one parent: all do their part, or the first to accept has it."""
    fact = concerning(await facts.lock_case_fact(session, case_id), actor)
    group = Group(new_id(), case_id, fact.municipality, actor.agency, mode, now)
    await referrals.add_group(session, group)
    sent: list[Referral] = []
    for order in orders:
        outcome = await send(session, fact, order_in(group, order), sender=actor.agency, now=now)
        if not isinstance(outcome, Sent):
            return outcome  # the door refuses the whole, and nothing of it is kept
        sent.append(outcome.referral)
    return SentTogether(group, tuple(sent))


def order_in(group: Group, order: Order) -> Order:
    """The same as one of a group."""
    return replace(order, group_id=group.id)


async def request_case(
    session: AsyncSession, *, case_id: UUID, programme_id: UUID, actor: Actor, now: datetime
) -> Sent | NotSent | HoldsAlready:
    """Ask the holder of a case for it, for a programme of one's own. Nothing about the case is told by asking.

    Not even whose it is: asking is for who may know that already, and of an erased case there is nothing to ask for.
    """
    fact = await facts.lock_case_fact(session, case_id)
    if fact is None or fact.consent_version == LAST_WORD or not await _knows(session, fact, actor):
        raise case_not_known()
    order = Order(Target(programme_id, None), Verb.REQUEST)
    offer = await find_offer(session, order.target)
    holder = facts.holder_of(fact)
    if offer is None or offer.agency != actor.agency:
        return TargetNotKnown()
    if holder == actor.agency:
        return HoldsAlready()
    if fact.closed_at is not None:
        return CaseIsClosed()
    if (there := await open_there(session, fact.case_id, order)) is not None:
        return AlreadyReferred(there)
    made = await _new(session, fact, order, sender=holder, receiver=actor.agency, now=now)
    await referrals.add_referral(session, made, step="send", by=actor.agency, task_id=None, at=now)
    told = sending(made, hold_until=None, task_id=None)
    await emit(session, *((event, made.version) for event in told), at=now)
    return Sent(made)


async def _knows(session: AsyncSession, fact: Row[Any], actor: Actor) -> bool:
    return actor.serves(fact.municipality) or await referrals.was_told(session, fact.case_id, actor.agency)


def not_the_holder(fact: Row[Any], verb: Verb, sender: str) -> NotTheHolder | None:
    """What stands against moving a case that another agency holds; to refer it, one need not hold it."""
    holder = facts.holder_of(fact)
    return NotTheHolder(holder, verb) if verb is not Verb.REFER and sender != holder else None


async def find_offer(session: AsyncSession, target: Target) -> Offer | None:
    """Whose programme or course run it is, and for whom; None where there is none (yet)."""
    if target.programme_id is not None:
        return await directory.find_offer(session, target.programme_id)
    assert target.course_run_id is not None
    course = await facts.find_course(session, target.course_run_id)
    return None if course is None else Offer(str(course.provider))


def consent_lacks(fact: Row[Any], target: Target, receiver: str, now: datetime) -> ConsentLacking | None:
    """What the person's consent lacks for this receiver."""
    purposes = FOR_REFERRAL if target.course_run_id is None else FOR_TRAINING
    return consent_gap(facts.consent_of(fact), purposes=purposes, receiver=receiver, today=day_in_japan(now))


async def does_not_fit(session: AsyncSession, fact: Row[Any], offer: Offer, now: datetime) -> DoesNotFit | None:
    """What routing would say of a programme, whatever the rules weigh."""
    if offer.area is None:
        return None
    today = day_in_japan(now)
    reasons = ["ended"] if offer.ends_on is not None and offer.ends_on < today else []
    if not covers(offer.area, fact.municipality) and not await _is_near(session, fact, offer.area, today):
        reasons.append("other_municipality")
    return DoesNotFit(tuple(reasons)) if reasons else None


async def _is_near(session: AsyncSession, fact: Row[Any], area: Sequence[str], today: date) -> bool:
    """Whether it serves a town that the rules of the day count as near."""
    published = [each.rules for each in await routing_rules.list_rules(session)]
    if not rules_on(published, today).neighbours:
        return False
    return any(covers(area, town) for town in await neighbours.list_neighbours(session, fact.municipality))


async def open_there(session: AsyncSession, case_id: UUID, order: Order) -> UUID | None:
    """An open referral to the same target. Two for one seat are one too many; for a programme it may be meant."""
    if order.knowingly and order.target.course_run_id is None:
        return None
    target = order.target.programme_id or order.target.course_run_id
    assert target is not None
    return await referrals.find_open(session, case_id, target)


async def _new(
    session: AsyncSession, fact: Row[Any], order: Order, *, sender: str, receiver: str, now: datetime
) -> Referral:
    calendar = await calendars.calendar_of(
        session, receiver, programme_id=order.target.programme_id, municipality=fact.municipality
    )
    made = Referral(
        id=new_id(),
        case_id=fact.case_id,
        municipality=fact.municipality,
        sender=sender,
        receiver=receiver,
        coordinator=_coordinates(calendar.coordinator, fact, order.verb, sender=sender, receiver=receiver),
        verb=order.verb,
        programme_id=order.target.programme_id,
        course_run_id=order.target.course_run_id,
        seat_request_id=None,
        state=State.DRAFT if order.draft else State.SENT,
        responsible_agency=sender,
        progress=None,
        reason=None,
        sent_at=now,
        version=1,
        group_id=order.group_id,
        rerouted_from=order.rerouted_from,
    )
    return await with_clock(session, made, now, known=calendar)


async def coordinator_of(session: AsyncSession, fact: Row[Any], verb: Verb, *, sender: str, receiver: str) -> str:
    """The municipality's, else who holds the case, else who opened it; nobody judges a decline of their own.

    Of a request neither who declines it nor who asked: only where there is nobody else does its holder's word stand.
    """
    named = await calendars.find_coordinator(session, fact.municipality)
    return _coordinates(named, fact, verb, sender=sender, receiver=receiver)


def _coordinates(named: str | None, fact: Row[Any], verb: Verb, *, sender: str, receiver: str) -> str:
    partial = {receiver, sender} if verb is Verb.REQUEST else {receiver}
    others = (agency for agency in (named, fact.holder, fact.opened_by) if agency is not None and agency not in partial)
    return next(others, sender)
