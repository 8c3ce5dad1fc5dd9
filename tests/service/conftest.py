"""Services that several files talk to."""

import pytest

from tests.world import Running, World


@pytest.fixture
def referral(world: World) -> Running:
    return world.service("referral")
