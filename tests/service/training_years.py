"""Plans of training seats for tests: to record one, to do something with it, and the promises that must hold."""

import json
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx2

from tests.world import Caller, Running

PLANS = "/v1/training-plans"
ROOT = Path(__file__).resolve().parents[2]


def the_plan(name: str) -> dict[str, Any]:
    """A plan of DOMAIN.md 5, as it lies in demo/plans."""
    plan: dict[str, Any] = json.loads((ROOT / "demo" / "plans" / f"{name}.json").read_text(encoding="utf-8"))
    return plan


def part(key: str, seats: int, parent: str | None = None, **more: Any) -> dict[str, Any]:
    return {"key": key, "kind": "partition", "seats": seats} | ({"parent": parent} if parent else {}) | more


def a_plan(*lines: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A plan of last year, so that every quarter of it is over and nothing happens by itself."""
    plan = {
        "fiscal_year": 2022,
        "prefecture": "46",
        "effective_on": "2022-04-01",
        "decided_by": "協議会",
        "source": "試験",
        "lines": list(lines or YEAR),
    }
    return plan | changes


YEAR = [
    part("year", 60),
    *(part(f"q{n}", 30, "year", quarter=n) for n in (1, 2)),
    *(part(f"q{n}-it", 18, f"q{n}", field="it") for n in (1, 2)),
    *(part(f"q{n}-care", 12, f"q{n}", field="care") for n in (1, 2)),
]


async def recorded(caller: Caller, plan: dict[str, Any] | None = None) -> str:
    answer = await caller.post(PLANS, plan or a_plan())
    assert answer.status_code == 201, answer.text
    plan_id: str = answer.json()["plan_id"]
    return plan_id


async def act(caller: Caller, plan_id: str, what: str, *, command: UUID | None = None, **body: Any) -> httpx2.Response:
    body = {"command_id": str(command or uuid4()), "reason": "試験"} | body
    return await caller.post(f"{PLANS}/{plan_id}/{what}", body)


async def lines_of(caller: Caller, plan_id: str) -> dict[str, dict[str, Any]]:
    answer = await caller.get(f"{PLANS}/{plan_id}")
    assert answer.status_code == 200, answer.text
    return {line["key"]: line for line in answer.json()["lines"]}


async def standing(caller: Caller, plan_id: str, *keys: str) -> list[int]:
    found = await lines_of(caller, plan_id)
    return [found[key]["standing"] for key in keys]


def rules(answer: httpx2.Response, status: int = 409) -> list[str]:
    assert answer.status_code == status, answer.text
    return [error["code"] for error in answer.json()["errors"]]


async def broken_promises(training: Running) -> list[str]:
    """What must never be true after a commit, in words; empty while all is well."""
    rows = await training.rows(
        """
        WITH moved AS (
            SELECT plan_id, from_line AS line, -seats AS seats, (kind = 'opening')::int AS opening FROM plan_entry
            UNION ALL SELECT plan_id, to_line, seats, (kind = 'opening')::int FROM plan_entry
        ), replay AS (
            SELECT plan_id, line, sum(seats) AS seats, sum(seats * opening) AS planned FROM moved
            WHERE line IS NOT NULL GROUP BY plan_id, line
        )
        SELECT plan_id, line, a.seats, a.planned, r.seats AS replayed, r.planned AS opened
        FROM plan_account a FULL JOIN replay r USING (plan_id, line)
        """
    )
    broken = []
    totals: dict[UUID, int] = {}
    for row in rows:
        if (row["seats"], row["planned"]) != (row["replayed"], row["opened"]):
            broken.append(f"{row['line']} is not the sum of its entries")
        if row["seats"] is None or row["seats"] < 0:
            broken.append(f"{row['line']} is below nothing")
        totals[row["plan_id"]] = totals.get(row["plan_id"], 0) + (row["seats"] or 0)
    decided = await training.rows(
        """
        SELECT p.id, sum(l.seats) AS seats FROM plan p
        JOIN plan_line l ON l.plan_id = p.id AND l.version_no = p.in_force AND l.kind = 'partition' AND NOT EXISTS (
            SELECT FROM plan_line c WHERE c.plan_id = l.plan_id AND c.version_no = l.version_no AND c.parent = l.key
            AND c.kind = 'partition'
        ) GROUP BY p.id
        """
    )
    broken += ["seats came or went" for row in decided if totals.get(row["id"], 0) != row["seats"]]
    return broken
