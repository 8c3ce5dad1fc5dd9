"""The catalogue's record as it travels, with what its sources say; codes, and words for what was noticed in it."""

from collections.abc import Mapping
from datetime import date, datetime, time
from enum import StrEnum
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field
from sqlalchemy import Row

from services.training.api.courses import NOT_YOUR_PREFECTURE, AnyField, AnySystem
from services.training.domain.catalogue import FIELDS, Compared, Settlement, Word, voices
from services.training.domain.catalogue_checks import Finding, differs_here, findings
from services.training.tables.catalogue import Entry
from shared.codes import Code, FreeText
from shared.service import Body


class Delivery(StrEnum):
    """How a course is held (実施方法)."""

    ON_SITE = "on_site"
    ONLINE = "online"
    E_LEARNING = "e_learning"
    SHORT_HOURS = "short_hours"
    CHILDCARE = "childcare"
    DUAL = "dual"


class Weekday(StrEnum):
    """曜日."""

    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


class CatalogueStatus(StrEnum):
    """Where a course run stands, as its sources say (状態)."""

    PLANNED = "planned"
    RECRUITING = "recruiting"
    CLOSED = "closed"
    UNDER_WAY = "under_way"
    FINISHED = "finished"
    CANCELLED = "cancelled"


class CatalogueRecord(BaseModel):
    """What stands of a course run; null is what no source says."""

    external_number: str | None = Field(None, description="A source's own number, as it is; there is none nation-wide.")
    system: AnySystem | None = None
    field: AnyField | None = None
    title: str | None = None
    operator_name: str | None = None
    operator_number: str | None = Field(None, description="法人番号")
    site_municipality: str | None = None
    site_address: str | None = None
    access: str | None = None
    barrier_free: str | None = None
    occupation_codes: list[str] | None = Field(None, description="厚生労働省編職業分類")
    occupation_edition: int | None = Field(None, description="The edition (year) of these codes.")
    qualification: str | None = None
    starts_on: date | None = None
    ends_on: date | None = None
    from_time: time | None = Field(None, description="The hours of each day; of a trial place.")
    until_time: time | None = None
    months: int | None = None
    hours: int | None = None
    weekdays: list[Weekday] | None = None
    delivery: list[Delivery] | None = None
    capacity: int | None = Field(None, description="As the sources say. What is offered here is `seats.offered`.")
    min_enrolment: int | None = None
    priority_seats: int | None = None
    delegated: dict[str, int] | None = Field(None, description="Seats for a municipality's people, by its code.")
    return_on: date | None = Field(None, description="When delegated seats that nobody holds go back.")
    applications_open_at: datetime | None = None
    applications_close_at: datetime | None = Field(None, description="Inclusive.")
    visits_at: list[datetime] | None = None
    selection_on: date | None = None
    selection_place: str | None = None
    selection_method: str | None = None
    result_on: date | None = None
    cancel_decision_on: date | None = None
    own_cost: int | None = Field(None, description="Yen.")
    eligibility: str | None = None
    hello_work: str | None = None
    status: CatalogueStatus | None = None
    applicants: int | None = None
    accepted: int | None = None
    counted_on: date | None = Field(None, description="As of when applicants and accepted were counted.")


RecordField = StrEnum("RecordField", {name.upper(): name for name in FIELDS})  # type: ignore[misc]
"""A field of the record."""


class SeatsHere(BaseModel):
    """The course run that seats are asked for, where there is one."""

    course_run_id: UUID
    offered: int
    free: int = Field(description="In pools that are open to the caller's municipalities.")
    version: int = Field(description="Of the course run here.")
    cancelled_at: datetime | None = Field(description="中止: cancelled here, whatever sources still say.")
    starts_on: date = Field(description="As it stands here: seats are given by these days, and not by the record's.")
    ends_on: date
    applications_close_at: datetime = Field(description="Inclusive.")


class CatalogueEntry(BaseModel):
    """A course run in the catalogue."""

    catalogue_id: UUID
    course_number: str
    version: int
    record: CatalogueRecord
    differences: list[str] = Field(description="Fields on which sources differ and nothing stands decided.")
    told_by: list[str] = Field(description="出典: who has said something of it.")
    checked_on: date | None = Field(description="確認日: the last day on which any of them was checked.")
    seats: SeatsHere | None


class SourceWord(BaseModel):
    """A source's newest word, and the day on which it was checked."""

    source: str
    value: Any
    checked_on: date


class SettlementView(BaseModel):
    """Whose word the planner let stand."""

    source: str
    value: Any
    by: str
    at: datetime
    reason: str | None


class FieldSources(BaseModel):
    """What the sources say of a field, and what was decided."""

    field: str
    differs: bool
    stands: Any
    words: list[SourceWord]
    settled: SettlementView | None


class Noticed(BaseModel):
    """Something to look into: `grave` contradicts itself, as different sources' words may."""

    field: str
    code: str
    grave: bool
    message: str
    message_ja: str


class WholeEntry(CatalogueEntry):
    """With what each source says of each field."""

    sources: list[FieldSources]
    noticed: list[Noticed]


class Differing(BaseModel):
    """A course run on which sources differ."""

    catalogue_id: UUID
    course_number: str
    version: int
    title: str | None
    fields: list[FieldSources]


class StatementView(BaseModel):
    """What a source said on a day; null takes back what it said of a field."""

    statement_id: int
    source: str
    checked_on: date
    words: dict[str, Any]
    told_by: str
    told_at: datetime


class Settle(Body):
    """Whose word stands."""

    field: RecordField = Field(examples=["capacity"])
    source: Code = Field(examples=["provider"])
    reason: FreeText | None = Field(None, examples=["実施機関に電話で確認"])


class RowField(BaseModel):
    """A field of a row beside what is known."""

    field: str
    state: Compared
    value: Any
    against: list[str] = Field(description="Sources that say, or said, otherwise.")
    reopens: bool = Field(description="It had been decided, and this word was not heard then.")


class RowFault(BaseModel):
    """What is wrong with a row or, if not `grave`, unusual in it."""

    column: str | None
    code: str
    grave: bool
    message: str
    message_ja: str


class RowPreview(BaseModel):
    """A row of a file, field by field."""

    row: int
    course_number: str | None
    source: str | None
    became: Literal["created", "updated", "unchanged", "rejected"]
    fields: list[RowField]
    faults: list[RowFault]


def show_entry(row: Row[Any]) -> CatalogueEntry:
    """As a search found it."""
    return CatalogueEntry(**_plain(row))


def show_whole(row: Row[Any], entry: Entry) -> WholeEntry:
    """With everything that was said of it."""
    known = [field for field in FIELDS if voices(entry.words.get(field, {})) or field in entry.record]
    plain = _plain(row)
    return WholeEntry(
        **plain,
        sources=[_field(entry, field) for field in known],
        noticed=[_noticed(finding) for finding in (*findings(entry.record), *here(entry.record, plain["seats"]))],
    )


def here(record: Mapping[str, Any], seats: SeatsHere | None) -> list[Finding]:
    """What became of the course run here that no source says."""
    if seats is None:
        return []
    return differs_here(record, seats.model_dump(), cancelled=seats.cancelled_at is not None)


def show_differing(entry: Entry) -> Differing:
    """The fields that are to be decided."""
    return Differing(
        catalogue_id=entry.id,
        course_number=entry.course_number,
        version=entry.version,
        title=entry.record.get("title"),
        fields=[_field(entry, field) for field in entry.differences],
    )


def show_statement(row: Row[Any]) -> StatementView:
    """As it came in."""
    return StatementView(
        statement_id=row.id,
        source=row.source,
        checked_on=row.checked_on,
        words=row.words,
        told_by=row.told_by,
        told_at=row.told_at,
    )


def _plain(row: Row[Any]) -> dict[str, Any]:
    seats = row.course_run_id and SeatsHere(
        course_run_id=row.course_run_id,
        offered=row.seats_offered,
        free=row.free or 0,
        version=row.run_version,
        cancelled_at=row.cancelled_at,
        starts_on=row.starts_on,
        ends_on=row.ends_on,
        applications_close_at=row.applications_close_at,
    )
    return {
        "catalogue_id": row.id,
        "course_number": row.course_number,
        "version": row.version,
        "record": row.record,
        "differences": row.differences,
        "told_by": row.told_by or [],
        "checked_on": row.checked_on,
        "seats": seats,
    }


def _field(entry: Entry, field: str) -> FieldSources:
    return FieldSources(
        field=field,
        differs=field in entry.differences,
        stands=entry.record.get(field),
        words=_words(voices(entry.words.get(field, {}))),
        settled=_settled(entry, field),
    )


def _words(heard: Mapping[str, Word]) -> list[SourceWord]:
    return [
        SourceWord(source=source, value=word.value, checked_on=word.checked_on)
        for source, word in sorted(heard.items())
    ]


def _settled(entry: Entry, field: str) -> SettlementView | None:
    found: list[Settlement] = [each for each in entry.settlements if each.field == field]
    if not found:
        return None
    last = max(found, key=lambda each: each.at)
    return SettlementView(source=last.source, value=last.value, by=last.by, at=last.at, reason=last.reason)


def _noticed(finding: Finding) -> Noticed:
    message, message_ja = FINDINGS[finding.code]
    return Noticed(field=finding.field, code=finding.code, grave=finding.grave, message=message, message_ja=message_ja)


FINDINGS = {
    "ends_before_start": ("The course ends before it starts", "終了日が開始日より前です"),
    "closes_before_opening": ("Applications close before they open", "応募締切が応募開始より前です"),
    "closes_after_start": ("Applications close after the first day", "応募締切が開始日より後です"),
    "selects_before_closing": ("Selection lies before applications close", "選考日が応募締切より前です"),
    "result_before_selection": ("The result is told before the selection", "結果通知日が選考日より前です"),
    "result_after_start": ("The result is told after the first day", "結果通知日が開始日より後です"),
    "cancels_after_start": ("Cancelling is decided after the first day", "中止決定日が開始日より後です"),
    "returns_after_start": ("Seats are returned after the first day", "枠の戻る日が開始日より後です"),
    "more_needed_than_seats": ("More people are needed than there are seats", "最少開講人数が定員を超えています"),
    "more_priority_than_seats": ("More priority seats than seats", "優先枠が定員を超えています"),
    "delegated_above_capacity": (
        "More seats are delegated than there are",
        "委ねる枠と優先枠の合計が定員を超えています",
    ),
    "more_accepted_than_applied": ("More were accepted than applied", "合格者数が応募者数を超えています"),
    "edition_needed": ("Occupation codes need their edition, e.g. 2022", "職業分類の版(例: 2022)を書いてください"),
    "counted_when": (
        "Applicants and accepted need the day on which they were counted",
        "応募者数・合格者数には、時点の日付(応募状況の時点)を書いてください",
    ),
    "unusual_months": (
        "Usual are 2 to 4 months for the basic course and 3 to 6 for the practical one",
        "通常は、基礎コースは2〜4か月、実践コースは3〜6か月です",
    ),
    "unusual_capacity": ("Usual are 10 to 30 seats", "求職者支援訓練の定員は通常10〜30人です"),
    "months_and_days_differ": ("The months and the first and last day differ", "月数と開始日・終了日が合いません"),
    "cancelled_here": ("Cancelled here: no seat can be asked for", "この基盤では中止されています。席は申し込めません"),
    "other_day_here": (
        "It has another day here, by which seats are given",
        "この基盤では別の日になっています。席はその日によります",
    ),
    "source_not_known": ("Not one of the catalogue's sources", "目録の出典の一覧にないコードです"),
    "checked_in_future": ("A day that is still to come", "まだ来ていない日です"),
    "site_needed": ("The first word on a course says where it is", "はじめて載せる講座には所在地コードが必要です"),
    "not_your_prefecture": NOT_YOUR_PREFECTURE,
}
"""What was noticed, in words."""
