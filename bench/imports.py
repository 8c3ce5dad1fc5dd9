"""Files of 20,000 rows, as an office sends them: how long each step takes, and how long others wait meanwhile."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import httpx2
from rich.progress import Progress

from bench import stage
from bench.report import Figure, Report, at_most, holds, only_told
from demo.decide import allotment, decide
from embedded.postgres import EmbeddedPostgres
from shared.auth import Role
from shared.bus.envelope import new_id

PATIENCE = 600.0
COURSES = "/v1/course-run-imports", "/v1/course-runs"
PROGRAMMES = "/v1/programme-imports", "/v1/programmes"
_AGENCIES = 500
_COURSE_HEADER = (
    "講座番号,講座名,訓練種別,分野,実施機関ID,所在地コード,開始日,終了日,定員,応募締切,"
    "仮押さえ時間,委ねる枠,出典,確認日"
)
_PROGRAMME_HEADER = "機関ID,事業コード,事業名,支援機能,系統,段階,対象地域コード,対応する課題,空き状況,確認日"
_AGENCY_HEADER = "機関ID,法人番号,名称,カナ,種別,所在地コード,対象地域コード,電話,確認者,確認日"


@dataclass(slots=True)
class Office:
    """Whoever sends the files; beside it a neighbour asks for a list again and again."""

    client: httpx2.AsyncClient
    server: EmbeddedPostgres
    schema: str
    path: str
    read: str
    waits: list[float] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    raw: dict[str, Any] = field(default_factory=dict)

    async def takes(self, name: str, content: bytes, *, expected: dict[str, int], within: float) -> None:
        """Both steps of one file."""
        checked, check = await self._timed("POST", self.path, content=content)
        committed, commit = await self._timed("POST", f"{self.path}/{checked.json()['import_id']}/commit", json={})
        wrong = [] if committed.is_success else [f"commit: {committed.status_code}"]
        for answer in (checked, committed):
            wrong += [f"{key}: {answer.json().get(key)}" for key in expected if answer.json().get(key) != expected[key]]
        self.figures += [
            at_most(f"{name}: check", check, within, unit=" s"),
            at_most(f"{name}: commit", commit, within, unit=" s"),
            holds(f"{name}: counts", wrong, beside="as promised"),
        ]
        self.raw[name] = {"check_s": round(check, 2), "commit_s": round(commit, 2)}
        await self._settled()

    async def is_refused(self, name: str, content: bytes, *, within: float) -> None:
        """A file without one good row: its report, and the file with the errors."""
        checked, check = await self._timed("POST", self.path, content=content)
        where = f"{self.path}/{checked.json()['import_id']}/errors.csv"
        errors, took = await self._timed("GET", where)
        self.figures += [
            at_most(f"{name}: check", check, within, unit=" s", beside=f"report {len(checked.content):,} bytes"),
            at_most(f"{name}: error file", took, within, unit=" s", beside=f"{len(errors.content):,} bytes"),
        ]
        self.raw[name] = {
            "check_s": round(check, 2),
            "report_bytes": len(checked.content),
            "errors_s": round(took, 2),
            "errors_bytes": len(errors.content),
        }

    async def _timed(self, method: str, path: str, **sent: Any) -> tuple[httpx2.Response, float]:
        headers = {"Idempotency-Key": str(new_id())} if method == "POST" else {}
        neighbour = asyncio.create_task(self._asks_again_and_again())
        began = time.perf_counter()
        answer = await self.client.request(method, path, headers=headers, **sent)
        took = time.perf_counter() - began
        neighbour.cancel()
        with suppress(asyncio.CancelledError):
            await neighbour
        return answer, took

    async def _asks_again_and_again(self) -> None:
        while True:
            began = time.perf_counter()
            try:
                await self.client.get(self.read, params={"limit": 1})
            finally:
                self.waits.append(time.perf_counter() - began)
            await asyncio.sleep(0.05)

    async def _settled(self) -> None:
        """Nothing is left to be told, and nothing to be swept up, before the next file."""
        connection = await stage.admin(self.server, "bench")
        try:
            for _ in range(600):
                if not await connection.fetchval(f"SELECT count(*) FROM {self.schema}.outbox"):  # noqa: S608 - our own name
                    break
                await asyncio.sleep(0.2)
            await connection.execute("VACUUM ANALYZE")
            await connection.execute("CHECKPOINT")
        finally:
            await connection.close()


@dataclass(frozen=True, slots=True)
class Record:
    """Whoever keeps the sub-committee's record, at a service that stands by itself."""

    client: httpx2.AsyncClient

    async def get(self, path: str, **params: Any) -> Any:
        return (await self.client.get(path.removeprefix("/training"), params=params)).raise_for_status().json()

    async def post(self, path: str, body: Any) -> Any:
        headers = {"Idempotency-Key": str(new_id())}
        answer = await self.client.post(path.removeprefix("/training"), json=body, headers=headers)
        return answer.raise_for_status().json()


async def measure(progress: Progress, *, rows: int) -> Report:
    """Course runs, then programmes: new, the same again, changed; then a file of bad rows."""
    task = progress.add_task("取込み / imports", total=9)
    async with _office("training", Role.PLANNER, *COURSES) as planner:
        # At most 10,000 seats are one allotment's; those of care courses come beside those of all.
        of_all = allotment("462012", 10_000, fiscal_year=2098)
        await decide(Record(planner.client), [of_all, of_all | {"field": "care"}], title="(架空)委ねる枠")
        for name, content, became in (
            ("new courses", courses(rows), "created"),
            ("the same courses", courses(rows), "unchanged"),
            ("changed courses", courses(rows, capacity=16), "updated"),
        ):
            await planner.takes(f"{rows:,} {name}", content, expected={became: rows}, within=20)
            progress.advance(task)
        await planner.is_refused(f"{rows:,} bad courses", courses(rows, capacity=-1, ends="昨日"), within=20)
        progress.advance(task)
    async with _office("referral", Role.DIRECTORY, *PROGRAMMES) as keeper:
        keeper.path = "/v1/agency-imports"
        await keeper.takes(f"{_AGENCIES} new agencies", agencies(_AGENCIES), expected={"created": _AGENCIES}, within=20)
        keeper.path = PROGRAMMES[0]
        progress.advance(task)
        for name, content, became in (
            ("new programmes", programmes(rows), "created"),
            ("the same programmes", programmes(rows), "unchanged"),
            ("changed programmes", programmes(rows, room="満員"), "updated"),
        ):
            await keeper.takes(f"{rows:,} {name}", content, expected={became: rows}, within=20)
            progress.advance(task)
        await keeper.is_refused(f"{rows:,} programmes of nobody", programmes(rows, agency="nobody"), within=20)
        progress.advance(task)
    figures = planner.figures + keeper.figures
    for office in (planner, keeper):
        beside = f"n = {len(office.waits):,}"
        figures.append(only_told(f"{office.schema}: slowest list beside it", f"{max(office.waits):.2f} s  ({beside})"))
    return Report("取込み / imports of CSV files", figures, {"rows": rows} | planner.raw | keeper.raw)


@asynccontextmanager
async def _office(schema: str, role: Role, path: str, read: str) -> AsyncIterator[Office]:
    async with AsyncExitStack() as stack:
        within = stack.enter_context(stage.folder())
        server = stack.enter_context(stage.postgres(within))
        await stage.make_database(server, "bench", [schema])
        service = stage.served(schema, role, server=server, database="bench", within=within)
        served = await stack.enter_async_context(service)
        client = httpx2.AsyncClient(
            base_url=f"http://127.0.0.1:{served.port}",
            headers={"Authorization": f"Bearer {served.token}"},
            timeout=PATIENCE,
            trust_env=False,
        )
        yield Office(await stack.enter_async_context(client), server, schema, path, read)


def courses(rows: int, *, capacity: int = 15, ends: str = "2099-04-09", delegated: str = "462012:1") -> bytes:
    """Course runs, each with a pool for all and one for a municipality."""
    return _file(
        _COURSE_HEADER,
        [
            f"46-r4-{number:05},(架空)介護職員初任者研修科{number},job_seeker_practical,care,kagoshima-school,462012,"
            f"2099-01-12,{ends},{capacity},2098-12-16 16:00,48,{delegated},(架空)計画,令和8年11月1日"
            for number in range(rows)
        ],
    )


def programmes(rows: int, *, agency: str = "npo", room: str = "空きあり") -> bytes:
    """Programmes, over some hundred agencies."""
    return _file(
        _PROGRAMME_HEADER,
        [
            f"{agency}-{number % _AGENCIES:04},p-{number:05},(架空)朝の居場所{number},drop_in_space,4,居場所,"
            f"462012 462187,isolation people,{room},2026-11-01"
            for number in range(rows)
        ],
    )


def agencies(rows: int) -> bytes:
    """The agencies that the programmes belong to."""
    return _file(
        _AGENCY_HEADER,
        [
            f"npo-{number:04},,(架空)桜の会{number},サクラノカイ,npo,462012,462012 462187,,福祉課,2026-11-01"
            for number in range(rows)
        ],
    )


def _file(header: str, lines: Sequence[str]) -> bytes:
    return "\r\n".join((header, *lines, "")).encode("cp932")
