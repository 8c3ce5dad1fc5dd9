"""What the receiver of a referral is told of the case, as the person's consent goes."""

import json
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.referral.api.words import WORDS_JA
from shared.events import ConsentWithdrawn
from tests.service.referral_region import Region, consented, coordinated, opened
from tests.world import Caller, World


@pytest.fixture
async def region(world: World) -> Region:
    return await Region(world.service("referral")).ready()


async def test_the_receiver_is_told_what_the_consent_covers_while_it_is_open(region: Region) -> None:
    case_id = region.case_id = uuid4()
    needs = ("health", "people")
    await region.running.hear(opened(case_id, needs=needs), consented(case_id, categories=["story"]))
    referral = await region.to_programme()

    async def told() -> Any:
        return (await region.npo.get(f"/v1/referrals/{referral}")).json()["told"]

    assert await told() == {
        "needs": ["people"],
        "topics": ["job_search"],
        "urgent": False,
        "withheld": True,
        "basis": "consent",
    }
    await region.running.hear(consented(case_id, 2, categories=["story", "health"]))
    assert (await told())["needs"] == ["health", "people"]
    await region.npo.post(f"/v1/referrals/{referral}/accept")
    assert (await told())["withheld"] is False
    await region.running.hear(ConsentWithdrawn(case_id=case_id, consent_version=3))
    assert await told() is None


async def test_who_is_no_party_is_told_nothing_and_who_only_sends_no_more_than_was_agreed(region: Region) -> None:
    case_id = region.case_id = uuid4()
    given: dict[str, Any] = {"categories": ["story", "health"], "recipients": ["sakura-npo"]}
    await region.running.hear(opened(case_id, needs=("health",)), consented(case_id, **given))
    holders = await region.to_programme()
    other = region.running.as_("kagoshima-shakyo")
    body = {"case_id": str(case_id), "programme_id": region.programmes["sakura-npo/junbi"], "verb": "refer"}
    others = (await other.post("/v1/referrals", body)).json()["referral_id"]

    async def told(caller: Caller, referral: str) -> Any:
        answer = await caller.get(f"/v1/referrals/{referral}")
        assert answer.status_code == 200
        return answer.json()["told"]

    for referral in (holders, others):
        assert (await told(region.npo, referral))["needs"] == ["health"]
        assert (await told(region.desk, referral))["needs"] == ["health"], "it holds the case"
    assert await told(other, holders) is None, "it is no party"
    assert await told(other, others) is None, "to send is no basis to read"
    await region.running.hear(consented(case_id, 2, **(given | {"recipients": ["sakura-npo", "kagoshima-shakyo"]})))
    assert (await told(other, others))["needs"] == ["health"]
    assert await told(other, holders) is None


async def test_the_coordinator_reads_what_it_has_taken_over(region: Region) -> None:
    await coordinated(region.running, "kagoshima-city")
    referral = await region.to_programme()
    city = region.running.as_("kagoshima-city")
    await region.npo.post(f"/v1/referrals/{referral}/accept")
    await region.npo.post(f"/v1/referrals/{referral}/start")
    assert (await city.get(f"/v1/referrals/{referral}")).json()["told"] is None
    region.running.pass_time(timedelta(days=200))
    await region.running.sweep()
    shown = (await city.get(f"/v1/referrals/{referral}")).json()
    assert (shown["responsible_agency"], shown["told"]["needs"]) == ("kagoshima-city", ["people"])


# --- Needs in candidates, proposals, and among what waits -------------------------------------------------------------


async def every_word(caller: Caller, case_id: UUID) -> str:
    """Whatever the service says of where a case may go and of what nobody answers, at every door."""
    path = f"/v1/cases/{case_id}"
    first = await caller.get(f"{path}/candidates", params={"limit": 1})
    assert first.status_code == 200, first.text
    found = first.json()
    proposal = found["proposal_id"]
    said = [first.text, json.dumps(await caller.whole(f"{path}/candidates", limit=1))]
    said.append(json.dumps(await caller.whole(f"{path}/proposals/{proposal}/excluded")))
    said.append((await caller.get(f"/v1/proposals/{proposal}")).text)
    needs = await caller.whole("/v1/unmet-needs")
    said += [json.dumps(needs), json.dumps(await caller.whole("/v1/waiting"))]
    said += [(await caller.get(f"/v1/unmet-needs/{each['unmet_need_id']}")).text for each in needs]
    return " ".join(said)


def named(words: str, *needs: str) -> set[str]:
    """Which of these needs are said, as a code or as people say it."""
    spoken = {need: {need, need.replace("_", " "), WORDS_JA[need]} for need in needs}
    return {need for need, forms in spoken.items() if any(form in words for form in forms)}


async def test_needs_are_named_to_who_holds_the_case_and_who_was_told_and_to_nobody_else(region: Region) -> None:
    case_id = region.case_id = uuid4()
    needs = "debt", "health", "isolation"
    given: dict[str, Any] = {"categories": ["story"], "recipients": ["sakura-npo"]}
    await region.running.hear(opened(case_id, needs=needs), consented(case_id, **given))
    other, npo = region.running.as_("kagoshima-shakyo"), region.running.as_("sakura-npo")
    assert named(await every_word(region.desk, case_id), *needs) == set(needs), "it holds the case"
    for stranger in (other, npo):
        assert named(await every_word(stranger, case_id), *needs) == set()
    shown = (await other.get(f"/v1/cases/{case_id}/candidates")).json()
    assert (shown["unmet_needs"], shown["needs_withheld"]) == ([], True)
    reasons = {reason["code"]: reason for item in shown["items"] for reason in item["reasons"]}
    assert reasons["answers_needs"]["text_ja"] == "記録された課題に応えます"
    assert reasons["answers_needs"]["text_en"] == "Answers needs on record"
    unmet = await other.whole("/v1/unmet-needs")
    assert {(each["need"], each["withheld"]) for each in unmet} == {(None, True)}

    await region.to_programme()
    assert named(await every_word(npo, case_id), *needs) == {"debt", "isolation"}, "as far as the person agreed"
    assert named(await every_word(other, case_id), *needs) == set()
    await region.running.hear(ConsentWithdrawn(case_id=case_id, consent_version=2))
    assert named(await every_word(npo, case_id), *needs) == set()
    whole = (await region.desk.get(f"/v1/cases/{case_id}/candidates")).json()
    assert whole["needs_withheld"] is False


async def test_who_coordinates_an_unmet_need_knows_for_what_a_place_is_looked_for(region: Region) -> None:
    await coordinated(region.running, "kagoshima-city")
    case_id = uuid4()
    await region.running.hear(opened(case_id, needs=("debt",)))
    await region.running.sweep()
    city, other = (region.running.as_(agency) for agency in ("kagoshima-city", "kagoshima-shakyo"))
    (mine,) = [each for each in await city.whole("/v1/unmet-needs", box="mine") if each["case_id"] == str(case_id)][:1]
    assert {each["need"] for each in await city.whole("/v1/unmet-needs")} >= {"debt"}
    assert {(each["need"], each["withheld"]) for each in await other.whole("/v1/unmet-needs")} <= {
        (None, True),
        (None, False),
    }
    answer = await city.post(f"/v1/unmet-needs/{mine['unmet_need_id']}/review", {"review_on": "2027-01-15"})
    assert (answer.status_code, answer.json()["need"]) == (200, mine["need"])
