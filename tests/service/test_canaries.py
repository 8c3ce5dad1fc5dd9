"""Thirty canaries and more, one in every field about a person: sung to the holder, and heard nowhere else."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import httpx2
import pytest
import structlog

from services.intake.domain.sheet import FIELDS
from shared.auth import Role
from shared.service import day_in_japan
from shared.service.clock import wall_time
from shared.service.logs import configure_logs
from tests.service.aviary import every_table, heard_in, topics
from tests.world import KAGOSHIMA, ZAMA, Caller, Running, World

SHEET = {
    "name": "金糸雀一郎",
    "kana": "カナリアニロウ",
    "previous_name": "金糸雀三郎",
    "birth_date": "1931-01-19",
    "postcode": "890-0734",
    "address": "金糸雀町四丁目",
    "phone": "099-730-0005",
    "other_phone": "099-730-0006",
    "email": "canary07@example.jp",
    "contact_note": "金糸雀八の連絡",
    "proxy_name": "金糸雀九子",
    "proxy_phone": "099-730-0010",
    "proxy_relation": "金糸雀十一の叔母",
    "health_note": "金糸雀十二の病",
    "family_note": "金糸雀十三の家族",
    "story": "金糸雀十四の話",
}
LATER = {"name": "金糸雀十五郎", "address": "金糸雀町十六丁目", "phone": "099-730-0017", "story": "金糸雀十八の話"}
DRAFT = {
    "name": "金糸雀十九郎",
    "address": "金糸雀町二十丁目",
    "story": "金糸雀二十一の話",
    "birth_date": "金糸雀二十二",
}
OTHERS = {"next_step": "金糸雀二十三に電話", "again": "金糸雀二十四に電話", "record": "金糸雀二十五の記録"}
HALF = "金糸雀三十六の書きかけの記録"
LISTED = {
    "番号": "canary-26",
    "氏名": "金糸雀二十七郎",
    "ふりがな": "カナリアニジュウハチ",
    "住所": "金糸雀町二十九丁目",
    "電話番号": "099-730-0030",
    "相談の内容": "金糸雀三十一の話",
    "次の対応": "金糸雀三十二に電話",
}
LANES = {
    "witness": "金糸雀三十三子",
    "note": "金糸雀三十四の会議",
    "words": "金糸雀三十五の電話があり、担当の窓口はもう閉まっている",
}
CANARIES = [
    *SHEET.values(),
    *LATER.values(),
    *DRAFT.values(),
    *OTHERS.values(),
    *LANES.values(),
    *LISTED.values(),
    HALF,
]
NO_CANARY = {"sex", "next_step"}
"""A code, and what OTHERS has."""


def heard(text: str | bytes) -> set[str]:
    """The canaries in a text."""
    return heard_in(text, CANARIES)


@pytest.fixture
def database_log(world: World) -> Callable[[], bytes]:
    """What PostgreSQL writes into its log from here on."""
    before = len(world.postgres.log.read_bytes())
    return lambda: world.postgres.log.read_bytes()[before:]


async def told(desk: Caller, night: Caller) -> tuple[str, str]:
    """Everything that can be typed about a person, typed. The case, and the draft."""
    opened = await desk.post("/v1/cases", {"person": SHEET, "next_step": OTHERS["next_step"]})
    assert opened.status_code == 201, opened.text
    case_id = opened.json()["case_id"]
    saved = await desk.patch(f"/v1/cases/{case_id}/person", LATER, etag='"1"')
    assert saved.status_code == 200, saved.text
    changed = await desk.patch(f"/v1/cases/{case_id}", {"next_step": OTHERS["again"]}, etag='"2"')
    assert changed.status_code == 200, changed.text
    draft = await desk.post("/v1/drafts", {"person": DRAFT})
    assert draft.status_code == 201, draft.text
    record = {"on": "2026-11-02", "way": "visit", "words": OTHERS["record"]}
    assert (await desk.post(f"/v1/cases/{case_id}/records", record)).status_code == 201
    half = await desk.post(f"/v1/cases/{case_id}/record-drafts", {"words": HALF})
    assert half.status_code == 201, half.text
    consent = {"state": "given", "purposes": ["referral"], "witness": LANES["witness"]}
    assert (await desk.post(f"/v1/cases/{case_id}/consents", consent)).status_code == 201
    held = {"kind": "shien_kaigi", "held_on": str(day_in_japan(wall_time())), "topic": "debt", "members": ["npo"]}
    meeting = f"/v1/meetings/{(await desk.post('/v1/meetings', held)).json()['meeting_id']}"
    assert (await desk.post(f"{meeting}/cases", {"case_id": case_id})).status_code == 201
    assert (await desk.post(f"{meeting}/cases/{case_id}/notes", {"text": LANES["note"]})).status_code == 201
    emergency = {"reason": "missing", "words": LANES["words"]}
    assert (await night.post(f"/v1/cases/{case_id}/emergency-accesses", emergency)).status_code == 201
    content = f"{','.join(LISTED)},市町村コード\r\n{','.join(LISTED.values())},{KAGOSHIMA}\r\n".encode()
    listed = await desk.post("/v1/case-imports", content=content, headers={"Content-Type": "text/csv"})
    assert listed.status_code == 201, listed.text
    commit = await desk.post(f"/v1/case-imports/{listed.json()['import_id']}/commit", {})
    assert commit.json()["created"] == 1, commit.text
    return case_id, draft.json()["draft_id"]


async def refusals(desk: Caller, case_id: str, draft_id: str) -> list[httpx2.Response]:
    """Requests that can't be met, each with a canary in it."""
    mine = SHEET["name"]
    return [
        await desk.post("/v1/cases", {"person": SHEET | {"birth_date": mine}}),
        await desk.post("/v1/cases", {"person": SHEET | {mine: mine}}),
        await desk.post("/v1/cases", {"person": SHEET, "municipality": mine}),
        await desk.post("/v1/cases", {"person": SHEET | {"phone": mine}, "topics": [mine]}),
        await desk.post("/v1/cases", {"person": SHEET, "draft_id": str(uuid4())}),
        await desk.patch(f"/v1/cases/{case_id}/person", SHEET, etag='"1"'),
        await desk.patch(f"/v1/cases/{case_id}/person", SHEET, etag=None),
        await desk.patch(f"/v1/cases/{case_id}", {"next_step": mine}, etag='"1"'),
        await desk.put(f"/v1/drafts/{draft_id}", {"person": DRAFT}, etag='"9"'),
        await desk.post(f"/v1/cases/{case_id}/record-drafts", {"words": HALF, "minutes": HALF}),
        await desk.post(f"/v1/cases/{case_id}/records", {"on": mine, "way": mine, "words": mine}),
        await desk.get(f"/v1/cases/{mine}/person"),
        await desk.get("/v1/cases", params={"holder": mine}),
        await desk.get("/v1/cases", params={"cursor": mine}),
        await desk.get(f"/v1/cases/{case_id}/person", params={"purpose": mine}),
        await desk.post("/v1/case-imports", content=f"番号,{mine}\r\n1,\ue000{mine}\r\n".encode()),
    ]


async def test_no_canary_is_heard_where_it_does_not_belong(
    world: World, database_log: Callable[[], bytes], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(set(CANARIES)) >= 30
    assert set(FIELDS) - NO_CANARY == set(SHEET), "a new field of the sheet needs its canary"
    intake = world.service("intake")
    configure_logs(world.settings("intake", log_level="debug"))
    desk = intake.as_()
    case_id, draft_id = await told(desk, intake.as_("kagoshima-night", Role.EMERGENCY))
    await _are_sung_to_the_holder(desk, case_id, draft_id)

    refused = await refusals(desk, case_id, draft_id)
    assert all(400 <= answer.status_code < 500 for answer in refused), [answer.status_code for answer in refused]
    refused.append(await _broken(desk, case_id, monkeypatch))
    for answer in refused:
        assert heard(answer.text) == set(), answer.request.url.path

    await _are_not_in_another_municipality(intake, case_id, draft_id)
    assert heard((await intake.anonymous.get("/metrics")).text) == set()
    assert heard(await topics(world, intake)) == set()
    assert heard(await every_table(world)) == set()

    structlog.get_logger().info(CANARIES[-1])
    logged = capfd.readouterr()
    assert heard(logged.out + logged.err) == {CANARIES[-1]}, "the last line is ours, and shows that we listen"
    assert "request_failed" in logged.err
    assert heard(database_log()) == set()


async def _are_sung_to_the_holder(desk: Caller, case_id: str, draft_id: str) -> None:
    """Or the silence elsewhere would prove nothing."""
    everything = [
        (await desk.get(f"/v1/cases/{case_id}/person")).text,
        (await desk.get(f"/v1/cases/{case_id}")).text,
        *[(await desk.get(f"/v1/drafts/{each['draft_id']}")).text for each in await desk.whole("/v1/drafts")],
        (await desk.get(f"/v1/cases/{case_id}/records")).text,
    ]
    (meeting,), (emergency,) = await desk.whole("/v1/meetings"), await desk.whole("/v1/emergency-accesses")
    everything += [
        (await desk.get(f"/v1/cases/{case_id}/consents")).text,
        (await desk.get(f"/v1/meetings/{meeting['meeting_id']}/cases/{case_id}/notes")).text,
        (await desk.get(f"/v1/emergency-accesses/{emergency['emergency_id']}")).text,
    ]
    cases = await desk.whole("/v1/cases")
    everything += [(await desk.get(f"/v1/cases/{case['case_id']}/person")).text for case in cases]
    overwritten = {SHEET[name] for name in LATER} | {OTHERS["next_step"]}
    assert heard("".join(everything)) == set(CANARIES) - overwritten - {LISTED["番号"]}


async def _broken(desk: Caller, case_id: str, monkeypatch: pytest.MonkeyPatch) -> httpx2.Response:
    """A fault of ours, whose text holds what somebody typed, as texts of faults do."""

    async def breaks(*_: Any, **__: Any) -> None:
        raise RuntimeError(f"could not write {SHEET['name']}") from ValueError(SHEET["story"])

    with monkeypatch.context() as patched:
        patched.setattr("services.intake.tables.persons.add_values", breaks)
        answer = await desk.patch(f"/v1/cases/{case_id}/person", LATER, etag='"3"')
    assert answer.status_code == 500
    return answer


async def _are_not_in_another_municipality(intake: Running, case_id: str, draft_id: str) -> None:
    far = intake.as_("zama-desk", municipalities=[ZAMA])
    asked = 0
    for path, operations in intake.app.openapi()["paths"].items():
        where = path.replace("{case_id}", case_id).replace("{draft_id}", draft_id).replace("{import_id}", draft_id)
        if "get" in operations and path.startswith("/v1/") and "{" not in where:
            params = {"from": "2026-01-01", "to": "2026-12-31"} if "export" in path else {}
            answer = await far.get(where, params=params)
            assert answer.status_code < 500
            assert heard(answer.text) == set(), path
            asked += 1
    assert asked >= 10
