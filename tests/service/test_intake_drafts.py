"""Drafts are never lost: saved as they grow, resumed elsewhere, listed, put away only on purpose."""

import asyncio
import re
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from services.intake.api.drafts import DraftConsent, DraftPerson, DraftRecord, DraftSheet
from services.intake.api.records import AddRecord
from services.intake.api.shapes import OpenCase, PersonSheet, SaidAboutConsent
from shared.auth import Role
from tests.service.intake_counter import opened, today
from tests.world import ZAMA, World

HALF = {"topics": ["debt"], "person": {"name": "架空 は", "birth_date": "昭和6"}}


RECORD = {"way": "vis", "minutes": 4, "words": "居間で話"}


async def half_recorded(caller: Any, case_id: str, **body: Any) -> str:
    answer = await caller.post(f"/v1/cases/{case_id}/record-drafts", body or RECORD)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["draft_id"])


async def begun(caller: Any, **body: Any) -> str:
    answer = await caller.post("/v1/drafts", body or HALF)
    assert answer.status_code == 201, answer.text
    return f"/v1/drafts/{answer.json()['draft_id']}"


async def test_a_half_typed_sheet_is_kept_as_it_is_and_goes_on_on_another_machine(world: World) -> None:
    intake = world.service("intake")
    path = await begun(intake.as_())
    other_machine = intake.as_("kagoshima-desk", Role.COUNSELLOR)
    found = await other_machine.get(path)
    assert (found.json()["content"], found.headers["etag"]) == (HALF, '"1"')
    grown = {"topics": ["debt"], "person": {"name": "架空 はな", "birth_date": "昭和60年4月"}}
    saved = await other_machine.put(path, grown, etag='"1"')
    assert (saved.status_code, saved.headers["etag"]) == (200, '"2"')
    assert (await intake.as_().get(path)).json()["content"] == grown


@pytest.mark.parametrize(
    ("half", "whole"),
    [
        (DraftSheet, OpenCase),
        (DraftPerson, PersonSheet),
        (DraftConsent, SaidAboutConsent),
        (DraftRecord, AddRecord),
    ],
)
def test_whatever_can_be_typed_can_be_half_typed(half: type[BaseModel], whole: type[BaseModel]) -> None:
    assert half.model_fields.keys() == whole.model_fields.keys() - {"draft_id"}


async def test_a_half_typed_record_goes_on_on_another_machine_and_ends_as_a_record(world: World) -> None:
    intake = world.service("intake")
    desk = intake.as_()
    case_id = await opened(desk)
    draft_id = await half_recorded(desk, case_id)
    other_machine = intake.as_()
    found = await other_machine.get(f"/v1/drafts/{draft_id}")
    assert (found.json()["content"], found.json()["kind"], found.json()["case_id"]) == (RECORD, "record", case_id)
    grown = RECORD | {"way": "visit", "minutes": 45, "on": "令和8年"}
    path = f"/v1/cases/{case_id}/record-drafts/{draft_id}"
    saved = await other_machine.put(path, grown, etag=found.headers["etag"])
    assert (saved.status_code, saved.headers["etag"]) == (200, '"2"')
    assert (await desk.put(path, RECORD, etag='"1"')).status_code == 412
    whole = {"on": today(intake), "way": "visit", "minutes": 45, "words": "居間で話した。", "draft_id": draft_id}
    assert (await desk.post(f"/v1/cases/{case_id}/records", whole | {"way": "flew"})).status_code == 422
    assert [draft["draft_id"] for draft in await desk.whole("/v1/drafts")] == [draft_id]
    assert (await desk.post(f"/v1/cases/{case_id}/records", whole)).status_code == 201
    assert await desk.whole("/v1/drafts") == []
    again = await desk.post(f"/v1/cases/{case_id}/records", whole)
    assert again.json()["errors"][0]["pointer"] == "/draft_id"
    assert len(await desk.whole(f"/v1/cases/{case_id}/records")) == 1
    assert (await desk.put(path, RECORD, etag='"2"')).json()["code"] == "draft_put_away"


async def test_drafts_are_found_by_kind_and_by_case(world: World) -> None:
    desk = world.service("intake").as_()
    first, second = await opened(desk), await opened(desk)
    sheet = (await begun(desk)).rsplit("/", 1)[1]
    ours, other = await half_recorded(desk, first), await half_recorded(desk, second)

    async def listed(**params: str) -> list[str]:
        return [draft["draft_id"] for draft in await desk.whole("/v1/drafts", **params)]

    assert await listed() == [other, ours, sheet]
    assert await listed(kind="sheet") == [sheet]
    assert await listed(kind="record") == [other, ours]
    assert await listed(case_id=first) == [ours]
    assert (await desk.post(f"/v1/drafts/{ours}/discard")).status_code == 204
    assert await listed(case_id=first) == []
    assert await listed(case_id=first, discarded="true") == [ours]


async def test_a_draft_becomes_what_it_was_begun_as_and_nothing_else(world: World) -> None:
    intake = world.service("intake")
    desk, npo = intake.as_(), intake.as_("kagoshima-npo")
    case_id, other = await opened(desk), await opened(desk)
    sheet, record = (await begun(desk)).rsplit("/", 1)[1], await half_recorded(desk, case_id)
    whole = {"on": today(intake), "way": "visit", "words": "話した"}
    assert (await desk.post("/v1/cases", {"draft_id": record})).status_code == 422
    for case, draft in ((case_id, sheet), (other, record)):
        answer = await desk.post(f"/v1/cases/{case}/records", whole | {"draft_id": draft})
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "no_such_draft")
        assert (await desk.put(f"/v1/cases/{case}/record-drafts/{draft}", RECORD, etag='"1"')).status_code == 404
    assert (await desk.put(f"/v1/drafts/{record}", HALF, etag='"1"')).status_code == 404
    assert (await npo.get(f"/v1/drafts/{record}")).status_code == 404
    begun_by_others = await npo.post(f"/v1/cases/{case_id}/record-drafts", RECORD)
    assert (begun_by_others.status_code, begun_by_others.json()["code"]) == (403, "no_basis")
    stranger = intake.as_("zama-desk", municipalities=[ZAMA])
    assert (await stranger.post(f"/v1/cases/{case_id}/record-drafts", RECORD)).status_code == 404


async def test_a_half_typed_record_goes_with_its_case(world: World) -> None:
    intake = world.service("intake")
    desk = intake.as_()
    case_id = await opened(desk)
    draft_id = await half_recorded(desk, case_id)
    await desk.post(f"/v1/cases/{case_id}/closing", {"interruption": "opened_by_mistake"})
    ordered = await desk.post(f"/v1/cases/{case_id}/erasure", {"reason": "persons_request"})
    assert ordered.status_code == 202
    await intake.sweep()
    assert (await desk.get(f"/v1/drafts/{draft_id}")).status_code == 404
    assert (await desk.post(f"/v1/cases/{case_id}/record-drafts", RECORD)).status_code == 410
    keys = {str(row["subject_id"]) for row in await intake.rows("SELECT subject_id FROM data_key")}
    assert keys == set()


async def test_what_was_said_about_danger_and_consent_is_kept_half_typed(world: World) -> None:
    desk = world.service("intake").as_()
    typed = {
        "urgency": ["violence"],
        "most_serious": "violence",
        "consent": {"state": "given", "valid_until": "令和9年", "witness": "民生委員 架"},
    }
    path = await begun(desk, **typed)
    assert (await desk.get(path)).json()["content"] == typed
    answer = await desk.put(path, {"consent": {"witness": "番号は 1234 5678 9018"}}, etag='"1"')
    assert answer.json()["errors"][0]["pointer"] == "/consent/witness"


async def test_a_draft_may_be_empty(world: World) -> None:
    intake = world.service("intake")
    answer = await intake.as_().post("/v1/drafts", {})
    assert answer.status_code == 201


async def test_of_two_who_save_at_once_one_is_told_and_neither_text_is_lost(world: World) -> None:
    intake = world.service("intake")
    path = await begun(intake.as_())
    texts: list[Any] = [{"next_step": "一"}, {"next_step": "二"}]
    answers = await asyncio.gather(*(intake.as_().put(path, text, etag='"1"') for text in texts))
    assert sorted(answer.status_code for answer in answers) == [200, 412]
    (told,) = (answer.json()["detail_ja"] for answer in answers if answer.status_code == 412)
    assert re.search(r"kagoshima-desk が \d{4}-\d\d-\d\d \d\d:\d\d に保存", told), "in Japan's time, for people"
    late = texts[[answer.status_code for answer in answers].index(412)]
    other = await begun(intake.as_(), **late)
    kept = [(await intake.as_().get(place)).json()["content"] for place in (path, other)]
    assert sorted(kept, key=str) == sorted(texts, key=str)


async def test_drafts_are_the_agencys_own(world: World) -> None:
    intake = world.service("intake")
    path = await begun(intake.as_())
    for other in (intake.as_("kagoshima-npo"), intake.as_("zama-desk", municipalities=[ZAMA])):
        assert (await other.get(path)).status_code == 404
        assert (await other.put(path, HALF, etag='"1"')).status_code == 404
        assert (await other.post(f"{path}/discard")).status_code == 404
        assert (await other.get("/v1/drafts")).json()["items"] == []
    assert [item["fields"] for item in (await intake.as_().get("/v1/drafts")).json()["items"]] == [["person", "topics"]]


async def test_a_draft_is_put_away_on_purpose_and_can_be_taken_out_for_thirty_days(world: World) -> None:
    intake = world.service("intake")
    desk = intake.as_()
    path = await begun(desk)
    assert (await desk.post(f"{path}/discard")).status_code == 204
    assert (await desk.get("/v1/drafts")).json()["items"] == []
    assert len((await desk.get("/v1/drafts", params={"discarded": "true"})).json()["items"]) == 1
    assert (await desk.put(path, HALF, etag='"1"')).json()["code"] == "draft_put_away"
    intake.pass_time(timedelta(days=29))
    assert await intake.sweep() == 0
    assert (await desk.post(f"{path}/restore")).status_code == 204
    assert (await desk.get(path)).json()["content"] == HALF
    assert (await desk.put(path, HALF, etag='"1"')).status_code == 200


async def test_after_thirty_days_a_discarded_draft_can_be_read_by_nobody(world: World) -> None:
    intake = world.service("intake")
    path = await begun(intake.as_())
    await intake.as_().post(f"{path}/discard")
    intake.pass_time(timedelta(days=31))
    assert await intake.sweep() == 2, "ordered, and carried out"
    assert (await intake.as_().post(f"{path}/restore")).status_code == 409
    assert (await intake.as_().get(path)).status_code == 404
    assert [row["reason"] for row in await intake.rows("SELECT reason FROM erasure")] == ["draft_ended"]


async def test_a_draft_nobody_puts_away_stays_for_ever(world: World) -> None:
    intake = world.service("intake")
    path = await begun(intake.as_())
    intake.pass_time(timedelta(days=400))
    await intake.sweep()
    assert (await intake.as_().get(path)).json()["content"] == HALF


async def test_a_draft_becomes_a_case_in_one_step(world: World) -> None:
    intake = world.service("intake")
    desk = intake.as_()
    path = await begun(desk)
    draft_id = path.rsplit("/", 1)[1]
    refused = await desk.post("/v1/cases", {"draft_id": draft_id, "topics": ["nonsense"]})
    assert refused.status_code == 422
    assert (await desk.get(path)).status_code == 200
    case = await desk.post("/v1/cases", {"draft_id": draft_id, "topics": ["debt"], "person": {"name": "架空 花子"}})
    assert case.status_code == 201
    assert (await desk.get("/v1/drafts")).json()["items"] == []
    again = await desk.post("/v1/cases", {"draft_id": draft_id})
    assert again.json()["errors"][0]["pointer"] == "/draft_id"
    assert len(await intake.rows("SELECT FROM case_")) == 1
    assert (await desk.post(f"{path}/discard")).json()["code"] == "draft_put_away"


async def test_another_agencys_draft_opens_no_case(world: World) -> None:
    intake = world.service("intake")
    draft_id = (await begun(intake.as_())).rsplit("/", 1)[1]
    answer = await intake.as_("kagoshima-npo").post("/v1/cases", {"draft_id": draft_id})
    assert answer.status_code == 422
    assert await intake.rows("SELECT FROM case_") == []


async def test_a_my_number_is_refused_and_the_draft_stays_as_it_was(world: World) -> None:
    intake = world.service("intake")
    desk = intake.as_()
    path = await begun(desk)
    answer = await desk.put(path, {"person": {"story": "番号は 1234 5678 9018"}}, etag='"1"')
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "personal_number")
    assert answer.json()["errors"][0]["pointer"] == "/person/story"
    assert (await desk.get(path)).json()["content"] == HALF


async def test_what_is_typed_lies_sealed_and_every_look_is_logged(world: World) -> None:
    intake = world.service("intake")
    path = await begun(intake.as_())
    await intake.as_().get(path)
    (row,) = await intake.rows("SELECT d::text FROM draft d")
    assert "架空" not in row["d"]
    assert "架空".encode().hex() not in row["d"]
    assert [row["action"] for row in await intake.rows("SELECT action FROM access_log ORDER BY id")] == [
        "write",
        "read",
    ]
