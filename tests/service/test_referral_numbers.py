"""Numbers over HTTP: times per pair, declines, hops and their alarm, and the page that each agency gets back."""

import csv
import io
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.auth import Role
from shared.events import CaseClosed, HopsAlarm
from shared.service.clock import wall_time
from tests.service.referral_region import AGENCIES, PROGRAMMES, Region, consented, opened, take_in
from tests.world import KAGOSHIMA, ZAMA, Running, World

FRIDAY = datetime(2026, 10, 30, 1, 0, tzinfo=UTC)
"""10:00 in Japan; the Tuesday after it, 3 November, is a holiday."""


@pytest.fixture
async def region(world: World) -> Region:
    return await Region(world.service("referral")).ready()


async def referred(
    region: Region, *steps: tuple[str, float], state: str = "sent", receiver: str = "sakura-npo", **more: Any
) -> UUID:
    """A referral sent that Friday, with steps so many hours later."""
    referral = uuid4()
    sender, reason = more.get("sender", "kagoshima-desk"), more.get("reason")
    await region.running.rows(
        "INSERT INTO referral (id, case_id, municipality, sender, receiver, programme_id, state, responsible_agency,"
        " reason, sent_at, version, coordinator, outcome) VALUES ($1, $2, $3, $4, $5, $6, $7, $4, $8, $9, 1, $4,"
        " CASE WHEN $7 IN ('outcome_set', 'closed') THEN 'completed' END)",
        *(referral, more.get("case_id", region.case_id), more.get("municipality", KAGOSHIMA), sender, receiver),
        *(UUID(region.programmes["sakura-npo/ibasho"]), state, reason, FRIDAY),
    )
    for version, (step, hours) in enumerate([("send", 0.0), *steps], start=1):
        await region.running.rows(
            "INSERT INTO referral_step VALUES ($1, $2, $3, $4, $5, $6)",
            *(referral, version, step, receiver, reason if step == "decline" else None),
            FRIDAY + timedelta(hours=hours),
        )
    return referral


async def three_referrals(region: Region) -> None:
    """One that came to its end, one that was accepted, and one about which nobody said a word."""
    await referred(
        *(region, ("receive", 2), ("accept", 24), ("contact", 30), ("start", 96), ("close", 500)), state="closed"
    )
    await referred(region, ("accept", 100), state="in_service")
    await referred(region, case_id=await another_case(region))


async def another_case(region: Region, municipality: str = KAGOSHIMA) -> UUID:
    case = uuid4()
    await region.running.hear(opened(case, municipality=municipality), consented(case))
    return case


async def pairs(region: Region, caller: Any = None, **params: Any) -> list[Any]:
    return await (caller or region.desk).whole("/v1/numbers/pairs", **params)


# --- Times -----------------------------------------------------------------------------------------------------------


async def test_times_are_told_in_hours_and_working_days_with_the_silent_ones_beside(region: Region) -> None:
    await three_referrals(region)
    (pair,) = await pairs(region)
    assert (pair["sender"], pair["receiver"]) == ("kagoshima-desk", "sakura-npo")
    receive, accept, start, close = (pair[name] for name in ("receive", "accept", "start", "close"))
    # Whoever accepts has received. From Friday to Saturday no office opens; to Tuesday, a holiday, one did on Monday.
    assert receive["median"] == {"hours": 2.0, "working_days": 0}
    assert receive["ninetieth"] == {"hours": 100.0, "working_days": 1}
    assert accept["median"] == {"hours": 24.0, "working_days": 0}
    assert (receive["reached"], receive["waiting"], receive["ended"]) == (2, 1, 0)
    assert (start["reached"], start["waiting"], start["median"]["hours"]) == (1, 2, 96.0)
    assert (close["reached"], close["waiting"]) == (1, 2)
    silent = (wall_time() - FRIDAY) / timedelta(hours=1)
    assert receive["longest_waiting"]["hours"] == pytest.approx(silent, abs=0.2)
    assert receive["least_median"]["hours"] == 100.0


@pytest.mark.parametrize("state", ["declined", "withdrawn", "rerouted", "expired"])
async def test_what_came_back_is_neither_an_answer_in_time_nor_silence(region: Region, state: str) -> None:
    reason = "no_capacity" if state in {"declined", "withdrawn"} else None
    await referred(region, state=state, reason=reason)
    (pair,) = await pairs(region)
    assert (pair["accept"]["reached"], pair["accept"]["waiting"], pair["accept"]["ended"]) == (0, 0, 1)
    assert pair["accept"]["least_median"] is None


async def test_each_agency_counts_its_own_referrals_and_those_of_its_municipality(region: Region) -> None:
    await referred(region)
    far = await another_case(region, ZAMA)
    await referred(region, case_id=far, municipality=ZAMA, sender="zama-desk", receiver="zama-npo")
    assert [pair["sender"] for pair in await pairs(region)] == ["kagoshima-desk"]
    zama = region.running.as_("zama-city", Role.PLANNER, municipalities=[ZAMA])
    assert [pair["sender"] for pair in await pairs(region, zama)] == ["zama-desk"]
    receiver = region.running.as_("sakura-npo", municipalities=[])
    assert [pair["sender"] for pair in await pairs(region, receiver)] == ["kagoshima-desk"]
    prefecture = region.running.as_("ken", Role.OBSERVER, municipalities=["prefecture:46", "prefecture:14"])
    assert len(await pairs(region, prefecture, limit=1)) == 2


async def test_the_period_is_of_days_in_japan_and_a_year_at_the_most(region: Region) -> None:
    await referred(region)
    assert len(await pairs(region, **{"from": "2026-10-30", "to": "2026-10-30"})) == 1
    assert await pairs(region, **{"from": "2026-10-31", "to": "2026-11-30"}) == []
    assert await pairs(region, to="2026-10-29") == []
    for params in ({"from": "2026-11-02", "to": "2026-11-01"}, {"from": "2024-01-01", "to": "2026-11-01"}):
        answer = await region.desk.get("/v1/numbers/pairs", params=params)
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "period")


async def test_times_come_as_a_file(region: Region) -> None:
    await three_referrals(region)
    answer = await region.desk.get("/v1/numbers/pairs.csv")
    lines = list(csv.DictReader(io.StringIO(answer.content.decode("cp932"))))
    assert [line["つなぎの段階"] for line in lines] == ["受け取り", "受諾", "利用開始", "終了"]
    assert (lines[1]["中央値(時間)"], lines[1]["返事待ち"]) == ("24.0", "1")


# --- Declines and hops -----------------------------------------------------------------------------------------------


async def test_declines_are_told_by_reason_and_by_whose_reason_it_is(region: Region) -> None:
    for reason in ("no_capacity", "no_capacity", "person_declined"):
        case = await another_case(region)
        body = {"case_id": str(case), "programme_id": region.programmes["sakura-npo/ibasho"]}
        sent = (await region.desk.post("/v1/referrals", body)).json()["referral_id"]
        await region.npo.post(f"/v1/referrals/{sent}/decline", {"reason": reason})
    found = await region.desk.whole("/v1/numbers/declines", limit=1)
    assert [(each["reason"], each["side"], each["referrals"]) for each in found] == [
        ("no_capacity", "agency", 2),
        ("person_declined", "person", 1),
    ]
    stranger = region.running.as_("zama-city", Role.PLANNER, municipalities=[ZAMA])
    assert await stranger.whole("/v1/numbers/declines") == []


async def test_a_case_that_is_passed_about_raises_an_alarm_once_for_each_number(region: Region) -> None:
    running = region.running
    await running.sweep()  # the month's map
    for number in range(2):
        await referred(region, receiver=f"npo-{number}", state="declined", reason="other")
        await referred(region, receiver=f"npo-{number}", state="declined", reason="other")
    assert await running.sweep() == 0
    assert await region.desk.whole("/v1/hops-alarms") == []
    await referred(region, receiver="npo-2", state="declined", reason="other")
    assert await running.sweep() == 1
    assert await running.sweep() == 0
    assert await running.told() == [HopsAlarm(case_id=region.case_id, hops=3)]
    (alarm,) = await region.desk.whole("/v1/hops-alarms")
    assert (alarm["case_id"], alarm["hops"], alarm["municipality"]) == (str(region.case_id), 3, KAGOSHIMA)
    await referred(region, receiver="npo-3", state="declined", reason="other")
    assert await running.sweep() == 0
    await referred(region, receiver="npo-4", state="declined", reason="other")
    assert await running.sweep() == 1
    assert [event.hops for event in await running.told() if isinstance(event, HopsAlarm)] == [3, 5]
    assert [each["hops"] for each in await region.desk.whole("/v1/hops-alarms")] == [5]
    hops = await region.desk.get("/v1/numbers/hops")
    assert hops.json() == [{"hops": 5, "cases": 1}]


async def test_the_alarm_is_for_whoever_holds_the_case_and_ends_with_it(region: Region) -> None:
    running = region.running
    cases = [region.case_id, await another_case(region)]
    for case in cases:
        for number in range(3):
            await referred(region, case_id=case, receiver=f"npo-{number}", state="declined", reason="other")
    await running.sweep()
    assert len(await region.desk.whole("/v1/hops-alarms", limit=1)) == 2
    await running.rows("UPDATE case_fact SET holder = 'sakura-npo' WHERE case_id = $1", cases[1])
    assert [each["case_id"] for each in await region.desk.whole("/v1/hops-alarms")] == [str(cases[0])]
    assert [each["case_id"] for each in await region.npo.whole("/v1/hops-alarms")] == [str(cases[1])]
    await running.hear(CaseClosed(case_id=cases[0], agency_id="kagoshima-desk", ended="goal_reached"))
    assert await region.desk.whole("/v1/hops-alarms") == []


async def test_a_closed_case_raises_no_alarm(region: Region) -> None:
    for number in range(3):
        await referred(region, receiver=f"npo-{number}", state="declined", reason="other")
    await region.running.hear(CaseClosed(case_id=region.case_id, agency_id="kagoshima-desk", ended="goal_reached"))
    await region.running.sweep()
    assert await region.running.told() == []


# --- What an agency gets back ----------------------------------------------------------------------------------------


async def test_an_agency_gets_its_own_page_back(region: Region) -> None:
    await three_referrals(region)
    ended = await referred(region, ("accept", 1), ("close", 2), state="closed", case_id=await another_case(region))
    declined = await referred(
        region, ("decline", 5), state="declined", reason="no_capacity", case_id=await another_case(region)
    )
    assert ended != declined
    for number, outcome in enumerate(("started", "employed"), start=1):
        await region.running.rows(
            "INSERT INTO referral_outcome VALUES ($1, $2, $3, 'sakura-npo', $4)", ended, number, outcome, FRIDAY
        )
    found = (await region.desk.get("/v1/give-back")).json()
    assert (found["agency_id"], found["sent"], found["received"]) == ("kagoshima-desk", 5, 0)
    assert found["states"] == {"closed": 2, "declined": 1, "in_service": 1, "sent": 1}
    assert found["outcomes"] == {"employed": 1, "started": 1}
    assert (found["answered_us"]["accept"]["reached"], found["answered_us"]["accept"]["waiting"]) == (3, 1)
    assert found["declined"] == []
    back = (await region.npo.get("/v1/give-back")).json()
    assert (back["sent"], back["received"], back["outcomes"]) == (0, 5, {})
    assert [(each["reason"], each["referrals"]) for each in back["declined"]] == [("no_capacity", 1)]
    nobody = region.running.as_("other-npo")
    assert [(await nobody.get("/v1/give-back")).json()[name] for name in ("sent", "received")] == [0, 0]


async def test_the_page_prints_and_comes_as_a_file(region: Region) -> None:
    await three_referrals(region)
    text = re.sub(r"<[^>]+>", " ", (await region.desk.get("/v1/give-back.html")).text)
    for words in (
        "還元ページ",
        "kagoshima-desk",
        "送ったつなぎ 3件",
        "24.0時間",
        "利用中",
        "この期間に受けたつなぎはありません",
    ):
        assert words in text, words
    lines = list(csv.DictReader(io.StringIO((await region.desk.get("/v1/give-back.csv")).content.decode("cp932"))))
    assert (lines[1]["区分"], lines[1]["項目"], lines[1]["中央値(時間)"]) == ("相手からの返事", "受諾", "24.0")
    empty = await region.running.as_("other-npo").get("/v1/give-back.html")
    assert "結果の記録はまだありません" in empty.text


async def test_an_empty_region_has_no_numbers(referral: Running) -> None:
    await take_in(referral, "/v1/agency-imports", AGENCIES)
    await take_in(referral, "/v1/programme-imports", PROGRAMMES)
    caller = referral.as_()
    assert await caller.whole("/v1/numbers/pairs") == []
    assert (await caller.get("/v1/numbers/hops")).json() == []
