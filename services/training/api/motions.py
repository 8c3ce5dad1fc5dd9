"""Motions and decisions over HTTP: amended, put, voted on by each body for its own seat; what is in force."""

from datetime import date, datetime, timedelta
from typing import Annotated
from uuid import UUID

from fastapi import Query, Response

from services.training.api.courses import Prefecture
from services.training.api.deliberation_shapes import (
    CastVote,
    ConcludedView,
    DecisionView,
    MotionBody,
    MotionView,
    Nothing,
    PutToVote,
    Urgently,
    WholeMotion,
    show_decision,
    show_motion,
    show_whole_motion,
)
from services.training.api.deliberation_words import met
from services.training.handlers import deliberation_reading as reading
from services.training.handlers import motions as handlers
from services.training.handlers.deliberation_reading import Wanted
from services.training.handlers.motions import begin_of
from shared.auth import Caller, Role, requires
from shared.codes import DayAsWritten, MunicipalityCode
from shared.service import IfMatch, Now, Page, Pages, Transaction, day_in_japan, etag, page, router
from shared.service.exports import Encoding, across, csv_answer

motions = router(tag="motions")
decisions = router(tag="decisions")
_KEEPER = requires(Role.PLANNER)
_ALL = requires(*Role)
_INSTANT = timedelta(microseconds=1)


@motions.get(
    "/v1/motions/{motion_id}",
    summary="Read a motion",
    description="案のすべての版と、採決・少数意見を返します。ETag は改める際の If-Match に使います。",
    dependencies=[_ALL],
)
async def get_motion(motion_id: UUID, response: Response, session: Transaction, now: Now) -> WholeMotion:
    """With every version and vote."""
    row, versions, ballots = await reading.get_motion(session, motion_id, now)
    response.headers["ETag"] = etag(row.version)
    return show_whole_motion(row, versions, ballots)


@motions.post(
    "/v1/motions/{motion_id}/amend",
    summary="Amend a motion",
    description="採決の前に案を改めます。以前の版も残ります。If-Match に読んだ版を付けてください。",
    dependencies=[_KEEPER],
)
async def amend_motion(
    motion_id: UUID, body: MotionBody, read: IfMatch, session: Transaction, now: Now, actor: Caller
) -> MotionView:
    """A new version; 412 if somebody else made one meanwhile."""
    outcome = await handlers.amend_motion(session, motion_id, body.proposal, read=read, actor=actor, now=now)
    return show_motion(met(outcome))


@motions.post(
    "/v1/motions/{motion_id}/put",
    summary="Put a motion to the vote",
    description="会議で案を採決にかけます。専決の決定がある案では、その追認の採決です。"
    "効力のある決定と矛盾し、それを `supersedes` に挙げていない案は、採決の前に断ります。",
    dependencies=[_KEEPER],
)
async def put_motion(motion_id: UUID, body: PutToVote, session: Transaction, now: Now, actor: Caller) -> MotionView:
    """In a meeting that has it on its agenda."""
    outcome = await handlers.put_motion(session, motion_id, body.meeting_id, actor=actor, now=now)
    return show_motion(met(outcome))


@motions.post(
    "/v1/motions/{motion_id}/votes",
    status_code=201,
    summary="Vote",
    description="自機関の委員として投票します。反対の理由(少数意見)を添えられます。投票は一度だけで、変えられません。"
    "会議での挙手は、都道府県の担当者が書き取れます。持ち回りでは各機関だけが回答できます。",
    dependencies=[requires(Role.PLANNER, Role.HELLO_WORK, Role.PROVIDER, Role.PLACEMENT, Role.COUNSELLOR)],
)
async def vote(motion_id: UUID, body: CastVote, session: Transaction, now: Now, actor: Caller) -> MotionView:
    """For the own seat."""
    outcome = await handlers.vote(session, motion_id, body.member_id, body.choice, body.dissent, actor=actor, now=now)
    return show_motion(met(outcome))


@motions.post(
    "/v1/motions/{motion_id}/conclude",
    summary="Conclude a vote",
    description="採決を締め、票を数えます。可決なら決定となり、追認なら専決の決定が確定します。結果は数えて出し、入力しません。",
    dependencies=[_KEEPER],
)
async def conclude_motion(
    motion_id: UUID, body: Nothing, session: Transaction, now: Now, actor: Caller
) -> ConcludedView:
    """Once all have voted."""
    _ = body
    concluded = met(await handlers.conclude_motion(session, motion_id, actor=actor, now=now))
    tally = concluded.tally
    return ConcludedView(
        motion_id=motion_id,
        outcome=concluded.outcome,
        entitled=tally.entitled,
        present=tally.present,
        fors=tally.fors,
        againsts=tally.againsts,
        abstentions=tally.abstentions,
        decision_id=concluded.decision_id,
    )


@motions.post(
    "/v1/motions/{motion_id}/withdraw",
    summary="Withdraw a motion",
    description="案を取り下げます。採決中でも、決定の前なら取り下げられます。",
    dependencies=[_KEEPER],
)
async def withdraw_motion(motion_id: UUID, body: Nothing, session: Transaction, now: Now, actor: Caller) -> MotionView:
    """Before it is decided."""
    _ = body
    return show_motion(met(await handlers.withdraw_motion(session, motion_id, actor=actor, now=now)))


@motions.post(
    "/v1/motions/{motion_id}/decide-urgently",
    summary="Record an urgent decision by the chair",
    description="部会長の専決を記録します。直ちに効力を持ち、期限までに会議で追認されなければ失効します。",
    dependencies=[_KEEPER],
)
async def decide_urgently(motion_id: UUID, body: Urgently, session: Transaction, now: Now, actor: Caller) -> MotionView:
    """In force at once, and gone unless it is ratified in time."""
    outcome = await handlers.decide_urgently(session, motion_id, body.member_id, actor=actor, now=now)
    return show_motion(met(outcome))


# --- decisions ------------------------------------------------------------------------------------------------------

_InForceOn = Annotated[
    DayAsWritten | None, Query(description="この日の終わりに効力のある決定(今日なら、いま)", examples=["2026-12-15"])
]
_For = Annotated[MunicipalityCode | None, Query(description="この市町村に枠を委ねた決定")]


def _wanted(prefecture: str | None, municipality: str | None, in_force_on: date | None, now: datetime) -> Wanted:
    """Today means now; of any other day its last instant."""
    at = now
    if in_force_on is not None and in_force_on != day_in_japan(now):
        at = begin_of(in_force_on + timedelta(days=1)) - _INSTANT
    return Wanted(prefecture, municipality, in_force_on is not None, at)


@decisions.get(
    "/v1/decisions",
    summary="List decisions",
    description="分科会の決定の一覧と、その状態です。`in_force_on` を付けると、その日に効力のある決定だけを返します。",
    dependencies=[_ALL],
)
async def list_decisions(
    session: Transaction,
    now: Now,
    pages: Pages,
    prefecture: Annotated[Prefecture | None, Query()] = None,
    municipality: _For = None,
    in_force_on: _InForceOn = None,
) -> Page[DecisionView]:
    """As they were made."""
    wanted = _wanted(prefecture, municipality, in_force_on, now)
    found = await reading.list_decisions(session, wanted, after=pages.begin(UUID), limit=pages.one_more)
    return page(found, pages, key=lambda row: (row.id,), show=show_decision)


@decisions.get(
    "/v1/decisions.csv",
    summary="Decisions as CSV",
    description="分科会の決定(CSV)。配分ごとに一行です。",
    dependencies=[_ALL],
    response_class=Response,
    responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}, "description": "CSV"}},
)
async def export_decisions(
    session: Transaction,
    now: Now,
    prefecture: Annotated[Prefecture, Query(examples=["46"])],
    municipality: _For = None,
    in_force_on: _InForceOn = None,
    encoding: Annotated[Encoding, Query(description="文字コード: `cp932` か `utf-8`(BOM付き)")] = Encoding.CP932,
) -> Response:
    """A line for each allotment, or for what training is to teach."""
    wanted = _wanted(prefecture, municipality, in_force_on, now)
    columns = reading.decisions_layout(session)
    lines = await reading.decision_lines(session, wanted)
    return csv_answer(f"{columns.title}_{prefecture}", across(columns, lines), encoding)


@decisions.get(
    "/v1/decisions/{decision_id}",
    summary="Read a decision",
    description="決定の内容、いまの状態、どの会議で決まったか、何に代わるものかを返します。",
    dependencies=[_ALL],
)
async def get_decision(decision_id: UUID, session: Transaction, now: Now) -> DecisionView:
    """As it stands now."""
    return show_decision(await reading.get_decision(session, decision_id, now))
