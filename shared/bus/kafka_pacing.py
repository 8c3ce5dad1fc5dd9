"""aiokafka's client, unhurried: it asks where the partitions lie with growing pauses between one question and the next.

A broker that is stopped in order first says that its partitions have no leader. From then on a fetcher, and a sender,
asks again as soon as the last question has ended; nobody being there, it ends in a millisecond. Hundreds of questions a
second take half a processor, and help nobody.
"""

import asyncio
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.client import AIOKafkaClient
from aiokafka.cluster import ClusterMetadata

SOON = 1.0
"""Who asks again within so many seconds was not helped by the answer."""
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 2.0
"""Within so many seconds a broker that is back is found."""


class UnhurriedClient(AIOKafkaClient):  # type: ignore[misc] # aiokafka ships no types
    """Everybody who waits for the answer waits for the pause, too: that is what keeps them from asking again."""

    _pause = 0.0
    _answered_at = -SOON

    async def _metadata_update(self, cluster_metadata: ClusterMetadata, topics: set[str] | None) -> bool:
        if cluster_metadata is not self.cluster:  # somebody's own question, asked once
            return bool(await super()._metadata_update(cluster_metadata, topics))
        loop = asyncio.get_running_loop()
        hasty = loop.time() - self._answered_at < SOON
        self._pause = min(max(self._pause * 2, FIRST_PAUSE), LONGEST_PAUSE) if hasty else 0.0
        await asyncio.sleep(self._pause)
        updated = bool(await super()._metadata_update(cluster_metadata, topics))
        self._answered_at = loop.time()
        return updated


def unhurried_consumer(consumer: AIOKafkaConsumer, **settings: Any) -> AIOKafkaConsumer:
    """The consumer on such a client, with the settings of its own. Before its start, which hands the client on."""
    consumer._client = UnhurriedClient(**settings)  # noqa: SLF001 - it offers no other way to say which client
    return consumer


def unhurried_producer(producer: AIOKafkaProducer, **settings: Any) -> AIOKafkaProducer:
    """The producer on such a client, with the settings of its own. Before its start, when nothing has been asked."""
    client = UnhurriedClient(**settings)
    client.cluster = producer.client.cluster  # which the producer's other parts know already
    producer.client = producer._sender.client = client  # noqa: SLF001 - it offers no other way to say which client
    return producer
