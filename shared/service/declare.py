"""What a service declares about itself; `create_app` makes it run."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from fastapi import APIRouter, FastAPI
from sqlalchemy.ext.asyncio import AsyncSession

from shared.bus.inbox import Ears, Projection, Reaction, every_event
from shared.events import Event
from shared.settings import Settings
from shared.vault import Forget

Run = Callable[[AsyncSession, datetime], Awaitable[bool]]
Count = Callable[[AsyncSession, datetime], Awaitable[int]]


@dataclass(frozen=True, slots=True)
class Sweep:
    """The clock's door: `run` handles **one** subject in its transaction and says whether there was one."""

    name: str
    every: timedelta
    run: Run
    at_once: int = 1
    """So many subjects at a time, where much comes due at one moment; `run` passes by what another has locked."""
    share: float = 1
    """Of the time, at the most, while there is something to do. What reckons long shall leave it to who waits."""


@dataclass(frozen=True, slots=True)
class Settled:
    """Something was due, and there is nothing to carry."""


@dataclass(frozen=True, slots=True)
class Errand:
    """What goes out of the house, such as mail: taken up in one transaction, carried with none open, noted in another.

    `take` takes up **one** thing: it writes down that it is under way, and when it may be tried again, before anything
    leaves; None: nothing is due. Killed in between, it is carried once more; what it carries must bear that.
    """

    name: str
    every: timedelta
    take: Callable[[AsyncSession, datetime], Awaitable[Any | None]]
    carry: Callable[[Any, Settings], Awaitable[Any]]
    note: Callable[[AsyncSession, Any, Any, datetime], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Service:
    """A service in one view: routers (HTTP), reactions (events), sweeps (the clock), errands (out of the house)."""

    name: str
    title: str
    title_ja: str
    routers: Sequence[APIRouter]
    reactions: Mapping[type[Event], Reaction] = field(default_factory=dict)
    projection: Projection | None = None
    concerns: Callable[[Event], bool] = every_event
    """Of the events that it has reactions for: whether this one means anything here."""
    sweeps: Sequence[Sweep] = ()
    errands: Sequence[Errand] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    keeps_persons: bool = False
    """Whether it keeps data about persons: it then needs the master keys, and its access log is sealed."""
    logs_reads: bool = False
    """Whether it notes who reads codes about persons, though it keeps nothing sealed: its access log is sealed too."""
    unwalled: frozenset[str] = frozenset()
    """Its own tables that hold nothing of a person, such as codes and rules: they need no wall."""
    forgetters: Sequence[Forget] = ()
    """What goes, besides its key, with a subject that is erased; in the same transaction."""
    ends_files: bool = False
    """Whether it ends the files of its imports itself, by periods of its own; else the frame does, after 30 days."""
    verifiers: Mapping[str, Callable[[Sequence[Mapping[str, Any]]], list[str]]] = field(default_factory=dict)
    """Checks of exported proofs by kind, for `verify KIND FILE`: what is wrong with the documents, in words."""
    reindex: Run | None = None
    """Makes one subject's fingerprints by the newest index key, and says whether there was one: for `keys reindex`."""
    overdue: Mapping[str, Count] = field(default_factory=dict)
    """What people should have done by now and have not, by what it is: counted whenever operators read the figures."""
    code_words: Mapping[str, str] = field(default_factory=dict)
    """Japanese for its codes, where a value is none of them and those that there are get listed."""
    prepare: Callable[[FastAPI], Any] | None = None
    """Called once with the finished app, e.g. to mount static files."""

    @property
    def ears(self) -> Ears:
        """What it listens to."""
        return Ears(self.reactions, self.projection, self.concerns)
