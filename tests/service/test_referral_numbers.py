"""Numbers over HTTP: times per pair, declines, hops and their alarm, and the page that each agency gets back."""

import csv
import io
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from services.referral.domain.states import Outcome
from services.referral.handlers.numbers import raise_hops_alarm
from services.referral.tables import numbers as tables
from shared.auth import Role
from shared.events import CaseClosed, HopsAlarm
from shared.service.clock import wall_time
from tests.service.referral_region import AGENCIES, PROGRAMMES, Region, consented, coordinated, opened, take_in
from tests.world import KAGOSHIMA, ZAMA, Running, World

FRIDAY = datetime(2026, 10, 30, 1, 0, tzinfo=UTC)
"""10:00 in Japan; the Tuesday after it, 3 November, is a holiday."""


@pytest.fixture
async def region(world: World) -> Region:
    return await Region(world.service("referral")).ready()


async def referred(
    region: Region, *steps: tuple[str, float], state: str = "sent", receiver: str = "sakura-npo", **more: Any
) -> UUID:
    """A referral sent that Friday, or so many hours `later`, with steps so many hours after that."""
    referral, sent_at = uuid4(), FRIDAY + timedelta(hours=more.get("later", 0))
    sender, reason, verb = more.get("sender", "kagoshima-desk"), more.get("reason"), more.get("verb", "transfer")
    end = sent_at + timedelta(hours=max((hours for _, hours in steps), default=0))
    await region.running.rows(
        "INSERT INTO referral (id, case_id, municipality, sender, receiver, programme_id, state, responsible_agency,"
        " reason, sent_at, version, coordinator, outcome, verb, group_id, rerouted_from, since)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $4, $8, $9, 1, $4,"
        " CASE WHEN $7 IN ('outcome_set', 'closed') THEN 'completed' END, $10, $11, $12, $13)",
        *(referral, more.get("case_id", region.case_id), more.get("municipality", KAGOSHIMA), sender, receiver),
        *(UUID(region.programmes["sakura-npo/ibasho"]), state, reason, sent_at),
        *(verb, more.get("group_id"), more.get("rerouted_from"), end),
    )
    asked, asker = (sender, receiver) if verb == "request" else (receiver, sender)
    first = "draft" if state == "draft" else "send"
    for version, (step, hours) in enumerate([(first, 0.0), *steps], start=1):
        by = asker if version == 1 else asked
        await region.running.rows(
            "INSERT INTO referral_step VALUES ($1, $2, $3, $4, $5, $6)",
            *(referral, version, step, by, reason if step in {"decline", "withdraw"} else None),
            sent_at + timedelta(hours=hours),
        )
    return referral


async def declined_in_turn(region: Region, *receivers: str, begin: int = 0, case_id: UUID | None = None) -> None:
    """One after another said no, a day each; the first of them `begin` days after that Friday."""
    for day, receiver in enumerate(receivers, start=begin):
        when = {"case_id": case_id or region.case_id, "later": day * 24}
        await referred(region, ("decline", 5), state="declined", receiver=receiver, reason="other", **when)


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


@pytest.mark.parametrize("state", ["declined", "withdrawn", "rerouted"])
async def test_what_came_back_is_neither_an_answer_in_time_nor_silence(region: Region, state: str) -> None:
    reason = {"declined": "no_capacity", "withdrawn": "person_wishes"}.get(state)
    await referred(region, state=state, reason=reason)
    (pair,) = await pairs(region)
    assert (pair["accept"]["reached"], pair["accept"]["waiting"], pair["accept"]["ended"]) == (0, 0, 1)
    assert (pair["accept"]["unanswered"], pair["accept"]["least_median"]) == (0, None)


@pytest.mark.parametrize(
    ("state", "reason", "step"), [("expired", None, "expire"), ("withdrawn", "no_answer", "withdraw")]
)
async def test_silence_stays_in_the_figures_after_it_has_ended(
    region: Region, state: str, reason: str | None, step: str
) -> None:
    await referred(region, ("receive", 3), (step, 240), state=state, reason=reason)
    (pair,) = await pairs(region)
    receive, accept = pair["receive"], pair["accept"]
    assert (receive["reached"], receive["unanswered"], receive["least_median"]["hours"]) == (1, 0, 3.0)
    assert [accept[name] for name in ("reached", "waiting", "unanswered", "ended")] == [0, 0, 1, 0]
    # To Monday, the tenth day: Monday and Wednesday to Friday, then Monday; the Tuesday was a holiday.
    assert accept["least_median"] == {"hours": 240.0, "working_days": 5}
    assert (accept["median"], accept["longest_waiting"]) == (None, None)
    back = (await region.npo.get("/v1/give-back")).json()
    assert (back["we_answered"]["accept"]["unanswered"], back["we_answered"]["start"]["unanswered"]) == (1, 1)
    lines = list(csv.DictReader(io.StringIO((await region.npo.get("/v1/give-back.csv")).content.decode("cp932"))))
    assert [line["未回答のまま期限切れ・取り下げ"] for line in lines[4:8]] == ["0", "1", "1", "1"]
    assert "未回答のまま" in (await region.npo.get("/v1/give-back.html")).text


async def test_what_its_coordinator_ends_was_silent_until_it_took_over(region: Region) -> None:
    ended = [("accept", 24), ("set_outcome", 30), ("take_over", 96), ("expire", 500)]
    await referred(region, *ended, state="expired", reason="came_to_nothing")
    (pair,) = await pairs(region)
    assert (pair["close"]["unanswered"], pair["close"]["least_median"]["hours"]) == (1, 96.0)


async def test_what_its_sender_left_unanswered_is_no_silence_of_the_receiver(region: Region) -> None:
    await referred(region, ("receive", 3), ("return", 5), ("expire", 240), state="expired")
    (pair,) = await pairs(region)
    assert [pair["accept"][name] for name in ("unanswered", "ended", "least_median")] == [0, 1, None]
    again = ("receive", 3), ("return", 5), ("answer", 30), ("expire", 240)
    await referred(region, *again, state="expired", case_id=await another_case(region))
    (pair,) = await pairs(region)
    assert [pair["accept"][name] for name in ("unanswered", "ended")] == [1, 1]
    # Nor is the coordinator's, who did not look at its no.
    steps, case = (("decline", 5), ("withdraw", 30)), await another_case(region)
    await referred(region, *steps, state="withdrawn", reason="no_answer", case_id=case)
    (pair,) = await pairs(region)
    assert [pair["accept"][name] for name in ("unanswered", "ended")] == [1, 2]


# --- Drafts and requests ---------------------------------------------------------------------------------------------


async def test_a_draft_is_in_nobodys_numbers(region: Region) -> None:
    """A decision of this house (0039): what has not left the desk is nobody else's."""
    await region.running.sweep()
    drafts = [await region.send(programme_id=each, draft=True, knowingly=True) for each in region.programmes.values()]
    for receiver in ("one", "two", "three"):
        await referred(region, ("withdraw", 1), state="withdrawn", reason="never_sent", receiver=receiver)
    for caller in (region.desk, region.npo, region.running.as_("zama-npo", municipalities=[ZAMA])):
        assert await pairs(region, caller) == []
        assert await caller.whole("/v1/numbers/declines") == []
        assert (await caller.get("/v1/numbers/hops")).json() == []
        found = (await caller.get("/v1/give-back")).json()
        assert [found[name] for name in ("sent", "received", "states", "outcomes")] == [0, 0, {}, {}]
    assert await region.running.sweep() == 0
    assert await region.desk.whole("/v1/hops-alarms") == []
    sent = await region.desk.post(f"/v1/referrals/{drafts[0]['referral_id']}/send")
    assert sent.status_code == 200, sent.text
    assert len(await pairs(region)) == 1


async def test_a_request_is_answered_by_who_holds_the_case(region: Region) -> None:
    """申し出: sakura-npo asked for the case, the desk said no. It is the desk that answered, and that declined."""
    asks = region.running.as_("sakura-npo", municipalities=[KAGOSHIMA])
    body = {"case_id": str(region.case_id), "programme_id": region.programmes["sakura-npo/ibasho"]}
    asked = await asks.post("/v1/referral-requests", body)
    assert asked.status_code == 201, asked.text
    one = asked.json()["referral_id"]
    answer = await region.desk.post(f"/v1/referrals/{one}/decline", {"reason": "not_our_service"})
    assert answer.status_code == 200, answer.text
    (pair,) = await pairs(region)
    assert (pair["sender"], pair["receiver"]) == ("sakura-npo", "kagoshima-desk")
    assert (pair["receive"]["reached"], pair["accept"]["waiting"]) == (1, 1)
    # What begins after a yes is the asker's own work, and no answer of who was asked.
    assert [pair["start"][name] for name in ("reached", "waiting", "unanswered", "ended")] == [0, 0, 0, 0]
    (declined,) = await region.desk.whole("/v1/numbers/declines")
    assert (declined["receiver"], declined["reason"]) == ("kagoshima-desk", "not_our_service")
    desk, npo = [(await caller.get("/v1/give-back")).json() for caller in (region.desk, region.npo)]
    assert [npo[name] for name in ("sent", "sent_requests", "received", "received_requests")] == [1, 1, 0, 0]
    assert [desk[name] for name in ("sent", "sent_requests", "received", "received_requests")] == [0, 0, 1, 1]
    assert npo["declined"] == []
    assert [each["reason"] for each in desk["declined"]] == ["not_our_service"]
    assert (npo["states"], desk["states"]) == ({"decline_pending": 1}, {})
    page = re.sub(r"<[^>]+>", " ", (await region.npo.get("/v1/give-back.html")).text)
    assert "送ったつなぎ 1件、うち申し出 1件" in page


async def test_what_is_referred_within_one_house_is_no_request(region: Region) -> None:
    own = region.running.as_("sakura-npo", municipalities=[KAGOSHIMA])
    body = {"case_id": str(region.case_id), "programme_id": region.programmes["sakura-npo/ibasho"], "verb": "refer"}
    declined, taken = [(await own.post("/v1/referrals", body | {"knowingly": True})).json() for _ in range(2)]
    await own.post(f"/v1/referrals/{declined['referral_id']}/decline", {"reason": "no_capacity"})
    for name in ("accept", "start"):
        await own.post(f"/v1/referrals/{taken['referral_id']}/{name}")
    back = (await own.get("/v1/give-back")).json()
    assert (back["sent"], back["sent_requests"]) == (2, 0)
    assert back["answered_us"]["start"]["reached"] == 1


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
    names = [lines[0][heading] for heading in ("送った機関ID", "送った機関", "受けた機関ID", "受けた機関")]
    assert names == ["kagoshima-desk", "", "sakura-npo", "桜の会"]


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
    await declined_in_turn(region, "npo-0", "npo-1")
    assert await running.sweep() == 0
    assert await region.desk.whole("/v1/hops-alarms") == []
    await declined_in_turn(region, "npo-2", begin=2)
    assert await running.sweep() == 1
    assert await running.sweep() == 0
    assert await running.told() == [HopsAlarm(case_id=region.case_id, hops=3, coordinator="kagoshima-desk")]
    (alarm,) = await region.desk.whole("/v1/hops-alarms")
    assert (alarm["case_id"], alarm["hops"], alarm["municipality"]) == (str(region.case_id), 3, KAGOSHIMA)
    await declined_in_turn(region, "npo-3", begin=3)
    assert await running.sweep() == 0
    await declined_in_turn(region, "npo-4", begin=4)
    assert await running.sweep() == 1
    assert [event.hops for event in await running.told() if isinstance(event, HopsAlarm)] == [3, 5]
    assert [each["hops"] for each in await region.desk.whole("/v1/hops-alarms")] == [5]
    hops = await region.desk.get("/v1/numbers/hops")
    assert hops.json() == [{"hops": 5, "cases": 1}]


async def test_refusals_by_the_same_two_in_turn_are_hops_as_well(region: Region) -> None:
    await declined_in_turn(region, *["npo-0", "npo-1"] * 4)
    await region.running.sweep()
    assert [each["hops"] for each in await region.desk.whole("/v1/hops-alarms")] == [8]


async def test_parts_and_rivals_side_by_side_are_one_hop(region: Region) -> None:
    programmes = [region.programmes[name] for name in ("sakura-npo/ibasho", "sakura-npo/junbi", "zama-npo/ibasho")]
    for mode in ("parts", "first"):
        case = await another_case(region)
        body = {
            "case_id": str(case),
            "mode": mode,
            "knowingly": True,
            "parts": [{"programme_id": each} for each in programmes],
        }
        answer = await region.desk.post("/v1/referral-groups", body)
        assert answer.status_code == 201, answer.text
        for part in answer.json()["referrals"][:2]:
            caller = region.running.as_(part["receiver"])
            declined = await caller.post(f"/v1/referrals/{part['referral_id']}/decline", {"reason": "other"})
            assert declined.status_code == 200, declined.text
    # Three needs, three services, sent one by one, and nothing came back.
    alone = await another_case(region)
    for hours, receiver in enumerate(["npo-0", "npo-1", "npo-2"]):
        await referred(region, ("accept", 5), state="in_service", receiver=receiver, later=hours, case_id=alone)
    await region.running.sweep()
    assert await region.desk.whole("/v1/hops-alarms") == []
    assert (await region.desk.get("/v1/numbers/hops")).json() == [{"hops": 1, "cases": 3}]


async def test_a_case_that_goes_up_the_ladder_is_not_passed_about(region: Region) -> None:
    for days, receiver in enumerate(["drop-in", "readiness", "training", "school"]):
        steps = ("accept", 1), ("start", 2), ("close", 20)
        await referred(region, *steps, state="closed", receiver=receiver, later=days * 24)
    await region.running.sweep()
    assert await region.desk.whole("/v1/hops-alarms") == []


async def test_what_never_reached_anybody_or_was_lost_to_a_faster_one_is_no_hop(region: Region) -> None:
    for day, reason in enumerate(["sent_by_mistake", "another_accepted", "sent_by_mistake"]):
        receiver, later = f"npo-{day}", day * 24
        await referred(region, ("withdraw", 1), state="withdrawn", receiver=receiver, reason=reason, later=later)
    await declined_in_turn(region, "npo-3", "npo-4", begin=4)
    for day in range(3):  # somebody asked for the case, and asked again
        later = 300 + day * 24
        await referred(region, ("decline", 1), state="declined", verb="request", reason="other", later=later)
    await region.running.sweep()
    assert await region.desk.whole("/v1/hops-alarms") == []


async def test_a_part_that_is_rerouted_is_passed_on(region: Region) -> None:
    """Of a group or not: who passes it on sends the person to another desk, at the same moment."""
    group, before = uuid4(), None
    await region.running.rows(
        "INSERT INTO referral_group (id, case_id, municipality, sender, mode, sent_at)"
        " VALUES ($1, $2, $3, 'kagoshima-desk', 'parts', $4)",
        *(group, region.case_id, KAGOSHIMA, FRIDAY),
    )
    for day in range(3):
        steps, state = ([], "sent") if day == 2 else ([("reroute", 24)], "rerouted")
        more = {"group_id": group, "rerouted_from": before, "later": day * 24}
        before = await referred(region, *steps, state=state, receiver=f"npo-{day}", **more)
    await region.running.sweep()
    assert [each["hops"] for each in await region.desk.whole("/v1/hops-alarms")] == [3]


async def test_the_alarm_is_for_whoever_holds_the_case_and_ends_with_it(region: Region) -> None:
    running = region.running
    cases = [region.case_id, await another_case(region)]
    for case in cases:
        await declined_in_turn(region, "npo-0", "npo-1", "npo-2", case_id=case)
    await running.sweep()
    assert len(await region.desk.whole("/v1/hops-alarms", limit=1)) == 2
    await running.rows("UPDATE case_fact SET holder = 'sakura-npo' WHERE case_id = $1", cases[1])
    assert [each["case_id"] for each in await region.desk.whole("/v1/hops-alarms")] == [str(cases[0])]
    assert [each["case_id"] for each in await region.npo.whole("/v1/hops-alarms")] == [str(cases[1])]
    await running.hear(CaseClosed(case_id=cases[0], agency_id="kagoshima-desk", ended="goal_reached"))
    assert await region.desk.whole("/v1/hops-alarms") == []


async def test_the_coordinator_of_the_municipality_sees_the_alarm_too(region: Region) -> None:
    await coordinated(region.running, "kagoshima-city")
    await coordinated(region.running, "zama-city", ZAMA)
    await declined_in_turn(region, "npo-0", "npo-1", "npo-2")
    await region.running.rows("DELETE FROM outbox")
    await region.running.sweep()
    alarms = [event for event in await region.running.told() if isinstance(event, HopsAlarm)]
    assert alarms == [HopsAlarm(case_id=region.case_id, hops=3, coordinator="kagoshima-city")]
    for agency, many in (("kagoshima-city", 1), ("kagoshima-desk", 1), ("zama-city", 0), ("sakura-npo", 0)):
        assert len(await region.running.as_(agency).whole("/v1/hops-alarms")) == many, agency


async def test_a_closed_case_raises_no_alarm(region: Region) -> None:
    await declined_in_turn(region, "npo-0", "npo-1", "npo-2")
    await region.running.hear(CaseClosed(case_id=region.case_id, agency_id="kagoshima-desk", ended="goal_reached"))
    await region.running.sweep()
    assert await region.running.told() == []


async def test_a_case_that_is_opened_again_raises_its_alarm_then(region: Region) -> None:
    await declined_in_turn(region, "npo-0", "npo-1", "npo-2")
    await region.running.rows("UPDATE case_fact SET closed_at = now()")
    assert await alarms_raised(region) == []
    await region.running.rows("UPDATE case_fact SET closed_at = NULL")
    assert await alarms_raised(region) == [3]


async def test_only_cases_in_which_something_has_changed_are_counted(region: Region) -> None:
    """However many are open, of whom nothing new is to be said."""
    for _ in range(60):
        await declined_in_turn(region, "npo-0", "npo-1", case_id=await another_case(region))
    assert await referrals_read(region) >= 120
    await region.running.sweep()
    assert await referrals_read(region) == 0
    await declined_in_turn(region, "npo-0", "npo-1")
    assert await referrals_read(region) <= 10


async def referrals_read(region: Region) -> int:
    """How many rows of referrals the sweep reads now."""
    async with region.running.database.transaction() as session:
        await session.execute(text("SET LOCAL enable_seqscan = off"))
        before = (await session.execute(_READ)).scalar_one()
        while await raise_hops_alarm(session, wall_time()):
            pass
        return int((await session.execute(_READ)).scalar_one() - before)


_READ = text("SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'referral'")
"""By this connection, with what it has not reported yet of transactions before."""


async def alarms_raised(region: Region) -> list[int]:
    """By which number of hops each was raised."""
    await region.running.sweep()
    return [event.hops for event in await region.running.told() if isinstance(event, HopsAlarm)]


async def test_what_is_sent_while_a_case_is_counted_is_counted_the_next_time(
    region: Region, monkeypatch: pytest.MonkeyPatch
) -> None:
    await declined_in_turn(region, "npo-0", "npo-1", "npo-2")
    raised = tables.raised

    async def sent_meanwhile(session: Any, case_id: UUID) -> frozenset[int]:
        await declined_in_turn(region, "npo-3", "npo-4", begin=3)
        return await raised(session, case_id)

    with monkeypatch.context() as patched:
        patched.setattr(tables, "raised", sent_meanwhile)
        async with region.running.database.transaction() as session:
            assert await raise_hops_alarm(session, wall_time())
    assert await alarms_raised(region) == [3, 5]


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
    assert (back["own_outcomes"], found["own_outcomes"]) == ({"employed": 1, "started": 1}, {})
    assert (back["agency_id"], back["agency_name"]) == ("sakura-npo", "桜の会")
    assert [(each["reason"], each["referrals"]) for each in back["declined"]] == [("no_capacity", 1)]
    nobody = region.running.as_("other-npo")
    assert [(await nobody.get("/v1/give-back")).json()[name] for name in ("sent", "received")] == [0, 0]


async def test_the_page_prints_and_comes_as_a_file(region: Region) -> None:
    await three_referrals(region)
    text = re.sub(r"<[^>]+>", " ", (await region.desk.get("/v1/give-back.html")).text)
    for words in (
        "還元ページ",
        "kagoshima-desk",  # the directory of these tests has no name for it
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


async def test_every_outcome_is_told_in_words_and_so_is_the_agency(region: Region) -> None:
    """To who passed the person on, and to who did the work: 桜の会, which was asked and which asked itself."""
    for number, outcome in enumerate(Outcome):
        verb = "request" if number % 2 else "transfer"
        steps, case = (("accept", 1), ("close", 2)), await another_case(region)
        ended = await referred(region, *steps, state="closed", verb=verb, case_id=case)
        await region.running.rows(
            "INSERT INTO referral_outcome VALUES ($1, 1, $2, 'sakura-npo', $3)", ended, outcome, FRIDAY
        )
    words = ["利用を始めた", "最後まで利用した", "就職した", "就職して3か月続いている", "次の段階へ進む・変える"]
    words += ["始まらなかった", "途中でやめた", "本人の意思で終えた"]
    for caller, heading in ((region.desk, "送り出した方の結果"), (region.npo, "引き受けた方の結果")):
        page = (await caller.get("/v1/give-back.html")).text
        section = page[page.index(f"<h2>{heading}") :].split("<h2>")[1]
        assert all(f"<th>{each}</th>" in section for each in words)
        answer = await caller.get("/v1/give-back.csv")
        lines = list(csv.DictReader(io.StringIO(answer.content.decode("cp932"))))
        assert sorted(line["項目"] for line in lines if line["区分"] == heading) == sorted(words)
        assert not any(re.search("[a-z]", line["区分"] + line["項目"] + line["理由の側"]) for line in lines)
    page = (await region.npo.get("/v1/give-back.html")).text
    assert "<p>桜の会</p>" in page
    assert "sakura-npo" not in page


@pytest.mark.parametrize("role", sorted(set(Role) - {Role.EMERGENCY, Role.OPERATOR}))
async def test_whatever_an_agency_does_it_reads_its_own_page(region: Region, role: Role) -> None:
    await referred(region)
    caller = region.running.as_("sakura-npo", role, municipalities=[])
    for path in ("/v1/give-back", "/v1/give-back.html", "/v1/give-back.csv"):
        assert (await caller.get(path)).status_code == 200, path
    assert (await caller.get("/v1/give-back")).json()["received"] == 1


async def test_an_empty_region_has_no_numbers(referral: Running) -> None:
    await take_in(referral, "/v1/agency-imports", AGENCIES)
    await take_in(referral, "/v1/programme-imports", PROGRAMMES)
    caller = referral.as_()
    assert await caller.whole("/v1/numbers/pairs") == []
    assert (await caller.get("/v1/numbers/hops")).json() == []


@pytest.mark.parametrize(
    "days",
    [{"to": "9999-12-31"}, {"to": "0001-01-01"}, {"from": "0001-01-01", "to": "0001-12-31"}, {"from": "2200-01-01"}],
)
async def test_a_day_out_of_reach_is_refused_at_every_door(region: Region, days: dict[str, str]) -> None:
    for path in (
        "numbers/pairs",
        "numbers/pairs.csv",
        "numbers/hops",
        "numbers/declines",
        "give-back",
        "give-back.csv",
        "give-back.html",
    ):
        answer = await region.desk.get(f"/v1/{path}", params=days)
        assert answer.status_code == 422, (path, answer.text)
        assert answer.json()["errors"][0]["message_ja"]
    for at in ("0001-01-01T00:00:00+09:00", "9999-12-31T23:59:59-09:00"):
        answer = await region.desk.get("/v1/agencies/sakura-npo/versions", params={"at": at})
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/at"), answer.text
    at = (await region.desk.get("/v1/agencies/sakura-npo/versions")).json()["items"][0]["at"]
    assert len((await region.desk.get("/v1/agencies/sakura-npo/versions", params={"at": at})).json()["items"]) == 1
    assert (await region.desk.get("/v1/numbers/hops", params={"from": "2199-01-01", "to": "2199-12-31"})).json() == []
