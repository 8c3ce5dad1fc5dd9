"""Do the counts agree everywhere? Each check compares what two services say, asked over HTTP, and says so in a line."""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from demo.client import PATIENCE, eventually
from demo.play import OBSERVER, Played

LIVE = {"held", "nominated", "countersigned", "instructed", "enrolled"}


@dataclass(frozen=True, slots=True)
class Check:
    """One comparison."""

    name: str
    name_ja: str
    ok: bool
    seen: str


async def check(played: Played) -> list[Check]:
    """Every comparison. News may still be on its way, so what doesn't agree yet is looked at again for a minute;
    what was lost or doubled will not agree then either."""
    ends = time.monotonic() + PATIENCE
    while True:
        checks = await _compare(played)
        if all(each.ok for each in checks) or time.monotonic() > ends:
            return checks
        await asyncio.sleep(1)


async def _compare(played: Played) -> list[Check]:
    events = await _all_events(played)
    requests, timelines = await _requests_and_timelines(played)
    return [
        _opened_once(played, events),
        _no_event_twice(events),
        _one_request_each(played, requests),
        *await _popular_course(played, requests),
        _upstream(played, requests, timelines),
        _events_match(requests, events),
    ]


async def _all_events(played: Played) -> list[Mapping[str, Any]]:
    """The feed since the play began, once it holds every case and nothing more comes."""
    observer = played.stage.agencies[OBSERVER]
    wanted = {person.case_id for person in played.persons}

    async def read() -> list[Mapping[str, Any]]:
        events: list[Mapping[str, Any]] = []
        after = played.stage.feed_from
        while True:
            page = await observer.get("/dashboard/v1/feed", after=after, limit=500)
            events += page["items"]
            if not page["items"]:
                return events
            after = page["items"][-1]["seq"]

    def complete(events: Sequence[Mapping[str, Any]]) -> bool:
        return wanted <= {event["event"]["subject"] for event in events}

    events: list[Mapping[str, Any]] = await eventually(read, until=complete, what="every case in the feed")
    before = -1
    while len(events) != before:
        before = len(events)
        await asyncio.sleep(0.5)
        events = await read()
    return [entry["event"] | {"seq": entry["seq"]} for entry in events]


async def _requests_and_timelines(played: Played) -> tuple[dict[str, list[Any]], dict[str, list[Any]]]:
    requests, timelines = {}, {}
    for person in played.persons:
        desk = played.stage.agencies[person.agency]
        requests[person.case_id] = await desk.every("/training/v1/seat-requests", case_id=person.case_id)
        timelines[person.case_id] = await desk.every(f"/intake/v1/cases/{person.case_id}/timeline")
    return requests, timelines


def _opened_once(played: Played, events: Sequence[Mapping[str, Any]]) -> Check:
    opened = Counter(event["subject"] for event in events if event["type"].endswith(".case-opened.v1"))
    ours = [opened[person.case_id] for person in played.persons]
    return Check(
        "every person's case was told once",
        "全員の相談受付が一度ずつ伝わった",
        ours == [1] * len(ours),
        f"{sum(ours)} / {len(ours)}",
    )


def _no_event_twice(events: Sequence[Mapping[str, Any]]) -> Check:
    seen = Counter(event["id"] for event in events)
    gaps = [b["seq"] - a["seq"] for a, b in pairwise(events)]
    ok = max(seen.values(), default=0) == 1 and all(gap == 1 for gap in gaps)
    return Check("no event twice, no gap in the feed", "イベントの重複・抜けがない", ok, f"{len(events)} events")


def _one_request_each(played: Played, requests: Mapping[str, Sequence[Any]]) -> Check:
    wanted = sum(bool(person.seat_request_id) for person in played.persons)
    found = [len(requests[person.case_id]) for person in played.persons if person.seat_request_id]
    return Check(
        "one seat request for each person who asked",
        "席の申込は一人一件",
        found == [1] * wanted,
        f"{sum(found)} / {wanted}",
    )


async def _popular_course(played: Played, requests: Mapping[str, Sequence[Any]]) -> list[Check]:
    stage = played.stage
    run = await stage.agencies[OBSERVER].get("/dashboard/v1/figures")
    shown = next(seats for seats in run["seats"] if seats["course_run_id"] == stage.popular)
    course = await stage.agencies["kagoshima-desk"].get(f"/training/v1/course-runs/{stage.popular}")
    states = Counter(r["state"] for found in requests.values() for r in found if r["course_run_id"] == stage.popular)
    taken = sum(states[state] for state in LIVE)
    granted, held, filled, waiting = (
        sum(p[k] for p in course["pools"]) for k in ("granted", "held", "filled", "waiting")
    )
    idle = [p for p in course["pools"] if p["waiting"] and p["granted"] - p["held"] - p["filled"] > 0]
    same = _numbers(course["pools"]) == _numbers(shown["pools"])
    return [
        Check("nothing oversold", "定員を超えた席がない", held + filled <= granted, f"{held}+{filled} ≤ {granted}"),
        Check("seats = persons with one", "席の数=席を得た人の数", held + filled == taken, f"{taken}"),
        Check("the line = persons waiting", "待ちの数=待つ人の数", waiting == states["waiting"], f"{waiting}"),
        Check("no idle seat beside a waiting person", "待つ人がいるのに空く席がない", not idle, f"{len(idle)}"),
        Check("the dashboard shows what training knows", "画面の数=訓練の数", same, f"{len(course['pools'])} pools"),
    ]  # fmt: skip


def _numbers(pools: Sequence[Mapping[str, Any]]) -> dict[str, tuple[int, ...]]:
    return {p["pool_id"]: (p["granted"], p["held"], p["filled"], p["waiting"]) for p in pools}


def _upstream(played: Played, requests: Mapping[str, Sequence[Any]], timelines: Mapping[str, Sequence[Any]]) -> Check:
    """What happened downstream stands in the case's timeline in intake, without anybody having asked."""
    missing = 0
    for person in played.persons:
        kinds = {entry["kind"] for entry in timelines[person.case_id]}
        for request in requests[person.case_id]:
            state = request["state"]
            wanted = {
                "waiting": {"seat_waitlisted"},
                "released": {"seat_released"},
                "instructed": {"instruction_issued"},
                "enrolled": {"instruction_issued", "enrolled"},
            }.get(state, {"seat_held"})
            missing += not wanted <= kinds
    return Check("outcomes came back to the case", "結果が相談の記録に戻っている", missing == 0, f"{missing} missing")


def _events_match(requests: Mapping[str, Sequence[Any]], events: Sequence[Mapping[str, Any]]) -> Check:
    enrolled = sum(request["state"] == "enrolled" for found in requests.values() for request in found)
    told = sum(event["type"].endswith(".enrolled.v1") and event["subject"] in requests for event in events)
    return Check("enrolments told = enrolments made", "受講開始の数が一致", enrolled == told, f"{told} = {enrolled}")
