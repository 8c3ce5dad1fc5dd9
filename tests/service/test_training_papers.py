"""Papers of a request as a numbered series: over HTTP, and against inserts around the code."""

from datetime import date, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from sqlalchemy import text

from shared.events import InstructionCancelled, InstructionIssued
from shared.service.clock import day_in_japan, wall_time
from tests.service.training_courses import (
    ENTITY,
    HELLO_WORK_ENTITY,
    an_offer,
    broken_promises,
    desk,
    hello_work,
    moment,
    offer_again,
    offered,
    placement,
    planner,
    school,
    seat,
    state_of,
    step,
)
from tests.world import Running, World

OFFICE = {"legal_entity": HELLO_WORK_ENTITY}
SUPPORT = OFFICE | {"kind": "support_instruction"}
RECOMMENDATION = OFFICE | {"kind": "recommendation"}


@pytest.fixture
def training(world: World) -> Running:
    return world.service("training")


def today(training: Running) -> date:
    return day_in_japan(wall_time() + training.desk.clock.offset)


async def supported(training: Running, **more: Any) -> dict[str, Any]:
    """Somebody with a support instruction that stands."""
    asked = await seat(training, await offered(training, **more))
    await step(placement(training), asked, "nominate", ENTITY)
    await step(hello_work(training), asked, "countersign")
    assert (await step(hello_work(training), asked, "instruct", SUPPORT)).status_code == 200
    return asked


async def cancelled(training: Running, asked: dict[str, Any]) -> None:
    answer = await step(hello_work(training), asked, "cancel-instruction", {"reason": "not_entitled"})
    assert answer.status_code == 200, answer.text


async def papers_of(training: Running, asked: dict[str, Any]) -> list[dict[str, Any]]:
    answer = await desk(training).get(f"/v1/seat-requests/{asked['seat_request_id']}/record")
    papers: list[dict[str, Any]] = answer.json()["papers"]
    return papers


async def test_after_a_cancellation_another_paper_follows_and_the_status_says_so(training: Running) -> None:
    asked = await supported(training)
    await cancelled(training, asked)
    shown = (await desk(training).get(f"/v1/seat-requests/{asked['seat_request_id']}")).json()
    assert (shown["state"], shown["status"]) == ("countersigned", "countersigned")
    assert "instruct" in shown["legal_moves"]
    assert [fact["step"] for fact in shown["facts"]][-2:] == ["instructed", "instruction_cancelled"]
    answer = await step(hello_work(training), asked, "instruct", RECOMMENDATION)
    assert (answer.status_code, answer.json()["status"]) == (200, "instructed"), answer.text
    assert [(each["number"], each["kind"], each["stands"]) for each in await papers_of(training, asked)] == [
        (1, "support_instruction", False),
        (2, "recommendation", True),
    ]
    told = [event for event in await training.told() if isinstance(event, InstructionIssued)]
    assert [(event.number, event.kind, event.changes) for event in told] == [
        (1, "support_instruction", None), (2, "recommendation", None),
    ]  # fmt: skip
    assert (await step(school(training), asked, "enrol")).status_code == 200
    assert await broken_promises(training) == []


async def test_a_support_instruction_is_changed_by_the_next_number(training: Running) -> None:
    asked = await supported(training)
    (first,) = await papers_of(training, asked)
    body = SUPPORT | {"changes": first["id"], "document_number": "鹿安第13号"}
    assert (await step(hello_work(training), asked, "instruct", body)).json()["status"] == "instructed"
    papers = await papers_of(training, asked)
    assert [(each["number"], each["changes"], each["stands"]) for each in papers] == [
        (1, None, False), (2, first["id"], True),
    ]  # fmt: skip
    told = (await training.told())[-1]
    assert isinstance(told, InstructionIssued)
    assert (told.number, str(told.changes)) == (2, first["id"])
    for wrong in (SUPPORT | {"changes": first["id"]}, RECOMMENDATION | {"changes": papers[1]["id"]}):
        refused = await step(hello_work(training), asked, "instruct", wrong)
        assert (refused.status_code, refused.json()["code"]) == (409, "nothing_to_change")
    again = await step(hello_work(training), asked, "instruct", SUPPORT)
    assert (again.status_code, again.json()["code"]) == (409, "illegal_move")
    await cancelled(training, asked)
    assert [each["stands"] for each in await papers_of(training, asked)] == [False, False]


async def test_who_is_enrolled_stays_so_while_papers_change(training: Running) -> None:
    asked = await supported(training)
    assert (await step(school(training), asked, "enrol")).status_code == 200
    await cancelled(training, asked)
    assert await state_of(training, asked) == "enrolled"
    answer = await step(hello_work(training), asked, "instruct", RECOMMENDATION)
    assert (answer.status_code, answer.json()["status"]) == (200, "enrolled"), answer.text
    again = await step(hello_work(training), asked, "instruct", RECOMMENDATION)
    assert (again.status_code, again.json()["code"]) == (409, "illegal_move")
    assert len(await papers_of(training, asked)) == 2


async def test_a_seat_is_kept_for_the_next_paper_until_the_first_day(training: Running) -> None:
    starts = today(training) + timedelta(days=20)
    offer = an_offer(starts_on=starts, capacity=1, applications_close_at=wall_time() + timedelta(days=5))
    course = await offered(training, offer)
    asked = await supported_in(training, course)
    await cancelled(training, asked)
    told = (await training.told())[-1]
    assert isinstance(told, InstructionCancelled)
    shown = (await desk(training).get(f"/v1/seat-requests/{asked['seat_request_id']}")).json()
    assert told.expires_at == moment(shown["expires_at"])
    assert day_in_japan(told.expires_at) == starts
    # A change of the entry that doesn't move the start leaves it, though applications are closed.
    training.pass_time(timedelta(days=6))
    await offer_again(training, an_offer(**{**vars_of(offer), "title": "別の名"}))
    await training.sweep()
    assert await state_of(training, asked) == "countersigned"
    training.pass_time(timedelta(days=16))
    await training.sweep()
    assert await state_of(training, asked) == "released"
    assert await broken_promises(training) == []


def vars_of(offer: Any) -> dict[str, Any]:
    return {name: getattr(offer, name) for name in offer.__slots__}


async def supported_in(training: Running, course: UUID) -> dict[str, Any]:
    asked = await seat(training, course)
    await step(placement(training), asked, "nominate", ENTITY)
    await step(hello_work(training), asked, "countersign")
    assert (await step(hello_work(training), asked, "instruct", SUPPORT)).status_code == 200
    return asked


async def decide(training: Running, mode: str) -> None:
    body = {"prefecture": "46", "mode": mode, "in_force_from": today(training).isoformat(), "decided_by": "協議会"}
    assert (await planner(training).post("/v1/authorities", body)).status_code == 201


async def test_the_mode_in_force_asks_each_next_paper(training: Running) -> None:
    """Issued and cancelled under delegation, from a nomination alone: today's law asks for the countersignature."""
    await decide(training, "delegated")
    asked = await seat(training, await offered(training))
    await step(placement(training), asked, "nominate", ENTITY)
    assert (await step(hello_work(training), asked, "instruct", SUPPORT)).status_code == 200
    await cancelled(training, asked)
    assert await state_of(training, asked) == "nominated"
    await decide(training, "current_law")
    early = await step(hello_work(training), asked, "instruct", RECOMMENDATION)
    assert (early.status_code, early.json()["code"]) == (409, "illegal_move")
    assert (await step(hello_work(training), asked, "countersign")).status_code == 200
    await decide(training, "delegated")
    assert (await step(placement(training), asked, "instruct", ENTITY)).status_code == 200, "the instruction, delegated"
    modes = await training.rows("SELECT number, kind, authority FROM instruction ORDER BY number")
    assert [tuple(row) for row in modes] == [(1, "support_instruction", "delegated"), (2, "instruction", "delegated")]
    by_office, by_placement = [await on_paper(training, asked, number) for number in (1, 2)]
    entrusted = "市町村の無料職業紹介に委ねられたもの"
    assert entrusted not in by_office, "a support instruction stays with Hello Work in both modes"
    assert entrusted in by_placement
    assert "<h1>受講指示書</h1>" in by_placement


# --- around the code --------------------------------------------------------------------------------------------------

INSERT = (
    "INSERT INTO instruction (id, seat_request_id, number, changes, kind, agency, authority, at)"
    " VALUES ($1, $2, $3, $4, $5, 'hello-work-kagoshima', 'current_law', now())"
)
CANCEL = (
    "INSERT INTO instruction_cancellation (instruction_id, reason, agency, at)"
    " VALUES ($1, 'other', 'hello-work-kagoshima', now())"
)


async def test_the_database_lets_one_paper_stand(training: Running) -> None:
    asked, other = await supported(training), await supported(training)
    request = UUID(asked["seat_request_id"])
    (first,), (foreign,) = await papers_of(training, asked), await papers_of(training, other)
    first_id, foreign_id = UUID(first["id"]), UUID(foreign["id"])

    async def refused(number: int, changes: UUID | None, kind: str) -> None:
        with pytest.raises(asyncpg.IntegrityConstraintViolationError):
            await training.rows(INSERT, uuid4(), request, number, changes, kind)

    await refused(2, None, "recommendation")
    await refused(1, None, "recommendation")
    await refused(3, first_id, "support_instruction")
    await refused(2, first_id, "recommendation")
    await refused(2, foreign_id, "support_instruction")
    second = uuid4()
    await training.rows(INSERT, second, request, 2, first_id, "support_instruction")
    with pytest.raises(asyncpg.IntegrityConstraintViolationError):
        await training.rows(CANCEL, first_id)
    await training.rows(CANCEL, second)
    await refused(3, second, "support_instruction")
    await training.rows(INSERT, uuid4(), request, 3, None, "recommendation")
    await refused(4, None, "support_instruction")


async def test_a_paper_changed_and_cancelled_at_once_is_one_of_the_two(training: Running) -> None:
    asked = await supported(training)
    (first,) = await papers_of(training, asked)
    async with training.database.transaction() as holding, training.database.transaction() as late:
        one, two = await _raw(holding), await _raw(late)
        await one.execute(CANCEL, UUID(first["id"]))
        await two.execute("SET LOCAL lock_timeout = '200ms'")
        with pytest.raises(asyncpg.LockNotAvailableError):
            await two.execute(
                INSERT, uuid4(), UUID(asked["seat_request_id"]), 2, UUID(first["id"]), "support_instruction"
            )
        await late.rollback()


async def _raw(session: Any) -> asyncpg.Connection:
    await session.execute(text("SELECT 1"))  # the transaction begins with it
    connection = await session.connection()
    raw = await connection.get_raw_connection()
    driver: asyncpg.Connection = raw.driver_connection
    return driver


async def test_each_paper_is_a_document_of_its_own_and_says_what_became_of_it(training: Running) -> None:
    asked = await supported(training)
    first = await on_paper(training, asked, 1)
    assert "<h1>支援指示書</h1>" in first
    assert "求職者支援法 第12条" in first
    assert "職業訓練受講給付金" in first
    assert HELLO_WORK_ENTITY in first
    assert "変更されました" not in first
    (paper,) = await papers_of(training, asked)
    body = SUPPORT | {"changes": paper["id"], "document_number": "鹿安第13号"}
    await step(hello_work(training), asked, "instruct", body)
    assert "いまの書面は第2号です" in await on_paper(training, asked, 1)
    second = await on_paper(training, asked, 2)
    assert "<p>鹿安第13号</p>" in second
    assert "第1号を変更するものです" in second
    await cancelled(training, asked)
    assert "に取り消されました" in await on_paper(training, asked, 2)
    await step(hello_work(training), asked, "instruct", RECOMMENDATION)
    third = await on_paper(training, asked, 3)
    assert "<h1>受講推薦書</h1>" in third
    assert "給付はありません" in third
    assert "に取り消されました" not in third


async def test_a_paper_is_printed_for_who_may_read_the_record_and_the_reading_is_logged(training: Running) -> None:
    asked = await supported(training)
    path = f"/v1/seat-requests/{asked['seat_request_id']}/papers"
    assert (await desk(training).get(f"{path}/2.html")).status_code == 404
    assert (await desk(training).get(f"{path}/0.html")).status_code == 422
    elsewhere = desk(training, "132098")
    assert (await elsewhere.get(f"{path}/1.html")).status_code == 404
    before = await readings(training)
    await on_paper(training, asked, 1)
    assert await readings(training) == before + 1


async def on_paper(training: Running, asked: dict[str, Any], number: int) -> str:
    answer = await desk(training).get(f"/v1/seat-requests/{asked['seat_request_id']}/papers/{number}.html")
    assert answer.status_code == 200, answer.text
    return str(answer.text)


async def readings(training: Running) -> int:
    return int((await training.rows("SELECT count(*) AS n FROM access_log"))[0]["n"])
