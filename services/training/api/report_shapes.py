"""Shapes of the yearly report: cells with counts and rates, what stands behind them, and the delegated share."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import asyncpg
from pydantic import BaseModel, ConfigDict, Field

from services.training.domain.report import MEASURES, RATES, Cell, Count, Measure, RateName

_COUNT: dict[str, Any] = {"count": 12, "at_least": 12}
_WHERE = "General (一般枠), delegated (委ねる枠), or in no pool (未配分)."


class ReportCount(BaseModel):
    """A count, or, where it has a hidden part, only that it is at least so many."""

    model_config = ConfigDict(json_schema_extra={"examples": [_COUNT]})

    count: int | None
    at_least: int

    @classmethod
    def of(cls, count: Count | None) -> "ReportCount | None":
        """None stays None."""
        return None if count is None else cls(count=count.count, at_least=count.at_least)


class ReportRate(BaseModel):
    """A rate of the report, and of which two counts it is made."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"name": "fill_rate", "value": 80.0, "numerator": "enrolled", "denominator": "capacity", "per": 100}
            ]
        }
    )

    name: RateName
    value: float | None = Field(description="Rounded once, half up; null of nothing, or where a count is hidden.")
    numerator: Measure
    denominator: Measure
    per: Literal[1, 100] = Field(description="100: per cent.")


class ReportCell(BaseModel):
    """A line of the report. What is not told apart is null; so are town and group of whom the caller doesn't serve."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "origin": "delegated",
                    "system": None,
                    "field": None,
                    "municipality": None,
                    "counts": {measure.measure.value: _COUNT for measure in MEASURES},
                    "target_group": None,
                    "rates": [],
                }
            ]
        }
    )

    origin: str | None = Field(description=_WHERE)
    system: str | None
    field: str | None
    municipality: str | None
    target_group: str | None = Field(
        description="`none`: named for no group. Who was named for several counts in each."
    )
    counts: dict[Measure, ReportCount | None]
    rates: list[ReportRate]

    @classmethod
    def of(cls, cell: Cell) -> "ReportCell":
        """As it was reckoned."""
        rates = [
            ReportRate(
                name=rate.name,
                value=None if (value := cell.rate(rate)) is None else float(value),
                numerator=rate.numerator,
                denominator=rate.denominator,
                per=100 if rate.scale == 100 else 1,
            )
            for rate in RATES
        ]
        counts = {each.measure: ReportCount.of(cell.count(each.measure)) for each in MEASURES}
        return cls(**cell.place._asdict(), counts=counts, rates=rates)


class _FromRow(BaseModel):
    @classmethod
    def of(cls, row: asyncpg.Record) -> Any:
        """A row as it was read."""
        return cls.model_validate(dict(row))


class ReportRequest(_FromRow):
    """A request that a number counts; what is on record about it stands under its own address."""

    id: UUID
    course_run_id: UUID
    municipality: str
    origin: str
    system: str
    field: str


class ReportEntry(_FromRow):
    """A side of an entry of the ledger of seats; a capacity is the sum of `seats`."""

    entry_id: int
    kind: str
    at: datetime
    seats: int
    origin: str = Field(description=_WHERE)
    course_run_id: UUID
    pool_id: UUID | None
    system: str
    field: str


_OF_WHICH = "The courses that it is for; null: not told apart."


class DelegatedShare(BaseModel):
    """What one allotment of a decision came to. Seats are shown to everybody, as pools show them; persons are not."""

    decision_allotment_id: UUID
    decision_id: UUID
    decision_number: str
    state: str
    prefecture: str
    municipalities: list[str]
    course_number: str | None
    system: Annotated[str | None, Field(description=_OF_WHICH)]
    field: Annotated[str | None, Field(description=_OF_WHICH)]
    quarter: int | None
    allotted: int = Field(description="As decided.")
    carried_over: int = Field(description="繰越: seats from the quarter before or, below zero, gone to the next.")
    granted: int = Field(description="Put into pools, altogether.")
    returned: int = Field(description="Of these given back to the course run.")
    taken: int = Field(description="Held or filled now.")
    enrolled: ReportCount

    @classmethod
    def of(cls, row: asyncpg.Record, enrolled: Count) -> "DelegatedShare":
        """A row as it was read, and what the caller may see of those who are enrolled."""
        return cls.model_validate({**row, "enrolled": ReportCount.of(enrolled)})


class DelegatedEntry(_FromRow):
    """An entry behind a number of the delegated share."""

    entry_id: int
    kind: str
    at: datetime
    seats: int
    course_run_id: UUID
    pool_id: UUID
