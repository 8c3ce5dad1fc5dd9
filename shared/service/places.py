"""Which fields there are at a place of a request's body, by the app's own description: for who sent another."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Schema = Mapping[str, Any]


def names_at(document: Mapping[str, Any], operation_id: str, path: Sequence[str | int]) -> list[str]:
    """The names, in the order of the description; none where it says nothing about the place."""
    schemas = document["components"]["schemas"]
    places = list(_shapes(_body(document, operation_id), schemas))
    for part in path:
        places = [shape for place in places for shape in _shapes(_inside(place, part), schemas)]
    return list(dict.fromkeys(name for place in places for name in place.get("properties", {})))


def _body(document: Mapping[str, Any], operation_id: str) -> Schema:
    for operations in document.get("paths", {}).values():
        for operation in operations.values():
            if operation.get("operationId") == operation_id:
                content = operation.get("requestBody", {}).get("content", {})
                schema: Schema = content.get("application/json", {}).get("schema", {})
                return schema
    return {}


def _inside(place: Schema, part: str | int) -> Schema:
    found: Schema = place.get("items", {}) if isinstance(part, int) else place.get("properties", {}).get(part, {})
    return found


def _shapes(schema: Schema, schemas: Mapping[str, Schema]) -> Iterator[Schema]:
    """The schema itself, or those that it names or chooses among."""
    if "$ref" in schema:
        yield from _shapes(schemas[schema["$ref"].rsplit("/", 1)[1]], schemas)
        return
    yield schema
    for choice in (*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ())):
        yield from _shapes(choice, schemas)
