"""Opening and reading cases: what encryption and the access log cost, and whether the cost stays flat up to a million.

The same requests go to intake as it is and to `bench.unsealed`, in turns, and to intake over ten thousand and over a
million cases.
"""

import asyncio
import json
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import UUID

from rich.progress import Progress

from bench import stage
from bench.report import Figure, Report, at_least, at_most, holds, median, only_told, percentile
from bench.wire import Answer, Wire
from embedded.postgres import EmbeddedPostgres
from shared.auth import Role
from shared.vault import new_master_keys

SMALL = 10_000
RECORDS = 500
CLIENTS = 8
_BATCH = 20_000
_PERSON = {
    "name": "架空 花子", "kana": "カクウ ハナコ", "birth_date": "1985-04-01", "phone": "090-0000-0001",
    "address": "架空市架空町1-2-3", "story": "仕事を失い、家賃が払えない。" * 10,
}  # fmt: skip
_OPEN = {"person": _PERSON, "topics": ["income"], "consent": {"state": "given", "purposes": ["referral"]}}
_RECORD = {"on": "2026-11-02", "way": "visit", "minutes": 45, "words": "架空の話をした。" * 20}


@dataclass(slots=True)
class Side:
    """One service on its database."""

    name: str
    port: int
    token: str
    rates: list[float] = field(default_factory=list)
    waits: dict[str, list[float]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def take(self, kind: str, answer: Answer) -> Answer:
        """Keep how long it took."""
        if answer.status not in {200, 201}:
            self.wrong.append(f"{kind}: {answer.status}")
        self.waits.setdefault(kind, []).append(answer.seconds)
        return answer


async def measure(progress: Progress, *, rounds: int, seconds: float, cases: int) -> Report:
    """Sealed and unsealed in turns; then few and many in turns; then one case with many records."""
    task = progress.add_task("ケース / cases", total=3 + 3 * rounds)
    async with AsyncExitStack() as stack:
        within = stack.enter_context(stage.folder())
        server = stack.enter_context(stage.postgres(within))
        masters = within / "masters"
        masters.write_text(new_master_keys(), encoding="ascii")
        sides: dict[str, Side] = {}
        for name, many in (("sealed", 0), ("unsealed", 0), ("few", SMALL), ("many", cases)):
            sides[name] = await _side(stack, server, within, name, many, masters)
            progress.advance(task)
        for _ in range(rounds):
            for name in ("sealed", "unsealed"):
                await _open_for(sides[name], seconds)
                progress.advance(task)
        for _ in range(rounds):
            for name in ("few", "many"):
                await _a_days_work(sides[name])
            progress.advance(task)
        await _read_records(sides["sealed"])
        await _report_accesses(sides["sealed"], server)
    return _report(sides, cases=cases)


async def _side(
    stack: AsyncExitStack, server: EmbeddedPostgres, within: Path, name: str, many: int, masters: Path
) -> Side:
    await stage.make_database(server, name, ["intake"])
    await _fill(server, name, many)
    own = within / name
    own.mkdir()
    module = "bench.unsealed" if name == "unsealed" else "shared.service"
    service = stage.served(
        "intake", Role.COUNSELLOR, server=server, database=name, within=own, module=module, master_keys_file=masters
    )
    served = await stack.enter_async_context(service)
    return Side(name, served.port, served.token)


async def _open_for(side: Side, seconds: float) -> None:
    """Some clients open cases one after another; how many a second."""
    ends = time.perf_counter() + seconds
    opened = 0

    async def client() -> None:
        nonlocal opened
        wire = await Wire.to(side.port, side.token)
        while time.perf_counter() < ends:
            side.take("open", await wire.ask("POST", "/v1/cases", _OPEN))
            opened += 1
        wire.close()

    began = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    side.rates.append(opened / (time.perf_counter() - began))


async def _a_days_work(side: Side, times: int = 100) -> None:
    """One counsellor: opens, reads, looks at the list, writes a record."""
    wire = await Wire.to(side.port, side.token)
    for _ in range(times):
        opened = side.take("open a case", await wire.ask("POST", "/v1/cases", _OPEN))
        case_id = json.loads(opened.body)["case_id"]
        side.take("read a case", await wire.ask("GET", f"/v1/cases/{case_id}"))
        side.take("read the sheet", await wire.ask("GET", f"/v1/cases/{case_id}/person"))
        side.take("list cases", await wire.ask("GET", "/v1/cases?limit=50"))
        side.take("add a record", await wire.ask("POST", f"/v1/cases/{case_id}/records", _RECORD))
    wire.close()


async def _read_records(side: Side, times: int = 60) -> None:
    """A case with five hundred entries: its sheet and all of them."""
    wire = await Wire.to(side.port, side.token)
    case_id = json.loads((await wire.ask("POST", "/v1/cases", _OPEN)).body)["case_id"]
    for _ in range(RECORDS):
        side.take("entry", await wire.ask("POST", f"/v1/cases/{case_id}/records", _RECORD))
    for _ in range(times):
        sheet = side.take("sheet", await wire.ask("GET", f"/v1/cases/{case_id}/person"))
        answer = side.take("entries", await wire.ask("GET", f"/v1/cases/{case_id}/records?limit={RECORDS}"))
        side.waits.setdefault("whole", []).append(sheet.seconds + answer.seconds)
        found = len(json.loads(answer.body)["items"])
        if found != RECORDS:
            side.wrong.append(f"{found} entries")
    wire.close()


async def _report_accesses(side: Side, server: EmbeddedPostgres) -> None:
    """Who looked at a person's data, ten thousand times, as the file that the person gets."""
    wire = await Wire.to(side.port, side.token)
    case_id = json.loads((await wire.ask("POST", "/v1/cases", _OPEN)).body)["case_id"]
    connection = await stage.admin(server, side.name)
    await connection.execute(
        "INSERT INTO intake.access_log (subject_id, action, agency, actor, roles, purpose, basis, fields)"
        " SELECT $1, 'read', 'kagoshima-desk', 'somebody', '{counsellor}', 'support', 'appi_69_2_2', '{name,story}'"
        " FROM generate_series(1, 10000)",
        UUID(case_id),
    )
    await connection.close()
    answer = side.take("accesses", await wire.ask("GET", f"/v1/cases/{case_id}/accesses.csv"))
    if answer.body.count(b"\r\n") < 10_000:
        side.wrong.append("accesses are missing")
    wire.close()


def _report(sides: dict[str, Side], *, cases: int) -> Report:
    sealed, unsealed = median(sides["sealed"].rates), median(sides["unsealed"].rates)
    figures: list[Figure] = [
        at_least(
            "opening a case, ratio to the same without encryption and access log",
            sealed / unsealed, 0.5, beside=f"{sealed:,.0f}/s : {unsealed:,.0f}/s",
        )
    ]  # fmt: skip
    few, many = sides["few"].waits, sides["many"].waits
    for kind in many:
        slow, fast = percentile(many[kind], 0.95) * 1000, percentile(few[kind], 0.95) * 1000
        beside = f"{slow:.1f} ms : {fast:.1f} ms"
        figures.append(at_most(f"{kind}: p95, {cases:,} to {SMALL:,} cases", slow / fast, 1.5, beside=beside))
    waits = sides["sealed"].waits
    every = percentile(waits["whole"], 0.95) * 1000
    figures.append(at_most(f"a case with {RECORDS} entries, its sheet and all of them: p95", every, 50, unit=" ms"))
    figures.append(at_most("the person's report of 10,000 accesses", waits["accesses"][0], 10, unit=" s"))
    wrong = [f"{side.name}: {words}" for side in sides.values() for words in side.wrong]
    figures.append(holds("every answer", wrong, beside="as asked"))
    figures.append(only_told("one case opened at a time, p50", f"{percentile(few['open a case'], 0.5) * 1000:.1f} ms"))
    raw = {side.name: {"rates": side.rates, "p95_ms": _p95(side)} for side in sides.values()}
    return Report("ケース / opening and reading cases", figures, raw)


def _p95(side: Side) -> dict[str, float]:
    return {kind: round(percentile(waits, 0.95) * 1000, 2) for kind, waits in side.waits.items()}


async def _fill(server: EmbeddedPostgres, database: str, many: int) -> None:
    """Cases of the caller's town and of others, put straight into the tables with what belongs to each."""
    connection = await stage.admin(server, database)
    await connection.execute("SET search_path = intake; SET session_replication_role = replica")
    opened_at = datetime(2026, 4, 1, tzinfo=UTC)
    numbers = iter(range(many))
    while batch := list(islice(numbers, _BATCH)):
        rows: list[Any] = []
        steps: list[Any] = []
        for number in batch:
            # In the order of time, as UUIDv7 is, and all before those that are opened now.
            case_id = UUID(int=(0x0190 << 112) | (number << 64) | 0x8000_0000_0000_0000)
            town, agency = _whose(number)
            rows.append(
                (case_id, f"2026-{number:07}", town, agency, agency, "walk_in", ["income"], [], number % 200 == 0,
                 "open", opened_at.date(), "not_yet", 0, opened_at, 1, 1, 1, agency)
            )  # fmt: skip
            steps.append((case_id, 1, "opened", agency, agency, opened_at))
        await _copy(connection, "case_", rows, [
            "id", "number", "municipality", "opened_by", "holder_agency", "entrance", "topics", "needs", "urgent",
            "status", "next_step_on", "consent_state", "consent_version", "opened_at", "version", "sheet_version",
            "custody_number", "anchor",
        ])  # fmt: skip
        await _copy(connection, "custody", steps, ["case_id", "number", "step", "holder", "by", "at"])
    await connection.execute("VACUUM ANALYZE")
    await connection.execute("CHECKPOINT")
    await connection.close()


def _whose(number: int) -> tuple[str, str]:
    """A third of them are the caller's town's, a tenth of those the caller's own."""
    if number % 3:
        return "462039", "kanoya-desk"
    return stage.MUNICIPALITY, "kagoshima-desk" if number % 30 == 0 else "kagoshima-npo"


async def _copy(connection: Any, table: str, rows: Sequence[Any], columns: list[str]) -> None:
    await connection.copy_records_to_table(table, records=rows, columns=columns, schema_name="intake")
