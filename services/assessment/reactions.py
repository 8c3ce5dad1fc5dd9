"""What assessment hears of cases: that there is one, who holds it, what the person said about sharing, and its end."""

from sqlalchemy.ext.asyncio import AsyncSession

from services.assessment.domain.tasks import DropReason
from services.assessment.handlers import tasks
from services.assessment.tables import cases
from shared import vault
from shared.bus.inbox import News, Reaction
from shared.consent import Said, consent_said
from shared.events import (
    CaseClosed,
    CaseErased,
    CaseHandedOver,
    CaseOpened,
    CaseReopened,
    ConsentGiven,
    ConsentPending,
    ConsentRefused,
    ConsentWithdrawn,
    Event,
)

_BY = "tsunagu-assessment"


async def case_opened(session: AsyncSession, event: CaseOpened, _: News) -> None:
    """From now on it can be rated here."""
    await cases.keep_case(
        session,
        event.case_id,
        municipality=event.municipality,
        opened_by=event.agency_id,
        opened_at=event.opened_at,
    )


async def case_held(session: AsyncSession, event: CaseHandedOver | CaseReopened, news: News) -> None:
    """Its ratings are the new holder's to read, and its duties the new holder's to meet."""
    case = await cases.lock_case(session, event.case_id)
    if case is None:
        return
    held = await cases.keep_custody(
        session, event.case_id, holder=event.agency_id, closed_at=None, version=news.sequence
    )
    if held and case.holder != event.agency_id:
        await tasks.follow_holder(session, event.case_id, holder=event.agency_id, before=case.holder, now=news.now)


async def case_closed(session: AsyncSession, event: CaseClosed, news: News) -> None:
    """It is rated no more, and nothing waits in it, until somebody takes the person up again."""
    case = await cases.lock_case(session, event.case_id)
    if case is None:
        return
    closed = await cases.keep_custody(
        session, event.case_id, holder=event.agency_id, closed_at=news.published_at, version=news.sequence
    )
    if closed:
        await tasks.drop_all(session, event.case_id, DropReason.CASE_CLOSED, by=event.agency_id, now=news.now)


async def consent_changed(session: AsyncSession, event: Said, _: News) -> None:
    """Whom the ratings may be shown to. A withdrawn consent ends sharing, not the record of what was rated."""
    await cases.keep_consent(session, event.case_id, consent_said(event), event.consent_version)


async def case_erased(session: AsyncSession, event: CaseErased, _: News) -> None:
    """What was written about the person goes here as well; codes stay, for nobody to read."""
    if await cases.mark_erased(session, event.case_id, event.erased_at):
        await vault.order_erasure(session, [event.case_id], agency=_BY, actor=_BY, reason="case_erased")


reactions: dict[type[Event], Reaction] = {
    CaseOpened: case_opened,
    CaseHandedOver: case_held,
    CaseReopened: case_held,
    CaseClosed: case_closed,
    CaseErased: case_erased,
    ConsentGiven: consent_changed,
    ConsentPending: consent_changed,
    ConsentRefused: consent_changed,
    ConsentWithdrawn: consent_changed,
}
