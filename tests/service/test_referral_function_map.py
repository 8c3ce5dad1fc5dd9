"""The map of functions over HTTP: who sees which numbers, what stands behind them, months, files and paper."""

import csv
import io
import re
from datetime import timedelta
from itertools import product
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from services.referral.domain.function_map import Kept
from services.referral.domain.map_demand import NUMBERS
from services.referral.domain.map_supply import Thresholds
from services.referral.tables import function_map as tables
from services.referral.tables.vocabulary import vocabulary
from shared.auth import Role
from shared.events import (
    CaseClosed,
    CaseReopened,
    Event,
    ReferralDeclined,
    ReferralDeclineProposed,
    ReferralSent,
    SeatRefused,
    SeatWaitlisted,
)
from shared.service.clock import wall_time
from tests.service.map_oracle import recompute
from tests.service.map_region import NOW, Dice, listed, take_in
from tests.service.referral_region import (
    AGENCIES,
    COURSE,
    POOL,
    PROGRAMMES,
    SEAT,
    Region,
    coordinated,
    enrolled,
    erased,
    held,
    offered,
    opened,
    released,
    seats,
)
from tests.service.referral_region import take_in as take_file
from tests.world import KAGOSHIMA, KIRISHIMA, ZAMA, Caller, Running, World

PATH = "/v1/function-map"
WITHIN = {"prefecture": "46"}


@pytest.fixture
async def region(world: World) -> Region:
    """Two programmes of Kagoshima: one with room that serves Kirishima, too, and one that is full."""
    return await Region(world.service("referral")).ready()


def outsider(running: Running, role: Role = Role.PLANNER) -> Caller:
    return running.as_("planner", role, municipalities=[ZAMA])


async def cells(caller: Caller, path: str = PATH, **params: Any) -> list[Any]:
    return await caller.whole(path, **WITHIN, **params)


async def cell(caller: Caller, municipality: str = KAGOSHIMA, function: str = "drop_in_space") -> Any:
    (found,) = await cells(caller, municipality=municipality, function=function)
    return found


async def more_cases(running: Running, many: int, municipality: str = KAGOSHIMA, *needs: str) -> None:
    await running.hear(
        *(opened(uuid4(), needs=needs or ("isolation",), municipality=municipality) for _ in range(many))
    )


# --- What is seen ----------------------------------------------------------------------------------------------------


async def test_the_map_shows_supply_and_demand_side_by_side(region: Region) -> None:
    found = await cell(region.desk)
    assert found == {
        "function": "drop_in_space",
        "stage": "drop_in",
        "strand": 4,
        "municipality": KAGOSHIMA,
        "municipality_name": "鹿児島市",
        "state": "covered",
        "why": "nothing",
        "proposal": "none",
        "lenders": [],
        "programmes": 1,
        "with_room": 1,
        "stale": 0,
        "room_unknown": 0,
        "places": 3,
        "open_needs": {"count": 1, "at_least": 1, "below": None},
        "waiting": {"count": 0, "at_least": 0, "below": None},
        "unmet": {"count": 0, "at_least": 0, "below": None},
        "wanting": {"count": 1, "at_least": 1, "below": None},
        "turned_away": {"count": 0, "at_least": 0, "below": None},
    }
    full = await cell(region.desk, function="work_readiness")
    assert (full["state"], full["why"], full["proposal"]) == ("thin", "full", "extend")


async def test_a_closed_or_erased_case_asks_for_nothing_and_a_reopened_one_asks_again(region: Region) -> None:
    closed = CaseClosed(case_id=region.case_id, agency_id="kagoshima-desk", ended="goal_reached")
    for event, count in (
        (closed, 0),
        (CaseReopened(case_id=region.case_id, agency_id="kagoshima-desk"), 1),
        (erased(region.case_id), 0),
    ):
        await region.running.hear(event)
        assert (await cell(region.desk))["open_needs"]["count"] == count


async def test_whoever_is_being_helped_asks_for_nothing_more(region: Region) -> None:
    referral = await region.to_programme()
    assert (await cell(region.desk))["open_needs"]["count"] == 1
    await region.npo.post(f"/v1/referrals/{referral}/accept")
    assert (await cell(region.desk))["open_needs"]["count"] == 0


async def test_outsiders_see_no_small_count_and_no_sum_that_gives_it_away(region: Region) -> None:
    await more_cases(region.running, 6)
    await more_cases(region.running, 2, KIRISHIMA)
    few = {"count": None, "at_least": 1, "below": 5}
    for role in (Role.COUNSELLOR, Role.DIRECTORY, Role.RULES, Role.PLANNER, Role.OBSERVER):
        other = outsider(region.running, role)
        assert (await cell(other))["open_needs"] == {"count": None, "at_least": 5, "below": 9}
        assert (await cell(other, KIRISHIMA))["open_needs"] == few
        (total,) = await cells(other, f"{PATH}/totals", function="drop_in_space")
        assert total["open_needs"] == total["wanting"] == {"count": None, "at_least": 6, "below": None}
    own = region.running.as_("kirishima-desk", municipalities=[KIRISHIMA])
    assert (await cell(own, KIRISHIMA))["open_needs"]["count"] == 2
    whole = region.running.as_("kagoshima-ken", Role.PLANNER, municipalities=["prefecture:46"])
    (total,) = await cells(whole, f"{PATH}/totals", function="drop_in_space")
    assert (total["open_needs"]["count"], total["thin"], total["unused"]) == (9, 2, 0)


async def declined_for_lack_of_room(region: Region, referral: str) -> None:
    await region.npo.post(f"/v1/referrals/{referral}/decline", {"reason": "no_capacity"})
    answer = await region.running.as_("kagoshima-city").post(f"/v1/referrals/{referral}/confirm-decline")
    assert answer.status_code == 200, answer.text


async def test_turned_away_is_only_who_stays_declined_after_somebody_looked_at_it(region: Region) -> None:
    await coordinated(region.running, "kagoshima-city")
    city = region.running.as_("kagoshima-city")
    referral = await region.to_programme("sakura-npo/junbi")
    path = f"/v1/referrals/{referral}"

    async def counted() -> int:
        found = await cell(region.desk, function="work_readiness")
        return int(found["turned_away"]["count"])

    await region.npo.post(f"{path}/decline", {"reason": "no_capacity"})
    assert await counted() == 0, "nobody has looked at it yet"
    assert (await city.post(f"{path}/overrule-back")).status_code == 200
    assert await counted() == 0
    await region.npo.post(f"{path}/decline", {"reason": "other"})
    await city.post(f"{path}/confirm-decline")
    assert await counted() == 0, "in the end it was for another reason"
    await declined_for_lack_of_room(region, await region.to_programme("sakura-npo/junbi"))
    assert await counted() == 1


async def test_who_has_no_room_for_a_case_of_its_own_turns_it_away(region: Region) -> None:
    own = region.running.as_("sakura-npo", municipalities=[KAGOSHIMA])
    programme_id = region.programmes["sakura-npo/junbi"]
    body = {"case_id": str(region.case_id), "programme_id": programme_id, "verb": "refer", "knowingly": True}
    referral = (await own.post("/v1/referrals", body)).json()["referral_id"]
    await own.post(f"/v1/referrals/{referral}/decline", {"reason": "no_capacity"})
    await region.desk.post(f"/v1/referrals/{referral}/confirm-decline")
    assert (await region.look(referral))["state"] == "declined"
    assert (await cell(region.desk, function="work_readiness"))["turned_away"]["count"] == 1


async def test_one_person_with_many_records_is_few_to_others(region: Region) -> None:
    await coordinated(region.running, "kagoshima-city")
    for _ in range(5):
        await declined_for_lack_of_room(region, await region.to_programme("sakura-npo/junbi"))
    assert (await cell(region.desk, function="work_readiness"))["turned_away"]["count"] == 5
    seen = await cell(outsider(region.running), function="work_readiness")
    assert seen["turned_away"] == {"count": None, "at_least": 1, "below": 5}


async def test_others_do_not_see_how_few_were_turned_away(region: Region) -> None:
    await coordinated(region.running, "kagoshima-city")
    referral = await region.to_programme("sakura-npo/junbi")
    await declined_for_lack_of_room(region, referral)
    assert (await cell(region.desk, function="work_readiness"))["turned_away"]["count"] == 1
    seen = await cell(outsider(region.running), function="work_readiness")
    assert seen["turned_away"] == {"count": None, "at_least": 1, "below": 5}


async def test_two_regions_that_differ_in_hidden_counts_alone_look_the_same(region: Region) -> None:
    """Three places, one who wants them in Kagoshima, and then two or three in Kirishima: enough, or one too few."""
    ken = region.running.as_("kagoshima-ken", Role.PLANNER, municipalities=["prefecture:46"])
    await more_cases(region.running, 2, KIRISHIMA)
    before = [await every_door(caller) for caller in (outsider(region.running), region.desk)]
    assert (await cell(ken, KIRISHIMA))["state"] == "covered"
    await more_cases(region.running, 1, KIRISHIMA)
    after = [await every_door(caller) for caller in (outsider(region.running), region.desk)]
    assert (await cell(ken, KIRISHIMA))["state"] == "thin"
    assert before == after
    assert (await cell(region.desk))["state"] == "too_few"


async def every_door(caller: Caller) -> list[Any]:
    """The list, the sums, the file and the page, but for the moment that stands on it."""
    drawn = [await cells(caller, path) for path in (PATH, f"{PATH}/totals")]
    answers = [await caller.get(f"{PATH}{ending}", params=WITHIN) for ending in (".csv", ".html")]
    assert [answer.status_code for answer in answers] == [200, 200]
    return [*drawn, table(answers[0], "cp932"), re.sub(r"\d+:\d\d", "", answers[1].text)]


async def test_the_choice_narrows_the_map(region: Region) -> None:
    everything = await cells(region.desk)
    assert {each["function"] for each in everything} == {"drop_in_space", "work_readiness"}
    for narrow in ({"stage": "drop_in"}, {"function": "drop_in_space"}, {"municipality": KIRISHIMA}, {"strand": 4}):
        found = await cells(region.desk, **narrow)
        ((name, value),) = narrow.items()
        assert found == [each for each in everything if each[name] == value]
        assert found
    assert await cells(region.desk, strand=1) == []
    assert (await region.desk.get(PATH, params={"prefecture": "48"})).status_code == 422
    elsewhere = await region.desk.get(PATH, params={"prefecture": "14", "municipality": KAGOSHIMA})
    assert (elsewhere.status_code, elsewhere.json()["errors"][0]["pointer"]) == (422, "/municipality")


async def test_the_map_is_read_page_by_page(region: Region) -> None:
    await more_cases(region.running, 1, KIRISHIMA, "debt")
    for path in (PATH, f"{PATH}/totals"):
        whole = await cells(region.desk, path)
        assert await region.desk.whole(path, **WITHIN, limit=1) == whole
        assert len(whole) > 2


async def test_a_need_that_nobody_answers_has_a_place_of_its_own(region: Region) -> None:
    await more_cases(region.running, 1, KAGOSHIMA, "debt")
    found = await cell(region.desk, function="none")
    assert (found["state"], found["proposal"], found["strand"]) == ("missing", "create", 0)


# --- Seats of course runs --------------------------------------------------------------------------------------------

TRAINING = "job_seeker_training"
"""The kind of support that the region's course run is."""
GENERAL = UUID(int=503)


def in_line(case_id: UUID, referral_id: UUID) -> SeatWaitlisted:
    place: dict[str, Any] = {"case_id": case_id, "referral_id": referral_id, "seat_request_id": SEAT}
    return SeatWaitlisted(**place, course_run_id=COURSE, pool_id=POOL, position=1)


async def test_seats_of_a_course_run_are_supply_until_its_applications_close(region: Region) -> None:
    assert await cells(region.desk, function=TRAINING) == []  # no pool, no seats
    await region.running.hear(seats(2), seats(5, own=False, pool_id=GENERAL))
    for town, places in ((KAGOSHIMA, 7), (KIRISHIMA, 5)):
        found = await cell(region.desk, town, TRAINING)
        assert (found["stage"], found["strand"]) == ("vocational_training", 5)
        assert [found[name] for name in ("programmes", "with_room", "stale", "room_unknown", "places")] == [
            *(1, 1, 0, 0),
            places,
        ]
    assert (await cell(region.desk, KAGOSHIMA, TRAINING))["state"] == "covered"
    now = wall_time()
    await region.running.hear(offered(applications_close_at=now - timedelta(seconds=1)))
    assert await cells(region.desk, function=TRAINING) == []
    await region.running.hear(offered(applications_close_at=now + timedelta(hours=1)))
    assert (await cell(region.desk, KIRISHIMA, TRAINING))["places"] == 5


async def test_a_course_run_stands_behind_its_seats(region: Region) -> None:
    await region.running.hear(seats(2))
    place = {"municipality": KAGOSHIMA, "function": TRAINING, "stage": "vocational_training", "strand": 5}
    for number in ("programmes", "with_room", "places"):
        behind = await region.desk.whole(f"{PATH}/records", **place, number=number)
        assert behind == [{"what": "course_run", "id": str(COURSE)}]
    for number in ("stale", "room_unknown"):
        assert await region.desk.whole(f"{PATH}/records", **place, number=number) == []
    behind = await region.desk.whole(f"{PATH}/records", **place, number="open_needs")
    assert behind == [{"what": "case", "id": str(region.case_id)}]


async def test_who_stands_in_line_for_a_seat_waits_and_who_waited_in_vain_was_turned_away(region: Region) -> None:
    await region.running.hear(seats(1))
    referral = await region.to_course()
    place = {"municipality": KAGOSHIMA, "function": TRAINING, "stage": "vocational_training", "strand": 5}

    async def counted() -> dict[str, int]:
        found = await cell(region.desk, KAGOSHIMA, TRAINING)
        numbers = {name: found[name]["count"] for name in NUMBERS if name != "unmet"}
        for name in ("waiting", "turned_away"):
            behind = await region.desk.whole(f"{PATH}/records", **place, number=name)
            assert behind == [{"what": "referral", "id": str(referral)}] * numbers[name]
        return numbers

    asks = {"open_needs": 1, "waiting": 0, "wanting": 1, "turned_away": 0}
    assert await counted() == asks
    await region.running.hear(in_line(region.case_id, referral))
    assert await counted() == asks | {"waiting": 1}
    await region.running.hear(released(region.case_id, referral, "expired"))
    assert await counted() == asks | {"turned_away": 1}


async def test_who_had_a_seat_was_not_turned_away_and_who_is_in_the_course_asks_for_nothing(region: Region) -> None:
    await region.running.hear(seats(1))
    referral = await region.to_course()
    await region.running.hear(in_line(region.case_id, referral), held(region.case_id, referral))
    assert (await cell(region.desk, KAGOSHIMA, TRAINING))["waiting"]["count"] == 0
    await region.running.hear(released(region.case_id, referral, "expired"))
    found = await cell(region.desk, KAGOSHIMA, TRAINING)
    assert (found["turned_away"]["count"], found["open_needs"]["count"]) == (0, 1)
    again = await region.to_course()
    await region.running.hear(enrolled(region.case_id, again))
    assert (await cell(region.desk, KAGOSHIMA, TRAINING))["open_needs"]["count"] == 0


async def test_a_course_without_seats_for_the_municipality_turns_away(region: Region) -> None:
    await region.running.hear(seats(1))
    for reason, count in (("applications_closed", 0), ("no_seats_for_you", 1)):
        referral = await region.to_course()
        at = {"case_id": region.case_id, "referral_id": referral, "course_run_id": COURSE}
        await region.running.hear(SeatRefused(**at, reason=reason))
        assert (await cell(region.desk, KAGOSHIMA, TRAINING))["turned_away"]["count"] == count


# --- Against the events that were really told ------------------------------------------------------------------------


async def test_referrals_moved_over_http_and_their_own_events_make_the_same_map(region: Region) -> None:
    running = region.running
    await coordinated(running, "kagoshima-city")
    await region.to_programme()
    second = await region.to_programme("sakura-npo/junbi")
    await declined_for_lack_of_room(region, second)
    training: list[Event] = [offered(), seats(2), seats(5, own=False, pool_id=GENERAL)]
    training.append(in_line(region.case_id, await region.to_course()))
    await running.hear(*training)
    now = wall_time()
    by_events = [opened(region.case_id), *await running.told(), *training]
    log = [*await listed(running), *((event, now) for event in by_events)]
    assert {ReferralSent, ReferralDeclineProposed, ReferralDeclined} <= {type(event) for event, _ in log}
    expected = recompute(log, prefecture="46", now=now, neighbours={})
    found = await cells(region.desk)
    assert len(found) == len(expected) == 5
    for each in found:
        told = expected[each["municipality"], each["function"], each["stage"], each["strand"]]
        words = ("state", "why", "proposal", "lenders", "programmes", "places")
        assert [each[name] for name in words] == [told[name] for name in words]
        for number in ("open_needs", "waiting", "unmet", "wanting", "turned_away"):
            assert each[number]["count"] == told[number]
    assert (await cell(region.desk, function="work_readiness"))["turned_away"]["count"] == 1
    assert (await cell(region.desk, function=TRAINING))["waiting"]["count"] == 1


# --- Months ----------------------------------------------------------------------------------------------------------


async def two_months(region: Region) -> tuple[str, str]:
    """A map kept in one month; then five more people ask, and a month later it is kept again."""
    await region.running.sweep()
    await more_cases(region.running, 5)
    await more_cases(region.running, 1, KIRISHIMA)
    region.running.pass_time(timedelta(days=31))
    await region.running.sweep()
    kept = await region.desk.whole(f"{PATH}/snapshots", **WITHIN)
    earlier, later = (each["month"][:7] for each in kept)
    return earlier, later


async def test_a_map_is_kept_once_a_month_and_stays_as_it_was(region: Region) -> None:
    earlier, later = await two_months(region)
    assert earlier < later
    assert await region.running.sweep() == 0
    kept = await region.desk.whole(f"{PATH}/snapshots", **WITHIN)
    assert kept[0]["thresholds"]["stale_days"] == 180
    counted = await region.running.rows(
        "SELECT month, open_needs FROM map_snapshot_cell WHERE municipality = $1 AND function = 'drop_in_space'"
        " ORDER BY month",
        KAGOSHIMA,
    )
    assert [row["open_needs"] for row in counted] == [1, 6]
    prefectures = await region.running.rows("SELECT DISTINCT prefecture FROM map_snapshot ORDER BY 1")
    assert [row["prefecture"] for row in prefectures] == ["14", "46"]


async def test_two_who_keep_the_same_month_keep_it_once(referral: Running) -> None:
    await take_in(referral, Dice(1).roll())
    async with referral.database.transaction() as session:
        month, nothing = NOW.date().replace(day=1), Kept([], Thresholds(), None)
        assert await tables.keep_snapshot(session, "46", month, nothing, now=NOW)
        assert not await tables.keep_snapshot(session, "46", month, nothing, now=NOW)


async def test_a_large_map_is_kept_whole(referral: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    await take_in(referral, Dice(2).roll())
    monkeypatch.setattr(tables, "_AT_ONCE", 7)
    await referral.sweep()
    kept = await referral.rows("SELECT count(*) AS cells FROM map_snapshot_cell WHERE municipality LIKE '46%'")
    whole = await referral.as_("ken", municipalities=["prefecture:46"]).whole(PATH, **WITHIN)
    assert kept[0]["cells"] == len(whole) > 14


@pytest.mark.parametrize("table", ["map_snapshot", "map_snapshot_cell", "friction", "hops_alarm"])
async def test_what_is_kept_is_added_to_and_never_rewritten(referral: Running, table: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await referral.rows(f"DELETE FROM {table}")
    columns = {"map_snapshot": "drawn_at = now()", "map_snapshot_cell": "places = 0", "friction": "boundary = ''"}
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await referral.rows(f"UPDATE {table} SET {columns.get(table, 'hops = 9')}")


async def test_two_months_are_compared(region: Region) -> None:
    earlier, later = await two_months(region)
    months = {"from": earlier, "to": later}
    own = await cells(region.desk, f"{PATH}/changes", **months, function="drop_in_space")
    # The people's own programme was confirmed long ago meanwhile, or not: what differs is who asks.
    assert [each["municipality"] for each in own] == [KAGOSHIMA, KIRISHIMA]
    before, after = own[0]["before"], own[0]["after"]
    assert (before["wanting"]["count"], after["wanting"]["count"]) == (1, 6)
    assert (before["state"], after["state"]) == ("covered", "thin")
    answer = await region.desk.get(f"{PATH}/changes", params=WITHIN | months | {"from": "2020-01"})
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert answer.json()["detail_ja"]
    assert (await region.desk.get(f"{PATH}/changes", params=WITHIN | months | {"to": "2026-13"})).status_code == 422
    for path in (f"{PATH}/changes", f"{PATH}/changes.csv"):
        answer = await region.desk.get(path, params=WITHIN | {"from": later, "to": earlier})
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "period")
    same = await cells(region.desk, f"{PATH}/changes", **{"from": later, "to": later})
    assert same == []
    answer = await region.desk.get(f"{PATH}/changes.csv", params=WITHIN | months | {"encoding": "utf-8"})
    first, second, *_ = table(answer)
    assert (first["市町村"], first["市町村コード"]) == ("鹿児島市", KAGOSHIMA)
    assert (first["判定(前)"], first["判定(後)"], first["求める人(後)"]) == ("充足", "不足", "6")
    assert second["市町村コード"] == KIRISHIMA


async def test_a_hidden_count_that_becomes_another_is_no_difference_to_others(region: Region) -> None:
    await more_cases(region.running, 2, KIRISHIMA, "people")
    await region.running.sweep()
    await more_cases(region.running, 1, KIRISHIMA, "people")
    region.running.pass_time(timedelta(days=31))
    await region.running.sweep()
    kept = await region.desk.whole(f"{PATH}/snapshots", **WITHIN)
    months = {"from": kept[0]["month"][:7], "to": kept[1]["month"][:7]}
    narrow = {"municipality": KIRISHIMA, "function": "work_readiness"}
    assert await cells(outsider(region.running), f"{PATH}/changes", **months, **narrow) == []
    own = region.running.as_("kirishima-desk", municipalities=[KIRISHIMA])
    assert len(await cells(own, f"{PATH}/changes", **months, **narrow)) == 1


async def test_a_kept_month_says_to_others_no_more_than_the_map_did(region: Region) -> None:
    await more_cases(region.running, 2, KIRISHIMA)
    earlier, later = await two_months(region)
    ken = region.running.as_("kagoshima-ken", Role.PLANNER, municipalities=["prefecture:46"])
    before = []
    for caller in (outsider(region.running), region.desk, ken):
        narrow = {"municipality": KAGOSHIMA, "function": "drop_in_space"}
        (change,) = await cells(caller, f"{PATH}/changes", **{"from": earlier, "to": later}, **narrow)
        before.append((change["before"]["state"], change["before"]["why"]))
        assert change["after"]["state"] == "thin"
    assert before == [("too_few", "too_few"), ("too_few", "too_few"), ("covered", "nothing")]


async def test_a_kept_month_knows_how_few_people_stand_behind_many_records(region: Region) -> None:
    await coordinated(region.running, "kagoshima-city")
    for _ in range(5):
        await declined_for_lack_of_room(region, await region.to_programme("sakura-npo/junbi"))
    earlier, later = await two_months(region)
    chosen = {"from": earlier, "to": later, "municipality": KAGOSHIMA, "function": "work_readiness"}
    kept = await region.running.rows("SELECT DISTINCT turned_away_cases FROM map_snapshot_cell WHERE turned_away = 5")
    assert [row["turned_away_cases"] for row in kept] == [1]
    for change in await cells(outsider(region.running), f"{PATH}/changes", **chosen):
        assert change["before"]["turned_away"] == {"count": None, "at_least": 1, "below": 5}


# --- Files and paper -------------------------------------------------------------------------------------------------


def table(answer: Any, encoding: str = "utf-8-sig") -> list[dict[str, str]]:
    assert answer.status_code == 200, answer.text
    return list(csv.DictReader(io.StringIO(answer.content.decode(encoding))))


async def test_the_sub_committee_gets_the_map_as_a_file(region: Region) -> None:
    await more_cases(region.running, 6)
    await more_cases(region.running, 2, KIRISHIMA)
    answer = await outsider(region.running).get(f"{PATH}.csv", params=WITHIN)
    assert "charset=" in answer.headers["content-type"]
    lines = table(answer, "cp932")
    first = lines[0]
    assert (first["支援機能"], first["段階"], first["系統"]) == ("居場所", "居場所", "(4)生活困窮者自立支援")
    assert (first["判定"], first["理由"], first["提案"]) == ("不足", "求める人に空きが足りない", "広げる")
    assert [(each["市町村"], each["市町村コード"], each["求める人"]) for each in lines[:3]] == [
        ("鹿児島市", KAGOSHIMA, "5～8"),
        ("霧島市", KIRISHIMA, "5未満"),
        ("計", "", "6以上"),
    ]
    same = table(await outsider(region.running).get(f"{PATH}.csv", params=WITHIN | {"encoding": "utf-8"}))
    # The older encoding has another tilde.
    assert [{name: said.replace("〜", "～") for name, said in line.items()} for line in same] == lines


async def test_an_empty_region_is_an_empty_file_and_a_page_that_says_so(referral: Running) -> None:
    caller = referral.as_()
    assert table(await caller.get(f"{PATH}.csv", params=WITHIN), "cp932") == []
    answer = await caller.get(f"{PATH}.html", params=WITHIN)
    assert answer.status_code == 200
    assert "まだありません" in answer.text
    assert await caller.whole(PATH, **WITHIN) == []


async def test_the_map_is_a_page_to_print(region: Region) -> None:
    await more_cases(region.running, 6)
    await more_cases(region.running, 2, KIRISHIMA)
    answer = await outsider(region.running).get(f"{PATH}.html", params=WITHIN | {"stage": "drop_in"})
    assert answer.status_code == 200, answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    text = re.sub(r"<[^>]+>", " ", answer.text)
    for words in ("支援機能の地図", "居場所", "鹿児島市", "霧島市", "△不足", "5未満", "6以上", "広げる"):
        assert words in text, words
    assert "work_readiness" not in text
    assert "landscape" in answer.text


async def test_a_page_too_long_to_print_asks_for_a_choice(referral: Running) -> None:
    kinds = list(product(sorted(vocabulary().functions), range(1, 7)))[:151]
    lines = "".join(
        f"npo-a,p{number},名,{function},{strand},居場所,,isolation,空きあり,2026-11-01\n"
        for number, (function, strand) in enumerate(kinds)
    )
    agency = "npo-a,,甲,コウ,npo,462012,462012,,福祉課,2026-11-01\n"
    await take_file(referral, "/v1/agency-imports", AGENCIES.splitlines()[0] + "\n" + agency)
    await take_file(referral, "/v1/programme-imports", PROGRAMMES.splitlines()[0] + "\n" + lines)
    answer = await referral.as_().get(f"{PATH}.html", params=WITHIN)
    assert (answer.status_code, answer.json()["code"]) == (409, "map_too_long")
    assert answer.json()["detail_ja"]
    assert (await referral.as_().get(f"{PATH}.html", params=WITHIN | {"function": kinds[0][0]})).status_code == 200


async def test_a_word_that_nobody_knows_is_no_empty_map(region: Region) -> None:
    for path in (PATH, f"{PATH}/totals", f"{PATH}.csv", f"{PATH}.html"):
        for wrong in ({"function": "drop_in_spce"}, {"stage": "attic"}):
            answer = await region.desk.get(path, params=WITHIN | wrong)
            assert answer.status_code == 422, (path, wrong)
            assert answer.json()["errors"][0]["message_ja"]
    place = {"municipality": KAGOSHIMA, "function": "drop_in_space", "stage": "drop_in", "strand": 4, "number": "unmet"}
    assert (await region.desk.get(f"{PATH}/records", params=place)).status_code == 200
    for wrong in ({"function": "drop_in_spce"}, {"stage": "attic"}):
        answer = await region.desk.get(f"{PATH}/records", params=place | wrong)
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, f"/{next(iter(wrong))}")
    answer = await region.desk.get(PATH, params=WITHIN | {"function": "drop_in_spce"})
    assert "drop_in_space" in answer.json()["errors"][0]["message_ja"]
