"""NUL, which no column of text takes, is refused at every door of every route, and is never a fault of ours."""

import copy
import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from shared.auth import Role
from tests.world import SERVICES, World, token

CARELESS = "a\x00b"


def operations(document: Any) -> Iterator[tuple[str, str, Any]]:
    """Method, path and description of every operation."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def names_of(operation: Any, place: str) -> list[str]:
    """The operation's parameters in the path, the query or the headers."""
    return [each["name"] for each in operation.get("parameters", []) if each["in"] == place]


def filled(path: str, *, spoilt: str | None = None) -> str:
    """The path with an id for every parameter, and a NUL in one of them."""
    for name in [part[1:-1] for part in path.split("/") if part.startswith("{")]:
        path = path.replace(f"{{{name}}}", "a%00b" if name == spoilt else str(uuid4()))
    return path


def body_of(document: Any, operation: Any) -> dict[str, Any] | None:
    """A JSON body for the operation: its fullest example, and every other field that it may have."""
    content = operation.get("requestBody", {}).get("content", {})
    if "application/json" not in content:
        return None
    schema = content["application/json"]["schema"]
    (schema,) = [each for each in schema.get("anyOf", [schema]) if each.get("type") != "null"]
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    (*_, example) = schema.get("examples", [{}])
    body: dict[str, Any] = dict.fromkeys(schema["properties"], "text") | example
    return body


def spoilt_bodies(body: dict[str, Any]) -> Iterator[Any]:
    """The body again and again, each time with a NUL in another text or name."""
    places: list[Any] = [body]
    while places:
        place = places.pop()
        members = place.items() if isinstance(place, dict) else enumerate(place)
        for name, value in list(members):
            if isinstance(value, dict | list):
                places.append(value)
                continue
            place[name] = CARELESS
            yield copy.deepcopy(body)
            place[name] = value
        if isinstance(place, dict):
            place[CARELESS] = 1
            yield copy.deepcopy(body)
            del place[CARELESS]


def requests_of(method: str, path: str, operation: Any, body: dict[str, Any] | None) -> Iterator[dict[str, Any]]:
    """Every way to say NUL to an operation."""
    plain: dict[str, Any] = {"method": method, "url": filled(path), "headers": {"Idempotency-Key": str(uuid4())}}
    if body is not None:
        plain["json"] = body
    for name in names_of(operation, "path"):
        yield plain | {"url": filled(path, spoilt=name)}
    for name in [*names_of(operation, "query"), "unknown"]:
        yield plain | {"params": {name: CARELESS}}
    yield plain | {"params": {CARELESS: "1"}}
    for name in {*names_of(operation, "header"), "Idempotency-Key", "If-Match", "Last-Event-ID", "Accept-Language"}:
        yield plain | {"headers": plain["headers"] | {name: f"{uuid4()}\x00"}}
    for spoilt in spoilt_bodies(copy.deepcopy(body)) if body is not None else ():
        yield plain | {"json": spoilt, "headers": plain["headers"] | {"If-Match": '"1"'}}
    if "text/csv" in operation.get("requestBody", {}).get("content", {}):
        for content in ("a\x00b,c\n1,2\n", "a,b\n1,2\x00\n", "\x00"):
            for encoding in ("utf-8-sig", "cp932"):
                csv = {"Content-Type": "text/csv"}
                yield plain | {"content": content.encode(encoding), "headers": plain["headers"] | csv}


@pytest.mark.parametrize("name", SERVICES)
async def test_a_nul_is_refused_by_every_operation_wherever_it_stands(world: World, name: str) -> None:
    running = world.service(name)
    bearer = {"Authorization": f"Bearer {token('kagoshima-desk', *Role)}"}
    asked, wrong = 0, []
    document = running.app.openapi()
    for method, path, operation in operations(document):
        for request in requests_of(method, path, operation, body_of(document, operation)):
            answer = await running.client.request(**request | {"headers": request["headers"] | bearer})
            asked += 1
            if not 400 <= answer.status_code < 500 or answer.headers["content-type"] != "application/problem+json":
                wrong.append((method, path, answer.status_code, request))
            assert "\\u0000" not in answer.text
            assert "\x00" not in answer.text
    assert wrong == []
    assert asked > 20


@pytest.mark.parametrize("name", SERVICES)
async def test_where_the_nul_stands_is_said(world: World, name: str) -> None:
    client = world.service(name).client
    places = {
        "path": {"url": "/v1/a%00b"},
        "query": {"url": "/health/live?a=%00"},
        "header": {"url": "/health/live", "headers": {"X-Any": "\x00"}},
    }
    for place, request in places.items():
        answer = await client.get(**request)  # type: ignore[arg-type]
        assert answer.status_code == 422
        (error,) = answer.json()["errors"]
        assert (error["in"], error["code"]) == (place, "control_character")
        assert answer.headers["x-request-id"]


async def test_a_caller_s_name_holds_none(world: World) -> None:
    running = world.service("intake")
    for bearer in (token("desk\x00"), token("desk-one", municipalities=["4620\x0012"])):
        headers = {"Authorization": f"Bearer {bearer}", "Idempotency-Key": str(uuid4())}
        answer: httpx2.Response = await running.client.post("/v1/cases", content=json.dumps({}), headers=headers)
        assert answer.status_code == 401
