"""Services that several files talk to."""

import pytest

from shared.auth import Role
from tests.world import KIRISHIMA, Caller, Running, World


@pytest.fixture
def referral(world: World) -> Running:
    return world.service("referral")


@pytest.fixture
def intake(world: World) -> Running:
    return world.service("intake")


@pytest.fixture
def desk(intake: Running) -> Caller:
    return intake.as_()


@pytest.fixture
def npo(intake: Running) -> Caller:
    return intake.as_("kagoshima-npo")


@pytest.fixture
def night(intake: Running) -> Caller:
    """An agency of the same municipality with the right to declare an emergency, and with nothing else."""
    return intake.as_("kagoshima-night", Role.EMERGENCY)


@pytest.fixture
def far(intake: Running) -> Caller:
    return intake.as_("kirishima-desk", Role.COUNSELLOR, Role.EMERGENCY, municipalities=[KIRISHIMA])
