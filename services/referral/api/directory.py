"""支援機関・事業: the directory to look at, and the two files that it is kept from."""

import unicodedata
from collections.abc import Collection, Sequence
from datetime import date, datetime
from typing import Annotated, Any, ClassVar
from uuid import UUID

from fastapi import Query
from pydantic import BaseModel, BeforeValidator, ConfigDict, FailFast, Field, StringConstraints
from sqlalchemy.ext.asyncio import AsyncSession

from services.referral.domain.routing import Capacity, Stage
from services.referral.handlers import directory as handlers
from services.referral.handlers.directory import AgencyEntry, AgencyNotKnown, ProgrammeEntry
from services.referral.tables import directory as tables
from shared.auth import Actor, Caller, Role, requires
from shared.codes import AgencyId, Code, CorporateNumber, DayAsWritten, FreeText, MunicipalityCode, PhoneText
from shared.service import Page, Pages, Transaction, page, router
from shared.service.imports import Became, Fault, FileRow, import_router

directory = router(tag="directory")

_STAGES = {
    "居場所": Stage.DROP_IN,
    "就労準備": Stage.WORK_READINESS,
    "就労準備支援": Stage.WORK_READINESS,
    "就労訓練": Stage.WORK_TRAINING,
    "認定就労訓練": Stage.WORK_TRAINING,
    "職業訓練": Stage.VOCATIONAL_TRAINING,
    "一般就労": Stage.JOB,
    "就職": Stage.JOB,
}
_CAPACITIES = {
    "空きあり": Capacity.HAS_ROOM,
    "満員": Capacity.FULL,
    "待機": Capacity.WAITING_LIST,
    "待機あり": Capacity.WAITING_LIST,
    "要相談": Capacity.ASK_FIRST,
    "不明": Capacity.UNKNOWN,
}


class AgencyAnswer(BaseModel):
    """支援機関."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "examples": [
                {
                    "agency_id": "sakurajima-npo",
                    "corporate_number": "7000012050002",
                    "name": "桜島サポートセンター",
                    "kana": "サクラジマサポートセンター",
                    "kind": "npo",
                    "municipality": "462012",
                    "municipalities_served": ["462012", "462187"],
                    "phone": "099-000-0000",
                    "confirmed_by": "鹿児島市福祉課",
                    "confirmed_on": "2026-04-01",
                    "version": 1,
                }
            ]
        },
    )

    agency_id: str
    corporate_number: str | None
    name: str
    kana: str
    kind: str
    municipality: str
    municipalities_served: list[str]
    phone: str | None
    confirmed_by: str
    confirmed_on: date
    version: int


class ProgrammeAnswer(BaseModel):
    """事業."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "examples": [
                {
                    "programme_id": "01920000-0000-7000-8000-0000000000a1",
                    "agency_id": "sakurajima-npo",
                    "agency_name": "桜島サポートセンター",
                    "programme_code": "ibasho-1",
                    "name": "朝の居場所",
                    "function": "drop_in_space",
                    "strand": 4,
                    "stage": "drop_in",
                    "municipalities": ["462012", "462187"],
                    "needs": ["isolation", "people"],
                    "capacity_state": "has_room",
                    "confirmed_on": "2026-04-01",
                    "version": 1,
                }
            ]
        },
    )

    programme_id: UUID = Field(validation_alias="id")
    agency_id: str
    agency_name: str
    programme_code: str
    name: str
    function: str
    strand: int = Field(
        description="1 cash benefits, 2 social services, 3 employment insurance, 4 self-reliance support"
        " Act, 5 job-seeker support Act, 6 firms' human-resource development."
    )
    stage: Stage
    municipalities: list[str] = Field(description="Where it is offered; its agency's area, if it has none of its own.")
    needs: list[str]
    capacity_state: Capacity = Field(description="`unknown` is not `has_room`.")
    confirmed_on: date
    version: int


@directory.get(
    "/v1/agencies",
    dependencies=[requires(*Role)],
    summary="Agencies of the directory",
    description="支援機関の一覧。市町村で絞り込めます。",
)
async def list_agencies(
    session: Transaction,
    _: Caller,
    pages: Pages,
    municipality: Annotated[MunicipalityCode | None, Query(description="Only those who serve it.")] = None,
) -> Page[AgencyAnswer]:
    """By id."""
    rows = await tables.list_agencies(session, municipality=municipality, after=pages.begin(str), limit=pages.one_more)
    return page(rows, pages, key=lambda row: (row.agency_id,), show=AgencyAnswer.model_validate)


@directory.get(
    "/v1/programmes",
    dependencies=[requires(*Role)],
    summary="Programmes of the directory",
    description="事業の一覧。市町村・支援機能・段階で絞り込めます。",
)
async def list_programmes(
    session: Transaction,
    _: Caller,
    pages: Pages,
    municipality: Annotated[MunicipalityCode | None, Query(description="Only what is offered there.")] = None,
    function: Annotated[Code | None, Query(description="Only this support function.")] = None,
    stage: Annotated[Stage | None, Query(description="Only this rung of the ladder.")] = None,
) -> Page[ProgrammeAnswer]:
    """By agency and the agency's own code."""
    rows = await tables.list_programmes(
        session,
        municipality=municipality,
        function=function,
        stage=stage,
        after=pages.begin(lambda agency_id, code: (agency_id, code)),
        limit=pages.one_more,
    )
    return page(rows, pages, key=lambda row: (row.agency_id, row.programme_code), show=ProgrammeAnswer.model_validate)


# --- The two files ---------------------------------------------------------------------------------------------------


def _split(cell: Any) -> Any:
    """Several codes in one cell, separated by spaces of any width, commas or 、."""
    if not isinstance(cell, str):
        return cell
    return tuple(dict.fromkeys(unicodedata.normalize("NFKC", cell).replace("、", " ").replace(",", " ").split()))


def _named(words: dict[str, Any]) -> BeforeValidator:
    """The office's own word, or our code."""
    return BeforeValidator(lambda cell: words.get(unicodedata.normalize("NFKC", cell), cell))


# One wrong code is enough to say of a cell; it may hold a thousand.
_Areas = Annotated[tuple[MunicipalityCode, ...], FailFast(), BeforeValidator(_split)]
_Needs = Annotated[tuple[Code, ...], FailFast(), BeforeValidator(_split)]
_Name = Annotated[FreeText, StringConstraints(min_length=1, max_length=200)]
_Phone = Annotated[PhoneText, StringConstraints(pattern=r"^[0-9+() -]{3,20}$")]


class AgencyRow(FileRow):
    """A line of the agencies' file."""

    key: ClassVar = ("agency_id",)
    agency_id: AgencyId = Field(alias="機関ID")
    corporate_number: CorporateNumber | None = Field(alias="法人番号", default=None)
    name: _Name = Field(alias="名称")
    kana: _Name = Field(alias="カナ")
    kind: Code = Field(alias="種別")
    municipality: MunicipalityCode = Field(alias="所在地コード")
    municipalities_served: _Areas = Field(alias="対象地域コード", min_length=1)
    phone: _Phone | None = Field(alias="電話", default=None)
    confirmed_by: _Name = Field(alias="確認者")
    confirmed_on: DayAsWritten = Field(alias="確認日")


class ProgrammeRow(FileRow):
    """A line of the programmes' file."""

    key: ClassVar = ("agency_id", "programme_code")
    agency_id: AgencyId = Field(alias="機関ID")
    programme_code: Code = Field(alias="事業コード")
    name: _Name = Field(alias="事業名")
    function: Code = Field(alias="支援機能")
    strand: int = Field(alias="系統", ge=1, le=6)
    stage: Annotated[Stage, _named(_STAGES)] = Field(alias="段階")
    municipalities: _Areas = Field(alias="対象地域コード", default=())
    needs: _Needs = Field(alias="対応する課題", default=())
    capacity_state: Annotated[Capacity, _named(_CAPACITIES)] = Field(alias="空き状況", default=Capacity.UNKNOWN)
    confirmed_on: DayAsWritten = Field(alias="確認日")


async def take_agencies(
    session: AsyncSession, rows: Sequence[AgencyRow], actor: Actor, now: datetime
) -> list[Became | Fault]:
    """Lines become the agencies' entries."""
    return await _take(session, [AgencyEntry(**row.model_dump()) for row in rows], rows[0].told, actor, now)


async def take_programmes(
    session: AsyncSession, rows: Sequence[ProgrammeRow], actor: Actor, now: datetime
) -> list[Became | Fault]:
    """Lines become the programmes' entries."""
    entries = [ProgrammeEntry(**row.model_dump(), confirmed_by=actor.agency) for row in rows]
    return await _take(session, entries, rows[0].told, actor, now)


async def _take(
    session: AsyncSession, entries: Sequence[handlers.Entry], told: Collection[str], actor: Actor, now: datetime
) -> list[Became | Fault]:
    kept = await handlers.keep_entries(session, entries, told=told, by=actor.agency, now=now)
    return [_AGENCY_NOT_KNOWN if isinstance(outcome, AgencyNotKnown) else outcome.became for outcome in kept]


_AGENCY_NOT_KNOWN = Fault(
    "機関ID",
    "agency_not_known",
    "Take the agency's own line in first",
    "先に支援機関のファイルでこの機関を登録してください",
)

agency_files = import_router(
    path="/v1/agency-imports",
    tag="directory",
    role=Role.DIRECTORY,
    row=AgencyRow,
    take=take_agencies,
    title_ja="支援機関",
)
programme_files = import_router(
    path="/v1/programme-imports",
    tag="directory",
    role=Role.DIRECTORY,
    row=ProgrammeRow,
    take=take_programmes,
    title_ja="事業",
)
