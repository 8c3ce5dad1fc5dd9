"""Needs that nobody answers: on record with a coordinator until they end, found when asked and by the clock."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from services.referral.handlers import needs as handlers
from shared.events import CaseClosed, CaseHandedOver, CaseReopened, NeedMet, NeedUnmet
from tests.service.referral_region import (
    PROGRAMMES,
    TODAY,
    Region,
    code,
    consented,
    coordinated,
    erased,
    opened,
    take_in,
)
from tests.world import KAGOSHIMA, KIRISHIMA, ZAMA, Running, World

HOUSING = f"sakura-npo,sumai,桜の住まい,housing_support,4,drop_in,462012,housing,has_room,{TODAY}\n"


@pytest.fixture
async def region(referral: Running) -> Region:
    return await Region(referral).ready()


async def lonely(region: Region, *needs: str) -> UUID:
    """A case whose needs nobody answers."""
    case_id = uuid4()
    await region.running.hear(opened(case_id, needs=needs or ("housing",)), consented(case_id))
    return case_id


async def ask(region: Region, case_id: UUID) -> Any:
    answer = await region.desk.get(f"/v1/cases/{case_id}/candidates")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def told(running: Running, case_id: UUID) -> list[tuple[str, str | None]]:
    """What was told of a case's needs, in order."""
    found: list[tuple[str, str | None]] = []
    for event in await running.told():
        match event:
            case NeedUnmet() if event.case_id == case_id:
                found.append(("unmet", event.need))
            case NeedMet() if event.case_id == case_id:
                found.append((event.reason, event.need))
            case _:
                pass
    return found


async def on_record(running: Running, case_id: UUID) -> list[tuple[str | None, str, str | None]]:
    rows = await running.rows("SELECT need, state, reason FROM need_unmet WHERE case_id = $1 ORDER BY id", case_id)
    return [tuple(row) for row in rows]


async def housing_comes(region: Region) -> None:
    await take_in(region.running, "/v1/programme-imports", PROGRAMMES.splitlines(keepends=True)[0] + HOUSING)


async def test_a_person_with_nothing_suitable_has_a_record_and_a_coordinator(region: Region) -> None:
    case_id = await lonely(region)
    found = await ask(region, case_id)

    assert (found["need_unmet"], found["unmet_needs"]) == (True, ["housing"])
    assert found["coordinator"]["agency_id"] == "kagoshima-desk"
    assert await told(region.running, case_id) == [("unmet", "housing"), ("unmet", None)]
    event = next(event for event in await region.running.told() if isinstance(event, NeedUnmet))
    assert (event.municipality, event.coordinator, event.stage) == (KAGOSHIMA, "kagoshima-desk", None)


async def test_asking_again_and_at_once_keeps_one_record_of_each(region: Region) -> None:
    case_id = await lonely(region)
    await asyncio.gather(*(ask(region, case_id) for _ in range(6)))

    assert sorted(await on_record(region.running, case_id), key=str) == [
        ("housing", "open", None),
        (None, "open", None),
    ]
    assert len(await told(region.running, case_id)) == 2


async def test_a_need_that_is_left_over_is_on_record_though_there_are_candidates(region: Region) -> None:
    case_id = await lonely(region, "people", "housing")
    assert not (await ask(region, case_id))["need_unmet"]
    assert await on_record(region.running, case_id) == [("housing", "open", None)]


async def test_it_is_met_as_soon_as_a_candidate_appears(region: Region) -> None:
    case_id = await lonely(region)
    await ask(region, case_id)
    await housing_comes(region)
    await ask(region, case_id)

    assert (await told(region.running, case_id))[2:] == [("candidate_found", "housing"), ("candidate_found", None)]
    rows = await region.running.rows("SELECT state, ended_at > since AS later FROM need_unmet")
    assert [tuple(row) for row in rows] == [("met", True)] * 2


async def test_what_is_no_longer_needed_ends_unmet(region: Region) -> None:
    case_id = await lonely(region, "people", "housing")
    await ask(region, case_id)
    await region.running.hear(opened(case_id, needs=("people",)))
    await ask(region, case_id)
    assert await on_record(region.running, case_id) == [("housing", "ended", "no_longer_needed")]


async def test_the_clock_looks_at_every_open_case_once_a_day(region: Region, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handlers, "BATCH", 2)
    await region.running.sweep()  # what else the clock asks for on a first day
    cases = [await lonely(region) for _ in range(5)]
    assert await region.running.sweep() == 3, "five cases, two in a transaction"
    for case_id in cases:
        assert await told(region.running, case_id) == [("unmet", "housing"), ("unmet", None)]
    assert await region.running.sweep() == 0

    await housing_comes(region)
    assert await region.running.sweep() == 0, "tomorrow"
    region.running.pass_time(timedelta(days=1))
    assert await region.running.sweep() >= 3
    for case_id in cases:
        assert ("candidate_found", None) in await told(region.running, case_id)


async def test_an_acceptance_ends_it_within_the_minute(region: Region) -> None:
    case_id = await lonely(region, "housing")
    await region.running.sweep()
    sent = await region.desk.post(
        "/v1/referrals", {"case_id": str(case_id), "programme_id": region.programmes["sakura-npo/ibasho"]}
    )
    assert sent.status_code == 201, sent.text
    await region.running.sweep()
    assert {state for _, state, _ in await on_record(region.running, case_id)} == {"open"}
    await region.npo.post(f"/v1/referrals/{sent.json()['referral_id']}/accept")
    assert await region.running.sweep() == 1
    assert sorted(await on_record(region.running, case_id), key=str) == [
        ("housing", "open", None),
        (None, "met", "served"),
    ], "somebody has the case; its need is not answered yet"
    assert await region.running.sweep() == 0


async def test_what_an_accepted_programme_answers_is_served(region: Region) -> None:
    case_id = await lonely(region)
    await ask(region, case_id)
    await housing_comes(region)
    (row,) = await region.running.rows("SELECT id FROM programme WHERE programme_code = 'sumai'")
    sent = await region.desk.post("/v1/referrals", {"case_id": str(case_id), "programme_id": str(row["id"])})
    await region.npo.post(f"/v1/referrals/{sent.json()['referral_id']}/accept")
    await ask(region, case_id)
    assert ("served", "housing") in await told(region.running, case_id)


@pytest.mark.parametrize("how", ["case_closed", "case_erased"])
async def test_it_ends_with_the_case(region: Region, how: str) -> None:
    case_id = await lonely(region)
    await ask(region, case_id)
    over = (
        erased(case_id)
        if how == "case_erased"
        else CaseClosed(case_id=case_id, agency_id="kagoshima-desk", ended="goal_reached")
    )
    await region.running.hear(over)
    assert sorted((await told(region.running, case_id))[2:], key=str) == [(how, "housing"), (how, None)]
    region.running.pass_time(timedelta(days=1))
    await region.running.sweep()
    kept = await region.running.rows("SELECT id FROM proposal WHERE case_id = $1", case_id)
    for params in ({}, {"stage": "drop_in"}):
        answer = await region.desk.get(f"/v1/cases/{case_id}/candidates", params=params)
        assert code(answer) == (409, "case_has_ended"), "nobody is looked for any more"
    assert await region.running.rows("SELECT id FROM proposal WHERE case_id = $1", case_id) == kept
    assert {state for _, state, _ in await on_record(region.running, case_id)} == {"ended"}


async def test_a_case_that_is_opened_again_is_looked_at_again(region: Region) -> None:
    case_id = await lonely(region)
    await region.running.sweep()
    await region.running.hear(CaseClosed(case_id=case_id, agency_id="kagoshima-desk", ended="goal_reached"))
    await region.running.hear(CaseReopened(case_id=case_id, agency_id="kagoshima-desk"))
    await region.running.sweep()
    assert [state for _, state, _ in await on_record(region.running, case_id)] == ["ended", "ended", "open", "open"]


async def test_the_municipalitys_coordinator_gets_it_and_sees_it(region: Region, world: World) -> None:
    connection = await asyncpg.connect(
        user="postgres", database=world.database_name, host=str(world.postgres.socket_folder)
    )
    await connection.execute(
        "INSERT INTO referral.coordinator (municipality, agency_id, set_by, set_at)"
        " VALUES ($1, 'zama-npo', 'x', now())",
        KAGOSHIMA,
    )
    await connection.close()
    case_id = await lonely(region)
    assert (await ask(region, case_id))["coordinator"]["agency_id"] == "zama-npo"

    holder = region.running.as_("zama-npo", municipalities=[ZAMA])
    for box in ("mine", None):
        params = {"box": box} if box else {}
        assert len(await holder.whole("/v1/unmet-needs", limit=1, **params)) == 2
    assert await region.desk.whole("/v1/unmet-needs", box="mine") == []
    assert len(await region.desk.whole("/v1/unmet-needs")) == 2, "it serves the municipality"
    stranger = region.running.as_("zama-desk", municipalities=[ZAMA])
    assert await stranger.whole("/v1/unmet-needs") == []


async def test_the_list_is_narrowed_by_state_and_municipality(region: Region) -> None:
    case_id = await lonely(region)
    await ask(region, case_id)
    await region.running.hear(erased(case_id))
    other = await lonely(region)
    await ask(region, other)
    desk = region.running.as_("kagoshima-desk", municipalities=[KAGOSHIMA, KIRISHIMA])
    for params, count in (
        ({}, 4),
        ({"state": "open"}, 2),
        ({"state": "ended"}, 2),
        ({"state": "met"}, 0),
        ({"municipality": KAGOSHIMA, "state": "open"}, 2),
        ({"municipality": KIRISHIMA}, 0),
    ):
        assert len(await desk.whole("/v1/unmet-needs", **params)) == count, params
    assert (await desk.get("/v1/unmet-needs", params={"municipality": "462013"})).status_code == 422


async def coordinators(region: Region, case_id: UUID) -> set[str]:
    """Who coordinates what is open of a case."""
    rows = await region.running.rows(
        "SELECT coordinator FROM need_unmet WHERE case_id = $1 AND state = 'open'", case_id
    )
    return {row["coordinator"] for row in rows}


async def test_when_another_agency_coordinates_what_is_open_is_its_own_and_everybody_hears(region: Region) -> None:
    case_id = await lonely(region)
    await ask(region, case_id)
    assert await coordinators(region, case_id) == {"kagoshima-desk"}
    await region.running.rows("DELETE FROM outbox")
    await coordinated(region.running, "kagoshima-council")
    await ask(region, case_id)
    assert await coordinators(region, case_id) == {"kagoshima-council"}
    told_of = [event for event in await region.running.told() if isinstance(event, NeedUnmet)]
    assert {(event.need, event.coordinator) for event in told_of} == {
        ("housing", "kagoshima-council"),
        (None, "kagoshima-council"),
    }
    await ask(region, case_id)
    assert len(await region.running.told()) == 2, "twice the same is told once"

    need = (await region.desk.whole("/v1/unmet-needs"))[0]["unmet_need_id"]
    body = {"review_on": str(TODAY + timedelta(days=9))}
    assert code(await region.desk.post(f"/v1/unmet-needs/{need}/review", body)) == (403, "forbidden")
    council = region.running.as_("kagoshima-council")
    assert (await council.post(f"/v1/unmet-needs/{need}/review", body)).status_code == 200


async def test_after_a_hand_over_who_holds_the_case_coordinates_what_it_lacks(region: Region) -> None:
    case_id = await lonely(region)
    await ask(region, case_id)
    await region.running.hear(CaseHandedOver(case_id=case_id, agency_id="sakura-npo", before="kagoshima-desk"))
    await region.running.sweep()
    assert await coordinators(region, case_id) == {"sakura-npo"}
    assert (await told(region.running, case_id)).count(("unmet", "housing")) == 2, "when it began, and when it moved"
