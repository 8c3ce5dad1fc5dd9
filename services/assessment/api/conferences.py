"""合同ケース会議 over HTTP: permissions, status codes, one call into the handlers each. Words only by GET."""

from datetime import date
from typing import Annotated
from uuid import UUID

from fastapi import Query

from services.assessment.api.conference_answers import (
    NO_MINUTES,
    check,
    decision_of,
    members_of,
    not_decided,
    refused,
    said_of,
    seen_of,
    show,
    value_problem,
)
from services.assessment.api.conference_shapes import (
    AnswerInvitation,
    CallConference,
    CancelConference,
    ConcludeConference,
    ConferenceAnswer,
    ConferenceStep,
    ConferenceSteps,
    DecideBody,
    DecidedAnswer,
    DecisionAnswer,
    DecisionInWords,
    InviteMembers,
    MapProblem,
    OpenConference,
    PostponeConference,
    ProblemAnswer,
    PutOnAgenda,
    RateJointly,
    RecordOfConference,
    UndoDecision,
    WholeConference,
    WriteMinutes,
)
from services.assessment.api.joint import JointHead, begun
from services.assessment.domain.conference import Lane, Mapped, NotDecided
from services.assessment.domain.joint import Seat
from services.assessment.domain.moves import NotMoved
from services.assessment.domain.tasks import Kind
from services.assessment.handlers import conference_ends, conference_record, decisions
from services.assessment.handlers import conferences as handlers
from services.assessment.handlers.conferences import Calling, NotYours
from services.assessment.handlers.decisions import Decision, NotConcluded
from shared.auth import Caller, Role, requires
from shared.bus.envelope import new_id
from shared.problems import (
    NOT_FOUND,
    Problem,
)
from shared.service import Now, Page, Pages, Transaction, page, router

conferences = router(tag="conferences")


@conferences.post(
    "/v1/cases/{case_id}/conferences",
    status_code=201,
    summary="Call a joint case conference",
    description="合同ケース会議を招集します。`consent` は、招く機関すべてに本人の同意が及ぶときだけ。"
    "`shien_kaigi_art9` は支援会議で、同意なしに開けますが、その日・その構成員のほかには何も伝わりません。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def call_conference(
    case_id: UUID, body: CallConference, session: Transaction, now: Now, actor: Caller
) -> ConferenceAnswer:
    """The caller's agency is in the chair. With consent it is to meet the rule's duty, where that waits."""
    calling = Calling(Lane(body.lane), body.held_on, members_of(body.members), body.begins_at)
    outcome = await handlers.call_conference(session, case_id, calling, conference_id=new_id(), actor=actor, now=now)
    return show(seen_of(outcome, body.members))


@conferences.get(
    "/v1/conferences",
    summary="List conferences",
    description="これから開かれる、自機関が構成員の会議を日の順に返します。`case_id` を付けると、そのケースの会議のうち"
    "見られるものをすべて返します。支援会議は、招集した機関のほかには、その日だけ見えます。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def list_conferences(
    session: Transaction,
    now: Now,
    actor: Caller,
    pages: Pages,
    case_id: Annotated[UUID | None, Query(description="このケースの会議")] = None,
) -> Page[ConferenceAnswer]:
    """By day."""
    after = pages.begin(lambda day, held: (date.fromisoformat(day), UUID(held))) or (date.min, UUID(int=0))
    found = await handlers.list_conferences(
        session, case_id=case_id, after=after, limit=pages.one_more, actor=actor, now=now
    )
    return page(found, pages, key=lambda seen: (seen.held.held_on, seen.held.id), show=show)


@conferences.get(
    "/v1/conferences/{conference_id}",
    summary="Read a conference",
    description="会議の構成員、決まったこと、いまできる操作を返します。記述は `/record` で読めます。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def get_conference(conference_id: UUID, session: Transaction, now: Now, actor: Caller) -> WholeConference:
    """Codes only."""
    seen = await handlers.get_conference(session, conference_id, actor=actor, now=now)
    rows = await decisions.decisions_of(session, conference_id)
    return WholeConference(**dict(show(seen)), decisions=[DecisionAnswer(**decision_of(row)) for row in rows])


@conferences.get(
    "/v1/conferences/{conference_id}/record",
    summary="Read what was written in a conference",
    description="議題、課題の一覧、決まったこと、議事録を返します。閲覧は根拠とともに記録されます。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def read_record(conference_id: UUID, session: Transaction, now: Now, actor: Caller) -> RecordOfConference:
    """As far as the caller may see today."""
    record = await conference_record.read_record(session, conference_id, actor=actor, now=now)
    return RecordOfConference(
        conference_id=conference_id,
        agenda=[said_of(each) for each in record.agenda],
        problems=[
            ProblemAnswer(
                need=each.problem.mapped.need,
                covered_by=sorted(each.problem.mapped.covered_by),
                could=sorted(each.problem.mapped.could),
                standing=each.problem.mapped.standing,
                note=each.note,
                withheld=each.withheld,
                written_by=each.problem.written_by,
            )
            for each in record.problems
        ],
        decisions=[DecisionInWords(**decision_of(each.row), words=each.words) for each in record.decisions],
        minutes=None if record.minutes is None else said_of(record.minutes),
        own_record_only=record.own_only,
    )


@conferences.get(
    "/v1/conferences/{conference_id}/steps",
    summary="Read a conference's history",
    description="会議の経過を古い順に返します。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def list_conference_steps(conference_id: UUID, session: Transaction, now: Now, actor: Caller) -> ConferenceSteps:
    """Who did what, when."""
    found = await handlers.list_steps(session, conference_id, actor=actor, now=now)
    return ConferenceSteps(steps=[ConferenceStep.model_validate(step, from_attributes=True) for step in found])


@conferences.post(
    "/v1/conferences/{conference_id}/invite",
    summary="Invite more members",
    description="構成員を加えます。招集した機関が、会議の前に。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def invite(
    conference_id: UUID, body: InviteMembers, session: Transaction, now: Now, actor: Caller
) -> ConferenceAnswer:
    """By its chair, before it begins."""
    outcome = await handlers.invite(session, conference_id, members_of(body.members), actor=actor, now=now)
    return show(seen_of(outcome, body.members))


@conferences.post(
    "/v1/conferences/{conference_id}/postpone",
    summary="Postpone a conference",
    description="会議の日を変えます。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def postpone(
    conference_id: UUID, body: PostponeConference, session: Transaction, now: Now, actor: Caller
) -> ConferenceAnswer:
    """By its chair."""
    return show(seen_of(await handlers.postpone(session, conference_id, body.held_on, actor=actor, now=now)))


@conferences.post(
    "/v1/conferences/{conference_id}/cancel",
    summary="Cancel a conference",
    description="会議を取りやめます。長期化のおそれの規則が求める会議の期日はそのまま残ります。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def cancel(
    conference_id: UUID, body: CancelConference, session: Transaction, now: Now, actor: Caller
) -> ConferenceAnswer:
    """By its chair, or with consent by who holds the case."""
    return show(seen_of(await conference_ends.cancel(session, conference_id, reason=body.reason, actor=actor, now=now)))


@conferences.post(
    "/v1/conferences/{conference_id}/answer",
    summary="Answer an invitation",
    description="出欠を答えます。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def answer(
    conference_id: UUID, body: AnswerInvitation, session: Transaction, now: Now, actor: Caller
) -> ConferenceAnswer:
    """For the caller's agency."""
    outcome = await handlers.answer(
        session, conference_id, coming=body.coming, profession=body.profession, actor=actor, now=now
    )
    return show(seen_of(outcome))


@conferences.post(
    "/v1/conferences/{conference_id}/agenda",
    status_code=201,
    summary="Put something on the agenda",
    description="議題を加えます。記述は暗号化され、イベントには載りません。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def put_on_agenda(
    conference_id: UUID, body: PutOnAgenda, session: Transaction, now: Now, actor: Caller
) -> ConferenceAnswer:
    """By any member."""
    return show(
        seen_of(await handlers.write(session, conference_id, "put_on_agenda", body.words, actor=actor, now=now))
    )


@conferences.post(
    "/v1/conferences/{conference_id}/problems",
    status_code=201,
    summary="Map a problem",
    description="課題ごとに、いま支えている機関と、支えられる機関を書き込みます。同じ課題は、新しいものに置き換わります。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def map_problem(
    conference_id: UUID, body: MapProblem, session: Transaction, now: Now, actor: Caller
) -> ConferenceAnswer:
    """By any member."""
    mapped = Mapped(body.need, frozenset(body.covered_by), frozenset(body.could))
    return show(seen_of(await handlers.map_problem(session, conference_id, mapped, body.note, actor=actor, now=now)))


@conferences.post(
    "/v1/conferences/{conference_id}/open",
    summary="Open a conference",
    description="会議を始めます。支援会議は、その日にだけ始められます。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def open_conference(
    conference_id: UUID, body: OpenConference, session: Transaction, now: Now, actor: Caller
) -> ConferenceAnswer:
    """By its chair, on its day."""
    _ = body
    return show(seen_of(await handlers.open_conference(session, conference_id, actor=actor, now=now)))


@conferences.post(
    "/v1/conferences/{conference_id}/joint_ratings",
    status_code=201,
    summary="Rate jointly in a conference",
    description="会議の構成員による合同の評価を始めます。各機関の評価は、全員がそろうか締め切るまで、ほかの機関には見えません。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def rate_jointly(
    conference_id: UUID, body: RateJointly, session: Transaction, now: Now, actor: Caller
) -> JointHead:
    """By its chair; of its members nobody else is asked."""
    seats = None if body.seats is None else frozenset(Seat(each.agency, each.profession) for each in body.seats)
    outcome = await handlers.rate_jointly(
        session, conference_id, seats, rubric=body.rubric, joint_id=new_id(), actor=actor, now=now
    )
    if isinstance(outcome, NotMoved | NotYours):
        raise refused(outcome)
    return begun(outcome)


@conferences.post(
    "/v1/conferences/{conference_id}/decisions",
    status_code=201,
    summary="Write a decision down",
    description="決めたことを、だれが・いつまでに、とともに記します。会議を終えるまで、だれにも伝わりません。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def decide(conference_id: UUID, body: DecideBody, session: Transaction, now: Now, actor: Caller) -> DecidedAnswer:
    """By its chair, while it sits."""
    check(body)
    decision = Decision(Kind(body.decision), body.owner, body.due_on, body.programme_id, body.course_run_id, body.words)
    task_id = new_id()
    outcome = await decisions.decide(session, conference_id, decision, task_id=task_id, actor=actor, now=now)
    if isinstance(outcome, NotDecided):
        raise not_decided(outcome.reason)
    return DecidedAnswer(**dict(show(seen_of(outcome))), task_id=task_id)


@conferences.post(
    "/v1/conferences/{conference_id}/decisions/{task_id}/undo",
    summary="Take a decision back",
    description="会議を終える前に、決めたことを取り消します。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def undo_decision(
    conference_id: UUID, task_id: UUID, body: UndoDecision, session: Transaction, now: Now, actor: Caller
) -> ConferenceAnswer:
    """By its chair, while it sits."""
    _ = body
    outcome = await decisions.undo_decision(session, conference_id, task_id, actor=actor, now=now)
    if outcome is None:
        raise Problem(NOT_FOUND)
    return show(seen_of(outcome))


@conferences.post(
    "/v1/conferences/{conference_id}/minutes",
    status_code=201,
    summary="Write the minutes",
    description="議事録を書きます。何度でも書き直せます。以前のものも残ります。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def write_minutes(
    conference_id: UUID, body: WriteMinutes, session: Transaction, now: Now, actor: Caller
) -> ConferenceAnswer:
    """By its chair."""
    return show(
        seen_of(await handlers.write(session, conference_id, "write_minutes", body.words, actor=actor, now=now))
    )


@conferences.post(
    "/v1/conferences/{conference_id}/conclude",
    summary="Conclude a conference",
    description="会議を終えます。決めたことがすべて、期日のある「すること」になり、関係する機関に伝わります。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def conclude(
    conference_id: UUID, body: ConcludeConference, session: Transaction, now: Now, actor: Caller
) -> ConferenceAnswer:
    """By its chair. All of it happens, or nothing."""
    present = {(place.agency, place.profession) for place in body.present}
    outcome = await decisions.conclude(session, conference_id, present, actor=actor, now=now)
    if isinstance(outcome, NotConcluded):
        raise Problem(NO_MINUTES) if outcome.reason == "no_minutes" else value_problem(outcome.reason)
    return show(seen_of(outcome))
