"""The inbox: what arrives at least once takes effect once, in order per key, and poison never stops the others.

The row in `inbox` is the first statement of the effect's transaction. What can't be read, or fails eight times, is
*parked* with its reason; later events of the same key wait behind it, every other key flows. Operators list, show,
retry and drop (`parked_events`, `retry_parked`, `drop_parked`).
"""

import asyncio
from collections import Counter as Counts
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import structlog
from prometheus_client import Counter
from sqlalchemy import Row, bindparam, delete, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import Uuid

from shared.bus.envelope import Envelope, Unreadable, heard_on
from shared.bus.mailbox import Origin, parked
from shared.bus.port import AT_ONCE, Record
from shared.database import BY_EVENT, Database, Hot, is_outage
from shared.events import EVENTS, Event

_log = structlog.get_logger()
_TAKEN = Counter("tsunagu_events_taken", "Events by what became of them", ["service", "outcome"])

ATTEMPTS = 8
_KEY_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 7470004))")
_WAITING = select(parked.c.id).where(parked.c.key == bindparam("key"), parked.c.dropped_at.is_(None)).limit(1)
_TAKE_ID = text("INSERT INTO inbox (event_id) VALUES (:id) ON CONFLICT DO NOTHING RETURNING event_id").bindparams(
    bindparam("id", type_=Uuid)
)
# It answers with what needs a second look, which is hardly ever anything, and not with what doesn't.
_FIRST = Hot(
    "WITH given AS (SELECT DISTINCT unnest(CAST(:ids AS uuid[])) AS id),"
    " fresh AS (INSERT INTO inbox (event_id) SELECT id FROM given ORDER BY id ON CONFLICT DO NOTHING"
    " RETURNING event_id)"
    " SELECT clock_timestamp() AS now, array(SELECT id FROM given EXCEPT SELECT event_id FROM fresh) AS repeated,"
    " array(SELECT DISTINCT key FROM parked WHERE dropped_at IS NULL AND key = ANY(CAST(:keys AS text[])))"
    " AS quarantined"
)

_KNOWN = Hot("SELECT event_id FROM inbox WHERE event_id = ANY(CAST(:ids AS uuid[]))")


class News(NamedTuple):
    """An event as a reaction hears it: the fact, and when and why it was told."""

    event: Event
    event_id: UUID
    now: datetime
    sequence: int
    by: str | None
    cause: str | None
    published_at: datetime
    record: Record


Reaction = Callable[[AsyncSession, Any, News], Awaitable[None]]
"""What an event means here: `async def seat_for_referral(session, event, news)`. May run twice, takes effect once."""
Projection = Callable[[AsyncSession, Sequence[News]], Awaitable[None]]
"""For read models: many events in one transaction."""


def every_event(_: Event) -> bool:
    """The usual: what has a reaction means something."""
    return True


@dataclass(frozen=True, slots=True)
class Ears:
    """What a service listens to: reactions by event class, one transaction each, or one projection for batches."""

    reactions: Mapping[type[Event], Reaction]
    projection: Projection | None = None
    concerns: Callable[[Event], bool] = every_event
    """Of events that have a reaction: whether this one means anything here. It costs no transaction if not."""

    def hears(self, envelope: Envelope) -> bool:
        """Whether the event means anything here; a projection hears all. Raises `Unreadable`."""
        if envelope.type not in EVENTS:
            return False
        return self.projection is not None or (
            EVENTS[envelope.type] in self.reactions and self.concerns(envelope.read())
        )

    @property
    def types(self) -> list[str]:
        """The event types that mean anything here; `*` for all."""
        return ["*"] if self.projection is not None else sorted(event.type for event in self.reactions)

    @property
    def publishers(self) -> list[str]:
        """Whose topics to read."""
        events = EVENTS.values() if self.projection is not None else self.reactions
        return sorted({event.publisher for event in events})

    async def react(self, session: AsyncSession, news: Sequence[News]) -> None:
        """Let the news take effect in this transaction."""
        if self.projection is not None:
            await self.projection(session, news)
            return
        for item in news:
            await self.reactions[type(item.event)](session, item.event, item)


class Inbox:
    """Delivers the records of a partition, in order, into one service."""

    def __init__(
        self,
        service: str,
        database: Database,
        ears: Ears,
        *,
        offset: Callable[[], timedelta] = timedelta,
        pauses: Sequence[float] = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0),
    ) -> None:
        self._service = service
        self._database = database
        self._ears = ears
        self._offset = offset
        self._pauses = pauses
        self._batch = AT_ONCE if ears.projection is not None else 1
        # Kept here, for a transport that loses patience delivers anew, and a slow poison would begin at one for ever.
        self._attempts: dict[UUID, int] = {}

    async def deliver(self, records: Sequence[Record]) -> None:
        """Handle records of one partition. Returning means that all of them took effect, or were parked."""
        if self._batch == 1 and len(records) > 1:
            records = await self._worth_a_transaction(records)
        for start in range(0, len(records), self._batch):
            await self._chunk(records[start : start + self._batch])

    async def _worth_a_transaction(self, records: Sequence[Record]) -> Sequence[Record]:
        """Without what has been in effect, means nothing here, or is said anew further on: one look for all of them.

        A transport that loses patience with a slow batch brings all of it again. If what took effect of it cost as much
        as what did not, a service under load would never come past the first records.
        """
        opened = [(record, self._heard(record)) for record in records]
        last = {
            _subject(envelope): place for place, (_, envelope) in enumerate(opened) if isinstance(envelope, Envelope)
        }
        async with self._database.transaction(BY_EVENT) as session:
            ids = [envelope.id for _, envelope in opened if isinstance(envelope, Envelope)]
            known = {row["event_id"] for row in await _KNOWN.rows(session, {"ids": ids})}
        left, outcomes = [], Counts[str]()
        for place, (record, envelope) in enumerate(opened):
            if envelope is None:
                outcomes["ignored"] += 1
            elif isinstance(envelope, Envelope) and envelope.id in known:
                outcomes["repeated"] += 1
            elif isinstance(envelope, Envelope) and EVENTS[envelope.type].says_all and last[_subject(envelope)] > place:
                outcomes["outdated"] += 1
            else:
                left.append(record)
        for outcome, count in outcomes.items():
            _TAKEN.labels(self._service, outcome).inc(count)
        return left

    def _heard(self, record: Record) -> Envelope | Unreadable | None:
        """What is in it; None if that means nothing here."""
        try:
            envelope = _opened(record)
            return envelope if self._ears.hears(envelope) else None
        except Unreadable as error:
            return error

    async def _chunk(self, records: Sequence[Record]) -> None:
        """Together; whatever goes wrong, in halves, in order, down to the one that is to blame."""
        if len(records) == 1:
            await self._one(records[0])
            return
        try:
            await self._together(records)
            return
        except Exception as error:  # noqa: BLE001 - a reaction may raise anything; it is counted, parked or told to the operator
            _log.warning("inbox_in_halves", service=self._service, records=len(records), error=type(error).__name__)
        middle = len(records) // 2
        await self._chunk(records[:middle])
        await self._chunk(records[middle:])

    async def _together(self, records: Sequence[Record]) -> None:
        """Several in one transaction: all of them, or none."""
        opened = [(record, _opened(record)) for record in records]
        heard = [(record, envelope) for record, envelope in opened if self._ears.hears(envelope)]
        if heard:
            async with self._database.transaction(BY_EVENT) as session:
                await self._effect(session, heard)
        _TAKEN.labels(self._service, "ignored").inc(len(opened) - len(heard))

    async def _one(self, record: Record) -> None:
        envelope = None
        try:
            envelope = _opened(record)
            heard = self._ears.hears(envelope)
        except Unreadable as error:
            await self._park(record, envelope, reason=error.reason, error=None, attempts=0)
            return
        if not heard:
            _TAKEN.labels(self._service, "ignored").inc()
            return
        await self._patiently(record, envelope)
        self._attempts.pop(envelope.id, None)

    async def _patiently(self, record: Record, envelope: Envelope) -> None:
        attempts = self._attempts.get(envelope.id, 0)
        while True:
            try:
                async with self._database.transaction(BY_EVENT) as session:
                    await self._effect(session, [(record, envelope)])
                return
            except Unreadable as error:
                await self._park(record, envelope, reason=error.reason, error=None, attempts=attempts)
                return
            except Exception as error:  # noqa: BLE001 - a reaction may raise anything; it is counted, parked or told to the operator
                if not is_outage(error):
                    attempts += 1
                    self._attempts[envelope.id] = attempts
                    _log.warning(
                        "reaction_failed",
                        service=self._service,
                        event_id=str(envelope.id),
                        type=envelope.type,
                        attempts=attempts,
                        error=type(error).__name__,
                    )
                if attempts >= ATTEMPTS:
                    await self._park(record, envelope, reason="failed", error=type(error).__name__, attempts=attempts)
                    return
                await asyncio.sleep(self._pauses[min(max(attempts - 1, 0), len(self._pauses) - 1)])

    async def _effect(self, session: AsyncSession, opened: Sequence[tuple[Record, Envelope]]) -> None:
        ids = [envelope.id for _, envelope in opened]
        keys = [_storable(key) for key in {record.key for record, _ in opened}]
        (first,) = await _FIRST.rows(session, {"ids": ids, "keys": keys})
        seen, quarantined = set(first["repeated"]), set(first["quarantined"])
        now = first["now"].astimezone(UTC) + self._offset()
        news = []
        for record, envelope in opened:
            if envelope.id in seen:  # before, or earlier in this batch
                _TAKEN.labels(self._service, "repeated").inc()
                continue
            seen.add(envelope.id)
            if quarantined and await _is_quarantined(session, _storable(record.key), quarantined):
                await session.execute(_parking(record, envelope, reason="behind_parked", error=None, attempts=0))
                _TAKEN.labels(self._service, "behind_parked").inc()
                continue
            news.append(_news(record, envelope, now))
        if not news:
            return
        if len(news) == 1:
            session.info["origin"] = Origin(by=news[0].by, cause=str(news[0].event_id))
        await self._ears.react(session, news)
        _TAKEN.labels(self._service, "effective").inc(len(news))

    async def _park(
        self, record: Record, envelope: Envelope | None, *, reason: str, error: str | None, attempts: int
    ) -> None:
        """Set the record aside, together with its inbox row, so that a redelivery doesn't set it aside twice."""
        while True:
            try:
                async with self._database.transaction(BY_EVENT) as session:
                    await session.execute(_KEY_LOCK, {"key": _storable(record.key)})
                    if envelope is not None:
                        await session.execute(_TAKE_ID, {"id": envelope.id})
                    await session.execute(_parking(record, envelope, reason=reason, error=error, attempts=attempts))
                break
            except Exception as failure:
                if not is_outage(failure):
                    raise
                await asyncio.sleep(self._pauses[-1])
        _TAKEN.labels(self._service, "parked").inc()
        _log.error(
            "event_parked",
            service=self._service,
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            reason=reason,
            error=error,
        )


@dataclass(frozen=True, slots=True)
class Retried:
    """What a retry came to: how many took effect, and what stopped it, if anything."""

    done: int
    stopped_at: int | None = None
    error: str | None = None


async def parked_events(session: AsyncSession, *, include_dropped: bool = False) -> Sequence[Row[Any]]:
    """Everything set aside, oldest first within each key."""
    query = select(parked).order_by(parked.c.key, parked.c.id)
    if not include_dropped:
        query = query.where(parked.c.dropped_at.is_(None))
    return (await session.execute(query)).all()


async def retry_parked(database: Database, ears: Ears, key: str) -> Retried:
    """Let everything parked under a key take effect, in order, one transaction each; stop at the first that fails."""
    done = 0
    while True:
        row: Row[Any] | None = None
        try:
            async with database.transaction(BY_EVENT) as session:
                await session.execute(_KEY_LOCK, {"key": key})
                row = (
                    await session.execute(
                        select(parked)
                        .where(parked.c.key == key, parked.c.dropped_at.is_(None))
                        .order_by(parked.c.id)
                        .limit(1)
                    )
                ).one_or_none()
                if row is None:
                    return Retried(done)
                await _let_take_effect(session, ears, row)
                await session.execute(delete(parked).where(parked.c.id == row.id))
        except Exception as error:  # noqa: BLE001 - a reaction may raise anything; it is counted, parked or told to the operator
            reason = error.reason if isinstance(error, Unreadable) else type(error).__name__
            return Retried(done, stopped_at=row.id if row is not None else None, error=reason)
        done += 1


async def drop_parked(session: AsyncSession, parked_id: int, *, by: str, reason: str) -> bool:
    """Give one up for good; the row stays as evidence, with who and why. False if there is none waiting."""
    # A retry of the same key may be letting it take effect at this moment: either it, or we.
    await session.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended(key, 7470004)) FROM parked WHERE id = :id"),
        {"id": parked_id},
    )
    found = await session.execute(
        update(parked)
        .where(parked.c.id == parked_id, parked.c.dropped_at.is_(None))
        .values(dropped_at=text("clock_timestamp()"), dropped_by=by, dropped_reason=reason)
        .returning(parked.c.id)
    )
    return found.scalar_one_or_none() is not None


async def _let_take_effect(session: AsyncSession, ears: Ears, row: Row[Any]) -> None:
    record = Record(row.topic, row.partition, row.log_offset, row.key, row.value, row.headers)
    envelope = heard_on(record.topic, record.value, record.headers)
    if not ears.hears(envelope):
        return
    if row.event_id is None:
        # It couldn't be read when it was set aside, so its id is not in the inbox yet.
        fresh = await session.execute(_TAKE_ID, {"id": envelope.id})
        if fresh.scalar_one_or_none() is None:
            return
    now = (await session.execute(text("SELECT clock_timestamp()"))).scalar_one().astimezone(UTC)
    news = _news(record, envelope, now)
    session.info["origin"] = Origin(by=news.by, cause=str(news.event_id))
    await ears.react(session, [news])


async def _is_quarantined(session: AsyncSession, key: str, quarantined: set[str]) -> bool:
    """Look again with the key's lock held: a retry may have emptied the quarantine in the meantime."""
    if key not in quarantined:
        return False
    await session.execute(_KEY_LOCK, {"key": key})
    return (await session.execute(_WAITING, {"key": key})).one_or_none() is not None


def _parking(record: Record, envelope: Envelope | None, *, reason: str, error: str | None, attempts: int) -> Any:
    row = {
        "event_id": envelope.id if envelope else None,
        "topic": record.topic,
        "partition": record.partition,
        "log_offset": record.offset,
        "key": _storable(record.key),
        "type": envelope.type if envelope else None,
        "value": record.value,
        "headers": {_storable(name): _storable(text) for name, text in record.headers.items()},
        "reason": reason,
        "error": error,
        "attempts": attempts,
    }
    return upsert(parked).values(row).on_conflict_do_nothing()


def _storable(text: str) -> str:
    """Anybody may write to a topic: NUL and half characters, which a text column refuses, must not stop the parking."""
    return text.encode("utf-8", "replace").decode().replace("\x00", "\ufffd")


def _subject(envelope: Envelope) -> tuple[str, str]:
    return envelope.type, envelope.subject


def _opened(record: Record) -> Envelope:
    if "\x00" in record.key:
        raise Unreadable("holds_nul")
    return heard_on(record.topic, record.value, record.headers)


def _news(record: Record, envelope: Envelope, now: datetime) -> News:
    return News(
        event=envelope.read(),
        event_id=envelope.id,
        now=now,
        sequence=envelope.sequence,
        by=envelope.by,
        cause=envelope.cause,
        published_at=envelope.time,
        record=record,
    )
