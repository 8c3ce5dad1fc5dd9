"""Who reads what followed a seat: a legal basis, a trace in the access log, and reasons of absence for few."""

from collections.abc import Sequence
from datetime import date
from typing import Any
from uuid import UUID

import pytest

from services.training.domain.policy import Ground, Hidden, NoBasis, Reads, Reasons, Standing, decide
from shared.auth import Role
from shared.events import CaseErased
from shared.service.clock import day_in_japan, wall_time
from tests.service.training_courses import (
    KAGOSHIMA,
    KIRISHIMA,
    consented,
    desk,
    hello_work,
    instructed,
    offered,
    school,
    seat,
    step,
)
from tests.world import Caller, Running, World


@pytest.fixture
def training(world: World) -> Running:
    return world.service("training")


async def absent(training: Running) -> dict[str, Any]:
    """Somebody who was ill for four days of a month, as the school certified."""
    asked = await seat(training, await offered(training, starts_on=date(2027, 4, 1), ends_on=date(2027, 9, 30)))
    await instructed(training, asked)
    assert (await step(school(training), asked, "enrol")).status_code == 200
    training.pass_time(date(2027, 5, 10) - day_in_japan(wall_time() + training.desk.clock.offset))
    month = {"month": "2027-04", "days_held": 20, "days_present": 15, "excused": {"illness": 4, "care": 0}}
    answer = await step(school(training), asked, "attendance-certificates", month)
    assert answer.status_code == 201, answer.text
    assert "illness" not in answer.text, "what a repeat would be answered is kept"
    return asked


def of_prefecture(training: Running) -> Caller:
    """A placement for the whole prefecture: it serves the person's municipality among others."""
    return training.as_("prefecture-placement", Role.PLACEMENT, municipalities=["prefecture:46"])


async def read(caller: Caller, asked: dict[str, Any], **query: Any) -> tuple[int, Any]:
    answer = await caller.get(f"/v1/seat-requests/{asked['seat_request_id']}/record", params=query)
    return answer.status_code, answer.json()


async def logged(training: Running) -> Sequence[tuple[Any, ...]]:
    rows = await training.rows("SELECT agency, basis, fields, subject_id FROM access_log ORDER BY id")
    return [(row["agency"], row["basis"], list(row["fields"]), row["subject_id"]) for row in rows]


@pytest.mark.parametrize(
    ("standing", "found"),
    [
        (Standing(True, False, False, False, False), Reads(Ground.SCHOOL, Reasons.OWN)),
        (Standing(False, True, False, True, False), Reads(Ground.OFFICE, Reasons.ALL)),
        (Standing(False, False, True, True, False), Reads(Ground.MUNICIPALITY, Reasons.ALL)),
        (Standing(False, False, False, True, True), Reads(Ground.CONSENT, Reasons.NONE)),
        (Standing(False, False, False, True, False), NoBasis()),
        (Standing(False, False, False, False, True), Hidden()),
        (Standing(False, False, False, False, False), Hidden()),
    ],
)
def test_what_is_not_granted_is_denied(standing: Standing, found: object) -> None:
    assert decide(standing) == found


async def test_every_reading_stands_in_the_log_with_its_basis(training: Running) -> None:
    asked = await absent(training)
    before = len(await logged(training))
    plain, with_reasons = ["attendance", "outcomes"], ["attendance", "outcomes", "absence_reasons"]
    assert (await read(desk(training), asked))[0] == 200
    assert (await read(hello_work(training), asked, reasons=True))[0] == 200
    assert (await read(school(training), asked, reasons=True))[0] == 200
    (row,) = await training.rows("SELECT case_id FROM seat_request")
    assert (await logged(training))[before:] == [
        (f"desk-{KAGOSHIMA}", "appi_69_2_2", plain, row["case_id"]),
        ("hello-work-kagoshima", "appi_69_2_3", with_reasons, row["case_id"]),
        ("kagoshima-school", "appi_69_2_2", with_reasons, row["case_id"]),
    ]
    assert training.service.logs_reads, "its log is sealed as that of who keeps persons"


async def test_who_has_no_basis_reads_nothing_and_leaves_no_entry(training: Running) -> None:
    asked = await absent(training)
    case_id = UUID(str((await training.rows("SELECT case_id FROM seat_request"))[0]["case_id"]))
    await training.hear(consented(case_id, 2, recipients=["kagoshima-school"]))
    before = len(await logged(training))
    status, problem = await read(of_prefecture(training), asked)
    assert (status, problem["code"]) == (403, "no_basis")
    for stranger in (desk(training, KIRISHIMA), school(training, "another-school")):
        assert (await read(stranger, asked))[0] == 404
    assert len(await logged(training)) == before
    await training.hear(consented(case_id, 3, recipients=["kagoshima-school", "prefecture-placement"]))
    status, shown = await read(of_prefecture(training), asked, reasons=True)
    assert status == 200
    (month,) = shown["attendance"]["months"]
    assert (month["excused"], month["reckoning"]["excused"]) == (None, 4), "excused days, and no reason"
    assert (await logged(training))[-1][:3] == ("prefecture-placement", "consent", ["attendance", "outcomes"])


async def test_reasons_of_absence_are_for_who_wrote_them_the_municipality_and_the_office(training: Running) -> None:
    asked = await absent(training)
    for caller in (school(training), desk(training), hello_work(training)):
        for reasons, wanted in ((False, None), (True, {"illness": 4})):
            _, shown = await read(caller, asked, reasons=reasons)
            (month,) = shown["attendance"]["months"]
            assert (month["excused"], month["reckoning"]["excused"]) == (wanted, 4)
    # The course went over to another school: what the first one wrote is not the second's to read.
    await training.rows("UPDATE course_run SET provider_agency = 'second-school'")
    _, shown = await read(school(training, "second-school"), asked, reasons=True)
    assert [month["excused"] for month in shown["attendance"]["months"]] == [None]


async def test_when_a_case_is_erased_reasons_go_and_days_stay(training: Running) -> None:
    asked = await absent(training)
    case_id = (await training.rows("SELECT case_id FROM seat_request"))[0]["case_id"]
    await training.hear(CaseErased(case_id=case_id, agency_id="desk", reason="requested", erased_at=wall_time()))
    assert await training.rows("SELECT FROM absence_reasons") == []
    _, shown = await read(desk(training), asked, reasons=True)
    (month,) = shown["attendance"]["months"]
    assert (month["excused"], month["reckoning"]["excused"]) == ({}, 4)


async def test_the_requests_behind_a_number_that_tells_of_outcomes_are_a_reading_too(training: Running) -> None:
    await absent(training)
    before = len(await logged(training))
    path, year = "/v1/training-report/requests", {"fiscal_year": 2027}
    assert (await desk(training).get(path, params=year | {"measure": "enrolled"})).status_code == 200
    assert len(await logged(training)) == before
    listed = await desk(training).get(path, params=year | {"measure": "in_training"})
    assert len(listed.json()["items"]) == 1
    assert [entry[:3] for entry in (await logged(training))[before:]] == [
        (f"desk-{KAGOSHIMA}", "appi_69_2_2", ["in_training"])
    ]
