"""The play keeps its own promise on a slow machine, where news may take longer than a short hold lasts."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from demo import play
from demo.client import Agency, Refused
from demo.persons import invent

NOON = datetime(2099, 1, 10, 12, tzinfo=UTC)


class SlowDesk(Agency):
    """Its referral is taken at the third attempt, and each attempt takes a minute."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        super().__init__("http://platform.test", "kagoshima-desk", "", client)
        self.now = NOON
        self.held_for = list[timedelta]()

    async def post(self, path: str, body: Any = None, *, key: str | None = None) -> Any:
        """The case is not known yet, twice."""
        self.held_for.append(datetime.fromisoformat(body["hold_until"]) - self.now)
        self.now += timedelta(minutes=1)
        if len(self.held_for) < 3:
            raise Refused(
                httpx2.Response(
                    404,
                    headers={"content-type": "application/problem+json"},
                    json={"code": "not_found"},
                    request=httpx2.Request("POST", self.base + path),
                )
            )
        return {"referral_id": "r"}

    async def get(self, path: str, **params: Any) -> Any:
        """Training has answered."""
        return {"progress": None, "state": "declined", "reason": "course_full"}

    async def every(self, path: str, **params: Any) -> list[Any]:
        """No seat."""
        return []


async def test_a_short_hold_counts_from_the_attempt_that_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    async with httpx2.AsyncClient() as client:
        desk, person = SlowDesk(client), invent(1, seed=7)[0]
        monkeypatch.setattr(play, "wall_time", lambda: desk.now)
        await play._ask_for_seat(play.Stage(desk.base, {}), person, desk, "course", began=0)
    assert desk.held_for == [play.SHORT_HOLD] * 3
