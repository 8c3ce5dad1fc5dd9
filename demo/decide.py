"""The sub-committee (分科会) of the invented prefecture decides which seats are delegated, before any are."""

from collections import Counter
from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any, Protocol

from shared.service.clock import day_in_japan, wall_time

PREFECTURE = "46"
_COMMITTEES = "/training/v1/sub-committees"
_MEMBERS = ("kencho-bureau", "kagoshima-desk", "jeed-midori")
_MORE_THAN_HALF = {"parts": 1, "of": 2, "more_than": True}


class Planner(Protocol):
    """The prefecture's planner, whoever plays it."""

    async def get(self, path: str, **params: Any) -> Any:
        """What is answered."""

    async def post(self, path: str, body: Any) -> Any:
        """What is answered; a problem is raised."""


async def decide(planner: Planner, allotments: list[dict[str, Any]], *, title: str) -> None:
    """A motion, a meeting, a show of hands that the prefecture's planner writes down, and the decision."""
    committee = await _sub_committee(planner)
    path = f"{_COMMITTEES}/{committee}"
    today = day_in_japan(wall_time())
    motion = {
        "about": "delegated_quota",
        "title": title,
        "proposed_by": _MEMBERS[1],
        "effective_from": today.isoformat(),
        "allotments": allotments,
    }
    motion_id = (await planner.post(f"{path}/motions", motion))["motion_id"]
    members = [member["member_id"] for member in (await planner.get(f"{path}/members"))["items"]]
    meeting = (await planner.post(f"{path}/meetings", {"held_on": today.isoformat()}))["meeting_id"]
    await planner.post(f"{path}/meetings/{meeting}/agenda", {"title": title, "motion_id": motion_id})
    await planner.post(f"{path}/meetings/{meeting}/convene", {})
    await planner.post(f"{path}/meetings/{meeting}/hold", {"present": members})
    await planner.post(f"/training/v1/motions/{motion_id}/put", {"meeting_id": meeting})
    for member in members:
        await planner.post(f"/training/v1/motions/{motion_id}/votes", {"member_id": member, "choice": "for"})
    await planner.post(f"/training/v1/motions/{motion_id}/conclude", {})
    await planner.post(f"{path}/meetings/{meeting}/close", {})


async def has_decided(planner: Planner) -> bool:
    """Whether anything was decided before: the region may have been loaded by halves."""
    found = await planner.get("/training/v1/decisions", prefecture=PREFECTURE, limit=1)
    return bool(found["items"])


def allotment(municipality: str, seats: int, **courses: Any) -> dict[str, Any]:
    """So many seats to a municipality, of one course run or of a fiscal year's; unused ones return in half a year."""
    returns_on = day_in_japan(wall_time()) + timedelta(weeks=26)
    return {"municipalities": [municipality], "seats": seats, "cut_off_on": returns_on.isoformat(), **courses}


def allotments_of(delegated: Iterable[tuple[date, str]]) -> list[dict[str, Any]]:
    """What course runs delegate (「462012:4 462187:2」), by the fiscal year in which they begin."""
    seats: Counter[tuple[int, str]] = Counter()
    for starts_on, written in delegated:
        fiscal_year = starts_on.year - (starts_on.month < 4)
        for pair in written.split():
            municipality, _, number = pair.partition(":")
            seats[fiscal_year, municipality] += int(number)
    return [
        allotment(municipality, number, fiscal_year=fiscal_year)
        for (fiscal_year, municipality), number in sorted(seats.items())
    ]


async def _sub_committee(planner: Planner) -> str:
    found = (await planner.get(_COMMITTEES, prefecture=PREFECTURE))["items"]
    if found:
        return str(found[0]["sub_committee_id"])
    body = {
        "prefecture": PREFECTURE,
        "name": "(架空)委託訓練等分科会",
        "set_up_by": "(架空)地域職業能力開発促進協議会",
        "in_force_from": "2022-10-01",
        "rules": {
            "quorum": _MORE_THAN_HALF,
            "majority": _MORE_THAN_HALF,
            "chair_breaks_ties": False,
            "ratify_within": 5,
        },
    }
    committee = str((await planner.post(_COMMITTEES, body))["sub_committee_id"])
    for agency in _MEMBERS:
        member = {"agency": agency, "office": "(架空)課長", "voting": True, "from_on": "2022-10-01"}
        presides = {"presides": True} if agency == _MEMBERS[0] else {}
        await planner.post(f"{_COMMITTEES}/{committee}/members", member | presides)
    return committee
