"""What the receiver of a referral is told of the case, as the person's consent goes."""

from typing import Any
from uuid import uuid4

import pytest

from shared.events import ConsentWithdrawn
from tests.service.referral_region import Region, consented, opened
from tests.world import World


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
