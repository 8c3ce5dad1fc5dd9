"""Referrals as numbers: their milestones, declines, outcomes, and how often a case was passed on. Never a draft."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Row,
    Select,
    Subquery,
    and_,
    case,
    delete,
    exists,
    func,
    literal,
    literal_column,
    or_,
    select,
    union_all,
)
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from services.referral.domain.numbers import CAME_BACK, GOES_ON, HOPS, NO_HOP, SIGNS, Milestone, Way, silent_until
from services.referral.tables.referrals import HAS_LEFT, was_asked_for
from services.referral.tables.schema import (
    case_fact,
    coordinator,
    hops_alarm,
    hops_due,
    referral,
    referral_outcome,
    referral_step,
)
from shared.auth import served

_IS_REQUEST = literal_column(was_asked_for("referral"), Boolean)
_asker = case((_IS_REQUEST, referral.c.receiver), else_=referral.c.sender)
_asked = case((_IS_REQUEST, referral.c.sender), else_=referral.c.receiver)
_holder = func.coalesce(case_fact.c.holder, case_fact.c.opened_by)


def visible(agency: str, municipalities: frozenset[str]) -> ColumnElement[bool]:
    """Referrals that an agency may count: its own, and those of the municipalities that it serves."""
    own = or_(referral.c.sender == agency, referral.c.receiver == agency)
    return or_(own, served(referral.c.municipality, municipalities))


def asked_by(agency: str) -> ColumnElement[bool]:
    """What an agency asked of others: the referrals that it sent, and the cases that it asked for."""
    return _asker == agency


def asked_of(agency: str) -> ColumnElement[bool]:
    """What an agency had to answer."""
    return _asked == agency


async def ways(session: AsyncSession, whose: ColumnElement[bool], *, since: datetime, until: datetime) -> list[Way]:
    """The referrals sent in a period, each with the first moment at which it reached each milestone."""
    step = referral_step.c
    reached = [
        func.min(step.at).filter(step.step.in_(sorted(SIGNS[milestone]))).label(milestone) for milestone in Milestone
    ]
    returned = _more(step.step, {"return"}, {"answer"})
    declined = _more(step.step, {"decline"}, {"overrule_back", "overrule_forward"})
    # What the coordinator ends itself, after silence, was silent until it took over.
    silence = func.coalesce(func.max(step.at).filter(step.step == "take_over"), func.max(step.at))
    last = silence.label("last_at"), or_(returned, declined).label("others_turn")
    pair = _asker.label("asker"), _asked.label("asked"), _IS_REQUEST.label("is_request")
    query = (
        select(*pair, referral.c.sent_at, referral.c.state, referral.c.reason, *reached, *last)
        .join(referral_step, step.referral_id == referral.c.id)
        .where(whose, HAS_LEFT, referral.c.sent_at >= since, referral.c.sent_at <= until)
        .group_by(referral.c.id)
    )
    return [
        Way(
            sender=row.asker,
            receiver=row.asked,
            sent_at=row.sent_at,
            reached={each: at for each in Milestone if (at := getattr(row, each)) is not None},
            goes_on=row.state in GOES_ON,
            silent_until=silent_until(row.state, row.reason, row.last_at, others_turn=row.others_turn),
            is_request=row.is_request,
        )
        for row in await session.execute(query)
    ]


def _more(step: ColumnElement[str], these: set[str], than: set[str]) -> ColumnElement[bool]:
    count = [func.count().filter(step.in_(sorted(names))) for names in (these, than)]
    return count[0] > count[1]


async def declines(
    session: AsyncSession, whose: ColumnElement[bool], *, since: datetime, until: datetime
) -> Sequence[tuple[str, str, int]]:
    """By who was asked and reason: how many referrals were declined so in a period."""
    step = referral_step.c
    asked = _asked.label("asked")
    query = (
        select(asked, step.reason, func.count(referral.c.id.distinct()))
        .join(referral_step, step.referral_id == referral.c.id)
        .where(whose, HAS_LEFT, step.step == "decline", step.reason.is_not(None), step.at >= since, step.at <= until)
        .group_by(asked, step.reason)
        .order_by(asked, step.reason)
    )
    return [(row[0], row[1], row[2]) for row in await session.execute(query)]


async def states(
    session: AsyncSession, whose: ColumnElement[bool], *, since: datetime, until: datetime
) -> Mapping[str, int]:
    """Where the referrals sent in a period stand now."""
    query = (
        select(referral.c.state, func.count())
        .where(whose, HAS_LEFT, referral.c.sent_at >= since, referral.c.sent_at <= until)
        .group_by(referral.c.state)
    )
    return {row[0]: row[1] for row in await session.execute(query)}


async def outcomes(
    session: AsyncSession, whose: ColumnElement[bool], *, since: datetime, until: datetime
) -> Mapping[str, int]:
    """What came of the referrals sent in a period; one may have come to several, one after another.

    What was corrected since did not come of it.
    """
    later = referral_outcome.alias()
    corrected = exists().where(
        later.c.referral_id == referral_outcome.c.referral_id, referral_outcome.c.number == func.any(later.c.corrects)
    )
    query = (
        select(referral_outcome.c.outcome, func.count(referral.c.id.distinct()))
        .join(referral, referral.c.id == referral_outcome.c.referral_id)
        .where(whose, HAS_LEFT, referral.c.sent_at >= since, referral.c.sent_at <= until, ~corrected)
        .group_by(referral_outcome.c.outcome)
    )
    return {row[0]: row[1] for row in await session.execute(query)}


async def hops(
    session: AsyncSession, whose: ColumnElement[bool], *, since: datetime, until: datetime
) -> Mapping[int, int]:
    """How many cases were referred how many times in a period, one after another."""
    cases = _hops(whose, since=since, until=until)
    query = select(cases.c.hops, func.count()).group_by(cases.c.hops).order_by(cases.c.hops)
    return {row[0]: row[1] for row in await session.execute(query)}


def _hops(whose: ColumnElement[bool], *, since: datetime | None = None, until: datetime | None = None) -> Subquery:
    """By case: how often something was sent after something had come back, and the first sending.

    What was sent together, or beside what still goes on, is no hop of its own. Nobody is passed about by a request.
    """
    ended_at = func.coalesce(referral.c.since, referral.c.sent_at)
    ours = whose, HAS_LEFT, ~_IS_REQUEST
    came_back = (
        referral.c.state.in_(sorted(CAME_BACK)),
        func.coalesce(referral.c.reason, "").not_in(sorted(NO_HOP)),
        *_within(ended_at, since, until),
    )
    sent = select(referral.c.case_id, referral.c.sent_at.label("at"), literal(1).label("sent")).where(
        *ours, *_within(referral.c.sent_at, since, until)
    )
    back = select(referral.c.case_id, ended_at.label("at"), literal(0).label("sent")).where(*ours, *came_back)
    moments = union_all(sent, back).subquery()
    # Who reroutes does both at one moment: it comes back first.
    order = moments.c.at, moments.c.sent
    before = func.lag(moments.c.sent).over(partition_by=moments.c.case_id, order_by=order)
    turns = select(moments.c.case_id, moments.c.sent, before.label("before")).subquery()
    return (
        select(turns.c.case_id, func.count().label("hops"))
        .where(turns.c.sent == 1, or_(turns.c.before.is_(None), turns.c.before == 0))
        .group_by(turns.c.case_id)
        .subquery()
    )


def _within(
    moment: ColumnElement[datetime], since: datetime | None, until: datetime | None
) -> Sequence[ColumnElement[bool]]:
    return () if since is None or until is None else (moment >= since, moment <= until)


@dataclass(frozen=True, slots=True)
class Counted:
    """Changed cases that were looked at, and those of them that were passed on as often as raises an alarm."""

    cases: int
    many: Sequence[Row[Any]]
    """`case_id`, `hops`, `municipality`, `holder`."""


async def count_hops_due(session: AsyncSession, *, limit: int) -> Counted:
    """Lock some cases in which something was sent or came back since they were counted last, and count them anew.

    What is noted while they are counted is counted the next time: the notes are taken away before anything is read.
    """
    due = select(hops_due.c.case_id).distinct().order_by(hops_due.c.case_id).limit(limit)
    changed = select(case_fact.c.case_id).where(case_fact.c.case_id.in_(due)).order_by(case_fact.c.case_id)
    locked = changed.with_for_update(skip_locked=True, key_share=True)
    cases = (await session.execute(locked)).scalars().all()
    if not cases:
        return Counted(0, ())
    await session.execute(delete(hops_due).where(hops_due.c.case_id.in_(cases)))
    hops = _hops(referral.c.case_id.in_(cases))
    query: Select[Any] = (
        select(case_fact.c.case_id, hops.c.hops, case_fact.c.municipality, _holder.label("holder"))
        .join(hops, hops.c.case_id == case_fact.c.case_id)
        .where(hops.c.hops >= min(HOPS), case_fact.c.closed_at.is_(None))
        .order_by(case_fact.c.case_id)
    )
    return Counted(len(cases), (await session.execute(query)).all())


async def raised(session: AsyncSession, case_id: UUID) -> frozenset[int]:
    """For which numbers of hops an alarm was raised."""
    query = select(hops_alarm.c.threshold).where(hops_alarm.c.case_id == case_id)
    return frozenset((await session.execute(query)).scalars())


async def add_alarm(session: AsyncSession, case_id: UUID, *, threshold: int, hops: int, at: datetime) -> None:
    """Write that it was raised."""
    values = {"case_id": case_id, "threshold": threshold, "hops": hops, "raised_at": at}
    await session.execute(upsert(hops_alarm).values(**values).on_conflict_do_nothing())


async def list_alarms(
    session: AsyncSession, agency: str, *, after: tuple[datetime, UUID] | None, limit: int
) -> Sequence[Row[Any]]:
    """The open cases that an agency holds or coordinates and that were passed about, the newest alarm first."""
    newest = (
        select(
            hops_alarm.c.case_id,
            func.max(hops_alarm.c.hops).label("hops"),
            func.max(hops_alarm.c.raised_at).label("raised_at"),
        )
        .group_by(hops_alarm.c.case_id)
        .subquery()
    )
    coordinated = select(coordinator.c.municipality).where(coordinator.c.agency_id == agency)
    query = (
        select(newest, case_fact.c.municipality)
        .join(case_fact, case_fact.c.case_id == newest.c.case_id)
        .where(or_(_holder == agency, case_fact.c.municipality.in_(coordinated)), case_fact.c.closed_at.is_(None))
        .order_by(newest.c.raised_at.desc(), newest.c.case_id.desc())
        .limit(limit)
    )
    if after is not None:
        at, case_id = after
        query = query.where(or_(newest.c.raised_at < at, and_(newest.c.raised_at == at, newest.c.case_id < case_id)))
    return (await session.execute(query)).all()
