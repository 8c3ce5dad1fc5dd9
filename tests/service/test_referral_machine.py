"""A referral under any moves, by anybody, in any order and at once, on the real database.

The oracle below is written by hand and doesn't read the service's table, so that a wrong line there is seen here.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.auth import Role
from shared.bus.envelope import new_id, open_envelope
from shared.events import (
    ConsentWithdrawn,
    Event,
    NominationCountersigned,
    SeatRefused,
    SeatWaitlisted,
    TrainingNominated,
)
from tests.service.referral_region import (
    COURSE,
    POOL,
    SEAT,
    Region,
    consented,
    enrolled,
    held,
    instructed,
    opened,
    released,
)
from tests.world import KAGOSHIMA, KIRISHIMA, ZAMA, World

BY_HAND = ("receive", "accept", "decline", "withdraw")
SEATS = ("wait_for_seat", "hold_seat", "nominate", "countersign", "instruct", "enrol")
ENDS = ("refuse_seat", "release_seat")
WHO = ("sender", "receiver", "neighbour", "stranger")
ACTIONS = [
    *((who, name) for who in WHO for name in BY_HAND),
    *(("training", name) for name in (*SEATS, *ENDS)),
    ("person", "end_consent"),
]
# Weights: the moves that matter would drown among those that nobody may make.
batches = st.lists(
    st.lists(
        st.one_of(
            st.sampled_from(ACTIONS),
            st.sampled_from([("training", name) for name in SEATS]),
            st.sampled_from([("receiver", name) for name in BY_HAND]),
        ),
        min_size=1,
        max_size=3,
    ),
    min_size=1,
    max_size=6,
)
AT_LAST = [("receiver", "accept"), ("training", "enrol"), ("sender", "withdraw"), ("receiver", "decline")]
"""Tried one by one at the end of every example: nothing may lead out of an answered referral."""
Standing = tuple[str, int]
"""State, and how far the seat has come (-1: nothing heard)."""


def after(course: bool, standing: Standing, who: str, name: str) -> Standing | None:
    """Where a move leads, or None if it must have no effect."""
    state, seat = standing
    if state not in {"sent", "received"}:
        return None
    if (who, name) in {("sender", "withdraw"), ("person", "end_consent")}:
        return "withdrawn", seat
    if who == "receiver" and not course:
        ways = {"accept": "accepted", "decline": "declined"} | ({"receive": "received"} if state == "sent" else {})
        return (ways[name], seat) if name in ways else None
    if who != "training" or not course:
        return None
    if name in ENDS:
        return "declined", seat
    reached = SEATS.index(name)
    if reached <= seat or (name in {"nominate", "countersign"} and seat < 0):  # no seat, no nomination to follow
        return None
    return ("accepted" if name == "enrol" else "received"), reached


class Journey:
    """One referral and everybody who tries to move it."""

    def __init__(self, region: Region, course: bool) -> None:
        self.region, self.course, self.case_id = region, course, uuid4()
        self.referral_id = UUID(int=0)
        receiver, running = "school-hibiki" if course else "sakura-npo", region.running
        self.receiver = receiver
        self.callers = {
            "sender": region.desk,
            "receiver": running.as_(receiver, Role.COUNSELLOR, municipalities=[KIRISHIMA]),
            "neighbour": running.as_("kagoshima-shakyo", municipalities=[KAGOSHIMA]),
            "stranger": running.as_("zama-desk", municipalities=[ZAMA]),
        }

    async def begin(self) -> None:
        self.region.case_id = self.case_id
        await self.region.running.hear(opened(self.case_id), consented(self.case_id))
        self.referral_id = await self.region.to_course() if self.course else UUID(await self.region.to_programme())

    async def act(self, who: str, name: str) -> None:
        if who in self.callers:
            body = {"reason": "other"} if name == "decline" else None
            path = f"/v1/referrals/{self.referral_id}/{name}"
            answer = await self.callers[who].post(path, body)
            assert answer.status_code in {200, 403, 404, 409}, answer.text
        else:
            event_id = new_id()
            for _ in range(2):  # at least once
                await self.region.running.hear(self.event(name), event_id=event_id)

    def event(self, name: str) -> Event:
        case_id, referral_id = self.case_id, self.referral_id
        by: dict[str, Any] = {"case_id": case_id, "seat_request_id": SEAT, "course_run_id": COURSE}
        make: dict[str, Callable[[], Event]] = {
            "wait_for_seat": lambda: SeatWaitlisted(**by, referral_id=referral_id, pool_id=POOL, position=1),
            "hold_seat": lambda: held(case_id, referral_id),
            "nominate": lambda: TrainingNominated(**by, by_agency="kagoshima-city", authority="current_law"),
            "countersign": lambda: NominationCountersigned(**by, by_agency="hellowork-kagoshima"),
            "instruct": lambda: instructed(case_id, referral_id),
            "enrol": lambda: enrolled(case_id, referral_id),
            "refuse_seat": lambda: SeatRefused(
                case_id=case_id, referral_id=referral_id, course_run_id=COURSE, reason="full"
            ),
            "release_seat": lambda: released(case_id, referral_id, "expired"),
            "end_consent": lambda: ConsentWithdrawn(case_id=case_id, consent_version=2),
        }
        return make[name]()

    async def check(self) -> tuple[Standing, list[str]]:
        """The steps tell a legal story without gaps, the row stands where it ends, one agency is responsible."""
        rows = self.region.running.rows
        (row,) = await rows("SELECT * FROM referral WHERE id = $1", self.referral_id)
        steps = await rows("SELECT * FROM referral_step WHERE referral_id = $1 ORDER BY version", self.referral_id)
        assert [step["version"] for step in steps] == list(range(1, row["version"] + 1))
        standing: Standing = ("sent", -1)
        states = ["sent"]
        for step in steps[1:]:
            who = {"kagoshima-desk": "sender", self.receiver: "receiver"}.get(step["by"], step["by"])
            reached = after(self.course, standing, who, step["step"])
            assert reached is not None, (standing, who, step["step"])
            standing = reached
            states.append(standing[0])
        assert row["state"] == standing[0]
        accepted = row["state"] == "accepted"
        assert row["responsible_agency"] == (self.receiver if accepted else "kagoshima-desk")
        await self.check_news(states)
        return standing, [step["step"] for step in steps]

    async def check_news(self, states: list[str]) -> None:
        """Each change of state is told once, with the version it came with."""
        changes = [
            (f"referral-{state}", version)
            for version, state in enumerate(states, start=1)
            if version == 1 or state != states[version - 2]
        ]
        raw = await self.region.running.rows("SELECT value FROM outbox WHERE key = $1 ORDER BY seq", str(self.case_id))
        envelopes = [open_envelope(row["value"], {}) for row in raw]
        told = [(envelope.type.split(".")[3], envelope.sequence) for envelope in envelopes]
        assert [entry for entry in told if entry[0] != "training-referred"] == changes


@pytest.fixture
async def region(world: World) -> Region:
    return await Region(world.service("referral")).ready()


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(course=st.booleans(), moves=batches)
async def test_only_legal_moves_take_effect_whoever_tries_whatever_in_any_order(
    region: Region, course: bool, moves: list[list[tuple[str, str]]]
) -> None:
    journey = Journey(region, course)
    await journey.begin()
    standing: Standing = ("sent", -1)
    before: list[str] = ["send"]
    for batch in (*moves, *([move] for move in AT_LAST)):
        at_once: list[Awaitable[None]] = [journey.act(who, name) for who, name in batch]
        await asyncio.gather(*at_once)
        reached, steps = await journey.check()
        if len(batch) == 1:
            ((who, name),) = batch
            expected = after(course, standing, who, name)
            assert reached == (expected or standing)
            assert steps == before + ([name] if expected else [])
        standing, before = reached, steps
