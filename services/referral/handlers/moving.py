"""Moving referrals: by agencies, by training's facts, by what the person says about consent, by the clock.

The order of locks, everywhere: the case's row, then its referrals, then its needs. Whoever moves several referrals,
asks for the consent or the holder, or may begin a search for a place or put a need on record, locks the case first: it
may be over by then. Any other move locks its one referral and waits for nothing else.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from services.referral.domain import clocks
from services.referral.domain.chain import NotRerouted, Place, reroute
from services.referral.domain.holders import ACCEPTS, handed_on, has_handed_on, still_ahead
from services.referral.domain.moves import (
    KEEP_HOLDER,
    NOTHING_SAID,
    Moved,
    NotMoved,
    Referral,
    Said,
    advance,
    legal_moves,
)
from services.referral.domain.options import CourseRun
from services.referral.domain.routing import next_place
from services.referral.domain.states import Kind, Party, Progress, State, Verb
from services.referral.domain.training_words import Seat, with_seat
from services.referral.handlers import needs, places
from services.referral.handlers.links import keep_link
from services.referral.handlers.looking import concerning, visible
from services.referral.handlers.needs import Told
from services.referral.handlers.referrals import (
    AlreadyReferred,
    CaseIsClosed,
    DoesNotFit,
    NotTheHolder,
    Order,
    Sent,
    Target,
    TargetNotKnown,
    consent_lacks,
    coordinator_of,
    does_not_fit,
    find_offer,
    not_the_holder,
    open_there,
    send,
)
from services.referral.handlers.routing import answer
from services.referral.handlers.telling import keeping_holder, moving, sending, taking_over
from services.referral.handlers.waiting import with_clock
from services.referral.tables import asked, facts, referrals, schema
from shared.auth import Actor
from shared.bus.mailbox import emit
from shared.consent import FOR_REFERRAL, FOR_TRAINING, Consent, ConsentLacking, takes_back
from shared.events import ReferralRerouted
from shared.service import expect


@dataclass(frozen=True, slots=True)
class NotReached:
    """Consent no longer reaches who was asked (it ran out, say), and who can't record it; codes as in ConsentLacking.

    It is not taken on, and its clock goes on: the sender asks the person anew, or the coordinator has it in the end.
    """

    because: str


_OF_THE_CASE = frozenset({"send", "reroute", "confirm_decline", "expire", "close", "add_outcome", *ACCEPTS})
"""Moves that ask something of the case, move others with it, or after which a next place is looked for."""
_OF_A_SEAT = frozenset({"enrol", "refuse_seat", "release_seat"})
"""The same of what training tells."""


_HELD = frozenset({Progress.SEAT_HELD, Progress.NOMINATED, Progress.COUNTERSIGNED})
"""As long as no paper is out, a seat is held until a moment, which may be put off."""


@dataclass(frozen=True, slots=True)
class NotInvolved:
    """It may be looked at from the municipality, but only its parties move it."""


Outcome = (
    Moved
    | NotMoved
    | NotInvolved
    | ConsentLacking
    | NotReached
    | NotRerouted
    | TargetNotKnown
    | AlreadyReferred
    | NotTheHolder
    | CaseIsClosed
    | DoesNotFit
)


async def move_referral(
    session: AsyncSession,
    referral_id: UUID,
    name: str,
    *,
    actor: Actor,
    now: datetime,
    said: Said = NOTHING_SAID,
    target: Target | None = None,
    read: int | None = None,
    knowingly: bool = False,
    instead_of: UUID | None = None,
) -> Outcome:
    """Make an agency's move."""
    seen = visible(await referrals.find_referral(session, referral_id), actor)
    parties = seen.parties(actor.agency)
    if not parties:
        return NotInvolved()
    if name == "send" and Party.SENDER in parties:
        # A draft is older than what happened since: whose business the case was then may be nobody's now.
        concerning(await facts.find_case_fact(session, seen.case_id), actor)
    return await move(
        session,
        seen,
        name,
        parties=parties,
        by=actor.agency,
        now=now,
        said=said,
        target=target,
        read=read,
        knowingly=knowingly,
        instead_of=instead_of,
    )


async def move(
    session: AsyncSession,
    seen: Referral,
    name: str,
    *,
    parties: Collection[Party],
    by: str,
    now: datetime,
    said: Said = NOTHING_SAID,
    target: Target | None = None,
    read: int | None = None,
    knowingly: bool = False,
    instead_of: UUID | None = None,
) -> Outcome:
    """Make a move for these parties, by whichever door they came; `seen` is what was looked at, not locked."""
    fact = await facts.lock_case_fact(session, seen.case_id) if name in _OF_THE_CASE else None
    referral = await referrals.lock_referral(session, seen.id)
    assert referral is not None  # nothing is deleted
    if read is not None:
        expect(referral.version, read)
    moved = advance(referral, name, parties, said)
    if isinstance(moved, NotMoved):
        return moved
    if moved.move.name == "reroute":
        assert fact is not None
        assert target is not None
        return await _reroute(session, referral, moved, fact, target, by=by, knowingly=knowingly, now=now)
    if fact is not None and name in {"send", *ACCEPTS}:
        refused = await _refusal(session, fact, moved, knowingly=knowingly, now=now)
        if refused is not None:
            return refused
    if name == "send":
        assert fact is not None
        return await _send_draft(session, fact, referral, moved, instead_of=instead_of, by=by, now=now)
    if name not in ACCEPTS:
        stored = await _store(session, referral, moved, said, by=by, now=now)
        await emit(session, *stored.told, at=now)
        return Moved(stored.referral, moved.move)
    assert fact is not None
    accepted = await _accept(session, fact, referral, name, parties, said, by=by, now=now)
    return Moved(accepted, moved.move)


async def _accept(
    session: AsyncSession,
    fact: Row[Any],
    referral: Referral,
    name: str,
    parties: Collection[Party],
    said: Said,
    *,
    by: str,
    now: datetime,
) -> Referral:
    """Somebody takes it on, under the case's lock: rivals are over, and the case has its next holder, if it moves."""
    told: Told = []
    if not_the_holder(fact, referral.verb, referral.sender) is not None:
        kept = await _keep_holder(session, referral, facts.holder_of(fact), now)
        referral, told = kept.referral, kept.told
    moved = advance(referral, name, parties, said)
    assert isinstance(moved, Moved)  # the table was asked, under the lock
    stored = await _store(session, referral, moved, said, by=by, now=now)
    told += stored.told + await _win(session, stored.referral, now)
    if moved.move.to is Party.RECEIVER:
        # Ahead of intake, which hears of it in a moment: nobody hands on twice what they had once.
        await facts.take_on(session, referral.case_id, referral.receiver, by=referral.id)
        told += await _let_holder_stay(session, referral.case_id, referral.receiver, now)
    await emit(session, *told, at=now)
    if referral.verb is Verb.REQUEST:
        # Its holder was asked for it, and has given it: that is the next place, as if it had been sent.
        await places.sent_on(session, fact, stored.referral, instead_of=None, now=now)
    return stored.referral


async def _let_holder_stay(session: AsyncSession, case_id: UUID, holder: str, now: datetime) -> Told:
    """This agency holds the case: what others still offered to hand over with it is from now on only referred."""
    told: Told = []
    for each in await referrals.lock_in_flight(session, case_id):
        if each.verb is Verb.TRANSFER and each.sender != holder:
            told += (await _keep_holder(session, each, holder, now)).told
    return told


async def _keep_holder(session: AsyncSession, referral: Referral, holder: str, now: datetime) -> "_Stored":
    moved = advance(referral, KEEP_HOLDER, {Party.SERVICE})
    assert isinstance(moved, Moved)  # whoever asks has looked at its verb and state
    stored = await _store(session, referral, moved, NOTHING_SAID, by=Party.SERVICE.value, now=now)
    return _Stored(stored.referral, [(keeping_holder(stored.referral, holder), stored.referral.version)])


async def _send_draft(
    session: AsyncSession,
    fact: Row[Any],
    draft: Referral,
    moved: Moved,
    *,
    instead_of: UUID | None,
    by: str,
    now: datetime,
) -> Moved:
    """From now on the receiver may know of it; who coordinates is who does so today."""
    coordinator = await coordinator_of(session, fact, draft.verb, sender=draft.sender, receiver=draft.receiver)
    sent = replace(moved, referral=replace(moved.referral, sent_at=now, coordinator=coordinator))
    stored = await _store(session, draft, sent, NOTHING_SAID, by=by, now=now)
    told = sending(stored.referral, hold_until=None, task_id=await referrals.task_of(session, draft.id))
    await emit(session, *((event, stored.referral.version) for event in told), at=now)
    await places.sent_on(session, fact, stored.referral, instead_of=instead_of, now=now)
    return Moved(stored.referral, moved.move)


async def _refusal(
    session: AsyncSession, fact: Row[Any], moved: Moved, *, knowingly: bool, now: datetime
) -> ConsentLacking | NotReached | NotTheHolder | AlreadyReferred | CaseIsClosed | DoesNotFit | None:
    """What stands against a move that the table has; asked under the case's lock."""
    to, name = moved.referral, moved.move.name
    # A transfer of who no longer holds the case can be accepted: the receiver then does its part, and the holder stays.
    if name == "send" or to.verb is Verb.REQUEST:
        stands = not_the_holder(fact, to.verb, to.sender)
        if stands is not None:
            return stands
    target = Target(to.programme_id, to.course_run_id)
    lacking = consent_lacks(fact, target, to.receiver, now)
    if lacking is not None and name == "accept" and to.verb is not Verb.REQUEST:
        return NotReached(lacking.because)
    if lacking is not None or name != "send":
        return lacking
    if fact.closed_at is not None:
        return CaseIsClosed()
    offer = await find_offer(session, target)
    assert offer is not None  # nothing leaves the directory
    if not knowingly and (unfit := await does_not_fit(session, fact, offer, now)) is not None:
        return unfit
    there = await open_there(session, to.case_id, Order(target, knowingly=knowingly))
    return None if there is None else AlreadyReferred(there)


async def _win(session: AsyncSession, won: Referral, now: datetime) -> Told:
    """Of rivals the first to accept has it; what the others had been asked for is over, without anybody's help."""
    if won.state is not State.ACCEPTED or won.group_id is None:
        return []
    if (await referrals.find_group(session, won.group_id)).mode != "first":
        return []
    await referrals.set_winner(session, won.group_id, won.id)
    told: Told = []
    said = Said(reason="another_accepted")
    for rival in await referrals.lock_rivals(session, won):
        lost = advance(rival, "lose", {Party.SERVICE}, said)
        assert isinstance(lost, Moved)  # it is in flight
        told += (await _store(session, rival, lost, said, by=Party.SERVICE.value, now=now)).told
    return told


async def _reroute(
    session: AsyncSession,
    referral: Referral,
    moved: Moved,
    fact: Row[Any],
    target: Target,
    *,
    by: str,
    knowingly: bool,
    now: datetime,
) -> Outcome:
    """Pass it on: this one ends, and one of the same sender goes to the better place."""
    offer = await find_offer(session, target)
    if offer is None:
        return TargetNotKnown()
    asked_already = [
        Place(each.receiver, each.programme_id or each.course_run_id)
        for each in await referrals.chain_of(session, referral)
    ]
    to = Place(offer.agency, target.programme_id or target.course_run_id)
    refused = reroute(asked_already, to, sender=referral.sender)
    if refused is not None:
        return refused
    task_id = await referrals.task_of(session, referral.id)
    holder_stays = not_the_holder(fact, referral.verb, referral.sender) is not None
    verb = Verb.REFER if holder_stays else referral.verb
    order = Order(
        target,
        verb,
        task_id=task_id,
        knowingly=knowingly,
        group_id=referral.group_id,
        rerouted_from=referral.id,
    )
    sent = await send(session, fact, order, sender=referral.sender, now=now)
    if not isinstance(sent, Sent):
        return sent
    stored = await _store(session, referral, moved, Said(), by=by, now=now)
    event = ReferralRerouted(
        case_id=referral.case_id,
        referral_id=referral.id,
        sender=referral.sender,
        receiver=referral.receiver,
        next_referral_id=sent.referral.id,
        next_receiver=offer.agency,
    )
    await emit(session, *stored.told, (event, stored.referral.version), at=now)
    return Moved(stored.referral, moved.move)


# --- Others' facts ---------------------------------------------------------------------------------------------------


async def follow_training(
    session: AsyncSession,
    *,
    case_id: UUID,
    referral_id: UUID | None,
    name: str,
    now: datetime,
    reason: str | None = None,
    seat: Seat | None = None,
    party: Party = Party.TRAINING,
    day: date | None = None,
) -> None:
    """Let a fact about a seat move its referral; what is not legal (any more) changes nothing."""
    if referral_id is None:
        return  # a seat that was asked for directly
    seen = await referrals.find_referral(session, referral_id)
    if seen is None or seen.case_id != case_id:
        return
    fact = await facts.lock_case_fact(session, case_id) if name in _OF_A_SEAT else None
    referral = await referrals.lock_referral(session, referral_id)
    assert referral is not None  # nothing is deleted
    if fact is not None and name == "enrol" and isinstance(advance(referral, name, {party}), Moved):
        await _accept(session, fact, with_seat(seat, referral), name, {party}, Said(day=day), by=party.value, now=now)
        return
    await _follow(session, referral, name, party, reason=reason, seat=seat, day=day, now=now)


async def follow_nomination(
    session: AsyncSession,
    *,
    case_id: UUID,
    seat_request_id: UUID,
    name: str,
    now: datetime,
    day: date | None = None,
) -> None:
    """The same for facts that name no referral; `day`: until when the seat is held now, None: as long as before."""
    await facts.lock_case_fact(session, case_id)
    for referral in await referrals.lock_in_flight(session, case_id):
        if referral.seat_request_id == seat_request_id:
            until = day or referral.review_on
            await _follow(session, referral, name, Party.TRAINING, day=until, now=now)


async def _follow(
    session: AsyncSession,
    referral: Referral,
    name: str,
    party: Party,
    *,
    now: datetime,
    reason: str | None = None,
    seat: Seat | None = None,
    day: date | None = None,
) -> None:
    said = Said(reason=reason, day=day)
    moved = advance(referral, name, {party}, said)
    if isinstance(moved, NotMoved):
        if name == "hold_seat" and referral.progress in _HELD and day != referral.review_on:
            # It is held for another time than was said before; where it stands is the same.
            held = await with_clock(session, replace(referral, review_on=day), now)
            await referrals.store_standing(session, held)
        return
    stored = await _store(
        session, referral, replace(moved, referral=with_seat(seat, moved.referral)), said, by=party.value, now=now
    )
    await emit(session, *stored.told, at=now)


async def follow_word(
    session: AsyncSession, referral: Referral, name: str, said: Said, *, party: Party = Party.TRAINING, now: datetime
) -> Referral:
    """Let training's word about the person make a move, if it is legal; the referral and its case are locked."""
    moved = advance(referral, name, {party}, said)
    if isinstance(moved, NotMoved):
        return referral
    stored = await _store(session, referral, moved, said, by=party.value, now=now)
    await emit(session, *stored.told, at=now)
    return stored.referral


async def note_holder(
    session: AsyncSession, case_id: UUID, told: str, now: datetime, *, answers: UUID | None = None
) -> bool:
    """Intake told who holds the case; what others still offered to hand over with it is from now on only referred.

    `answers`: the acceptance of which intake speaks. What was accepted here after all that it has answered stands, and
    intake hears of it in a moment: its word takes the case back from nobody. True where that holder has handed it on.
    """
    fact = await facts.lock_case_fact(session, case_id)
    if fact is None:
        return False
    ahead = still_ahead(fact.accepted_ahead, answers)
    hand_ons = await referrals.hand_ons(session, ahead)
    holder = handed_on(told, hand_ons)
    if (holder, ahead) != (fact.holder, fact.accepted_ahead):
        await facts.set_holder(session, case_id, holder, ahead=ahead)
    await emit(session, *await _let_holder_stay(session, case_id, holder, now), at=now)
    return has_handed_on(told, hand_ons)


async def keep_holder(session: AsyncSession, case_id: UUID, referral_id: UUID, *, holder: str, now: datetime) -> None:
    """Intake did not hand the case over: another held it by then. The receiver does its part all the same.

    Where it held the case itself by then, there was nothing to hand over, and it answers for what it took on.
    """
    if await facts.lock_case_fact(session, case_id) is None:
        return
    referral = await referrals.lock_referral(session, referral_id)
    if referral is None or referral.case_id != case_id or referral.receiver == holder:
        return  # another installation's, or its own
    if isinstance(advance(referral, KEEP_HOLDER, {Party.SERVICE}), Moved):
        kept = await _keep_holder(session, referral, holder, now)
        await emit(session, *kept.told, at=now)


async def end_with_case(session: AsyncSession, case_id: UUID, now: datetime) -> None:
    """The support was broken off (中断): nobody is asked any more for a person who can't or won't be helped now."""
    if await facts.lock_case_fact(session, case_id) is None:
        return
    said, told = Said(reason="case_closed"), Told()
    for referral in await referrals.lock_in_flight(session, case_id):
        ended = advance(referral, "end_with_case", {Party.SERVICE}, said)
        assert isinstance(ended, Moved)  # it is in flight
        told += (await _store(session, referral, ended, said, by=Party.SERVICE.value, now=now)).told
    await emit(session, *told, at=now)


async def note_consent(
    session: AsyncSession,
    case_id: UUID,
    consent: Consent,
    *,
    version: int,
    now: datetime,
    because: str = "consent_withdrawn",
) -> None:
    """Keep the newest word about consent; what it takes back ends, unless somebody has accepted it."""
    newest = await facts.put_case_fact(
        session,
        case_id,
        schema.case_fact.c.consent_version,
        consent_version=version,
        consent_state=consent.state,
        consent_purposes=sorted(consent.purposes),
        consent_recipients=sorted(consent.recipients),
        consent_valid_until=consent.valid_until,
        consent_valid_from=consent.valid_from,
        consent_categories=sorted(consent.categories),
    )
    if not newest:
        return
    said = Said(reason="consent_refused" if consent.state == "refused" else because)
    told: Told = []
    for referral in await referrals.lock_in_flight(session, case_id):
        if version < referral.consent_version or not is_taken_back(consent, referral):
            continue
        moved = advance(referral, "end_consent", {Party.PERSON}, said)
        assert isinstance(moved, Moved)  # what is in flight can always be taken back
        told += (await _store(session, referral, moved, said, by=Party.PERSON.value, now=now)).told
    await emit(session, *told, at=now)


def is_taken_back(consent: Consent, referral: Referral) -> bool:
    """Whether the newest word about consent ends it, as long as nobody has accepted it."""
    if referral.verb is Verb.REQUEST:
        # It has told its asker nothing, and needs no yes until it is agreed to. A no ends it all the same.
        return consent.state in {"withdrawn", "refused"}
    purposes = FOR_REFERRAL if referral.kind is Kind.PROGRAMME else FOR_TRAINING
    return takes_back(consent, purposes=purposes, receiver=referral.receiver)


# --- The clock -------------------------------------------------------------------------------------------------------


async def take_over(session: AsyncSession, referral: Referral, now: datetime) -> None:
    """Nobody has acted, at any tier: the coordinator holds it from now on, and is told where it may go next."""
    names = [move.name for move in legal_moves(referral, {Party.CLOCK})]
    if not names:
        return  # it is the coordinator's already
    moved = advance(referral, names[0], {Party.CLOCK})
    assert isinstance(moved, Moved)
    stored = await _store(session, referral, moved, Said(), by=Party.CLOCK.value, now=now)
    await emit(session, *stored.told, at=now)


# --- Store and tell --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Stored:
    referral: Referral
    told: Told


async def _store(
    session: AsyncSession, before: Referral, moved: Moved, said: Said, *, by: str, now: datetime
) -> _Stored:
    """Write the move and its step; what there is to tell about it."""
    runs_on = _becomes_only(before, moved) or clocks.continues(before, moved.referral)
    after = moved.referral if runs_on else await with_clock(session, moved.referral, now)
    await referrals.store_move(session, after, step=moved.move.name, by=by, reason=said.reason, at=now)
    number = await _note_outcome(session, before, moved, said, by=by, now=now)
    event = moving(before, moved, outcome=said.outcome, outcomes=number)
    told: Told = [] if event is None else [(event, after.version)]
    lacks: Told = []
    if _comes_back(before, moved):
        after, lacks = await _propose(session, after, now)
    if moved.move.to is Party.COORDINATOR:
        told.append((taking_over(before, after, moved.move), after.version))
    told += lacks
    return _Stored(await keep_link(session, after, now), told)


async def _note_outcome(
    session: AsyncSession, before: Referral, moved: Moved, said: Said, *, by: str, now: datetime
) -> int:
    if said.outcome is None:
        return 0
    corrects = before.outcome if moved.move.name == "correct_outcome" else None
    return await referrals.add_outcome(session, before.id, said.outcome, by=by, at=now, corrects=corrects)


def _becomes_only(before: Referral, moved: Moved) -> bool:
    """Whether it changes its verb, and waits as before: for the same agency, or for nobody."""
    if moved.move.becomes is None:
        return False
    return before.waits is None or clocks.is_of(before.waits, moved.referral)


def _comes_back(before: Referral, moved: Moved) -> bool:
    """Whether it is over here and the case goes on elsewhere: no, silence, no seat, or nothing came of it."""
    return clocks.leaves_a_need(moved.referral) and not clocks.leaves_a_need(before)


async def _propose(session: AsyncSession, referral: Referral, now: datetime) -> tuple[Referral, Told]:
    """Look at once where it may go next; where nobody is left who hasn't said no, that is on record at once."""
    found = await asked.find_asked(session, referral.case_id, now=now)
    if found is None or found.is_over:
        return referral, []
    routing = answer(found, now).routing
    lacks = await needs.settle(session, found, routing, now=now)
    sought = await places.sought(session, referral, found.case.asked.wanted)
    best = next_place(routing, sought=sought, but=referral.programme_id or referral.course_run_id)
    if best is None:
        return referral, lacks
    course = isinstance(best, CourseRun)
    proposed = replace(
        referral,
        proposed_programme_id=None if course else best.id,
        proposed_course_run_id=best.id if course else None,
    )
    await referrals.store_standing(session, proposed)
    return proposed, lacks
