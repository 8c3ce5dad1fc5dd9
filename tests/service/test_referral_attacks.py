"""What somebody might try with a referral, and what happens beside it: each of these was possible once."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.auth import Role
from shared.events import (
    CaseClosed,
    CaseHandedOver,
    CaseReopened,
    ConsentPending,
    ConsentWithdrawn,
    ReferralProgressed,
    ReferralSent,
    ReferralTakenOver,
    TrainingReferred,
)
from tests.service.referral_region import (
    COURSE,
    Region,
    code,
    consented,
    coordinated,
    enrolled,
    erased,
    held,
    opened,
    told_with_sequence,
)
from tests.world import KAGOSHIMA, KIRISHIMA, ZAMA, Caller, World


@pytest.fixture
async def region(world: World) -> Region:
    region = await Region(world.service("referral")).ready()
    await coordinated(region.running, "kagoshima-city")
    return region


def city(region: Region) -> Caller:
    return region.running.as_("kagoshima-city")


def requester(region: Region, *municipalities: str) -> Caller:
    return region.running.as_("sakura-npo", municipalities=municipalities or [KAGOSHIMA])


async def asked(region: Region, caller: Caller) -> Any:
    body = {"case_id": str(region.case_id), "programme_id": region.programmes["sakura-npo/ibasho"]}
    return await caller.post("/v1/referral-requests", body)


async def drafted(region: Region, **to: str) -> str:
    return str((await region.send(draft=True, **to))["referral_id"])


# --- Drafts ----------------------------------------------------------------------------------------------------------


async def test_a_draft_that_was_thrown_away_stays_its_writers_own(region: Region) -> None:
    programme = region.programmes["sakura-npo/ibasho"]
    draft = await drafted(region, programme_id=programme)
    assert (await region.desk.post(f"/v1/referrals/{draft}/withdraw")).json()["reason"] == "never_sent"
    for other in (region.npo, city(region), region.running.as_("kagoshima-shakyo")):
        assert code(await other.get(f"/v1/referrals/{draft}")) == (404, "not_found")
        assert await other.whole("/v1/referrals") == []
        assert await other.whole("/v1/referrals", box="in") == []
    assert [item["referral_id"] for item in await region.desk.whole("/v1/referrals")] == [draft]
    assert await region.running.told() == []


async def test_a_draft_is_sent_when_it_is_sent(region: Region) -> None:
    draft = await drafted(region, programme_id=region.programmes["sakura-npo/ibasho"])
    region.running.pass_time(timedelta(days=3))
    sent = (await region.desk.post(f"/v1/referrals/{draft}/send")).json()
    assert sent["sent_at"] > (await region.look(draft))["steps"][0]["at"]
    assert [type(event) for event in await region.running.told()] == [ReferralSent]


async def test_of_two_drafts_for_one_place_the_second_is_sent_knowingly_or_not_at_all(region: Region) -> None:
    first, second = [await drafted(region, programme_id=region.programmes["sakura-npo/ibasho"]) for _ in range(2)]
    course = [await drafted(region, course_run_id=str(COURSE)) for _ in range(2)]
    for draft in (first, course[0]):
        assert (await region.desk.post(f"/v1/referrals/{draft}/send")).status_code == 200
    for draft, there in ((second, first), (course[1], course[0])):
        refused = await region.desk.post(f"/v1/referrals/{draft}/send")
        assert (code(refused), refused.json()["errors"]) == ((409, "already_referred"), [{"referral_id": there}])
    knowingly = {"knowingly": True}
    assert (await region.desk.post(f"/v1/referrals/{second}/send", knowingly)).status_code == 200
    assert code(await region.desk.post(f"/v1/referrals/{course[1]}/send", knowingly)) == (409, "already_referred")
    told = [event for event in await region.running.told() if isinstance(event, TrainingReferred)]
    assert len(told) == 1


async def test_a_draft_is_not_sent_without_consent_or_by_whom_the_case_concerns_no_more(region: Region) -> None:
    holder = region.running.as_("kirishima-desk", municipalities=[KIRISHIMA])
    await region.running.hear(
        CaseHandedOver(case_id=region.case_id, agency_id="kirishima-desk", before="kagoshima-desk")
    )
    body = {"case_id": str(region.case_id), "programme_id": region.programmes["sakura-npo/ibasho"], "draft": True}
    draft = (await holder.post("/v1/referrals", body)).json()["referral_id"]
    await region.running.hear(ConsentPending(case_id=region.case_id, consent_version=2))
    assert code(await holder.post(f"/v1/referrals/{draft}/send")) == (409, "consent_missing")
    await region.running.hear(consented(region.case_id, 3))
    await region.running.hear(
        CaseHandedOver(case_id=region.case_id, agency_id="kagoshima-desk", before="kirishima-desk")
    )
    assert code(await holder.post(f"/v1/referrals/{draft}/send")) == (404, "case_not_known")


async def test_a_seat_is_not_asked_to_be_kept_by_a_draft(region: Region) -> None:
    body = {"case_id": str(region.case_id), "course_run_id": str(COURSE), "hold_until": "2099-01-01T00:00:00Z"}
    assert code(await region.desk.post("/v1/referrals", body | {"draft": True})) == (422, "invalid")


# --- Requests --------------------------------------------------------------------------------------------------------


async def test_asking_for_a_case_tells_a_stranger_nothing_about_it(region: Region) -> None:
    stranger = await asked(region, requester(region, ZAMA))
    region.case_id, known = uuid4(), region.case_id
    unknown = await asked(region, requester(region, ZAMA))
    region.case_id = known
    assert code(stranger) == code(unknown) == (404, "case_not_known")
    assert stranger.json()["detail"] == unknown.json()["detail"]
    assert (await asked(region, requester(region))).status_code == 201


async def test_who_was_told_of_a_case_once_may_ask_for_it_from_any_town(region: Region) -> None:
    elsewhere = requester(region, ZAMA)
    draft = await drafted(region, programme_id=region.programmes["sakura-npo/junbi"])
    assert code(await asked(region, elsewhere)) == (404, "case_not_known")
    await region.desk.post(f"/v1/referrals/{draft}/send")
    assert (await asked(region, elsewhere)).status_code == 201


async def test_an_erased_case_is_not_asked_for(region: Region) -> None:
    await region.running.hear(erased(region.case_id))
    assert code(await asked(region, requester(region))) == (404, "case_not_known")


async def test_who_holds_a_case_no_more_can_not_give_it(region: Region) -> None:
    npo = requester(region)
    request = (await asked(region, npo)).json()["referral_id"]
    await region.running.hear(
        CaseHandedOver(case_id=region.case_id, agency_id="career-center", before="kagoshima-desk")
    )
    assert code(await region.desk.post(f"/v1/referrals/{request}/accept")) == (409, "holder_has_changed")
    await region.desk.post(f"/v1/referrals/{request}/decline", {"reason": "other"})
    assert code(await city(region).post(f"/v1/referrals/{request}/overrule-forward")) == (409, "holder_has_changed")
    assert (await city(region).post(f"/v1/referrals/{request}/confirm-decline")).json()["state"] == "declined"
    assert (await asked(region, npo)).json()["sender"] == "career-center"


async def test_a_narrower_yes_ends_no_request_and_a_no_does(region: Region) -> None:
    npo = requester(region)
    request = (await asked(region, npo)).json()["referral_id"]
    await region.running.hear(consented(region.case_id, 2, recipients=["zama-npo"]))
    assert (await region.look(request))["state"] == "sent"
    assert code(await region.desk.post(f"/v1/referrals/{request}/accept")) == (409, "consent_missing")
    await region.running.hear(ConsentWithdrawn(case_id=region.case_id, consent_version=3))
    assert (await region.look(request))["state"] == "withdrawn"


async def test_neither_side_of_a_request_coordinates_it(region: Region) -> None:
    npo = requester(region)
    assert (await asked(region, npo)).json()["coordinator"] == "kagoshima-city"
    for partial in ("sakura-npo", "career-center"):
        await coordinated(region.running, partial)
        case_id = uuid4()
        handed = CaseHandedOver(case_id=case_id, agency_id="career-center", before="kagoshima-desk")
        await region.running.hear(opened(case_id), handed)
        region.case_id = case_id
        assert (await asked(region, npo)).json()["coordinator"] == "kagoshima-desk"


@pytest.mark.parametrize("coordinator", ["kagoshima-city", "kagoshima-desk"])
async def test_a_request_that_nobody_answers_ends_and_is_told(region: Region, coordinator: str) -> None:
    await coordinated(region.running, coordinator)
    made = (await asked(region, requester(region))).json()
    request = made["referral_id"]
    assert made["coordinator"] == coordinator
    region.running.pass_time(timedelta(days=60))
    await region.running.sweep()
    shown = await region.look(request)
    assert (shown["state"], shown["responsible_agency"]) == ("expired", "kagoshima-desk")
    assert (shown["waits"], shown["proposed_programme_id"]) == (None, None), "its holder asked for no place"
    told = (await region.running.told())[-1]
    assert isinstance(told, ReferralProgressed)
    assert (told.state, told.move) == ("expired", "expire")


# --- Who judges ------------------------------------------------------------------------------------------------------


async def test_who_asked_can_not_overrule_the_no_to_it(region: Region) -> None:
    await coordinated(region.running, "kagoshima-desk")
    referral = await region.to_programme()
    await region.npo.post(f"/v1/referrals/{referral}/decline", {"reason": "no_capacity"})
    forced = await region.desk.post(f"/v1/referrals/{referral}/overrule-forward")
    assert code(forced) == (409, "illegal_move")
    assert "overrule_forward" not in str(forced.json()["errors"])
    assert (await region.desk.post(f"/v1/referrals/{referral}/overrule-back")).status_code == 200


# --- Clocks ----------------------------------------------------------------------------------------------------------


async def test_what_is_taken_over_while_on_hold_goes_on_where_it_stood(region: Region) -> None:
    referral = await region.to_programme()
    for name in ("accept", "contact", "start"):
        await region.npo.post(f"/v1/referrals/{referral}/{name}")
    day = str((await region.running.rows("SELECT current_date + 10 AS day"))[0]["day"])
    await region.npo.post(f"/v1/referrals/{referral}/hold", {"review_on": day})
    region.running.pass_time(timedelta(days=40))
    await region.running.sweep()
    shown = await region.look(referral)
    assert (shown["state"], shown["responsible_agency"]) == ("on_hold", "kagoshima-city")
    assert (await region.npo.post(f"/v1/referrals/{referral}/resume")).json()["state"] == "in_service"


async def test_what_the_release_before_wrote_gets_a_clock_and_a_coordinator(region: Region) -> None:
    unanswered, accepted = await region.to_programme(), await region.to_programme("sakura-npo/junbi")
    clockless = "clock = NULL, waits_for = NULL, clock_since = NULL, due_on = NULL, tier = NULL, tier_on = NULL"
    await region.npo.post(f"/v1/referrals/{accepted}/accept")
    await region.running.rows(f"UPDATE referral SET {clockless}, coordinator = NULL")
    await region.running.sweep()
    shown = await region.look(unanswered)
    assert (shown["waits"]["clock"], shown["coordinator"]) == ("acknowledge", "kagoshima-city")
    # There, acceptance was the end: a clock would take years of work away from who did it.
    assert (await region.look(accepted))["waits"] is None


async def test_what_the_release_before_moves_beside_us_is_not_reminded_of_what_is_over(region: Region) -> None:
    received, declined = await region.to_programme(), await region.to_programme("sakura-npo/junbi")
    await region.running.rows("UPDATE referral SET state = 'received' WHERE id = $1", UUID(received))
    change = "UPDATE referral SET state = 'declined', reason = 'other' WHERE id = $1"
    await region.running.rows(change, UUID(declined))
    region.running.pass_time(timedelta(days=30))
    await region.running.sweep()
    assert (await region.look(received))["waits"]["clock"] == "contact"
    shown = (await region.look(declined))["waits"]
    assert (shown["clock"], shown["agency_id"], shown["tier"]) == ("place", "kagoshima-desk", None)
    assert [type(event) for event in await region.running.told()] == [ReferralSent, ReferralSent]


# --- Rivals ----------------------------------------------------------------------------------------------------------


async def rivals(region: Region) -> tuple[str, str]:
    """A course and a programme, of whom the first has it."""
    parts = [{"course_run_id": str(COURSE)}, {"programme_id": region.programmes["sakura-npo/ibasho"]}]
    body = {"case_id": str(region.case_id), "mode": "first", "parts": parts}
    course, programme = (await region.desk.post("/v1/referral-groups", body)).json()["referrals"]
    return course["referral_id"], programme["referral_id"]


async def test_a_course_loses_against_a_programme_and_gives_its_seat_back(region: Region) -> None:
    course, programme = await rivals(region)
    await region.running.hear(held(region.case_id, UUID(course)))
    assert (await region.npo.post(f"/v1/referrals/{programme}/accept")).status_code == 200
    shown = await region.look(course)
    assert (shown["state"], shown["reason"]) == ("withdrawn", "another_accepted")
    told = await region.running.told()
    last = [type(event).__name__ for event in told[-2:]]
    assert last == ["ReferralAccepted", "ReferralWithdrawn"]
    await region.running.hear(enrolled(region.case_id, UUID(course)))
    assert (await region.look(course))["state"] == "withdrawn"


async def test_an_enrolment_wins_against_a_programme(region: Region) -> None:
    course, programme = await rivals(region)
    await region.running.hear(enrolled(region.case_id, UUID(course)))
    assert (await region.look(course))["state"] == "accepted"
    assert (await region.look(programme))["state"] == "withdrawn"
    ((winner,),) = await region.running.rows("SELECT winner FROM referral_group")
    assert str(winner) == course


async def test_an_enrolment_and_an_acceptance_at_once_have_one_winner(region: Region) -> None:
    for _ in range(5):
        region.case_id = uuid4()
        await region.running.hear(opened(region.case_id), consented(region.case_id))
        course, programme = await rivals(region)
        await asyncio.gather(
            region.running.hear(enrolled(region.case_id, UUID(course))),
            region.npo.post(f"/v1/referrals/{programme}/accept"),
        )
        states = sorted([(await region.look(each))["state"] for each in (course, programme)])
        assert states == ["accepted", "withdrawn"]


# --- The case in the meantime ----------------------------------------------------------------------------------------


async def test_a_closed_case_leaves_under_way_what_was_sent(region: Region) -> None:
    referral = await region.to_programme()
    closed = CaseClosed(case_id=region.case_id, agency_id="kagoshima-desk", ended="goal_reached", interrupted=False)
    await region.running.hear(closed)
    assert (await region.npo.post(f"/v1/referrals/{referral}/accept")).status_code == 200


async def test_a_closing_that_is_heard_again_ends_nothing_that_was_sent_since(region: Region) -> None:
    closed = CaseClosed(case_id=region.case_id, agency_id="kagoshima-desk", ended="moved_away", interrupted=True)
    await told_with_sequence(region.running, closed, 2)
    reopened = CaseReopened(case_id=region.case_id, agency_id="kagoshima-desk")
    await told_with_sequence(region.running, reopened, 3)
    referral = await region.to_programme()
    await told_with_sequence(region.running, closed, 2)
    assert (await region.look(referral))["state"] == "sent"


@pytest.mark.parametrize(("verb", "told_as"), [("refer", "refer"), ("transfer", "transfer")])
async def test_a_coordinator_is_told_whether_the_case_goes_with_the_referral(
    region: Region, verb: str, told_as: str
) -> None:
    referral = (await region.send(programme_id=region.programmes["sakura-npo/ibasho"], verb=verb))["referral_id"]
    await region.npo.post(f"/v1/referrals/{referral}/decline", {"reason": "no_capacity"})
    await city(region).post(f"/v1/referrals/{referral}/confirm-decline")
    (taken,) = [event for event in await region.running.told() if isinstance(event, ReferralTakenOver)]
    assert (taken.verb, taken.before, taken.coordinator) == (told_as, "kagoshima-desk", "kagoshima-city")


async def test_a_provider_may_ask_and_take_back_but_not_judge(region: Region) -> None:
    school = region.running.as_("sakura-npo", Role.PROVIDER)
    request = (await asked(region, school)).json()["referral_id"]
    assert code(await school.post(f"/v1/referrals/{request}/accept")) == (409, "illegal_move")
    assert code(await school.post(f"/v1/referrals/{request}/overrule-forward")) == (403, "forbidden")
    assert (await school.post(f"/v1/referrals/{request}/withdraw")).json()["state"] == "withdrawn"
