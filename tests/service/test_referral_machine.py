"""Referrals of one case under anything that anybody, the clock, the person and training may do, on the real database.

The oracle is the hand-written table of the unit test and the rules below; neither reads the service's own table. After
every step each referral's history is told anew from its steps, and has to end where the row stands.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from services.referral.domain.states import Kind, State, Verb
from shared.bus.envelope import Envelope, new_id, open_envelope
from shared.events import (
    CaseHandedOver,
    CaseNotHandedOver,
    ConsentWithdrawn,
    Event,
    NominationCountersigned,
    ReferralAccepted,
    SeatRefused,
    SeatWaitlisted,
    TrainingNominated,
)
from shared.service.clock import day_in_japan, is_holiday, wall_time
from tests.service.referral_region import (
    COURSE,
    POOL,
    SEAT,
    Region,
    consented,
    coordinated,
    enrolled,
    held,
    instructed,
    opened,
    released,
)
from tests.unit.test_referral_moves import ORACLE, TAKEN_OVER
from tests.world import KAGOSHIMA, KIRISHIMA, ZAMA, World

DESK, CITY, CENTER = "kagoshima-desk", "kagoshima-city", "career-center"
VERBS = ("refer", "transfer")
PROGRAMMES = ("sakura-npo/ibasho", "sakura-npo/junbi", "zama-npo/ibasho")
WHO = ("sender", "receiver", "coordinator", "neighbour", "stranger")
RECEIVERS = ("receive", "accept", "decline", "return", "wait", "reroute", "contact", "start", "miss", "hold", "resume")
AFTERWARDS = ("set_outcome", "close", "add_outcome")
SENDERS = ("send", "answer", "withdraw", "add_outcome", "receive", "accept", "decline")
COORDINATORS = ("confirm_decline", "overrule_forward", "overrule_back", "set_outcome", "close", "expire")
SEATS = ("wait_for_seat", "hold_seat", "nominate", "countersign", "instruct", "enrol")
TRAINING = (*SEATS, "refuse_seat", "release_seat")
MOVES = sorted({*RECEIVERS, *AFTERWARDS, *SENDERS, *COORDINATORS})
BY_PERSON = {"person_declined", "no_contact"}
CLOCKED = {"expire", "take_over", "confirm_decline"}
ACCEPTED = {"accept", "overrule_forward", "enrol"}
IN_FLIGHT = {"sent", "received", "returned", "waiting", "decline_pending"}
AT_WORK = {"accepted", "contact_made", "in_service", "no_show", "on_hold", "outcome_set"}

which = st.integers(0, 5)
by_hand = st.one_of(
    st.tuples(st.just("move"), which, st.sampled_from(WHO), st.sampled_from(MOVES)),
    st.tuples(st.just("move"), which, st.just("receiver"), st.sampled_from((*RECEIVERS, *AFTERWARDS))),
    st.tuples(st.just("move"), which, st.just("sender"), st.sampled_from(SENDERS)),
    st.tuples(st.just("move"), which, st.just("coordinator"), st.sampled_from(COORDINATORS)),
)
made = st.one_of(
    st.tuples(st.just("send"), st.sampled_from(PROGRAMMES), st.sampled_from(["refer", "transfer"]), st.booleans()),
    st.tuples(st.just("course"), st.booleans()),
    st.tuples(st.just("send_as"), st.sampled_from([CENTER, CITY]), st.sampled_from(PROGRAMMES), st.sampled_from(VERBS)),
    st.tuples(st.just("two_transfers")),
    st.tuples(st.just("group"), st.sampled_from(["first", "first", "parts"]), st.booleans()),
    st.tuples(st.just("request")),
)
outside = st.one_of(
    st.tuples(st.just("training"), which, st.sampled_from(TRAINING)),
    st.tuples(st.just("clock"), st.sampled_from([1, 3, 8, 40])),
    st.tuples(st.just("person"), st.sampled_from(["withdraw", "narrow", "agree", "agree"])),
    st.tuples(st.just("crash"), by_hand),
    st.tuples(st.just("handed_over"), st.sampled_from([DESK, CENTER])),
    st.tuples(st.just("answered")),
    st.tuples(st.just("place"), which),
)
happenings = st.lists(
    st.one_of(
        st.lists(by_hand, min_size=1, max_size=3),
        st.lists(by_hand, min_size=1, max_size=1),
        st.lists(made, min_size=1, max_size=1),
        st.lists(outside, min_size=1, max_size=1),
    ),
    min_size=3,
    max_size=14,
)
TOLD = {
    **dict.fromkeys(("answer", "wait", "contact", "start", "miss", "hold", "resume", "overrule_back"), "progressed"),
    **dict.fromkeys(("accept", "overrule_forward", "enrol"), "accepted"),
    **dict.fromkeys(("refuse_seat", "release_seat"), "declined"),
    **dict.fromkeys(("withdraw", "end_consent", "lose", "end_with_case"), "withdrawn"),
    "keep_holder": "transfer-became-refer",
    **dict.fromkeys(("set_outcome", "add_outcome"), "outcome-set"),
    "receive": "received",
    "decline": "decline-proposed",
    "return": "returned",
    "reroute": "rerouted",
    "close": "closed",
    "take_over": "taken-over",
}
"""What each step tells, where that doesn't depend on anything."""


@dataclass(frozen=True)
class Standing:
    """Where a referral stands, told from its steps alone."""

    state: str
    holder: str
    before_hold: str = ""
    reason: str = ""
    seat: int = -1
    won: bool = False
    taken: bool = False


class Story:
    """One case, its referrals, and everybody who tries something."""

    def __init__(self, region: Region) -> None:
        self.region, self.running = region, region.running
        self.case_id = region.case_id = uuid4()
        self.sent: list[str] = []
        self.consent_version, self.agreed = 1, True
        self.holder, self.answered = DESK, 0
        """Who holds the case for intake, and how many acceptances it has heard of."""
        running = self.running
        self.callers = {
            DESK: region.desk,
            CENTER: running.as_(CENTER),
            CITY: running.as_(CITY, municipalities=[KIRISHIMA, KAGOSHIMA]),
            "sakura-npo": running.as_("sakura-npo"),
            "zama-npo": running.as_("zama-npo", municipalities=[KIRISHIMA]),
            "school-hibiki": running.as_("school-hibiki", municipalities=[KIRISHIMA]),
            "neighbour": running.as_("kagoshima-shakyo", municipalities=[KAGOSHIMA]),
            "stranger": running.as_("stranger", municipalities=[ZAMA]),
        }

    async def happen(self, what: tuple[Any, ...]) -> None:
        if what[0] in {"send", "send_as", "two_transfers", "course", "group", "request"}:
            await self._send(what)
            return
        match what:
            case "move", number, who, name:
                await self._move(number, who, name)
            case "training", number, name:
                await self._twice(self._of_training(number, name))
            case "clock", days:
                self.running.pass_time(timedelta(days=days))
                await self.running.sweep()
            case "person", said:
                await self._say(said)
            case "handed_over", agency:
                await self._twice(CaseHandedOver(case_id=self.case_id, agency_id=agency, before=self.holder))
                self.holder = agency
            case ("answered",):
                await self._answer()
            case "place", number:
                await self._place(number)
            case "crash", again:
                await self._crash(again)
            case _:
                raise AssertionError(what)

    async def _send(self, what: tuple[Any, ...]) -> None:
        match what:
            case "send", programme, verb, draft:
                to = {"programme_id": self.region.programmes[programme], "verb": verb, "draft": draft}
                await self._made("/v1/referrals", {"knowingly": True} | to)
            case "send_as", sender, programme, verb:
                await self._send_as(sender, {"programme_id": self.region.programmes[programme], "verb": verb})
            case ("two_transfers",):
                for programme in PROGRAMMES[:2]:
                    await self._made("/v1/referrals", {"programme_id": self.region.programmes[programme]})
            case "course", draft:
                await self._made("/v1/referrals", {"course_run_id": str(COURSE), "draft": draft})
            case "group", mode, course:
                first = {"course_run_id": str(COURSE)} if course else {"programme_id": self._programme(2)}
                parts = [first | {"verb": "transfer"}, {"programme_id": self._programme(0), "verb": "transfer"}]
                if mode == "parts":
                    both = {"case_id": str(self.case_id), "mode": mode, "parts": parts}
                    assert (await self.callers[DESK].post("/v1/referral-groups", both)).status_code == 422
                    parts[1]["verb"] = "refer"
                await self._made("/v1/referral-groups", {"mode": mode, "parts": parts, "knowingly": True})
            case ("request",):
                await self._made("/v1/referral-requests", {"programme_id": self._programme(0)}, by="sakura-npo")
            case _:
                raise AssertionError(what)

    async def _send_as(self, sender: str, body: dict[str, Any]) -> None:
        """Any agency of the town refers a case; only its holder hands it over."""
        await self._made("/v1/referrals", {"knowingly": True} | body, by=sender)

    def _programme(self, number: int) -> str:
        return self.region.programmes[PROGRAMMES[number]]

    async def _made(self, path: str, body: dict[str, Any], by: str = DESK) -> None:
        answer = await self.callers[by].post(path, {"case_id": str(self.case_id), **body})
        assert answer.status_code in {201, 404, 409}, answer.text
        # Another's draft is no draft that may be sent without consent; writing one down needs none.
        if answer.status_code == 201 and not body.get("draft") and "requests" not in path:
            assert self.agreed

    async def _move(self, number: int, who: str, name: str) -> None:
        if not self.sent:
            return
        row = await self._row(self.sent[number % len(self.sent)])
        caller = self.callers[row[who] if who in {"sender", "receiver", "coordinator"} else who]
        answer = await caller.post(f"/v1/referrals/{row['id']}/{name.replace('_', '-')}", self._says(name, number))
        assert answer.status_code in {200, 403, 404, 409}, (name, answer.text)

    def _says(self, name: str, number: int) -> dict[str, Any] | None:
        to_come = (day_in_japan(wall_time() + self.running.desk.clock.offset) + timedelta(days=5)).isoformat()
        says: dict[str, dict[str, Any]] = {
            "decline": {"reason": "no_capacity"},
            "return": {"missing": ["wishes", "wishes"]},
            "wait": {"review_on": to_come},
            "hold": {"review_on": to_come},
            "reroute": {"programme_id": self._programme(2), "knowingly": True},
            "set_outcome": {"outcome": "not_started" if number % 2 else "started"},
            "add_outcome": {"outcome": "employed"},
        }
        return says.get(name)

    async def _twice(self, event: Event | None) -> None:
        event_id = new_id()
        for _ in range(2 if event else 0):  # at least once
            assert event is not None
            await self.running.hear(event, event_id=event_id)

    def _of_training(self, number: int, name: str) -> Event | None:
        if not self.sent:
            return None
        case_id, referral_id = self.case_id, UUID(self.sent[number % len(self.sent)])
        by: dict[str, Any] = {"case_id": case_id, "seat_request_id": SEAT, "course_run_id": COURSE}
        make: dict[str, Callable[[], Event]] = {
            "wait_for_seat": lambda: SeatWaitlisted(**by, referral_id=referral_id, pool_id=POOL, position=1),
            "hold_seat": lambda: held(case_id, referral_id),
            "nominate": lambda: TrainingNominated(**by, by_agency=CITY, authority="current_law"),
            "countersign": lambda: NominationCountersigned(**by, by_agency="hellowork-kagoshima"),
            "instruct": lambda: instructed(case_id, referral_id),
            "enrol": lambda: enrolled(case_id, referral_id),
            "refuse_seat": lambda: SeatRefused(
                case_id=case_id, referral_id=referral_id, course_run_id=COURSE, reason="full"
            ),
            "release_seat": lambda: released(case_id, referral_id, "expired"),
        }
        return make[name]()

    async def _say(self, said: str) -> None:
        self.consent_version += 1
        version, self.agreed = self.consent_version, said == "agree"
        if said == "withdraw":
            await self._twice(ConsentWithdrawn(case_id=self.case_id, consent_version=version))
        else:
            await self._twice(consented(self.case_id, version, recipients=["nobody"] if said == "narrow" else []))
        (left,) = await self.running.rows(
            "SELECT count(*) AS n FROM referral WHERE case_id = $1 AND state = ANY($2)"
            " AND (verb <> 'request' OR $3)",
            self.case_id, sorted(IN_FLIGHT), said == "withdraw",
        )  # fmt: skip
        assert self.agreed or left["n"] == 0, "nothing is under way that the newest word takes back"

    async def _place(self, number: int) -> None:
        """Who looks for the next place says why there is none."""
        rows = [row for row in [await self._row(each) for each in self.sent] if row["clock"] == "place"]
        if rows:
            row = rows[number % len(rows)]
            path = f"/v1/referrals/{row['id']}/no-place"
            answer = await self.callers[row["waits_for"]].post(path, {"reason": "found_elsewhere"})
            assert answer.status_code == 200, answer.text

    async def _answer(self) -> None:
        """Intake hears of the next acceptance that was to move the case, and says what became of it."""
        ahead = await self._ahead()
        if not ahead:
            return
        about: dict[str, Any] = {"case_id": self.case_id, "referral_id": ahead[0].referral_id}
        sender, receiver = ahead[0].sender, ahead[0].receiver
        if sender == self.holder:
            await self._twice(CaseHandedOver(**about, agency_id=receiver, before=sender))
            self.holder = receiver
        else:
            await self._twice(CaseNotHandedOver(**about, agency_id=self.holder, sender=sender, receiver=receiver))
        self.answered += 1

    async def _ahead(self) -> list[ReferralAccepted]:
        told = [envelope.read() for envelope in await self._told()]
        moving = [each for each in told if isinstance(each, ReferralAccepted) and each.verb != "refer"]
        return moving[self.answered :]

    async def _told(self) -> list[Envelope]:
        raw = await self.running.rows("SELECT value FROM outbox WHERE key = $1 ORDER BY seq", str(self.case_id))
        return [open_envelope(row["value"], {}) for row in raw]

    async def _crash(self, again: tuple[Any, ...]) -> None:
        """Cut off before the commit, nothing has happened."""
        before = await self._everything()
        commit, self.running.database.commit = self.running.database.commit, _killed  # type: ignore[method-assign]
        try:
            with contextlib.suppress(AssertionError):  # an answer of 500 is what a killed service leaves
                await self.happen(again)
        finally:
            self.running.database.commit = commit  # type: ignore[method-assign]
        assert await self._everything() == before

    async def _everything(self) -> list[Any]:
        return [
            await self.running.rows(statement)
            for statement in (
                "SELECT * FROM referral ORDER BY id",
                "SELECT * FROM referral_step ORDER BY referral_id, version",
                "SELECT seq FROM outbox ORDER BY seq",
            )
        ]

    async def _row(self, referral_id: object) -> asyncpg.Record:
        (row,) = await self.running.rows("SELECT * FROM referral WHERE id = $1", UUID(str(referral_id)))
        return row

    # --- after every step ---------------------------------------------------------------------------------------------

    async def check(self) -> None:
        rows = await self.running.rows("SELECT * FROM referral WHERE case_id = $1 ORDER BY id", self.case_id)
        steps = await self.running.rows(
            "SELECT s.* FROM referral_step s JOIN referral r ON r.id = s.referral_id WHERE r.case_id = $1"
            " ORDER BY referral_id, version",
            self.case_id,
        )
        self.sent = [str(row["id"]) for row in rows]
        (fact,) = await self.running.rows("SELECT holder FROM case_fact WHERE case_id = $1", self.case_id)
        holder = self.holder
        for accepted in await self._ahead():
            holder = accepted.receiver if accepted.sender == holder else holder
        assert fact["holder"] == holder
        won: Counter[Any] = Counter()
        expected: list[tuple[str, str, int]] = []
        for row in rows:
            own = [step for step in steps if step["referral_id"] == row["id"]]
            assert [step["version"] for step in own] == list(range(1, row["version"] + 1))
            at = Standing("draft" if own[0]["step"] == "draft" else "sent", row["sender"])
            expected += told_by(row, own[0], None, at)
            verbs = verbs_of(row, own)
            for step in own[1:]:
                reached = after(row, Verb(next(verbs)), at, step)
                expected += told_by(row, step, at, reached)
                at = reached
            assert (row["state"], row["responsible_agency"]) == (at.state, at.holder), row
            assert (row["before_hold"] or "") == at.before_hold
            assert row["taken_over"] == at.taken
            await self.check_waiting(row)
            offers = row["verb"] == "transfer" and row["state"] in IN_FLIGHT
            assert not offers or row["sender"] == holder, "only its holder offers the case"
            won[row["group_id"]] += at.won
        for group in await self.running.rows("SELECT * FROM referral_group WHERE case_id = $1", self.case_id):
            if group["mode"] == "first":
                assert won[group["id"]] == (group["winner"] is not None) <= 1, "one winner, and no other"
        self.check_chains({row["id"]: row["rerouted_from"] for row in rows})
        await self.check_news(expected + await self.placed())

    async def placed(self) -> list[tuple[str, str, int]]:
        """What was looked for a place and has another referral in its place by now, or none: told once, of each."""
        ended = await self.running.rows(
            "SELECT c.* FROM clock_step c JOIN referral r ON r.id = c.referral_id WHERE r.case_id = $1"
            " AND step = 'placed'",
            self.case_id,
        )
        return [
            (str(row["referral_id"]), "sent-on" if row["reason"] == "sent_on" else "not-placed", row["version"])
            for row in ended
        ]

    def check_chains(self, before: dict[UUID, UUID | None]) -> None:
        for referral_id in before:
            chain: list[UUID | None] = [referral_id]
            while chain[-1] is not None:
                chain.append(before[chain[-1]])
                assert len(chain) <= 5, "no circle, and no more than four places"

    async def check_waiting(self, row: asyncpg.Record) -> None:
        """Whoever is waited for has a name and a day; the day is counted here by hand."""
        is_open = row["state"] in IN_FLIGHT | AT_WORK
        if row["state"] in {"declined", "expired"}:
            await self.check_place(row)
        elif row["state"] == "closed":
            await self.check_closed(row)
        elif row["taken_over"]:
            assert (row["clock"], row["waits_for"]) == ("start", row["coordinator"])
        else:
            assert (row["waits_for"] is not None) == is_open
        if row["clock"] not in {"acknowledge", "contact"}:
            return
        expected = {"acknowledge": 3, "contact": 5} if row["programme_id"] == UUID(self._programme(0)) else {
            "acknowledge": 2, "contact": 5,
        }  # fmt: skip
        closed = {2, 6} if row["waits_for"] == "sakura-npo" else {5, 6}
        day: date = row["clock_since"]
        count = 0
        while day < row["due_on"]:
            day += timedelta(days=1)
            count += not (day.weekday() in closed or is_holiday(day))
        assert count == expected[row["clock"]]

    async def check_closed(self, row: asyncpg.Record) -> None:
        """What nothing came of waits for its next place until somebody has said where it goes; all else for nobody."""
        ended = await self.ended_searches(row)
        assert ended <= 1
        searched = row["outcome"] == "not_started" and not ended
        expected = ("place", row["responsible_agency"]) if searched else (None, None)
        assert (row["clock"], row["waits_for"]) == expected, row

    async def ended_searches(self, row: asyncpg.Record) -> int:
        placed = "SELECT 1 FROM clock_step WHERE referral_id = $1 AND step = 'placed'"
        return len(await self.running.rows(placed, row["id"]))

    async def check_place(self, row: asyncpg.Record) -> None:
        """What is closed without an answer is looked after by who holds it, until it is written down how that ended."""
        ended = await self.ended_searches(row)
        taken_on = await self.running.rows(
            "SELECT 1 FROM referral_step WHERE referral_id = $1 AND step IN ('accept', 'overrule_forward')", row["id"]
        )
        leaves = row["verb"] != "request" or (row["state"] == "expired" and bool(taken_on))
        assert ended + (row["clock"] == "place") == leaves, row
        assert row["waits_for"] == (row["responsible_agency"] if row["clock"] == "place" else None)

    async def check_news(self, expected: list[tuple[str, str, int]]) -> None:
        """Each step that is to be heard of was told once, with the version it came with, and in order."""
        told: list[tuple[str, str, int]] = []
        rung: Counter[Any] = Counter()
        for envelope in await self._told():
            event: Any = envelope.read()
            if "referral_id" not in type(event).model_fields:
                continue  # about the case itself: what it lacks, and how far it was passed about
            name = envelope.type.split(".")[3].removeprefix("referral-")
            if name == "overdue":
                rung[(event.referral_id, envelope.sequence, event.clock, event.tier, event.due_on)] += 1
            else:
                told.append((str(event.referral_id), name, envelope.sequence))
        assert sorted(told) == sorted(expected)
        assert set(rung.values()) <= {1}, "nobody is reminded twice of one thing"
        for referral_id in self.sent:
            versions = [version for each, _, version in told if each == referral_id]
            assert versions == sorted(versions)


def verbs_of(row: asyncpg.Record, steps: list[asyncpg.Record]) -> Iterator[str]:
    """What it was before each step: since the holder stayed a `refer`, and before that what it was sent as."""
    names = [step["step"] for step in steps[1:]]
    sent_as = "request" if steps[0]["by"] != row["sender"] else "transfer"
    until = names.index("keep_holder") if "keep_holder" in names else -1
    return (sent_as if place <= until else row["verb"] for place in range(len(names)))


def after(row: asyncpg.Record, verb: Verb, at: Standing, step: asyncpg.Record) -> Standing:
    """Where a step leads, by the words of the table; a step that is not in it fails."""
    name = step["step"]
    assert not (at.taken and step["by"] == "clock"), "nobody stands behind the coordinator"
    kind = Kind.PROGRAMME if row["course_run_id"] is None else Kind.COURSE_RUN
    parties = [party for party in ("sender", "receiver", "coordinator") if row[party] == step["by"]] or [step["by"]]
    oracle = {**ORACLE[kind, verb], **(TAKEN_OVER if at.taken else {})}
    targets = {oracle.get((party, name, State(at.state))) for party in parties} - {None}
    assert len(targets) == 1, (at, name, step["by"])
    (target,) = targets
    assert name != "overrule_forward" or (
        at.reason not in BY_PERSON and row["coordinator"] != row["receiver" if verb is Verb.REQUEST else "sender"]
    )
    if name in SEATS:
        assert SEATS.index(name) > at.seat, "a seat goes forward"
    assert target is not None
    state = at.before_hold if name == "resume" else target
    return Standing(
        state,
        _holder(row, verb, at, name),
        before_hold="" if state != "on_hold" else at.before_hold or at.state,
        reason=step["reason"] or (at.reason if name == "confirm_decline" else ""),
        seat=SEATS.index(name) if name in SEATS else at.seat,
        won=at.won or name in ACCEPTED,
        taken=state in AT_WORK and (at.taken or name == "take_over"),
    )


def _holder(row: asyncpg.Record, verb: Verb, at: Standing, name: str) -> str:
    """One at every moment: acceptance moves it, unless it is only referred; silence and a no lead to the city."""
    request = verb is Verb.REQUEST
    coordinator: str = row["coordinator"]
    if name in ACCEPTED:
        return at.holder if verb is Verb.REFER else str(row["receiver"])
    if name == "keep_holder":
        return str(row["sender"]) if at.holder == row["receiver"] else at.holder
    if name == "confirm_decline" and not request:
        return coordinator
    if name == "take_over":
        return coordinator
    return coordinator if name == "expire" and (not request or at.state in AT_WORK) else at.holder


def told_by(
    row: asyncpg.Record, step: asyncpg.Record, before: Standing | None, at: Standing
) -> list[tuple[str, str, int]]:
    """What a step tells."""
    name, request = step["step"], row["verb"] == "request"
    match name:
        case "draft":
            names = []
        case "send":
            names = ["sent"] + (["training-referred"] if row["course_run_id"] else [])
        case "withdraw" if before is not None and before.state == "draft":
            names = []
        case "expire":
            names = ["progressed"] if request and before is not None and before.state in IN_FLIGHT else ["taken-over"]
        case "confirm_decline":
            names = ["declined"] if request else ["declined", "taken-over"]
        case _ if name in SEATS[:-1]:
            names = ["received"] if before is not None and before.state == "sent" else []
        case _:
            names = [TOLD[name]]
    return [(str(row["id"]), each, step["version"]) for each in names]


async def _killed(session: Any) -> None:
    del session
    raise ConnectionError("killed before the commit")


@pytest.fixture
async def region(world: World) -> Region:
    region = await Region(world.service("referral")).ready()
    await coordinated(region.running, CITY)
    await region.running.rows("UPDATE agency SET closed_weekdays = '{2,6}' WHERE agency_id = 'sakura-npo'")
    programme = UUID(region.programmes[PROGRAMMES[0]])
    await region.running.rows("UPDATE programme SET acknowledge_days = 3 WHERE id = $1", programme)
    return region


CAME_TO_NOTHING: list[list[tuple[Any, ...]]] = [
    *([("move", 1, "receiver", name)] for name in ("accept", "set_outcome", "close")),
    [("place", 0)],
    [("move", 1, "receiver", "add_outcome")],
]
"""Closed as not started, then somebody says that there is no next place, then something came of it after all."""


@pytest.mark.slow
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[
        Phase.explicit,
        Phase.reuse,
        Phase.generate,
    ],  # a story of a hundred requests is not told anew for shrinking
)
@given(story=happenings)
@example(story=CAME_TO_NOTHING)
async def test_whatever_happens_to_a_case_somebody_with_a_name_is_responsible_for_each_referral(
    region: Region, story: list[list[tuple[Any, ...]]]
) -> None:
    told = Story(region)
    await region.running.hear(opened(told.case_id), consented(told.case_id))
    await told.happen(("send", PROGRAMMES[0], "transfer", False))
    await told.check()
    for at_once in story:
        await asyncio.gather(*(told.happen(what) for what in at_once))
        await told.check()
    await told.happen(("clock", 400))
    await told.check()
    for referral_id in told.sent:
        row = await told._row(referral_id)
        assert row["state"] not in IN_FLIGHT or row["course_run_id"] is not None, "silence leaves nothing unanswered"
        if row["state"] in {"accepted", "contact_made", "no_show"}:
            assert row["course_run_id"] is not None
        if row["state"] in {"in_service", "on_hold", "outcome_set"} and row["course_run_id"] is None:
            assert row["responsible_agency"] == row["coordinator"]
