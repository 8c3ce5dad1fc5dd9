"""Emergency access: declared, for an hour, told at once, reviewed afterwards."""

import asyncio
from datetime import date, timedelta
from uuid import UUID, uuid4

import pytest

from shared.auth import Role
from shared.events import EmergencyAccessDeclared, ReferralAccepted
from shared.service import is_working_day
from tests.service.intake_counter import SHEET, in_the_clear, logged, read, today, with_sheet
from tests.world import Caller, Running

WORDS = "本人から危険をほのめかす電話があり、窓口は閉まっている"
EMERGENCY = {"reason": "danger_to_life", "words": WORDS}


async def test_an_emergency_opens_one_case_for_an_hour_and_its_holder_is_told_at_once(
    intake: Running, desk: Caller, night: Caller
) -> None:
    path, other = await with_sheet(desk), await with_sheet(desk)
    assert await read(night, path, basis="emergency") == (403, "no_basis")
    answer = await night.post(f"{path}/emergency-accesses", EMERGENCY)
    assert answer.status_code == 201, answer.text
    assert await read(night, path, basis="emergency") == (200, {*SHEET, "next_step"})
    assert await read(night, path) == (403, "no_basis")
    assert await read(night, other, basis="emergency") == (403, "no_basis")
    assert (await logged(intake, "action", "agency", "basis"))[-2:] == [
        ("write", "kagoshima-night", "emergency"),
        ("read", "kagoshima-night", "emergency"),
    ]
    note = (await desk.get(f"{path}/timeline")).json()["items"][-1]
    assert (note["kind"], note["codes"]["by"]) == ("emergency_access_declared", "kagoshima-night")
    told = (await intake.told())[-1]
    assert isinstance(told, EmergencyAccessDeclared)
    assert (told.agency_id, told.reason) == ("kagoshima-night", "danger_to_life")
    assert str(told.emergency_id) == answer.json()["emergency_id"]
    intake.pass_time(timedelta(minutes=60, seconds=1))
    assert await read(night, path, basis="emergency") == (403, "no_basis")


async def test_an_emergency_is_its_declarers_own_and_for_reading_alone(
    intake: Running, desk: Caller, night: Caller
) -> None:
    path = await with_sheet(desk)
    await night.post(f"{path}/emergency-accesses", EMERGENCY)
    colleague = intake.as_("kagoshima-npo", Role.EMERGENCY)
    assert await read(colleague, path, basis="emergency") == (403, "no_basis")
    both = intake.as_("kagoshima-night", Role.EMERGENCY, Role.COUNSELLOR)
    assert (await read(both, path, basis="emergency"))[0] == 200
    assert (await both.patch(f"{path}/person", {"name": "x"}, etag='"1"')).json()["code"] == "not_the_holder"
    assert (await both.get(f"{path}/accesses")).json()["code"] == "not_the_holder"


async def test_an_emergency_opens_the_support_records_for_its_hour_and_for_reading_alone(
    intake: Running, desk: Caller, night: Caller
) -> None:
    path = await with_sheet(desk)
    entry = {"on": today(intake), "way": "visit", "words": "昨夜から薬が切れていると話した"}
    made = (await desk.post(f"{path}/records", entry)).json()["record_id"]
    records, named = f"{path}/records", {"params": {"basis": "emergency"}}
    assert (await night.get(records, **named)).json()["code"] == "no_basis"
    await night.post(f"{path}/emergency-accesses", EMERGENCY)
    shown = await night.get(records, **named)
    assert [record["words"] for record in shown.json()["items"]] == [entry["words"]]
    last = (await logged(intake, "action", "agency", "purpose", "basis", "fields"))[-1]
    assert last == ("read", "kagoshima-night", "support", "emergency", ["records"])
    assert (await night.get(records)).json()["code"] == "no_basis", "nobody breaks glass by accident"
    assert (await night.get(records, params={"basis": "emergency", "purpose": "referral"})).status_code == 403
    both = intake.as_("kagoshima-night", Role.EMERGENCY, Role.COUNSELLOR)
    assert (await both.get(records, **named)).status_code == 200
    assert (await both.post(records, entry | {"corrects": made})).json()["code"] == "no_basis"
    assert (await both.get(f"{path}/hand-over-sheet.csv")).json()["code"] == "not_the_holder"
    intake.pass_time(timedelta(minutes=60))
    assert (await night.get(records, **named)).json()["code"] == "no_basis"


async def test_an_emergency_opens_no_statutory_meeting(intake: Running, desk: Caller) -> None:
    path, both = await with_sheet(desk), intake.as_("kagoshima-night", Role.EMERGENCY, Role.COUNSELLOR)
    body = {"kind": "shien_kaigi", "held_on": today(intake), "topic": "debt", "members": ["kagoshima-npo"]}
    meeting = f"/v1/meetings/{(await desk.post('/v1/meetings', body)).json()['meeting_id']}"
    await desk.post(f"{meeting}/cases", {"case_id": path[-36:]})
    assert (await desk.post(f"{meeting}/cases/{path[-36:]}/notes", {"text": "会議の中の話"})).status_code == 201
    await both.post(f"{path}/emergency-accesses", EMERGENCY)
    assert (await both.get(f"{meeting}/cases/{path[-36:]}/notes")).status_code == 404
    shown = await both.get(f"{path}/records", params={"basis": "emergency"})
    assert (shown.status_code, shown.json()["items"]) == (200, [])


async def test_where_there_was_violence_an_emergency_does_not_show_where_the_person_is(
    desk: Caller, night: Caller
) -> None:
    path = await with_sheet(desk, topics=["violence"])
    await night.post(f"{path}/emergency-accesses", EMERGENCY)
    status, fields = await read(night, path, basis="emergency")
    assert status == 200
    assert {"phone", "proxy_name"}.isdisjoint(fields)


async def test_an_emergency_ends_at_the_municipalitys_border(desk: Caller, far: Caller) -> None:
    path = await with_sheet(desk)
    assert (await far.post(f"{path}/emergency-accesses", EMERGENCY)).status_code == 404
    assert await read(far, path, basis="emergency") == (404, "not_found")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"reason": "curiosity", "words": WORDS}, "/reason"),
        ({"reason": "danger_to_life", "words": "急ぎ"}, "/words"),
        ({"reason": "danger_to_life"}, "/words"),
        ({"reason": "danger_to_life", "words": WORDS + "1234-5678-9018"}, "/words"),
    ],
)
async def test_an_emergency_has_a_reason_in_a_code_and_in_words(
    intake: Running, desk: Caller, night: Caller, body: dict[str, str], pointer: str
) -> None:
    answer = await night.post(f"{await with_sheet(desk)}/emergency-accesses", body)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)
    assert await intake.rows("SELECT FROM emergency_access") == []


async def test_a_second_emergency_waits_for_the_end_of_the_first_also_in_a_race(
    intake: Running, desk: Caller, night: Caller
) -> None:
    path = f"{await with_sheet(desk)}/emergency-accesses"
    answers = await asyncio.gather(*(night.post(path, EMERGENCY) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409]
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {"emergency_open"}
    intake.pass_time(timedelta(hours=1))
    assert (await night.post(path, EMERGENCY)).status_code == 201


async def test_the_holder_needs_none_and_who_lacks_the_right_has_none(intake: Running, desk: Caller) -> None:
    path = f"{await with_sheet(desk)}/emergency-accesses"
    own = intake.as_("kagoshima-desk", Role.COUNSELLOR, Role.EMERGENCY)
    assert (await own.post(path, EMERGENCY)).json()["code"] == "not_needed"
    assert (await desk.post(path, EMERGENCY)).json()["code"] == "forbidden"


async def test_the_holder_reviews_an_emergency_once_and_reads_its_words(
    intake: Running, desk: Caller, npo: Caller, night: Caller, far: Caller
) -> None:
    made = (await night.post(f"{await with_sheet(desk)}/emergency-accesses", EMERGENCY)).json()
    path = f"/v1/emergency-accesses/{made['emergency_id']}"
    (listed,) = (await desk.get("/v1/emergency-accesses", params={"review": "waiting"})).json()["items"]
    assert (listed["declared_by"], listed["verdict"]) == ("kagoshima-night", None)
    assert "words" not in listed
    assert (await desk.get(path)).json()["words"] == WORDS
    assert (await logged(intake, "agency", "fields"))[-1] == ("kagoshima-desk", ["emergency_words"])
    assert (await npo.get("/v1/emergency-accesses")).json()["items"] == []
    assert (await npo.get(path)).json()["code"] == "no_basis"
    assert (await far.get(path)).status_code == 404
    assert (await npo.post(f"{path}/review", {"verdict": "justified"})).json()["code"] == "no_basis"
    answers = await asyncio.gather(*(desk.post(f"{path}/review", {"verdict": "beyond_need"}) for _ in range(3)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409]
    (done,) = (await desk.get("/v1/emergency-accesses", params={"review": "done"})).json()["items"]
    assert (done["verdict"], done["reviewed_by"]) == ("beyond_need", "kagoshima-desk")
    assert (await desk.get("/v1/emergency-accesses", params={"review": "waiting"})).json()["items"] == []


async def test_a_review_is_overdue_after_two_working_days(intake: Running, desk: Caller, night: Caller) -> None:
    made = (await night.post(f"{await with_sheet(desk)}/emergency-accesses", EMERGENCY)).json()
    due = date.fromisoformat(made["review_due_on"])
    day, left = date.fromisoformat(today(intake)), 0
    while day < due:
        day += timedelta(days=1)
        left += is_working_day(day)
    assert (left, is_working_day(due)) == (2, True)

    async def overdue() -> tuple[int, list[bool], bool]:
        """As the list is filtered, as each is marked, and as operators see it."""
        filtered = await desk.whole("/v1/emergency-accesses", review="overdue")
        marked = [entry["overdue"] for entry in await desk.whole("/v1/emergency-accesses")]
        figures = (await intake.client.get("/metrics")).text
        counted = 'tsunagu_overdue{service="intake",what="emergency_reviews"} '
        assert counted in figures
        return len(filtered), marked, f"{counted}1.0" in figures

    intake.pass_time(timedelta(days=(due - date.fromisoformat(today(intake))).days))
    assert await overdue() == (0, [False], False)
    intake.pass_time(timedelta(days=1))
    assert await overdue() == (1, [True], True)
    path = f"/v1/emergency-accesses/{made['emergency_id']}"
    assert (await desk.get(path)).json()["overdue"] is True
    assert (await desk.post(f"{path}/review", {"verdict": "justified"})).json()["overdue"] is False
    assert await overdue() == (0, [False], False)


async def test_who_declared_it_never_reviews_it_even_as_the_cases_next_holder(intake: Running, desk: Caller) -> None:
    both = intake.as_("kagoshima-night", Role.EMERGENCY, Role.COUNSELLOR)
    path = await with_sheet(desk)
    made = (await both.post(f"{path}/emergency-accesses", EMERGENCY)).json()
    accepted = ReferralAccepted(
        case_id=UUID(path[-36:]), referral_id=uuid4(), sender="kagoshima-desk", receiver="kagoshima-night"
    )
    await intake.hear(accepted)
    review = f"/v1/emergency-accesses/{made['emergency_id']}/review"
    assert (await both.get("/v1/emergency-accesses")).json()["items"] == []
    assert (await both.post(review, {"verdict": "justified"})).json()["code"] == "not_the_holder"
    assert (await desk.post(review, {"verdict": "not_justified"})).status_code == 201


async def test_the_words_of_an_emergency_lie_sealed_and_are_told_to_nobody(
    intake: Running, desk: Caller, night: Caller
) -> None:
    path = await with_sheet(desk)
    answer = await night.post(f"{path}/emergency-accesses", EMERGENCY)
    assert WORDS not in answer.text
    assert await in_the_clear(intake, WORDS) == []
    assert all(WORDS not in event.model_dump_json() for event in await intake.told())
