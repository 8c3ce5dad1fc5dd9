"""What presses comes first, and why it presses is kept; career needs that nobody touches are reported."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.events import AssessmentRecorded, CareerNeedsUntouched, CaseOpened, Event, ReferralDeclined, SeatHeld
from tests.service.intake_counter import taken_up
from tests.world import Caller, Running, World

CONTACT = {"person": {"name": "架空 花子", "phone": "099-000-0001", "story": "架空"}}
GIVEN = {"state": "given", "purposes": ["referral"], "recipients": ["kagoshima-npo"]}


async def changed(desk: Caller, case: dict[str, Any], **body: Any) -> dict[str, Any]:
    answer = await desk.patch(f"/v1/cases/{case['case_id']}", body, etag=f'"{case["version"]}"')
    assert answer.status_code == 200, answer.text
    after: dict[str, Any] = answer.json()
    return after


async def test_what_presses_stands_before_all_that_came_later(world: World) -> None:
    desk = world.service("intake").as_()
    cases = [
        await taken_up(desk),
        await taken_up(desk, urgency=["danger_to_life"]),
        await taken_up(desk),
        await taken_up(desk, topics=["nothing_to_eat"]),
        await taken_up(desk),
    ]
    ids = [case["case_id"] for case in cases]
    first = [ids[3], ids[1]]
    for limit in (1, 2, 3, 50):
        assert [case["case_id"] for case in await desk.whole("/v1/cases", limit=limit)] == [
            *first, ids[4], ids[2], ids[0],
        ]  # fmt: skip
    assert [case["case_id"] for case in await desk.whole("/v1/cases", urgent=True, limit=1)] == first
    assert (await desk.post(f"/v1/cases/{ids[3]}/closing", {"outcome": "information_enough"})).status_code == 200
    assert (await desk.whole("/v1/cases"))[0]["case_id"] == ids[1], "what has ended presses no longer"


async def test_reasons_are_told_kept_and_taken_away_by_a_word(world: World) -> None:
    intake = world.service("intake")
    desk = intake.as_()
    case = await taken_up(desk, topics=["violence"], urgency=["danger_to_life"], urgent=False)
    assert (case["urgent"], case["urgency"]) == (True, ["violence", "danger_to_life"])
    (told,) = await intake.told()
    assert isinstance(told, CaseOpened)
    assert told.urgency == ["violence", "danger_to_life"]
    calm = await changed(desk, case, urgent=False)
    assert (calm["urgent"], calm["urgency"]) == (False, ["violence", "danger_to_life"])
    less = await changed(desk, calm, urgency=["violence"])
    assert (less["urgent"], less["urgency"]) == (False, ["violence"])
    again = await changed(desk, less, urgency=["violence", "danger_to_life"])
    assert again["urgent"]


async def test_a_flag_of_violence_masks_where_the_person_is_found(world: World) -> None:
    intake = world.service("intake")
    desk, npo = intake.as_(), intake.as_("kagoshima-npo")
    case = await taken_up(desk, consent=GIVEN, **CONTACT)
    path = f"/v1/cases/{case['case_id']}/person"
    assert "phone" in (await npo.get(path, params={"purpose": "referral"})).json()["person"]
    await changed(desk, case, urgency=["violence"])
    masked = (await npo.get(path, params={"purpose": "referral"})).json()
    assert "phone" not in masked["person"]
    assert "contact" in masked["masked"]
    assert "phone" in (await desk.get(path)).json()["person"]


@pytest.mark.parametrize(
    "body", [{"most_serious": "debt"}, {"topics": ["income"], "most_serious": "debt"}, {"urgency": ["hungry"]}]
)
async def test_a_mark_needs_its_topic_and_a_reason_its_code(world: World, body: dict[str, Any]) -> None:
    desk = world.service("intake").as_()
    assert (await desk.post("/v1/cases", body)).status_code == 422
    case = await taken_up(desk, topics=["income"])
    answer = await desk.patch(f"/v1/cases/{case['case_id']}", body, etag=f'"{case["version"]}"')
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] in {"/most_serious", "/urgency/0"}


async def test_the_most_serious_topic_stays_as_long_as_it_is_a_topic(world: World) -> None:
    desk = world.service("intake").as_()
    case = await taken_up(desk, topics=["income", "debt"], most_serious="debt")
    assert case["most_serious"] == "debt"
    kept = await changed(desk, case, topics=["debt"])
    assert kept["most_serious"] == "debt"
    assert (await changed(desk, kept, topics=["income"]))["most_serious"] is None


async def untouched(intake: Running) -> list[str]:
    found = await intake.as_().whole("/v1/cases", career_untouched_weeks=8)
    return sorted(case["case_id"] for case in found)


async def test_career_needs_that_nobody_touches_are_reported_once_and_again_after_work(world: World) -> None:
    intake = world.service("intake")
    desk = intake.as_()
    case = await taken_up(desk, needs=["housing"])
    ended = await taken_up(desk)
    assert (await desk.post(f"/v1/cases/{ended['case_id']}/closing", {"interruption": "moved_away"})).status_code == 200
    intake.pass_time(timedelta(weeks=8) - timedelta(hours=1))
    await intake.sweep()
    assert await untouched(intake) == []
    intake.pass_time(timedelta(hours=2))
    await intake.sweep()
    await intake.sweep()
    assert await untouched(intake) == [case["case_id"]]
    reports = [event for event in await intake.told() if isinstance(event, CareerNeedsUntouched)]
    assert [(str(event.case_id), event.agency_id) for event in reports] == [(case["case_id"], "kagoshima-desk")]
    kinds = [entry["kind"] for entry in await desk.whole(f"/v1/cases/{case['case_id']}/timeline")]
    assert kinds.count("career_needs_untouched") == 1
    read = (await desk.get(f"/v1/cases/{case['case_id']}")).json()
    await changed(desk, read, needs=["housing", "goals"])
    assert await untouched(intake) == []
    intake.pass_time(timedelta(weeks=9))
    await intake.sweep()
    assert len([event for event in await intake.told() if isinstance(event, CareerNeedsUntouched)]) == 2


def news(case_id: str, kind: type[Event]) -> Event:
    values: dict[type[Event], dict[str, Any]] = {
        AssessmentRecorded: {
            "assessment_id": uuid4(), "number": 1, "rubric": "sample-1", "setting": "solo",
            "prolongation_risk": "undetermined", "rated_at": "2026-11-29T00:00:00Z",
        },
        SeatHeld: {
            "seat_request_id": uuid4(), "course_run_id": uuid4(), "pool_id": uuid4(), "pool_kind": "general",
            "expires_at": "2030-01-01T00:00:00Z",
        },
        ReferralDeclined: {
            "referral_id": uuid4(), "sender": "kagoshima-desk", "receiver": "kagoshima-npo", "reason": "full",
        },
    }  # fmt: skip
    return kind.model_validate({"case_id": UUID(case_id)} | values[kind])


@pytest.mark.parametrize(("kind", "touches"), [(AssessmentRecorded, True), (SeatHeld, True), (ReferralDeclined, False)])
async def test_work_done_elsewhere_counts_as_well(world: World, kind: type[Event], touches: bool) -> None:
    intake = world.service("intake")
    case = await taken_up(intake.as_())
    await intake.rows("UPDATE case_ SET career_touched_at = career_touched_at - interval '9 weeks'")
    assert await untouched(intake) == [case["case_id"]]
    await intake.hear(news(case["case_id"], kind))
    assert (await untouched(intake) == []) is touches
