"""Which facts a move tells. Pure but for the words of `shared.events`."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from services.referral.domain.moves import AT_WORK, CHANGE_COURSE, KEEP_HOLDER, SILENCE, Move, Moved, Referral
from services.referral.domain.states import Party, State, Verb
from shared.events import (
    Event,
    ReferralAccepted,
    ReferralClosed,
    ReferralCourseChanged,
    ReferralDeclined,
    ReferralDeclineProposed,
    ReferralOutcomeSet,
    ReferralProgressed,
    ReferralReceived,
    ReferralReturned,
    ReferralSent,
    ReferralTakenOver,
    ReferralWithdrawn,
    TrainingReferred,
    TransferBecameRefer,
)


def sending(sent: Referral, *, hold_until: datetime | None, task_id: UUID | None) -> Sequence[Event]:
    """What is told when a referral leaves its sender."""
    told: list[Event] = [
        ReferralSent(
            case_id=sent.case_id,
            referral_id=sent.id,
            sender=sent.sender,
            receiver=sent.receiver,
            programme_id=sent.programme_id,
            course_run_id=sent.course_run_id,
            task_id=task_id,
            verb=sent.verb,
            coordinator=sent.coordinator,
            group_id=sent.group_id,
            rerouted_from=sent.rerouted_from,
        )
    ]
    if sent.course_run_id is not None:
        told.append(
            TrainingReferred(
                case_id=sent.case_id,
                referral_id=sent.id,
                course_run_id=sent.course_run_id,
                municipality=sent.municipality,
                sender=sent.sender,
                hold_until=hold_until,
            )
        )
    return told


def moving(before: Referral, moved: Moved, *, outcome: str | None, outcomes: int) -> Event | None:
    """The fact that a move made true; a step of training's that changes no state is training's to tell."""
    to, name = moved.referral, moved.move.name
    about: dict[str, Any] = {"case_id": to.case_id, "referral_id": to.id, "sender": to.sender, "receiver": to.receiver}
    if name in {"set_outcome", "add_outcome", "correct_outcome"}:
        return ReferralOutcomeSet(**about, outcome=outcome or "", number=outcomes)
    if name == CHANGE_COURSE:
        assert before.course_run_id is not None  # the table has it for those to a course run
        assert to.course_run_id is not None
        elsewhere: dict[str, Any] = {"course_run_before": before.course_run_id, "course_run_id": to.course_run_id}
        return ReferralCourseChanged(**about, **elsewhere, before=before.receiver, coordinator=to.coordinator)
    if moved.move.by == {Party.TRAINING} and to.state is before.state:
        return None
    if name in {"reroute", "take_over", KEEP_HOLDER} or (name == "expire" and moved.move.to is not None):
        return None  # told with what follows from it; nothing follows on a request that nobody answered
    reason = to.reason or ""
    match to.state:
        case State.RECEIVED if name != "overrule_back":
            return ReferralReceived(case_id=to.case_id, referral_id=to.id, receiver=to.receiver)
        case State.ACCEPTED if name != "resume":
            return ReferralAccepted(**about, verb=to.verb)
        case State.RETURNED:
            return ReferralReturned(**about, missing=list(to.missing))
        case State.DECLINE_PENDING:
            return ReferralDeclineProposed(**about, coordinator=to.coordinator, reason=reason)
        case State.DECLINED:
            return ReferralDeclined(**about, reason=reason)
        case State.WITHDRAWN:
            # A draft has left nobody's desk.
            return None if before.state is State.DRAFT else ReferralWithdrawn(**about, reason=reason)
        case State.CLOSED:
            return ReferralClosed(**about, outcome=to.outcome or "")
        case _:
            return ReferralProgressed(**about, state=to.state, move=name, review_on=to.review_on)


def taking_over(before: Referral, to: Referral, move: Move) -> Event:
    """The coordinator is responsible from now on."""
    return ReferralTakenOver(
        case_id=to.case_id,
        referral_id=to.id,
        before=before.responsible_agency,
        coordinator=to.coordinator,
        because="declined" if to.state is State.DECLINED else to.reason or SILENCE,
        ended=move.name != "take_over",
        verb=to.verb,
        case_moves=moves_case(before),
        proposed_programme_id=to.proposed_programme_id,
        proposed_course_run_id=to.proposed_course_run_id,
    )


def moves_case(before: Referral) -> bool:
    """Whether the case goes with it: its receiver held it by acceptance. What nobody accepted has moved nothing."""
    held = before.verb is not Verb.REFER and before.responsible_agency == before.receiver
    return held and before.state in AT_WORK


def keeping_holder(to: Referral, holder: str) -> Event:
    """It moves the case no more."""
    return TransferBecameRefer(
        case_id=to.case_id,
        referral_id=to.id,
        sender=to.sender,
        receiver=to.receiver,
        responsible=to.responsible_agency,
        holder=holder,
    )
