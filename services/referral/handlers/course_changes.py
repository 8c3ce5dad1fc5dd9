"""A referral follows the person to another course run (受講先の変更), and names the school there from then on."""

from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from services.referral.domain.moves import CHANGE_COURSE, IN_FLIGHT, NewCourse, NotMoved, Referral, Said, advance
from services.referral.domain.states import Party, Verb
from services.referral.domain.training_words import Seat
from services.referral.handlers import moving
from services.referral.handlers.referrals import coordinator_of
from services.referral.tables import course_changes, facts, links, referrals


async def follow(session: AsyncSession, referral: Referral, seat: Seat, *, now: datetime) -> None:
    """Name the course run of this seat, and its school. The case and the referral are locked, and the seat is its own.

    Where the person has taken back meanwhile that this school may be told, the referral ends, and with it the seat.
    """
    if seat.consent_version > referral.consent_version:
        referral = replace(referral, consent_version=seat.consent_version)
        await referrals.store_standing(session, referral)
    same = seat.course_run_id == referral.course_run_id
    course = None if same else await facts.find_course(session, seat.course_run_id)
    school = referral.receiver if same else course and course.provider
    fact = await facts.find_case_fact(session, referral.case_id)
    if fact is None or school is None:
        return  # nobody has told yet whose the course run is: `follow_all` goes on then
    if _is_taken_back(fact, referral, school):
        said = Said(reason="consent_withdrawn")
        await moving.follow_word(session, referral, "end_consent", said, party=Party.PERSON, now=now)
    elif not same:
        await _change(session, fact, referral, seat.course_run_id, school, now=now)


async def follow_all(session: AsyncSession, course_run_id: UUID, *, now: datetime) -> None:
    """Training has told whose the course run is: what goes on there already names its school from now on."""
    for referral_id, case_id in await course_changes.find_behind(session, course_run_id):
        await facts.lock_case_fact(session, case_id)
        referral = await referrals.lock_referral(session, referral_id)
        if referral is not None and referral.seat_request_id is not None and referral.seat_since is not None:
            seat = Seat(referral.seat_request_id, course_run_id, referral.seat_since)
            await follow(session, referral, seat, now=now)


def _is_taken_back(fact: Row[Any], referral: Referral, school: str) -> bool:
    """Whether the newest word doesn't reach the school, which the one on which the person agreed did."""
    if not 0 < referral.consent_version <= (fact.consent_version or 0):
        return False  # nothing is known of that word, or it is still to come, and is judged then
    return moving.is_taken_back(facts.consent_of(fact), replace(referral, receiver=school))


async def _change(
    session: AsyncSession, fact: Row[Any], referral: Referral, course_run_id: UUID, school: str, *, now: datetime
) -> None:
    if isinstance(advance(referral, CHANGE_COURSE, {Party.TRAINING}), NotMoved):
        return  # it has ended meanwhile, as what it was
    if school != referral.receiver and referral.verb is Verb.TRANSFER:
        # Its sender was ready to hand the case to the school that it asked, and to no other.
        await moving.keep_holder(session, referral.case_id, referral.id, holder=facts.holder_of(fact), now=now)
        locked = await referrals.lock_referral(session, referral.id)
        assert locked is not None  # nothing is deleted
        referral = locked
    coordinator = referral.coordinator
    if school != referral.receiver and referral.state in IN_FLIGHT:
        # Nobody judges in their own cause, and the school before may have stood in the way of who is named.
        coordinator = await coordinator_of(session, fact, referral.verb, sender=referral.sender, receiver=school)
    said = Said(course=NewCourse(course_run_id, school, coordinator))
    after = await moving.follow_word(session, referral, CHANGE_COURSE, said, now=now)
    await course_changes.add(session, referral, version=after.version)
    await _revoke_link(session, after, now)


async def _revoke_link(session: AsyncSession, referral: Referral, now: datetime) -> None:
    """By a link of before the school before would still answer."""
    live = await links.find_live(session, referral.id)
    if live is not None and live.agency_id != referral.receiver:
        await links.change_link(session, live.id, revoked_at=now)
