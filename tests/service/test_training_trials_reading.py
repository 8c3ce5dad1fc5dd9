"""Trial places as people find them: their file, the search, a calendar, and a report apart from that of courses."""

import csv
import io
from typing import Any
from uuid import UUID

import pytest

from tests.service.test_training_catalogue_sources import events_of
from tests.service.training_courses import desk, known_case, offered, planner, seat
from tests.service.trial_room import HOST, KEEPER, completed, day, keeper, keeper_registered
from tests.world import Running, World

COLUMNS = (
    *("講座番号", "講座名", "訓練種別", "分野", "実施機関ID", "所在地コード", "開始日", "終了日", "定員", "応募締切"),
    *("委ねる枠", "職親ID", "職親名", "開始時刻", "終了時刻", "出典", "確認日"),
)


@pytest.fixture
def training(world: World) -> Running:
    return world.service("training")


def a_line(**changes: str) -> dict[str, str]:
    values = (
        *("46-t-000001", "みどり園芸での見学", "trial", "visit", KEEPER, "462012", day(10).isoformat()),
        *(
            day(10).isoformat(),
            "2",
            f"{day(9)} 17:00",
            "",
            str(HOST),
            "みどり園芸",
            "9:30",
            "11:30",
            "窓口",
            "2026-01-05",
        ),
    )
    return dict(zip(COLUMNS, values, strict=True)) | changes


async def taken(training: Running, *lines: dict[str, str]) -> Any:
    """A file of lines as an office sends it; what its dry run said, once the good ones are in."""
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, COLUMNS)
    writer.writeheader()
    writer.writerows(lines)
    await keeper_registered(training)
    headers = {"Content-Type": "text/csv"}
    answer = await planner(training).post("/v1/course-run-imports", content=out.getvalue().encode(), headers=headers)
    report = answer.json()
    where = f"/v1/course-run-imports/{report['import_id']}/commit"
    assert (await planner(training).post(where, {"skip_rejected": True})).status_code == 200
    return report


async def test_places_come_in_by_the_file_of_course_runs_and_are_found_by_search_and_calendar(
    training: Running,
) -> None:
    report = await taken(training, a_line(), a_line(講座番号="46-t-000002", 分野="week", 開始時刻="", 終了時刻=""))
    assert report["rejected"] == 0, report
    course = await offered(training)
    shown = (await desk(training).get("/v1/course-runs", params={"system": "trial", "field": "visit"})).json()["items"]
    assert [(each["host_workplace_id"], each["host_workplace_name"]) for each in shown] == [(str(HOST), "みどり園芸")]
    assert (shown[0]["from_time"], shown[0]["until_time"]) == ("09:30:00", "11:30:00")
    assert str(course) not in [each["course_run_id"] for each in shown]
    asked: dict[str, Any] = {"system": "trial", "field": "visit", "text": "みどり", "with_free": True}
    (entry,) = (await desk(training).get("/v1/catalogue", params=asked)).json()["items"]
    assert (entry["record"]["operator_name"], entry["seats"]["free"]) == ("みどり園芸", 2)
    assert (entry["course_number"], entry["differences"]) == ("46-t-000001", [])
    for _ in range(2):
        await seat(training, UUID(entry["seats"]["course_run_id"]))
    assert (await desk(training).get("/v1/catalogue", params=asked)).json()["items"] == [], "both are taken"
    answer = await desk(training).get(f"/v1/catalogue/{entry['catalogue_id']}/calendar.ics")
    (begins,) = [each for each in events_of(answer.content.decode()) if each["SUMMARY"].startswith("【開始】")]
    assert (begins["DTSTART"], begins["DTEND"]) == (f"{day(10):%Y%m%d}T003000Z", f"{day(10):%Y%m%d}T023000Z")
    lines = (await desk(training).get("/v1/catalogue.csv", params={"system": "trial", "encoding": "utf-8"})).text
    assert ("職親の受入れ" in lines, "見学" in lines) == (True, True)


async def test_a_line_that_is_no_trial_place_is_refused_with_its_rule_and_the_rest_goes_in(training: Running) -> None:
    wrong = {
        "分野": ("it", "step_of_a_trial"),
        "職親ID": ("", "host_of_a_trial"),
        "委ねる枠": ("462012:1", "no_plan_quota"),
        "終了時刻": ("9:00", "hours_of_a_day"),
        "訓練種別": ("public_in_house", "step_of_a_trial"),
        "開始時刻": ("25:00", "hour_of_the_day"),
        "定員": ("-1", "greater_than_equal"),
    }
    lines = [
        a_line(講座番号=f"46-t-{number:06}", **{name: value}) for number, (name, (value, _)) in enumerate(wrong.items())
    ]
    report = await taken(training, *lines, a_line(講座番号="46-t-999999"))
    found = {fault["code"] for fault in report["errors"]}
    assert {code for _, code in wrong.values()} <= found
    assert report["rejected"] == len(wrong)
    assert [row["course_number"] for row in await training.rows("SELECT course_number FROM course_run")] == [
        "46-t-999999"
    ]


async def test_plans_and_decisions_know_no_trial_place(training: Running) -> None:
    body = {
        "fiscal_year": 2027,
        "prefecture": "46",
        "lines": [{"key": "a", "kind": "partition", "system": "trial", "seats": 1}],
    }
    answer = await planner(training).post("/v1/training-plans", body)
    assert answer.status_code == 422
    assert "/lines/0/system" in {error["pointer"] for error in answer.json()["errors"]}


async def test_trial_places_are_a_report_of_their_own_and_courses_are_what_they_were(training: Running) -> None:
    year = day(3).year if day(3).month >= 4 else day(3).year - 1
    course = await offered(training, starts_on=day(3), ends_on=day(90), capacity=4)
    await seat(training, course)
    before = (await desk(training).get("/v1/training-report", params={"fiscal_year": year})).json()["items"]
    case_id = await known_case(training)
    await completed(training, case_id, "visit", on=4)
    after = (await desk(training).get("/v1/training-report", params={"fiscal_year": year})).json()["items"]
    assert after == before
    asked = {"fiscal_year": year, "trials": True, "by": ["system", "field"]}
    (cell,) = (await keeper(training).get("/v1/training-report", params=asked)).json()["items"]
    assert (cell["system"], cell["field"]) == ("trial", "visit")
    assert [cell["counts"][name]["count"] for name in ("capacity", "enrolled", "completed")] == [2, 1, 1]
    entries = {"fiscal_year": year, "trials": True, "field": "visit"}
    behind = (await desk(training).get("/v1/training-report/entries", params=entries)).json()["items"]
    assert sum(each["seats"] for each in behind) == 2
    without = (await desk(training).get("/v1/training-report/entries", params={"fiscal_year": year})).json()["items"]
    assert sum(each["seats"] for each in without) == 4
    mixed = {"fiscal_year": year, "measure": "enrolled"}
    assert (await desk(training).get("/v1/training-report/requests", params=mixed)).json()["items"] == []
