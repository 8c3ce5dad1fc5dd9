"""A course run's numbers, read from a ledger of ten million entries and from one of ten thousand, in turns.

Its pools' numbers are counters that the ledger's trigger keeps; beside them stand the same numbers summed up anew from
the first entry, and a page of the entries behind one of them.
"""

import hashlib
import json
import random
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

from rich.progress import Progress

from bench import stage
from bench.report import Figure, Report, at_most, holds, only_told, percentile
from bench.wire import Wire
from embedded.postgres import EmbeddedPostgres
from shared.auth import Role

FEW, MANY = 10_000, 10_000_000
PER_RUN = 500
"""Entries of each course run, in both ledgers."""
AT_A_TIME = 400
"""So many course runs are asked for in the same weeks: their entries lie between each other's."""
ASKED = 400
WITHIN, RATIO = 10.0, 1.3
_RUNS = """
INSERT INTO course_run (id, course_number, title, provider_agency, prefecture, site_municipality, system, field,
    starts_on, ends_on, applications_close_at, capacity, granted, source, checked_on)
SELECT md5('run-' || n)::uuid, 'bench-' || n, 'bench', 'school', '46', '462012', 'job_seeker_practical', 'care',
    current_date + 60, current_date + 150, now() + interval '40 days', 40, 40, 'bench', now()
FROM generate_series(0, $1::integer - 1) AS n
"""
_POOLS = """
INSERT INTO pool (id, course_run_id, kind, granted, held, next_line_no)
SELECT md5('pool-' || n)::uuid, md5('run-' || n)::uuid, 'general', 40, 4, 11
FROM generate_series(0, $1::integer - 1) AS n
"""
_WAITING = """
INSERT INTO seat_request (id, course_run_id, pool_id, case_id, municipality, requested_by, state, line_no, requested_at,
    expires_at)
SELECT md5('waits-' || n || '-' || k)::uuid, md5('run-' || n)::uuid, md5('pool-' || n)::uuid,
    md5('case-' || n || '-' || k)::uuid, '462012', 'desk', 'waiting', k, now(),
    now() + interval '40 days'
FROM generate_series(0, $1::integer - 1) AS n, generate_series(1, 10) AS k
"""
# Offered, granted, then held and given back one after the other; the last four are held.
_ENTRIES = """
INSERT INTO seat_entry (command, number, course_run_id, kind, pool_id, seats, seat_request_id, at, by)
SELECT md5(who || '-' || n)::uuid, step, md5('run-' || n)::uuid, kind,
    CASE WHEN e > 1 THEN md5('pool-' || n)::uuid END, CASE WHEN e > 2 THEN 1 ELSE 40 END,
    CASE WHEN e > 2 THEN md5(who || '-' || n)::uuid END, now(), 'desk'
FROM generate_series(1, $2::integer) AS e, generate_series($1::integer, $1 + $3::integer - 1) AS n, LATERAL (SELECT
    CASE WHEN e <= 2 THEN 'offer' WHEN e > $2 - 4 THEN 'last-' || e ELSE 'asked-' || (e - 1) / 2 END AS who,
    CASE WHEN e <= 2 THEN e WHEN e > $2 - 4 THEN 1 ELSE 1 + (e - 1) % 2 END AS step,
    CASE WHEN e = 1 THEN 'open' WHEN e = 2 THEN 'grant' WHEN e > $2 - 4 OR e % 2 = 1 THEN 'hold' ELSE 'release'
    END AS kind
) AS entry
ORDER BY e, n
"""


async def measure(progress: Progress, *, rounds: int, entries: int = MANY) -> Report:
    """Both ledgers, one request to each in turns."""
    task = progress.add_task("枠の数 / a pool's numbers", total=entries // PER_RUN // AT_A_TIME + 2 + rounds)
    sizes = {"few": FEW, "many": entries}
    waits: dict[str, list[float]] = {}
    wrong: list[str] = []
    async with AsyncExitStack() as stack:
        within = stack.enter_context(stage.folder())
        server = stack.enter_context(stage.postgres(within))
        wires: dict[str, Wire] = {}
        for name, size in sizes.items():
            await stage.make_database(server, name, ["training"])
            await _fill(server, name, size // PER_RUN, lambda: progress.advance(task))
            own = within / f"served-{name}"
            own.mkdir()
            service = stage.served("training", Role.COUNSELLOR, server=server, database=name, within=own)
            served = await stack.enter_async_context(service)
            wires[name] = await Wire.to(served.port, served.token)
            progress.advance(task)
        dice = random.Random(46)
        for _ in range(rounds):
            for _ in range(ASKED):
                for name, wire in wires.items():
                    wrong += await _look(wire, name, dice.randrange(sizes[name] // PER_RUN), waits)
            progress.advance(task)
        for wire in wires.values():
            wire.close()
    return _report(waits, wrong, entries=entries, rounds=rounds)


def _report(waits: dict[str, list[float]], wrong: Sequence[str], *, entries: int, rounds: int) -> Report:
    def p95(kind: str, name: str) -> float:
        return percentile(waits[f"{kind} {name}"], 0.95) * 1000

    many, few = p95("numbers", "many"), p95("numbers", "few")
    figures: list[Figure] = [
        at_most(f"numbers, {entries:,} entries: p95", many, WITHIN, unit=" ms"),
        at_most(
            f"numbers, {entries:,} entries to {FEW:,}: ratio of p95",
            many / few,
            RATIO,
            beside=f"{many:.1f} : {few:.1f} ms",
        ),
        *(
            only_told(name, f"p95 {p95(kind, 'many'):.1f} ms : {p95(kind, 'few'):.1f} ms")
            for kind, name in (
                ("accounts", f"the same numbers summed up from the first of {PER_RUN} entries"),
                ("entries", "a page of the entries behind one"),
            )
        ),
        holds("every number", wrong, beside="the counters are what the entries sum up to"),
    ]
    raw = {kind: [round(each * 1000, 2) for each in found] for kind, found in waits.items()}
    notes = (f"{rounds} rounds of {ASKED} course runs, taken at random, from each ledger in turns; one client",)
    return Report("枠の数 / a pool's numbers from the ledger of seats", figures, raw, notes)


async def _look(wire: Wire, name: str, number: int, waits: dict[str, list[float]]) -> list[str]:
    run, pool = _md5(f"run-{number}"), _md5(f"pool-{number}")
    path = f"/v1/course-runs/{run}"
    found: dict[str, Any] = {}
    for kind, asked in (
        ("numbers", path),
        ("accounts", f"{path}/accounts"),
        ("entries", f"{path}/entries?account=held&pool_id={pool}&limit=20"),
    ):
        answer = await wire.ask("GET", asked)
        waits.setdefault(f"{kind} {name}", []).append(answer.seconds)
        if answer.status != 200:
            return [f"{kind}: {answer.status} {answer.body[:200]!r}"]
        found[kind] = json.loads(answer.body)
    (counted,) = found["numbers"]["pools"]
    summed = {each["account"]: each["seats"] for each in found["accounts"] if each["pool_id"]}
    fits = (counted["held"], counted["waiting"], len(found["entries"]["items"])) == (4, 10, 20)
    return [] if fits and summed == {"free": 36, "held": 4} else [f"{name} {number}: {counted}, {summed}"]


def _md5(word: str) -> str:
    return hashlib.md5(word.encode(), usedforsecurity=False).hexdigest()


async def _fill(server: EmbeddedPostgres, database: str, runs: int, done: Any) -> None:
    """Straight into the tables, without triggers; what was taken off the ledger is put on again as it was."""
    connection = await stage.admin(server, database)
    await connection.execute("SET search_path = training; SET session_replication_role = replica")
    await connection.execute("SET maintenance_work_mem = '512MB'; SET work_mem = '128MB'")
    for statement in (_RUNS, _POOLS, _WAITING):
        await connection.execute(statement, runs)
    indexes = await connection.fetch(
        "SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS definition, conname AS bound"
        " FROM pg_index LEFT JOIN pg_constraint ON conindid = indexrelid AND contype IN ('u', 'x')"
        " WHERE indrelid = 'seat_entry'::regclass AND NOT indisprimary"
    )
    for index in indexes:
        bound = index["bound"]
        await connection.execute(
            f"ALTER TABLE seat_entry DROP CONSTRAINT {bound}" if bound else f"DROP INDEX {index['name']}"
        )
    for first in range(0, runs, AT_A_TIME):
        await connection.execute(_ENTRIES, first, PER_RUN, min(AT_A_TIME, runs - first))
        done()
    for index in indexes:
        await connection.execute(index["definition"])
        if index["bound"]:
            await connection.execute(
                f"ALTER TABLE seat_entry ADD CONSTRAINT {index['bound']} UNIQUE USING INDEX {index['bound']}"
            )
    await connection.execute("VACUUM ANALYZE")
    await connection.execute("CHECKPOINT")
    await connection.close()
