"""The port: two verbs that every transport keeps, and the words they are said in.

A transport promises, and the contract suite (tests/contract/) holds both to it:

* `publish` returns when the batch is durable; if it raises, nothing may be assumed. Order per key is kept.
* `consume` gives the handler records of **one** partition at a time, in order. Returning means "taken": the position
  is committed. Raising means "again": the same records come back, from the first of the batch.
* At least once, ordered per key inside a topic, groups independent, a new group starts at the earliest record.

Everything clever (once in effect, retry, parking, decoding) lives above the port, once.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

PARTITIONS = 6
"""Partitions of every topic, for ever: adding some would move keys to other partitions and break their order."""
AT_ONCE = 500
"""Records that a transport hands over at once, at the most, and that a projection takes in one transaction."""


@dataclass(frozen=True, slots=True)
class Message:
    """What is handed to the transport: `value` is one CloudEvent as JSON, `key` decides the partition."""

    topic: str
    key: str
    value: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Record:
    """A message as it comes back, with its place in the log."""

    topic: str
    partition: int
    offset: int
    key: str
    value: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


Handler = Callable[[Sequence[Record]], Awaitable[None]]
"""Handles records of one partition, in order. Return = commit, raise = deliver again."""


class Transport(Protocol):
    """How news travels. Two exist: `bus.kafka` and `bus.postgres`."""

    async def start(self) -> None:
        """Prepare; must not fail or hang because the broker is away."""

    async def stop(self) -> None:
        """Release everything within a few seconds, broker or no broker."""

    async def ensure_topics(self, topics: Sequence[str]) -> None:
        """Create missing topics with `PARTITIONS` partitions; safe to repeat and to race."""

    async def publish(self, batch: Sequence[Message]) -> None:
        """Make the batch durable, or raise."""

    async def consume(self, group: str, topics: Sequence[str], handler: Handler) -> None:
        """Feed the handler until cancelled; survive broker outages by itself."""

    async def lag(self, group: str, topics: Sequence[str]) -> Mapping[str, int]:
        """Records not yet taken, by topic."""
