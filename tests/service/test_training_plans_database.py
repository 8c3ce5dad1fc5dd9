"""The database itself keeps a plan's promises: whoever goes round the code, with the service's own role, is refused."""

from collections.abc import Sequence
from uuid import UUID, uuid4

import asyncpg
import pytest

from tests.service.training_courses import planner
from tests.service.training_years import YEAR, a_plan, broken_promises, recorded
from tests.world import Running, World


class Ledger:
    """A plan, and raw SQL as role tsunagu_training."""

    def __init__(self, training: Running, plan_id: UUID) -> None:
        self.training, self.plan_id = training, plan_id

    async def enter(self, kind: str, source: str | None, target: str | None, seats: int, *, version: int = 1) -> None:
        command = uuid4()
        await self.training.rows(
            "INSERT INTO plan_command (plan_id, command_id, kind, version_no, asked, by, at)"
            " VALUES ($1, $2, $3, $4, '{}', 'x', now())",
            self.plan_id, command, kind, version,
        )  # fmt: skip
        await self.again(command, kind, source, target, seats)

    async def again(self, command: UUID, kind: str, source: str | None, target: str | None, seats: int) -> None:
        await self.training.rows(
            "INSERT INTO plan_entry (plan_id, command_id, kind, from_line, to_line, seats)"
            " VALUES ($1, $2, $3, $4, $5, $6)",
            self.plan_id, command, kind, source, target, seats,
        )  # fmt: skip

    async def version(self, number: int, *lines: tuple[str, str | None, str, int]) -> None:
        await self.training.rows(
            "INSERT INTO plan_version (plan_id, version_no, effective_on, decided_by, source, recorded_by, recorded_at)"
            " VALUES ($1, $2, '2026-01-01', 'x', 'x', 'x', now())",
            self.plan_id, number,
        )  # fmt: skip
        await self.lines(number, *lines)

    async def lines(self, number: int, *lines: tuple[str, str | None, str, int]) -> None:
        keys, parents, kinds, seats = map(list, zip(*lines, strict=True))
        await self.training.rows(
            "INSERT INTO plan_line (plan_id, version_no, place, key, parent, kind, seats, minimum_lot, per_course,"
            " label) SELECT $1, $2, 0, key, parent, kind, seats, 10, false, ''"
            " FROM unnest($3::text[], $4::text[], $5::text[], $6::int[]) AS l (key, parent, kind, seats)",
            self.plan_id, number, keys, parents, kinds, seats,
        )  # fmt: skip


@pytest.fixture
async def ledger(world: World) -> Ledger:
    training = world.service("training")
    assert (await training.rows("SELECT current_user AS role"))[0]["role"] == "tsunagu_training"
    overlay = {"key": "new", "kind": "overlay", "parent": "q1-it", "seats": 5}
    return Ledger(training, UUID(await recorded(planner(training), a_plan(*YEAR, overlay))))


async def test_no_line_falls_below_nothing(ledger: Ledger) -> None:
    await ledger.enter("transfer", "q1-it", "q1-care", 18)
    with pytest.raises(asyncpg.CheckViolationError, match="plan_line_never_below_nothing"):
        await ledger.enter("transfer", "q1-it", "q1-care", 1)


WRONG_ENTRIES = (
    ("transfer", "q1-it", "q2-it", "plan_entry_period"),
    ("carry_over", "q1-it", "q1-care", "plan_entry_period"),
    ("carry_over", "q2-it", "q1-it", "plan_entry_period"),
    ("carry_over", "year", "q1", "plan_entry_period"),
    ("open_to_all", "q1-it", "year", "plan_entry_period"),
    ("open_to_all", "q1-it", "q1-care", "the parent is for"),
    ("transfer", "q1-it", "new", "no such lines"),
    ("transfer", "q1-it", "nowhere", "no such lines"),
    ("transfer", "q1-it", "q1-it", "plan_entry_has_two_sides"),
    ("transfer", None, "q1-it", "plan_entry_has_two_sides|no such lines"),
    ("transfer", "q1-it", None, "plan_entry_has_two_sides|no such lines"),
    ("opening", "q1-it", "q1-care", "plan_entry_has_two_sides|plan_version_opens_once"),
    ("gift", "q1-it", "q1-care", "plan_command_kind_check"),
)


@pytest.mark.parametrize(("kind", "source", "target", "rule"), WRONG_ENTRIES)
async def test_an_entry_goes_where_its_kind_says(
    ledger: Ledger, kind: str, source: str | None, target: str | None, rule: str
) -> None:
    with pytest.raises((asyncpg.CheckViolationError, asyncpg.UniqueViolationError)) as refused:
        await ledger.enter(kind, source, target, 1)
    assert any(part in f"{refused.value} {refused.value.constraint_name}" for part in rule.split("|"))
    assert await broken_promises(ledger.training) == []


async def test_a_version_opens_once_and_a_command_is_done_once(ledger: Ledger) -> None:
    with pytest.raises(asyncpg.UniqueViolationError, match="plan_version_opens_once"):
        await ledger.enter("opening", None, "q1-it", 1)
    (opened,) = await ledger.training.rows("SELECT command_id FROM plan_command")
    with pytest.raises(asyncpg.UniqueViolationError, match="plan_entry_once"):
        await ledger.again(opened["command_id"], "opening", None, "q1-it", 1)


SUMLESS: Sequence[tuple[Sequence[tuple[str, str | None, str, int]], str]] = (
    ([("a", None, "partition", 10), ("b", "a", "partition", 9)], "plan_parts_sum"),
    ([("a", None, "partition", 10), ("b", "a", "partition", 11)], "plan_parts_sum"),
    ([("a", None, "partition", 10), ("b", "a", "overlay", 11)], "plan_line_inside_parent"),
    ([("a", None, "partition", 10), ("b", "a", "limit", 11)], "plan_line_inside_parent"),
    ([("a", None, "partition", 10), ("b", "a", "floor", 11)], "plan_line_inside_parent"),
    ([("a", None, "partition", 9), ("o", "a", "overlay", 9), ("b", "o", "partition", 9)], "plan_line_inside_parent"),
    ([("a", "b", "partition", 9), ("b", "a", "partition", 9)], "circle"),
)


@pytest.mark.parametrize(("lines", "rule"), SUMLESS)
async def test_a_plan_that_does_not_sum_is_refused(
    ledger: Ledger, lines: Sequence[tuple[str, str | None, str, int]], rule: str
) -> None:
    with pytest.raises(asyncpg.CheckViolationError) as refused:
        await ledger.version(2, *lines)
    assert rule in f"{refused.value} {refused.value.constraint_name}"


async def test_a_version_is_never_added_to(ledger: Ledger) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match="recorded whole"):
        await ledger.lines(1, ("more", None, "partition", 5))


async def test_a_version_holds_only_with_its_seats_in_the_ledger(ledger: Ledger) -> None:
    await ledger.version(2, ("a", None, "partition", 10))
    with pytest.raises(asyncpg.CheckViolationError, match="not those of the ledger"):
        await ledger.training.rows("UPDATE plan SET in_force = 2")
    with pytest.raises(asyncpg.CheckViolationError, match="not in force"):
        await ledger.enter("transfer", "q1-it", "q1-care", 1, version=2)


FORBIDDEN = (
    "UPDATE plan_account SET seats = 99",
    "INSERT INTO plan_account SELECT plan_id, 'more', 5, 5 FROM plan_account",
    "DELETE FROM plan_account",
    "UPDATE plan_entry SET seats = 1",
    "DELETE FROM plan_entry",
    "UPDATE plan_command SET at = now()",
    "DELETE FROM plan_command",
    "UPDATE plan_line SET seats = 1",
    "DELETE FROM plan_line",
    "UPDATE plan_version SET effective_on = now()",
    "DELETE FROM plan_version",
    "UPDATE plan SET fiscal_year = 2030",
    "DELETE FROM plan",
    "DELETE FROM plan_quarter_end",
    "ALTER TABLE plan_entry DISABLE TRIGGER ALL",
)


@pytest.mark.parametrize("statement", FORBIDDEN)
async def test_the_login_role_can_rewrite_nothing(ledger: Ledger, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await ledger.training.rows(statement)
