"""The envelope is read in one go where it is as we write it; the rest is read slowly, and refused in words."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from shared.bus.contracts import sample_of
from shared.bus.envelope import Envelope, Unreadable, _read_at_once, headers_of, heard_on, open_envelope
from shared.events import EVENTS, Event, topic_of

SAMPLES = [pytest.param(event, id=type_) for type_, event in EVENTS.items()]


def headers(event: type[Event]) -> dict[str, str]:
    return headers_of(event_id="any", type_=event.type, subject="any", topic=topic_of(event.publisher))


def heard(event: type[Event], sample: Any) -> Envelope:
    """As it comes from the transport."""
    return heard_on(topic_of(event.publisher), json.dumps(sample).encode(), headers(event))


def refused(event: type[Event], sample: Any) -> str:
    """Why it can't be read."""
    with pytest.raises(Unreadable) as caught:
        heard(event, sample).read()
    return caught.value.reason


def with_each_text_spoilt(sample: dict[str, Any], spoil: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The sample again and again, each time with another text spoilt, in attributes and data."""
    for name, value in sample.items():
        if isinstance(value, dict):
            yield from ((f"{name}/{inner}", sample | {name: bad}) for inner, bad in with_each_text_spoilt(value, spoil))
        elif isinstance(value, str):
            yield name, sample | {name: value + spoil}
        elif isinstance(value, list) and value and isinstance(value[0], str):
            yield name, sample | {name: [value[0] + spoil]}


@pytest.mark.parametrize("event", SAMPLES)
def test_what_is_read_in_one_go_is_what_is_read_slowly(event: type[Event]) -> None:
    value = json.dumps(sample_of(event)).encode()
    quick, slow = _read_at_once(value, headers(event)), open_envelope(value, headers(event))
    assert quick is not None
    assert quick._replace(data=None) == slow._replace(data=None)
    assert quick.read() == slow.read()
    assert heard(event, sample_of(event)) == quick


@pytest.mark.parametrize("event", SAMPLES)
def test_a_nul_in_any_text_of_any_event_is_refused(event: type[Event]) -> None:
    spoilt = dict(with_each_text_spoilt(sample_of(event), "\x00"))
    assert {f"data/{name}" for name, value in sample_of(event)["data"].items() if isinstance(value, str)} <= set(spoilt)
    for sample in spoilt.values():
        assert refused(event, sample) == "holds_nul"
    assert refused(event, sample_of(event) | {"ext\x00": 1}) == "holds_nul"


@pytest.mark.parametrize("event", SAMPLES)
def test_a_backslash_before_the_letters_of_a_nul_is_a_text_like_any_other(event: type[Event]) -> None:
    assert heard(event, sample_of(event) | {"by": "\\u0000"}).by == "\\u0000"


@pytest.mark.parametrize("event", SAMPLES)
def test_nan_is_no_json_also_in_a_field_that_nobody_reads(event: type[Event]) -> None:
    for number in ("NaN", "Infinity", "-Infinity"):
        sample = sample_of(event)
        assert refused(event, sample | {"extension": float(number)}) == "not_json"
        assert refused(event, sample | {"data": sample["data"] | {"newer": [float(number)]}}) == "not_json"


CASE_OPENED = EVENTS["jp.tsunagu.intake.case-opened.v1"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"specversion": "0.3"}, "not_a_cloudevent"),
        ({"id": "5"}, "missing_attributes"),
        ({"time": 1_790_000_000}, "missing_attributes"),
        ({"time": "2026-11-23T06:00:00"}, "missing_attributes"),
        ({"sequence": -1}, "missing_attributes"),
        ({"sequence": 2**63}, "missing_attributes"),
        ({"data": []}, "missing_attributes"),
        ({"data": {}}, "invalid_data"),
        ({"source": "/services/training"}, "not_its_publisher"),
    ],
)
def test_what_one_go_does_not_take_is_refused_for_its_reason(change: dict[str, Any], reason: str) -> None:
    assert refused(CASE_OPENED, sample_of(CASE_OPENED) | change) == reason


def test_the_body_says_what_it_is_whatever_its_headers_say() -> None:
    pending, refused_ = (EVENTS[f"jp.tsunagu.intake.consent-{name}.v1"] for name in ("pending", "refused"))
    envelope = heard_on(topic_of("intake"), json.dumps(sample_of(pending)).encode(), headers(refused_))
    assert (envelope.type, type(envelope.read())) == (pending.type, pending)


@pytest.mark.parametrize("event", SAMPLES)
def test_newer_fields_don_t_keep_it_from_being_read_in_one_go(event: type[Event]) -> None:
    sample = sample_of(event)
    newer = sample | {"extension": [1], "data": sample["data"] | {"newer": {"a": 1}}}
    assert _read_at_once(json.dumps(newer).encode(), headers(event)) is not None
    assert heard(event, newer).read() == heard(event, sample).read()
