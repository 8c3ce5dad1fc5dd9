"""Ratings over HTTP: what is answered, what is kept, what is told."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from shared.auth import Role
from shared.events import AssessmentRecorded, CaseOpened, TaskAssigned
from tests.world import KAGOSHIMA, ZAMA, Running, World

AXES = ("interpersonal", "mental", "stress", "thinking", "environment")
ALL_THREE = dict.fromkeys(AXES, 3)


async def known_case(running: Running, *, municipality: str = KAGOSHIMA, agency: str = "kagoshima-desk") -> str:
    case_id = uuid4()
    await running.hear(
        CaseOpened(
            case_id=case_id,
            municipality=municipality,
            agency_id=agency,
            entrance="walk_in",
            opened_at=datetime(2026, 11, 23, tzinfo=UTC),
        )
    )
    return f"/v1/cases/{case_id}"


async def rate(running: Running, case: str, *values: int | None, **more: Any) -> Any:
    body = {"levels": dict(zip(AXES, values, strict=True)), **more}
    answer = await running.as_().post(f"{case}/assessments", body)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_a_rating_is_kept_explained_and_told(world: World) -> None:
    running = world.service("assessment")
    case = await known_case(running)
    answer = await rate(running, case, 3, 2, 3, 4, None, raters=["c-07", "c-09", "c-07"], setting="joint_conference")
    assert (answer["number"], answer["prolongation_risk"]) == (1, "true")
    assert answer["because"] == [{"axis": "mental", "level": 2, "missing": False}]
    assert "メンタル 2" in answer["explanation_ja"]
    assert answer["levels"] == {"interpersonal": 3, "mental": 2, "stress": 3, "thinking": 4, "environment": None}
    assert (answer["rubric"], answer["rated_by"], answer["raters"]) == (
        "fdp-sample-1",
        "kagoshima-desk",
        ["c-07", "c-09"],
    )
    told, conference, next_rating = await running.told()
    assert isinstance(told, AssessmentRecorded)
    assert isinstance(conference, TaskAssigned)
    assert isinstance(next_rating, TaskAssigned)
    assert [(each.task, each.owner) for each in (conference, next_rating)] == [
        ("joint_conference", "kagoshima-desk"),
        ("reassessment", "kagoshima-desk"),
    ]
    assert (told.conference_due_on, told.reassess_on) == (conference.due_on, next_rating.due_on)
    assert (told.rule_version, told.several_agencies) == (1, True)
    assert str(told.assessment_id) == answer["assessment_id"]
    assert (told.number, told.setting, told.prolongation_risk) == (1, "joint_conference", "true")
    assert (told.interpersonal, told.mental, told.stress, told.thinking, told.environment) == (3, 2, 3, 4, None)
    (row,) = await running.rows("SELECT * FROM assessment")
    assert (row["mental"], row["environment"], row["prolongation_risk"]) == (2, None, "true")


async def test_a_missing_axis_is_never_safe(world: World) -> None:
    running = world.service("assessment")
    case = await known_case(running)
    answer = await rate(running, case, 4, 4, 4, 4, None)
    assert answer["prolongation_risk"] == "undetermined"
    assert answer["because"] == [{"axis": "environment", "level": None, "missing": True}]
    assert (await rate(running, case, 3, 3, 3, 3, 3))["prolongation_risk"] == "false"


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/levels"),
        ({"levels": {**ALL_THREE, "luck": 3}}, "/levels"),
        ({"levels": {"mental": "maybe"}}, "/levels/mental"),
        ({"levels": ALL_THREE, "evidence": {"luck": "…"}}, "/levels"),
        ({"levels": ALL_THREE, "raters": [{"code": "c-07", "profession": "magician"}]}, "/raters"),
        ({"levels": {"mental": 0}}, "/levels/mental"),
        ({"levels": {"mental": 6}}, "/levels/mental"),
        ({"levels": {"mental": "3"}}, "/levels/mental"),
        ({"levels": {"mental": True}}, "/levels/mental"),
        ({"levels": ALL_THREE, "rubric": "fdp-official"}, "/rubric"),
        ({"levels": ALL_THREE, "setting": "dream"}, "/setting"),
        ({"levels": ALL_THREE, "raters": ["山田 太郎"]}, "/raters/0/code"),
        ({"levels": ALL_THREE, "rated_at": "2026-01-01T00:00:00"}, "/rated_at"),
        ({"levels": ALL_THREE, "rated_at": "0001-01-01T00:00:00+09:00"}, "/rated_at"),
        ({"levels": ALL_THREE, "rated_at": "2999-01-01T00:00:00+09:00"}, "/rated_at"),
        ({"levels": ALL_THREE, "corrects": str(uuid4())}, "/corrects"),
    ],
)
async def test_what_is_no_rating_is_refused(world: World, body: dict[str, Any], pointer: str) -> None:
    running = world.service("assessment")
    case = await known_case(running)
    answer = await running.as_().post(f"{case}/assessments", body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["pointer"] == pointer
    assert "山田" not in answer.text
    assert await running.told() == []
    assert await running.rows("SELECT id FROM assessment") == []


async def test_rating_a_moment_ahead_is_refused_and_now_is_not(world: World) -> None:
    running = world.service("assessment")
    case = await known_case(running)
    (clock,) = await running.rows("SELECT clock_timestamp() AS now")
    for seconds, status in ((60, 422), (-1, 201)):
        moment = (clock["now"] + timedelta(seconds=seconds)).isoformat()
        answer = await running.as_().post(f"{case}/assessments", {"levels": ALL_THREE, "rated_at": moment})
        assert answer.status_code == status, answer.text


async def test_a_case_that_has_not_arrived_is_not_known_yet(world: World) -> None:
    running = world.service("assessment")
    path = f"/v1/cases/{uuid4()}"
    answer = await running.as_().post(f"{path}/assessments", {"levels": ALL_THREE})
    assert (answer.status_code, answer.json()["code"]) == (404, "case_not_known")
    assert "seconds" in answer.json()["detail"]
    assert "数秒" in answer.json()["detail_ja"]


async def test_the_same_key_works_once_the_case_has_arrived(world: World) -> None:
    running = world.service("assessment")
    key, case_id = str(uuid4()), uuid4()
    path = f"/v1/cases/{case_id}/assessments"
    assert (await running.as_().post(path, {"levels": ALL_THREE}, key=key)).status_code == 404
    await running.hear(
        CaseOpened(
            case_id=case_id,
            municipality=KAGOSHIMA,
            agency_id="kagoshima-desk",
            entrance="phone",
            opened_at=datetime(2026, 11, 23, tzinfo=UTC),
        )
    )
    assert (await running.as_().post(path, {"levels": ALL_THREE}, key=key)).status_code == 201


async def test_another_municipality_hears_the_same_as_of_no_case(world: World) -> None:
    running = world.service("assessment")
    case = await known_case(running)
    await rate(running, case, 3, 3, 3, 3, 3)
    stranger = running.as_("zama-desk", municipalities=[ZAMA])
    answers = [
        await stranger.post(f"{case}/assessments", {"levels": ALL_THREE}),
        await stranger.get(f"{case}/assessments"),
        await stranger.get(f"{case}/comparison"),
        await stranger.get(f"/v1/cases/{uuid4()}/comparison"),
    ]
    assert {answer.status_code for answer in answers} == {404}
    assert len({str(answer.json() | {"instance": ""}) for answer in answers}) == 1
    opener = running.as_("kagoshima-desk", municipalities=[ZAMA])
    assert (await opener.get(f"{case}/assessments")).status_code == 200


async def test_only_counsellors_rate_and_read(world: World) -> None:
    running = world.service("assessment")
    case = await known_case(running)
    provider = running.as_("school", Role.PROVIDER)
    assert (await provider.post(f"{case}/assessments", {"levels": ALL_THREE})).status_code == 403
    for path in (f"{case}/assessments", f"{case}/comparison", "/v1/rubrics/fdp-sample-1"):
        assert (await provider.get(path)).status_code == 403
        assert (await running.anonymous.get(path)).status_code == 401


async def test_thirty_ratings_at_once_are_numbered_without_a_gap_and_told_in_order(world: World) -> None:
    running = world.service("assessment")
    case = await known_case(running)
    other = await known_case(running)
    answers = await asyncio.gather(
        *(rate(running, case, 3, 3, 3, 3, 1 + number % 5) for number in range(30)),
        *(rate(running, other, 3, 3, 3, 3, 3) for _ in range(3)),
    )
    assert sorted(answer["number"] for answer in answers[:30]) == list(range(1, 31))
    mine = [event for event in await running.told() if f"/v1/cases/{event.subject}" == case]
    ratings = [event for event in mine if isinstance(event, AssessmentRecorded)]
    assert [event.number for event in ratings] == list(range(1, 31))
    sealed = await running.rows("SELECT value FROM outbox WHERE key = $1 ORDER BY seq", case.removeprefix("/v1/cases/"))
    in_order = [f'"sequence":"{number:010d}"'.encode() in row["value"] for number, row in enumerate(sealed, 1)]
    assert in_order == [True] * len(mine)


async def test_a_refused_rating_leaves_no_gap(world: World) -> None:
    running = world.service("assessment")
    case = await known_case(running)
    await rate(running, case, 3, 3, 3, 3, 3)
    body = {"levels": ALL_THREE, "corrects": str(uuid4())}
    assert (await running.as_().post(f"{case}/assessments", body)).status_code == 422
    assert (await rate(running, case, 3, 3, 3, 3, 3))["number"] == 2


async def test_a_repeated_key_rates_once(world: World) -> None:
    running = world.service("assessment")
    case = await known_case(running)
    key = str(uuid4())
    body = {"levels": ALL_THREE}
    answers = await asyncio.gather(*(running.as_().post(f"{case}/assessments", body, key=key) for _ in range(8)))
    assert len({answer.text for answer in answers}) == 1
    assert len(await running.rows("SELECT id FROM assessment")) == 1
    changed = await running.as_().post(f"{case}/assessments", {"levels": {"mental": 1}}, key=key)
    assert changed.status_code == 422


async def test_ratings_are_never_edited(world: World) -> None:
    running = world.service("assessment")
    await rate(running, await known_case(running), 3, 3, 3, 3, 3)
    for sql in ("UPDATE assessment SET mental = 5 RETURNING 1", "DELETE FROM assessment RETURNING 1"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await running.rows(sql)


async def test_a_case_heard_of_twice_keeps_its_count(world: World) -> None:
    running = world.service("assessment")
    case = await known_case(running)
    await rate(running, case, 3, 3, 3, 3, 3)
    again = CaseOpened(
        case_id=UUID(case.removeprefix("/v1/cases/")),
        municipality=KAGOSHIMA,
        agency_id="kagoshima-desk",
        entrance="walk_in",
        opened_at=datetime(2026, 11, 23, tzinfo=UTC),
    )
    await running.hear(again)
    assert (await rate(running, case, 3, 3, 3, 3, 3))["number"] == 2


async def test_lists_go_on_where_they_ended(world: World) -> None:
    running = world.service("assessment")
    case = await known_case(running)
    for _ in range(5):
        await rate(running, case, 3, 3, 3, 3, 3)
    pages = [page async for page in running.as_().pages(f"{case}/assessments", limit=3)]
    assert [[each["number"] for each in page] for page in pages] == [[1, 2, 3], [4, 5]]


async def test_first_and_last_are_compared_axis_by_axis(world: World) -> None:
    running = world.service("assessment")
    case = await known_case(running)
    empty = (await running.as_().get(f"{case}/comparison")).json()
    assert (empty["initial"], empty["latest"], empty["changes"]) == (None, None, [])
    await rate(running, case, 1, 3, None, 4, 2)
    await rate(running, case, 5, 5, 5, 5, 5)
    await rate(running, case, 3, 3, 4, 3, None)
    found = (await running.as_().get(f"{case}/comparison")).json()
    assert (found["initial"]["number"], found["latest"]["number"]) == (1, 3)
    assert [each["change"] for each in found["changes"]] == [2, 0, None, -1, None]
    assert found["changes"][0]["axis_ja"] == "対人関係"


async def test_what_was_rated_earlier_and_written_down_later_is_the_first(world: World) -> None:
    running = world.service("assessment")
    case = await known_case(running)
    await rate(running, case, 4, 4, 4, 4, 4)
    await rate(running, case, 1, 1, 1, 1, 1, rated_at="2026-04-01T10:00:00+09:00")
    found = (await running.as_().get(f"{case}/comparison")).json()
    assert (found["initial"]["number"], found["latest"]["number"]) == (2, 1)


async def test_a_correction_takes_the_place_of_what_it_corrects(world: World) -> None:
    running = world.service("assessment")
    case = await known_case(running)
    first = await rate(running, case, 1, 1, 1, 1, 1)
    await rate(running, case, 4, 4, 4, 4, 4)
    correction = await rate(running, case, 2, 2, 2, 2, 2, corrects=first["assessment_id"])
    assert correction["rated_at"] == first["rated_at"]
    found = (await running.as_().get(f"{case}/comparison")).json()
    assert (found["initial"]["number"], found["latest"]["number"]) == (3, 2)
    again = await running.as_().post(f"{case}/assessments", {"levels": ALL_THREE, "corrects": first["assessment_id"]})
    assert (again.status_code, again.json()["code"]) == (409, "corrected_already")


async def test_a_rating_of_another_case_cannot_be_corrected_here(world: World) -> None:
    running = world.service("assessment")
    elsewhere = await rate(running, await known_case(running), 1, 1, 1, 1, 1)
    body = {"levels": ALL_THREE, "corrects": elsewhere["assessment_id"]}
    answer = await running.as_().post(f"{await known_case(running)}/assessments", body)
    assert answer.status_code == 422


async def test_the_rubric_says_what_it_is(world: World) -> None:
    desk = world.service("assessment").as_()
    rubric = (await desk.get("/v1/rubrics/fdp-sample-1")).json()
    assert rubric["notice"] == "sample wording, not the official S.S.F. text"
    assert [item["item"] for item in rubric["items"]] == list(AXES)
    assert all(len(item["levels"]) == 5 for item in rubric["items"])
    assert (await desk.get("/v1/rubrics/fdp-official")).status_code == 404
