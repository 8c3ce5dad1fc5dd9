"""A real Kafka, where one is named, with a topic of the test's own; and a house with a teller and a listener."""

import os
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from embedded.postgres import EmbeddedPostgres
from tests.contract.mail_house import TABLES, House
from tests.world import execute_as_admin


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


@pytest.fixture
async def house(postgres: EmbeddedPostgres, database_name: str) -> AsyncIterator[House]:
    await execute_as_admin(postgres, TABLES, database_name)
    house = House(
        postgres.url(user="tsunagu_intake", database=database_name),
        postgres.url(user="tsunagu_training", database=database_name),
    )
    yield house
    await house.close()
