"""What assessment hears: that there is a case, who holds it, and what the person agreed to.

A withdrawn consent ends sharing, not the record of what was rated.
"""

from sqlalchemy.ext.asyncio import AsyncSession

from services.assessment import tables
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


async def case_opened(session: AsyncSession, event: CaseOpened, _: News) -> None:
    """From now on it can be rated here."""
    await tables.keep_case(session, event.case_id, municipality=event.municipality, opened_by=event.agency_id)


async def case_held(session: AsyncSession, event: CaseHandedOver | CaseReopened, news: News) -> None:
    """Its ratings are the new holder's to read."""
    await tables.keep_custody(session, event.case_id, holder=event.agency_id, closed_at=None, version=news.sequence)


async def case_closed(session: AsyncSession, event: CaseClosed, news: News) -> None:
    """It is rated no more, until somebody takes the person up again."""
    await tables.keep_custody(
        session, event.case_id, holder=event.agency_id, closed_at=news.published_at, version=news.sequence
    )


async def consent_changed(session: AsyncSession, event: Said, _: News) -> None:
    """Whom the ratings may be shown to."""
    await tables.keep_consent(session, event.case_id, consent_said(event), event.consent_version)


async def case_erased(session: AsyncSession, event: CaseErased, _: News) -> None:
    """What was rated stays as codes, for nobody to read; nothing is rated any more."""
    await tables.mark_erased(session, event.case_id, event.erased_at)


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
