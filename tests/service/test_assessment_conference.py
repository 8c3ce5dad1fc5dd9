"""The joint case conference: who sits in it on which ground, what they write, and what follows from it."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.events import (
    CaseClosed,
    CaseErased,
    ConferenceCalled,
    ConferenceCancelled,
    ConferenceConcluded,
    ConsentWithdrawn,
    ReferralAccepted,
    ReferralDecided,
    ReferralDeclined,
    ReferralNotSent,
    ReferralSent,
    ReferralWithdrawn,
    TaskAssigned,
    TaskEnded,
)
from shared.service.clock import wall_time
from tests.service.assessment_room import DESK, NPO, consented, known_case, rate, todo, told_of
from tests.service.conference_table import (
    CLINIC,
    COUNSELLOR,
    MINUTES,
    NURSE,
    call,
    called,
    clinic,
    conclude,
    decide,
    do,
    kept_in_the_clear,
    member,
    today,
)
from tests.world import KAGOSHIMA, Running, World

CITY = "kagoshima-city"
SECRET = "夜、眠れていない。通院が途切れている。"


@pytest.fixture
def running(world: World) -> Running:
    return world.service("assessment")


# --- calling --------------------------------------------------------------------------------------------------------


async def test_it_is_called_by_whose_business_the_case_is_and_consent_reaches_to_everybody(running: Running) -> None:
    case_id = await known_case(running)
    refused = await call(running.as_(), running, case_id)
    assert (refused.status_code, refused.json()["code"]) == (409, "consent_missing")
    assert [error["pointer"] for error in refused.json()["errors"]] == ["/members/1"]
    await consented(running, case_id, NPO, DESK)
    more = [member(NPO), member(CLINIC, NURSE)]
    refused = await call(running.as_(), running, case_id, members=more)
    assert [error["pointer"] for error in refused.json()["errors"]] == ["/members/1"]
    assert CLINIC not in refused.text
    far = await call(clinic(running), running, case_id)
    assert (far.status_code, far.json()["code"]) == (404, "case_not_known")
    answer = await call(running.as_(), running, case_id)
    assert answer.status_code == 201
    said = answer.json()
    assert (said["state"], said["chair"], said["by_duty"]) == ("called", DESK, False)
    assert {m["agency"]: m["answer"] for m in said["members"]} == {DESK: "coming", NPO: "asked"}
    (event,) = await told_of(running, ConferenceCalled)
    assert (event.members, event.held_on, event.by_duty) == ([NPO], today(running), False)


async def test_an_agency_concerned_calls_it_only_where_consent_reaches_to_itself(running: Running) -> None:
    case_id = await known_case(running)
    await consented(running, case_id, NPO)
    refused = await call(running.as_(CITY), running, case_id, members=[member(NPO)])
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (409, "/case_id")
    await consented(running, case_id, NPO, CITY, version=2)
    assert (await call(running.as_(CITY), running, case_id, members=[member(NPO)])).status_code == 201


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"held_on": "2020-01-01"}, "/held_on"),
        ({"members": [member(DESK)]}, "/members"),
        ({"members": [member(NPO, "astrologer")]}, "/members"),
        ({"members": []}, "/members"),
        ({"lane": "chosei_kaigi_27_3"}, "/lane"),
        ({"begins_at": "25:00"}, "/begins_at"),
    ],
)
async def test_what_is_no_conference_is_not_called(running: Running, change: dict[str, Any], pointer: str) -> None:
    case_id = await known_case(running)
    await consented(running, case_id)
    refused = await call(running.as_(), running, case_id, **change)
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, pointer)
    assert await running.rows("SELECT 1 FROM conference") == []


async def test_the_rules_duty_is_met_by_concluding_and_waits_on_after_a_cancellation(running: Running) -> None:
    case_id = await known_case(running)
    await consented(running, case_id)
    await rate(running.as_(), case_id, 3, 2, 3, 4, 4)
    first = (await call(running.as_(), running, case_id)).json()
    second = (await call(running.as_(), running, case_id)).json()
    assert (first["by_duty"], second["by_duty"]) == (True, False)
    await do(running.as_(), f"/v1/conferences/{first['conference_id']}/cancel", {"reason": "no_day_found"})
    assert "joint_conference" in {t["task"] for t in await todo(running.as_())}
    third = (await call(running.as_(), running, case_id)).json()
    assert third["by_duty"]
    path = f"/v1/conferences/{third['conference_id']}"
    await do(running.as_(), f"{path}/open")
    await conclude(running.as_(), path)
    assert [t["task"] for t in await todo(running.as_())] == ["reassessment"]
    assert [(e.task, e.state) for e in await told_of(running, TaskEnded)] == [("joint_conference", "done")]


async def test_two_who_call_at_once_link_the_duty_once(running: Running) -> None:
    case_id = await known_case(running)
    await consented(running, case_id)
    await rate(running.as_(), case_id, 1, 3, 3, 3, 3)
    answers = await asyncio.gather(*(call(running.as_(), running, case_id) for _ in range(5)))
    assert sorted(answer.json()["by_duty"] for answer in answers) == [False, False, False, False, True]


# --- in the lane of consent -----------------------------------------------------------------------------------------


async def test_members_answer_write_and_read_and_nothing_they_wrote_is_in_an_answer_or_an_event(
    running: Running,
) -> None:
    _, path = await called(running, members=[member(DESK, COUNSELLOR), member(NPO), member(CLINIC, NURSE)])
    desk, npo, far = running.as_(), running.as_(NPO), clinic(running)
    assert (await do(npo, f"{path}/answer", {"coming": True}))["members"][1]["answer"] == "coming"
    assert (await do(far, f"{path}/answer", {"coming": False}))["members"][2]["answer"] == "not_coming"
    await do(npo, f"{path}/agenda", {"words": SECRET})
    body = {"need": "housing", "covered_by": [], "could": [NPO], "note": SECRET}
    mapped = await npo.post(f"{path}/problems", body)
    assert SECRET not in mapped.text
    await do(desk, f"{path}/problems", body | {"need": "income", "could": [], "note": None})
    await do(desk, f"{path}/problems", body | {"covered_by": [NPO], "note": None})
    for caller in (desk, npo, far):
        record = (await caller.get(f"{path}/record")).json()
        assert [item["words"] for item in record["agenda"]] == [SECRET]
        assert {p["need"]: p["standing"] for p in record["problems"]} == {"housing": "covered", "income": "missing"}
    logged = await running.rows("SELECT agency, purpose, basis, fields FROM access_log ORDER BY id")
    assert {(row["agency"], row["purpose"], row["basis"]) for row in logged} == {
        (DESK, "case_conference", "appi_69_2_2"),
        (NPO, "case_conference", "consent"),
        (CLINIC, "case_conference", "consent"),
    }
    assert await kept_in_the_clear(running, SECRET) == []
    assert [step["name"] for step in (await far.get(f"{path}/steps")).json()["steps"]][:3] == [
        "call",
        "answer",
        "answer",
    ]


async def test_words_of_illness_are_withheld_from_whom_the_consent_to_them_does_not_reach(running: Running) -> None:
    case_id, path = await called(running, members=[member(NPO), member(CITY)])
    body = {"need": "health", "covered_by": [], "could": [CLINIC], "note": SECRET}
    await do(running.as_(NPO), f"{path}/problems", body)
    for agency, shown in ((DESK, True), (NPO, True), (CITY, False)):
        (line,) = (await running.as_(agency).get(f"{path}/record")).json()["problems"]
        assert (line["note"], line["withheld"]) == ((SECRET, False) if shown else (None, True))
    await consented(running, case_id, version=2, categories=("story", "health"))
    (line,) = (await running.as_(CITY).get(f"{path}/record")).json()["problems"]
    assert line["note"] == SECRET


async def test_who_takes_no_part_finds_no_conference_and_the_holder_does(running: Running) -> None:
    case_id = await known_case(running)
    await consented(running, case_id)
    answer = await call(running.as_(CITY), running, case_id, members=[member(NPO)])
    path = f"/v1/conferences/{answer.json()['conference_id']}"
    holder, stranger, far = running.as_(), running.as_("kagoshima-other"), clinic(running)
    assert (await holder.get(path)).json()["legal"] == ["cancel"]
    assert [c["state"] for c in await holder.whole("/v1/conferences", case_id=str(case_id))] == ["called"]
    assert await holder.whole("/v1/conferences") == []
    assert [c["chair"] for c in await running.as_(NPO).whole("/v1/conferences")] == [CITY]
    for caller in (stranger, far):
        assert {(await caller.get(f"{path}{end}")).status_code for end in ("", "/record", "/steps")} == {404}
        assert (await caller.post(f"{path}/agenda", {"words": "x"})).status_code == 404
        assert await caller.whole("/v1/conferences") == []
    assert await stranger.whole("/v1/conferences", case_id=str(case_id)) == []
    assert (await far.get("/v1/conferences", params={"case_id": str(case_id)})).status_code == 404


async def test_consent_withdrawn_ends_what_is_called_and_hides_what_was_said(running: Running) -> None:
    case_id, path = await called(running)
    desk, npo = running.as_(), running.as_(NPO)
    await do(npo, f"{path}/agenda", {"words": SECRET})
    await running.hear(ConsentWithdrawn(case_id=case_id, consent_version=2))
    assert {(await npo.get(f"{path}{end}")).status_code for end in ("", "/record", "/steps")} == {404}
    assert await npo.whole("/v1/conferences", case_id=str(case_id)) == []
    own = (await desk.get(path)).json()
    assert (own["state"], own["reason"], own["legal"]) == ("cancelled", "consent_ended", [])
    assert [item["words"] for item in (await desk.get(f"{path}/record")).json()["agenda"]] == [SECRET]
    (event,) = await told_of(running, ConferenceCancelled)
    assert event.reason == "consent_ended"


async def test_consent_withdrawn_in_session_drops_what_was_planned_and_what_others_do_on_its_ground(
    running: Running,
) -> None:
    case_id, path = await called(running)
    desk, npo = running.as_(), running.as_(NPO)
    await do(desk, f"{path}/open")
    theirs = await decide(desk, path, running, "action", owner=NPO, words=SECRET)
    ours = await decide(desk, path, running, "action", words="電話する")
    await conclude(desk, path)
    assert (await npo.get(f"/v1/tasks/{theirs}/words")).json()["words"] == SECRET
    again = (await call(desk, running, case_id)).json()["conference_id"]
    await do(desk, f"/v1/conferences/{again}/open")
    await decide(desk, f"/v1/conferences/{again}", running, "action", owner=NPO, words=SECRET)
    await running.hear(ConsentWithdrawn(case_id=case_id, consent_version=2))
    assert (await desk.get(f"/v1/conferences/{again}")).json()["state"] == "cancelled"
    assert await todo(npo) == []
    assert [task["task_id"] for task in await todo(desk)] == [ours]
    ended = [(str(e.task_id), e.reason) for e in await told_of(running, TaskEnded)]
    assert ended == [(theirs, "consent_ended")]
    assert (await npo.get(f"/v1/tasks/{theirs}/words")).status_code == 403


async def test_a_narrower_consent_leaves_the_conference_to_whom_it_still_reaches(running: Running) -> None:
    case_id, path = await called(running, members=[member(NPO), member(CITY)])
    await consented(running, case_id, NPO, version=2)
    assert (await running.as_(CITY).get(path)).status_code == 404
    assert (await running.as_(NPO).get(path)).json()["state"] == "called"
    refused = await running.as_().post(f"{path}/invite", {"members": [member(CLINIC)]})
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (409, "/members/0")


async def test_a_conference_that_rests_on_consent_alone_goes_when_the_chair_is_left_out(running: Running) -> None:
    case_id = await known_case(running)
    await consented(running, case_id)
    answer = await call(running.as_(CITY), running, case_id, members=[member(NPO)])
    await consented(running, case_id, NPO, version=2)
    path = f"/v1/conferences/{answer.json()['conference_id']}"
    assert (await running.as_().get(path)).json()["state"] == "cancelled"


async def test_a_case_that_closes_holds_no_conference(running: Running) -> None:
    case_id, path = await called(running)
    await do(running.as_(), f"{path}/open")
    await decide(running.as_(), path, running, "reassessment")
    await running.hear(CaseClosed(case_id=case_id, agency_id=DESK, ended="goal_reached"))
    assert (await running.as_().get(path)).json()["state"] == "cancelled"
    assert await told_of(running, TaskEnded) == []
    refused = await call(running.as_(), running, case_id)
    assert (refused.status_code, refused.json()["code"]) == (409, "case_closed")


async def test_an_erased_case_has_no_words_left(running: Running) -> None:
    case_id, path = await called(running)
    await do(running.as_(), f"{path}/agenda", {"words": SECRET})
    erased = CaseErased(case_id=case_id, agency_id=DESK, reason="persons_request", erased_at=wall_time())
    await running.hear(CaseClosed(case_id=case_id, agency_id=DESK, ended="goal_reached"), erased)
    await running.sweep()
    assert await running.rows("SELECT 1 FROM data_key") == []
    assert {(await running.as_().get(f"{path}{end}")).status_code for end in ("", "/record")} == {410}


# --- deciding -------------------------------------------------------------------------------------------------------


async def test_nobody_hears_of_a_decision_before_the_conclusion_and_everybody_at_once_after_it(
    running: Running,
) -> None:
    _, path = await called(running)
    desk, npo = running.as_(), running.as_(NPO)
    await do(desk, f"{path}/open")
    programme, course = str(uuid4()), str(uuid4())
    tasks = [
        await decide(desk, path, running, "referral", programme_id=programme),
        await decide(desk, path, running, "seat", course_run_id=course, owner=NPO),
        await decide(desk, path, running, "action", owner=NPO, words=SECRET),
        await decide(desk, path, running, "reassessment"),
        await decide(desk, path, running, "consent_to_seek"),
    ]
    wrong = await decide(desk, path, running, "action", words="まちがい")
    await do(desk, f"{path}/decisions/{wrong}/undo")
    before = [type(event) for event in await running.told()]
    assert before == [ConferenceCalled]
    assert (await todo(desk), await todo(npo)) == ([], [])
    assert {
        (await caller.get(f"/v1/tasks/{tasks[2]}{end}")).status_code
        for caller in (desk, npo)
        for end in ("", "/words", "/steps")
    } == {404}
    early = await desk.post(f"{path}/conclude", {"present": [member(DESK, COUNSELLOR)]})
    assert (early.status_code, early.json()["code"]) == (409, "no_minutes")
    done = await conclude(desk, path, member(DESK, COUNSELLOR), member(NPO))
    assert (done["state"], [m["present"] for m in done["members"]]) == ("concluded", [True, True])
    told = (await running.told())[1:]
    (concluded, *rest) = told
    assert isinstance(concluded, ConferenceConcluded)
    assert (concluded.decisions, concluded.present) == (5, [DESK, NPO])
    assert {str(e.task_id): (e.task, e.owner, e.origin) for e in rest if isinstance(e, TaskAssigned)} == {
        tasks[0]: ("referral", DESK, "conference"),
        tasks[1]: ("seat", NPO, "conference"),
        tasks[2]: ("action", NPO, "conference"),
        tasks[3]: ("reassessment", DESK, "conference"),
        tasks[4]: ("consent_to_seek", DESK, "conference"),
    }
    decided = {str(e.task_id): e for e in rest if isinstance(e, ReferralDecided)}
    assert str(decided[tasks[0]].programme_id) == programme
    assert str(decided[tasks[1]].course_run_id) == course
    assert (decided[tasks[1]].owner, decided[tasks[1]].municipality, decided[tasks[1]].consent_version) == (
        NPO,
        KAGOSHIMA,
        1,
    )
    assert len(rest) == 7
    assert {t["task_id"] for t in await todo(npo)} == set(tasks[1:3])
    assert (await npo.get(f"/v1/tasks/{tasks[2]}/words")).json()["words"] == SECRET
    whole = (await npo.get(path)).json()
    assert {d["task_id"] for d in whole["decisions"]} == set(tasks)
    record = (await npo.get(f"{path}/record")).json()
    assert (record["minutes"]["words"], {d["words"] for d in record["decisions"]}) == (MINUTES, {SECRET, None})
    assert await kept_in_the_clear(running, SECRET) == []


async def test_a_conference_concludes_its_own_decisions_and_no_others(running: Running) -> None:
    case_id, path = await called(running)
    desk = running.as_()
    beside = f"/v1/conferences/{(await call(desk, running, case_id)).json()['conference_id']}"
    tasks = []
    for each in (path, beside):
        await do(desk, f"{each}/open")
        tasks.append(await decide(desk, each, running, "reassessment"))
    await conclude(desk, path)
    assert [str(event.task_id) for event in await told_of(running, TaskAssigned)] == tasks[:1]
    await do(desk, f"{beside}/cancel", {"reason": "mistake"})
    assert [(t["task_id"], t["state"]) for t in await todo(desk)] == [(tasks[0], "open")]


@pytest.mark.parametrize(
    ("change", "status", "code", "pointer"),
    [
        ({"decision": "referral"}, 422, "invalid", "/programme_id"),
        ({"decision": "seat"}, 422, "invalid", "/course_run_id"),
        ({"decision": "reassessment", "programme_id": str(uuid4())}, 422, "invalid", "/programme_id"),
        ({"decision": "action"}, 422, "invalid", "/words"),
        ({"decision": "monitoring"}, 422, "invalid", "/decision"),
        ({"due_on": "2020-01-01"}, 422, "invalid", "/due_on"),
        ({"owner": "kagoshima-other"}, 422, "invalid", "/owner"),
    ],
)
async def test_what_is_no_decision_is_not_written_down(
    running: Running, change: dict[str, Any], status: int, code: str, pointer: str
) -> None:
    _, path = await called(running)
    await do(running.as_(), f"{path}/open")
    body = {"decision": "reassessment", "owner": DESK, "due_on": today(running, 7).isoformat()} | change
    refused = await running.as_().post(f"{path}/decisions", body)
    assert (refused.status_code, refused.json()["code"], refused.json()["errors"][0]["pointer"]) == (
        status,
        code,
        pointer,
    )
    assert await running.rows("SELECT 1 FROM task") == []


async def test_an_owner_whom_the_consent_leaves_out_by_now_gets_nothing_to_do(running: Running) -> None:
    case_id, path = await called(running)
    await do(running.as_(), f"{path}/open")
    await consented(running, case_id, CITY, version=2)
    body = {"decision": "action", "owner": NPO, "due_on": today(running, 7).isoformat(), "words": "見学に同行する"}
    refused = await running.as_().post(f"{path}/decisions", body)
    assert (refused.status_code, refused.json()["code"]) == (409, "consent_missing")


async def test_who_was_not_invited_was_not_present(running: Running) -> None:
    _, path = await called(running)
    await do(running.as_(), f"{path}/open")
    await do(running.as_(), f"{path}/minutes", {"words": MINUTES})
    refused = await running.as_().post(f"{path}/conclude", {"present": [member(NPO, NURSE)]})
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/present")
    assert await told_of(running, ConferenceConcluded) == []


async def test_a_new_rating_meets_a_decided_reassessment_and_a_yes_the_consent_to_seek(running: Running) -> None:
    case_id, path = await called(running)
    await do(running.as_(), f"{path}/open")
    await decide(running.as_(), path, running, "reassessment", owner=NPO)
    await decide(running.as_(), path, running, "consent_to_seek")
    await conclude(running.as_(), path)
    await rate(running.as_(NPO), case_id, 3, 3, 3, 3, 3)
    assert await todo(running.as_(NPO)) == []
    assert {t["task"] for t in await todo(running.as_())} == {"consent_to_seek", "reassessment"}
    await consented(running, case_id, version=2)
    assert {t["task"] for t in await todo(running.as_())} == {"reassessment"}
    assert {(e.task, e.state) for e in await told_of(running, TaskEnded)} == {
        ("reassessment", "done"),
        ("consent_to_seek", "done"),
    }


async def decided_referral(running: Running) -> tuple[UUID, UUID]:
    """A case, and the task of a referral that a conference decided."""
    case_id, path = await called(running)
    await do(running.as_(), f"{path}/open")
    task = await decide(running.as_(), path, running, "referral", programme_id=str(uuid4()))
    await conclude(running.as_(), path)
    return case_id, UUID(task)


def sent(case_id: UUID, referral_id: UUID, task_id: UUID | None) -> ReferralSent:
    return ReferralSent(case_id=case_id, referral_id=referral_id, sender=DESK, receiver=NPO, task_id=task_id)


async def test_a_decided_referral_is_followed_until_it_is_accepted(running: Running) -> None:
    (case_id, task_id), referral_id = await decided_referral(running), uuid4()
    other = await known_case(running)
    await running.hear(sent(case_id, uuid4(), None), sent(uuid4(), uuid4(), task_id), sent(other, uuid4(), task_id))
    path = f"/v1/tasks/{task_id}"
    assert (await running.as_().get(path)).json()["state"] == "open"
    await running.hear(sent(case_id, referral_id, task_id))
    assert (await running.as_().get(path)).json()["state"] == "arrived"
    await running.hear(ReferralAccepted(case_id=case_id, referral_id=referral_id, sender=DESK, receiver=NPO))
    assert (await running.as_().get(path)).json()["state"] == "done"
    assert [(e.task_id, e.state) for e in await told_of(running, TaskEnded)] == [(task_id, "done")]


async def test_what_can_not_be_sent_or_is_declined_comes_back_to_its_owner_with_the_reason(running: Running) -> None:
    (case_id, task_id), referral_id = await decided_referral(running), uuid4()
    path = f"/v1/tasks/{task_id}"
    await running.hear(ReferralNotSent(case_id=case_id, task_id=task_id, owner=DESK, reason="other_purpose"))
    back = (await running.as_().get(path)).json()
    assert (back["state"], back["reason"], back["legal"]) == (
        "came_back",
        "other_purpose",
        ["finish", "hand_on", "postpone", "drop"],
    )
    ends: dict[str, Any] = {"case_id": case_id, "referral_id": referral_id, "sender": DESK, "receiver": NPO}
    await running.hear(sent(case_id, referral_id, task_id), ReferralDeclined(**ends, reason="no_capacity"))
    back = (await running.as_().get(path)).json()
    assert (back["state"], back["reason"]) == ("came_back", "no_capacity")
    await running.hear(sent(case_id, referral_id, task_id), ReferralWithdrawn(**ends, reason="person_wishes"))
    assert (await running.as_().get(path)).json()["reason"] == "person_wishes"
    assert await told_of(running, TaskEnded) == []
