"""`make run`'s one process: how soon it answers, how soon it stops, and how much memory it holds after `make demo`."""

import asyncio
import signal
import subprocess
import time
from asyncio.subprocess import Process
from pathlib import Path
from typing import Any

from rich.progress import Progress

from bench import stage
from bench.report import Figure, Report, at_most, holds, median

AGAIN = 3


async def measure(progress: Progress) -> Report:
    """A new data folder, then the same one again; the demonstration in between."""
    task = progress.add_task("起動 / start", total=AGAIN + 2)
    afterwards: list[float] = []
    stops: list[float] = []
    with stage.folder() as within:
        data, log, port = within / "data", within / "run.log", stage.free_port()
        async with _run(data, port, log) as process:
            new = await _first_answer(port, log)
            progress.advance(task)
            before = _megabytes(process.pid)
            played = await _demo(port, data, log)
            memory = _megabytes(process.pid)
            stops.append(await _stop(process))
            progress.advance(task)
        for _ in range(AGAIN):
            async with _run(data, port, log) as process:
                afterwards.append(await _first_answer(port, log))
                stops.append(await _stop(process))
            progress.advance(task)
    figures: list[Figure] = [
        at_most("first answer, new data folder", new, 8, unit=" s"),
        at_most("first answer, afterwards", median(afterwards), 4, unit=" s", beside=f"median of {AGAIN}"),
        at_most("stop, slowest", max(stops), 5, unit=" s", beside=f"n = {len(stops)}"),
        at_most("memory of the one process after make demo", memory, 350, unit=" MB", beside=f"{before:.0f} before"),
        holds("make demo", played, beside="played, all its checks kept"),
    ]
    raw: dict[str, Any] = {
        "new_s": new, "afterwards_s": afterwards, "stops_s": stops, "memory_mb": memory, "memory_before_mb": before,
    }  # fmt: skip
    return Report("起動 / make run: start, stop, memory", figures, raw)


class _Begun:
    """A started process and the moment of its start."""

    at = 0.0


def _run(data: Path, port: int, log: Path) -> Any:
    _Begun.at = time.perf_counter()
    return stage.process("all_in_one.py", "run", "--port", str(port), "--data", str(data), log=log)


async def _first_answer(port: int, log: Path) -> float:
    """Seconds from the start of the process to its first 200: the dashboard, the last service to be ready."""
    if not await stage.answers(port, "/dashboard/health/ready", seconds=60):
        raise RuntimeError(f"it did not start:\n{stage.tail(log)}")
    return time.perf_counter() - _Begun.at


async def _demo(port: int, data: Path, log: Path) -> list[str]:
    args = ("-m", "demo", "--url", f"http://127.0.0.1:{port}", "--keys", str(data / "clients"))
    async with stage.process(*args, log=log) as process:
        async with asyncio.timeout(180):
            code = await process.wait()
    return [] if code == 0 else [f"make demo ended with {code}: {stage.tail(log, 3)}"]


async def _stop(process: Process) -> float:
    """Ctrl+C, as a person gives it."""
    began = time.perf_counter()
    process.send_signal(signal.SIGINT)
    async with asyncio.timeout(30):
        await process.wait()
    return time.perf_counter() - began


def _megabytes(pid: int) -> float:
    """Resident memory, by `ps`, which every system has."""
    found = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=True)  # noqa: S603, S607 - our own process
    return int(found.stdout) / 1024
