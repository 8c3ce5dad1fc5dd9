"""Erasing: ordered, written down outside, carried out; killed at every point; and a backup that knows less."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from embedded.postgres import BIN
from services.intake.handlers.erasure import FORGETTERS
from shared.bus.port import Record
from shared.bus.postgres import PostgresTransport
from shared.bus.relay import Relay
from shared.database import BY_COMMAND
from shared.events import CaseErased
from shared.service.erasures import refuse_before_replay, replay
from shared.service.keeping import erasing
from shared.service.wall import StartRefused
from shared.settings import Settings
from shared.vault import Access, Action, order_erasure, unlock
from shared.vault.erasing import erase_next, read_list, write_down
from tests.service.doomed_eraser import CUTS
from tests.world import MASTER_KEYS, Running, World, execute_as_admin

ROOT = Path(__file__).resolve().parents[2]
READ = Access(Action.READ, "kagoshima-desk", "client-1", ("counsellor",), "support", "appi_69_2_2", ("name",))


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """The list outside the database."""
    return tmp_path / "erasures.jsonl"


@pytest.fixture
async def intake(world: World, outside: Path) -> AsyncIterator[Running]:
    running = Running(world.service("intake").service, world.settings("intake", erasures_path=outside))
    yield running
    await running.close()


async def opened(intake: Running, name: str = "架空 花子", **more: Any) -> UUID:
    answer = await intake.as_().post("/v1/cases", {"person": {"name": name, "story": f"{name}の話"}, **more})
    assert answer.status_code == 201, answer.text
    return UUID(answer.json()["case_id"])


async def closed(intake: Running, name: str = "架空 花子", **more: Any) -> UUID:
    case_id = await opened(intake, name, **more)
    answer = await intake.as_().post(f"/v1/cases/{case_id}/closing", {"interruption": "moved_away"})
    assert answer.status_code == 200, answer.text
    return case_id


async def order(intake: Running, case_id: UUID, agency: str = "kagoshima-desk", **kwargs: Any) -> Any:
    return await intake.as_(agency, **kwargs).post(f"/v1/cases/{case_id}/erasure", {"reason": "persons_request"})


# --- who may, and when ----------------------------------------------------------------------------------------------


async def test_an_order_is_carried_out_and_leaves_number_and_custody(intake: Running, outside: Path) -> None:
    case_id = await closed(intake)
    ordered = await order(intake, case_id)
    assert (ordered.status_code, ordered.json()["erased_at"]) == (202, None)
    assert await intake.sweep() == 1
    state = (await intake.as_().get(f"/v1/cases/{case_id}/erasure")).json()
    assert state["erased_at"] is not None
    assert state["reason"] == "persons_request"
    assert read_list(outside) == [case_id]
    for path in ("person", "records", "hand-over-sheet.csv", "hand-over-sheet.html"):
        gone = await intake.as_().get(f"/v1/cases/{case_id}/{path}")
        assert (gone.status_code, gone.json()["code"]) == (410, "erased"), path
    case = await intake.as_().get(f"/v1/cases/{case_id}")
    assert (case.status_code, case.json()["status"], case.json()["next_step"]) == (200, "closed", None)
    assert len((await intake.as_().get(f"/v1/cases/{case_id}/custody")).json()["items"]) == 2
    await intake.sweep()
    assert await intake.rows("SELECT 1 FROM person_index") == [], "found no more, and not made anew"
    entries = await intake.rows("SELECT agency, purpose, basis FROM access_log WHERE action = 'erase'")
    assert [tuple(entry) for entry in entries] == [("kagoshima-desk", "erasure", "appi_69_2_2")]


async def test_that_a_case_was_erased_is_told_once_and_last_of_all(intake: Running) -> None:
    case_id = await closed(intake)
    begun = await intake.as_().post("/v1/drafts", {"person": {"name": "下書き"}})
    await intake.as_().post(f"/v1/drafts/{begun.json()['draft_id']}/discard")
    await order(intake, case_id)
    assert not any(isinstance(event, CaseErased) for event in await intake.told()), "an order is not an erasure"
    await intake.sweep()
    intake.pass_time(timedelta(days=31))
    await intake.sweep()
    assert len(await intake.rows("SELECT 1 FROM erasure")) == 2
    *_, last = await intake.told()
    assert isinstance(last, CaseErased)
    assert (last.case_id, last.agency_id, last.reason) == (case_id, "kagoshima-desk", "persons_request")
    assert [type(event) for event in await intake.told()].count(CaseErased) == 1
    sealed = await intake.rows("SELECT value FROM outbox WHERE key = $1 ORDER BY seq", str(case_id))
    versions = [json.loads(row["value"])["sequence"] for row in sealed]
    assert versions[-1] > max(versions[:-1]), "the newest fact of the case, also by its version"
    kinds = [entry["kind"] for entry in await intake.as_().whole(f"/v1/cases/{case_id}/timeline")]
    assert kinds[-2:] == ["erasure_ordered", "case_erased"]


async def test_only_the_holder_orders_and_another_municipality_finds_no_case(intake: Running) -> None:
    case_id = await closed(intake)
    other = await order(intake, case_id, "kagoshima-work")
    assert (other.status_code, other.json()["code"]) == (403, "not_the_holder")
    assert (await order(intake, case_id, "zama-desk", municipalities=["142166"])).status_code == 404
    assert (await order(intake, uuid4())).status_code == 404
    bad = await intake.as_().post(f"/v1/cases/{case_id}/erasure", {"reason": "because"})
    assert bad.status_code == 422
    assert await intake.rows("SELECT 1 FROM erasure_order") == []


async def test_what_opens_nothing_any_more_is_no_reading(intake: Running) -> None:
    desk, erased, open_ = intake.as_(), await closed(intake), await opened(intake)
    await order(intake, erased)
    await intake.sweep()
    before = len(await intake.rows("SELECT FROM access_log"))
    for path in (f"/v1/cases/{erased}", "/v1/cases"):
        assert (await desk.get(path)).status_code == 200
    entries = await intake.rows(f"SELECT subject_id, fields FROM access_log ORDER BY id OFFSET {before}")
    assert [tuple(row) for row in entries] == [(open_, ["next_step"])]


async def test_an_open_case_is_not_erased(intake: Running) -> None:
    answer = await order(intake, await opened(intake))
    assert (answer.status_code, answer.json()["code"]) == (409, "still_open")


async def test_what_is_erased_takes_nothing_in_any_more(intake: Running) -> None:
    case_id = await closed(intake)
    await order(intake, case_id)
    for moment in ("ordered", "erased"):
        again = await order(intake, case_id)
        assert (again.status_code, again.json()["code"]) == (410, "erased"), moment
        for path, body in (("reopening", None), ("legal-hold", {"reason": "audit"})):
            answer = await intake.as_().post(f"/v1/cases/{case_id}/{path}", body)
            assert (answer.status_code, answer.json()["code"]) == (410, "erased"), moment
        written = await intake.as_().patch(f"/v1/cases/{case_id}/person", {"name": "また"}, etag='"1"')
        assert written.status_code == 410, moment
        await intake.sweep()


async def test_a_draft_that_became_the_case_goes_with_it(intake: Running, outside: Path) -> None:
    begun = await intake.as_().post("/v1/drafts", {"person": {"name": "下書き"}})
    draft_id = begun.json()["draft_id"]
    case_id = await closed(intake, draft_id=draft_id)
    await order(intake, case_id)
    assert await intake.sweep() == 2
    assert read_list(outside) == [case_id, UUID(draft_id)]
    assert await intake.rows("SELECT 1 FROM data_key") == []


async def test_what_an_earlier_version_kept_in_the_clear_goes_too(intake: Running, world: World) -> None:
    case_id = await closed(intake)
    await execute_as_admin(
        world.postgres, f"UPDATE intake.case_ SET next_step = '電話' WHERE id = '{case_id}'", world.database_name
    )
    await order(intake, case_id)
    async with intake.database.transaction(BY_COMMAND) as session:
        await erase_next(session, None, FORGETTERS)
    assert [row[0] for row in await intake.rows("SELECT next_step FROM case_")] == [None]


async def test_the_list_that_a_case_came_by_goes_with_it(intake: Running) -> None:
    case_id, file_id = await closed(intake), uuid4()
    await intake.rows("INSERT INTO listed_case (agency, number, line, case_id) VALUES ('welfare', '', '', $1)", case_id)
    for agency, committed in (("welfare", "now()"), ("welfare", "NULL"), ("other", "now()")):
        await intake.rows(
            "INSERT INTO import_file (id, kind, agency, content, report, committed_at)"
            f" VALUES ($1, 'x', $2, '', '{{}}', {committed})",
            file_id if (agency, committed) == ("welfare", "now()") else uuid4(),
            agency,
        )
    await order(intake, case_id)
    assert await intake.sweep() == 2
    assert {row[0] for row in await intake.rows("SELECT subject_id FROM erasure")} == {case_id, file_id}
    assert len(await intake.rows("SELECT 1 FROM import_file")) == 2
    assert await intake.rows("SELECT 1 FROM listed_case") == []


# --- legal hold -----------------------------------------------------------------------------------------------------


async def test_a_legal_hold_refuses_the_order_until_it_is_lifted(intake: Running) -> None:
    case_id = await closed(intake)
    desk, path = intake.as_(), f"/v1/cases/{case_id}/legal-hold"
    held = await desk.post(path, {"reason": "litigation"})
    assert (held.status_code, held.json()["held"], held.json()["hold_reason"]) == (200, True, "litigation")
    assert (await desk.post(path, {"reason": "audit"})).json()["code"] == "on_hold"
    assert (await order(intake, case_id)).json()["code"] == "on_hold"
    other = await intake.as_("kagoshima-work").post(f"{path}/lifting", {"reason": "ended"})
    assert other.json()["code"] == "not_the_holder"
    assert (await desk.post(f"{path}/lifting", {"reason": "ended"})).json()["held"] is False
    assert (await desk.post(f"{path}/lifting", {"reason": "ended"})).json()["code"] == "not_on_hold"
    assert (await order(intake, case_id)).status_code == 202
    steps = await intake.rows("SELECT number, step, reason FROM legal_hold ORDER BY number")
    assert [tuple(step) for step in steps] == [(1, "placed", "litigation"), (2, "lifted", "ended")]
    kinds = {entry["kind"] for entry in await desk.whole(f"/v1/cases/{case_id}/timeline")}
    assert {"hold_placed", "hold_lifted", "erasure_ordered"} <= kinds


async def test_an_order_and_a_hold_at_once_are_one_of_both(intake: Running) -> None:
    cases = [await closed(intake) for _ in range(8)]
    desk = intake.as_()
    await asyncio.gather(
        *(order(intake, case_id) for case_id in cases),
        *(desk.post(f"/v1/cases/{case_id}/legal-hold", {"reason": "audit"}) for case_id in cases),
    )
    ordered = {row[0] for row in await intake.rows("SELECT subject_id FROM erasure_order")}
    held = {row[0] for row in await intake.rows("SELECT subject_id FROM legal_hold")}
    assert ordered | held == set(cases)
    assert not ordered & held


async def test_a_hold_waits_for_an_order_that_another_process_is_at(intake: Running) -> None:
    case_id = await closed(intake)
    async with intake.database.transaction(BY_COMMAND) as session:
        await order_erasure(session, [case_id], agency="operator", actor="係長", reason="persons_request")
        holding = asyncio.create_task(intake.as_().post(f"/v1/cases/{case_id}/legal-hold", {"reason": "audit"}))
        async with asyncio.timeout(10):
            while not await intake.rows("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"):
                pass  # it is the database that is waited for
    assert (await holding).json()["code"] == "erased"


# --- killed at any moment -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", CUTS)
async def test_killed_at_any_point_it_is_erased_all_the_same_and_never_without_the_list(
    intake: Running, outside: Path, world: World, cut: str
) -> None:
    case_id = await closed(intake)
    await order(intake, case_id)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.service.doomed_eraser", world.url("tsunagu_intake"), str(outside), cut,
        cwd=ROOT, env=dict(os.environ) | {"TSUNAGU_MASTER_KEYS": MASTER_KEYS},
    )  # fmt: skip
    assert await process.wait() == -9
    erased = await intake.rows("SELECT 1 FROM erasure")
    keys = await intake.rows("SELECT 1 FROM data_key")
    assert (len(erased), len(keys)) == ((1, 0) if cut == CUTS[-1] else (0, 1))
    if erased:
        assert read_list(outside) == [case_id]
    await refuse_before_replay(intake.database, outside)
    await intake.sweep()
    assert read_list(outside) == [case_id]
    assert await intake.rows("SELECT 1 FROM data_key") == []
    await refuse_before_replay(intake.database, outside)


async def test_where_the_list_cannot_be_written_nothing_is_erased(intake: Running, outside: Path) -> None:
    case_id = await closed(intake)
    await order(intake, case_id)
    nowhere = Settings(erasures_path=outside / "no_such_folder" / "list")
    async with intake.database.transaction(BY_COMMAND) as session:
        with pytest.raises(FileNotFoundError):
            await erasing(nowhere, FORGETTERS).run(session, await intake.desk.clock.now(session))
    assert len(await intake.rows("SELECT 1 FROM data_key")) == 1
    assert await intake.sweep() == 1


# --- backups --------------------------------------------------------------------------------------------------------


def run(program: str, *args: str) -> None:
    subprocess.run([str(BIN / program), *args], check=True, capture_output=True)


class Overheard:
    """Everything that was published."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    async def take(self, records: Any) -> None:
        self.records += records


async def published(world: World, intake: Running, *, at_least: int) -> bytes:
    """The topic of intake, whole."""
    transport = PostgresTransport(world.url("tsunagu_bus"))
    await transport.start()
    await transport.ensure_topics(["tsunagu.intake"])
    overheard = Overheard()
    tasks = [
        asyncio.create_task(Relay("intake", intake.database, transport).run()),
        asyncio.create_task(transport.consume("overhearing", ["tsunagu.intake"], overheard.take)),
    ]
    async with asyncio.timeout(60):
        while len(overheard.records) < at_least:  # noqa: ASYNC110 - the relay is another task
            await asyncio.sleep(0.05)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    await transport.stop()
    return b"".join(record.value for record in overheard.records)


async def test_a_hundred_erased_cases_are_unreadable_in_the_database_the_topics_and_a_restored_backup(
    world: World, intake: Running, outside: Path, tmp_path: Path
) -> None:
    names = [f"消去 かなりあ{number:03}" for number in range(100)]
    cases = [await closed(intake, name) for name in names]
    kept = await closed(intake, "残る 人")
    backup, where = tmp_path / "backup", ("-h", str(world.postgres.socket_folder), "-U", "postgres")
    await asyncio.to_thread(run, "pg_dump", *where, "-Fc", "-f", str(backup), world.database_name)
    for case_id in cases:
        assert (await order(intake, case_id)).status_code == 202
    assert await intake.sweep() == 100

    await nothing_readable(intake, cases, names)
    topic = await published(world, intake, at_least=200)
    assert not [name for name in names if name.encode() in topic]
    assert set(read_list(outside)) == set(cases)

    restored = f"restored_{uuid4().hex[:8]}"
    await execute_as_admin(world.postgres, f"CREATE DATABASE {restored}")
    try:
        await asyncio.to_thread(run, "pg_restore", *where, "-d", restored, str(backup))
        settings = world.settings(
            "intake",
            database_url=world.postgres.url(user="tsunagu_intake", database=restored),
            erasures_path=outside,
        )
        again = Running(intake.service, settings)
        assert (await again.as_().get(f"/v1/cases/{cases[0]}/person")).json()["person"]["name"] == names[0]
        with pytest.raises(StartRefused, match="100 erasures are not known here"):
            await again.app.state.inspect()
        with pytest.raises(StartRefused, match="erasures replay"):
            async with again.app.router.lifespan_context(again.app):
                pass
        assert await replayed(again, outside) == 100
        assert await replayed(again, outside) == 0
        await again.app.state.inspect()
        await nothing_readable(again, cases, names)
        assert (await again.as_().get(f"/v1/cases/{kept}/person")).json()["person"]["name"] == "残る 人"
        assert lines_of(outside) == 100, "what stands there is not written down once more"
        await again.close()
    finally:
        await execute_as_admin(world.postgres, f"DROP DATABASE {restored} WITH (FORCE)")


async def nothing_readable(intake: Running, cases: list[UUID], names: list[str]) -> None:
    """Not through the service, not with the master keys at hand, and in no table in the clear."""
    for case_id in cases[::10]:
        answer = await intake.as_().get(f"/v1/cases/{case_id}/person")
        assert answer.status_code == 410
        assert not [name for name in names if name in answer.text]
    async with intake.database.transaction(BY_COMMAND) as session:
        assert not (await unlock(session, cases, READ)).keys
    for (table,) in await intake.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'intake'"):
        rows = await intake.rows(f"SELECT t::text FROM {table} t")
        whole = "".join(row[0] for row in rows)
        assert not [name for name in names if name in whole or name.encode().hex() in whole], table


def lines_of(file: Path) -> int:
    return len(file.read_text().splitlines())


async def replayed(intake: Running, file: Path) -> int:
    return await replay(
        intake.database,
        file,
        path=intake.desk.settings.erasures_path,
        forgetters=FORGETTERS,
        began=lambda _: None,
        done=lambda: None,
    )


async def test_a_replay_goes_past_holds_that_stood_in_the_backup(intake: Running, outside: Path) -> None:
    case_id = await closed(intake)
    await intake.as_().post(f"/v1/cases/{case_id}/legal-hold", {"reason": "audit"})
    write_down(outside, [case_id, uuid4()])
    with pytest.raises(StartRefused, match="2 erasures"):
        await refuse_before_replay(intake.database, outside)
    assert await replayed(intake, outside) == 2
    await refuse_before_replay(intake.database, outside)
    assert await intake.rows("SELECT 1 FROM data_key") == []


async def test_a_list_that_was_lost_is_written_anew_by_the_start(intake: Running, outside: Path) -> None:
    case_id = await closed(intake)
    await order(intake, case_id)
    await intake.sweep()
    another = outside.with_name("another")
    await refuse_before_replay(intake.database, another)
    assert read_list(another) == [case_id]


async def test_a_torn_line_hides_no_other(outside: Path) -> None:
    first, second = uuid4(), uuid4()
    write_down(outside, [first])
    with outside.open("a") as file:
        file.write('{"erased": "0193')
    write_down(outside, [second, first])
    assert read_list(outside) == [first, second]


async def test_the_operators_words_work_and_end_well(intake: Running, outside: Path, world: World) -> None:
    held, free = await closed(intake), await closed(intake)
    await intake.as_().post(f"/v1/cases/{held}/legal-hold", {"reason": "audit"})

    async def command(*words: str) -> tuple[int | None, str]:
        settings = {
            "TSUNAGU_SERVICE": "intake",
            "TSUNAGU_DATABASE_URL": world.url("tsunagu_intake"),
            "TSUNAGU_MASTER_KEYS": MASTER_KEYS,
            "TSUNAGU_ERASURES_PATH": str(outside),
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "shared.service", "erasures", *words,
            cwd=ROOT, env=dict(os.environ) | settings, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        told = (await process.communicate())[0].decode()
        return process.returncode, told

    said = ("--reason", "persons_request", "--by", "係長")
    assert (await command("order", str(held), *said))[0] == 1
    code, told = await command("order", str(free), *said)
    assert code == 0, told
    assert "ordered already" in (await command("order", str(free), *said))[1]
    write_down(outside, [uuid4()])
    code, told = await command("replay", str(outside))
    assert code == 0, told
    assert "2 件" in told
    assert (await command("replay", str(outside / "nowhere")))[0] == 1
    assert free in read_list(outside)
    assert len(await intake.rows("SELECT 1 FROM data_key")) == 1
