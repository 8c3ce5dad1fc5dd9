"""What happens at a counter: a case is opened, with a sheet or without, and read; and what is then in the tables."""

from datetime import timedelta
from typing import Any

from shared.service import day_in_japan
from shared.service.clock import wall_time
from tests.world import Caller, Running

SHEET = {
    "name": "架空 花子",
    "phone": "099-000-0000",
    "health_note": "腰を痛めている",
    "family_note": "母と二人",
    "story": "仕事を失った",
    "proxy_name": "架空 太郎",
}


def today(intake: Running, days: int = 0) -> str:
    return (day_in_japan(wall_time() + intake.desk.clock.offset) + timedelta(days=days)).isoformat()


async def taken_up(caller: Caller, **body: Any) -> dict[str, Any]:
    """A new case, as it is answered."""
    answer = await caller.post("/v1/cases", body)
    assert answer.status_code == 201, answer.text
    case: dict[str, Any] = answer.json()
    return case


async def opened(caller: Caller, **body: Any) -> str:
    """The id of a new case."""
    return str((await taken_up(caller, **body))["case_id"])


async def with_sheet(caller: Caller, **body: Any) -> str:
    """The path of a new case with something in every set of its sheet."""
    return f"/v1/cases/{await opened(caller, **{'person': SHEET} | body)}"


async def read(caller: Caller, path: str, purpose: str = "support", **params: str) -> tuple[int, Any]:
    answer = await caller.get(f"{path}/person", params={"purpose": purpose} | params)
    body = answer.json()
    return answer.status_code, set(body["person"]) if answer.status_code == 200 else body["code"]


async def logged(intake: Running, *columns: str) -> list[tuple[Any, ...]]:
    rows = await intake.rows(f"SELECT {', '.join(columns)} FROM access_log ORDER BY id")
    return [tuple(row) for row in rows]


async def everything(intake: Running) -> dict[str, str]:
    """The whole schema as text, table by table; bytes as hex."""
    tables = await intake.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'intake'")
    assert len(tables) > 15, "a look into nothing finds nothing"
    return {
        table: "\n".join(row for (row,) in await intake.rows(f"SELECT t::text FROM {table} t")) for (table,) in tables
    }


async def in_the_clear(intake: Running, *words: str) -> list[tuple[str, str]]:
    """Which of the words stand in which table of the schema, as they are or as bytes."""
    return [
        (table, word)
        for table, rows in (await everything(intake)).items()
        for word in words
        if word in rows or word.encode().hex() in rows
    ]
