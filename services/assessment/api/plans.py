"""Support plans over HTTP, one operation for each move: permissions, status codes, one call into the handlers each."""

from collections.abc import Mapping
from datetime import date, datetime
from uuid import UUID

from fastapi import Response

from services.assessment.api.plan_reading import head
from services.assessment.api.plan_shapes import (
    AgreePlan,
    DecidePlan,
    EvaluatePlan,
    GiveUpPlan,
    HearPlan,
    LineShape,
    MonitorPlan,
    PlanHead,
    SendBackPlan,
    WritePlan,
)
from services.assessment.domain.moves import NotMoved
from services.assessment.domain.plan import Fault, Line, Reached
from services.assessment.handlers import plan_monitoring
from services.assessment.handlers import plans as handlers
from services.assessment.handlers.plan_monitoring import NoSuchLine
from services.assessment.handlers.plans import NotOpened, NotReady, NotYours, Said, Written
from services.assessment.tables.plans import Plan
from shared.auth import Caller, Role, requires
from shared.bus.envelope import new_id
from shared.problems import FORBIDDEN, INVALID, Problem, ProblemType, illegal_move, invalid
from shared.service import IfMatch, Now, Transaction, day_in_japan, etag, router

plans = router(tag="plans")

_REFUSALS = {
    "case_closed": ProblemType(
        "plan_for_closed_case",
        409,
        "The case is closed: a plan is made for who is supported. Reopen it first",
        "終結したケースのプランは作れません。支援を再開してから作ってください",
    ),
    "plan_at_work": ProblemType(
        "plan_at_work",
        409,
        "The case has a plan at work: change it, evaluate it or give it up first",
        "進行中のプランがあります。そのプランを変更するか、評価または取りやめてから作ってください",
    ),
}
NOT_READY = ProblemType(
    "plan_not_ready",
    409,
    "Nobody can agree to this version as it stands: revise the plan first",
    "この版のままでは同意を得られません。先にプランを直してください",
)
_FAULTS = {
    Fault.NO_LINES: ("/lines", "A plan has at least one line", "支援の内容を一つ以上書いてください"),
    Fault.ENDS_BEFORE_IT_BEGINS: (
        "/lines/{}/ends_on",
        "The line ends before it begins",
        "終わりの日が始まりの日より前です",
    ),
    Fault.AGENCY_NOT_NAMED: ("/lines/{}/agency", "Name the agency that does it", "担う機関を書いてください"),
    Fault.AGENCY_WITHOUT_NEED: (
        "/lines/{}/agency",
        "Only a line that an agency carries names one",
        "機関を書くのは、機関が担うとき(who が agency)だけです",
    ),
    Fault.MONITORING_IN_THE_PAST: (
        "/monitor_on",
        "The next monitoring lies in the past",
        "次回モニタリングの日が過去の日付です",
    ),
    Fault.MONITORING_AFTER_THE_END: (
        "/monitor_on",
        "The next monitoring comes after every line has ended",
        "次回モニタリングの日が、すべての支援が終わったあとです",
    ),
}
_LINES = {
    "no_such_line": ("The version in force has no such line", "決定されている版にない行です"),
    "line_twice": ("This line is named twice", "同じ行が二度書かれています"),
}
_Outcome = Plan | NotMoved | NotYours | NotReady | NotOpened | NoSuchLine


@plans.post(
    "/v1/cases/{case_id}/plans",
    status_code=201,
    summary="Draft a plan",
    description="支援プランの案を作ります。担当機関だけができます。進行中のプランは一つのケースに一つです。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def draft_plan(
    case_id: UUID, body: WritePlan, response: Response, session: Transaction, now: Now, actor: Caller
) -> PlanHead:
    """By who holds the case. The answer holds no words: they are read by GET."""
    outcome = await handlers.draft_plan(session, case_id, _written(body), plan_id=new_id(), actor=actor, now=now)
    return _answer(outcome, response)


@plans.post(
    "/v1/plans/{plan_id}/revise",
    summary="Write the next version of a plan",
    description="プランの新しい版を書きます(版は書き換えません)。本人の同意をあらためて得ます。決定済みの版は、"
    "変更が決定されるまで有効です。読んだ版の ETag を If-Match で示してください。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def revise_plan(
    plan_id: UUID, body: WritePlan, read: IfMatch, response: Response, session: Transaction, now: Now, actor: Caller
) -> PlanHead:
    """By who holds the case; 412 where somebody did something with it meanwhile."""
    outcome = await handlers.revise_plan(session, plan_id, _written(body), read=read, actor=actor, now=now)
    return _answer(outcome, response)


@plans.post(
    "/v1/plans/{plan_id}/agree",
    summary="Record that the person agrees",
    description="本人がこの版に同意したことを記録します。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def agree_plan(
    plan_id: UUID, body: AgreePlan, response: Response, session: Transaction, now: Now, actor: Caller
) -> PlanHead:
    """By who holds the case."""
    said = Said("agree", _past(body.on, now), body.version, body.way.value, words=_words({"witness": body.witness}))
    outcome = await handlers.agree_plan(session, plan_id, said, actor=actor, now=now)
    if isinstance(outcome, NotReady):
        raise Problem(NOT_READY, errors=[_fault(*each) for each in outcome.faults])
    return _answer(outcome, response)


@plans.post(
    "/v1/plans/{plan_id}/disagree",
    summary="Record that the person does not agree",
    description="本人が同意しなかったことを記録します。プランは案のままです。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def disagree_plan(
    plan_id: UUID, body: AgreePlan, response: Response, session: Transaction, now: Now, actor: Caller
) -> PlanHead:
    """A fact, and no end: it stays a draft."""
    said = Said("disagree", _past(body.on, now), body.version, body.way.value, words=_words({"witness": body.witness}))
    return _answer(await handlers.note_step(session, plan_id, said, actor=actor, now=now), response)


@plans.post(
    "/v1/plans/{plan_id}/hear",
    summary="Record the co-ordination meeting's opinion",
    description="支援調整会議の意見を記録します。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def hear_plan(
    plan_id: UUID, body: HearPlan, response: Response, session: Transaction, now: Now, actor: Caller
) -> PlanHead:
    """By who holds the case. It binds nobody: the municipality decides, knowing it."""
    said = Said("hear", _past(body.on, now), body.version, body.opinion.value, words=_words({"opinion": body.words}))
    return _answer(await handlers.note_step(session, plan_id, said, actor=actor, now=now), response)


@plans.post(
    "/v1/plans/{plan_id}/decide",
    summary="Decide about a plan",
    description="支援決定(または確認)をします。市町村または福祉事務所だけができます。決定と同時に、モニタリングなどの"
    "すべきことが期日とともに始まります。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def decide_plan(
    plan_id: UUID, body: DecidePlan, response: Response, session: Transaction, now: Now, actor: Caller
) -> PlanHead:
    """By the municipality. A desk never decides about its own plan."""
    detail = {} if body.decision_number is None else {"decision_number": body.decision_number}
    said = Said("decide", _past(body.on, now), body.version, body.decided.value, detail)
    return _answer(await handlers.decide_plan(session, plan_id, said, actor=actor, now=now), response)


@plans.post(
    "/v1/plans/{plan_id}/send_back",
    summary="Send a plan back",
    description="プランを理由とともに担当機関に差し戻します。市町村または福祉事務所だけができます。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def send_back_plan(
    plan_id: UUID, body: SendBackPlan, response: Response, session: Transaction, now: Now, actor: Caller
) -> PlanHead:
    """By the municipality."""
    said = Said("send_back", _past(body.on, now), body.version, body.reason.value, words=_words({"reason": body.words}))
    return _answer(await handlers.note_step(session, plan_id, said, actor=actor, now=now), response)


@plans.post(
    "/v1/plans/{plan_id}/monitor",
    summary="Monitor a plan",
    description="モニタリングを記録し、次回の日を決めます。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def monitor_plan(
    plan_id: UUID, body: MonitorPlan, response: Response, session: Transaction, now: Now, actor: Caller
) -> PlanHead:
    """By who holds the case."""
    if body.next_on < day_in_japan(now):
        raise invalid("/next_on", "in_the_past", "It lies in the past", "過去の日付です")
    said = Said("monitor", _past(body.on, now), code=body.way.value, words={"seen": body.seen})
    lines = [(each.line_id, each.going) for each in body.lines]
    outcome = await plan_monitoring.monitor_plan(session, plan_id, said, lines, body.next_on, actor=actor, now=now)
    return _answer(outcome, response)


@plans.post(
    "/v1/plans/{plan_id}/evaluate",
    summary="Evaluate a plan",
    description="プランを評価して終えます。`new_plan` では残った内容で次のプランの案を作ります。"
    "`close`・`interrupt` では、相談受付でケースを終える「すること」が担当機関に届きます。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def evaluate_plan(
    plan_id: UUID, body: EvaluatePlan, response: Response, session: Transaction, now: Now, actor: Caller
) -> PlanHead:
    """By who holds the case."""
    if body.reached is not Reached.YES and body.remains is None:
        raise invalid(
            "/remains",
            "missing",
            "Say what remains, as the goal was not reached as a whole",
            "目標のすべてには達していないので、残された課題を書いてください",
        )
    words = _words({"changes": body.changes, "remains": body.remains})
    said = Said("evaluate", _past(body.on, now), code=body.reached.value, words=words)
    outcome = await plan_monitoring.evaluate_plan(
        session, plan_id, said, body.ending, next_plan_id=new_id(), actor=actor, now=now
    )
    return _answer(outcome, response)


@plans.post(
    "/v1/plans/{plan_id}/give_up",
    summary="Give a plan up",
    description="決定前のプラン、または変更の案を、理由とともに取りやめます。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def give_up_plan(
    plan_id: UUID, body: GiveUpPlan, response: Response, session: Transaction, now: Now, actor: Caller
) -> PlanHead:
    """By who holds the case. A change that is given up leaves in force what was decided."""
    said = Said("give_up", _past(body.on, now), code=body.reason.value, words=_words({"reason": body.words}))
    return _answer(await handlers.note_step(session, plan_id, said, actor=actor, now=now), response)


# --- bodies and refusals --------------------------------------------------------------------------------------------


def _written(body: WritePlan) -> Written:
    return Written(body.problems, body.goal, tuple((_line_of(each), each.what) for each in body.lines), body.monitor_on)


def _line_of(shape: LineShape) -> Line:
    return Line(shape.who, shape.agency, shape.begins_on, shape.ends_on, shape.rhythm, shape.scheme)


def _words(said: Mapping[str, str | None]) -> dict[str, str]:
    return {name: words for name, words in said.items() if words is not None}


def _past(on: date, now: datetime) -> date:
    """A day on which something happened."""
    if on > day_in_japan(now):
        raise invalid("/on", "in_the_future", "This has not happened yet", "これから先の日付は記録できません")
    return on


def _answer(outcome: _Outcome, response: Response) -> PlanHead:
    match outcome:
        case Plan():
            response.headers["ETag"] = etag(outcome.steps)
            return head(outcome)
        case NotMoved(legal):
            raise illegal_move(legal)
        case NotOpened(reason):
            raise Problem(_REFUSALS[reason])
        case NotReady(faults):
            raise Problem(INVALID, errors=[_fault(*each) for each in faults[:20]])
        case NoSuchLine(place, reason):
            raise invalid(f"/lines/{place}/line_id", reason, *_LINES[reason])
        case NotYours():
            raise Problem(
                FORBIDDEN,
                detail="The agency that holds the case moves a plan, and the municipality decides about it.",
                detail_ja="プランを進められるのは担当機関、決定できるのは市町村です。",
            )


def _fault(fault: Fault, place: int | None) -> dict[str, str]:
    pointer, english, japanese = _FAULTS[fault]
    return {
        "in": "body",
        "pointer": pointer.format(place),
        "code": fault.value,
        "message": english,
        "message_ja": japanese,
    }
