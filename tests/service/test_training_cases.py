"""What training knows of a case: whose it is and what the person agreed to. Without both nobody gets it a seat."""

import asyncio
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.training.handlers import seats
from services.training.tables.cases import keep_consent
from services.training.tables.seats import Placed, lock_course
from shared.auth import Actor, Role
from shared.bus.mailbox import Origin
from shared.consent import Consent
from shared.events import (
    CaseErased,
    ConsentGiven,
    ConsentPending,
    ConsentRefused,
    ConsentWithdrawn,
    Event,
    SeatRefused,
)
from shared.service.clock import day_in_japan, wall_time
from tests.service.training_courses import (
    LATER,
    SCHOOL,
    ask,
    broken_promises,
    consented,
    known_case,
    offered,
    opened,
    referred,
    seat,
    state_of,
    told_since,
)
from tests.world import KAGOSHIMA, KIRISHIMA, Running, World


@pytest.fixture
def training(world: World) -> Running:
    return world.service("training")


def erased(case_id: UUID) -> CaseErased:
    return CaseErased(case_id=case_id, agency_id="desk", reason="retention_over", erased_at=wall_time())


def withdrawn(case_id: UUID, version: int = 2) -> ConsentWithdrawn:
    return ConsentWithdrawn(case_id=case_id, consent_version=version)


# --- whose case it is -----------------------------------------------------------------------------------------------


async def test_a_case_nobody_told_of_and_another_municipalitys_case_look_the_same(training: Running) -> None:
    course, theirs = await offered(training), await known_case(training, KIRISHIMA)
    unheard = await ask(training, course, case_id=uuid4())
    not_ours = await ask(training, course, case_id=theirs)
    assert (unheard.status_code, unheard.json()["code"]) == (404, "case_not_known")
    assert not_ours.status_code == unheard.status_code
    assert not_ours.json() | {"instance": ""} == unheard.json() | {"instance": ""}
    assert await training.rows("SELECT FROM seat_request") == []


async def test_the_seat_is_one_of_the_cases_own_municipality_whoever_asks(training: Running) -> None:
    course = await offered(training, capacity=3, delegated={KIRISHIMA: 1})
    theirs = await known_case(training, KIRISHIMA)
    placement = training.as_("kencho-placement", Role.PLACEMENT, municipalities=["prefecture:46"])
    answer = await placement.post(f"/v1/course-runs/{course}/seat-requests", {"case_id": str(theirs)})
    assert (answer.status_code, answer.json()["pool_kind"]) == (201, "delegated")
    row = (await training.rows("SELECT municipality FROM seat_request"))[0]
    assert row["municipality"] == KIRISHIMA


async def test_consent_alone_does_not_make_a_case_known(training: Running) -> None:
    course, case_id = await offered(training), uuid4()
    await training.hear(consented(case_id))
    assert (await ask(training, course, case_id=case_id)).status_code == 404
    await training.hear(opened(case_id))
    assert (await ask(training, course, case_id=case_id)).status_code == 201


# --- what the person agreed to --------------------------------------------------------------------------------------


CASE = UUID(int=1)


@pytest.mark.parametrize(
    ("said", "because"),
    [
        ([], "not_given"),
        ([ConsentPending(case_id=CASE, consent_version=1)], "not_given"),
        ([ConsentRefused(case_id=CASE, consent_version=1)], "not_given"),
        ([consented(CASE), withdrawn(CASE)], "not_given"),
        ([consented(CASE, valid_until=date(2020, 3, 31))], "expired"),
        ([consented(CASE, purposes=["survey"])], "other_purpose"),
        ([consented(CASE, recipients=["another-school"])], "not_named"),
    ],
    ids=["nothing", "not yet", "no", "taken back", "ran out", "for something else", "for somebody else"],
)
async def test_without_consent_no_seat_is_given(training: Running, said: Sequence[Event], because: str) -> None:
    course = await offered(training)
    await training.hear(opened(CASE), *said)
    answer = await ask(training, course, case_id=CASE)
    assert (answer.status_code, answer.json()["code"]) == (409, "consent_missing")
    assert answer.json()["errors"] == [{"pointer": "/case_id", "code": because}]
    assert await training.rows("SELECT FROM seat_request") == []


async def test_a_consent_wide_enough_gives_a_seat_on_its_last_day(training: Running) -> None:
    course, case_id = await offered(training), uuid4()
    until = day_in_japan(wall_time() + training.desk.clock.offset)
    narrow = consented(case_id, purposes=["training"], recipients=[SCHOOL], valid_until=until)
    await training.hear(opened(case_id), narrow)
    assert (await ask(training, course, case_id=case_id)).status_code == 201
    training.pass_time(timedelta(days=1))
    late = await ask(training, await offered(training), case_id=case_id)
    assert late.json()["errors"][0]["code"] == "expired"


async def test_a_narrower_yes_takes_back_what_was_asked_for_here_and_leaves_referrals_to_referral(
    training: Running,
) -> None:
    case_id = await known_case(training)
    asked = await seat(training, await offered(training), case_id=case_id)
    await training.hear(referred(await offered(training, **LATER), case_id=case_id))
    await training.hear(consented(case_id, 2, purposes=["training"], recipients=[SCHOOL]))
    assert await state_of(training, asked) == "held"
    await training.hear(consented(case_id, 3, purposes=["assessment"]))
    assert await state_of(training, asked) == "released"
    states = await training.rows("SELECT state, referral_id IS NULL AS direct FROM seat_request ORDER BY state")
    assert [tuple(row) for row in states] == [("held", False), ("released", True)]


async def test_a_yes_that_has_run_out_or_begins_later_takes_nothing_back(training: Running) -> None:
    case_id = await known_case(training)
    asked = await seat(training, await offered(training), case_id=case_id)
    await training.hear(consented(case_id, 2, valid_until=date(2020, 3, 31)))
    await training.hear(consented(case_id, 3, valid_from=date(2190, 3, 31)))
    assert await state_of(training, asked) == "held"
    late = await ask(training, await offered(training), case_id=case_id)
    assert late.json()["errors"][0]["code"] == "not_yet_valid"


async def test_consent_given_again_counts_again(training: Running) -> None:
    course, case_id = await offered(training), await known_case(training)
    await training.hear(withdrawn(case_id), consented(case_id, 3))
    assert (await ask(training, course, case_id=case_id)).status_code == 201


async def test_an_older_word_that_comes_late_changes_nothing(training: Running) -> None:
    course, case_id = await offered(training), await known_case(training)
    await training.hear(consented(case_id, 3))
    asked = await seat(training, course, case_id=case_id)
    before = await training.told()
    await training.hear(withdrawn(case_id), consented(case_id), ConsentPending(case_id=case_id, consent_version=2))
    assert await state_of(training, asked) == "held"
    assert await training.told() == before
    assert (await ask(training, await offered(training, **LATER), case_id=case_id)).status_code == 201


# --- a referral rests on referral's own check -----------------------------------------------------------------------


async def test_a_referral_needs_nothing_that_training_has_not_heard_yet(training: Running) -> None:
    """Topics have no order between them: its case may be told of later than the referral itself."""
    course, case_id = await offered(training), uuid4()
    await training.hear(referred(course, case_id=case_id))
    assert (await training.rows("SELECT state FROM seat_request"))[0]["state"] == "held"


@pytest.mark.parametrize("known", [True, False], ids=["of a known case", "before its opening is heard"])
async def test_a_referral_after_a_withdrawal_is_refused(training: Running, known: bool) -> None:
    course, case_id = await offered(training), await known_case(training) if known else uuid4()
    await training.hear(withdrawn(case_id))
    before = len(await training.told())
    await training.hear(referred(course, case_id=case_id))
    refused = await told_since(training, before)
    assert [(type(event), getattr(event, "reason", None)) for event in refused] == [(SeatRefused, "consent_withdrawn")]
    await training.hear(consented(case_id, 3), referred(course, case_id=case_id))
    assert (await training.rows("SELECT state FROM seat_request"))[0]["state"] == "held"


async def test_a_referral_that_has_its_seat_is_not_refused_when_it_is_told_again(training: Running) -> None:
    course, case_id = await offered(training), await known_case(training)
    referral = referred(course, case_id=case_id)
    await training.hear(referral, withdrawn(case_id))
    before = await training.told()
    await training.hear(referral)
    assert await training.told() == before


# --- a case that was erased ---------------------------------------------------------------------------------------


async def test_nothing_is_asked_for_an_erased_case_whatever_is_said_afterwards(training: Running) -> None:
    course, case_id = await offered(training), await known_case(training)
    await training.hear(erased(case_id), consented(case_id, 9))
    assert (await ask(training, course, case_id=case_id)).json()["code"] == "consent_missing"
    before = len(await training.told())
    await training.hear(referred(course, case_id=case_id))
    assert [type(event) for event in await told_since(training, before)] == [SeatRefused]


# --- asking and taking back at once ---------------------------------------------------------------------------------


async def test_who_asks_while_consent_is_taken_back_waits_and_is_refused(training: Running) -> None:
    course, case_id = await offered(training), await known_case(training)
    async with training.database.transaction() as session:
        await seats.note_consent(session, case_id, Consent("withdrawn"), version=2, now=wall_time())
        asking = asyncio.create_task(ask(training, course, case_id=case_id))
        await stuck(training, asking)
    assert (await asking).json()["code"] == "consent_missing"
    assert await training.rows("SELECT FROM seat_request") == []


async def test_who_takes_consent_back_while_a_seat_is_asked_for_waits_and_gives_it_back(training: Running) -> None:
    course, case_id = await offered(training), await known_case(training)
    desk = Actor("desk", "desk", "self_reliance_desk", frozenset({KAGOSHIMA}), frozenset({Role.COUNSELLOR}), ())
    async with training.database.transaction() as session:
        order = seats.AgencyOrder(case_id, desk, Origin(by=desk.agency))
        (placed,) = await seats.request_seats(session, course, [order], now=await training.desk.clock.now(session))
        assert isinstance(placed, Placed)
        hearing = asyncio.create_task(training.hear(withdrawn(case_id)))
        await stuck(training, hearing)
    await hearing
    assert [row["state"] for row in await training.rows("SELECT state FROM seat_request")] == ["released"]
    assert await broken_promises(training, [course]) == []


async def test_asking_and_taking_back_lock_in_one_order(training: Running) -> None:
    """The case, then the course. The other way round, each would wait for what the other has."""
    course, case_id = await offered(training), await known_case(training)
    asked = await seat(training, course, case_id=case_id)
    async with training.database.transaction() as session:
        await keep_consent(session, case_id, Consent("withdrawn"), 2)
        asking = asyncio.create_task(ask(training, course, case_id=case_id))
        await stuck(training, asking)
        assert await lock_course(session, course), "who asks has locked the course before the case"
    assert (await asking).json()["code"] == "consent_missing"
    assert await state_of(training, asked) == "held", "only `keep_consent` was called here"


async def stuck(training: Running, task: asyncio.Task[Any]) -> None:
    """Until somebody waits for a lock, or the task has come to its end without waiting."""
    waiting = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    async with asyncio.timeout(10):
        while not task.done() and not await training.rows(waiting):  # noqa: ASYNC110 - it changes elsewhere
            await asyncio.sleep(0)


# --- in any order ---------------------------------------------------------------------------------------------------

DAYS = st.none() | st.dates()
CODES = st.lists(st.sampled_from(["referral", "training", "survey"]), unique=True)
WORDS: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.builds(dict, kind=st.just(ConsentGiven), purposes=CODES, recipients=CODES, valid_until=DAYS),
    st.builds(dict, kind=st.sampled_from([ConsentPending, ConsentRefused, ConsentWithdrawn])),
)


@given(words=st.lists(WORDS, max_size=5), data=st.data())
@settings(max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck))
def in_any_order(training: Running, loop: asyncio.AbstractEventLoop, words: list[Any], data: st.DataObject) -> None:
    """One case is heard of in order and once, another in any order and as often as the bus likes."""

    def told(case_id: UUID) -> list[Event]:
        said = [
            word["kind"](case_id=case_id, consent_version=version, **{k: v for k, v in word.items() if k != "kind"})
            for version, word in enumerate(words, 1)
        ]
        return [opened(case_id), *said]

    orderly, other = uuid4(), uuid4()
    places = st.lists(st.sampled_from(range(len(words) + 1)), max_size=4)
    shuffled = data.draw(st.permutations([*range(len(words) + 1), *data.draw(places)]))
    events = told(other)

    async def compared() -> None:
        await training.hear(*told(orderly))
        await training.hear(*(events[place] for place in shuffled))
        known = "SELECT to_jsonb(f) - 'case_id' AS fact FROM case_fact f WHERE case_id = $1"
        facts = [(await training.rows(known, case_id))[0]["fact"] for case_id in (orderly, other)]
        assert facts[0] == facts[1]
        assert await training.rows("SELECT FROM parked") == []

    asyncio.run_coroutine_threadsafe(compared(), loop).result(timeout=30)


async def test_whatever_the_order_and_however_often_the_same_is_known_in_the_end(training: Running) -> None:
    await asyncio.to_thread(in_any_order, training, asyncio.get_running_loop())
