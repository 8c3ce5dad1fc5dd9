"""What the receiver of a referral is told of the case, as the person's consent goes."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

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
