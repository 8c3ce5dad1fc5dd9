"""The mailbox in every service's schema: `emit` tells, the outbox holds until the relay has handed it over.

The outbox is a queue, not a log: rows are deleted once published. A reader with a "last seen" position would lose the
rows of transactions that commit out of order (measured: 26 %), see docs/decisions/0003.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Identity,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession

from shared.bus.envelope import new_id, seal
from shared.database import Hot
from shared.events import Event, topic_of

metadata = MetaData()

parked = Table(
    "parked",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("event_id", Uuid),
    Column("topic", Text, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("log_offset", BigInteger, nullable=False),
    Column("key", Text, nullable=False),
    Column("type", Text),
    Column("value", LargeBinary, nullable=False),
    Column("headers", JSONB, nullable=False),
    Column("reason", Text, nullable=False),
    Column("error", Text),
    Column("attempts", Integer, nullable=False),
    Column("parked_at", DateTime(timezone=True), nullable=False),
    Column("dropped_at", DateTime(timezone=True)),
    Column("dropped_by", Text),
    Column("dropped_reason", Text),
)

# One text for any number of rows: an INSERT of several VALUES would be prepared anew for each number.
_TELL = Hot(
    "INSERT INTO outbox (id, topic, key, type, value) SELECT * FROM unnest("
    "CAST(:ids AS uuid[]), CAST(:topics AS text[]), CAST(:keys AS text[]), CAST(:types AS text[]),"
    " CAST(:values AS bytea[]))"
)


@dataclass(frozen=True, slots=True)
class Origin:
    """Who acts and why, kept on the session by the door that opened it, and copied onto every event told."""

    by: str | None = None
    cause: str | None = None


async def emit(
    session: AsyncSession, *events: tuple[Event, int], at: datetime, origins: Sequence[Origin] | None = None
) -> None:
    """Tell facts, each with its aggregate's version, in the transaction that makes them true.

    `origins` says whose doing each is, where one transaction does what several asked for.

    Lock or version the aggregate first and call this last: the sequence number of the row is drawn here, and order per
    key holds only because a second writer of the same aggregate is still waiting for the lock. The flush comes first
    since SQLAlchemy would write unrelated rows in the order of their class names.
    """
    if not events:
        return
    await session.flush()
    if origins is None:
        origins = [session.info.get("origin", Origin())] * len(events)
    rows = [_row(event, sequence, at, origin) for (event, sequence), origin in zip(events, origins, strict=True)]
    ids, topics, keys, types, values = map(list, zip(*rows, strict=True))
    await _TELL.rows(session, {"ids": ids, "topics": topics, "keys": keys, "types": types, "values": values})
    session.info["emitted"] = True


def _row(event: Event, sequence: int, at: datetime, origin: Origin) -> tuple[UUID, str, str, str, bytes]:
    event_id: UUID = new_id()
    value = seal(event, event_id=event_id, at=at, sequence=sequence, by=origin.by, cause=origin.cause)
    return event_id, topic_of(event.publisher), event.subject, event.type, value
