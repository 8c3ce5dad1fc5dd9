"""schemathesis follows the links of a service's OpenAPI: what one answer tells is asked about in the next request.

In process, on the real database. A `Way` says what a machine can't know of a service: how a journey begins, who asks,
and what is true only here and today. Everything else is read from the service's own description.
"""

import asyncio
import contextlib
import copy
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

import httpx2
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.errors import FlakyStrategyDefinition
from hypothesis.stateful import Bundle, initialize
from schemathesis import GenerationMode, openapi
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.core.transport import Response
from schemathesis.generation.stateful.state_machine import StepInput, StepOutput

from tests.service.test_schemathesis import WANTED, request_of
from tests.world import Running

Answered = dict[str, set[int]]
"""What each operation answered."""
Made = Mapping[str, list[dict[str, Any]]]
"""What came to be in this journey, by the operation that made it."""
Plant = Callable[[str, httpx2.Response], httpx2.Response]
"""Puts a fault into the answer of an operation."""


@dataclass(frozen=True)
class Way:
    """How people go about one service."""

    opening: str
    """The operation with which a journey begins."""
    bearers: Mapping[str, str]
    """Who asks, by operation; "" for all the others."""
    sense: Callable[[str, dict[str, Any], Made], dict[str, Any]]
    """What a person's body says that is true only today, or only here."""
    known: Callable[[str, Made], Mapping[str, str]] = lambda _, __: {}
    """Path parameters of what there is for an operation: from before, or made in this journey and taken further."""
    files: Mapping[str, bytes] = field(default_factory=dict)
    """A file that can be taken in, by the operation that takes one."""
    only: frozenset[str] = frozenset()
    """The operations of a journey that goes far instead of wide; none: all there are."""


_A_ROUND = settings(
    max_examples=4,
    stateful_step_count=40,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


async def travel(
    service: Running,
    way: Way,
    *,
    rounds: int,
    plant: Plant | None = None,
    enough: Callable[[Answered], bool] = lambda _: True,
) -> Answered:
    """Begin, and go on from answer to answer: so many rounds, and up to four times as many until there is `enough`."""
    load_all_checks()
    loop, checks, answered = asyncio.get_running_loop(), CHECKS.get_by_names(WANTED), Answered()
    document = with_ways_back(service.app.openapi())
    whole: Any = openapi.from_dict(document)
    schema = whole.include(operation_id=sorted(way.only)) if way.only else whole
    schema.config.phases.stateful.inference.algorithms = []  # the links of the document, and no guesses at others
    examples = _examples(document)
    opening = schema.find_operation_by_id(way.opening).as_strategy(generation_mode=GenerationMode.POSITIVE)
    followed: Any = schema.as_state_machine()

    class Journey(followed):  # type: ignore[misc]
        def setup(self) -> None:
            self.turn = 0
            self.made: dict[str, list[dict[str, Any]]] = {}

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
            if case.meta.generation.mode is GenerationMode.POSITIVE and self.turn % 2:
                _mean_well(case, way, examples, self.made)

        def call(self, case: Any, **_: Any) -> Response:
            name = _name(case)
            request = request_of(case, service.service.name, way.bearers.get(name, way.bearers[""]))
            answer = asyncio.run_coroutine_threadsafe(service.client.request(**request), loop).result(30)
            answered.setdefault(name, set()).add(answer.status_code)
            if answer.status_code == 201:
                self.made.setdefault(name, []).append(answer.json())
            return Response.from_any(answer if plant is None else plant(name, answer))

        def validate_response(self, response: Any, case: Any, *_: Any, **__: Any) -> None:
            case.validate_response(response, checks=checks, recorder=self.recorder)

    for chance in takewhile(lambda chance: chance < rounds or not enough(answered), range(4 * rounds)):
        # What an answer is depends on what came to be before: two journeys that begin alike need not go on alike.
        with contextlib.suppress(FlakyStrategyDefinition):
            await asyncio.to_thread(seed(chance)(Journey).run, settings=_A_ROUND)
    return answered


def _mean_well(case: Any, way: Way, examples: dict[str, dict[str, Any]], made: Made) -> None:
    name = _name(case)
    known, asked = way.known(name, made), _ids(case.operation.path)
    if case.path_parameters:
        case.path_parameters |= {parameter: known[parameter] for parameter in asked if parameter in known}
    if name in way.files:
        case.body = way.files[name]
    elif isinstance(case.body, dict):
        case.body |= examples.get(name, {}) | way.sense(name, case.body, made)


def _name(case: Any) -> str:
    name: str = case.operation.definition.raw["operationId"]
    return name


def _examples(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The last example of each operation's body, which is the fullest."""
    found = {}
    for operations in document["paths"].values():
        for operation in operations.values():
            content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
            schema = content.get("schema", {})
            reference = next((each["$ref"] for each in (schema, *schema.get("anyOf", [])) if "$ref" in each), "")
            shape = document["components"]["schemas"].get(reference.rpartition("/")[2], {})
            found[operation["operationId"]] = _example_of(shape)
    return found


def _example_of(shape: dict[str, Any]) -> dict[str, Any]:
    """The whole one, or one put together from those of the fields."""
    parts = {name: each["examples"][-1] for name, each in shape.get("properties", {}).items() if "examples" in each}
    example: dict[str, Any] = shape.get("examples", [parts])[-1]
    return example


def with_ways_back(document: dict[str, Any]) -> dict[str, Any]:
    """The same with more links: what can be looked at with the ids in the path and the answer of what was made."""
    document = copy.deepcopy(document)
    looks = [(path, operations["get"]) for path, operations in document["paths"].items() if "get" in operations]
    for path, operations in document["paths"].items():
        made = operations.get("post", {}).get("responses", {}).get("201", {})
        told = dict.fromkeys(_fields_of(document, made), "$response.body#/")
        told |= dict.fromkeys(_ids(path), "$request.path.")
        for target, look in looks if made else ():
            ids, links = _ids(target), made.setdefault("links", {})
            if ids and told.keys() >= set(ids) and look["operationId"] not in links:
                parameters = {name: f"{told[name]}{name}" for name in ids}
                links[look["operationId"]] = {"operationId": look["operationId"], "parameters": parameters}
    return document


def _ids(path: str) -> list[str]:
    return re.findall(r"{(\w+)}", path)


def _fields_of(document: dict[str, Any], answer: dict[str, Any]) -> set[str]:
    schema = answer.get("content", {}).get("application/json", {}).get("schema", {})
    return set(
        document["components"]["schemas"].get(schema.get("$ref", "").rpartition("/")[2], {}).get("properties", {})
    )
