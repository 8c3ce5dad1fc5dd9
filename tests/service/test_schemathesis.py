"""schemathesis reads each service's OpenAPI and asks what it says may be asked, and what it says may not.

In process, a few examples per operation, the same ones every time. What it looks for: faults (5xx), answers that are
not described, and answers that break their own description. Every second request is about a record that exists.
"""

import contextlib
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode, openapi
from schemathesis.checks import CHECKS, load_all_checks

from shared.auth import Role
from shared.bus.envelope import new_id
from shared.events import CaseOpened, ConsentGiven
from shared.service.clock import wall_time
from tests.world import KAGOSHIMA, SERVICES, World, token

STREAMS = {"/v1/events", "/v1/figures/stream"}
"""These don't end; tests/service/test_dashboard_stream.py follows them."""
EXAMPLES = 6
WANTED = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
]


def cases_of(operation: Any, mode: GenerationMode) -> list[Any]:
    """The same few requests every time."""
    drawn: list[Any] = []

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def draw(case: Any) -> None:
        drawn.append(case)

    with contextlib.suppress(Unsatisfiable):  # where nothing may be sent, nothing wrong can be
        draw()
    return drawn


def request_of(case: Any, name: str, bearer: str) -> dict[str, Any]:
    """What httpx2 is to send."""
    headers = {"Authorization": f"Bearer {bearer}", "Idempotency-Key": str(new_id())}
    given_ = case.as_transport_kwargs(base_url=f"http://{name}.test", headers=headers)
    sent = {key: given_[key] for key in ("method", "url", "params", "json", "headers") if key in given_}
    return sent | ({"content": given_["data"]} if "data" in given_ else {})


async def about(world: World, name: str) -> dict[str, str]:
    """A case that the service has heard of, by the name of the parameter that asks for it."""
    running, case_id = world.service(name), new_id()
    opened = CaseOpened(
        case_id=case_id,
        municipality=KAGOSHIMA,
        agency_id="kagoshima-desk",
        entrance="walk_in",
        opened_at=wall_time(),
    )
    await running.hear(opened, ConsentGiven(case_id=case_id, consent_version=1, purposes=["referral"]))
    return {"case_id": str(case_id)}


def learn(known: dict[str, str], answer: Any) -> None:
    """Ids of records that came to be are asked for later."""
    if answer.is_success and answer.headers.get("content-type") == "application/json":
        body = answer.json()
        for key, value in body.items() if isinstance(body, dict) else ():
            if key.endswith("_id") and isinstance(value, str):
                known[key] = str(UUID(value)) if len(value) == 36 else value


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=lambda mode: mode.value)
@pytest.mark.parametrize("name", SERVICES)
async def test_every_answer_is_the_described_one(world: World, name: str, mode: GenerationMode) -> None:
    load_all_checks()
    checks: Any = CHECKS.get_by_names(WANTED)
    client = world.service(name).client
    bearer = token("kagoshima-desk", *Role)
    known = await about(world, name)
    wrong: dict[str, str] = {}
    answered: set[int] = set()
    schema: Any = openapi.from_dict(world.service(name).app.openapi())
    for found in schema.get_all_operations():
        operation = found.ok()
        if operation.path in STREAMS:
            continue
        for place, case in enumerate(cases_of(operation, mode)):
            if place % 2 and case.path_parameters:
                case.path_parameters |= {key: known[key] for key in case.path_parameters if key in known}
            answer = await client.request(**request_of(case, name, bearer))
            answered.add(answer.status_code // 100)
            learn(known, answer)
            try:
                case.validate_response(answer, checks=checks)
            except BaseExceptionGroup as failures:
                wrong[operation.label] = f"{answer.status_code} " + "; ".join(map(repr, failures.exceptions))
    assert wrong == {}
    assert answered == ({2, 4} if mode is GenerationMode.POSITIVE and name != "dashboard" else answered)
