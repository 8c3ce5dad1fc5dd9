"""schemathesis follows the links of intake's OpenAPI: what one answer tells is asked about in the next request.

In process, on the real database, the same journeys every time. It looks for what tests/service/test_schemathesis.py
looks for, where that shows only on a second step and later: 5xx, answers that are not described, and answers that break
their own description.
"""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import Bundle, initialize
from schemathesis import GenerationMode, openapi
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.core.failures import FailureGroup
from schemathesis.core.transport import Response
from schemathesis.generation.stateful.state_machine import StepInput, StepOutput

from shared.auth import Role
from shared.service import day_in_japan
from shared.service.clock import wall_time
from tests.service.test_schemathesis import WANTED, request_of
from tests.world import KAGOSHIMA, KIRISHIMA, Running, token

Answered = dict[str, set[int]]
"""What each operation answered."""
Plant = Callable[[str, httpx2.Response], httpx2.Response]
"""Puts a fault into the answer of an operation."""


async def travel(intake: Running, *, journeys: int, steps: int, plant: Plant | None = None) -> Answered:
    """Open a case, and go on from answer to answer."""
    load_all_checks()
    loop, checks = asyncio.get_running_loop(), CHECKS.get_by_names(WANTED)
    bearers, answered = _bearers(), Answered()
    schema: Any = openapi.from_dict(intake.app.openapi())
    schema.config.phases.stateful.inference.algorithms = []  # the links of the document, and no guesses at others
    examples = _examples(intake.app.openapi())
    opening = schema["/v1/cases"]["POST"].as_strategy(generation_mode=GenerationMode.POSITIVE)
    followed: Any = schema.as_state_machine()

    class Journey(followed):  # type: ignore[misc]
        def setup(self) -> None:
            self.turn = 0
            self.cases: list[str] = []

        @initialize(target=Bundle("catch_all"), case=opening)
        def somebody_comes(self, case: Any) -> StepOutput:
            return self.taken_up(case)

        @initialize(target=Bundle("catch_all"), case=opening)
        def somebody_else_comes(self, case: Any) -> StepOutput:
            return self.taken_up(case)

        def taken_up(self, case: Any) -> StepOutput:
            self.recorder.record_case(case=case)
            self.control.record_step(StepInput.initial(case), self.recorder)
            output: StepOutput = self.step(StepInput.initial(case))
            return output

        def before_call(self, case: Any) -> None:
            """Every second request that is meant well carries what a person might have sent."""
            self.turn += 1
            if isinstance(case.body, dict) and case.meta.generation.mode is GenerationMode.POSITIVE and self.turn % 2:
                case.body |= examples.get(_name(case), {}) | _sense(_name(case), case.body, self.cases)

        def call(self, case: Any, **_: Any) -> Response:
            name = _name(case)
            request = request_of(case, "intake", bearers.get(name, bearers[""]))
            answer = asyncio.run_coroutine_threadsafe(intake.client.request(**request), loop).result(30)
            answered.setdefault(name, set()).add(answer.status_code)
            if name == "open_case" and answer.status_code == 201:
                self.cases.append(answer.json()["case_id"])
            return Response.from_any(answer if plant is None else plant(name, answer))

        def validate_response(self, response: Any, case: Any, *_: Any, **__: Any) -> None:
            case.validate_response(response, checks=checks, recorder=self.recorder)

    await asyncio.to_thread(
        Journey.run,
        settings=settings(
            max_examples=journeys,
            stateful_step_count=steps,
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
    return answered


def _name(case: Any) -> str:
    name: str = case.operation.definition.raw["operationId"]
    return name


def _bearers() -> dict[str, str]:
    """Who asks; some things are for others to do."""
    far = token("kirishima-desk", *Role, municipalities=[KIRISHIMA])
    night = token("kagoshima-night", Role.EMERGENCY)
    others = {"declare_emergency": night, "get_inquiry": far, "answer_inquiry": far, "list_inquiries": far}
    return {"": token("kagoshima-desk", *Role), **others}


def _examples(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The last example of each operation's body, which is the fullest."""
    found = {}
    for operations in document["paths"].values():
        for operation in operations.values():
            content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
            shape = document["components"]["schemas"].get(
                content.get("schema", {}).get("$ref", "").rpartition("/")[2], {}
            )
            found[operation["operationId"]] = shape.get("examples", [{}])[-1]
    return found


def _sense(operation: str, body: dict[str, Any], cases: list[str]) -> dict[str, Any]:
    """What is true only today, or only here."""
    today = day_in_japan(wall_time())
    meant: dict[str, dict[str, Any]] = {
        "open_case": {"municipality": KAGOSHIMA},
        "add_consent": {"recipients": [], "valid_from": None, "valid_until": None},
        "ask_elsewhere": {"municipality": KIRISHIMA},
        "answer_inquiry": {"answer": "not_known", "case_id": None},
        "add_record": {"on": today.isoformat(), "corrects": None},
        "add_disclosure": {"until": (today + timedelta(days=9)).isoformat()},
        "convene_meeting": {"municipality": KAGOSHIMA, "held_on": today.isoformat()},
        "put_case": {"case_id": cases[-1]} if cases else {},
        "link_cases": {"other": cases[0]} if cases else {},
    }
    return meant.get(operation, {})


@pytest.mark.slow
async def test_whatever_follows_on_an_answer_is_answered_as_described(intake: Running) -> None:
    answered = await travel(intake, journeys=12, steps=40)
    went_well = {name for name, statuses in answered.items() if min(statuses) < 300}
    assert len(went_well) >= 25, "the journeys end early, and so find little"
    assert went_well & {"end_disclosure", "review_emergency", "add_note", "get_inquiry"}, "nobody took a third step"


@pytest.mark.parametrize(
    ("operation", "planted"),
    [
        ("get_case", httpx2.Response(203, json={})),
        ("get_case", httpx2.Response(200, json={"case_id": "nobody"})),
        ("list_records", httpx2.Response(500, json={})),
    ],
)
async def test_a_fault_on_the_second_step_is_found(intake: Running, operation: str, planted: httpx2.Response) -> None:
    def plant(name: str, answer: httpx2.Response) -> httpx2.Response:
        if name != operation or not answer.is_success:
            return answer
        planted.request, planted.elapsed = answer.request, answer.elapsed
        return planted

    with pytest.raises(FailureGroup):
        await travel(intake, journeys=5, steps=40, plant=plant)
