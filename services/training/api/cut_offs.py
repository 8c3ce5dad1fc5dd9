"""When delegated seats that nobody holds go back, who was warned, and why a pool's seats went."""

from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Query
from pydantic import BaseModel, Field
from sqlalchemy import Row

from services.training.api.courses import Prefecture
from services.training.domain.cut_off import part_that_returns
from services.training.handlers import cut_offs as handlers
from shared.auth import Role, requires
from shared.codes import MunicipalityCode
from shared.service import Page, Pages, Transaction, page, router

cut_offs = router(tag="cut-offs")


class PoolCutOff(BaseModel):
    """The cut-off (枠の戻る日) of a pool: what would go back, or what went back and what stayed."""

    pool_id: UUID
    course_run_id: UUID
    course_number: str
    title: str
    municipalities: list[str]
    decision_id: UUID = Field(description="Which decision granted the seats, and set the day.")
    cut_off_on: date = Field(
        description="The last day on which they may be held (枠の戻る日).", examples=["2027-01-15"]
    )
    cut_off_at: datetime = Field(description="The moment after that day: 0:00 in Japan of the next.")
    returns_percent: int
    agreement_id: UUID | None = Field(description="Of lent seats (貸出し): on what agreement.")
    onward_step: int | None = Field(description="Of seats that came at a cut-off: whose turn it was.")
    next_municipalities: list[str] = Field(
        description="Whom the decision names next (次に案内する市町村), or who lent them; else all."
    )
    free: int = Field(description="Seats that nobody has now.")
    would_return: int | None = Field(description="How many of them would go back; None once it is carried out.")
    warned_at: datetime | None = Field(description="When the municipalities were warned.")
    warned_of: int | None = Field(description="Of how many seats that would go back.")
    carried_out_at: datetime | None
    free_then: int | None = Field(description="Seats that nobody had at the cut-off.")
    kept: int | None = Field(description="How many of them stayed: no more are ever free in the pool.")
    returned: int | None = Field(description="Seats that went back since, also those given back later.")
    entries: str = Field(
        description="The entries of the ledger by which seats came and went.",
        examples=["/training/v1/course-runs/01985b7e-6c1d-7a3e-9a54-3f1f4a8f0c11/entries?account=free&pool_id=…"],
    )


def _show(row: Row[Any]) -> PoolCutOff:
    would_return = part_that_returns(row.free, row.returns_percent) if row.carried_out_at is None else None
    entries = f"/training/v1/course-runs/{row.course_run_id}/entries?account=free&pool_id={row.pool_id}"
    return PoolCutOff.model_validate(dict(row._mapping) | {"would_return": would_return, "entries": entries})  # noqa: SLF001


@cut_offs.get(
    "/v1/cut-offs",
    summary="When delegated seats go back",
    description=(
        "枠の戻る日の一覧です。その日を過ぎると、押さえられていない席は決定のとおり戻ります。"
        "戻る見込みの席数と、いつ予告したかも返します。"
    ),
    dependencies=[requires(*Role)],
)
async def list_cut_offs(
    session: Transaction,
    pages: Pages,
    prefecture: Annotated[Prefecture | None, Query()] = None,
    municipality: Annotated[MunicipalityCode | None, Query(description="Delegated to it, or to it and others.")] = None,
    carried_out: Annotated[bool | None, Query(description="Those that are over, or those to come; else all.")] = None,
) -> Page[PoolCutOff]:
    """By their moment."""
    found = await handlers.list_cut_offs(
        session,
        prefecture=prefecture,
        municipality=municipality,
        carried_out=carried_out,
        after=pages.begin(lambda cut_off_at, pool_id: (datetime.fromisoformat(cut_off_at), UUID(pool_id))),
        limit=pages.one_more,
    )
    return page(found, pages, key=lambda row: (row.cut_off_at, row.pool_id), show=_show)


@cut_offs.get(
    "/v1/course-runs/{course_run_id}/pools/{pool_id}/cut-off",
    summary="Why seats of a pool went back",
    description="枠の戻る日と、そのとき空いていた席・残った席・戻った席、根拠の決定、台帳の記帳への道筋を返します。",
    dependencies=[requires(*Role)],
)
async def get_pool_cut_off(course_run_id: UUID, pool_id: UUID, session: Transaction) -> PoolCutOff:
    """404 for seats that no decision delegated: they have none."""
    return _show(await handlers.get_cut_off(session, course_run_id, pool_id))
