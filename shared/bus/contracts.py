"""The contracts: what other systems may build on, written from the code and compared with every released version.

`contracts/events/<type>.json` is an event's JSON Schema, `contracts/samples/<type>/<release>.json` an envelope as that
release wrote it, `contracts/released/<release>/events/` the schemas as they were then, `contracts/asyncapi.json` and
`contracts/openapi/<service>.json` the whole. Within a version of an event fields are only added, and never demanded.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from pydantic_core import to_jsonable_python

from shared import VERSION
from shared.bus.envelope import CONTENT_TYPE, headers_of, seal
from shared.bus.port import PARTITIONS
from shared.events import EVENTS, Event, topic_of

Json = dict[str, Any]
Listeners = Mapping[str, Sequence[str]]
"""Who listens: event types (`*` for all) by service, which the caller knows; `shared` knows no service."""

_SCHEMA = "https://json-schema.org/draft/2020-12/schema"
_MOMENT = datetime(2026, 4, 1, 1, 30, tzinfo=UTC)


def write(folder: Path, openapi_documents: Mapping[str, Json], listeners: Listeners) -> list[str]:
    """Bring `folder` up to date; returns what was changed, which is what a reviewer reads."""
    changed = differences(folder, openapi_documents, listeners)
    wanted = documents(openapi_documents, listeners)
    for path in changed:
        target = folder / path
        if path in wanted:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(_text(wanted[path]), encoding="utf-8")
        else:
            target.unlink()
    return changed


def differences(folder: Path, openapi_documents: Mapping[str, Json], listeners: Listeners) -> list[str]:
    """Which files of `folder` are not what the code says: stale, missing, or of an event that is no more."""
    wanted = documents(openapi_documents, listeners)
    stale = {
        path
        for path, document in wanted.items()
        if not (folder / path).is_file() or (folder / path).read_text(encoding="utf-8") != _text(document)
    }
    # Samples and released schemas of the past are evidence; what is generated anew leaves nothing behind.
    left_over = {
        str(path.relative_to(folder))
        for sub in ("events", "openapi")
        for path in (folder / sub).glob("*.json")
        if str(path.relative_to(folder)) not in wanted
    }
    return sorted(stale | left_over)


def documents(openapi_documents: Mapping[str, Json], listeners: Listeners) -> dict[str, Json]:
    """Everything that is generated, by its path in the folder."""
    return {
        **{f"events/{type_}.json": schema_of(event) for type_, event in EVENTS.items()},
        **{f"samples/{type_}/{VERSION}.json": sample_of(event) for type_, event in EVENTS.items()},
        **{f"openapi/{service}.json": dict(document) for service, document in openapi_documents.items()},
        "asyncapi.json": asyncapi(listeners),
    }


def release(folder: Path, version: str) -> list[Path]:
    """Freeze today's schemas as those of a release. A release that was made is never written again."""
    target = folder / "released" / version / "events"
    if target.exists():
        raise FileExistsError(f"{version} is released already")
    target.mkdir(parents=True)
    written = []
    for type_, event in EVENTS.items():
        path = target / f"{type_}.json"
        path.write_text(_text(schema_of(event)), encoding="utf-8")
        written.append(path)
    return written


# ------------------------------------------------------------------------------------------------- schemas and samples


def schema_of(event: type[Event]) -> Json:
    """The event's data as it is written on the wire."""
    # What the model validates is a reader's business; what it serialises is what others get.
    schema = event.model_json_schema(mode="serialization")
    demanded = [name for name, field in event.model_fields.items() if field.is_required()]
    return {
        "$schema": _SCHEMA,
        "$id": f"urn:tsunagu:contract:{event.type}",
        **{name: value for name, value in schema.items() if name != "required"},
        "required": demanded,
    }


def sample_of(event: type[Event]) -> Json:
    """A whole envelope with invented, plausible and repeatable values in every field."""
    case_id = _id(f"case of {event.type}")
    data = {name: _sample(name, event.model_json_schema()["properties"][name]) for name in event.model_fields}
    made = event.model_validate(data | ({event.about: case_id} if event.about == "case_id" else {}))
    value = seal(made, event_id=_id(event.type), at=_MOMENT, sequence=3, by="kagoshima-desk", cause=str(_id("cause")))
    return dict(json.loads(value))


def _sample(name: str, schema: Mapping[str, Any]) -> Any:
    options = [option for option in schema.get("anyOf", [schema]) if option.get("type") != "null"]
    (found,) = options
    if found.get("type") == "array":
        return [_sample(name, found["items"])]
    return _SAMPLES[found["x-class"]](name)


def _id(name: str) -> UUID:
    """A UUID in the form of version 7 that is the same in every run."""
    digits = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
    return UUID(int=0x019D_0000_0000 << 80 | 0x7 << 76 | 0b10 << 62 | digits & (1 << 62) - 1)


_SAMPLES: dict[str, Any] = {
    "id": _id,
    "agency": lambda name: f"{name.replace('_', '-')}-agency",
    "code": lambda name: f"sample-{name.replace('_', '-')}",
    "municipality": lambda _name: "462012",
    "moment": lambda name: _MOMENT + timedelta(minutes=len(name)),
    "day": lambda name: date(2026, 4, 1) + timedelta(days=len(name)),
    "count": len,
    "level": lambda name: len(name) % 5 + 1,
    "flag": lambda _name: True,
}


# ------------------------------------------------------------------------------------------------------- compatibility

_LOOSER_DOWN = {"minimum", "exclusiveMinimum", "minLength", "minItems"}
_LOOSER_UP = {"maximum", "exclusiveMaximum", "maxLength", "maxItems"}


def released(folder: Path) -> Iterator[tuple[str, str, Json]]:
    """Every schema of every release: version, event type, schema."""
    for path in sorted(folder.glob("released/*/events/*.json")):
        yield path.parent.parent.name, path.stem, json.loads(path.read_text(encoding="utf-8"))


def breaks(folder: Path) -> list[str]:
    """Every way in which today's events break a released contract; empty is good."""
    found = []
    for version, type_, old in released(folder):
        if type_ not in EVENTS:
            found.append(f"{version} {type_}: the event is no longer published")
            continue
        found += [f"{version} {type_}{what}" for what in breaking_changes(old, schema_of(EVENTS[type_]))]
    return found


def breaking_changes(old: Json, new: Json) -> list[str]:
    """What a reader of `old` would stumble over in `new`, and a reader of `new` in what was written as `old`."""
    return list(_breaking(old, new, old, new, ""))


def _breaking(old: Any, new: Any, old_root: Json, new_root: Json, where: str) -> Iterator[str]:
    old, new = _resolved(old, old_root), _resolved(new, new_root)
    if _kinds(old) != _kinds(new):
        yield f"{where}: was {_shown(old)}, is {_shown(new)}"
        return
    yield from _tightened(old, new, where)
    yield from _members(old, new, old_root, new_root, where)
    if "items" in old:
        yield from _breaking(old["items"], new.get("items", {}), old_root, new_root, f"{where}/[]")
    for before, after in zip(old.get("anyOf", []), new.get("anyOf", []), strict=True):
        yield from _breaking(before, after, old_root, new_root, where)


def _members(old: Json, new: Json, old_root: Json, new_root: Json, where: str) -> Iterator[str]:
    before, after = old.get("properties", {}), new.get("properties", {})
    for name in before:
        if name not in after:
            yield f"{where}/{name}: was removed or renamed"
        else:
            yield from _breaking(before[name], after[name], old_root, new_root, f"{where}/{name}")
    demanded, was_demanded = set(new.get("required", [])), set(old.get("required", []))
    for name in sorted(demanded - was_demanded):
        yield f"{where}/{name}: is now required, and older events don't have it"
    for name in sorted(was_demanded - demanded):
        yield f"{where}/{name}: is no longer always there"
    for name in sorted(set(after) - set(before) - demanded):
        if "default" not in after[name]:
            yield f"{where}/{name}: was added without a default"
    for name in sorted(set(after) & set(before)):
        if after[name].get("default", ...) != before[name].get("default", ...):
            yield f"{where}/{name}: has another default"


def _tightened(old: Json, new: Json, where: str) -> Iterator[str]:
    """Both directions count: a narrower reader refuses old events, a wider writer surprises old readers."""
    for rule in sorted((_LOOSER_DOWN | _LOOSER_UP | {"pattern", "format", "enum", "const", "x-class"}) & {*old, *new}):
        before, after = old.get(rule), new.get(rule)
        if before != after:
            yield f"{where}: {rule} was {before}, is {after}"


def _kinds(schema: Json) -> Any:
    if "anyOf" in schema:
        return ["any", *(_kinds(option) for option in schema["anyOf"])]
    return schema.get("type", "anything")


def _shown(schema: Json) -> str:
    kinds = _kinds(schema)
    return kinds if isinstance(kinds, str) else " or ".join(str(kind) for kind in kinds[1:])


def _resolved(schema: Any, root: Json) -> Json:
    if isinstance(schema, dict) and "$ref" in schema:
        found = root
        for part in schema["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        return found
    return schema if isinstance(schema, dict) else {}


# ------------------------------------------------------------------------------------------------------------ AsyncAPI


def asyncapi(listeners: Listeners) -> Json:
    """AsyncAPI 3: a channel per publishing service, who sends to it, who listens, and how records look on Kafka."""
    publishers = sorted({event.publisher for event in EVENTS.values()})
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Tsunagu events",
            "version": VERSION,
            "description": (
                "Facts in the past tense as CloudEvents 1.0 (structured JSON). At least once, in order per key within a"
                " topic, no order across topics. Ignore unknown fields, types and codes. No personal data travels here."
            ),
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": CONTENT_TYPE.partition(";")[0],
        "channels": {publisher: _channel(publisher) for publisher in publishers},
        "operations": {
            **{f"{publisher}_tells": _operation("send", publisher, _of(publisher)) for publisher in publishers},
            **dict(_heard(listeners)),
        },
        "components": {
            "schemas": {"cloudevent": _envelope()}
            | {type_: _embedded(schema_of(event)) for type_, event in EVENTS.items()},
            "messages": {type_: _message(event) for type_, event in EVENTS.items()},
            "messageTraits": {"cloudevent": _trait()},
        },
    }


def _of(publisher: str) -> list[str]:
    return [type_ for type_, event in EVENTS.items() if event.publisher == publisher]


def _heard(listeners: Listeners) -> Iterator[tuple[str, Json]]:
    for service, heard in sorted(listeners.items()):
        for publisher in sorted({event.publisher for event in EVENTS.values()}):
            types = [type_ for type_ in _of(publisher) if "*" in heard or type_ in heard]
            if types:
                operation = _operation("receive", publisher, types)
                group = {"type": "string", "enum": [service], "description": "The consumer group is the service."}
                yield f"{service}_hears_{publisher}", operation | {"bindings": {"kafka": {"groupId": group}}}


def _channel(publisher: str) -> Json:
    return {
        "address": topic_of(publisher),
        "description": f"Everything that {publisher} tells; one topic, so that a case's events stay in order.",
        "messages": {type_: {"$ref": f"#/components/messages/{type_}"} for type_ in _of(publisher)},
        "bindings": {"kafka": {"topic": topic_of(publisher), "partitions": PARTITIONS}},
    }


def _operation(action: str, publisher: str, types: Sequence[str]) -> Json:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{publisher}"},
        "messages": [{"$ref": f"#/channels/{publisher}/messages/{type_}"} for type_ in types],
    }


def _message(event: type[Event]) -> Json:
    sample = sample_of(event)
    payload = {
        "allOf": [
            {"$ref": "#/components/schemas/cloudevent"},
            {
                "type": "object",
                "properties": {
                    "type": {"const": event.type},
                    "data": {"$ref": f"#/components/schemas/{event.type}"},
                },
            },
        ]
    }
    headers = headers_of(
        event_id=sample["id"], type_=event.type, subject=sample["subject"], topic=topic_of(event.publisher)
    )
    return {
        "name": event.type,
        "title": event.__name__,
        "summary": (event.__doc__ or "").strip().partition("\n")[0],
        "payload": payload,
        "traits": [{"$ref": "#/components/messageTraits/cloudevent"}],
        "bindings": {"kafka": {"key": {"type": "string", "description": f"`{event.about}`, the unit of order"}}},
        "examples": [{"name": "sample", "headers": headers, "payload": sample}],
    }


def _trait() -> Json:
    text: Json = {"type": "string"}
    return {
        "contentType": CONTENT_TYPE.partition(";")[0],
        "headers": {
            "type": "object",
            "description": "The attributes again, as the Kafka binding of CloudEvents allows, for filters.",
            "properties": dict.fromkeys(headers_of(event_id="", type_="", subject="", topic=topic_of("x")), text),
        },
    }


def _envelope() -> Json:
    text: Json = {"type": "string"}
    return {
        "type": "object",
        "description": "CloudEvents 1.0, structured mode.",
        "required": ["specversion", "id", "source", "type", "subject", "time", "partitionkey", "sequence", "data"],
        "properties": {
            "specversion": {"const": "1.0"},
            "id": text | {"format": "uuid", "description": "UUIDv7; the same id is the same event."},
            "source": text | {"format": "uri-reference"},
            "type": text,
            "subject": text,
            "time": text | {"format": "date-time"},
            "datacontenttype": {"const": "application/json"},
            "dataschema": text | {"format": "uri"},
            "partitionkey": text,
            "sequence": text | {"pattern": "^[0-9]{10}$", "description": "The aggregate's version."},
            "by": text | {"description": "The agency that acted."},
            "cause": text | {"description": "The event or request that led to this one."},
        },
    }


def _embedded(schema: Json) -> Json:
    """Inside a larger document a schema has no identity of its own, and its references start at the document."""
    bare = {name: value for name, value in schema.items() if name not in {"$schema", "$id"}}
    assert "$defs" not in bare, "events are flat"
    return bare


def _text(document: Mapping[str, Any]) -> str:
    return json.dumps(to_jsonable_python(document), ensure_ascii=False, indent=2) + "\n"
