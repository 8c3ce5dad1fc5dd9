"""How a file's rows are taken in: in chunks, beside others' work, and one row's accident costs no other row its place.

A service of the test's own takes the rows, since no real one meets such accidents.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Annotated, Any, ClassVar

import pytest
from pydantic import AfterValidator
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from shared.auth import Actor, Role
from shared.database import Hot
from shared.service import Service
from shared.service.imports import Became, Fault, FileRow, import_router
from tests.world import Caller, Running, World, execute_as_admin

TABLE = """
SET ROLE tsunagu_training_owner;
CREATE TABLE training.frame_seat (number int PRIMARY KEY, seats int NOT NULL CHECK (seats < 100));
RESET ROLE;
"""
CSV = {"Content-Type": "text/csv"}
PATH = "/v1/seat-imports"
_KEEP = Hot(
    "INSERT INTO frame_seat AS known SELECT * FROM unnest(CAST(:numbers AS int[]), CAST(:seats AS int[]))"
    " ON CONFLICT (number) DO UPDATE SET seats = excluded.seats"
)


async def nothing(_session: AsyncSession, _rows: Sequence[Any]) -> None:
    """By default nothing happens while rows are taken."""


class Register:
    """The service; `beforehand` is done with each chunk, `look` with each cell."""

    def __init__(self) -> None:
        self.chunks: list[int] = []
        self.beforehand: Callable[[AsyncSession, Sequence[Any]], Awaitable[None]] = nothing
        self.look: Callable[[int], int] = int
        self.running: Running

    def declared(self) -> Service:
        def looked_at(seats: int) -> int:
            return self.look(seats)

        class SeatRow(FileRow):
            key: ClassVar = ("number",)

            number: int
            seats: Annotated[int, AfterValidator(looked_at)]

        async def take(
            session: AsyncSession, rows: Sequence[SeatRow], _actor: Actor, _now: datetime
        ) -> list[Became | Fault]:
            self.chunks.append(len(rows))
            await self.beforehand(session, rows)
            columns = {"numbers": [row.number for row in rows], "seats": [row.seats for row in rows]}
            await _KEEP.rows(session, columns)
            return ["created" for _ in rows]

        files = import_router(path=PATH, tag="seats", role=Role.COUNSELLOR, row=SeatRow, take=take, title_ja="席")
        return Service(name="training", title="Register", title_ja="台帳", routers=[files], tags={"seats": "席"})

    async def seats(self) -> dict[int, int]:
        return {row["number"]: row["seats"] for row in await self.running.rows("SELECT * FROM frame_seat")}


@pytest.fixture
async def register(world: World) -> Register:
    await execute_as_admin(world.postgres, TABLE, world.database_name)
    register = Register()
    register.running = world.declared(register.declared())
    return register


@pytest.fixture
def keeper(register: Register) -> Caller:
    return register.running.as_()


def file(seats: Sequence[int]) -> bytes:
    return "\n".join(("number,seats", *(f"{number},{each}" for number, each in enumerate(seats, start=2)))).encode()


async def check(keeper: Caller, content: bytes) -> Any:
    return await keeper.post(PATH, content=content, headers=CSV)


async def commit(keeper: Caller, report: Any, **body: Any) -> Any:
    return await keeper.post(f"{PATH}/{report['import_id']}/commit", body)


async def test_a_row_that_only_the_database_refuses_is_found_among_the_others(
    register: Register, keeper: Caller
) -> None:
    seats = [1] * 1200
    seats[3] = seats[777] = 100
    report = (await check(keeper, file(seats))).json()
    assert (report["created"], report["rejected"]) == (1198, 2)
    assert [(error["row"], error["code"]) for error in report["errors"]] == [
        (5, "refused_by_database"),
        (779, "refused_by_database"),
    ]
    assert len(register.chunks) < 60, "halving finds it; row by row would be a statement for each"
    assert await register.seats() == {}
    assert (await commit(keeper, report, skip_rejected=True)).json()["created"] == 1198
    assert await register.seats() == {number: 1 for number in range(2, 1202) if number not in {5, 779}}


async def test_what_is_no_rows_fault_fails_the_file_and_leaves_nothing(register: Register, keeper: Caller) -> None:
    async def has_no_such_table(session: AsyncSession, rows: Sequence[Any]) -> None:
        if rows[0].number > 500:
            await session.execute(text("SELECT FROM no_such_table"))

    register.beforehand = has_no_such_table
    answer = await check(keeper, file([1] * 600))
    assert (answer.status_code, answer.json()["code"], register.chunks) == (500, "internal", [500, 100])
    assert await register.running.rows("SELECT FROM import_file UNION ALL SELECT FROM frame_seat") == []


async def test_a_dry_run_holds_the_locks_of_one_chunk_at_a_time(register: Register, keeper: Caller) -> None:
    await commit(keeper, (await check(keeper, file([1] * 600))).json())
    locked: list[bool] = []

    async def look_at_the_first_row(_session: AsyncSession, _rows: Sequence[Any]) -> None:
        async with register.running.database.session() as other:
            free = await other.execute(text("SELECT 1 FROM frame_seat WHERE number = 2 FOR UPDATE SKIP LOCKED"))
            locked.append(free.all() == [])

    register.beforehand = look_at_the_first_row
    report = (await check(keeper, file([2] * 600))).json()
    await commit(keeper, report)
    assert locked == [False, False, False, True], "two chunks of the check, two of the commit"


async def test_others_are_served_while_a_file_is_looked_through(register: Register, keeper: Caller) -> None:
    begun, served = threading.Event(), threading.Event()

    def waits_for_the_other(seats: int) -> int:
        begun.set()
        assert served.wait(10), "nobody else was served"
        return seats

    register.look = waits_for_the_other
    checking = asyncio.create_task(check(keeper, file([1])))
    assert await asyncio.to_thread(begun.wait, 10)
    assert (await keeper.get("/health/live")).status_code == 200
    served.set()
    assert (await checking).json()["created"] == 1


async def test_one_file_is_worked_on_at_a_time_and_the_next_is_told_to_come_again(
    register: Register, keeper: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.service.imports.routes._PATIENCE", 0.05)
    leave = await register.running.desk.lines.enter(("imports",), width=1, patience=1)
    answer = await check(keeper, file([1]))
    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "unavailable", "5")
    assert "Another file" in answer.json()["detail"]
    assert "別のファイル" in answer.json()["detail_ja"]
    leave()
    assert (await check(keeper, file([1]))).status_code == 201
    assert (await check(keeper, file([]))).status_code == 422
    assert (await check(keeper, file([1]))).status_code == 201, "a refused file gives its turn back"
