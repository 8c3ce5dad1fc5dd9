"""The OpenAPI documents: valid 3.1, made for strict generators, with a rule on every operation."""

import importlib
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from shared.service import create_app
from shared.settings import Settings
from shared.vault import MasterKeys, new_master_keys
from tests.service.frame_notebook import Notebook
from tests.world import SERVICES, Deaf

METHODS = {"get", "post", "put", "patch", "delete"}


def document_of(name: str) -> dict[str, Any]:
    """A service's description; `notebook` is the tests' own."""
    service = Notebook().declared() if name == "notebook" else importlib.import_module(f"services.{name}.app").service
    return create_app(
        service,
        Settings(service=service.name, log_level="error"),
        transport=Deaf(),
        masters=MasterKeys(new_master_keys),
    ).openapi()


@pytest.fixture(scope="module", params=["notebook", *SERVICES])
def document(request: pytest.FixtureRequest) -> dict[str, Any]:
    return document_of(request.param)


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    """Path, method and operation, one by one."""
    return [
        (path, method, operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method in METHODS
    ]


def test_it_is_valid(document: dict[str, Any]) -> None:
    assert [error.message for error in OpenAPIV31SpecValidator(document).iter_errors()] == []


def test_the_validator_sees_a_mistake() -> None:
    document = document_of("notebook")
    del document["info"]["title"]
    assert list(OpenAPIV31SpecValidator(document).iter_errors())


def test_operation_ids_are_unique_and_plain(document: dict[str, Any]) -> None:
    ids = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(ids) == len(set(ids))
    assert all(id_.isascii() and id_.isidentifier() for id_ in ids)
    assert all(tag.isascii() for _, _, operation in operations(document) for tag in operation.get("tags", []))


def test_every_failure_is_described_as_a_problem(document: dict[str, Any]) -> None:
    for path, method, operation in operations(document):
        for status in ("4XX", "5XX"):
            content = operation["responses"][status]["content"]
            assert list(content) == ["application/problem+json"], f"{method} {path}"
    assert not {"HTTPValidationError", "ValidationError"} & document["components"]["schemas"].keys()


def test_whatever_creates_demands_a_key_and_whatever_changes_demands_what_was_read() -> None:
    for _, method, operation in operations(document_of("notebook")):
        demanded = {p["name"].lower() for p in operation.get("parameters", []) if p.get("required")}
        assert ("idempotency-key" in demanded) == (method == "post")
        assert ("if-match" in demanded) == (method == "patch")
        assert operation["security"]


def test_no_schema_is_named_for_the_place_of_its_class(document: dict[str, Any]) -> None:
    """Two classes of one name are told apart by their modules' names, and every client's code would carry those."""
    assert [name for name in document["components"]["schemas"] if "__" in name] == []


def test_no_keyword_of_a_later_version_slips_in(document: dict[str, Any]) -> None:
    assert "itemSchema" not in str(document)
    assert document["openapi"] == "3.1.0"


def test_what_a_post_made_leads_on_to_whatever_asks_for_its_id() -> None:
    made = {
        operation["operationId"]: {name: link["parameters"] for name, link in links.items()}
        for _, _, operation in operations(document_of("intake"))
        if (links := operation["responses"].get("201", {}).get("links"))
    }
    under_a_case = {
        operation["operationId"]
        for path, _, operation in operations(document_of("intake"))
        if path.startswith("/v1/cases/{case_id}") and path.count("{") == 1
    }
    assert made["open_case"].keys() == under_a_case
    assert made["open_case"]["change_case"] == {
        "case_id": "$response.body#/case_id",
        "header.If-Match": "$response.header.ETag",
    }
    assert made["add_disclosure"]["end_disclosure"] == {
        "case_id": "$request.path.case_id",
        "disclosure_id": "$response.body#/disclosure_id",
    }
    assert made["put_case"]["list_notes"] == {
        "meeting_id": "$request.path.meeting_id",
        "case_id": "$request.body#/case_id",
    }
