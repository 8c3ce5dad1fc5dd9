"""The shapes of the directory's entries on the wire. Each says who confirmed it, when, and what that is worth today."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from services.referral.api.cells import Condition, Desk, OpeningHours, StepPlaces
from services.referral.domain.directory import Channel, Freshness, freshness
from services.referral.domain.firms import WAYS, FirmState, is_due
from services.referral.domain.options import Capacity, Stage, is_news, room_today
from services.referral.tables import directory, listing
from services.referral.tables.vocabulary import vocabulary
from shared.codes import AgencyId
from shared.problems import NOT_FOUND, Problem

ID = "01920000-0000-7000-8000-0000000000a1"
_CONFIRMED = {"confirmed_by": "鹿児島市福祉課", "confirmed_on": "2026-04-01", "freshness": "fresh", "version": 1}

Stale = Annotated[bool | None, Query(description="Only entries that nobody vouches for any more, or only others.")]


def example(**values: Any) -> ConfigDict:
    """The model's configuration, with one realistic example."""
    return ConfigDict(json_schema_extra={"examples": [values]})


class Confirmed(BaseModel):
    """What every entry says of itself."""

    confirmed_by: str | None
    confirmed_on: date
    freshness: Freshness = Field(
        description="`fresh`, `ageing` from 90 days on, `stale` from 180; `unknown`: of no day, or one yet to come."
    )
    version: int


class AgencyAnswer(Confirmed):
    """支援機関."""

    model_config = example(
        agency_id="sakurajima-npo",
        corporate_number="7000012050002",
        name="桜島サポートセンター",
        kana="サクラジマサポートセンター",
        kind="npo",
        municipality="462012",
        municipalities_served=["462012", "462187"],
        phone="099-000-0000",
        desks=[{"name": "相談窓口", "phone": "099-000-0001", "kind": "consultation", "hours": "予約制"}],
        opening_hours=[{"weekday": 0, "opens": "08:30", "closes": "17:15"}],
        closed_weekdays=[5, 6],
        closed_days=["2026-12-29"],
        contact_channel="email",
        contact_email="uketsuke@sakurajima.example",
        **_CONFIRMED,
    )

    agency_id: str
    corporate_number: str | None
    name: str
    kana: str
    kind: str
    municipality: str
    municipalities_served: list[str]
    phone: str | None
    desks: list[Desk]
    opening_hours: list[OpeningHours]
    closed_weekdays: list[int] = Field(description="0 is Monday. On these days no clock of its referrals runs.")
    closed_days: list[date] = Field(description="Its own days off, beside public holidays.")
    contact_channel: Channel | None = Field(description="How it is told of a referral; `account` if nothing is said.")
    contact_email: str | None


class ProgrammeAnswer(Confirmed):
    """事業."""

    model_config = example(
        programme_id=ID,
        agency_id="sakurajima-npo",
        agency_name="桜島サポートセンター",
        programme_code="ibasho-1",
        name="朝の居場所",
        function="drop_in_space",
        strand=4,
        stage="drop_in",
        municipalities=["462012", "462187"],
        needs=["isolation", "people"],
        for_whom=["withdrawal"],
        conditions=[{"code": "resident", "text_ja": "市内にお住まいの方"}],
        legal_basis="self_reliance_act_3",
        starts_on="2026-04-01",
        ends_on=None,
        capacity_state="has_room",
        capacity_said="has_room",
        capacity_total=10,
        capacity_free=3,
        capacity_confirmed_on="2026-04-01",
        capacity_said_by="sakurajima-npo",
        acknowledge_days=None,
        contact_days=None,
        start_days=None,
        **_CONFIRMED,
    )

    programme_id: UUID
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
    for_whom: list[str]
    conditions: list[Condition]
    legal_basis: str | None
    starts_on: date | None
    ends_on: date | None
    capacity_state: Capacity = Field(
        description="As it reads today: a word that is 30 days old is `unknown`, and `unknown` is not `has_room`."
    )
    capacity_said: Capacity = Field(description="The last word, whatever its age.")
    capacity_total: int | None
    capacity_free: int | None
    capacity_confirmed_on: date | None
    capacity_said_by: str | None = Field(
        description="Whose word it is. The agency's own stands against everybody's file for 30 days."
    )
    acknowledge_days: int | None = Field(description="Working days to acknowledge a referral; 2 if nothing is said.")
    contact_days: int | None = Field(description="Working days to the first contact; 5 if nothing is said.")
    start_days: int | None = Field(description="Working days to a start or an outcome; 15 if nothing is said.")


class ProfessionalAnswer(Confirmed):
    """専門職."""

    model_config = example(
        professional_id=ID,
        agency_id="sakurajima-npo",
        agency_name="桜島サポートセンター",
        profession="psychiatric_social_worker",
        count=2,
        municipalities=["462012"],
        **_CONFIRMED,
    )

    professional_id: UUID
    agency_id: str
    agency_name: str
    profession: str
    count: int
    municipalities: list[str] = Field(description="Where they may be called to; empty: their agency's area.")


class WorkplaceAnswer(Confirmed):
    """職親."""

    model_config = example(
        workplace_id=ID,
        agency_id="sakurajima-npo",
        agency_name="桜島サポートセンター",
        workplace_code="koubou",
        corporate_number=None,
        name="(架空)つむぎ工房",
        municipality="462187",
        industry="textile",
        steps=[{"step": "visit", "places": 3, "free": 1}],
        steps_said_on="2026-04-01",
        steps_said_by="sakurajima-npo",
        **_CONFIRMED,
    )

    workplace_id: UUID
    agency_id: str = Field(description="Who keeps the contact; a workplace itself has no account.")
    agency_name: str
    workplace_code: str
    corporate_number: str | None
    name: str
    municipality: str
    industry: str
    steps: list[StepPlaces] = Field(
        description="How many are free is not known any more, and left out, when the word is 30 days old."
    )
    steps_said_on: date | None
    steps_said_by: str | None = Field(description="Whose word they are; the agency's own stands against every file.")


class FirmAnswer(Confirmed):
    """A firm on its way to certified work training (認定就労訓練)."""

    model_config = example(
        firm_id=ID,
        agency_id="sakurajima-npo",
        agency_name="桜島サポートセンター",
        firm_code="nouen",
        corporate_number=None,
        name="(架空)みどり農園",
        municipality="462187",
        industry="agriculture",
        state="interested",
        follow_up_on="2026-05-01",
        is_due=False,
        certified_on=None,
        certified_by=None,
        next_states=["applying", "lapsed"],
        **_CONFIRMED,
    )

    firm_id: UUID
    agency_id: str = Field(description="Who follows it up.")
    agency_name: str
    firm_code: str
    corporate_number: str | None
    name: str
    municipality: str
    industry: str
    state: FirmState
    follow_up_on: date | None
    is_due: bool = Field(description="The day to call it has come.")
    certified_on: date | None
    certified_by: str | None = Field(description="The authority's code: prefecture, designated or core city.")
    next_states: list[FirmState]


class FirmStepAnswer(BaseModel):
    """A step of a firm on its way, or a call after which it stands where it stood."""

    model_config = example(
        version=2,
        was="interested",
        state="applying",
        follow_up_on="2026-05-20",
        by="sakurajima-npo",
        at="2026-05-01T01:00:00Z",
    )

    version: int
    was: FirmState | None = Field(description="Where it stood before; the same as `state`: it was called.")
    state: FirmState
    follow_up_on: date | None = Field(description="When it was to be called next, as was said then.")
    by: str = Field(description="The agency that did it.")
    at: datetime


class VersionAnswer(BaseModel):
    """One version of an entry, as it was kept."""

    model_config = example(
        version=1,
        by="kagoshima-city",
        at="2026-04-01T00:30:00Z",
        entry={"id": ID, "agency_id": "sakurajima-npo", "name": "朝の居場所", "capacity_state": "has_room"},
    )

    version: int
    by: str = Field(description="The agency in whose name it was written; `tsunagu` for what an update brought.")
    at: datetime
    entry: dict[str, Any]


class ToConfirmAnswer(BaseModel):
    """What an agency should confirm."""

    model_config = example(
        kind="programme",
        entry_id=ID,
        what="room",
        name="朝の居場所",
        confirmed_on="2026-02-01",
        freshness="unknown",
    )

    kind: Literal["agency", "programme", "professional", "host_workplace", "training_firm"]
    entry_id: str
    what: Literal["entry", "room"] = Field(
        description="The entry as a whole; or a programme's room, or a workplace's trial places, alone."
    )
    name: str
    confirmed_on: date | None
    freshness: Freshness


class NamedCoordinator(BaseModel):
    """調整役 of a municipality."""

    model_config = example(
        municipality="462012",
        agency_id="kagoshima-desk",
        agency_name="(架空)かごしま暮らし・しごと相談室",
        set_by="kagoshima-city",
        set_at="2026-04-01T00:30:00Z",
        place_days=None,
    )

    municipality: str
    agency_id: str
    agency_name: str
    place_days: int | None = Field(description="Working days it has to find the next place; null: ten.")
    set_by: str
    set_at: datetime


def shown_agency(row: Any, today: date) -> AgencyAnswer:
    """An agency's row, on this day."""
    return AgencyAnswer(**_of(row, AgencyAnswer), freshness=_fresh(row, today))


def shown_programme(row: Any, today: date) -> ProgrammeAnswer:
    """A programme's row, on this day; `area` is where it is really offered."""
    said = Capacity(row.capacity_state)
    values = _of(row, ProgrammeAnswer) | {
        "programme_id": row.id,
        "municipalities": row.area,
        "capacity_said": said,
        "capacity_state": room_today(said, row.capacity_confirmed_on, today),
    }
    return ProgrammeAnswer(**values, freshness=_fresh(row, today))


def shown_professional(row: Any, today: date) -> ProfessionalAnswer:
    """A professional's row, on this day."""
    values = _of(row, ProfessionalAnswer) | {"count": row._asdict()["count"]}
    return ProfessionalAnswer(**values, professional_id=row.id, freshness=_fresh(row, today))


def shown_workplace(row: Any, today: date) -> WorkplaceAnswer:
    """A workplace's row, on this day."""
    values = _of(row, WorkplaceAnswer)
    if not is_news(row.steps_said_on, today):
        values["steps"] = [{**step, "free": None} for step in row.steps]
    return WorkplaceAnswer(**values, workplace_id=row.id, freshness=_fresh(row, today))


def shown_firm(row: Any, today: date) -> FirmAnswer:
    """A firm's row, on this day."""
    return FirmAnswer(
        **_of(row, FirmAnswer),
        firm_id=row.id,
        is_due=is_due(listing.as_firm(row), today),
        next_states=list(WAYS[FirmState(row.state)]),
        freshness=_fresh(row, today),
    )


def shown_step(row: Any) -> FirmStepAnswer:
    """A firm's step, with what its version of that time says."""
    return FirmStepAnswer(**_of(row, FirmStepAnswer), follow_up_on=(row.entry or {}).get("follow_up_on"))


def _of(row: Any, shape: type[BaseModel]) -> dict[str, Any]:
    known: Mapping[str, Any] = row._asdict()
    return {name: known[name] for name in shape.model_fields if name in known}


def _fresh(row: Any, today: date) -> Freshness:
    return freshness(row.confirmed_on, today, vocabulary().days)


# --- the five kinds --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of entry: where it stands, what its id is called and made of, and how it is shown."""

    name: str
    japanese: str
    path: str
    id_name: str
    id_type: Any
    answer: type[Confirmed]
    show: Callable[[Any, date], Confirmed]

    @property
    def called(self) -> str:
        """In English."""
        return self.name.replace("_", " ")


KINDS = (
    Kind("agency", "支援機関", "/v1/agencies", "agency_id", AgencyId, AgencyAnswer, shown_agency),
    Kind("programme", "事業", "/v1/programmes", "programme_id", UUID, ProgrammeAnswer, shown_programme),
    Kind(
        "professional", "専門職", "/v1/professionals", "professional_id", UUID, ProfessionalAnswer, shown_professional
    ),
    Kind("host_workplace", "職親", "/v1/host-workplaces", "workplace_id", UUID, WorkplaceAnswer, shown_workplace),
    Kind("training_firm", "事業者", "/v1/training-firms", "firm_id", UUID, FirmAnswer, shown_firm),
)


async def found(session: AsyncSession, kind: Kind, entry_id: object) -> Row[Any]:
    """The entry as it is shown; 404 where there is none."""
    if kind.name == "programme":
        row = await directory.find_programme_shown(session, entry_id)
    else:
        row = await listing.find_entry(session, kind.name, entry_id)
    if row is None:
        raise Problem(NOT_FOUND)
    return row
