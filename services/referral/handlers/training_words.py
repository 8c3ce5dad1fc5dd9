"""What training tells of a referral to a course: of which seat, what became of the person, what was corrected since."""

from dataclasses import replace
from datetime import date, datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.referral.domain import training_words
from services.referral.domain.moves import BACK_TO, Referral, Said
from services.referral.domain.states import Kind, Outcome, Party, Progress, State
from services.referral.domain.training_words import Seat
from services.referral.handlers import course_changes, moving
from services.referral.tables import facts, referrals
from services.referral.tables import training_words as tables
from shared.service import day_in_japan


async def follow_seat(
    session: AsyncSession,
    name: str,
    *,
    case_id: UUID,
    referral_id: UUID | None,
    seat: Seat,
    day: date | None = None,
    party: Party = Party.TRAINING,
    reason: str | None = None,
    now: datetime,
) -> None:
    """Let a fact about a seat move its referral; of a seat that it has left, nothing does any more."""
    if referral_id is None or not await is_its_own(session, case_id, referral_id, seat, now=now):
        return
    await moving.follow_training(
        session,
        case_id=case_id,
        referral_id=referral_id,
        name=name,
        seat=seat,
        day=day,
        party=party,
        reason=reason,
        now=now,
    )


async def is_its_own(session: AsyncSession, case_id: UUID, referral_id: UUID, seat: Seat, *, now: datetime) -> bool:
    """Whether this is the newest seat, or place in line, that goes on for the referral; it is from now on, if so.

    After a late change another request goes on, in the line or in another course run, to which the person agreed: it
    begins anew, the referral names that course run and its school, and a word about the one before comes too late.
    """
    seen = await referrals.find_referral(session, referral_id)
    if seen is None or seen.case_id != case_id:
        return False
    same_seat = seen.seat_request_id in {None, seat.id}
    if same_seat and seen.course_run_id == seat.course_run_id and not seat.consent_version:
        return True
    referral = await _lock(session, case_id, referral_id)
    if referral is None or referral.kind is not Kind.COURSE_RUN:
        return False
    if referral.seat_request_id != seat.id:
        if await _has_left(session, referral, seat) or referral.state not in _MAY_LEAVE:
            return False
        if referral.seat_request_id is not None:
            await tables.leave(session, referral.id, referral.seat_request_id)
            referral = replace(referral, progress=None)
        referral = training_words.with_seat(seat, referral)
        await referrals.store_standing(session, referral)
    await course_changes.follow(session, referral, seat, now=now)
    return True


_MAY_LEAVE = frozenset({State.SENT, State.RECEIVED})
"""Who is enrolled leaves a seat for none other."""


async def _has_left(session: AsyncSession, referral: Referral, seat: Seat) -> bool:
    if referral.seat_request_id is None:
        return False
    return not seat.is_newer(referral.seat_since) or await tables.has_left(session, referral.id, seat.id)


async def keep_from_another(
    session: AsyncSession,
    case_id: UUID,
    referral_id: UUID | None,
    course_run_id: UUID,
    provider: str | None,
    *,
    now: datetime,
) -> None:
    """The person begins at another school than the one that was asked: that one isn't handed the case.

    `provider`: None where nobody has told yet whose the course run is.
    """
    referral = await _lock(session, case_id, referral_id)
    if referral is None or referral.state not in {State.SENT, State.RECEIVED}:
        return
    school = provider or (referral.receiver if referral.course_run_id == course_run_id else None)
    if school != referral.receiver:
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
        said = Said(outcome=None if name == "close" else training_words.standing(now_stand))
        referral = await moving.follow_word(session, referral, name, said, now=now)
    was = before.get(about)
    if not moves and outcome is not None and was is not None and was not in now_stand:
        # What shows is something further, and stays; what was corrected counts no more.
        await referrals.add_outcome(session, referral.id, outcome, by=Party.TRAINING, at=now, corrects=was)


async def hear_paper(
    session: AsyncSession, case_id: UUID, referral_id: UUID | None, seat: Seat, *, sequence: int, now: datetime
) -> bool:
    """Keep how new a word about papers is: an earlier paper that is heard of late undoes nothing of the last one."""
    if referral_id is None or not await is_its_own(session, case_id, referral_id, seat, now=now):
        return False
    referral = await _lock(session, case_id, referral_id)
    if referral is None:
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
