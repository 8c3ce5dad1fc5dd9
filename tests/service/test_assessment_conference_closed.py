"""A conference by Art. 9 leaks nothing; and behind the second wall conferences lie, whatever a statement asks."""

import re
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from shared.database import Acting
from shared.events import (
    CaseHandedOver,
    ConsentGiven,
    TaskEnded,
)
from tests.service.assessment_room import DESK, NPO, consented, known_case, rate, todo, told_of
from tests.service.conference_table import (
    CLINIC,
    MINUTES,
    NURSE,
    call,
    called,
    clinic,
    conclude,
    decide,
    do,
    member,
    today,
)
from tests.world import KAGOSHIMA, KIRISHIMA, Running, World

CITY = "kagoshima-city"
SECRET = "夜、眠れていない。通院が途切れている。"


@pytest.fixture
def running(world: World) -> Running:
    return world.service("assessment")


async def test_who_calls_a_meeting_by_art_9_is_the_desk_of_its_town(running: Running) -> None:
    case_id = await known_case(running, agency=NPO)
    bodies = {"lane": "shien_kaigi_art9", "members": [member(NPO)]}
    npo = running.as_(NPO, kind="npo")
    refused = await call(npo, running, case_id, lane="shien_kaigi_art9", members=[member(DESK)])
    assert (refused.status_code, refused.json()["code"]) == (403, "not_the_desk")
    assert (await call(clinic(running), running, case_id, **bodies)).status_code == 404
    assert (await call(running.as_(), running, case_id, **bodies)).status_code == 201


async def test_a_meeting_by_art_9_binds_its_members_to_its_day(running: Running) -> None:
    _, path = await called(running, lane="shien_kaigi_art9", days=1, members=[member(NPO), member(CITY)])
    desk, npo, city = running.as_(), running.as_(NPO), running.as_(CITY)
    ends = ("", "/record", "/steps")
    assert {(await npo.get(f"{path}{end}")).status_code for end in ends} == {404}
    assert (await npo.post(f"{path}/agenda", {"words": SECRET})).status_code == 404
    assert (await desk.get(path)).json()["legal"] == ["invite", "postpone", "cancel", "put_on_agenda", "map_problem"]
    await do(desk, f"{path}/agenda", {"words": "安否の確認"})
    running.pass_time(timedelta(days=1))
    assert [c["case_id"] for c in await npo.whole("/v1/conferences")] != []
    await do(npo, f"{path}/agenda", {"words": SECRET})
    await do(city, f"{path}/problems", {"need": "health", "covered_by": [], "could": [], "note": SECRET})
    await do(
        desk, f"{path}/problems", {"need": "income", "covered_by": [], "could": [], "note": "生活費が尽きている。"}
    )
    await do(desk, f"{path}/open")
    seen = (await npo.get(f"{path}/record")).json()
    assert ([a["words"] for a in seen["agenda"]], seen["problems"][0]["note"]) == (["安否の確認", SECRET], SECRET)
    await do(desk, f"{path}/minutes", {"words": MINUTES})
    running.pass_time(timedelta(days=1))
    assert {(await npo.get(f"{path}{end}")).status_code for end in ends} == {404}
    assert await npo.whole("/v1/conferences") == []
    assert (await npo.post(f"{path}/agenda", {"words": SECRET})).status_code == 404
    own = (await desk.get(f"{path}/record")).json()
    assert [a["words"] for a in own["agenda"]] == ["安否の確認"]
    assert [p["need"] for p in own["problems"]] == ["income"]
    assert (own["own_record_only"], own["minutes"]["words"]) == (True, MINUTES)
    assert {s["by"] for s in (await desk.get(f"{path}/steps")).json()["steps"]} == {DESK}
    assert (await desk.get(path)).json()["legal"] == ["cancel", "write_minutes", "conclude"]
    refused = await desk.post(f"{path}/agenda", {"words": SECRET})
    assert (refused.status_code, refused.json()["code"]) == (409, "illegal_move")
    logged = await running.rows("SELECT DISTINCT purpose, basis FROM access_log")
    assert [tuple(row) for row in logged] == [("meeting", "shien_kaigi_art9")]


async def test_art_9_decides_only_what_shows_the_person_to_nobody_new(running: Running) -> None:
    _, path = await called(running, lane="shien_kaigi_art9")
    await do(running.as_(), f"{path}/open")
    due = today(running, 7).isoformat()
    for body in (
        {"decision": "referral", "programme_id": str(uuid4())},
        {"decision": "seat", "course_run_id": str(uuid4())},
        {"decision": "reassessment"},
    ):
        refused = await running.as_().post(f"{path}/decisions", body | {"owner": DESK, "due_on": due})
        assert (refused.status_code, refused.json()["code"]) == (409, "not_in_this_lane")
    outside = {"decision": "consent_to_seek", "owner": CITY, "due_on": due}
    assert (await running.as_().post(f"{path}/decisions", outside)).status_code == 422


async def everything_of(running: Running, agency: str, case_id: UUID, paths: list[str], **kwargs: Any) -> str:
    """Every answer that an agency gets about a case, wherever it looks."""
    caller = running.as_(agency, **kwargs)
    lists = [f"/v1/cases/{case_id}/assessments", f"/v1/cases/{case_id}/comparison", "/v1/conferences"]
    lists += [f"/v1/conferences?case_id={case_id}", *(f"/v1/tasks?whose={whose}" for whose in ("own", "held", "late"))]
    lists += [f"/v1/tasks?case_id={case_id}&whose={whose}" for whose in ("own", "held", "late")]
    answers = [await caller.get(path) for path in (*lists, *paths)]
    return "\n".join(f"{answer.status_code} {answer.text.replace(str(uuid4()), '')}" for answer in answers)


def unsaid(text: str) -> str:
    """Without what differs from request to request."""
    return re.sub(r'"(instance|request_id|trace_id)": ?"[^"]*"', "", text)


async def test_nothing_of_a_meeting_by_art_9_is_told_or_found_by_anybody_else(running: Running) -> None:
    """Holder, town, member off its day, stranger: everything they can ask is the same as before there was a meeting."""
    case_id = await known_case(running, agency=NPO)
    await consented(running, case_id)
    await rate(running.as_(NPO), case_id, 3, 1, 3, 3, 3)
    members = [member("kagoshima-hello-work")]
    others: dict[str, dict[str, Any]] = {
        NPO: {"kind": "npo"},
        CITY: {"kind": "municipality"},
        "kagoshima-hello-work": {"kind": "hello_work"},
        CLINIC: {"municipalities": [KIRISHIMA]},
    }
    guesses = [f"/v1/conferences/{uuid4()}", f"/v1/conferences/{uuid4()}/record", f"/v1/tasks/{uuid4()}"]
    before = {
        agency: unsaid(await everything_of(running, agency, case_id, guesses, **kw)) for agency, kw in others.items()
    }
    events = await running.told()
    desk = running.as_()
    tomorrow = today(running, 1).isoformat()
    answer = await call(desk, running, case_id, lane="shien_kaigi_art9", held_on=tomorrow, members=members)
    path = f"/v1/conferences/{answer.json()['conference_id']}"
    await do(desk, f"{path}/agenda", {"words": SECRET})

    async def nothing_was_learnt(task: str) -> None:
        known = [path, f"{path}/record", f"/v1/tasks/{task}"]
        for agency, kw in others.items():
            after = unsaid(await everything_of(running, agency, case_id, known, **kw))
            assert after == before[agency], agency
            for end in ("", "/words", "/steps"):
                assert (await running.as_(agency, **kw).get(f"/v1/tasks/{task}{end}")).status_code == 404
            assert (await running.as_(agency, **kw).post(f"/v1/tasks/{task}/finish", {})).status_code == 404
        assert await running.told() == events

    await nothing_was_learnt(str(uuid4()))
    running.pass_time(timedelta(days=1))
    await do(running.as_("kagoshima-hello-work"), f"{path}/answer", {"coming": True})
    await do(desk, f"{path}/open")
    task = await decide(desk, path, running, "action", words=SECRET, due_on=today(running, 2).isoformat())
    await decide(desk, path, running, "consent_to_seek", due_on=today(running, 2).isoformat())
    await conclude(desk, path, member("kagoshima-hello-work"))
    running.pass_time(timedelta(days=1))
    assert await running.told() == events
    await nothing_was_learnt(task)
    assert {t["task"] for t in await todo(desk)} == {"action", "consent_to_seek"}
    assert (await desk.get(f"/v1/tasks/{task}/words")).json()["words"] == SECRET
    assert (await desk.get(f"/v1/tasks/{task}")).json()["legal"] == ["finish", "postpone", "drop"]
    running.pass_time(timedelta(days=20))
    await running.sweep()
    assert [e for e in await running.told() if str(getattr(e, "task_id", "")) == task] == []
    await do(desk, f"/v1/tasks/{task}/finish")
    await running.hear(ConsentGiven(case_id=case_id, consent_version=9, purposes=["case_conference"]))
    assert await todo(desk) == []
    assert [e for e in await told_of(running, TaskEnded) if e.task in {"action", "consent_to_seek"}] == []


async def test_a_meeting_by_art_9_neither_meets_nor_shows_the_rules_duty(running: Running) -> None:
    case_id = await known_case(running)
    await rate(running.as_(), case_id, 1, 3, 3, 3, 3)
    answer = await call(running.as_(), running, case_id, lane="shien_kaigi_art9")
    assert not answer.json()["by_duty"]
    path = f"/v1/conferences/{answer.json()['conference_id']}"
    await do(running.as_(), f"{path}/open")
    await conclude(running.as_(), path)
    assert "joint_conference" in {t["task"] for t in await todo(running.as_())}
    assert await told_of(running, TaskEnded) == []


async def test_a_far_member_of_art_9_sees_the_meeting_and_no_more_of_the_case(running: Running) -> None:
    case_id, path = await called(running, lane="shien_kaigi_art9", members=[member(CLINIC, NURSE)])
    await rate(running.as_(), case_id, 1, 3, 3, 3, 3)
    duty = (await todo(running.as_()))[0]["task_id"]
    far = clinic(running)
    await do(far, f"{path}/agenda", {"words": SECRET})
    assert (await far.get(f"{path}/record")).json()["agenda"][0]["words"] == SECRET
    assert (await far.get(f"/v1/cases/{case_id}/assessments")).status_code == 404
    assert (await far.get(f"/v1/tasks/{duty}")).status_code == 404
    assert (await far.post(f"/v1/tasks/{duty}/finish", {})).status_code == 404


# --- the second wall ------------------------------------------------------------------------------------------------

WALLED = ("conference", "conference_member", "conference_step", "agenda_item", "mapped_problem", "conference_minutes")


@pytest.mark.parametrize("lane", ["consent", "shien_kaigi_art9"])
async def test_the_wall_hides_conferences_whatever_the_statement_asks(running: Running, lane: str) -> None:
    await called(running)
    _, path = await called(running, lane=lane)
    desk = running.as_()
    await do(desk, f"{path}/agenda", {"words": SECRET})
    await do(desk, f"{path}/problems", {"need": "income", "covered_by": [], "could": []})
    await do(desk, f"{path}/open")
    await do(desk, f"{path}/joint_ratings")
    await decide(desk, path, running, "action", words=SECRET)
    await conclude(desk, path)
    strangers = [Acting("kagoshima-other", frozenset({KAGOSHIMA})), Acting(CLINIC, frozenset({KIRISHIMA}))]
    for table in WALLED:
        column = "id" if table == "conference" else "conference_id"
        query = f"SELECT 1 FROM {table} WHERE {column} = '{path[-36:]}'"
        assert await running.rows(query) != [], table
        assert await running.rows_for(Acting(NPO, frozenset({KAGOSHIMA})), query) != [], table
        for stranger in strangers:
            assert await running.rows_for(stranger, query) == [], table
    tasks = await running.rows_for(strangers[0], "SELECT lane FROM task WHERE origin = 'conference'")
    assert [row["lane"] for row in tasks] == (["consent"] if lane == "consent" else [])
    for table in ("joint_rating", "joint_seat"):
        assert await running.rows_for(Acting(NPO, frozenset({KAGOSHIMA})), f"SELECT 1 FROM {table}") != []
        seen = await running.rows_for(strangers[0], f"SELECT 1 FROM {table}")
        assert (seen != []) == (lane == "consent"), table
    for table in WALLED:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await running.rows(f"DELETE FROM {table} RETURNING 1")


async def test_the_holder_of_the_case_is_behind_the_wall_of_art_9_too(running: Running) -> None:
    case_id = await known_case(running, agency=NPO)
    await call(running.as_(), running, case_id, lane="shien_kaigi_art9", members=[member(CITY)])
    query = "SELECT 1 FROM conference"
    assert await running.rows_for(Acting(NPO, frozenset({KAGOSHIMA})), query) == []
    assert len(await running.rows_for(Acting(CITY, frozenset({KAGOSHIMA})), query)) == 1


async def test_a_case_that_changes_hands_takes_the_sight_of_its_conferences_along(running: Running) -> None:
    case_id, path = await called(running)
    await running.hear(CaseHandedOver(case_id=case_id, agency_id=CITY, before=DESK))
    assert (await running.as_(CITY).get(path)).json()["legal"] == ["cancel"]
    assert (await running.as_().get(path)).status_code == 200
