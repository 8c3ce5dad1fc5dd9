"""While its broker is away, a service asks for it now and then, and not as fast as it can be refused."""

import asyncio
from collections.abc import Iterator
from typing import Any

import aiokafka.client
import pytest

from shared.bus.kafka import KafkaTransport
from shared.bus.port import Message
from tests.contract.kafka_brokers import MockBroker
from tests.contract.rings import MOCK_PACE, PATIENCE, Listener, consuming

HEARD = 0.5
"""Seconds in which a client has heard that nobody leads its partitions: so a broker begins that is stopped in order."""
LOOKED_AT = 3.0
"""Seconds. Without a pause more than a thousand tries fit into them."""
TRIES = 60
"""Those of the group's coordination are among them, which has a pause of its own: ten a second, if refused at once."""


@pytest.fixture
def broker() -> Iterator[MockBroker]:
    broker = MockBroker()
    yield broker
    broker.close()


@pytest.fixture
def tries(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every try to connect to a broker."""
    found: list[Any] = []
    connect = aiokafka.client.create_conn

    async def counted(*args: Any, **settings: Any) -> Any:
        found.append(args)
        return await connect(*args, **settings)

    monkeypatch.setattr(aiokafka.client, "create_conn", counted)
    return found


async def test_a_listener_asks_now_and_then_for_a_broker_that_was_stopped(broker: MockBroker, tries: list[Any]) -> None:
    broker.create_topics(["paced"])
    transport, listener = KafkaTransport(broker.bootstrap, "contract", pace=MOCK_PACE), Listener()
    async with consuming(transport, "group", "paced", listener):
        await transport.publish([Message("paced", "k", b"before")])
        await listener.until_taken(1)
        broker.lose_leaders("paced")
        await asyncio.sleep(HEARD)
        with broker.down():
            tries.clear()
            await asyncio.sleep(LOOKED_AT)
            assert 0 < len(tries) < TRIES
    async with asyncio.timeout(PATIENCE):
        await transport.stop()


async def test_a_sender_asks_now_and_then_for_a_broker_that_was_stopped(broker: MockBroker, tries: list[Any]) -> None:
    broker.create_topics(["paced"])
    transport = KafkaTransport(broker.bootstrap, "contract", pace=MOCK_PACE)
    await transport.publish([Message("paced", "k", b"before")])
    broker.lose_leaders("paced")
    publishing = asyncio.create_task(transport.publish([Message("paced", "k", b"lost")]))
    await asyncio.sleep(HEARD)
    with broker.down():
        tries.clear()
        with pytest.raises(TimeoutError):
            await publishing
        assert 0 < len(tries) < TRIES
    async with asyncio.timeout(PATIENCE):
        await transport.stop()
