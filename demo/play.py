"""The main job, played: from a person at any door to a seat in a course, over HTTP only, by several agencies at once.

Consent is missing here and there, agencies decline, one course fills up, holds run out, and one batch of events is
delivered twice. `checks.py` then counts whether anything was lost, doubled or oversold.
"""

import asyncio
import secrets
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx2

from demo.client import Agency, Refused, demo_agencies, eventually
from demo.decide import allotment, decide
from demo.load import NOTIFICATION, OFFICE, PLANNER, invented_number, popular_course_file, take_in
from demo.persons import HELLO_WORK, KAGOSHIMA, Person, invent
from shared.service.clock import day_in_japan, wall_time

AT_ONCE = 12
POPULAR_SEATS = 12
SHORT_HOLD = timedelta(seconds=2)
PROVIDER = "school-iroha"
OBSERVER = "region-observer"


@dataclass(slots=True)
class Stage:
    """Everything a play needs: who can call, and the course that everybody wants."""

    base: str
    agencies: Mapping[str, Agency]
    popular: str = ""
    popular_number: str = ""
    feed_from: int = 0
    programmes: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Played:
    """What came of it."""

    stage: Stage
    persons: Sequence[Person]
    seconds: float

    @property
    def median_to_seat(self) -> float | None:
        """Median seconds from the door to a held seat, of those who got one."""
        times = [person.seconds_to_seat for person in self.persons if person.seconds_to_seat is not None]
        return statistics.median(times) if times else None


async def play(
    base: str, keys: Path, *, count: int, seed: int, advance: Callable[[], object], client: httpx2.AsyncClient
) -> Played:
    """Play `count` persons. Raises `Refused` or `TimeoutError` when the platform doesn't do what it promises."""
    began = time.monotonic()
    stage = await _set_up(base, keys, client)
    persons = invent(count, seed)
    early = [person for person in persons if person.lets_expire]
    await asyncio.gather(*(_person(stage, person, advance) for person in early))
    await _deliver_twice(stage)
    room = asyncio.Semaphore(AT_ONCE)

    async def one(person: Person) -> None:
        async with room:
            await _person(stage, person, advance)

    await asyncio.gather(*(one(person) for person in persons if not person.lets_expire))
    await _let_holds_expire(stage, [person for person in early if person.seat_request_id])
    await _settle(stage, persons)
    return Played(stage, persons, time.monotonic() - began)


async def _set_up(base: str, keys: Path, client: httpx2.AsyncClient) -> Stage:
    agencies = {each["agency"]: Agency.from_keys(base, each["agency"], keys, client) for each in demo_agencies()}
    planner = agencies[PLANNER]
    number = f"46-tsuika-{secrets.token_hex(3)}"
    today = day_in_japan(wall_time())
    file = popular_course_file(today, number, capacity=POPULAR_SEATS, delegated=f"{KAGOSHIMA}:4")
    await decide(planner, [allotment(KAGOSHIMA, 4, course_number=number)], title="(架空)追加開講の委ねる枠")
    figures = await agencies[OBSERVER].get("/dashboard/v1/figures")
    await take_in(planner, "/training/v1/course-run-imports", file)
    runs = await planner.every("/training/v1/course-runs", field="web_design")
    popular = next(run["course_run_id"] for run in runs if run["course_number"] == number)
    return Stage(base, agencies, popular=popular, popular_number=number, feed_from=figures["position"])


async def _deliver_twice(stage: Stage) -> None:
    """Ask two services to publish their next batch twice, where the installation lets rehearse such things."""
    for service in ("intake", "referral"):
        await stage.agencies[OBSERVER].post(f"/{service}/v1/rehearsals/duplicate-delivery")


async def _person(stage: Stage, person: Person, advance: Callable[[], object]) -> None:
    began = time.monotonic()
    desk = stage.agencies[person.agency]
    case = await desk.post(
        "/intake/v1/cases",
        {
            "municipality": person.municipality,
            "entrance": person.entrance,
            "topics": ["job_search"],
            "needs": person.needs,
            "anchor": "(架空)相談員 1",
            "consent": {"state": person.consent, "purposes": ["referral"], "text_version": "demo-1"},
        },
    )
    person.case_id = case["case_id"]
    outcome = "support" if person.consent == "given" else "no_consent_yet"
    await desk.post(f"/intake/v1/cases/{person.case_id}/screenings", {"outcome": outcome})
    if person.consent == "given":
        await _assess_and_refer(stage, person, desk, began)
    else:
        person.waits_for = f"consent_{person.consent}"
    advance()


async def _assess_and_refer(stage: Stage, person: Person, desk: Agency, began: float) -> None:
    assess = {"levels": person.levels, "setting": "solo"}
    await eventually(
        lambda: desk.post(f"/assessment/v1/cases/{person.case_id}/assessments", assess), what="case known to assessment"
    )
    found = await eventually(
        lambda: desk.get(f"/referral/v1/cases/{person.case_id}/candidates"),
        until=lambda answer: bool(answer["items"]) or answer["need_unmet"],
        what="candidates",
    )
    if person.way == "popular":
        await _ask_for_seat(stage, person, desk, stage.popular, began)
        return
    kind = "course_run" if person.way == "course" else "programme"
    choices = [item for item in found["items"] if item["kind"] == kind and item["id"] != stage.popular]
    if person.way == "course" and choices:
        await _ask_for_seat(stage, person, desk, choices[person.number % min(4, len(choices))]["id"], began)
    else:
        await _find_receiver(stage, person, desk, [item for item in choices if item["agency_id"] != person.agency])


async def _ask_for_seat(stage: Stage, person: Person, desk: Agency, course_run: str, began: float) -> None:
    body = {"case_id": person.case_id, "course_run_id": course_run}

    async def send() -> Any:
        # A short hold counts from the attempt that is taken: on a slow machine the news may take longer than the hold.
        until = {"hold_until": (wall_time() + SHORT_HOLD).isoformat()} if person.lets_expire else {}
        return await desk.post("/referral/v1/referrals", body | until)

    referral = await eventually(send, what="consent known to referral")
    seen = await eventually(
        lambda: desk.get(f"/referral/v1/referrals/{referral['referral_id']}"),
        until=lambda answer: answer["progress"] is not None or answer["state"] == "declined",
        what="an answer about the seat",
    )
    requests = await desk.every("/training/v1/seat-requests", case_id=person.case_id)
    if not requests:
        person.waits_for = f"refused_{seen['reason']}"
        return
    person.seat_request_id, person.seat_state = requests[0]["seat_request_id"], requests[0]["state"]
    if person.seat_state == "waiting":
        person.waits_for = "seat"
        return
    person.seconds_to_seat = time.monotonic() - began
    if not person.lets_expire:
        await _instruct_and_enrol(stage, person, requests[0])


async def _instruct_and_enrol(stage: Stage, person: Person, request: Mapping[str, Any]) -> None:
    """Nomination by the municipality, countersigned and instructed by Hello Work, then enrolment at the school."""
    path = f"/training/v1/seat-requests/{person.seat_request_id}"
    placement, hello_work = stage.agencies[person.placement], stage.agencies[HELLO_WORK]
    if person.goes_until == "held":
        return
    entity = {"legal_entity": invented_number(person.placement), "notification_number": NOTIFICATION}
    await placement.post(f"{path}/nominate", entity)
    await hello_work.post(f"{path}/countersign")
    instructed = {"legal_entity": invented_number(HELLO_WORK), "notification_number": OFFICE}
    person.seat_state = (await hello_work.post(f"{path}/instruct", instructed))["state"]
    if person.goes_until == "enrolled":
        run = await hello_work.get(f"/training/v1/course-runs/{request['course_run_id']}")
        person.seat_state = (await stage.agencies[run["provider"]].post(f"{path}/enrol"))["state"]


async def _find_receiver(stage: Stage, person: Person, desk: Agency, choices: Sequence[Mapping[str, Any]]) -> None:
    """Ask one after the other until somebody accepts."""
    for place, choice in enumerate(choices[:3]):
        body = {"case_id": person.case_id, "programme_id": choice["id"]}
        referral = await eventually(partial(desk.post, "/referral/v1/referrals", body), what="consent known")
        receiver = stage.agencies[choice["agency_id"]]
        path = f"/referral/v1/referrals/{referral['referral_id']}"
        await receiver.post(f"{path}/receive")
        if (person.number + place) % 3 == 0:
            await receiver.post(f"{path}/decline", {"reason": "no_capacity"})
            # The coordinator looks at the no; the desk still holds the case, and sends it on to the next.
            await stage.agencies[referral["coordinator"]].post(f"{path}/confirm-decline")
            person.declined.append(choice["agency_id"])
            continue
        await receiver.post(f"{path}/accept")
        person.accepted_by = choice["agency_id"]
        return
    person.waits_for = "receiver"


async def _let_holds_expire(stage: Stage, early: Sequence[Person]) -> None:
    """Wait until the short holds have run out: their seats are somebody else's now."""
    for person in early:
        desk = stage.agencies[person.agency]

        async def state(desk: Agency = desk, person: Person = person) -> Any:
            return (await desk.get(f"/training/v1/seat-requests/{person.seat_request_id}"))["state"]

        person.seat_state = await eventually(state, until=lambda found: found == "released", what="the hold's end")
        person.waits_for = "hold_expired"


async def _settle(stage: Stage, persons: Sequence[Person]) -> None:
    """Look again at those in line: some have moved up."""
    for person in persons:
        if person.waits_for != "seat":
            continue
        desk = stage.agencies[person.agency]
        found = await desk.get(f"/training/v1/seat-requests/{person.seat_request_id}")
        person.seat_state = found["state"]
        if person.seat_state != "waiting":
            person.waits_for = ""


__all__ = ["OBSERVER", "Played", "Refused", "Stage", "play"]
