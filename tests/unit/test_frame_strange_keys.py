"""What strangers write on a topic is read without loss, so that one strange key never waits behind another."""

import pytest
from aiokafka import ConsumerRecord
from aiokafka.partitioner import DefaultPartitioner

from shared.bus.kafka import _partition_of, _record
from shared.bus.port import PARTITIONS


def _raw(key: bytes, header: bytes) -> "ConsumerRecord[bytes | None, bytes | None]":
    return ConsumerRecord(
        topic="tsunagu.intake",
        partition=0,
        offset=7,
        timestamp=0,
        timestamp_type=0,
        key=key,
        value=b"?",
        checksum=None,
        serialized_key_size=len(key),
        serialized_value_size=1,
        headers=[("x", header)],
    )


def test_two_keys_that_are_no_text_stay_two_keys() -> None:
    assert _record(_raw(b"\xff", b"")).key != _record(_raw(b"\xfe", b"")).key


def test_a_key_and_a_header_in_utf8_are_read_as_they_are() -> None:
    record = _record(_raw("つなぐ".encode(), "見出し".encode()))
    assert (record.key, record.headers) == ("つなぐ", {"x": "見出し"})


@pytest.mark.parametrize("key", ["", "a", "key-1", "事件-１２３", "0192a1b2-0000-7000-8000-000000000001", "x" * 1_000])
def test_a_key_lies_where_every_other_client_of_kafka_would_put_it(key: str) -> None:
    places = list(range(PARTITIONS))
    assert _partition_of(key, PARTITIONS) == DefaultPartitioner()(key.encode(), places, places)
