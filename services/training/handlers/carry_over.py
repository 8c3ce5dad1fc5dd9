"""At the end of a quarter what is left of an allotment, if it is little, goes on to the next quarter's."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from services.training.domain.carry_over import carries
from services.training.tables import carry_over as tables
from shared.bus.mailbox import emit
from shared.events import QuotaCarriedOver


async def carry_over_next(session: AsyncSession, now: datetime) -> bool:
    """The clock: one allotment, once; whether there was one to look at."""
    allotment_id = await tables.lock_next_remainder(session, now)
    # Found before the lock was had: only what is read now counts.
    found = None if allotment_id is None else await tables.find_remainder(session, allotment_id, now)
    if found is None:
        return False
    remainder = tables.remainder_of(found)
    seats = carries(remainder)
    if not seats or remainder.next_id is None:
        return False
    await tables.carry_over(session, remainder, seats, now)
    told = QuotaCarriedOver(
        decision_allotment_id=remainder.allotment_id,
        to_allotment_id=remainder.next_id,
        municipalities=list(found["municipalities"]),
        seats=seats,
    )
    # It happens once to an allotment.
    await emit(session, (told, 1), at=now)
    return True
