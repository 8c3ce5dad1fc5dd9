"""The whole ledger under everything at once: decisions, holds, the line, loans, cut-offs, changes, clocks, crashes.

Each part has a machine of its own, with an oracle that knows more of it. This one looks for what only comes of their
meeting: after every step the rows are read by `whole_ledger`, which knows none of our code. `WHOLE` says how many
stories: some by default, more by night.
"""

import asyncio
import os
from collections.abc import Collection, Coroutine, Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from hypothesis.stateful import run_state_machine_as_test as run_machine

from shared.bus.envelope import new_id
from shared.events import ConsentWithdrawn, ReferralWithdrawn, TrainingReferred
from shared.service import day_in_japan
from tests.service.agreement_towns import propose, take
from tests.service.deliberation_room import KAGOSHIMA, KIRISHIMA, Room, line, the_room
from tests.service.late_changes_room import affected, answered, make
from tests.service.training_courses import (
    an_offer,
    ask,
    desk,
    instructed,
    known_case,
    offer_again,
    offered,
    referred,
    school,
    step,
)
from tests.service.whole_ledger import Rows, faults, overtaken, read_requests
from tests.world import Running, World

STORIES = int(os.environ.get("WHOLE", "6"))
STEPS = 16
GROUP = "single_parent"
TOWNS = st.sampled_from([KAGOSHIMA, KIRISHIMA])
OTHER = {KAGOSHIMA: KIRISHIMA, KIRISHIMA: KAGOSHIMA}
RUNS = st.integers(0, 1)
PICK = st.integers(0, 7)


class Whole(RuleBasedStateMachine):
    """Two course runs on the same days, two towns with seats of their own in each, and hardly enough for anybody."""

    training: Running
    room: Room
    loop: asyncio.AbstractEventLoop

    @initialize(
        seats=st.tuples(st.integers(1, 3), st.integers(1, 2)),
        kept=st.integers(0, 1),
        onward=st.booleans(),
        towns=st.lists(TOWNS, min_size=4, max_size=8),
    )
    def begin(self, seats: tuple[int, int], kept: int, onward: bool, towns: list[str]) -> None:
        """A story begins where it gets interesting: with hardly a seat left, or a line already."""
        self.offers = [self.wait_for(self.course(seats, kept, onward)) for _ in range(2)]
        self.runs: list[UUID] = [self.wait_for(offered(self.training, offer)) for offer in self.offers]
        self.referrals: list[tuple[TrainingReferred, UUID]] = []
        self.agreements: list[tuple[dict[str, Any], str, str]] = []
        self.cancelled = False
        self.clock_moved = False
        self.before: Rows = {}
        for number, town in enumerate(towns):
            self.ask(town, number % 4 // 3, of_group=False)

    async def course(self, seats: tuple[int, int], kept: int, onward: bool) -> Any:
        now = await self.room.now()
        number, starts_on = an_offer().course_number, day_in_japan(now) + timedelta(days=120)
        await self.room.decide(allotments=await self.allotments(number, dict(zip(OTHER, seats, strict=True)), onward))
        return an_offer(
            course_number=number,
            capacity=sum(seats) + kept + 1,
            delegated=dict(zip(OTHER, seats, strict=True)),
            priority={GROUP: kept} if kept else {},
            priority_opens_at=now + timedelta(days=9) if kept else None,
            starts_on=starts_on,
            ends_on=starts_on + timedelta(days=90),
            applications_close_at=now.replace(microsecond=0) + timedelta(days=100),
            hold_hours=None,
            hold_days=20,
            offer_days=2,
        )

    async def allotments(self, number: str, seats: dict[str, int], onward: bool) -> list[dict[str, Any]]:
        cut, later = [(await self.room.today(days)).isoformat() for days in (8, 16)]
        return [
            line(
                many, [town], course_number=number, cut_off_on=cut, lendable=True,
                returns_percent=100 if many < 3 else 40,
                onward=[{"municipalities": [OTHER[town]], "cut_off_on": later}] if onward else [],
            )
            for town, many in seats.items()
        ]  # fmt: skip

    # --- who wants a seat -------------------------------------------------------------------------------------------

    @rule(town=TOWNS, run=RUNS, of_group=st.booleans())
    def ask(self, town: str, run: int, of_group: bool) -> None:
        claims = [{"target_group": GROUP, "basis": "own_record"}] if of_group else []
        answer = self.wait_for(ask(self.training, self.runs[run], municipality=town, target_groups=claims))
        self.look(answer, {201, 409})

    @rule(which=PICK)
    def ask_beside(self, which: int) -> None:
        """Somebody who asked in one course run, for the other on the same days."""
        if row := self.one(which, {"waiting", "held", "released"}):
            run = self.runs[1 - self.runs.index(row["course_run_id"])]
            asked = ask(self.training, run, municipality=row["municipality"], case_id=row["case_id"])
            self.look(self.wait_for(asked), {201, 409})

    @rule(town=TOWNS, run=RUNS, size=st.integers(2, 3))
    def ask_together(self, town: str, run: int, size: int) -> None:
        cases = [self.wait_for(known_case(self.training, town)) for _ in range(size)]
        body = {"requests": [{"case_id": str(case_id)} for case_id in cases]}
        path = f"/v1/course-runs/{self.runs[run]}/seat-requests-together"
        self.look(self.wait_for(desk(self.training, town).post(path, body)), {201, 409})

    @rule(town=TOWNS, run=RUNS, ticks=st.integers(1, 40))
    def crash(self, town: str, run: int, ticks: int) -> None:
        """It ends in the middle, anywhere; whoever asks again with the same key has one request, and one answer."""
        case_id = self.wait_for(known_case(self.training, town))
        body, key = {"case_id": str(case_id)}, str(uuid4())
        path = f"/v1/course-runs/{self.runs[run]}/seat-requests"

        async def broken_off() -> None:
            asking = asyncio.create_task(desk(self.training, town).post(path, body, key=key))
            for _ in range(ticks):
                await asyncio.sleep(0)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)

        self.wait_for(broken_off())
        first, again = (self.wait_for(desk(self.training, town).post(path, body, key=key)) for _ in range(2))
        assert (first.status_code, first.json()) == (again.status_code, again.json()) or first.status_code == 409
        asked = self.rows("SELECT FROM seat_request WHERE case_id = $1", case_id)
        assert len(asked) == (first.status_code == 201)
        self.look(first, {201, 409})

    @rule(town=TOWNS, run=RUNS)
    def refer(self, town: str, run: int) -> None:
        referral, event_id = referred(self.runs[run], municipality=town), new_id()
        self.wait_for(self.training.hear(referral, event_id=event_id))
        self.referrals.append((referral, event_id))
        self.look()

    @rule(which=PICK, same_event=st.booleans())
    def deliver_again(self, which: int, same_event: bool) -> None:
        if self.referrals:
            referral, event_id = self.referrals[which % len(self.referrals)]
            asked = "SELECT id FROM seat_request WHERE referral_id = $1 AND moved_from IS NULL"
            before = self.rows(asked, referral.referral_id)
            self.wait_for(self.training.hear(referral, event_id=event_id if same_event else new_id()))
            # One that was refused may be met when it is told anew.
            after = self.rows(asked, referral.referral_id)
            assert before == after or (not before and not same_event and len(after) == 1)
            self.look()

    @rule(which=PICK, consent=st.booleans())
    def withdraw(self, which: int, consent: bool) -> None:
        if self.referrals:
            referral, _ = self.referrals[which % len(self.referrals)]
            withdrawn = ReferralWithdrawn(
                case_id=referral.case_id,
                referral_id=referral.referral_id,
                sender="kagoshima-desk",
                receiver="kagoshima-school",
                reason="withdrawn",
            )
            taken_back = ConsentWithdrawn(case_id=referral.case_id, consent_version=1)
            self.wait_for(self.training.hear(taken_back if consent else withdrawn))
            self.look()

    # --- who has one, or waits --------------------------------------------------------------------------------------

    @rule(which=PICK, again=st.booleans())
    def release(self, which: int, again: bool) -> None:
        if row := self.one(which, {"waiting", "held", "instructed"}):
            key, body = str(uuid4()), {"reason": "withdrawn"}
            path = f"/v1/seat-requests/{row['id']}/release"
            caller = desk(self.training, row["municipality"])
            answers = [self.wait_for(caller.post(path, body, key=key)) for _ in range(1 + again)]
            assert {each.status_code for each in answers} == {200}, answers[0].text
            self.look()

    @rule(which=PICK, days=st.integers(1, 4))
    def pause(self, which: int, days: int) -> None:
        self.do("pause", which, {"waiting"}, {"not_before": self.wait_for(self.room.today(days)).isoformat()})

    @rule(which=PICK, move=st.sampled_from(["resume", "separate"]))
    def come_back(self, which: int, move: str) -> None:
        self.do(move, which, {"waiting"}, None)

    @rule(which=PICK, accepts=st.booleans())
    def answer(self, which: int, accepts: bool) -> None:
        body = None if accepts else {"reason": "not_yet"}
        self.do("accept" if accepts else "decline", which, {"held"}, body, offered=True)

    @rule(which=PICK, enrols=st.booleans())
    def instruct(self, which: int, enrols: bool) -> None:
        row = self.one(which, {"held"}, town=KAGOSHIMA, offered=False)
        if row and not row["is_over"]:
            asked = {"seat_request_id": str(row["id"])}
            self.wait_for(instructed(self.training, asked))
            if enrols:
                assert self.wait_for(step(school(self.training), asked, "enrol")).status_code == 200
            self.look()

    # --- seats come, go and move ------------------------------------------------------------------------------------

    @rule(run=RUNS, more=st.integers(-1, 2))
    def offer_more(self, run: int, more: int) -> None:
        wanted = replace(self.offers[run], capacity=max(0, self.offers[run].capacity + more))
        if hasattr(self.wait_for(offer_again(self.training, wanted)), "became"):
            self.offers[run] = wanted
        self.look()

    @rule(run=RUNS, seats=st.tuples(st.integers(1, 3), st.integers(0, 2)), onward=st.booleans())
    def decide(self, run: int, seats: tuple[int, int], onward: bool) -> None:
        """In the place of what was decided before, and taken from a file at once."""
        number = self.offers[run].course_number
        shares = {town: many for town, many in zip(OTHER, seats, strict=True) if many}
        lines = self.wait_for(self.allotments(number, shares, onward))
        superseded = self.wait_for(self.room.decided(number))
        self.wait_for(self.room.decide(allotments=lines, supersedes=superseded))
        wanted = replace(self.offers[run], delegated=shares)
        if hasattr(self.wait_for(offer_again(self.training, wanted)), "became"):
            self.offers[run] = wanted
        self.look(idle=False)

    @rule(giver=TOWNS, run=RUNS, seats=st.integers(1, 2), days=st.integers(1, 7), swap=st.booleans())
    def lend(self, giver: str, run: int, seats: int, days: int, swap: bool) -> None:
        """Proposed and agreed; or swapped for a seat of the other course run."""
        taker, until = OTHER[giver], self.wait_for(self.room.today(days)).isoformat()
        given, back = self.own_pool(self.runs[run], giver), self.own_pool(self.runs[1 - run], taker)
        if given is None or (swap and back is None):
            return
        body: dict[str, Any] = {
            "pool_id": given, "seats": seats, "until_on": until, "proposed_for": giver, "taker": taker,
        }  # fmt: skip
        if swap:
            body["in_return"] = {"pool_id": back, "seats": 1, "until_on": until}
        proposed = self.wait_for(propose(self.training, body, giver))
        assert proposed.status_code in {201, 409}, proposed.text
        if proposed.status_code == 201:
            agreed = self.wait_for(take(self.training, proposed.json(), "agree", taker))
            assert agreed.status_code in {200, 409}, agreed.text
            if agreed.status_code == 200:
                self.agreements.append((proposed.json(), giver, taker))
        self.look()

    @rule(which=PICK, move=st.sampled_from(["recall", "give-back"]))
    def end_lending(self, which: int, move: str) -> None:
        if self.agreements:
            agreement, giver, taker = self.agreements[which % len(self.agreements)]
            ended = self.wait_for(take(self.training, agreement, move, giver if move == "recall" else taker))
            self.look(ended, {200, 409})

    @rule(run=RUNS, capacity=st.integers(1, 4) | st.none(), weeks=st.integers(-6, 6).filter(bool))
    def change_late(self, run: int, capacity: int | None, weeks: int) -> None:
        """Fewer seats, or other days."""
        (row,) = self.rows("SELECT capacity, starts_on, ends_on FROM course_run WHERE id = $1", self.runs[run])
        moved = {name: (row[name] + timedelta(weeks=weeks)).isoformat() for name in ("starts_on", "ends_on")}
        if capacity is None or capacity < row["capacity"]:
            self.change(run, **(moved if capacity is None else {"capacity": capacity}))

    @rule(run=RUNS)
    def cancel(self, run: int) -> None:
        if not self.cancelled:
            self.cancelled = self.change(run, cancel=True)

    def change(self, run: int, **change: Any) -> bool:
        path = f"/v1/course-runs/{self.runs[run]}/change-trials"
        trial = self.wait_for(school(self.training).post(path, {"reason": "operator"} | change))
        assert trial.status_code in {200, 409, 422}, trial.text
        made: bool = trial.status_code == 200
        if made:
            answer = self.wait_for(make(self.training, self.runs[run], trial.json()["sign"], **change))
            assert answer.status_code in {201, 409}, answer.text
            made = answer.status_code == 201
        self.look()
        return made

    @rule(town=TOWNS, say=st.sampled_from(["accept", "stay", "leave"]))
    def answer_change(self, town: str, say: str) -> None:
        found = self.wait_for(affected(self.training, town, open=True))
        for record in [each for each in found if UUID(each["seat_request_id"]) in self.before][:1]:
            course = record["alternatives"][0]["course_run_id"] if record["alternatives"] else None
            if say != "accept" or course is not None:
                chosen = course if say == "accept" else None
                answer = answered(self.training, record, say, course=chosen, municipality=town)
                self.look(self.wait_for(answer), {200, 409})

    @rule(hours=st.sampled_from([5, 24, 72, 200]), sweeps=st.booleans())
    def time_passes(self, hours: int, sweeps: bool) -> None:
        self.training.pass_time(timedelta(hours=hours))
        self.clock_moved = True
        if sweeps:
            self.sweep()

    @rule()
    def sweep(self) -> None:
        self.wait_for(self.training.sweep())
        assert self.wait_for(self.training.sweep()) == 0
        self.clock_moved = False
        self.look()

    # --- what holds after every step --------------------------------------------------------------------------------

    @invariant()
    def nothing_is_wrong(self) -> None:
        """Until the sweep, what the clock alone freed, or a decision took away, is free."""
        if hasattr(self, "clock_moved"):
            assert self.wait_for(faults(self.training, self.runs, idle=not self.clock_moved)) == []

    def look(self, answer: httpx2.Response | None = None, allowed: Collection[int] = (), *, idle: bool = True) -> None:
        """Nobody was overtaken since the last look."""
        if answer is not None:
            assert answer.status_code in allowed, answer.text
        self.clock_moved |= not idle
        offset = self.training.desk.clock.offset
        now: Rows = self.wait_for(read_requests(self.training, self.runs, offset=offset))
        before, self.before = self.before, now
        got = {key for key, row in now.items() if row["state"] == "held" and _had_none(before.get(key))}
        assert overtaken(before, now, by=got) == []

    def one(
        self, which: int, states: Iterable[str], *, town: str | None = None, offered: bool | None = None
    ) -> Any | None:
        fit = [
            row
            for _, row in sorted(self.before.items())
            if row["state"] in states and town in {None, row["municipality"]} and offered in {None, row["offered"]}
        ]
        return fit[which % len(fit)] if fit else None

    def do(self, move: str, which: int, states: set[str], body: Any, *, offered: bool | None = None) -> None:
        if row := self.one(which, states, offered=offered):
            caller = desk(self.training, row["municipality"])
            taken = self.wait_for(step(caller, {"seat_request_id": str(row["id"])}, move, body))
            self.look(taken, {200, 409, 422})

    def own_pool(self, course: UUID, town: str) -> str | None:
        found = self.rows(
            "SELECT id FROM pool WHERE course_run_id = $1 AND municipality = $2 AND agreement_id IS NULL"
            " AND onward_step IS NULL ORDER BY granted - held - filled DESC, id",
            course,
            town,
        )
        return str(found[0]["id"]) if found else None

    def rows(self, sql: str, *values: Any) -> list[Any]:
        found: list[Any] = self.wait_for(self.training.rows(sql, *values))
        return found

    def wait_for(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout=120)


def _had_none(before: Any) -> bool:
    return before is None or before["state"] == "waiting"


@pytest.mark.slow
async def test_whatever_meets_whatever_the_ledger_holds(world: World) -> None:
    Whole.training, Whole.loop = world.service("training"), asyncio.get_running_loop()
    Whole.room = await the_room(Whole.training)
    await asyncio.to_thread(
        run_machine,
        Whole,
        settings=settings(
            max_examples=STORIES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            database=None,
            phases=[Phase.generate],  # a failing story is short enough; making it shorter takes minutes
        ),
    )
