"""Routing's rules over HTTP: what can be published and what not, trials, and any history made again."""

import asyncio
import json
import random
import threading
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any
from uuid import uuid4

import pytest

from services.referral.domain.routing import Routing
from services.referral.domain.routing_rules import FIRST, RuleSet, told
from services.referral.handlers.proposals import Given
from shared.auth import Role
from tests.service.referral_region import (
    TODAY,
    Region,
    code,
    consented,
    coordinated,
    opened,
    take_in,
)
from tests.service.test_referral_routing import ask, crowd, rated
from tests.world import KAGOSHIMA, KIRISHIMA, ZAMA, Caller, Running


@pytest.fixture
async def region(referral: Running) -> Region:
    return await Region(referral).ready()


@pytest.fixture
def council(referral: Running) -> Caller:
    return referral.as_("kagoshima-council", Role.RULES)


SHAPE = told(FIRST)


def rules_body(**changes: Any) -> dict[str, Any]:
    return {**SHAPE, "effective_from": "2099-04-01", "decided_by": "council", "decided_on": str(TODAY), **changes}


def without(facts: Mapping[str, Any], *on: str) -> dict[str, Any]:
    """The first version's rules, with these exclusions alone on."""
    chosen = [{**each, "on": each["code"] in on} for each in facts["exclusions"]]
    return {**facts, "exclusions": chosen}


async def test_the_first_version_is_what_held_before(council: Caller) -> None:
    (first,) = (await council.get("/v1/routing-rules")).json()["rules"]
    assert {name: first[name] for name in SHAPE} == SHAPE
    assert (first["version"], first["decided_by"]) == (1, "tsunagu")


async def test_a_version_is_tried_published_for_a_later_day_and_holds_from_then_on(
    region: Region, council: Caller
) -> None:
    before = await ask(region)
    today = date.fromisoformat((await region.desk.get(f"/v1/proposals/{before['proposal_id']}")).json()["on_day"])
    no_courses = {
        **SHAPE,
        "exclusions": [
            *SHAPE["exclusions"],
            {"code": "later", "looks_at": "stage", "on": True, "values": ["vocational_training"]},
        ],
    }
    tried = (await council.post("/v1/routing-rules/trial", no_courses)).json()
    assert tried == {
        "cases": 1,
        "had_candidates": 1,
        "other_candidates": 1,
        "none_left": 0,
        "cases_with_others": [str(region.case_id)],
        "cases_with_none_left": [],
        "could_be_published": True,
    }
    body = rules_body(**no_courses, effective_from=str(today + timedelta(days=1)))
    published = await council.post("/v1/routing-rules", body)
    assert published.status_code == 201, published.text
    assert (published.json()["version"], published.json()["published_by"]) == (2, "kagoshima-council")

    assert (await ask(region))["proposal_id"] == before["proposal_id"], "today nothing changes"
    region.running.pass_time(timedelta(days=1))
    after = await ask(region)
    assert after["rule_version"] == 2
    (course,) = [item for item in after["excluded"] if item["kind"] == "course_run"]
    assert [(reason["code"], reason["rule"]) for reason in course["reasons"]] == [("stage_left_out", "later")]
    assert (await council.get("/v1/routing-rules/replay")).json()["differ"] == []


async def test_a_trial_looks_at_the_cases_of_those_whose_business_they_are(region: Region, council: Caller) -> None:
    await ask(region)
    everything = {**SHAPE, "exclusions": [_stages("work_readiness", "vocational_training", "drop_in")]}
    tried = (await council.post("/v1/routing-rules/trial", everything)).json()
    assert (tried["none_left"], tried["cases_with_none_left"]) == (1, [str(region.case_id)])
    far = region.running.as_("zama-council", Role.RULES, municipalities=[ZAMA])
    tried = (await far.post("/v1/routing-rules/trial", everything)).json()
    assert (tried["cases"], tried["none_left"], tried["cases_with_none_left"]) == (0, 0, [])
    assert tried["could_be_published"] is False
    assert len(await region.running.rows("SELECT 1 FROM routing_rule")) == 1


async def test_rules_that_hold_for_others_are_not_published_by_one_town(region: Region, council: Caller) -> None:
    for municipality in (ZAMA, KIRISHIMA):
        one = region.running.as_("one-council", Role.RULES, municipalities=[municipality])
        refused = await one.post("/v1/routing-rules", rules_body())
        assert code(refused) == (403, "forbidden")
        assert "市町村" in refused.json()["detail_ja"]
        tried = (await one.post("/v1/routing-rules/trial", SHAPE)).json()
        assert tried["could_be_published"] is False
    assert len(await region.running.rows("SELECT 1 FROM routing_rule")) == 1
    assert (await council.post("/v1/routing-rules", rules_body())).status_code == 201, "it serves all that take part"
    await coordinated(region.running, "zama-desk", ZAMA)
    assert code(await council.post("/v1/routing-rules", rules_body())) == (403, "forbidden"), "Zama takes part, too"
    both = region.running.as_("two-councils", Role.RULES, municipalities=["prefecture:46", ZAMA])
    assert (await both.post("/v1/routing-rules", rules_body())).status_code == 201


async def test_a_case_that_was_assessed_before_its_opening_was_heard_of_is_of_no_town_yet(
    region: Region, council: Caller
) -> None:
    case_id = uuid4()
    await region.running.hear(rated(case_id, stress=1))
    far = region.running.as_("zama-council", Role.RULES, municipalities=[ZAMA])
    for one in (far, council):
        assert (await one.get("/v1/routing-rules")).status_code == 200
    assert (await council.post("/v1/routing-rules/trial", SHAPE)).json()["could_be_published"] is True
    assert (await council.post("/v1/routing-rules", rules_body())).status_code == 201
    await region.running.hear(opened(case_id, municipality=ZAMA))
    assert (await council.post("/v1/routing-rules/trial", SHAPE)).json()["could_be_published"] is False


async def test_a_version_that_will_never_hold_says_so(council: Caller) -> None:
    first = await council.post("/v1/routing-rules", rules_body(effective_from="2099-04-01"))
    sooner = await council.post("/v1/routing-rules", rules_body(effective_from="2099-02-01"))
    assert [answer.status_code for answer in (first, sooner)] == [201, 201]
    assert (first.json()["replaced_by"], sooner.json()["replaces"]) == (None, [2])
    versions = (await council.get("/v1/routing-rules")).json()["rules"]
    assert [(each["replaced_by"], each["replaces"]) for each in versions] == [(None, []), (3, []), (None, [2])]


async def test_past_cases_are_tried_beside_the_requests_of_others(
    region: Region, council: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ask(region)
    threads = set()
    again = Given.again

    def watched(given: Given, rules: RuleSet) -> Routing:
        threads.add(threading.get_ident())
        return again(given, rules)

    monkeypatch.setattr(Given, "again", watched)
    assert (await council.post("/v1/routing-rules/trial", SHAPE)).json()["cases"] == 1
    assert threads
    assert threading.get_ident() not in threads


def _stages(*names_: str) -> dict[str, Any]:
    return {"code": "shut", "looks_at": "stage", "on": True, "values": list(names_)}


async def test_a_rule_that_excludes_everybody_is_refused_in_both_languages(region: Region, council: Caller) -> None:
    shut = rules_body(exclusions=[_stages("work_readiness", "vocational_training", "drop_in")])
    await ask(region)
    refused = await council.post("/v1/routing-rules", shut)
    (error,) = refused.json()["errors"]
    assert (refused.status_code, error["code"], error["pointer"]) == (422, "excludes_everybody", "/exclusions")
    assert "候補が残りません" in error["message_ja"]
    assert "nobody would have a candidate" in error["message"]

    fair = rules_body(exclusions=[_stages("work_readiness", "drop_in")])
    assert (await council.post("/v1/routing-rules", fair)).status_code == 201, "one way is left"
    every = rules_body(exclusions=[_stages(*(stage for stage in _ALL_STAGES))])
    assert (await council.post("/v1/routing-rules", every)).json()["errors"][0]["code"] == "excludes_everybody"


_ALL_STAGES = (
    "outreach", "drop_in", "work_readiness", "work_training", "vocational_training", "job", "retention",
)  # fmt: skip


async def test_cases_that_had_no_candidate_before_stop_no_new_rules(region: Region, council: Caller) -> None:
    lonely = uuid4()
    await region.running.hear(opened(lonely, needs=("health",), municipality=KAGOSHIMA))
    assert (await region.desk.get(f"/v1/cases/{lonely}/candidates")).json()["need_unmet"]
    assert (await council.post("/v1/routing-rules", rules_body())).status_code == 201


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"effective_from": "2020-01-01"}, "/effective_from"),
        ({"early": {"job": -1}}, "/early/*"),
        ({"weights": {**SHAPE["weights"], "has_room": 101}}, "/weights/has_room"),
        ({"weights": {**SHAPE["weights"], "levels": 5}}, "/weights"),
        ({"weights": {**SHAPE["weights"], "capacity_unknown": 7}}, "/weights/capacity_unknown"),
        ({"exclusions": [{"code": "x", "looks_at": "levels"}]}, "/exclusions/0/looks_at"),
        ({"exclusions": [{"code": "x", "looks_at": "prolongation_risk"}]}, "/exclusions/0/looks_at"),
        ({"exclusions": [{"code": "x", "looks_at": "stage"}]}, "/exclusions"),
        ({"exclusions": [{"code": "x", "looks_at": "strand", "values": ["9"]}]}, "/exclusions/0/values"),
        ({"decided_on": "2099-01-01"}, "/decided_on"),
        ({"exclusions": [{"code": "x", "looks_at": "needs"}, {"code": "x", "looks_at": "period"}]}, "/exclusions"),
        ({"levels": {"stress": -5}}, "/"),
    ],
)
async def test_rules_that_can_not_hold_are_refused_with_their_place(
    council: Caller, changes: dict[str, Any], place: str
) -> None:
    answer = await council.post("/v1/routing-rules", rules_body(**changes))
    assert answer.status_code == 422, answer.text
    assert place in [error["pointer"] for error in answer.json()["errors"]]


async def test_a_misspelt_value_is_refused_with_the_nearest_word_and_not_echoed(council: Caller) -> None:
    body = rules_body(exclusions=[{"code": "x", "looks_at": "function", "values": ["drop_in_spase"]}])
    trial = {name: value for name, value in body.items() if name in SHAPE}
    for path, sent in (("/v1/routing-rules", body), ("/v1/routing-rules/trial", trial)):
        answer = await council.post(path, sent)
        (error,) = answer.json()["errors"]
        assert (answer.status_code, error["code"]) == (422, "unknown_value")
        assert "drop_in_space" in error["message"]
        assert "「drop_in_space」" in error["message_ja"]
        assert "spase" not in answer.text


async def test_rules_that_shut_out_the_directory_in_force_are_refused_before_anybody_asks(
    region: Region, council: Caller
) -> None:
    training = {"code": "t", "looks_at": "stage", "values": ["vocational_training"]}
    every = {"code": "s", "looks_at": "strand", "values": list("123456")}
    only = {"code": "s", "looks_at": "strand", "values": ["4"]}
    functions = {"code": "f", "looks_at": "function", "values": ["drop_in_space", "work_readiness"]}
    for exclusions in ([every, training], [only, training], [functions, training]):
        refused = await council.post("/v1/routing-rules", rules_body(exclusions=exclusions))
        (error,) = refused.json()["errors"]
        assert (refused.status_code, error["code"]) == (422, "excludes_everybody")
        tried = await council.post("/v1/routing-rules/trial", {**SHAPE, "exclusions": exclusions})
        assert (tried.status_code, tried.json()["could_be_published"]) == (200, False)
    await take_in(region.running, "/v1/programme-imports", crowd(1).replace(",4,", ",1,"))
    answer = await council.post("/v1/routing-rules", rules_body(exclusions=[only, training]))
    assert answer.status_code == 201, answer.text


async def test_what_the_trial_counted_stays_with_the_version(region: Region, council: Caller) -> None:
    await ask(region)
    body = rules_body(exclusions=[_stages("vocational_training")])
    published = (await council.post("/v1/routing-rules", body)).json()
    counted = {name: shown["count"] for name, shown in published["tried"].items()}
    assert counted == {"cases": 1, "had_candidates": 1, "other_candidates": 1, "none_left": 0}
    await region.running.hear(consented(region.case_id, 2, recipients=["career-center"]))
    first, second = (await council.get("/v1/routing-rules")).json()["rules"]
    assert (first["tried"], second["tried"]) == (None, published["tried"])
    far = region.running.as_("zama-desk", municipalities=[ZAMA])
    for other in (far, region.running.as_("kirishima-desk", municipalities=[KIRISHIMA])):
        _, second = (await other.get("/v1/routing-rules")).json()["rules"]
        assert second["tried"]["cases"] == {"count": None, "at_least": 1, "below": 5}
        assert second["tried"]["none_left"]["count"] == 0


async def test_to_others_no_small_count_is_the_rest_of_two_that_are_shown(region: Region, council: Caller) -> None:
    await council.post("/v1/routing-rules", rules_body())
    tried = {"cases": 120, "had_candidates": 118, "others": 60, "none_left": 57}
    columns = "effective_from, rules, decided_by, decided_on, published_by, published_at"
    await region.running.rows(
        f"INSERT INTO routing_rule (version, tried, {columns}) SELECT 3, $1, {columns} FROM routing_rule"
        " WHERE version = 2",
        json.dumps(tried),
    )
    far = region.running.as_("zama-desk", municipalities=[ZAMA])
    own, theirs = [(await one.get("/v1/routing-rules")).json()["rules"][-1]["tried"] for one in (council, far)]
    assert [own[name]["count"] for name in own] == [120, 118, 60, 57]
    assert {name: shown["count"] for name, shown in theirs.items()} == {
        "cases": 120,
        "had_candidates": None,
        "other_candidates": 60,
        "none_left": None,
    }
    assert theirs["had_candidates"] == {"count": None, "at_least": 5, "below": None}


async def test_two_who_publish_at_once_get_two_numbers(council: Caller) -> None:
    answers = await asyncio.gather(*(council.post("/v1/routing-rules", rules_body()) for _ in range(4)))
    assert [answer.text for answer in answers if answer.status_code != 201] == []
    assert sorted(answer.json()["version"] for answer in answers) == [2, 3, 4, 5]


async def test_any_history_of_rules_directory_and_cases_is_made_again_identically(
    region: Region, council: Caller
) -> None:
    """A seeded walk over everything an answer rests on; the plain rule is held by `tests/unit`."""
    luck = random.Random(20261129)
    cases = [region.case_id]
    for number in range(60):
        match luck.choice(["ask", "ask", "directory", "case", "rules", "day", "consent", "refer"]):
            case "ask":
                answer = await region.desk.get(f"/v1/cases/{luck.choice(cases)}/candidates")
                assert answer.status_code == 200, answer.text
            case "directory":
                state = luck.choice(["full", "has_room", "", "waiting_list"])
                text = crowd(luck.randint(1, 4), luck.choice(["drop_in", "job"])).replace("has_room", state)
                await take_in(region.running, "/v1/programme-imports", text)
            case "case":
                cases.append(uuid4())
                needs = tuple(luck.sample(["people", "isolation", "housing", "tasks"], luck.randint(0, 3)))
                await region.running.hear(opened(cases[-1], needs=needs))
            case "rules":
                weights = {name: luck.randint(-9, 9) for name in SHAPE["weights"]}
                weights["has_room"] = 9
                after = date(2026, 11, 30) + timedelta(days=luck.randint(1, 30))
                body = rules_body(weights=weights, effective_from=str(max(after, date(2026, 12, 1))))
                await council.post("/v1/routing-rules", body)
            case "day":
                region.running.pass_time(timedelta(days=luck.randint(1, 9)))
            case "consent":
                await region.running.hear(consented(luck.choice(cases), number + 2, recipients=["x-desk"]))
            case _:
                await region.desk.post(
                    "/v1/referrals",
                    {"case_id": str(region.case_id), "programme_id": luck.choice([*region.programmes.values()])},
                )
    found = (await council.get("/v1/routing-rules/replay", params={"limit": 500})).json()
    assert found["differ"] == []
    assert found["replayed"] >= 10
