"""未充足のニーズ: what a case needs and nobody in the region answers, and who coordinates it."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from services.referral.domain.needs import EndReason, NeedState
from services.referral.domain.options import Stage
from services.referral.handlers import needs as handlers
from shared.auth import Caller, Role, requires
from shared.codes import MunicipalityCode
from shared.service import Page, Pages, Transaction, page, router

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
                    "since": "2026-04-01T00:30:00Z",
                    "coordinator": "kagoshima-desk",
                    "stage": None,
                    "state": "open",
                    "ended_at": None,
                    "reason": None,
                }
            ]
        },
    )

    unmet_need_id: UUID = Field(validation_alias="id")
    case_id: UUID
    municipality: str
    need: str | None = Field(description="Without one: nobody could take the case at all.")
    since: datetime
    coordinator: str
    stage: Stage | None = Field(description="Where the person stood; without one: nobody had accepted the case yet.")
    state: NeedState
    ended_at: datetime | None
    reason: EndReason | None


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
    return page(rows, pages, key=lambda row: (row.id,), show=UnmetNeedAnswer.model_validate)
