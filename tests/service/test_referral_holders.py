"""One holder at every moment, in both books: referral says who took a case on, intake who holds it.

Both services run on their own databases. What one tells the other is carried by hand: each topic in its own order, as
the bus keeps it, and neither waiting for the other.
"""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from shared.bus.envelope import headers_of, open_envelope
from shared.bus.port import Record
from shared.events import CaseClosed, CaseHandedOver, CaseNotHandedOver, CaseOpened, CaseReopened, ReferralAccepted
from tests.service.referral_region import Region, code, coordinated, offered
from tests.world import KAGOSHIMA, KIRISHIMA, ZAMA, Caller, Running, World

DESK, CENTER, CITY, NPO, ZAMA_NPO = "kagoshima-desk", "career-center", "kagoshima-city", "sakura-npo", "zama-npo"
WORDS = CaseOpened, CaseHandedOver, CaseNotHandedOver, CaseClosed, CaseReopened
"""What intake tells about who holds a case."""


class Both:
    """A case in both services, and the two ways that news go."""

    def __init__(self, world: World) -> None:
        self.intake, self.referral = world.service("intake"), world.service("referral")
        self.region = Region(self.referral)
        self.heard = {"intake": 0, "referral": 0}
        self.had_heard: dict[int, int] = {}
        """How much of referral's news intake knew when it told each of its own: by the numbers of both outboxes."""
        self.case_id = ""
        self.became_less: set[tuple[UUID, int]] = set()
        self.at = {
            DESK: [KAGOSHIMA], CENTER: [KAGOSHIMA], CITY: [KAGOSHIMA], NPO: [KIRISHIMA], ZAMA_NPO: [ZAMA],
        }  # fmt: skip

    async def ready(self) -> "Both":
        await self.region.ready()
        await self.referral.hear(offered())
        await coordinated(self.referral, CITY)
        return self

    async def begin(self) -> "Both":
        consent = {"state": "given", "purposes": ["referral"]}
        answer = await self.intake.as_(DESK).post("/v1/cases", {"topics": ["job_search"], "consent": consent})
        self.case_id = answer.json()["case_id"]
        await self.carry()
        return self

    def at_referral(self, agency: str) -> Caller:
        return self.referral.as_(agency, municipalities=self.at[agency])

    def at_intake(self, agency: str) -> Caller:
        return self.intake.as_(agency, municipalities=self.at[agency])

    async def send(self, sender: str = DESK, to: str = "sakura-npo/ibasho", verb: str = "transfer", **more: Any) -> Any:
        body = {"case_id": self.case_id, "programme_id": self.region.programmes[to], "verb": verb, "knowingly": True}
        return await self.at_referral(sender).post("/v1/referrals", body | more)

    async def sent(self, *args: Any, **kwargs: Any) -> str:
        answer = await self.send(*args, **kwargs)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["referral_id"])

    async def requested(self) -> str:
        body = {"case_id": self.case_id, "programme_id": self.region.programmes["sakura-npo/junbi"]}
        answer = await self.at_referral(NPO).post("/v1/referral-requests", body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["referral_id"])

    async def move(self, agency: str, referral_id: str, name: str, said: Any = None) -> Any:
        answer = await self.at_referral(agency).post(f"/v1/referrals/{referral_id}/{name}", said)
        await self.offers_stand()
        return answer

    async def look(self, referral_id: str) -> Any:
        return (await self.region.desk.get(f"/v1/referrals/{referral_id}")).json()

    async def tell(self, teller: Running, hearer: Running, count: int = 1_000) -> int:
        """The next of what one told, to the other."""
        name = teller.service.name
        rows = await teller.rows("SELECT * FROM outbox WHERE seq > $1 ORDER BY seq LIMIT $2", self.heard[name], count)
        for row in rows:
            await self.note_told()
            self.heard[name] = row["seq"]
            headers = headers_of(event_id=row["id"], type_=row["type"], subject=row["key"], topic=row["topic"])
            await hearer.inbox.deliver([Record(row["topic"], 0, row["seq"], row["key"], row["value"], headers)])
            if hearer is self.referral:
                await self.offers_stand()
        return len(rows)

    async def note_told(self) -> None:
        for row in await self.intake.rows("SELECT seq FROM outbox WHERE key = $1", self.case_id):
            self.had_heard.setdefault(row["seq"], self.heard["referral"])

    async def carry(self) -> None:
        """Until nobody has anything new to tell."""
        while await self.tell(self.intake, self.referral) + await self.tell(self.referral, self.intake):
            pass

    async def agree(self) -> None:
        """Both books say the same, and whoever took the case on by a transfer that stands held it."""
        case_id = UUID(self.case_id)
        (case,) = await self.intake.rows("SELECT holder_agency FROM case_ WHERE id = $1", case_id)
        (fact,) = await self.referral.rows("SELECT holder FROM case_fact WHERE case_id = $1", case_id)
        assert fact["holder"] == case["holder_agency"]
        first = await self.referral.rows(
            "SELECT id, state, responsible_agency, verb FROM referral WHERE case_id = $1 AND state <> 'draft'"
            " AND reason IS DISTINCT FROM 'never_sent'",
            case_id,
        )
        second = await self.intake.rows(
            "SELECT DISTINCT ON (referral_id) referral_id, state, holder, verb FROM referral_custody WHERE case_id = $1"
            " ORDER BY referral_id, number DESC",
            case_id,
        )
        assert {tuple(row) for row in first} == {tuple(row) for row in second}
        took = await self.referral.rows(
            "SELECT r.receiver, s.at FROM referral r JOIN referral_step s ON s.referral_id = r.id"
            " WHERE r.case_id = $1 AND r.verb <> 'refer' AND s.step IN ('accept', 'overrule_forward', 'enrol')"
            " ORDER BY s.at, r.id",
            case_id,
        )
        held = await self.intake.rows("SELECT holder, step FROM custody WHERE case_id = $1 ORDER BY number", case_id)
        came = [row["holder"] for row in held if row["step"] in {"handed_over", "reopened"}]
        for row in took:
            assert row["receiver"] in came, "who took it on, and is told so, held it"
        waiting = await self.referral.rows(
            "SELECT sender FROM referral WHERE case_id = $1 AND verb = 'transfer'"
            " AND state IN ('sent', 'received', 'returned', 'waiting', 'decline_pending')",
            case_id,
        )
        assert {row["sender"] for row in waiting} <= {case["holder_agency"]}, "only its holder offers the case"
        await self.offers_stand()
        for service in (self.intake, self.referral):
            assert await service.rows("SELECT 1 FROM parked") == []

    async def offers_stand(self) -> None:
        """Referral holds the case for whom intake will name, unless somebody moves it there by hand meanwhile.

        What that agency offers to hand over with it never becomes less.
        """
        holder = await self.foreseen()
        if holder is None:
            return
        (fact,) = await self.referral.rows("SELECT holder FROM case_fact WHERE case_id = $1", UUID(self.case_id))
        assert fact["holder"] == holder
        less = await self.referral.rows(
            "SELECT s.referral_id, s.version, r.sender FROM referral r JOIN referral_step s ON s.referral_id = r.id"
            " WHERE r.case_id = $1 AND s.step = 'keep_holder' AND NOT EXISTS (SELECT FROM referral_step t WHERE"
            " t.referral_id = r.id AND t.version < s.version AND t.step IN ('accept', 'overrule_forward', 'enrol'))",
            UUID(self.case_id),
        )
        for row in less:
            if (row["referral_id"], row["version"]) not in self.became_less:
                assert row["sender"] != holder, "nothing that the case's holder offers becomes less"
        self.became_less = {(row["referral_id"], row["version"]) for row in less}

    async def foreseen(self) -> str | None:
        """Whom intake's last word named, moved on by each acceptance of which intake knew nothing then, in order."""
        await self.note_told()
        told = "SELECT seq, value FROM outbox WHERE key = $1 AND seq {} $2 ORDER BY seq"
        words = await self.intake.rows(told.format("<="), self.case_id, self.heard["intake"])
        heard = [(row["seq"], open_envelope(row["value"], {}).read()) for row in words]
        of_holder = [(seq, event) for seq, event in heard if isinstance(event, WORDS)]
        if not of_holder:
            return None
        seq, word = of_holder[-1]
        holder = str(word.agency_id)
        for row in await self.referral.rows(told.format(">"), self.case_id, self.had_heard[seq]):
            event = open_envelope(row["value"], {}).read()
            if isinstance(event, ReferralAccepted) and event.verb != "refer" and event.sender == holder:
                holder = event.receiver
        return holder

    async def holder(self) -> str:
        (case,) = await self.intake.rows("SELECT holder_agency FROM case_ WHERE id = $1", UUID(self.case_id))
        return str(case["holder_agency"])


@pytest.fixture
async def both(world: World) -> Both:
    return await (await Both(world).ready()).begin()


# --- Sending ---------------------------------------------------------------------------------------------------------


async def test_only_its_holder_hands_a_case_over_and_anybody_refers_it(both: Both) -> None:
    refused = await both.send(CENTER)
    assert code(refused) == (409, "transfer_by_holder_only")
    assert refused.json()["errors"] == [{"holder": DESK}]
    assert "verb=refer" in refused.json()["detail_ja"]
    draft = await both.sent(CENTER, draft=True)
    assert code(await both.move(CENTER, draft, "send", {"knowingly": True})) == (409, "transfer_by_holder_only")
    referred = await both.sent(CENTER, verb="refer")
    accepted = (await both.move(NPO, referred, "accept")).json()
    assert (accepted["verb"], accepted["responsible_agency"]) == ("refer", CENTER)
    await both.carry()
    assert await both.holder() == DESK
    await both.agree()


async def test_who_has_handed_a_case_over_does_not_hand_it_over_again_even_before_intake_has_heard(both: Both) -> None:
    first = await both.sent()
    await both.move(NPO, first, "accept")
    assert code(await both.send(to="zama-npo/ibasho")) == (409, "transfer_by_holder_only")
    await both.carry()
    assert await both.holder() == NPO
    await both.agree()


async def test_of_two_transfers_the_first_to_be_accepted_moves_the_case_and_the_other_is_referred(both: Both) -> None:
    first, second = await both.sent(), await both.sent(to="zama-npo/ibasho")
    await both.move(ZAMA_NPO, second, "receive")
    await both.move(NPO, first, "accept")
    shown = await both.look(second)
    assert (shown["verb"], shown["state"], shown["responsible_agency"]) == ("refer", "received", DESK)
    assert (shown["steps"][-1]["step"], shown["waits"]["clock"]) == ("keep_holder", "contact")
    accepted = (await both.move(ZAMA_NPO, second, "accept")).json()
    assert (accepted["state"], accepted["responsible_agency"]) == ("accepted", DESK)
    await both.carry()
    assert await both.holder() == NPO
    await both.agree()


async def test_of_parts_only_one_is_a_transfer(both: Both) -> None:
    parts = [
        {"programme_id": both.region.programmes[name], "verb": "transfer"}
        for name in ("sakura-npo/ibasho", "sakura-npo/junbi")
    ]
    body = {"case_id": both.case_id, "mode": "parts", "parts": parts}
    refused = await both.region.desk.post("/v1/referral-groups", body)
    assert (code(refused), refused.json()["errors"][0]["code"]) == ((422, "invalid"), "one_transfer_only")
    assert "refer" in refused.json()["errors"][0]["message_ja"]
    parts[1]["verb"] = "refer"
    assert (await both.region.desk.post("/v1/referral-groups", body)).status_code == 201
    assert await both.referral.rows("SELECT count(*) FROM referral") == [(2,)]


@pytest.mark.parametrize(("verb", "holder"), [("refer", DESK), ("transfer", ZAMA_NPO)])
async def test_a_reroute_keeps_its_verb(both: Both, verb: str, holder: str) -> None:
    first = await both.sent(verb=verb)
    to = {"programme_id": both.region.programmes["zama-npo/ibasho"], "knowingly": True}
    assert (await both.move(NPO, first, "reroute", to)).status_code == 200
    following = (await both.look(first))["next_id"]
    accepted = (await both.move(ZAMA_NPO, following, "accept")).json()
    assert (accepted["verb"], accepted["responsible_agency"]) == (verb, holder)
    await both.carry()
    assert await both.holder() == holder
    await both.agree()


# --- News that come late ---------------------------------------------------------------------------------------------


async def test_an_acceptance_that_is_too_late_moves_nothing_and_is_told_to_everybody(both: Both) -> None:
    late = await both.sent()
    await both.at_intake(DESK).post(f"/v1/cases/{both.case_id}/closing", {"outcome": "goal_reached"})
    reopened = await both.at_intake(CENTER).post(f"/v1/cases/{both.case_id}/reopening")
    assert reopened.status_code == 200, reopened.text
    # Referral has heard of neither.
    assert (await both.move(NPO, late, "accept")).json()["responsible_agency"] == NPO
    await both.carry()
    assert await both.holder() == CENTER
    timeline = await both.at_intake(CENTER).whole(f"/v1/cases/{both.case_id}/timeline")
    kinds = {entry["kind"]: entry["codes"] for entry in timeline}
    assert kinds["case_not_handed_over"] == {"referral_id": late, "sender": DESK, "receiver": NPO, "holder": CENTER}
    assert kinds["transfer_became_refer"]["responsible"] == DESK
    shown = (await both.at_referral(NPO).get(f"/v1/referrals/{late}")).json()
    assert (shown["verb"], shown["state"], shown["responsible_agency"]) == ("refer", "accepted", DESK)
    assert shown["steps"][-1]["step"] == "keep_holder"
    await both.agree()


async def test_what_is_offered_by_who_holds_it_no_more_is_only_referred(both: Both) -> None:
    offered_ = await both.sent()
    await both.at_intake(DESK).post(f"/v1/cases/{both.case_id}/closing", {"outcome": "goal_reached"})
    await both.at_intake(CENTER).post(f"/v1/cases/{both.case_id}/reopening")
    await both.carry()
    assert (await both.look(offered_))["verb"] == "refer"
    await both.move(NPO, offered_, "decline", {"reason": "no_capacity"})
    forward = await both.move(CITY, offered_, "overrule-forward")
    assert (forward.json()["verb"], forward.json()["responsible_agency"]) == ("refer", DESK)
    await both.carry()
    assert await both.holder() == CENTER
    await both.agree()


async def test_a_late_word_about_one_hand_over_undoes_none_that_followed(both: Both) -> None:
    """Intake hears of three acceptances at once, long after: each of them was its holder's, in order."""
    await both.move(NPO, await both.sent(), "accept")
    await both.move(ZAMA_NPO, await both.sent(NPO, to="zama-npo/ibasho"), "accept")
    both.at[NPO] = both.at[ZAMA_NPO] = [KAGOSHIMA]
    offered_ = await both.sent(ZAMA_NPO, to="sakura-npo/junbi")
    await both.tell(both.referral, both.intake)
    await both.tell(both.intake, both.referral, 1)
    # The first of the two words: that the first receiver holds it.
    assert (await both.look(offered_))["verb"] == "transfer"
    again = await both.send(NPO, to="sakura-npo/junbi")
    assert code(again) == (409, "transfer_by_holder_only"), "nobody hands on twice what they had once"
    await both.carry()
    assert await both.holder() == ZAMA_NPO
    assert (await both.look(offered_))["verb"] == "transfer"
    await both.agree()


async def test_a_late_hand_over_of_a_case_that_was_closed_meanwhile_undoes_none_that_followed(both: Both) -> None:
    await both.move(NPO, await both.sent(), "accept")
    await both.move(ZAMA_NPO, await both.sent(NPO, to="zama-npo/ibasho"), "accept")
    await both.at_intake(DESK).post(f"/v1/cases/{both.case_id}/closing", {"outcome": "goal_reached"})
    both.at[ZAMA_NPO] = [KAGOSHIMA]
    offered_ = await both.sent(ZAMA_NPO, to="sakura-npo/junbi")
    await both.carry()
    assert await both.holder() == ZAMA_NPO, "who took it on holds it, although its sender had closed it"
    assert (await both.look(offered_))["verb"] == "transfer"
    await both.agree()


async def test_a_late_word_about_an_acceptance_that_came_too_late_undoes_none_that_followed(both: Both) -> None:
    late = await both.sent()
    await both.at_intake(DESK).post(f"/v1/cases/{both.case_id}/closing", {"outcome": "goal_reached"})
    await both.at_intake(CENTER).post(f"/v1/cases/{both.case_id}/reopening")
    await both.move(NPO, late, "accept")
    await both.tell(both.intake, both.referral)
    await both.move(ZAMA_NPO, await both.sent(CENTER, to="zama-npo/ibasho"), "accept")
    both.at[ZAMA_NPO] = [KAGOSHIMA]
    offered_ = await both.sent(ZAMA_NPO, to="sakura-npo/junbi")
    await both.carry()
    assert await both.holder() == ZAMA_NPO
    assert (await both.look(late))["verb"] == "refer"
    assert (await both.look(offered_))["verb"] == "transfer"
    await both.agree()


async def handed_on_by_the_receiver(both: Both) -> str:
    """The case went to the first receiver; the second took it on from there, which intake has not heard of yet."""
    both.at[NPO] = both.at[ZAMA_NPO] = [KAGOSHIMA]
    await both.move(NPO, await both.sent(), "accept")
    await both.carry()
    await both.move(ZAMA_NPO, await both.sent(NPO, to="zama-npo/ibasho"), "accept")
    return await both.sent(ZAMA_NPO, to="sakura-npo/junbi")


@pytest.mark.parametrize("ended", [{"outcome": "goal_reached"}, {"interruption": "not_reachable"}])
async def test_who_took_a_case_on_keeps_it_although_its_sender_closes_and_reopens_it_before_that_is_heard(
    both: Both, ended: dict[str, str]
) -> None:
    offered_ = await handed_on_by_the_receiver(both)
    await both.at_intake(NPO).post(f"/v1/cases/{both.case_id}/closing", ended)
    assert (await both.at_intake(NPO).post(f"/v1/cases/{both.case_id}/reopening")).status_code == 200
    for _ in ("closed", "reopened"):
        assert await both.tell(both.intake, both.referral, 1) == 1
        shown = await both.look(offered_)
        assert (shown["verb"], shown["state"]) == ("transfer", "sent")
        assert code(await both.send(NPO, to="sakura-npo/junbi")) == (409, "transfer_by_holder_only")
    await both.carry()
    assert await both.holder() == ZAMA_NPO
    assert (await both.look(offered_))["verb"] == "transfer"
    await both.agree()


@pytest.mark.parametrize("ended", [{"outcome": "goal_reached"}, {"interruption": "not_reachable"}])
async def test_a_case_that_was_handed_on_is_not_over_because_who_had_it_closed_it(
    both: Both, ended: dict[str, str]
) -> None:
    offered_ = await handed_on_by_the_receiver(both)
    await both.at_intake(NPO).post(f"/v1/cases/{both.case_id}/closing", ended)
    await both.tell(both.intake, both.referral)
    assert (await both.look(offered_))["state"] == "sent"
    assert (await both.send(ZAMA_NPO, to="sakura-npo/ibasho")).status_code == 201, (
        "the case is not closed for its holder"
    )
    await both.carry()
    assert await both.holder() == ZAMA_NPO
    await both.agree()


async def test_an_acceptance_by_who_holds_the_case_already_is_answered_and_moves_nothing_later(both: Both) -> None:
    both.at[NPO] = [KAGOSHIMA]
    late = await both.sent()
    case = f"/v1/cases/{both.case_id}"
    await both.at_intake(DESK).post(f"{case}/closing", {"outcome": "goal_reached"})
    assert (await both.at_intake(NPO).post(f"{case}/reopening")).status_code == 200
    await both.move(NPO, late, "accept")
    await both.carry()
    await both.agree()
    shown = await both.look(late)
    assert (shown["verb"], shown["responsible_agency"]) == ("transfer", NPO), "it holds the case, and answers for it"
    kinds = [entry["kind"] for entry in await both.at_intake(NPO).whole(f"{case}/timeline")]
    assert "case_not_handed_over" not in kinds
    await both.at_intake(NPO).post(f"{case}/closing", {"outcome": "goal_reached"})
    assert (await both.at_intake(DESK).post(f"{case}/reopening")).status_code == 200
    await both.carry()
    assert await both.holder() == DESK
    await both.agree()


@pytest.mark.parametrize("verb", ["transfer", "request"])
async def test_what_ended_in_silence_before_it_was_heard_that_the_case_stays_is_only_referred(
    both: Both, verb: str
) -> None:
    if verb == "transfer":
        late, asked = await both.sent(), NPO
    else:
        both.at[NPO] = [KAGOSHIMA]
        late, asked = await both.requested(), DESK
    await both.at_intake(DESK).post(f"/v1/cases/{both.case_id}/closing", {"outcome": "goal_reached"})
    await both.at_intake(CENTER).post(f"/v1/cases/{both.case_id}/reopening")
    assert (await both.move(asked, late, "accept")).status_code == 200
    both.referral.pass_time(timedelta(days=60))
    await both.referral.sweep()
    assert (await both.look(late))["state"] == "expired"
    await both.carry()
    shown = await both.look(late)
    assert (shown["verb"], shown["state"], shown["responsible_agency"]) == ("refer", "expired", CITY)
    assert (shown["waits"]["clock"], shown["waits"]["agency_id"]) == ("place", CITY), "who took it over still looks"
    await both.agree()


# --- Declines and silence --------------------------------------------------------------------------------------------


async def test_a_confirmed_decline_gives_the_coordinator_the_referral_and_not_the_case(both: Both) -> None:
    declined = await both.sent()
    await both.move(NPO, declined, "decline", {"reason": "no_capacity"})
    confirmed = (await both.move(CITY, declined, "confirm-decline")).json()
    assert (confirmed["state"], confirmed["responsible_agency"]) == ("declined", CITY)
    await both.carry()
    assert await both.holder() == DESK
    await both.agree()


async def test_a_decline_opens_the_sheet_to_nobody_whom_the_person_did_not_name(both: Both) -> None:
    """The holder keeps what it wrote; the coordinator finds the next place without it."""
    consent = {"state": "given", "purposes": ["referral"], "recipients": [NPO]}
    sheet = {"person": {"name": "架空 花子", "story": "仕事を失った"}, "consent": consent}
    # The coordinator is an agency of the town, and would read the sheet as its holder.
    both.case_id = (await both.at_intake(CENTER).post("/v1/cases", sheet)).json()["case_id"]
    await both.carry()
    declined = await both.sent(CENTER)
    await both.move(NPO, declined, "decline", {"reason": "no_capacity"})
    assert (await both.move(CITY, declined, "confirm-decline")).json()["responsible_agency"] == CITY
    await both.carry()
    path = f"/v1/cases/{both.case_id}/person"
    refused = await both.at_intake(CITY).get(path, params={"purpose": "support"})
    assert code(refused) == (403, "no_basis")
    assert (await both.at_intake(CENTER).get(path, params={"purpose": "support"})).status_code == 200
    kinds = [entry["kind"] for entry in await both.at_intake(CENTER).whole(f"/v1/cases/{both.case_id}/timeline")]
    assert kinds[-2:] == ["referral_declined", "referral_taken_over"]
    # It goes on from there: whoever has the referral refers it further, as the person agreed.
    assert (await both.send(CITY, "sakura-npo/junbi", "refer")).status_code == 201
    await both.carry()
    await both.agree()


async def test_silence_before_acceptance_moves_no_case_and_after_it_the_coordinator_has_the_case(both: Both) -> None:
    await both.sent()
    both.referral.pass_time(timedelta(days=60))
    await both.referral.sweep()
    await both.carry()
    assert await both.holder() == DESK
    await both.agree()
    accepted = await both.sent()
    await both.move(NPO, accepted, "accept")
    await both.carry()
    assert await both.holder() == NPO
    both.referral.pass_time(timedelta(days=60))
    await both.referral.sweep()
    assert (await both.look(accepted))["responsible_agency"] == CITY
    await both.carry()
    assert await both.holder() == CITY
    await both.agree()


# --- Anything, in any order ------------------------------------------------------------------------------------------

which = st.integers(0, 3)
happening = st.one_of(
    st.tuples(
        st.just("send"),
        st.sampled_from([DESK, CENTER, NPO, CITY]),
        st.sampled_from(["sakura-npo/ibasho", "sakura-npo/junbi", "zama-npo/ibasho"]),
        st.sampled_from(["transfer", "transfer", "refer"]),
    ),
    st.tuples(st.just("request")),
    st.tuples(st.just("answer"), which, st.sampled_from(["accept", "accept", "accept", "decline", "start"])),
    st.tuples(st.just("review"), which, st.sampled_from(["overrule-forward", "confirm-decline"])),
    st.tuples(st.just("close"), st.sampled_from(["goal_reached", "not_reachable"])),
    st.tuples(st.just("reopen"), st.sampled_from([DESK, CENTER, NPO])),
    st.tuples(st.just("clock")),
    st.tuples(st.just("tell"), st.sampled_from(["intake", "referral"]), st.integers(1, 3)),
    st.tuples(st.just("tell"), st.sampled_from(["intake", "referral"]), st.integers(1, 3)),
)


async def happen(both: Both, what: tuple[Any, ...]) -> None:
    rows = await both.referral.rows("SELECT * FROM referral WHERE case_id = $1 ORDER BY id", UUID(both.case_id))
    case = f"/v1/cases/{both.case_id}"
    match what:
        case "send", sender, to, verb:
            assert (await both.send(sender, to, verb)).status_code in {201, 404, 409}
        case ("request",):
            body = {"case_id": both.case_id, "programme_id": both.region.programmes["sakura-npo/junbi"]}
            assert (await both.at_referral(NPO).post("/v1/referral-requests", body)).status_code in {201, 404, 409}
        case "answer", number, name if rows:
            row = rows[number % len(rows)]
            asked = row["sender"] if row["verb"] == "request" and name != "start" else row["receiver"]
            said = {"reason": "no_capacity"} if name == "decline" else None
            assert (await both.move(asked, str(row["id"]), name, said)).status_code in {200, 403, 404, 409}
        case "review", number, name if rows:
            row = rows[number % len(rows)]
            assert (await both.move(row["coordinator"], str(row["id"]), name)).status_code in {200, 403, 404, 409}
        case "close", why:
            body = {"interruption" if why == "not_reachable" else "outcome": why}
            assert (await both.at_intake(await both.holder()).post(f"{case}/closing", body)).status_code in {200, 409}
        case "reopen", agency:
            assert (await both.at_intake(agency).post(f"{case}/reopening")).status_code in {200, 409}
        case ("clock",):
            both.referral.pass_time(timedelta(days=12))
            await both.referral.sweep()
        case "tell", "intake", count:
            await both.tell(both.intake, both.referral, count)
        case "tell", _, count:
            await both.tell(both.referral, both.intake, count)
        case _:
            assert not rows, what


@pytest.mark.slow
@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
@given(story=st.lists(happening, min_size=4, max_size=16))
async def test_whatever_is_heard_late_both_books_agree_in_the_end_on_who_holds_the_case(
    both: Both, story: list[tuple[Any, ...]]
) -> None:
    await both.begin()
    both.at[NPO] = [KIRISHIMA, KAGOSHIMA]
    for what in [("send", DESK, "sakura-npo/ibasho", "transfer"), *story]:
        await happen(both, what)
    await both.carry()
    await both.agree()
