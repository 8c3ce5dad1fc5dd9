"""What every event is, and the classes of field that an event may have."""

import re
from datetime import date, datetime
from typing import Annotated, Any, ClassVar
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from shared.codes import MunicipalityCode, ToldAgencyId, ToldCode

Id = Annotated[UUID, Field(json_schema_extra={"x-class": "id"})]
Agency = Annotated[ToldAgencyId, Field(json_schema_extra={"x-class": "agency"})]
Coded = Annotated[ToldCode, Field(json_schema_extra={"x-class": "code"})]
Municipality = Annotated[MunicipalityCode, Field(json_schema_extra={"x-class": "municipality"})]
Moment = Annotated[AwareDatetime, Field(json_schema_extra={"x-class": "moment"})]
Day = Annotated[date, Field(json_schema_extra={"x-class": "day"})]
Count = Annotated[int, Field(ge=0, le=1_000_000, json_schema_extra={"x-class": "count"})]
Level = Annotated[int, Field(ge=1, le=5, json_schema_extra={"x-class": "level"})]
Flag = Annotated[bool, Field(json_schema_extra={"x-class": "flag"})]

EVENTS: dict[str, type["Event"]] = {}
"""Every event by its CloudEvents `type`, filled as the classes below are read."""


class Event(BaseModel):
    """What every event is: immutable, published by one service, about one subject."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    publisher: ClassVar[str]
    about: ClassVar[str]
    type: ClassVar[str]
    says_all: ClassVar[bool]
    """Whether each says all there is to know of its subject, so that of several at once only the last one counts."""

    def __init_subclass__(
        cls, *, publisher: str, about: str = "case_id", version: int = 1, says_all: bool = False, **kwargs: Any
    ) -> None:
        super().__init_subclass__(**kwargs)
        cls.says_all = says_all
        name = re.sub(r"(?<=[a-z])(?=[A-Z])", "-", cls.__name__).lower()
        cls.publisher, cls.about = publisher, about
        cls.type = f"jp.tsunagu.{publisher}.{name}.v{version}"
        if cls.type in EVENTS:
            raise TypeError(f"two events are called {cls.type}")
        EVENTS[cls.type] = cls

    @property
    def subject(self) -> str:
        """What it is about: the record key, and so the unit of order."""
        return str(getattr(self, self.about))


def topic_of(publisher: str) -> str:
    """One topic per publishing service, so that the events of a case stay in order across types."""
    return f"tsunagu.{publisher}"


def event_time(moment: datetime) -> str:
    """RFC 3339 in UTC with microseconds, as every event writes its moments."""
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
