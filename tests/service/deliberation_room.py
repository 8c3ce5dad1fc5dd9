"""A sub-committee for tests: set up over HTTP, with members, meetings and motions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx2

from shared.auth import Role
from shared.service import day_in_japan
from tests.world import KAGOSHIMA, KIRISHIMA, Caller, Running

MORE_THAN_HALF = {"parts": 1, "of": 2, "more_than": True}
RULES = {"quorum": MORE_THAN_HALF, "majority": MORE_THAN_HALF, "chair_breaks_ties": False, "ratify_within": 5}
CHAIR, CITY, JEED, WORK, SCHOOL = (
    "kagoshima-bureau",
    "kagoshima-city",
    "jeed-kagoshima",
    "hello-work-kagoshima",
    "kagoshima-school",
)
VOTERS = (CHAIR, CITY, JEED, WORK)


def planner(training: Running, prefecture: str = "46") -> Caller:
    """The prefecture's planners, who keep the record."""
    return training.as_("kencho-planner", Role.PLANNER, municipalities=[f"prefecture:{prefecture}"])


def body_of(training: Running, agency: str) -> Caller:
    """A member body's own system, which serves a town and not the prefecture."""
    return training.as_(agency, Role.COUNSELLOR, municipalities=[KAGOSHIMA])


async def done(answer: httpx2.Response | Any, status: int = 200) -> Any:
    """What was answered, if all was well."""
    answer = await answer if not isinstance(answer, httpx2.Response) else answer
    assert answer.status_code == status, answer.text
    return answer.json()


async def code(answer: httpx2.Response) -> str:
    """Which rule was named; it is told in both languages, with a remedy."""
    problem = answer.json()
    assert problem["title_ja"]
    assert problem["detail_ja"]
    assert problem["detail"]
    return str(problem["code"])


def line(seats: int = 4, municipalities: Sequence[str] = (KAGOSHIMA,), **more: Any) -> dict[str, Any]:
    """An allotment of web design in the fiscal year 2026."""
    courses = {} if "course_number" in more else {"fiscal_year": 2026, "field": "web_design"}
    return {"municipalities": list(municipalities), "seats": seats, "cut_off_on": "2027-03-01", **courses, **more}


@dataclass
class Room:
    """A sub-committee of four voting members and an adviser, and whoever acts in it."""

    training: Running
    id: str = ""
    seats: dict[str, str] = field(default_factory=dict)

    @property
    def keeper(self) -> Caller:
        """Who keeps the record."""
        return planner(self.training)

    @property
    def path(self) -> str:
        """The sub-committee's address."""
        return f"/v1/sub-committees/{self.id}"

    async def now(self) -> datetime:
        """The service's time."""
        async with self.training.database.transaction() as session:
            now: datetime = await self.training.desk.clock.now(session)
            return now

    async def today(self, days: int = 0) -> date:
        """A day from today."""
        return day_in_japan(await self.now()) + timedelta(days=days)

    async def set_up(self, **rules: Any) -> "Room":
        """Set it up, and seat everybody."""
        body = {
            "prefecture": "46",
            "name": "委託訓練等分科会",
            "set_up_by": "鹿児島県地域職業能力開発促進協議会",
            "in_force_from": "2022-10-01",
            "rules": RULES | rules,
        }
        self.id = (await done(self.keeper.post("/v1/sub-committees", body), 201))["sub_committee_id"]
        for agency in VOTERS:
            await self.seat(agency, presides=agency == CHAIR)
        await self.seat(SCHOOL, voting=False)
        return self

    async def seat(self, agency: str, **more: Any) -> str:
        """A member; the newest seat of an agency is remembered."""
        body = {"agency": agency, "office": "担当課長", "voting": True, "from_on": "2022-10-01"} | more
        self.seats[agency] = (await done(self.keeper.post(f"{self.path}/members", body), 201))["member_id"]
        return self.seats[agency]

    def motion(self, **more: Any) -> dict[str, Any]:
        """A motion that delegates four seats to Kagoshima."""
        return {
            "about": "delegated_quota",
            "title": "委ねる枠",
            "proposed_by": CITY,
            "effective_from": "2026-04-01",
            "allotments": [line()],
        } | more

    async def table(self, **more: Any) -> str:
        """Table it."""
        tabled = await done(self.keeper.post(f"{self.path}/motions", self.motion(**more)), 201)
        return str(tabled["motion_id"])

    async def plan(self, motions: Sequence[str], *, answers_by: datetime | None = None) -> str:
        """A meeting of today, or a written resolution, with the motions on its agenda."""
        body = (
            {"held_on": (await self.today()).isoformat()}
            if answers_by is None
            else {"answers_by": answers_by.isoformat()}
        )
        meeting = (await done(self.keeper.post(f"{self.path}/meetings", body), 201))["meeting_id"]
        for motion in motions:
            item = {"title": "案の審議", "motion_id": motion}
            await done(self.keeper.post(f"{self.path}/meetings/{meeting}/agenda", item), 201)
        return str(meeting)

    async def meet(self, *motions: str, present: Sequence[str] = VOTERS, answers_by: datetime | None = None) -> str:
        """A meeting in which votes can be taken."""
        meeting = await self.plan(motions, answers_by=answers_by)
        await done(self.keeper.post(f"{self.path}/meetings/{meeting}/convene", {}))
        if answers_by is None:
            there = {"present": [self.seats[agency] for agency in present]}
            await done(self.keeper.post(f"{self.path}/meetings/{meeting}/hold", there))
        return meeting

    async def put(self, motion: str, meeting: str) -> Any:
        """Put it to the vote."""
        return await self.keeper.post(f"/v1/motions/{motion}/put", {"meeting_id": meeting})

    async def vote(
        self, motion: str, agency: str, choice: str = "for", *, by: Caller | None = None, **more: Any
    ) -> httpx2.Response:
        """An agency's vote, by its own token unless somebody else writes it down."""
        caller = by or body_of(self.training, agency)
        body = {"member_id": self.seats[agency], "choice": choice} | more
        return await caller.post(f"/v1/motions/{motion}/votes", body)

    async def conclude(self, motion: str) -> httpx2.Response:
        """Count."""
        return await self.keeper.post(f"/v1/motions/{motion}/conclude", {})

    async def voted(self, motion: str, choices: Mapping[str, str], **meeting: Any) -> dict[str, Any]:
        """A whole vote in a meeting of those who vote, and what it came to."""
        held = await self.meet(motion, **({"present": list(choices)} | meeting))
        await done(self.put(motion, held))
        for agency, choice in choices.items():
            await done(self.vote(motion, agency, choice), 201)
        concluded: dict[str, Any] = await done(self.conclude(motion))
        await done(self.keeper.post(f"{self.path}/meetings/{held}/close", {}))
        return concluded

    async def decide(self, **more: Any) -> str:
        """A motion that everybody is for: the decision."""
        concluded = await self.voted(await self.table(**more), dict.fromkeys(VOTERS, "for"))
        assert concluded["outcome"] == "passed", concluded
        return str(concluded["decision_id"])

    async def decided(self, course_number: str) -> list[str]:
        """What is decided on a course run by its number, and may be superseded."""
        rows = await self.training.rows(
            "SELECT DISTINCT d.id FROM decision d JOIN decision_allotment a ON a.decision_id = d.id"
            " WHERE a.course_number = $1 AND decision_closes_at(d.id, $2) > $2",
            course_number,
            await self.now(),
        )
        return [str(row["id"]) for row in rows]

    async def decide_urgently(self, motion: str, agency: str = CHAIR) -> httpx2.Response:
        """The chair decides."""
        return await self.keeper.post(f"/v1/motions/{motion}/decide-urgently", {"member_id": self.seats[agency]})

    async def decision(self, decision_id: str) -> dict[str, Any]:
        """A decision as it stands."""
        found: dict[str, Any] = await done(self.keeper.get(f"/v1/decisions/{decision_id}"))
        return found

    async def state(self, decision_id: str) -> str:
        """Where it stands, and the database's own answer for seats is the same."""
        found = await self.decision(decision_id)
        rows = await self.training.rows(
            "SELECT decision_in_force(id, $2) AS granted FROM decision_allotment WHERE decision_id = $1",
            UUID(decision_id),
            await self.now(),
        )
        assert {row["granted"] for row in rows} <= {found["state"] == "in_force"}
        return str(found["state"])


async def entrust(training: Running) -> None:
    """Decide once that either town has all the seats that a test may delegate to it, whatever the course."""
    if not await training.rows("SELECT FROM decision"):
        room = await the_room(training)
        years, towns = (2026, 2027), (KAGOSHIMA, KIRISHIMA)
        await room.decide(
            allotments=[line(10_000, [town], fiscal_year=year, field=None) for year in years for town in towns]
        )


async def the_room(training: Running) -> Room:
    """The prefecture's sub-committee; set up, if it is not there yet."""
    room = Room(training)
    found = await room.keeper.whole("/v1/sub-committees")
    if not found:
        return await room.set_up()
    room.id = found[0]["sub_committee_id"]
    members = await room.keeper.whole(f"{room.path}/members")
    room.seats = {each["agency"]: each["member_id"] for each in members}
    return room


__all__ = [
    "CHAIR",
    "CITY",
    "JEED",
    "KAGOSHIMA",
    "KIRISHIMA",
    "RULES",
    "SCHOOL",
    "VOTERS",
    "WORK",
    "Room",
    "body_of",
    "code",
    "done",
    "entrust",
    "line",
    "planner",
    "the_room",
]
