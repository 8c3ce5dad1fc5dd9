"""The catalogue beside the course runs that seats are asked for here: what changed here is seen by whoever searches."""

import csv
import io
from datetime import timedelta
from typing import Any

import pytest

from shared.service.clock import JST, wall_time
from tests.service.late_changes_room import changed
from tests.service.test_training_catalogue_sources import CHECKED, WHOLE, events_of, found, only, row, taken
from tests.service.training_courses import ask, desk, offered
from tests.world import KAGOSHIMA, Running, World

NUMBER = WHOLE["講座番号"]


@pytest.fixture
def training(world: World) -> Running:
    return world.service("training")


async def a_course(training: Running, **changes: Any) -> Any:
    """A course that sources tell of, recruiting for thirty days more, and that seats are asked for here."""
    closes = wall_time().replace(microsecond=0) + timedelta(days=30)
    words = {"応募開始": "", "応募締切": closes.isoformat(), "状態": "recruiting", "選考日": "", "結果通知日": ""}
    days = {"開始日": "2027-04-01", "終了日": "2027-09-30", "中止決定日": "", "枠の戻る日": "", "月数": "6"}
    await taken(training, {**WHOLE, **words, **days})
    return await offered(training, course_number=NUMBER, applications_close_at=closes, **changes)


async def in_file(training: Running) -> dict[str, str]:
    answer = await desk(training).get("/v1/catalogue.csv", params={"encoding": "utf-8"})
    heading, line = csv.reader(io.StringIO(answer.content.decode("utf-8-sig")))
    return dict(zip(heading, line, strict=True))


async def in_calendar(training: Running) -> dict[str, dict[str, str]]:
    answer = await desk(training).get("/v1/catalogue.ics")
    return {event["SUMMARY"].split("】")[0].strip("【"): event for event in events_of(answer.content.decode())}


async def test_a_course_that_is_cancelled_here_is_called_off_wherever_the_catalogue_is_read(training: Running) -> None:
    course = await a_course(training)
    before = await in_calendar(training)
    assert {event["STATUS"] for event in before.values()} == {"CONFIRMED"}
    assert await found(training, open_now=True) == [NUMBER]
    await changed(training, course, reason="operator", cancel=True)
    whole = await only(training)
    assert (whole["record"]["status"], whole["seats"]["offered"]) == ("recruiting", 0), "what sources say stays theirs"
    assert whole["seats"]["cancelled_at"] is not None
    assert [each["code"] for each in whole["noticed"]] == ["cancelled_here"]
    assert await found(training, open_now=True) == []
    after = await in_calendar(training)
    assert {event["STATUS"] for event in after.values()} == {"CANCELLED"}
    assert {event["UID"] for event in after.values()} == {event["UID"] for event in before.values()}
    assert all(int(after[kind]["SEQUENCE"]) > int(before[kind]["SEQUENCE"]) for kind in before), "or it is not taken in"
    assert (await in_file(training))["この基盤での変更"] == "中止"


async def test_days_that_moved_here_are_those_of_the_calendar(training: Running) -> None:
    course = await a_course(training)
    before = await in_calendar(training)
    assert (await in_file(training))["この基盤での変更"] == ""
    closes = wall_time().replace(microsecond=0) + timedelta(days=10)
    await changed(
        training, course, starts_on="2027-04-08", ends_on="2027-10-06", applications_close_at=closes.isoformat()
    )
    whole = await only(training)
    assert (whole["record"]["starts_on"], whole["seats"]["starts_on"]) == ("2027-04-01", "2027-04-08")
    assert {(each["field"], each["code"]) for each in whole["noticed"]} == {
        (field, "other_day_here") for field in ("starts_on", "ends_on", "applications_close_at")
    }
    after = await in_calendar(training)
    assert (after["開始"]["DTSTART;VALUE=DATE"], after["終了"]["DTSTART;VALUE=DATE"]) == ("20270408", "20271006")
    assert after["応募締切"]["DTSTART"] == f"{closes:%Y%m%dT%H%M%SZ}"
    assert int(after["開始"]["SEQUENCE"]) > int(before["開始"]["SEQUENCE"])
    assert (await in_file(training))["この基盤での変更"] == "日程"
    training.pass_time(timedelta(days=10, seconds=1))
    assert await found(training, open_now=True) == [], "closed here, whatever a source still says"
    assert (await ask(training, course)).status_code == 409


@pytest.mark.parametrize("status", ["closed", "cancelled", "finished"])
async def test_a_course_that_its_sources_call_closed_is_not_open(training: Running, status: str) -> None:
    closes = (wall_time() + timedelta(days=3)).astimezone(JST).isoformat()
    await taken(training, row("provider", 所在地コード=KAGOSHIMA, 応募締切=closes, 状態="recruiting"))
    assert await found(training, open_now=True) == [NUMBER]
    await taken(training, row("provider", 状態=status))
    assert await found(training, open_now=True) == []


async def test_seats_kept_for_target_groups_are_free_for_their_people_until_they_open_to_all(training: Running) -> None:
    opens = wall_time().replace(microsecond=0) + timedelta(days=2)
    course = await a_course(training, capacity=3, priority={"single_parent": 3}, priority_opens_at=opens)
    assert await found(training, with_free=True) == []
    assert (await only(training))["seats"]["free"] == 0
    refused = await ask(training, course)
    assert refused.status_code == 409, "told of a free seat, and given none"
    assert await found(training, with_free=True, target_group=["disability"]) == []
    assert await found(training, with_free=True, target_group=["disability", "single_parent"]) == [NUMBER]
    assert await found(training, with_free=True, target_group="no_such_group") == []
    training.pass_time(timedelta(days=2, seconds=1))
    await training.sweep()
    assert await found(training, with_free=True) == [NUMBER]
    assert (await in_file(training))["使える空き"] == "3"


async def test_who_said_it_and_when_it_was_last_checked_is_seen_without_opening_each_course(training: Running) -> None:
    await taken(training, row("provider", 所在地コード=KAGOSHIMA, 定員="15"))
    await taken(training, row("hello_work", checked=CHECKED + timedelta(days=9), 定員="15"))
    await taken(training, row("provider", checked=CHECKED + timedelta(days=3), 定員="15"))
    (item,) = (await desk(training).get("/v1/catalogue")).json()["items"]
    assert (item["told_by"], item["checked_on"]) == (["hello_work", "provider"], "2026-11-11")
    line = await in_file(training)
    assert (line["出典"], line["確認日"]) == ("ハローワーク、訓練実施機関", "2026-11-11")


async def test_a_course_that_no_source_tells_of_is_found_by_its_seats_and_follows_them(training: Running) -> None:
    course = await offered(training, course_number="46-typed-once", capacity=10)
    assert await found(training, with_free=True, open_now=True, field="web_design") == ["46-typed-once"]
    whole = await only(training)
    assert (whole["told_by"], whole["checked_on"], whole["differences"]) == (["seats"], "2026-01-05", [])
    assert (await in_file(training))["出典"] == "席の登録"
    await changed(training, course, starts_on="2027-04-08", ends_on="2027-10-07")
    assert ((await only(training))["record"]["starts_on"], (await only(training))["noticed"]) == ("2027-04-08", [])
    await changed(training, course, cancel=True)
    assert await found(training, status="cancelled") == ["46-typed-once"]
    await taken(training, row("provider", "46-typed-once", 講座名="Webデザイン科(夜間)", 所在地コード=KAGOSHIMA))
    whole = await only(training)
    assert (whole["record"]["title"], whole["differences"]) == ("Webデザイン科(夜間)", ["title"]), "who knows more"


async def test_a_course_that_others_told_of_first_is_left_to_them(training: Running) -> None:
    await a_course(training)
    whole = await only(training)
    assert (whole["told_by"], whole["record"]["title"], whole["differences"]) == (["provider"], WHOLE["講座名"], [])
