"""The envelope: CloudEvents 1.0 in structured JSON, the same bytes for Kafka, the PostgreSQL log, the stream and files.

Extension attributes: `sequence` (the aggregate's version, zero-padded so that it compares as text), `partitionkey`,
`by` (the agency that acted) and `cause` (the id of the event or request that led to this one).
"""

import functools
import json
import secrets
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field, ValidationError
from pydantic_core import from_json, to_json

from shared.events import EVENTS, Event, event_time, topic_of

CONTENT_TYPE = "application/cloudevents+json; charset=UTF-8"


class Unreadable(Exception):
    """A record that isn't an event we can read; `reason` is a code for operators."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Envelope(NamedTuple):
    """An event as it travelled; its data are still raw, unless they could be read on the way.

    A tuple, as thousands a second are made: a frozen dataclass costs three times as much.
    """

    id: UUID
    type: str
    source: str
    subject: str
    time: datetime
    sequence: int
    by: str | None
    cause: str | None
    data: Any

    def read(self) -> Event:
        """The event itself. Raises `Unreadable` when its data breaks the contract."""
        if not isinstance(self.data, dict):
            event: Event = self.data
            return event
        try:
            return EVENTS[self.type].model_validate(self.data)
        except ValidationError as error:
            raise Unreadable("invalid_data") from error


def new_id() -> UUID:
    """UUIDv7 (RFC 9562): in the order of time, which keeps the inbox's index small. Python 3.11 has none yet."""
    millis, chance = time.time_ns() // 1_000_000, secrets.randbits(74)
    return UUID(int=millis << 80 | 0x7 << 76 | chance >> 62 << 64 | 0b10 << 62 | chance & (1 << 62) - 1)


def seal(event: Event, *, event_id: UUID, at: datetime, sequence: int, by: str | None, cause: str | None) -> bytes:
    """The event as the bytes that travel."""
    attributes: dict[str, Any] = {
        "specversion": "1.0",
        "id": str(event_id),
        "source": f"/services/{event.publisher}",
        "type": event.type,
        "subject": event.subject,
        "time": event_time(at),
        "datacontenttype": "application/json",
        "dataschema": f"urn:tsunagu:contract:{event.type}",
        "partitionkey": event.subject,
        "sequence": f"{sequence:010d}",
    }
    if by is not None:
        attributes["by"] = by
    if cause is not None:
        attributes["cause"] = cause
    attributes["data"] = event
    return to_json(attributes)


def headers_of(*, event_id: UUID | str, type_: str, subject: str, topic: str) -> dict[str, str]:
    """The attributes repeated as record headers, which the Kafka binding allows in structured mode."""
    return {
        "content-type": CONTENT_TYPE,
        "ce_specversion": "1.0",
        "ce_id": str(event_id),
        "ce_type": type_,
        "ce_source": "/services/" + topic.removeprefix(topic_of("")),
        "ce_subject": subject,
    }


def open_envelope(value: bytes, headers: Mapping[str, str]) -> Envelope:
    """Read structured or binary mode. Raises `Unreadable`; unknown attributes are ignored."""
    try:
        body = from_json(value, allow_inf_nan=False)
    except ValueError as error:
        raise Unreadable("not_json") from error
    if not _is_structured(headers) and "ce_id" in headers:
        body = {name.removeprefix("ce_"): text for name, text in headers.items() if name.startswith("ce_")} | {
            "data": body
        }
    if _holds_nul(body):
        raise Unreadable("holds_nul")
    if not isinstance(body, dict) or body.get("specversion") != "1.0":
        raise Unreadable("not_a_cloudevent")
    try:
        return Envelope(
            id=UUID(str(body["id"])),
            type=str(body["type"]),
            source=str(body["source"]),
            subject=str(body["subject"]),
            time=_as_moment(body["time"]),
            sequence=_as_sequence(body.get("sequence", "0")),
            by=_as_text(body.get("by")),
            cause=_as_text(body.get("cause")),
            data=_as_object(body.get("data")),
        )
    except (KeyError, ValueError, TypeError, OverflowError) as error:
        raise Unreadable("missing_attributes") from error


def heard_on(topic: str, value: bytes, headers: Mapping[str, str]) -> Envelope:
    """The same, and told by its publisher: a known event counts on its own service's topic alone."""
    envelope = _read_at_once(value, headers) or open_envelope(value, headers)
    known = EVENTS.get(envelope.type)
    if known is not None and (topic != topic_of(known.publisher) or envelope.source != f"/services/{known.publisher}"):
        raise Unreadable("not_its_publisher")
    return envelope


def _read_at_once(value: bytes, headers: Mapping[str, str]) -> Envelope | None:
    """Attributes and data in one go, for half the cost: `None` for whatever isn't as we write it ourselves.

    It admits nothing that `open_envelope` and `read` would not; what they say about the rest is for them to say.
    """
    known = EVENTS.get(headers.get("ce_type", ""))
    if known is None or not _is_structured(headers) or b"\\" in value or b"N" in value or b"I" in value:
        return None  # there may be a NUL in a text, or NaN or Infinity in a field that this reader ignores
    try:
        told = _reader(known)(value)
    except ValidationError:
        return None
    if told.type != known.type:
        return None  # headers are only a hint
    return Envelope(
        told.id, told.type, told.source, told.subject, told.time, told.sequence, told.by, told.cause, told.data
    )  # fmt: skip


Data = TypeVar("Data", bound=Event)


class _Told(BaseModel, Generic[Data]):
    """An envelope as `seal` writes it."""

    specversion: Literal["1.0"]
    id: UUID
    type: str
    source: str
    subject: str
    time: Annotated[AwareDatetime, Field(strict=True)]
    sequence: Annotated[int, Field(ge=0, lt=2**63)]
    by: str | None = None
    cause: str | None = None
    data: Data


@functools.cache
def _reader(event: type[Event]) -> Callable[[bytes], _Told[Event]]:
    """For one class of events; kept, since pydantic takes as long to find the model as to read with it."""
    return _Told[event].model_validate_json  # type: ignore[valid-type]


def _is_structured(headers: Mapping[str, str]) -> bool:
    return headers.get("content-type", "").startswith("application/cloudevents")


def _holds_nul(value: Any) -> bool:
    """NUL, which no column of text takes."""
    if isinstance(value, dict):
        return any(_holds_nul(name) or _holds_nul(member) for name, member in value.items())
    if isinstance(value, list):
        return any(map(_holds_nul, value))
    return isinstance(value, str) and "\x00" in value


def _as_moment(value: Any) -> datetime:
    found = datetime.fromisoformat(str(value))
    if found.tzinfo is None:
        raise ValueError("a moment without its offset")
    return found


def _as_sequence(value: Any) -> int:
    """Fits a bigint, as tables that remember the newest one keep it."""
    found = int(value)
    if not 0 <= found < 2**63:
        raise ValueError("out of range")
    return found


def _as_text(value: Any) -> str | None:
    return None if value is None else str(value)


def _as_object(data: Any) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise TypeError("data is not an object")
    return data


def header_text(headers: Mapping[str, str]) -> str:
    """Headers as one line of JSON, for tables."""
    return json.dumps(dict(headers), ensure_ascii=False, separators=(",", ":"))
