"""Each process's copy of the directory and of the rules, and the one statement that asks whether it is still true.

A copy counts as of a snapshot of the database. Every change of the directory leaves a row with its transaction
(`directory_change`, by triggers, whoever changes it); what that snapshot did not see and this one sees is what has
changed. So an answer rests on everything that was committed before it was asked for, whichever process wrote it.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID
from weakref import WeakKeyDictionary

from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncSession

from services.referral.domain.kept_proposals import digest, option_told, text_of
from services.referral.domain.nearby import Directory
from services.referral.domain.options import Capacity, CourseRun, Option, Pool, Programme, Stage
from services.referral.domain.routing_rules import RuleSet
from services.referral.tables import routing_rules
from services.referral.tables.schema import directory_change
from shared.database import Hot

_TOO_OLD = timedelta(hours=1)
"""A copy that nobody asked for so long is made anew."""
KEPT = timedelta(days=1)
"""So long a change is told: longer than any copy is brought up to date, and than any transaction lasts."""
_AT_ONCE = 2_000
_WITHOUT_PAUSE = 200

SINCE = (
    "SELECT {found} FROM directory_change"
    " WHERE xid >= pg_snapshot_xmin(CAST(CAST(:seen AS text) AS pg_snapshot))"
    # Always true of what is visible; but of a range between two unknowns PostgreSQL expects little, and goes by the
    # index. Of one bound it expects a third, and would read everything that a large file has changed today.
    " AND xid < pg_snapshot_xmax(pg_current_snapshot())"
    " AND NOT pg_visible_in_snapshot(xid, CAST(CAST(:seen AS text) AS pg_snapshot))"
)
"""What was committed since a snapshot: one more reader of it stands in `tables.asked`."""
_NAMED = "DISTINCT kind || ' ' || id"
_CHANGES = Hot(
    f"SELECT CAST(pg_current_snapshot() AS text) AS snapshot, ARRAY({SINCE.format(found=_NAMED)}) AS changed"
)
_PROGRAMMES = (
    "SELECT p.id, p.agency_id, p.name, p.function, p.strand, p.stage, p.needs, p.for_whom, p.legal_basis, p.starts_on,"
    " p.ends_on, p.capacity_state, p.capacity_total, p.capacity_free, p.capacity_confirmed_on, p.confirmed_on,"
    " CASE WHEN cardinality(p.municipalities) = 0 THEN a.municipalities_served ELSE p.municipalities END AS area,"
    " ARRAY(SELECT c ->> 'code' FROM jsonb_array_elements(p.conditions) AS c) AS conditions"
    " FROM programme p JOIN agency a ON a.agency_id = p.agency_id"
)
_COURSES = (
    "SELECT c.course_run_id AS id, c.course_number, c.provider, c.field, c.system, c.site_municipality, c.starts_on,"
    " c.ends_on, c.applications_close_at,"
    " (SELECT coalesce(json_agg(json_build_array(p.municipality, p.granted, p.held, p.filled, p.waiting,"
    " p.municipalities)"
    " ORDER BY p.pool_id), '[]') FROM course_pool p WHERE p.course_run_id = c.course_run_id) AS pools"
    # A trial place at a host workplace is no course: routing to its steps is open (decision 0057).
    " FROM (SELECT * FROM course_option WHERE system <> 'trial') AS c"
)
_PROGRAMME_PAGE = Hot(f"{_PROGRAMMES} WHERE p.id > :after ORDER BY p.id LIMIT {_AT_ONCE}")
_COURSE_PAGE = Hot(
    f"{_COURSES} WHERE c.course_run_id > :after AND c.applications_close_at > :since"
    f" ORDER BY c.course_run_id LIMIT {_AT_ONCE}"
)
_SOME_PROGRAMMES = Hot(f"{_PROGRAMMES} WHERE p.id = ANY(CAST(:ids AS uuid[]))")
_OF_AGENCIES = Hot(f"{_PROGRAMMES} WHERE p.agency_id = ANY(CAST(:ids AS text[]))")
_SOME_COURSES = Hot(f"{_COURSES} WHERE c.course_run_id = ANY(CAST(:ids AS uuid[]))")
_NEIGHBOURS = Hot("SELECT municipality, array_agg(neighbour) AS names FROM neighbour GROUP BY municipality")


@dataclass(slots=True)
class Memory:
    """What this process knows, as of a snapshot."""

    directory: Directory = field(default_factory=Directory)
    rules: Sequence[RuleSet] = ()
    snapshot: str | None = None
    looked_at: datetime | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    sets: dict[tuple[str, ...], frozenset[str]] = field(default_factory=dict)
    digests: dict[int, tuple[Option, bytes]] = field(default_factory=dict)

    def digest_of(self, option: Option) -> bytes:
        """The option's address, reckoned once."""
        known = self.digests.get(option.id.int)
        if known is None or known[0] is not option:
            known = self.digests[option.id.int] = (option, digest(text_of(option_told(option))))
        return known[1]

    def holds(self, seen: str | None, *, changed: bool, snapshot: str, now: datetime) -> bool:
        """Whether the copy of then is still true, after a statement said what has changed since."""
        if seen is None or changed or self.looked_at is None or now - self.looked_at > _TOO_OLD:
            return False
        if self.snapshot == seen:
            self.snapshot, self.looked_at = snapshot, now
        return True


_MEMORIES: WeakKeyDictionary[Any, Memory] = WeakKeyDictionary()
"""By engine: a process may have several databases, as tests do."""


def memory_of(session: AsyncSession) -> Memory:
    """The copy of this session's database; empty at first."""
    return _MEMORIES.setdefault(session.get_bind(), Memory())


async def bring_up_to_date(session: AsyncSession, memory: Memory, *, now: datetime) -> None:
    """Take over what has changed; all, where nothing is known yet. Not in a transaction that changes it itself."""
    async with memory.lock:
        anew = memory.snapshot is None or memory.looked_at is None or now - memory.looked_at > _TOO_OLD
        found = (await _CHANGES.rows(session, {"seen": None if anew else memory.snapshot}))[0]
        if anew:
            memory.directory = await _everything(session, memory, now)
        else:
            await _take_over(session, memory, found["changed"])
        memory.snapshot, memory.looked_at = found["snapshot"], now


async def directory_in_force(session: AsyncSession, *, now: datetime) -> Directory:
    """The whole directory as of now, for a question about all of it."""
    memory = memory_of(session)
    await bring_up_to_date(session, memory, now=now)
    return memory.directory


async def bring_rules_up_to_date(session: AsyncSession, memory: Memory, newest: int) -> None:
    """Versions are only added: the newest says whether all are known."""
    if len(memory.rules) < newest:
        memory.rules = [each.rules for each in await routing_rules.list_rules(session)]


async def drop_old_changes(session: AsyncSession, now: datetime) -> bool:
    """What every copy has long taken over."""
    await session.execute(delete(directory_change).where(directory_change.c.at < now - KEPT))
    return False


async def _everything(session: AsyncSession, memory: Memory, now: datetime) -> Directory:
    memory.digests.clear()
    directory = Directory(neighbours=await _neighbours(session))
    after = UUID(int=0)
    while rows := await _PROGRAMME_PAGE.rows(session, {"after": after}):
        for row in rows:
            directory.put(_programme(row, memory))
        after = rows[-1]["id"]
    after, since = UUID(int=0), now - timedelta(days=30)
    while rows := await _COURSE_PAGE.rows(session, {"after": after, "since": since}):
        for row in rows:
            directory.put(_course(row))
        after = rows[-1]["id"]
    return directory


async def _take_over(session: AsyncSession, memory: Memory, changed: Iterable[str]) -> None:
    told: dict[str, list[str]] = {}
    for each in changed:
        kind, _, name = each.partition(" ")
        told.setdefault(kind, []).append(name)
    entries: list[Option] = []
    programmes, courses = ([UUID(name) for name in told.get(kind, ())] for kind in ("programme", "course"))
    for some in _parts(programmes):
        entries += [_programme(row, memory) for row in await _SOME_PROGRAMMES.rows(session, {"ids": some})]
    for agencies in _parts(told.get("agency", [])):
        entries += [_programme(row, memory) for row in await _OF_AGENCIES.rows(session, {"ids": agencies})]
    for some in _parts(courses):
        entries += [_course(row) for row in await _SOME_COURSES.rows(session, {"ids": some})]
    if "neighbour" in told:
        memory.directory.neighbours = await _neighbours(session)
    for gone in {*programmes, *courses} - {entry.id for entry in entries}:
        memory.directory.drop(gone)
        memory.digests.pop(gone.int, None)
    for number, entry in enumerate(entries, 1):
        memory.directory.put(entry)
        if number % _WITHOUT_PAUSE == 0:
            # A whole file has come in: others are answered meanwhile, as of their own snapshot or later.
            await asyncio.sleep(0)


def _parts(names: list[Any]) -> Iterable[list[Any]]:
    return (names[start : start + _AT_ONCE] for start in range(0, len(names), _AT_ONCE))


async def _neighbours(session: AsyncSession) -> dict[str, frozenset[str]]:
    return {row["municipality"]: frozenset(row["names"]) for row in await _NEIGHBOURS.rows(session, {})}


def _programme(row: Any, memory: Memory) -> Programme:
    def same(values: Iterable[str]) -> frozenset[str]:
        # A hundred thousand programmes have a few hundred different areas and needs between them.
        key = tuple(values)
        return memory.sets.setdefault(key, frozenset(key))

    return Programme(
        id=UUID(int=row["id"].int),
        agency_id=row["agency_id"],
        name=row["name"],
        function=row["function"],
        stage=Stage(row["stage"]),
        municipalities=same(row["area"]),
        needs=same(row["needs"]),
        capacity=Capacity(row["capacity_state"]),
        strand=row["strand"],
        for_whom=same(row["for_whom"]),
        conditions=same(row["conditions"]),
        legal_basis=row["legal_basis"],
        starts_on=row["starts_on"],
        ends_on=row["ends_on"],
        capacity_total=row["capacity_total"],
        capacity_free=row["capacity_free"],
        capacity_confirmed_on=row["capacity_confirmed_on"],
        confirmed_on=row["confirmed_on"],
    )


def _course(row: Any) -> CourseRun:
    return CourseRun(
        id=UUID(int=row["id"].int),
        number=row["course_number"],
        provider=row["provider"],
        field=row["field"],
        system=row["system"],
        municipality=row["site_municipality"],
        starts_on=row["starts_on"],
        ends_on=row["ends_on"],
        applications_close_at=row["applications_close_at"],
        pools=tuple(map(_pool, row["pools"])),
    )


def _pool(told: Sequence[Any]) -> Pool:
    town, granted, held, filled, waiting, together = told
    return Pool(town, granted, held, filled, waiting, tuple(together))
