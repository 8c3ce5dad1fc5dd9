"""Many who want the same seats, by HTTP and by referrals, and what each was told.

Whoever isn't answered asks again with the same key; some ask again although they were answered, some twice at once, and
some for two course runs on the same days.
"""

import asyncio
import csv
import io
import json
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx2
from joserfc.jwk import ECKey

from bench.wire import Answer, Wire
from demo.decide import allotment, decide
from demo.load import as_file
from shared.auth import Role
from shared.auth.issuer import Client, sign
from shared.service.clock import day_in_japan, wall_time
from tests.world import KAGOSHIMA, KIRISHIMA

ISSUER = "http://issuer.test"
AIRA = "462250"
TOWNS = {KAGOSHIMA: "kagoshima-desk", KIRISHIMA: "kirishima-desk", AIRA: "aira-desk"}
GROUP = "single_parent"
SEATS_OF_EACH = {"delegated": f"{KAGOSHIMA}:2 {KIRISHIMA}+{AIRA}:2", "priority": f"{GROUP}:3"}
CAPACITY = 20
AT_ONCE = 24
COURSES_AT_ONCE = 4
"""So many course runs are asked for at the same time, as in the minutes before their deadline."""
PATIENCE = 300.0
BY_REFERRAL, AGAIN, TWICE, TWO_COURSES, GIVES_BACK, IN_GROUP = 0.2, 0.05, 0.05, 0.08, 0.1, 0.1


@dataclass(slots=True)
class Want:
    """One attempt, and what came of it; `held` and `pool` are of the first answer."""

    case_id: UUID
    course: str
    town: str
    groups: list[dict[str, str]]
    by_referral: bool
    again: bool
    twice: bool
    gives_back: bool
    key: str = field(default_factory=lambda: str(uuid4()))
    answered: dict[str, Any] = field(default_factory=dict)
    refused: str | None = None
    given_back: bool = False

    @property
    def id(self) -> UUID | None:
        """Of the request for a seat, or of the referral that leads to one."""
        found = self.answered.get("referral_id" if self.by_referral else "seat_request_id")
        return None if found is None else UUID(found)


def wants_for(courses: Sequence[str], attempts: int, dice: random.Random) -> list[Want]:
    """So many attempts, some course runs at a time."""
    wants: list[Want] = []
    each = attempts // len(courses)
    for first in range(0, len(courses), COURSES_AT_ONCE):
        rivals = courses[first : first + COURSES_AT_ONCE]
        wave = [_want(course, dice) for course in rivals for _ in range(each)]
        # The same person at another course run on the same days: at most one of the two seats is to be had.
        for want in dice.sample(wave, int(len(wave) * TWO_COURSES)):
            other = dice.choice(wave)
            if other.course != want.course and not (other.by_referral or want.by_referral):
                want.case_id, want.town = other.case_id, other.town
        dice.shuffle(wave)
        wants += wave
    return wants


def _want(course: str, dice: random.Random) -> Want:
    def some(share: float) -> bool:
        return dice.random() < share

    groups = [{"target_group": GROUP, "basis": "document_seen"}] if some(IN_GROUP) else []
    town = dice.choice(list(TOWNS))
    case_id = UUID(int=dice.getrandbits(128), version=4)
    by_referral = some(BY_REFERRAL)
    # A referral says nothing of target groups.
    return Want(
        case_id, course, town, [] if by_referral else groups, by_referral, some(AGAIN), some(TWICE), some(GIVES_BACK)
    )


class Rush:
    """All who ask, at the ports of training and of referral."""

    def __init__(self, ports: Mapping[str, int], key: ECKey) -> None:
        key.ensure_kid()
        self.ports = ports
        self.tokens = {
            (name, town): _token(key, name, desk, [town], Role.COUNSELLOR)
            for name in ("training", "referral")
            for town, desk in TOWNS.items()
        }
        planner = _token(key, "training", "kenchou-planner", ["prefecture:46"], Role.PLANNER)
        self.planner = httpx2.AsyncClient(
            base_url=f"http://127.0.0.1:{ports['training']}",
            headers={"Authorization": f"Bearer {planner}"},
            timeout=300,
            trust_env=False,
        )
        self.done = 0
        self.wrong: list[str] = []

    # --- what is there before anybody asks ---

    async def offer(self, number: int) -> list[str]:
        """So many course runs, each with a general, a priority and two delegated pools; their ids."""
        starts_on = day_in_japan(wall_time()) + timedelta(weeks=10)
        year = starts_on.year - (starts_on.month < 4)
        shares = [allotment(KAGOSHIMA, 10_000, fiscal_year=year), allotment(KIRISHIMA, 10_000, fiscal_year=year)]
        shares[1]["municipalities"] = [KIRISHIMA, AIRA]
        await decide(self, shares, title="(架空)委ねる枠")
        imported = "/v1/course-run-imports"
        checked = await self.post(imported, _course_runs(number, starts_on))
        assert checked["rejected"] == 0, checked
        await self.post(f"{imported}/{checked['import_id']}/commit", {})
        offered = sorted([each["course_run_id"] async for each in self.every("/v1/course-runs")])
        await self.planner.aclose()
        return offered

    async def every(self, path: str) -> Any:
        """All items of a list."""
        cursor: dict[str, str] = {}
        while True:
            page = (await self.planner.get(path, params={"limit": 100, **cursor})).raise_for_status().json()
            for item in page["items"]:
                yield item
            if page["next_cursor"] is None:
                return
            cursor = {"cursor": page["next_cursor"]}

    async def get(self, path: str, **params: Any) -> Any:
        """As `demo.decide` asks, which knows the address that all services share."""
        return (await self.planner.get(path.removeprefix("/training"), params=params)).raise_for_status().json()

    async def post(self, path: str, body: Any) -> Any:
        """The same."""
        sent: dict[str, Any] = {"content": body} if isinstance(body, bytes) else {"json": body}
        kind = {"Content-Type": "text/csv"} if isinstance(body, bytes) else {}
        headers = {"Idempotency-Key": str(uuid4()), **kind}
        answer = await self.planner.post(path.removeprefix("/training"), headers=headers, **sent)
        return answer.raise_for_status().json()

    # --- those who ask ---

    async def play(self, wants: Sequence[Want]) -> None:
        """All of them, so many at once."""
        waiting: Iterator[Want] = iter(wants)

        async def work() -> None:
            voice = _Voice(self)
            for want in waiting:
                await self._ask(voice, want)
                self.done += 1
            voice.close()

        await asyncio.gather(*(work() for _ in range(AT_ONCE)))

    async def _ask(self, voice: "_Voice", want: Want) -> None:
        ask = self._referral if want.by_referral else self._seat
        if want.twice:
            beside = _Voice(self)
            answer, other = await asyncio.gather(ask(voice, want), ask(beside, want))
            beside.close()
            answer = self._same(answer, other)
        else:
            answer = await ask(voice, want)
        if want.again:
            answer = self._same(answer, await ask(voice, want))
        body = json.loads(answer.body)
        if answer.status != 201:
            want.refused = str(body.get("code", answer.status))
            return
        want.answered = body
        if want.gives_back and body.get("outcome") == "held":
            path, reason = f"/v1/seat-requests/{want.id}/release", {"reason": "withdrawn"}
            given = await voice.ask("training", want.town, path, reason, str(uuid4()))
            want.given_back = given.status == 200
            if not want.given_back:
                self.wrong.append(f"given back: {given.status} {given.body[:200]!r}")

    async def _seat(self, voice: "_Voice", want: Want) -> Answer:
        body = {"case_id": str(want.case_id), "target_groups": want.groups}
        return await voice.ask("training", want.town, f"/v1/course-runs/{want.course}/seat-requests", body, want.key)

    async def _referral(self, voice: "_Voice", want: Want) -> Answer:
        body = {"case_id": str(want.case_id), "course_run_id": want.course}
        return await voice.ask("referral", want.town, "/v1/referrals", body, want.key)

    def _same(self, first: Answer, second: Answer) -> Answer:
        """A repeated key gets the first answer. Who was refused left no trace, is judged anew, and may be given one."""
        if first.status == 201 and (second.status, second.body) != (201, first.body):
            self.wrong.append(f"{first.body[:200]!r} and then {second.status} {second.body[:200]!r}")
        return first if first.status == 201 else second


class _Voice:
    """One caller's connections. Who isn't answered, or shall come again, asks again with the same key."""

    def __init__(self, rush: Rush) -> None:
        self._rush = rush
        self._wires: dict[tuple[str, str], Wire] = {}

    async def ask(self, service: str, town: str, path: str, body: Any, key: str) -> Answer:
        ends, pause = time.monotonic() + PATIENCE, 0.05
        place = service, town
        while True:
            try:
                async with asyncio.timeout(30):
                    if place not in self._wires:
                        self._wires[place] = await Wire.to(self._rush.ports[service], self._rush.tokens[place])
                    answer = await self._wires[place].ask("POST", path, body, key=key)
                if answer.status != 503 and b"request_in_progress" not in answer.body:
                    return answer
            except (OSError, asyncio.IncompleteReadError, TimeoutError):
                if wire := self._wires.pop(place, None):
                    wire.close()
            assert time.monotonic() < ends, f"{path}: never answered"
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, 0.5)

    def close(self) -> None:
        for wire in self._wires.values():
            wire.close()


def _token(key: ECKey, service: str, agency: str, municipalities: Sequence[str], role: Role) -> str:
    client = Client(
        client_id=f"client-{agency}",
        public_key={},
        agency=agency,
        agency_kind="self_reliance_desk",
        municipalities=list(municipalities),
        roles=[role],
    )
    return sign(client, issuer=ISSUER, key=key, audiences=[f"tsunagu-{service}"], now=time.time(), life=36_000)


def _course_runs(number: int, starts_on: date) -> bytes:
    closes = f"{starts_on - timedelta(days=14)} 16:00"
    rows = [
        [
            f"46-rush-{each:05}", "(架空)Webデザイン科", "job_seeker_practical", "web_design", "school-iroha",
            KIRISHIMA,
            starts_on.isoformat(), (starts_on + timedelta(days=90)).isoformat(), str(CAPACITY), closes, "72",
            SEATS_OF_EACH["delegated"], "架空", day_in_japan(wall_time()).isoformat(),
        ]
        for each in range(number)
    ]  # fmt: skip
    header, *lines = csv.reader(io.StringIO(as_file(rows).decode("cp932"), newline=""))
    out = io.StringIO(newline="")
    csv.writer(out).writerows([[*header, "優先枠"], *([*line, SEATS_OF_EACH["priority"]] for line in lines)])
    return out.getvalue().encode("cp932")


async def make_known(database: asyncpg.Connection, wants: Sequence[Want]) -> None:
    """The cases with their consent, in both services, as if intake had told of them."""
    whose = {want.case_id: want.town for want in wants}
    shared = ("case_id", "municipality", "consent_state", "consent_version", "consent_purposes")
    known = [(case_id, town, "given", 1, ["referral"]) for case_id, town in whose.items()]
    await database.copy_records_to_table("case_fact", records=known, columns=shared, schema_name="training")
    led = {want.case_id for want in wants if want.by_referral}
    more = ("opened_by", "holder", "holder_version", "topics", "needs", "urgent", "consent_recipients")
    rows: list[Any] = [(*row, TOWNS[row[1]], TOWNS[row[1]], 1, [], [], False, []) for row in known if row[0] in led]
    await database.copy_records_to_table("case_fact", records=rows, columns=[*shared, *more], schema_name="referral")


_UNHEARD = """
SELECT (SELECT count(*) FROM referral.outbox) + (SELECT count(*) FROM training.outbox)
    + (SELECT coalesce(sum(next_off - off), 0) FROM bus.grp JOIN bus.part USING (topic, p))
    + (SELECT count(*) FROM training.seat_to_offer)
"""


async def drained(database: asyncpg.Connection, seconds: float) -> None:
    """Until everything that was told has been heard, and everything that came free was offered."""
    ends = time.monotonic() + seconds
    while left := await database.fetchval(_UNHEARD):
        assert time.monotonic() < ends, f"{left} that were told have not been heard"
        await asyncio.sleep(0.2)
