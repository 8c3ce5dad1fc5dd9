"""Looking at referrals: who may see which, boxes, and everything that waits."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import BindParameter, ColumnElement, Row, and_, or_
from sqlalchemy.ext.asyncio import AsyncSession

from services.referral.domain.links import LinkState, living_state
from services.referral.domain.moves import IN_FLIGHT, OPEN, Referral
from services.referral.domain.states import Kind, State, Verb
from services.referral.domain.told import NOTHING, Reading, Told, told
from services.referral.tables import facts, links, referrals, schema
from shared.auth import Actor, served
from shared.consent import FOR_REFERRAL, FOR_TRAINING, consent_gap
from shared.database import Hot, later
from shared.problems import NOT_FOUND, Problem, case_not_known
from shared.service import day_in_japan

Box = Literal["in", "out", "review", "taken_over"]


@dataclass(frozen=True, slots=True)
class Whole:
    """A referral with everything that happened to it."""

    referral: Referral
    steps: Sequence[Mapping[str, Any]]
    outcomes: Sequence[Row[Any]]
    chain: Sequence[Referral]
    next_id: UUID | None
    told: Told | None
    """What the receiver is told of the case; None where nothing may be."""
    link: LinkState | None
    """How its one-time link stands, if it has one."""


def visible(referral: Referral | None, actor: Actor) -> Referral:
    """For its parties and the agencies of the municipality; what was never sent for its writer. For others none."""
    if referral is None or not (referral.parties(actor.agency) or actor.serves(referral.municipality)):
        raise Problem(NOT_FOUND)
    if not referral.has_left and referral.sender != actor.agency:
        raise Problem(NOT_FOUND)
    return referral


async def get_referral(session: AsyncSession, referral_id: UUID, actor: Actor, now: datetime) -> Whole:
    """A referral with its steps, outcomes, and the places it came through."""
    referral = visible(await referrals.find_referral(session, referral_id), actor)
    return Whole(
        referral,
        await referrals.steps_of(session, referral_id),
        [] if referral.outcome is None else await referrals.outcomes_of(session, referral_id),
        await referrals.chain_of(session, referral),
        await referrals.next_in_chain(session, referral_id) if referral.state is State.REROUTED else None,
        await told_of(session, referral, actor.agency, now),
        (await links_of(session, [referral], now)).get(referral.id),
    )


async def links_of(session: AsyncSession, found: Sequence[Referral], now: datetime) -> Mapping[UUID, LinkState]:
    """How their one-time links stand, of those that have one."""
    rows = await links.living(session, [each.id for each in found])
    return {
        referral_id: living_state(
            row["channel"], printed_at=row["printed_at"], mail=row["state"], expires_at=row["expires_at"], now=now
        )
        for referral_id, row in rows.items()
    }


async def told_of(session: AsyncSession, referral: Referral, agency: str, now: datetime) -> Told | None:
    """What the receiver is told, for who may read it: while it is open, and as far as the consent goes today.

    Who only asks for a case is told once it is given.
    """
    fact = await facts.find_case_fact(session, referral.case_id)
    if fact is None or not _is_told(referral, fact, agency, now):
        return None
    return told(fact.needs, fact.topics, urgent=fact.urgent, categories=facts.consent_of(fact).categories)


async def readings(
    session: AsyncSession, case_ids: Collection[UUID], agency: str, now: datetime
) -> Mapping[UUID, Reading]:
    """What of these cases' needs an agency may read: their holder all, others what a referral tells them."""
    known = {fact.case_id: fact for fact in await facts.find_case_facts(session, case_ids)}
    found = dict.fromkeys(case_ids, NOTHING)
    found |= {id_: Reading(whole=True) for id_, fact in known.items() if facts.holder_of(fact) == agency}
    others = {id_ for id_ in known if not found[id_].whole}
    for referral in await referrals.list_open_with(session, others, agency) if others else ():
        fact = known[referral.case_id]
        if _is_told(referral, fact, agency, now):
            found[fact.case_id] = Reading(categories=facts.consent_of(fact).categories)
    return found


def _is_told(referral: Referral, fact: Row[Any], agency: str, now: datetime) -> bool:
    asks = referral.verb is Verb.REQUEST and referral.state in IN_FLIGHT
    if asks or referral.state not in OPEN:
        return False
    consent = facts.consent_of(fact)
    purposes = FOR_REFERRAL if referral.kind is Kind.PROGRAMME else FOR_TRAINING

    def reaches(named: str) -> bool:
        return consent_gap(consent, purposes=purposes, receiver=named, today=day_in_japan(now)) is None

    return reaches(referral.receiver) and _may_read(referral, fact, agency, reaches)


def _may_read(referral: Referral, fact: Row[Any], agency: str, reaches: Callable[[str], bool]) -> bool:
    """The receiver, and who has the case: its holder, or the coordinator who took the referral over.

    Anybody of the municipality may send, and so learn by sending: a sender that does not hold the case reads no more
    than the person agreed that it may.
    """
    # What the coordinator sent itself it reads as any sender, or sending would open to it what silence did not.
    took_over = referral.taken_over and agency == referral.coordinator != referral.sender
    if agency in {referral.receiver, facts.holder_of(fact)} or took_over:
        return True
    return agency == referral.sender and reaches(agency)


async def list_referrals(
    session: AsyncSession,
    actor: Actor,
    *,
    box: Box | None,
    state: str | None,
    case_id: UUID | None,
    group_id: UUID | None,
    before: tuple[datetime, UUID] | None,
    limit: int,
) -> Sequence[Referral]:
    """What my agency receives (`in`), sent (`out`), has to review, has taken over, or everything that it may see."""
    only = {"state": state, "case_id": case_id, "group_id": group_id}
    wanted = {name: value for name, value in only.items() if value is not None}
    page = {} if before is None else {"before_at": before[0], "before_id": before[1]}
    served_here = actor.municipalities if box is None else frozenset[str]()
    closed = state in {None, State.CLOSED}
    listing = _listing(box, frozenset(served_here), frozenset(wanted), paged=before is not None, closed=closed)
    return await referrals.list_referrals(session, listing, agency=actor.agency, limit=limit, **wanted, **page)


@lru_cache(maxsize=256)
def _listing(
    box: Box | None, municipalities: Collection[str], wanted: Collection[str], *, paged: bool, closed: bool = True
) -> Hot:
    """Put together once for each kind of list: it is what agencies ask for most. `closed`: such may be among it."""
    column = schema.referral.c
    agency: BindParameter[str] = later("agency")
    boxes: dict[str, ColumnElement[bool]] = {
        "in": and_(column.receiver == agency, referrals.HAS_LEFT),
        "out": column.sender == agency,
        "review": and_(column.coordinator == agency, column.state == State.DECLINE_PENDING),
        "taken_over": and_(column.coordinator == agency, referrals.TAKEN_OVER),
    }
    only = [column[name] == later(name) for name in sorted(wanted)]
    if not closed or box == "review":
        only.append(referrals.NOT_CLOSED)
    if box is not None:
        return referrals.newest(boxes[box], *only, paged=paged)
    there = *(served(column.municipality, [each]) for each in sorted(municipalities)), column.coordinator == agency
    seen = boxes["in"], boxes["out"], *(and_(each, referrals.HAS_LEFT) for each in there)
    if set(wanted) <= {"state"}:
        return referrals.newest_of(seen, *only, paged=paged)
    return referrals.newest(or_(*seen), *only, paged=paged)


async def list_waiting(
    session: AsyncSession, actor: Actor, *, mine: bool, after: tuple[date, UUID] | None, limit: int
) -> Sequence[Referral]:
    """Everything that waits, the earliest day first: for my agency, or in the municipalities that it serves."""
    column = schema.referral.c
    own = column.waits_for == actor.agency
    seen = (
        own
        if mine
        else or_(
            own,
            column.sender == actor.agency,
            column.receiver == actor.agency,
            _served(actor.municipalities, actor.agency),
        )
    )
    return await referrals.list_waiting(session, seen, after=after, limit=limit)


def _served(municipalities: Collection[str], agency: Any) -> ColumnElement[bool]:
    return or_(served(schema.referral.c.municipality, municipalities), schema.referral.c.coordinator == agency)


def concerning(fact: Row[Any] | None, actor: Actor) -> Row[Any]:
    """The case, for who opened it, who holds it, and the agencies of its municipality. For others there is none."""
    if fact is None or not concerns(fact, actor):
        raise case_not_known()
    return fact


def concerns(fact: Row[Any] | None, actor: Actor) -> bool:
    """Whether it is this caller's business."""
    return fact is not None and (actor.agency in {fact.opened_by, fact.holder} or actor.serves(fact.municipality))
