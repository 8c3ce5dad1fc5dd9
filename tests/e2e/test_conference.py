"""A decision of a conference arrives as its effect in the other service, over the real bus, once; also when killed."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from rich.console import Console

from demo.client import Agency, eventually
from demo.load import load_region
from embedded.postgres import EmbeddedPostgres
from shared.service.clock import day_in_japan, wall_time
from tests.e2e.processes import Platform, one_process_each, wait_until_ready

pytestmark = pytest.mark.slow

CASES = 8
KILLS = 8
KILLED = ("assessment", "referral", "training", "intake")
MEMBERS = [
    {"agency": "kagoshima-desk", "profession": "self_reliance_counsellor"},
    {"agency": "npo-hinata", "profession": "employment_supporter"},
]


@pytest.fixture
async def on_postgres(folder: Path, postgres: EmbeddedPostgres, database_name: str) -> AsyncIterator[Platform]:
    """One process per service over the log in PostgreSQL."""
    platform = one_process_each(folder, postgres, database_name, None)
    yield platform
    platform.end()


async def test_decisions_arrive_once_whichever_service_is_killed_meanwhile(on_postgres: Platform) -> None:
    await _decide_and_kill(on_postgres)


@pytest.mark.kafka
async def test_decisions_arrive_once_over_kafka_whichever_service_is_killed_meanwhile(separate: Platform) -> None:
    await _decide_and_kill(separate)


async def _decide_and_kill(platform: Platform) -> None:
    await load_region(platform.url, platform.keys, Console(quiet=True))
    async with httpx2.AsyncClient(trust_env=False, timeout=30) as client:
        desk = Agency.from_keys(platform.url, "kagoshima-desk", platform.keys, client)
        met = [await _in_session(desk, number) for number in range(CASES)]
        over = asyncio.Event()
        killer = asyncio.create_task(_kill_now_and_then(platform, over))
        for meeting in met:
            await desk.post(f"{meeting['path']}/conclude", {"present": MEMBERS[:1]})
            await asyncio.sleep(0.4)
        over.set()
        kills = await killer
        assert len(kills) >= KILLS, kills
        for meeting in met:
            await _arrived(desk, meeting)


async def _kill_now_and_then(platform: Platform, over: asyncio.Event) -> list[str]:
    """SIGKILL, begun again at once; on after the last conclusion, until it was often enough."""
    dice = random.Random(20261210)
    kills: list[str] = []
    while not over.is_set() or len(kills) < KILLS:
        await asyncio.sleep(dice.uniform(0.05, 0.8))
        name = KILLED[len(kills) % len(KILLED)]
        platform.kill(name)
        platform.begin(name)
        await asyncio.to_thread(wait_until_ready, f"{platform.url}/{name}/health/ready")
        kills.append(name)
    return kills


async def _in_session(desk: Agency, number: int) -> dict[str, Any]:
    """A conference that is about to conclude, with one decision of each kind."""
    consent = {"state": "given", "purposes": ["case_conference", "referral", "training"]}
    opened = await desk.post("/intake/v1/cases", {"topics": ["job_search"], "needs": ["people"], "consent": consent})
    case_id = opened["case_id"]
    found = await eventually(
        lambda: desk.get(f"/referral/v1/cases/{case_id}/candidates"),
        until=lambda answer: {item["kind"] for item in answer["items"]} == {"programme", "course_run"},
        what="candidates",
    )
    programmes = [i["id"] for i in found["items"] if i["kind"] == "programme" and i["agency_id"] != desk.agency]
    courses = [item["id"] for item in found["items"] if item["kind"] == "course_run"]
    body = {"lane": "consent", "held_on": day_in_japan(wall_time()).isoformat(), "members": MEMBERS}
    called = await eventually(
        lambda: desk.post(f"/assessment/v1/cases/{case_id}/conferences", body), what="the case in assessment"
    )
    path = f"/assessment/v1/conferences/{called['conference_id']}"
    await desk.post(f"{path}/open", {})
    due = (day_in_japan(wall_time()) + timedelta(days=30)).isoformat()
    own = {"owner": desk.agency, "due_on": due}
    decided = {
        "referral": own | {"programme_id": programmes[number % len(programmes)]},
        "seat": own | {"course_run_id": courses[number % len(courses)]},
        "action": own | {"owner": "npo-hinata", "words": "見学に同行する"},
        "reassessment": own,
        "consent_to_seek": own,
    }
    tasks = {
        kind: (await desk.post(f"{path}/decisions", {"decision": kind} | more))["task_id"]
        for kind, more in decided.items()
    }
    await desk.post(f"{path}/minutes", {"words": "進めることで一致した。"})
    return {"case_id": case_id, "path": path, "tasks": tasks, "decided": decided}


async def _arrived(desk: Agency, meeting: dict[str, Any]) -> None:
    case_id, decided = meeting["case_id"], meeting["decided"]
    referrals = await eventually(
        lambda: desk.every("/referral/v1/referrals", case_id=case_id),
        until=lambda found: len(found) >= 2,
        what="both referrals",
    )
    targets = Counter(referral["programme_id"] or referral["course_run_id"] for referral in referrals)
    assert targets == {decided["referral"]["programme_id"]: 1, decided["seat"]["course_run_id"]: 1}
    assert {referral["sender"] for referral in referrals} == {desk.agency}
    seats = await eventually(
        lambda: desk.every("/training/v1/seat-requests", case_id=case_id), what="a seat held, or a place in line"
    )
    assert [seat["course_run_id"] for seat in seats] == [decided["seat"]["course_run_id"]]
    whole = await eventually(
        lambda: desk.get(meeting["path"]),
        until=lambda found: (
            {d["state"] for d in found["decisions"] if d["decision"] in {"referral", "seat"}} == {"arrived"}
        ),
        what="the tasks know of their referrals",
    )
    assert {d["referral_id"] for d in whole["decisions"]} - {None} == {r["referral_id"] for r in referrals}
    expected = {"conference_called": 1, "conference_concluded": 1, "task_assigned": 5, "referral_sent": 2}
    counts = await eventually(
        lambda: _noted(desk, case_id), until=lambda found: found >= Counter(expected), what="the timeline"
    )
    assert {kind: counts[kind] for kind in expected} == expected


async def _noted(desk: Agency, case_id: str) -> Counter[str]:
    return Counter(entry["kind"] for entry in await desk.every(f"/intake/v1/cases/{case_id}/timeline"))
