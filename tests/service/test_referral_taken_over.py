"""Silence while somebody is at work: the coordinator answers for it, is waited for, and can bring it to an end."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.events import CaseNotHandedOver, ReferralTakenOver
from tests.service.referral_region import COURSE, Region, code, consented, coordinated, enrolled, held, opened
from tests.world import Caller, World

CITY = "kagoshima-city"


@pytest.fixture
async def region(world: World) -> Region:
    made = await Region(world.service("referral")).ready()
    await coordinated(made.running, CITY)
    return made


def city(region: Region) -> Caller:
    return region.running.as_(CITY)


async def silence(region: Region, referral_id: object) -> Any:
    """Nobody acts until the clock has nothing more to say of who works on it."""
    for _ in range(6):
        (row,) = await region.running.rows("SELECT tier_on - current_date AS days, waits_for FROM referral")
        if row["days"] is None or row["waits_for"] == CITY:
            break
        passed = region.running.desk.clock.offset.days
        region.running.pass_time(timedelta(days=row["days"] - passed + 1))
        await region.running.sweep()
    return (await city(region).get(f"/v1/referrals/{referral_id}")).json()


async def at_work(region: Region, *more: tuple[str, Any], verb: str = "transfer") -> str:
    referral_id = str(
        (await region.send(programme_id=region.programmes["sakura-npo/ibasho"], verb=verb))["referral_id"]
    )
    for name, said in (("accept", None), ("start", None), *more):
        answer = await region.npo.post(f"/v1/referrals/{referral_id}/{name}", said)
        assert answer.status_code == 200, answer.text
    return referral_id


@pytest.mark.parametrize("verb", ["transfer", "refer"])
async def test_what_is_taken_over_at_work_waits_for_the_coordinator_who_can_end_it(region: Region, verb: str) -> None:
    referral_id = await at_work(region, verb=verb)
    assert code(await city(region).post(f"/v1/referrals/{referral_id}/set-outcome", {"outcome": "started"})) == (
        409,
        "illegal_move",
    )
    shown = await silence(region, referral_id)
    assert (shown["state"], shown["responsible_agency"]) == ("in_service", CITY)
    assert (shown["waits"]["clock"], shown["waits"]["agency_id"]) == ("start", CITY)
    assert shown["next_moves"] == ["set_outcome", "expire"]
    (mine,) = await city(region).whole("/v1/waiting", mine=True)
    assert mine["referral_id"] == referral_id
    (taken,) = await city(region).whole("/v1/referrals", box="taken_over")
    assert taken["referral_id"] == referral_id
    assert code(await region.desk.post(f"/v1/referrals/{referral_id}/set-outcome", {"outcome": "started"})) == (
        409,
        "illegal_move",
    )
    for name, said, state in (("set-outcome", {"outcome": "completed"}, "outcome_set"), ("close", None, "closed")):
        answer = await city(region).post(f"/v1/referrals/{referral_id}/{name}", said)
        assert (answer.status_code, answer.json()["state"]) == (200, state), answer.text
    assert await city(region).whole("/v1/waiting") == []


async def test_what_came_to_nothing_at_work_is_ended_into_a_search_for_the_next_place(region: Region) -> None:
    referral_id = await at_work(region)
    await silence(region, referral_id)
    await region.running.rows("DELETE FROM outbox")
    for caller in (region.desk, region.npo):
        assert code(await caller.post(f"/v1/referrals/{referral_id}/expire")) == (409, "illegal_move")
    ended = (await city(region).post(f"/v1/referrals/{referral_id}/expire")).json()
    assert (ended["state"], ended["responsible_agency"], ended["next_moves"]) == ("expired", CITY, ["no_place"])
    assert (ended["waits"]["clock"], ended["waits"]["agency_id"]) == ("place", CITY)
    assert ended["proposed_programme_id"] not in {None, region.programmes["sakura-npo/ibasho"]}
    (told,) = [each for each in await region.running.told() if isinstance(each, ReferralTakenOver)]
    assert (told.before, told.coordinator, told.ended, told.case_moves) == (CITY, CITY, True, False)
    assert (told.because, ended["reason"]) == ("came_to_nothing", "came_to_nothing"), "it was no silence"


async def test_the_receiver_that_speaks_again_goes_on_and_the_coordinator_keeps_its_name(region: Region) -> None:
    referral_id = await at_work(region)
    await silence(region, referral_id)
    answer = await region.npo.post(f"/v1/referrals/{referral_id}/set-outcome", {"outcome": "employed"})
    assert (answer.status_code, answer.json()["waits"]["agency_id"]) == (200, CITY)
    assert (await region.npo.post(f"/v1/referrals/{referral_id}/close")).json()["state"] == "closed"


async def test_what_the_receiver_does_after_its_silence_no_later_silence_ends(region: Region) -> None:
    (row,) = await region.running.rows("SELECT current_date + 10 AS day")
    referral_id = await at_work(region, ("hold", {"review_on": str(row["day"])}))
    await silence(region, referral_id)
    for name in ("resume", "miss", "contact"):
        answer = await region.npo.post(f"/v1/referrals/{referral_id}/{name}")
        assert (answer.status_code, answer.json()["waits"]["agency_id"]) == (200, CITY), answer.text
    for _ in range(6):
        region.running.pass_time(timedelta(days=region.running.desk.clock.offset.days + 20))
        await region.running.sweep()
    shown = await region.look(referral_id)
    assert (shown["state"], shown["responsible_agency"]) == ("contact_made", CITY)
    assert (shown["waits"]["clock"], shown["waits"]["agency_id"], shown["waits"]["tier"]) == ("start", CITY, "second")


async def test_who_coordinates_its_own_sending_can_end_it_after_silence_and_reads_no_more_than_before(
    region: Region,
) -> None:
    region.case_id = uuid4()
    given: dict[str, Any] = {"categories": ["story", "health"], "recipients": ["sakura-npo"]}
    await region.running.hear(opened(region.case_id, needs=("health",)), consented(region.case_id, **given))
    body = {"case_id": str(region.case_id), "programme_id": region.programmes["sakura-npo/ibasho"], "verb": "refer"}
    referral_id = (await city(region).post("/v1/referrals", body)).json()["referral_id"]
    for name in (None, "accept", "start"):
        if name is not None:
            assert (await region.npo.post(f"/v1/referrals/{referral_id}/{name}")).status_code == 200
        shown = (await city(region).get(f"/v1/referrals/{referral_id}")).json()
        assert shown["told"] is None, "to send is no basis to read, whatever else the sender is"
    shown = await silence(region, referral_id)
    assert (shown["waits"]["agency_id"], shown["next_moves"], shown["told"]) == (CITY, ["set_outcome", "expire"], None)


async def test_a_course_of_which_nothing_is_heard_is_taken_over_when_it_has_ended(region: Region) -> None:
    referral_id = await region.to_course()
    await region.running.hear(held(region.case_id, referral_id), enrolled(region.case_id, referral_id))
    shown = await silence(region, referral_id)
    assert (shown["state"], shown["responsible_agency"]) == ("accepted", CITY)
    assert (shown["waits"]["clock"], shown["waits"]["agency_id"]) == ("start", CITY)
    answer = await city(region).post(f"/v1/referrals/{referral_id}/set-outcome", {"outcome": "completed"})
    assert (answer.status_code, answer.json()["waits"]["agency_id"]) == (200, CITY)
    assert (await city(region).post(f"/v1/referrals/{referral_id}/close")).json()["waits"] is None


# --- Closed, and nothing came of it ----------------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", ["not_started", "broken_off"])
@pytest.mark.parametrize(("verb", "holder"), [("transfer", "sakura-npo"), ("refer", "kagoshima-desk")])
async def test_what_is_closed_and_came_to_nothing_needs_a_next_place(
    region: Region, outcome: str, verb: str, holder: str
) -> None:
    referral_id = await at_work(region, ("set-outcome", {"outcome": outcome}), verb=verb)
    closed = (await region.npo.post(f"/v1/referrals/{referral_id}/close")).json()
    assert (closed["state"], closed["responsible_agency"]) == ("closed", holder)
    assert (closed["waits"]["clock"], closed["waits"]["agency_id"]) == ("place", holder)
    assert closed["proposed_course_run_id"] == str(COURSE), "the other programme is full"
    holds = region.npo if holder == "sakura-npo" else region.desk
    assert "no_place" in (await holds.get(f"/v1/referrals/{referral_id}")).json()["next_moves"]
    placed = await holds.post(f"/v1/referrals/{referral_id}/no-place", {"reason": "found_elsewhere"})
    assert (placed.status_code, placed.json()["waits"]) == (200, None)
    again = await region.npo.post(f"/v1/referrals/{referral_id}/add-outcome", {"outcome": outcome})
    assert again.json()["waits"] is None, "somebody has said where it goes"


async def test_where_the_case_was_not_handed_over_its_holder_looks_for_the_next_place_at_once(region: Region) -> None:
    referral_id = await at_work(region, ("set-outcome", {"outcome": "not_started"}), ("close", None))
    parties = {"sender": "kagoshima-desk", "receiver": "sakura-npo", "agency_id": "kagoshima-desk"}
    await region.running.hear(CaseNotHandedOver(case_id=region.case_id, referral_id=UUID(referral_id), **parties))
    shown = await region.look(referral_id)
    assert (shown["responsible_agency"], shown["waits"]["clock"]) == ("kagoshima-desk", "place")
    assert shown["waits"]["agency_id"] == "kagoshima-desk"
    placed = await region.desk.post(f"/v1/referrals/{referral_id}/no-place", {"reason": "found_elsewhere"})
    assert (placed.status_code, placed.json()["waits"]) == (200, None)


async def test_what_came_of_it_in_the_end_ends_the_search(region: Region) -> None:
    referral_id = await at_work(region, ("set-outcome", {"outcome": "broken_off"}), ("close", None))
    assert (await region.look(referral_id))["waits"]["clock"] == "place"
    later = await region.npo.post(f"/v1/referrals/{referral_id}/add-outcome", {"outcome": "employed"})
    assert later.json()["waits"] is None


async def test_a_provider_that_holds_the_case_says_why_it_goes_no_further(region: Region) -> None:
    referral_id = await at_work(region, ("set-outcome", {"outcome": "not_started"}), ("close", None))
    provider = region.running.as_("sakura-npo", "provider", municipalities=[])  # type: ignore[arg-type]
    answer = await provider.post(f"/v1/referrals/{referral_id}/no-place", {"reason": "person_wishes"})
    assert answer.status_code == 200, answer.text
    (row,) = await region.running.rows("SELECT clock FROM referral WHERE id = $1", UUID(referral_id))
    assert row["clock"] is None
