"""Candidates for a case: inside the service, from a directory in memory, over a growing directory and growing matches.

In this process and without HTTP, since the promise is about what the service itself does: its statements, the ranking
and the commit are in every figure. Beside it stands the same by SQL over arrays with GIN indexes, reading and ranking
alone. A change of the directory by somebody else, and the answer after it, are measured too.
"""

import gc
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from datetime import date
from typing import Any
from uuid import UUID, uuid4

import asyncpg
from rich.progress import Progress

from bench import stage
from bench.report import Figure, Report, at_most, holds, only_told, percentile
from embedded.postgres import EmbeddedPostgres
from services.referral.domain.options import Capacity, Programme, Stage
from services.referral.domain.routing import Case, route
from services.referral.handlers.routing import Proposal, find_candidates
from services.referral.tables.nearby import memory_of
from shared.auth import Actor
from shared.database import BY_COMMAND, Database, connect
from shared.service.clock import day_in_japan, wall_time

SIZES = (1_000, 10_000, 100_000)
MATCHES = 30
GROWING = (30, 300, 3_000)
ASKED = 300
_ASKED_WHOLE = 9_000
"""Candidates that a round asks for at the most: with thousands of matches it asks less often."""
TOWN = stage.MUNICIPALITY
NEEDS = ("health", "isolation", "housing", "income", "people", "tasks")
_DESK = Actor("bench", "kagoshima-desk", "self_reliance_desk", frozenset({TOWN}), frozenset({"counsellor"}), ())


async def measure(progress: Progress, *, rounds: int) -> Report:
    """Every size with as many matches, then the largest with more of them."""
    task = progress.add_task("つなぎ先の候補 / candidates", total=len(SIZES) + len(GROWING) - 1)
    waits: dict[str, list[float]] = {}
    wrong: list[str] = []
    async with AsyncExitStack() as stack:
        within = stack.enter_context(stage.folder())
        server = stack.enter_context(stage.postgres(within))
        for size, matches in [*((size, MATCHES) for size in SIZES), *((SIZES[-1], many) for many in GROWING[1:])]:
            found, strays = await _measured(server, size, matches, rounds)
            waits |= {f"{kind} {size} {matches}": times for kind, times in found.items()}
            wrong += strays
            progress.advance(task)
    return _report(waits, wrong, rounds)


async def _measured(
    server: EmbeddedPostgres, size: int, matches: int, rounds: int
) -> tuple[dict[str, list[float]], list[str]]:
    name = f"c{size}m{matches}"
    await stage.make_database(server, name, ["referral"])
    admin = await stage.admin(server, name)
    cases = await _fill(admin, size, matches)
    database = connect(server.url(user="tsunagu_referral", database=name), schema="referral")
    wrong: list[str] = []

    async def ask(case_id: UUID) -> None:
        found = await _ask(database, case_id)
        if found != matches:
            wrong.append(f"{size}: {found} candidates, not {matches}")

    many = min(ASKED, _ASKED_WHOLE // matches)
    waits: dict[str, list[float]] = {"load": [await _timed(ask, cases[-1])]}
    gc.collect()
    for _ in range(rounds):
        waits.setdefault("first", []).extend([await _timed(ask, each) for each in cases[:many]])
        own = time.process_time()
        waits.setdefault("again", []).extend([await _timed(ask, each) for each in cases[:many]])
        waits.setdefault("own", []).append((time.process_time() - own) / many)
        cases = cases[many:]
    for number in range(many // 4 or 1):
        await admin.execute(
            "UPDATE referral.programme SET capacity_free = $1 WHERE id = $2", number, UUID(int=1 + number % matches)
        )
        waits.setdefault("changed", []).append(await _timed(ask, cases[-1]))
    waits["alone"] = await _alone(database, cases[-1], many)
    waits["sql"] = [await _timed(lambda _: _by_sql(admin, matches, wrong), cases[-1]) for _ in range(many // 4 or 1)]
    await admin.close()
    await database.dispose()
    return waits, wrong


async def _timed(work: Callable[[UUID], Awaitable[None]], case_id: UUID) -> float:
    began = time.perf_counter()
    await work(case_id)
    return time.perf_counter() - began


async def _ask(database: Database, case_id: UUID) -> int:
    """As a request does it: one transaction, the database's time first, the commit last."""
    async with database.transaction(BY_COMMAND) as session:
        found = await find_candidates(session, case_id, _DESK, wall_time())
        assert isinstance(found, Proposal)  # the case is open
        return len(found.routing.items)


async def _alone(database: Database, case_id: UUID, times: int) -> list[float]:
    """Looking and ranking, without any statement."""
    async with database.session(BY_COMMAND) as session:
        memory = memory_of(session)
    now = wall_time()
    case, rules, waits = _case(case_id), memory.rules[0], []
    for _ in range(times):
        began = time.perf_counter()
        near = memory.directory.near(case.asked, rules, now)
        route(case, near.options, rules, now=now, today=day_in_japan(now), beyond=near.beyond)
        waits.append(time.perf_counter() - began)
    return waits


def _case(case_id: UUID) -> Case:
    return Case(case_id, TOWN, "kagoshima-desk", needs=frozenset({"people"}))


async def _by_sql(admin: asyncpg.Connection, matches: int, wrong: list[str]) -> None:
    """The same question put to the database each time."""
    rows = await admin.fetch(
        "SELECT p.* FROM referral.programme p WHERE p.municipalities && $1 AND p.needs && $2",
        [TOWN, "460001"],
        ["people"],
    )
    options = [_programme(row) for row in rows]
    now = wall_time()
    found = route(_case(uuid4()), options, now=now, today=day_in_japan(now))
    if len(found.items) != matches:
        wrong.append(f"by SQL {len(found.items)}, not {matches}")


def _programme(row: Any) -> Programme:
    return Programme(
        id=row["id"],
        agency_id=row["agency_id"],
        name=row["name"],
        function=row["function"],
        stage=Stage(row["stage"]),
        municipalities=frozenset(row["municipalities"]),
        needs=frozenset(row["needs"]),
        capacity=Capacity(row["capacity_state"]),
        strand=row["strand"],
    )


async def _fill(admin: asyncpg.Connection, size: int, matches: int) -> list[UUID]:
    """The matches; a fifth of the rest in the same town for other needs; the others all over the country."""
    await admin.execute("SET search_path = referral")
    await admin.execute(
        "INSERT INTO agency SELECT 'agency-' || n, NULL, 'x', 'x', 'npo', $1, ARRAY[$1], NULL, 'x', current_date, 1"
        " FROM generate_series(1, 50) AS n",
        TOWN,
    )
    today = date(2026, 11, 1)
    rows: list[tuple[Any, ...]] = []
    for n in range(size):
        match_ = n < matches
        town = TOWN if match_ or n % 5 == 0 else f"{1 + n % 47:02}{200 + n % 300:03}1"
        needs = ["people"] if match_ else [NEEDS[n % 4]]
        rows.append(
            (UUID(int=1 + n), f"agency-{1 + n % 50}", f"p{n}", f"事業{n}", "any", 4, list(Stage)[1 + n % 5].value,
             [town], needs, "has_room", today)
        )  # fmt: skip
    columns = ["id", "agency_id", "programme_code", "name", "function", "strand", "stage", "municipalities", "needs",
               "capacity_state", "confirmed_on"]  # fmt: skip
    await admin.copy_records_to_table("programme", records=rows, columns=columns, schema_name="referral")
    cases = [UUID(int=(0x0190 << 112) | n << 64 | 0x8000_0000_0000_0000) for n in range(1, 9 * ASKED + 2)]
    opened = [(each, TOWN, "kagoshima-desk", ["people"]) for each in cases]
    await admin.copy_records_to_table(
        "case_fact", records=opened, columns=["case_id", "municipality", "opened_by", "needs"], schema_name="referral"
    )
    for column in ("municipalities", "needs"):
        await admin.execute(f"CREATE INDEX ON programme USING gin ({column})")
    await admin.execute("VACUUM ANALYZE")
    await admin.execute("CHECKPOINT")
    return cases


def _report(waits: dict[str, list[float]], wrong: Sequence[str], rounds: int) -> Report:
    def p(share: float, kind: str, size: int = SIZES[-1], matches: int = MATCHES) -> float:
        return percentile(waits[f"{kind} {size} {matches}"], share) * 1000

    figures: list[Figure] = []
    for size in SIZES:
        first, again = (p(0.99, kind, size) for kind in ("first", "again"))
        figures.append(
            at_most(f"{size:,} programmes, {MATCHES} matches, asked again: p99", again, 5, unit=" ms",
                    beside=f"p50 {p(0.5, 'again', size):.2f} ms")
        )  # fmt: skip
        figures.append(
            only_told(
                f"{size:,} programmes, asked first and kept: p50, p99",
                f"{p(0.5, 'first', size):.2f}, {first:.2f} ms",
            )
        )
    flat = p(0.5, "again") / p(0.5, "again", SIZES[0])
    figures.append(at_most(f"{SIZES[-1]:,} programmes to {SIZES[0]:,}, the same matches: p50", flat, 1.5))
    few, many = GROWING[0], GROWING[-1]
    growth = p(0.5, "again", matches=many) / p(0.5, "again", matches=few)
    figures.append(at_most(f"{many:,} matches to {few}: p50, ratio", growth, many / few, beside=_each(p)))
    figures.append(only_told("of asking again, this process's own time: mean", f"{p(0.5, 'own'):.2f} ms"))
    figures.append(
        only_told("looking and ranking alone, p50, p99", f"{p(0.5, 'alone'):.3f}, {p(0.99, 'alone'):.3f} ms")
    )
    figures.append(only_told("the same by SQL each time, p50, p99", f"{p(0.5, 'sql'):.2f}, {p(0.99, 'sql'):.2f} ms"))
    figures.append(
        only_told("the first answer after another's change, p50, p99",
                  f"{p(0.5, 'changed'):.2f}, {p(0.99, 'changed'):.2f} ms")
    )  # fmt: skip
    figures.append(only_told("reading the whole directory, once", f"{p(0.5, 'load') / 1000:.2f} s"))
    figures.append(holds("every answer", wrong, beside="as many candidates as there are"))
    raw = {
        kind: {"p50_ms": round(percentile(times, 0.5) * 1000, 3), "p99_ms": round(percentile(times, 0.99) * 1000, 3)}
        for kind, times in waits.items()
    }
    notes = (f"{rounds} rounds of {ASKED} cases; in the service's own process, without HTTP",)
    return Report("つなぎ先の候補 / candidates", figures, raw, notes)


def _each(p: Callable[..., float]) -> str:
    return ", ".join(f"{matches:,}: {p(0.5, 'again', matches=matches):.1f} ms" for matches in GROWING)
