"""A support plan from draft to evaluation: who moves it, what follows as tasks, and what is told of it."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.events import (
    CaseClosed,
    CaseErased,
    CaseHandedOver,
    CaseReopened,
    ConsentWithdrawn,
    PlanAgreed,
    PlanDecided,
    PlanEvaluated,
    TaskEnded,
)
from shared.service import working_day_after
from tests.service.assessment_room import DESK, NPO, consented, known_case, todo, told_of
from tests.service.plan_room import (
    CITY,
    GOAL,
    NPO_LINE,
    OWN_LINE,
    PERSON_LINE,
    PROBLEMS,
    WORDS,
    body,
    city,
    content_of,
    drafted,
    in_force,
    line,
    move,
    on,
    revise,
    said,
    today,
)
from tests.world import KIRISHIMA, Running, World


@pytest.fixture
def running(world: World) -> Running:
    return world.service("assessment")


async def tasks_of(running: Running, agency: str) -> list[tuple[str, str]]:
    return [(t["task"], t["due_on"]) for t in await todo(running.as_(agency))]


async def test_a_plan_goes_from_draft_to_decision_and_each_step_is_told_in_codes(running: Running) -> None:
    case_id = await known_case(running)
    await consented(running, case_id, NPO)
    plan = await in_force(running, case_id)
    assert (plan["state"], plan["number"], plan["decided_version"], plan["monitor_on"]) == ("in_force", 1, 1, on(45))
    (agreed,), (decided,) = await told_of(running, PlanAgreed), await told_of(running, PlanDecided)
    assert (str(agreed.plan_id), agreed.number, agreed.version) == (plan["plan_id"], 1, 1)
    assert (decided.decided, decided.schemes, decided.agencies) == ("support", ["work-readiness"], [NPO])
    assert decided.monitor_on.isoformat() == on(45)
    told = await running.rows("SELECT value FROM outbox ORDER BY seq")
    assert all(f'"sequence":"{n:010d}"'.encode() in row["value"] for n, row in enumerate(told, 1))
    assert not any(words.encode() in row["value"] for row in told for words in WORDS)


async def test_what_is_decided_becomes_tasks_for_whom_it_asks(running: Running) -> None:
    case_id = await known_case(running)
    await consented(running, case_id, NPO)
    await in_force(running, case_id)
    assert await tasks_of(running, DESK) == [("action", on(14)), ("monitoring", on(45))]
    assert await tasks_of(running, NPO) == [("action", on(30))]


async def test_an_agency_without_consent_is_asked_for_nothing_until_there_is_some(running: Running) -> None:
    case_id = await known_case(running)
    await in_force(running, case_id)
    assert await tasks_of(running, NPO) == []
    assert ("consent_to_seek", on(0)) in await tasks_of(running, DESK)
    await consented(running, case_id, NPO)
    assert await tasks_of(running, NPO) == [("action", on(30))]
    assert {task for task, _ in await tasks_of(running, DESK)} == {"action", "monitoring"}
    await running.hear(ConsentWithdrawn(case_id=case_id, consent_version=2))
    assert await tasks_of(running, NPO) == []
    assert ("action", NPO, "consent_ended") in [(e.task, e.owner, e.reason) for e in await told_of(running, TaskEnded)]
    await consented(running, case_id, NPO, version=3)
    await consented(running, case_id, NPO, version=4)
    assert await tasks_of(running, NPO) == [("action", on(30))], "asked once, and not for every word on consent"


async def test_what_an_agency_has_done_is_not_asked_for_again(running: Running) -> None:
    case_id = await known_case(running)
    await consented(running, case_id, NPO)
    await in_force(running, case_id)
    (task,) = await todo(running.as_(NPO))
    assert (await running.as_(NPO).post(f"/v1/tasks/{task['task_id']}/finish", {})).status_code == 200
    await running.hear(ConsentWithdrawn(case_id=case_id, consent_version=2))
    await consented(running, case_id, NPO, version=3)
    assert await todo(running.as_(NPO)) == []


async def test_monitoring_is_due_again_and_again_and_is_not_ticked_off(running: Running) -> None:
    case_id = await known_case(running)
    await consented(running, case_id, NPO)
    plan = await in_force(running, case_id)
    due = next(t for t in await todo(running.as_()) if t["task"] == "monitoring")
    assert due["legal"] == ["hand_on", "postpone"]
    ticked = await running.as_().post(f"/v1/tasks/{due['task_id']}/finish", {})
    assert (ticked.status_code, ticked.json()["code"]) == (409, "illegal_move")
    lines = {each["what"]: each["line_id"] for each in (await content_of(running.as_(), plan["plan_id"]))["lines"]}
    seen = [{"line_id": lines[OWN_LINE], "going": "done"}, {"line_id": lines[NPO_LINE], "going": "stopped"}]
    after = await move(running.as_(), plan["plan_id"], "monitor", lines=seen, next_on=on(20))
    assert (after["state"], after["monitor_on"]) == ("in_force", on(20))
    assert await tasks_of(running, DESK) == [("monitoring", on(20))]
    assert await tasks_of(running, NPO) == []
    ended = {(e.task, e.owner, e.state, e.reason) for e in await told_of(running, TaskEnded)}
    assert ended == {
        ("monitoring", DESK, "done", None),
        ("action", DESK, "done", None),
        ("action", NPO, "dropped", "not_needed"),
    }
    going = {each["what"]: each["going"] for each in (await content_of(running.as_(), plan["plan_id"]))["lines"]}
    assert going == {OWN_LINE: "done", NPO_LINE: "stopped", PERSON_LINE: None}


async def test_a_monitoring_that_nobody_did_is_told(running: Running) -> None:
    case_id = await known_case(running)
    await in_force(running, case_id, body(line("person", PERSON_LINE, "daily")))
    running.pass_time(timedelta(days=46))
    assert await running.sweep() == 1
    (late,) = [t for t in await todo(running.as_(), whose="held") if t["overdue"]]
    assert (late["task"], late["told"]) == ("monitoring", 1)


async def test_a_change_leaves_in_force_what_was_decided_until_it_is_decided_too(running: Running) -> None:
    case_id = await known_case(running)
    plan_id = (await in_force(running, case_id, body(line("desk", OWN_LINE, "once"))))["plan_id"]
    changed = await revise(
        running.as_(), plan_id, body(line("desk", "別の窓口に同行する。", "once"), monitor_on=on(10))
    )
    assert (changed.json()["state"], changed.json()["version"]) == ("changing", 2)
    assert changed.json()["monitor_on"] == on(45), "what was decided counts"
    assert (await content_of(running.as_(), plan_id, version=1))["lines"][0]["what"] == OWN_LINE
    await move(running.as_(), plan_id, "monitor")
    await move(running.as_(), plan_id, "agree", 2)
    await move(running.as_(), plan_id, "hear", 2)
    assert ("monitoring", on(60)) in await tasks_of(running, DESK)
    decided = await move(city(running), plan_id, "decide", 2)
    assert (decided["state"], decided["decided_version"], decided["monitor_on"]) == ("in_force", 2, on(10))
    assert await tasks_of(running, DESK) == [("monitoring", on(10)), ("action", on(180))]
    assert {e.reason for e in await told_of(running, TaskEnded) if e.state == "dropped"} == {"plan_changed"}


async def test_a_change_that_is_given_up_leaves_the_plan_in_force_as_it_was(running: Running) -> None:
    case_id = await known_case(running)
    plan_id = (await in_force(running, case_id))["plan_id"]
    before = await todo(running.as_())
    await revise(running.as_(), plan_id, body(goal="別の目標。"))
    back = await move(running.as_(), plan_id, "give_up")
    assert (back["state"], back["decided_version"], back["ended_at"]) == ("in_force", 1, None)
    assert (await content_of(running.as_(), plan_id))["goal"] == GOAL
    assert await todo(running.as_()) == before
    assert (await move(running.as_(), plan_id, "monitor"))["state"] == "in_force"
    steps = await running.as_().whole(f"/v1/plans/{plan_id}/steps")
    assert [(s["move"], s["version"]) for s in steps[-3:]] == [("revise", 2), ("give_up", 2), ("monitor", 1)]


async def test_an_evaluation_with_a_next_plan_opens_it_with_what_remains(running: Running) -> None:
    case_id = await known_case(running)
    await consented(running, case_id, NPO)
    plan_id = (await in_force(running, case_id))["plan_id"]
    lines = {each["what"]: each["line_id"] for each in (await content_of(running.as_(), plan_id))["lines"]}
    await move(running.as_(), plan_id, "monitor", lines=[{"line_id": lines[OWN_LINE], "going": "done"}])
    ended = await move(running.as_(), plan_id, "evaluate")
    assert ended["state"] == "evaluated"
    assert await todo(running.as_()) == await todo(running.as_(NPO)) == []
    (event,) = await told_of(running, PlanEvaluated)
    assert (event.reached, event.ending, event.number) == ("partly", "new_plan", 1)
    following = (await running.as_().get(f"/v1/plans/{ended['next_plan_id']}")).json()
    assert (following["number"], following["state"]) == (2, "draft")
    written = await content_of(running.as_(), ended["next_plan_id"])
    assert (written["problems"], written["goal"]) == ("夜の眠り。", GOAL)
    assert [each["what"] for each in written["lines"]] == [NPO_LINE, PERSON_LINE]
    assert (await move(running.as_(), ended["next_plan_id"], "agree"))["state"] == "agreed"


async def test_a_next_plan_whose_days_are_over_is_revised_before_anybody_agrees(running: Running) -> None:
    case_id = await known_case(running)
    plan_id = (await in_force(running, case_id))["plan_id"]
    running.pass_time(timedelta(days=200))
    ended = await move(running.as_(), plan_id, "evaluate", days=200)
    path = f"/v1/plans/{ended['next_plan_id']}"
    refused = await running.as_().post(f"{path}/agree", said("agree", days=200))
    assert (refused.status_code, refused.json()["code"]) == (409, "plan_not_ready")
    assert [e["code"] for e in refused.json()["errors"]] == ["monitoring_after_the_end"]
    anew = body(line("person", PERSON_LINE, "daily", ends_on=on(300)), monitor_on=on(230))
    assert (await revise(running.as_(), ended["next_plan_id"], anew)).status_code == 200
    assert (await move(running.as_(), ended["next_plan_id"], "agree", 2, 200))["state"] == "agreed"


@pytest.mark.parametrize(("ending", "word"), [("close", "終結"), ("interrupt", "中断")])
async def test_an_evaluation_that_ends_asks_the_holder_to_close_the_case_and_does_not_do_it(
    running: Running, ending: str, word: str
) -> None:
    case_id = await known_case(running)
    plan_id = (await in_force(running, case_id))["plan_id"]
    await move(running.as_(), plan_id, "evaluate", reached="yes", ending=ending)
    (task,) = await todo(running.as_())
    assert (task["task"], task["due_on"]) == ("action", working_day_after(today(), 5).isoformat())
    words = (await running.as_().get(f"/v1/tasks/{task['task_id']}/words")).json()["words"]
    assert word in words
    assert "close" in words or "interrupt" in words
    assert (await drafted(running, case_id))["number"] == 2, "the case is open until intake says otherwise"
    await running.hear(CaseClosed(case_id=case_id, agency_id=DESK, ended="goal_reached"))
    assert await todo(running.as_()) == []


async def test_a_case_has_one_plan_at_work_also_when_two_draft_at_once(running: Running) -> None:
    case_id = await known_case(running)
    answers = await asyncio.gather(
        *(running.as_().post(f"/v1/cases/{case_id}/plans", body()) for _ in range(6)),
    )
    assert sorted(a.status_code for a in answers) == [201, 409, 409, 409, 409, 409]
    assert {a.json()["code"] for a in answers if a.status_code == 409} == {"plan_at_work"}
    (won,) = [a.json() for a in answers if a.status_code == 201]
    await move(running.as_(), won["plan_id"], "give_up")
    assert (await drafted(running, case_id))["number"] == 2


async def test_who_saves_late_is_told_and_a_yes_is_to_one_version(running: Running) -> None:
    case_id = await known_case(running)
    plan_id = (await drafted(running, case_id))["plan_id"]
    etag = (await running.as_().get(f"/v1/plans/{plan_id}")).headers["ETag"]
    path = f"/v1/plans/{plan_id}"
    both = await asyncio.gather(
        *(running.as_().post(f"{path}/revise", body(), headers={"If-Match": etag}) for _ in range(2))
    )
    assert sorted(a.status_code for a in both) == [200, 412]
    assert (await running.as_().post(f"{path}/revise", body())).status_code == 428
    late = await running.as_().post(f"{path}/agree", said("agree", 1))
    assert (late.status_code, late.json()["code"]) == (412, "stale")
    assert (await move(running.as_(), plan_id, "agree", 2))["agreed_version"] == 2


async def test_a_no_is_a_fact_and_the_plan_stays_a_draft(running: Running) -> None:
    case_id = await known_case(running)
    plan_id = (await drafted(running, case_id))["plan_id"]
    assert (await move(running.as_(), plan_id, "disagree", witness="通訳が同席。"))["state"] == "draft"
    steps = await running.as_().whole(f"/v1/plans/{plan_id}/steps")
    assert [(s["move"], s["code"], s["words"]) for s in steps] == [
        ("draft", None, {}),
        ("disagree", "oral", {"witness": "通訳が同席。"}),
    ]
    assert await told_of(running, PlanAgreed) == []
    assert (await move(running.as_(), plan_id, "agree"))["state"] == "agreed"


async def test_the_municipality_finds_what_waits_for_its_decision(running: Running) -> None:
    case_id = await known_case(running)
    plan_id = (await drafted(running, case_id))["plan_id"]
    path, decider = "/v1/plans", city(running)
    await move(running.as_(), plan_id, "agree")
    assert await decider.whole(path, whose="to_decide") == []
    await move(running.as_(), plan_id, "hear")
    assert [p["plan_id"] for p in await decider.whole(path, whose="to_decide")] == [plan_id]
    assert await running.as_().whole(path, whose="to_decide") == [], "a desk decides nothing"
    other = city(running, "kirishima-city", municipalities=[KIRISHIMA])
    assert await other.whole(path, whose="to_decide") == []
    assert [p["plan_id"] for p in await running.as_().whole(path)] == [plan_id]
    assert await decider.whole(path) == []
    back = await move(decider, plan_id, "send_back")
    assert (back["state"], back["agreed_version"]) == ("draft", 1)
    assert await decider.whole(path, whose="to_decide") == []


async def test_a_desk_does_not_decide_about_its_own_plan_and_a_municipality_that_holds_may(running: Running) -> None:
    case_id = await known_case(running)
    plan_id = (await drafted(running, case_id))["plan_id"]
    for name in ("agree", "hear"):
        await move(running.as_(), plan_id, name)
    refused = await running.as_().post(f"/v1/plans/{plan_id}/decide", said("decide"))
    assert (refused.status_code, [e["legal"] for e in refused.json()["errors"]]) == (409, ["revise", "give_up"])
    own = await known_case(running, agency=CITY)
    answer = await city(running).post(f"/v1/cases/{own}/plans", body())
    held = answer.json()["plan_id"]
    for name in ("agree", "hear", "decide"):
        assert (await move(city(running), held, name))["plan_id"] == held


async def test_monitoring_and_the_desks_lines_go_along_with_the_case_and_an_agencys_stay(running: Running) -> None:
    case_id = await known_case(running)
    await consented(running, case_id, NPO)
    plan_id = (await in_force(running, case_id))["plan_id"]
    await running.hear(CaseHandedOver(case_id=case_id, agency_id="kagoshima-shakyo", before=DESK))
    assert await tasks_of(running, DESK) == []
    assert await tasks_of(running, "kagoshima-shakyo") == [("action", on(14)), ("monitoring", on(45))]
    assert await tasks_of(running, NPO) == [("action", on(30))]
    refused = await running.as_().post(f"/v1/plans/{plan_id}/monitor", said("monitor"))
    assert refused.status_code == 403
    assert (await move(running.as_("kagoshima-shakyo"), plan_id, "monitor"))["state"] == "in_force"


async def test_an_agency_keeps_its_line_when_it_handed_the_case_over(running: Running) -> None:
    case_id = await known_case(running)
    await in_force(
        running, case_id, body(line("agency", NPO_LINE, "once", agency=DESK, ends_on=on(9)), monitor_on=on(9))
    )
    await running.hear(CaseHandedOver(case_id=case_id, agency_id=NPO, before=DESK))
    assert await tasks_of(running, DESK) == [("action", on(9))]


async def test_a_closed_case_interrupts_its_plan_and_gets_none_until_it_is_taken_up_again(running: Running) -> None:
    case_id = await known_case(running)
    plan_id = (await in_force(running, case_id))["plan_id"]
    await running.hear(CaseClosed(case_id=case_id, agency_id=DESK, ended="goal_reached"))
    ended = (await running.as_().get(f"/v1/plans/{plan_id}")).json()
    assert (ended["state"], ended["legal"], ended["ended_at"] is None) == ("interrupted", [], False)
    last = (await running.as_().whole(f"/v1/plans/{plan_id}/steps"))[-1]
    assert (last["move"], last["code"], last["by"]) == ("interrupt", "case_closed", DESK)
    assert await todo(running.as_()) == []
    refused = await running.as_().post(f"/v1/cases/{case_id}/plans", body())
    assert (refused.status_code, refused.json()["code"]) == (409, "plan_for_closed_case")
    await running.hear(CaseReopened(case_id=case_id, agency_id=DESK))
    assert (await drafted(running, case_id))["number"] == 2


async def test_an_erased_case_has_no_plan_to_read_and_its_words_are_lost(running: Running) -> None:
    case_id = await known_case(running)
    plan_id = (await in_force(running, case_id))["plan_id"]
    erased = CaseErased(
        case_id=case_id, agency_id=DESK, reason="persons_request", erased_at=datetime(2026, 12, 1, tzinfo=UTC)
    )
    await running.hear(CaseClosed(case_id=case_id, agency_id=DESK, ended="goal_reached"), erased)
    await running.sweep()
    desk, path = running.as_(), f"/v1/plans/{plan_id}"
    answers: list[Any] = [
        await desk.get(path),
        await desk.get(f"{path}/content"),
        await desk.get(f"{path}/steps"),
        await desk.get(f"/v1/cases/{case_id}/plans"),
        await desk.post(f"/v1/cases/{case_id}/plans", body()),
        await desk.post(f"{path}/monitor", said("monitor")),
    ]
    assert [answer.status_code for answer in answers] == [410] * 6
    assert await running.rows("SELECT 1 FROM data_key") == []


async def test_plans_and_steps_are_read_page_by_page(running: Running) -> None:
    case_id = await known_case(running)
    for _ in range(5):
        await move(running.as_(), (await drafted(running, case_id))["plan_id"], "give_up")
    pages = [page async for page in running.as_().pages(f"/v1/cases/{case_id}/plans", limit=2)]
    assert [[p["number"] for p in page] for page in pages] == [[1, 2], [3, 4], [5]]
    plan_id = (await in_force(running, case_id))["plan_id"]
    steps = [page async for page in running.as_().pages(f"/v1/plans/{plan_id}/steps", limit=3)]
    assert [[s["move"] for s in page] for page in steps] == [["draft", "agree", "hear"], ["decide"]]
    others = [await known_case(running) for _ in range(3)]
    for other in others:
        await drafted(running, other)
    held = [page async for page in running.as_().pages("/v1/plans", limit=2)]
    assert [len(page) for page in held] == [2, 2]


async def test_answers_to_posts_hold_no_words_and_nothing_is_kept_in_the_clear(running: Running) -> None:
    case_id = await known_case(running)
    answer = await running.as_().post(f"/v1/cases/{case_id}/plans", body())
    plan_id = answer.json()["plan_id"]
    for name in ("agree", "hear"):
        await move(running.as_(), plan_id, name)
    kept = str([dict(row) for row in await running.rows("SELECT * FROM idempotency")])
    tables = ("plan", "plan_version", "plan_line", "plan_step", "plan_word")
    rows = [row for table in tables for row in await running.rows(f"SELECT * FROM {table}")]
    values = [value for row in rows for value in row.values()]
    stored = "".join(v.decode(errors="ignore") if isinstance(v, bytes) else str(v) for v in values)
    for words in (*WORDS, "長女", "無理のない"):
        assert words not in answer.text
        assert words not in kept
        assert words not in stored
    assert (await content_of(running.as_(), plan_id))["problems"] == PROBLEMS
