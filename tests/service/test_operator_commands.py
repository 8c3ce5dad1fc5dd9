"""The commands that operators are told in docs/operations.md, given as they give them: `python -m shared.service …`."""

import asyncio
import json
import sys
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from embedded.postgres import EmbeddedPostgres
from shared.bus.port import Record
from shared.events import CaseOpened
from tests.service.referral_region import opened
from tests.world import Running, World, as_record, execute_as_admin

ROOT = Path(__file__).resolve().parents[2]


class Operator:
    """Somebody at a terminal: `said` is what the last command wrote."""

    def __init__(self, **settings: str) -> None:
        self.settings = {f"TSUNAGU_{name.upper()}": value for name, value in settings.items()}
        self.said = ""

    async def gives(self, *arguments: str) -> int:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "shared.service", *arguments),
            cwd=ROOT,
            env={"PATH": "/usr/bin:/bin", "COLUMNS": "200", "NO_COLOR": "1", **self.settings},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        self.said = (await process.communicate())[0].decode()
        assert process.returncode is not None
        return process.returncode


@pytest.fixture
def operator(world: World) -> Operator:
    return Operator(database_url=world.url("tsunagu_referral"), service="referral")


def spoilt(event: CaseOpened) -> Record:
    """Of a shape that this version can't read."""
    record = as_record(event)
    return replace(record, value=record.value.replace(b'"municipality"', b'"somewhere"', 1))


async def test_what_is_parked_is_listed_shown_tried_again_and_given_up(referral: Running, operator: Operator) -> None:
    case = uuid4()
    behind = as_record(opened(case), sequence=2, offset=1)
    await referral.inbox.deliver([spoilt(opened(case)), behind])

    assert await operator.gives("parked", "list") == 0
    for word in (str(case), "invalid_data", "behind_parked", "jp.tsunagu.intake.case-opened.v1"):
        assert word in operator.said
    first, second = [row["id"] for row in await referral.rows("SELECT id FROM parked ORDER BY id")]
    assert await operator.gives("parked", "show", str(first)) == 0
    shown = json.loads(operator.said)
    assert (shown["key"], shown["reason"], json.loads(shown["value"])["subject"]) == (
        str(case),
        "invalid_data",
        str(case),
    )

    assert await operator.gives("parked", "retry", str(case)) == 1
    assert f"id {first} で止まりました" in operator.said
    assert await operator.gives("parked", "drop", str(first)) == 2, "nobody gives one up without a name and a reason"
    assert await operator.gives("parked", "drop", str(first), "--reason", "作り直し", "--by", "運用担当") == 0
    assert await operator.gives("parked", "retry", str(case)) == 0
    assert "1 件を処理しました" in operator.said

    assert await operator.gives("parked", "list") == 0
    assert "保留はありません / nothing is parked" in operator.said
    assert await operator.gives("parked", "list", "--dropped") == 0
    assert "作り直し" in operator.said
    for again in (("show", str(second)), ("drop", str(second), "--reason", "x", "--by", "y")):
        assert await operator.gives("parked", *again) == 1
    assert len(await referral.rows("SELECT 1 FROM case_fact WHERE case_id = $1", case)) == 1


async def test_a_schema_is_made_from_nothing_and_again_without_harm(postgres: EmbeddedPostgres) -> None:
    name = f"empty_{uuid4().hex[:12]}"
    await execute_as_admin(postgres, f"CREATE DATABASE {name}")
    operator = Operator(service="assessment", admin_database_url=postgres.url(database=name), transport="kafka")
    for _ in range(2):
        assert await operator.gives("migrate") == 0, operator.said
        assert "✓ assessment" in operator.said
    of_the_service = Operator(service="assessment", database_url=postgres.url(user="tsunagu_assessment", database=name))
    assert await of_the_service.gives("parked", "list") == 0
    await execute_as_admin(postgres, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.mark.parametrize(
    ("settings", "command", "code", "words"),
    [
        ({}, ("parked", "list"), 2, "サービス名が指定されていません"),
        ({"service": "nowhere"}, ("parked", "list"), 2, "nowhere というサービスはここにありません"),
        ({"service": "intake"}, ("migrate",), 2, "管理者用の接続先が設定されていません"),
        ({}, ("issuer",), 2, "署名鍵が設定されていません"),
        (
            {"service": "intake", "database_url": "postgresql://nobody@127.0.0.1:1/nowhere"},
            ("parked", "list"),
            1,
            "データベースにつながりません",
        ),
    ],
)
async def test_what_is_missing_is_said_in_words(
    settings: dict[str, str], command: tuple[str, ...], code: int, words: str
) -> None:
    operator = Operator(**settings)
    assert await operator.gives(*command) == code
    assert words in operator.said
    assert "Traceback" not in operator.said
