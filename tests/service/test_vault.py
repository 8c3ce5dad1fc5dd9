"""The vault on a real database: keys rewrapped, the log sealed and exported, erasing, and what an upgrade seals."""

import asyncio
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.database import BY_COMMAND
from shared.service.keeping import keeping_the_log
from shared.settings import Settings
from shared.vault import Access, Action, Erased, MasterKeys, erase, rewrap, unlock
from shared.vault.chain import export_lines, read_checkpoints, verify
from shared.vault.log import entries_in_no_seal, seal_next, sealed_entries, write_checkpoints
from shared.vault.masters import with_next_master
from tests.service import intake_counter
from tests.world import MASTER_KEYS, Running, World, execute_as_admin

READ = Access(Action.READ, "kagoshima-desk", "client-1", ("counsellor",), "support", "appi_69_2_2", ("name",))
ERASE = Access(Action.ERASE, "kagoshima-desk", "client-1", ("operator",), "erasure", "appi_69_2_2", ())


async def opened(intake: Running, name: str = "架空 花子") -> UUID:
    return UUID(await intake_counter.opened(intake.as_(), person={"name": name}))


async def name_of(intake: Running, case_id: UUID) -> Any:
    return (await intake.as_().get(f"/v1/cases/{case_id}/person")).json()["person"].get("name")


# --- keys -----------------------------------------------------------------------------------------------------------


async def test_a_rotation_rewraps_every_key_while_the_service_reads_on(world: World) -> None:
    intake = world.service("intake")
    cases = [await opened(intake, f"架空 {number}") for number in range(5)]
    text = with_next_master(MASTER_KEYS)
    intake.database.carries["masters"] = MasterKeys(lambda: text)
    assert await name_of(intake, cases[0]) == "架空 0"

    async def step() -> int:
        async with intake.database.transaction(BY_COMMAND) as session:
            return await rewrap(session, limit=2)

    done = 0
    while some := await step():
        done += some
        assert [await name_of(intake, case_id) for case_id in cases] == [f"架空 {number}" for number in range(5)]
    assert done == 5
    assert [row["master_version"] for row in await intake.rows("SELECT master_version FROM data_key")] == [2] * 5


async def test_two_rewraps_at_once_do_each_key_once(world: World) -> None:
    intake = world.service("intake")
    for _ in range(6):
        await opened(intake)
    text = with_next_master(MASTER_KEYS)
    intake.database.carries["masters"] = MasterKeys(lambda: text)

    async def all_of_it() -> int:
        done = 0
        while True:
            async with intake.database.transaction(BY_COMMAND) as session:
                some = await rewrap(session, limit=1)
            if not some:
                return done
            done += some

    assert sum(await asyncio.gather(all_of_it(), all_of_it())) == 6


async def test_an_erased_case_opens_no_more_and_leaves_a_tombstone(world: World) -> None:
    intake = world.service("intake")
    gone, kept = await opened(intake), await opened(intake)
    async with intake.database.transaction(BY_COMMAND) as session:
        assert await erase(session, gone, ERASE, reason="retention_over")
        assert not await erase(session, gone, ERASE, reason="retention_over")
    assert await name_of(intake, gone) is None
    assert await name_of(intake, kept) == "架空 花子"
    (stone,) = await intake.rows("SELECT subject_id, erased_by, reason FROM erasure")
    assert tuple(stone) == (gone, "kagoshima-desk", "retention_over")
    async with intake.database.transaction(BY_COMMAND) as session:
        unlocked = await unlock(session, [gone], READ)
    with pytest.raises(Erased):
        unlocked.of(gone)


async def test_keys_are_handed_out_only_with_an_entry_in_the_log(world: World) -> None:
    intake = world.service("intake")
    case_id = await opened(intake)
    async with intake.database.session(BY_COMMAND) as session:
        unlocked = await unlock(session, [case_id], READ)
        await session.rollback()
    assert unlocked.of(case_id).subject == str(case_id)
    async with intake.database.transaction(BY_COMMAND) as session:
        await unlock(session, [case_id, uuid4()], READ)
    entries = await intake.rows("SELECT action, subject_id = $1 AS ours FROM access_log ORDER BY id", case_id)
    assert sorted(tuple(entry) for entry in entries) == [("read", True), ("write", True)], "and none for no key"


# --- the log --------------------------------------------------------------------------------------------------------


async def exported(intake: Running) -> list[str]:
    async with intake.database.transaction(BY_COMMAND) as session:
        sealed = [each async for each in sealed_entries(session)]
        return list(export_lines("intake", sealed, await entries_in_no_seal(session)))


async def seal(intake: Running) -> int:
    done = 0
    while True:
        async with intake.database.transaction(BY_COMMAND) as session:
            sealed = await seal_next(session, log="intake")
        if sealed is None:
            return done
        done += len(sealed.entries)


async def test_what_was_sealed_and_written_down_verifies(world: World, tmp_path: Path) -> None:
    intake, file = world.service("intake"), tmp_path / "checkpoints"
    for _ in range(3):
        await opened(intake)
        assert await seal(intake) == 1
    async with intake.database.transaction(BY_COMMAND) as session:
        assert await write_checkpoints(session, file) == 3
        assert await write_checkpoints(session, file) == 0
    verdict = verify(await exported(intake), read_checkpoints(file.read_text().splitlines()))
    assert (verdict.findings, verdict.entries, verdict.seals) == ([], 3, 3)


@pytest.mark.parametrize(
    "meddling",
    [
        "UPDATE intake.access_log SET agency = 'nobody' WHERE id = 2",
        "DELETE FROM intake.access_log WHERE id = 2",
        "DELETE FROM intake.access_seal WHERE number = 3",
        "UPDATE intake.access_seal SET entries = '{1}' WHERE number = 2",
        """INSERT INTO intake.access_log (subject_id, action, agency, actor, roles, purpose, basis, fields)
        VALUES (gen_random_uuid(), 'read', 'x', 'x', '{}', 'x', 'x', '{}')""",
    ],
)
async def test_an_administrator_who_meddles_in_the_database_is_found(
    world: World, tmp_path: Path, meddling: str
) -> None:
    intake, file = world.service("intake"), tmp_path / "checkpoints"
    for _ in range(3):
        await opened(intake)
        await seal(intake)
    async with intake.database.transaction(BY_COMMAND) as session:
        await write_checkpoints(session, file)
    await execute_as_admin(world.postgres, meddling, world.database_name)
    assert verify(await exported(intake), read_checkpoints(file.read_text().splitlines())).findings


async def test_an_entry_whose_transaction_commits_late_is_sealed_none_the_less(world: World) -> None:
    intake = world.service("intake")
    case_id = await opened(intake)
    async with intake.database.session(BY_COMMAND) as slow:
        await unlock(slow, [case_id], READ)  # its number is drawn, and others are drawn and sealed before it commits
        await opened(intake)
        assert await seal(intake) == 2
        await intake.database.commit(slow)
    assert await seal(intake) == 1
    async with intake.database.transaction(BY_COMMAND) as session:
        assert await entries_in_no_seal(session) == []


async def test_two_sealers_at_once_make_one_chain(world: World, tmp_path: Path) -> None:
    intake, file = world.service("intake"), tmp_path / "checkpoints"
    for _ in range(6):
        await opened(intake)
    assert sum(await asyncio.gather(seal(intake), seal(intake), seal(intake))) == 6
    async with intake.database.transaction(BY_COMMAND) as session:
        await write_checkpoints(session, file)
    assert verify(await exported(intake), read_checkpoints(file.read_text().splitlines())).findings == []


async def test_a_checkpoint_torn_by_a_crash_is_written_again(world: World, tmp_path: Path) -> None:
    intake, file = world.service("intake"), tmp_path / "checkpoints"
    await opened(intake)
    await seal(intake)
    file.write_text('{"number":1,"dig')
    async with intake.database.transaction(BY_COMMAND) as session:
        assert await write_checkpoints(session, file) == 1
    assert verify(await exported(intake), read_checkpoints(file.read_text().splitlines())).findings == []


async def test_the_clock_seals_and_writes_down_by_itself(world: World, tmp_path: Path) -> None:
    intake, file = world.service("intake"), tmp_path / "checkpoints"
    await opened(intake)
    for sweep in keeping_the_log("intake", Settings(checkpoints_path=file)):
        async with intake.database.transaction(BY_COMMAND) as session:
            assert await sweep.run(session, await intake.desk.clock.now(session))
    assert len(read_checkpoints(file.read_text().splitlines())) == 1


# --- upgrades -------------------------------------------------------------------------------------------------------


async def test_a_next_step_that_an_earlier_version_kept_in_the_clear_is_sealed(world: World) -> None:
    intake = world.service("intake")
    case_id = uuid4()
    await execute_as_admin(
        world.postgres,
        "INSERT INTO intake.case_ (id, number, municipality, opened_by, holder_agency, entrance, topics, needs, urgent,"
        " status, next_step, next_step_on, consent_state, consent_version, opened_at, version)"
        f" VALUES ('{case_id}', '2026-000900', '462012', 'kagoshima-desk', 'kagoshima-desk', 'walk_in', '{{}}', '{{}}',"
        " false, 'open', 'あす電話する', '2026-11-26', 'not_yet', 0, now(), 1)",
        world.database_name,
    )
    assert await intake.sweep() == 1
    assert [row["next_step"] for row in await intake.rows("SELECT next_step FROM case_")] == [None]
    assert (await intake.as_().get(f"/v1/cases/{case_id}")).json()["next_step"] == "あす電話する"
    assert (await intake.as_().patch(f"/v1/cases/{case_id}", {"next_step": "会う"}, etag='"2"')).status_code == 200
