"""The yearly report over HTTP, against an oracle that recomputes everything by brute force from entries and facts."""

import csv
import io
from calendar import monthrange
from collections import Counter
from collections.abc import Iterable
from datetime import date, timedelta
from fractions import Fraction
from itertools import combinations
from math import floor
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from services.training.domain.outcomes import Checkpoint, Ending, Left, Outcome, due_on
from shared.auth import Role
from shared.service.clock import day_in_japan, wall_time
from tests.service.deliberation_room import line, the_room
from tests.service.training_courses import (
    KAGOSHIMA,
    KIRISHIMA,
    LATER,
    ask,
    desk,
    hello_work,
    instructed,
    known_case,
    offered,
    planner,
    school,
    seat,
    step,
)
from tests.world import ZAMA, Caller, Running, World

DIMENSIONS = ("origin", "system", "field", "municipality", "target_group")
OF_PERSONS = {"municipality", "target_group"}
WAYS = [by for many in range(3) for by in combinations(DIMENSIONS, many)]
PERSON_MEASURES = (
    *("applications", "enrolled", "in_training", "ended", "completed", "left", "looked_at", "employed"),
    *("employed_insured", "unheard"),
)
BEGAN = date(2026, 4, 10)
TOWNS = (KAGOSHIMA, KIRISHIMA)


@pytest.fixture
def training(world: World) -> Running:
    return world.service("training")


def outsider(training: Running) -> Caller:
    return training.as_("tokyo-observer", Role.OBSERVER, municipalities=["prefecture:13"])


async def read(caller: Caller, path: str) -> list[dict[str, Any]]:
    """Every page of a list."""
    items: list[dict[str, Any]] = []
    cursor = ""
    while True:
        answer = await caller.get(f"{path}{cursor}")
        assert answer.status_code == 200, answer.text
        items += answer.json()["items"]
        if answer.json()["next_cursor"] is None:
            return items
        cursor = f"&cursor={answer.json()['next_cursor']}"


# --- worlds ---------------------------------------------------------------------------------------------------------


async def enrolled(training: Running, course: UUID, town: str = KAGOSHIMA) -> UUID:
    asked = await seat(training, course, municipality=town)
    await finish(training, asked)
    return UUID(asked["seat_request_id"])


async def finish(training: Running, asked: dict[str, Any]) -> None:
    await instructed(training, asked)
    assert (await step(school(training), asked, "enrol")).status_code == 200


async def ended(training: Running, request: UUID, number: int, ending: Ending, why: Left | None, day: date) -> None:
    await training.rows(
        "INSERT INTO training_end (id, seat_request_id, number, ending, reason, ended_on, agency, at)"
        " VALUES ($1, $2, $3, $4, $5, $6, 'kagoshima-school', now())",
        uuid4(), request, number, ending, why, day,
    )  # fmt: skip


async def found(training: Running, request: UUID, point: Checkpoint, number: int, outcome: Outcome) -> None:
    await training.rows(
        "INSERT INTO employment_outcome (id, seat_request_id, checkpoint, number, outcome, agency, at)"
        " VALUES ($1, $2, $3, $4, $5, 'kagoshima-desk', now())",
        uuid4(), request, point, number, outcome,
    )  # fmt: skip


ENDS = st.lists(
    st.one_of(
        st.tuples(st.just(Ending.COMPLETED), st.none()),
        st.tuples(st.just(Ending.LEFT), st.sampled_from([Left.FOUND_WORK, Left.ILLNESS])),
    ),
    max_size=2,
)
PEOPLE = st.fixed_dictionaries(
    {
        "town": st.sampled_from([KAGOSHIMA, KIRISHIMA]),
        "many": st.sampled_from([1, 1, 2, 5]),
        "enrols": st.sampled_from([True, True, True, False]),
        "asks_again": st.sampled_from([False, False, True]),
        "groups": st.sampled_from([(), (), ("single_parent",), ("disability", "single_parent")]),
        "ends": ENDS,
        "months_ago": st.sampled_from([1, 3, 4]),
        "outcomes": st.lists(st.tuples(st.sampled_from(Checkpoint), st.sampled_from(Outcome)), max_size=3),
    }
)
COURSES = st.fixed_dictionaries(
    {
        "capacity": st.integers(8, 20),
        "fewer": st.integers(0, 2),
        "delegated": st.sampled_from([{}, {KAGOSHIMA: 3}, {KAGOSHIMA: 1, KIRISHIMA: 2}]),
        "priority": st.sampled_from([{}, {"single_parent": 2}]),
        "system": st.sampled_from(["job_seeker_practical", "public_commissioned"]),
        "field": st.sampled_from(["web_design", "care"]),
        "starts_on": st.sampled_from([date(2026, 4, 1), date(2027, 3, 31), date(2027, 4, 1)]),
        "people": st.lists(PEOPLE, max_size=3),
    }
)


async def make(training: Running, plan: dict[str, Any]) -> None:
    """One course run and its people; seats over HTTP, what came of them as late facts with their corrections."""
    people = plan.pop("people")
    number = f"46-{uuid4().hex[:12]}"
    fewer = plan.pop("fewer")
    about = {**plan, "course_number": number, "ends_on": plan["starts_on"] + timedelta(days=90)}
    if plan["priority"]:
        about["priority_opens_at"] = wall_time() + training.desk.clock.offset + timedelta(days=1)
    course = await offered(training, **about)
    if fewer and not people:
        await offered(training, **{**about, "capacity": plan["capacity"] - fewer})
    today = day_in_japan(wall_time() + training.desk.clock.offset)
    for group in people:
        for _ in range(group["many"]):
            case_id = await known_case(training, group["town"])
            named = [{"target_group": each, "basis": "person_said"} for each in group["groups"]]
            answer = await ask(training, course, municipality=group["town"], case_id=case_id, target_groups=named)
            if group["asks_again"]:
                given_back = {"reason": "person_declined"}
                assert (
                    await step(desk(training, group["town"]), answer.json(), "release", given_back)
                ).status_code == 200
                answer = await ask(training, course, municipality=group["town"], case_id=case_id, target_groups=named)
            assert answer.status_code in {201, 202}, answer.text
            if answer.json()["outcome"] != "held" or group["town"] != KAGOSHIMA or not group["enrols"]:
                continue
            await finish(training, answer.json())
            request = UUID(answer.json()["seat_request_id"])
            for place, (ending, why) in enumerate(group["ends"], 1):
                month = today.year * 12 + today.month - 1 - group["months_ago"]
                day = date(month // 12, month % 12 + 1, min(today.day, monthrange(month // 12, month % 12 + 1)[1]))
                await ended(training, request, place, ending, why, day)
            for place, (point, outcome) in enumerate(group["outcomes"], 1):
                await found(training, request, point, place, outcome)


# --- the oracle -----------------------------------------------------------------------------------------------------


class Person(NamedTuple):
    """A request with what it counts in, recomputed from the facts as they lie in the tables."""

    id: str
    prefecture: str
    origin: str
    system: str
    field: str
    municipality: str
    groups: tuple[str, ...]
    counts: frozenset[str]


class Truth(NamedTuple):
    persons: list[Person]
    seats: Counter[tuple[str, str, str]]


async def truth(training: Running, year: int) -> Truth:
    runs = {row["id"]: row for row in await training.rows("SELECT * FROM course_run")}
    runs = {
        key: row for key, row in runs.items()
        if date(year, 4, 1) <= row["starts_on"] <= date(year + 1, 3, 31) and row["prefecture"] == "46"
    }  # fmt: skip
    pools = {row["id"]: row["kind"] for row in await training.rows("SELECT id, kind FROM pool")}
    seats: Counter[tuple[str, str, str]] = Counter()
    for entry in await training.rows("SELECT * FROM seat_entry"):
        run = runs.get(entry["course_run_id"])
        if run is None:
            continue
        sign = {"open": (1, 0), "close": (-1, 0), "grant": (-1, 1), "return": (1, -1)}.get(entry["kind"], (0, 0))
        seats["unshared", run["system"], run["field"]] += sign[0] * entry["seats"]
        if sign[1]:
            seats[pools[entry["pool_id"]], run["system"], run["field"]] += sign[1] * entry["seats"]
    enrolled_ids = {row["seat_request_id"] for row in await training.rows("SELECT * FROM enrolment")}
    ends = await training.rows("SELECT * FROM training_end ORDER BY number")
    last_end = {row["seat_request_id"]: row for row in ends}
    outcomes = await training.rows("SELECT * FROM employment_outcome WHERE checkpoint = 'three_months' ORDER BY number")
    last_outcome = {row["seat_request_id"]: row["outcome"] for row in outcomes}
    today = day_in_japan(wall_time() + training.desk.clock.offset)
    persons = []
    for request in await applicants(training):
        run = runs.get(request["course_run_id"])
        if run is None:
            continue
        end, outcome = last_end.get(request["id"]), last_outcome.get(request["id"])
        counts = counted(request["id"] in enrolled_ids, end, outcome, today)
        persons.append(
            Person(
                str(request["id"]), run["prefecture"], pools[request["pool_id"]], run["system"], run["field"],
                request["municipality"], tuple(request["target_groups"]), frozenset(counts),
            )
        )  # fmt: skip
    return Truth(persons, seats)


async def applicants(training: Running) -> list[Any]:
    """Persons in a course run, however often they asked for a seat there: each by what they asked for last."""
    last: dict[tuple[Any, Any], Any] = {}
    for request in await training.rows("SELECT * FROM seat_request ORDER BY requested_at"):
        last[request["course_run_id"], request["case_id"]] = request
    return list(last.values())


def counted(is_enrolled: bool, end: Any, outcome: str | None, today: date) -> Iterable[str]:
    yield "applications"
    if not is_enrolled:
        return
    yield "enrolled"
    if end is None:
        yield "in_training"
        return
    yield "ended"
    yield end["ending"]
    for_work = end["ending"] == "left" and end["reason"] == "found_work"
    if (end["ending"] == "completed" or for_work) and due_on(end["ended_on"], Checkpoint.THREE_MONTHS) <= today:
        yield "looked_at"
        if outcome in {"employed", "employed_insured", "self_employed"}:
            yield "employed"
        if outcome == "employed_insured":
            yield "employed_insured"
        if outcome in {None, "not_reached"}:
            yield "unheard"


def atom(person: Person) -> tuple[Any, ...]:
    """A smallest part: all of whom the same is counted."""
    return (*person[1:5], person.counts)


def expected(
    truth: Truth, by: tuple[str, ...], own: Any, *, told_groups: bool
) -> dict[tuple[str | None, ...], dict[str, Any]]:
    """Each cell's counts: exact, or as `≥`."""
    cells: dict[tuple[str | None, ...], dict[str, Any]] = {} if by else {(None,) * 5: {}}
    small = Counter(atom(person) for person in truth.persons if not own(person))

    def place(
        origin: str, system: str, field: str, town: str | None = None, group: str | None = None
    ) -> tuple[str | None, ...]:
        told = {"origin": origin, "system": system, "field": field, "municipality": town, "target_group": group}
        return tuple(told[name] if name in by else None for name in DIMENSIONS)

    groups: dict[Any, list[Person]] = {}
    for person in truth.persons:
        mine = own(person)
        town = person.municipality if mine else None
        named = (person.groups or ("none",)) if mine and told_groups else (None,)
        for key in {place(person.origin, person.system, person.field, town, group) for group in named}:
            groups.setdefault(key, []).append(person)
    for key, persons in groups.items():
        counts = cells.setdefault(key, {})
        for measure in PERSON_MEASURES:
            inside = [person for person in persons if measure in person.counts]
            hidden = {atom(each) for each in inside if not own(each) and small[atom(each)] < 5}
            least = len([each for each in inside if own(each) or atom(each) not in hidden]) + len(hidden)
            counts[measure] = (None, least) if hidden else (least, least)
    if OF_PERSONS.isdisjoint(by):
        for (origin, system, field), many in truth.seats.items():
            if many:
                key = place(origin, system, field)
                cells.setdefault(key, {}).setdefault("capacity", 0)
                cells[key]["capacity"] += many
    for counts in cells.values():
        many = counts.get("capacity", 0)
        counts["capacity"] = (many, many) if OF_PERSONS.isdisjoint(by) else None
        for measure in PERSON_MEASURES:
            counts.setdefault(measure, (0, 0))
    return cells


RATES = {
    "application_ratio": ("applications", "capacity", 1, 2),
    "fill_rate": ("enrolled", "capacity", 100, 1),
    "completion_rate": ("completed", "ended", 100, 1),
    "employment_rate": ("employed", "looked_at", 100, 1),
    "insured_employment_rate": ("employed_insured", "looked_at", 100, 1),
}


def rate(counts: dict[str, Any], name: str) -> float | None:
    above, below, scale, digits = RATES[name]
    if counts[above] is None or counts[below] is None or None in {counts[above][0], counts[below][0]}:
        return None
    if counts[below][0] == 0:
        return None
    exact: Fraction = Fraction(counts[above][0], counts[below][0]) * scale
    return float(Fraction(floor(exact * 10**digits + Fraction(1, 2)), 10**digits))


async def hold_against(training: Running, year: int) -> None:
    """Every cell, rate and entry of every way to tell the report apart, for four readers."""
    told = await truth(training, year)
    the_school = school(training)
    readers = [
        (planner(training), lambda _: True),
        (desk(training), lambda person: person.municipality == KAGOSHIMA),
        (outsider(training), lambda _: False),
        (the_school, lambda _: True),
    ]
    for caller, own in readers:
        for by in WAYS:
            query = "".join(f"&by={name}" for name in by)
            path = f"/v1/training-report?fiscal_year={year}&prefecture=46{query}&limit=2"
            cells = await read(caller, path)
            shown = {tuple(cell[name] for name in DIMENSIONS): cell for cell in cells}
            assert len(shown) == len(cells)
            wanted = expected(told, by, own, told_groups=caller is not the_school)
            assert shown.keys() == wanted.keys()
            for key, counts in wanted.items():
                answered = {
                    measure: None if count is None else (count["count"], count["at_least"])
                    for measure, count in shown[key]["counts"].items()
                }
                assert answered == counts, (by, key)
                rates = {each["name"]: each["value"] for each in shown[key]["rates"]}
                assert rates == {name: rate(counts, name) for name in RATES}, (by, key)
    await opens(training, year, told)


async def opens(training: Running, year: int, told: Truth) -> None:
    """A number opens to exactly what it counts."""
    for origin in ("general", "delegated", "priority", "unshared", None):
        at = f"?fiscal_year={year}&prefecture=46&limit=3" + ("" if origin is None else f"&origin={origin}")
        entries = await read(planner(training), f"/v1/training-report/entries{at}")
        many = sum(seats for key, seats in told.seats.items() if origin in {None, key[0]})
        assert sum(each["seats"] for each in entries) == many
        for measure in PERSON_MEASURES:
            found = await read(hello_work(training), f"/v1/training-report/requests{at}&measure={measure}")
            wanted = {each.id for each in told.persons if measure in each.counts and origin in {None, each.origin}}
            assert {each["id"] for each in found} == wanted
            assert len(found) == len(wanted)
    for group in ("single_parent", "none"):
        at = f"?fiscal_year={year}&prefecture=46&measure=enrolled&target_group={group}"
        wanted = {each.id for each in told.persons if "enrolled" in each.counts and group in (each.groups or ("none",))}
        assert {each["id"] for each in await read(hello_work(training), f"/v1/training-report/requests{at}")} == wanted
        assert await read(school(training), f"/v1/training-report/requests{at}") == []


@settings(
    max_examples=4, deadline=None, phases=[Phase.explicit, Phase.generate], derandomize=True,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
@given(plans=st.lists(COURSES, min_size=1, max_size=3))
async def test_the_report_is_what_brute_force_counts(training: Running, plans: list[dict[str, Any]]) -> None:
    for plan in plans:
        await make(training, dict(plan))
    for year in (2026, 2027):
        await hold_against(training, year)


# --- by hand --------------------------------------------------------------------------------------------------------


async def test_what_was_corrected_counts_no_more(training: Running) -> None:
    course = await offered(training, starts_on=BEGAN, ends_on=date(2026, 7, 10))
    request = await enrolled(training, course)
    await ended(training, request, 1, Ending.LEFT, Left.ILLNESS, date(2026, 6, 1))
    await ended(training, request, 2, Ending.COMPLETED, None, date(2026, 7, 10))
    await found(training, request, Checkpoint.THREE_MONTHS, 1, Outcome.SEEKING)
    await found(training, request, Checkpoint.THREE_MONTHS, 2, Outcome.EMPLOYED_INSURED)
    (cell,) = await read(planner(training), "/v1/training-report?fiscal_year=2026&prefecture=46")
    counts = {name: count["count"] for name, count in cell["counts"].items()}
    assert (counts["left"], counts["completed"], counts["employed_insured"], counts["looked_at"]) == (0, 1, 1, 1)
    (cell,) = await read(outsider(training), "/v1/training-report?fiscal_year=2026&prefecture=46")
    assert cell["counts"]["completed"] == {"count": None, "at_least": 1}
    assert cell["counts"]["left"] == {"count": 0, "at_least": 0}
    assert cell["counts"]["capacity"] == {"count": 10, "at_least": 10}


async def test_the_file_opens_in_excel_and_its_last_line_is_the_sum(training: Running) -> None:
    await enrolled(training, await offered(training, starts_on=BEGAN, delegated={KAGOSHIMA: 4}))
    path = "/v1/training-report.csv?fiscal_year=2026&prefecture=46&by=origin&by=field"
    answer = await planner(training).get(path)
    assert answer.status_code == 200, answer.text
    lines = list(csv.DictReader(io.StringIO(answer.content.decode("cp932"))))
    assert [(line["枠の種類"], line["分野"], line["定員"], line["入校者数"]) for line in lines] == [
        ("委ねる枠", "Webデザイン", "4", "1"), ("一般枠", "Webデザイン", "6", "0"), ("", "", "10", "1"),
    ]  # fmt: skip
    assert (lines[-1]["行"], lines[-1]["定員充足率(%)"], lines[-1]["都道府県"]) == ("計", "10.0", "鹿児島県")
    hidden = await outsider(training).get(f"{path}&encoding=utf-8")
    assert "1以上" in hidden.content.decode("utf-8-sig")


async def test_the_delegated_share_is_shown_against_its_decision(training: Running) -> None:
    course = await offered(training, starts_on=BEGAN, delegated={KAGOSHIMA: 4}, course_number="46-shared")
    await enrolled(training, course)
    await seat(training, course)
    await offered(training, starts_on=BEGAN, delegated={KAGOSHIMA: 3}, course_number="46-shared")
    at = "/v1/training-report/delegated?fiscal_year=2026&prefecture=46"
    shares = await read(outsider(training), f"{at}&limit=1")
    (mine,) = [share for share in shares if share["municipalities"] == [KAGOSHIMA]]
    numbers = {name: mine[name] for name in ("allotted", "granted", "returned", "taken")}
    assert numbers == {"allotted": 10_000, "granted": 4, "returned": 1, "taken": 2}
    assert mine["state"] == "in_force"
    behind = f"/v1/training-report/delegated/{mine['decision_allotment_id']}/entries"
    for name in ("granted", "returned", "taken"):
        signs = {"release": -1, "expire": -1}
        entries = await read(outsider(training), f"{behind}?number={name}&limit=1")
        assert sum(signs.get(each["kind"], 1) * each["seats"] for each in entries) == mine[name]
    (entry,) = await read(desk(training), f"{behind}?number=enrolled&limit=1")
    assert (entry["kind"], entry["seats"]) == ("enrol", 1)
    nothing = await desk(training).get(f"/v1/training-report/delegated/{uuid4()}/entries?number=taken")
    assert nothing.status_code == 404


async def test_how_many_of_a_share_are_enrolled_is_told_as_the_report_tells_it(training: Running) -> None:
    course = await offered(training, starts_on=BEGAN, delegated={KAGOSHIMA: 4})
    await enrolled(training, course)
    path = "/v1/training-report/delegated"
    exact, hidden = {"count": 1, "at_least": 1}, {"count": None, "at_least": 1}
    readers: list[tuple[Caller, object]] = [
        *((each, exact) for each in (planner(training), desk(training))),
        *((each, hidden) for each in (outsider(training), desk(training, KIRISHIMA))),
    ]
    for reader, wanted in readers:
        (share, other) = sorted(
            await read(reader, f"{path}?fiscal_year=2026"), key=lambda each: str(each["municipalities"])
        )
        assert (share["enrolled"], other["enrolled"]) == (wanted, {"count": 0, "at_least": 0})
        opened = await reader.get(f"{path}/{share['decision_allotment_id']}/entries?number=enrolled")
        assert opened.status_code == (200 if wanted == exact else 403), opened.text


async def test_decisions_of_two_years_for_one_year_of_courses_are_listed_page_by_page(
    training: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = await the_room(training)
    for field, days in (("care", 0), ("web_design", 366)):
        monkeypatch.setattr(training.desk.clock, "offset", timedelta(days=days))
        lines = [line(municipalities=[town], field=field, fiscal_year=2028, cut_off_on="2029-01-15") for town in TOWNS]
        decision = await room.decision(await room.decide(effective_from="2028-04-01", allotments=lines))
        assert decision["number"].endswith("-001"), decision["number"]
    path = "/v1/training-report/delegated?fiscal_year=2028&prefecture=46"
    whole = await read(planner(training), path)
    assert len({each["decision_allotment_id"] for each in whole}) == 4
    assert await read(planner(training), f"{path}&limit=1") == whole


async def test_requests_behind_a_number_are_ones_own(training: Running) -> None:
    await enrolled(training, await offered(training, starts_on=BEGAN))
    at = "/v1/training-report/requests?fiscal_year=2026&measure=enrolled"
    assert len(await read(desk(training), at)) == 1
    assert await read(desk(training, ZAMA), at) == []
    assert (await planner(training).get(at)).status_code == 403


@pytest.mark.parametrize(
    "query",
    ["by=age", "by=origin&by=field&by=system", "prefecture=48", "prefecture=460000", ""],
)
async def test_what_can_t_be_told_apart_is_said(training: Running, query: str) -> None:
    year = "" if not query else "fiscal_year=2026&"
    answer = await planner(training).get(f"/v1/training-report?{year}{query}")
    assert answer.status_code == 422


async def test_who_gives_a_place_back_and_asks_again_is_one_applicant(training: Running) -> None:
    course = await offered(training, capacity=10, starts_on=date(2027, 4, 1))
    other = await offered(training, capacity=10, **LATER)
    case_id = await known_case(training)
    for _ in range(3):
        asked = await ask(training, course, case_id=case_id)
        assert asked.status_code == 201, asked.text
        await step(desk(training), asked.json(), "release", {"reason": "person_declined"})
    again = await ask(training, course, case_id=case_id)
    await finish(training, again.json())
    assert (await ask(training, other, case_id=case_id)).status_code == 201, "in another course run, another applicant"
    (cell,) = await read(desk(training), "/v1/training-report?fiscal_year=2027")
    assert (cell["counts"]["applications"]["count"], cell["counts"]["enrolled"]["count"]) == (2, 1)
    listed = await read(desk(training), "/v1/training-report/requests?fiscal_year=2027&measure=applications")
    assert again.json()["seat_request_id"] in {each["id"] for each in listed}
    assert len(listed) == 2
