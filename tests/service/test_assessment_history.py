"""Everything about a case in one list, newest first, as codes; and nothing that the caller may not see elsewhere."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import event

from shared.auth import Role
from shared.events import CaseClosed, CaseErased, ConsentWithdrawn
from tests.service import conference_table, plan_room
from tests.service.assessment_room import DESK, NPO, consented, known_case, levels, rate
from tests.world import KIRISHIMA, Caller, Running, World

SEATS = [{"agency": DESK, "profession": "career_consultant"}, {"agency": NPO, "profession": "job_coach"}]
SECRET = "夜、眠れていない。"


@pytest.fixture
def running(world: World) -> Running:
    return world.service("assessment")


async def history(caller: Caller, case_id: UUID, **params: Any) -> list[dict[str, Any]]:
    return await caller.whole(f"/v1/cases/{case_id}/history", **params)


async def begin_joint(running: Running, case_id: UUID) -> str:
    answer = await running.as_().post(f"/v1/cases/{case_id}/joint_ratings", {"seats": SEATS})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["joint_id"])


async def give(running: Running, joint_id: str, seat: dict[str, str], *values: int) -> None:
    body = {"profession": seat["profession"], "levels": levels(*values), "reasons": {"mental": SECRET}}
    answer = await running.as_(seat["agency"]).post(f"/v1/joint_ratings/{joint_id}/levels", body)
    assert answer.status_code == 201, answer.text


async def test_ratings_joint_ratings_and_tasks_stand_newest_first_as_codes(running: Running) -> None:
    case_id = await known_case(running)
    await consented(running, case_id, NPO)
    first = await rate(running.as_(), case_id, 3, 2, 3, 4, None, evidence={"mental": SECRET})
    running.pass_time(timedelta(minutes=1))
    joint_id = await begin_joint(running, case_id)
    running.pass_time(timedelta(minutes=1))
    mind = {"mind": 3, "people": 2}
    other = await running.as_().post(
        f"/v1/cases/{case_id}/assessments", {"rubric": "career-formation-sample-1", "levels": mind}
    )
    assert other.status_code == 201, other.text
    found = await history(running.as_(), case_id)
    assert [each["kind"] for each in found] == ["assessment", "joint_rating", "task", "task", "assessment"]
    career, joint, again, conference, fdp = found
    assert (career["instrument"], career["prolongation_risk"], career["rule_version"]) == (
        "career_formation",
        None,
        None,
    )
    assert career["levels"] == mind
    assert (joint["id"], joint["state"], joint["chair"], joint["seats"]) == (joint_id, "rating", DESK, SEATS)
    assert {(t["task"], t["state"], t["owner"], t["origin"]) for t in (again, conference)} == {
        ("joint_conference", "open", DESK, "rule"),
        ("reassessment", "open", DESK, "rule"),
    }
    assert again["origin_id"] == conference["origin_id"] == fdp["id"] == first["assessment_id"]
    assert fdp["levels"] == {"interpersonal": 3, "mental": 2, "stress": 3, "thinking": 4}
    assert fdp["not_observed"] == ["environment"]
    shown = ("instrument", "rubric", "number", "setting", "prolongation_risk", "rule_version", "rated_by", "corrects")
    assert [fdp[name] for name in shown] == ["fdp", "fdp-sample-1", 1, "solo", "true", 1, DESK, None]
    assert SECRET not in str(found)


async def test_a_corrected_rating_says_by_which_and_an_ended_task_why(running: Running) -> None:
    case_id = await known_case(running)
    wrong = await rate(running.as_(), case_id, 3, 2, 3, 4, 4)
    right = await rate(running.as_(), case_id, 3, 3, 3, 4, 4, corrects=wrong["assessment_id"])
    found = await history(running.as_(), case_id)
    by_number = {each["number"]: each for each in found if each["kind"] == "assessment"}
    assert by_number[1]["corrected_by"] == by_number[2]["id"] == right["assessment_id"]
    assert (by_number[2]["corrects"], by_number[2]["corrected_by"]) == (wrong["assessment_id"], None)
    ended = [(t["task"], t["state"], t["reason"]) for t in found if t["kind"] == "task"]
    assert sorted(ended, key=str) == [
        ("joint_conference", "dropped", "no_longer_flagged"),
        ("reassessment", "done", None),
        ("reassessment", "open", None),
    ]


async def test_an_open_joint_rating_is_the_same_whoever_has_given_and_never_shows_levels(running: Running) -> None:
    case_id = await known_case(running)
    await consented(running, case_id, NPO)
    joint_id = await begin_joint(running, case_id)
    callers = [running.as_(), running.as_(NPO)]
    before = [await history(caller, case_id) for caller in callers]
    await give(running, joint_id, SEATS[1], 1, 1, 1, 1, 1)
    assert [await history(caller, case_id) for caller in callers] == before
    await give(running, joint_id, SEATS[0], 5, 5, 5, 5, 5)
    for caller in callers:
        (joint,) = await history(caller, case_id)
        assert joint["state"] == "side_by_side"
        assert {"levels", "waiting", "given", "seen", "agreed"}.isdisjoint(joint)


async def test_who_reads_how_much_and_who_reads_nothing(running: Running) -> None:
    case_id = await known_case(running)
    await rate(running.as_(), case_id, 1, 3, 3, 3, 3)
    npo, far = running.as_(NPO), running.as_("kirishima-desk", municipalities=[KIRISHIMA])
    path = f"/v1/cases/{case_id}/history"
    refused = await npo.get(path)
    assert (refused.status_code, refused.json()["code"]) == (403, "no_basis")
    assert {(await far.get(path)).status_code, (await npo.get(f"/v1/cases/{uuid4()}/history")).status_code} == {404}
    assert (await running.as_(DESK, Role.OBSERVER).get(path)).status_code == 403
    own = await rate(npo, case_id, 2, 2, 2, 2, 2)
    assert [each["id"] for each in await history(npo, case_id)] == [own["assessment_id"]]
    (task,) = [
        t for t in await history(running.as_(), case_id) if t["kind"] == "task" and t["task"] == "joint_conference"
    ]
    assert (await running.as_().post(f"/v1/tasks/{task['id']}/hand_on", {"owner": NPO})).status_code == 200
    assert {each["id"] for each in await history(npo, case_id)} == {own["assessment_id"], task["id"]}
    await consented(running, case_id, NPO)
    assert len(await history(npo, case_id)) == len(await history(running.as_(), case_id)) == 5
    await running.hear(ConsentWithdrawn(case_id=case_id, consent_version=2))
    assert {each["id"] for each in await history(npo, case_id)} == {own["assessment_id"], task["id"]}


async def test_a_seat_that_consent_no_longer_reaches_sees_no_joint_rating_and_the_holder_does(running: Running) -> None:
    case_id = await known_case(running)
    await consented(running, case_id, NPO)
    await begin_joint(running, case_id)
    await rate(running.as_(NPO), case_id, 3, 3, 3, 3, 3)
    assert "joint_rating" in {each["kind"] for each in await history(running.as_(NPO), case_id)}
    await running.hear(ConsentWithdrawn(case_id=case_id, consent_version=2))
    assert [each["kind"] for each in await history(running.as_(NPO), case_id)] == ["assessment"]
    assert "joint_rating" in {each["kind"] for each in await history(running.as_(), case_id)}


async def test_a_conference_and_a_plan_stand_there_for_whom_consent_reaches(running: Running) -> None:
    case_id, path = await conference_table.called(running)
    plan = await plan_room.in_force(running, case_id)
    found = {each["kind"]: each for each in await history(running.as_(), case_id)}
    met, planned = found["conference"], found["plan"]
    assert path.endswith(met["id"])
    assert (met["chair"], met["state"], met["reason"], met["task_id"]) == (DESK, "called", None, None)
    assert [each["agency"] for each in met["members"]] == [DESK, NPO]
    assert planned["id"] == plan["plan_id"]
    assert (planned["state"], planned["version"], planned["decided_version"]) == (plan["state"], 1, 1)
    for words in (*plan_room.WORDS, conference_table.MINUTES):
        assert words not in str(found)
    npo, city = running.as_(NPO), running.as_("kagoshima-city")
    assert {"conference", "plan"} <= {each["kind"] for each in await history(npo, case_id)}
    # Who takes no part in a conference hears of none here either, though consent opens the rest.
    assert {"plan"} <= {each["kind"] for each in await history(city, case_id)} <= {"plan", "task"}
    await rate(npo, case_id, 3, 3, 3, 3, 3)
    await running.hear(ConsentWithdrawn(case_id=case_id, consent_version=2))
    assert {each["kind"] for each in await history(npo, case_id)} <= {"assessment", "task"}


async def test_however_much_there_is_it_takes_as_many_statements(running: Running) -> None:
    case_id, _ = await conference_table.called(running)
    await begin_joint(running, case_id)
    await rate(running.as_(), case_id, 1, 3, 3, 3, 3)
    few = await sent_for(running, case_id)
    for _ in range(5):
        await begin_joint(running, case_id)
        await rate(running.as_(), case_id, 1, 3, 3, 3, 3)
        await conference_table.call(running.as_(), running, case_id)
    assert len(await history(running.as_(), case_id)) > 20
    assert len(await sent_for(running, case_id)) == len(few) <= 8, few


async def sent_for(running: Running, case_id: UUID) -> list[str]:
    """The statements that reading it takes."""
    sent: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        sent.append(statement)

    engine = running.database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        assert (await running.as_().get(f"/v1/cases/{case_id}/history?limit=500")).status_code == 200
    finally:
        event.remove(engine, "before_cursor_execute", note)
    return sent


async def test_a_draft_of_a_plan_is_its_writers_alone(running: Running) -> None:
    case_id = await known_case(running)
    await consented(running, case_id)
    await plan_room.drafted(running, case_id)
    assert [each["kind"] for each in await history(running.as_(), case_id)] == ["plan"]
    assert await history(running.as_(NPO), case_id) == []


async def test_nothing_of_a_statutory_meeting_stands_in_it_for_its_chair_either(running: Running) -> None:
    members = [conference_table.member(DESK, "career_consultant"), conference_table.member(NPO)]
    case_id, path = await conference_table.called(running, lane="shien_kaigi_art9", members=members)
    desk, npo = running.as_(), running.as_(NPO)
    await rate(npo, case_id, 3, 3, 3, 3, 3)
    before = [await history(desk, case_id), await history(npo, case_id)]
    assert {each["kind"] for each in before[0]} == {"assessment", "task"}
    await conference_table.do(desk, f"{path}/joint_ratings", {})
    await conference_table.do(desk, f"{path}/open")
    task_id = await conference_table.decide(desk, path, running, "action", owner=NPO, words=SECRET)
    assert [await history(desk, case_id), await history(npo, case_id)] == before
    await conference_table.conclude(desk, path, members[0])
    assert [await history(desk, case_id), await history(npo, case_id)] == before
    assert [task["task_id"] for task in await npo.whole("/v1/tasks")] == [task_id]


async def test_what_is_planned_in_a_conference_is_told_by_that_conference_alone(running: Running) -> None:
    case_id = await known_case(running)
    await rate(running.as_(), case_id, 1, 3, 3, 3, 3)
    await running.rows("UPDATE task SET state = 'planned' RETURNING 1")
    assert [each["kind"] for each in await history(running.as_(), case_id)] == ["assessment"]


async def test_it_is_read_page_by_page_and_gone_with_an_erased_case(running: Running) -> None:
    case_id = await known_case(running)
    for low in (1, 2, 1, 2):
        await rate(running.as_(), case_id, low, 3, 3, 3, 3)
    whole = await history(running.as_(), case_id, limit=500)
    assert len(whole) == 9
    pages = [found async for found in running.as_().pages(f"/v1/cases/{case_id}/history", limit=2)]
    assert [len(found) for found in pages] == [2, 2, 2, 2, 1]
    assert [each for found in pages for each in found] == whole
    moments = [(each["at"], each["id"]) for each in whole]
    assert moments == sorted(moments, reverse=True)
    erased = CaseErased(
        case_id=case_id, agency_id=DESK, reason="persons_request", erased_at=datetime(2026, 12, 1, tzinfo=UTC)
    )
    await running.hear(CaseClosed(case_id=case_id, agency_id=DESK, ended="goal_reached"), erased)
    assert (await running.as_().get(f"/v1/cases/{case_id}/history")).status_code == 410
