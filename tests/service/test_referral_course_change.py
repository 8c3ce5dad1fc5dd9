"""After a late change the person agrees to another school's course run: the referral follows, for whoever reads it."""

import random
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.auth import Role
from shared.events import (
    CourseOffered,
    Enrolled,
    Event,
    InstructionIssued,
    PoolChanged,
    ReferralAccepted,
    ReferralCourseChanged,
    ReferralWithdrawn,
    SeatHeld,
    SeatReleased,
    SeatWaitlisted,
    TrainingEnded,
    TransferBecameRefer,
)
from shared.service.clock import wall_time
from tests.service.map_oracle import recompute
from tests.service.map_region import listed
from tests.service.referral_region import (
    CLOSES,
    COURSE,
    POOL,
    SEAT,
    Region,
    consented,
    coordinated,
    erased,
    held,
    instructed,
    offered,
    opened,
    seats,
    told_with_sequence,
)
from tests.world import KAGOSHIMA, Caller, World

OTHER, OTHER_POOL, OTHER_SEAT = UUID(int=510), UUID(int=511), UUID(int=512)
HIBIKI, KAZE = "school-hibiki", "school-kaze"


@pytest.fixture
async def region(world: World) -> Region:
    """Two schools: who is referred to the first may come to agree to the second one's course run."""
    region = await Region(world.service("referral")).ready()
    await region.running.hear(elsewhere())
    return region


def elsewhere(**changes: Any) -> CourseOffered:
    values = {"course_run_id": OTHER, "provider": KAZE, "course_number": "5-46-12-009", "system": "public_commissioned"}
    return offered(**(values | changes))


def agreed(region: Region, referral: UUID, **changes: Any) -> SeatHeld:
    """The seat that training holds for it in the other course run, once the person has agreed."""
    values: dict[str, Any] = {
        "case_id": region.case_id,
        "referral_id": referral,
        "seat_request_id": OTHER_SEAT,
        "course_run_id": OTHER,
        "pool_id": OTHER_POOL,
        "pool_kind": "general",
        "expires_at": CLOSES,
        "consent_version": 1,
    }
    return SeatHeld(**(values | changes))


def there(region: Region, referral: UUID) -> dict[str, Any]:
    return {
        "case_id": region.case_id,
        "seat_request_id": OTHER_SEAT,
        "referral_id": referral,
        "course_run_id": OTHER,
    }


def enrolled_there(region: Region, referral: UUID) -> Enrolled:
    return Enrolled(**there(region, referral), pool_id=OTHER_POOL, starts_on=date(2099, 2, 10))


def paper_there(region: Region, referral: UUID) -> InstructionIssued:
    return InstructionIssued(
        **there(region, referral),
        instruction_id=uuid4(),
        by_agency="hellowork-kagoshima",
        authority="current_law",
    )


def school(region: Region, name: str) -> Caller:
    return region.running.as_(name, Role.PROVIDER, municipalities=[])


async def moved(region: Region, **changes: Any) -> UUID:
    referral = await region.to_course()
    await region.running.hear(held(region.case_id, referral), agreed(region, referral, **changes))
    return referral


async def named(region: Region, referral: UUID) -> tuple[str, str]:
    shown = await region.look(referral)
    return shown["receiver"], shown["course_run_id"]


async def told(region: Region, *types: type[Event]) -> list[Event]:
    return [each for each in await region.running.told() if isinstance(each, types)]


# --- whom it names ----------------------------------------------------------------------------------------------------


async def test_it_names_the_school_that_the_person_agreed_to_and_its_steps_the_one_before(region: Region) -> None:
    referral = await moved(region)
    shown = await region.look(referral)
    assert (shown["receiver"], shown["course_run_id"]) == (KAZE, str(OTHER))
    assert (shown["state"], shown["progress"], shown["verb"]) == ("received", "seat_held", "refer")
    assert shown["responsible_agency"] == "kagoshima-desk"
    steps = {step["step"]: (step["receiver_before"], step["course_run_before"]) for step in shown["steps"]}
    assert steps == {
        "send": (None, None),
        "hold_seat": (None, None),
        "keep_holder": (None, None),
        "change_course": (HIBIKI, str(COURSE)),
    }
    became, changed = await told(region, TransferBecameRefer, ReferralCourseChanged)
    assert isinstance(became, TransferBecameRefer), "its sender was ready to hand the case to the first school alone"
    assert changed == ReferralCourseChanged(
        case_id=region.case_id, referral_id=referral, sender="kagoshima-desk", before=HIBIKI, receiver=KAZE,
        coordinator="kagoshima-desk", course_run_before=COURSE, course_run_id=OTHER,
    )  # fmt: skip


async def test_the_new_school_has_it_in_its_inbox_and_the_one_before_sees_nothing_more(region: Region) -> None:
    referral = await region.to_course()
    await region.running.hear(held(region.case_id, referral))
    boxes = "/v1/referrals", {"box": "in"}

    async def reads(name: str) -> tuple[list[str], int]:
        found = await school(region, name).whole(boxes[0], **boxes[1])
        one = await school(region, name).get(f"/v1/referrals/{referral}")
        return [each["referral_id"] for each in found], one.status_code

    assert (await reads(HIBIKI), await reads(KAZE)) == (([str(referral)], 200), ([], 404))
    await region.running.hear(agreed(region, referral))
    assert (await reads(HIBIKI), await reads(KAZE)) == (([], 404), ([str(referral)], 200))


async def test_from_the_paper_on_the_new_school_is_waited_for_and_says_what_came_of_it(region: Region) -> None:
    referral = await moved(region)
    assert (await region.look(referral))["waits"]["agency_id"] == "kagoshima-desk"
    await region.running.hear(paper_there(region, referral))
    assert (await region.look(referral))["waits"]["agency_id"] == KAZE
    await region.running.hear(enrolled_there(region, referral))
    shown = await region.look(referral)
    assert (shown["state"], shown["waits"]["agency_id"]) == ("accepted", KAZE)
    assert shown["responsible_agency"] == "kagoshima-desk", "the case stays with who sent it"
    (accepted,) = await told(region, ReferralAccepted)
    assert isinstance(accepted, ReferralAccepted)
    assert (accepted.receiver, accepted.verb) == (KAZE, "refer")
    said = {"outcome": "completed"}
    assert (await school(region, HIBIKI).post(f"/v1/referrals/{referral}/set-outcome", said)).status_code == 404
    assert (await school(region, KAZE).post(f"/v1/referrals/{referral}/set-outcome", said)).status_code == 200


async def test_another_course_run_of_the_same_school_leaves_the_hand_over_as_it_was(region: Region) -> None:
    await region.running.hear(elsewhere(provider=HIBIKI))
    referral = await moved(region)
    assert await named(region, referral) == (HIBIKI, str(OTHER))
    await region.running.hear(enrolled_there(region, referral))
    shown = await region.look(referral)
    assert (shown["verb"], shown["responsible_agency"]) == ("transfer", HIBIKI)


async def test_the_coordinator_is_who_was_named_once_the_first_school_stands_in_its_way_no_more(region: Region) -> None:
    await coordinated(region.running, HIBIKI)
    referral = await region.to_course()
    assert (await region.look(referral))["coordinator"] == "kagoshima-desk", "nobody judges in their own cause"
    await region.running.hear(held(region.case_id, referral), agreed(region, referral))
    assert (await region.look(referral))["coordinator"] == HIBIKI


# --- lists, numbers, the map -----------------------------------------------------------------------------------------


async def test_it_is_the_new_course_run_that_is_no_candidate_any_more(region: Region) -> None:
    async def proposed() -> set[str]:
        return {each["id"] for each in (await region.candidates())["items"] if each["kind"] == "course_run"}

    await region.running.hear(
        seats(3),
        PoolChanged(
            pool_id=OTHER_POOL, course_run_id=OTHER, kind="general", granted=3, held=0, filled=0, waiting=0,
        ),
    )  # fmt: skip
    assert await proposed() == {str(COURSE), str(OTHER)}
    referral = await region.to_course()
    await region.running.hear(held(region.case_id, referral))
    assert await proposed() == {str(OTHER)}
    await region.running.hear(agreed(region, referral))
    assert await proposed() == {str(COURSE)}
    again = {"case_id": str(region.case_id), "course_run_id": str(OTHER)}
    answer = await region.desk.post("/v1/referrals", again)
    assert (answer.status_code, answer.json()["code"]) == (409, "already_referred")


async def test_times_and_the_give_back_page_count_it_for_the_new_school(region: Region) -> None:
    referral = await moved(region)
    await region.running.hear(enrolled_there(region, referral))
    (pair,) = await region.desk.whole("/v1/numbers/pairs")
    assert (pair["sender"], pair["receiver"]) == ("kagoshima-desk", KAZE)
    assert pair["accept"]["reached"] == 1
    back = {
        name: (await school(region, name).get("/v1/give-back")).json() for name in (HIBIKI, KAZE)
    }  # fmt: skip
    assert {name: page["received"] for name, page in back.items()} == {HIBIKI: 0, KAZE: 1}
    assert {name: page["own_outcomes"] for name, page in back.items()} == {HIBIKI: {}, KAZE: {"started": 1}}


async def test_who_waits_there_waits_on_the_map_for_that_kind_of_course(region: Region) -> None:
    """Agreed to, and lost again to a change: the person stands in the line of the second course run."""
    pool: dict[str, Any] = {"pool_id": OTHER_POOL, "course_run_id": OTHER, "kind": "general", "granted": 1}
    training: list[Event] = [
        offered(), elsewhere(), seats(2), PoolChanged(**pool, held=0, filled=0, waiting=1),
    ]  # fmt: skip
    await region.running.hear(*training)
    referral = await moved(region)
    line = there(region, referral) | {"seat_request_id": uuid4()}
    of_seats: list[Event] = [
        held(region.case_id, referral),
        agreed(region, referral),
        SeatWaitlisted(**line, pool_id=OTHER_POOL, position=1),
    ]
    await region.running.hear(of_seats[-1])
    found = await region.desk.whole("/v1/function-map", prefecture="46", municipality=KAGOSHIMA)
    waiting = {(each["function"], each["strand"]): each["waiting"]["count"] for each in found}
    assert {cell: count for cell, count in waiting.items() if count} == {("vocational_training", 3): 1}
    now = wall_time()
    log = [opened(region.case_id), *await region.running.told(), *training, *of_seats]
    expected = recompute(
        [*await listed(region.running), *((event, now) for event in log)], prefecture="46", now=now, neighbours={}
    )
    for each in found:
        reckoned = expected[each["municipality"], each["function"], each["stage"], each["strand"]]
        for number in ("open_needs", "waiting", "unmet", "wanting", "turned_away"):
            assert each[number]["count"] == reckoned[number]


# --- consent ----------------------------------------------------------------------------------------------------------


async def test_a_school_that_the_newest_consent_does_not_reach_is_told_of_no_referral(region: Region) -> None:
    """Taken back in part while training held the seat on the word before: it is the person's word that counts."""
    referral = await region.to_course()
    await region.running.hear(
        held(region.case_id, referral),
        consented(region.case_id, 2, recipients=[HIBIKI, "kagoshima-desk"]),
        agreed(region, referral, consent_version=1),
    )
    shown = await region.look(referral)
    assert (shown["state"], shown["reason"], shown["receiver"]) == ("withdrawn", "consent_withdrawn", HIBIKI)
    assert await school(region, KAZE).whole("/v1/referrals", box="in") == []
    assert len(await told(region, ReferralWithdrawn)) == 1, "training gives the seat back"
    assert await told(region, ReferralCourseChanged) == []


async def test_the_word_on_which_the_person_agreed_may_come_after_the_seat(region: Region) -> None:
    """Until it does, the new school is told nothing; and no word before it ends what rests on it."""
    first = consented(region.case_id, 2, recipients=[HIBIKI])
    await region.running.hear(first)
    referral = await moved(region, consent_version=4)

    async def is_told() -> bool:
        return (await school(region, KAZE).get(f"/v1/referrals/{referral}")).json()["told"] is not None

    assert await named(region, referral) == (KAZE, str(OTHER))
    assert not await is_told()
    await region.running.hear(consented(region.case_id, 3, recipients=[HIBIKI]))
    assert ((await region.look(referral))["state"], await is_told()) == ("received", False)
    await region.running.hear(consented(region.case_id, 4, recipients=[HIBIKI, KAZE]))
    assert ((await region.look(referral))["state"], await is_told()) == ("received", True)
    await region.running.hear(consented(region.case_id, 5, recipients=[HIBIKI]))
    assert (await region.look(referral))["state"] == "withdrawn", "taken back since"


async def test_of_an_erased_case_nothing_changes_any_more(region: Region) -> None:
    referral = await region.to_course()
    seat = agreed(region, referral, consent_version=0)
    await region.running.hear(held(region.case_id, referral), erased(region.case_id), seat)
    assert await named(region, referral) == (HIBIKI, str(COURSE))
    assert (await region.look(referral))["reason"] == "case_erased"
    assert await region.running.rows("SELECT FROM course_change") == []


# --- late, twice, in any order ---------------------------------------------------------------------------------------


async def test_what_comes_twice_changes_it_once_and_what_is_late_never_back(region: Region) -> None:
    referral = await region.to_course()
    at = wall_time()
    words = (held(region.case_id, referral), at), (agreed(region, referral), at + timedelta(minutes=9))
    late = instructed(region.case_id, referral), at + timedelta(minutes=5)
    for event, published in (*words, *words, late, words[0], words[1]):
        await region.running.hear(event, at=published)
    assert await named(region, referral) == (KAZE, str(OTHER))
    assert (await region.look(referral))["progress"] == "seat_held"
    assert len(await told(region, ReferralCourseChanged)) == 1
    lost = SeatReleased(**there(region, referral), pool_id=OTHER_POOL, reason="withdrawn")
    gone = lost.model_copy(update={"seat_request_id": SEAT, "course_run_id": COURSE})
    await region.running.hear(gone, at=at + timedelta(minutes=8))
    assert (await region.look(referral))["state"] == "received", "the first seat is none of its own"
    await region.running.hear(lost, at=at + timedelta(minutes=20))
    shown = await region.look(referral)
    assert (shown["state"], shown["receiver"]) == ("declined", KAZE)


async def test_who_begins_in_a_course_run_of_which_nobody_has_told_hands_the_case_to_no_school(region: Region) -> None:
    """What training tells of a person, and of a course run, comes in any order."""
    referral = await region.to_course()
    unheard = uuid4()
    about = there(region, referral) | {"course_run_id": unheard}
    seat = agreed(region, referral, course_run_id=unheard)
    await region.running.hear(held(region.case_id, referral), seat)
    await region.running.hear(Enrolled(**about, pool_id=OTHER_POOL, starts_on=date(2099, 2, 10)))
    shown = await region.look(referral)
    assert (shown["verb"], shown["responsible_agency"], shown["state"]) == ("refer", "kagoshima-desk", "accepted")
    await region.running.hear(elsewhere(course_run_id=unheard))
    assert await named(region, referral) == (KAZE, str(unheard))
    assert (await region.look(referral))["waits"]["agency_id"] == KAZE
    assert (await region.look(referral))["responsible_agency"] == "kagoshima-desk"


@pytest.mark.parametrize("luck", range(12))
async def test_in_whatever_order_training_is_heard_it_names_the_newest_seat(region: Region, luck: int) -> None:
    """Held, in line again in the same course run, and agreed to two others, one after the other."""
    chance = random.Random(luck)
    third = UUID(int=520)
    referral = await region.to_course()
    first, begun = (uuid4(), uuid4(), uuid4(), uuid4()), datetime(2026, 11, 2, tzinfo=UTC)

    def seat(number: int, run: UUID, consent_version: int = 1) -> SeatHeld:
        return agreed(
            region, referral, seat_request_id=first[number], course_run_id=run, consent_version=consent_version
        )

    def about(number: int, run: UUID) -> dict[str, Any]:
        return there(region, referral) | {"seat_request_id": first[number], "course_run_id": run}

    office: dict[str, Any] = {"instruction_id": uuid4(), "by_agency": "hellowork", "authority": "current_law"}
    words: list[Event] = [
        seat(0, COURSE, consent_version=0),
        InstructionIssued(**about(0, COURSE), **office),
        SeatWaitlisted(**about(1, COURSE), pool_id=POOL, position=1),
        seat(2, OTHER),
        InstructionIssued(**about(2, OTHER), **office),
        seat(3, third),
        InstructionIssued(**about(3, third), **office),
        Enrolled(**about(3, third), pool_id=POOL, starts_on=date(2099, 2, 10)),
    ]
    if chance.random() < 0.5:
        words.append(TrainingEnded(**about(3, third), ending="completed", ended_on=date(2099, 5, 10)))
    told_at = [(event, number, begun + timedelta(hours=number)) for number, event in enumerate(words, 1)]
    courses = [(elsewhere(course_run_id=third, provider="school-umi"), 1, begun), (elsewhere(), 2, begun)]
    heard: list[tuple[Event, int, datetime]] = [*told_at, *courses]
    chance.shuffle(heard)
    for event, sequence, at in heard:
        await told_with_sequence(region.running, event, sequence, at=at)
    assert await named(region, referral) == ("school-umi", str(third))
    shown = await region.look(referral)
    assert (shown["state"] in {"accepted", "closed"}, shown["responsible_agency"]) == (True, "kagoshima-desk")
    assert await region.running.rows("SELECT id FROM parked") == []
