"""The load generator, in a process of its own: N clients in a closed loop over kept-alive connections.

Raw HTTP/1.1 on asyncio's streams: a full client costs more time per request than the service does, and would measure
itself. Reads its plan as one line of JSON on stdin, writes what came of it to the file that the plan names.
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

from shared.bus.envelope import new_id

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
    reader, writer = await asyncio.open_connection("127.0.0.1", plan["port"])
    courses: list[str] = plan["courses"]
    while time.perf_counter() < ends:
        course = courses[0] if len(courses) == 1 else generator.choice(courses)
        case = str(UUID(f"{next(cases):012x}{number:020x}"))  # as in bench/pgbench.py
        began = time.perf_counter()
        writer.write(_request(plan, course, case))
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.readexactly(_length(head))
        answers.append((case, course, int(head[9:12]), time.perf_counter() - began, body))
    writer.close()


def _request(plan: dict[str, Any], course: str, case: str) -> bytes:
    body = json.dumps({"case_id": case}).encode()
    return (
        f"POST /v1/course-runs/{course}/seat-requests HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: Bearer {plan['token']}\r\nIdempotency-Key: {_key()}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def _key() -> UUID:
    return new_id()


def _length(head: bytes) -> int:
    lowered = head.lower()
    start = lowered.index(b"content-length:") + 15
    return int(lowered[start : lowered.index(b"\r\n", start)])


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
