"""One holder at every instant; a proof that says where everybody is, and can't be bent."""

import copy
import random
import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.intake.domain.custody import (
    Custody,
    Entry,
    HandOff,
    Interruption,
    Moved,
    Outcome,
    Proof,
    Refused,
    Sent,
    Step,
    acknowledges,
    check,
    close,
    digest,
    document,
    first_link,
    hand_over,
    reopen,
    standings,
)

AT = datetime(2026, 11, 25, tzinfo=UTC)
DESK = Custody("desk", open=True)


def test_only_the_holder_closes() -> None:
    assert close(DESK, by="npo", ended=Outcome.GOAL_REACHED) == Refused("not_the_holder")
    assert close(DESK, by="desk", ended=Outcome.GOAL_REACHED) == Moved(Step.CLOSED, Custody("desk", open=False))


def test_what_is_closed_is_not_closed_again() -> None:
    assert close(Custody("desk", open=False), by="desk", ended=Outcome.GOAL_REACHED) == Refused("closed_already")


def test_a_hand_off_that_nobody_acknowledged_is_no_outcome() -> None:
    waiting = Custody("desk", open=True, hand_off_open=True)
    assert close(waiting, by="desk", ended=Outcome.OTHER_SCHEME) == Refused("hand_off_waits")
    assert isinstance(close(waiting, by="desk", ended=Interruption.NOT_REACHABLE), Moved)


def test_a_hand_off_is_acknowledged_by_its_own_receiver_alone() -> None:
    ours, later = HandOff("desk", None, AT), AT + timedelta(minutes=1)
    assert acknowledges(Sent("desk", "npo", later), ours)
    assert acknowledges(Sent("desk", "npo", AT), ours)
    assert not acknowledges(Sent("school", "npo", later), ours), "another agency's referral"
    assert not acknowledges(Sent("desk", "npo", AT - timedelta(microseconds=1)), ours), "an older one"
    assert not acknowledges(Sent("desk", "desk", later), ours), "nobody hands off to themselves"
    named = replace(ours, receiver="welfare")
    assert acknowledges(Sent("desk", "welfare", later), named)
    assert acknowledges(Sent("desk", "welfare", AT - timedelta(days=1)), named), "it has the person's case in its hands"
    assert not acknowledges(Sent("desk", "npo", later), named)


def test_a_hand_off_to_a_named_agency_waits_on_when_another_takes_the_case() -> None:
    assert not HandOff("desk", None, AT).outlives("npo")
    assert not HandOff("desk", "npo", AT).outlives("npo")
    assert HandOff("desk", "welfare", AT).outlives("npo")


def test_who_takes_up_a_returning_person_holds_the_case() -> None:
    closed = Custody("desk", open=False)
    assert reopen(closed, by="npo", agreed=True) == Moved(Step.REOPENED, Custody("npo", open=True))
    assert reopen(closed, by="npo") == Refused("not_agreed")
    assert reopen(closed, by="desk") == Moved(Step.REOPENED, DESK)
    assert reopen(DESK, by="npo") == Refused("still_open")


def test_where_there_was_violence_only_the_last_holder_reopens() -> None:
    closed = Custody("desk", open=False)
    assert reopen(closed, by="npo", agreed=True, hides=True) == Refused("hides_somebody")
    assert reopen(closed, by="desk", hides=True) == Moved(Step.REOPENED, DESK)


def test_an_accepted_referral_of_the_holder_moves_the_case() -> None:
    assert hand_over(DESK, sender="desk", receiver="npo") == Moved(Step.HANDED_OVER, Custody("npo", open=True))


def test_nobody_gives_what_another_holds() -> None:
    assert hand_over(DESK, sender="school", receiver="npo") == Refused("not_the_holder")
    assert hand_over(DESK, sender="school", receiver="desk") is None, "it holds the case already"


def test_a_case_that_its_sender_closed_meanwhile_goes_on_with_the_receiver() -> None:
    closed = Custody("desk", open=False)
    assert hand_over(closed, sender="desk", receiver="npo") == Moved(Step.REOPENED, Custody("npo", open=True))


# --- the proof ------------------------------------------------------------------------------------------------------

AGENCIES = ("desk", "npo", "school")
STEPS = st.lists(st.tuples(st.integers(0, 4), st.sampled_from(["close", "reopen", "hand"]), st.sampled_from(AGENCIES)))


def played(steps: list[tuple[int, str, str]]) -> list[Entry]:
    """A ledger made by the decisions themselves."""
    ledger = [Entry(UUID(int=case), 1, Step.OPENED, AGENCIES[case % 3], None, AT) for case in range(5)]
    now = {case: (Custody(AGENCIES[case % 3], open=True), 1) for case in range(5)}
    for case, what, agency in steps:
        custody, number = now[case]
        ended = None
        match what:
            case "close":
                moved: Any = close(custody, by=agency, ended=Outcome.GOAL_REACHED)
                ended = "goal_reached"
            case "reopen":
                moved = reopen(custody, by=agency, agreed=True)
            case _:
                moved = hand_over(custody, sender=custody.holder, receiver=agency)
        if isinstance(moved, Moved):
            now[case] = (moved.custody, number + 1)
            at = AT + timedelta(minutes=number)
            ledger.append(Entry(UUID(int=case), number + 1, moved.step, moved.custody.holder, ended, at))
    return ledger


@given(STEPS)
@settings(max_examples=300)
def test_every_case_is_held_or_closed_by_exactly_one_agency(steps: list[tuple[int, str, str]]) -> None:
    ledger = played(steps)
    standing = [case for agency in AGENCIES for case in standings(agency, ledger) if case.stands != "handed_on"]
    assert sorted(case.case_id for case in standing) == [UUID(int=case) for case in range(5)]


@given(STEPS)
@settings(max_examples=200)
def test_proofs_of_successive_days_hold(steps: list[tuple[int, str, str]]) -> None:
    for agency in AGENCIES:
        assert check(proofs(agency, steps)) == []


def proofs(agency: str, steps: list[tuple[int, str, str]]) -> list[dict[str, Any]]:
    before, made = first_link(agency), []
    for day, end in enumerate((0, len(steps) // 2, len(steps))):
        proof = Proof(agency, date(2026, 11, 1) + timedelta(days=day), before, standings(agency, played(steps[:end])))
        made.append(document(proof))
        before = made[-1]["digest"]
    return made


STORY = [(0, "hand", "npo"), (1, "close", "npo"), (3, "close", "desk"), (3, "reopen", "school"), (0, "close", "npo")]


def test_the_proof_says_where_everybody_is() -> None:
    (_, _, last) = proofs("desk", STORY)
    assert last["counts"] == {"came": 2, "held": 0, "closed": 0, "handed_on": 2}
    (_, _, npo) = proofs("npo", STORY)
    assert npo["counts"] == {"came": 3, "held": 1, "closed": 2, "handed_on": 0}


@pytest.mark.parametrize(
    ("meddling", "finding"),
    [
        (lambda made: made[2]["cases"].pop(), "changed after"),
        (lambda made: made[1]["counts"].update(held=9), "changed after"),
        (lambda made: made.pop(1), "does not follow"),
        (lambda made: made.reverse(), "does not follow"),
        (lambda made: made[2].update(before=made[0]["digest"], digest=""), "changed after"),
    ],
)
def test_a_bent_proof_is_found(meddling: Any, finding: str) -> None:
    made = proofs("npo", STORY)
    meddling(made)
    assert any(finding in each for each in check(made))
    assert all(re.match(r".*[ぁ-ん].* / [^ぁ-ん]+$", each) for each in check(made))


def test_a_case_that_disappears_is_found_even_if_the_proof_is_made_anew() -> None:
    made = proofs("npo", STORY)
    made[2]["cases"].pop(0)
    made[2]["counts"]["came"] -= 1
    made[2]["counts"]["closed"] -= 1
    made[2]["digest"] = digest(made[2])
    assert any("has disappeared" in each for each in check(made))


def test_a_case_closed_without_a_reason_is_found_even_if_the_proof_is_made_anew() -> None:
    made = proofs("npo", STORY)
    made[2]["cases"][0]["ended"] = None
    made[2]["digest"] = digest(made[2])
    assert any("without an outcome" in each for each in check(made))


def test_five_hundred_random_changes_of_a_proof_are_all_found() -> None:
    chance = random.Random(500)
    found = 0
    for _ in range(500):
        made = copy.deepcopy(proofs("npo", STORY))
        proof = chance.choice(made)
        case = chance.choice(proof["cases"]) if proof["cases"] and chance.random() < 0.7 else proof
        name = chance.choice([name for name in case if name != "cases"])
        case[name] = 7 if isinstance(case[name], dict) else f"{case[name]}x"
        found += bool(check(made))
    assert found == 500
