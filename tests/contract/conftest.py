"""A real Kafka, where one is named, and a topic of the test's own on it."""

import os
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from aiokafka.admin import AIOKafkaAdminClient


@pytest.fixture(scope="session")
def kafka_bootstrap() -> str:
    bootstrap = os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "")
    if not bootstrap:
        pytest.skip("no real Kafka: set KAFKA_BOOTSTRAP_SERVERS, or `make kafka`")
    return bootstrap


@pytest.fixture
async def topic_on_kafka(kafka_bootstrap: str) -> AsyncIterator[str]:
    """A name that nobody else uses, for a topic that is gone afterwards: others may use the same broker."""
    name = f"contract.{uuid4().hex}"
    yield name
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    await admin.start()
    await admin.delete_topics([name])
    await admin.close()


@pytest.fixture
def group() -> str:
    return f"contract-{uuid4().hex}"
