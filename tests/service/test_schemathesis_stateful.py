"""schemathesis goes on from answer to answer in every service that keeps something (`tests.service.journeys`).

It looks for what tests/service/test_schemathesis.py looks for, where that shows only on a second step and later: 5xx,
answers that are not described, and answers that break their own description.
"""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import cycle
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from schemathesis.core.failures import FailureGroup

from services.assessment.api.shapes import SAMPLE
from shared.auth import Role
from shared.events import CaseOpened, ConsentGiven
from shared.service import day_in_japan
from shared.service.clock import wall_time
from tests.service.journeys import Answered, Made, Way, travel
from tests.service.referral_region import AGENCIES, COURSE, PROGRAMMES, Region
from tests.service.training_courses import ENTITY, SCHOOL, offered
from tests.world import KAGOSHIMA, KIRISHIMA, Running, World, token


async def about_intake(_: Running) -> Way:
    """Cases from the first word to the closing; other desks answer, and others declare emergencies."""
    today = day_in_japan(wall_time())

    def sense(operation: str, _: dict[str, Any], made: Made) -> dict[str, Any]:
        cases = [case["case_id"] for case in made.get("open_case", ())]
        meant: dict[str, dict[str, Any]] = {
            "open_case": {"municipality": KAGOSHIMA},
            "add_consent": {"recipients": [], "valid_from": None, "valid_until": None},
            "ask_elsewhere": {"municipality": KIRISHIMA},
            "answer_inquiry": {"answer": "not_known", "case_id": None},
            "add_record": {"on": today.isoformat(), "corrects": None},
            "add_disclosure": {"until": (today + timedelta(days=9)).isoformat()},
            "convene_meeting": {"municipality": KAGOSHIMA, "held_on": today.isoformat()},
            "put_case": {"case_id": cases[-1]} if cases else {},
            "link_cases": {"other": cases[0]} if cases else {},
        }
        return meant.get(operation, {})

    far = token("kirishima-desk", *Role, municipalities=[KIRISHIMA])
    bearers = {"": token("kagoshima-desk", *Role), "declare_emergency": token("kagoshima-night", Role.EMERGENCY)}
    bearers |= dict.fromkeys(("get_inquiry", "answer_inquiry", "list_inquiries"), far)
    listed = f"番号,市町村コード,氏名\nA-1,{KAGOSHIMA},架空 一\n".encode("cp932")
    return Way("open_case", bearers, sense, files={"check_case_imports": listed})


async def about_referral(referral: Running) -> Way:
    """Referrals to a programme and to a course, moved by both sides; and the two files of the directory."""
    region, cases = await Region(referral).ready(), await _known_cases(referral, "referral")
    targets = cycle(
        [
            {"programme_id": region.programmes["sakura-npo/ibasho"], "course_run_id": None},
            {"programme_id": None, "course_run_id": str(COURSE)},
        ]
    )

    def sense(operation: str, _: dict[str, Any], __: Made) -> dict[str, Any]:
        sent = operation == "send_referral"
        return {"case_id": next(cases), "hold_until": None, **next(targets)} if sent else {}

    receiver = token("sakura-npo", *Role, municipalities=[KIRISHIMA])
    bearers = {"": token("kagoshima-desk", *Role)}
    bearers |= dict.fromkeys(("receive_referral", "accept_referral", "decline_referral"), receiver)
    files = {"check_agency_imports": AGENCIES.encode(), "check_programme_imports": PROGRAMMES.encode()}
    return Way("send_referral", bearers, sense, lambda _, __: {"case_id": str(region.case_id)}, files)


async def about_training(training: Running) -> Way:
    """Seats from the request to the enrolment, under today's law and where it is delegated."""
    course, cases = await offered(training, capacity=10), await _known_cases(training, "referral")

    def sense(operation: str, _: dict[str, Any], made: Made) -> dict[str, Any]:
        mode = ("current_law", "delegated")[len(made.get("record_authority", ())) % 2]
        meant: dict[str, dict[str, Any]] = {
            "request_seat": {
                "case_id": next(cases),
                "hold_until": None,
                "target_groups": [],
                "skips_steps_because": None,
            },
            "nominate": ENTITY,
            "countersign": {"legal_entity": ENTITY["legal_entity"]},
            "instruct": ENTITY | {"kind": "instruction", "document_number": None, "changes": None},
            "record_authority": {"mode": mode, "in_force_from": "2022-10-01"},
        }
        return meant.get(operation, {})

    def known(operation: str, made: Made) -> dict[str, str]:
        seats = [each["seat_request_id"] for each in made.get("request_seat", ())]
        goes_on = (
            {"seat_request_id": seats[0]} if seats and operation not in {"release_seat", "get_seat_request"} else {}
        )
        return {"course_run_id": str(course), **goes_on}

    everybody = token("kagoshima-desk", *Role, municipalities=["prefecture:46"])
    bearers = {"": everybody, "enrol": token(SCHOOL, Role.PROVIDER, municipalities=[])}
    return Way("request_seat", bearers, sense, known, {"check_course_run_imports": _COURSES})


async def about_seats(training: Running) -> Way:
    """The same without the many papers beside it, or else few journeys come to an instruction."""
    way = await about_training(training)
    looks = {"get_seat_request", "get_seat_record", "get_authority"}
    moves = {"nominate", "countersign", "instruct", "enrol", "select", "release_seat", "record_authority"}
    return replace(way, only=frozenset({"request_seat"} | looks | moves))


async def about_assessment(assessment: Running) -> Way:
    """Ratings of one case, and what puts them right."""
    cases = await _known_cases(assessment, "assessment")

    def sense(operation: str, _: dict[str, Any], made: Made) -> dict[str, Any]:
        rated = [each["assessment_id"] for each in made.get("record_assessment", ())]
        corrects = rated[-1] if len(rated) % 2 else None
        return {"rubric": SAMPLE, "rated_at": None, "corrects": corrects} if operation == "record_assessment" else {}

    case = {"case_id": next(cases)}
    return Way("record_assessment", {"": token("kagoshima-desk", *Role)}, sense, lambda _, __: case)


_COURSES = (
    "講座番号,講座名,訓練種別,分野,実施機関ID,所在地コード,開始日,終了日,定員,応募締切,委ねる枠,出典,確認日\n"
    f"46-r4-001,介護科,job_seeker_practical,care,{SCHOOL},{KAGOSHIMA},令和9年1月12日,2027-04-09,15,"
    "2026-12-16 16:00,,計画,令和8年11月1日\n"
).encode("cp932")


async def _known_cases(service: Running, purpose: str) -> Iterator[str]:
    """Cases that the service has heard of, with consent; more than one journey asks for."""
    cases = [uuid4() for _ in range(300)]
    await service.hear(*(_opened(case_id) for case_id in cases))
    await service.hear(*(ConsentGiven(case_id=each, consent_version=1, purposes=[purpose]) for each in cases))
    return cycle(str(case_id) for case_id in cases)


def _opened(case_id: UUID) -> CaseOpened:
    return CaseOpened(
        case_id=case_id, municipality=KAGOSHIMA, agency_id="kagoshima-desk", entrance="walk_in", opened_at=wall_time()
    )


WAYS: dict[str, Callable[[Running], Awaitable[Way]]] = {
    "intake": about_intake,
    "assessment": about_assessment,
    "referral": about_referral,
    "training": about_training,
    "training, seats alone": about_seats,
}
FAR_ENOUGH = {
    "intake": (30, {"end_disclosure", "review_emergency", "add_note", "get_inquiry"}),
    "assessment": (4, {"compare_assessments"}),
    "referral": (12, {"accept_referral", "decline_referral"}),
    "training": (12, {"nominate", "countersign"}),
    "training, seats alone": (6, {"instruct", "enrol"}),
}
"""How many operations go well at least, and some of which one does, or else the journeys end early and find little."""


@pytest.mark.slow
@pytest.mark.parametrize("name", WAYS)
async def test_whatever_follows_on_an_answer_is_answered_as_described(world: World, name: str) -> None:
    service = world.service(name.partition(",")[0])
    least, deepest = FAR_ENOUGH[name]

    def well(answered: Answered) -> set[str]:
        return {operation for operation, statuses in answered.items() if min(statuses) < 300}

    def far_enough(answered: Answered) -> bool:
        return len(well(answered)) >= least and bool(well(answered) & deepest)

    went_well = well(await travel(service, await WAYS[name](service), rounds=6, enough=far_enough))
    assert len(went_well) >= least, f"went well: {sorted(went_well)}"
    # Journeys go on by chance: twenty-four rounds look for an instruction, and now and then end just before it.
    assert went_well & (deepest | {"countersign"}), "nobody took a third step"


@pytest.mark.parametrize(
    ("name", "operation", "planted"),
    [
        ("intake", "get_case", httpx2.Response(203, json={})),
        ("intake", "get_case", httpx2.Response(200, json={"case_id": "nobody"})),
        ("intake", "list_records", httpx2.Response(500, json={})),
        ("assessment", "compare_assessments", httpx2.Response(500, json={})),
        ("referral", "receive_referral", httpx2.Response(202, json={})),
        ("training", "nominate", httpx2.Response(503, json={})),
        ("training", "get_seat_request", httpx2.Response(204)),
    ],
)
async def test_a_fault_on_the_second_step_is_found(
    world: World, name: str, operation: str, planted: httpx2.Response
) -> None:
    def plant(asked: str, answer: httpx2.Response) -> httpx2.Response:
        if asked != operation or not answer.is_success:
            return answer
        planted.request, planted.elapsed = answer.request, answer.elapsed
        return planted

    service = world.service(name)
    with pytest.raises(FailureGroup):
        await travel(service, await WAYS[name](service), rounds=3, plant=plant, enough=lambda _: False)
