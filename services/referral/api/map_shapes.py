"""The shapes of the map of functions on the wire."""

from datetime import date, datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from services.referral.domain.function_map import Coverage, Proposal, Why
from services.referral.domain.map_demand import NUMBERS
from services.referral.domain.map_supply import Record, RecordKind
from services.referral.domain.map_views import Change, Row, Seen
from services.referral.domain.small_counts import Shown
from shared.codes import place_name

_FEW: dict[str, Any] = {"count": None, "at_least": 1, "below": 5}
_SEVEN: dict[str, Any] = {"count": 7, "at_least": 7, "below": None}
_NONE: dict[str, Any] = {"count": 0, "at_least": 0, "below": None}
_KIND: dict[str, Any] = {"function": "drop_in_space", "stage": "drop_in", "strand": 4}
_CELL: dict[str, Any] = {
    **_KIND,
    "municipality": "462187",
    "municipality_name": "霧島市",
    "state": "thin",
    "why": "short",
    "proposal": "extend",
    "lenders": ["462012"],
    "programmes": 2,
    "with_room": 1,
    "stale": 1,
    "room_unknown": 0,
    "places": 3,
    "open_needs": _SEVEN,
    "waiting": _FEW,
    "unmet": _NONE,
    "wanting": {"count": None, "at_least": 7, "below": None},
    "turned_away": _FEW,
}


class ShownAnswer(BaseModel):
    """A count: exact, or hidden because it is small, or coarse to others, or a sum with such a part."""

    model_config = ConfigDict(json_schema_extra={"examples": [_FEW]})

    count: int | None = Field(description="Exact; null where it is hidden or coarse.")
    at_least: int = Field(description="It is not less than this.")
    below: int | None = Field(
        description="Less than this: a hidden count is of fewer different people; a coarse one is 5 to 8, 9 to 12, ..."
    )

    @classmethod
    def of(cls, shown: Shown) -> "ShownAnswer":
        """As a reader sees it."""
        return cls(count=shown.count, at_least=shown.at_least, below=shown.below)


class KindAnswer(BaseModel):
    """A kind of support."""

    function: str = Field(description="`none`: needs that nothing in the region answers.")
    stage: str
    strand: int = Field(description="1 to 6, as in the directory; 0 with `none`.")


class CellAnswer(KindAnswer):
    """One field of the map."""

    model_config = ConfigDict(json_schema_extra={"examples": [_CELL]})

    municipality: str
    municipality_name: str
    state: Coverage = Field(description="`too_few`: it depends on counts that are hidden from the caller.")
    why: Why
    proposal: Proposal
    lenders: list[str] = Field(description="Municipalities with room that this one has no part in; neighbours first.")
    programmes: int = Field(description="Course runs that one may apply for among them.")
    with_room: int = Field(description="With free places that can be relied upon.")
    stale: int = Field(description="Confirmed too long ago.")
    room_unknown: int = Field(description="Nobody has said lately whether there is room, or one is told to ask.")
    places: int = Field(description="Free places and seats; other municipalities that they are for share them.")
    open_needs: ShownAnswer = Field(description="Open cases with a need that this answers and nobody is answering.")
    waiting: ShownAnswer = Field(description="Referrals that wait for room, or stand in line for a seat.")
    unmet: ShownAnswer = Field(description="Open records of a need that has nobody.")
    wanting: ShownAnswer = Field(description="Different cases behind the three numbers before.")
    turned_away: ShownAnswer = Field(description="Referrals declined for lack of room or seats within a year.")

    @classmethod
    def of(cls, seen: Seen) -> "CellAnswer":
        """As a reader sees it."""
        kind, supply = seen.kind, seen.supply
        return cls(
            function=kind.function,
            stage=kind.stage,
            strand=kind.strand,
            municipality=seen.municipality,
            municipality_name=place_name(seen.municipality),
            state=seen.state,
            why=seen.why,
            proposal=seen.proposal,
            lenders=list(seen.lenders),
            programmes=supply.programmes,
            with_room=supply.with_room,
            stale=supply.stale,
            room_unknown=supply.unknown,
            places=supply.places,
            **{name: ShownAnswer.of(getattr(seen, name)) for name in NUMBERS},
        )


class TotalAnswer(KindAnswer):
    """One kind of support over all municipalities of the choice."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    **_KIND,
                    "covered": 3,
                    "thin": 2,
                    "missing": 1,
                    "unused": 0,
                    "too_few": 0,
                    "open_needs": {"count": None, "at_least": 12, "below": None},
                    "waiting": _NONE,
                    "unmet": _NONE,
                    "wanting": {"count": None, "at_least": 12, "below": None},
                    "turned_away": _NONE,
                }
            ]
        }
    )

    covered: int = Field(description="So many municipalities.")
    thin: int
    missing: int
    unused: int
    too_few: int = Field(description="Covered or thin: that depends on counts that are hidden from the caller.")
    open_needs: ShownAnswer = Field(description="Sums are exact only where each of their parts is shown.")
    waiting: ShownAnswer
    unmet: ShownAnswer
    wanting: ShownAnswer
    turned_away: ShownAnswer

    @classmethod
    def of(cls, row: Row) -> "TotalAnswer":
        """As a reader sees it."""
        values: dict[str, Any] = {
            "function": row.kind.function,
            "stage": row.kind.stage,
            "strand": row.kind.strand,
            **{state.value: row.states.get(state, 0) for state in Coverage},
            **{name: ShownAnswer.of(shown) for name, shown in row.sums.items()},
        }
        return cls(**values)


Number = Literal[
    "programmes",
    "with_room",
    "stale",
    "room_unknown",
    "places",
    "open_needs",
    "waiting",
    "unmet",
    "wanting",
    "turned_away",
]


class RecordAnswer(BaseModel):
    """A record that a number counts."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"what": "case", "id": "01920000-0000-7000-8000-0000000000c1"}]}
    )

    what: RecordKind = Field(description="Behind numbers of supply stand programmes and course runs.")
    id: UUID

    @classmethod
    def of(cls, record: Record) -> "RecordAnswer":
        """As it is named to a reader."""
        return cls(what=record.what, id=record.id)


class SnapshotAnswer(BaseModel):
    """A month of which the map is kept."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "month": "2026-11-01",
                    "drawn_at": "2026-10-31T15:20:00Z",
                    "thresholds": {"stale_days": 180, "turned_away": 3},
                }
            ]
        }
    )

    month: date
    drawn_at: datetime
    thresholds: dict[str, int] = Field(description="The numbers of the rules by which it was drawn.")


class ChangeAnswer(KindAnswer):
    """A field of the map that differs between two months, as the caller sees it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {**_KIND, "municipality": "462187", "municipality_name": "霧島市", "before": None, "after": _CELL}
            ]
        }
    )

    municipality: str
    municipality_name: str
    before: CellAnswer | None = Field(description="Null: there was neither supply nor demand.")
    after: CellAnswer | None

    @classmethod
    def of(cls, change: Change) -> "ChangeAnswer":
        """As a reader sees it."""
        return cls(
            function=change.kind.function,
            stage=change.kind.stage,
            strand=change.kind.strand,
            municipality=change.municipality,
            municipality_name=place_name(change.municipality),
            before=None if change.before is None else CellAnswer.of(change.before),
            after=None if change.after is None else CellAnswer.of(change.after),
        )
