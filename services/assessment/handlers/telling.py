"""Telling facts about a case in their order: its row counts them, under the lock that whoever acts holds."""

from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.assessment.tables import cases
from shared.bus.mailbox import emit
from shared.events import Event


async def tell(session: AsyncSession, case_id: UUID, *events: Event, now: datetime, rated: int = 0) -> None:
    """Tell these facts about a locked case, last of all."""
    last = await cases.count(session, case_id, told=len(events), rated=rated)
    first = last - len(events) + 1
    await emit(session, *((event, first + place) for place, event in enumerate(events)), at=now)
