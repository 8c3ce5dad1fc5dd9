"""The edge: strict JSON, problems for every failure, and a canary that must never be seen again."""

import base64
import io
import json
import logging
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import httpx2
import pytest
import structlog
from fastapi import APIRouter, FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from shared.auth import Role, public
from shared.database import Hot
from shared.service import Service, create_app, router
from shared.settings import Settings
from tests.service.frame_notebook import Notebook, open_notebook
from tests.world import Deaf, Running, World, token

CANARY = "kanaria-7f3a"
MY_NUMBER = "123456789018"
"""Invented, with a right check digit."""
LIMIT = 4_096


class Seen:
    """A notebook, and everything that was logged meanwhile."""

    def __init__(self, notebook: Notebook) -> None:
        self.notebook = notebook
        self.log = io.StringIO()
        everything = structlog.make_filtering_bound_logger(logging.DEBUG)
        structlog.configure(logger_factory=structlog.PrintLoggerFactory(self.log), wrapper_class=everything)

    async def send(self, method: str, path: str, content: object = None, **headers: str) -> httpx2.Response:
        """Send anything at all; the headers are a caller's own, with a key."""
        ours = {"Authorization": f"Bearer {token()}", "Idempotency-Key": str(uuid4())}
        ours["Content-Type"] = "application/json"
        return await self.notebook.running.client.request(
            method,
            path,
            content=content,  # type: ignore[arg-type]
            headers=ours | {name.replace("_", "-"): value for name, value in headers.items()},
        )

    def check(self, answer: httpx2.Response, status: int) -> None:
        """A problem of that status, with no canary in it, in its headers, or in the log."""
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        problem = answer.json()
        assert problem["status"] == status
        assert problem["type"].startswith("urn:tsunagu:problem:")
        assert problem["title"]
        assert problem["title_ja"]
        assert problem["instance"] == f"urn:uuid:{answer.headers['x-request-id']}"
        told = "\n".join([answer.text, *(f"{name}: {value}" for name, value in answer.headers.items())])
        for place, words in (("answer", told), ("log", self.log.getvalue())):
            assert CANARY not in words.lower(), f"the canary is in the {place}"


@pytest.fixture
async def seen(world: World) -> Seen:
    return Seen(await open_notebook(world, log_level="debug", max_body_bytes=LIMIT))


BODIES = {
    "not json": f"{{'{CANARY}'",
    "empty": "",
    "unknown field": json.dumps({"body": "x", CANARY: 1}),
    "unknown field, nested": json.dumps({"body": "x", "details": [{CANARY: CANARY}]}),
    "name of a map's member": json.dumps({"body": "x", "details": [{"marks": {CANARY: CANARY}}]}),
    "duplicate": f'{{"body": "{CANARY}", "body": "{CANARY}"}}',
    "duplicate, nested": f'{{"body": "x", "details": [{{"{CANARY}": 1, "{CANARY}": 2}}]}}',
    "NaN": f'{{"body": "{CANARY}", "anything": NaN}}',
    "NaN in quotes": json.dumps({"body": "x", "details": [{"ratio": "NaN"}]}),
    "Infinity in quotes": json.dumps({"body": "x", "details": [{"ratio": "-Infinity"}]}),
    "Infinity": f'{{"body": "{CANARY}", "anything": -Infinity}}',
    "a float beyond all": f'{{"body": "{CANARY}", "anything": 1e999}}',
    "NUL, escaped": f'{{"body": "{CANARY}\\u0000"}}',
    "NUL, escaped, in a name": f'{{"body": "x", "{CANARY}\\u0000": 1}}',
    "NUL, raw": f'{{"body": "{CANARY}\x00"}}',
    "half a character": f'{{"body": "{CANARY}\\ud800"}}',
    "half a character, deep": f'{{"body": "x", "anything": [[["{CANARY}\\udfff"]]]}}',
    "deep": '{"body": "x", "anything": ' + "[" * 1_900 + f'"{CANARY}"' + "]" * 1_900 + "}",
    "deep enough to get through the parser": '{"body": "x", "anything": ' + "[" * 700 + "]" * 700 + "}",
    "wrong type": json.dumps({"body": {"x": CANARY}}),
    "a list": json.dumps([CANARY]),
    "a text": json.dumps(CANARY),
    "My Number": json.dumps({"body": f"{CANARY} 1234-5678-9018"}),
    "control character": json.dumps({"body": f"{CANARY}\x07"}),
    "wrong code": json.dumps({"body": "x", "municipality": CANARY}),
    "null": "null",
}


@pytest.mark.parametrize("name", BODIES)
async def test_what_is_not_strict_is_refused_and_never_echoed(seen: Seen, name: str) -> None:
    answer = await seen.send("POST", "/v1/notes", BODIES[name].encode("utf-8", "surrogatepass"))
    seen.check(answer, answer.status_code)
    assert answer.status_code in {400, 422}
    assert await seen.notebook.count() == (0, 0, 0)


async def test_absurd_bodies_are_refused_under_a_wide_limit_too(world: World) -> None:
    seen = Seen(await open_notebook(world, max_body_bytes=1_000_000))
    for body in (
        "[" * 100_000 + "]" * 100_000,
        '{"body":"x","anything":' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"body":"x","anything":' + '{"a":' * 50_000 + "1" + "}" * 50_000 + "}",
        '{"body":"x","anything":' + "7" * 200_000 + "}",
    ):
        seen.check(await seen.send("POST", "/v1/notes", body.encode()), 400)


@pytest.mark.parametrize(
    "body",
    [b'{"body": "\xff\xfe"}', b'\xef\xbb\xbf{"body": "x"}', '{"body": "相談"}'.encode("cp932"), "{}".encode("utf-16")],
)
async def test_only_utf8_without_a_mark_is_json(seen: Seen, body: bytes) -> None:
    seen.check(await seen.send("POST", "/v1/notes", body), 400)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", CANARY, "application/xml"])
async def test_another_content_type_is_refused(seen: Seen, kind: str) -> None:
    answer = await seen.send("POST", "/v1/notes", json.dumps({"body": CANARY}).encode(), Content_Type=kind)
    seen.check(answer, 415)
    assert await seen.notebook.count() == (0, 0, 0)


async def test_a_body_that_is_too_long_is_a_413_whether_its_length_is_told_or_not(seen: Seen) -> None:
    long = json.dumps({"body": CANARY * LIMIT}).encode()

    async def in_pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(long), 1_000):
            yield long[start : start + 1_000]

    seen.check(await seen.send("POST", "/v1/notes", long), 413)
    seen.check(await seen.send("POST", "/v1/notes", in_pieces()), 413)
    assert await seen.notebook.count() == (0, 0, 0)


async def test_a_canary_in_any_part_of_a_request_is_never_seen_again(seen: Seen) -> None:
    note = json.dumps({"body": "x"}).encode()
    seen.check(await seen.send("GET", f"/v1/notes/{CANARY}"), 422)
    seen.check(await seen.send("GET", f"/v1/notes?limit={CANARY}"), 422)
    seen.check(await seen.send("GET", f"/v1/notes?cursor={CANARY}"), 422)
    seen.check(await seen.send("GET", f"/v1/notes?colour={CANARY * 3}"), 422)
    seen.check(await seen.send("GET", f"/{CANARY}"), 404)
    seen.check(await seen.send(CANARY.upper().replace("-", ""), "/v1/notes"), 405)
    seen.check(await seen.send(CANARY.upper(), "/v1/notes"), 405)
    seen.check(await seen.send("POST", "/v1/notes", note, Authorization=f"Bearer {CANARY}"), 401)
    seen.check(await seen.send("POST", "/v1/notes", note, Authorization=f"Basic {CANARY}"), 401)
    seen.check(await seen.send("POST", "/v1/notes", note, Idempotency_Key=CANARY), 400)
    path = f"/v1/notes/{uuid4()}"
    seen.check(await seen.send("PATCH", path, note, If_Match=CANARY), 412)
    metrics = (await seen.notebook.running.client.get("/metrics")).text.lower()
    assert CANARY not in metrics
    assert CANARY.replace("-", "") not in metrics


async def test_my_number_is_refused_wherever_it_stands_and_never_seen_again(seen: Seen) -> None:
    """番号法: it may not be kept, so neither in a key, nor in a log, nor in what is told about the mistake."""
    note = json.dumps({"body": "x"}).encode()
    answers = [
        (await seen.send("POST", "/v1/notes", note, Idempotency_Key=f"seat-{MY_NUMBER}-2026-04-01"), 400),
        (await seen.send("POST", "/v1/notes", json.dumps({"body": f"番号は{MY_NUMBER}"}).encode()), 422),
        (await seen.send("POST", "/v1/notes", json.dumps({"body": "x", MY_NUMBER: 1}).encode()), 422),
        (await seen.send("GET", f"/v1/notes/{MY_NUMBER}"), 422),
        (await seen.send("GET", f"/v1/notes?limit={MY_NUMBER}"), 422),
        (await seen.send("GET", f"/v1/notes?cursor={MY_NUMBER}"), 422),
        (await seen.send("GET", f"/{MY_NUMBER}"), 404),
        (await seen.send("PATCH", f"/v1/notes/{uuid4()}", note, If_Match=f'"{MY_NUMBER}"'), 412),
        (await seen.send("GET", "/v1/notes", Authorization=f"Bearer {MY_NUMBER}"), 401),
    ]
    for answer, status in answers:
        assert answer.status_code == status, answer.request.url
        assert MY_NUMBER not in answer.text + str(answer.headers) + seen.log.getvalue()
    assert await seen.notebook.count() == (0, 0, 0)
    # One UUID in three thousand ends like one, and is nobody's number.
    chance = await seen.send("POST", "/v1/notes", note, Idempotency_Key=f"019d44f4-9b2c-7c51-8f0e-{MY_NUMBER}")
    assert chance.status_code == 201


async def test_errors_point_to_the_field_in_two_languages(seen: Seen) -> None:
    body = json.dumps({"body": "x", "details": [{}, {"count": "many"}]})
    answer = await seen.send("POST", "/v1/notes", body.encode())
    seen.check(answer, 422)
    (error,) = answer.json()["errors"]
    assert (error["in"], error["pointer"]) == ("body", "/details/1/count")
    assert error["message"]
    assert error["message_ja"]


async def test_an_unknown_path_is_a_404_and_a_wrong_method_a_405_that_names_the_right_ones(seen: Seen) -> None:
    seen.check(await seen.send("GET", "/nowhere"), 404)
    seen.check(await seen.send("GET", "/v1/notes/"), 404)
    answer = await seen.send("DELETE", "/v1/notes")
    seen.check(answer, 405)
    assert {"GET", "POST"} <= {method.strip() for method in answer.headers["allow"].split(",")}


async def test_a_bug_is_a_500_without_its_text(seen: Seen) -> None:
    async def stumble(_session: AsyncSession, _note: UUID) -> None:
        raise RuntimeError(CANARY)

    async def stumble_in_generated_code(_session: AsyncSession, _note: UUID) -> None:
        exec(compile(f"raise ValueError('{CANARY}')", "<string>", "exec"))  # noqa: S102 - a frame without a folder

    async def insert_it(session: AsyncSession, note: UUID) -> None:
        connection = await session.connection()
        await connection.exec_driver_sql(
            "INSERT INTO frame_note (id, body) VALUES ($1, $2)", (note, CANARY)
        )  # a duplicate key, whose message holds values

    async def wrong_type(session: AsyncSession, note: UUID) -> None:
        connection = await session.connection()
        await connection.exec_driver_sql("SELECT $1::int", (CANARY,))

    for accident in (stumble, stumble_in_generated_code, insert_it, wrong_type):
        seen.notebook.meanwhile = accident
        seen.check(await seen.send("POST", "/v1/notes", json.dumps({"body": CANARY}).encode()), 500)
    assert seen.log.getvalue().count("request_failed") == 4


async def test_an_exhausted_pool_and_an_absent_database_are_a_503_with_retry_after(
    seen: Seen, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = seen.notebook.running.database.engine.sync_engine.pool
    monkeypatch.setattr(pool, "_timeout", 0.05)
    held = [await seen.notebook.running.database.engine.connect() for _ in range(pool.size())]  # type: ignore[attr-defined]
    answer = await seen.send("GET", f"/v1/notes/{uuid4()}")
    for connection in held:
        await connection.close()
    seen.check(answer, 503)
    assert answer.headers["retry-after"]

    away = "postgresql+asyncpg://nobody@127.0.0.1:1/nowhere"
    for address in (away, world.url("nobody_at_all"), "postgresql+asyncpg:///x?host=/nowhere"):
        lost = Seen(await open_lost(world, address))
        answer = await lost.send("GET", f"/v1/notes/{uuid4()}")
        lost.check(answer, 503)
        assert answer.headers["retry-after"]


@pytest.mark.parametrize("limit", ["lock_timeout", "statement_timeout"])
@pytest.mark.parametrize("hot", [False, True])
async def test_who_waits_too_long_for_a_lock_is_told_to_come_again(seen: Seen, limit: str, hot: bool) -> None:
    made = await seen.send("POST", "/v1/notes", json.dumps({"body": "x"}).encode())
    held = UUID(made.json()["id"])

    async def want_what_another_holds(session: AsyncSession, _note: UUID) -> None:
        await session.execute(text(f"SET LOCAL {limit} = '20ms'"))
        locking = "SELECT FROM frame_note WHERE id = :id FOR UPDATE"
        if hot:
            await Hot(locking).rows(session, {"id": held})
        else:
            await session.execute(text(locking), {"id": held})

    seen.notebook.meanwhile = want_what_another_holds
    async with seen.notebook.running.database.session() as another:
        await another.execute(text("SELECT FROM frame_note WHERE id = :id FOR UPDATE"), {"id": held})
        answer = await seen.send("POST", "/v1/notes", json.dumps({"body": "x"}).encode())
    seen.check(answer, 503)
    assert answer.headers["retry-after"]
    assert await seen.notebook.count() == (1, 1, 1)


async def open_lost(world: World, address: str) -> Notebook:
    """A notebook whose database isn't there."""
    notebook = Notebook()
    notebook.running = Running(notebook.declared(), world.settings("intake", database_url=address))
    world._running[address] = notebook.running
    return notebook


async def test_every_answer_carries_a_request_id_and_says_nosniff(seen: Seen) -> None:
    answers = [await seen.send("GET", "/v1/notes"), await seen.send("GET", "/nowhere")]
    assert len({UUID(answer.headers["x-request-id"]) for answer in answers}) == 2
    assert all(answer.headers["x-content-type-options"] == "nosniff" for answer in answers)


async def test_a_request_is_one_line_of_allowed_keys(seen: Seen) -> None:
    await seen.send("POST", "/v1/notes", json.dumps({"body": CANARY}).encode())
    (line,) = [json.loads(line) for line in seen.log.getvalue().splitlines()]
    assert line["event"] == "request"
    assert (line["method"], line["route"], line["status"]) == ("POST", "/v1/notes", 201)
    assert line["agency"] == "kagoshima-desk"
    assert CANARY not in seen.log.getvalue()


# ------------------------------------------------------------------------------------------------------- default deny


def started(*routers: APIRouter) -> FastAPI:
    """What a service with these routers becomes."""
    service = Service(name="intake", title="x", title_ja="x", routers=routers)
    return create_app(service, Settings(log_level="error"), transport=Deaf())


def test_a_route_that_declares_no_rule_stops_the_start() -> None:
    bare = router(tag="x")

    @bare.get("/v1/open")
    async def open_to_all() -> None: ...

    with pytest.raises(RuntimeError, match="/v1/open declares no rule"):
        started(bare)


def test_neither_does_an_included_router_nor_a_socket_slip_through() -> None:
    outer, inner = APIRouter(prefix="/outer"), router(tag="x")

    @inner.get("/open")
    async def open_to_all() -> None: ...

    outer.include_router(inner)
    with pytest.raises(RuntimeError, match="/outer/open declares no rule"):
        started(outer)
    sockets = APIRouter()

    @sockets.websocket("/socket")
    async def talk() -> None: ...

    with pytest.raises(RuntimeError, match="/socket declares no rule"):
        started(sockets)


def test_a_declared_route_starts() -> None:
    fine = router(tag="x")

    @fine.get("/v1/open", dependencies=[public])
    async def open_to_all() -> None: ...

    assert started(fine).title == "x"


# -------------------------------------------------------------------------------------------------------------- tokens


@pytest.mark.parametrize(
    "given",
    ["", "Bearer", "Bearer ", "Bearer a.b.c", "Bearer W1tb.W10.x", "Basic eDp4", "bearer x", "Bearer " + "A" * 30_000],
    ids=range(8),
)
async def test_a_bad_token_is_a_401_that_says_how_to_ask(seen: Seen, given: str) -> None:
    answer = await seen.send("GET", "/v1/notes", Authorization=given)
    seen.check(answer, 401)
    assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_a_deep_or_foreign_token_is_a_401_and_no_accident(seen: Seen) -> None:
    deep = base64.urlsafe_b64encode(b"[" * 30_000).decode()
    for raw in (f"Bearer {deep}.e30.e30".encode(), "Bearer 相談.受付.中".encode(), b"Bearer \xff\xfe.\x80.x"):
        answer = await seen.notebook.running.client.get("/v1/notes", headers={b"Authorization": raw})
        seen.check(answer, 401)
    assert "request_failed" not in seen.log.getvalue()


async def test_a_role_that_does_not_fit_is_a_403(seen: Seen) -> None:
    answer = await seen.notebook.running.as_("desk", Role.OBSERVER).get("/v1/notes")
    seen.check(answer, 403)
