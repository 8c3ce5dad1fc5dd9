"""Where it goes next is for who holds it to say: by what was sent, what was agreed to, or a reason of its own."""

from typing import Any
from uuid import uuid4

import pytest

from services.referral.handlers import routing
from shared.events import NeedUnmet, ReferralSentOn, SeatRefused
from tests.service.referral_region import (
    COURSE,
    PROGRAMMES,
    TODAY,
    Region,
    code,
    consented,
    coordinated,
    opened,
    take_in,
)
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
    assert (step["step"], step["reason"], step["by"]) == ("placed", "sent_on", "sakura-npo")
    (told,) = [each for each in await region.running.told() if isinstance(each, ReferralSentOn)]
    assert told.agency == "sakura-npo", "who asked for it, and not who gave it"


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


async def test_who_says_so_coordinates_it_from_then_on_and_that_is_told(region: Region) -> None:
    region.case_id = uuid4()
    await region.running.hear(opened(region.case_id, needs=("housing",)), consented(region.case_id))
    await region.candidates()
    await coordinated(region.running, "kagoshima-council")
    referral_id = (await region.send(programme_id=region.programmes["sakura-npo/ibasho"]))["referral_id"]
    await region.npo.post(f"/v1/referrals/{referral_id}/decline", {"reason": "no_capacity"})
    council = region.running.as_("kagoshima-council")
    await council.post(f"/v1/referrals/{referral_id}/confirm-decline")
    await region.running.rows("UPDATE need_unmet SET coordinator = 'kagoshima-city' WHERE need IS NULL")
    await region.running.rows("DELETE FROM outbox")
    await council.post(f"/v1/referrals/{referral_id}/no-place", {"reason": "nothing_fits"})
    assert [
        (event.need, event.coordinator) for event in await region.running.told() if isinstance(event, NeedUnmet)
    ] == [(None, "kagoshima-council")]


async def test_what_says_nothing_is_no_need_that_a_place_was_looked_for(region: Region) -> None:
    region.case_id = uuid4()
    case = opened(region.case_id, needs=()).model_copy(update={"topics": ["other"]})
    await region.running.hear(case, consented(region.case_id))
    referral_id = await region.to_course()
    await region.running.hear(
        SeatRefused(case_id=region.case_id, referral_id=referral_id, course_run_id=COURSE, reason="pool_closed")
    )
    answer = await region.desk.post(f"/v1/referrals/{referral_id}/no-place", {"reason": "nothing_fits"})
    assert answer.status_code == 200, answer.text
    for _ in range(2):
        rows = await region.running.rows("SELECT need, state FROM need_unmet WHERE case_id = $1", region.case_id)
        assert [tuple(row) for row in rows] == [(None, "open")], "the person stays in the list"
        await region.candidates()


async def test_what_somebody_says_while_another_looks_for_candidates_stays_on_record(
    region: Region, monkeypatch: pytest.MonkeyPatch
) -> None:
    region.case_id = uuid4()
    await region.running.hear(opened(region.case_id, needs=("housing",)), consented(region.case_id))
    await region.candidates()
    referral_id = await declined(region)
    sumai = f"sakura-npo,sumai,桜の住まい,housing_support,4,drop_in,462012,housing,has_room,{TODAY}\n"
    await take_in(region.running, "/v1/programme-imports", PROGRAMMES.splitlines(keepends=True)[0] + sumai)
    settle = routing._settle

    async def said_meanwhile(*looked: Any) -> None:
        monkeypatch.setattr(routing, "_settle", settle)
        said = await region.running.as_(CITY).post(f"/v1/referrals/{referral_id}/no-place", {"reason": "nothing_fits"})
        assert said.status_code == 200, said.text
        await settle(*looked)

    monkeypatch.setattr(routing, "_settle", said_meanwhile)
    await region.candidates()
    rows = await region.running.rows("SELECT need, state, said_by FROM need_unmet")
    assert {tuple(row) for row in rows} == {("housing", "met", None), (None, "open", CITY)}


async def test_where_nothing_fits_it_is_said_on_which_rung_the_person_stood(region: Region) -> None:
    first = (await region.send(programme_id=region.programmes["sakura-npo/junbi"], verb="refer"))["referral_id"]
    await region.npo.post(f"/v1/referrals/{first}/accept")
    referral_id = await declined(region)
    await region.running.as_(CITY).post(f"/v1/referrals/{referral_id}/no-place", {"reason": "nothing_fits"})
    rows = await region.running.rows("SELECT stage FROM need_unmet WHERE case_id = $1", region.case_id)
    assert [row["stage"] for row in rows] == ["work_readiness"]
