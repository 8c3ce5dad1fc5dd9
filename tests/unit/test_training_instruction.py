"""Which paper, by which body, in whose name; and authority modes that change with cases under way."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.training.domain import instruction, papers, steps
from services.training.domain.instruction import (
    LAWS,
    Act,
    AnothersName,
    Basis,
    Benefit,
    Issuer,
    Kind,
    NotRegistered,
    NotYours,
    Registration,
    Signature,
)
from services.training.domain.steps import Authority, Illegal, Move, Moved, SeatRequest, State, TooLate

NOW = datetime(2026, 9, 1, 3, 0, tzinfo=UTC)
TODAY = date(2026, 9, 1)
CITY, OFFICE = "8000020130001", "6000012070001"


def request(state: State) -> SeatRequest:
    ends = None if state in {State.INSTRUCTED, State.ENROLLED, State.RELEASED} else NOW + timedelta(days=1)
    ids = [UUID(int=number) for number in range(1, 5)]
    return SeatRequest(ids[0], ids[1], ids[2], ids[3], "462012", None, state, ends, 1)


def registered(**changes: object) -> Registration:
    made = Registration(UUID(int=9), "placement", Basis.FREE_PLACEMENT, CITY, "46-1", date(2026, 4, 1), None)
    return replace(made, **changes)  # type: ignore[arg-type]


# --- which paper, by whom -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "authority", "issuer"),
    [
        (Kind.INSTRUCTION, Authority.CURRENT_LAW, Issuer.HELLO_WORK),
        (Kind.INSTRUCTION, Authority.DELEGATED, Issuer.PLACEMENT),
        (Kind.SUPPORT_INSTRUCTION, Authority.CURRENT_LAW, Issuer.HELLO_WORK),
        (Kind.SUPPORT_INSTRUCTION, Authority.DELEGATED, Issuer.HELLO_WORK),
        (Kind.RECOMMENDATION, Authority.CURRENT_LAW, Issuer.HELLO_WORK),
        (Kind.RECOMMENDATION, Authority.DELEGATED, Issuer.HELLO_WORK),
    ],
)
def test_only_the_instruction_is_ever_delegated(kind: Kind, authority: Authority, issuer: Issuer) -> None:
    assert instruction.issuer_of(kind, authority) is issuer
    other = next(each for each in Issuer if each is not issuer)
    at = request(State.COUNTERSIGNED)
    assert papers.issue(at, kind, authority=authority, as_={issuer}, now=NOW) == Moved(State.INSTRUCTED)
    assert papers.issue(at, kind, authority=authority, as_={other}, now=NOW) == NotYours(authority, issuer)


def test_each_paper_has_its_own_effect_and_only_the_support_instruction_is_cancelled() -> None:
    assert {kind: law.benefit for kind, law in LAWS.items()} == {
        Kind.INSTRUCTION: Benefit.EMPLOYMENT_INSURANCE,
        Kind.SUPPORT_INSTRUCTION: Benefit.TRAINING_ALLOWANCE,
        Kind.RECOMMENDATION: Benefit.NONE,
    }
    assert [kind for kind, law in LAWS.items() if law.may_be_cancelled] == [Kind.SUPPORT_INSTRUCTION]


# --- in whose name --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("registration", "signature", "found"),
    [
        (registered(), Signature(CITY, "46-1"), True),
        (registered(), Signature(), True),
        (registered(), Signature(OFFICE, "46-1"), AnothersName()),
        (registered(), Signature(CITY, "46-2"), AnothersName()),
        (registered(valid_from=date(2026, 9, 2)), Signature(CITY, "46-1"), NotRegistered()),
        (registered(valid_from=TODAY), Signature(CITY, "46-1"), True),
        (registered(valid_until=TODAY), Signature(CITY, "46-1"), True),
        (registered(valid_until=date(2026, 8, 31)), Signature(CITY, "46-1"), NotRegistered()),
        (registered(basis=Basis.EMPLOYMENT_OFFICE), Signature(CITY, "46-1"), NotRegistered()),
        (registered(basis=Basis.PERMITTED_PLACEMENT), Signature(CITY, "46-1"), True),
    ],
)
def test_an_act_needs_a_registration_of_that_day(
    registration: Registration, signature: Signature, found: object
) -> None:
    signed = instruction.sign([registration], signature, Act.NOMINATE, day=TODAY)
    assert signed == (registration if found is True else found)


def test_a_permitted_placement_nominates_and_never_instructs() -> None:
    permitted = [registered(basis=Basis.PERMITTED_PLACEMENT)]
    signature = Signature(CITY, "46-1")
    assert instruction.sign(permitted, signature, Act.INSTRUCT_DELEGATED, day=TODAY) == NotRegistered()


def test_of_two_that_fit_the_newer_counts() -> None:
    both = [registered(), registered(id=UUID(int=10), valid_from=date(2026, 8, 1))]
    assert instruction.sign(both, Signature(CITY), Act.NOMINATE, day=TODAY) == both[1]


# --- modes that change with cases under way -------------------------------------------------------------------------

ACTS = [Move.NOMINATE, Move.COUNTERSIGN, Move.INSTRUCT, Move.ENROL, Move.RELEASE]
history = st.lists(
    st.one_of(
        st.sampled_from(Authority),
        st.tuples(st.sampled_from(ACTS), st.sampled_from(Kind), st.sampled_from(Issuer)),
    ),
    max_size=25,
)


def expected(done: list[Move], act: Move, kind: Kind, by: Issuer, mode: Authority) -> bool:
    """In words of the law: what was done counts as done, whatever mode it was done in; the rest asks today's mode."""
    if Move.RELEASE in done or Move.ENROL in done or act in done:
        return False
    countersigned_or_needs_none = Move.COUNTERSIGN in done or mode is Authority.DELEGATED
    entitled = by is (
        Issuer.PLACEMENT if (mode is Authority.DELEGATED and kind is Kind.INSTRUCTION) else Issuer.HELLO_WORK
    )
    return {
        Move.NOMINATE: True,
        Move.COUNTERSIGN: Move.NOMINATE in done and Move.INSTRUCT not in done and mode is Authority.CURRENT_LAW,
        Move.INSTRUCT: Move.NOMINATE in done and countersigned_or_needs_none and entitled,
        Move.ENROL: Move.INSTRUCT in done,
        Move.RELEASE: True,
    }[act]


@given(history)
def test_what_was_done_stays_valid_and_each_next_act_asks_the_mode_in_force(
    changes: list[Authority | tuple[Move, Kind, Issuer]],
) -> None:
    mode, state, done = Authority.CURRENT_LAW, State.HELD, list[Move]()
    for change in changes:
        if isinstance(change, Authority):
            before = state
            mode = change
            assert state is before
            continue
        act, kind, by = change
        at = request(state)
        if act is Move.INSTRUCT:
            outcome = papers.issue(at, kind, authority=mode, as_={by}, now=NOW)
        else:
            outcome = steps.take_step(at, act, authority=mode, now=NOW)
        assert isinstance(outcome, Moved) == expected(done, act, kind, by, mode), (done, act, kind, by, mode)
        assert isinstance(outcome, Moved | Illegal | NotYours)
        if isinstance(outcome, Moved):
            state = outcome.state
            done.append(act)


def test_an_instruction_comes_too_late_for_a_hold_that_ran_out() -> None:
    late = NOW + timedelta(days=2)
    at = request(State.COUNTERSIGNED)
    found = papers.issue(at, Kind.INSTRUCTION, authority=Authority.CURRENT_LAW, as_={Issuer.HELLO_WORK}, now=late)
    assert found == TooLate()
