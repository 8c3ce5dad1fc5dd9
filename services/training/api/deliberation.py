"""分科会 over HTTP: the sub-committee, its rules, members and meetings. The prefecture's planner writes, all read."""

from pathlib import Path
from typing import Annotated
from uuid import UUID

from fastapi import Query, Response
from fastapi.responses import HTMLResponse
from sqlalchemy.ext.asyncio import AsyncSession

from services.training.api.courses import Prefecture
from services.training.api.deliberation_shapes import (
    CommitteeView,
    EndMembership,
    Hold,
    ItemView,
    MeetingView,
    MemberView,
    MotionView,
    NewItem,
    NewMeeting,
    NewMember,
    NewMotion,
    NewPaper,
    NewRules,
    Nothing,
    PaperView,
    PlaceView,
    RulesView,
    SetUp,
    StepView,
    WholeMeeting,
    show_ballot,
    show_committee,
    show_meeting,
    show_motion,
    show_rules,
    show_seat,
)
from services.training.api.deliberation_words import met
from services.training.domain.deliberation import Seat, Step
from services.training.handlers import deliberation as handlers
from services.training.handlers import deliberation_reading as reading
from services.training.handlers import motions
from services.training.handlers.deliberation import SettingUp
from services.training.tables.decisions import motion_of
from shared.auth import Actor, Caller, Role, requires
from shared.bus.envelope import new_id
from shared.codes import DayAsWritten
from shared.service import Now, Page, Pages, Transaction, day_in_japan, number, page, router
from shared.service.paper import paper

TEMPLATES = Path(__file__).parents[1] / "templates"
committees = router(tag="sub-committees")
_KEEPER = requires(Role.PLANNER)
_ALL = requires(*Role)
_MEETING = "/v1/sub-committees/{sub_committee_id}/meetings/{meeting_id}"


@committees.post(
    "/v1/sub-committees",
    status_code=201,
    summary="Set up a sub-committee",
    description="都道府県の協議会が置いた分科会を、議事の規則とともに登録します。都道府県に一つです。",
    dependencies=[_KEEPER],
)
async def set_up_sub_committee(
    body: SetUp, response: Response, session: Transaction, now: Now, actor: Caller
) -> CommitteeView:
    """By the prefecture's own planner."""
    setting = SettingUp(body.prefecture, body.name, body.set_up_by, body.in_force_from, body.rules.rules)
    sub_committee_id = met(await handlers.set_up(session, setting, actor=actor, now=now))
    response.headers["Location"] = f"sub-committees/{sub_committee_id}"
    return show_committee(await reading.get_committee(session, sub_committee_id, day_in_japan(now)))


@committees.get(
    "/v1/sub-committees",
    summary="List sub-committees",
    description="分科会と、今日の議事の規則の一覧です。",
    dependencies=[_ALL],
)
async def list_sub_committees(
    session: Transaction, now: Now, pages: Pages, prefecture: Annotated[Prefecture | None, Query()] = None
) -> Page[CommitteeView]:
    """By prefecture."""
    found = await reading.list_committees(
        session, prefecture=prefecture, day=day_in_japan(now), after=pages.begin(str), limit=pages.one_more
    )
    return page(found, pages, key=lambda row: (row.prefecture,), show=show_committee)


@committees.get(
    "/v1/sub-committees/{sub_committee_id}",
    summary="Read a sub-committee",
    description="分科会と、今日の議事の規則です。",
    dependencies=[_ALL],
)
async def get_sub_committee(sub_committee_id: UUID, session: Transaction, now: Now) -> CommitteeView:
    """With the rules of today."""
    return show_committee(await reading.get_committee(session, sub_committee_id, day_in_japan(now)))


@committees.post(
    "/v1/sub-committees/{sub_committee_id}/rules",
    status_code=201,
    summary="Change the rules of a sub-committee",
    description="議事の規則の新しい版を、明日以降の日から適用します。以前の版も残ります。",
    dependencies=[_KEEPER],
)
async def change_rules(
    sub_committee_id: UUID, body: NewRules, session: Transaction, now: Now, actor: Caller
) -> RulesView:
    """From a later day on."""
    version = met(
        await handlers.change_rules(
            session,
            sub_committee_id,
            body.rules,
            in_force_from=body.in_force_from,
            decided_by=body.decided_by,
            actor=actor,
            now=now,
        )
    )
    return RulesView(
        rule_version=version,
        in_force_from=body.in_force_from,
        quorum=body.quorum,
        majority=body.majority,
        chair_breaks_ties=body.chair_breaks_ties,
        ratify_within=body.ratify_within,
        decided_by=body.decided_by,
    )


@committees.get(
    "/v1/sub-committees/{sub_committee_id}/rules",
    summary="List the rules of a sub-committee",
    description="議事の規則の、これまでのすべての版です。",
    dependencies=[_ALL],
)
async def list_rules(sub_committee_id: UUID, session: Transaction, now: Now, pages: Pages) -> Page[RulesView]:
    """Every version."""
    found = await reading.list_rules(
        session, sub_committee_id, day=day_in_japan(now), after=pages.begin(number), limit=pages.one_more
    )
    return page(
        found,
        pages,
        key=lambda row: (row.version,),
        show=lambda row: show_rules(
            row, version=row.version, in_force_from=row.in_force_from, decided_by=row.decided_by
        ),
    )


@committees.post(
    "/v1/sub-committees/{sub_committee_id}/members",
    status_code=201,
    summary="Seat a member",
    description="委員を、機関と役職で登録します(氏名は記録しません)。",
    dependencies=[_KEEPER],
)
async def seat_member(
    sub_committee_id: UUID, body: NewMember, session: Transaction, now: Now, actor: Caller
) -> MemberView:
    """A body's seat."""
    seat = Seat(new_id(), body.agency, body.office, body.voting, body.presides, body.from_on)
    return show_seat(met(await handlers.seat_member(session, sub_committee_id, seat, actor=actor, now=now)))


@committees.get(
    "/v1/sub-committees/{sub_committee_id}/members",
    summary="List members",
    description="委員の一覧です。`on` を付けると、その日の委員だけを返します。",
    dependencies=[_ALL],
)
async def list_members(
    sub_committee_id: UUID,
    session: Transaction,
    now: Now,
    pages: Pages,
    on: Annotated[DayAsWritten | None, Query(description="Members of this day.")] = None,
) -> Page[MemberView]:
    """As they were seated."""
    found = await reading.list_seats(
        session,
        sub_committee_id,
        today=day_in_japan(now),
        day=on,
        after=pages.begin(UUID),
        limit=pages.one_more,
    )
    return page(found, pages, key=lambda seat: (seat.id,), show=show_seat)


@committees.post(
    "/v1/sub-committees/{sub_committee_id}/members/{member_id}/end",
    summary="End a membership",
    description="委員の任期を、指定した日で終えます。",
    dependencies=[_KEEPER],
)
async def end_membership(
    sub_committee_id: UUID, member_id: UUID, body: EndMembership, session: Transaction, now: Now, actor: Caller
) -> MemberView:
    """What it voted before stays."""
    outcome = await handlers.end_membership(session, sub_committee_id, member_id, body.until_on, actor=actor, now=now)
    return show_seat(met(outcome))


# --- meetings -------------------------------------------------------------------------------------------------------


@committees.post(
    "/v1/sub-committees/{sub_committee_id}/meetings",
    status_code=201,
    summary="Plan a meeting, or a written resolution",
    description="開催日のある会議か、回答期限のある持ち回り(書面決議)を予定します。",
    dependencies=[_KEEPER],
)
async def plan_meeting(
    sub_committee_id: UUID, body: NewMeeting, session: Transaction, now: Now, actor: Caller
) -> MeetingView:
    """Not convened yet."""
    outcome = await handlers.plan_meeting(
        session, sub_committee_id, held_on=body.held_on, answers_by=body.answers_by, actor=actor, now=now
    )
    return show_meeting(met(outcome))


@committees.get(
    "/v1/sub-committees/{sub_committee_id}/meetings",
    summary="List meetings",
    description="会議と持ち回りの一覧です。",
    dependencies=[_ALL],
)
async def list_meetings(sub_committee_id: UUID, session: Transaction, now: Now, pages: Pages) -> Page[MeetingView]:
    """As they were planned."""
    found = await reading.list_meetings(
        session, sub_committee_id, today=day_in_japan(now), after=pages.begin(UUID), limit=pages.one_more
    )
    return page(found, pages, key=lambda meeting: (meeting.id,), show=show_meeting)


@committees.get(
    _MEETING,
    summary="Read a meeting",
    description="議題、資料、出欠、採決と少数意見を返します。",
    dependencies=[_ALL],
)
async def get_meeting(sub_committee_id: UUID, meeting_id: UUID, session: Transaction) -> WholeMeeting:
    """With everything that belongs to it."""
    return await _whole(session, sub_committee_id, meeting_id)


@committees.post(
    f"{_MEETING}/agenda",
    status_code=201,
    summary="Put an item on the agenda",
    description="議題を加えます。採決する案は `motion_id` で結びます。",
    dependencies=[_KEEPER],
)
async def put_on_agenda(
    sub_committee_id: UUID, meeting_id: UUID, body: NewItem, session: Transaction, now: Now, actor: Caller
) -> MeetingView:
    """Until the members come together."""
    outcome = await handlers.put_on_agenda(
        session, sub_committee_id, meeting_id, title=body.title, motion_id=body.motion_id, actor=actor, now=now
    )
    return show_meeting(met(outcome))


@committees.post(
    f"{_MEETING}/papers",
    status_code=201,
    summary="Bring a paper",
    description="資料の名称、種類、所在(文書番号かURL)、提出した機関を記します。ファイルは預かりません。",
    dependencies=[_KEEPER],
)
async def add_paper(
    sub_committee_id: UUID, meeting_id: UUID, body: NewPaper, session: Transaction, now: Now, actor: Caller
) -> MeetingView:
    """Until the meeting is closed."""
    paper = body.model_dump()
    outcome = await handlers.add_paper(session, sub_committee_id, meeting_id, paper, actor=actor, now=now)
    return show_meeting(met(outcome))


@committees.post(
    f"{_MEETING}/convene",
    summary="Convene a meeting",
    description="議題を添えて招集します。持ち回りでは、この時点の委員名簿で採決が始まります。",
    dependencies=[_KEEPER],
)
async def convene_meeting(
    sub_committee_id: UUID, meeting_id: UUID, body: Nothing, session: Transaction, now: Now, actor: Caller
) -> MeetingView:
    """With its agenda. In writing, the roll is called now."""
    _ = body
    return await _step(session, sub_committee_id, meeting_id, Step.CONVENED, actor, now)


@committees.post(
    f"{_MEETING}/hold",
    summary="Record who is present",
    description="出席した委員を記録し、採決できるようにします。名簿はその日の委員全員で、あとから変わりません。",
    dependencies=[_KEEPER],
)
async def hold_meeting(
    sub_committee_id: UUID, meeting_id: UUID, body: Hold, session: Transaction, now: Now, actor: Caller
) -> MeetingView:
    """The roll is called, once."""
    outcome = await handlers.take_step(
        session, sub_committee_id, meeting_id, Step.HELD, present=set(body.present), actor=actor, now=now
    )
    return show_meeting(met(outcome))


@committees.post(
    f"{_MEETING}/close",
    summary="Close a meeting",
    description="会議を閉じます。締めていない投票があると閉じられません。",
    dependencies=[_KEEPER],
)
async def close_meeting(
    sub_committee_id: UUID, meeting_id: UUID, body: Nothing, session: Transaction, now: Now, actor: Caller
) -> MeetingView:
    """Once every vote is concluded."""
    _ = body
    return await _step(session, sub_committee_id, meeting_id, Step.CLOSED, actor, now)


@committees.post(
    f"{_MEETING}/cancel",
    summary="Cancel a meeting",
    description="会議を取りやめます。採決の始まった会議は取りやめられません。",
    dependencies=[_KEEPER],
)
async def cancel_meeting(
    sub_committee_id: UUID, meeting_id: UUID, body: Nothing, session: Transaction, now: Now, actor: Caller
) -> MeetingView:
    """Before anything was put to the vote."""
    _ = body
    return await _step(session, sub_committee_id, meeting_id, Step.CANCELLED, actor, now)


@committees.get(
    f"{_MEETING}/minutes.html",
    summary="Minutes on paper",
    description="会議の議事録(A4)。出欠、議題、資料、採決の結果と少数意見、決定を載せます。",
    dependencies=[_ALL],
    response_class=HTMLResponse,
    responses={200: {"description": "HTML"}},
)
async def print_committee_minutes(
    sub_committee_id: UUID, meeting_id: UUID, session: Transaction, now: Now, actor: Caller
) -> HTMLResponse:
    """As they stand; that the meeting is not over is said on them."""
    found = await reading.get_minutes(session, sub_committee_id, meeting_id, now)
    return paper(
        TEMPLATES,
        "sub_committee_minutes.html",
        demo=session.info["settings"].demo,
        minutes=found,
        meeting=found.whole.meeting,
        words=reading.words(),
        reader=actor.agency,
        printed_at=now,
    )


# --- motions are tabled here ----------------------------------------------------------------------------------------


@committees.post(
    "/v1/sub-committees/{sub_committee_id}/motions",
    status_code=201,
    summary="Table a motion",
    description="案を提出します。`delegated_quota` は委ねる枠の配分、`training_content` は訓練内容への要望です。",
    dependencies=[_KEEPER],
)
async def table_motion(
    sub_committee_id: UUID,
    body: NewMotion,
    response: Response,
    session: Transaction,
    now: Now,
    actor: Caller,
) -> MotionView:
    """In its first version."""
    outcome = await motions.table_motion(
        session, sub_committee_id, body.about, body.proposal, proposed_by=body.proposed_by, actor=actor, now=now
    )
    motion = met(outcome)
    response.headers["Location"] = f"../../motions/{motion.id}"
    return show_motion(motion)


@committees.get(
    "/v1/sub-committees/{sub_committee_id}/motions",
    summary="List motions",
    description="案の一覧と、その状態です。",
    dependencies=[_ALL],
)
async def list_motions(sub_committee_id: UUID, session: Transaction, now: Now, pages: Pages) -> Page[MotionView]:
    """As they were tabled."""
    found = await reading.list_motions(
        session, sub_committee_id, now=now, after=pages.begin(UUID), limit=pages.one_more
    )
    return page(found, pages, key=lambda row: (row.id,), show=lambda row: show_motion(motion_of(row)))


async def _step(
    session: AsyncSession, sub_committee_id: UUID, meeting_id: UUID, step: Step, actor: Actor, now: Now
) -> MeetingView:
    outcome = await handlers.take_step(session, sub_committee_id, meeting_id, step, actor=actor, now=now)
    return show_meeting(met(outcome))


async def _whole(session: AsyncSession, sub_committee_id: UUID, meeting_id: UUID) -> WholeMeeting:
    found = await reading.get_meeting(session, sub_committee_id, meeting_id)
    return WholeMeeting(
        **dict(show_meeting(found.meeting)),
        history=[StepView.model_validate(each) for each in found.parts["steps"]],
        agenda=[ItemView.model_validate(each) for each in found.parts["agenda"]],
        papers=[PaperView.model_validate(each) for each in found.parts["papers"]],
        roll=[PlaceView.model_validate(each) for each in found.parts["roll"]],
        ballots=[show_ballot(each) for each in found.ballots],
    )
