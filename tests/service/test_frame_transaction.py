"""One transaction per request: a Problem leaves no trace, a failed commit is never a success, a key has one effect."""

import asyncio
from uuid import UUID, uuid4

import asyncpg
import httpx2
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from shared.auth import Role
from shared.problems import CONFLICT, Problem
from tests.service.frame_notebook import Notebook, another_process, open_notebook
from tests.world import KAGOSHIMA, KIRISHIMA, World

NOTE = {"body": "家賃の相談"}


@pytest.fixture
async def notebook(world: World) -> Notebook:
    return await open_notebook(world)


async def test_a_problem_after_telling_leaves_no_row_no_event_and_no_key(notebook: Notebook) -> None:
    async def contradict(_session: AsyncSession, _note: UUID) -> None:
        raise Problem(CONFLICT)

    notebook.meanwhile = contradict
    answer = await notebook.running.as_().post("/v1/notes", NOTE)
    assert answer.status_code == 409
    assert await notebook.count() == (0, 0, 0)


async def test_a_bug_after_telling_leaves_nothing_and_the_relay_is_not_woken(notebook: Notebook) -> None:
    woken: list[int] = []
    notebook.running.database.after_emit = lambda: woken.append(1)

    async def stumble(_session: AsyncSession, _note: UUID) -> None:
        raise RuntimeError("canary-山田")

    notebook.meanwhile = stumble
    answer = await notebook.running.as_().post("/v1/notes", NOTE)
    assert answer.status_code == 500
    assert "canary" not in answer.text
    assert await notebook.count() == (0, 0, 0)
    assert not woken


async def test_success_writes_everything_and_wakes_the_relay_after_the_commit(notebook: Notebook) -> None:
    seen: list[int] = []
    notebook.running.database.after_emit = lambda: seen.append(1)
    answer = await notebook.running.as_().post("/v1/notes", NOTE)
    assert answer.status_code == 201
    assert await notebook.count() == (1, 1, 1)
    assert seen == [1]
    tables = ("frame_note", "outbox", "idempotency")
    wrote = await notebook.running.rows(" UNION ".join(f"SELECT xmin::text FROM {table}" for table in tables))
    assert len(wrote) == 1, "the effect, what is told of it, and the kept answer are one transaction"


async def test_a_constraint_that_fails_at_the_commit_is_never_a_success(notebook: Notebook) -> None:
    async def point_nowhere(session: AsyncSession, note: UUID) -> None:
        await session.execute(text("UPDATE frame_note SET twin = :twin WHERE id = :id"), {"twin": uuid4(), "id": note})

    notebook.meanwhile = point_nowhere
    answer = await notebook.running.as_().post("/v1/notes", NOTE)
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert await notebook.count() == (0, 0, 0)


async def test_a_connection_lost_before_the_commit_is_a_503_that_may_be_tried_again(
    notebook: Notebook, world: World
) -> None:
    admin = await asyncpg.connect(user="postgres", database=world.database_name, host=str(world.postgres.socket_folder))

    async def pull_the_plug(session: AsyncSession, _note: UUID) -> None:
        pid = (await session.execute(text("SELECT pg_backend_pid()"))).scalar_one()
        await admin.execute("SELECT pg_terminate_backend($1)", pid)
        while await admin.fetchval("SELECT count(*) FROM pg_stat_activity WHERE pid = $1", pid):  # noqa: ASYNC110 - it changes elsewhere
            await asyncio.sleep(0.005)

    notebook.meanwhile = pull_the_plug
    key = str(uuid4())
    answer = await notebook.running.as_().post("/v1/notes", NOTE, key=key)
    await admin.close()
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    assert await notebook.count() == (0, 0, 0)

    async def nothing(_session: AsyncSession, _note: UUID) -> None: ...

    notebook.meanwhile = nothing
    assert (await notebook.running.as_().post("/v1/notes", NOTE, key=key)).status_code == 201
    assert await notebook.count() == (1, 1, 1)


async def test_a_put_or_patch_that_loses_its_connection_is_no_success_either(notebook: Notebook) -> None:
    caller = notebook.running.as_()
    made = await caller.post("/v1/notes", NOTE)
    path = made.headers["location"]
    commit = notebook.running.database.commit

    async def lose(session: AsyncSession) -> None:
        pid = (await session.execute(text("SELECT pg_backend_pid()"))).scalar_one()
        await notebook.running.rows("SELECT pg_terminate_backend($1)", pid)
        await commit(session)

    notebook.running.database.commit = lose  # type: ignore[method-assign]
    assert (await caller.patch(path, {"body": "新しい"}, etag='"1"')).status_code == 503
    notebook.running.database.commit = commit  # type: ignore[method-assign]
    assert (await caller.get(path)).json() == {"body": "家賃の相談", "version": 1}


# ---------------------------------------------------------------------------------------------------- Idempotency-Key


async def test_the_same_key_and_body_get_the_same_bytes_and_one_effect(notebook: Notebook) -> None:
    caller, key = notebook.running.as_(), str(uuid4())
    first = await caller.post("/v1/notes", NOTE, key=key)
    again = await caller.post("/v1/notes", NOTE, key=key)
    assert (again.status_code, again.content) == (first.status_code, first.content)
    for name in ("content-type", "location", "etag"):
        assert again.headers[name] == first.headers[name]
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert await notebook.count() == (1, 1, 1)


async def test_the_order_and_spacing_of_a_body_do_not_matter_but_its_values_do(notebook: Notebook) -> None:
    caller, key = notebook.running.as_(), str(uuid4())
    headers = {"Content-Type": "application/json"}
    one = '{"body": "同じ", "municipality": "462012"}'
    two = '{ "municipality":"462012",\n"body":"\\u540c\\u3058" }'
    first = await caller.post("/v1/notes", key=key, content=one, headers=headers)
    assert first.status_code == 201
    assert (await caller.post("/v1/notes", key=key, content=two, headers=headers)).content == first.content
    other = await caller.post("/v1/notes", {"body": "別の"}, key=key)
    assert other.status_code == 422
    assert other.json()["code"] == "idempotency_key_reused"
    query = await caller.post("/v1/notes?colour=red", key=key, content=one, headers=headers)
    assert query.status_code == 422
    assert await notebook.count() == (1, 1, 1)


async def test_the_same_key_for_another_record_or_version_is_another_request(notebook: Notebook) -> None:
    caller, key, ours = notebook.running.as_(), str(uuid4()), f"/v1/notes/{uuid4()}/sign"
    first = await caller.post(ours, key=key, headers={"If-Match": '"1"'})
    assert (await caller.post(ours, key=key, headers={"If-Match": '"1"'})).content == first.content
    for path, read in ((f"/v1/notes/{uuid4()}/sign", '"1"'), (ours, '"2"')):
        other = await caller.post(path, key=key, headers={"If-Match": read})
        assert other.status_code == 422, other.text
        assert other.json()["code"] == "idempotency_key_reused"


async def test_a_key_in_quotes_is_the_same_key(notebook: Notebook) -> None:
    caller, key = notebook.running.as_(), str(uuid4())
    first = await caller.post("/v1/notes", NOTE, key=key)
    assert (await caller.post("/v1/notes", NOTE, key=f'"{key}"')).content == first.content


async def test_another_caller_with_the_same_key_is_another_request(notebook: Notebook) -> None:
    key = str(uuid4())
    one = await notebook.running.as_("kagoshima-desk").post("/v1/notes", NOTE, key=key)
    two = await notebook.running.as_("kirishima-desk").post("/v1/notes", NOTE, key=key)
    assert (one.status_code, two.status_code) == (201, 201)
    assert one.json()["id"] != two.json()["id"]


async def test_a_repeat_is_authorised_again_before_the_kept_answer_is_given(notebook: Notebook) -> None:
    key = str(uuid4())
    roles = (Role.COUNSELLOR, Role.DIRECTORY)
    rich = notebook.running.as_("kagoshima-desk", *roles, municipalities=[KAGOSHIMA, KIRISHIMA])
    first = await rich.post("/v1/notes", NOTE, key=key)
    for poorer in (
        notebook.running.as_("kagoshima-desk", *roles, municipalities=[KAGOSHIMA]),
        notebook.running.as_("kagoshima-desk", Role.COUNSELLOR, municipalities=[KAGOSHIMA, KIRISHIMA]),
    ):
        answer = await poorer.post("/v1/notes", NOTE, key=key)
        assert answer.status_code == 401
        assert first.json()["id"] not in answer.text
    without = notebook.running.as_("kagoshima-desk", Role.DIRECTORY, municipalities=[KAGOSHIMA, KIRISHIMA])
    assert (await without.post("/v1/notes", NOTE, key=key)).status_code == 403
    assert (await notebook.running.anonymous.post("/v1/notes", NOTE, key=key)).status_code == 401
    richer = notebook.running.as_("kagoshima-desk", *roles, Role.PLANNER, municipalities=[KAGOSHIMA, KIRISHIMA])
    assert (await richer.post("/v1/notes", NOTE, key=key)).content == first.content


async def test_fifty_at_once_with_one_key_have_one_effect_and_one_answer(notebook: Notebook) -> None:
    caller, key = notebook.running.as_(), str(uuid4())
    answers = await asyncio.gather(*(caller.post("/v1/notes", NOTE, key=key) for _ in range(50)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert notebook.runs == 1
    assert await notebook.count() == (1, 1, 1)


async def test_fifty_over_two_processes_have_one_effect(notebook: Notebook, world: World) -> None:
    other = await another_process(world, notebook)
    callers = [notebook.running.as_(), other.running.as_()]
    key = str(uuid4())
    answers = await asyncio.gather(*(callers[n % 2].post("/v1/notes", NOTE, key=key) for n in range(50)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert notebook.runs + other.runs == 1
    assert await notebook.count() == (1, 1, 1)


async def test_a_repeat_while_the_first_is_running_waits_for_its_answer(notebook: Notebook) -> None:
    gate, inside = asyncio.Event(), asyncio.Event()

    async def wait(_session: AsyncSession, _note: UUID) -> None:
        inside.set()
        await gate.wait()

    notebook.meanwhile = wait
    caller, key = notebook.running.as_(), str(uuid4())
    first = asyncio.create_task(caller.post("/v1/notes", NOTE, key=key))
    await inside.wait()
    second = asyncio.create_task(caller.post("/v1/notes", NOTE, key=key))
    while notebook.running.desk.lines._places and next(iter(notebook.running.desk.lines._places.values())).people < 2:  # noqa: ASYNC110 - it changes elsewhere
        await asyncio.sleep(0)
    gate.set()
    assert (await first).content == (await second).content
    assert notebook.runs == 1


async def test_a_repeat_that_another_process_is_still_working_on_is_a_409(world: World) -> None:
    notebook = await open_notebook(world)

    async def hurry(session: AsyncSession, _note: UUID) -> None: ...

    notebook.meanwhile = hurry
    key = str(uuid4())
    engine = notebook.running.database.engine
    other = await engine.connect()
    try:
        await other.execute(
            text(
                "INSERT INTO idempotency (caller, route, key, fingerprint, authority)"
                " VALUES ('client-kagoshima-desk', 'POST /v1/notes', :key, '', '{}')"
            ),
            {"key": key},
        )
        answer = await notebook.running.as_().post("/v1/notes", NOTE, key=key)
        assert answer.status_code == 409
        assert answer.json()["code"] == "request_in_progress"
        assert answer.headers["retry-after"]
        await other.rollback()
    finally:
        await other.close()
    assert (await notebook.running.as_().post("/v1/notes", NOTE, key=key)).status_code == 201


@pytest.mark.parametrize("key", [b"short", b"x" * 21, b"x" * 129, b"\xe9" * 30, b"\t" * 30], ids=range(5))
async def test_an_unusable_key_is_a_400(notebook: Notebook, key: bytes) -> None:
    headers = {name.encode(): value.encode() for name, value in notebook.running.as_()._headers.items()}
    answer = await notebook.running.client.post("/v1/notes", json=NOTE, headers=headers | {b"Idempotency-Key": key})
    assert answer.status_code == 400
    assert answer.json()["code"] in {"idempotency_key_invalid", "idempotency_key_missing"}


@pytest.mark.parametrize(
    ("key", "status"),
    [
        ("123456789018-1234567890ab", 400),
        ("2026-seat-123456789018-again", 400),
        ("seat-request-1234-5678-9018", 400),
        ("1234 5678 9018 for kagoshima", 400),
        ("01939c1e-7a10-7c44-9f55-123456789018", 201),
        ("01939c1e7a107c449f55123456789018", 201),
        ("sha256-ab123456789018cd0123456789abcdef", 201),
        ("2026-11-29T10:30:00+09:00 42", 201),
    ],
)
async def test_no_key_keeps_a_my_number_and_none_is_seen_in_an_id(notebook: Notebook, key: str, status: int) -> None:
    assert (await notebook.running.as_().post("/v1/notes", NOTE, key=key)).status_code == status


async def test_a_post_without_a_key_is_a_400(notebook: Notebook) -> None:
    answer = await notebook.running.client.post("/v1/notes", json=NOTE, headers=notebook.running.as_()._headers)
    assert answer.status_code == 400
    assert answer.json()["code"] == "idempotency_key_missing"
    assert await notebook.count() == (0, 0, 0)


@pytest.mark.parametrize("bad", [{"body": 5}, {"body": "x", "unknown": 1}, {"body": "個人番号 123456789018"}])
async def test_a_refused_request_keeps_neither_key_nor_answer(notebook: Notebook, bad: object) -> None:
    caller, key = notebook.running.as_(), str(uuid4())
    assert (await caller.post("/v1/notes", bad, key=key)).status_code == 422
    assert await notebook.count() == (0, 0, 0)
    assert (await caller.post("/v1/notes", NOTE, key=key)).status_code == 201


async def test_what_is_not_found_is_a_404_and_reading_needs_no_key(notebook: Notebook) -> None:
    answer: httpx2.Response = await notebook.running.as_().get(f"/v1/notes/{uuid4()}")
    assert answer.status_code == 404
    assert answer.json()["code"] == "not_found"
