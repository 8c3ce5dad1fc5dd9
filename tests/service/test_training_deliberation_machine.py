"""The sub-committee under anything that may happen: members come and go, motions are amended, voted on, decided alone.

The oracle below is written by hand. What contradicts what it finds by trying every fate that unratified decisions can
have; what is in force it says from the decisions it saw made. It reads nothing of the domain.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import count, product
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from shared.auth import Role
from shared.bus.envelope import open_envelope
from tests.service.deliberation_room import CHAIR, CITY, JEED, SCHOOL, VOTERS, WORK, Room, done, line
from tests.service.training_courses import moment
from tests.world import Caller, Running, World

PREFECTURES = (f"{number:02}" for number in count(1))
"""One for each example: a prefecture has one sub-committee, and all examples share a database."""


def code_of(prefecture: str, town: str) -> str:
    """A local government code with its check digit."""
    digits = prefecture + town
    total = sum(int(digit) * weight for digit, weight in zip(digits, (6, 5, 4, 3, 2), strict=True))
    return digits + str((11 - total % 11) % 10)


@dataclass(frozen=True)
class Made:
    """A decision that the oracle saw made."""

    id: str
    towns: frozenset[str]
    quarter: int | None
    begins: datetime
    ends: datetime | None = None
    limit: datetime | None = None
    ratified: bool = False
    refused_at: datetime | None = None
    instead_of: frozenset[str] = frozenset()

    def gone(self, at: datetime) -> bool:
        """Lapsed: unratified at its limit, or voted down."""
        if self.refused_at is not None:
            return at >= self.refused_at
        return self.limit is not None and not self.ratified and at >= self.limit

    def same_seats(self, other: "Made") -> bool:
        """Of the same town and quarter; no quarter is every quarter."""
        return bool(self.towns & other.towns) and (
            None in {self.quarter, other.quarter} or self.quarter == other.quarter
        )


def living(made: Sequence[Made], at: datetime) -> set[str]:
    """What is in force."""
    replaced = {old for each in made if each.begins <= at and not each.gone(at) for old in each.instead_of}
    return {
        each.id
        for each in made
        if each.begins <= at and (each.ends is None or at < each.ends) and not each.gone(at) and each.id not in replaced
    }


def against(made: Sequence[Made], new: Made, now: datetime) -> set[str]:
    """Every decision that could be in force beside the new one, whatever becomes of those that wait for a vote."""
    waiting = [each for each in (*made, new) if each.limit and not (each.ratified or each.gone(now))]
    found: set[str] = set()
    # A vote may turn it down at once; that it lapses at its limit may come after the new one has ended.
    ways: tuple[dict[str, Any], ...] = ({"ratified": True}, {"refused_at": now}, {})
    for fates in product(ways, repeat=len(waiting)):
        fate = {each.id: way for each, way in zip(waiting, fates, strict=True)}
        world = [replace(each, **fate.get(each.id, {})) for each in (*made, new)]
        moments = {at for each in world for at in (each.begins, each.ends, each.limit) if at and at >= now} | {now}
        for at in moments:
            alive = living(world, at)
            if new.id in alive:
                found |= {each.id for each in made if each.id in alive and each.same_seats(new)}
    return found


@dataclass
class Draft:
    """A motion as the oracle knows it."""

    id: str
    town: tuple[str, ...]
    quarter: int | None
    days: int | None
    version: int = 1
    instead_of: frozenset[str] = frozenset()
    state: str = "open"
    decision: str | None = None


@dataclass
class Story(Room):
    """A sub-committee of a prefecture of its own, with what the oracle knows."""

    prefecture: str = ""
    drafts: list[Draft] = field(default_factory=list)
    made: list[Made] = field(default_factory=list)
    voting: dict[str, datetime | None] = field(default_factory=dict)
    """Agencies with a vote, and the moment from which they have none."""
    refused: int = 0

    @property
    def keeper(self) -> Caller:
        """This prefecture's planner."""
        return self.training.as_("kencho-planner", Role.PLANNER, municipalities=[f"prefecture:{self.prefecture}"])

    def town(self, number: int) -> str:
        """A town of this prefecture."""
        return code_of(self.prefecture, f"20{number}")

    async def begin(self) -> None:
        """As in the other tests, in another prefecture."""
        rules = {"quorum": HALF, "majority": HALF, "chair_breaks_ties": False, "ratify_within": 2}
        body = {"prefecture": self.prefecture, "name": "分科会", "set_up_by": "協議会", "rules": rules}
        body |= {"in_force_from": "2022-10-01"}
        self.id = (await done(self.keeper.post("/v1/sub-committees", body), 201))["sub_committee_id"]
        for agency in VOTERS:
            await self.seat(agency, presides=agency == CHAIR)
            self.voting[agency] = None
        await self.seat(SCHOOL, voting=False)

    # --- what may happen ---

    async def table_one(self, towns: tuple[int, ...], quarter: int | None, days: int | None) -> None:
        draft = Draft("", tuple(map(self.town, towns)), quarter, days)
        body = await self._body(draft) | {"about": "delegated_quota", "proposed_by": CITY}
        answer = await done(self.keeper.post(f"{self.path}/motions", body), 201)
        self.drafts.append(replace(draft, id=answer["motion_id"]))

    async def _body(self, draft: Draft) -> dict[str, Any]:
        today = await self.today()
        lines = [line(2, draft.town, field="it", quarter=draft.quarter, cut_off_on=today.isoformat())]
        body: dict[str, Any] = {"title": "枠", "effective_from": today.isoformat(), "allotments": lines}
        if draft.days is not None:
            body["ends_on"] = (today + timedelta(days=draft.days)).isoformat()
        return body | {"supersedes": sorted(draft.instead_of)}

    async def amend(self, draft: Draft, instead_of: frozenset[str] = frozenset()) -> None:
        """Name what it is to supersede, with the days counted anew."""
        draft.instead_of = instead_of
        body = await self._body(draft)
        headers = {"If-Match": f'"{draft.version}"'}
        answer = await self.keeper.post(f"/v1/motions/{draft.id}/amend", body, headers=headers)
        if draft.state != "open":
            assert answer.status_code == 409, answer.text
            return
        assert answer.status_code == 200, answer.text
        draft.version += 1

    async def _wanted(self, draft: Draft, *, urgent: bool) -> Made:
        """As it would be decided now, but for the exact moment."""
        (version,) = (await done(self.keeper.get(f"/v1/motions/{draft.id}")))["versions"][-1:]
        now = await self.now()
        ends = version["ends_on"] and moment(f"{version['ends_on']}T00:00:00+09:00") + timedelta(days=1)
        limit = now + timedelta(days=2) if urgent else None
        return Made("new", frozenset(draft.town), draft.quarter, now, ends, limit, instead_of=draft.instead_of)

    async def _stands_against(self, draft: Draft, *, urgent: bool) -> set[str] | None:
        """What stands against it, given what it names; None if it would be over or in vain, or names what is gone."""
        (version,) = (await done(self.keeper.get(f"/v1/motions/{draft.id}")))["versions"][-1:]
        today = (await self.today()).isoformat()
        if any(each["cut_off_on"] < today for each in version["allotments"]):
            return None
        wanted = await self._wanted(draft, urgent=urgent)
        if wanted.ends is not None and wanted.ends <= wanted.begins:
            return None
        named = against(self.made, replace(wanted, instead_of=frozenset()), wanted.begins)
        if not draft.instead_of <= named:
            return None
        return against(self.made, wanted, wanted.begins) - draft.instead_of

    async def named(self, draft: Draft, *, urgent: bool) -> None:
        """Amended so that it names everything that it contradicts."""
        if draft.state == "open":
            draft.instead_of = frozenset()
            await self.amend(draft)
            wanted = await self._wanted(draft, urgent=urgent)
            await self.amend(draft, frozenset(against(self.made, wanted, wanted.begins)))

    async def urgently(self, draft: Draft, agency: str) -> None:
        legal = draft.state == "open"
        stands = await self._stands_against(draft, urgent=True) if legal else None
        if not legal or agency != CHAIR or stands is None or stands:
            answer = await self.decide_urgently(draft.id, agency)
            assert answer.status_code == 409, answer.text
            self.refused += 1
            return
        self._take(draft, await done(self.decide_urgently(draft.id, agency)))
        await self._read(draft)

    def _take(self, draft: Draft, answer: dict[str, Any]) -> None:
        draft.state, draft.decision = "decided", answer["decision_id"]

    async def _read(self, draft: Draft) -> None:
        assert draft.decision is not None
        found = await self.decision(draft.decision)
        now = await self.now()
        assert moment(found["decided_at"]) == moment(found["effective_at"]) <= now
        limit = found["ratify_before"] and moment(found["ratify_before"])
        self.made.append(
            Made(
                draft.decision,
                frozenset(draft.town),
                draft.quarter,
                moment(found["effective_at"]),
                found["ends_at"] and moment(found["ends_at"]),
                limit,
                instead_of=draft.instead_of,
            )
        )

    async def go_to_vote(self, draft: Draft, there: str, choices: str) -> None:
        """`there`: who of the four comes; `choices`: what each of them says."""
        now = await self.now()
        sitting = [agency for agency in VOTERS if (until := self.voting[agency]) is None or now < until]
        present = [agency for agency, comes in zip(VOTERS, there, strict=True) if comes == "y" and agency in sitting]
        meeting = await self.meet(draft.id, present=[*present, SCHOOL])
        made = next((each for each in self.made if each.id == draft.decision), None)
        ratifying = made is not None and made.limit is not None and not made.ratified and not made.gone(now)
        stands = await self._stands_against(draft, urgent=False) if draft.state == "open" else None
        answer = await self.put(draft.id, meeting)
        if not ratifying and (draft.state != "open" or stands is None or stands):
            assert answer.status_code == 409, (answer.text, draft, self.made)
            self.refused += 1
        else:
            assert answer.status_code == 200, (answer.text, draft, self.made)
            await self._vote(draft, made, sitting, dict(zip(present, choices, strict=False)))
        await done(self.keeper.post(f"{self.path}/meetings/{meeting}/close", {}))

    async def _vote(self, draft: Draft, made: Made | None, sitting: list[str], said: dict[str, str]) -> None:
        assert (await self.vote(draft.id, SCHOOL)).status_code == 409, "an adviser"
        for agency, choice in said.items():
            await done(self.vote(draft.id, agency, choice), 201)
            assert (await self.vote(draft.id, agency, choice)).status_code == 409, "twice"
        concluded = await done(self.conclude(draft.id))
        fors = list(said.values()).count("for")
        expected = "no_quorum"
        if 2 * len(said) > len(sitting):
            expected = "passed" if 2 * fors > len(said) else "rejected"
        assert concluded["outcome"] == expected, (said, sitting)
        if made is not None:
            fate = {"passed": {"ratified": True}, "rejected": {"refused_at": await self._refused_at(made)}}
            self.made[self.made.index(made)] = replace(made, **fate.get(expected, {}))  # type: ignore[arg-type]
        elif expected == "passed":
            self._take(draft, concluded)
            await self._read(draft)
        elif expected == "rejected":
            draft.state = "rejected"

    async def _refused_at(self, made: Made) -> datetime | None:
        rows = await self.training.rows(
            "SELECT at FROM ratification WHERE decision_id = $1 AND outcome = 'refused'", UUID(made.id)
        )
        return rows[0]["at"] if rows else None

    async def come_or_go(self, agency: str) -> None:
        """A body leaves with the end of today, or is seated anew from then on."""
        tomorrow = await self.today(1)
        begin = moment(f"{tomorrow}T00:00:00+09:00")
        if self.voting[agency] is None:
            body = {"until_on": (await self.today()).isoformat()}
            await done(self.keeper.post(f"{self.path}/members/{self.seats[agency]}/end", body))
            self.voting[agency] = begin
        elif await self.now() >= (self.voting[agency] or begin):
            await self.seat(agency, presides=agency == CHAIR, from_on=(await self.today()).isoformat())
            self.voting[agency] = None

    async def withdraw(self, draft: Draft) -> None:
        answer = await self.keeper.post(f"/v1/motions/{draft.id}/withdraw", {})
        assert answer.status_code == (200 if draft.state == "open" else 409), answer.text
        draft.state = "withdrawn" if draft.state == "open" else draft.state

    # --- what must be so ---

    async def check(self) -> None:
        """What is in force now, and at the end of some days to come, is what the oracle says."""
        for days in (0, 1, 4, 9):
            day = await self.today(days)
            now = await self.now()
            at = now if days == 0 else moment(f"{day}T23:59:59.999999+09:00")
            found = await self.keeper.whole("/v1/decisions", prefecture=self.prefecture, in_force_on=day.isoformat())
            if living(self.made, now) != living(self.made, await self.now()):
                continue  # A boundary lies in between: the next look will see it.
            assert {each["decision_id"] for each in found} == living(self.made, at), (at, self.made)
            rows = await self.training.rows(
                "SELECT a.decision_id FROM decision_allotment a JOIN decision d ON d.id = a.decision_id"
                " WHERE d.sub_committee_id = $1 AND decision_in_force(a.id, $2)",
                UUID(self.id),
                at,
            )
            assert {str(row["decision_id"]) for row in rows} == living(self.made, at)
            alive = [each for each in self.made if each.id in living(self.made, at)]
            assert not any(one.same_seats(other) for one in alive for other in alive if one is not other)

    async def check_told(self) -> None:
        """Each decision was told, and each that lapsed, once."""
        await self.training.sweep()
        now = await self.now()
        rows = await self.training.rows("SELECT key, value FROM outbox ORDER BY seq")
        told = [(open_envelope(row["value"], {}).type.split(".")[3], row["key"]) for row in rows]
        for each in self.made:
            mine = [kind for kind, key in told if key == each.id]
            assert mine.count("quota-decided") == 1
            assert mine.count("quota-lapsed") == each.gone(now)
            assert mine.count("quota-ratified") == each.ratified
            assert mine.count("quota-superseded") == sum(each.id in newer.instead_of for newer in self.made)


HALF = {"parts": 1, "of": 2, "more_than": True}
whose = st.integers(0, 5)
votes = st.tuples(
    st.sampled_from(["yyyy", "yyyy", "yyyn", "yynn", "nyyy"]),
    st.lists(st.sampled_from(["for", "for", "for", "against", "abstain"]), min_size=4, max_size=4),
)
actions = st.one_of(
    st.tuples(
        st.just("table"),
        st.sampled_from([(1,), (2,), (1, 2)]),
        st.sampled_from([None, 1, 2]),
        st.sampled_from([None, None, 0, 3]),
    ),
    st.tuples(st.just("vote"), whose, votes),
    st.tuples(st.just("named vote"), whose, votes),
    st.tuples(st.just("named vote"), whose, votes),
    st.tuples(st.just("urgently"), whose, st.sampled_from([CHAIR, CHAIR, CHAIR, CITY])),
    st.tuples(st.just("named urgently"), whose),
    st.tuples(st.just("named urgently"), whose),
    st.tuples(st.just("amend"), whose),
    st.tuples(st.just("withdraw"), whose),
    st.tuples(st.just("come or go"), st.sampled_from([JEED, WORK])),
    st.tuples(st.just("clock"), st.sampled_from([1, 20, 30, 50, 100])),
    st.tuples(st.just("sweep")),
)


@pytest.fixture
def running(world: World) -> Running:
    return world.service("training")


FOR = ("yyyy", ["for"] * 4)
FIRST = ("table", (1, 2), None, None)


# Not shrunk: there are no prefectures for more examples.
@settings(
    max_examples=20,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(rest=st.lists(actions, min_size=4, max_size=14))
# The second is decided by the chair in the first one's place; the third stands against the first, which may be back.
@example(
    rest=[
        ("named vote", 0, FOR),
        ("named urgently", 1),
        ("vote", 2, FOR),
        ("clock", 100),
        ("vote", 2, FOR),
        ("named vote", 2, FOR),
    ]
)
async def test_what_is_in_force_is_what_was_decided_and_nothing_else(
    running: Running, rest: list[tuple[Any, ...]]
) -> None:
    story = Story(running, prefecture=next(PREFECTURES))
    await story.begin()
    for name, *what in (FIRST, ("table", (1,), 1, 3), ("table", (2,), None, None), *rest):
        if name == "table":
            await story.table_one(*what)
        elif name == "clock":
            running.pass_time(timedelta(hours=what[0]))
        elif name == "sweep":
            await running.sweep()
        elif name == "come or go":
            await story.come_or_go(what[0])
        else:
            draft = story.drafts[what[0] % len(story.drafts)]
            if name.startswith("named"):
                await story.named(draft, urgent=name.endswith("urgently"))
            if name.endswith("vote"):
                await story.go_to_vote(draft, *what[1])
            elif name.endswith("urgently"):
                await story.urgently(draft, what[1] if len(what) > 1 else CHAIR)
            elif name == "amend":
                await story.amend(draft)
            else:
                await story.withdraw(draft)
        await story.check()
    running.pass_time(timedelta(days=3))
    await story.check()
    await story.check_told()
