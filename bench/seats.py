"""Seat requests: the whole service (HTTP, token, idempotency, ledger, outbox) against its statements in pgbench."""

import asyncio
import json
import math
import re
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
from rich.progress import Progress

from bench import pgbench, stage
from bench.report import Figure, Report, at_least, at_most, holds, median, only_told, percentile
from embedded.postgres import EmbeddedPostgres
from shared.auth import Role

PLENTY = 1_000_000
FASTEST = 6_000
"""More cases than this a second are asked for by neither side."""


@dataclass(frozen=True, slots=True)
class Scene:
    """So many clients on so many course runs, each with so many seats; `ratio` is what was promised."""

    name: str
    clients: int
    courses: int
    seats: int
    ratio: float | None


SCENES = (
    Scene("1 course, seats for all, 16 clients", 16, 1, PLENTY, 0.35),
    Scene("1 course, a growing line, 16 clients", 16, 1, 20, 0.35),
    Scene("1 course, seats for all, 64 clients", 64, 1, PLENTY, 1.0),
    Scene("1,000 courses, 16 clients", 16, 1000, PLENTY, 0.2),
)


@dataclass(frozen=True, slots=True)
class Round:
    """One turn of the service: how fast, its processor time for a request, and every answer."""

    rate: float
    cpu_us: float
    latencies: list[float]
    answers: list[Any]


@dataclass(frozen=True, slots=True)
class Place:
    """Where it is played."""

    server: EmbeddedPostgres
    port: int
    token: str
    within: Path


async def measure(progress: Progress, *, rounds: int, seconds: float) -> Report:
    """Every scene in turns: the service, pgbench, the service, pgbench, ..."""
    task = progress.add_task("席の申込み / seat requests", total=len(SCENES) * rounds * 2 + 2)
    figures: list[Figure] = []
    raw: dict[str, Any] = {"rounds": rounds, "seconds": seconds}
    async with _place() as place:
        progress.advance(task)
        figures.append(await _same_statements(place))
        await _served(place, [_course(0)], first_case=3_000, clients=16, seconds=min(3, seconds))  # warm
        progress.advance(task)
        numbers = count(1)
        for scene in SCENES:
            served: list[Round] = []
            yardstick: list[float] = []
            wrong: list[str] = []
            for _ in range(rounds):
                first = next(numbers) * 10_000
                await _prepare(place, first, scene, seconds)
                courses, first_case = _courses(first, scene), _first_case(first)
                served.append(
                    await _served(place, courses, first_case=first_case, clients=scene.clients, seconds=seconds)
                )
                progress.advance(task)
                yardstick.append(await _pgbench(place, first, scene, seconds))
                progress.advance(task)
                wrong += await _wrong_answers(place, first, scene, served[-1])
            figures += _figures(scene, served, yardstick, wrong)
            raw[scene.name] = {
                "service": [round(each.rate, 1) for each in served],
                "pgbench": [round(each, 1) for each in yardstick],
                "service_cpu_us": [round(each.cpu_us) for each in served],
                "p50_ms": [round(percentile(each.latencies, 0.5) * 1000, 1) for each in served],
                "p95_ms": [round(percentile(each.latencies, 0.95) * 1000, 1) for each in served],
                "p99_ms": [round(percentile(each.latencies, 0.99) * 1000, 1) for each in served],
            }
    notes = (f"{rounds} rounds of {seconds:g} s for each side, in turns; medians; service and load in a process each",)
    return Report("席の申込み / seat requests: the whole service against pgbench", figures, raw, notes)


def _figures(scene: Scene, served: Sequence[Round], yardstick: Sequence[float], wrong: list[str]) -> list[Figure]:
    rate, bare = median([each.rate for each in served]), median(yardstick)
    p95 = median([percentile(each.latencies, 0.95) for each in served]) * 1000
    answered = sum(len(each.answers) for each in served)
    beside = f"{rate:,.0f}/s : pgbench {bare:,.0f}/s, n = {answered:,}"
    found = [
        at_least(f"{scene.name}: ratio", rate / bare, scene.ratio or 0, beside=beside),
        at_least(f"{scene.name}: slowest round", min(each.rate for each in served), 200, unit="/s"),
    ]
    if scene.clients == 16 and scene.courses == 1:
        found.append(at_most(f"{scene.name}: p95", p95, 250, unit=" ms"))
    else:
        found.append(only_told(f"{scene.name}: p95", f"{p95:,.0f} ms"))
    cpu = only_told(f"{scene.name}: CPU of the service for a request", f"{median([e.cpu_us for e in served]):,.0f} µs")
    return [*found, cpu, holds(f"{scene.name}: every answer", wrong, beside=f"{answered:,} right, none oversold")]


@asynccontextmanager
async def _place() -> AsyncIterator[Place]:
    async with AsyncExitStack() as stack:
        within = stack.enter_context(stage.folder())
        server = stack.enter_context(stage.postgres(within))
        for name in ("bench", "yardstick"):
            await stage.make_database(server, name, ["training"])
        roles = (Role.COUNSELLOR, Role.PLACEMENT)
        service = stage.served("training", *roles, server=server, database="bench", within=within)
        training = await stack.enter_async_context(service)
        yield Place(server, training.port, training.token, within)


# --- course runs ----------------------------------------------------------------------------------------------------


def _course(number: int) -> str:
    digits = f"{number:032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _courses(first: int, scene: Scene) -> list[str]:
    return [_course(first + each) for each in range(scene.courses)]


def _first_case(first: int) -> int:
    """The cases of a round come after this number, in rising order as the service's own ids are."""
    return first * 10_000_000


async def _prepare(place: Place, first: int, scene: Scene, seconds: float) -> None:
    """The same course runs and cases on both sides; and nothing left to write from the round before."""
    for database in ("bench", "yardstick"):
        connection = await stage.admin(place.server, database)
        try:
            await connection.execute("TRUNCATE training.outbox, training.case_fact")
            await _make_courses(connection, first, scene.courses, scene.seats)
            each = math.ceil(FASTEST * seconds / scene.clients)
            await _make_cases(connection, _first_case(first), clients=scene.clients, each=each)
            await connection.execute("VACUUM ANALYZE")
            await connection.execute("CHECKPOINT")
        finally:
            await connection.close()


async def _make_courses(connection: asyncpg.Connection, first: int, courses: int, seats: int) -> None:
    await connection.execute("SET search_path = training")
    numbers = [[_course(first + each) for each in range(courses)], seats]
    await connection.execute(
        "INSERT INTO course_run (id, course_number, title, provider_agency, prefecture, site_municipality, system,"
        " field, starts_on, ends_on, applications_close_at, source, checked_on)"
        " SELECT id, id::text, '(架空)', 'school', '46', '462012', 'job_seeker_practical', 'web_design',"
        " now() + '60 days', now() + '150 days', now() + '40 days', '架空', now() FROM unnest($1::uuid[]) id",
        numbers[0],
    )
    await connection.execute(
        "INSERT INTO pool (id, course_run_id, kind) SELECT gen_random_uuid(), id, 'general' FROM unnest($1::uuid[]) id",
        numbers[0],
    )
    await connection.execute(
        "INSERT INTO seat_entry (command, number, course_run_id, kind, pool_id, seats, at)"
        " SELECT p.id, n, p.course_run_id, moves, CASE moves WHEN 'grant' THEN p.id END, $2, now() FROM pool p"
        " CROSS JOIN (VALUES (1, 'open'), (2, 'grant')) AS step (n, moves) WHERE course_run_id = ANY($1::uuid[])"
        " ORDER BY n",
        *numbers,
    )


async def _make_cases(connection: asyncpg.Connection, first: int, *, clients: int, each: int) -> None:
    """Cases with consent, as if intake had told of them: so many for each client."""
    case = pgbench.CASE.replace(":client_id", "client_id").replace(":i", "i")
    await connection.execute(
        f"WITH made AS (SELECT {case} AS case_id FROM generate_series($2::bigint + 1, $2 + $3::bigint) i,"  # noqa: S608 - ours
        " generate_series(0, $4::integer - 1) client_id)"
        " INSERT INTO training.case_fact (case_id, municipality, consent_state, consent_version, consent_purposes)"
        " SELECT case_id, $1, 'given', 1, ARRAY['referral'] FROM made",
        stage.MUNICIPALITY,
        first,
        each,
        clients,
    )


# --- the two sides --------------------------------------------------------------------------------------------------


async def _served(place: Place, courses: Sequence[str], *, first_case: int, clients: int, seconds: float) -> Round:
    out = place.within / "answers.json"
    plan = {
        "port": place.port, "token": place.token, "courses": list(courses), "clients": clients, "seconds": seconds,
        "first_case": first_case, "seed": 1, "out": str(out),
    }  # fmt: skip
    log = place.within / "load.log"
    before = await _spent(place)
    async with stage.process("-m", "bench.load", log=log, talks=True) as load:
        await load.communicate((json.dumps(plan) + "\n").encode())
        if load.returncode != 0:
            raise RuntimeError(f"the load generator failed:\n{stage.tail(log)}")
    found = json.loads(out.read_text(encoding="utf-8"))
    answers = found["answers"]
    cpu_us = (await _spent(place) - before) / len(answers) * 1e6
    return Round(len(answers) / found["seconds"], cpu_us, [each[3] for each in answers], answers)


async def _spent(place: Place) -> float:
    """Seconds of processor time that the service's process has used so far, as it says itself."""
    async with httpx2.AsyncClient(trust_env=False) as client:
        told = (await client.get(f"http://127.0.0.1:{place.port}/metrics")).text
    (line,) = [line for line in told.splitlines() if line.startswith("process_cpu_seconds_total ")]
    return float(line.split()[1])


async def _pgbench(place: Place, first: int, scene: Scene, seconds: float) -> float:
    text = pgbench.script(first_course=first, courses=scene.courses)
    return await pgbench.run(
        place.server,
        "yardstick",
        text=text,
        clients=scene.clients,
        seconds=seconds,
        within=place.within,
        start=_first_case(first),
    )


# --- whether it is right --------------------------------------------------------------------------------------------


async def _wrong_answers(place: Place, first: int, scene: Scene, served: Round) -> list[str]:
    """What was answered against what stands in the tables: nothing lost, nothing twice, nothing oversold."""
    statuses = Counter(str(answer[2]) for answer in served.answers if answer[2] != 201)
    wrong = [f"{number} answers with {status}" for status, number in statuses.items()]
    connection = await stage.admin(place.server, "bench")
    try:
        await connection.execute("SET search_path = training")
        rows = await connection.fetch(
            "SELECT id::text, case_id::text AS case, course_run_id::text AS course, state, pool_id, line_no"
            " FROM seat_request WHERE course_run_id = ANY($1::uuid[])",
            _courses(first, scene),
        )
        pools = await connection.fetch(
            "SELECT p.id, p.granted, p.held, p.next_line_no, (SELECT coalesce(sum(seats), 0) FROM seat_leg e"
            " WHERE e.pool_id = p.id AND account = 'held') AS entered FROM pool p"
            " WHERE course_run_id = ANY($1::uuid[])",
            _courses(first, scene),
        )
    finally:
        await connection.close()
    return wrong + _mismatches(served.answers, rows) + _oversold(pools, rows)


def _mismatches(answers: Sequence[Any], rows: Sequence[Mapping[str, Any]]) -> list[str]:
    standing = {row["id"]: (row["case"], row["course"], row["state"]) for row in rows}
    told = {
        body["seat_request_id"]: (case, course, body["state"])
        for case, course, status, _, body in answers
        if status == 201
    }
    wrong = []
    if standing.keys() != told.keys():
        wrong.append(f"{len(standing.keys() ^ told.keys())} requests stand or were told, not both")
    differing = sum(1 for each in standing.keys() & told.keys() if standing[each] != told[each])
    return [*wrong, f"{differing} answers say otherwise than the table"] if differing else wrong


def _oversold(pools: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]]) -> list[str]:
    wrong = []
    held = Counter(row["pool_id"] for row in rows if row["state"] == "held")
    line: dict[Any, list[int]] = {}
    for row in rows:
        if row["state"] == "waiting":
            line.setdefault(row["pool_id"], []).append(row["line_no"])
    for pool in pools:
        waiting = sorted(line.get(pool["id"], []))
        if not pool["held"] == pool["entered"] == held[pool["id"]] <= pool["granted"]:
            wrong.append(f"pool: {pool['held']} held, {pool['entered']} entered, {held[pool['id']]} requests")
        if waiting and pool["held"] < pool["granted"]:
            wrong.append("somebody waits beside a free seat")
        if waiting != list(range(1, len(waiting) + 1)):
            wrong.append("a gap or a repeat in the line")
    return wrong


async def _same_statements(place: Place) -> Figure:
    """Ask for a seat that is free and for one that isn't; compare what the server got with pgbench's script."""
    connection = await stage.admin(place.server, "bench")
    try:
        await _make_courses(connection, 0, 1, PLENTY)
        await _make_courses(connection, 1, 1, 1)
        await _make_cases(connection, 0, clients=16, each=6_000)
        await _served(place, [_course(1)], first_case=0, clients=1, seconds=0.3)
        await connection.execute("ALTER SYSTEM SET log_statement = 'all'")
        await connection.execute("SELECT pg_reload_conf()")
        await asyncio.sleep(0.5)  # every session looks at its settings when it becomes idle
        before = place.server.log.stat().st_size
        await _served(place, [_course(0)], first_case=1_000, clients=1, seconds=0.05)
        middle = place.server.log.stat().st_size
        await _served(place, [_course(1)], first_case=2_000, clients=1, seconds=0.05)
        await connection.execute("ALTER SYSTEM RESET log_statement")
        await connection.execute("SELECT pg_reload_conf()")
    finally:
        await connection.close()
    logged = place.server.log.read_bytes()
    wrong = pgbench.differences(_first_request(logged[before:middle]), pgbench.HELD)
    wrong += pgbench.differences(_first_request(logged[middle:]), pgbench.WAITING)
    return holds("pgbench sends the same statements in the same order", wrong, beside="held and waiting compared")


def _first_request(logged: bytes) -> list[str]:
    """The statements of the first whole request: what its session sent, from the claim to the kept answer."""
    found = re.split(r"^.*?\[(\d+)\] LOG:  ", logged.decode(errors="backslashreplace"), flags=re.MULTILINE)[1:]
    sent = [
        (pid, re.sub(r"^execute [^:]*: ", "", each).strip()) for pid, each in zip(found[::2], found[1::2], strict=True)
    ]
    pid = next((pid for pid, sql in sent if sql.startswith("INSERT INTO idempotency")), None)
    ours = [sql for session, sql in sent if session == pid and not sql.startswith(("BEGIN", "COMMIT", "statement"))]
    # What the driver asks about types, on a connection that hasn't met them yet, is none of the service's.
    ours = [sql for sql in ours if "pg_catalog.pg_type" not in sql and "set_config('jit'" not in sql]
    begins = next((place for place, sql in enumerate(ours) if sql.startswith("INSERT INTO idempotency")), 0)
    ends = next((place for place, sql in enumerate(ours) if sql.startswith("UPDATE idempotency")), len(ours))
    return ours[begins : ends + 1]
