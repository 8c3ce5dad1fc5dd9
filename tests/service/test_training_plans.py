"""Plans of training seats over HTTP: versions, standing, moves, and what is refused."""

import asyncio
import csv
import io
from datetime import date, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.training.domain.plan import fiscal_quarter
from services.training.handlers.plans import CORRECTED_WITHIN
from shared.auth import Role
from shared.events import QuotaMoved, QuotaPlanInForce
from shared.service.clock import day_in_japan, wall_time
from tests.service.deliberation_room import done, line, the_room
from tests.service.training_courses import desk, offered, planner, told_since
from tests.service.training_years import (
    PLANS,
    YEAR,
    a_plan,
    act,
    broken_promises,
    lines_of,
    part,
    recorded,
    rules,
    standing,
    the_plan,
)
from tests.service.trial_room import on_offer
from tests.world import Caller, Running, World


@pytest.fixture
def training(world: World) -> Running:
    return world.service("training")


@pytest.fixture
def council(training: Running) -> Caller:
    return planner(training)


# --- the plans of DOMAIN.md -----------------------------------------------------------------------------------------


async def test_kagoshimas_plan_is_loaded_summed_carried_over_and_transferred(
    training: Running, council: Caller
) -> None:
    plan_id = await recorded(council, the_plan("kagoshima_2022"))
    summary = (await council.get(f"{PLANS}/{plan_id}")).json()
    assert (summary["seats"], summary["in_force"]) == (768, 1)
    assert await standing(council, plan_id, "q3", "q3-basic", "q3-practical", "q4") == [768, 326, 442, 0]

    for field, capacity in (("care", 72), ("it", 45), ("web_design", 60)):
        await offered(training, field=field, capacity=capacity, starts_on=date(2022, 11, 1), ends_on=date(2023, 3, 1))
    found = await lines_of(council, plan_id)
    assert [found[key]["left"] for key in ("q3-care", "q3-it", "q3-web-design")] == [8, 14, 0]
    assert (found["q3-practical"]["used"], found["q3-practical"]["left"]) == (177, 265)
    assert found["q3-basic-newcomers"]["used"] is None, "for which group a course is, the catalogue doesn't say"

    carried = await act(council, plan_id, "carry-overs", quarter=3)
    assert carried.status_code == 201, carried.text
    assert carried.json()["moves"] == [{"from_line": "q3-care", "to_line": "q4-care", "seats": 8}]
    moved = await act(council, plan_id, "transfers", from_line="q3-it", to_line="q3-medical-office", seats=14)
    assert moved.status_code == 201, moved.text
    assert await standing(council, plan_id, "q3", "q3-practical", "q3-care", "q3-it", "q3-medical-office") == [
        760, 434, 72, 45, 89,
    ]  # fmt: skip
    assert await standing(council, plan_id, "q4", "q4-practical", "q4-care") == [8, 8, 8]
    assert (await council.get(f"{PLANS}/{plan_id}")).json()["seats"] == 768
    assert await broken_promises(training) == []


async def test_tokushimas_regional_frame_has_no_quarter_and_stays_whole(training: Running) -> None:
    tokushima = training.as_("tokushima-planner", Role.PLANNER, municipalities=["prefecture:36"])
    plan_id = await recorded(tokushima, the_plan("tokushima_2016"))
    found = await lines_of(tokushima, plan_id)
    assert (found["regional"]["standing"], found["regional"]["quarter"]) == (48, None)
    assert (found["other-courses"]["seats"], found["other-courses"]["per_course"]) == (20, True)
    carried = await act(tokushima, plan_id, "carry-overs", quarter=1, lines=[{"line": "regional", "seats": 3}])
    assert rules(carried) == ["not_of_this_period"]
    assert rules(await act(tokushima, plan_id, "carry-overs", quarter=1)) == ["nothing_to_carry_over"]


async def test_a_course_that_is_larger_than_every_single_one_may_be_is_seen(training: Running, council: Caller) -> None:
    cap = {"key": "cap", "kind": "limit", "per_course": True, "seats": 20}
    plan_id = await recorded(council, a_plan(*YEAR, cap))
    await offered(training, field="it", capacity=25, starts_on=date(2022, 5, 1), ends_on=date(2022, 8, 1))
    found = (await lines_of(council, plan_id))["cap"]
    assert (found["standing"], found["largest"], found["left"]) == (20, 25, None)


async def test_trial_places_are_in_no_plan(training: Running, council: Caller) -> None:
    plan_id = await recorded(council, a_plan(part("q3", 30, quarter=3), part("q4", 0, quarter=4)))
    days: dict[str, Any] = {"starts_on": date(2022, 11, 1), "ends_on": date(2022, 11, 7)}
    await offered(training, field="it", capacity=21, **days)
    await on_offer(training, "week", capacity=9, **days)
    found = (await lines_of(council, plan_id))["q3"]
    assert (found["used"], found["left"]) == (21, 9)
    runs = await council.whole(f"{PLANS}/{plan_id}/lines/q3/course-runs")
    assert [each["capacity"] for each in runs] == [21]
    carried = await act(council, plan_id, "carry-overs", quarter=3)
    assert carried.json()["moves"] == [{"from_line": "q3", "to_line": "q4", "seats": 9}]


# --- recording ------------------------------------------------------------------------------------------------------


async def test_a_plan_that_does_not_sum_is_refused_whole_and_every_rule_is_named(
    training: Running, council: Caller
) -> None:
    faulty = the_plan("kagoshima_2022")
    faulty["lines"][4]["seats"] += 1
    faulty["lines"][11]["seats"] = 769
    answer = await council.post(PLANS, faulty)
    assert rules(answer, 422) == ["partition_sum", "overlay_above_parent"]
    summed, overlay = answer.json()["errors"]
    assert (summed["pointer"], summed["line"]) == ("/lines/2/seats", "q3-practical")
    assert summed["numbers"] == {"parent_seats": 442, "parts_seats": 443}
    assert "443" in summed["message"]
    assert "443" in summed["message_ja"]
    assert (overlay["pointer"], overlay["numbers"]["excess"]) == ("/lines/11/seats", 327)
    for table in ("plan", "plan_version", "plan_line", "plan_command", "plan_entry", "plan_account", "outbox"):
        assert await training.rows(f"SELECT * FROM {table}") == [], f"nothing half done: {table}"


async def test_validate_only_tells_the_same_and_keeps_nothing(training: Running, council: Caller) -> None:
    faulty = a_plan(*YEAR[:-1])
    asked = await council.post(PLANS, faulty, params={"validate_only": True})
    assert asked.status_code == 200
    assert [fault["code"] for fault in asked.json()["faults"]] == rules(await council.post(PLANS, faulty), 422)
    well = await council.post(PLANS, a_plan(), params={"validate_only": True})
    assert (well.status_code, well.json()) == (200, {"faults": []})
    assert await training.rows("SELECT * FROM plan") == []


@pytest.mark.parametrize("seats", [-1, 10**9, 1.5, "60", True, None])
async def test_a_number_of_seats_is_a_whole_one_within_reason(council: Caller, seats: Any) -> None:
    answer = await council.post(PLANS, a_plan(part("year", 60) | {"seats": seats}))
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["pointer"] == "/lines/0/seats"
    assert error["message_ja"]


async def test_only_the_prefectures_own_planners_write_and_all_read(training: Running, council: Caller) -> None:
    stranger = training.as_("tokushima-planner", Role.PLANNER, municipalities=["prefecture:36"])
    assert (await stranger.post(PLANS, a_plan())).status_code == 403
    plan_id = await recorded(council)
    assert (await act(stranger, plan_id, "transfers", from_line="q1-it", to_line="q1-care", seats=1)).status_code == 403
    assert (await desk(training).get(f"{PLANS}/{plan_id}")).status_code == 200
    assert (await stranger.get(f"{PLANS}/{uuid4()}")).status_code == 404
    assert (await act(council, str(uuid4()), "transfers", from_line="a", to_line="b", seats=1)).status_code == 404


async def test_a_plan_that_holds_is_told_and_so_is_every_move(training: Running, council: Caller) -> None:
    decision = UUID(await (await the_room(training)).decide())
    before = len(await training.told())
    plan_id = await recorded(council, a_plan(decision_id=str(decision)))
    command = uuid4()
    await act(council, plan_id, "open-to-all", command=command, line="q1-it", seats=4, decision_id=str(decision))
    begun, moved = await told_since(training, before)
    assert begun == QuotaPlanInForce(
        plan_id=UUID(plan_id), version_no=1, fiscal_year=2022, prefecture="46", effective_on=date(2022, 4, 1), seats=60,
        decision_id=decision,
    )  # fmt: skip
    assert moved == QuotaMoved(
        plan_id=UUID(plan_id), command_id=command, kind="open_to_all", entries=1, seats=4, decision_id=decision
    )


async def test_plans_come_in_pages_and_by_year_and_prefecture(training: Running, council: Caller) -> None:
    for year in (2020, 2021, 2022):
        await recorded(council, a_plan(fiscal_year=year))
    found = [item["fiscal_year"] async for page in council.pages(PLANS, limit=1) for item in page]
    assert found == [2020, 2021, 2022]
    assert [item["fiscal_year"] for item in await council.whole(PLANS, fiscal_year=2021)] == [2021]
    assert await council.whole(PLANS, prefecture="13") == []


async def test_a_plan_and_a_move_name_no_decision_that_was_not_made_or_may_lapse(
    training: Running, council: Caller
) -> None:
    room = await the_room(training)
    repealed = await room.decide()
    made = await room.decide(supersedes=[repealed])
    later = await room.decide(allotments=[line(field="it")], effective_from=(await room.today(20)).isoformat())
    urgent = await room.table(allotments=[line(field="care")])
    lapsing = (await done(room.decide_urgently(urgent)))["decision_id"]
    for decision, rule in (
        (str(uuid4()), "unknown_decision"),
        (lapsing, "decision_not_ratified"),
        (later, "decision_not_in_force"),
    ):
        refused = await council.post(PLANS, a_plan(decision_id=decision))
        assert rules(refused, 422) == [rule]
        assert refused.json()["errors"][0]["pointer"] == "/decision_id"
    plan_id = await recorded(council, a_plan(decision_id=repealed))
    moved: dict[str, Any] = {"from_line": "q1-it", "to_line": "q1-care", "seats": 1}
    for decision, rule in ((repealed, "decision_not_in_force"), (lapsing, "decision_not_ratified")):
        assert rules(await act(council, plan_id, "transfers", **moved, decision_id=decision)) == [rule]
    elsewhere = training.as_("zama-planner", Role.PLANNER, municipalities=["prefecture:14"])
    foreign = a_plan(prefecture="14", decision_id=made)
    assert rules(await elsewhere.post(PLANS, foreign), 422) == ["unknown_decision"]
    assert (await act(council, plan_id, "transfers", **moved, decision_id=made)).status_code == 201


# --- versions -------------------------------------------------------------------------------------------------------


def with_more_it(seats: int, **changes: Any) -> dict[str, Any]:
    more = {"year": 60 + seats, "q2": 30 + seats, "q2-it": 18 + seats}
    lines = [line | {"seats": more.get(line["key"], line["seats"])} for line in YEAR]
    return a_plan(*lines, **changes)


async def test_a_new_version_changes_what_stands_and_never_what_was(training: Running, council: Caller) -> None:
    plan_id = await recorded(council)
    await act(council, plan_id, "carry-overs", quarter=1, lines=[{"line": "q1-it", "seats": 5}])
    today = day_in_japan(wall_time()).isoformat()
    assert await recorded(council, with_more_it(10, effective_on=today)) == plan_id
    assert await standing(council, plan_id, "year", "q1-it", "q2-it") == [70, 13, 33]
    versions = await council.whole(f"{PLANS}/{plan_id}/versions", limit=1)
    assert [(each["version_no"], each["effective_on"]) for each in versions] == [(1, "2022-04-01"), (2, today)]
    first = (await council.get(f"{PLANS}/{plan_id}/versions/1")).json()
    assert [line["seats"] for line in first["lines"]] == [line["seats"] for line in YEAR]
    assert (await council.get(f"{PLANS}/{plan_id}/versions/3")).status_code == 404
    assert await broken_promises(training) == []


async def test_a_version_holds_from_its_day_on(training: Running, council: Caller) -> None:
    plan_id = await recorded(council)
    soon = (day_in_japan(wall_time()) + timedelta(days=3)).isoformat()
    await recorded(council, with_more_it(10, effective_on=soon))
    await training.sweep()
    assert (await council.get(f"{PLANS}/{plan_id}")).json()["in_force"] == 1
    assert await standing(council, plan_id, "q2-it") == [18]
    training.pass_time(timedelta(days=3))
    assert await training.sweep() == 1
    assert (await council.get(f"{PLANS}/{plan_id}")).json()["in_force"] == 2
    assert await standing(council, plan_id, "q2-it") == [28]
    assert await training.sweep() == 0


async def test_of_two_versions_for_one_day_the_later_one_holds(training: Running, council: Caller) -> None:
    plan_id = await recorded(council)
    soon = (day_in_japan(wall_time()) + timedelta(days=3)).isoformat()
    await recorded(council, with_more_it(10, effective_on=soon))
    await recorded(council, with_more_it(2, effective_on=soon))
    training.pass_time(timedelta(days=3))
    assert await training.sweep() == 1
    assert (await council.get(f"{PLANS}/{plan_id}")).json()["in_force"] == 3
    assert await standing(council, plan_id, "q2-it") == [20]
    assert await broken_promises(training) == []


async def test_the_past_is_not_decided_anew(training: Running, council: Caller) -> None:
    plan_id = await recorded(council)
    assert rules(await council.post(PLANS, with_more_it(1, effective_on="2022-03-31")), 422) == [
        "effective_before_last_version"
    ]
    await act(council, plan_id, "open-to-all", line="q1-it", seats=1)
    assert rules(await council.post(PLANS, with_more_it(1, effective_on="2022-05-01")), 422) == [
        "effective_before_last_move"
    ]


async def test_a_day_beyond_the_plans_year_is_a_slip_that_would_end_all_changes(council: Caller) -> None:
    this_year, _ = fiscal_quarter(day_in_japan(wall_time()))
    for year, last in (
        (this_year + 1, date(this_year + 2, 3, 31)),
        (2022, day_in_japan(wall_time()) + CORRECTED_WITHIN),
    ):
        late = a_plan(fiscal_year=year, effective_on=(last + timedelta(days=1)).isoformat())
        assert rules(await council.post(PLANS, late), 422) == ["effective_after_the_year"]
        examined = await council.post(PLANS, late, params={"validate_only": True})
        assert [fault["pointer"] for fault in examined.json()["faults"]] == ["/effective_on"]
        await recorded(council, late | {"effective_on": last.isoformat()})


async def test_a_version_that_takes_seats_which_were_moved_is_refused(training: Running, council: Caller) -> None:
    plan_id = await recorded(council)
    await act(council, plan_id, "transfers", from_line="q2-it", to_line="q2-care", seats=10)
    today = day_in_japan(wall_time()).isoformat()
    answer = await council.post(PLANS, with_more_it(-9, effective_on=today))
    assert rules(answer, 422) == ["below_what_was_moved"]
    assert answer.json()["errors"][0]["pointer"] == "/lines/4/seats"
    assert (await council.post(PLANS, with_more_it(-8, effective_on=today))).status_code == 201
    assert await standing(council, plan_id, "q2-it", "q2-care") == [0, 22]


async def test_a_move_leaves_a_decided_version_what_it_needs(training: Running, council: Caller) -> None:
    plan_id = await recorded(council)
    soon = (day_in_japan(wall_time()) + timedelta(days=3)).isoformat()
    await recorded(council, with_more_it(-10, effective_on=soon))
    moved: dict[str, Any] = {"from_line": "q2-it", "to_line": "q2-care"}
    assert rules(await act(council, plan_id, "transfers", **moved, seats=9)) == ["breaks_coming_version"]
    assert (await act(council, plan_id, "transfers", **moved, seats=8)).status_code == 201
    training.pass_time(timedelta(days=3))
    await training.sweep()
    assert await standing(council, plan_id, "q2-it", "q2-care") == [0, 20]


# --- moves ----------------------------------------------------------------------------------------------------------


async def test_a_command_is_done_once_however_often_it_is_sent(training: Running, council: Caller) -> None:
    plan_id, command = await recorded(council), uuid4()
    body: dict[str, Any] = {"quarter": 1, "lines": [{"line": "q1-it", "seats": 5}]}
    first = await act(council, plan_id, "carry-overs", command=command, **body)
    again = await act(council, plan_id, "carry-overs", command=command, **body)
    assert (first.json()["repeated"], again.json()["repeated"]) == (False, True)
    assert first.json()["moves"] == again.json()["moves"]
    assert await standing(council, plan_id, "q1-it", "q2-it") == [13, 23]
    other = await act(council, plan_id, "carry-overs", command=command, quarter=1)
    assert (other.status_code, other.json()["code"]) == (409, "command_reused")


async def test_commands_sent_at_once_take_no_seat_twice(training: Running, council: Caller) -> None:
    plan_id, command = await recorded(council), uuid4()
    order: dict[str, Any] = {"from_line": "q1-it", "to_line": "q1-care", "seats": 7}
    answers = await asyncio.gather(
        *(act(council, plan_id, "transfers", command=command, **order) for _ in range(4)),
        *(act(council, plan_id, "transfers", **order) for _ in range(4)),
    )
    # Sent four times, the one command is done four times or never; of the others the first that come.
    assert sum(answer.status_code == 201 for answer in answers) in {2, 5}
    assert {answer.status_code for answer in answers} == {201, 409}
    taken = 18 - (await standing(council, plan_id, "q1-it"))[0]
    assert taken == 14, "two of seven fit into eighteen"
    assert await broken_promises(training) == []


async def test_what_course_runs_use_is_not_moved_and_the_runs_are_named(training: Running, council: Caller) -> None:
    plan_id = await recorded(council)
    may: dict[str, Any] = {"starts_on": date(2022, 5, 1), "ends_on": date(2022, 8, 1)}
    run = await offered(training, field="it", capacity=10, **may)
    await offered(training, field="it", capacity=9, starts_on=date(2022, 7, 1), ends_on=date(2022, 8, 1))
    for other_year in (date(2022, 3, 31), date(2023, 4, 1)):
        await offered(training, field="it", capacity=9, starts_on=other_year, ends_on=date(2023, 8, 1))
    answer = await act(council, plan_id, "transfers", from_line="q1-it", to_line="q1-care", seats=9)
    assert rules(answer) == ["not_left"]
    assert answer.json()["errors"][0]["numbers"] == {"wanted": 9, "left": 8}
    behind = await council.whole(f"{PLANS}/{plan_id}/lines/q1-it/course-runs", limit=1)
    assert [each["course_run_id"] for each in behind] == [str(run)]
    assert len(await council.whole(f"{PLANS}/{plan_id}/lines/year/course-runs", limit=1)) == 2
    assert (await council.get(f"{PLANS}/{plan_id}/lines/nowhere/course-runs")).status_code == 404


async def test_every_number_opens_to_its_entries(training: Running, council: Caller) -> None:
    plan_id = await recorded(council)
    await act(council, plan_id, "carry-overs", quarter=1, lines=[{"line": "q1-it", "seats": 5}])
    await act(council, plan_id, "open-to-all", line="q2-it", seats=3)
    entries = await council.whole(f"{PLANS}/{plan_id}/entries", line="q2-it", limit=1)
    assert [(each["kind"], each["from_line"], each["to_line"], each["seats"]) for each in entries] == [
        ("opening", None, "q2-it", 18),
        ("carry_over", "q1-it", "q2-it", 5),
        ("open_to_all", "q2-it", "q2", 3),
    ]
    assert {(each["by"], each["reason"]) for each in entries} == {("kencho-planner", None), ("kencho-planner", "試験")}
    found = await lines_of(council, plan_id)
    assert (found["q2-it"]["standing"], found["q2"]["opened"], found["q2"]["standing"]) == (20, 3, 35)


async def test_a_line_twice_in_one_carry_over_is_a_slip(council: Caller) -> None:
    plan_id = await recorded(council)
    twice = [{"line": "q1-it", "seats": 1}, {"line": "q1-it", "seats": 2}]
    assert rules(await act(council, plan_id, "carry-overs", quarter=1, lines=twice), 422) == ["same_line_twice"]


@pytest.mark.parametrize("encoding", ["cp932", "utf-8"])
async def test_the_plan_opens_in_excel(council: Caller, encoding: str) -> None:
    plan_id = await recorded(council, the_plan("kagoshima_2022"))
    answer = await council.get(f"{PLANS}/{plan_id}/lines.csv", params={"encoding": encoding})
    assert answer.status_code == 200
    rows = list(csv.reader(io.StringIO(answer.content.decode("cp932" if encoding == "cp932" else "utf-8-sig"))))
    assert len(rows) == 1 + len(the_plan("kagoshima_2022")["lines"])
    first = dict(zip(rows[0], rows[1], strict=True))
    assert (first["キー"], first["区分"], first["四半期"], first["現在の枠(人)"]) == ("q3", "区分", "3", "768")


# --- the clock ------------------------------------------------------------------------------------------------------


async def test_remainders_go_on_by_themselves_when_a_quarter_has_ended(training: Running, council: Caller) -> None:
    today = day_in_japan(wall_time() + training.desk.clock.offset)
    year, quarter = fiscal_quarter(today)
    if quarter == 4:  # nothing goes on from a year's last quarter: tell the story in the next year's first
        training.pass_time(timedelta(days=120))
        today = day_in_japan(wall_time() + training.desk.clock.offset)
        year, quarter = fiscal_quarter(today)
    lines = [
        *(part(f"q{n}", 30, quarter=n) for n in (quarter, quarter + 1)),
        *(part(f"q{n}-it", 21, f"q{n}", field="it") for n in (quarter, quarter + 1)),
        *(part(f"q{n}-care", 9, f"q{n}", field="care") for n in (quarter, quarter + 1)),
    ]
    plan_id = await recorded(council, a_plan(*lines, fiscal_year=year, effective_on=today.isoformat()))
    await offered(training, field="it", capacity=18, starts_on=today, ends_on=today + timedelta(days=90))
    assert await training.sweep() == 0
    training.pass_time(timedelta(days=93))
    assert await training.sweep() >= 1
    assert await standing(council, plan_id, f"q{quarter}-it", f"q{quarter}-care") == [18, 0]
    assert await standing(council, plan_id, f"q{quarter + 1}-it", f"q{quarter + 1}-care") == [24, 18]
    entries = await council.whole(f"{PLANS}/{plan_id}/entries")
    assert {each["by"] for each in entries if each["kind"] == "carry_over"} == {None}
    assert await training.sweep() == 0
    assert await broken_promises(training) == []


async def test_a_plan_written_down_afterwards_is_left_as_it_was_written(training: Running, council: Caller) -> None:
    if fiscal_quarter(day_in_japan(wall_time()))[1] == 1:  # no quarter of the year is over yet
        training.pass_time(timedelta(days=100))
    today = day_in_japan(wall_time() + training.desk.clock.offset)
    year, _ = fiscal_quarter(today)
    small = [part("q1", 5, quarter=1), part("q2", 5, quarter=2)]
    plan_id = await recorded(council, a_plan(*small, fiscal_year=year, effective_on=today.isoformat()))
    assert await training.sweep() == 0
    assert [each["kind"] for each in await council.whole(f"{PLANS}/{plan_id}/entries")] == ["opening"] * 2
    assert await training.rows("SELECT * FROM plan_quarter_end") == []
