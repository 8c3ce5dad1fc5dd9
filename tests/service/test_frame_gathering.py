"""Requests for the same thing share a transaction, and nobody notices: every promise of a request stays its own."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from uuid import uuid4

import httpx2
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from shared.auth import Role
from shared.bus.envelope import open_envelope
from shared.problems import CONFLICT, NOT_FOUND, Problem
from shared.service import gathering
from shared.service.idempotency import Claim, claim_keys
from tests.service.frame_raffle import Draw, Drawn, Raffle, Wish, open_raffle
from tests.world import KAGOSHIMA, KIRISHIMA, World


@pytest.fixture
async def raffle(world: World) -> Raffle:
    return await open_raffle(world)


async def test_whoever_finds_nobody_there_goes_at_once_and_by_himself(raffle: Raffle) -> None:
    answer = await raffle.ask("山田")
    assert answer.status_code == 201
    assert raffle.groups == [1]
    assert await raffle.count() == (1, 1, 1)


async def test_all_who_wait_go_in_one_transaction_and_each_has_an_answer_of_his_own(raffle: Raffle) -> None:
    people = [f"person {number}" for number in range(40)]
    answers = await raffle.ask_together(*people)
    assert raffle.groups == [40]
    assert [answer.status_code for answer in answers] == [201] * 40
    assert [answer.json()["person"] for answer in answers] == people
    assert [answer.json()["number"] for answer in answers] == list(range(1, 41)), "in the order in which they came"
    assert [answer.headers["etag"] for answer in answers] == [f'"{number}"' for number in range(1, 41)]
    assert await raffle.count() == (40, 40, 40)
    assert not raffle.running.desk.gathering._lines, "a raffle costs nothing once nobody wants it"


async def test_the_kept_answer_is_the_one_that_was_given(raffle: Raffle) -> None:
    keys = [str(uuid4()) for _ in range(10)]
    people = [f"person {number}" for number in range(10)]
    first = await raffle.ask_together(*people, keys=keys)
    again = await raffle.ask_together(*people, keys=keys)
    assert [answer.content for answer in again] == [answer.content for answer in first]
    assert [answer.headers["location"] for answer in again] == [answer.headers["location"] for answer in first]
    assert {answer.headers["idempotency-replayed"] for answer in again} == {"true"}
    assert await raffle.count() == (10, 10, 10)


async def test_no_group_is_larger_than_the_largest(raffle: Raffle) -> None:
    await raffle.ask_together(*["somebody"] * (gathering._LARGEST + 5))
    assert raffle.groups == [gathering._LARGEST, 5]


async def test_another_raffle_does_not_wait(raffle: Raffle) -> None:
    async with raffle.busy("spring"):
        assert (await raffle.ask(raffle="autumn")).status_code == 201


async def test_what_is_told_carries_who_asked_and_which_request_it_was(raffle: Raffle) -> None:
    async with raffle.busy():
        asked = [asyncio.create_task(raffle.ask(agency=f"desk-{number}")) for number in range(5)]
        await raffle.until_waiting(5)
    answers = {answer.json()["ticket"]: answer for answer in await asyncio.gather(*asked)}
    for number, row in enumerate(await raffle.running.rows("SELECT value FROM outbox ORDER BY seq")):
        envelope = open_envelope(row["value"], {})
        assert envelope.by == f"desk-{number}"
        assert envelope.cause == answers[envelope.subject].headers["x-request-id"]


async def test_all_of_a_group_are_decided_on_at_one_moment(raffle: Raffle) -> None:
    await raffle.ask_together(*["somebody"] * 5)
    assert len(await raffle.running.rows("SELECT DISTINCT drawn_at FROM frame_ticket")) == 1


# --- refused ---------------------------------------------------------------------------------------------------------


async def test_a_refused_request_leaves_no_trace_and_does_not_disturb_the_others(raffle: Raffle) -> None:
    keys = [str(uuid4()) for _ in range(4)]
    answers = await raffle.ask_together("a", "banned", "b", "banned", keys=keys)
    assert [answer.status_code for answer in answers] == [201, 409, 201, 409]
    assert raffle.groups == [4]
    assert await raffle.numbers() == [(1, "a"), (2, "b")]
    assert await raffle.count() == (2, 2, 2)
    again = await raffle.ask("c", key=keys[1])
    assert again.status_code == 201, "the refused request's key is free again"


async def test_a_group_of_refused_requests_leaves_nothing(raffle: Raffle) -> None:
    answers = await raffle.ask_together("banned", "banned")
    assert [answer.status_code for answer in answers] == [409, 409]
    assert await raffle.count() == (0, 0, 0)


@pytest.mark.parametrize("bad", [{"person": 5}, {"person": "x", "unknown": 1}])
async def test_a_body_that_cant_be_read_never_joins(raffle: Raffle, bad: object) -> None:
    assert (await raffle.running.as_().post("/v1/raffles/spring/tickets", bad)).status_code == 422
    assert raffle.groups == []
    assert await raffle.count() == (0, 0, 0)


async def test_a_post_without_a_key_never_joins(raffle: Raffle) -> None:
    caller = raffle.running.as_()
    answer = await raffle.running.client.post("/v1/raffles/spring/tickets", json={}, headers=caller._headers)
    assert answer.json()["code"] == "idempotency_key_missing"
    assert raffle.groups == []


# --- one of the group fails ------------------------------------------------------------------------------------------


async def test_who_fails_after_the_outcome_undoes_it_and_the_others_are_done_one_by_one(raffle: Raffle) -> None:
    async def stumble(wish: Wish, _drawn: Drawn) -> None:
        if wish.person == "poison":
            raise RuntimeError("canary-山田")

    raffle.afterwards = stumble
    answers = await raffle.ask_together("a", "poison", "b", "c")
    assert [answer.status_code for answer in answers] == [201, 500, 201, 201]
    assert "canary" not in answers[1].text
    assert raffle.groups == [4, 1, 1, 1]
    assert sorted(person for _, person in await raffle.numbers()) == ["a", "b", "c"]
    assert sorted(answer.json()["number"] for answer in answers if answer.status_code == 201) == [1, 2, 3]
    assert await raffle.count() == (3, 3, 3)


async def test_a_problem_raised_after_the_outcome_undoes_it_too(raffle: Raffle) -> None:
    async def contradict(wish: Wish, _drawn: Drawn) -> None:
        if wish.person == "poison":
            raise Problem(CONFLICT)

    raffle.afterwards = contradict
    answers = await raffle.ask_together("a", "poison", "b")
    assert [answer.status_code for answer in answers] == [201, 409, 201]
    assert sorted(person for _, person in await raffle.numbers()) == ["a", "b"]
    assert await raffle.count() == (2, 2, 2)


async def test_one_order_that_the_database_refuses_spoils_nothing_for_the_others(raffle: Raffle) -> None:
    answers = await raffle.ask_together("a", "nobody", "b", "banned")
    assert [answer.status_code for answer in answers] == [201, 500, 201, 409]
    assert raffle.groups == [4, 1, 1, 1, 1]
    assert sorted(person for _, person in await raffle.numbers()) == ["a", "b"]
    assert await raffle.count() == (2, 2, 2)


async def test_a_problem_raised_by_the_handler_is_that_of_each_by_himself(raffle: Raffle) -> None:
    async def not_here(_session: AsyncSession, draws: Sequence[Draw]) -> None:
        if any(each.person == "stranger" for each in draws):
            raise Problem(NOT_FOUND)

    raffle.before = not_here
    answers = await raffle.ask_together("a", "stranger", "b")
    assert [answer.status_code for answer in answers] == [201, 404, 201]


async def test_who_goes_away_after_the_outcome_undoes_it_and_the_others_are_done(raffle: Raffle) -> None:
    inside = asyncio.Event()

    async def stay(wish: Wish, _drawn: Drawn) -> None:
        if wish.person == "leaves":
            inside.set()
            await asyncio.Event().wait()

    raffle.afterwards = stay
    async with raffle.busy():
        asked = [asyncio.create_task(raffle.ask(person)) for person in ("a", "leaves", "b")]
        await raffle.until_waiting(3)
    await inside.wait()
    asked[1].cancel()
    answers = await asyncio.gather(asked[0], asked[2])
    assert [answer.status_code for answer in answers] == [201, 201]
    assert sorted(person for _, person in await raffle.numbers()) == ["a", "b"]
    assert await raffle.count() == (2, 2, 2)


async def test_who_goes_away_while_waiting_is_left_out(raffle: Raffle) -> None:
    async with raffle.busy():
        asked = [asyncio.create_task(raffle.ask(person)) for person in ("a", "leaves", "b")]
        await raffle.until_waiting(3)
        asked[1].cancel()
        await asyncio.sleep(0)
    answers = await asyncio.gather(asked[0], asked[2])
    assert [answer.json()["number"] for answer in answers] == [1, 2]
    assert raffle.groups == [2]
    assert await raffle.count() == (2, 2, 2)


async def test_who_goes_away_before_the_outcome_gets_none_and_the_others_are_done(raffle: Raffle) -> None:
    asked: list[asyncio.Task[httpx2.Response]] = []

    async def go(_session: AsyncSession, draws: Sequence[Draw]) -> None:
        if len(draws) > 1:
            asked[1].cancel()
            await asyncio.sleep(0)

    async with raffle.busy():
        asked += [asyncio.create_task(raffle.ask(person)) for person in ("a", "leaves", "b")]
        await raffle.until_waiting(3)
        raffle.meanwhile = go
    await asyncio.gather(*asked, return_exceptions=True)
    assert sorted(person for _, person in await raffle.numbers()) == ["a", "b"]
    assert await raffle.count() == (2, 2, 2)


async def test_who_never_answers_keeps_the_others_only_so_long(raffle: Raffle, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = asyncio.Event()

    async def sleep(wish: Wish, _drawn: Drawn) -> None:
        if wish.person == "slow":
            await gate.wait()

    raffle.afterwards = sleep
    async with raffle.busy():
        asked = [asyncio.create_task(raffle.ask(person)) for person in ("a", "slow", "b")]
        await raffle.until_waiting(3)
        monkeypatch.setattr(gathering, "PATIENCE", 0.1)
    answers = await asyncio.gather(asked[0], asked[2])
    assert [answer.status_code for answer in answers] == [201, 201]
    monkeypatch.undo()
    gate.set()
    assert (await asked[1]).status_code == 201
    assert sorted(person for _, person in await raffle.numbers()) == ["a", "b", "slow"]


# --- the commit ------------------------------------------------------------------------------------------------------


async def test_no_answer_leaves_before_the_commit(raffle: Raffle) -> None:
    """No refusal either: it may rest on what a neighbour in the group was given."""
    commit = raffle.running.database.commit
    done_before: list[int] = []
    asked: list[asyncio.Task[httpx2.Response]] = []

    async def slowly(session: AsyncSession) -> None:
        await asyncio.sleep(0.05)
        done_before.append(sum(task.done() for task in asked))
        await commit(session)

    async with raffle.busy():
        asked += [asyncio.create_task(raffle.ask(person)) for person in ("a", "banned", "b")]
        await raffle.until_waiting(3)
        raffle.running.database.commit = slowly  # type: ignore[method-assign]
    assert [answer.status_code for answer in await asyncio.gather(*asked)] == [201, 409, 201]
    assert done_before == [0]


async def test_a_commit_that_fails_is_a_failure_for_each_and_leaves_no_trace(raffle: Raffle) -> None:
    async def point_nowhere(session: AsyncSession, _draws: Sequence[Draw]) -> None:
        await session.execute(text("UPDATE frame_ticket SET twin = :twin"), {"twin": uuid4()})

    woken: list[int] = []
    raffle.running.database.after_emit = lambda: woken.append(1)
    raffle.meanwhile = point_nowhere
    answers = await raffle.ask_together("a", "b", "banned")
    assert [answer.status_code for answer in answers] == [500, 500, 500]
    assert await raffle.count() == (0, 0, 0)
    assert not woken


async def test_a_connection_lost_before_the_commit_is_a_503_for_each(raffle: Raffle, world: World) -> None:
    commit = raffle.running.database.commit

    async def lose(session: AsyncSession) -> None:
        pid = (await session.execute(text("SELECT pg_backend_pid()"))).scalar_one()
        await raffle.running.rows("SELECT pg_terminate_backend($1)", pid)
        await commit(session)

    keys = [str(uuid4()) for _ in range(3)]
    raffle.running.database.commit = lose  # type: ignore[method-assign]
    answers = await raffle.ask_together("a", "b", "c", keys=keys)
    assert [answer.status_code for answer in answers] == [503, 503, 503]
    assert {answer.headers["retry-after"] for answer in answers} == {"2"}
    raffle.running.database.commit = commit  # type: ignore[method-assign]
    assert await raffle.count() == (0, 0, 0)
    again = await raffle.ask_together("a", "b", "c", keys=keys)
    assert [answer.status_code for answer in again] == [201, 201, 201]


async def test_a_database_that_is_away_is_a_503_for_each_at_once(raffle: Raffle) -> None:
    async def lose(session: AsyncSession, _draws: Sequence[Draw]) -> None:
        pid = (await session.execute(text("SELECT pg_backend_pid()"))).scalar_one()
        await raffle.running.rows("SELECT pg_terminate_backend($1)", pid)

    async with raffle.busy():
        asked = [asyncio.create_task(raffle.ask()) for _ in range(3)]
        await raffle.until_waiting(3)
        raffle.meanwhile = lose
    assert [answer.status_code for answer in await asyncio.gather(*asked)] == [503, 503, 503]
    assert raffle.groups == [3], "an outage is nobody's fault: nobody is tried by himself"


# --- keys ------------------------------------------------------------------------------------------------------------


async def test_fifty_at_once_with_one_key_have_one_effect_and_one_answer(raffle: Raffle) -> None:
    key = str(uuid4())
    answers = await asyncio.gather(*(raffle.ask(key=key) for _ in range(50)), *(raffle.ask() for _ in range(20)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers[:50]}) == 1
    assert await raffle.count() == (21, 21, 21)


async def test_overlapping_keys_in_two_processes_have_one_effect_each(raffle: Raffle, world: World) -> None:
    other = await open_raffle(world, first=False)
    keys = [str(uuid4()) for _ in range(30)]
    answers = await asyncio.gather(
        *(raffle.ask(key, key=key) for key in keys), *(other.ask(key, key=key) for key in reversed(keys))
    )
    assert {answer.status_code for answer in answers} == {201}
    assert [answer.content for answer in answers[:30]] == [answer.content for answer in reversed(answers[30:])]
    assert await raffle.count() == (30, 30, 30)
    assert [number for number, _ in await raffle.numbers()] == list(range(1, 31))


async def test_the_same_key_with_another_body_is_a_422_also_in_a_group(raffle: Raffle) -> None:
    key = str(uuid4())
    await raffle.ask("a", key=key)
    answers = await raffle.ask_together("b", "c", keys=[key, str(uuid4())])
    assert [answer.status_code for answer in answers] == [422, 201]
    assert answers[0].json()["code"] == "idempotency_key_reused"


async def test_one_key_with_two_bodies_at_once_answers_one_of_them(raffle: Raffle) -> None:
    key = str(uuid4())
    answers = await asyncio.gather(*(raffle.ask(person, key=key) for person in ("a", "b")))
    assert sorted(answer.status_code for answer in answers) == [201, 422]
    assert await raffle.count() == (1, 1, 1)


async def test_a_repeat_is_authorised_again_before_the_kept_answer_is_given(raffle: Raffle) -> None:
    key = str(uuid4())
    rich = raffle.running.as_(municipalities=[KAGOSHIMA, KIRISHIMA])
    poor = raffle.running.as_(municipalities=[KAGOSHIMA])
    path = "/v1/raffles/spring/tickets"
    assert (await rich.post(path, {}, key=key)).status_code == 201
    assert (await poor.post(path, {}, key=key)).status_code == 401
    without = raffle.running.as_("kagoshima-desk", Role.DIRECTORY, municipalities=[KAGOSHIMA, KIRISHIMA])
    assert (await without.post(path, {}, key=key)).status_code == 403


async def test_another_caller_with_the_same_key_is_another_request(raffle: Raffle) -> None:
    key = str(uuid4())
    async with raffle.busy():
        asked = [asyncio.create_task(raffle.ask(agency=agency, key=key)) for agency in ("one-desk", "two-desk")]
        await raffle.until_waiting(2)
    one, two = await asyncio.gather(*asked)
    assert (one.status_code, two.status_code) == (201, 201)
    assert one.content != two.content
    assert (await raffle.ask(agency="two-desk", key=key)).content == two.content


@contextlib.asynccontextmanager
async def another_process_at(raffle: Raffle, *keys: str) -> AsyncIterator[None]:
    """While the block lasts, another process is at requests with these keys."""
    route = "POST /v1/raffles/{name}/tickets"
    async with raffle.running.database.session() as other:
        new, _ = await claim_keys(other, [Claim("client-kagoshima-desk", route, key, b"", ()) for key in keys])
        assert len(new) == len(keys)
        yield


async def test_a_key_that_another_process_is_at_keeps_only_its_own_request_waiting(raffle: Raffle) -> None:
    key = str(uuid4())
    async with another_process_at(raffle, key):
        async with raffle.busy():
            stuck = asyncio.create_task(raffle.ask("stuck", key=key))
            asked = [asyncio.create_task(raffle.ask(person)) for person in ("a", "b", "c")]
            await raffle.until_waiting(4)
        async with asyncio.timeout(3):
            assert {answer.status_code for answer in await asyncio.gather(*asked)} == {201}
            assert (await raffle.ask("d")).status_code == 201
        assert not stuck.done()
        answer = await stuck
        assert answer.status_code == 409
        assert answer.json()["code"] == "request_in_progress"
        assert answer.headers["retry-after"]
    assert (await raffle.ask("stuck", key=key)).status_code == 201


async def test_whoever_comes_first_with_a_key_in_use_keeps_nobody_behind_him_waiting(raffle: Raffle) -> None:
    key = str(uuid4())
    async with another_process_at(raffle, key):
        stuck = asyncio.create_task(raffle.ask("stuck", key=key))
        async with asyncio.timeout(4):
            await raffle.until_beside(1)
            assert (await raffle.ask("behind")).status_code == 201
        assert not stuck.done()
    assert (await stuck).status_code == 201, "once the other process has undone its own"
    assert sorted(person for _, person in await raffle.numbers()) == ["behind", "stuck"]


async def test_many_keys_in_use_elsewhere_hold_up_no_other_line(world: World) -> None:
    """A stalled process keeps its keys, and its callers come here with them: more than we have connections."""
    raffle = await open_raffle(world, database_pool=4)
    keys = [str(uuid4()) for _ in range(12)]
    async with another_process_at(raffle, *keys):
        places = ["spring", "summer", "winter"] * 4
        stuck = [
            asyncio.create_task(raffle.ask("stuck", raffle=place, key=key))
            for place, key in zip(places, keys, strict=True)
        ]
        await raffle.until_beside(12)
        for _ in range(5):
            async with asyncio.timeout(2):
                assert (await raffle.ask("another", raffle="autumn")).status_code == 201
        assert not any(each.done() for each in stuck)
    assert {answer.status_code for answer in await asyncio.gather(*stuck)} <= {201, 503}


async def test_a_thing_that_another_process_has_locked_holds_up_no_other_line(world: World) -> None:
    raffle = await open_raffle(world, database_pool=4)
    async with raffle.running.database.engine.connect() as other:
        await other.execute(text("SELECT FROM frame_raffle WHERE name = 'spring' FOR UPDATE"))
        stuck = [asyncio.create_task(raffle.ask("stuck")) for _ in range(30)]
        await raffle.until_busy()
        for _ in range(5):
            async with asyncio.timeout(2):
                assert (await raffle.ask("another", raffle="autumn")).status_code == 201
        assert not any(each.done() for each in stuck)
        await other.rollback()
    assert {answer.status_code for answer in await asyncio.gather(*stuck)} == {201}
    assert len(await raffle.numbers()) == 35


async def test_who_waits_too_long_is_told_to_come_again(raffle: Raffle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "PATIENCE", 0.05)
    async with raffle.busy():
        answers = await asyncio.gather(*(raffle.ask() for _ in range(3)))
        assert {answer.status_code for answer in answers} == {503}
        assert {answer.headers["retry-after"] for answer in answers} == {"1"}
    assert raffle.groups == []
    assert await raffle.count() == (0, 0, 0)
    assert (await raffle.ask()).status_code == 201


async def test_a_stop_waits_for_the_transaction_in_flight(raffle: Raffle) -> None:
    async with raffle.busy():
        drained = asyncio.create_task(raffle.running.desk.gathering.drained())
        asked = asyncio.create_task(raffle.ask())
        await raffle.until_waiting(1)
        assert not drained.done()
    await drained
    assert (await asked).status_code == 201
