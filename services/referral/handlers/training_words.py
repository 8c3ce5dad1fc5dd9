"""What became of somebody in training: the referral's outcome, its end, and what was corrected since."""

from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.referral.domain import training_words
from services.referral.domain.moves import BACK_TO, Referral
from services.referral.domain.states import Outcome, Party, Progress
from services.referral.handlers import moving
from services.referral.tables import facts, referrals
from services.referral.tables import training_words as tables
from shared.service import day_in_japan


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
