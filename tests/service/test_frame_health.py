"""Health and figures: ready is the database and its schema, never the broker."""

from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from shared.bus.envelope import new_id
from shared.bus.mailbox import emit
from shared.events import ConsentPending
from shared.service.app import create_app
from shared.service.clock import wall_time
from shared.service.declare import Service, Sweep
from shared.service.keeping import HOUSEKEEPING
from tests.service.frame_notebook import Notebook, open_notebook
from tests.world import Running, World, execute_as_admin


@pytest.fixture
async def notebook(world: World) -> Notebook:
    return await open_notebook(world)


async def test_alive_says_who_it_is_and_asks_nobody(world: World) -> None:
    service = Service(name="intake", title="x", title_ja="x", routers=())
    lost = Running(service, world.settings("intake", database_url="postgresql://nobody@127.0.0.1:1/nowhere"))
    answer = await lost.client.get("/health/live")
    assert (answer.status_code, answer.json()["status"], answer.json()["service"]) == (200, "live", "intake")
    await lost.close()


async def test_ready_shows_the_mailbox(notebook: Notebook) -> None:
    answer = await notebook.running.client.get("/health/ready")
    assert answer.status_code == 200
    assert answer.json()["checks"] == {"database": "ok", "migrations": "ok"}
    assert (answer.json()["unsent"], answer.json()["oldest_unsent_seconds"], answer.json()["parked"]) == (0, None, 0)
    await notebook.running.as_().post("/v1/notes", {"body": "x"})
    told = (await notebook.running.client.get("/health/ready")).json()
    assert told["unsent"] == 1
    assert told["oldest_unsent_seconds"] >= 0


@pytest.mark.parametrize("role", ["nobody@127.0.0.1:1/nowhere", "/nothing?host=/nowhere"])
async def test_without_its_database_it_is_not_ready_and_says_so(world: World, role: str) -> None:
    service = Service(name="intake", title="x", title_ja="x", routers=())
    lost = Running(service, world.settings("intake", database_url=f"postgresql://{role}"))
    answer = await lost.client.get("/health/ready")
    assert answer.status_code == 503
    assert answer.json()["checks"]["database"] == "failed"
    assert (await lost.client.get("/metrics")).status_code == 200
    await lost.close()


async def test_a_role_or_database_that_does_not_exist_is_not_ready_either(world: World) -> None:
    service = Service(name="intake", title="x", title_ja="x", routers=())
    for address in (world.url("nobody_at_all"), world.postgres.url(user="tsunagu_intake", database="no_such")):
        lost = Running(service, world.settings("intake", database_url=address))
        assert (await lost.client.get("/health/ready")).status_code == 503
        await lost.close()


async def test_a_schema_that_is_behind_is_not_ready(notebook: Notebook, world: World) -> None:
    await execute_as_admin(
        world.postgres, "DELETE FROM intake.alembic_version WHERE version_num LIKE 'intake%'", world.database_name
    )
    answer = await notebook.running.client.get("/health/ready")
    assert answer.status_code == 503
    assert answer.json()["checks"] == {"database": "ok", "migrations": "behind"}
    await execute_as_admin(world.postgres, "DROP TABLE intake.alembic_version", world.database_name)
    assert (await notebook.running.client.get("/health/ready")).json()["checks"]["migrations"] == "behind"


async def test_a_schema_that_is_ahead_is_ready_for_upgrades_begin_there(notebook: Notebook, world: World) -> None:
    await execute_as_admin(
        world.postgres,
        "UPDATE intake.alembic_version SET version_num = 'intake_9999' WHERE version_num LIKE 'intake%'",
        world.database_name,
    )
    answer = await notebook.running.client.get("/health/ready")
    assert (answer.status_code, answer.json()["checks"]["migrations"]) == (200, "ok")
    await execute_as_admin(
        world.postgres, "DELETE FROM intake.alembic_version WHERE version_num LIKE 'frame%'", world.database_name
    )
    assert (await notebook.running.client.get("/health/ready")).json()["checks"]["migrations"] == "behind"


async def test_the_broker_is_no_condition_for_being_ready(notebook: Notebook, world: World) -> None:
    settings = world.settings("intake", transport="kafka", kafka_bootstrap_servers="127.0.0.1:1")
    app = create_app(notebook.declared(), settings)
    running = notebook.running
    running.client._transport.app = app  # type: ignore[attr-defined]
    assert (await running.client.get("/health/ready")).status_code == 200
    await app.state.desk.database.dispose()


async def test_the_promised_figures_stand_in_metrics(notebook: Notebook, world: World) -> None:
    await notebook.running.as_().post("/v1/notes", {"body": "x"})
    await notebook.running.as_().get(f"/v1/notes/{new_id()}")
    figures = (await notebook.running.client.get("/metrics")).text
    assert 'tsunagu_events_unsent{service="intake"} 1.0' in figures
    assert 'tsunagu_events_parked{service="intake"} 0.0' in figures
    for name in (
        "tsunagu_oldest_unsent_seconds",
        "tsunagu_events_published_total",
        "tsunagu_events_taken_total",
        "tsunagu_loop_failures_total",
        "tsunagu_request_seconds_bucket",
    ):
        assert f"\n# TYPE {name.removesuffix('_bucket').removesuffix('_total')}" in figures
    assert 'route="/v1/notes/{note_id}"' in figures, "the template, never the id"


# -------------------------------------------------------------------------------------------------------------- sweeps


async def test_a_sweep_is_a_transaction_that_tells_why(world: World) -> None:
    case = new_id()
    done: list[int] = []

    async def remind(session: AsyncSession, now: object) -> bool:
        if done:
            return False
        done.append(1)
        await emit(session, (ConsentPending(case_id=case, consent_version=1), 1), at=wall_time())
        return True

    service = Service(
        name="intake", title="x", title_ja="x", routers=(), sweeps=[Sweep("remind", timedelta(seconds=1), remind)]
    )
    running = world.declared(service)
    assert await running.sweep() == 1
    (row,) = await running.rows("SELECT value FROM outbox")
    assert b'"cause":"sweep:remind"' in row["value"]


async def test_kept_answers_go_after_three_days_and_arrivals_after_forty_five(notebook: Notebook, world: World) -> None:
    running = notebook.running
    await running.as_().post("/v1/notes", {"body": "x"})
    await running.rows("INSERT INTO inbox (event_id) SELECT gen_random_uuid() FROM generate_series(1, 3)")
    housekeeper = world.declared(Service(name="intake", title="x", title_ja="x", routers=(), sweeps=HOUSEKEEPING))

    async def left() -> tuple[int, int]:
        (row,) = await running.rows("SELECT (SELECT count(*) FROM idempotency), (SELECT count(*) FROM inbox)")
        return row[0], row[1]

    for passed, expected in ((timedelta(hours=71), (1, 3)), (timedelta(hours=2), (0, 3)), (timedelta(days=43), (0, 0))):
        housekeeper.pass_time(passed)
        await housekeeper.sweep()
        assert await left() == expected


async def test_the_clock_of_a_test_moves_with_the_database(world: World) -> None:
    running = world.declared(Service(name="intake", title="x", title_ja="x", routers=()))
    async with running.database.session() as session:
        before = await running.desk.clock.now(session)
        real = (await session.execute(text("SELECT clock_timestamp()"))).scalar_one()
        assert abs(real - before) < timedelta(seconds=5)
        running.pass_time(timedelta(days=3))
        assert timedelta(days=3) <= await running.desk.clock.now(session) - before < timedelta(days=3, seconds=5)
