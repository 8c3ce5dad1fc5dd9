"""Who reads what of a plan, on which basis; the log before the words, and the second wall behind the policy."""

from typing import Any
from uuid import uuid4

import asyncpg
import httpx2
import pytest

from shared.database import Acting
from shared.events import ConsentGiven
from tests.service.assessment_room import DESK, NPO, consented, known_case
from tests.service.plan_room import (
    CITY,
    GOAL,
    NPO_LINE,
    OWN_LINE,
    PERSON_LINE,
    PROBLEMS,
    body,
    city,
    content_of,
    drafted,
    in_force,
    line,
    move,
    revise,
    today,
)
from tests.world import KAGOSHIMA, KIRISHIMA, Caller, Running, World

FAR = "kirishima-npo"
TABLES = ("plan", "plan_version", "plan_line", "plan_step", "plan_word", "plan_task")


@pytest.fixture
def running(world: World) -> Running:
    return world.service("assessment")


def far(running: Running, agency: str = FAR) -> Caller:
    return running.as_(agency, municipalities=[KIRISHIMA])


async def for_referral(running: Running, case_id: Any, *recipients: str, version: int = 1) -> None:
    """The person agreed that these agencies know what is passed on to them, and no rating."""
    await running.hear(
        ConsentGiven(
            case_id=case_id, consent_version=version, purposes=["referral"], recipients=list(recipients), categories=[]
        )
    )


async def tried(caller: Caller, case_id: Any, plan_id: Any) -> list[tuple[int, str]]:
    """Status and code of every way to read a plan."""
    paths = (f"/v1/plans/{plan_id}", f"/v1/plans/{plan_id}/content", f"/v1/plans/{plan_id}/steps")
    answers: list[httpx2.Response] = [await caller.get(path) for path in (*paths, f"/v1/cases/{case_id}/plans")]
    return [(answer.status_code, answer.json().get("code", "")) for answer in answers]


async def log(running: Running) -> list[tuple[str, str, str, list[str]]]:
    rows = await running.rows("SELECT action, agency, basis, fields, purpose FROM access_log ORDER BY id")
    assert {row["purpose"] for row in rows} == {"support"}
    return [(row["action"], row["agency"], row["basis"], sorted(row["fields"])) for row in rows]


async def test_the_holder_reads_all_of_it_and_each_reading_is_in_the_log(running: Running) -> None:
    case_id = await known_case(running)
    plan_id = (await in_force(running, case_id))["plan_id"]
    shown = await content_of(running.as_(), plan_id)
    assert (shown["problems"], shown["goal"], shown["withheld"]) == (PROBLEMS, GOAL, [])
    assert [each["what"] for each in shown["lines"]] == [OWN_LINE, NPO_LINE, PERSON_LINE]
    steps = await running.as_().whole(f"/v1/plans/{plan_id}/steps")
    assert [s["words"] for s in steps] == [
        {},
        {"witness": "長女が同席した。"},
        {"opinion": "無理のない計画である。"},
        {},
    ]
    assert steps[-1]["detail"] == {"decision_number": "r8-123"}
    plan = ["plan_goal", "plan_lines", "plan_problems"]
    assert await log(running) == [
        ("write", DESK, "appi_69_2_2", plan),
        ("write", DESK, "appi_69_2_2", ["plan_witness"]),
        ("write", DESK, "appi_69_2_2", ["plan_opinion"]),
        ("read", DESK, "appi_69_2_2", plan),
        ("read", DESK, "appi_69_2_2", ["plan_opinion", "plan_witness"]),
    ]


async def test_the_municipality_sees_what_it_has_to_decide_once_the_person_agreed(running: Running) -> None:
    case_id = await known_case(running)
    plan_id = (await drafted(running, case_id))["plan_id"]
    decider = city(running)
    assert await tried(decider, case_id, plan_id) == [(404, "not_found")] * 3 + [(200, "")]
    assert await decider.whole(f"/v1/cases/{case_id}/plans") == []
    await move(running.as_(), plan_id, "agree")
    before = len(await log(running))
    assert (await content_of(decider, plan_id))["problems"] == PROBLEMS
    assert (await log(running))[before:] == [
        ("read", CITY, "appi_69_2_2", ["plan_goal", "plan_lines", "plan_problems"])
    ]
    await revise(running.as_(), plan_id, body(goal="まだ本人に見せていない目標。"))
    assert (await content_of(decider, plan_id))["goal"] == GOAL
    assert (await decider.get(f"/v1/plans/{plan_id}/content", params={"version": 2})).status_code == 404
    assert [s["version"] for s in await decider.whole(f"/v1/plans/{plan_id}/steps")] == [1, 1]
    assert (await content_of(running.as_(), plan_id))["version"] == 2


async def test_another_towns_municipality_and_an_office_that_decides_nothing_see_nothing(running: Running) -> None:
    case_id = await known_case(running)
    plan_id = (await in_force(running, case_id))["plan_id"]
    other = city(running, "kirishima-city", municipalities=[KIRISHIMA])
    assert {status for status, _ in await tried(other, case_id, plan_id)} == {404}
    assert await tried(running.as_(NPO), case_id, plan_id) == [(403, "no_basis")] * 4
    unknown = await other.get(f"/v1/plans/{uuid4()}")
    hidden = await other.get(f"/v1/plans/{plan_id}")
    assert {k: v for k, v in unknown.json().items() if k != "instance"} == {
        k: v for k, v in hidden.json().items() if k != "instance"
    }
    assert [entry for entry in await log(running) if entry[0] == "read"] == []


async def test_an_agency_reads_its_own_lines_and_the_goal_as_far_as_consent_reaches(running: Running) -> None:
    case_id = await known_case(running)
    plan_id = (await in_force(running, case_id))["plan_id"]
    npo = running.as_(NPO)
    assert await tried(npo, case_id, plan_id) == [(403, "no_basis")] * 4
    await for_referral(running, case_id, NPO)
    shown = await content_of(npo, plan_id)
    assert (shown["problems"], shown["goal"], shown["withheld"]) == (None, GOAL, ["problems", "lines"])
    assert [each["what"] for each in shown["lines"]] == [NPO_LINE]
    assert (await log(running))[-1] == ("read", NPO, "consent", ["plan_goal", "plan_lines"])
    assert await tried(npo, case_id, plan_id) == [(200, ""), (200, ""), (403, "no_basis"), (200, "")]
    assert (await npo.get(f"/v1/plans/{plan_id}")).json()["legal"] == []
    await for_referral(running, case_id, "kagoshima-shakyo", version=2)
    assert await tried(npo, case_id, plan_id) == [(403, "no_basis")] * 4


async def test_an_agency_sees_no_version_without_a_line_of_its_own(running: Running) -> None:
    case_id = await known_case(running)
    await for_referral(running, case_id, NPO)
    plan_id = (await in_force(running, case_id))["plan_id"]
    changed = await revise(running.as_(), plan_id, body(line("person", PERSON_LINE, "daily"), goal="次の目標。"))
    assert changed.status_code == 200
    await move(running.as_(), plan_id, "agree", 2)
    npo = running.as_(NPO)
    assert (await content_of(npo, plan_id))["goal"] == GOAL
    assert (await npo.get(f"/v1/plans/{plan_id}/content", params={"version": 2})).status_code == 404


async def test_an_agency_in_another_town_sees_its_line_and_before_the_person_agreed_nothing(running: Running) -> None:
    case_id = await known_case(running)
    await for_referral(running, case_id)
    content = body(line("agency", "通いの場に迎える。", "weekly", agency=FAR), line("person", PERSON_LINE, "daily"))
    plan_id = (await drafted(running, case_id, content))["plan_id"]
    assert {status for status, _ in await tried(far(running), case_id, plan_id)} == {404}
    assert await running.rows_for(Acting(FAR, frozenset({KIRISHIMA})), "SELECT 1 FROM plan") == []
    await move(running.as_(), plan_id, "agree")
    assert [each["what"] for each in (await content_of(far(running), plan_id))["lines"]] == ["通いの場に迎える。"]
    assert {status for status, _ in await tried(far(running, "kirishima-desk"), case_id, plan_id)} == {404}


async def test_with_consent_to_a_conference_the_plan_is_read_and_what_tells_of_illness_only_where_named(
    running: Running,
) -> None:
    case_id = await known_case(running)
    plan_id = (await in_force(running, case_id))["plan_id"]
    await move(running.as_(), plan_id, "monitor")
    shakyo = running.as_("kagoshima-shakyo")
    await consented(running, case_id, "kagoshima-shakyo")
    shown = await content_of(shakyo, plan_id)
    assert (shown["problems"], len(shown["lines"]), shown["withheld"]) == (None, 3, ["problems"])
    steps = await shakyo.whole(f"/v1/plans/{plan_id}/steps")
    assert [(s["words"], s["withheld"]) for s in steps if s["withheld"]] == [
        ({}, ["witness"]),
        ({}, ["opinion"]),
        ({}, ["seen"]),
    ]
    await consented(running, case_id, "kagoshima-shakyo", version=2, categories=("story", "health"))
    assert (await content_of(shakyo, plan_id))["problems"] == PROBLEMS
    steps = await shakyo.whole(f"/v1/plans/{plan_id}/steps")
    assert steps[-1]["words"] == {"seen": "居場所に通えている。"}


async def test_the_wall_hides_plans_whatever_the_statement_asks(running: Running) -> None:
    case_id = await known_case(running)
    await consented(running, case_id, NPO)
    await in_force(running, case_id)
    stranger = Acting("kirishima-desk", frozenset({KIRISHIMA}))
    for table in TABLES:
        assert await running.rows_for(stranger, f"SELECT 1 FROM {table}") == [], table
        assert await running.rows_for(Acting(), f"SELECT 1 FROM {table}") == [], table
        assert await running.rows(f"SELECT 1 FROM {table}") != [], table
        assert await running.rows_for(Acting(CITY, frozenset({KAGOSHIMA})), f"SELECT 1 FROM {table}") != [], table


@pytest.mark.parametrize(
    "statement",
    [
        *(f"DELETE FROM {table} RETURNING 1" for table in TABLES),
        "UPDATE plan_version SET goal = problems RETURNING 1",
        "UPDATE plan_line SET agency = NULL RETURNING 1",
        "UPDATE plan_step SET code = 'other' RETURNING 1",
        "UPDATE plan_word SET sealed = '' RETURNING 1",
        "UPDATE plan_task SET line_id = line_id RETURNING 1",
    ],
)
async def test_what_was_written_in_a_plan_is_only_added_to(running: Running, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await running.rows(statement)


async def test_the_database_itself_keeps_a_case_at_one_plan(running: Running) -> None:
    case_id = await known_case(running)
    await drafted(running, case_id)
    with pytest.raises(asyncpg.UniqueViolationError):
        await running.rows(
            "INSERT INTO plan (id, case_id, number, state, version, monitor_on, steps, created_by, created_at)"
            " VALUES ($1, $2, 2, 'draft', 1, $3, 1, 'x', now()) RETURNING 1",
            uuid4(),
            case_id,
            today(),
        )


async def test_words_sealed_for_one_line_do_not_open_in_another(running: Running) -> None:
    case_id = await known_case(running)
    plan_id = (await drafted(running, case_id))["plan_id"]
    rows = await running.rows("SELECT problems, goal FROM plan_version")
    await running.rows(
        "INSERT INTO plan_version SELECT plan_id, 2, problems, goal, monitor_on, written_by, written_at"
        " FROM plan_version RETURNING 1"
    )
    answer = await running.as_().get(f"/v1/plans/{plan_id}/content", params={"version": 2})
    assert (len(rows), answer.status_code) == (1, 500)
    assert PROBLEMS not in answer.text
