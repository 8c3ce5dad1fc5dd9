"""A referral's whole loop over HTTP (create, inbox, accept, the sender sees it), and an inbox that is full.

The emptiest request there is stands beside it: what this process can do at all.
"""

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import asyncpg
from rich.progress import Progress

from bench import stage
from bench.report import Figure, Report, at_least, at_most, holds, median, only_told, percentile
from bench.wire import Answer, Wire
from embedded.postgres import EmbeddedPostgres
from shared.auth import Role

CASES = 20_000
CLIENTS = 16
FEW, MANY = 100, 100_000
DESK, NPO = "kagoshima-desk", "sakura-npo"
_PROGRAMME = UUID(int=1)


@dataclass(slots=True)
class Taken:
    """What came back: how long each step of a loop took, and what was wrong."""

    waits: dict[str, list[float]] = field(default_factory=dict)
    rates: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def take(self, kind: str, answer: Answer, status: int = 200) -> Answer:
        """Keep how long it took."""
        if answer.status != status:
            self.wrong.append(f"{kind}: {answer.status} {answer.body[:200]!r}")
        self.waits.setdefault(kind, []).append(answer.seconds)
        return answer

    def p(self, share: float, kind: str) -> float:
        """In milliseconds."""
        return percentile(self.waits[kind], share) * 1000


async def measure(progress: Progress, *, rounds: int, seconds: float) -> Report:
    """Loops by sixteen pairs at once; then one inbox over few and over many open referrals, in turns."""
    task = progress.add_task("つなぎ / referrals", total=3 + 2 * rounds)
    async with AsyncExitStack() as stack:
        within = stack.enter_context(stage.folder())
        server = stack.enter_context(stage.postgres(within))
        sides: dict[str, stage.Served] = {}
        for name, many in (("loops", 0), ("few", FEW), ("many", MANY)):
            await stage.make_database(server, name, ["referral"])
            await _fill(server, name, many)
            own = within / name
            own.mkdir()
            service = stage.served("referral", Role.COUNSELLOR, server=server, database=name, within=own)
            sides[name] = await stack.enter_async_context(service)
            progress.advance(task)
        loops = await _loops(sides["loops"], server, rounds, seconds, lambda: progress.advance(task))
        boxes = {name: Taken() for name in ("few", "many")}
        for _ in range(rounds):
            await _look(boxes, sides)
            progress.advance(task)
    return _report(loops, boxes, rounds=rounds, seconds=seconds)


async def _loops(served: stage.Served, server: EmbeddedPostgres, rounds: int, seconds: float, done: object) -> Taken:
    cases = iter(range(CASES))
    await _loop_for(Taken(), served, cases, 1)
    taken = Taken()
    wire = await Wire.to(served.port, served.token)
    for _ in range(rounds):
        for _ in range(200):
            taken.take("empty", await wire.ask("GET", "/health/live"))
        await _loop_for(taken, served, cases, seconds)
        assert callable(done)
        done()
    wire.close()
    taken.wrong += await _strays(server)
    return taken


async def _loop_for(taken: Taken, served: stage.Served, cases: object, seconds: float) -> None:
    ends, made = time.perf_counter() + seconds, 0
    npo = served.token_of(NPO)

    async def pair() -> None:
        nonlocal made
        desk_wire, npo_wire = await Wire.to(served.port, served.token), await Wire.to(served.port, npo)
        while time.perf_counter() < ends:
            await _loop(taken, desk_wire, npo_wire, _case(next(cases)))  # type: ignore[call-overload]
            made += 1
        desk_wire.close()
        npo_wire.close()

    began = time.perf_counter()
    await asyncio.gather(*(pair() for _ in range(CLIENTS)))
    taken.rates.append(made / (time.perf_counter() - began))


async def _loop(taken: Taken, desk: Wire, npo: Wire, case_id: UUID) -> None:
    began = time.perf_counter()
    body = {"case_id": str(case_id), "programme_id": str(_PROGRAMME)}
    sent = taken.take("create", await desk.ask("POST", "/v1/referrals", body), 201)
    referral_id = json.loads(sent.body)["referral_id"]
    inbox = taken.take("inbox", await npo.ask("GET", "/v1/referrals?box=in&state=sent&limit=20"))
    if referral_id not in {each["referral_id"] for each in json.loads(inbox.body)["items"]}:
        taken.wrong.append("not in the inbox")
    taken.take("accept", await npo.ask("POST", f"/v1/referrals/{referral_id}/accept"))
    seen = taken.take("seen", await desk.ask("GET", f"/v1/referrals/{referral_id}"))
    if json.loads(seen.body)["state"] != "accepted":
        taken.wrong.append("not seen as accepted")
    taken.waits.setdefault("loop", []).append(time.perf_counter() - began)


async def _look(boxes: Mapping[str, Taken], sides: Mapping[str, stage.Served], times: int = 500) -> None:
    """Each request of one inbox right beside the same of the other: what slows the machine slows both."""
    wires = {name: await Wire.to(sides[name].port, sides[name].token_of(NPO)) for name in boxes}
    for kind, path in (
        ("inbox", "/v1/referrals?box=in&limit=20"),
        ("inbox by state", "/v1/referrals?box=in&state=sent&limit=20"),
        ("what waits", "/v1/waiting?mine=true&limit=20"),
    ):
        for turn in range(times):
            for name in sorted(boxes, reverse=turn % 2 == 0):
                answer = boxes[name].take(kind, await wires[name].ask("GET", path))
                if len(json.loads(answer.body)["items"]) != 20:
                    boxes[name].wrong.append(f"{kind}: not a whole page")
    for wire in wires.values():
        wire.close()


async def _strays(server: EmbeddedPostgres) -> list[str]:
    """Every loop is there once, with its steps, and was told."""
    connection = await stage.admin(server, "loops")
    there = await connection.fetchrow(
        "SELECT (SELECT count(*) FROM referral.referral) AS referrals,"
        " (SELECT count(*) FROM referral.referral WHERE state = 'accepted') AS accepted,"
        " (SELECT count(*) FROM referral.referral_step) AS steps"
    )
    await connection.close()
    fits = there["referrals"] == there["accepted"] and there["steps"] == 2 * there["referrals"]
    return [] if fits else [f"{dict(there)}"]


def _report(loops: Taken, boxes: dict[str, Taken], *, rounds: int, seconds: float) -> Report:
    figures: list[Figure] = [
        at_least(
            f"loops a second, {CLIENTS} pairs at once", median(loops.rates), 100, unit="/s",
            beside=", ".join(f"{kind} {loops.p(0.5, kind):.0f} ms" for kind in ("create", "inbox", "accept", "seen")),
        ),
        at_most("a loop of four requests: p50", loops.p(0.5, "loop"), 150, unit=" ms",
                beside=f"p95 {loops.p(0.95, 'loop'):.0f} ms, n = {len(loops.waits['loop']):,}"),
        only_told("the emptiest request, alone, p50", f"{loops.p(0.5, 'empty'):.2f} ms"),
    ]  # fmt: skip
    for kind in boxes["many"].waits:
        slow, fast = boxes["many"].p(0.95, kind), boxes["few"].p(0.95, kind)
        beside = f"{slow:.1f} ms : {fast:.1f} ms"
        figures.append(at_most(f"{kind}: p95, {MANY:,} to {FEW:,} open", slow / fast, 1.3, beside=beside))
    wrong = loops.wrong + [f"{name}: {words}" for name, taken in boxes.items() for words in taken.wrong]
    figures.append(holds("every answer", wrong[:20], beside="as asked; every loop there once, with its steps"))
    raw = {"rates": loops.rates, **{k: {"p50": loops.p(0.5, k), "p95": loops.p(0.95, k)} for k in loops.waits}}
    notes = (f"{rounds} rounds of {seconds:g} s; {CASES:,} cases; one process of the service",)
    return Report("つなぎ / a referral's loop, a full inbox", figures, raw, notes)


# --- what is there already ------------------------------------------------------------------------------------------


def _case(number: int) -> UUID:
    return UUID(int=(0x0190 << 112) | (number << 64) | 0x8000_0000_0000_0000)


async def _fill(server: EmbeddedPostgres, database: str, many: int) -> None:
    """Cases with consent, a directory of two agencies, and open referrals to one of them among as many to others."""
    connection = await stage.admin(server, database)
    await connection.execute("SET search_path = referral")
    for agency in (DESK, NPO):
        await connection.execute(
            "INSERT INTO agency (agency_id, name, kana, kind, municipality, municipalities_served, confirmed_by,"
            " confirmed_on) VALUES ($1, $1, 'x', 'npo', '462012', '{462012}', 'x', current_date)",
            agency,
        )
    await connection.execute(
        "INSERT INTO programme (id, agency_id, programme_code, name, function, strand, stage, municipalities, needs,"
        " capacity_state, confirmed_on) VALUES ($1, $2, 'p', 'x', 'drop_in_space', 4, 'drop_in', '{}',"
        " '{isolation}', 'has_room', current_date)",
        _PROGRAMME,
        NPO,
    )
    await _cases(connection, max(CASES, many))
    # The clock has looked at all of them today; once a day it takes some minutes beside the requests.
    await connection.execute("UPDATE case_fact SET needs_looked_at = now()")
    for receiver in (NPO, DESK):
        await connection.execute(_OPEN_REFERRALS, receiver, _PROGRAMME, many)
    # Filled in a moment, and looked at long ago: what is measured is no service that catches up after an upgrade.
    await connection.execute("DELETE FROM hops_due")
    await connection.execute("VACUUM ANALYZE")
    await connection.execute("CHECKPOINT")
    await connection.close()


async def _cases(connection: asyncpg.Connection, many: int) -> None:
    columns: Sequence[str] = (
        "case_id", "municipality", "opened_by", "holder", "holder_version", "topics", "needs", "urgent",
        "consent_state", "consent_version", "consent_purposes", "consent_recipients",
    )  # fmt: skip
    rows: list[Any] = [
        (_case(n), "462012", DESK, DESK, 1, [], ["isolation"], False, "given", 1, ["referral"], []) for n in range(many)
    ]
    await connection.copy_records_to_table("case_fact", records=rows, columns=columns, schema_name="referral")


_OPEN_REFERRALS = """
    INSERT INTO referral (id, case_id, municipality, sender, receiver, coordinator, programme_id, state,
        responsible_agency, sent_at, version, since, waits_for, clock, clock_since, due_on, tier, tier_on)
    SELECT uuidv7(), case_id, '462012', 'kagoshima-desk', $1, 'kagoshima-desk', $2,
        CASE WHEN n % 2 = 0 THEN 'sent' ELSE 'received' END, 'kagoshima-desk', now() - n * interval '1 minute', 1,
        now(), $1, 'contact', current_date, current_date + (n % 20)::integer, 'remind', current_date + 30
    FROM (SELECT case_id, row_number() OVER (ORDER BY case_id) AS n FROM case_fact) AS numbered WHERE n <= $3
"""
