"""The same person at two doors: who is shown what, what is logged, and that nothing of it can be read in the tables."""

import asyncio
import hashlib
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from services.intake.domain.matching import comparable
from services.intake.tables import matching as tables
from shared.database import BY_COMMAND
from shared.events import ReferralAccepted
from shared.vault import Access, Action, MasterKeys, erase
from shared.vault.masters import with_next_index
from tests.service import intake_counter
from tests.service.intake_counter import today
from tests.service.test_operator_commands import Operator
from tests.world import KAGOSHIMA, KIRISHIMA, MASTER_KEYS, ZAMA, Caller, Running, World, execute_as_admin

HANAKO = {
    "name": "架空 花子", "kana": "かくう はなこ", "previous_name": "空想 花子", "birth_date": "昭和60年4月1日",
    "phone": "099-000-0001", "other_phone": "090-0000-0002", "email": "Hanako@example.jp",
}  # fmt: skip
REFERRAL = {"state": "given", "purposes": ["referral"]}


async def opened(caller: Caller, person: dict[str, Any] | None = None, **body: Any) -> str:
    return await intake_counter.opened(caller, person=HANAKO if person is None else person, **body)


async def search(caller: Caller, **person: str) -> list[dict[str, Any]]:
    answer = await caller.post("/v1/persons/search", person)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def candidates(caller: Caller, case_id: str) -> dict[str, Any]:
    answer = await caller.get(f"/v1/cases/{case_id}/candidates")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def searches_of(intake: Running, case_id: str) -> list[tuple[str, str]]:
    rows = await intake.rows(
        "SELECT agency, basis FROM access_log WHERE subject_id = $1 AND action = 'search' ORDER BY id", UUID(case_id)
    )
    return [(row["agency"], row["basis"]) for row in rows]


@pytest.fixture
def kirishima(intake: Running) -> Caller:
    return intake.as_("kirishima-desk", municipalities=[KIRISHIMA])


# --- search ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("person", "agrees", "likelihood"),
    [
        ({"kana": "ｶｸｳ ﾊﾅｺ", "birth_date": "1985-04-01"}, ["reading_and_birth_date"], "likely"),
        ({"name": "架空花子"}, ["name"], "weak"),
        ({"kana": "カクー　ハナコ"}, ["reading"], "weak"),
        ({"name": "空想 花子", "birth_date": "S60.4.1"}, ["previous_name_and_birth_date"], "likely"),
        ({"previous_name": "架空 花子"}, ["previous_name"], "weak"),
        ({"phone": "+81 90 0000 0002"}, ["phone"], "possible"),
        ({"email": "HANAKO@EXAMPLE.JP"}, ["email"], "possible"),
        ({"kana": "カクウ ハナコ", "birth_date": "1985-04-02"}, None, None),
    ],
)
async def test_a_person_is_found_however_it_was_written_and_only_the_fields_are_named(
    desk: Caller, npo: Caller, person: dict[str, str], agrees: list[str] | None, likelihood: str | None
) -> None:
    case_id = await opened(desk)
    found = await search(npo, **person)
    if agrees is None:
        assert found == []
        return
    (one,) = found
    assert (one["case_id"], one["holder_agency"], one["agrees"], one["likelihood"]) == (
        case_id, "kagoshima-desk", agrees, likelihood,
    )  # fmt: skip
    for value in HANAKO.values():
        assert value not in str(found)


async def test_likelier_ones_come_first_and_there_is_an_end(desk: Caller) -> None:
    for number in range(25):
        await opened(desk, {"name": "架空 花子", "birth_date": f"1985-04-{number + 2:02}"})
    same = await opened(desk)
    answer = (await desk.post("/v1/persons/search", {"name": "架空 花子", "phone": "0990000001"})).json()
    assert (len(answer["items"]), answer["more"], answer["items"][0]["case_id"]) == (20, True, same)


async def test_what_was_searched_for_is_kept_nowhere(intake: Running, desk: Caller) -> None:
    """A kept answer's fingerprint of the body would be no secret: there are few telephone numbers."""
    await search(desk, phone="0990000001")
    assert await intake.rows("SELECT FROM idempotency") == []
    assert (await intake.client.post("/v1/persons/search", json={"phone": "0990000001"})).status_code == 401


async def test_each_showing_stands_in_the_log_of_who_was_shown(intake: Running, desk: Caller, npo: Caller) -> None:
    case_id, other = await opened(desk), await opened(desk, {"name": "別の 人"})
    await search(npo, name="架空花子", phone="099-000-0001")
    (entry,) = await intake.rows("SELECT * FROM access_log WHERE action = 'search'")
    assert (str(entry["subject_id"]), entry["agency"], entry["purpose"], entry["basis"], entry["fields"]) == (
        case_id, "kagoshima-npo", "support", "appi_69_2_2", ["name", "phone"],
    )  # fmt: skip
    assert await searches_of(intake, other) == []
    seen = (await desk.get(f"/v1/cases/{case_id}/accesses")).json()["items"]
    assert [(each["agency"], each["action"]) for each in seen][-1] == ("kagoshima-npo", "search")


async def test_where_the_log_cannot_be_written_nothing_is_shown(world: World, desk: Caller) -> None:
    case_id = await opened(desk)
    await execute_as_admin(
        world.postgres, "REVOKE INSERT ON intake.access_log FROM tsunagu_intake", world.database_name
    )
    answer = await desk.post("/v1/persons/search", {"phone": "0990000001"})
    assert (answer.status_code, case_id in answer.text) == (500, False)


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({}, "/", "nothing_to_find_by"),
        ({"birth_date": "1985-04-01"}, "/", "nothing_to_find_by"),
        ({"phone": None}, "/", "nothing_to_find_by"),
        ({"kana": "\ue000"}, "/kana", "gaiji"),
        ({"phone": "1234-5678-9018"}, "/phone", "personal_number"),
        ({"story": "x"}, "/", "extra_forbidden"),
    ],
)
async def test_a_search_for_nothing_is_refused(desk: Caller, body: dict[str, Any], pointer: str, code: str) -> None:
    answer = await desk.post("/v1/persons/search", body)
    assert answer.status_code == 422
    assert [(error["pointer"], error["code"]) for error in answer.json()["errors"]] == [(pointer, code)]


# --- the index follows the sheet ------------------------------------------------------------------------------------


async def test_an_old_telephone_finds_nobody_any_more(desk: Caller, npo: Caller) -> None:
    path = f"/v1/cases/{await opened(desk)}/person"
    await desk.patch(path, {"phone": "099-000-0009", "email": None}, etag='"1"')
    assert await search(npo, phone="099-000-0001") == []
    assert await search(npo, email="hanako@example.jp") == []
    for number in ("099-000-0009", "090-0000-0002"):
        assert len(await search(npo, phone=number)) == 1


async def test_a_name_that_changes_is_compared_with_the_day_that_stays_and_both_readings_are_logged(
    intake: Running, desk: Caller, npo: Caller
) -> None:
    case_id = await opened(desk)
    await desk.patch(f"/v1/cases/{case_id}/person", {"kana": "ベツセイ ハナコ", "name": None}, etag='"1"')
    (found,) = await search(npo, kana="べつせい はなこ", birth_date="1985-04-01")
    assert found["agrees"] == ["reading_and_birth_date"]
    assert await search(npo, name="架空 花子", kana="カクウ ハナコ") == []
    rows = await intake.rows("SELECT action, fields FROM access_log WHERE agency = 'kagoshima-desk' ORDER BY id")
    assert [tuple(row) for row in rows[1:]] == [
        ("write", ["name", "kana"]),
        ("read", ["previous_name", "birth_date"]),
    ]


async def test_two_who_save_at_once_leave_the_fingerprints_of_what_stands(
    intake: Running, desk: Caller, npo: Caller
) -> None:
    path = f"/v1/cases/{await opened(desk)}/person"
    numbers = [f"099-000-10{number:02}" for number in range(8)]
    answers = await asyncio.gather(*(desk.patch(path, {"phone": number}, etag='"1"') for number in numbers))
    (won,) = [number for number, answer in zip(numbers, answers, strict=True) if answer.status_code == 200]
    for number in numbers:
        assert len(await search(npo, phone=number)) == (number == won)
    rows = await intake.rows("SELECT kind FROM person_index WHERE kind IN ('phone', 'other_phone')")
    assert sorted(row["kind"] for row in rows) == ["other_phone", "phone"]


async def test_no_value_and_no_plain_hash_of_one_lies_in_the_index(intake: Running, desk: Caller) -> None:
    await opened(desk)
    rows = await intake.rows("SELECT *, i::text AS whole FROM person_index i")
    assert len(rows) == 11
    written = set(HANAKO.values()) | set(comparable(HANAKO | {"birth_date": "1985-04-01"}).values())
    kinds = {row["kind"] for row in rows} | {""}
    hashes = {
        hashlib.new(algorithm, f"{kind}{between}{value}".encode()).digest()[:16]
        for algorithm in ("md5", "sha1", "sha256", "sha512")
        for value in written
        for kind in kinds
        for between in ("", ":", "\x1f")
    }
    for row in rows:
        assert row["fingerprint"] not in hashes
        for value in written:
            assert value not in row["whole"]
            assert value.encode().hex() not in row["whole"]


async def test_without_our_key_the_same_values_make_other_fingerprints(intake: Running, desk: Caller) -> None:
    await opened(desk)
    intake.database.carries["masters"] = MasterKeys(lambda: OTHER)
    assert await search(desk, phone="0990000001") == []


OTHER = "\n".join([MASTER_KEYS.splitlines()[0], "index 1 " + "A" * 43 + "="])


# --- another municipality -------------------------------------------------------------------------------------------


async def test_a_search_tells_nothing_of_another_municipality(intake: Running, desk: Caller, kirishima: Caller) -> None:
    """Byte for byte the answer that is given where there is nobody at all."""
    theirs = await opened(kirishima, municipality=KIRISHIMA)
    for person in (
        {"name": "架空 花子"},
        {"phone": "099-000-0001"},
        {"kana": "カクウ ハナコ", "birth_date": "1985-04-01"},
    ):
        there = await desk.post("/v1/persons/search", person)
        nobody = await desk.post("/v1/persons/search", {"name": "だれでも ない"})
        assert (there.content, there.status_code) == (nobody.content, nobody.status_code)
    assert await searches_of(intake, theirs) == []


@pytest.mark.parametrize(
    ("consent", "asked"),
    [
        (None, []),
        ({"state": "not_yet"}, []),
        ({"state": "given", "purposes": ["assessment"]}, []),
        ({"state": "given", "purposes": ["referral"], "recipients": ["somebody-else"]}, []),
        (REFERRAL, [KIRISHIMA]),
        ({"state": "given", "purposes": ["referral"], "recipients": ["kirishima-desk"]}, [KIRISHIMA]),
    ],
)
async def test_only_with_consent_it_is_told_that_a_desk_can_be_asked(
    intake: Running, desk: Caller, kirishima: Caller, consent: dict[str, Any] | None, asked: Sequence[str]
) -> None:
    theirs = await opened(kirishima, municipality=KIRISHIMA)
    ours = await opened(desk, **({} if consent is None else {"consent": consent}))
    assert await candidates(desk, ours) == {"items": [], "more": False, "elsewhere": asked}
    assert await searches_of(intake, theirs) == [("kagoshima-desk", "consent")] * len(asked)
    if asked:
        await desk.post(f"/v1/cases/{ours}/consents", {"state": "withdrawn"})
        assert (await candidates(desk, ours))["elsewhere"] == []


async def test_a_telephone_in_common_is_no_ground_to_ask_elsewhere(desk: Caller, kirishima: Caller) -> None:
    await opened(kirishima, {"phone": HANAKO["phone"], "name": HANAKO["name"]}, municipality=KIRISHIMA)
    assert (await candidates(desk, await opened(desk, consent=REFERRAL)))["elsewhere"] == []


@pytest.mark.parametrize("flag", [{"topics": ["violence"]}, {"urgency": ["violence"]}])
async def test_who_may_be_sought_is_found_in_no_other_town(
    desk: Caller, kirishima: Caller, flag: dict[str, Any]
) -> None:
    await opened(kirishima, municipality=KIRISHIMA, **flag)
    assert (await candidates(desk, await opened(desk, consent=REFERRAL)))["elsewhere"] == []


async def test_for_another_municipality_there_are_no_candidates_no_links_and_no_inquiries(
    desk: Caller, kirishima: Caller
) -> None:
    path = f"/v1/cases/{await opened(desk)}"
    other = await opened(desk)
    for answer in (
        await kirishima.get(f"{path}/candidates"),
        await kirishima.get(f"{path}/links"),
        await kirishima.get(f"{path}/inquiries"),
        await kirishima.post(f"{path}/links", {"other": other, "reason": "documents"}),
        await kirishima.post(f"{path}/links/{other}/unlinking", {"reason": "by_mistake"}),
        await kirishima.post(f"{path}/inquiries", {"municipality": ZAMA}),
    ):
        assert answer.status_code == 404


async def test_a_prefecture_finds_in_its_towns_and_an_agency_its_own_case_anywhere(
    intake: Running, desk: Caller, npo: Caller
) -> None:
    case_id = await opened(npo, municipality=KIRISHIMA)
    assert await search(desk, phone="0990000001") == []
    for caller in (npo, intake.as_("prefecture-desk", municipalities=["prefecture:46"])):
        assert [each["case_id"] for each in await search(caller, phone="0990000001")] == [case_id]
    assert await search(intake.as_("far-desk", municipalities=["prefecture:14"]), phone="0990000001") == []
    # Who took the person on from another town holds the case, and finds it.
    far = intake.as_("zama-desk", municipalities=[ZAMA])
    taken = ReferralAccepted(case_id=UUID(case_id), referral_id=uuid4(), sender="kagoshima-npo", receiver="zama-desk")
    await intake.hear(taken)
    assert [each["case_id"] for each in await search(far, phone="0990000001")] == [case_id]


# --- candidates of a case -------------------------------------------------------------------------------------------


async def test_the_holder_is_shown_other_cases_with_reasons_and_everybody_else_asks_the_holder(
    intake: Running, desk: Caller, npo: Caller
) -> None:
    theirs = await opened(npo, {"kana": "カクウ ハナコ", "birth_date": "1985-04-01"})
    ours = await opened(desk)
    (one,) = (await candidates(desk, ours))["items"]
    assert (one["case_id"], one["agrees"], one["link"]) == (theirs, ["reading_and_birth_date"], None)
    assert (await npo.get(f"/v1/cases/{ours}/candidates")).json()["code"] == "no_basis"
    assert await searches_of(intake, ours) == [("kagoshima-desk", "appi_69_2_2")]
    assert await searches_of(intake, theirs) == [("kagoshima-desk", "appi_69_2_2")]


async def test_twins_are_possible_and_no_more(desk: Caller, npo: Caller) -> None:
    twin = HANAKO | {"name": "架空 葉子", "kana": "カクウ ヨウコ", "previous_name": "空想 葉子"}
    await opened(npo, twin)
    (one,) = (await candidates(desk, await opened(desk)))["items"]
    assert (one["likelihood"], one["agrees"]) == ("possible", ["birth_date", "email", "phone"])


async def test_a_case_without_a_sheet_has_no_candidates(desk: Caller) -> None:
    await opened(desk)
    assert (await candidates(desk, await opened(desk, {})))["items"] == []


# --- violence -------------------------------------------------------------------------------------------------------


async def test_who_may_be_sought_is_not_found_by_telephone_or_mail_but_by_the_holder(desk: Caller, npo: Caller) -> None:
    await opened(desk, topics=["violence"])
    for person in ({"phone": "099-000-0001"}, {"phone": "090-0000-0002"}, {"email": "hanako@example.jp"}):
        assert await search(npo, **person) == []
        assert len(await search(desk, **person)) == 1


async def test_a_masked_case_is_shown_as_if_it_had_no_telephone(desk: Caller, npo: Caller) -> None:
    await opened(desk, topics=["violence"])
    known = {"kana": "カクウ ハナコ", "birth_date": "1985-04-01"}
    right = await search(npo, **known, phone="099-000-0001")
    wrong = await search(npo, **known, phone="099-000-7777")
    assert right == wrong
    assert (right[0]["agrees"], right[0]["masked"]) == (["reading_and_birth_date"], ["contact"])
    assert (await search(desk, **known, phone="099-000-0001"))[0]["masked"] == []


# --- keys -----------------------------------------------------------------------------------------------------------


async def test_a_new_index_key_comes_in_beside_the_running_service(
    world: World, intake: Running, desk: Caller, npo: Caller, tmp_path: Any
) -> None:
    first, second = await opened(desk), await opened(desk)
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_text(MASTER_KEYS)
    operator = Operator(database_url=world.url("tsunagu_intake"), service="intake", master_keys=MASTER_KEYS)
    assert await operator.gives("keys", "next", str(old), "--to", str(new), "--index") == 0
    text = new.read_text()
    ring: list[str] = [MASTER_KEYS]
    intake.database.carries["masters"] = MasterKeys(lambda: ring[0])
    ring[0] = text  # the file is replaced under the running service

    # One case by the new key already, the other not yet: both are found, from both.
    other = Running(intake.service, world.settings("intake", master_keys=text))
    third = await opened(other.as_())
    for caller in (npo, other.as_("kagoshima-npo")):
        assert {each["case_id"] for each in await search(caller, phone="0990000001")} == {first, second, third}
    assert {each["case_id"] for each in (await candidates(desk, first))["items"]} == {second, third}
    assert (await desk.patch(f"/v1/cases/{first}/person", {"phone": "0990000001"}, etag='"1"')).status_code == 200

    operator = Operator(database_url=world.url("tsunagu_intake"), service="intake", master_keys=text)
    assert await operator.gives("keys", "reindex") == 0, operator.said
    assert "✓ index 2" in operator.said
    assert {row["index_version"] for row in await intake.rows("SELECT index_version FROM person_indexed")} == {2}
    without_the_old = MasterKeys(lambda: "\n".join(line for line in text.splitlines() if line[:7] != "index 1"))
    intake.database.carries["masters"] = without_the_old
    assert {each["case_id"] for each in await search(npo, phone="0990000001")} == {first, second, third}
    await other.close()


async def test_two_who_reindex_at_once_do_each_case_once(intake: Running, desk: Caller) -> None:
    for number in range(6):
        await opened(desk, {"phone": f"099-000-00{number:02}"})
    text = with_next_index(MASTER_KEYS)
    intake.database.carries["masters"] = MasterKeys(lambda: text)
    await asyncio.gather(intake.sweep(), intake.sweep())
    reads = await intake.rows("SELECT subject_id FROM access_log WHERE actor = 'tsunagu-intake' AND action = 'read'")
    assert len(reads) == len({row["subject_id"] for row in reads}) == 6


async def test_a_sheet_that_changes_while_its_fingerprints_are_made_anew_is_found_by_what_stands(
    intake: Running, desk: Caller, npo: Caller
) -> None:
    paths = [f"/v1/cases/{await opened(desk)}/person" for _ in range(6)]
    text = with_next_index(MASTER_KEYS)
    intake.database.carries["masters"] = MasterKeys(lambda: text)
    changes = (
        desk.patch(path, {"phone": f"099-000-10{number:02}", "name": "別の 名"}, etag='"1"')
        for number, path in enumerate(paths)
    )
    sweeping = asyncio.create_task(intake.sweep())
    answers = await asyncio.gather(*changes)
    assert [answer.status_code for answer in answers] == [200] * 6
    await sweeping
    await intake.sweep()
    assert await search(npo, phone="0990000001") == []
    for number, path in enumerate(paths):
        best, *_ = await search(npo, phone=f"099-000-10{number:02}", name="別の名", birth_date="1985-04-01")
        assert (best["case_id"] in path, best["agrees"]) == (True, ["name_and_birth_date", "phone"])
    kinds = await intake.rows("SELECT case_id, count(*) AS n FROM person_index GROUP BY case_id")
    assert {row["n"] for row in kinds} == {11}


async def test_what_was_written_before_there_was_an_index_is_found_after_the_sweep(
    world: World, intake: Running, desk: Caller, npo: Caller
) -> None:
    case_id, empty = await opened(desk), await opened(desk, {})
    await execute_as_admin(
        world.postgres,
        "SET search_path = intake; DELETE FROM person_index; UPDATE person_indexed SET index_version = 0",
        world.database_name,
    )
    assert await search(npo, phone="0990000001") == []
    # Changed before the sweep came by: it is the sweep's, and nothing of the old value is left over.
    await desk.patch(f"/v1/cases/{case_id}/person", {"other_phone": "099-000-0055"}, etag='"1"')
    assert await intake.sweep() == 2
    for number, finds in (("0990000001", 1), ("0990000055", 1), ("090-0000-0002", 0)):
        assert len(await search(npo, phone=number)) == finds
    assert await intake.sweep() == 0
    assert empty


async def test_an_erased_case_is_found_no_more_and_no_sweep_brings_it_back(
    world: World, intake: Running, desk: Caller, npo: Caller
) -> None:
    case_id = await opened(desk)
    access = Access(Action.ERASE, "kagoshima-desk", "client-1", ("operator",), "erasure", "appi_69_2_2", ())
    async with intake.database.transaction(BY_COMMAND) as session:
        await erase(session, UUID(case_id), access, reason="retention_over")
        await tables.forget(session, UUID(case_id))
    assert await search(npo, phone="0990000001") == []
    assert await intake.rows("SELECT FROM person_index") == []
    assert await intake.sweep() == 0
    # One whose fingerprints nobody took away: what is made anew of nothing is nothing.
    late = await opened(desk)
    async with intake.database.transaction(BY_COMMAND) as session:
        await erase(session, UUID(late), access, reason="retention_over")
    await execute_as_admin(world.postgres, "UPDATE intake.person_indexed SET index_version = 0", world.database_name)
    await intake.sweep()
    assert await intake.rows("SELECT FROM person_index") == []


# --- inquiries ------------------------------------------------------------------------------------------------------


async def asked(desk: Caller, case_id: str, municipality: str = KIRISHIMA) -> str:
    answer = await desk.post(f"/v1/cases/{case_id}/inquiries", {"municipality": municipality})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["inquiry_id"])


async def test_the_other_desk_sees_who_asks_and_its_own_case_and_answers(
    intake: Running, desk: Caller, kirishima: Caller
) -> None:
    theirs = await opened(kirishima, municipality=KIRISHIMA, consent=REFERRAL)
    ours = await opened(desk, consent=REFERRAL, anchor="相談員 3", next_step="あす電話する")
    inquiry = await asked(desk, ours)
    (listed,) = await kirishima.whole("/v1/inquiries")
    assert (listed["inquiry_id"], listed["asked_by"], listed["municipality"]) == (inquiry, "kagoshima-desk", KIRISHIMA)
    seen = await kirishima.get(f"/v1/inquiries/{inquiry}")
    assert [each["case_id"] for each in seen.json()["items"]] == [theirs]
    number = (await desk.get(f"/v1/cases/{ours}")).json()["number"]
    for secret in (ours, number, KAGOSHIMA, *HANAKO.values(), "相談員 3", "あす電話する"):
        assert secret not in seen.text + str(listed)
    assert await searches_of(intake, ours) == [("kirishima-desk", "consent")]
    assert await searches_of(intake, theirs) == [("kirishima-desk", "appi_69_2_2")]

    path = f"/v1/inquiries/{inquiry}/answers"
    assert (await kirishima.post(path, {"answer": "known", "case_id": theirs})).status_code == 204
    assert (await kirishima.post(path, {"answer": "not_known"})).json()["code"] == "answered_already"
    sent = await desk.get(f"/v1/cases/{ours}/inquiries")
    (told,) = sent.json()["items"]
    assert [(each["agency"], each["answer"]) for each in told["answers"]] == [("kirishima-desk", "known")]
    assert theirs not in sent.text
    assert (await kirishima.get(f"/v1/inquiries/{inquiry}")).json()["own_answer"] == "known"
    timeline = [entry["kind"] for entry in await desk.whole(f"/v1/cases/{ours}/timeline")]
    assert timeline[-2:] == ["inquiry_sent", "inquiry_answered"]
    exported = await intake.rows("SELECT subject_id FROM access_log WHERE action = 'export'")
    assert [str(row["subject_id"]) for row in exported] == [theirs]


async def test_without_consent_nobody_is_asked_and_withdrawn_consent_recalls_the_question(
    desk: Caller, kirishima: Caller
) -> None:
    without = await opened(desk)
    body = {"municipality": KIRISHIMA}
    assert (await desk.post(f"/v1/cases/{without}/inquiries", body)).json()["code"] == "consent_missing"
    ours = await opened(desk, consent=REFERRAL)
    inquiry = await asked(desk, ours)
    assert len(await kirishima.whole("/v1/inquiries")) == 1
    await desk.post(f"/v1/cases/{ours}/consents", {"state": "withdrawn"})
    assert await kirishima.whole("/v1/inquiries") == []
    assert (await kirishima.get(f"/v1/inquiries/{inquiry}")).status_code == 404
    answered = await kirishima.post(f"/v1/inquiries/{inquiry}/answers", {"answer": "not_known"})
    assert answered.status_code == 404


async def test_before_the_consents_first_day_the_question_is_not_there(
    intake: Running, desk: Caller, kirishima: Caller
) -> None:
    ours = await opened(desk, consent=REFERRAL)
    inquiry = await asked(desk, ours)
    later = REFERRAL | {"valid_from": today(intake, 2)}
    assert (await desk.post(f"/v1/cases/{ours}/consents", later)).status_code == 201
    assert await kirishima.whole("/v1/inquiries") == []
    assert (await kirishima.get(f"/v1/inquiries/{inquiry}")).status_code == 404
    intake.pass_time(timedelta(days=2))
    assert len(await kirishima.whole("/v1/inquiries")) == 1
    assert (await kirishima.get(f"/v1/inquiries/{inquiry}")).status_code == 200


async def test_an_inquiry_is_for_those_whom_the_consent_names_in_the_town_that_is_asked(
    intake: Running, desk: Caller, npo: Caller, kirishima: Caller
) -> None:
    ours = await opened(desk, consent=REFERRAL | {"recipients": ["kirishima-desk", "kagoshima-npo"]})
    inquiry = await asked(desk, ours)
    assert len(await kirishima.whole("/v1/inquiries")) == 1
    for other in (
        desk,
        npo,
        intake.as_("kirishima-npo", municipalities=[KIRISHIMA]),
        intake.as_("zama-desk", municipalities=[ZAMA]),
    ):
        assert await other.whole("/v1/inquiries") == []
        assert (await other.get(f"/v1/inquiries/{inquiry}")).status_code == 404


async def test_known_is_said_only_with_consent_there_and_by_the_holder(
    intake: Running, desk: Caller, kirishima: Caller
) -> None:
    theirs = await opened(kirishima, municipality=KIRISHIMA)
    inquiry = await asked(desk, await opened(desk, consent=REFERRAL))
    path = f"/v1/inquiries/{inquiry}/answers"
    known = {"answer": "known", "case_id": theirs}
    assert (await kirishima.post(path, known)).json()["code"] == "consent_missing"
    second = intake.as_("kirishima-npo", municipalities=[KIRISHIMA])
    assert (await second.post(path, known)).json()["code"] == "no_basis"
    assert (await kirishima.post(path, known | {"case_id": str(uuid4())})).status_code == 404
    for body in ({"answer": "known"}, {"answer": "not_known", "case_id": theirs}, {"answer": "perhaps"}):
        assert (await kirishima.post(path, body)).status_code == 422
    assert (await kirishima.post(path, {"answer": "will_get_in_touch"})).status_code == 204


async def test_one_question_on_one_consent_however_many_ask_at_once(desk: Caller) -> None:
    ours = await opened(desk, consent=REFERRAL)
    path, body = f"/v1/cases/{ours}/inquiries", {"municipality": KIRISHIMA}
    answers = await asyncio.gather(*(desk.post(path, body) for _ in range(6)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 5
    own = await desk.post(path, {"municipality": KAGOSHIMA})
    assert [error["code"] for error in own.json()["errors"]] == ["own_municipality"]
    await desk.post(f"/v1/cases/{ours}/consents", REFERRAL | {"valid_until": "2099-01-01"})
    assert (await desk.post(path, body)).status_code == 201


async def test_where_the_asking_case_tells_of_violence_its_telephone_is_not_compared_for_the_other_desk(
    desk: Caller, kirishima: Caller
) -> None:
    await opened(kirishima, {"phone": HANAKO["phone"]}, municipality=KIRISHIMA)
    for topics, finds in (([], 1), (["violence"], 0)):
        inquiry = await asked(desk, await opened(desk, consent=REFERRAL, topics=topics))
        assert len((await kirishima.get(f"/v1/inquiries/{inquiry}")).json()["items"]) == finds


async def test_inquiries_come_in_pages_though_some_are_not_for_the_reader(desk: Caller, kirishima: Caller) -> None:
    for number in range(6):
        recipients = [] if number % 2 else ["somebody-else"]
        await asked(desk, await opened(desk, {}, consent=REFERRAL | {"recipients": recipients}))
    pages = [page async for page in kirishima.pages("/v1/inquiries", limit=2)]
    assert [len(page) for page in pages] == [2, 1]


async def test_the_service_itself_cannot_rewrite_what_was_asked_or_answered(intake: Running, desk: Caller) -> None:
    await asked(desk, await opened(desk, consent=REFERRAL))
    for statement in ("UPDATE inquiry SET asked_by = 'x'", "UPDATE inquiry_answer SET answer = 'known'"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await intake.rows(statement)
