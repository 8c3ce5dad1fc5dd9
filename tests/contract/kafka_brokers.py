"""A Kafka broker inside the test process: the mock cluster that librdkafka, and so the confluent-kafka wheel, carries.

It speaks the real protocol on real sockets, needs no Java and starts in milliseconds. It is not a whole broker: topics
are made by hand (aiokafka's admin client needs a controller it does not announce), nothing is kept, and a rebalance is
simpler than the real one.
"""

import asyncio
import ctypes
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import confluent_kafka
import pytest
from aiokafka.consumer.group_coordinator import CoordinatorGroupRebalance

from shared.bus.port import PARTITIONS

PRODUCER = 0
BROKER = 1
NOBODY = -1


class MockBroker:
    """One mock broker. `bootstrap` is its address; it can be taken down and up again."""

    def __init__(self) -> None:
        self._lib = _librdkafka()
        error = ctypes.create_string_buffer(512)
        # The handle only carries the cluster; nothing is ever produced through it.
        self._handle = self._lib.rd_kafka_new(PRODUCER, None, error, len(error))
        assert self._handle, error.value.decode()
        self._cluster = self._lib.rd_kafka_mock_cluster_new(self._handle, 1)
        assert self._cluster, "no mock cluster"
        self._lib.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, 0)
        self.bootstrap: str = self._lib.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()

    def close(self) -> None:
        self._lib.rd_kafka_mock_cluster_destroy(self._cluster)
        self._lib.rd_kafka_destroy(self._handle)

    def create_topics(self, topics: Sequence[str]) -> None:
        for topic in topics:
            self._check(self._lib.rd_kafka_mock_topic_create(self._cluster, topic.encode(), PARTITIONS, 1))

    def lose_leaders(self, topic: str) -> None:
        """Nobody leads the topic's partitions: so says a broker that is being stopped in order."""
        for partition in range(PARTITIONS):
            self._check(self._lib.rd_kafka_mock_partition_set_leader(self._cluster, topic.encode(), partition, NOBODY))

    @contextmanager
    def down(self) -> Iterator[None]:
        """Nobody gets an answer while the block runs; what was stored is still there afterwards."""
        self._check(self._lib.rd_kafka_mock_broker_set_down(self._cluster, BROKER))
        try:
            yield
        finally:
            self._check(self._lib.rd_kafka_mock_broker_set_up(self._cluster, BROKER))

    def _check(self, code: int) -> None:
        assert code == 0, f"librdkafka answered {code}"


def _librdkafka() -> Any:
    """The very library confluent_kafka has loaded: the wheel keeps it beside the package, under a hashed name."""
    package = Path(confluent_kafka.__file__).parent
    (path,) = package.with_name("confluent_kafka.libs").glob("librdkafka-*.so*")
    lib = ctypes.CDLL(str(path))
    pointer, number, text = ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p
    for name, result, arguments in (
        ("rd_kafka_new", pointer, [number, pointer, text, ctypes.c_size_t]),
        ("rd_kafka_destroy", None, [pointer]),
        ("rd_kafka_mock_cluster_new", pointer, [pointer, number]),
        ("rd_kafka_mock_cluster_destroy", None, [pointer]),
        ("rd_kafka_mock_cluster_bootstraps", text, [pointer]),
        ("rd_kafka_mock_group_initial_rebalance_delay_ms", None, [pointer, ctypes.c_int32]),
        ("rd_kafka_mock_topic_create", number, [pointer, text, number, number]),
        ("rd_kafka_mock_partition_set_leader", number, [pointer, text, ctypes.c_int32, ctypes.c_int32]),
        ("rd_kafka_mock_broker_set_down", number, [pointer, ctypes.c_int32]),
        ("rd_kafka_mock_broker_set_up", number, [pointer, ctypes.c_int32]),
    ):
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    return lib


def let_followers_sync_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hold the group's leader back for a moment: the mock closes a rebalance when the leader has synced, and answers
    a member that comes later with an error. A real broker waits for everybody."""
    lead = CoordinatorGroupRebalance._on_join_leader

    async def lead_later(self: Any, response: Any) -> Any:
        await asyncio.sleep(0.25)
        return await lead(self, response)

    monkeypatch.setattr(CoordinatorGroupRebalance, "_on_join_leader", lead_later)
