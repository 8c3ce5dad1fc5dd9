"""Everything that waits has a name and a day: what came to the coordinator, seats, unmet needs, letters, mails."""

from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.events import (
    CaseClosed,
    LinkUndelivered,
    NeedUnmet,
    ReferralNotPlaced,
    ReferralOverdue,
    SeatRefused,
)
from shared.service.clock import JST, day_in_japan, is_holiday, wall_time
from tests.service.answering import CODE, answer_by, letter_for, links_of, open_by, state_of, without_account
from tests.service.referral_region import (
    COURSE,
    Region,
    code,
    consented,
    coordinated,
    enrolled,
    erased,
    held,
    instructed,
    opened,
)
from tests.world import KAGOSHIMA, KIRISHIMA, Caller, Running, World

CITY = "kagoshima-city"


@pytest.fixture
async def region(world: World) -> Region:
    made = await Region(world.service("referral")).ready()
    await coordinated(made.running, CITY)
    return made


def city(region: Region) -> Caller:
    return region.running.as_(CITY)


def today(running: Running) -> date:
    return day_in_japan(wall_time() + running.desk.clock.offset)


def working_days_after(day: date, count: int, closed: tuple[int, ...] = (5, 6)) -> date:
    """Counted here by hand."""
    while count:
        day += timedelta(days=1)
        count -= not (day.weekday() in closed or is_holiday(day))
    return day


async def waiting(caller: Caller, *, mine: bool = True) -> list[Any]:
    return await caller.whole("/v1/waiting", mine=mine)


async def until(region: Region, day: date) -> None:
    """Go on to the morning of a day, and let the clocks ring."""
    at = datetime.combine(day, datetime.min.time(), JST) + timedelta(hours=9)
    region.running.pass_time(at - wall_time() - region.running.desk.clock.offset)
    await region.running.sweep()


async def declined(region: Region, name: str = "sakura-npo/ibasho", reason: str = "no_capacity") -> str:
    """A referral whose decline the coordinator has confirmed."""
    referral_id = await region.to_programme(name)
    receiver = region.running.as_(name.split("/", maxsplit=1)[0], municipalities=[KIRISHIMA])
    assert (await receiver.post(f"/v1/referrals/{referral_id}/decline", {"reason": reason})).status_code == 200
    assert (await city(region).post(f"/v1/referrals/{referral_id}/confirm-decline")).status_code == 200
    return referral_id


async def silent(region: Region) -> str:
    """A referral that nobody has answered."""
    referral_id = await region.to_programme()
    for _ in range(3):
        (row,) = await region.running.rows("SELECT tier_on FROM referral WHERE id = $1", UUID(referral_id))
        await until(region, row["tier_on"])
    return referral_id


async def last_step(region: Region, referral_id: object) -> tuple[str, str, str | None, str | None]:
    step = (await region.look(referral_id))["steps"][-1]
    return step["step"], step["by"], step["reason"], step["waits_for"]


# --- What came to the coordinator ------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", [declined, silent])
async def test_what_came_to_the_coordinator_waits_for_it_until_it_has_a_place(region: Region, way: Any) -> None:
    referral_id = await way(region)
    (mine,) = await waiting(city(region))
    assert mine["referral_id"] == referral_id
    assert mine["responsible_agency"] == CITY
    since = today(region.running)
    assert mine["waits"] == {
        "clock": "place",
        "agency_id": CITY,
        "since": since.isoformat(),
        "due_on": working_days_after(since, 10).isoformat(),
        "tier": None,
        "link": None,
    }
    assert mine["next_moves"] == ["no_place"]
    assert [each["referral_id"] for each in await city(region).whole("/v1/referrals", box="taken_over")] == [
        referral_id
    ]
    assert (await region.look(referral_id))["next_moves"] == [], "others see it, and leave it to who holds it"


async def test_a_new_referral_stands_in_its_place(region: Region) -> None:
    referral_id = await declined(region)
    await region.to_programme("zama-npo/ibasho")
    assert len(await waiting(city(region))) == 1, "what is for another need leaves this one where it is"
    await region.to_programme("sakura-npo/junbi")
    assert await waiting(city(region)) == []
    assert await city(region).whole("/v1/referrals", box="taken_over") == []
    assert await last_step(region, referral_id) == ("placed", "kagoshima-desk", "sent_on", CITY)
    assert (await region.look(referral_id))["responsible_agency"] == CITY


async def test_a_draft_is_no_place_before_it_is_sent(region: Region) -> None:
    await declined(region)
    draft = await region.send(programme_id=region.programmes["sakura-npo/junbi"], draft=True)
    assert len(await waiting(city(region))) == 1
    await region.desk.post(f"/v1/referrals/{draft['referral_id']}/send")
    assert await waiting(city(region)) == []


async def test_of_several_none_is_settled_that_nobody_has_named(region: Region) -> None:
    names = ("sakura-npo/ibasho", "sakura-npo/junbi")
    both = {"case_id": str(region.case_id), "parts": [{"programme_id": region.programmes[name]} for name in names]}
    sent = (await region.desk.post("/v1/referral-groups", both)).json()["referrals"]
    first, second = [each["referral_id"] for each in sent]
    for each in (first, second):
        await region.npo.post(f"/v1/referrals/{each}/decline", {"reason": "no_capacity"})
        await city(region).post(f"/v1/referrals/{each}/confirm-decline")
    zama = region.programmes["zama-npo/ibasho"]
    again = await region.send(programme_id=region.programmes["sakura-npo/junbi"])
    assert {each["referral_id"] for each in await waiting(city(region))} == {first, second}
    await region.send(programme_id=zama, instead_of=second, knowingly=True)
    assert [each["referral_id"] for each in await waiting(city(region))] == [first]
    body = {"case_id": str(region.case_id), "programme_id": zama, "knowingly": True}
    for wrong in (second, str(uuid4())):
        answer = await region.desk.post("/v1/referrals", body | {"instead_of": wrong})
        assert code(answer) == (422, "invalid")
    assert code(await region.desk.post("/v1/referrals", body | {"instead_of": first, "draft": True})) == (
        422,
        "invalid",
    )
    assert len(await region.desk.whole("/v1/referrals", box="out")) == 4, "and nothing was sent"
    assert again["state"] == "sent"


async def test_what_is_passed_on_by_its_receiver_is_no_place_for_another(region: Region) -> None:
    parts = [{"programme_id": region.programmes[name]} for name in ("sakura-npo/ibasho", "zama-npo/ibasho")]
    both = {"case_id": str(region.case_id), "parts": parts, "knowingly": True}
    first, other = (await region.desk.post("/v1/referral-groups", both)).json()["referrals"]
    await region.npo.post(f"/v1/referrals/{first['referral_id']}/decline", {"reason": "no_capacity"})
    await city(region).post(f"/v1/referrals/{first['referral_id']}/confirm-decline")
    zama = region.running.as_("zama-npo", municipalities=[KIRISHIMA])
    target = {"programme_id": region.programmes["sakura-npo/junbi"]}
    assert (await zama.post(f"/v1/referrals/{other['referral_id']}/reroute", target)).status_code == 200
    assert [each["referral_id"] for each in await waiting(city(region))] == [first["referral_id"]]


async def test_a_bystanders_referral_settles_nothing(region: Region) -> None:
    await declined(region)
    body = {"case_id": str(region.case_id), "programme_id": region.programmes["sakura-npo/junbi"], "verb": "refer"}
    assert (await region.running.as_("kagoshima-shakyo").post("/v1/referrals", body)).status_code == 201
    assert len(await waiting(city(region))) == 1


async def test_where_nothing_fits_the_need_goes_on_record_and_stays_there(region: Region) -> None:
    referral_id = await declined(region)
    await region.running.rows("DELETE FROM outbox")
    answer = await city(region).post(f"/v1/referrals/{referral_id}/no-place", {"reason": "nothing_fits"})
    assert (answer.status_code, answer.json()["waits"]) == (200, None)
    assert await last_step(region, referral_id) == ("placed", CITY, "nothing_fits", CITY)
    told = await region.running.told()
    assert [type(event) for event in told] == [ReferralNotPlaced, NeedUnmet], "the need, after why it is one"
    assert isinstance(told[0], ReferralNotPlaced)
    assert (str(told[0].referral_id), told[0].coordinator, told[0].reason) == (referral_id, CITY, "nothing_fits")
    assert (await region.candidates())["items"], "a candidate in a list is no answer"
    (need,) = await waiting(city(region))
    due_on = working_days_after(today(region.running), 20).isoformat()
    assert (need["need"], need["said_by"], need["waits"]["agency_id"]) == ("people", CITY, CITY)
    assert (need["waits"]["clock"], need["waits"]["due_on"]) == ("review", due_on)
    other = await region.to_programme("sakura-npo/junbi")
    await region.npo.post(f"/v1/referrals/{other}/accept")
    await region.candidates()
    assert await waiting(city(region)) == [], "somebody has taken it on"


async def test_what_is_on_record_already_is_the_coordinators_from_then_on(region: Region) -> None:
    region.case_id = uuid4()
    await region.running.hear(opened(region.case_id, needs=("housing",)), consented(region.case_id))
    await region.candidates()
    referral_id = await declined(region, "zama-npo/ibasho")
    await city(region).post(f"/v1/referrals/{referral_id}/no-place", {"reason": "nothing_fits"})
    rows = await region.running.rows("SELECT need, said_by FROM need_unmet WHERE state = 'open' ORDER BY need")
    assert [tuple(row) for row in rows] == [("housing", None), (None, CITY)], "one record of each"


@pytest.mark.parametrize("reason", ["person_wishes", "found_elsewhere"])
async def test_other_reasons_end_it_and_leave_no_need(region: Region, reason: str) -> None:
    referral_id = await declined(region)
    assert (await city(region).post(f"/v1/referrals/{referral_id}/no-place", {"reason": reason})).status_code == 200
    assert await waiting(city(region)) == []
    assert code(await city(region).post(f"/v1/referrals/{referral_id}/no-place", {"reason": reason})) == (
        409,
        "illegal_move",
    )


async def test_only_who_holds_it_says_where_it_goes(region: Region) -> None:
    referral_id = await declined(region)
    stranger = region.running.as_("zama-desk", municipalities=["142166"])
    for caller, status in ((region.desk, 403), (region.npo, 403), (stranger, 404)):
        answer = await caller.post(f"/v1/referrals/{referral_id}/no-place", {"reason": "person_wishes"})
        assert answer.status_code == status
    assert len(await waiting(city(region))) == 1


@pytest.mark.parametrize("end", ["closed", "erased"])
async def test_when_the_case_is_over_nobody_looks_for_a_place(region: Region, end: str) -> None:
    referral_id = await declined(region)
    over = CaseClosed(case_id=region.case_id, agency_id="kagoshima-desk", ended="achieved")
    await region.running.hear(over if end == "closed" else erased(region.case_id))
    assert await waiting(city(region)) == []
    assert (await last_step(region, referral_id))[:3] == ("placed", "service", f"case_{end}")


async def test_a_silent_coordinator_is_told_of_seen_by_all_and_stays_the_one_with_the_name(region: Region) -> None:
    referral_id = await declined(region)
    await region.running.rows("DELETE FROM outbox")
    for _ in range(2):
        (row,) = await region.running.rows("SELECT tier_on FROM referral WHERE id = $1", UUID(referral_id))
        await until(region, row["tier_on"])
    told = [event for event in await region.running.told() if isinstance(event, ReferralOverdue)]
    assert [(event.clock, event.tier, event.waits_for) for event in told] == [
        ("place", "remind", CITY),
        ("place", "second", CITY),
    ]
    await until(region, today(region.running) + timedelta(days=100))
    (late,) = await waiting(region.running.as_("kagoshima-shakyo"), mine=False)
    assert (late["waits"]["agency_id"], late["waits"]["tier"]) == (CITY, "second")
    assert late["waits"]["due_on"] < today(region.running).isoformat()
    assert late["responsible_agency"] == CITY


async def test_a_municipality_sets_how_long_its_coordinator_looks(region: Region) -> None:
    keeper = region.running.as_("kagoshima-city", "directory")  # type: ignore[arg-type]
    path = f"/v1/coordinators/{KAGOSHIMA}"
    answer = await keeper.put(path, {"agency_id": CITY, "place_days": 3}, etag=None)
    assert (answer.status_code, answer.json()["place_days"]) == (200, 3)
    for wrong in (0, 61):
        assert (await keeper.put(path, {"agency_id": CITY, "place_days": wrong}, etag=None)).status_code == 422
    await declined(region)
    (mine,) = await waiting(city(region))
    assert mine["waits"]["due_on"] == working_days_after(today(region.running), 3).isoformat()


async def test_what_the_coordinator_answers_for_stands_in_its_box(region: Region) -> None:
    referral_id = await region.to_programme()
    for move in ("accept", "start"):
        await region.npo.post(f"/v1/referrals/{referral_id}/{move}")
    assert await city(region).whole("/v1/referrals", box="taken_over") == []
    await until(region, today(region.running) + timedelta(days=120))
    await until(region, today(region.running) + timedelta(days=30))
    (mine,) = await city(region).whole("/v1/referrals", box="taken_over")
    assert (mine["state"], mine["responsible_agency"], mine["waits"]["agency_id"]) == ("in_service", CITY, CITY)


# --- Unmet needs -----------------------------------------------------------------------------------------------------


async def lonely(region: Region) -> UUID:
    case_id = uuid4()
    await region.running.hear(opened(case_id, needs=("housing",)), consented(case_id))
    region.case_id = case_id
    await region.candidates()
    return case_id


async def test_an_unmet_need_waits_for_its_coordinator_with_a_day(region: Region) -> None:
    await lonely(region)
    found = await waiting(city(region))
    due_on = working_days_after(today(region.running), 20).isoformat()
    assert {(each["need"], each["waits"]["agency_id"], each["waits"]["due_on"]) for each in found} == {
        ("housing", CITY, due_on),
        (None, CITY, due_on),
    }
    assert await waiting(region.desk) == []
    assert len(await waiting(region.desk, mine=False)) == 2


async def test_the_coordinator_says_when_it_looks_again(region: Region) -> None:
    await lonely(region)
    need = (await waiting(city(region)))[0]
    path = f"/v1/unmet-needs/{need['unmet_need_id']}/review"
    day = today(region.running) + timedelta(days=90)
    assert (await city(region).post(path, {"review_on": day.isoformat()})).json()["review_on"] == day.isoformat()
    assert (await waiting(city(region)))[-1]["waits"]["due_on"] == day.isoformat()
    stranger = region.running.as_("zama-desk", municipalities=["142166"])
    for caller, status in ((region.desk, 403), (stranger, 404)):
        assert (await caller.post(path, {"review_on": day.isoformat()})).status_code == status
    for wrong in (today(region.running), today(region.running) + timedelta(days=367)):
        assert (await city(region).post(path, {"review_on": wrong.isoformat()})).status_code == 422
    await region.running.rows("UPDATE need_unmet SET state = 'met', ended_at = now(), reason = 'served'")
    assert (await city(region).post(path, {"review_on": day.isoformat()})).status_code == 404


async def test_the_list_goes_on_page_by_page_through_both_kinds(region: Region) -> None:
    for n in range(4):
        await lonely(region)
        await region.to_programme("zama-npo/ibasho")
        if n % 2:
            await region.running.rows("UPDATE need_unmet SET review_on = review_on - 30 WHERE need IS NULL")
    whole = await waiting(region.desk, mine=False)
    assert len(whole) == 12
    pages = [page async for page in region.desk.pages("/v1/waiting", limit=1)]
    assert [page[0] for page in pages] == whole
    days = [each["waits"]["due_on"] for each in whole]
    assert days == sorted(days)


# --- Seats and courses -----------------------------------------------------------------------------------------------


async def test_a_seat_waits_until_its_hold_ends(region: Region) -> None:
    referral_id = await region.to_course()
    seat = held(region.case_id, referral_id)
    until_when = datetime(2099, 1, 5, 2, 0, tzinfo=JST)
    await region.running.hear(seat.model_copy(update={"expires_at": until_when}))
    shown = (await region.look(referral_id))["waits"]
    assert (shown["clock"], shown["agency_id"], shown["due_on"]) == ("seat", "kagoshima-desk", "2099-01-05")
    await region.running.hear(seat.model_copy(update={"expires_at": until_when + timedelta(days=2)}))
    assert (await region.look(referral_id))["waits"]["due_on"] == "2099-01-07", "training holds it longer"
    assert [each["referral_id"] for each in await waiting(region.desk)] == [str(referral_id)]
    await region.running.hear(instructed(region.case_id, referral_id))
    shown = (await region.look(referral_id))["waits"]
    assert (shown["clock"], shown["agency_id"], shown["due_on"]) == ("seat", "school-hibiki", "2099-02-10")


async def test_after_enrolment_somebody_is_asked_what_came_of_it(region: Region) -> None:
    referral_id = await region.to_course()
    await region.running.hear(held(region.case_id, referral_id), enrolled(region.case_id, referral_id))
    shown = (await region.look(referral_id))["waits"]
    assert (shown["clock"], shown["agency_id"], shown["since"]) == ("start", "school-hibiki", "2099-05-10")
    assert shown["due_on"] == working_days_after(date(2099, 5, 10), 15).isoformat()


async def test_a_school_without_an_account_is_asked_when_the_course_has_ended(region: Region) -> None:
    await region.running.rows(
        "INSERT INTO agency (agency_id, name, kana, kind, municipality, municipalities_served, confirmed_by,"
        " confirmed_on, contact_channel) VALUES ('school-hibiki', 'ひびき', 'ヒビキ', 'school', $1, ARRAY[$1], 'x',"
        " '2026-11-01', 'letter')",
        KAGOSHIMA,
    )
    ends = today(region.running) + timedelta(days=40)
    await region.running.rows("UPDATE course_option SET ends_on = $1", ends)
    referral_id = await region.to_course()
    await region.running.hear(held(region.case_id, referral_id), enrolled(region.case_id, referral_id))
    assert await links_of(region, referral_id) == []
    await until(region, ends + timedelta(days=1))
    (link,) = await links_of(region, referral_id)
    assert link["state"] == "to_print"
    shown = (await region.look(referral_id))["waits"]
    assert (shown["clock"], shown["agency_id"], shown["link"]) == ("deliver", "kagoshima-desk", "to_print")
    page = await answer_by(region, await letter_for(region, referral_id), "set_outcome", outcome="completed")
    assert "お返事を受け取りました" in page.text


async def test_a_refused_seat_comes_back_to_its_sender_with_a_day(region: Region) -> None:
    referral_id = await region.to_course()
    lost = SeatRefused(case_id=region.case_id, referral_id=referral_id, course_run_id=COURSE, reason="full")
    await region.running.hear(lost)
    (mine,) = await waiting(region.desk)
    assert (mine["referral_id"], mine["waits"]["clock"]) == (str(referral_id), "place")
    await region.to_programme()
    assert [each["waits"]["clock"] for each in await waiting(region.desk)] == []


# --- Letters and mails -----------------------------------------------------------------------------------------------


async def test_a_letter_that_lies_here_waits_for_its_sender_and_its_time_begins_when_it_is_printed(
    region: Region,
) -> None:
    await without_account(region)
    referral_id = await region.to_programme()
    (mine,) = await waiting(region.desk)
    assert (mine["waits"]["clock"], mine["waits"]["link"]) == ("deliver", "to_print")
    assert mine["waits"]["due_on"] == working_days_after(today(region.running), 2).isoformat()
    region.running.pass_time(timedelta(days=1))
    await letter_for(region, referral_id)
    assert await waiting(region.desk) == []
    shown = (await region.look(referral_id))["waits"]
    assert (shown["clock"], shown["agency_id"], shown["link"]) == ("acknowledge", "sakura-npo", "printed")
    assert shown["due_on"] == working_days_after(today(region.running), 5).isoformat(), (
        "three on the way, two to answer"
    )


async def test_who_does_not_print_is_reminded_and_in_the_end_the_coordinator_has_it(region: Region) -> None:
    await without_account(region)
    referral_id = await silent(region)
    told = [event for event in await region.running.told() if isinstance(event, ReferralOverdue)]
    assert [(event.clock, event.tier, event.waits_for) for event in told] == [
        ("deliver", "remind", "kagoshima-desk"),
        ("deliver", "second", "kagoshima-desk"),
    ]
    assert await state_of(region, referral_id) == "expired"


@pytest.mark.parametrize("acknowledge", [1, 2, 15])
async def test_what_is_printed_as_the_end_of_a_code_is_its_end_and_lies_after_the_answer_is_due(
    region: Region, acknowledge: int
) -> None:
    await without_account(region)
    await region.running.rows("UPDATE programme SET acknowledge_days = $1", acknowledge)
    referral_id = await region.to_programme()
    answer = await region.desk.put(f"/v1/referrals/{referral_id}/letter", None, etag=None)
    (found,) = CODE.findall(answer.text)
    (link,) = await links_of(region, referral_id)
    ends = datetime.fromisoformat(link["expires_at"]).astimezone(JST)
    last = ends - timedelta(minutes=1)
    assert f"{last.year - 2018}年{last.month}月{last.day}日" in answer.text or last.strftime("%Y-%m-%d") in answer.text
    assert ends.date() > date.fromisoformat((await region.look(referral_id))["waits"]["due_on"])
    assert ends.date() > working_days_after(today(region.running), 3 + acknowledge)
    await until(region, last.date())
    assert (await open_by(region, found)).status_code == 200
    region.running.pass_time(ends - timedelta(minutes=2) - wall_time() - region.running.desk.clock.offset)
    assert (await open_by(region, found)).status_code == 200
    region.running.pass_time(timedelta(minutes=3))
    assert (await open_by(region, found)).status_code == 404


async def test_a_read_letter_keeps_the_end_that_stands_on_it(region: Region) -> None:
    await without_account(region)
    await region.running.rows("UPDATE programme SET acknowledge_days = 20, contact_days = 1")
    referral_id = await region.to_programme()
    found = await letter_for(region, referral_id)
    (before,) = await links_of(region, referral_id)
    await answer_by(region, found, "receive")
    (after,) = await links_of(region, referral_id)
    assert after["expires_at"] == before["expires_at"]


async def test_after_acceptance_the_next_letter_waits_for_its_sender_too(region: Region) -> None:
    await without_account(region)
    referral_id = await region.to_programme()
    await answer_by(region, await letter_for(region, referral_id), "accept")
    shown = (await region.look(referral_id))["waits"]
    assert (shown["clock"], shown["agency_id"]) == ("deliver", "kagoshima-desk")
    assert shown["due_on"] == working_days_after(today(region.running), 5).isoformat(), "not taken over sooner"
    await letter_for(region, referral_id)
    shown = (await region.look(referral_id))["waits"]
    assert (shown["clock"], shown["agency_id"]) == ("contact", "sakura-npo")
    assert shown["due_on"] == working_days_after(today(region.running), 8).isoformat()


async def test_a_service_that_goes_on_needs_its_letter_when_its_day_comes(region: Region) -> None:
    await without_account(region)
    referral_id = await region.to_programme()
    for move in ("accept", "start"):
        await answer_by(region, await letter_for(region, referral_id), move)
    shown = (await region.look(referral_id))["waits"]
    assert (shown["clock"], shown["agency_id"], shown["link"]) == ("review", "sakura-npo", "to_print")
    await until(region, date.fromisoformat(shown["due_on"]))
    shown = (await region.look(referral_id))["waits"]
    assert (shown["clock"], shown["agency_id"]) == ("deliver", "kagoshima-desk")
    await letter_for(region, referral_id)
    shown = (await region.look(referral_id))["waits"]
    assert (shown["clock"], shown["agency_id"]) == ("review", "sakura-npo")
    assert shown["due_on"] == working_days_after(today(region.running), 5).isoformat()


async def test_a_mail_that_failed_waits_for_its_sender(region: Region) -> None:
    """Without a mail server nothing goes out: nobody blames who was never asked."""
    await without_account(region, "email")
    referral_id = await region.to_programme()
    shown = (await region.look(referral_id))["waits"]
    assert (shown["clock"], shown["agency_id"], shown["link"]) == ("acknowledge", "sakura-npo", "queued")
    await region.running.run_errands()
    assert isinstance((await region.running.told())[-1], LinkUndelivered)
    (mine,) = await waiting(region.desk)
    assert (mine["waits"]["clock"], mine["waits"]["agency_id"], mine["waits"]["link"]) == (
        "deliver",
        "kagoshima-desk",
        "failed",
    )
    await letter_for(region, referral_id)
    shown = (await region.look(referral_id))["waits"]
    assert (shown["clock"], shown["agency_id"], shown["link"]) == ("acknowledge", "sakura-npo", "printed")


async def test_a_mail_that_fails_long_before_the_day_that_was_named_leaves_that_day(region: Region) -> None:
    await without_account(region, "email")
    referral_id = await region.to_programme()
    day = (today(region.running) + timedelta(days=30)).isoformat()
    await region.npo.post(f"/v1/referrals/{referral_id}/wait", {"review_on": day})
    await region.running.run_errands()
    shown = (await region.look(referral_id))["waits"]
    assert (shown["clock"], shown["due_on"], shown["link"]) == ("review", day, "failed")
    await until(region, date.fromisoformat(day))
    await region.running.run_errands()
    shown = (await region.look(referral_id))["waits"]
    assert (shown["clock"], shown["agency_id"]) == ("deliver", "kagoshima-desk")


# --- Tiers -----------------------------------------------------------------------------------------------------------


async def test_how_far_silence_has_come_is_seen_and_stands_among_the_steps(region: Region) -> None:
    referral_id = await region.to_programme()
    assert (await region.look(referral_id))["waits"]["tier"] is None
    seen = []
    for _ in range(2):
        (row,) = await region.running.rows("SELECT tier_on FROM referral")
        await until(region, row["tier_on"])
        seen.append((await region.look(referral_id))["waits"]["tier"])
        assert [each["waits"]["tier"] for each in await waiting(region.npo)] == seen[-1:]
    assert seen == ["remind", "second"]
    (row,) = await region.running.rows("SELECT tier_on FROM referral")
    await until(region, row["tier_on"])
    steps = (await region.look(referral_id))["steps"]
    assert [(each["step"], each["by"], each["reason"], each["waits_for"], each["version"]) for each in steps] == [
        ("send", "kagoshima-desk", None, None, 1),
        ("remind", "clock", "acknowledge", "sakura-npo", 1),
        ("second", "clock", "acknowledge", "sakura-npo", 1),
        ("expire", "clock", None, None, 2),
    ]


# --- Whose days ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "moves", "clock"),
    [
        ("acknowledge_days", (), "acknowledge"),
        ("contact_days", ("receive",), "contact"),
        ("start_days", ("accept", "contact"), "start"),
    ],
)
async def test_a_programme_sets_its_own_days(region: Region, column: str, moves: tuple[str, ...], clock: str) -> None:
    programme = UUID(region.programmes["sakura-npo/ibasho"])
    await region.running.rows(f"UPDATE programme SET {column} = 7 WHERE id = $1", programme)
    referral_id = await region.to_programme()
    for move in moves:
        assert (await region.npo.post(f"/v1/referrals/{referral_id}/{move}")).status_code == 200
    shown = (await region.look(referral_id))["waits"]
    assert (shown["clock"], shown["due_on"]) == (clock, working_days_after(today(region.running), 7).isoformat())


async def test_when_the_clock_rings_the_days_are_those_of_who_has_to_act(region: Region) -> None:
    """A returned referral waits for its sender, which is open on one day of the week; its receiver on seven."""
    await region.running.rows("UPDATE agency SET closed_weekdays = '{}' WHERE agency_id = 'sakura-npo'")
    await region.running.rows(
        "INSERT INTO agency (agency_id, name, kana, kind, municipality, municipalities_served, confirmed_by,"
        " confirmed_on, closed_weekdays) VALUES ('kagoshima-desk', '窓口', 'マドグチ', 'desk', $1, ARRAY[$1], 'x',"
        " '2026-11-01', '{0,1,3,4,5,6}')",
        KAGOSHIMA,
    )
    wednesdays = (0, 1, 3, 4, 5, 6)
    referral_id = await region.to_programme()
    await region.npo.post(f"/v1/referrals/{referral_id}/return", {"missing": ["wishes"]})
    begun = today(region.running)
    due_on = working_days_after(begun, 5, wednesdays)
    assert (await region.look(referral_id))["waits"]["due_on"] == due_on.isoformat()
    for _ in range(2):
        (row,) = await region.running.rows("SELECT tier_on FROM referral")
        await until(region, row["tier_on"])
    (row,) = await region.running.rows("SELECT tier, tier_on FROM referral")
    # Three Wednesdays more: half of five, rounded up; then the morning after.
    expected = working_days_after(due_on, 3, wednesdays) + timedelta(days=1)
    assert (row["tier"], row["tier_on"]) == ("take_over", expected)


async def test_an_agencys_closed_days_lengthen_its_clock(region: Region) -> None:
    first = working_days_after(today(region.running), 1)
    await region.running.rows("UPDATE agency SET closed_days = ARRAY[$1::date] WHERE agency_id = 'sakura-npo'", first)
    referral_id = await region.to_programme()
    expected = working_days_after(today(region.running), 3).isoformat()
    assert (await region.look(referral_id))["waits"]["due_on"] == expected
