"""Somebody who may not see it tries every door: other agencies, other towns, repeats, and what is written elsewhere."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from shared.auth import Role
from tests.service.intake_counter import everything, read, today, with_sheet
from tests.world import KAGOSHIMA, KIRISHIMA, Caller, Running

CONTACT = {
    "phone": "099-111-2222",
    "other_phone": "090-3333-4444",
    "email": "hidden@example.jp",
    "address": "鹿児島市隠町一丁目",
    "postcode": "890-9999",
    "contact_note": "妹の家にいる",
    "proxy_name": "匿名 姉子",
    "proxy_phone": "080-5555-6666",
}
GIVEN = {
    "state": "given",
    "purposes": ["assessment", "case_conference", "referral", "training"],
    "categories": ["identity", "contact", "proxy", "health", "family", "story"],
}
SAID = "民生委員が玄関先で会えた"


def ways_in(intake: Running, method: str) -> list[tuple[str, str, dict[str, Any]]]:
    """The paths of a method, by operation id, with an example of its body."""
    document = intake.app.openapi()
    schemas = document["components"]["schemas"]
    found = []
    for path, operations in document["paths"].items():
        if (operation := operations.get(method)) is None or not path.startswith("/v1/"):
            continue
        content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
        shape = schemas.get(content.get("schema", {}).get("$ref", "").rpartition("/")[2], {})
        found.append((operation["operationId"], path, shape.get("examples", [{}])[-1]))
    return found


async def all_that_is_read(intake: Running, caller: Caller, ids: dict[str, str]) -> AsyncIterator[tuple[str, str]]:
    """Every GET there is, with every purpose and basis, about these records: where, and what is answered."""
    for _, path, _ in ways_in(intake, "get"):
        asked: list[dict[str, str]] = [{}]
        if path.endswith(("/person", "/records")):
            purposes = ("support", "assessment", "case_conference", "referral", "training", "disclosure")
            asked = [{"purpose": purpose} for purpose in purposes]
        if path.endswith("/person"):
            bases = ("consent", "appi_69_2_2", "appi_69_2_3", "emergency", "shien_kaigi_art9")
            asked += [{**each, "basis": basis} for each in asked for basis in bases]
        if path.startswith("/v1/exports"):
            asked = [{"from": today(intake, -1), "to": today(intake), "encoding": "utf-8"}]
        for params in asked:
            where = path.format_map({name: str(uuid4()) for name in ("draft_id", "import_id", "inquiry_id")} | ids)
            yield f"{where} {params}", (await caller.get(where, params=params)).text


async def test_only_the_holder_takes_away_what_hides_the_person(intake: Running, desk: Caller, npo: Caller) -> None:
    case = await with_sheet(desk, topics=["violence", "debt"], urgency=["danger_to_life"], consent=GIVEN)
    for change in (
        {"topics": ["debt"], "urgency": []},
        {"urgency": ["violence"]},
        {"urgent": False},
        {"anchor": "相談員 9"},
    ):
        etag = (await npo.get(case)).headers["etag"]
        refused = await npo.patch(case, change, etag=etag)
        assert (refused.status_code, refused.json()["code"]) == (403, "not_the_holder"), change
    assert "phone" not in (await read(npo, case, "referral"))[1]
    raised = await npo.patch(
        case, {"topics": ["violence", "nothing_to_eat"]}, etag=(await npo.get(case)).headers["etag"]
    )
    assert raised.json()["urgency"] == ["nothing_to_eat", "violence", "danger_to_life"], "anybody may raise the alarm"
    calmed = await desk.patch(case, {"topics": [], "urgency": []}, etag=raised.headers["etag"])
    assert calmed.status_code == 200
    assert "phone" in (await read(npo, case, "referral"))[1]


ALIKE = {"name": "架空 花子", "birth_date": "1985-04-01", "phone": "099-111-2222"}
ASKED = {"state": "given", "purposes": ["referral"]}


async def inquiry_of(desk: Caller, case: str) -> str:
    answer = await desk.post(f"{case}/inquiries", {"municipality": KIRISHIMA})
    assert answer.status_code == 201, answer.text
    return f"/v1/inquiries/{answer.json()['inquiry_id']}"


async def test_consent_that_begins_tomorrow_shows_no_inquiry_today(intake: Running, desk: Caller, far: Caller) -> None:
    case = await with_sheet(desk, person=ALIKE, consent=ASKED)
    inquiry = await inquiry_of(desk, case)
    assert (await far.get(inquiry)).status_code == 200
    assert (await desk.post(f"{case}/consents", ASKED | {"valid_from": today(intake, 1)})).status_code == 201
    assert await far.whole("/v1/inquiries") == []
    assert (await far.get(inquiry)).status_code == 404
    assert (await far.post(f"{inquiry}/answers", {"answer": "not_known"})).status_code == 404
    intake.pass_time(timedelta(days=1))
    assert (await far.get(inquiry)).status_code == 200


@pytest.mark.parametrize(
    ("categories", "agrees"),
    [
        ([], ["name_and_birth_date", "phone"]),
        (["identity"], ["name_and_birth_date"]),
        (["contact", "story"], None),
    ],
)
async def test_another_town_compares_no_more_than_consent_names(
    intake: Running, desk: Caller, far: Caller, categories: list[str], agrees: list[str] | None
) -> None:
    await with_sheet(far, person=ALIKE)
    case = await with_sheet(desk, person=ALIKE, consent=ASKED | {"categories": categories})
    elsewhere = (await desk.get(f"{case}/candidates")).json()["elsewhere"]
    if agrees is None:
        assert elsewhere == []
        refused = await desk.post(f"{case}/inquiries", {"municipality": KIRISHIMA})
        assert refused.json()["code"] == "consent_missing"
        return
    assert elsewhere == [KIRISHIMA]
    (found,) = (await far.get(await inquiry_of(desk, case))).json()["items"]
    assert sorted(found["agrees"]) == agrees
    fields = await intake.rows("SELECT fields FROM access_log WHERE agency = 'kirishima-desk' AND basis = 'consent'")
    assert all(("phone" in row["fields"]) == ("phone" in agrees) for row in fields)
    narrower = {"purposes": ["referral"], "categories": ["story"]}
    await desk.post(f"{case}/consents", {"state": "given"} | narrower)
    assert await far.whole("/v1/inquiries") == []


async def kept_by(intake: Running, desk: Caller, night: Caller) -> dict[str, str]:
    """One of everything, in Kagoshima, kept by its desk: ids by the name of the path's parameter."""
    case = await with_sheet(desk, person={"name": "架空 花子"} | CONTACT, topics=["violence"], consent=GIVEN)
    other = await with_sheet(desk, person={"name": "架空 花子"})
    await desk.post(f"{case}/links", {"other": other[-36:], "reason": "person_says"})
    until = {"until": today(intake, 9), "reason": "support_together"}
    body = {"recipient": "kagoshima-npo", "purpose": "support", "sets": ["identity", "story"], "basis": "appi_69_2_4"}
    disclosed = await desk.post(f"{case}/disclosures", body | until)
    declared = await night.post(
        f"{case}/emergency-accesses",
        {"reason": "missing", "words": "本人と三日連絡がつかず、家にもいないと知らせがあった"},
    )
    meeting = {"kind": "shien_kaigi", "held_on": today(intake), "topic": "violence", "members": ["kagoshima-welfare"]}
    convened = (await desk.post("/v1/meetings", meeting)).json()["meeting_id"]
    await desk.post(f"/v1/meetings/{convened}/cases", {"case_id": case[-36:]})
    noted = await desk.post(f"/v1/meetings/{convened}/cases/{case[-36:]}/notes", {"text": SAID})
    assert noted.status_code == 201, noted.text
    draft = await desk.post("/v1/drafts", {"person": {"name": "下書 きよ"}})
    listed = await desk.post(
        "/v1/case-imports",
        content="番号,市町村コード,氏名\r\n1,462012,名簿 みつ\r\n".encode(),
        headers={"Content-Type": "text/csv"},
    )
    assert listed.status_code == 201, listed.text
    asked = await desk.post(f"{other}/consents", GIVEN)
    assert asked.status_code == 201, asked.text
    return {
        "case_id": case[-36:],
        "other_id": other[-36:],
        "disclosure_id": disclosed.json()["disclosure_id"],
        "emergency_id": declared.json()["emergency_id"],
        "meeting_id": convened,
        "draft_id": draft.json()["draft_id"],
        "import_id": listed.json()["import_id"],
    }


async def test_for_another_town_not_one_door_opens_and_each_says_the_same(
    intake: Running, desk: Caller, night: Caller
) -> None:
    far = intake.as_("kirishima-desk", *Role, municipalities=[KIRISHIMA])
    ids = await kept_by(intake, desk, night)
    theirs = (await with_sheet(far))[-36:]
    before = await everything(intake)
    for method in ("get", "post", "put", "patch"):
        for name, path, example in ways_in(intake, method):
            if "{" not in path or "inquiry_id" in path:
                continue
            fitting = {
                "put_case": {"case_id": ids["case_id"]},
                "link_cases": {"other": theirs},
                "ask_elsewhere": {"municipality": KAGOSHIMA},
            }
            body = example | fitting.get(name, {})
            real = await ask(intake, far, method, path.format_map(ids), body)
            none = await ask(intake, far, method, path.format_map({key: str(uuid4()) for key in ids}), body)
            assert real.status_code == 404, f"{name}: {real.status_code} {real.text}"
            assert real.json() | {"instance": ""} == none.json() | {"instance": ""}, name
    assert await everything(intake) == before, "nor did one of them leave a trace"
    own = await far.post(f"/v1/cases/{theirs}/links", {"other": ids["case_id"], "reason": "person_says"})
    assert own.status_code == 404


async def ask(intake: Running, caller: Caller, method: str, path: str, body: dict[str, Any]) -> Any:
    match method:
        case "get":
            return await caller.get(path)
        case "post":
            return await caller.post(path, body)
        case "put":
            return await caller.put(path, body, etag='"1"')
        case _:
            return await caller.patch(path, body, etag='"1"')


async def test_what_one_agency_keeps_for_itself_is_no_other_agencys(
    intake: Running, desk: Caller, npo: Caller, night: Caller
) -> None:
    ids = await kept_by(intake, desk, night)
    for method in ("get", "post", "put"):
        for name, path, example in ways_in(intake, method):
            if any(kept in path for kept in ("{draft_id}", "{import_id}", "{meeting_id}")):
                body = {"case_id": ids["case_id"]} if name == "put_case" else example
                answer = await ask(intake, npo, method, path.format_map(ids), body)
                assert answer.status_code == 404, f"{name}: {answer.status_code} {answer.text}"
    for path in ("/v1/drafts", "/v1/drafts?discarded=true", "/v1/meetings", "/v1/emergency-accesses"):
        assert (await npo.get(path)).json()["items"] == []


async def test_where_somebody_hides_is_told_to_nobody_but_the_holder_by_any_door(
    intake: Running, desk: Caller, npo: Caller, night: Caller
) -> None:
    ids = await kept_by(intake, desk, night)
    both = intake.as_("kagoshima-night", Role.EMERGENCY, Role.COUNSELLOR)
    for caller in (npo, night, both, intake.as_("kagoshima-npo", *Role)):
        async for where, text in all_that_is_read(intake, caller, ids):
            assert not [value for value in CONTACT.values() if value in text], where
    # The hand-over sheet goes into other hands, whoever writes it out.
    sheet = await desk.get(f"/v1/cases/{ids['case_id']}/hand-over-sheet.csv", params={"encoding": "utf-8"})
    assert not [value for value in CONTACT.values() if value in sheet.text]
    own = (await desk.get(f"/v1/cases/{ids['case_id']}/person")).json()["person"]
    assert own.keys() >= CONTACT.keys(), "the holder reads it"


async def test_what_was_said_in_a_meeting_stands_behind_no_other_door(
    intake: Running, desk: Caller, npo: Caller, night: Caller
) -> None:
    ids = await kept_by(intake, desk, night)
    found = set()
    for caller in (desk, npo, intake.as_("kagoshima-desk", *Role), intake.as_("kagoshima-npo", *Role)):
        async for where, text in all_that_is_read(intake, caller, ids):
            if SAID in text:
                found.add(where.partition(" ")[0])
            if ids["meeting_id"] in text:
                assert where.startswith("/v1/meetings"), where
    assert found == {f"/v1/meetings/{ids['meeting_id']}/cases/{ids['case_id']}/notes"}


async def test_a_kept_answer_tells_no_words_and_is_not_given_to_who_stands_for_less(
    intake: Running, desk: Caller, night: Caller
) -> None:
    ids = await kept_by(intake, desk, night)
    words = [*CONTACT.values(), SAID, "架空 花子", "下書 きよ", "名簿 みつ", "三日連絡がつかず"]
    kept = [row["body"].decode() for row in await intake.rows("SELECT body FROM idempotency")]
    assert len(kept) >= 10
    assert [word for word in words if any(word in body for body in kept)] == []
    key, path = str(uuid4()), f"/v1/cases/{ids['case_id']}/closing"
    assert (await desk.post(path, {"interruption": "moved_away"}, key=key)).status_code == 200
    less = intake.as_("kagoshima-desk", Role.PLACEMENT)
    moved = intake.as_("kagoshima-desk", municipalities=[KIRISHIMA])
    assert (await less.post(path, {"interruption": "moved_away"}, key=key)).status_code == 403
    assert (await moved.post(path, {"interruption": "moved_away"}, key=key)).status_code == 401
    assert (await intake.as_("kagoshima-npo").post(path, {"interruption": "moved_away"}, key=key)).status_code == 403


async def test_an_emergency_exports_nothing_and_its_hour_ends_to_the_minute(
    intake: Running, desk: Caller, night: Caller
) -> None:
    ids = await kept_by(intake, desk, night)
    case = f"/v1/cases/{ids['case_id']}"
    both = intake.as_("kagoshima-night", Role.EMERGENCY, Role.COUNSELLOR)
    assert (await read(both, case, basis="emergency"))[0] == 200
    for path in ("hand-over-sheet.csv", "hand-over-sheet.html", "accesses.csv", "accesses"):
        assert (await both.get(f"{case}/{path}")).status_code == 403
    period = {"from": today(intake), "to": today(intake), "encoding": "utf-8"}
    assert "架空 花子" not in (await both.get("/v1/exports/reception-list.csv", params=period)).text
    until = {"until": today(intake, 1), "reason": "danger_to_life", "purpose": "support", "sets": ["identity"]}
    disclosed = await both.post(f"{case}/disclosures", until | {"recipient": "kagoshima-npo", "basis": "emergency"})
    assert disclosed.status_code == 403
    intake.pass_time(timedelta(minutes=59))
    assert (await read(both, case, basis="emergency"))[0] == 200
    intake.pass_time(timedelta(minutes=1))
    assert await read(both, case, basis="emergency") == (403, "no_basis")


async def test_a_disclosure_that_a_narrower_yes_took_back_does_not_rise_again(
    intake: Running, desk: Caller, npo: Caller
) -> None:
    agreed = {"state": "given", "purposes": ["referral"], "recipients": ["kagoshima-npo", "kagoshima-hello-work"]}
    for narrower in ({"recipients": ["kagoshima-hello-work"]}, {"purposes": ["training"]}, {"categories": ["contact"]}):
        case = await with_sheet(desk, consent=agreed)
        body = {"recipient": "kagoshima-npo", "purpose": "referral", "sets": ["identity"], "basis": "consent"}
        until = {"until": today(intake, 9), "reason": "support_together"}
        assert (await desk.post(f"{case}/disclosures", body | until)).status_code == 201
        assert (await read(npo, case, "referral", basis="consent"))[0] == 200
        for said in (agreed | narrower, agreed):
            assert (await desk.post(f"{case}/consents", said)).status_code == 201
        (disclosed,) = await npo.whole(f"{case}/disclosures")
        assert disclosed["ended_at"], narrower


async def test_a_member_from_another_town_sees_the_meeting_and_nothing_else(
    intake: Running, desk: Caller, far: Caller
) -> None:
    case = (await with_sheet(desk, person={"name": "架空 花子"} | CONTACT, consent={"state": "refused"}))[-36:]
    meeting = {"kind": "shien_kaigi", "held_on": today(intake), "topic": "debt", "members": ["kirishima-desk"]}
    convened = (await desk.post("/v1/meetings", meeting)).json()["meeting_id"]
    await desk.post(f"/v1/meetings/{convened}/cases", {"case_id": case})
    await desk.post(f"/v1/meetings/{convened}/cases/{case}/notes", {"text": SAID})
    ids = dict.fromkeys(("other_id", "disclosure_id", "emergency_id"), str(uuid4()))
    async for where, text in all_that_is_read(intake, far, ids | {"case_id": case, "meeting_id": convened}):
        if not where.startswith("/v1/meetings"):
            assert case not in text.replace(where.partition(" ")[0], ""), where
            assert "架空 花子" not in text, where
            assert not where.startswith("/v1/cases/") or '"code": "not_found"' in text, f"{where}: {text}"
    assert SAID in (await far.get(f"/v1/meetings/{convened}/cases/{case}/notes")).text


async def test_a_hand_off_that_waits_is_called_off_by_the_holder_alone(desk: Caller, npo: Caller) -> None:
    case = await with_sheet(desk)
    assert (await desk.post(f"{case}/screenings", {"outcome": "hand_off"})).status_code == 201
    refused = await npo.post(f"{case}/screenings", {"outcome": "information"})
    assert (refused.status_code, refused.json()["code"]) == (403, "not_the_holder")
    assert (await desk.get(case)).json()["hand_off_open"]
    assert (await desk.post(f"{case}/screenings", {"outcome": "support"})).status_code == 201
    assert (await npo.post(f"{case}/screenings", {"outcome": "information"})).status_code == 201
