"""The next place after a no: never the one that said it, and a need on record where nobody else is left."""

from datetime import date, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.referral.domain.options import ROOM_IS_NEWS_FOR
from shared.events import (
    CaseClosed,
    ConsentWithdrawn,
    NeedUnmet,
    ReferralNotPlaced,
    ReferralSent,
    ReferralSentOn,
    ReferralTakenOver,
    SeatRefused,
)
from tests.service.referral_region import (
    COURSE,
    PROGRAMMES,
    TODAY,
    Region,
    consented,
    coordinated,
    erased,
    held,
    offered,
    opened,
    released,
    take_in,
)
from tests.world import KAGOSHIMA, Running

HEAD = PROGRAMMES.splitlines(keepends=True)[0]
KAKEI = "sakura-npo,{code},家計改善支援,household_budget,1,work_readiness,462012,income,{room},{day}\n"


@pytest.fixture
async def region(referral: Running) -> Region:
    return await Region(referral).ready()


async def offer(region: Region, code: str = "kakei", room: str = "has_room", day: date = TODAY) -> str:
    await take_in(region.running, "/v1/programme-imports", HEAD + KAKEI.format(code=code, room=room, day=day))
    (row,) = await region.running.rows("SELECT id FROM programme WHERE programme_code = $1", code)
    return str(row["id"])


async def case_of_income(region: Region) -> UUID:
    """Income is no need that a course or the region's other programmes answer."""
    region.case_id = uuid4()
    await region.running.hear(opened(region.case_id, needs=("income",)), consented(region.case_id))
    return region.case_id


async def refuse(region: Region, programme: str, reason: str = "not_eligible") -> Any:
    """Sent, declined, confirmed."""
    referral = (await region.send(programme_id=programme))["referral_id"]
    declined = await region.npo.post(f"/v1/referrals/{referral}/decline", {"reason": reason})
    assert declined.status_code == 200, declined.text
    return await confirm(region, referral)


async def confirm(region: Region, referral: str) -> Any:
    answer = await region.desk.post(f"/v1/referrals/{referral}/confirm-decline")
    assert answer.status_code == 200, answer.text
    return answer.json()


def proposed(back: Any) -> str | None:
    place: str | None = back["proposed_programme_id"] or back["proposed_course_run_id"]
    return place


async def records(region: Region) -> list[tuple[str | None, str]]:
    rows = await region.running.rows(
        "SELECT need, state FROM need_unmet WHERE case_id = $1 ORDER BY need NULLS LAST", region.case_id
    )
    return [(row["need"], row["state"]) for row in rows]


BOTH = [("income", "open"), (None, "open")]


async def test_where_the_only_place_says_no_the_need_is_on_record_with_a_coordinator_at_once(region: Region) -> None:
    await coordinated(region.running, "kagoshima-council")
    programme = await offer(region)
    await case_of_income(region)
    referral = (await region.send(programme_id=programme))["referral_id"]
    await region.npo.post(f"/v1/referrals/{referral}/decline", {"reason": "not_eligible"})
    council = region.running.as_("kagoshima-council")
    back = (await council.post(f"/v1/referrals/{referral}/confirm-decline")).json()

    assert (back["state"], proposed(back)) == ("declined", None), "not the place that has just said no"
    assert back["responsible_agency"] == "kagoshima-council"
    assert await records(region) == BOTH, "before anybody asks"
    told = await region.running.told()
    assert {event.coordinator for event in told if isinstance(event, NeedUnmet)} == {"kagoshima-council"}
    (taken,) = [event for event in told if isinstance(event, ReferralTakenOver)]
    assert taken.proposed_programme_id is None
    last = [type(event).__name__ for event in told[-4:]]
    assert last == ["ReferralDeclined", "ReferralTakenOver", "NeedUnmet", "NeedUnmet"], "what follows comes after"

    found = await region.candidates()
    assert [(item["name"], "says_no" in {r["code"] for r in item["reasons"]}) for item in found["items"]] == [
        ("家計改善支援", True)
    ], "it is shown all the same: whoever knows more may ask again"
    assert (found["need_unmet"], found["unmet_needs"]) == (True, ["income"])
    assert found["coordinator"]["agency_id"] == "kagoshima-council"
    listed = (await council.get("/v1/unmet-needs", params={"box": "mine"})).json()["items"]
    assert {item["need"] for item in listed} == {"income", None}


async def test_the_next_place_is_one_that_has_not_said_no(region: Region) -> None:
    first, second, third = [await offer(region, code) for code in ("kakei", "kakei2", "kakei3")]
    await case_of_income(region)
    assert proposed(await refuse(region, first)) in {second, third}
    assert proposed(await refuse(region, second)) == third
    assert await records(region) == []
    assert proposed(await refuse(region, third)) is None
    assert await records(region) == BOTH


async def test_where_the_person_is_already_is_no_next_place(region: Region) -> None:
    there, other = await offer(region), await offer(region, "kakei2")
    await case_of_income(region)
    referral = (await region.send(programme_id=there, verb="refer"))["referral_id"]
    await region.npo.post(f"/v1/referrals/{referral}/accept")
    assert proposed(await refuse(region, other)) is None
    assert await records(region) == [], "who serves the person answers the need"


async def test_what_consent_does_not_reach_is_no_next_place(region: Region) -> None:
    first, _ = await offer(region), await offer(region, "kakei2")
    await case_of_income(region)
    referral = (await region.send(programme_id=first))["referral_id"]
    await region.npo.post(f"/v1/referrals/{referral}/accept")
    await region.npo.post(f"/v1/referrals/{referral}/contact")
    await region.running.hear(ConsentWithdrawn(case_id=region.case_id, consent_version=2))
    back = await silence(region, referral)
    assert (back["state"], proposed(back)) == ("expired", None)
    assert await records(region) == [], "somebody could take it; the person has to say yes first"


async def silence(region: Region, referral: str) -> Any:
    """Nobody acts until the clock has rung at every tier."""
    for _ in range(30):
        region.running.pass_time(timedelta(days=2))
        await region.running.sweep()
        if (back := await region.look(referral))["state"] == "expired":
            return back
    raise AssertionError("the clock rang in vain")


async def test_who_never_answered_is_no_next_place(region: Region) -> None:
    first = await offer(region)
    await case_of_income(region)
    referral = (await region.send(programme_id=first))["referral_id"]
    back = await silence(region, referral)
    assert (back["state"], proposed(back)) == ("expired", None)
    assert await records(region) == BOTH
    second = await offer(region, "kakei2")
    other = (await region.send(programme_id=second, knowingly=True))["referral_id"]
    await region.npo.post(f"/v1/referrals/{other}/decline", {"reason": "other"})
    assert proposed(await confirm(region, other)) is None, "neither is the one from before"


@pytest.mark.parametrize(
    ("reason", "room", "later", "again"),
    [
        ("no_capacity", "has_room", 1, True),
        ("no_capacity", "has_room", 0, False),
        ("no_capacity", "waiting_list", 1, False),
        ("not_eligible", "has_room", 1, False),
        ("person_declined", "has_room", 1, False),
    ],
)
async def test_no_room_passes_once_its_agency_says_on_a_later_day_that_there_is(
    region: Region, reason: str, room: str, later: int, again: bool
) -> None:
    programme = await offer(region)
    await case_of_income(region)
    assert proposed(await refuse(region, programme, reason)) is None
    region.running.pass_time(timedelta(days=2))
    await offer(region, room=room, day=TODAY + timedelta(days=later))

    found = await region.candidates()
    codes = {each["code"] for each in found["items"][0]["reasons"]}
    assert ("declined_before" in codes, "says_no" in codes, found["need_unmet"]) == (again, not again, not again)
    assert [state for _, state in await records(region)] == (["met", "met"] if again else ["open", "open"])
    region.running.pass_time(ROOM_IS_NEWS_FOR)
    assert (await region.candidates())["need_unmet"], "an old word about room is none"


async def test_a_place_that_took_the_person_on_after_a_no_is_one_again(region: Region) -> None:
    programme = await offer(region)
    await case_of_income(region)
    await refuse(region, programme)
    referral = (await region.send(programme_id=programme))["referral_id"]
    for move, body in (("accept", {}), ("start", {}), ("set-outcome", {"outcome": "completed"}), ("close", {})):
        moved = await region.npo.post(f"/v1/referrals/{referral}/{move}", body)
        assert moved.status_code == 200, moved.text
    found = await region.candidates()
    assert not found["need_unmet"]
    assert "says_no" not in {each["code"] for item in found["items"] for each in item["reasons"]}


async def test_a_no_to_a_request_is_the_holders_and_none_of_the_programmes(region: Region) -> None:
    programme = await offer(region)
    await case_of_income(region)
    asker = region.running.as_("sakura-npo", municipalities=[KAGOSHIMA])
    asked = await asker.post("/v1/referral-requests", {"case_id": str(region.case_id), "programme_id": programme})
    assert asked.status_code == 201, asked.text
    referral = asked.json()["referral_id"]
    await region.desk.post(f"/v1/referrals/{referral}/decline", {"reason": "other"})
    await coordinated(region.running, "kagoshima-council")
    await region.desk.post(f"/v1/referrals/{referral}/confirm-decline")
    found = await region.candidates()
    assert (await region.look(referral))["state"] == "declined"
    assert {"says_no", "declined_before"}.isdisjoint(each["code"] for each in found["items"][0]["reasons"])


@pytest.mark.parametrize("draft", [False, True])
async def test_the_referral_that_stands_in_its_place_is_told(region: Region, draft: bool) -> None:
    first, second = await offer(region), await offer(region, "kakei2")
    await case_of_income(region)
    back = await refuse(region, first)
    following = (await region.send(programme_id=second, draft=draft))["referral_id"]
    if draft:
        await region.desk.post(f"/v1/referrals/{following}/send")
    *_, sent, placed = await region.running.told()
    assert isinstance(sent, ReferralSent)
    assert placed == ReferralSentOn(
        case_id=region.case_id,
        referral_id=UUID(back["referral_id"]),
        agency="kagoshima-desk",
        next_referral_id=UUID(following),
    )


@pytest.mark.parametrize("end", ["case_closed", "case_erased"])
async def test_that_its_case_is_over_is_told_of_what_was_looked_for(region: Region, end: str) -> None:
    await case_of_income(region)
    back = await refuse(region, await offer(region))
    closed = CaseClosed(case_id=region.case_id, agency_id="kagoshima-desk", ended="goal_reached")
    await region.running.hear(closed if end == "case_closed" else erased(region.case_id))
    placed = [event for event in await region.running.told() if isinstance(event, ReferralNotPlaced)]
    assert [(str(event.referral_id), event.coordinator, event.reason) for event in placed] == [
        (back["referral_id"], "kagoshima-desk", end)
    ]


# --- a case that is over ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["confirmed", "silent", "no seat"])
async def test_for_a_case_that_is_over_nobody_looks_for_a_next_place(region: Region, how: str) -> None:
    programme = await offer(region)
    await case_of_income(region)
    course = {"course_run_id": str(COURSE)}
    referral = (await region.send(**(course if how == "no seat" else {"programme_id": programme})))["referral_id"]
    if how != "no seat":
        await region.npo.post(f"/v1/referrals/{referral}/decline", {"reason": "not_eligible"})
    await region.running.hear(CaseClosed(case_id=region.case_id, agency_id="kagoshima-desk", ended="other_scheme"))
    if how == "confirmed":
        await confirm(region, referral)
    elif how == "silent":
        region.running.pass_time(timedelta(days=40))
        await region.running.sweep()
    else:
        no = SeatRefused(case_id=region.case_id, referral_id=UUID(referral), course_run_id=COURSE, reason="pool_closed")
        await region.running.hear(no)
    back = await region.look(referral)
    assert (back["state"], back["waits"], proposed(back)) == ("declined", None, None)
    assert back["next_candidates"] is None, "they would be refused"
    assert await records(region) == []
    refused = await region.desk.post(f"/v1/referrals/{referral}/no-place", {"reason": "nothing_fits"})
    assert (refused.status_code, await records(region)) == (409, [])


# --- courses ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["refused", "released"])
async def test_where_there_is_no_seat_the_next_place_is_proposed_and_the_sender_holds_on(
    region: Region, how: str
) -> None:
    other = uuid4()
    await region.running.hear(offered(course_run_id=other, course_number="5-46-12-002"))
    region.case_id = uuid4()
    await region.running.hear(opened(region.case_id, needs=("education",)), consented(region.case_id))
    for course, following in ((COURSE, str(other)), (other, None)):
        referral = UUID((await region.send(course_run_id=str(course)))["referral_id"])
        if how == "refused":
            no = SeatRefused(case_id=region.case_id, referral_id=referral, course_run_id=course, reason="pool_closed")
            await region.running.hear(no)
        else:
            there = {"course_run_id": course}
            seat, gone = held(region.case_id, referral), released(region.case_id, referral, "expired")
            await region.running.hear(seat.model_copy(update=there), gone.model_copy(update=there))
        back = await region.look(referral)
        assert (back["state"], back["responsible_agency"]) == ("declined", "kagoshima-desk")
        assert proposed(back) == following
    assert await records(region) == [("education", "open"), (None, "open")]


async def test_the_next_place_is_looked_for_by_what_was_declined(region: Region) -> None:
    lines = (
        f"sakura-npo,{code},{code},drop_in_space,4,drop_in,462012,{need},has_room,{TODAY}\n"
        for code, need in (("h1", "housing"), ("h2", "housing"), ("t1", "income"), ("t2", "income"))
    )
    await take_in(region.running, "/v1/programme-imports", HEAD + "".join(lines))
    rows = await region.running.rows("SELECT programme_code, id FROM programme")
    programmes = {row["programme_code"]: str(row["id"]) for row in rows}
    region.case_id = uuid4()
    await region.running.hear(opened(region.case_id, needs=("housing", "income")), consented(region.case_id))
    served = (await region.send(programme_id=programmes["h1"], verb="refer"))["referral_id"]
    await region.npo.post(f"/v1/referrals/{served}/accept")

    assert proposed(await refuse(region, programmes["t1"])) == programmes["t2"]
    assert proposed(await refuse(region, programmes["t2"])) is None, "another place for housing is none for income"
    assert await records(region) == [("income", "open")]
