"""What a joint case conference decided is carried out here: sent in its owner's name, once, or told to be impossible.

No order is promised between topics, and so what a decision rests on may come after it: the case, the person's word
about consent, the course. Until then it waits, is tried when such a fact comes and every minute, and is given up with a
reason after an hour, since nobody waits on the line.
"""

from datetime import datetime, timedelta
from typing import assert_never
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.referral.domain.states import Verb
from services.referral.handlers.referrals import (
    AlreadyReferred,
    CaseIsClosed,
    DoesNotFit,
    NotTheHolder,
    Order,
    Sent,
    Target,
    TargetNotKnown,
    send,
)
from services.referral.tables import decided, facts, schema
from services.referral.tables.decided import Decided
from shared.bus.mailbox import emit
from shared.consent import ConsentLacking
from shared.events import ReferralNotSent

PATIENCE = timedelta(hours=1)
PAUSE = timedelta(minutes=1)
_MANY = 1_000
"""More than ever wait in one case, or for one course."""


async def take_up(session: AsyncSession, order: Decided, *, now: datetime) -> None:
    """Keep a decision, and carry it out if everything is known; once, however often it was told."""
    if (order.programme_id is None) == (order.course_run_id is None):
        await _tell_not_sent(session, order, "target_not_known", now)
    elif await decided.keep(session, order):
        await _try(session, order, now)


async def try_of_case(session: AsyncSession, case_id: UUID, *, now: datetime) -> None:
    """A fact about a case has come."""
    for order in await decided.find_waiting(session, schema.decided_referral.c.case_id == case_id, limit=_MANY):
        await _try(session, order, now)


async def try_of_course(session: AsyncSession, course_run_id: UUID, *, now: datetime) -> None:
    """A course has come."""
    course = schema.decided_referral.c.course_run_id == course_run_id
    for order in await decided.find_waiting(session, course, limit=_MANY):
        await _try(session, order, now)


async def try_again(session: AsyncSession, now: datetime) -> bool:
    """Try the one that was tried longest ago. False when each was tried within the minute."""
    due = await decided.find_waiting(session, schema.decided_referral.c.try_at <= now - PAUSE, limit=1)
    for order in due:
        await _try(session, order, now)
    return bool(due)


async def _try(session: AsyncSession, found: Decided, now: datetime) -> None:
    # The case's row before the decision's, as whoever brings a fact about the case has it already.
    fact = await facts.lock_case_fact(session, found.case_id)
    order = await decided.lock_waiting(session, found.task_id)
    if order is None:
        return  # another was faster
    if fact is None or (fact.consent_version or 0) < order.consent_version:
        await _wait(session, order, "case_not_known", now)
        return
    target = Target(order.programme_id, order.course_run_id)
    # Who took it on in a conference need not hold the case; then its holder stays.
    verb = Verb.TRANSFER if order.owner == facts.holder_of(fact) else Verb.REFER
    outcome = await send(session, fact, Order(target, verb, task_id=order.task_id), sender=order.owner, now=now)
    match outcome:
        case Sent(referral):
            await decided.change(session, order.task_id, state="sent", referral_id=referral.id)
        case TargetNotKnown():
            # The directory is this service's own; a course may not have been heard of yet.
            late = order.course_run_id is not None
            await (_wait if late else _give_up)(session, order, "target_not_known", now)
        case ConsentLacking(because):
            await _give_up(session, order, because, now)
        case AlreadyReferred():
            await _give_up(session, order, "already_referred", now)
        case CaseIsClosed():
            await _give_up(session, order, "case_closed", now)
        case DoesNotFit(reasons):
            # Its owner may send it knowingly, with the task.
            await _give_up(session, order, reasons[0], now)
        case NotTheHolder():
            await _give_up(session, order, "not_the_holder", now)  # never: the verb was chosen by the same row
        case _:
            assert_never(outcome)


async def _wait(session: AsyncSession, order: Decided, reason: str, now: datetime) -> None:
    if now - order.decided_at > PATIENCE:
        await _give_up(session, order, reason, now)
    else:
        await decided.change(session, order.task_id, try_at=now)


async def _give_up(session: AsyncSession, order: Decided, reason: str, now: datetime) -> None:
    await decided.change(session, order.task_id, state="not_sent", reason=reason)
    await _tell_not_sent(session, order, reason, now)


async def _tell_not_sent(session: AsyncSession, order: Decided, reason: str, now: datetime) -> None:
    event = ReferralNotSent(case_id=order.case_id, task_id=order.task_id, owner=order.owner, reason=reason)
    await emit(session, (event, 1), at=now)
