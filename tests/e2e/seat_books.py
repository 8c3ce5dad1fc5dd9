"""The ledger of seats held against what callers were told, and against itself, read from its first entry."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg

from tests.e2e.seat_rush import Want
from tests.service.training_courses import promises_broken_in

REFUSALS = {"already_requested", "overlapping_seat"}
"""Why one of these may go without: another attempt of the same person was first."""
_ASKED = "id, case_id, course_run_id, referral_id, state, pool_id, line_no"
_MOVES = {
    "grant": ("run", "free"), "hold": ("free", "held"), "release": ("held", "free"), "expire": ("held", "free"),
}  # fmt: skip


@dataclass
class Replay:
    """What the entries come to, one after the other; nothing is taken from the tables' own counters."""

    pools: dict[UUID, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    runs: Counter[UUID] = field(default_factory=Counter)
    has: dict[UUID, UUID] = field(default_factory=dict)
    """Who has a seat, and in which pool."""
    first: dict[UUID, UUID] = field(default_factory=dict)
    """In which pool who asked had a seat at once."""
    holds: Counter[UUID] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def take(self, entry: Any) -> None:
        """The next entry."""
        kind, pool, request = entry["kind"], entry["pool_id"], entry["seat_request_id"]
        if kind == "open":
            self.runs[entry["course_run_id"]] += entry["seats"]
            return
        away, to = _MOVES[kind]
        accounts = self.pools[pool]
        accounts[to] += entry["seats"]
        accounts[away] -= entry["seats"]
        if kind == "grant":
            self.runs[entry["course_run_id"]] -= entry["seats"]
            accounts["granted"] += entry["seats"]
        elif kind == "hold":
            if request in self.has:
                self.wrong.append(f"{request} has two seats")
            self.has[request] = pool
            self.holds[request] += 1
            if entry["number"] == 1:
                self.first[request] = pool
        elif self.has.pop(request, None) != pool:
            self.wrong.append(f"{request} gave back what it did not have")
        if accounts["free"] < 0 or self.runs[entry["course_run_id"]] < 0:
            self.wrong.append(f"entry {entry['id']}: a seat that is not there")


async def replay(database: asyncpg.Connection) -> Replay:
    """From the first entry on."""
    found = Replay()
    async with database.transaction():
        async for entry in database.cursor("SELECT * FROM training.seat_entry ORDER BY id", prefetch=5_000):
            found.take(entry)
    return found


async def faults(database: asyncpg.Connection, wants: Sequence[Want]) -> list[str]:
    """Everything that is not as it was told, or not as it must be; in words."""
    wrong: list[str] = []
    ledger = await replay(database)
    rows = {row["id"]: row for row in await database.fetch(f"SELECT {_ASKED} FROM training.seat_request")}
    wrong += ledger.wrong
    wrong += await _counters(database, ledger)
    wrong += _standing(rows, ledger)
    wrong += _as_told(wants, rows, ledger)
    wrong += await _led_by_referrals(database, wants, rows)
    wrong += await _events(database, ledger)
    await database.execute("SET search_path = training")
    wrong += await promises_broken_in(database.fetch, None, offset=timedelta())
    await database.execute("RESET search_path")
    for schema in ("training", "referral"):
        wrong += [f"parked: {row}" for row in await database.fetch(f"SELECT reason, error FROM {schema}.parked")]
    return wrong


async def _counters(database: asyncpg.Connection, ledger: Replay) -> list[str]:
    pools = await database.fetch("SELECT id, granted, held, filled FROM training.pool")
    return [
        f"pool {pool['id']}: {dict(pool)} and by its entries {dict(ledger.pools[pool['id']])}"
        for pool in pools
        if (pool["granted"], pool["held"], pool["filled"])
        != (ledger.pools[pool["id"]]["granted"], ledger.pools[pool["id"]]["held"], 0)
    ]


def _standing(rows: dict[UUID, Any], ledger: Replay) -> list[str]:
    """Who has a seat by the ledger is who has one by the requests, and nobody has two or two places."""
    held = {key: row["pool_id"] for key, row in rows.items() if row["state"] == "held"}
    wrong = [] if held == ledger.has else [f"held: {len(held.items() ^ ledger.has.items())} differ"]
    # All these course runs are on the same days.
    persons = Counter(rows[key]["case_id"] for key in held)
    wrong += [f"{case} has {n} seats at a time" for case, n in persons.items() if n > 1]
    live = Counter((row["case_id"], row["course_run_id"]) for row in rows.values() if row["state"] != "released")
    wrong += [f"{case} asks {n} times" for (case, _), n in live.items() if n > 1]
    # Who was given a seat of another pool keeps the number of the line that they stood in.
    line = Counter((row["pool_id"], row["line_no"]) for row in rows.values() if row["state"] == "waiting")
    return wrong + [f"place {place} is given {n} times" for place, n in line.items() if n > 1]


def _as_told(wants: Sequence[Want], rows: dict[UUID, Any], ledger: Replay) -> list[str]:
    """Every answer is in the ledger, and nothing is there that nobody was told."""
    wrong: list[str] = []
    direct = [want for want in wants if not want.by_referral]
    told = {UUID(want.answered["seat_request_id"]): want for want in direct if want.refused is None}
    if len(told) != sum(want.refused is None for want in direct):
        wrong.append("two were told the same request")
    unasked = {key for key, row in rows.items() if row["referral_id"] is None} ^ told.keys()
    if unasked:
        wrong.append(f"{len(unasked)} requests stand or were told, not both")
    wrong += [f"refused: {want.refused}" for want in direct if want.refused not in {None, *REFUSALS}]
    held: Counter[UUID] = Counter()
    for key, want in told.items():
        row = rows.get(key)
        if row is None:
            continue
        if (row["case_id"], str(row["course_run_id"])) != (want.case_id, want.course):
            wrong.append(f"{key} is somebody else's")
        at_once = UUID(want.answered["pool_id"]) if want.answered["outcome"] == "held" else None
        if ledger.first.get(key) != at_once:
            wrong.append(f"{key} was told {want.answered['outcome']}, and the ledger says otherwise")
        if want.given_back != (row["state"] == "released"):
            wrong.append(f"{key} is {row['state']}, given back: {want.given_back}")
        if at_once is not None and not want.given_back:
            held[at_once] += 1
    # Not by the tables' word, but by what callers hold in their hands.
    oversold = [pool for pool, n in held.items() if n > ledger.pools[pool]["granted"]]
    return wrong + [f"pool {pool}: more were told of a seat than there are" for pool in oversold]


async def _led_by_referrals(database: asyncpg.Connection, wants: Sequence[Want], rows: dict[UUID, Any]) -> list[str]:
    """Each referral that was taken led to one request, or was refused with a word; and referral knows which."""
    told = {want.id: want for want in wants if want.by_referral and want.id is not None}
    wrong = [f"referral refused: {want.refused}" for want in wants if want.by_referral and want.id is None]
    led = Counter(row["referral_id"] for row in rows.values() if row["referral_id"] is not None)
    refused = Counter({UUID(row["referral_id"]): row["n"] for row in await database.fetch(_REFUSED)})
    wrong += [
        f"referral {key}: {led[key]} requests, {refused[key]} refusals"
        for key in told.keys() | led.keys() | refused.keys()
        if led[key] + refused[key] != 1 or key not in told
    ]
    shown = {
        row["id"]: (row["case_id"], row["progress"])
        for row in await database.fetch("SELECT id, case_id, progress FROM referral.referral")
    }
    if shown.keys() != told.keys():
        wrong.append(f"{len(shown.keys() ^ told.keys())} referrals stand or were told, not both")
    known = {row["referral_id"]: row["state"] for row in rows.values() if row["referral_id"] is not None}
    names = {"held": "seat_held", "waiting": "seat_waiting"}
    differ = [key for key, state in known.items() if shown.get(key, (None, None))[1] != names[state]]
    if differ:
        wrong.append(f"{len(differ)} referrals show otherwise than the seat: {shown.get(differ[0])}")
    return wrong


_VALUE = "convert_from(value, 'UTF8')::json"
_REFUSED = f"""
SELECT v->'data'->>'referral_id' AS referral_id, count(DISTINCT v->>'id') AS n
FROM (SELECT {_VALUE} AS v FROM bus.log WHERE topic = 'tsunagu.training') AS told
WHERE v->>'type' LIKE '%seat-refused%' GROUP BY 1
"""
_HELD = f"""
SELECT v->'data'->>'seat_request_id' AS id, count(DISTINCT v->>'id') AS n
FROM (SELECT {_VALUE} AS v FROM bus.log WHERE topic = 'tsunagu.training') AS told
WHERE v->>'type' LIKE '%seat-held%' GROUP BY 1
"""


async def _events(database: asyncpg.Connection, ledger: Replay) -> list[str]:
    """Each seat was told of once for each time that it was held."""
    told = Counter({UUID(row["id"]): row["n"] for row in await database.fetch(_HELD)})
    return (
        [] if told == ledger.holds else [f"{len((told - ledger.holds) + (ledger.holds - told))} holds told otherwise"]
    )
