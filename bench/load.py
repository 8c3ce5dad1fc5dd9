"""The load generator, in a process of its own: N clients in a closed loop over kept-alive connections.

Reads its plan as one line of JSON on stdin, writes what came of it to the file that the plan names.
"""

import asyncio
import json
import random
import sys
import time
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

from uvicorn.loops.auto import auto_loop_factory

from bench.wire import Wire

Answer = tuple[str, str, int, float, bytes]
"""Case, course run, status, seconds, body."""


async def run(plan: dict[str, Any]) -> list[Answer]:
    """Every client asks, waits for the answer, and asks again, until the time is over."""
    ends = time.perf_counter() + plan["seconds"]
    answers: list[Answer] = []
    generator = random.Random(plan["seed"])
    clients = [
        _client(plan, number, random.Random(generator.random()), ends, answers) for number in range(plan["clients"])
    ]
    await asyncio.gather(*clients)
    return answers


async def _client(
    plan: dict[str, Any], number: int, generator: random.Random, ends: float, answers: list[Answer]
) -> None:
    cases = count(plan["first_case"] + 1)
    wire = await Wire.to(plan["port"], plan["token"])
    courses: list[str] = plan["courses"]
    while time.perf_counter() < ends:
        course = courses[0] if len(courses) == 1 else generator.choice(courses)
        case = str(UUID(f"{next(cases):012x}{number:020x}"))  # as in bench/pgbench.py
        answer = await wire.ask("POST", f"/v1/course-runs/{course}/seat-requests", {"case_id": case})
        answers.append((case, course, answer.status, answer.seconds, answer.body))
    wire.close()


def main() -> None:
    """For `python -m bench.load`."""
    plan = json.loads(sys.stdin.readline())
    began = time.perf_counter()
    with asyncio.Runner(loop_factory=auto_loop_factory()) as runner:
        answers = runner.run(run(plan))
    seconds = time.perf_counter() - began
    found = {
        "seconds": seconds,
        "cpu": time.process_time(),
        "answers": [(case, course, status, taken, json.loads(body)) for case, course, status, taken, body in answers],
    }
    Path(plan["out"]).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
