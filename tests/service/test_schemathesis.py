"""schemathesis reads each service's OpenAPI and asks what it says may be asked, and what it says may not.

In process, a few examples per operation, the same ones every time. What it looks for: faults (5xx), answers that are
not described, and answers that break their own description.
"""

from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from schemathesis import Case, GenerationMode, openapi
from schemathesis.core.failures import Failure, FailureGroup

from shared.auth import Role
from tests.world import World, token

STREAMS = {"/v1/events", "/v1/figures/stream"}
"""These don't end; tests/service/test_dashboard_stream.py follows them."""
EXAMPLES = 6
