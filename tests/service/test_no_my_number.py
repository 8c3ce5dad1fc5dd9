"""No caller can leave a My Number anywhere: every text of the interfaces is tried, and every column of a file."""

import re
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from services.intake.api.lists import ListedRow
from services.referral.api.rows import AgencyRow, FirmRow, ProfessionalRow, ProgrammeRow, WorkplaceRow
from services.training.api.catalogue_imports import CatalogueRow
from services.training.api.courses import CourseRunRow
from shared.auth import Role
from shared.service.imports import FileRow
from tests.world import SERVICES, World, token

NUMBER = "123456789018"
"""The documented fictitious example."""
WRITTEN = (NUMBER, "1234-5678-9018")
STREAMS = {"/v1/events", "/v1/figures/stream"}
OTHER_WORDS = {
    "municipality": "municipality_code",
    "certified_by": "municipality_code",
    "neighbours": "municipality_code",
    "municipalities": "municipality_code",
    "site_municipality": "municipality_code",
    "proposed_for": "municipality_code",
    "taker": "municipality_code",
    "legal_entity": "corporate_number",
    "cursor": "",
    "types": "",
}
"""Texts of one form alone, which no My Number has: they are refused as what they are not."""
POSITIONS = {"last-event-id"}
"""A number in a sequence, compared and not kept."""


def texts(
    schema: dict[str, Any], whole: dict[str, Any], place: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every place of a shape where a text may stand; "[]" is a member of a list."""
    while "$ref" in schema:
        found: Any = whole
        for step in schema["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        schema = found
    for one in (*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ())):
        yield from texts(one, whole, place)
    if schema.get("type") == "string":
        yield place, schema
    for name, member in schema.get("properties", {}).items():
        yield from texts(member, whole, (*place, name))
    if isinstance(schema.get("items"), dict):
        yield from texts(schema["items"], whole, (*place, "[]"))


def body_with(place: tuple[str, ...], value: str) -> Any:
    if not place:
        return value
    rest = body_with(place[1:], value)
    return [rest] if place[0] == "[]" else {place[0]: rest}


def is_text(schema: dict[str, Any], value: str) -> bool:
    """Whether the description alone lets the value in."""
    if schema.keys() & {"format", "enum", "const"}:
        return False
    return re.search(schema.get("pattern", ""), value) is not None


def requests(whole: dict[str, Any], number: str) -> Iterator[tuple[str, dict[str, Any], bool]]:
    """A request for each place; and whether the number must be refused as one that may not be kept."""
    for path, operations in whole["paths"].items():
        if path in STREAMS or path.startswith(("/health", "/metrics")):
            continue
        for method, operation in operations.items():
            plain: dict[str, Any] = {"method": method.upper(), "url": re.sub(r"{\w+}", str(uuid4()), path)}
            plain["headers"] = {"Idempotency-Key": str(uuid4()), "If-Match": '"1"'}
            for asked in operation.get("parameters", ()):
                name, where = asked["name"], asked["in"]
                for _, schema in texts(asked["schema"], whole):
                    given: dict[str, dict[str, Any]] = {
                        "path": {"url": re.sub(r"{\w+}", number, path)},
                        "query": {"params": {name: number}},
                        "header": {"headers": plain["headers"] | {name: f'"{number}"'}},
                    }
                    one = plain | given[where]
                    text = where != "header" and name not in OTHER_WORDS and is_text(schema, number)
                    if name.lower() not in POSITIONS:
                        yield f"{method} {path} {where} {name}", one, text
            content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
            for place, schema in texts(content.get("schema", {}), whole):
                named = [name for name in place if name != "[]"]
                text = named[-1] not in OTHER_WORDS and is_text(schema, number)
                yield f"{method} {path} {'/'.join(place)}", plain | {"json": body_with(place, number)}, text


SAYS_SO = {"personal_number", "not_in_vocabulary"}
"""A list of codes that are known refuses every number, and says it no more than the others."""


@pytest.mark.parametrize("number", WRITTEN)
@pytest.mark.parametrize("name", SERVICES)
async def test_a_number_that_may_not_be_kept_is_refused_wherever_a_caller_may_write(
    world: World, name: str, number: str
) -> None:
    service, tried, wrong = world.service(name), 0, {}
    bearer = {"Authorization": f"Bearer {token('kagoshima-desk', *Role)}"}
    for what, request, text in requests(service.app.openapi(), number):
        answer = await service.client.request(**request | {"headers": bearer | request["headers"]})
        codes = {error["code"] for error in answer.json().get("errors", ())}
        if not 400 <= answer.status_code < 500 or (text and not codes & SAYS_SO):
            wrong[what] = f"{answer.status_code} {codes}"
        assert number not in answer.text, f"{what} says it again"
        tried += text
    assert wrong == {}
    assert tried >= {"intake": 60, "assessment": 2, "referral": 1, "training": 3, "dashboard": 0}[name]


IMPORTS: dict[str, tuple[str, type[FileRow]]] = {
    "agency": ("referral", AgencyRow),
    "programme": ("referral", ProgrammeRow),
    "professional": ("referral", ProfessionalRow),
    "host-workplace": ("referral", WorkplaceRow),
    "training-firm": ("referral", FirmRow),
    "course-run": ("training", CourseRunRow),
    "catalogue": ("training", CatalogueRow),
    "case": ("intake", ListedRow),
}


@pytest.mark.parametrize("number", WRITTEN)
@pytest.mark.parametrize("kind", IMPORTS)
async def test_no_column_of_a_file_takes_one(world: World, kind: str, number: str) -> None:
    name, row = IMPORTS[kind]
    columns = [field.alias or field_name for field_name, field in row.model_fields.items()]
    for column in columns:
        line = ",".join(number if each == column else "" for each in columns)
        answer = await world.service(name).client.post(
            f"/v1/{kind}-imports",
            content=f"{','.join(columns)}\n{line}\n".encode(),
            headers={
                "Authorization": f"Bearer {token('kagoshima-desk', *Role)}",
                "Idempotency-Key": str(uuid4()),
                "Content-Type": "text/csv",
            },
        )
        assert answer.status_code == 422, f"{column}: {answer.text}"
        assert {error["code"] for error in answer.json()["errors"]} == {"personal_number"}, f"{column}: {answer.text}"
        assert number not in answer.text
