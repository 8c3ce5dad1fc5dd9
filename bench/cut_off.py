"""A prefecture's cut-off: five hundred pools give back what nobody holds, while others ask for seats all the time."""

import asyncio
import random
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from uuid import UUID

import asyncpg
import httpx2
from rich.progress import Progress

from bench import stage
from bench.imports import COURSES, Record, courses
from bench.report import Report, at_most, holds, only_told, percentile
from bench.wire import Wire
from demo.decide import allotment, decide
from shared.auth import Role
from shared.bus.envelope import new_id

POOLS = 500
"""One in each course run: of its four seats two are held; two more are for all, and held too, and two people wait."""
DELEGATE, OTHER, THIRD = "462012", "462187", "462250"
CLIENTS = 4
BEFORE = 5.0
"""Seconds in which the same is asked for before it."""
LONGEST = 120.0
WITHIN, BLOCKED = 10.0, 200.0
_WRONG = """
SELECT c.course_number, p.kind, p.granted, p.held, p.kept,
    (SELECT count(*) FROM seat_request r WHERE r.course_run_id = c.id AND r.state = 'waiting') AS waiting
FROM pool p JOIN course_run c ON c.id = p.course_run_id
WHERE p.granted <> p.held OR p.kind = 'delegated' AND (p.kept, p.granted) IS DISTINCT FROM (0, 2)
    OR p.kind = 'general' AND p.granted <> 4
"""


@dataclass(slots=True)
class Rush:
    """Those who ask for seats all the time: when each began, and how long it took."""

    port: int
    token: str
    runs: list[str]
    cases: Iterator[UUID]
    over: bool = False
    waits: list[tuple[float, float]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    async def ask(self, wire: Wire, run: str, case_id: UUID) -> None:
        """For one seat."""
        began = time.perf_counter()
        answer = await wire.ask("POST", f"/v1/course-runs/{run}/seat-requests", {"case_id": str(case_id)})
        self.waits.append((began, answer.seconds))
        if answer.status != 201:
            self.wrong.append(f"{answer.status} {answer.body[:200]!r}")

    async def client(self, dice: random.Random) -> None:
        """One after the other, of any course run."""
        wire = await Wire.to(self.port, self.token)
        while not self.over:
            await self.ask(wire, dice.choice(self.runs), next(self.cases))
        wire.close()

    async def fill(self, runs: list[str], cases: Iterator[UUID]) -> None:
        """So many of each course run, in their order."""
        wire = await Wire.to(self.port, self.token)
        for run in runs:
            for _ in range(6):
                await self.ask(wire, run, next(cases))
        wire.close()


async def measure(progress: Progress) -> Report:
    """The same requests before it and while it lasts."""
    task = progress.add_task("枠の戻る日 / cut-off", total=4)
    async with AsyncExitStack() as stack:
        within = stack.enter_context(stage.folder())
        server = stack.enter_context(stage.postgres(within))
        await stage.make_database(server, "bench", ["training"])
        roles = (Role.PLANNER, Role.COUNSELLOR)
        service = stage.served("training", *roles, server=server, database="bench", within=within)
        served = await stack.enter_async_context(service)
        await _offer(served)
        connection = await stage.admin(server, "bench")
        await connection.execute("SET search_path = training")
        runs = [str(row["id"]) for row in await connection.fetch("SELECT id FROM course_run ORDER BY course_number")]
        rush = Rush(served.port, served.token, runs, iter(()))
        progress.advance(task)
        of_each = [DELEGATE] * 2 + [OTHER] * 4
        each = [_case(0, place) for place in range(6 * POOLS)]
        await _know(connection, {case: of_each[place % 6] for place, case in enumerate(each)})
        await asyncio.gather(
            *(rush.fill(runs[first::8], iter(_share(each, first))) for first in range(8))  # eight at a time
        )
        later = [_case(1, place) for place in range(200_000)]
        await _know(connection, dict.fromkeys(later, THIRD))
        await connection.execute("VACUUM ANALYZE")
        progress.advance(task)
        rush.cases, rush.waits = iter(later), []
        asking = [asyncio.create_task(rush.client(random.Random(number))) for number in range(CLIENTS)]
        await asyncio.sleep(BEFORE)
        progress.advance(task)
        began, ended = await _cut_off(connection)
        rush.over = True
        await asyncio.gather(*asking)
        wrong = [str(dict(row)) for row in await connection.fetch(_WRONG)]
        await connection.close()
        progress.advance(task)
    before = [took for at, took in rush.waits if at + took < began]
    meanwhile = [took for at, took in rush.waits if began <= at + took and at <= ended]
    slow = [f"{percentile(found, 0.95) * 1000:.0f} ms" for found in (meanwhile, before)]
    figures = [
        at_most(f"{POOLS} pools cut off", ended - began, WITHIN, unit=" s"),
        at_most(
            "the longest request meanwhile", max(meanwhile) * 1000, BLOCKED, unit=" ms",
            beside=f"before it {max(before) * 1000:.0f} ms, n = {len(meanwhile):,} : {len(before):,}",
        ),
        only_told("p95 meanwhile, and before it", " : ".join(slow)),
        holds("every request", rush.wrong, beside=f"{len(rush.waits):,} answered"),
        holds("every pool", wrong, beside="two seats kept their holders, two went to who waited, none idle"),
    ]  # fmt: skip
    raw = {"seconds": ended - began, "meanwhile_ms": [round(each * 1000, 1) for each in meanwhile]}
    notes = (f"{CLIENTS} clients ask for seats of any of the course runs; the sweep looks once a second",)
    return Report("枠の戻る日 / a prefecture's cut-off", figures, raw, notes)


async def _offer(served: stage.Served) -> None:
    """Decided, and taken from a file."""
    async with httpx2.AsyncClient(
        base_url=f"http://127.0.0.1:{served.port}",
        headers={"Authorization": f"Bearer {served.token}"},
        timeout=300,
        trust_env=False,
    ) as client:
        await decide(Record(client), [allotment(DELEGATE, 4 * POOLS, fiscal_year=2098)], title="(架空)委ねる枠")
        key = {"Idempotency-Key": str(new_id())}
        content = courses(POOLS, capacity=6, delegated=f"{DELEGATE}:4")
        checked = (await client.post(COURSES[0], content=content, headers=key)).raise_for_status().json()
        key = {"Idempotency-Key": str(new_id())}
        done = await client.post(f"{COURSES[0]}/{checked['import_id']}/commit", json={}, headers=key)
        if done.raise_for_status().json()["created"] != POOLS:
            raise RuntimeError(f"not taken in: {done.text[:500]}")


async def _cut_off(connection: asyncpg.Connection) -> tuple[float, float]:
    """Its moment comes: when it came, and when the last pool was done."""
    # The pools' last moment is the decision's to say; here it is now.
    await connection.execute("SET session_replication_role = replica")
    await connection.execute("UPDATE pool SET cut_off_at = clock_timestamp() WHERE kind = 'delegated'")
    began = time.perf_counter()
    while await connection.fetchval("SELECT count(*) FROM pool WHERE kind = 'delegated' AND kept IS NULL"):
        if time.perf_counter() - began > LONGEST:
            raise RuntimeError(f"not done after {LONGEST:.0f} s")
        await asyncio.sleep(0.05)
    return began, time.perf_counter()


def _case(kind: int, place: int) -> UUID:
    return UUID(int=(kind << 64) + place)


def _share(cases: list[UUID], first: int) -> Iterator[UUID]:
    """Of every eighth course run, six each."""
    for run in range(first, POOLS, 8):
        yield from cases[6 * run : 6 * run + 6]


async def _know(connection: asyncpg.Connection, whose: dict[UUID, str]) -> None:
    columns = ("case_id", "municipality", "consent_state", "consent_version", "consent_purposes")
    rows = [(case, town, "given", 1, ["referral"]) for case, town in whose.items()]
    await connection.copy_records_to_table("case_fact", records=rows, columns=columns, schema_name="training")
