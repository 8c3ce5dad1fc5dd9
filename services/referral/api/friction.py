"""制度の壁: one click records which boundary between schemes blocked a person; counts and the yearly list."""

from datetime import date, datetime
from typing import Annotated, Literal, assert_never
from uuid import UUID

from fastapi import Query, Response
from pydantic import BaseModel, ConfigDict

from services.referral.api.function_map import CSV, READERS, EncodingWanted, Prefecture, few_enough
from services.referral.api.map_shapes import ShownAnswer
from services.referral.domain.friction import Counted, YearLine, yearly
from services.referral.handlers import friction as handlers
from services.referral.handlers.friction import BoundaryNotKnown, ProgrammeNotKnown, Recorded
from services.referral.handlers.layouts import layout
from services.referral.tables.friction import Friction
from shared.auth import Caller, Role, requires
from shared.codes import Code, place_name
from shared.problems import Problem, invalid
from shared.service import Body, Now, Page, Pages, Transaction, page, router
from shared.service.exports import Encoding, across, csv_answer

frictions = router(tag="frictions")

MEETS_PEOPLE = (Role.COUNSELLOR, Role.PLACEMENT, Role.HELLO_WORK, Role.PROVIDER)
"""Who sits with the person when a boundary blocks them."""
_CASE = "01920000-0000-7000-8000-0000000000c1"
_Year = Annotated[int, Query(ge=2020, le=2099, description="年度: from April of this year.")]


class BoundaryAnswer(BaseModel):
    """A boundary between schemes, in words."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "examples": [
                {
                    "code": "insured_only",
                    "scheme": "employment_insurance",
                    "ja": "雇用保険の受給者・被保険者に限る",
                    "en": "Only for those insured or drawing employment insurance",
                    "scheme_ja": "雇用保険",
                    "scheme_en": "Employment insurance",
                }
            ]
        },
    )

    code: str
    scheme: str
    ja: str
    en: str
    scheme_ja: str
    scheme_en: str


class FrictionBody(Body):
    """Which boundary, for which case; and at which programme, if it was one."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"case_id": _CASE, "boundary": "insured_only"}]})

    case_id: UUID
    boundary: Code
    programme_id: UUID | None = None


class FrictionAnswer(BaseModel):
    """A record of the register."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "friction_id": "01920000-0000-7000-8000-0000000000f1",
                    "case_id": _CASE,
                    "municipality": "462012",
                    "boundary": "insured_only",
                    "programme_id": None,
                    "agency_id": "kagoshima-desk",
                    "recorded_on": "2026-11-30",
                    "at": "2026-11-30T03:00:00Z",
                }
            ]
        }
    )

    friction_id: UUID
    case_id: UUID
    municipality: str
    boundary: str
    programme_id: UUID | None
    agency_id: str
    recorded_on: date
    at: datetime


class FrictionCountAnswer(BaseModel):
    """How often a boundary was recorded in a municipality in a quarter."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "boundary": "insured_only",
                    "municipality": "462187",
                    "quarter": "2026-10-01",
                    "records": {"count": None, "at_least": 1, "below": 5},
                }
            ]
        }
    )

    boundary: str
    municipality: str
    quarter: date
    records: ShownAnswer


@frictions.get(
    "/v1/friction-boundaries",
    dependencies=[requires(*MEETS_PEOPLE, *(role for role in READERS if role not in MEETS_PEOPLE))],
    summary="Boundaries between schemes",
    description="記録に使う制度の壁の一覧。コードと、日本語・英語のことば、属する制度。",
)
async def list_boundaries(_: Caller) -> list[BoundaryAnswer]:
    """In the list's own order."""
    return [BoundaryAnswer.model_validate(each) for each in handlers.boundaries().values()]


@frictions.post(
    "/v1/frictions",
    status_code=201,
    dependencies=[requires(*MEETS_PEOPLE)],
    summary="Record which boundary blocked a person",
    description="どの制度の壁で本人が支援を受けられなかったかを、一度押すだけで記録します。"
    "同じケース・同じ壁は一日に一件です(二度目は同じ記録を200で返します)。",
    responses={200: {"model": FrictionAnswer, "description": "It stood there already today"}},
)
async def record_friction(
    body: FrictionBody, response: Response, session: Transaction, now: Now, actor: Caller
) -> FrictionAnswer:
    """Once for a case, boundary and day."""
    outcome = await handlers.record_friction(
        session, case_id=body.case_id, boundary=body.boundary, programme_id=body.programme_id, actor=actor, now=now
    )
    match outcome:
        case Recorded(record, new):
            response.status_code = 201 if new else 200
            return _answer(record)
        case BoundaryNotKnown():
            raise _not_known("/boundary", "boundary_not_known", "/v1/friction-boundaries")
        case ProgrammeNotKnown():
            raise _not_known("/programme_id", "programme_not_known", "/v1/programmes")
        case _:
            assert_never(outcome)


@frictions.get(
    "/v1/frictions",
    dependencies=[requires(*MEETS_PEOPLE)],
    summary="The register of boundaries",
    description="自機関が記録したものと、担当する市町村のケースの制度の壁の記録。",
)
async def list_frictions(
    session: Transaction,
    actor: Caller,
    pages: Pages,
    case_id: Annotated[UUID | None, Query(description="Only of this case.")] = None,
    boundary: Annotated[Code | None, Query(description="Only this boundary.")] = None,
) -> Page[FrictionAnswer]:
    """Newest first."""
    if boundary is not None and boundary not in handlers.boundaries():
        raise _not_known("/boundary", "boundary_not_known", "/v1/friction-boundaries", place="query")
    rows = await handlers.list_frictions(
        session, actor, case_id=case_id, boundary=boundary, before=pages.begin(UUID), limit=pages.one_more
    )
    return page(rows, pages, key=lambda record: (record.id,), show=_answer)


@frictions.get(
    "/v1/friction-counts",
    dependencies=[requires(*READERS)],
    summary="Boundaries by municipality and quarter",
    description="制度の壁を、市町村・四半期ごとに数えます。自分の市町村でないところは、5人未満の人の件数を伏せます。",
)
async def count_frictions(
    prefecture: Prefecture, year: _Year, session: Transaction, actor: Caller, pages: Pages
) -> Page[FrictionCountAnswer]:
    """By boundary, municipality and quarter."""
    begin = pages.begin(lambda boundary, municipality, quarter: (boundary, municipality, date.fromisoformat(quarter)))
    counted = await handlers.count_frictions(session, prefecture, year)
    rest = [each for each in counted if begin is None or _place(each) > begin]
    return page(
        rest[: pages.one_more],
        pages,
        key=_place,
        show=lambda each: FrictionCountAnswer(
            boundary=each.boundary,
            municipality=each.municipality,
            quarter=each.quarter,
            records=ShownAnswer.of(each.shown(own=actor.serves(each.municipality))),
        ),
    )


@frictions.get(
    "/v1/friction-counts.csv",
    dependencies=[requires(*READERS)],
    summary="The yearly list of boundaries as CSV",
    description="制度の壁の年間一覧(CSV)。制度の改善提案の資料になります。伏せた件数を含む合計は「以上」になります。",
    response_class=Response,
    responses=CSV,
)
async def export_frictions(
    prefecture: Prefecture,
    year: _Year,
    session: Transaction,
    actor: Caller,
    encoding: EncodingWanted = Encoding.CP932,
) -> Response:
    """Each boundary in all municipalities, then in each."""
    counted = await handlers.count_frictions(session, prefecture, year)
    own = {each.municipality for each in counted if actor.serves(each.municipality)}
    columns = layout(session, "friction_year")
    lines = [_line(each) for each in yearly(counted, year, own)]
    return csv_answer(f"{columns.title}_{prefecture}_{year}年度", across(columns, few_enough(lines)), encoding)


def _line(line: YearLine) -> dict[str, str]:
    # A code that was recorded once may have left the list since.
    known = handlers.boundaries().get(line.boundary)
    names = ("first", "second", "third", "fourth")
    return {
        "scheme": "" if known is None else known.scheme_ja,
        "boundary": line.boundary,
        "words": line.boundary if known is None else known.ja,
        "municipality": line.municipality or "",
        "municipality_name": "計" if line.municipality is None else place_name(line.municipality),
        **{name: shown.text_ja for name, shown in zip(names, line.quarters, strict=True)},
        "year": line.year.text_ja,
    }


def _place(counted: Counted) -> tuple[str, str, date]:
    return counted.boundary, counted.municipality, counted.quarter


def _not_known(
    pointer: str, code: Literal["boundary_not_known", "programme_not_known"], where: str, *, place: str = "body"
) -> Problem:
    return invalid(pointer, code, f"Take one from {where}", f"{where} にあるものから選んでください", place=place)


def _answer(record: Friction) -> FrictionAnswer:
    return FrictionAnswer(
        friction_id=record.id,
        case_id=record.case_id,
        municipality=record.municipality,
        boundary=record.boundary,
        programme_id=record.programme_id,
        agency_id=record.agency_id,
        recorded_on=record.recorded_on,
        at=record.at,
    )
