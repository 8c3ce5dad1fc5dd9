"""Input that can't be, or isn't what it looks like: named by field and remedy in both languages, never echoed."""

from typing import Any
from uuid import uuid4

import pytest

from tests.service.intake_counter import SHEET, everything, today, with_sheet
from tests.world import Caller, Running, token

NEVER = [
    ("/person/birth_date", "令和0年4月1日", "no_year_of_era"),
    ("/person/birth_date", "昭和65年4月1日", "no_year_of_era"),
    ("/person/birth_date", "平成99年4月1日", "no_year_of_era"),
    ("/person/birth_date", "昭和60年2月30日", "date_from_datetime_parsing"),
    ("/person/birth_date", "明治30年4月1日", "date_from_datetime_parsing"),
    ("/person/birth_date", 0, "date_type"),
    ("/person/birth_date", "0", "date_parsing"),
    ("/person/birth_date", "19850401", "date_parsing"),
    ("/person/birth_date", "0985-04-01", "day_out_of_reach"),
    ("/next_step_on", 86400, "date_type"),
    ("/next_step_on", "0206-12-01", "day_out_of_reach"),
    ("/next_step_on", "9999-12-31", "day_out_of_reach"),
    ("/person/name", "\ufdd0", "gaiji"),
    ("/person/name", "架空\U0010ffff", "gaiji"),
    ("/person/name", "架空\ue000", "gaiji"),
    ("/person/name", "\u202e", "too_short"),
    ("/person/kana", "ﷺ" * 20, "too_long"),
    ("/person/story", "123456\u202a789018", "personal_number"),
    ("/person/story", "12345\ufe0f678\u20679018", "personal_number"),
    ("/person/story", "\ufe0f\u20e3".join("123456789018"), "personal_number"),
    ("/municipality", "462013", "municipality_code"),
    ("/municipality", "462０12", "municipality_code"),
]


@pytest.mark.parametrize(("pointer", "value", "code"), NEVER)
async def test_what_can_not_be_is_named_with_its_remedy(desk: Caller, pointer: str, value: Any, code: str) -> None:
    *outer, field = pointer.strip("/").split("/")
    body = {"person": {field: value}} if outer else {field: value}
    answer = await desk.post("/v1/cases", body)
    assert answer.status_code == 422, answer.text
    (error,) = answer.json()["errors"]
    assert (error["pointer"], error["code"]) == (pointer, code)
    assert error["message_ja"]
    assert len(str(value)) < 2 or str(value) not in answer.text


async def test_days_of_an_era_are_understood_where_a_day_is_asked_for(desk: Caller) -> None:
    case = await with_sheet(desk, person={"birth_date": "大正１５年３月３日"}, next_step_on="令和8年12月24日")
    assert (await desk.get(f"{case}/person")).json()["person"]["birth_date"] == "1926-03-03"
    assert (await desk.get(case)).json()["next_step_on"] == "2026-12-24"
    said = {"state": "given", "purposes": ["referral"], "valid_until": "R20.3.31"}
    assert (await desk.post(f"{case}/consents", said)).json()["valid_until"] == "2038-03-31"


async def test_what_turns_the_writing_round_is_left_out_and_copied_numbers_are_taken(desk: Caller) -> None:
    sheet = {"name": "架空 \u202e子花\u202c", "phone": "\u202a099-111-2222\u202c", "kana": "ﾔﾏﾀﾞ ﾊﾅｺ"}
    case = await with_sheet(desk, person=sheet)
    kept = (await desk.get(f"{case}/person")).json()["person"]
    assert (kept["name"], kept["phone"], kept["kana"]) == ("架空 子花", "099-111-2222", "ヤマダ ハナコ")
    draft = await desk.post("/v1/drafts", {"person": {"phone": "\u202a099-111-2222\u202c"}})
    assert draft.status_code == 201, "a draft isn't lost for what a telephone put into it"


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b'{"person": {"story": "' + b"a" * 2_000_000 + b'"}}', 413),
        (b'{"person": {"name": "\\ud800"}}', 400),
        (b'{"person": {"name": "\\u0000"}}', 400),
        (b'{"urgent": ' + b"9" * 6_000 + b"}", 400),
        (b"[" * 100_000, 400),
        (b'{"urgent": true, "urgent": false}', 400),
        (b'{"person": {"name": "\xff"}}', 400),
        (b'{"person": {"name": NaN}}', 400),
    ],
)
async def test_a_body_that_is_none_leaves_no_trace(intake: Running, content: bytes, status: int) -> None:
    headers = {
        "Authorization": f"Bearer {token()}",
        "Content-Type": "application/json",
        "Idempotency-Key": str(uuid4()),
    }
    before = await everything(intake)
    for path in ("/v1/cases", "/v1/drafts", "/v1/persons/search", f"/v1/cases/{uuid4()}/records"):
        answer = await intake.client.post(path, content=content, headers=headers)
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["title_ja"]
    assert await everything(intake) == before


async def test_a_cursor_leads_nowhere_but_in_its_own_list(intake: Running, desk: Caller) -> None:
    first, other = await with_sheet(desk), await with_sheet(desk)
    for number in range(3):
        record = {"on": today(intake), "way": "visit", "words": f"{number}"}
        assert (await desk.post(f"{first}/records", record)).status_code == 201
    cursors = {
        path: (await desk.get(path, params={"limit": 1})).json()["next_cursor"]
        for path in ("/v1/cases", f"{first}/records", f"{first}/timeline", f"{first}/accesses")
    }
    assert all(cursors.values())
    for cursor in cursors.values():
        for path in ("/v1/cases", "/v1/drafts", "/v1/meetings", "/v1/emergency-accesses", f"{other}/records"):
            if cursors.get(path) != cursor:
                answer = await desk.get(path, params={"cursor": cursor})
                assert answer.status_code == 422, path
        assert (await desk.get("/v1/cases", params={"cursor": cursor, "urgent": "true"})).status_code == 422
    for params in ({"limit": 0}, {"limit": 10**30}, {"limit": -1}, {"cursor": "A" * 513}, {"cursor": "\x00"}):
        refused = await desk.get(f"{first}/records", params=params)
        assert refused.status_code == 422, params


async def test_what_was_read_of_one_thing_changes_no_other(desk: Caller) -> None:
    case = await with_sheet(desk, person=SHEET)
    assert (await desk.patch(f"{case}/person", {"name": "架空 二"}, etag='"1"')).status_code == 200
    assert (await desk.patch(f"{case}/person", {"name": "架空 三"}, etag='"2"')).status_code == 200
    assert (await desk.patch(case, {"urgent": True}, etag='"3"')).status_code == 200
    of_case = (await desk.get(case)).headers["etag"]
    of_sheet = (await desk.get(f"{case}/person")).headers["etag"]
    assert of_case != of_sheet
    for etag in (of_case, '"99999999999999999999"', '"-1"', 'W/"3"', '"a"', '"3", "4"', '""'):
        late = await desk.patch(f"{case}/person", {"name": "架空 四"}, etag=etag)
        assert late.status_code == 412, etag
    assert (await desk.patch(f"{case}/person", {"name": "架空 四"}, etag="*")).status_code == 428
