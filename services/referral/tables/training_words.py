"""The newest word of training about the papers, the end, and each set day after it, of a referral to a course run."""

from uuid import UUID

from sqlalchemy import delete, insert, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from services.referral.domain.states import Outcome
from services.referral.domain.training_words import PAPER
from services.referral.tables.schema import left_seat, training_word


async def words_of(session: AsyncSession, referral_id: UUID) -> dict[str, Outcome | None]:
    """What stands, by what it is about. The referral is locked by whoever calls this."""
    query = select(training_word).where(training_word.c.referral_id == referral_id)
    return {row.about: row.outcome and Outcome(row.outcome) for row in await session.execute(query)}


async def put_word(
    session: AsyncSession, referral_id: UUID, about: str, outcome: Outcome | None, *, sequence: int
) -> bool:
    """Keep it, unless a later one is known: whether so."""
    values = {"referral_id": referral_id, "about": about, "outcome": outcome, "sequence": sequence}
    statement = upsert(training_word).values(**values)
    kept = await session.execute(
        statement.on_conflict_do_update(
            index_elements=[training_word.c.referral_id, training_word.c.about],
            set_={"outcome": outcome, "sequence": sequence},
            where=training_word.c.sequence < sequence,
        ).returning(training_word.c.about)
    )
    return kept.one_or_none() is not None


async def has_left(session: AsyncSession, referral_id: UUID, seat_request_id: UUID) -> bool:
    """Whether a referral goes on with another seat than this one, which it had before."""
    query = select(left_seat).where(
        left_seat.c.referral_id == referral_id, left_seat.c.seat_request_id == seat_request_id
    )
    return (await session.execute(query)).one_or_none() is not None


async def leave(session: AsyncSession, referral_id: UUID, seat_request_id: UUID) -> None:
    """It goes on with another; the papers of this seat are none of the next one's. The referral is locked."""
    await session.execute(insert(left_seat).values(referral_id=referral_id, seat_request_id=seat_request_id))
    papers = training_word.c.referral_id == referral_id, training_word.c.about == PAPER
    await session.execute(delete(training_word).where(*papers))
