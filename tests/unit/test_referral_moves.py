"""The table of moves: what is legal, who is responsible, and what consent has to cover."""

from dataclasses import replace
from datetime import UTC, date, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.referral.domain.moves import (
    MOVES,
    OPEN,
    Move,
    Moved,
    NotMoved,
    Party,
    Progress,
    Referral,
    State,
    advance,
    legal_moves,
)

TO_PROGRAMME = Referral(
    id=UUID(int=1),
    case_id=UUID(int=2),
    municipality="462012",
    sender="desk",
    receiver="npo",
    programme_id=UUID(int=3),
    course_run_id=None,
    seat_request_id=None,
    state=State.SENT,
    progress=None,
    reason=None,
    sent_at=datetime(2026, 4, 1, tzinfo=UTC),
    version=1,
)
TO_COURSE = replace(TO_PROGRAMME, programme_id=None, course_run_id=UUID(int=4), receiver="school")
TODAY = date(2026, 4, 1)

LEGAL = {
    ("programme", "sent"): {"receive", "accept", "decline", "withdraw", "end_consent"},
    ("programme", "received"): {"accept", "decline", "withdraw", "end_consent"},
    ("course_run", "sent"): {
        *("withdraw", "end_consent", "wait_for_seat", "hold_seat", "nominate", "countersign", "instruct", "enrol"),
        *("refuse_seat", "release_seat"),
    },
}
LEGAL["course_run", "received"] = LEGAL["course_run", "sent"]


@pytest.mark.parametrize("referral", [TO_PROGRAMME, TO_COURSE], ids=["programme", "course_run"])
@pytest.mark.parametrize("state", State)
def test_only_an_open_referral_can_be_moved(referral: Referral, state: State) -> None:
    standing = replace(referral, state=state)

    assert {move.name for move in legal_moves(standing)} == LEGAL.get((referral.kind.value, state.value), set())


def test_the_table_names_every_move_once() -> None:
    names = [move.name for move in MOVES]

    assert len(names) == len(set(names))


def test_nothing_leads_out_of_an_answered_referral() -> None:
    assert all(move.sources <= OPEN for move in MOVES)


@pytest.mark.parametrize(
    ("party", "names"),
    [
        (Party.SENDER, {"withdraw"}),
        (Party.RECEIVER, {"receive", "accept", "decline"}),
        (Party.PERSON, {"end_consent"}),
        (Party.TRAINING, set()),
    ],
)
def test_each_party_has_its_own_moves(party: Party, names: set[str]) -> None:
    assert {move.name for move in legal_moves(TO_PROGRAMME, {party})} == names


def test_a_provider_cannot_accept_by_hand_what_its_seats_have_not_shown() -> None:
    assert advance(TO_COURSE, "accept", {Party.RECEIVER}) == NotMoved(())


def test_a_move_that_is_not_legal_names_those_that_are() -> None:
    outcome = advance(replace(TO_PROGRAMME, state=State.RECEIVED), "receive", {Party.RECEIVER})

    assert isinstance(outcome, NotMoved)
    assert [move.name for move in outcome.legal] == ["accept", "decline"]


def test_an_agency_that_refers_within_its_own_house_has_both_parts() -> None:
    inside = replace(TO_PROGRAMME, receiver="desk")

    assert inside.parties("desk") == {Party.SENDER, Party.RECEIVER}


@given(st.sampled_from([TO_PROGRAMME, TO_COURSE]), st.lists(st.sampled_from(MOVES), max_size=12))
def test_the_sender_is_responsible_until_somebody_accepts(start: Referral, moves: list[Move]) -> None:
    referral = start
    for move in moves:
        outcome = advance(referral, move.name, {move.by}, reason="other")
        if isinstance(outcome, Moved):
            assert outcome.referral.version == referral.version + 1
            referral = outcome.referral
        expected = referral.receiver if referral.state is State.ACCEPTED else referral.sender
        assert referral.responsible_agency == expected


@given(st.lists(st.sampled_from([move for move in MOVES if move.by is Party.TRAINING]), max_size=12))
def test_a_seat_never_goes_back_to_an_earlier_stage(moves: list[Move]) -> None:
    order = list(Progress)
    referral, reached = TO_COURSE, -1
    for move in moves:
        outcome = advance(referral, move.name, {Party.TRAINING}, reason="full")
        if isinstance(outcome, Moved):
            referral = outcome.referral
            assert referral.progress is not None
            assert order.index(referral.progress) > reached
            reached = order.index(referral.progress)
