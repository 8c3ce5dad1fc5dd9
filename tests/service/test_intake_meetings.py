"""Statutory meetings: members, their day, and nothing of it anywhere else."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from tests.service.intake_counter import in_the_clear, logged, read, today, with_sheet
from tests.world import KIRISHIMA, Caller, Running, World, execute_as_admin

SAID = "民生委員が玄関先で会えた"


async def convened(intake: Running, desk: Caller, days: int = 0, **more: Any) -> str:
    body = {"kind": "shien_kaigi", "held_on": today(intake, days), "topic": "withdrawal", "members": ["kagoshima-npo"]}
    answer = await desk.post("/v1/meetings", body | more)
    assert answer.status_code == 201, answer.text
    return f"/v1/meetings/{answer.json()['meeting_id']}"


async def test_members_write_and_read_on_the_day_without_consent(intake: Running, desk: Caller, npo: Caller) -> None:
    case, meeting = await with_sheet(desk, consent={"state": "refused"}), await convened(intake, desk)
    notes = f"{meeting}/cases/{case[-36:]}/notes"
    assert (await npo.get(notes)).status_code == 404
    assert (await desk.post(f"{meeting}/cases", {"case_id": case[-36:]})).status_code == 201
    written = await npo.post(notes, {"text": SAID})
    assert (written.status_code, SAID in written.text) == (201, False)
    (note,) = (await desk.get(notes)).json()["items"]
    assert (note["text"], note["written_by"]) == (SAID, "kagoshima-npo")
    assert (await logged(intake, "action", "agency", "purpose", "basis", "fields"))[-2:] == [
        ("write", "kagoshima-npo", "meeting", "shien_kaigi_art9", ["meeting_note"]),
        ("read", "kagoshima-desk", "meeting", "shien_kaigi_art9", ["meeting_note"]),
    ]
    assert await read(npo, case, "case_conference") == (403, "no_basis")


async def test_before_and_after_the_day_members_read_and_write_nothing(
    intake: Running, desk: Caller, npo: Caller
) -> None:
    case, meeting = await with_sheet(desk), await convened(intake, desk, days=1)
    notes = f"{meeting}/cases/{case[-36:]}/notes"
    await desk.post(f"{meeting}/cases", {"case_id": case[-36:]})
    assert (await npo.get(meeting)).json()["cases"] == []
    assert (await npo.get(notes)).json()["code"] == "meeting_to_come"
    assert (await npo.post(notes, {"text": SAID})).json()["code"] == "meeting_to_come"
    intake.pass_time(timedelta(days=1))
    assert (await npo.get(meeting)).json()["cases"] == [case[-36:]]
    assert (await npo.post(notes, {"text": SAID})).status_code == 201
    assert (await desk.post(notes, {"text": "窓口から訪問する"})).status_code == 201
    intake.pass_time(timedelta(days=1))
    assert (await npo.get(notes)).json()["code"] == "meeting_over"
    assert (await npo.post(notes, {"text": SAID})).json()["code"] == "meeting_over"
    assert (await npo.get(meeting)).json()["cases"] == []
    assert [note["text"] for note in (await desk.get(notes)).json()["items"]] == ["窓口から訪問する"]
    assert (await desk.post(notes, {"text": SAID})).json()["code"] == "meeting_over"
    assert (await desk.post(f"{meeting}/cases", {"case_id": case[-36:]})).json()["code"] == "meeting_over"


async def test_who_is_no_member_finds_no_meeting_not_even_the_cases_holder(
    intake: Running, desk: Caller, npo: Caller, far: Caller
) -> None:
    case = await with_sheet(npo)
    meeting = await convened(intake, desk, members=["kagoshima-hello-work"])
    await desk.post(f"{meeting}/cases", {"case_id": case[-36:]})
    for stranger in (npo, far):
        for path in (meeting, f"{meeting}/cases/{case[-36:]}/notes"):
            assert (await stranger.get(path)).status_code == 404
        assert (await stranger.get("/v1/meetings")).json()["items"] == []
        assert (await stranger.post(f"{meeting}/cases", {"case_id": case[-36:]})).status_code == 404
        assert (await stranger.post(f"{meeting}/cases/{case[-36:]}/notes", {"text": SAID})).status_code == 404


async def test_nothing_of_a_meeting_appears_in_any_other_lane(intake: Running, desk: Caller, npo: Caller) -> None:
    given = {"state": "given", "purposes": ["referral", "assessment", "case_conference"]}
    case, meeting = await with_sheet(desk, consent=given), await convened(intake, desk)
    before = [await answer_of(desk, case), await answer_of(npo, case)]
    events = await intake.told()
    await desk.post(f"{meeting}/cases", {"case_id": case[-36:]})
    await npo.post(f"{meeting}/cases/{case[-36:]}/notes", {"text": SAID})
    assert [await answer_of(desk, case), await answer_of(npo, case)] == before
    assert await intake.told() == events
    assert await in_the_clear(intake, SAID) == []


async def answer_of(caller: Caller, case: str) -> list[Any]:
    """Everything that can be read of a case, but for the log of who read it."""
    lists = [f"{case}{end}" for end in ("", "/timeline", "/consents", "/custody", "/disclosures")]
    answers: list[Any] = [(await caller.get(path)).json() for path in lists]
    for purpose in ("support", "assessment", "case_conference", "referral", "training", "disclosure"):
        for basis in (None, "consent", "shien_kaigi_art9", "chosei_kaigi_27_3"):
            params = {"purpose": purpose} | ({"basis": basis} if basis else {})
            answer = (await caller.get(f"{case}/person", params=params)).json()
            answers.append(answer.get("person", answer.get("code")))
    return answers


async def test_a_case_of_another_municipality_is_put_on_no_agenda(intake: Running, desk: Caller, far: Caller) -> None:
    theirs, meeting = await with_sheet(far), await convened(intake, desk)
    answer = await desk.post(f"{meeting}/cases", {"case_id": theirs[-36:]})
    unknown = await desk.post(f"{meeting}/cases", {"case_id": str(uuid4())})
    assert answer.status_code == 404
    assert answer.json() | {"instance": ""} == unknown.json() | {"instance": ""}


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"kind": "shien_chosei_kaigi"}, 409, "meeting_of_consent"),
        ({"kind": "chosei_kaigi_27_3"}, 403, "not_the_desk"),
        ({"municipality": KIRISHIMA}, 403, "not_the_desk"),
        ({"held_on": "2020-01-01"}, 422, "invalid"),
        ({"members": []}, 422, "invalid"),
        ({"topic": "gossip"}, 422, "invalid"),
    ],
)
async def test_only_the_right_desk_convenes_a_meeting_that_has_a_lane(
    intake: Running, desk: Caller, change: dict[str, Any], status: int, code: str
) -> None:
    body = {"kind": "shien_kaigi", "held_on": today(intake), "topic": "debt", "members": ["kagoshima-npo"]} | change
    answer = await desk.post("/v1/meetings", body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert await intake.rows("SELECT FROM meeting") == []


async def test_a_member_that_is_no_desk_convenes_nothing_and_puts_nothing_on_the_agenda(
    intake: Running, desk: Caller
) -> None:
    npo = intake.as_("kagoshima-npo", kind="npo")
    body = {"kind": "shien_kaigi", "held_on": today(intake), "topic": "debt", "members": ["kagoshima-desk"]}
    assert (await npo.post("/v1/meetings", body)).json()["code"] == "not_the_desk"
    case, meeting = await with_sheet(desk), await convened(intake, desk)
    assert (await npo.post(f"{meeting}/cases", {"case_id": case[-36:]})).json()["code"] == "not_the_holder"


async def test_the_meeting_for_people_on_public_assistance_has_its_own_basis(intake: Running) -> None:
    office = intake.as_("kagoshima-welfare", kind="welfare_office")
    case = await with_sheet(office)
    meeting = await convened(intake, office, kind="chosei_kaigi_27_3")
    await office.post(f"{meeting}/cases", {"case_id": case[-36:]})
    assert (await office.post(f"{meeting}/cases/{case[-36:]}/notes", {"text": SAID})).status_code == 201
    assert (await logged(intake, "purpose", "basis"))[-1] == ("meeting", "chosei_kaigi_27_3")
    assert (await office.get(meeting)).json()["basis"] == "chosei_kaigi_27_3"


async def test_what_was_disclosed_declared_or_said_stays_on_record(intake: Running) -> None:
    for table in (
        "disclosure", "disclosure_end", "emergency_access", "emergency_review", "meeting", "meeting_member",
        "meeting_case", "meeting_note", "case_consent",
    ):  # fmt: skip
        for statement in (f"DELETE FROM {table}", f"UPDATE {table} SET at = now()"):
            with pytest.raises(Exception, match=r"permission denied|does not exist"):
                await intake.rows(statement)


async def test_a_note_moved_to_another_place_does_not_open_there(intake: Running, world: World, desk: Caller) -> None:
    case, meeting = await with_sheet(desk), await convened(intake, desk)
    await desk.post(f"{meeting}/cases", {"case_id": case[-36:]})
    notes = f"{meeting}/cases/{case[-36:]}/notes"
    for text in (SAID, "別の記録"):
        await desk.post(notes, {"text": text})
    await execute_as_admin(
        world.postgres,
        "UPDATE intake.meeting_note t SET sealed = (SELECT s.sealed FROM intake.meeting_note s WHERE s.id <> t.id)",
        world.database_name,
    )
    answer = await desk.get(notes)
    assert answer.status_code == 500
    assert SAID not in answer.text
