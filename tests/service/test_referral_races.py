"""Several at once: of four who accept one has it, whatever else goes on beside them, and nobody waits for ever."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.referral.handlers import places
from services.referral.tables import facts
from shared.database import BY_COMMAND
from shared.events import CaseClosed, ConsentWithdrawn, ReferralAccepted
from shared.service.clock import wall_time
from tests.service.answering import without_account
from tests.service.referral_region import Region, consented, coordinated, opened
from tests.world import KAGOSHIMA, Caller, World

ROUNDS = int(os.environ.get("REFERRAL_ROUNDS", "150"))
"""1,000 by night."""
AT_ONCE = 4


@pytest.fixture
async def region(world: World) -> Region:
    region = await Region(world.service("referral")).ready()
    await region.running.rows(
        "INSERT INTO agency (agency_id, name, kana, kind, municipality, municipalities_served, confirmed_by,"
        " confirmed_on) SELECT 'rival-' || n, 'x', 'x', 'npo', '462012', '{462012}', 'x', now()"
        " FROM generate_series(1, 4) AS n"
    )
    await region.running.rows(
        "INSERT INTO programme (id, agency_id, programme_code, name, function, strand, stage, municipalities, needs,"
        " capacity_state, confirmed_on) SELECT gen_random_uuid(), 'rival-' || n, 'x', 'x', 'drop_in_space', 4,"
        " 'drop_in', '{}', '{}', 'has_room', now() FROM generate_series(1, 4) AS n"
    )
    found = await region.running.rows("SELECT id, agency_id FROM programme WHERE agency_id LIKE 'rival-%'")
    region.programmes |= {row["agency_id"]: str(row["id"]) for row in found}
    return region


async def a_case(region: Region) -> None:
    region.case_id = uuid4()
    await region.running.hear(opened(region.case_id), consented(region.case_id))


async def rivals(region: Region) -> dict[str, str]:
    """Who was sent the case of this round, of whom the first has it."""
    parts = [{"programme_id": region.programmes[f"rival-{n}"], "verb": "transfer"} for n in range(1, AT_ONCE + 1)]
    body = {"case_id": str(region.case_id), "mode": "first", "parts": parts}
    sent = (await region.desk.post("/v1/referral-groups", body)).json()["referrals"]
    return {referral["receiver"]: referral["referral_id"] for referral in sent}


def accepting(region: Region, sent: dict[str, str]) -> list[Any]:
    return [_as(region, agency).post(f"/v1/referrals/{referral}/accept") for agency, referral in sent.items()]


def _as(region: Region, agency: str) -> Caller:
    return region.running.as_(agency, municipalities=[KAGOSHIMA])


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["one referral", "four rivals"])
async def test_of_four_who_accept_at_once_one_has_it_every_time(region: Region, mode: str) -> None:
    for _ in range(ROUNDS):
        await a_case(region)
        if mode == "one referral":
            referral = await region.to_programme()
            at_once = [region.npo.post(f"/v1/referrals/{referral}/accept") for _ in range(AT_ONCE)]
        else:
            at_once = accepting(region, await rivals(region))
        answers = await asyncio.gather(*at_once)
        assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]
        assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {"illegal_move"}
    accepted = [event.case_id for event in await region.running.told() if isinstance(event, ReferralAccepted)]
    assert len(accepted) == len(set(accepted)) == ROUNDS
    shown = await region.running.rows("SELECT state, count(*) AS n FROM referral GROUP BY state")
    lost = {} if mode == "one referral" else {"withdrawn": ROUNDS * (AT_ONCE - 1)}
    assert {row["state"]: row["n"] for row in shown} == {"accepted": ROUNDS} | lost
    groups = await region.running.rows(
        "SELECT g.winner, r.state FROM referral_group g LEFT JOIN referral r ON r.id = g.winner AND r.group_id = g.id"
    )
    assert {row["state"] for row in groups} <= {"accepted"}


@pytest.mark.slow
async def test_beside_a_withdrawn_consent_the_clock_and_the_sender_nobody_waits_for_ever(region: Region) -> None:
    """Four accept while the person says no, the sender takes one back, one is passed on and the clock rings."""
    ends: list[str] = []
    for _ in range(ROUNDS // 5):
        await a_case(region)
        sent = await rivals(region)
        region.running.pass_time(timedelta(days=1))
        first, last = sent["rival-1"], sent["rival-4"]
        elsewhere = {"programme_id": region.programmes["zama-npo/ibasho"], "knowingly": True}
        no = ConsentWithdrawn(case_id=region.case_id, consent_version=2)
        *answers, _, _ = await asyncio.gather(
            *accepting(region, sent),
            region.desk.post(f"/v1/referrals/{last}/withdraw"),
            _as(region, "rival-1").post(f"/v1/referrals/{first}/reroute", elsewhere),
            _as(region, "rival-2").post(f"/v1/referrals/{sent['rival-2']}/decline", {"reason": "no_capacity"}),
            region.running.hear(no),
            region.running.sweep(),
        )
        assert {answer.status_code for answer in answers} <= {200, 409}, [answer.text for answer in answers]
        rows = await region.running.rows("SELECT * FROM referral WHERE case_id = $1", region.case_id)
        accepted = [row for row in rows if row["state"] == "accepted"]
        assert len(accepted) <= 1
        assert {row["state"] for row in rows} <= {"accepted", "withdrawn", "rerouted"}, "the no took back the rest"
        ((winner,),) = await region.running.rows("SELECT winner FROM referral_group WHERE case_id = $1", region.case_id)
        assert winner == (accepted[0]["id"] if accepted else None)
        ends.append(json.dumps(sorted(row["state"] for row in rows)))
    assert len(set(ends)) > 1, "it went one way and another"
    steps = await region.running.rows(
        "SELECT referral_id, count(*) AS n, max(version) AS v FROM referral_step GROUP BY 1"
    )
    assert all(row["n"] == row["v"] for row in steps)
    assert isinstance(steps[0]["referral_id"], UUID)


async def test_a_referral_is_moved_while_another_move_has_its_case(region: Region) -> None:
    """A move that writes its row twice asks for its case again, as every foreign key does: it must not wait for it."""
    await a_case(region)
    referral = await region.to_programme()
    await without_account(region)
    await region.running.rows("UPDATE referral SET state = 'returned', clock = 'answer'")
    async with region.running.database.transaction(BY_COMMAND) as session:
        assert await facts.lock_case_fact(session, region.case_id) is not None
        answer = await region.desk.post(f"/v1/referrals/{referral}/answer")
    assert answer.status_code == 200, answer.text
    assert answer.json()["waits"]["clock"] == "deliver", "its letter has to go out first: the second thing written"


# --- Beside the case's end: whoever begins a search for a place has the case first -----------------------------------


@asynccontextmanager
async def closing(region: Region) -> AsyncIterator[None]:
    """Intake's word of the case's end is under way, and not yet committed."""
    now = region.running.desk.clock.offset + wall_time()
    async with region.running.database.transaction(BY_COMMAND) as session:
        await facts.put_holder(session, region.case_id, "kagoshima-desk", 9, closed_at=now)
        yield


async def waited(region: Region, beside: "asyncio.Task[Any]") -> None:
    """Until it waits for a lock, or is through."""
    waiting = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    while not beside.done() and not await region.running.rows(waiting):  # noqa: ASYNC110  the other is in PostgreSQL
        await asyncio.sleep(0)


async def pending(region: Region) -> str:
    """A decline that the coordinator has not looked at."""
    await a_case(region)
    referral = await region.to_programme()
    await region.npo.post(f"/v1/referrals/{referral}/decline", {"reason": "no_capacity"})
    return referral


async def nothing_looked_for(region: Region) -> None:
    assert await region.running.rows("SELECT clock FROM referral WHERE clock = 'place'") == []
    assert await region.running.rows("SELECT need FROM need_unmet WHERE state = 'open'") == []


async def test_a_no_that_is_confirmed_beside_the_cases_end_begins_no_search(region: Region) -> None:
    referral = await pending(region)
    await region.running.rows("UPDATE programme SET ends_on = '2020-01-01'")  # nobody is left who could
    async with closing(region):
        beside = asyncio.create_task(region.desk.post(f"/v1/referrals/{referral}/confirm-decline"))
        await waited(region, beside)
    answer = await beside
    assert (answer.status_code, answer.json()["state"], answer.json()["waits"]) == (200, "declined", None)
    await nothing_looked_for(region)


async def test_the_clock_passes_by_a_case_that_another_has_and_begins_no_search_for_one_that_is_over(
    region: Region,
) -> None:
    referral = await pending(region)
    region.running.pass_time(timedelta(days=60))
    async with closing(region):
        await region.running.sweep()
        assert (await region.look(referral))["state"] == "decline_pending"
    await region.running.sweep()
    assert (await region.look(referral))["state"] == "declined"
    await nothing_looked_for(region)


async def test_who_asks_for_candidates_beside_the_cases_end_leaves_no_need_on_record(region: Region) -> None:
    region.case_id = uuid4()
    await region.running.hear(opened(region.case_id, needs=("housing",)), consented(region.case_id))
    async with closing(region):
        beside = asyncio.create_task(region.candidates())
        await waited(region, beside)
    await beside
    await nothing_looked_for(region)


async def test_who_asks_for_candidates_while_it_is_said_that_nothing_fits_leaves_it_with_who_says_so(
    region: Region, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The municipality's new coordinator would get what nobody has said yet; the case's holder is saying it."""
    region.case_id = uuid4()
    await region.running.hear(opened(region.case_id, needs=("housing",)), consented(region.case_id))
    await region.candidates()
    referral = await region.to_programme()
    await region.npo.post(f"/v1/referrals/{referral}/decline", {"reason": "no_capacity"})
    await region.desk.post(f"/v1/referrals/{referral}/confirm-decline")
    await coordinated(region.running, "kagoshima-city")
    end, written, go_on = places._end, asyncio.Event(), asyncio.Event()

    async def end_later(*of: Any, **how: Any) -> Any:
        written.set()
        await go_on.wait()
        return await end(*of, **how)

    monkeypatch.setattr(places, "_end", end_later)
    saying = asyncio.create_task(region.desk.post(f"/v1/referrals/{referral}/no-place", {"reason": "nothing_fits"}))
    async with asyncio.timeout(30):
        await written.wait()
    asking = asyncio.create_task(region.candidates())
    await waited(region, asking)
    go_on.set()
    assert (await saying).status_code == 200
    await asking
    rows = await region.running.rows("SELECT need, coordinator, said_by FROM need_unmet WHERE state = 'open'")
    assert {tuple(row) for row in rows} == {
        ("housing", "kagoshima-city", None),
        (None, "kagoshima-desk", "kagoshima-desk"),
    }


async def test_movers_of_one_case_at_once_never_wait_for_each_other_in_a_circle(region: Region) -> None:
    """Everybody takes the case first, then its referrals: whatever comes together, all of it comes through."""
    for _ in range(max(5, ROUNDS // 15)):
        await a_case(region)
        parts = [{"programme_id": region.programmes[f"rival-{n}"], "verb": "refer"} for n in range(1, AT_ONCE + 1)]
        body = {"case_id": str(region.case_id), "mode": "parts", "parts": parts}
        first, second, third, fourth = [
            each["referral_id"] for each in (await region.desk.post("/v1/referral-groups", body)).json()["referrals"]
        ]
        for number, each in enumerate((first, second, third), start=1):
            await _as(region, f"rival-{number}").post(f"/v1/referrals/{each}/decline", {"reason": "no_capacity"})
        await region.desk.post(f"/v1/referrals/{first}/confirm-decline")
        region.running.pass_time(timedelta(days=60))
        onward = {"case_id": str(region.case_id), "programme_id": region.programmes["sakura-npo/junbi"]}
        closed = CaseClosed(case_id=region.case_id, agency_id="kagoshima-desk", ended="moved_away", interrupted=True)
        *answers, _, _, _ = await asyncio.gather(
            region.desk.post(f"/v1/referrals/{second}/confirm-decline"),
            region.desk.post(f"/v1/referrals/{third}/overrule-forward"),
            _as(region, "rival-4").post(f"/v1/referrals/{fourth}/accept"),
            region.desk.post("/v1/referrals", onward | {"instead_of": first}),
            region.desk.post(f"/v1/referrals/{first}/no-place", {"reason": "nothing_fits"}),
            region.desk.get(f"/v1/cases/{region.case_id}/candidates"),
            region.running.hear(closed),
            region.running.sweep(),
            region.running.sweep(),
        )
        said: list[Any] = answers
        assert {each.status_code for each in said} <= {200, 201, 409, 422}, [each.text for each in said]
        await nothing_looked_for(region)
    assert await region.running.rows("SELECT 1 FROM parked") == []
