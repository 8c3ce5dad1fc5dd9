"""Where it goes next is for who holds it to say: by what was sent, what was agreed to, or a reason of its own."""

from typing import Any

import pytest

from tests.service.referral_region import Region, code, coordinated
from tests.world import KAGOSHIMA, Caller, World

CITY = "kagoshima-city"


@pytest.fixture
async def region(world: World) -> Region:
    made = await Region(world.service("referral")).ready()
    await coordinated(made.running, CITY)
    return made


async def declined(region: Region) -> str:
    referral_id = await region.to_programme()
    await region.npo.post(f"/v1/referrals/{referral_id}/decline", {"reason": "no_capacity"})
    answer = await region.running.as_(CITY).post(f"/v1/referrals/{referral_id}/confirm-decline")
    assert answer.status_code == 200, answer.text
    return referral_id


async def looked_for(region: Region) -> list[str]:
    return [each["referral_id"] for each in await region.running.as_(CITY).whole("/v1/waiting", mine=True)]


async def test_a_bystander_does_not_end_the_coordinators_duty_by_naming_it(region: Region) -> None:
    referral_id = await declined(region)
    body: dict[str, Any] = {"case_id": str(region.case_id), "programme_id": region.programmes["sakura-npo/junbi"]}
    body |= {"verb": "refer", "instead_of": referral_id}
    answer = await region.running.as_("kagoshima-shakyo").post("/v1/referrals", body)
    assert code(answer) == (422, "invalid")
    assert [each["pointer"] for each in answer.json()["errors"]] == ["/instead_of"]
    assert await looked_for(region) == [referral_id]
    assert (await region.desk.post("/v1/referrals", body)).status_code == 201, "it holds the case"
    assert await looked_for(region) == []


async def test_who_asks_for_the_case_and_gets_it_is_its_next_place(region: Region) -> None:
    referral_id = await declined(region)
    asker: Caller = region.running.as_("sakura-npo", municipalities=[KAGOSHIMA])
    body = {"case_id": str(region.case_id), "programme_id": region.programmes["sakura-npo/junbi"]}
    asked = (await asker.post("/v1/referral-requests", body)).json()["referral_id"]
    assert await looked_for(region) == [referral_id], "to ask is not to have"
    assert (await region.desk.post(f"/v1/referrals/{asked}/accept")).status_code == 200
    assert await looked_for(region) == []
    step = (await region.look(referral_id))["steps"][-1]
    assert (step["step"], step["reason"]) == ("placed", "sent_on")


async def test_nobody_says_that_it_was_sent_on_who_has_sent_nothing(region: Region) -> None:
    referral_id = await declined(region)
    answer = await region.running.as_(CITY).post(f"/v1/referrals/{referral_id}/no-place", {"reason": "sent_on"})
    assert answer.status_code == 422
    assert await looked_for(region) == [referral_id]


async def test_whose_place_a_draft_takes_is_said_when_it_is_sent(region: Region) -> None:
    """For another need, so that nobody would take it for sent on unless it is named."""
    referral_id = await declined(region)
    other = region.programmes["zama-npo/ibasho"]
    draft = (await region.send(programme_id=other, knowingly=True, draft=True))["referral_id"]
    path = f"/v1/referrals/{draft}/send"
    wrong = await region.desk.post(path, {"knowingly": True, "instead_of": draft})
    assert code(wrong) == (422, "invalid")
    assert (await region.look(draft))["state"] == "draft", "and nothing was sent"
    sent = await region.desk.post(path, {"knowingly": True, "instead_of": referral_id})
    assert (sent.status_code, sent.json()["state"]) == (200, "sent")
    assert await looked_for(region) == []
