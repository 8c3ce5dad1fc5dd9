"""Sources' words from CSV, in two steps: what each field of each row is beside what is known, then the commit."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, ClassVar
from uuid import UUID

from fastapi import Path
from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints
from sqlalchemy.ext.asyncio import AsyncSession

from services.training.api.catalogue_shapes import (
    FINDINGS,
    CatalogueStatus,
    Delivery,
    RowFault,
    RowField,
    RowPreview,
    Weekday,
)
from services.training.api.courses import CourseField, System, Whose, delegated_as_written
from services.training.domain.catalogue import FIELDS, Compared, Comparison, Statement
from services.training.domain.catalogue_checks import Finding
from services.training.handlers import catalogue as handlers
from services.training.handlers.catalogue import Told, Weighed
from services.training.tables import catalogue as tables
from services.training.tables.catalogue import Entry
from shared.auth import Actor, Caller, Role, requires
from shared.codes import Code, CorporateNumber, DayAsWritten, FreeText, MomentAsWritten, MunicipalityCode
from shared.service import JST, Now, Page, Pages, Transaction, number, page, router
from shared.service.imports import Fault, FileRow, Remarked, Rows, import_router, read_again, zero_put_back
from shared.service.imports.taking import Outcome

_MOST_ROWS = 5_000
"""A prefecture has some hundred course runs a year; what is previewed is read whole for each page."""
_SEPARATORS = str.maketrans("、，,；;", "     ")


def _parts(value: Any) -> Any:
    """「on_site、childcare」 as a list without repeats; anything else is left to the validator."""
    return tuple(dict.fromkeys(value.translate(_SEPARATORS).split())) if isinstance(value, str) else value


_DAYS = dict(zip("月火水木金土日", Weekday, strict=True))


def _weekdays(value: Any) -> Any:
    """「月火水」「月、水」 or codes."""
    if not isinstance(value, str):
        return value
    written = value.translate(_SEPARATORS).replace("・", " ")
    if set(written) <= {*_DAYS, " "}:
        return tuple(_DAYS[day] for day in dict.fromkeys(written) if day != " ")
    return tuple(written.split())


def _moments(value: Any) -> Any:
    """「2027-01-08 10:00、2027-01-15 10:00」."""
    if not isinstance(value, str):
        return value
    return tuple(part.strip() for part in value.replace("；", "、").replace(";", "、").split("、") if part.strip())


def _in_order(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Sources write lists in their own order, and mean the same."""
    return tuple(sorted(set(values)))


def _in_week_order(values: tuple[Weekday, ...]) -> tuple[Weekday, ...]:
    return tuple(day for day in Weekday if day in values)


# In one spelling, so that 16:00 here and 07:00Z there are the same word.
_Moment = Annotated[MomentAsWritten, AfterValidator(lambda moment: moment.astimezone(JST))]
_Text = Annotated[FreeText, StringConstraints(max_length=1_000)]
_Short = Annotated[FreeText, StringConstraints(max_length=300)]
_Seats = Annotated[int, Field(ge=0, le=1_000)]
_SomeSeats = Annotated[int, Field(ge=1, le=1_000)]
_Occupation = Annotated[str, StringConstraints(pattern=r"^[0-9]{2,3}(-[0-9]{2})?$")]


class CatalogueRow(FileRow):
    """What a source says of a course run. A column that a file doesn't have says nothing; a blank takes back."""

    key: ClassVar = ("course_number",)
    course_number: Code = Field(alias="講座番号")
    source: Code = Field(alias="出典")
    checked_on: DayAsWritten = Field(alias="確認日")
    external_number: Annotated[FreeText, StringConstraints(max_length=100)] | None = Field(None, alias="外部講座番号")
    system: System | None = Field(None, alias="訓練種別")
    field: CourseField | None = Field(None, alias="分野")
    title: _Short | None = Field(None, alias="講座名")
    operator_name: _Short | None = Field(None, alias="実施機関名")
    operator_number: CorporateNumber | None = Field(None, alias="法人番号")
    site_municipality: Annotated[MunicipalityCode, BeforeValidator(zero_put_back)] | None = Field(
        None, alias="所在地コード"
    )
    site_address: _Short | None = Field(None, alias="所在地")
    access: _Text | None = Field(None, alias="交通")
    barrier_free: _Text | None = Field(None, alias="バリアフリー")
    occupation_codes: (
        Annotated[tuple[_Occupation, ...], BeforeValidator(_parts), AfterValidator(_in_order), Field(max_length=20)]
        | None
    ) = Field(None, alias="職業分類コード")
    occupation_edition: Annotated[int, Field(ge=1950, le=2199)] | None = Field(None, alias="職業分類の版")
    qualification: _Text | None = Field(None, alias="めざす資格")
    starts_on: DayAsWritten | None = Field(None, alias="開始日")
    ends_on: DayAsWritten | None = Field(None, alias="終了日")
    months: Annotated[int, Field(ge=1, le=48)] | None = Field(None, alias="月数")
    hours: Annotated[int, Field(ge=1, le=10_000)] | None = Field(None, alias="総時間")
    weekdays: Annotated[tuple[Weekday, ...], BeforeValidator(_weekdays), AfterValidator(_in_week_order)] | None = Field(
        None, alias="曜日"
    )
    delivery: Annotated[tuple[Delivery, ...], BeforeValidator(_parts), AfterValidator(_in_order)] | None = Field(
        None, alias="実施方法"
    )
    capacity: _SomeSeats | None = Field(None, alias="定員")
    min_enrolment: _SomeSeats | None = Field(None, alias="最少開講人数")
    priority_seats: _Seats | None = Field(None, alias="優先枠")
    delegated: Annotated[dict[Whose, _SomeSeats], BeforeValidator(delegated_as_written)] | None = Field(
        None, alias="委ねる枠"
    )
    return_on: DayAsWritten | None = Field(None, alias="枠の戻る日")
    applications_open_at: _Moment | None = Field(None, alias="応募開始")
    applications_close_at: _Moment | None = Field(None, alias="応募締切")
    visits_at: (
        Annotated[tuple[_Moment, ...], BeforeValidator(_moments), AfterValidator(_in_order), Field(max_length=30)]
        | None
    ) = Field(None, alias="見学会")
    selection_on: DayAsWritten | None = Field(None, alias="選考日")
    selection_place: _Short | None = Field(None, alias="選考場所")
    selection_method: _Short | None = Field(None, alias="選考方法")
    result_on: DayAsWritten | None = Field(None, alias="結果通知日")
    cancel_decision_on: DayAsWritten | None = Field(None, alias="中止決定日")
    own_cost: Annotated[int, Field(ge=0, le=5_000_000)] | None = Field(None, alias="自己負担額")
    eligibility: _Text | None = Field(None, alias="対象者")
    hello_work: _Short | None = Field(None, alias="担当ハローワーク")
    status: CatalogueStatus | None = Field(None, alias="状態")
    applicants: Annotated[int, Field(ge=0, le=100_000)] | None = Field(None, alias="応募者数")
    accepted: Annotated[int, Field(ge=0, le=100_000)] | None = Field(None, alias="合格者数")
    counted_on: DayAsWritten | None = Field(None, alias="応募状況の時点")


def _told(row: CatalogueRow, now: datetime) -> Told:
    plain = row.model_dump(mode="json")
    words = {field: plain[field] for field in FIELDS if field in row.told}
    return Told(row.course_number, Statement(row.source, row.checked_on, now, words))


async def take_statements(
    session: AsyncSession, rows: Sequence[CatalogueRow], actor: Actor, now: datetime
) -> list[Outcome]:
    """What each row makes of the catalogue."""
    weighed = await handlers.hear_sources(session, [_told(row, now) for row in rows], actor=actor, now=now)
    names = handlers.sources(session)
    return [_outcome(each, names) for each in weighed]


def _outcome(weighed: Weighed, names: dict[str, str]) -> Outcome:
    if weighed.refused:
        return _fault(weighed.refused[0], names)
    compared = [_remark(each, names) for each in weighed.compared if _worth_telling(each)]
    remarks = (*compared, *(_fault(finding, names) for finding in weighed.findings))
    return Remarked(weighed.became, remarks) if remarks else weighed.became


def _worth_telling(each: Comparison) -> bool:
    return each.reopens or each.state in {Compared.DIFFERS, Compared.OLDER, Compared.WITHDRAWN}


def _label(field: str) -> str:
    return CatalogueRow.model_fields[field].alias or field


def _fault(finding: Finding, names: dict[str, str]) -> Fault:
    message, message_ja = FINDINGS[finding.code]
    if finding.code == "source_not_known":
        message, message_ja = f"{message} ({', '.join(names)})", f"{message_ja}({'、'.join(names)})"
    return Fault(_label(finding.field), finding.code, message, message_ja)


def _remark(each: Comparison, names: dict[str, str]) -> Fault:
    """By kind and not by value, so that a long file with many differences stays a short report."""
    label = _label(each.field)
    if each.state is Compared.OLDER:
        return Fault(label, "older", "A later word of this source stays", "この出典の、より新しい内容を残します")
    if each.state is Compared.WITHDRAWN:
        return Fault(label, "withdrawn", "This source no longer says it", "この出典の以前の内容を取り下げます")
    said = "・".join(names.get(source, source) for source in each.against)
    if each.reopens:
        return Fault(
            label,
            "reopens",
            f"It had been decided, and is to be decided anew (against: {', '.join(each.against)})",
            f"決定済みの項目ですが、新しい内容なので、もう一度決めてください(違うもの: {said})",
        )
    return Fault(label, "differs", f"Not as said by {', '.join(each.against)}", f"これまでの内容({said})と違います")


catalogue_imports = import_router(
    path="/v1/catalogue-imports",
    tag="catalogue",
    role=Role.PLANNER,
    row=CatalogueRow,
    take=take_statements,
    title_ja="訓練コース目録の出典",
    most_rows=_MOST_ROWS,
)

catalogue_previews = router(tag="catalogue")


@catalogue_previews.get(
    "/v1/catalogue-imports/{import_id}/rows",
    summary="Every row of a file beside what is known",
    description="取り込む前のファイルを、行ごと・項目ごとに、いま分かっている内容と比べます。"
    "new(新しい)・same(同じ)・differs(違う)・withdrawn(取下げ)・older(より古い)と、行の誤りを返します。",
    dependencies=[requires(Role.PLANNER)],
)
async def list_catalogue_rows(
    import_id: Annotated[UUID, Path()], session: Transaction, now: Now, pages: Pages, actor: Caller
) -> Page[RowPreview]:
    """In the file's order, as things stand now."""
    rows = await read_again(session, import_id, kind="catalogue-imports", row=CatalogueRow, actor=actor)
    after = pages.begin(number) or 0
    wanted = [line for line, _ in rows.sheet.lines if line > after][: pages.one_more]
    shown = await _previews(session, rows, wanted, actor, now)
    return page(shown, pages, key=lambda preview: (preview.row,), show=lambda preview: preview)


async def _previews(
    session: AsyncSession, rows: Rows[CatalogueRow], wanted: Sequence[int], actor: Actor, now: datetime
) -> list[RowPreview]:
    good = dict(rows.good)
    read = {line: good[rows.repeats.get(line, line)] for line in wanted if rows.repeats.get(line, line) in good}
    known = await tables.find_entries(session, [row.course_number for row in read.values()])
    names = handlers.sources(session)
    faults = await asyncio.to_thread(_by_row, rows, set(wanted))
    return [
        _preview(line, read[line], known.get(read[line].course_number), names, actor, now)
        if line in read
        else RowPreview(row=line, course_number=None, source=None, became="rejected", fields=[], faults=faults[line])
        for line in wanted
    ]


def _by_row(rows: Rows[CatalogueRow], wanted: set[int]) -> dict[int, list[RowFault]]:
    found: dict[int, list[RowFault]] = {line: [] for line in wanted}
    for line, fault in rows.faults.first(rows.faults.total):
        if line in wanted:
            found[line].append(_show_fault(fault, grave=True))
    return found


def _show_fault(fault: Fault, *, grave: bool) -> RowFault:
    return RowFault(
        column=fault.column, code=fault.code, grave=grave, message=fault.message, message_ja=fault.message_ja
    )


def _preview(
    line: int, row: CatalogueRow, entry: Entry | None, names: dict[str, str], actor: Actor, now: datetime
) -> RowPreview:
    weighed = handlers.weigh(_told(row, now), entry, actor=actor, rank=list(names), now=now)
    return RowPreview(
        row=line,
        course_number=row.course_number,
        source=row.source,
        became="rejected" if weighed.refused else weighed.became,
        fields=[
            RowField(
                field=each.field,
                state=each.state,
                value=each.value,
                against=list(each.against),
                reopens=each.reopens,
            )
            for each in weighed.compared
        ],
        faults=[_show_fault(_fault(finding, names), grave=finding.grave) for finding in weighed.findings],
    )
