"""What is known about a person: who may see how much of it, what stands in the log, and that it lies sealed."""

import asyncio
import hashlib
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.auth import Role
from shared.vault import MasterKeys
from shared.vault.masters import with_next_index
from tests.service import intake_counter
from tests.world import KAGOSHIMA, KIRISHIMA, MASTER_KEYS, Caller, Running, World, execute_as_admin

SHEET = {
    "name": "架空 花子",
    "kana": "かくう はなこ",
    "birth_date": "昭和60年4月1日",
    "phone": "０９９-０００-００００",
    "address": "架空市架空町1-2",
    "health_note": "腰を痛めている",
    "story": "仕事を失い、家賃が払えない",
    "proxy_name": "架空 太郎",
}
KEPT = SHEET | {"kana": "カクウ ハナコ", "birth_date": "1985-04-01", "phone": "099-000-0000"}
GIVEN = {"state": "given", "purposes": ["referral"], "recipients": ["kagoshima-npo"]}


async def opened(desk: Caller, **body: Any) -> str:
    return f"/v1/cases/{await intake_counter.opened(desk, **{'person': SHEET} | body)}"


async def logged(intake: Running) -> list[tuple[Any, ...]]:
    return await intake_counter.logged(intake, "action", "agency", "purpose", "basis", "fields")


# --- reading and writing --------------------------------------------------------------------------------------------


async def test_the_holder_reads_what_was_written_in_its_kept_form(world: World) -> None:
    desk = world.service("intake").as_()
    answer = await desk.get(await opened(desk) + "/person")
    assert answer.json()["person"] == KEPT | {"next_step": "次の対応を決める"}
    assert (answer.json()["basis"], answer.json()["masked"], answer.headers["etag"]) == ("appi_69_2_2", [], '"1"')


async def test_a_sheet_may_be_empty(world: World) -> None:
    desk = world.service("intake").as_()
    path = await opened(desk, person=None)
    assert (await desk.get(f"{path}/person")).json()["person"] == {"next_step": "次の対応を決める"}


async def test_a_field_is_changed_or_emptied_and_every_version_stays(world: World) -> None:
    intake = world.service("intake")
    desk = intake.as_()
    path = await opened(desk)
    saved = await desk.patch(f"{path}/person", {"phone": None, "name": "架空 はな"}, etag='"1"')
    assert (saved.status_code, saved.json(), saved.headers["etag"]) == (200, {"version": 2}, '"2"')
    person = (await desk.get(f"{path}/person")).json()["person"]
    assert person["name"] == "架空 はな"
    assert "phone" not in person
    assert person["address"] == SHEET["address"]
    kept = await intake.rows("SELECT field, version FROM personal_value WHERE field IN ('name', 'phone')")
    assert sorted((row["field"], row["version"]) for row in kept) == [
        ("name", 1), ("name", 2), ("phone", 1), ("phone", 2),
    ]  # fmt: skip


async def test_who_saves_late_is_told_who_wrote_which_field_and_never_what(world: World) -> None:
    desk = world.service("intake").as_()
    path = await opened(desk) + "/person"
    first, second = await asyncio.gather(
        desk.patch(path, {"phone": "099-111-1111"}, etag='"1"'), desk.patch(path, {"address": "別の町"}, etag='"1"')
    )
    late = first if first.status_code == 412 else second
    assert sorted([first.status_code, second.status_code]) == [200, 412]
    (told,) = late.json()["errors"]
    assert told["by"] == "kagoshima-desk"
    assert told["pointer"] in {"/phone", "/address"}
    assert "099-111-1111" not in late.text
    assert "別の町" not in late.text


async def test_the_next_step_is_for_the_holder_alone(world: World) -> None:
    intake = world.service("intake")
    desk, neighbour = intake.as_(), intake.as_("kagoshima-npo")
    path = await opened(desk, next_step="あす電話する")
    assert (await desk.get(path)).json()["next_step"] == "あす電話する"
    assert (await desk.get("/v1/cases")).json()["items"][0]["next_step"] == "あす電話する"
    assert (await neighbour.get(path)).json()["next_step"] is None
    assert (await neighbour.get("/v1/cases")).json()["items"][0]["next_step"] is None
    assert (await neighbour.patch(path, {"next_step": "x"}, etag='"1"')).json()["code"] == "not_the_holder"


# --- who may see what -----------------------------------------------------------------------------------------------


async def test_without_a_basis_nothing_is_disclosed(world: World) -> None:
    intake = world.service("intake")
    path = await opened(intake.as_()) + "/person"
    answer = await intake.as_("kagoshima-npo").get(path, params={"purpose": "referral"})
    assert (answer.status_code, answer.json()["code"]) == (403, "no_basis")


async def test_for_another_municipality_there_is_no_such_person(world: World) -> None:
    intake = world.service("intake")
    path = await opened(intake.as_()) + "/person"
    stranger = intake.as_("kirishima-desk", municipalities=[KIRISHIMA])
    known, unknown = await stranger.get(path), await stranger.get(f"/v1/cases/{uuid4()}/person")
    assert known.status_code == 404
    assert known.json() | {"instance": ""} == unknown.json() | {"instance": ""}
    assert (await stranger.patch(path, {"name": "x"}, etag='"1"')).status_code == 404
    assert (await stranger.get(path.replace("person", "accesses"))).status_code == 404


async def test_consent_shows_its_recipient_what_the_purpose_needs_and_no_more(world: World) -> None:
    intake = world.service("intake")
    path = await opened(intake.as_(), consent=GIVEN) + "/person"
    npo = intake.as_("kagoshima-npo")
    seen = (await npo.get(path, params={"purpose": "referral"})).json()
    assert seen["basis"] == "consent"
    assert set(seen["person"]) == {"name", "kana", "birth_date", "phone", "address", "story", "next_step"}
    assert seen["masked"] == ["family", "health", "proxy"]
    assert (await npo.get(path, params={"purpose": "training"})).status_code == 403
    assert (await npo.patch(path, {"name": "x"}, etag='"1"')).json()["code"] == "not_the_holder"
    other = intake.as_("kagoshima-school", Role.COUNSELLOR)
    assert (await other.get(path, params={"purpose": "referral"})).status_code == 403


async def test_withdrawn_consent_closes_at_once(world: World) -> None:
    intake = world.service("intake")
    desk = intake.as_()
    path = await opened(desk, consent=GIVEN)
    npo = intake.as_("kagoshima-npo")
    assert (await npo.get(f"{path}/person", params={"purpose": "referral"})).status_code == 200
    assert (await desk.post(f"{path}/consents", {"state": "withdrawn"})).status_code == 201
    assert (await npo.get(f"{path}/person", params={"purpose": "referral"})).status_code == 403


async def test_where_there_was_violence_the_way_to_the_person_is_masked_for_all_but_the_holder(world: World) -> None:
    intake = world.service("intake")
    desk = intake.as_()
    path = await opened(desk, consent=GIVEN, topics=["violence"]) + "/person"
    seen = (await intake.as_("kagoshima-npo").get(path, params={"purpose": "referral"})).json()
    assert {"phone", "address", "proxy_name"}.isdisjoint(seen["person"])
    assert "contact" in seen["masked"]
    assert (await desk.get(path)).json()["person"]["phone"] == KEPT["phone"]


# --- the log --------------------------------------------------------------------------------------------------------


async def test_every_reading_and_writing_stands_in_the_log_with_its_purpose_and_basis(world: World) -> None:
    intake = world.service("intake")
    desk = intake.as_()
    path = await opened(desk, person={"name": "架空 花子"}, consent=GIVEN)
    await intake.as_("kagoshima-npo").get(f"{path}/person", params={"purpose": "referral"})
    await desk.patch(f"{path}/person", {"phone": "099-111-1111"}, etag='"1"')
    await desk.get("/v1/cases")
    contact = ["name", "kana", "previous_name", "sex", "birth_date", "postcode", "address", "phone", "other_phone"]
    assert await logged(intake) == [
        ("write", "kagoshima-desk", "support", "appi_69_2_2", ["name", "next_step"]),
        ("read", "kagoshima-npo", "referral", "consent", [*contact, "email", "contact_note", "story", "next_step"]),
        ("write", "kagoshima-desk", "support", "appi_69_2_2", ["phone"]),
        ("read", "kagoshima-desk", "support", "appi_69_2_2", ["next_step"]),
    ]


async def test_a_refused_access_opens_nothing_and_so_logs_none(world: World) -> None:
    intake = world.service("intake")
    path = await opened(intake.as_()) + "/person"
    before = await logged(intake)
    await intake.as_("kagoshima-npo").get(path)
    assert await logged(intake) == before


async def test_where_the_log_cannot_be_written_there_is_no_answer(world: World) -> None:
    intake = world.service("intake")
    desk = intake.as_()
    path = await opened(desk) + "/person"
    await execute_as_admin(
        world.postgres, "REVOKE INSERT ON intake.access_log FROM tsunagu_intake", world.database_name
    )
    answer = await desk.get(path)
    assert answer.status_code == 500
    assert SHEET["name"] not in answer.text
    assert (await desk.post("/v1/cases", {"person": SHEET})).status_code == 500
    assert len(await intake.rows("SELECT FROM case_")) == 1


async def test_the_person_can_be_told_who_looked(world: World) -> None:
    intake = world.service("intake")
    desk = intake.as_()
    path = await opened(desk, consent=GIVEN)
    npo = intake.as_("kagoshima-npo")
    await npo.get(f"{path}/person", params={"purpose": "referral"})
    found = (await desk.get(f"{path}/accesses")).json()["items"]
    assert [(entry["agency"], entry["action"], entry["basis"]) for entry in found] == [
        ("kagoshima-desk", "write", "appi_69_2_2"),
        ("kagoshima-npo", "read", "consent"),
    ]
    assert (await npo.get(f"{path}/accesses")).json()["code"] == "not_the_holder"


async def test_the_service_itself_cannot_change_what_was_logged_or_written(world: World) -> None:
    intake = world.service("intake")
    await opened(intake.as_())
    for statement in (
        "UPDATE access_log SET agency = 'nobody'",
        "DELETE FROM access_log",
        "DELETE FROM access_seal",
        "UPDATE personal_value SET sealed = NULL",
        "DELETE FROM personal_value",
        "DELETE FROM erasure",
    ):
        with pytest.raises(Exception, match="permission denied"):
            await intake.rows(statement)


# --- sealed ---------------------------------------------------------------------------------------------------------


async def test_nothing_of_it_lies_in_the_clear_anywhere_in_the_database(world: World) -> None:
    intake = world.service("intake")
    desk = intake.as_()
    canaries = {name: f"カナリア{number}羽{uuid4().hex[:8]}" for number, name in enumerate(
        ["name", "previous_name", "address", "contact_note", "proxy_name", "health_note", "family_note", "story"]
    )}  # fmt: skip
    path = await opened(desk, person=canaries, next_step="カナリア終")
    await desk.patch(f"{path}/person", {"story": canaries["story"] + "二"}, etag='"1"')
    assert await intake_counter.in_the_clear(intake, *canaries.values(), "カナリア終") == []


async def test_what_was_asked_leaves_no_digest_that_could_be_guessed(world: World) -> None:
    intake = world.service("intake")
    desk = intake.as_()
    body, key = {"person": {"phone": "099-000-0000"}}, str(uuid4())
    first = await desk.post("/v1/cases", body, key=key)
    again = await desk.post("/v1/cases", body, key=key)
    assert (again.json(), again.headers["idempotency-replayed"]) == (first.json(), "true")
    assert (await desk.post("/v1/cases", {"person": {"phone": "099-000-0001"}}, key=key)).status_code == 422
    (kept,) = await intake.rows("SELECT fingerprint FROM idempotency")
    plain = desk._client.build_request("POST", "/v1/cases", json=body).content
    assert hashlib.sha256(plain).digest() not in kept["fingerprint"]
    assert len(kept["fingerprint"]) == 20


async def test_a_request_repeated_after_its_index_key_was_changed_is_still_the_same(world: World) -> None:
    intake = world.service("intake")
    key, text = str(uuid4()), MASTER_KEYS
    first = await intake.as_().post("/v1/cases", {"entrance": "phone"}, key=key)
    intake.database.carries["masters"] = MasterKeys(lambda: with_next_index(text))
    again = await intake.as_().post("/v1/cases", {"entrance": "phone"}, key=key)
    assert again.json() == first.json()
    newer = with_next_index(text).splitlines()
    intake.database.carries["masters"] = MasterKeys(lambda: "\n".join(line for line in newer if "index 1" not in line))
    gone = await intake.as_().post("/v1/cases", {"entrance": "phone"}, key=key)
    assert (gone.status_code, gone.json()["code"]) == (422, "idempotency_key_reused")


async def test_a_value_moved_to_another_case_does_not_open_there(world: World) -> None:
    intake = world.service("intake")
    desk = intake.as_()
    mine, other = await opened(desk), await opened(desk)
    await execute_as_admin(
        world.postgres,
        f"UPDATE intake.personal_value t SET sealed = s.sealed FROM intake.personal_value s"
        f" WHERE t.field = 'health_note' AND s.field = 'health_note'"
        f" AND t.case_id = '{UUID(mine[-36:])}' AND s.case_id = '{UUID(other[-36:])}'",
        world.database_name,
    )
    answer = await desk.get(f"{mine}/person")
    assert answer.status_code == 500
    assert (await desk.get(f"{other}/person")).status_code == 200


# --- bad input ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "pointer", "named"),
    [
        ({"架空花子": "x"}, "/", "municipality, entrance, topics"),
        ({"person": {"架空花子": "x"}}, "/person", "name, kana, previous_name"),
        ({"consent": {"state": "given", "purposes": ["referral"], "架空花子": "x"}}, "/consent", "state, purposes"),
    ],
)
async def test_an_unknown_field_is_answered_with_those_that_there_are(
    world: World, body: dict[str, Any], pointer: str, named: str
) -> None:
    answer = await world.service("intake").as_().post("/v1/cases", body)
    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["pointer"], error["code"]) == (422, pointer, "extra_forbidden")
    assert f"(allowed: {named}" in error["message"]
    assert f"(使えるもの: {named}" in error["message_ja"]
    assert "架空花子" not in answer.text


@pytest.mark.parametrize(
    ("person", "pointer", "code"),
    [
        ({"birth_date": "令和8年2月30日"}, "/person/birth_date", "date_from_datetime_parsing"),
        ({"birth_date": "2190-01-01"}, "/person/birth_date", "in_the_future"),
        ({"birth_date": "1850-01-01"}, "/person/birth_date", "day_out_of_reach"),
        ({"name": "\ue000田"}, "/person/name", "gaiji"),
        ({"name": "名" * 101}, "/person/name", "too_long"),
        ({"name": "\u3000"}, "/person/name", "too_short"),
        ({"phone": "電話なし"}, "/person/phone", "string_pattern_mismatch"),
        ({"phone": "1234-5678-9018"}, "/person/phone", "personal_number"),
        ({"story": "番号は123456789018です"}, "/person/story", "personal_number"),
        ({"postcode": "89-0000"}, "/person/postcode", "string_pattern_mismatch"),
        ({"email": "花子"}, "/person/email", "string_pattern_mismatch"),
        ({"sex": "(female)"}, "/person/sex", "literal_error"),
        ({"my_number": "x"}, "/person", "extra_forbidden"),
    ],
)
async def test_what_cannot_be_kept_is_named_by_field_and_remedy_and_never_echoed(
    world: World, person: dict[str, str], pointer: str, code: str
) -> None:
    intake = world.service("intake")
    answer = await intake.as_().post("/v1/cases", {"person": person})
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["pointer"] == pointer
    assert error["code"] == code
    assert error["message_ja"] != "受け付けられない値です"
    assert next(iter(person.values())) not in answer.text or person == {"my_number": "x"}
    assert await intake.rows("SELECT FROM case_") == []


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ({"kana": "ｶｸｳ ﾊﾅｺ"}, "カクウ ハナコ"),
        ({"name": "神谷　葉子"}, "神谷　葉子"),
        ({"phone": "+81 99-000-0000"}, "099-000-0000"),
        ({"phone": "０９９ー０００ー００００"}, "099-000-0000"),
        ({"birth_date": "H元.5.1"}, "1989-05-01"),
        ({"postcode": "８９０−００００"}, "890-0000"),
    ],
)
async def test_what_people_write_is_kept_so_that_equal_is_equal(
    world: World, written: dict[str, str], kept: str
) -> None:
    desk = world.service("intake").as_("kagoshima-desk", municipalities=[KAGOSHIMA])
    (field,) = written
    assert (await desk.get(await opened(desk, person=written) + "/person")).json()["person"][field] == kept


async def test_codes_of_health_and_violence_are_for_whom_a_basis_opens_them(world: World) -> None:
    intake = world.service("intake")
    desk, npo, other = intake.as_(), intake.as_("kagoshima-npo"), intake.as_("kagoshima-shakyo")
    consent = {
        "state": "given",
        "purposes": ["referral", "assessment"],
        "recipients": ["kagoshima-npo"],
        "categories": ["story", "health"],
    }
    codes = {"topics": ["health", "violence", "debt"], "needs": ["health", "people"], "most_serious": "violence"}
    path = f"/v1/cases/{await intake_counter.opened(desk, **codes, consent=consent)}"

    async def seen(caller: Caller) -> tuple[Any, ...]:
        case = (await caller.get(path)).json()
        (listed,) = [each for each in await caller.whole("/v1/cases") if each["case_id"] == case["case_id"]]
        timeline = await caller.whole(f"{path}/timeline")
        names = ("topics", "needs", "urgency", "most_serious", "sensitive_open")
        assert listed["urgent"], "that it presses is everybody's to know"
        return (*(case[name] for name in names), listed["topics"], timeline[0]["codes"]["topics"])

    whole = ["health", "violence", "debt"]
    everything = (whole, ["health", "people"], ["violence"], "violence", True)
    assert await seen(desk) == (*everything, whole, whole)
    assert await seen(npo) == (*everything, ["debt"], whole), "a list shows them to the holder alone"
    assert await seen(other) == (["debt"], ["people"], [], None, False, ["debt"], ["debt"])
    etag = (await other.get(path)).headers["etag"]
    written = await other.patch(path, {"topics": ["income"], "needs": ["people"], "urgency": []}, etag=etag)
    assert (written.status_code, written.json()["topics"]) == (200, ["income"])
    kept = (await desk.get(path)).json()
    assert sorted(kept["topics"]) == ["health", "income", "violence"], "nobody takes away what they are not shown"
    assert (sorted(kept["needs"]), kept["urgency"]) == (["health", "people"], ["violence"])
    guessed = await other.patch(path, {"most_serious": "violence"}, etag=written.headers["etag"])
    assert guessed.status_code == 422, "nor finds out by asking"
