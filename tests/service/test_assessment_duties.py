"""A flag asks the agencies for something, with an owner and a day; nothing that is overdue is invisible."""

import asyncio
import re
from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

import asyncpg
import pytest

from shared.database import Acting
from shared.events import CaseClosed, CaseErased, CaseHandedOver, CaseReopened, TaskAssigned, TaskEnded, TaskOverdue
from shared.service import day_in_japan, working_day_after
from shared.service.clock import wall_time
from tests.service.assessment_room import DESK, NPO, consented, known_case, rate, todo, told_of
from tests.world import KIRISHIMA, Running, World


@pytest.fixture
def running(world: World) -> Running:
    return world.service("assessment")


def today() -> date:
    return day_in_japan(wall_time())


async def test_a_flag_brings_a_conference_in_working_days_and_a_next_rating(running: Running) -> None:
    case_id = await known_case(running)
    answer = await rate(running.as_(), case_id, 3, 2, 3, 4, 4)
    due = {each["duty"]: each["due_on"] for each in answer["duties"]}
    assert due == {
        "joint_conference": working_day_after(today(), 10).isoformat(),
        "reassessment": (today() + timedelta(days=90)).isoformat(),
    }
    assert [(t["task"], t["due_on"], t["owner"]) for t in await todo(running.as_())] == [
        ("joint_conference", due["joint_conference"], DESK),
        ("reassessment", due["reassessment"], DESK),
    ]


async def test_the_next_rating_meets_the_last_duty_and_a_conference_stays_due_on_its_first_day(
    running: Running,
) -> None:
    case_id = await known_case(running)
    await rate(running.as_(), case_id, 3, 2, 3, 4, 4)
    first = {t["task"]: t for t in await todo(running.as_())}
    running.pass_time(timedelta(days=3))
    await rate(running.as_(), case_id, 3, 1, 3, 4, 4)
    second = {t["task"]: t for t in await todo(running.as_())}
    assert second["joint_conference"]["task_id"] == first["joint_conference"]["task_id"]
    assert second["joint_conference"]["due_on"] == first["joint_conference"]["due_on"]
    assert second["reassessment"]["task_id"] != first["reassessment"]["task_id"]
    assert [(e.task, e.state) for e in await told_of(running, TaskEnded)] == [("reassessment", "done")]


async def test_a_flag_that_is_gone_lets_the_conference_go_and_an_undetermined_one_does_not(running: Running) -> None:
    case_id = await known_case(running)
    await rate(running.as_(), case_id, 3, 2, 3, 4, 4)
    await rate(running.as_(), case_id, 3, None, 3, 4, 4)
    assert "joint_conference" in {t["task"] for t in await todo(running.as_())}
    await rate(running.as_(), case_id, 3, 3, 3, 4, 4)
    assert [t["task"] for t in await todo(running.as_())] == ["reassessment"]
    assert ("joint_conference", "dropped", "no_longer_flagged") in [
        (e.task, e.state, e.reason) for e in await told_of(running, TaskEnded)
    ]


async def test_what_was_rated_earlier_and_written_down_later_brings_no_duties(running: Running) -> None:
    case_id = await known_case(running)
    await rate(running.as_(), case_id, 3, 3, 3, 3, 3)
    late = await rate(running.as_(), case_id, 1, 1, 1, 1, 1, rated_at="2026-04-01T10:00:00+09:00")
    assert (late["prolongation_risk"], late["duties"]) == ("true", [])
    assert [t["task"] for t in await todo(running.as_())] == ["reassessment"]


async def test_a_correction_to_an_earlier_day_takes_the_place_of_what_it_corrects(running: Running) -> None:
    case_id = await known_case(running)
    wrong = await rate(running.as_(), case_id, 1, 3, 3, 3, 3)
    yesterday = (wall_time() - timedelta(days=1)).isoformat()
    right = await rate(running.as_(), case_id, 3, 3, 3, 3, 3, corrects=wrong["assessment_id"], rated_at=yesterday)
    assert [due["duty"] for due in right["duties"]] == ["reassessment"]
    assert [t["origin_id"] for t in await todo(running.as_())] == [right["assessment_id"]]


async def test_twenty_ratings_at_once_leave_one_duty_of_each_kind(running: Running) -> None:
    case_id = await known_case(running)
    await asyncio.gather(*(rate(running.as_(), case_id, 1, 3, 3, 3, 3) for _ in range(20)))
    assert sorted(t["task"] for t in await todo(running.as_())) == ["joint_conference", "reassessment"]


async def test_duties_go_along_with_the_case_and_end_with_it(running: Running) -> None:
    case_id = await known_case(running)
    await rate(running.as_(), case_id, 1, 3, 3, 3, 3)
    await running.hear(CaseHandedOver(case_id=case_id, agency_id=NPO, before=DESK))
    assert await todo(running.as_()) == []
    assert {t["owner"] for t in await todo(running.as_(NPO))} == {NPO}
    await running.hear(CaseClosed(case_id=case_id, agency_id=NPO, ended="goal_reached"))
    assert await todo(running.as_(NPO)) == []
    ended = [(e.task, e.reason) for e in await told_of(running, TaskEnded)]
    assert sorted(ended) == [("joint_conference", "case_closed"), ("reassessment", "case_closed")]
    refused = await running.as_(NPO).post(f"/v1/cases/{case_id}/assessments", {"levels": {"mental": 3}})
    assert (refused.status_code, refused.json()["code"]) == (409, "case_closed")
    await running.hear(CaseReopened(case_id=case_id, agency_id=DESK))
    await rate(running.as_(), case_id, 3, 3, 3, 3, 3)


async def test_what_is_overdue_is_told_to_the_holder_and_then_to_the_municipality(running: Running) -> None:
    case_id = await known_case(running)
    await rate(running.as_(), case_id, 1, 3, 3, 3, 3)
    (conference, _) = await todo(running.as_())
    handed = await running.as_().post(f"/v1/tasks/{conference['task_id']}/hand_on", {"owner": NPO})
    assert handed.json()["owner"] == NPO
    await running.sweep()
    assert await told_of(running, TaskOverdue) == []
    due = date.fromisoformat(conference["due_on"])
    running.pass_time(timedelta(days=(due - today()).days + 1))
    assert await running.sweep() == 1
    assert await running.sweep() == 0
    (first,) = await told_of(running, TaskOverdue)
    assert (first.tier, first.owner, first.holder, first.due_on) == (1, NPO, DESK, due)
    assert [(t["overdue"], t["told"]) for t in await todo(running.as_(), whose="held") if t["overdue"]] == [(True, 1)]
    assert await todo(running.as_("kagoshima-city"), whose="late") == []
    running.pass_time(timedelta(days=(working_day_after(due, 5) - due).days))
    assert await running.sweep() == 1
    assert [event.tier for event in await told_of(running, TaskOverdue)] == [1, 2]
    assert [t["task_id"] for t in await todo(running.as_("kagoshima-city"), whose="late")] == [conference["task_id"]]
    assert await todo(running.as_("kirishima-desk", municipalities=[KIRISHIMA]), whose="late") == []


async def test_a_task_is_moved_by_its_owner_and_the_holder_and_illegal_moves_name_the_legal_ones(
    running: Running,
) -> None:
    case_id = await known_case(running)
    await rate(running.as_(), case_id, 1, 3, 3, 3, 3)
    (task, _) = await todo(running.as_())
    path = f"/v1/tasks/{task['task_id']}"
    assert task["legal"] == ["finish", "hand_on", "postpone", "drop"]
    await running.as_().post(f"{path}/hand_on", {"owner": NPO})
    npo, city = running.as_(NPO), running.as_("kagoshima-city")
    late = (today() + timedelta(days=60)).isoformat()
    refused = await npo.post(f"{path}/postpone", {"due_on": late})
    assert (refused.status_code, refused.json()["code"]) == (409, "illegal_move")
    assert "finish" in refused.json()["detail"]
    assert (await city.post(f"{path}/finish", {})).status_code == 403
    far = running.as_("kirishima-desk", municipalities=[KIRISHIMA])
    assert {(await far.get(path)).status_code, (await far.post(f"{path}/finish", {})).status_code} == {404}
    postponed = (await running.as_().post(f"{path}/postpone", {"due_on": late})).json()
    assert postponed["due_on"] == late
    past = await running.as_().post(f"{path}/postpone", {"due_on": "2020-01-01"})
    assert (past.status_code, past.json()["errors"][0]["pointer"]) == (422, "/due_on")
    assert (await npo.post(f"{path}/finish", {})).json()["state"] == "done"
    again = await npo.post(f"{path}/finish", {})
    assert (again.status_code, "もう何もできません" in again.text or "legal" in again.text) == (409, True)
    steps = (await running.as_().get(f"{path}/steps")).json()["steps"]
    assert [s["number"] for s in steps] == [1, 2, 3, 4]
    assert [(s["name"], s["by"]) for s in steps] == [
        ("begin", DESK),
        ("hand_on", DESK),
        ("postpone", DESK),
        ("finish", NPO),
    ]


async def test_an_owner_far_away_sees_its_task_and_no_rating(running: Running) -> None:
    case_id = await known_case(running)
    await rate(running.as_(), case_id, 1, 3, 3, 3, 3)
    (task, _) = await todo(running.as_())
    far = running.as_("kirishima-npo", municipalities=[KIRISHIMA])
    assert await todo(far) == []
    await running.as_().post(f"/v1/tasks/{task['task_id']}/hand_on", {"owner": "kirishima-npo"})
    assert [t["task_id"] for t in await todo(far)] == [task["task_id"]]
    assert (await far.get(f"/v1/cases/{case_id}/assessments")).status_code == 404
    assert (await far.post(f"/v1/tasks/{task['task_id']}/finish", {})).status_code == 200


async def test_the_wall_hides_tasks_and_cases_whatever_the_statement_asks(running: Running) -> None:
    case_id = await known_case(running)
    await rate(running.as_(), case_id, 1, 3, 3, 3, 3, evidence={"mental": "夜、眠れていない。"})
    far = Acting("kirishima-desk", frozenset({KIRISHIMA}))
    for table in ("case_fact", "assessment", "evidence", "task", "task_step", "data_key", "access_log"):
        assert await running.rows_for(far, f"SELECT 1 FROM {table}") == []
        assert await running.rows(f"SELECT 1 FROM {table}") != []
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await running.rows("DELETE FROM task RETURNING 1")


async def test_the_wall_shows_a_case_of_ones_own_and_nothing_of_another(running: Running) -> None:
    here, there = await known_case(running), await known_case(running, municipality=KIRISHIMA, agency="kirishima-desk")
    far = Acting("kirishima-desk", frozenset({KIRISHIMA}))
    own = running.as_("kirishima-desk", municipalities=[KIRISHIMA])
    for caller, case_id in ((running.as_(), here), (own, there)):
        await rate(caller, case_id, 1, 3, 3, 3, 3, evidence={"mental": "夜、眠れていない。"})
    for table in ("case_fact", "assessment", "task"):
        found = await running.rows_for(far, f"SELECT DISTINCT case_id FROM {table}")
        assert [row["case_id"] for row in found] == [there], table
    for table, many in {"evidence": 1, "task_step": 2, "data_key": 1, "access_log": 1}.items():
        assert len(await running.rows_for(far, f"SELECT 1 FROM {table}")) == many, table


async def test_no_policy_compares_a_column_with_itself(running: Running) -> None:
    """In a subquery a bare name is the inner table's, where that has one: such a wall lets everything through."""
    policies = await running.rows("SELECT tablename, concat(qual, ' ', with_check) AS rule FROM pg_policies")
    assert len(policies) > 10
    assert [row["tablename"] for row in policies if re.search(r"\(([a-z_]+\.[a-z_]+) = \1\)", row["rule"])] == []


async def test_an_erased_case_is_rated_and_read_no_more_and_its_words_are_lost(running: Running) -> None:
    case_id = await known_case(running)
    rated = await rate(running.as_(), case_id, 1, 3, 3, 3, 3, evidence={"mental": "夜、眠れていない。"})
    erased = CaseErased(
        case_id=case_id, agency_id=DESK, reason="persons_request", erased_at=datetime(2026, 12, 1, tzinfo=UTC)
    )
    await running.hear(CaseClosed(case_id=case_id, agency_id=DESK, ended="goal_reached"), erased)
    await running.sweep()
    assert await running.rows("SELECT 1 FROM data_key") == []
    desk = running.as_()
    path = f"/v1/cases/{case_id}/assessments"
    answers = [
        await desk.get(path),
        await desk.get(f"{path}/{rated['assessment_id']}/evidence"),
        await desk.post(path, {"levels": {"mental": 3}}),
    ]
    assert {answer.status_code for answer in answers} == {410}


async def test_evidence_is_sealed_logged_and_told_to_nobody(running: Running) -> None:
    case_id = await known_case(running)
    secret = "面談の予定を二度、当日に取りやめた。"
    rated = await rate(
        running.as_(), case_id, 3, 2, 3, 4, 4, evidence={"mental": secret, "environment": "家に居場所。"}
    )
    assert secret not in str(rated)
    path = f"/v1/cases/{case_id}/assessments/{rated['assessment_id']}/evidence"
    shown = (await running.as_().get(path)).json()
    assert shown["evidence"] == {"mental": secret, "environment": "家に居場所。"}
    log = await running.rows("SELECT action, agency, purpose, basis, fields FROM access_log ORDER BY id")
    assert [(r["action"], r["agency"], r["basis"], sorted(r["fields"])) for r in log] == [
        ("write", DESK, "appi_69_2_2", ["environment", "mental"]),
        ("read", DESK, "appi_69_2_2", ["environment", "mental"]),
    ]
    listed = await running.as_().whole(f"/v1/cases/{case_id}/accesses", limit=1)
    assert [(each["action"], each["agency"]) for each in listed] == [("write", DESK), ("read", DESK)]
    assert (await running.as_(NPO).get(f"/v1/cases/{case_id}/accesses")).status_code == 403
    sealed = await running.rows("SELECT sealed FROM evidence")
    told = await running.rows("SELECT value FROM outbox")
    kept = await running.rows("SELECT * FROM idempotency")
    for bytes_ in (*(row["sealed"] for row in sealed), *(row["value"] for row in told)):
        assert secret.encode() not in bytes_
    assert secret not in str([dict(row) for row in kept])


async def test_consent_opens_ratings_and_words_about_illness_only_where_they_are_named(running: Running) -> None:
    case_id = await known_case(running)
    evidence = {"mental": "夜、眠れていない。", "environment": "家に居場所がない。"}
    rated = await rate(running.as_(), case_id, 3, 2, 3, 4, 4, evidence=evidence)
    npo, path = running.as_(NPO), f"/v1/cases/{case_id}/assessments"
    refused = await npo.get(path)
    assert (refused.status_code, refused.json()["code"]) == (403, "no_basis")
    await consented(running, case_id, NPO)
    assert [each["number"] for each in (await npo.get(path)).json()["items"]] == [1]
    words = (await npo.get(f"{path}/{rated['assessment_id']}/evidence")).json()
    assert (words["evidence"], words["withheld"]) == ({"environment": "家に居場所がない。"}, ["mental"])
    await consented(running, case_id, NPO, version=2, categories=("story", "health"))
    words = (await npo.get(f"{path}/{rated['assessment_id']}/evidence")).json()
    assert (words["evidence"], words["withheld"]) == (evidence, [])
    await consented(running, case_id, NPO, version=3, categories=("contact",))
    assert (await npo.get(path)).status_code == 403


async def test_tasks_are_read_page_by_page_and_until_a_day(running: Running) -> None:
    for _ in range(5):
        await rate(running.as_(), await known_case(running), 3, 3, 3, 3, 3)
    pages = [page async for page in running.as_().pages("/v1/tasks", limit=2)]
    assert [len(page) for page in pages] == [2, 2, 1]
    assert await todo(running.as_(), until=today().isoformat()) == []
    assert (await running.as_().get(f"/v1/tasks/{uuid4()}")).status_code == 404


async def test_who_was_given_a_task_is_told(running: Running) -> None:
    case_id = await known_case(running)
    await rate(running.as_(), case_id, 1, 3, 3, 3, 3)
    (task, _) = await todo(running.as_())
    await running.as_().post(f"/v1/tasks/{task['task_id']}/hand_on", {"owner": NPO})
    assert [event.owner for event in await told_of(running, TaskAssigned)] == [DESK, DESK, NPO]
    sequences = [row["value"] for row in await running.rows("SELECT value FROM outbox ORDER BY seq")]
    assert all(f'"sequence":"{n:010d}"'.encode() in value for n, value in enumerate(sequences, 1))
