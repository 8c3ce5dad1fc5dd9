"""How far a service's ears are behind is a figure that operators can watch."""

import asyncio
from collections.abc import Mapping, Sequence

from prometheus_client import REGISTRY

from shared.service.app import _watch_lag
from tests.world import Deaf


class Behind(Deaf):
    """A transport with three records not yet taken."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def lag(self, group: str, topics: Sequence[str]) -> Mapping[str, int]:
        self.asked.set()
        return {topic: 3 for topic in topics if group == "lag-test"}


async def test_the_lag_is_a_figure_by_service_and_topic() -> None:
    transport = Behind()
    watching = asyncio.create_task(_watch_lag("lag-test", transport, ["tsunagu.intake"]))
    await transport.asked.wait()
    await asyncio.sleep(0)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    labels = {"service": "lag-test", "topic": "tsunagu.intake"}
    assert REGISTRY.get_sample_value("tsunagu_events_behind", labels) == 3
