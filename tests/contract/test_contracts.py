"""The contracts: additive for ever, free of personal data, valid for the tools that read them."""

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from shared import VERSION
from shared.bus import contracts
from shared.bus.envelope import headers_of, open_envelope
from shared.events import EVENTS, Coded, Event, topic_of

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "contracts"
LISTENERS = {"training": ["jp.tsunagu.referral.training-referred.v1"], "dashboard": ["*"]}
CLASSES = {"id", "agency", "code", "municipality", "moment", "day", "count", "level", "flag"}
FORBIDDEN = re.compile(
    r"(^|_)(name|names|kana|furigana|address|street|postcode|phone|tel|fax|e?mail|birth\w*|age|sex|gender|my_?number"
    r"|note|notes|text|comment|memo|description|title|body|free|remark\w*|evidence|ip|url)($|_)"
)
EVENT_TYPES = sorted(EVENTS)


# ------------------------------------------------------------------------------------------------------ personal data


def unsafe_fields(event: type[Event]) -> list[str]:
    """Fields that carry no class from the list, or are called like something personal."""
    found = []
    for name, schema in contracts.schema_of(event)["properties"].items():
        parts = [part for part in schema.get("anyOf", [schema]) if part.get("type") != "null"]
        parts = [part.get("items", part) if part.get("type") == "array" else part for part in parts]
        if not parts or any(part.get("x-class") not in CLASSES for part in parts) or FORBIDDEN.search(name):
            found.append(name)
    return found


@pytest.mark.parametrize("type_", EVENT_TYPES)
def test_every_field_of_every_event_is_of_an_admitted_class(type_: str) -> None:
    assert unsafe_fields(EVENTS[type_]) == []


def test_a_careless_field_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    before = dict(EVENTS)
    try:

        class PersonTold(Event, publisher="intake"):
            """Everything that must not be told."""

            case_id: str
            remark: str | None = None
            kana: Coded
            names: list[Coded] = []  # noqa: RUF012 - pydantic copies defaults
            anything: dict[str, str] = {}  # noqa: RUF012 - the same

        assert unsafe_fields(PersonTold) == ["case_id", "remark", "kana", "names", "anything"]
    finally:
        EVENTS.clear()
        EVENTS.update(before)


@pytest.mark.parametrize("type_", EVENT_TYPES)
def test_a_code_has_no_room_for_a_sentence(type_: str) -> None:
    for schema in contracts.schema_of(EVENTS[type_])["properties"].values():
        for part in schema.get("anyOf", [schema]):
            item = part.get("items", part)
            if item.get("x-class") in {"code", "agency"}:
                assert item["pattern"].startswith("^[a-z0-9]")


# ------------------------------------------------------------------------------------------------------- what is there


def test_the_committed_contracts_are_what_the_code_says() -> None:
    if not (FOLDER / "events").exists():
        pytest.skip("`make contracts` has not written them yet")
    stale = [
        path
        for path, document in contracts.documents({}, {}).items()
        if path.startswith(("events/", "samples/"))
        and (not (FOLDER / path).is_file() or json.loads((FOLDER / path).read_text("utf-8")) != document)
    ]
    assert stale == [], "run `make contracts` and read the difference"


def test_no_released_contract_is_broken() -> None:
    assert contracts.breaks(FOLDER) == []


@pytest.mark.parametrize(
    "path", sorted((ROOT / "contracts/samples").glob("*/*.json")), ids=lambda path: path.parent.name
)
def test_todays_classes_read_the_samples_of_every_release(path: Path) -> None:
    value = path.read_bytes()
    envelope = open_envelope(value, {})
    assert envelope.type == path.parent.name
    event = envelope.read()
    assert event.subject == envelope.subject
    told = json.loads(value)["data"]
    assert {name: event.model_dump(mode="json")[name] for name in told} == told


@pytest.mark.parametrize("type_", EVENT_TYPES)
def test_a_sample_fits_its_schema_and_its_envelope(type_: str) -> None:
    sample = contracts.sample_of(EVENTS[type_])
    schema = contracts.schema_of(EVENTS[type_])
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker()).validate(sample["data"])
    assert set(sample["data"]) == set(EVENTS[type_].model_fields), "every field is shown"
    headers = headers_of(event_id=sample["id"], type_=type_, subject=sample["subject"], topic=topic_of("x"))
    assert {name: headers[f"ce_{name}"] for name in ("id", "type", "subject", "specversion")} == {
        name: sample[name] for name in ("id", "type", "subject", "specversion")
    }


# ------------------------------------------------------------------------------------------------------- compatibility

OLD: dict[str, Any] = {
    "type": "object",
    "required": ["case_id", "position"],
    "properties": {
        "case_id": {"type": "string", "format": "uuid", "x-class": "id"},
        "position": {"type": "integer", "minimum": 0, "maximum": 100, "x-class": "count"},
        "reason": {"type": "string", "pattern": "^[a-z]+$", "default": "none", "x-class": "code"},
        "until": {"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}], "default": None},
        "topics": {"type": "array", "items": {"type": "string", "maxLength": 64}, "default": []},
    },
}


def changed(change: Callable[[dict[str, Any]], object]) -> list[str]:
    """What the comparison says about a change."""
    new = copy.deepcopy(OLD)
    change(new)
    return contracts.breaking_changes(OLD, new)


BREAKING: dict[str, Callable[[dict[str, Any]], object]] = {
    "removed": lambda s: s["properties"].pop("reason"),
    "renamed": lambda s: s["properties"].update(why=s["properties"].pop("reason")),
    "another type": lambda s: s["properties"]["position"].update(type="string"),
    "now nullable": lambda s: s["properties"].update(
        reason={"anyOf": [{"type": "string"}, {"type": "null"}], "default": "none"}
    ),
    "no longer nullable": lambda s: s["properties"].update(until={"type": "string", "format": "date", "default": None}),
    "inside an alternative": lambda s: s["properties"]["until"]["anyOf"][0].update(format="date-time"),
    "minimum raised": lambda s: s["properties"]["position"].update(minimum=1),
    "maximum lowered": lambda s: s["properties"]["position"].update(maximum=99),
    "maximum added": lambda s: s["properties"]["reason"].update(maxLength=3),
    "pattern narrowed": lambda s: s["properties"]["reason"].update(pattern="^[a-c]+$"),
    "format changed": lambda s: s["properties"]["case_id"].update(format="uri"),
    "codes closed": lambda s: s["properties"]["reason"].update(enum=["a"]),
    "items narrowed": lambda s: s["properties"]["topics"]["items"].update(maxLength=10),
    "items of another type": lambda s: s["properties"]["topics"]["items"].update(type="integer"),
    "newly required": lambda s: s["required"].append("reason"),
    "new and required": lambda s: (s["properties"].update(new={"type": "string"}), s["required"].append("new")),
    "new without default": lambda s: s["properties"].update(new={"type": "string"}),
    "no longer always there": lambda s: s["required"].remove("position"),
    "another default": lambda s: s["properties"]["reason"].update(default="some"),
    "another class": lambda s: s["properties"]["position"].update({"x-class": "level"}),
}


@pytest.mark.parametrize("name", BREAKING)
def test_every_kind_of_breaking_change_is_caught(name: str) -> None:
    assert changed(BREAKING[name]), name


def test_what_readers_may_ignore_is_allowed() -> None:
    assert changed(lambda _s: None) == []
    assert changed(lambda s: s["properties"].update(new={"type": "string", "default": "x"})) == []
    assert changed(lambda s: s["properties"]["reason"].update(description="Why", title="Reason")) == []


def test_references_are_followed() -> None:
    old = {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": {"type": "string"}}}
    new = {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": {"type": "integer"}}}
    assert contracts.breaking_changes(old, old) == []
    assert contracts.breaking_changes(old, new) == ["/a: was string, is integer"]


def test_a_release_is_frozen_once_and_compared_ever_after(tmp_path: Path) -> None:
    contracts.release(tmp_path, "9.9.9")
    assert contracts.breaks(tmp_path) == []
    with pytest.raises(FileExistsError):
        contracts.release(tmp_path, "9.9.9")
    folder = tmp_path / "released/9.9.9/events"
    path = folder / f"{EVENT_TYPES[0]}.json"
    schema = json.loads(path.read_text("utf-8"))
    schema["properties"]["was_there"] = {"type": "string"}
    path.write_text(json.dumps(schema), "utf-8")
    (folder / "jp.tsunagu.intake.forgotten.v1.json").write_text("{}", "utf-8")
    assert contracts.breaks(tmp_path) == [
        f"9.9.9 {EVENT_TYPES[0]}/was_there: was removed or renamed",
        "9.9.9 jp.tsunagu.intake.forgotten.v1: the event is no longer published",
    ]


def test_a_second_version_stands_beside_the_first(tmp_path: Path) -> None:
    contracts.release(tmp_path, "9.9.9")
    before = dict(EVENTS)
    try:

        class CaseOpened(Event, publisher="intake", version=2):
            """Another meaning is another event."""

            case_id: Coded

        assert CaseOpened.type == "jp.tsunagu.intake.case-opened.v2"
        assert contracts.breaks(tmp_path) == []
    finally:
        EVENTS.clear()
        EVENTS.update(before)


# ---------------------------------------------------------------------------------------------------- write and compare


def test_writing_is_repeatable_and_notices_every_kind_of_difference(tmp_path: Path) -> None:
    openapi = {"intake": {"openapi": "3.1.0", "info": {"title": "相談受付"}}}
    written = contracts.write(tmp_path, openapi, LISTENERS)
    assert len(written) == 2 * len(EVENTS) + 2
    assert contracts.differences(tmp_path, openapi, LISTENERS) == []
    assert contracts.write(tmp_path, openapi, LISTENERS) == []
    assert "相談受付" in (tmp_path / "openapi/intake.json").read_text("utf-8")

    assert contracts.differences(tmp_path, {}, LISTENERS) == ["openapi/intake.json"]
    assert contracts.differences(tmp_path, openapi, {}) == ["asyncapi.json"]
    (tmp_path / "events/gone.json").write_text("{}", "utf-8")
    (tmp_path / f"samples/{EVENT_TYPES[0]}/{VERSION}.json").unlink()
    assert contracts.differences(tmp_path, openapi, LISTENERS) == [
        "events/gone.json",
        f"samples/{EVENT_TYPES[0]}/{VERSION}.json",
    ]
    contracts.write(tmp_path, openapi, LISTENERS)
    assert contracts.differences(tmp_path, openapi, LISTENERS) == []


def test_what_is_written_now_is_no_release_yet() -> None:
    assert not (ROOT / "contracts/released" / VERSION).exists(), (
        "after a release the version goes up, or its samples change"
    )


def test_samples_of_earlier_releases_are_never_touched(tmp_path: Path) -> None:
    old = tmp_path / f"samples/{EVENT_TYPES[0]}/0.0.1.json"
    old.parent.mkdir(parents=True)
    old.write_text("{}", "utf-8")
    contracts.write(tmp_path, {}, LISTENERS)
    assert old.read_text("utf-8") == "{}"
    assert contracts.differences(tmp_path, {}, LISTENERS) == []


# ------------------------------------------------------------------------------------------------------------ AsyncAPI


@pytest.fixture(scope="module")
def asyncapi_schema() -> Any:
    return json.loads((Path(__file__).parent / "vendor/asyncapi-3.0.0.json").read_text("utf-8"))


def test_the_asyncapi_document_is_valid(asyncapi_schema: Any) -> None:
    validator = jsonschema.Draft7Validator(asyncapi_schema)
    document = contracts.asyncapi(LISTENERS)
    assert [error.message for error in validator.iter_errors(document)] == []
    document["channels"]["intake"]["adress"] = "x"
    assert list(validator.iter_errors(document)), "the official schema sees a mistake"


def test_every_reference_leads_somewhere_and_every_event_is_told() -> None:
    document = contracts.asyncapi(LISTENERS)

    def references(part: Any) -> list[str]:
        if isinstance(part, dict):
            return [part["$ref"]] if "$ref" in part else [ref for member in part.values() for ref in references(member)]
        return [ref for member in part for ref in references(member)] if isinstance(part, list) else []

    for reference in references(document):
        found = document
        for step in reference.removeprefix("#/").split("/"):
            found = found[step]
    told = {
        ref.rpartition("/")[2]
        for name, op in document["operations"].items()
        if op["action"] == "send"
        for ref in references(op["messages"])
    }
    assert told == set(EVENTS)
    for publisher, channel in document["channels"].items():
        assert channel["address"] == topic_of(publisher)


def test_operations_say_who_listens_to_what() -> None:
    operations = contracts.asyncapi(LISTENERS)["operations"]
    heard = [message["$ref"] for message in operations["training_hears_referral"]["messages"]]
    assert heard == ["#/channels/referral/messages/jp.tsunagu.referral.training-referred.v1"]
    assert operations["training_hears_referral"]["bindings"]["kafka"]["groupId"]["enum"] == ["training"]
    assert "training_hears_intake" not in operations
    publishers = {event.publisher for event in EVENTS.values()}
    assert {f"dashboard_hears_{publisher}" for publisher in publishers} <= set(operations)


@pytest.mark.parametrize("type_", EVENT_TYPES)
def test_a_sample_fits_the_payload_that_asyncapi_describes(type_: str) -> None:
    document = contracts.asyncapi(LISTENERS)
    schema = document["components"]["messages"][type_]["payload"] | {"components": document["components"]}
    jsonschema.Draft7Validator(schema).validate(contracts.sample_of(EVENTS[type_]))
    broken = contracts.sample_of(EVENTS[type_])
    del broken["id"]
    assert not jsonschema.Draft7Validator(schema).is_valid(broken)
