"""What training tells of a referral to a course: prolonged holds, cancelled papers, the end, and what came of it."""

from datetime import date, timedelta
from typing import Any
from uuid import UUID

import pytest

from shared.auth import Role
from shared.events import (
    EmploymentRecorded,
    InstructionCancelled,
    InstructionIssued,
    NominationCountersigned,
    PoolChanged,
    ReferralClosed,
    ReferralOutcomeSet,
    TrainingEnded,
    TrainingNominated,
    TrainingSelected,
)
from shared.service import day_in_japan
from tests.service.referral_region import (
    CLOSES,
    COURSE,
    POOL,
    SEAT,
    Region,
    enrolled,
    held,
    instructed,
    offered,
    told_with_sequence,
)
from tests.world import KAGOSHIMA, KIRISHIMA, World

BY: dict[str, Any] = {"seat_request_id": SEAT, "course_run_id": COURSE}
LATER = CLOSES + timedelta(days=20)


@pytest.fixture
async def region(world: World) -> Region:
    return await Region(world.service("referral")).ready()


async def in_training(region: Region) -> UUID:
    referral = await region.to_course()
    await region.running.hear(
        held(region.case_id, referral), instructed(region.case_id, referral), enrolled(region.case_id, referral)
    )
    return referral


def ended(region: Region, referral: UUID, ending: str = "completed", *, for_work: bool = False) -> TrainingEnded:
    return TrainingEnded(
        case_id=region.case_id, referral_id=referral, ending=ending, for_work=for_work, ended_on=date(2099, 5, 10), **BY
    )


def works(region: Region, referral: UUID, checkpoint: str, outcome: str) -> EmploymentRecorded:
    return EmploymentRecorded(
        case_id=region.case_id, referral_id=referral, checkpoint=checkpoint, outcome=outcome, **BY
    )


async def looks(region: Region, referral: UUID) -> tuple[str, str, list[str]]:
    shown = await region.look(referral)
    return shown["state"], shown["outcome"], [each["outcome"] for each in shown["outcomes"]]


# --- how long a seat is held ------------------------------------------------------------------------------------------


async def test_a_result_that_keeps_the_seat_longer_moves_the_day_that_is_waited_for(region: Region) -> None:
    referral = await region.to_course()
    await region.running.hear(
        held(region.case_id, referral),
        TrainingNominated(case_id=region.case_id, by_agency="kagoshima-city", authority="current_law", **BY),
    )
    before = (await region.look(referral))["review_on"]
    assert before == day_in_japan(CLOSES).isoformat()
    result = TrainingSelected(
        case_id=region.case_id, referral_id=referral, result="accepted", result_on=date(2099, 1, 5), **BY
    )
    await region.running.hear(result)
    assert (await region.look(referral))["review_on"] == before, "a word of the release before tells no moment"
    await region.running.hear(result.model_copy(update={"expires_at": LATER}))
    shown = await region.look(referral)
    assert (shown["review_on"], shown["progress"]) == (day_in_japan(LATER).isoformat(), "nominated")


async def test_a_cancelled_paper_leads_back_to_where_the_next_one_is_awaited(region: Region) -> None:
    referral = await region.to_course()
    await region.running.hear(
        held(region.case_id, referral),
        TrainingNominated(case_id=region.case_id, by_agency="kagoshima-city", authority="current_law", **BY),
        NominationCountersigned(case_id=region.case_id, by_agency="hellowork-kagoshima", **BY),
        instructed(region.case_id, referral),
    )
    about: dict[str, Any] = {"case_id": region.case_id, "instruction_id": SEAT, "referral_id": referral, **BY}
    office: dict[str, Any] = {"by_agency": "hellowork-kagoshima"}
    await region.running.hear(InstructionCancelled(**about, **office, state="countersigned", expires_at=LATER))
    shown = await region.look(referral)
    assert (shown["state"], shown["progress"]) == ("received", "countersigned")
    assert shown["review_on"] == day_in_japan(LATER).isoformat()
    again = InstructionIssued(**about, **office, authority="current_law", kind="recommendation", number=2)
    await region.running.hear(again)
    assert (await region.look(referral))["progress"] == "instructed"


async def test_a_paper_cancelled_for_who_is_enrolled_changes_nothing(region: Region) -> None:
    referral = await in_training(region)
    await region.running.hear(
        InstructionCancelled(
            case_id=region.case_id,
            instruction_id=SEAT,
            referral_id=referral,
            by_agency="hellowork-kagoshima",
            state="enrolled",
            **BY,
        )
    )
    assert (await region.look(referral))["progress"] == "enrolled"


# --- the end and the outcome ------------------------------------------------------------------------------------------


async def test_a_completion_closes_and_each_step_further_is_an_outcome_of_its_own(region: Region) -> None:
    referral = await in_training(region)
    await region.running.hear(ended(region, referral))
    assert await looks(region, referral) == ("closed", "completed", ["started", "completed"])
    await region.running.hear(works(region, referral, "at_end", "seeking"))
    assert (await looks(region, referral))[1] == "completed", "who seeks work has come no further"
    await region.running.hear(works(region, referral, "one_month", "employed_insured"))
    await region.running.hear(works(region, referral, "three_months", "employed_insured"))
    assert await looks(region, referral) == (
        "closed", "employed_3_months", ["started", "completed", "employed", "employed_3_months"],
    )  # fmt: skip
    told = [event for event in await region.running.told() if isinstance(event, ReferralOutcomeSet | ReferralClosed)]
    assert [(type(event), event.outcome) for event in told] == [
        (ReferralOutcomeSet, "completed"),
        (ReferralClosed, "completed"),
        (ReferralOutcomeSet, "employed"),
        (ReferralOutcomeSet, "employed_3_months"),
    ]


@pytest.mark.parametrize(("for_work", "outcome"), [(True, "employed"), (False, "broken_off")])
async def test_leaving_for_work_is_a_job_and_any_other_leads_to_the_search_for_a_place(
    region: Region, for_work: bool, outcome: str
) -> None:
    referral = await in_training(region)
    await region.running.hear(ended(region, referral, "left", for_work=for_work))
    shown = await region.look(referral)
    assert (shown["state"], shown["outcome"]) == ("closed", outcome)
    waits = shown["waits"]
    assert (waits is not None and waits["clock"] == "place") == (not for_work)


async def test_a_correction_takes_its_place_and_what_it_corrects_counts_no_more(region: Region) -> None:
    referral = await in_training(region)
    await region.running.hear(ended(region, referral, "left"), ended(region, referral))
    state, shown, all_of_them = await looks(region, referral)
    assert (state, shown, all_of_them) == ("closed", "completed", ["started", "broken_off", "completed"])
    assert (await region.look(referral))["waits"] is None, "nobody looks for another place any more"
    await region.running.hear(works(region, referral, "at_end", "employed"))
    await region.running.hear(works(region, referral, "at_end", "seeking"))
    assert (await looks(region, referral))[1] == "completed", "the job was an error"
    await region.running.hear(works(region, referral, "at_end", "employed"), ended(region, referral, "left"))
    assert (await looks(region, referral))[1] == "employed", "what shows is the furthest"
    counted = await region.running.rows(
        "SELECT outcome FROM referral_outcome o WHERE NOT EXISTS (SELECT FROM referral_outcome later"
        " WHERE later.referral_id = o.referral_id AND o.number = ANY(later.corrects)) ORDER BY number"
    )
    assert [row["outcome"] for row in counted] == ["started", "employed", "broken_off"]


async def test_an_earlier_word_that_comes_late_takes_nothing_back(region: Region) -> None:
    referral = await in_training(region)
    await told_with_sequence(region.running, ended(region, referral), 12)
    await told_with_sequence(region.running, ended(region, referral, "left"), 11)
    assert await looks(region, referral) == ("closed", "completed", ["started", "completed"])


async def test_what_the_school_closed_by_hand_stays_and_training_adds_to_it(region: Region) -> None:
    referral = await in_training(region)
    school = region.running.as_("school-hibiki", Role.PROVIDER, municipalities=[])
    for move, said in (("set-outcome", {"outcome": "next_stage"}), ("close", None)):
        assert (await school.post(f"/v1/referrals/{referral}/{move}", said)).status_code == 200
    await region.running.hear(ended(region, referral))
    assert await looks(region, referral) == ("closed", "next_stage", ["started", "next_stage", "completed"])


async def test_words_about_no_referral_change_nothing(region: Region) -> None:
    await region.running.hear(ended(region, SEAT), works(region, SEAT, "at_end", "employed"))
    assert await region.running.rows("SELECT FROM training_word") == []


# --- pools of several together ----------------------------------------------------------------------------------------


async def test_a_shared_pool_is_there_for_each_of_its_municipalities_and_no_other(region: Region) -> None:
    shared = PoolChanged(
        pool_id=POOL,
        course_run_id=COURSE,
        kind="delegated",
        municipalities=[KAGOSHIMA, KIRISHIMA],
        granted=6,
        held=1,
        filled=1,
        waiting=0,
    )
    await region.running.hear(offered(), shared)
    found = await region.desk.whole("/v1/function-map", prefecture="46", function="job_seeker_training")
    places = {cell["municipality"]: cell["places"] for cell in found if cell["places"]}
    assert places == {KAGOSHIMA: 4, KIRISHIMA: 4}
    # Grown into one of everybody's, and into one of one municipality alone.
    await region.running.hear(shared.model_copy(update={"municipality": KIRISHIMA, "municipalities": [KIRISHIMA]}))
    found = await region.desk.whole("/v1/function-map", prefecture="46", function="job_seeker_training")
    assert {cell["municipality"]: cell["places"] for cell in found if cell["places"]} == {KIRISHIMA: 4}


async def test_a_shared_pool_is_a_municipalitys_own_for_its_candidates(region: Region) -> None:
    await region.running.hear(
        PoolChanged(
            pool_id=POOL, course_run_id=COURSE, kind="delegated", municipalities=[KIRISHIMA, KAGOSHIMA],
            granted=2, held=0, filled=0, waiting=0,
        )
    )  # fmt: skip
    (course,) = [each for each in (await region.candidates())["items"] if each["kind"] == "course_run"]
    (own,) = [reason for reason in course["reasons"] if reason["code"] == "own_pool_free"]
    assert "2" in own["text_ja"]
