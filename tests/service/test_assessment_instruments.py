"""Instruments, rules and professions as data: published for a day, never changed, and old answers shown in theirs."""

from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from shared.auth import Role
from shared.events import CaseClosed, InstrumentAnswered
from shared.service import day_in_japan
from shared.service.clock import wall_time
from tests.service.assessment_room import AXES, DESK, known_case, levels, rate, todo, told_of
from tests.world import Caller, Running, World


@pytest.fixture
def running(world: World) -> Running:
    return world.service("assessment")


@pytest.fixture
def council(running: Running) -> Caller:
    return running.as_("kagoshima-council", Role.RULES)


def day(days: int) -> str:
    return (day_in_japan(wall_time()) + timedelta(days=days)).isoformat()


def rubric(name: str, word: str, **changes: Any) -> dict[str, Any]:
    items = [
        {
            "item": axis,
            "item_en": axis,
            "item_ja": axis,
            "levels": [{"level": n, "text": f"{word} {n}", "text_ja": f"{word}の{n}"} for n in range(1, 6)],
        }
        for axis in AXES
    ]
    body = {
        "instrument": "fdp",
        "rubric": name,
        "title": "FDP",
        "title_ja": "FDP",
        "notice": "a region's words",
        "notice_ja": "地域の文言",
        "items": items,
        "effective_from": day(0),
    }
    return body | changes


async def test_old_answers_are_shown_in_their_version_after_three_rubric_changes(
    running: Running, council: Caller
) -> None:
    case_id = await known_case(running)
    await rate(running.as_(), case_id, 1, 2, 3, 4, 5)
    for number in (1, 2, 3):
        answer = await council.post("/v1/rubrics", rubric(f"fdp-region-{number}", f"言葉{number}"))
        assert answer.status_code == 201, answer.text
        await rate(running.as_(), case_id, 1, 2, 3, 4, 5)
    items = (await running.as_().get(f"/v1/cases/{case_id}/assessments")).json()["items"]
    assert [each["rubric"] for each in items] == ["fdp-sample-1", "fdp-region-1", "fdp-region-2", "fdp-region-3"]
    for each in items:
        words = (await running.as_().get(f"/v1/rubrics/{each['rubric']}")).json()["items"][0]["levels"][0]["text_ja"]
        expected = "家族以外とは、または誰とも会えない" if each["rubric"] == "fdp-sample-1" else None
        assert words == (expected or f"言葉{each['rubric'][-1]}の1")
    compared = (await running.as_().get(f"/v1/cases/{case_id}/comparison")).json()
    assert "fdp-sample-1" in compared["notice_ja"]
    assert "fdp-region-3" in compared["notice_ja"]


async def test_a_version_holds_from_its_day_and_can_be_named_before(running: Running, council: Caller) -> None:
    await council.post("/v1/rubrics", rubric("fdp-next", "来年", effective_from=day(30)))
    case_id = await known_case(running)
    assert (await rate(running.as_(), case_id, 3, 3, 3, 3, 3))["rubric"] == "fdp-sample-1"
    assert (await rate(running.as_(), case_id, 3, 3, 3, 3, 3, rubric="fdp-next"))["rubric"] == "fdp-next"
    running.pass_time(timedelta(days=31))
    assert (await rate(running.as_(), case_id, 3, 3, 3, 3, 3))["rubric"] == "fdp-next"


def without(place: int, level: int) -> dict[str, Any]:
    body = rubric("fdp-holes", "穴")
    body["items"][place]["levels"] = [each for each in body["items"][place]["levels"] if each["level"] != level]
    return body


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        (without(1, 3), "/items/1", "level_left_out"),
        (without(2, 5), "/items/2", "level_left_out"),
        (rubric("fdp-holes", "穴", items=rubric("x", "穴")["items"][:4]), "/items", "item_missing"),
        (rubric("fdp-holes", "穴", effective_from="2020-01-01"), "/effective_from", "in_the_past"),
    ],
)
async def test_a_rubric_with_holes_is_not_published(
    running: Running, council: Caller, body: dict[str, Any], pointer: str, code: str
) -> None:
    answer = await council.post("/v1/rubrics", body)
    assert answer.status_code == 422, answer.text
    assert (answer.json()["errors"][0]["pointer"], answer.json()["errors"][0]["code"]) == (pointer, code)
    assert answer.json()["errors"][0]["message_ja"]
    assert await running.rows("SELECT 1 FROM instrument_version WHERE version = 'fdp-holes'") == []


async def test_a_name_is_given_once_and_nothing_published_changes(running: Running, council: Caller) -> None:
    assert (await council.post("/v1/rubrics", rubric("fdp-mine", "一"))).status_code == 201
    assert (await council.post("/v1/rubrics", rubric("fdp-mine", "二"))).status_code == 409
    for table in ("instrument_version", "rule_version"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await running.rows(f"DELETE FROM {table} RETURNING 1")
    desk = running.as_()
    assert (await desk.post("/v1/rubrics", rubric("fdp-yours", "三"))).status_code == 403


async def test_a_region_brings_an_instrument_of_its_own(running: Running, council: Caller) -> None:
    items = [
        {
            "item": "roof",
            "item_en": "Roof",
            "item_ja": "屋根",
            "levels": [{"level": n, "text": "…", "text_ja": "…"} for n in (1, 2, 3)],
        }
    ]
    made = await council.post("/v1/rubrics", rubric("housing-1", "家", instrument="housing", items=items))
    assert made.status_code == 201, made.text
    case_id = await known_case(running)
    body = {"levels": {"roof": 2}, "rubric": "housing-1"}
    answer = (await running.as_().post(f"/v1/cases/{case_id}/assessments", body)).json()
    assert (answer["instrument"], answer["prolongation_risk"], answer["duties"]) == ("housing", None, [])
    (told,) = await running.told()
    assert isinstance(told, InstrumentAnswered)
    assert (told.instrument, told.rubric) == ("housing", "housing-1")
    assert await todo(running.as_()) == []


@pytest.mark.parametrize(
    ("name", "items", "highest"),
    [
        ("career-formation-sample-1", ("mind", "people", "tasks", "success", "goals", "education"), 4),
        ("life-domains-sample-1", ("health", "daily_living", "isolation", "family", "housing", "income"), 4),
    ],
)
async def test_the_other_instruments_come_along(
    running: Running, name: str, items: tuple[str, ...], highest: int
) -> None:
    found = (await running.as_().get(f"/v1/rubrics/{name}")).json()
    assert tuple(each["item"] for each in found["items"]) == items
    assert "見本" in found["notice_ja"]
    case_id = await known_case(running)
    path = f"/v1/cases/{case_id}/assessments"
    good = {"levels": {items[0]: highest, items[1]: "not_observed"}, "rubric": name}
    answer = (await running.as_().post(path, good)).json()
    assert (answer["levels"][items[0]], answer["not_observed"]) == (highest, [items[1]])
    bad = await running.as_().post(path, {"levels": {items[0]: highest + 1}, "rubric": name})
    assert (bad.status_code, bad.json()["errors"][0]["pointer"]) == (422, f"/levels/{items[0]}")
    compared = await running.as_().get(f"/v1/cases/{case_id}/comparison", params={"instrument": found["instrument"]})
    assert compared.json()["latest"]["levels"][items[0]] == highest


async def test_another_instruments_rating_is_not_corrected(running: Running) -> None:
    case_id = await known_case(running)
    first = await rate(running.as_(), case_id, 3, 3, 3, 3, 3)
    body = {"levels": {"mind": 2}, "rubric": "career-formation-sample-1", "corrects": first["assessment_id"]}
    answer = await running.as_().post(f"/v1/cases/{case_id}/assessments", body)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/corrects")


# --- the rule -------------------------------------------------------------------------------------------------------


def rule(**changes: Any) -> dict[str, Any]:
    return {
        "low": 3,
        "conference_within": 5,
        "reassess_flagged": 60,
        "reassess_undetermined": 20,
        "reassess_clear": 120,
        "effective_from": day(1),
        "decided_by": "kagoshima-council",
        "decided_on": day(-3),
    } | changes


async def test_a_new_version_changes_no_old_flag_and_the_replay_agrees(running: Running, council: Caller) -> None:
    case_id = await known_case(running)
    before = await rate(running.as_(), case_id, 3, 3, 3, 3, 3)
    assert before["prolongation_risk"] == "false"
    published = await council.post("/v1/rules", rule())
    assert (published.status_code, published.json()["version"]) == (201, 2)
    assert (await rate(running.as_(), case_id, 3, 3, 3, 3, 3))["prolongation_risk"] == "false"
    running.pass_time(timedelta(days=1))
    after = await rate(running.as_(), case_id, 3, 3, 3, 3, 3)
    assert (after["prolongation_risk"], after["rule_version"]) == ("true", 2)
    assert "1か2か3" in after["explanation_ja"]
    items = (await running.as_().get(f"/v1/cases/{case_id}/assessments")).json()["items"]
    assert [each["prolongation_risk"] for each in items] == ["false", "false", "true"]
    assert "3以上" in items[0]["explanation_ja"]
    assert (await council.get("/v1/rules/replay")).json() == {"rated": 3, "differ": 0}


async def test_the_replay_finds_a_flag_that_somebody_changed(running: Running, council: Caller, world: World) -> None:
    await rate(running.as_(), await known_case(running), 3, 3, 3, 3, 3)
    owner = await asyncpg.connect(user="postgres", database=world.database_name, host=str(world.postgres.socket_folder))
    await owner.execute("UPDATE assessment.assessment SET prolongation_risk = 'true'")
    await owner.close()
    assert (await council.get("/v1/rules/replay")).json() == {"rated": 1, "differ": 1}


async def test_a_rule_is_tried_before_it_holds(running: Running, council: Caller) -> None:
    for values in ((3, 3, 3, 3, 3), (2, 3, 3, 3, 3), (4, 4, 4, 4, 4), (4, 4, 4, 4, None)):
        await rate(running.as_(), await known_case(running), *values)
    body = {name: value for name, value in rule().items() if name not in {"effective_from", "decided_by", "decided_on"}}
    assert (await council.post("/v1/rules/trial", body)).json() == {
        "rated": 4,
        "flagged": 1,
        "would_be": 2,
        "differ": 1,
    }
    assert len((await running.as_().get("/v1/rules")).json()["rules"]) == 1


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [({"effective_from": day(0)}, "/effective_from"), ({"low": 5}, "/low"), ({"low": 0}, "/low")],
)
async def test_a_rule_for_today_or_for_everybody_is_not_published(
    council: Caller, changes: dict[str, Any], pointer: str
) -> None:
    answer = await council.post("/v1/rules", rule(**changes))
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)


async def test_only_who_publishes_rules_does(running: Running) -> None:
    assert (await running.as_().post("/v1/rules", rule())).status_code == 403
    assert (await running.as_().get("/v1/rules/replay")).status_code == 403


# --- professions ----------------------------------------------------------------------------------------------------


async def test_the_29_professions_are_a_sample_that_a_region_changes(running: Running, council: Caller) -> None:
    found = (await running.as_().get("/v1/professions")).json()
    assert len(found["professions"]) == 29
    assert "見本" in found["notice_ja"]
    new = {"title": "Fisherman", "title_ja": "漁師"}
    added = await council.put("/v1/professions/fisherman", new, etag='"0"')
    assert (added.status_code, added.headers["ETag"]) == (200, '"1"')
    late = await council.put("/v1/professions/fisherman", new, etag='"0"')
    assert late.status_code == 412
    await council.put("/v1/professions/fisherman", {**new, "in_use": False}, etag='"1"')
    case_id = await known_case(running)
    body = {"levels": levels(3, 3, 3, 3, 3), "raters": [{"code": "r-1", "profession": "fisherman"}]}
    assert (await running.as_().post(f"/v1/cases/{case_id}/assessments", body)).status_code == 422
    assert (await running.as_(DESK).put("/v1/professions/nurse", new, etag='"1"')).status_code == 403


async def test_nothing_is_told_of_what_is_refused(running: Running) -> None:
    case_id = await known_case(running)
    await running.as_().post(f"/v1/cases/{case_id}/assessments", {"levels": {"mental": 9}})
    assert await told_of(running, InstrumentAnswered) == []
    assert await running.rows("SELECT 1 FROM task") == []


async def test_the_calibration_compares_flags_with_real_durations(running: Running, council: Caller) -> None:
    for values, days in (
        ((1, 3, 3, 3, 3), 500),
        ((1, 3, 3, 3, 3), 100),
        ((4, 4, 4, 4, 4), 40),
        ((4, 4, 4, 4, 4), None),
    ):
        case_id = await known_case(running)
        await rate(running.as_(), case_id, *values)
        if days is not None:
            opened = datetime(2026, 11, 23, tzinfo=UTC)
            closed = CaseClosed(case_id=case_id, agency_id=DESK, ended="goal_reached")
            await running.hear(closed, at=opened + timedelta(days=days))
    found = (await council.get("/v1/rules/calibration")).json()["flags"]
    assert [(each["prolongation_risk"], each["cases"], each["still_open"], each["took_long"]) for each in found] == [
        ("false", 2, 1, 0),
        ("true", 2, 0, 1),
    ]
    assert [each["days"][1] for each in found] == [40.0, 300.0]
