"""What assessment hears: that there is a case. A withdrawn consent ends sharing, not the record of what was rated."""

from sqlalchemy.ext.asyncio import AsyncSession

from services.assessment import tables
from shared.bus.inbox import News, Reaction
from shared.events import CaseOpened, Event


async def case_opened(session: AsyncSession, event: CaseOpened, _: News) -> None:
    """From now on it can be rated here."""
    await tables.keep_case(session, event.case_id, municipality=event.municipality, opened_by=event.agency_id)


reactions: dict[type[Event], Reaction] = {CaseOpened: case_opened}
