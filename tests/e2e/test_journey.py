"""The main job, unchanged, in both ways to run: from a person at any door to a seat in a course."""

import random
import re
import threading

import httpx2
import pytest

from tests.e2e.processes import Platform, play_demo, wait_until_ready
from tests.world import SERVICES

pytestmark = pytest.mark.slow


def test_the_journey_in_one_process(embedded: Platform) -> None:
    played = play_demo(embedded, persons=60)
    assert played.returncode == 0, played.stdout + played.stderr + embedded.output("all_in_one")
    # What the play is to show has happened: consent missing, a full course, a hold that ran out, agencies declining …
    for words in ("consent not yet", "in line for a seat", "hold ran out", "median from the door to the seat"):
        assert words in played.stdout
    declined = re.search(r"declined and sent on: (\d+)", played.stdout)
    assert declined is not None
    assert int(declined[1]) > 0
    # … and a batch delivered twice, of which nobody noticed anything.
    figures = httpx2.get(f"{embedded.url}/referral/metrics", trust_env=False).text
    repeated = re.findall(r'^tsunagu_events_taken_total\{outcome="repeated",.*\} (\S+)$', figures, re.MULTILINE)
    assert sum(map(float, repeated)) > 0


@pytest.mark.kafka
def test_the_journey_over_kafka_with_one_process_each(separate: Platform) -> None:
    played = play_demo(separate, persons=60)
    assert played.returncode == 0, played.stdout + played.stderr + _outputs(separate)


@pytest.mark.kafka
def test_services_killed_during_the_journey_lose_and_double_nothing(separate: Platform) -> None:
    """Every few seconds one of the services is killed (-9) and begun again; in the end all counts agree."""
    dice = random.Random(11)
    over = threading.Event()
    kills: list[str] = []

    def kill_now_and_then() -> None:
        while not over.wait(dice.uniform(1.0, 4.0)) and len(kills) < 12:
            name = dice.choice(SERVICES)
            separate.kill(name)
            kills.append(name)
            separate.begin(name)
            wait_until_ready(f"{separate.url}/{name}/health/ready")

    chaos = threading.Thread(target=kill_now_and_then)
    chaos.start()
    try:
        for seed in range(5):
            played = play_demo(separate, persons=40, seed=20 + seed)
            assert played.returncode == 0, f"{kills}\n" + played.stdout + played.stderr + _outputs(separate)
            if len(kills) >= 5:
                break
    finally:
        over.set()
        chaos.join()
    assert len(kills) >= 5


def _outputs(platform: Platform) -> str:
    return "".join(f"\n--- {name}\n{platform.output(name)[-3000:]}" for name in platform.processes)
