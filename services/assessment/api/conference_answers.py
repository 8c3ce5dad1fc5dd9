"""How conferences answer: outcomes as problems in both languages, and what is shown of them."""

from collections.abc import Sequence
from typing import Any

from services.assessment.api.assessments import CASE_CLOSED
from services.assessment.api.conference_shapes import (
    ConferenceAnswer,
    DecideBody,
    MemberAnswer,
    MemberShape,
    SaidAnswer,
)
from services.assessment.domain.conference import Member, NotCalled
from services.assessment.domain.moves import NotMoved
from services.assessment.handlers.conference_record import Said
from services.assessment.handlers.conferences import NotYours, Seen
from services.assessment.tables.tasks import Row
from shared.problems import CONSENT_MISSING, FORBIDDEN, Problem, ProblemType, illegal_move, invalid

NOT_THE_DESK = ProblemType(
    "not_the_desk",
    403,
    "Only the municipality or its desk convenes this meeting",
    "この会議を開けるのは、その市町村またはその窓口だけです",
)
NO_MINUTES = ProblemType(
    "no_minutes", 409, "Write the minutes first, then conclude", "先に議事録を書いてから、会議を終えてください"
)
NOT_IN_THIS_LANE = ProblemType(
    "not_in_this_lane",
    409,
    "A meeting by Art. 9 can't decide what shows the person to somebody new; seek their consent first",
    "支援会議では、本人をほかの機関に知らせることは決められません。先に本人の同意を得てください",
)
_VALUES = {
    "in_the_past": ("/held_on", "It lies in the past", "過去の日付です"),
    "nobody_else": ("/members", "A conference needs another agency", "ほかの機関を一つ以上招いてください"),
    "no_such_profession": (
        "/members",
        "A profession is not on the list; see GET /assessment/v1/professions",
        "一覧にない職種があります。職種の一覧を確かめてください",
    ),
    "owner_not_there": (
        "/owner",
        "Only an agency of the conference, or the holder, can take it on",
        "引き受けられるのは、会議に招かれた機関か担当機関です",
    ),
    "not_a_member": ("/present", "Somebody was not invited", "招かれていない機関・職種があります"),
    "nobody_present": ("/present", "Somebody was there", "出席者を一人以上記してください"),
}


def members_of(shapes: Sequence[MemberShape]) -> tuple[Member, ...]:
    """The places as the domain knows them."""
    return tuple(Member(shape.agency, shape.profession) for shape in shapes)


def check(body: DecideBody) -> None:
    """What each kind of decision needs, and what it can't have."""
    for pointer, given, wanted in (
        ("/programme_id", body.programme_id, body.decision == "referral"),
        ("/course_run_id", body.course_run_id, body.decision == "seat"),
    ):
        if (given is not None) != wanted:
            raise invalid(
                pointer,
                "target",
                "A referral names a programme, a seat a course run, others nothing",
                "つなぎには事業を、訓練の席にはコースを指定し、ほかには指定しないでください",
            )
    if body.decision == "action" and body.words is None:
        raise invalid("/words", "words_missing", "Say what is to be done", "することを書いてください")


def seen_of(outcome: Seen | NotMoved | NotYours | NotCalled, members: Sequence[MemberShape] = ()) -> Seen:
    """What was asked for, or the problem why not."""
    match outcome:
        case Seen():
            return outcome
        case NotCalled():
            raise not_called(outcome, members)
        case _:
            raise refused(outcome)


def refused(outcome: NotMoved | NotYours) -> Problem:
    """What can't be done now, or not by this caller; and what can."""
    if isinstance(outcome, NotMoved):
        return illegal_move(outcome.legal)
    return Problem(
        FORBIDDEN,
        detail="Only its chair and its members do anything in a conference.",
        detail_ja="会議で操作できるのは、招集した機関と構成員だけです。",
    )


def not_called(why: NotCalled, members: Sequence[MemberShape]) -> Problem:
    """Why it was not called, or somebody not invited; by place, since nothing that was sent is echoed."""
    if why.reason == "case_closed":
        return Problem(CASE_CLOSED)
    if why.reason == "not_the_desk":
        return Problem(NOT_THE_DESK)
    if why.reason != "not_covered":
        return value_problem(why.reason)
    places = [f"/members/{place}" for place, member in enumerate(members) if member.agency in why.agencies]
    return Problem(
        CONSENT_MISSING,
        detail="The person's consent to a case conference has to reach to every agency that takes part. Ask the person"
        " and record it in intake, or leave these out.",
        detail_ja="合同ケース会議への同意が、参加するすべての機関に及んでいる必要があります。本人に確認して相談受付で"
        "記録するか、その機関を外してください。",
        errors=[{"pointer": pointer, "code": "not_covered"} for pointer in places or ["/case_id"]],
    )


def not_decided(reason: str) -> Problem:
    """Why a decision was not written down."""
    if reason == "not_in_this_lane":
        return Problem(NOT_IN_THIS_LANE)
    if reason == "owner_not_covered":
        return Problem(CONSENT_MISSING, errors=[{"pointer": "/owner", "code": "not_covered"}])
    if reason == "in_the_past":
        return invalid("/due_on", "in_the_past", "It lies in the past", "過去の日付です")
    return value_problem(reason)


def value_problem(reason: str) -> Problem:
    """A value that only the service can judge."""
    pointer, english, japanese = _VALUES[reason]
    return invalid(pointer, reason, english, japanese)


def show(seen: Seen) -> ConferenceAnswer:
    """A conference as it goes over the wire, without any words."""
    held = seen.held
    return ConferenceAnswer(
        conference_id=held.id,
        case_id=held.case_id,
        lane=held.lane.value,
        state=held.state.value,
        chair=held.chair,
        held_on=held.held_on,
        begins_at=seen.row.begins_at,
        by_duty=seen.row.task_id is not None,
        reason=seen.row.reason,
        members=[
            MemberAnswer(agency=m.agency, profession=m.profession, answer=m.answer.value, present=m.present)
            for m in held.members
        ],
        legal=list(seen.legal),
        version=seen.row.version,
    )


def decision_of(row: Row) -> dict[str, Any]:
    """A decision, without its words."""
    task = row.task
    return {
        "task_id": task.id,
        "decision": task.kind.value,
        "owner": task.owner,
        "due_on": task.due_on,
        "state": task.state.value,
        "programme_id": row.programme_id,
        "course_run_id": row.course_run_id,
        "referral_id": row.referral_id,
        "reason": row.reason,
    }


def said_of(said: Said) -> SaidAnswer:
    """Words, and who wrote them."""
    return SaidAnswer(words=said.words, written_by=said.written_by, at=said.at)
