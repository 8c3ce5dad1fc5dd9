"""What a referral is stopped by on its way out, and at its acceptance: periods, towns, closed cases, consent."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.events import CaseClosed, ReferralOutcomeSet, ReferralWithdrawn
from shared.service.clock import day_in_japan, wall_time
from tests.service.referral_region import Region, code, consented, coordinated, opened
from tests.world import KAGOSHIMA, World

IBASHO = "sakura-npo/ibasho"


@pytest.fixture
async def region(world: World) -> Region:
    region = await Region(world.service("referral")).ready()
    await coordinated(region.running, "kagoshima-city")
    return region


async def sent(region: Region, name: str = IBASHO, **more: Any) -> Any:
    body = {"case_id": str(region.case_id), "programme_id": region.programmes[name]} | more
    return await region.desk.post("/v1/referrals", body)


async def end_programme(region: Region) -> None:
    programme = UUID(region.programmes[IBASHO])
    await region.running.rows("UPDATE programme SET ends_on = '2021-03-31' WHERE id = $1", programme)


async def test_what_routing_leaves_out_is_sent_knowingly_only(region: Region) -> None:
    elsewhere = await sent(region, "zama-npo/ibasho")
    assert (code(elsewhere), elsewhere.json()["errors"]) == ((409, "does_not_fit"), [{"code": "other_municipality"}])
    await end_programme(region)
    ended = await sent(region)
    assert (code(ended), ended.json()["errors"]) == ((409, "does_not_fit"), [{"code": "ended"}])
    assert "knowingly" in ended.json()["detail_ja"]
    assert (await sent(region, "zama-npo/ibasho", knowingly=True)).status_code == 201
    draft = (await sent(region, knowingly=True, draft=True)).json()["referral_id"]
    assert code(await region.desk.post(f"/v1/referrals/{draft}/send")) == (409, "does_not_fit")
    assert (await region.desk.post(f"/v1/referrals/{draft}/send", {"knowingly": True})).status_code == 200


async def test_who_is_being_served_there_is_not_referred_there_again_unless_it_is_meant(region: Region) -> None:
    first = await region.to_programme()
    body = {"case_id": str(region.case_id), "programme_id": region.programmes["sakura-npo/ibasho"], "verb": "refer"}
    for move in ("accept", "start"):
        assert (await region.npo.post(f"/v1/referrals/{first}/{move}")).status_code == 200
        again = await region.desk.post("/v1/referrals", body)
        assert (code(again), again.json()["errors"]) == ((409, "already_referred"), [{"referral_id": first}]), move
    assert (await region.desk.post("/v1/referrals", body | {"knowingly": True})).status_code == 201


async def test_a_part_that_is_passed_on_stays_a_part_and_a_rival_a_rival(region: Region) -> None:
    parts = [{"programme_id": region.programmes[name]} for name in (IBASHO, "sakura-npo/junbi")]
    body = {"case_id": str(region.case_id), "mode": "first", "parts": parts}
    group = (await region.desk.post("/v1/referral-groups", body)).json()
    first, second = group["referrals"]
    elsewhere = {"programme_id": region.programmes["zama-npo/ibasho"], "knowingly": True}
    passed_on = await region.npo.post(f"/v1/referrals/{first['referral_id']}/reroute", elsewhere)
    assert passed_on.status_code == 200, passed_on.text
    following = (await region.look(first["referral_id"]))["next_id"]
    assert (await region.look(following))["group_id"] == group["group_id"]
    assert (await region.npo.post(f"/v1/referrals/{second['referral_id']}/accept")).status_code == 200
    lost = await region.look(following)
    assert (lost["state"], lost["reason"]) == ("withdrawn", "another_accepted")


async def test_a_referral_is_not_passed_on_to_what_does_not_fit_unless_knowingly(region: Region) -> None:
    referral = await region.to_programme()
    body: dict[str, Any] = {"programme_id": region.programmes["zama-npo/ibasho"]}
    refused = await region.npo.post(f"/v1/referrals/{referral}/reroute", body)
    assert code(refused) == (409, "does_not_fit")
    assert (await region.look(referral))["state"] == "sent"
    answer = await region.npo.post(f"/v1/referrals/{referral}/reroute", body | {"knowingly": True})
    assert answer.status_code == 200


async def test_a_programme_of_a_town_that_the_rules_call_near_fits(region: Region) -> None:
    region.case_id = uuid4()
    await region.running.hear(opened(region.case_id, needs=("isolation",)), consented(region.case_id))
    assert code(await sent(region, "zama-npo/ibasho")) == (409, "does_not_fit")
    await region.running.rows(
        "INSERT INTO neighbour (municipality, neighbour, set_by, set_at) VALUES ('462012', '142166', 'x', now())"
    )
    assert "zama-npo" in {item["agency_id"] for item in (await region.candidates())["items"]}
    assert (await sent(region, "zama-npo/ibasho")).status_code == 201, "what is proposed may be sent"


async def test_a_closed_case_is_referred_nowhere(region: Region) -> None:
    draft = (await sent(region, draft=True)).json()["referral_id"]
    closed: dict[str, Any] = {"case_id": region.case_id, "agency_id": "kagoshima-desk"}
    await region.running.hear(CaseClosed(**closed, ended="goal_reached", interrupted=False))
    for answer in (
        await sent(region),
        await sent(region, knowingly=True),
        await region.desk.post(f"/v1/referrals/{draft}/send", {"knowingly": True}),
        await region.running.as_("sakura-npo").post(
            "/v1/referral-requests", {"case_id": str(region.case_id), "programme_id": region.programmes[IBASHO]}
        ),
    ):
        assert code(answer) == (409, "case_has_ended")


async def test_what_is_under_way_goes_on_when_the_case_is_closed_and_ends_when_it_is_broken_off(
    region: Region,
) -> None:
    referral = await region.to_programme()
    closed: dict[str, Any] = {"case_id": region.case_id, "agency_id": "kagoshima-desk"}
    await region.running.hear(CaseClosed(**closed, ended="other_scheme", interrupted=False))
    shown = await region.look(referral)
    assert (shown["state"], shown["waits"]["agency_id"]) == ("sent", "sakura-npo")
    await region.running.hear(CaseClosed(**closed, ended="died", interrupted=True))
    shown = await region.look(referral)
    assert (shown["state"], shown["reason"], shown["waits"]) == ("withdrawn", "case_closed", None)
    (told,) = [event for event in await region.running.told() if isinstance(event, ReferralWithdrawn)]
    assert (str(told.referral_id), told.reason) == (referral, "case_closed")


@pytest.mark.parametrize("verb", ["refer", "transfer"])
async def test_nobody_takes_on_whom_the_consent_reaches_no_more(region: Region, verb: str) -> None:
    tomorrow = day_in_japan(wall_time()) + timedelta(days=1)
    await region.running.hear(consented(region.case_id, 2, valid_until=tomorrow))
    referral = (await sent(region, verb=verb)).json()["referral_id"]
    region.running.pass_time(timedelta(days=2))
    refused = await region.npo.post(f"/v1/referrals/{referral}/accept")
    assert (code(refused), refused.json()["errors"][0]["code"]) == ((409, "consent_missing"), "expired")
    assert "missing=consent" in refused.json()["detail_ja"]
    shown = await region.look(referral)
    assert (shown["state"], shown["waits"]["agency_id"]) == ("sent", "sakura-npo"), "its clock goes on"
    await region.npo.post(f"/v1/referrals/{referral}/return", {"missing": ["consent"]})
    assert (await region.look(referral))["waits"]["agency_id"] == "kagoshima-desk"
    await region.running.hear(consented(region.case_id, 3))
    await region.desk.post(f"/v1/referrals/{referral}/answer")
    assert (await region.npo.post(f"/v1/referrals/{referral}/accept")).status_code == 200


async def test_when_the_consent_has_run_out_and_nobody_asks_again_the_coordinator_has_it(region: Region) -> None:
    tomorrow = day_in_japan(wall_time()) + timedelta(days=1)
    await region.running.hear(consented(region.case_id, 2, valid_until=tomorrow))
    referral = await region.to_programme()
    region.running.pass_time(timedelta(days=60))
    await region.running.sweep()
    shown = await region.look(referral)
    assert (shown["state"], shown["responsible_agency"]) == ("expired", "kagoshima-city")


async def test_a_japanese_problem_speaks_japanese(region: Region) -> None:
    referral = await region.to_programme()
    refused = await region.npo.post(f"/v1/referrals/{referral}/start")
    assert code(refused) == (409, "illegal_move")
    said = refused.json()["detail_ja"]
    assert "受諾" in said
    assert not [letter for letter in said if letter.isascii() and letter.isalpha()]
    assert {error["legal"] for error in refused.json()["errors"]} >= {"accept", "decline"}


async def test_a_code_that_there_is_not_is_answered_with_those_that_there_are_in_words(region: Region) -> None:
    referral = await region.to_programme()
    for name, body, words in (
        ("decline", {"reason": "busy"}, "定員に空きがない(no_capacity)"),
        ("return", {"missing": ["all"]}, "同意の範囲(consent)"),
        ("set-outcome", {"outcome": "fine"}, "就職して3か月続いている(employed_3_months)"),
    ):
        refused = await region.npo.post(f"/v1/referrals/{referral}/{name}", body)
        assert refused.status_code == 422
        assert words in refused.json()["errors"][0]["message_ja"]
    withdrawn = await region.desk.post(f"/v1/referrals/{referral}/withdraw", {"reason": "so"})
    assert "返事がない(no_answer)" in withdrawn.json()["errors"][0]["message_ja"]


async def test_every_outcome_is_kept_and_the_furthest_is_shown(region: Region) -> None:
    referral = await region.to_programme()
    path = f"/v1/referrals/{referral}"
    await region.npo.post(f"{path}/accept")
    await region.npo.post(f"{path}/set-outcome", {"outcome": "employed"})
    await region.npo.post(f"{path}/close")
    for outcome in ("employed_3_months", "started"):
        await region.npo.post(f"{path}/add-outcome", {"outcome": outcome})
    shown = await region.look(referral)
    assert shown["outcome"] == "employed_3_months"
    assert [each["outcome"] for each in shown["outcomes"]] == ["employed", "employed_3_months", "started"]
    told = [event.outcome for event in await region.running.told() if isinstance(event, ReferralOutcomeSet)]
    assert told == ["employed", "employed_3_months", "started"]


async def test_a_draft_has_the_coordinator_of_the_day_on_which_it_is_sent(region: Region) -> None:
    await coordinated(region.running, "kagoshima-city")
    draft = (await region.send(programme_id=region.programmes["sakura-npo/ibasho"], draft=True))["referral_id"]
    await coordinated(region.running, "kagoshima-council")
    sent = (await region.desk.post(f"/v1/referrals/{draft}/send")).json()
    assert sent["coordinator"] == "kagoshima-council"


async def test_nothing_is_passed_on_to_where_it_came_from(region: Region) -> None:
    sender = region.running.as_("zama-npo", municipalities=[KAGOSHIMA])
    body = {"case_id": str(region.case_id), "programme_id": region.programmes["sakura-npo/ibasho"], "verb": "refer"}
    referral_id = (await sender.post("/v1/referrals", body)).json()["referral_id"]
    target = {"programme_id": region.programmes["zama-npo/ibasho"], "knowingly": True}
    answer = await region.npo.post(f"/v1/referrals/{referral_id}/reroute", target)
    assert code(answer) == (409, "rerouting_ends")
    assert answer.json()["errors"] == [{"code": "in_the_chain"}]


async def test_nobody_asks_for_a_case_that_they_hold(region: Region) -> None:
    referral_id = await region.to_programme()
    await region.npo.post(f"/v1/referrals/{referral_id}/accept")
    body = {"case_id": str(region.case_id), "programme_id": region.programmes["sakura-npo/junbi"]}
    answer = await region.running.as_("sakura-npo").post("/v1/referral-requests", body)
    assert code(answer) == (409, "holds_the_case_already")
