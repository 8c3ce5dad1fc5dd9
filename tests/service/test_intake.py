"""The counter over HTTP: what is answered, what is kept, what is told."""

import asyncio
from datetime import timedelta
from typing import Any
from urllib.parse import urljoin
from uuid import UUID, uuid4

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.auth import Role
from shared.events import (
    CaseOpened,
    CaseScreened,
    ConsentGiven,
    ConsentPending,
    ConsentRefused,
    ConsentWithdrawn,
)
from shared.problems import INVALID, Problem
from shared.service import Paging, moment, number
from tests.service.intake_counter import taken_up
from tests.world import KAGOSHIMA, KIRISHIMA, ZAMA, Caller, World

GIVEN = {"state": "given", "purposes": ["referral"]}


async def test_a_case_is_opened_with_almost_nothing(world: World) -> None:
    intake = world.service("intake")
    desk = intake.as_("kagoshima-desk")
    answer = await desk.post("/v1/cases", {})
    case = answer.json()
    assert answer.status_code == 201
    assert case["municipality"] == KAGOSHIMA
    assert case["holder_agency"] == case["opened_by"] == "kagoshima-desk"
    assert (case["status"], case["entrance"], case["urgent"]) == ("open", "walk_in", False)
    assert case["consent"] == {"state": "not_yet", "version": 0, "recorded_by": None}
    assert case["number"].endswith("-000001")
    assert case["next_step_on"]
    assert answer.headers["etag"] == '"1"'
    place = urljoin(str(answer.url), answer.headers["location"])
    assert (await desk.get(place)).json() == case | {"next_step": "次の対応を決める", "sensitive_open": True}
    (told,) = await intake.told()
    assert isinstance(told, CaseOpened)
    assert (str(told.case_id), told.municipality, told.agency_id) == (case["case_id"], KAGOSHIMA, "kagoshima-desk")


async def test_one_call_opens_a_case_with_everything(world: World) -> None:
    intake = world.service("intake")
    case = await taken_up(
        intake.as_(),
        entrance="outreach",
        topics=["violence", "income", "violence"],
        needs=["isolation", "experience"],
        urgent=False,
        next_step=" 来週もう一度会う ",
        next_step_on="2030-01-15",
        consent={**GIVEN, "recipients": ["kirishima-npo"], "valid_until": "2031-03-31", "text_version": "v1"},
    )
    assert case["topics"] == ["violence", "income"]
    assert case["urgent"] is True
    read = (await intake.as_().get(f"/v1/cases/{case['case_id']}")).json()
    assert (read["next_step"], case["next_step_on"]) == ("来週もう一度会う", "2030-01-15")
    assert case["consent"] == {"state": "given", "version": 1, "recorded_by": "kagoshima-desk"}
    first, second = await intake.told()
    assert isinstance(first, CaseOpened)
    assert first.urgent
    assert isinstance(second, ConsentGiven)
    assert (second.purposes, second.recipients, str(second.valid_until)) == (
        ["referral"],
        ["kirishima-npo"],
        "2031-03-31",
    )
    (row,) = await intake.rows("SELECT * FROM case_consent")
    assert (row["version"], row["recorded_by"], row["text_version"]) == (1, "kagoshima-desk", "v1")


async def test_numbers_are_never_given_twice(world: World) -> None:
    desk = world.service("intake").as_()
    cases = await asyncio.gather(*(taken_up(desk) for _ in range(20)))
    assert len({case["number"] for case in cases}) == 20


async def test_any_kind_of_agency_opens_a_case_for_any_municipality(world: World) -> None:
    intake = world.service("intake")
    npo = intake.as_("kirishima-npo", municipalities=[KIRISHIMA], kind="npo")
    case = await taken_up(npo, municipality=ZAMA)
    assert (await npo.get(f"/v1/cases/{case['case_id']}")).status_code == 200
    own = intake.as_("zama-desk", municipalities=[ZAMA])
    assert (await own.get(f"/v1/cases/{case['case_id']}")).status_code == 200


@pytest.mark.parametrize("municipalities", [[KAGOSHIMA, KIRISHIMA], [], ["prefecture:46"]])
async def test_who_serves_several_municipalities_says_which(world: World, municipalities: list[str]) -> None:
    caller = world.service("intake").as_(municipalities=municipalities)
    answer = await caller.post("/v1/cases", {})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/municipality"
    assert (await caller.post("/v1/cases", {"municipality": KIRISHIMA})).status_code == 201


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"name": "鹿児島 花子"}, "/"),
        ({"topics": ["astrology"]}, "/topics/0"),
        ({"urgent": "yes"}, "/urgent"),
        ({"municipality": "462010"}, "/municipality"),
        ({"next_step": "番号は 1234-5678-9018"}, "/next_step"),
        ({"next_step": "  "}, "/next_step"),
        ({"consent": {"state": "given"}}, "/consent"),
        ({"consent": {"state": "withdrawn", "purposes": ["referral"]}}, "/consent"),
        ({"consent": {"state": "not_yet", "valid_until": "2031-03-31"}}, "/consent"),
        ({"consent": {**GIVEN, "valid_until": "2020-01-01"}}, "/consent/valid_until"),
    ],
)
async def test_what_cannot_be_kept_is_refused_without_an_echo(world: World, body: dict[str, Any], pointer: str) -> None:
    intake = world.service("intake")
    answer = await intake.as_().post("/v1/cases", body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["pointer"] == pointer
    assert "花子" not in answer.text
    assert "9018" not in answer.text
    assert await intake.told() == []
    assert await intake.rows("SELECT id FROM case_") == []


async def test_a_case_cannot_begin_with_a_withdrawal(world: World) -> None:
    intake = world.service("intake")
    answer = await intake.as_().post("/v1/cases", {"consent": {"state": "withdrawn"}})
    assert (answer.status_code, answer.json()["code"]) == (409, "nothing_to_withdraw")
    assert await intake.rows("SELECT id FROM case_") == []


async def test_a_repeated_key_opens_one_case(world: World) -> None:
    intake = world.service("intake")
    key = str(uuid4())
    answers = await asyncio.gather(*(intake.as_().post("/v1/cases", {}, key=key) for _ in range(8)))
    assert len({answer.text for answer in answers}) == 1
    assert len(await intake.rows("SELECT id FROM case_")) == 1
    assert (await intake.as_().post("/v1/cases", {"urgent": True}, key=key)).status_code == 422


async def test_another_municipality_sees_nothing(world: World) -> None:
    intake = world.service("intake")
    case = await taken_up(intake.as_())
    path = f"/v1/cases/{case['case_id']}"
    stranger = intake.as_("zama-desk", municipalities=[ZAMA])
    answers = [
        await stranger.get(path),
        await stranger.get(f"{path}/consents"),
        await stranger.get(f"{path}/timeline"),
        await stranger.patch(path, {"urgent": True}, etag='"1"'),
        await stranger.post(f"{path}/consents", {"state": "refused"}),
        await stranger.post(f"{path}/screenings", {"outcome": "support"}),
    ]
    assert {answer.status_code for answer in answers} == {404}
    none = (await stranger.get(f"/v1/cases/{uuid4()}")).json()
    assert answers[0].json() | {"instance": ""} == none | {"instance": ""}
    assert (await stranger.get("/v1/cases")).json()["items"] == []
    assert (await intake.as_("city-office", municipalities=["prefecture:46"]).get(path)).status_code == 200


async def test_any_agency_takes_up_a_case_and_counsellors_work_with_it(world: World) -> None:
    intake = world.service("intake")
    provider = intake.as_("school", Role.PROVIDER)
    assert (await provider.post("/v1/cases", {})).status_code == 201
    assert (await provider.get("/v1/cases")).status_code == 403
    assert (await intake.as_("region", Role.OBSERVER).post("/v1/cases", {})).status_code == 403
    assert (await intake.anonymous.get("/v1/cases")).status_code == 401


async def test_a_change_needs_what_was_read(world: World) -> None:
    intake = world.service("intake")
    desk = intake.as_()
    case = await taken_up(desk, topics=["debt"])
    path = f"/v1/cases/{case['case_id']}"
    assert (await desk.patch(path, {"urgent": True}, etag=None)).status_code == 428
    changed = await desk.patch(path, {"topics": ["debt", "nothing_to_eat"], "urgent": False}, etag='"1"')
    assert changed.status_code == 200
    assert changed.headers["etag"] == '"2"'
    assert changed.json()["urgent"] is True
    assert (await desk.patch(path, {"next_step": "同行する"}, etag='"1"')).status_code == 412
    calmed = await desk.patch(path, {"urgent": False}, etag='"2"')
    assert calmed.json()["urgent"] is False
    same = await desk.patch(path, {"urgent": False, "next_step": None}, etag='"3"')
    assert (same.status_code, same.headers["etag"]) == (200, '"3"')
    kinds = [entry["codes"].get("changed") for entry in await timeline(desk, case["case_id"])]
    assert kinds == [None, ["topics", "urgency", "urgent"], ["urgent"]]


async def test_of_two_changes_at_once_one_is_told_it_is_late(world: World) -> None:
    desk = world.service("intake").as_()
    path = f"/v1/cases/{(await taken_up(desk))['case_id']}"
    answers = await asyncio.gather(
        *(desk.patch(path, {"next_step": f"案 {number}"}, etag='"1"') for number in range(6))
    )
    assert sorted(answer.status_code for answer in answers) == [200, *[412] * 5]


async def test_consent_is_a_chain_of_facts(world: World) -> None:
    intake = world.service("intake")
    desk = intake.as_()
    case_id = (await taken_up(desk))["case_id"]
    path = f"/v1/cases/{case_id}/consents"
    for said in ({"state": "not_yet"}, GIVEN, {**GIVEN, "purposes": ["training"]}, {"state": "withdrawn"}):
        assert (await desk.post(path, said)).status_code == 201
    assert (await desk.post(path, {"state": "refused"})).json()["version"] == 5
    facts = (await desk.get(path)).json()["items"]
    assert [(fact["version"], fact["state"]) for fact in facts] == [
        (1, "not_yet"),
        (2, "given"),
        (3, "given"),
        (4, "withdrawn"),
        (5, "refused"),
    ]
    consent = (await desk.get(f"/v1/cases/{case_id}")).json()["consent"]
    assert consent == {"state": "refused", "version": 5, "recorded_by": "kagoshima-desk"}
    told = (await intake.told())[1:]
    assert [type(event) for event in told] == [
        ConsentPending,
        ConsentGiven,
        ConsentGiven,
        ConsentWithdrawn,
        ConsentRefused,
    ]
    assert [event.model_dump()["consent_version"] for event in told] == [1, 2, 3, 4, 5]
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await intake.rows("UPDATE case_consent SET state = 'given' RETURNING 1")


SAID = [
    {"state": "not_yet"},
    {"state": "refused"},
    {"state": "refused", "purposes": ["training"]},
    {"state": "withdrawn"},
    GIVEN,
    {**GIVEN, "purposes": ["referral", "training"]},
    {**GIVEN, "recipients": ["kirishima-npo"]},
]


@given(sayings=st.lists(st.sampled_from(SAID), min_size=1, max_size=8))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_any_sequence_of_sayings_leaves_a_true_history(world: World, sayings: list[dict[str, Any]]) -> None:
    intake = world.service("intake")
    desk = intake.as_()
    case_id = (await taken_up(desk))["case_id"]
    recorded: list[dict[str, Any]] = []
    for said in sayings:
        answer = await desk.post(f"/v1/cases/{case_id}/consents", said)
        if _may_follow(recorded, said):
            assert answer.status_code == 201, answer.text
            recorded.append(said)
        else:
            assert answer.status_code == 409, answer.text
        facts = await intake.rows("SELECT * FROM case_consent WHERE case_id = $1 ORDER BY version", UUID(case_id))
        assert [fact["version"] for fact in facts] == list(range(1, len(recorded) + 1))
        assert [_terms(dict(fact)) for fact in facts] == [_terms(each) for each in recorded]
        (case,) = await intake.rows("SELECT * FROM case_ WHERE id = $1", UUID(case_id))
        assert case["consent_state"] == (recorded[-1]["state"] if recorded else "not_yet")
        assert (case["consent_version"], case["version"]) == (len(recorded), len(recorded) + 1)
    told = [event for event in await intake.told() if event.subject == case_id]
    assert len(told) == 1 + len(recorded)
    assert len(await timeline(desk, case_id)) == 1 + len(recorded)


def _may_follow(recorded: list[dict[str, Any]], said: dict[str, Any]) -> bool:
    """The rule once more, written from the words of the field."""
    last = recorded[-1] if recorded else {"state": "nobody_asked"}
    if said["state"] == "withdrawn":
        return bool(last["state"] == "given")
    news = _terms(said) != _terms(last)
    return news and (last["state"] != "given" or said["state"] == "given")


def _terms(fact: dict[str, Any]) -> tuple[Any, ...]:
    return fact["state"], sorted(fact.get("purposes", [])), sorted(fact.get("recipients", []))


async def test_two_consents_at_once_follow_one_another(world: World) -> None:
    intake = world.service("intake")
    desk = intake.as_()
    case_id = (await taken_up(desk))["case_id"]
    sayings = [{**GIVEN, "recipients": [f"agency-{number:02}"]} for number in range(8)]
    answers = await asyncio.gather(*(desk.post(f"/v1/cases/{case_id}/consents", said) for said in sayings))
    assert {answer.status_code for answer in answers} == {201}
    told = [event.consent_version for event in await intake.told() if isinstance(event, ConsentGiven)]
    assert told == list(range(1, 9))


@pytest.mark.parametrize("outcome", ["information", "hand_off", "no_consent_yet", "support", "interrupted"])
async def test_no_screening_closes_a_case(world: World, outcome: str) -> None:
    intake = world.service("intake")
    desk = intake.as_()
    case_id = (await taken_up(desk))["case_id"]
    answer = await desk.post(f"/v1/cases/{case_id}/screenings", {"outcome": outcome})
    assert (answer.status_code, answer.json()["outcome"]) == (201, outcome)
    case = (await desk.get(f"/v1/cases/{case_id}")).json()
    assert (case["screening_outcome"], case["status"], case["version"]) == (outcome, "open", 2)
    told = (await intake.told())[-1]
    assert isinstance(told, CaseScreened)
    assert told.outcome == outcome
    assert (await desk.post(f"/v1/cases/{case_id}/screenings", {"outcome": "refuse"})).status_code == 422


async def test_facts_of_consent_come_in_pages_whose_cursors_are_no_good_at_another_case(world: World) -> None:
    desk = world.service("intake").as_()
    ours, other = [(await taken_up(desk, consent=GIVEN))["case_id"] for _ in range(2)]
    for said in ({"state": "withdrawn"}, GIVEN):
        answer = await desk.post(f"/v1/cases/{ours}/consents", said)
        assert answer.status_code == 201, answer.text
    assert [fact["version"] for fact in await desk.whole(f"/v1/cases/{ours}/consents", limit=1)] == [1, 2, 3]
    cursor = (await desk.get(f"/v1/cases/{ours}/consents", params={"limit": 1})).json()["next_cursor"]
    foreign = await desk.get(f"/v1/cases/{other}/consents", params={"limit": 1, "cursor": cursor})
    assert foreign.status_code == 422


async def test_lists_are_filtered_and_go_on_where_they_ended(world: World) -> None:
    intake = world.service("intake")
    desk = intake.as_()
    ids = [(await taken_up(desk, consent=GIVEN if number % 2 else None))["case_id"] for number in range(7)]
    seen: list[str] = []
    async for page in desk.pages("/v1/cases", limit=3):
        seen += [case["case_id"] for case in page]
        await taken_up(intake.as_("other-desk"))  # what comes in meanwhile doesn't disturb the pages
    assert seen == ids[::-1]
    given_ones = (await desk.get("/v1/cases", params={"consent": "given"})).json()["items"]
    assert [case["case_id"] for case in given_ones] == [ids[5], ids[3], ids[1]]
    held = (await desk.get("/v1/cases", params={"holder": "other-desk", "status": "open"})).json()["items"]
    assert {case["holder_agency"] for case in held} == {"other-desk"}
    assert (await desk.get("/v1/cases", params={"status": "closed"})).json()["items"] == []


@pytest.mark.parametrize("after", [("tomorrow", "1"), ("2026-11-23T01:00:00", "1"), ("0001-01-01T00:00:00+09:00", "1")])
def test_a_forged_moment_is_no_place_in_a_list(after: tuple[str, ...]) -> None:
    with pytest.raises(Problem) as refused:
        Paging(50, after, "").begin(lambda at, _: moment(at))
    assert refused.value.kind is INVALID


@pytest.mark.parametrize("after", [("one",), ("-1",), ("2147483648",), ()])
def test_a_forged_number_is_no_place_in_a_list(after: tuple[str, ...]) -> None:
    with pytest.raises(Problem) as refused:
        Paging(50, after, "").begin(number)
    assert refused.value.kind is INVALID


async def test_opening_days_are_japanese_days(world: World) -> None:
    intake = world.service("intake")
    before = (await taken_up(intake.as_()))["next_step_on"]
    intake.pass_time(timedelta(days=1))
    assert (await taken_up(intake.as_()))["next_step_on"] > before


async def timeline(desk: Caller, case_id: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await desk.get(f"/v1/cases/{case_id}/timeline")).json()["items"]
    return items
