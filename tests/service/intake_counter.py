"""A case with everything on its sheet, and how it is read on the different grounds that there are."""

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


async def opened(desk: Caller, **body: Any) -> str:
    answer = await desk.post("/v1/cases", {"person": SHEET} | body)
    assert answer.status_code == 201, answer.text
    return f"/v1/cases/{answer.json()['case_id']}"


async def read(caller: Caller, path: str, purpose: str = "support", **params: str) -> tuple[int, Any]:
    answer = await caller.get(f"{path}/person", params={"purpose": purpose} | params)
    body = answer.json()
    return answer.status_code, set(body["person"]) if answer.status_code == 200 else body["code"]


async def logged(intake: Running, *columns: str) -> list[tuple[Any, ...]]:
    rows = await intake.rows(f"SELECT {', '.join(columns)} FROM access_log ORDER BY id")
    return [tuple(row) for row in rows]


async def everything(intake: Running) -> str:
    """The whole schema as text, bytes as hex."""
    tables = await intake.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'intake'")
    rows = [row[0] for (table,) in tables for row in await intake.rows(f"SELECT t::text FROM {table} t")]
    return "\n".join(rows)
