"""Somebody who may not see it tries every door: other agencies, other towns, repeats, and what is written elsewhere."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from shared.auth import Role
from tests.service.intake_lanes import SHEET, opened, read, today
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
    case = await opened(desk, topics=["violence", "debt"], urgency=["danger_to_life"], consent=GIVEN)
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
    raised = await npo.patch(case, {"topics": ["violence", "nothing_to_eat"]}, etag=(await npo.get(case)).headers["etag"])
    assert raised.json()["urgency"] == ["nothing_to_eat", "violence", "danger_to_life"], "anybody may raise the alarm"
    calmed = await desk.patch(case, {"topics": [], "urgency": []}, etag=raised.headers["etag"])
    assert calmed.status_code == 200
    assert "phone" in (await read(npo, case, "referral"))[1]
