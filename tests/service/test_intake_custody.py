"""One holder at every instant, over HTTP and events, with accidents; and the proof of it."""

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from services.intake.domain.custody import check
from shared.events import (
    CaseClosed,
    CaseHandedOver,
    CaseNotHandedOver,
    CaseReopened,
    Event,
    ReferralAccepted,
    ReferralDeclineProposed,
    ReferralProgressed,
    ReferralReceived,
    ReferralRerouted,
    ReferralReturned,
    ReferralSent,
)
from shared.service.__main__ import cli
from tests.service.intake_counter import opened, today
from tests.world import KAGOSHIMA, ZAMA, Caller, Running, World, execute_as_admin

AGENCIES = ("kagoshima-desk", "kagoshima-npo", "kagoshima-school")
REFERRAL = UUID(int=9)


def accepted(case_id: str, sender: str, receiver: str) -> ReferralAccepted:
    return ReferralAccepted(case_id=UUID(case_id), referral_id=REFERRAL, sender=sender, receiver=receiver)


async def custody(intake: Running, case_id: str) -> list[tuple[str, str, str | None]]:
    items = (await intake.as_().get(f"/v1/cases/{case_id}/custody")).json()["items"]
    return [(entry["step"], entry["holder"], entry["ended"]) for entry in items]


async def test_a_case_ends_with_what_was_reached_or_why_not(world: World) -> None:
    intake = world.service("intake")
    case_id = await opened(intake.as_())
    path = f"/v1/cases/{case_id}/closing"
    for body in ({}, {"outcome": "goal_reached", "interruption": "died"}, {"outcome": "bored"}):
        assert (await intake.as_().post(path, body)).status_code == 422
    closed = await intake.as_().post(path, {"outcome": "goal_reached"})
    assert (closed.json()["status"], closed.json()["ended"]) == ("closed", "goal_reached")
    assert (await intake.as_().post(path, {"interruption": "died"})).json()["code"] == "closed_already"
    assert await custody(intake, case_id) == [
        ("opened", "kagoshima-desk", None),
        ("closed", "kagoshima-desk", "goal_reached"),
    ]
    (told,) = [event for event in await intake.told() if isinstance(event, CaseClosed)]
    assert (told.ended, told.interrupted, told.agency_id) == ("goal_reached", False, "kagoshima-desk")


async def test_closing_and_reopening_answer_with_the_version_that_now_stands(world: World) -> None:
    desk = world.service("intake").as_()
    path = f"/v1/cases/{await opened(desk)}"
    for step, body in (("closing", {"outcome": "goal_reached"}), ("reopening", None)):
        answer, read = await desk.post(f"{path}/{step}", body), await desk.get(path)
        assert (answer.json()["version"], answer.headers["etag"]) == (read.json()["version"], read.headers["etag"]), (
            step
        )


async def test_only_the_holder_closes_and_strangers_see_nothing(world: World) -> None:
    intake = world.service("intake")
    path = f"/v1/cases/{await opened(intake.as_())}"
    other = await intake.as_("kagoshima-npo").post(f"{path}/closing", {"outcome": "goal_reached"})
    assert (other.status_code, other.json()["code"]) == (403, "not_the_holder")
    far = intake.as_("zama-desk", municipalities=[ZAMA])
    for answer in (
        await far.post(f"{path}/closing", {"outcome": "goal_reached"}),
        await far.post(f"{path}/reopening"),
        await far.get(f"{path}/custody"),
    ):
        assert answer.status_code == 404


async def test_a_person_who_comes_back_is_held_by_who_takes_them_up(world: World) -> None:
    intake = world.service("intake")
    case_id = await opened(intake.as_(), person={"name": "架空 花子"}, anchor="相談員 1")
    assert (await intake.as_("kagoshima-npo").post(f"/v1/cases/{case_id}/reopening")).json()["code"] == "still_open"
    await intake.as_().post(f"/v1/cases/{case_id}/closing", {"interruption": "not_reachable"})
    npo = intake.as_("kagoshima-npo")
    refused = await npo.post(f"/v1/cases/{case_id}/reopening")
    assert (refused.status_code, refused.json()["code"]) == (409, "not_agreed")
    assert (await npo.get(f"/v1/cases/{case_id}/person")).status_code == 403
    said = {"state": "given", "purposes": ["case_conference"], "recipients": ["kagoshima-npo"]}
    unwitnessed = await npo.post(f"/v1/cases/{case_id}/consents", said)
    assert (unwitnessed.status_code, unwitnessed.json()["code"]) == (409, "witness_needed")
    witnessed = await npo.post(f"/v1/cases/{case_id}/consents", said | {"witness": "立会 さくら", "form": "oral"})
    assert witnessed.status_code == 201, witnessed.text
    again = (await npo.post(f"/v1/cases/{case_id}/reopening")).json()
    assert (again["status"], again["holder_agency"], again["ended"]) == ("open", "kagoshima-npo", None)
    assert again["anchor"] == "client-kagoshima-npo", "whom everybody can turn to is who took them up"
    read = (await npo.get(f"/v1/cases/{case_id}/person")).json()["person"]
    assert read == {"name": "架空 花子", "next_step": "次の対応を決める"}
    assert any(isinstance(event, CaseReopened) for event in await intake.told())


async def test_a_case_has_an_anchor_at_every_instant(world: World) -> None:
    intake = world.service("intake")
    desk, npo = intake.as_(), intake.as_("kagoshima-npo")
    agreed = {"consent": {"state": "given", "purposes": ["referral"]}}
    case = (await desk.post("/v1/cases", agreed)).json()
    path = f"/v1/cases/{case['case_id']}"
    assert case["anchor"] == "client-kagoshima-desk", "who opens a case"
    await desk.post(f"{path}/closing", {"interruption": "not_reachable"})
    await intake.hear(accepted(case["case_id"], "kagoshima-desk", "kagoshima-npo"))
    read = await npo.get(path)
    assert read.json()["anchor"] == "kagoshima-npo", "the agency that took it on, until it names somebody"
    named = await npo.patch(path, {"anchor": "相談員 8"}, etag=read.headers["etag"])
    assert named.json()["anchor"] == "相談員 8"
    await npo.post(f"{path}/closing", {"interruption": "not_reachable"})
    assert (await npo.post(f"{path}/reopening")).json()["anchor"] == "相談員 8", "who was named stays with the holder"
    await npo.post(f"{path}/closing", {"interruption": "not_reachable"})
    assert (await desk.post(f"{path}/reopening")).json()["anchor"] == "client-kagoshima-desk"
    with pytest.raises(asyncpg.PostgresError):
        await intake.rows("UPDATE case_ SET anchor = NULL")


async def test_an_accepted_referral_moves_the_case_in_one_step(world: World) -> None:
    intake = world.service("intake")
    case_id = await opened(intake.as_(), anchor="相談員 1")
    await intake.hear(accepted(case_id, "kagoshima-desk", "kagoshima-npo"))
    case = (await intake.as_().get(f"/v1/cases/{case_id}")).json()
    assert (case["holder_agency"], case["anchor"]) == ("kagoshima-npo", "kagoshima-npo")
    await intake.hear(accepted(case_id, "kagoshima-desk", "kagoshima-school"))
    assert (await intake.as_().get(f"/v1/cases/{case_id}")).json()["holder_agency"] == "kagoshima-npo"
    moved = [event for event in await intake.told() if isinstance(event, CaseHandedOver)]
    assert [(str(event.case_id), event.agency_id, event.before) for event in moved] == [
        (case_id, "kagoshima-npo", "kagoshima-desk")
    ]
    (kept,) = [event for event in await intake.told() if isinstance(event, CaseNotHandedOver)]
    assert (kept.agency_id, kept.sender, kept.receiver) == ("kagoshima-npo", "kagoshima-desk", "kagoshima-school")
    entries = await intake.as_().whole(f"/v1/cases/{case_id}/timeline")
    assert entries[-1]["kind"] == "case_not_handed_over", "an acceptance that moved nothing is never silent"


async def test_a_case_closed_while_its_referral_was_accepted_is_not_dropped(world: World) -> None:
    intake = world.service("intake")
    case_id = await opened(intake.as_())
    await intake.as_().post(f"/v1/cases/{case_id}/closing", {"interruption": "not_reachable"})
    await intake.hear(accepted(case_id, "kagoshima-desk", "kagoshima-npo"))
    case = (await intake.as_("kagoshima-npo").get(f"/v1/cases/{case_id}")).json()
    assert (case["status"], case["holder_agency"]) == ("open", "kagoshima-npo")
    assert case["next_step"]


def referred(case_id: str, sender: str, receiver: str) -> tuple[ReferralSent, ReferralReceived]:
    """A referral that was sent, and that its receiver has seen."""
    case, referral = UUID(case_id), uuid4()
    return (
        ReferralSent(case_id=case, referral_id=referral, sender=sender, receiver=receiver),
        ReferralReceived(case_id=case, referral_id=referral, receiver=receiver),
    )


async def waits(caller: Caller, case_id: str) -> bool:
    return bool((await caller.get(f"/v1/cases/{case_id}")).json()["hand_off_open"])


async def test_a_hand_off_stays_open_until_the_receiver_acknowledges(world: World) -> None:
    intake = world.service("intake")
    desk = intake.as_()
    case_id = await opened(desk)
    screened = await desk.post(f"/v1/cases/{case_id}/screenings", {"outcome": "hand_off"})
    assert screened.json()["receiver"] is None
    refused = await desk.post(f"/v1/cases/{case_id}/closing", {"outcome": "other_scheme"})
    assert refused.json()["code"] == "hand_off_waits"
    sent, received = referred(case_id, "kagoshima-desk", "kagoshima-npo")
    await intake.hear(sent)
    assert await waits(desk, case_id)
    await intake.hear(received)
    assert not await waits(desk, case_id)
    assert (await desk.post(f"/v1/cases/{case_id}/closing", {"outcome": "other_scheme"})).status_code == 200


def answers(sent: ReferralSent) -> dict[str, Event]:
    """What a receiver may say at once, without having acknowledged it first."""
    about: dict[str, Any] = sent.model_dump(include={"case_id", "referral_id", "sender", "receiver"})
    return {
        "accepts": ReferralAccepted(**about, verb="refer"),
        "gives_back": ReferralReturned(**about, missing=["wishes"]),
        "declines": ReferralDeclineProposed(**about, coordinator="kagoshima-city", reason="no_capacity"),
        "has_no_room": ReferralProgressed(**about, state="waiting", move="wait"),
        "passes_on": ReferralRerouted(**about, next_referral_id=uuid4(), next_receiver="kagoshima-school"),
    }


@pytest.mark.parametrize("answer", ["accepts", "gives_back", "declines", "has_no_room", "passes_on"])
async def test_who_answers_at_once_has_received_the_hand_off(world: World, answer: str) -> None:
    intake = world.service("intake")
    desk = intake.as_()
    case_id = await opened(desk)
    await desk.post(f"/v1/cases/{case_id}/screenings", {"outcome": "hand_off"})
    sent, _ = referred(case_id, "kagoshima-desk", "kagoshima-npo")
    await intake.hear(sent, answers(sent)[answer])
    assert not await waits(desk, case_id)
    assert (await desk.post(f"/v1/cases/{case_id}/closing", {"outcome": "other_scheme"})).status_code == 200


async def test_what_the_sender_or_the_coordinator_says_acknowledges_no_hand_off(world: World) -> None:
    intake = world.service("intake")
    desk = intake.as_()
    case_id = await opened(desk)
    await desk.post(f"/v1/cases/{case_id}/screenings", {"outcome": "hand_off"})
    sent, _ = referred(case_id, "kagoshima-desk", "kagoshima-npo")
    about = sent.model_dump(include={"case_id", "referral_id", "sender", "receiver"})
    await intake.hear(sent, *(ReferralProgressed(**about, state=state, move=move) for state, move in BY_OTHERS))
    assert await waits(desk, case_id)


BY_OTHERS = (("sent", "answer"), ("received", "overrule_back"), ("expired", "expire"))


async def test_a_referral_that_is_not_the_hand_offs_own_acknowledges_nothing(world: World) -> None:
    intake = world.service("intake")
    desk = intake.as_()
    case_id = await opened(desk)
    older, older_seen = referred(case_id, "kagoshima-desk", "kagoshima-school")
    await intake.hear(older)
    await desk.post(f"/v1/cases/{case_id}/screenings", {"outcome": "hand_off"})
    another = referred(case_id, "kagoshima-npo", "kagoshima-school")
    to_itself = referred(case_id, "kagoshima-desk", "kagoshima-desk")
    never_sent = ReferralReceived(case_id=UUID(case_id), referral_id=REFERRAL, receiver="kagoshima-npo")
    await intake.hear(older_seen, *another, *to_itself, never_sent)
    await intake.hear(accepted(case_id, "kagoshima-npo", "kagoshima-school"))
    assert await waits(desk, case_id)
    elsewhere = referred(await opened(desk), "kagoshima-desk", "kagoshima-npo")
    await intake.hear(elsewhere[0], elsewhere[1].model_copy(update={"case_id": UUID(case_id)}))
    assert await waits(desk, case_id), "what was sent about another case"


async def test_a_hand_off_to_a_named_agency_waits_for_that_one(world: World) -> None:
    intake = world.service("intake")
    desk = intake.as_()
    case_id = await opened(desk)
    body = {"outcome": "hand_off", "receiver": "kagoshima-welfare"}
    screened = await desk.post(f"/v1/cases/{case_id}/screenings", body)
    assert (screened.status_code, screened.json()["receiver"]) == (201, "kagoshima-welfare")
    (*_, note) = (await desk.get(f"/v1/cases/{case_id}/timeline")).json()["items"]
    assert note["codes"] == {"outcome": "hand_off", "receiver": "kagoshima-welfare", "by": "kagoshima-desk"}
    await intake.hear(*referred(case_id, "kagoshima-desk", "kagoshima-npo"))
    assert await waits(desk, case_id)
    await intake.hear(accepted(case_id, "kagoshima-desk", "kagoshima-school"))
    assert await waits(desk, case_id), "who took the case on sees that somebody was to be told, and wasn't"
    school = intake.as_("kagoshima-school")
    assert (await school.post(f"/v1/cases/{case_id}/closing", {"outcome": "goal_reached"})).status_code == 409
    await intake.hear(*referred(case_id, "kagoshima-desk", "kagoshima-welfare"))
    assert not await waits(school, case_id)


async def test_a_named_agency_that_takes_the_case_on_has_acknowledged_it(world: World) -> None:
    intake = world.service("intake")
    case_id = await opened(intake.as_())
    await intake.as_().post(f"/v1/cases/{case_id}/screenings", {"outcome": "hand_off", "receiver": "kagoshima-npo"})
    await intake.hear(accepted(case_id, "kagoshima-desk", "kagoshima-npo"))
    assert not await waits(intake.as_("kagoshima-npo"), case_id)


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({"outcome": "support", "receiver": "kagoshima-npo"}, "/", "receiver_without_hand_off"),
        ({"outcome": "hand_off", "receiver": "kagoshima-desk"}, "/receiver", "holds_it_already"),
        ({"outcome": "hand_off", "receiver": "架空"}, "/receiver", None),
    ],
)
async def test_a_hand_off_names_another_agency(
    world: World, body: dict[str, str], pointer: str, code: str | None
) -> None:
    desk = world.service("intake").as_()
    answer = await desk.post(f"/v1/cases/{await opened(desk)}/screenings", body)
    error = answer.json()["errors"][0]
    assert (answer.status_code, error["pointer"]) == (422, pointer)
    assert code in {None, error["code"]}
    assert error["message_ja"] != "受け付けられない値です"


async def test_nobody_but_the_holder_turns_a_hand_off_that_waits_to_another(world: World) -> None:
    intake = world.service("intake")
    case_id = await opened(intake.as_())
    await intake.as_().post(f"/v1/cases/{case_id}/screenings", {"outcome": "hand_off", "receiver": "kagoshima-welfare"})
    turned = {"outcome": "hand_off", "receiver": "kagoshima-npo"}
    answer = await intake.as_("kagoshima-npo").post(f"/v1/cases/{case_id}/screenings", turned)
    assert (answer.status_code, answer.json()["code"]) == (403, "not_the_holder")
    assert (await intake.as_().post(f"/v1/cases/{case_id}/screenings", turned)).status_code == 201


async def test_of_ten_who_close_at_once_one_does(world: World) -> None:
    intake = world.service("intake")
    case_id = await opened(intake.as_())
    answers = await asyncio.gather(
        *(intake.as_().post(f"/v1/cases/{case_id}/closing", {"outcome": "goal_reached"}) for _ in range(10))
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 9


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE case_ SET holder_agency = 'nobody'",
        "UPDATE case_ SET status = 'closed'",
        "DELETE FROM custody",
        "UPDATE custody SET holder = 'nobody'",
        """INSERT INTO custody (case_id, number, step, holder, by, at)
        SELECT case_id, 3, 'handed_over', 'x', 'x', now() FROM custody""",
        """INSERT INTO custody (case_id, number, step, holder, by, at)
        SELECT case_id, 2, 'reopened', 'x', 'x', now() FROM custody""",
        """INSERT INTO custody (case_id, number, step, holder, by, at)
        SELECT case_id, 2, 'closed', 'kagoshima-desk', 'x', now() FROM custody""",
        """INSERT INTO custody (case_id, number, step, holder, ended, by, at)
        SELECT case_id, 2, 'closed', 'somebody-else', 'died', 'x', now() FROM custody""",
    ],
)
async def test_the_database_itself_lets_no_case_fall_through(world: World, statement: str) -> None:
    intake = world.service("intake")
    await opened(intake.as_())
    with pytest.raises(asyncpg.PostgresError):
        await intake.rows(statement)


async def test_who_hides_is_not_found_by_another_agency_that_reopens_the_case(world: World) -> None:
    intake = world.service("intake")
    desk, npo = intake.as_(), intake.as_("kagoshima-npo")
    hidden = await opened(desk, topics=["violence"], person={"address": "架空町 1-2-3"})
    path = f"/v1/cases/{hidden}"
    await desk.post(f"{path}/closing", {"outcome": "goal_reached"})
    refused = await npo.post(f"{path}/reopening")
    assert (refused.status_code, refused.json()["code"]) == (409, "hides_somebody")
    assert "架空町" not in (await npo.get(f"{path}/person")).text
    anew = await opened(npo, topics=["violence"])
    linked = await npo.post(f"/v1/cases/{anew}/links", {"other": hidden, "reason": "person_says"})
    assert linked.status_code == 201, "and still nobody is sent away"
    assert (await desk.post(f"{path}/reopening")).status_code == 200


async def test_a_case_whose_day_has_come_or_whose_anchor_nobody_is_can_be_asked_for(world: World) -> None:
    intake = world.service("intake")
    desk, npo = intake.as_(), intake.as_("kagoshima-npo")
    due = await opened(desk, anchor="相談員 3")
    later = await opened(desk, anchor="相談員 3", next_step_on=today(intake, 9))
    closed = await opened(desk)
    await desk.post(f"/v1/cases/{closed}/closing", {"outcome": "goal_reached"})
    listed = [case["case_id"] for case in await desk.whole("/v1/cases", next_step_until=today(intake))]
    assert listed == [due]
    assert await desk.whole("/v1/cases", anchor_missing=True) == []
    await intake.hear(accepted(later, "kagoshima-desk", "kagoshima-npo"))
    assert [case["case_id"] for case in await npo.whole("/v1/cases", anchor_missing=True)] == [later]
    assert [case["case_id"] for case in await npo.whole("/v1/cases", anchor_missing=False)] == [due]


# --- the proof ------------------------------------------------------------------------------------------------------


async def test_each_day_is_proven_once_for_each_agency_and_chained(world: World, tmp_path: Path) -> None:
    intake = world.service("intake")
    first, second = await opened(intake.as_()), await opened(intake.as_())
    await intake.hear(accepted(first, "kagoshima-desk", "kagoshima-npo"))
    intake.pass_time(timedelta(days=1))
    assert await intake.sweep() == 2
    assert await intake.sweep() == 0
    await intake.as_().post(f"/v1/cases/{second}/closing", {"outcome": "goal_reached"})
    intake.pass_time(timedelta(days=1))
    assert await intake.sweep() == 2
    proofs = (await intake.as_().get("/v1/custody-proofs")).json()
    assert [proof["counts"] for proof in proofs["items"]] == [
        {"came": 2, "held": 1, "closed": 0, "handed_on": 1},
        {"came": 2, "held": 0, "closed": 1, "handed_on": 1},
    ]
    assert check(proofs["items"]) == []
    now = (await intake.as_().get("/v1/custody-proofs/now")).json()
    assert check([*proofs["items"], now]) == []

    file = tmp_path / "proofs.json"
    file.write_text(json.dumps(proofs))
    pages = [tmp_path / "first.json", tmp_path / "second.json"]
    pages[0].write_text(json.dumps(proofs["items"][:1]))
    pages[1].write_text(json.dumps({"items": proofs["items"][1:], "next_cursor": None}))
    for files in ([file], pages):
        assert CliRunner().invoke(cli, ["verify", "custody", *map(str, files)]).exit_code == 0
    assert CliRunner().invoke(cli, ["verify", "custody", *map(str, reversed(pages))]).exit_code == 1
    held = CliRunner().invoke(cli, ["verify", "custody", str(file)])
    assert (held.exit_code, "2 件" in held.output) == (0, True)
    proofs["items"][1]["cases"].pop()
    file.write_text(json.dumps(proofs))
    bent = CliRunner().invoke(cli, ["verify", "custody", str(file)])
    assert bent.exit_code == 1
    assert "changed after" in bent.output


async def test_a_proof_made_twice_at_once_is_one(world: World) -> None:
    intake = world.service("intake")
    await opened(intake.as_())
    intake.pass_time(timedelta(days=1))
    await asyncio.gather(*(intake.sweep() for _ in range(4)))
    assert len(await intake.rows("SELECT FROM custody_proof")) == 1


# --- any history, with accidents ------------------------------------------------------------------------------------

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["open", "close", "reopen", "accept", "accept", "receive", "hand_off"]),
        st.integers(0, 7),
        st.sampled_from(AGENCIES),
        st.sampled_from(AGENCIES),
        st.sampled_from(["", "", "", "twice", "crash"]),
    ),
    min_size=40,
    max_size=40,
)


@given(STEPS)
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
async def test_in_any_history_every_case_has_one_holder_or_an_end(
    world: World, steps: list[tuple[str, int, str, str, str]]
) -> None:
    intake = world.service("intake")
    await execute_as_admin(
        world.postgres,
        "SET search_path = intake; TRUNCATE case_, draft, custody, custody_proof, personal_value, data_key, access_log,"
        " access_unsealed, timeline, screening, case_consent, outbox, inbox, idempotency, parked CASCADE",
        world.database_name,
    )
    cases: list[str] = []
    for number, (what, which, agency, other, accident) in enumerate(steps):
        await _step(intake, cases, what, which, agency, other, accident, number)
    ledger = await intake.rows("SELECT case_id, number, step, holder FROM custody ORDER BY case_id, number")
    standing = {row["id"]: row for row in await intake.rows("SELECT id, holder_agency, status, ended FROM case_")}
    assert len(standing) == len(cases)
    for case_id, case in standing.items():
        own = [row for row in ledger if row["case_id"] == case_id]
        assert [row["number"] for row in own] == list(range(1, len(own) + 1))
        assert own[-1]["holder"] == case["holder_agency"]
        assert (own[-1]["step"] == "closed") == (case["status"] == "closed") == (case["ended"] is not None)
    proofs = [(await intake.as_(agency).get("/v1/custody-proofs/now")).json() for agency in AGENCIES]
    assert [check([proof]) for proof in proofs] == [[], [], []]
    where = [case["case_id"] for proof in proofs for case in proof["cases"] if case["stands"] != "handed_on"]
    assert sorted(where) == sorted(cases)


async def _step(
    intake: Running, cases: list[str], what: str, which: int, agency: str, other: str, accident: str, number: int
) -> None:
    """One thing that happens; `crash` breaks the transaction off just before its end, then it is tried again."""
    caller = intake.as_(agency, municipalities=[KAGOSHIMA])
    if accident == "crash":
        commit, intake.database.commit = intake.database.commit, _crash  # type: ignore[method-assign]
        try:
            await _happen(intake, caller, cases, what, which, agency, other, f"{number:032d}", broken=True)
        finally:
            intake.database.commit = commit  # type: ignore[method-assign]
    for _ in range(2 if accident == "twice" else 1):
        await _happen(intake, caller, cases, what, which, agency, other, f"{number:032d}")


async def _crash(session: Any) -> None:
    del session
    raise ConnectionError("killed before the commit")


async def _happen(
    intake: Running,
    caller: Caller,
    cases: list[str],
    what: str,
    which: int,
    agency: str,
    other: str,
    key: str,
    *,
    broken: bool = False,
) -> None:
    if what == "open" or not cases:
        # Agreed, so that another door may take the person up again.
        answer = await caller.post("/v1/cases", {"consent": {"state": "given", "purposes": ["referral"]}}, key=key)
        if not broken and answer.json()["case_id"] not in cases:
            cases.append(answer.json()["case_id"])
        return
    case_id = cases[which % len(cases)]
    event_id = UUID(int=(0x7 << 76) | (0b10 << 62) | int(key))
    match what:
        case "close":
            answer = await caller.post(f"/v1/cases/{case_id}/closing", {"interruption": "moved_away"}, key=key)
        case "reopen":
            answer = await caller.post(f"/v1/cases/{case_id}/reopening", key=key)
        case "hand_off":
            answer = await caller.post(f"/v1/cases/{case_id}/screenings", {"outcome": "hand_off"}, key=key)
        case "accept" if not broken:
            await intake.hear(accepted(case_id, agency, other), event_id=event_id)
            return
        case "receive" if not broken:
            received = ReferralReceived(case_id=UUID(case_id), referral_id=REFERRAL, receiver=other)
            await intake.hear(received, event_id=event_id)
            return
        case _:
            return
    assert answer.status_code < 500 or broken
