"""Support records: typed once, corrected by adding, sealed, read on a basis, and each reading logged."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from shared.auth import Role
from tests.service.intake_counter import opened
from tests.world import ZAMA, Caller, Running, World

ENTRY = {"on": "2026-11-02", "way": "visit", "with_whom": ["person", "family"], "minutes": 45, "words": "架空の話"}
GIVEN = {"state": "given", "purposes": ["assessment", "training"], "recipients": ["kagoshima-npo"]}


async def added(desk: Caller, case_id: str, **body: Any) -> dict[str, Any]:
    answer = await desk.post(f"/v1/cases/{case_id}/records", ENTRY | body)
    assert answer.status_code == 201, answer.text
    entry: dict[str, Any] = answer.json()
    return entry


async def words(desk: Caller, case_id: str, **params: Any) -> list[str]:
    return [entry["words"] for entry in await desk.whole(f"/v1/cases/{case_id}/records", **params)]


async def test_an_entry_is_typed_once_and_read_back_whole(world: World) -> None:
    intake = world.service("intake")
    desk = intake.as_()
    case_id = await opened(desk)
    entry = await added(desk, case_id, on="令和8年11月2日", needs=["people", "people"])
    assert "words" not in entry, "answers to a POST are kept, and hold no words about a person"
    (read,) = await desk.whole(f"/v1/cases/{case_id}/records")
    assert read == entry | {"words": "架空の話"}
    assert (read["on"], read["way"], read["with_whom"], read["minutes"], read["needs"]) == (
        "2026-11-02", "visit", ["person", "family"], 45, ["people"],
    )  # fmt: skip
    kinds = [entry["kind"] for entry in await desk.whole(f"/v1/cases/{case_id}/timeline")]
    assert kinds == ["case_opened", "support_recorded"]


async def test_entries_come_page_by_page_in_the_order_of_days(world: World) -> None:
    intake = world.service("intake")
    desk = intake.as_()
    case_id = await opened(desk)
    days = [f"2026-{month:02}-{day:02}" for month in (3, 1, 2) for day in (5, 5, 1)]
    for number, day in enumerate(days):
        await added(desk, case_id, on=day, words=f"{number}")
    newest_first = [
        str(number) for number, _ in sorted(enumerate(days), key=lambda item: (item[1], item[0]), reverse=True)
    ]
    for limit in (1, 2, 4, 100):
        assert await words(desk, case_id, limit=limit) == newest_first


async def test_a_correction_stands_for_what_it_corrects_and_hides_nothing(world: World) -> None:
    intake = world.service("intake")
    desk, npo = intake.as_(), intake.as_("kagoshima-npo")
    case_id = await opened(desk, consent=GIVEN)
    first = await added(desk, case_id, words="まちがい")
    second = await added(desk, case_id, words="正しい", corrects=first["record_id"])
    assert await words(desk, case_id) == ["正しい"]
    assert len(await intake.rows("SELECT FROM support_record")) == 2
    for wrong in (first["record_id"], str(uuid4())):
        answer = await desk.post(f"/v1/cases/{case_id}/records", ENTRY | {"corrects": wrong})
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "no_such_record")
    theirs = ENTRY | {"corrects": second["record_id"], "purpose": "assessment"}
    assert (await npo.post(f"/v1/cases/{case_id}/records", theirs)).status_code == 422
    other = await opened(desk)
    across = await desk.post(f"/v1/cases/{other}/records", ENTRY | {"corrects": second["record_id"]})
    assert across.status_code == 422


async def test_of_two_corrections_at_once_one_is_told(world: World) -> None:
    intake = world.service("intake")
    desk = intake.as_()
    case_id = await opened(desk)
    first = await added(desk, case_id)
    body = ENTRY | {"corrects": first["record_id"]}
    answers = await asyncio.gather(*(desk.post(f"/v1/cases/{case_id}/records", body) for _ in range(6)))
    assert sorted(answer.status_code for answer in answers) == [201, 422, 422, 422, 422, 422]
    assert len(await words(desk, case_id)) == 1


async def test_who_works_on_the_persons_consent_writes_and_reads_for_that_purpose(world: World) -> None:
    intake = world.service("intake")
    desk, npo = intake.as_(), intake.as_("kagoshima-npo")
    case_id = await opened(desk, consent=GIVEN)
    path = f"/v1/cases/{case_id}/records"
    assert (await npo.post(path, ENTRY)).status_code == 403, "support is the holder's purpose"
    await added(npo, case_id, purpose="assessment", words="居場所で会った")
    assert await words(npo, case_id, purpose="assessment") == ["居場所で会った"]
    assert await words(desk, case_id) == ["居場所で会った"]
    training = await npo.get(path, params={"purpose": "training"})
    assert (training.status_code, training.json()["code"]) == (403, "other_purpose")
    assert (await intake.as_("kagoshima-school").get(path)).status_code == 403
    assert (await intake.as_("zama-desk", municipalities=[ZAMA]).get(path)).status_code == 404
    assert (await intake.as_("zama-desk", municipalities=[ZAMA]).post(path, ENTRY)).status_code == 404
    assert (await intake.as_("kagoshima-npo", Role.PROVIDER).get(path)).status_code == 403
    withdrawn = await desk.post(f"/v1/cases/{case_id}/consents", {"state": "withdrawn"})
    assert withdrawn.status_code == 201
    assert (await npo.get(path, params={"purpose": "assessment"})).status_code == 403


async def test_words_lie_sealed_and_every_reading_is_logged(world: World) -> None:
    intake = world.service("intake")
    desk = intake.as_()
    case_id = await opened(desk)
    await added(desk, case_id, words="架空の秘密")
    await words(desk, case_id)
    (row,) = await intake.rows("SELECT sealed, r::text AS whole FROM support_record r")
    assert "架空の秘密".encode() not in row["sealed"]
    assert "架空の秘密" not in row["whole"]
    logged = await intake.rows("SELECT action, fields FROM access_log WHERE subject_id = $1 ORDER BY id", UUID(case_id))
    assert [(entry["action"], entry["fields"]) for entry in logged[1:]] == [
        ("write", ["records"]),
        ("read", ["records"]),
    ]


@pytest.mark.parametrize(
    "body",
    [
        {"on": "2100-01-01"},
        {"on": "2026-02-30"},
        {"minutes": -1},
        {"minutes": 1441},
        {"minutes": "45"},
        {"way": "by_owl"},
        {"with_whom": []},
        {"with_whom": ["ghost"]},
        {"words": ""},
        {"words": "番号は 1234 5678 9018 です"},
        {"words": "\ue000"},
        {"words": "あ" * 20_001},
        {"purpose": "training"},
    ],
)
async def test_what_can_not_be_is_refused_with_the_field(world: World, body: dict[str, Any]) -> None:
    desk = world.service("intake").as_()
    answer = await desk.post(f"/v1/cases/{await opened(desk)}/records", ENTRY | body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"].startswith(f"/{next(iter(body))}")
    assert "1234" not in answer.text


async def test_work_on_career_needs_counts_as_touching_them(world: World) -> None:
    intake = world.service("intake")
    desk = intake.as_()
    case_id = await opened(desk)
    intake.pass_time(timedelta(weeks=9))
    await added(desk, case_id, needs=["housing"])
    assert len(await desk.whole("/v1/cases", career_untouched_weeks=8)) == 1
    await added(desk, case_id, needs=["goals"])
    assert await desk.whole("/v1/cases", career_untouched_weeks=8) == []


@pytest.mark.parametrize("statement", ["UPDATE support_record SET minutes = 1", "DELETE FROM support_record"])
async def test_the_database_lets_nobody_change_an_entry(world: World, statement: str) -> None:
    intake: Running = world.service("intake")
    await added(intake.as_(), await opened(intake.as_()))
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await intake.rows(statement)
