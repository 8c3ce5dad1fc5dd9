"""The second book of who answers for each referral: told from the events alone, it is the same as the first."""

import copy
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.intake.domain.custody import Proof, check, digest, document, first_link
from services.intake.domain.responsibility import Entry, Heard, follow, standings, waits_for
from services.intake.handlers.responsibility import _heard, _sent
from services.referral.domain import clocks
from services.referral.domain.moves import CHANGE_COURSE, IN_FLIGHT, Moved, Referral, Said, advance, legal_moves
from services.referral.domain.states import Kind, Party, State, Verb
from services.referral.handlers.telling import keeping_holder, moving, sending, taking_over
from shared.events import Event, ReferralSent
from tests.unit.test_referral_moves import ELSEWHERE, SAID, TO_COURSE, TO_PROGRAMME

AT = datetime(2026, 11, 1, 3, tzinfo=UTC)
STEPS = st.lists(st.integers(0, 29), max_size=12)
"""Which of the moves that are legal then."""
BY_COORDINATOR = replace(TO_PROGRAMME, sender="city", responsible_agency="city")
COURSE_BY_COORDINATOR = replace(TO_COURSE, sender="city", responsible_agency="city")
STARTS = st.tuples(
    st.sampled_from([TO_PROGRAMME, TO_COURSE, BY_COORDINATOR, COURSE_BY_COORDINATOR]), st.sampled_from(Verb)
)
AGENCIES = ("desk", "npo", "school", "city", "other-school", "other-city")


def story(start: Referral, verb: Verb, steps: Sequence[int | str]) -> tuple[Referral, list[Event]]:
    """A referral as its own service leads it, by the legal moves of these numbers or names, and what it tells."""
    referral = replace(start, verb=verb if start.course_run_id is None else Verb.TRANSFER)
    told: list[Event] = [*sending(referral, hold_until=None, task_id=None)]
    for step in steps:
        # What rerouting tells is told by its handler.
        legal = [move for move in legal_moves(referral) if move.name != "reroute" and step in (move.name, *range(30))]
        if not legal:
            break
        chosen = legal[step % len(legal)] if isinstance(step, int) else next(m for m in legal if m.name == step)
        said = {"decline": Said(reason="no_capacity"), CHANGE_COURSE: ELSEWHERE}.get(chosen.name, SAID)
        moved = advance(referral, chosen.name, chosen.by, said)
        assert isinstance(moved, Moved)
        event = moving(referral, moved, outcome=said.outcome, outcomes=1)
        if moved.move.becomes is not None:
            event = keeping_holder(moved.referral, "another")
        told += [] if event is None else [event]
        if moved.move.to is Party.COORDINATOR:
            told.append(taking_over(referral, moved.referral, moved.move))
        referral = moved.referral
    return referral, told


def kept(told: Sequence[Event], first_at: datetime = AT) -> list[Entry]:
    """What the second book makes of it, one entry a minute."""
    entries: list[Entry] = []
    for minute, event in enumerate(told):
        at = first_at + timedelta(minutes=minute)
        if isinstance(event, ReferralSent):
            entries.append(_sent(event, at))
        elif (heard := _heard(event, at)) is not None:
            entries.append(follow(entries[-1], heard))
    return entries


@given(STARTS, STEPS)
@example((TO_PROGRAMME, Verb.TRANSFER), ["decline", "confirm_decline"])
@example((TO_PROGRAMME, Verb.REQUEST), ["decline", "confirm_decline"])
@example((TO_PROGRAMME, Verb.REQUEST), ["expire"])
@example((TO_PROGRAMME, Verb.TRANSFER), ["keep_holder", "accept", "start", "take_over"])
@example((TO_PROGRAMME, Verb.TRANSFER), ["accept", "keep_holder", "close"])
@example((TO_PROGRAMME, Verb.REQUEST), ["accept", "start", "take_over", "keep_holder"])
@example((TO_PROGRAMME, Verb.REFER), ["accept", "start", "take_over", "set_outcome", "close", "add_outcome"])
@example((TO_PROGRAMME, Verb.TRANSFER), ["accept", "expire", "keep_holder"])
@example((TO_COURSE, Verb.TRANSFER), ["hold_seat", "keep_holder", "change_course", "enrol", "take_over"])
@example((TO_COURSE, Verb.TRANSFER), ["enrol", "keep_holder", "change_course"])
@example((BY_COORDINATOR, Verb.REFER), ["accept", "start"])
@example((BY_COORDINATOR, Verb.REFER), ["accept", "start", "take_over", "hold"])
def test_both_books_name_the_same_agency_and_the_same_state(start: tuple[Referral, Verb], steps: list[int]) -> None:
    referral, told = story(*start, steps)
    entries = kept(told)
    last = entries[-1]
    assert (last.state, last.holder) == (referral.state.value, referral.responsible_agency)
    assert last.verb == referral.verb
    assert [entry.number for entry in entries] == list(range(1, len(entries) + 1))
    assert (last.ended is not None) == (referral.state in {*_ENDED})
    running = clocks.waits_for(referral)
    # What is over waits in referral's own list, for the next place; seats run by training's clock.
    by_seats = referral.kind is Kind.COURSE_RUN and referral.state in IN_FLIGHT
    if running is not None and last.ended is None and not by_seats:
        assert waits_for(last) == referral.agency(running[1])


_ENDED = (State.CLOSED, State.DECLINED, State.WITHDRAWN, State.EXPIRED, State.REROUTED)


@given(st.lists(st.tuples(STARTS, STEPS), min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_in_whatever_order_news_come_each_referral_is_held_by_one_and_the_proofs_agree(
    stories: list[tuple[tuple[Referral, Verb], list[int]]], luck: random.Random
) -> None:
    """News of one referral come in their order; those of others come between them in any."""
    found = [
        story(replace(start, id=UUID(int=100 + number)), verb, steps)
        for number, ((start, verb), steps) in enumerate(stories)
    ]
    entries = [entry for _, told in found for entry in kept(told, AT + timedelta(hours=luck.randint(0, 9)))]
    luck.shuffle(entries)
    lines = {agency: standings(agency, entries) for agency in AGENCIES}
    holders: dict[UUID, list[str]] = {}
    for agency, standing in lines.items():
        for line in standing:
            if line.stands != "handed_on":
                holders.setdefault(line.referral_id, []).append(agency)
            else:
                assert line.to != agency
    assert holders == {referral.id: [referral.responsible_agency] for referral, _ in found}
    ever = {(entry.referral_id, entry.holder) for entry in entries}
    assert ever == {(line.referral_id, agency) for agency, standing in lines.items() for line in standing}
    for agency, standing in lines.items():
        assert check([document(Proof(agency, date(2026, 11, 1), first_link(agency), (), standing))]) == []


# --- proofs that don't hold ------------------------------------------------------------------------------------------


def proofs() -> list[dict[str, Any]]:
    """Two days of the desk: one of before this part was there, and one with a referral of each kind."""
    held, passed, over = (
        kept(story(replace(TO_PROGRAMME, id=UUID(int=number)), Verb.TRANSFER, steps)[1])
        for number, steps in enumerate(
            ([], ["accept"], ["withdraw"]),
            start=1,
        )
    )
    old = document(Proof("desk", date(2026, 10, 31), first_link("desk"), ()))
    for name in ("referrals", "referral_counts", "digest"):
        del old[name]
    old["digest"] = digest(old)
    days = [old]
    for day in (1, 2):
        made = Proof("desk", date(2026, 11, day), days[-1]["digest"], (), standings("desk", held + passed + over))
        days.append(document(made))
    return days


def test_an_old_proof_still_holds_and_a_new_one_follows_on_it() -> None:
    *_, last = proofs()
    assert check(proofs()) == []
    assert last["referral_counts"] == {"came": 3, "held": 1, "ended": 1, "handed_on": 1}
    assert [
        (line["stands"], line["state"], line["waits_for"], line["to"], line["ended"]) for line in last["referrals"]
    ] == [
        ("held", "sent", "npo", None, None),
        ("handed_on", "accepted", None, "npo", None),
        ("ended", "withdrawn", None, None, "other"),
    ]


def _drop(plain: dict[str, Any]) -> None:
    del plain["referrals"], plain["referral_counts"]


@pytest.mark.parametrize(
    ("meddling", "finding"),
    [
        (_drop, "part about referrals"),
        (lambda plain: plain["referrals"].pop(), "disappeared"),
        (lambda plain: plain["referrals"].append(plain["referrals"][0]), "twice"),
        (lambda plain: plain["referrals"][2].update(ended=None), "without a code"),
        (lambda plain: plain["referrals"][1].update(to=None), "nobody took"),
        (lambda plain: plain["referrals"][0].update(state=""), "stands nowhere"),
        (lambda plain: plain["referral_counts"].update(came=9), "counts of referrals"),
        (lambda plain: plain["referrals"][0].update(stands="lost"), "can't be read"),
    ],
)
def test_a_bent_list_of_referrals_is_found_even_if_the_proof_is_made_anew(meddling: Any, finding: str) -> None:
    *before, last = proofs()
    bent = copy.deepcopy(last)
    meddling(bent)
    assert check([*before, bent]) != []
    bent["digest"] = digest(bent)
    assert any(finding in each for each in check([*before, bent])), check([*before, bent])


def test_what_was_only_referred_stays_with_its_sender_and_silence_leads_to_the_coordinator() -> None:
    (sent,) = kept(story(TO_PROGRAMME, Verb.REFER, [])[1])
    accepted = follow(sent, Heard("accepted", AT))
    assert accepted.holder == "desk"
    taken = follow(accepted, Heard("taken_over", AT, coordinator="city", ends=False))
    assert (taken.holder, taken.state, taken.ended) == ("city", "accepted", None)
