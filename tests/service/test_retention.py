"""What was kept long enough is listed for its holder, and erased when the notice has run out."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.world import Running, World

YEAR = timedelta(days=366)


@pytest.fixture
async def intake(world: World, tmp_path: Path) -> AsyncIterator[Running]:
    own = tmp_path / "retention.toml"
    own.write_text('["462187"]\nsupport = 1\nnotice_days = 90\n', encoding="utf-8")
    running = Running(world.service("intake").service, world.settings("intake", retention_path=own))
    yield running
    await running.close()


async def closed(intake: Running, how: dict[str, str] | None = None, **more: Any) -> UUID:
    answer = await intake.as_().post("/v1/cases", {"person": {"name": "架空 花子"}, **more})
    case_id = UUID(answer.json()["case_id"])
    ended = await intake.as_().post(f"/v1/cases/{case_id}/closing", how or {"outcome": "goal_reached"})
    assert ended.status_code == 200, ended.text
    return case_id


async def listed(intake: Running, agency: str = "kagoshima-desk") -> list[UUID]:
    return [UUID(item["case_id"]) for item in await intake.as_(agency).whole("/v1/retention")]


async def erased(intake: Running) -> set[UUID]:
    return {row[0] for row in await intake.rows("SELECT subject_id FROM erasure")}


async def test_each_class_is_told_of_in_its_time_and_erased_after_the_notice(intake: Running) -> None:
    support = await closed(intake)
    information = await closed(intake, {"outcome": "information_enough"})
    mistake = await closed(intake, {"interruption": "opened_by_mistake"})
    elsewhere = await closed(intake, municipality="462187")
    still_open = (await intake.as_().post("/v1/cases", {})).json()["case_id"]
    await intake.sweep()
    assert await listed(intake) == []
    intake.pass_time(1 * YEAR + timedelta(days=1))
    await intake.sweep()
    assert await listed(intake) == [mistake, elsewhere]
    assert await listed(intake, "kagoshima-work") == []
    assert await erased(intake) == set(), "nobody is erased without notice"
    intake.pass_time(timedelta(days=31))
    await intake.sweep()
    assert await erased(intake) == {mistake}
    assert await listed(intake) == [elsewhere]
    intake.pass_time(timedelta(days=60))
    await intake.sweep()
    assert await erased(intake) == {mistake, elsewhere}
    intake.pass_time(2 * YEAR)
    await intake.sweep()
    assert await listed(intake) == [information]
    intake.pass_time(2 * YEAR)
    await intake.sweep()
    assert await erased(intake) == {mistake, elsewhere, information}
    assert await listed(intake) == [support]
    (entry,) = [
        item for item in await intake.as_().whole(f"/v1/cases/{support}/timeline") if item["kind"] == "retention_over"
    ]
    assert set(entry["codes"]) == {"erase_on"}
    intake.pass_time(timedelta(days=31))
    await intake.sweep()
    assert await erased(intake) == {mistake, elsewhere, information, support}
    assert (await intake.as_().get(f"/v1/cases/{still_open}/person")).status_code == 200


async def test_what_is_held_or_reopened_after_the_notice_is_not_erased(intake: Running) -> None:
    held, reopened = await closed(intake), await closed(intake)
    intake.pass_time(5 * YEAR)
    await intake.sweep()
    await intake.as_().post(f"/v1/cases/{held}/legal-hold", {"reason": "audit"})
    assert (await intake.as_().post(f"/v1/cases/{reopened}/reopening")).status_code == 200
    intake.pass_time(timedelta(days=40))
    await intake.sweep()
    assert await erased(intake) == set()
    items = await intake.as_().whole("/v1/retention")
    assert [(UUID(item["case_id"]), item["held"]) for item in items] == [(held, True)]
    await intake.as_().post(f"/v1/cases/{reopened}/closing", {"outcome": "goal_reached"})
    await intake.as_().post(f"/v1/cases/{held}/legal-hold/lifting", {"reason": "ended"})
    await intake.sweep()
    assert await erased(intake) == {held}, "the other one was closed anew, and is kept as long again"
    intake.pass_time(5 * YEAR)
    await intake.sweep()
    assert await listed(intake) == [reopened]


async def test_a_file_that_cannot_be_read_erases_nobody(world: World, tmp_path: Path) -> None:
    own = tmp_path / "retention.toml"
    own.write_text("[default]\nsupport = 0\n", encoding="utf-8")
    running = Running(world.service("intake").service, world.settings("intake", retention_path=own))
    await closed(running)
    running.pass_time(5 * YEAR)
    with pytest.raises(ValueError, match="wanted"):
        await running.sweep()
    assert await running.rows("SELECT 1 FROM retention_notice") == []
    await running.close()
