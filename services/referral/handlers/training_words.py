"""What training tells of a referral to a course: of which seat, what became of the person, what was corrected since."""

from dataclasses import replace
from datetime import date, datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.referral.domain import training_words
from services.referral.domain.moves import BACK_TO, BACK_TO_LINE, Referral
from services.referral.domain.states import Outcome, Party, Progress, State
from services.referral.handlers import moving
from services.referral.tables import facts, referrals
from services.referral.tables import training_words as tables
from shared.service import day_in_japan


async def follow_seat(
    session: AsyncSession,
    name: str,
    *,
    case_id: UUID,
    referral_id: UUID | None,
    seat_request_id: UUID,
    day: date | None,
    now: datetime,
) -> None:
    """Let a fact about a seat move its referral; of a seat that it has left, nothing does any more."""
    if referral_id is None or await _has_left(session, case_id, referral_id, seat_request_id, begins=name in _BEGINS):
        return
    await moving.follow_training(
        session,
        case_id=case_id,
        referral_id=referral_id,
        name=name,
        seat_request_id=seat_request_id,
        day=day,
        now=now,
    )


_BEGINS = frozenset({"hold_seat", BACK_TO_LINE})
"""With these another seat begins, or the place in the line that follows one that is gone."""


async def _has_left(
    session: AsyncSession, case_id: UUID, referral_id: UUID, seat_request_id: UUID, *, begins: bool
) -> bool:
    """Whether this seat is none of the referral's any more.

    After a late change another request goes on for the referral, in the line or in another course run. What the one
    before had come to is no seat of this one's: it begins anew, and a word about the old one comes too late.
    """
    seen = await referrals.find_referral(session, referral_id)
    if seen is None or seen.seat_request_id in {None, seat_request_id}:
        return False
    referral = await _lock(session, case_id, referral_id)
    if referral is None or referral.seat_request_id in {None, seat_request_id}:
        return False
    if await tables.has_left(session, referral.id, seat_request_id):
        return True
    if begins and referral.state in {State.SENT, State.RECEIVED}:
        await tables.leave(session, referral.id, referral.seat_request_id)
        await referrals.store_standing(session, replace(referral, seat_request_id=seat_request_id, progress=None))
    return False


async def keep_from_another(
    session: AsyncSession, case_id: UUID, referral_id: UUID | None, provider: str, *, now: datetime
) -> None:
    """The person begins at another school than the one that was asked: that one isn't handed the case."""
    referral = await _lock(session, case_id, referral_id)
    if referral is None or referral.receiver == provider or referral.state not in {State.SENT, State.RECEIVED}:
        return
    fact = await facts.find_case_fact(session, case_id)
    await moving.keep_holder(session, case_id, referral.id, holder=facts.holder_of(fact), now=now)


async def begin(session: AsyncSession, case_id: UUID, referral_id: UUID | None, *, now: datetime) -> None:
    """The course has begun for the person: that came of it, whatever else may. Training has told it already."""
    referral = await _lock(session, case_id, referral_id)
    if referral is None or referral.progress is not Progress.ENROLLED:
        return
    if not await referrals.outcomes_of(session, referral.id):
        await referrals.add_outcome(session, referral.id, Outcome.STARTED, by=Party.TRAINING, at=now)


async def hear(
    session: AsyncSession,
    case_id: UUID,
    referral_id: UUID | None,
    about: str,
    outcome: Outcome | None,
    *,
    sequence: int,
    now: datetime,
) -> None:
    """A word about the end, or a set day after it: what all that stand come to is the referral's outcome."""
    referral = await _lock(session, case_id, referral_id)
    if referral is None:
        return
    before = await tables.words_of(session, referral.id)
    if not await tables.put_word(session, referral.id, about, outcome, sequence=sequence):
        return  # a later word about the same is known
    now_stand = (before | {about: outcome}).values()
    moves = training_words.moves(referral.state, referral.outcome, before.values(), now_stand)
    for name in moves:
        said = None if name == "close" else training_words.standing(now_stand)
        referral = await moving.follow_outcome(session, referral, name, said, now=now)
    was = before.get(about)
    if not moves and outcome is not None and was is not None and was not in now_stand:
        # What shows is something further, and stays; what was corrected counts no more.
        await referrals.add_outcome(session, referral.id, outcome, by=Party.TRAINING, at=now, corrects=was)


async def hear_paper(
    session: AsyncSession, case_id: UUID, referral_id: UUID | None, seat_request_id: UUID, *, sequence: int
) -> bool:
    """Keep how new a word about papers is: an earlier paper that is heard of late undoes nothing of the last one."""
    referral = await _lock(session, case_id, referral_id)
    if referral is None or await tables.has_left(session, referral.id, seat_request_id):
        return False
    return await tables.put_word(session, referral.id, training_words.PAPER, None, sequence=sequence)


async def lose_paper(
    session: AsyncSession, case_id: UUID, referral_id: UUID | None, state: str | None, until: datetime, *, now: datetime
) -> None:
    """The paper was cancelled: the seat is held for another one, until a moment."""
    progress = Progress.COUNTERSIGNED if state == Progress.COUNTERSIGNED else Progress.NOMINATED
    await moving.follow_training(
        session, case_id=case_id, referral_id=referral_id, name=BACK_TO[progress], day=day_in_japan(until), now=now
    )


async def _lock(session: AsyncSession, case_id: UUID, referral_id: UUID | None) -> Referral | None:
    """The referral with its case, in the order that everybody keeps: after it, a next place may be looked for."""
    if referral_id is None:
        return None
    seen = await referrals.find_referral(session, referral_id)
    if seen is None or seen.case_id != case_id:
        return None
    await facts.lock_case_fact(session, case_id)
    return await referrals.lock_referral(session, referral_id)
