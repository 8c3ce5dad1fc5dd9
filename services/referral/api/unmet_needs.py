"""未充足のニーズ: what a case needs and nobody in the region answers, and who coordinates it."""

from datetime import date, datetime, timedelta
from typing import Annotated, Any, Literal, assert_never
from uuid import UUID

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Row

from services.referral.api.shapes import WaitsAnswer
from services.referral.domain.needs import EndReason, NeedState
from services.referral.domain.options import Stage
from services.referral.domain.states import Clock
from services.referral.domain.told import Reading
from services.referral.handlers import looking
from services.referral.handlers import needs as handlers
from services.referral.handlers.needs import NoneOpen, NotTheCoordinator
from shared.auth import Caller, Role, requires
from shared.codes import MunicipalityCode
from shared.problems import FORBIDDEN, NOT_FOUND, Problem, invalid
from shared.service import Body, Now, Page, Pages, Transaction, day_in_japan, page, router

unmet_needs = router(tag="candidates")


class UnmetNeedAnswer(BaseModel):
    """A need on record as unmet."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "examples": [
                {
                    "unmet_need_id": "01920000-0000-7000-8000-0000000000e1",
                    "case_id": "01920000-0000-7000-8000-0000000000c1",
                    "municipality": "462012",
                    "need": "housing",
                    "withheld": False,
                    "since": "2026-04-01T00:30:00Z",
                    "coordinator": "kagoshima-desk",
                    "stage": None,
                    "state": "open",
                    "ended_at": None,
                    "reason": None,
                    "review_on": "2026-05-01",
                    "said_by": None,
                }
            ]
        },
    )

    unmet_need_id: UUID = Field(validation_alias="id")
    case_id: UUID
    municipality: str
    need: str | None = Field(description="Without one, and not withheld: nobody could take the case at all.")
    withheld: bool = Field(
        description="There is a need, and it is named to who holds the case, who coordinates this, and who is told of"
        " it by an open referral."
    )
    since: datetime
    coordinator: str
    stage: Stage | None = Field(description="Where the person stood; without one: nobody had accepted the case yet.")
    state: NeedState
    ended_at: datetime | None
    reason: EndReason | None
    review_on: date = Field(description="When the coordinator looks at it again.")
    said_by: str | None = Field(
        description="Who looked for a place and found none: it stays on record although a candidate is listed."
    )


class WaitingNeedAnswer(UnmetNeedAnswer):
    """The same as one of all that waits: for whom, since when, until when."""

    waits: WaitsAnswer


def unmet_need(row: Row[Any], reading: Reading, agency: str) -> dict[str, Any]:
    """A record as somebody may read it: to look for a place its coordinator knows for what."""
    coordinates = row.coordinator == agency and row.state == NeedState.OPEN
    named = row.need is None or coordinates or reading.holds(row.need)
    return {**row._asdict(), "need": row.need if named else None, "withheld": not named}


def waiting_need(row: Row[Any], reading: Reading, agency: str) -> WaitingNeedAnswer:
    """It waits for its coordinator to look again."""
    since, coordinator = day_in_japan(row.since), row.coordinator
    waits = WaitsAnswer(clock=Clock.REVIEW, agency_id=coordinator, since=since, due_on=row.review_on)
    return WaitingNeedAnswer.model_validate(unmet_need(row, reading, agency) | {"waits": waits})


class NeedReviewBody(Body):
    """When the coordinator looks again."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"review_on": "2027-01-15"}]})

    review_on: date


@unmet_needs.get(
    "/v1/unmet-needs",
    dependencies=[requires(Role.COUNSELLOR)],
    summary="Needs that nobody answers",
    description=(
        "応えられる支援がない課題の一覧。`box=mine` は自分の機関が調整役のもの。"
        "候補が見つかる、受諾される、ケースが終わる、のいずれかで終わります。"
    ),
)
async def list_unmet_needs(
    session: Transaction,
    now: Now,
    actor: Caller,
    pages: Pages,
    box: Annotated[Literal["mine"] | None, Query(description="Only those that my agency coordinates.")] = None,
    state: Annotated[NeedState | None, Query(description="Only in this state.")] = None,
    municipality: Annotated[MunicipalityCode | None, Query(description="Only of this municipality.")] = None,
) -> Page[UnmetNeedAnswer]:
    """Newest first."""
    rows = await handlers.list_needs(
        session,
        actor,
        box=box,
        state=state,
        municipality=municipality,
        before=pages.begin(UUID),
        limit=pages.one_more,
    )
    readings = await looking.readings(session, {row.case_id for row in rows}, actor.agency, now)
    return page(
        rows,
        pages,
        key=lambda row: (row.id,),
        show=lambda row: UnmetNeedAnswer.model_validate(unmet_need(row, readings[row.case_id], actor.agency)),
    )


@unmet_needs.get(
    "/v1/unmet-needs/{unmet_need_id}",
    dependencies=[requires(Role.COUNSELLOR)],
    summary="One need that nobody answers",
    description="応えられる支援がない課題の記録を一つ返します。支援機能の地図の数は、この記録まで開けます。",
)
async def get_unmet_need(unmet_need_id: UUID, session: Transaction, now: Now, actor: Caller) -> UnmetNeedAnswer:
    """What a number of the map opens to."""
    found = await handlers.get_need(session, unmet_need_id, actor)
    if found is None:
        raise Problem(NOT_FOUND)
    return await _shown(session, found, actor.agency, now)


async def _shown(session: Transaction, row: Row[Any], agency: str, now: datetime) -> UnmetNeedAnswer:
    readings = await looking.readings(session, [row.case_id], agency, now)
    return UnmetNeedAnswer.model_validate(unmet_need(row, readings[row.case_id], agency))


_LONGEST = timedelta(days=366)


@unmet_needs.post(
    "/v1/unmet-needs/{unmet_need_id}/review",
    dependencies=[requires(Role.COUNSELLOR)],
    summary="Say when an unmet need is looked at again",
    description="見直した調整役が、次に見直す日(明日から1年以内)を決めます。見直しの日は、待っているものの一覧に出ます。",
)
async def review_need(
    unmet_need_id: UUID, body: NeedReviewBody, session: Transaction, now: Now, actor: Caller
) -> UnmetNeedAnswer:
    """By its coordinator."""
    today = day_in_japan(now)
    if not today < body.review_on <= today + _LONGEST:
        raise invalid(
            "/review_on", "not_to_come", "A day to come, within a year", "明日から1年以内の日を指定してください"
        )
    outcome = await handlers.review_need(session, unmet_need_id, body.review_on, actor=actor)
    match outcome:
        case NoneOpen():
            raise Problem(NOT_FOUND)
        case NotTheCoordinator():
            raise Problem(FORBIDDEN)
        case Row():
            return await _shown(session, outcome, actor.agency, now)
        case _:
            assert_never(outcome)
