"""What a conference decided leaves in its owner's name, once, whatever came first; or comes back with a reason."""

import asyncio
import itertools
from datetime import date, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.events import (
    ConsentGiven,
    ConsentWithdrawn,
    Event,
    ReferralDecided,
    ReferralNotSent,
    ReferralSent,
    TrainingReferred,
)
from tests.service.referral_region import COURSE, Region, consented, erased, offered, opened
from tests.world import KAGOSHIMA, Running, World

OWNER = "kirishima-clinic"
"""It took part in the conference, and serves another town: that it may not send by hand doesn't matter here."""


@pytest.fixture
async def region(world: World) -> Region:
    return await Region(world.service("referral")).ready()


def decided(case_id: UUID, **changes: Any) -> ReferralDecided:
    values: dict[str, Any] = {
        "case_id": case_id,
        "task_id": uuid4(),
        "owner": OWNER,
        "municipality": KAGOSHIMA,
        "due_on": date(2099, 1, 1),
        "consent_version": 1,
    }
    return ReferralDecided(**(values | changes))


def ibasho(region: Region) -> UUID:
    return UUID(region.programmes["sakura-npo/ibasho"])


async def sent(running: Running) -> list[ReferralSent]:
    return [event for event in await running.told() if isinstance(event, ReferralSent)]


async def stayed(running: Running) -> list[str]:
    return [event.reason for event in await running.told() if isinstance(event, ReferralNotSent)]


async def test_it_is_sent_in_its_owners_name_and_once_however_often_it_is_told(region: Region) -> None:
    event = decided(region.case_id, programme_id=ibasho(region))
    await region.running.hear(event)
    await region.running.hear(event)
    (told,) = await sent(region.running)
    assert (told.task_id, told.sender, told.receiver) == (event.task_id, OWNER, "sakura-npo")
    referral = await region.look(told.referral_id)
    assert (referral["state"], referral["sender"], referral["responsible_agency"]) == ("sent", OWNER, OWNER)
    assert await stayed(region.running) == []


async def test_what_is_passed_on_is_still_what_was_decided(region: Region) -> None:
    event = decided(region.case_id, programme_id=ibasho(region))
    await region.running.hear(event)
    (told,) = await sent(region.running)
    elsewhere = {"programme_id": region.programmes["zama-npo/ibasho"], "knowingly": True}
    assert (await region.npo.post(f"/v1/referrals/{told.referral_id}/reroute", elsewhere)).status_code == 200
    assert [each.task_id for each in await sent(region.running)] == [event.task_id] * 2


async def test_a_decided_seat_asks_training_for_one(region: Region) -> None:
    await region.running.hear(decided(region.case_id, course_run_id=COURSE))
    first, second = await region.running.told()
    assert isinstance(first, ReferralSent)
    assert isinstance(second, TrainingReferred)
    assert (second.course_run_id, second.sender, first.referral_id) == (COURSE, OWNER, second.referral_id)


def orders() -> list[tuple[str, ...]]:
    """Every order in which the facts may come: intake's two stay in theirs, across topics all may happen."""
    names = ("opened", "consented", "offered", "decided")
    return [order for order in itertools.permutations(names) if order.index("opened") < order.index("consented")]


@pytest.mark.parametrize("order", orders(), ids="-".join)
async def test_whatever_comes_first_it_leaves_when_the_last_fact_has_come(world: World, order: tuple[str, ...]) -> None:
    running, case_id = world.service("referral"), uuid4()
    facts: dict[str, Event] = {
        "opened": opened(case_id),
        "consented": consented(case_id),
        "offered": offered(),
        "decided": decided(case_id, course_run_id=COURSE),
    }
    for name in order[:-1]:
        await running.hear(facts[name])
        assert await running.told() == []
    await running.hear(facts[order[-1]])
    assert [type(event) for event in await running.told()] == [ReferralSent, TrainingReferred]


async def test_an_older_word_about_consent_is_not_judged_by(region: Region) -> None:
    """The conference knew of a third word; of the second, a no, nobody here may conclude that it can't be sent."""
    await region.running.hear(ConsentWithdrawn(case_id=region.case_id, consent_version=2))
    await region.running.hear(decided(region.case_id, programme_id=ibasho(region), consent_version=3))
    assert await region.running.told() == []
    await region.running.hear(consented(region.case_id, 3))
    assert len(await sent(region.running)) == 1


async def test_a_fact_that_never_comes_is_given_up_after_an_hour_with_the_reason(region: Region) -> None:
    running = region.running
    await running.hear(decided(uuid4(), programme_id=ibasho(region)), decided(region.case_id, course_run_id=uuid4()))
    for minutes in (0, 2, 55):
        running.pass_time(timedelta(minutes=minutes))
        await running.sweep()
        assert await running.told() == []
    running.pass_time(timedelta(minutes=10))
    await running.sweep()
    assert sorted(await stayed(running)) == ["case_not_known", "target_not_known"]
    await running.sweep()
    assert len(await running.told()) == 2
    await running.hear(offered(course_run_id=COURSE))
    assert len(await running.told()) == 2


async def test_the_clock_sends_what_a_race_left_waiting(region: Region) -> None:
    """Two who don't see each other's uncommitted rows may both leave it: the sweep finds it."""
    event = decided(uuid4(), programme_id=ibasho(region))
    await region.running.hear(event)
    await region.running.rows(
        "UPDATE case_fact SET case_id = $1 WHERE case_id = $2 RETURNING 1", event.case_id, region.case_id
    )
    await region.running.sweep()
    assert await region.running.told() == []
    region.running.pass_time(timedelta(minutes=2))
    await region.running.sweep()
    assert len(await sent(region.running)) == 1


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"purposes": ["case_conference"]}, "other_purpose"),
        ({"recipients": ["kagoshima-desk"]}, "not_named"),
        ({"valid_until": date(2020, 1, 1)}, "expired"),
    ],
)
async def test_without_the_consent_that_a_referral_needs_it_comes_back(
    region: Region, said: dict[str, Any], reason: str
) -> None:
    await region.running.hear(consented(region.case_id, 2, **said))
    await region.running.hear(decided(region.case_id, programme_id=ibasho(region), consent_version=2))
    assert (await stayed(region.running), await sent(region.running)) == ([reason], [])


async def test_what_is_not_in_the_directory_or_waits_already_comes_back(region: Region) -> None:
    await region.to_programme()
    await region.running.hear(
        decided(region.case_id, programme_id=uuid4()),
        decided(region.case_id, programme_id=ibasho(region)),
        decided(region.case_id),
        decided(region.case_id, programme_id=ibasho(region), course_run_id=COURSE),
    )
    assert await stayed(region.running) == [
        "target_not_known",
        "already_referred",
        "target_not_known",
        "target_not_known",
    ]
    assert len(await sent(region.running)) == 1


async def test_a_case_that_was_erased_is_referred_no_more(region: Region) -> None:
    order = decided(region.case_id, programme_id=ibasho(region), consent_version=5)
    await region.running.hear(order, erased(region.case_id))
    assert (await stayed(region.running), await sent(region.running)) == (["not_given"], [])


async def test_what_came_back_is_sent_by_hand_for_its_task(region: Region) -> None:
    task_id = uuid4()
    await region.send(programme_id=str(ibasho(region)), task_id=str(task_id))
    (told,) = await sent(region.running)
    assert told.task_id == task_id


async def test_decision_and_consent_at_the_same_moment_send_it_once(region: Region) -> None:
    cases = [uuid4() for _ in range(12)]
    await region.running.hear(*(opened(case) for case in cases), *(consented(case) for case in cases))

    async def both(case: UUID) -> None:
        yes = ConsentGiven(case_id=case, consent_version=2, purposes=["referral"])
        order = decided(case, programme_id=ibasho(region), consent_version=2)
        await asyncio.gather(region.running.hear(yes), region.running.hear(order))

    await asyncio.gather(*map(both, cases))
    assert sorted(event.case_id for event in await sent(region.running)) == sorted(cases)


async def test_clock_and_fact_at_the_same_moment_send_it_once_and_give_nothing_up(region: Region) -> None:
    running, cases = region.running, [uuid4() for _ in range(10)]
    await running.hear(*(opened(case) for case in cases))
    await running.hear(*(decided(case, programme_id=ibasho(region), consent_version=2) for case in cases))
    running.pass_time(timedelta(minutes=2))
    heard = (running.hear(consented(case, 2)) for case in cases)
    await asyncio.gather(*heard, running.sweep(), running.sweep(), running.sweep())
    assert sorted(event.case_id for event in await sent(running)) == sorted(cases)
    assert await stayed(running) == []
