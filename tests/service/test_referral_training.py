"""What training tells of a referral to a course: prolonged holds, cancelled papers, the end, and what came of it."""

from datetime import date, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.auth import Role
from shared.events import (
    EmploymentRecorded,
    Enrolled,
    InstructionCancelled,
    InstructionIssued,
    NominationCountersigned,
    PoolChanged,
    ReferralAccepted,
    ReferralClosed,
    ReferralOutcomeSet,
    SeatHeld,
    SeatWaitlisted,
    TrainingEnded,
    TrainingNominated,
    TrainingSelected,
    TransferBecameRefer,
)
from shared.service import day_in_japan
from shared.service.clock import wall_time
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
    released,
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


async def test_an_earlier_papers_word_that_comes_late_undoes_nothing_of_the_last_one(region: Region) -> None:
    referral = await region.to_course()
    about: dict[str, Any] = {"case_id": region.case_id, "referral_id": referral, **BY}
    about["by_agency"] = "hellowork-kagoshima"
    first, second = uuid4(), uuid4()
    paper = InstructionIssued(**about, instruction_id=first, authority="current_law", kind="support_instruction")
    cancelled = InstructionCancelled(**about, instruction_id=first, state="nominated", expires_at=LATER)
    another = InstructionIssued(**about, instruction_id=second, authority="current_law", number=2)
    await region.running.hear(held(region.case_id, referral))
    for event, sequence in ((paper, 4), (cancelled, 5), (paper, 4)):
        await told_with_sequence(region.running, event, sequence)
    assert (await region.look(referral))["progress"] == "nominated", "the paper was cancelled"
    for event, sequence in ((another, 6), (cancelled, 5)):
        await told_with_sequence(region.running, event, sequence)
    assert (await region.look(referral))["progress"] == "instructed", "another paper stands"


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


# --- another seat -----------------------------------------------------------------------------------------------------


async def test_who_loses_the_seat_stands_in_line_again_and_what_the_old_one_had_come_to_counts_no_more(
    region: Region,
) -> None:
    """A late change: the referral goes on with another request, in the line of the same course run."""
    referral = await region.to_course()
    await region.running.hear(held(region.case_id, referral))
    await told_with_sequence(region.running, instructed(region.case_id, referral), 7)
    about: dict[str, Any] = {"case_id": region.case_id, "seat_request_id": uuid4(), "referral_id": referral}
    about |= {"course_run_id": COURSE, "pool_id": POOL}
    await region.running.hear(
        released(region.case_id, None, "capacity_lowered"), SeatWaitlisted(**about, position=1, again=True)
    )
    shown = await region.look(referral)
    assert (shown["state"], shown["progress"]) == ("received", "seat_waiting")
    assert shown["waits"]["agency_id"] == "kagoshima-desk", "not the school's any more"
    await region.running.hear(
        held(region.case_id, referral),
        instructed(region.case_id, referral),
        SeatWaitlisted(**about, position=1, again=True),
    )
    assert (await region.look(referral))["progress"] == "seat_waiting", "of the old seat nothing is heard any more"
    await region.running.hear(SeatHeld(**about, pool_kind="general", expires_at=LATER))
    assert (await region.look(referral))["progress"] == "seat_held"


async def test_a_seat_in_another_course_run_is_followed_like_the_first(region: Region) -> None:
    """Somebody accepts what was offered instead: the seat is another, in another course run, for the same referral."""
    referral = await region.to_course()
    await region.running.hear(held(region.case_id, referral))
    await told_with_sequence(region.running, instructed(region.case_id, referral), 7)
    about: dict[str, Any] = {"case_id": region.case_id, "seat_request_id": uuid4(), "course_run_id": uuid4()}
    office: dict[str, Any] = about | {"by_agency": "hellowork-kagoshima"}
    paper: dict[str, Any] = office | {"referral_id": referral, "instruction_id": uuid4()}
    seat = SeatHeld(**about, referral_id=referral, pool_id=POOL, pool_kind="general", expires_at=LATER)
    steps: list[tuple[Any, int, str]] = [
        (seat, 1, "seat_held"),
        (TrainingNominated(**office, authority="current_law"), 2, "nominated"),
        (NominationCountersigned(**office), 3, "countersigned"),
        (InstructionIssued(**paper, authority="current_law"), 4, "instructed"),
        (InstructionCancelled(**paper, state="countersigned", expires_at=LATER), 5, "countersigned"),
    ]
    for event, sequence, progress in steps:
        await told_with_sequence(region.running, event, sequence, at=wall_time())
        assert (await region.look(referral))["progress"] == progress


async def test_who_begins_at_another_school_is_not_handed_to_the_one_that_was_asked_first(region: Region) -> None:
    """The case stays with who sent it: the referral says what is done, and the first school does nothing."""
    referral = await region.to_course()
    other = uuid4()
    about: dict[str, Any] = {"case_id": region.case_id, "seat_request_id": uuid4(), "course_run_id": other}
    about |= {"referral_id": referral, "pool_id": POOL}
    await region.running.hear(
        held(region.case_id, referral),
        offered(course_run_id=other, provider="school-kaze", course_number="5-46-12-009"),
        SeatHeld(**about, pool_kind="general", expires_at=LATER),
        Enrolled(**about, starts_on=date(2099, 2, 10)),
    )
    shown = await region.look(referral)
    assert (shown["state"], shown["progress"], shown["verb"]) == ("accepted", "enrolled", "refer")
    assert shown["responsible_agency"] == "kagoshima-desk"
    told = [each for each in await region.running.told() if isinstance(each, TransferBecameRefer | ReferralAccepted)]
    assert [(type(each), getattr(each, "verb", None)) for each in told] == [
        (TransferBecameRefer, None), (ReferralAccepted, "refer"),
    ]  # fmt: skip


async def test_a_seat_that_is_gone_leads_back_into_the_line_and_the_next_one_counts(region: Region) -> None:
    referral = await region.to_course()
    await region.running.hear(
        held(region.case_id, referral),
        TrainingNominated(case_id=region.case_id, by_agency="kagoshima-city", authority="current_law", **BY),
    )
    # A late change took it: another request goes on, and what was done for the seat is over.
    another = uuid4()
    waits = SeatWaitlisted(
        case_id=region.case_id, seat_request_id=another, referral_id=referral, course_run_id=COURSE, pool_id=POOL,
        position=1, again=True,
    )  # fmt: skip
    await region.running.hear(waits)
    shown = await region.look(referral)
    assert (shown["state"], shown["progress"]) == ("received", "seat_waiting")
    assert shown["review_on"] == day_in_japan(CLOSES).isoformat()
    next_one: dict[str, Any] = BY | {"seat_request_id": another}
    await region.running.hear(
        held(region.case_id, referral).model_copy(update={"seat_request_id": another}),
        TrainingNominated(case_id=region.case_id, by_agency="kagoshima-city", authority="current_law", **next_one),
    )
    assert (await region.look(referral))["progress"] == "nominated"


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


async def test_what_the_school_said_by_hand_and_did_not_close_is_not_hidden_by_less(region: Region) -> None:
    referral = await in_training(region)
    school = region.running.as_("school-hibiki", Role.PROVIDER, municipalities=[])
    assert (await school.post(f"/v1/referrals/{referral}/set-outcome", {"outcome": "employed"})).status_code == 200
    await region.running.hear(ended(region, referral))
    assert await looks(region, referral) == ("closed", "employed", ["started", "employed", "completed"])


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


async def test_a_trial_place_at_a_host_workplace_is_proposed_as_no_course(region: Region) -> None:
    trial = uuid4()
    place = {"course_run_id": trial, "course_number": "46-t-000001", "system": "trial", "field": "visit"}
    pool = PoolChanged(pool_id=uuid4(), course_run_id=trial, kind="general", granted=5, held=0, filled=0, waiting=0)
    await region.running.hear(offered(**place), pool)
    proposed = [each["id"] for each in (await region.candidates())["items"] if each["kind"] == "course_run"]
    assert str(trial) not in proposed
    assert proposed, "courses are"


async def test_who_is_nominated_for_a_trial_place_is_waited_for_until_its_first_day(region: Region) -> None:
    starts = date(2099, 2, 10)
    await region.running.hear(offered(system="trial", field="visit"))
    referral = await region.to_course()
    await region.running.hear(
        held(region.case_id, referral),
        TrainingNominated(case_id=region.case_id, by_agency="kagoshima-desk", authority="current_law", **BY),
    )
    shown = await region.look(referral)
    assert (shown["progress"], shown["review_on"]) == ("nominated", starts.isoformat())
    await region.running.hear(enrolled(region.case_id, referral))
    assert (await region.look(referral))["progress"] == "enrolled", "without a paper between"
