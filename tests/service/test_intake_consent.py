"""What the person agreed to, and what the holder discloses on which legal basis."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from shared.auth import Role
from shared.events import ConsentGiven
from tests.service.intake_counter import in_the_clear, logged, read, today, with_sheet
from tests.world import Caller, Running


async def test_consent_names_what_may_be_shown_and_illness_only_by_name(
    intake: Running, desk: Caller, npo: Caller
) -> None:
    said = {"state": "given", "purposes": ["assessment"], "recipients": ["kagoshima-npo"]}
    path = await with_sheet(desk, consent=said)
    assert await read(npo, path, "assessment") == (200, {"name", "family_note", "story", "next_step"})
    narrow = said | {"categories": ["identity", "health"]}
    assert (await desk.post(f"{path}/consents", narrow)).status_code == 201
    assert await read(npo, path, "assessment") == (200, {"name", "health_note"})
    told = [event for event in await intake.told() if isinstance(event, ConsentGiven)]
    assert [event.categories for event in told] == [[], ["health", "identity"]]


async def test_consent_holds_from_its_first_day_to_its_last(intake: Running, desk: Caller, npo: Caller) -> None:
    said = {"state": "given", "purposes": ["referral"], "valid_from": today(intake, 2), "valid_until": today(intake, 2)}
    path = await with_sheet(desk, consent=said)
    assert await read(npo, path, "referral") == (403, "no_basis")
    intake.pass_time(timedelta(days=2))
    assert (await read(npo, path, "referral"))[0] == 200
    intake.pass_time(timedelta(days=1))
    assert await read(npo, path, "referral") == (403, "no_basis")
    (_, told) = await intake.told()
    assert isinstance(told, ConsentGiven)
    assert told.valid_from == told.valid_until is not None


async def test_the_witness_is_the_holders_to_read_and_lies_sealed(intake: Running, desk: Caller, npo: Caller) -> None:
    said = {"state": "given", "purposes": ["referral"], "witness": "立会 さくら", "form": "written"}
    path = await with_sheet(desk)
    answer = await npo.post(f"{path}/consents", said)
    assert (answer.status_code, answer.json()["witnessed"]) == (201, True)
    assert "立会" not in answer.text
    assert (await desk.get(f"{path}/consents")).json()["items"][0]["witness"] == "立会 さくら"
    assert (await npo.get(f"{path}/consents")).json()["items"][0]["witness"] is None
    assert await in_the_clear(intake, "立会") == []
    entries = await logged(intake, "action", "agency", "basis", "fields")
    assert entries[1:] == [
        ("write", "kagoshima-npo", "appi_69_2_2", ["consent_witness"]),
        ("read", "kagoshima-desk", "appi_69_2_2", ["consent_witness"]),
    ]


async def test_consent_without_a_witness_opens_no_key(intake: Running, desk: Caller) -> None:
    path = await with_sheet(desk, consent={"state": "given", "purposes": ["referral"]})
    assert (await desk.get(f"{path}/consents")).json()["items"][0]["witnessed"] is False
    assert len(await logged(intake, "id")) == 1


@pytest.mark.parametrize(
    ("said", "pointer"),
    [
        ({"state": "given", "purposes": ["referral"], "categories": ["income"]}, "/categories/0"),
        ({"state": "given", "purposes": ["referral"], "valid_from": "2031-01-02", "valid_until": "2031-01-01"}, "/"),
        ({"state": "not_yet", "valid_from": "2031-01-01"}, "/"),
        ({"state": "withdrawn", "categories": ["health"]}, "/"),
        ({"state": "given", "purposes": ["referral"], "witness": "\ue000"}, "/witness"),
        ({"state": "given", "purposes": ["referral"], "witness": "1234-5678-9018"}, "/witness"),
        ({"state": "given", "purposes": ["referral"], "witness": "　"}, "/witness"),
        ({"state": "given", "purposes": ["referral"], "form": "guessed"}, "/form"),
    ],
)
async def test_what_no_consent_can_say_is_named(desk: Caller, said: dict[str, Any], pointer: str) -> None:
    path = await with_sheet(desk)
    answer = await desk.post(f"{path}/consents", said)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)
    assert answer.json()["errors"][0]["message_ja"] != "受け付けられない値です"


async def test_other_roles_see_what_their_work_needs_with_consent(intake: Running, desk: Caller) -> None:
    path = await with_sheet(desk, consent={"state": "given", "purposes": ["referral", "training"]})
    office, school = intake.as_("hello-work", Role.HELLO_WORK), intake.as_("school", Role.PROVIDER)
    assert await read(office, path, "referral") == (200, {"name", "phone", "story", "next_step"})
    assert await read(school, path, "training") == (200, {"name", "phone"})
    assert await read(school, path, "referral") == (403, "no_basis")
    assert (await school.get(path)).status_code == 403


# --- disclosures ----------------------------------------------------------------------------------------------------


def disclosing(intake: Running, **more: Any) -> dict[str, Any]:
    return {
        "recipient": "kagoshima-npo",
        "purpose": "support",
        "sets": ["identity", "health"],
        "basis": "appi_69_2_4",
        "until": today(intake, 30),
        "reason": "protects_person",
    } | more


async def test_a_disclosure_lets_its_recipient_read_what_was_named_and_is_on_record(
    intake: Running, desk: Caller, npo: Caller
) -> None:
    path = await with_sheet(desk)
    answer = await desk.post(f"{path}/disclosures", disclosing(intake))
    assert answer.status_code == 201, answer.text
    assert await read(npo, path) == (200, {"name", "health_note"})
    assert await read(npo, path, "referral") == (403, "no_basis")
    assert (await logged(intake, "agency", "purpose", "basis"))[-1] == ("kagoshima-npo", "support", "appi_69_2_4")
    (entry,) = (await desk.get(f"{path}/disclosures")).json()["items"]
    assert entry == answer.json()
    assert (entry["made_by"], entry["ended_at"], entry["consent_version"]) == ("kagoshima-desk", None, None)
    assert (await desk.get(f"{path}/timeline")).json()["items"][-1]["kind"] == "disclosed"
    intake.pass_time(timedelta(days=31))
    assert await read(npo, path) == (403, "no_basis")


async def test_what_another_public_bodys_duty_opens_is_read_by_a_public_body_alone(
    intake: Running, desk: Caller
) -> None:
    path = await with_sheet(desk)
    said = disclosing(intake, recipient="kagoshima-welfare", basis="appi_69_2_3", reason="legal_request")
    assert (await desk.post(f"{path}/disclosures", said)).status_code == 201
    entrusted = intake.as_("kagoshima-welfare", kind="npo")
    assert await read(entrusted, path) == (403, "not_a_public_body")
    assert len(await logged(intake, "id")) == 1, "nothing was opened"
    assert await read(intake.as_("kagoshima-welfare", kind="welfare_office"), path) == (200, {"name", "health_note"})


async def test_a_disclosure_ended_early_is_over_at_once_and_stays_on_record(
    intake: Running, desk: Caller, npo: Caller
) -> None:
    path = await with_sheet(desk)
    made = (await desk.post(f"{path}/disclosures", disclosing(intake))).json()
    ending = f"{path}/disclosures/{made['disclosure_id']}/ending"
    assert (await npo.post(ending)).status_code == 403
    first, second = await asyncio.gather(desk.post(ending), desk.post(ending))
    assert first.status_code == second.status_code == 200
    assert first.json()["ended_at"] == second.json()["ended_at"] is not None
    assert await read(npo, path) == (403, "no_basis")
    kinds = [entry["kind"] for entry in (await desk.get(f"{path}/timeline")).json()["items"]]
    assert kinds.count("disclosure_ended") == 1
    assert len((await desk.get(f"{path}/disclosures")).json()["items"]) == 1


async def test_a_disclosure_on_consent_dies_with_it_and_does_not_rise_again(
    intake: Running, desk: Caller, far: Caller
) -> None:
    given = {"state": "given", "purposes": ["referral"]}
    path = await with_sheet(desk, consent=given)
    said = disclosing(
        intake,
        recipient="kirishima-desk",
        basis="consent",
        purpose="referral",
        sets=["story"],
        reason="support_together",
    )
    assert await read(far, path, "referral") == (404, "not_found")
    assert (await desk.post(f"{path}/disclosures", said)).status_code == 201
    assert await read(far, path, "referral") == (200, {"story", "next_step"})
    assert (await desk.post(f"{path}/consents", {"state": "withdrawn"})).status_code == 201
    assert await read(far, path, "referral") == (404, "not_found")
    assert (await desk.post(f"{path}/consents", given)).status_code == 201
    assert await read(far, path, "referral") == (404, "not_found")
    (entry,) = (await desk.get(f"{path}/disclosures")).json()["items"]
    assert entry["ended_at"] is not None


async def test_withdrawal_leaves_what_rests_on_another_basis(intake: Running, desk: Caller, npo: Caller) -> None:
    path = await with_sheet(desk, consent={"state": "given", "purposes": ["referral"]})
    await desk.post(f"{path}/disclosures", disclosing(intake))
    assert (await desk.post(f"{path}/consents", {"state": "withdrawn"})).status_code == 201
    assert await read(npo, path) == (200, {"name", "health_note"})
    assert await read(npo, path, "referral") == (403, "no_basis")


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"basis": "shien_kaigi_art9"}, 409, "meeting_basis"),
        ({"basis": "chosei_kaigi_27_3"}, 409, "meeting_basis"),
        ({"basis": "consent"}, 409, "beyond_consent"),
        ({"recipient": "kagoshima-desk"}, 409, "own_agency"),
        ({"basis": "goodwill"}, 422, "invalid"),
        ({"basis": None}, 422, "invalid"),
        ({"sets": []}, 422, "invalid"),
        ({"purpose": "disclosure"}, 422, "invalid"),
        ({"until": "2020-01-01"}, 422, "invalid"),
        ({"until": "2199-01-01"}, 422, "invalid"),
    ],
)
async def test_without_a_basis_that_reaches_so_far_nothing_is_disclosed(
    intake: Running, desk: Caller, change: dict[str, Any], status: int, code: str
) -> None:
    path = await with_sheet(desk, consent={"state": "given", "purposes": ["referral"]})
    answer = await desk.post(f"{path}/disclosures", disclosing(intake, **change))
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert await intake.rows("SELECT FROM disclosure") == []


@pytest.mark.parametrize(
    ("purposes", "categories", "unseen", "named"),
    [
        (["referral"], ["identity", "health"], ["health"], "健康"),
        (["referral", "assessment"], ["identity", "health"], [], ""),
        (["training"], ["story", "contact"], ["story"], "相談の内容"),
        (["referral"], [], [], ""),
    ],
)
async def test_who_records_what_no_purpose_shows_is_told_and_not_refused(
    desk: Caller, purposes: list[str], categories: list[str], unseen: list[str], named: str
) -> None:
    path = await with_sheet(desk)
    answer = await desk.post(f"{path}/consents", {"state": "given", "purposes": purposes, "categories": categories})
    assert answer.status_code == 201
    notices = answer.json()["notices"]
    assert [notice["categories"] for notice in notices] == ([unseen] if unseen else [])
    assert all(named in notice["message_ja"] and unseen[0] in notice["message"] for notice in notices)
    (listed,) = (await desk.get(f"{path}/consents")).json()["items"]
    assert listed["notices"] == notices


async def test_only_the_holder_discloses_and_for_another_municipality_there_is_no_case(
    intake: Running, desk: Caller, npo: Caller, far: Caller
) -> None:
    path = await with_sheet(desk)
    refused = (await npo.post(f"{path}/disclosures", disclosing(intake))).json()
    assert refused["code"] == "not_the_holder"
    assert "ask it" in refused["title"]
    assert "担当機関に頼んで" in refused["title_ja"]
    assert (await npo.get(f"{path}/disclosures")).json()["items"] == []
    assert (await far.post(f"{path}/disclosures", disclosing(intake))).status_code == 404
    assert (await far.get(f"{path}/disclosures")).status_code == 404
    assert (await far.post(f"{path}/disclosures/{uuid4()}/ending")).status_code == 404
    assert (await desk.post(f"{path}/disclosures/{uuid4()}/ending")).status_code == 404


async def test_consent_withdrawn_in_the_same_moment_leaves_no_disclosure_that_stands(
    intake: Running, desk: Caller, npo: Caller
) -> None:
    path = await with_sheet(desk, consent={"state": "given", "purposes": ["referral"]})
    said = disclosing(intake, basis="consent", purpose="referral", sets=["story"])
    await asyncio.gather(
        desk.post(f"{path}/consents", {"state": "withdrawn"}),
        *(desk.post(f"{path}/disclosures", said) for _ in range(5)),
    )
    assert await read(npo, path, "referral") == (403, "no_basis")
    listed = (await desk.get(f"{path}/disclosures")).json()["items"]
    assert all(entry["ended_at"] is not None for entry in listed)


# --- consent that an agency writes down for itself ------------------------------------------------------------------

GIVEN = {"state": "given", "purposes": ["referral"]}
ITS_OWN = {"state": "given", "purposes": ["referral"], "recipients": ["kagoshima-npo"]}
WITNESSED = {"witness": "立会 さくら", "form": "oral"}


@pytest.mark.parametrize("to", [["kagoshima-npo"], [], ["kagoshima-hello-work", "kagoshima-npo"]])
@pytest.mark.parametrize("half", [{}, {"witness": "立会 さくら"}, {"form": "written"}])
async def test_nobody_opens_a_case_to_their_own_agency_by_their_own_word_alone(
    intake: Running, desk: Caller, npo: Caller, to: list[str], half: dict[str, str]
) -> None:
    path = await with_sheet(desk)
    refused = await npo.post(f"{path}/consents", ITS_OWN | half | {"recipients": to})
    assert (refused.status_code, refused.json()["code"]) == (409, "witness_needed")
    assert {error["pointer"] for error in refused.json()["errors"]} == {"/witness", "/form"} - {f"/{n}" for n in half}
    assert all(error["message_ja"] for error in refused.json()["errors"])
    assert await read(npo, path, "referral") == (403, "no_basis")
    assert (await desk.get(path)).json()["consent"] == {"state": "not_yet", "version": 0, "recorded_by": None}
    assert not [event for event in await intake.told() if isinstance(event, ConsentGiven)]


async def test_who_stands_at_a_desk_and_says_yes_before_a_witness_is_heard_and_the_holder_told(
    intake: Running, desk: Caller, npo: Caller
) -> None:
    path, other = await with_sheet(desk), await with_sheet(desk, consent=ITS_OWN)
    fact = await npo.post(f"{path}/consents", ITS_OWN | WITNESSED)
    assert fact.status_code == 201, fact.text
    assert (fact.json()["form"], fact.json()["witnessed"], fact.json()["recorded_by"]) == (
        "oral",
        True,
        "kagoshima-npo",
    )
    assert await read(npo, path, "referral") == (200, {"name", "phone", "story", "next_step"})
    assert (await desk.get(path)).json()["consent"]["recorded_by"] == "kagoshima-npo"
    note = (await desk.get(f"{path}/timeline")).json()["items"][-1]
    assert (note["kind"], note["codes"]["by"], note["codes"]["form"]) == ("consent_given", "kagoshima-npo", "oral")
    told = [event for event in await intake.told() if isinstance(event, ConsentGiven)]
    assert [event.recorded_by for event in told] == ["kagoshima-desk", "kagoshima-npo"]
    assert all("立会" not in event.model_dump_json() for event in told)
    for elsewhere, expected in (("true", [path]), ("false", [other])):
        listed = await desk.whole("/v1/cases", consent_recorded_elsewhere=elsewhere)
        assert [f"/v1/cases/{case['case_id']}" for case in listed] == expected


async def test_the_second_yes_for_more_needs_its_witness_as_well(intake: Running, desk: Caller, npo: Caller) -> None:
    path = f"{await with_sheet(desk)}/consents"
    narrow = ITS_OWN | {"categories": ["identity"], "valid_until": today(intake, 5)}
    assert (await npo.post(path, narrow | WITNESSED)).status_code == 201
    wider: list[dict[str, Any]] = [
        {"categories": ["identity", "story"]},
        {"categories": []},
        {"purposes": ["referral", "assessment"]},
        {"valid_until": None},
        {"valid_until": today(intake, 6)},
    ]
    for more in wider:
        assert (await npo.post(path, narrow | more)).json()["code"] == "witness_needed", more
    part = narrow | {"valid_until": today(intake, 4), "recipients": ["kagoshima-hello-work", "kagoshima-npo"]}
    assert (await npo.post(path, part)).status_code == 201
    assert (await npo.post(path, {"state": "withdrawn"})).status_code == 201, "taking back is heard at any counter"
    assert (await npo.post(path, narrow)).json()["code"] == "witness_needed"


async def test_who_holds_the_case_or_opens_it_to_others_writes_consent_as_ever(
    intake: Running, desk: Caller, npo: Caller
) -> None:
    path = await with_sheet(desk)
    for caller, said in ((npo, ITS_OWN | {"recipients": ["kagoshima-hello-work"]}), (desk, ITS_OWN), (desk, GIVEN)):
        assert (await caller.post(f"{path}/consents", said)).status_code == 201
    mine = await with_sheet(npo, consent=GIVEN)
    assert (await npo.post(f"{mine}/consents", ITS_OWN)).status_code == 201
    assert (await npo.post(f"{path}/consents", {"state": "withdrawn"})).status_code == 201
    assert (await npo.post(f"{path}/consents", {"state": "not_yet"})).status_code == 201
