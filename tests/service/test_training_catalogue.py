"""Course runs and who may issue instructions: the catalogue, changes of what is offered, and the import from CSV."""

import asyncio
import csv
import io
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from services.training.domain.offers import CourseOffer, Denied
from services.training.tables import seats
from shared.auth import Role
from shared.events import CourseOffered, PoolChanged, QuotaDecided, SeatHeld
from tests.service.training_courses import (
    SCHOOL,
    an_offer,
    broken_promises,
    desk,
    entrust,
    moment,
    offer_again,
    offered,
    planner,
    school,
    seat,
    state_of,
    told_since,
)
from tests.world import KAGOSHIMA, KIRISHIMA, ZAMA, Caller, Running, World


@pytest.fixture
def training(world: World) -> Running:
    return world.service("training")


# --- the catalogue --------------------------------------------------------------------------------------------------


async def test_the_catalogue_shows_courses_with_seats_for_a_municipality(training: Running) -> None:
    everybodys = await offered(training, capacity=2)
    kirishimas = await offered(training, capacity=2, delegated={KIRISHIMA: 2}, field="care")
    full = await offered(training, capacity=1)
    await seat(training, full)

    async def shown(**filters: Any) -> set[str]:
        answer = await desk(training).get("/v1/course-runs", params=filters)
        assert answer.status_code == 200, answer.text
        return {item["course_run_id"] for item in answer.json()["items"]}

    assert await shown() == {str(everybodys), str(kirishimas), str(full)}
    assert await shown(field="care") == {str(kirishimas)}
    assert await shown(municipality=KAGOSHIMA) == {str(everybodys), str(full)}
    assert await shown(with_free=True) == {str(everybodys), str(kirishimas)}
    assert await shown(with_free=True, municipality=KAGOSHIMA) == {str(everybodys)}


async def test_the_catalogue_comes_in_pages(training: Running) -> None:
    courses = {str(await offered(training)) for _ in range(3)}
    pages = [page async for page in desk(training).pages("/v1/course-runs", limit=2)]
    assert [len(page) for page in pages] == [2, 1]
    assert {item["course_run_id"] for page in pages for item in page} == courses


async def test_a_course_shows_its_pools_and_free_seats(training: Running) -> None:
    course = await offered(training, capacity=5, delegated={KAGOSHIMA: 2})
    await seat(training, course)
    body = (await school(training).get(f"/v1/course-runs/{course}")).json()
    pools = {pool["kind"]: (pool["granted"], pool["held"], pool["free"]) for pool in body["pools"]}
    assert pools == {"delegated": (2, 1, 1), "general": (3, 0, 3)}
    assert (body["free"], body["provider"], body["capacity"]) == (4, SCHOOL, 5)
    assert (await school(training).get(f"/v1/course-runs/{uuid4()}")).status_code == 404


# --- offering courses -----------------------------------------------------------------------------------------------


async def test_an_offered_course_is_told_with_its_pools(training: Running) -> None:
    course = await offered(training, capacity=12, delegated={KAGOSHIMA: 4, KIRISHIMA: 2})
    told = [event for event in await training.told() if not isinstance(event, QuotaDecided)]
    assert isinstance(told[0], CourseOffered)
    assert (told[0].course_run_id, told[0].capacity, told[0].prefecture) == (course, 12, "46")
    pools = [(p.municipality, p.granted) for p in told[1:] if isinstance(p, PoolChanged)]
    assert pools == [(KAGOSHIMA, 4), (KIRISHIMA, 2), (None, 6)]


async def test_more_capacity_reaches_those_who_wait(training: Running) -> None:
    offer = an_offer(capacity=1)
    course = await offered(training, offer)
    asked = [await seat(training, course) for _ in range(4)]
    await offered(training, an_offer(course_number=offer.course_number, capacity=3))
    assert [await state_of(training, each) for each in asked] == ["held", "held", "held", "waiting"]
    assert await broken_promises(training) == []


async def test_a_capacity_below_what_is_taken_is_refused(training: Running) -> None:
    offer = an_offer(capacity=2)
    course = await offered(training, offer)
    await seat(training, course)
    await seat(training, course)
    fewer = an_offer(course_number=offer.course_number, capacity=1)
    assert await offer_again(training, fewer) == Denied("below_what_is_taken", "capacity")


async def test_seats_nobody_has_may_go_back(training: Running) -> None:
    offer = an_offer(capacity=5, delegated={KAGOSHIMA: 3})
    course = await offered(training, offer)
    await offered(training, an_offer(course_number=offer.course_number, capacity=3, delegated={KIRISHIMA: 2}))
    rows = await training.rows("SELECT municipality, granted FROM pool ORDER BY municipality")
    assert [tuple(row) for row in rows] == [(KAGOSHIMA, 0), (KIRISHIMA, 2), (None, 1)]
    assert await broken_promises(training, [course]) == []


async def test_the_same_offer_again_changes_nothing(training: Running) -> None:
    offer = an_offer()
    await offered(training, offer)
    before = await training.told()
    outcome = await offer_again(training, offer)
    assert not isinstance(outcome, Denied)
    assert outcome.became == "unchanged"
    assert await training.told() == before


async def test_holds_and_waits_follow_a_deadline_that_moved(training: Running) -> None:
    offer = an_offer(capacity=1)
    course = await offered(training, offer)
    held, waits = await seat(training, course), await seat(training, course)
    earlier = offer.applications_close_at - timedelta(days=29)
    before = len(await training.told())
    await offered(training, an_offer(course_number=offer.course_number, capacity=1, applications_close_at=earlier))
    rows = await training.rows("SELECT state, expires_at FROM seat_request ORDER BY id")
    assert [tuple(row) for row in rows] == [("held", earlier), ("waiting", earlier)]
    course_offered, told = await told_since(training, before)
    assert isinstance(course_offered, CourseOffered)
    assert isinstance(told, SeatHeld)
    assert (str(told.seat_request_id), told.expires_at) == (held["seat_request_id"], earlier)
    assert await state_of(training, waits) == "waiting"


CSV = (
    "講座番号,講座名,訓練種別,分野,実施機関ID,所在地コード,開始日,終了日,定員,応募締切,仮押さえ時間,委ねる枠,出典,確認日\n"
    "46-r4-001,介護科,job_seeker_practical,care,kagoshima-school,462012,令和9年1月12日,2027-04-09,15,"
    "2026-12-16 16:00,48,462012:4 462187:2,計画,令和8年11月1日\n"
    "46-r4-002,Web科,job_seeker_practical,web_design,kagoshima-school,462012,2027-01-12,2027-04-09,5,"
    "2026-12-16 16:15,,462012:6,計画,2026-11-01\n"
)


HEADER = "講座番号,講座名,訓練種別,分野,実施機関ID,所在地コード,開始日,終了日,定員,応募締切,出典,確認日,仮押さえ時間,"
KEPT_HEADER = f"{HEADER}仮押さえ営業日,案内回答営業日,優先枠,優先枠の開放"


def kept(*rows: str) -> bytes:
    """A file of course runs, each with its last five columns."""
    same = (
        "Web科,job_seeker_practical,web_design,kagoshima-school,462012,2027-10-01,2028-03-31,10,2027-09-01 16:00,計画"
    )
    lines = [f"46-r5-{number:03},{same},2026-11-01,{row}" for number, row in enumerate(rows, 1)]
    return "\n".join([KEPT_HEADER, *lines, ""]).encode("cp932")


async def test_a_file_says_for_whom_seats_are_kept_and_how_many_working_days_a_hold_and_an_offer_have(
    training: Running,
) -> None:
    path, headers = "/v1/course-run-imports", {"Content-Type": "text/csv"}
    first = ",2,5,ice_age_generation:2 disability+single_parent:1,2027-08-25 00:00"
    strange = (
        ",,,whoever:2,", "24,2,,,", ",,21,,", ",,,,2027-08-25 00:00", ",,,ice_age_generation:11,",
    )  # fmt: skip
    file = kept(first, *strange)
    report = (await planner(training).post(path, content=file, headers=headers)).json()
    assert (report["created"], report["rejected"]) == (1, 5), report
    assert [(each["row"], each["column"], each["code"]) for each in report["errors"]] == [
        (3, "優先枠", "unknown_target_group"),
        (4, "仮押さえ営業日", "hold_in_hours_and_days"),
        (5, "案内回答営業日", "less_than_equal"),
        (6, "優先枠の開放", "nothing_to_open"),
        (7, "優先枠", "delegated_above_capacity"),
    ]
    committed = await planner(training).post(f"{path}/{report['import_id']}/commit", {"skip_rejected": True})
    assert committed.status_code in {200, 201}, committed.text
    (run,) = (await desk(training).get("/v1/course-runs")).json()["items"]
    assert (run["hold_days"], run["offer_days"]) == (2, 5)
    assert {tuple(pool["target_groups"]): pool["granted"] for pool in run["pools"]} == {
        (): 7, ("ice_age_generation",): 2, ("disability", "single_parent"): 1,
    }  # fmt: skip
    assert {pool["opens_at"] and moment(pool["opens_at"]).isoformat() for pool in run["pools"]} == {
        None, "2027-08-24T15:00:00+00:00",
    }  # fmt: skip
    # The same file changes nothing, and a later one that keeps fewer gives the rest to all.
    again = (await planner(training).post(path, content=file, headers=headers)).json()
    assert (again["created"], again["updated"], again["unchanged"]) == (0, 0, 1), again
    fewer = kept(first.replace("ice_age_generation:2", "ice_age_generation:1"))
    again = (await planner(training).post(path, content=fewer, headers=headers)).json()
    await planner(training).post(f"{path}/{again['import_id']}/commit", {"skip_rejected": True})
    (run,) = (await desk(training).get("/v1/course-runs")).json()["items"]
    assert {tuple(pool["target_groups"]): pool["granted"] for pool in run["pools"]}[()] == 8


async def test_course_runs_come_from_a_file_in_two_steps(training: Running) -> None:
    await entrust(training)
    before = await training.told()
    path = "/v1/course-run-imports"
    headers = {"Content-Type": "text/csv"}
    checked = await planner(training).post(path, content=CSV.encode("cp932"), headers=headers)
    report = checked.json()
    assert checked.status_code == 201, checked.text
    assert (report["created"], report["rejected"], report["encoding"]) == (1, 1, "cp932")
    assert (report["errors"][0]["row"], report["errors"][0]["column"]) == (3, "委ねる枠")
    assert await training.told() == before

    committed = await planner(training).post(f"{path}/{report['import_id']}/commit", {"skip_rejected": True})
    assert committed.status_code in {200, 201}, committed.text
    found = (await desk(training).get("/v1/course-runs")).json()["items"]
    assert [(run["course_number"], run["hold_hours"], run["starts_on"]) for run in found] == [
        ("46-r4-001", 48, "2027-01-12")
    ]
    assert moment(found[0]["applications_close_at"]).isoformat() == "2026-12-16T07:00:00+00:00"
    assert {pool["municipality"]: pool["granted"] for pool in found[0]["pools"]} == {
        KAGOSHIMA: 4,
        KIRISHIMA: 2,
        None: 9,
    }
    assert (await desk(training).post(path, content=CSV.encode(), headers=headers)).status_code == 403


async def test_one_file_makes_changes_repeats_and_refuses_each_course_for_itself(training: Running) -> None:
    held, waits, known = an_offer(capacity=2), an_offer(capacity=1), an_offer(capacity=3)
    full, short, same = [await offered(training, offer) for offer in (held, waits, known)]
    await seat(training, full), await seat(training, full)
    asked = [await seat(training, short) for _ in range(3)]
    new = an_offer(capacity=8, delegated={KIRISHIMA: 3, KAGOSHIMA: 2})
    await entrust(training)
    before = len(await training.told())
    wanted = [new, replace(held, capacity=1), known, replace(waits, capacity=2), replace(new, course_number="46-x")]
    report = await taken(training, *wanted)
    counts = [report[name] for name in ("created", "updated", "unchanged", "rejected")]
    assert (counts, report["errors"][0]["row"], report["errors"][0]["column"]) == ([2, 1, 1, 1], 3, "定員")
    assert [await state_of(training, each) for each in asked] == ["held", "held", "waiting"]
    told = [
        (type(event).__name__, getattr(event, "municipality", None), event.subject == str(short))
        for event in await told_since(training, before)
    ]
    pools = [("PoolChanged", KAGOSHIMA, False), ("PoolChanged", KIRISHIMA, False), ("PoolChanged", None, False)]
    assert told == [
        ("CourseOffered", None, False), *pools,
        ("CourseOffered", None, True), ("SeatHeld", None, False), ("PoolChanged", None, False),
        ("CourseOffered", None, False), *pools,
    ]  # fmt: skip
    assert await broken_promises(training) == []
    assert {row["version"] for row in await training.rows("SELECT version FROM course_run WHERE id = $1", same)} == {1}


async def test_a_dry_run_gives_no_seat_and_tells_nothing(training: Running) -> None:
    offer = an_offer(capacity=1)
    course = await offered(training, offer)
    asked = [await seat(training, course) for _ in range(2)]
    before = await training.told()
    many = [an_offer(course_number=f"46-many-{number:04}") for number in range(600)]
    report = (await checked(training, replace(offer, capacity=2), *many)).json()
    assert (report["created"], report["updated"]) == (600, 1)
    assert [await state_of(training, each) for each in asked] == ["held", "waiting"]
    assert len(await training.rows("SELECT FROM course_run")) == 1
    assert await training.told() == before


async def test_a_file_takes_no_lock_for_courses_that_it_only_repeats(training: Running) -> None:
    offers = [an_offer() for _ in range(3)]
    courses = [await offered(training, offer) for offer in offers]
    async with training.database.session() as somebody:
        for course in courses:
            assert await seats.lock_course(somebody, course)
        assert (await taken(training, *offers))["unchanged"] == 3


async def test_a_deadline_moves_for_all_who_hold_a_seat_of_any_course_in_the_file(training: Running) -> None:
    offers = [an_offer(capacity=1) for _ in range(2)]
    held = [await seat(training, await offered(training, offer)) for offer in offers]
    earlier = [
        replace(offer, applications_close_at=offer.applications_close_at - timedelta(days=28 + number))
        for number, offer in enumerate(offers)
    ]
    await taken(training, *earlier)
    rows = await training.rows("SELECT id, expires_at FROM seat_request")
    assert {str(row["id"]): row["expires_at"] for row in rows} == {
        asked["seat_request_id"]: min(moment(asked["expires_at"]), offer.applications_close_at)
        for asked, offer in zip(held, earlier, strict=True)
    }


async def test_of_two_who_offer_the_same_new_course_at_once_one_makes_it(training: Running) -> None:
    offer = an_offer()
    both = await asyncio.gather(offer_again(training, offer), offer_again(training, replace(offer, capacity=12)))
    assert sorted(outcome.became for outcome in both if not isinstance(outcome, Denied)) == ["created", "updated"]
    assert len(await training.rows("SELECT FROM course_run")) == 1
    assert await broken_promises(training) == []


async def test_a_day_that_is_a_slip_of_the_pen_is_told(training: Running) -> None:
    content = CSV.replace("令和9年1月12日", "0209-01-12").replace("2026-12-16 16:15", "0001-01-01 00:00")
    answer = await planner(training).post(
        "/v1/course-run-imports", content=content.encode(), headers={"Content-Type": "text/csv"}
    )
    found = [(error["row"], error["column"], error["code"]) for error in answer.json()["errors"]]
    assert found == [(2, "開始日", "day_out_of_reach"), (3, "応募締切", "day_out_of_reach")]


async def test_a_planner_writes_of_no_place_that_it_does_not_serve(training: Running) -> None:
    """Or the planner of another prefecture spent what was decided here."""
    stands = an_offer()
    await offered(training, stands)
    far = training.as_("kanagawa-planner", Role.PLANNER, municipalities=["prefecture:14"])
    attempts = [
        (far, an_offer()),
        (far, replace(stands, capacity=3)),
        (far, replace(stands, site_municipality=ZAMA)),
        (planner(training), replace(stands, site_municipality=ZAMA)),
    ]
    for caller, offer in attempts:
        report = (await checked(training, offer, by=caller)).json()
        assert [(each["column"], each["code"]) for each in report["errors"]] == [
            ("所在地コード", "not_your_prefecture")
        ]
    ours = (await checked(training, an_offer(site_municipality=ZAMA), by=far)).json()
    assert (ours["created"], ours["rejected"]) == (1, 0)


async def checked(training: Running, *offers: CourseOffer, by: Caller | None = None) -> Any:
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(CSV.partition("\n")[0].split(","))
    for offer in offers:
        delegated = " ".join(f"{municipality}:{seats}" for municipality, seats in offer.delegated.items())
        writer.writerow([
            offer.course_number, offer.title, offer.system, offer.field, offer.provider_agency,
            offer.site_municipality, offer.starts_on, offer.ends_on, offer.capacity,
            offer.applications_close_at.isoformat(), offer.hold_hours, delegated, offer.source, offer.checked_on,
        ])  # fmt: skip
    headers = {"Content-Type": "text/csv"}
    caller = by or planner(training)
    return await caller.post("/v1/course-run-imports", content=out.getvalue().encode(), headers=headers)


async def taken(training: Running, *offers: CourseOffer) -> Any:
    report = (await checked(training, *offers)).json()
    where = f"/v1/course-run-imports/{report['import_id']}/commit"
    answer = await planner(training).post(where, {"skip_rejected": True})
    assert answer.status_code == 200, answer.text
    return answer.json()


# --- authority ------------------------------------------------------------------------------------------------------


async def test_an_authority_is_in_force_from_its_day_and_never_overwritten(training: Running) -> None:
    path = "/v1/authorities"
    assert (await desk(training).get(f"{path}/46")).json()["mode"] == "current_law"
    body = {"prefecture": "46", "mode": "delegated", "in_force_from": "2022-10-01", "decided_by": "協議会"}
    assert (await planner(training).post(path, body)).json()["mode"] == "delegated"
    later = body | {"mode": "current_law", "in_force_from": "2099-04-01"}
    assert (await planner(training).post(path, later)).json()["mode"] == "delegated"
    assert len(await training.rows("SELECT FROM region_authority")) == 2
    assert (await desk(training).post(path, body)).status_code == 403
    assert (await planner(training).post(path, body | {"prefecture": "13"})).status_code == 403
    assert (await planner(training).post(path, body | {"prefecture": "48"})).status_code == 422
    assert (await desk(training).get(f"{path}/13")).json()["mode"] == "current_law"
