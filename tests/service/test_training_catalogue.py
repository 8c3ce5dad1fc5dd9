"""Course runs and who may issue instructions: the catalogue, changes of what is offered, and the import from CSV."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from services.training.domain.offers import Denied
from shared.events import CourseOffered, PoolChanged, SeatHeld
from tests.service.training_courses import (
    SCHOOL,
    an_offer,
    broken_promises,
    desk,
    moment,
    offer_again,
    offered,
    planner,
    school,
    seat,
    state_of,
    told_since,
)
from tests.world import KAGOSHIMA, KIRISHIMA, Running, World


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
    told = await training.told()
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


async def test_course_runs_come_from_a_file_in_two_steps(training: Running) -> None:
    path = "/v1/course-run-imports"
    headers = {"Content-Type": "text/csv"}
    checked = await planner(training).post(path, content=CSV.encode("cp932"), headers=headers)
    report = checked.json()
    assert checked.status_code == 201, checked.text
    assert (report["created"], report["rejected"], report["encoding"]) == (1, 1, "cp932")
    assert (report["errors"][0]["row"], report["errors"][0]["column"]) == (3, "委ねる枠")
    assert await training.told() == []

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
