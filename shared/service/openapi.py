"""OpenAPI 3.1 from the code, finished so that strict linters and client generators accept it."""

import json
import re
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from shared import VERSION
from shared.service.declare import Service
from shared.service.idempotency import KEY_HEADER

_DETAIL = {"type": ["string", "integer", "null"], "description": "A row of a file is a number; others are texts."}
_PROBLEM = {
    "type": "object",
    "description": "RFC 9457 problem details. `type` and `code` are stable; titles are for people.",
    "required": ["type", "title", "title_ja", "status", "code"],
    "properties": {
        "type": {"type": "string", "format": "uri", "examples": ["urn:tsunagu:problem:not_found"]},
        "title": {"type": "string"},
        "title_ja": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string"},
        "detail": {"type": "string"},
        "detail_ja": {"type": "string"},
        "instance": {"type": "string", "format": "uri"},
        "errors": {"type": "array", "items": {"type": "object", "additionalProperties": _DETAIL}},
    },
}


_PAGE_OF = re.compile(r"\bPage_(\w+)_(?=\")")
_PARAMETER = re.compile(r"{(\w+)}")


def describe(app: FastAPI, service: Service) -> None:
    """Make `app.openapi()` give the finished document."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _finished(app, service)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _finished(app: FastAPI, service: Service) -> dict[str, Any]:
    made = get_openapi(
        title=f"Tsunagu {service.title}",
        version=VERSION,
        openapi_version="3.1.0",
        summary=service.title_ja,
        description=f"{service.title_ja}。Times are RFC 3339; codes are stable; errors are RFC 9457 problems.",
        routes=app.routes,
        tags=[{"name": name, "x-displayName": shown} for name, shown in service.tags.items()],
        servers=[{"url": f"/{service.name}", "description": "Same origin, embedded or behind the gateway"}],
    )
    # A list's shape is called `Page_CaseAnswer_` otherwise, and generated clients make a class of that.
    document: dict[str, Any] = json.loads(_PAGE_OF.sub(r"\1Page", json.dumps(made)))
    document["info"]["license"] = {"name": "Apache-2.0", "identifier": "Apache-2.0"}
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas["Problem"] = _PROBLEM
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    for path in document.get("paths", {}).values():
        for method, operation in path.items():
            _finish_operation(method, operation)
    _lead_on(document)
    return document


def _lead_on(document: dict[str, Any]) -> None:
    """Links: what a POST made is asked for by the operations under its id, and changed with the ETag that it came with.

    Clients find their way by them, and so do tests that go on from one answer to the next.
    """
    for path, operations in document.get("paths", {}).items():
        made = operations.get("post", {}).get("responses", {}).get("201", {})
        links = {
            operation["operationId"]: {"operationId": operation["operationId"], "parameters": parameters}
            for target, others in document["paths"].items()
            for method, operation in others.items()
            if made and (parameters := _under_id(document, path, operations["post"], target, method)) is not None
        }
        if links:
            made["links"] = links


def _under_id(
    document: dict[str, Any], path: str, post: dict[str, Any], target: str, method: str
) -> dict[str, str] | None:
    """Where an operation's path takes its ids from, if it lies under the id of what this POST made."""
    collection, below = path.rpartition("/")[2], target.startswith(f"{path}/")
    own, asked = _PARAMETER.findall(path), _PARAMETER.findall(target)
    parameters = {name: f"$request.path.{name}" for name in asked if name in own}
    for name in asked:
        if name in own or f"/{collection}/{{{name}}}" not in target:
            continue
        if name in _fields_of(document, post["responses"]["201"]):
            parameters[name] = f"$response.body#/{name}"
        elif below and name in _fields_of(document, post.get("requestBody", {})):
            parameters[name] = f"$request.body#/{name}"
    if set(parameters) != set(asked) or not set(asked) - set(own):
        return None
    if method in {"patch", "put"} and target == f"{path}/{{{asked[-1]}}}":
        parameters["header.If-Match"] = "$response.header.ETag"
    return parameters


def _fields_of(document: dict[str, Any], described: dict[str, Any]) -> set[str]:
    """The fields of a body or an answer that is an object with a name of its own."""
    reference = described.get("content", {}).get("application/json", {}).get("schema", {}).get("$ref", "")
    fields: dict[str, Any] = (
        document["components"]["schemas"].get(reference.rpartition("/")[2], {}).get("properties", {})
    )
    return set(fields)


def _finish_operation(method: str, operation: dict[str, Any]) -> None:
    parameters = [p for p in operation.get("parameters", []) if p["name"] != KEY_HEADER or method == "post"]
    for parameter in parameters:
        if parameter["name"] == KEY_HEADER:
            parameter["required"] = True
            parameter["schema"] = {"type": "string", "minLength": 22, "maxLength": 128}
        if parameter["name"].lower() == "if-match":
            parameter["required"] = method == "patch"  # a POST may do without: its illegal moves are refused anyway
            parameter["schema"] = {"type": "string", "examples": ['"1"']}
    if parameters:
        operation["parameters"] = parameters
    else:
        operation.pop("parameters", None)
    operation.setdefault("security", [])
    responses = operation["responses"]
    responses.pop("422", None)
    responses["4XX"] = _problem("The request can't be met")
    responses["5XX"] = _problem("A fault or an outage here")
    for response in responses.values():
        for media in response.get("content", {}).values():
            if "itemSchema" in media:  # an OpenAPI 3.2 keyword in a 3.1 document
                media["x-event-schema"] = media.pop("itemSchema")
                media["schema"] = {"type": "string"}


def _problem(description: str) -> dict[str, Any]:
    return {
        "description": description,
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
