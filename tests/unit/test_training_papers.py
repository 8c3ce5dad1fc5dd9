"""Papers as a numbered series: which may be issued, changed or cancelled next, and what is left of the status."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.training.domain import papers, steps
from services.training.domain.instruction import Issuer, Kind, NotYours
from services.training.domain.outcomes import Unfit
from services.training.domain.papers import Cancelled, Issued, Series
from services.training.domain.steps import Authority, Illegal, Move, Moved, SeatRequest, State

NOW = datetime(2026, 9, 1, 3, 0, tzinfo=UTC)
TODAY, STARTS = date(2026, 9, 1), date(2026, 10, 1)
OFFICE = frozenset({Issuer.HELLO_WORK})
SUPPORT = Issued(UUID(int=7), 1, Kind.SUPPORT_INSTRUCTION, cancelled=False)


def request(state: State) -> SeatRequest:
    ends = None if state in {State.INSTRUCTED, State.ENROLLED, State.RELEASED} else NOW + timedelta(days=1)
    ids = [UUID(int=number) for number in range(1, 5)]
    return SeatRequest(ids[0], ids[1], ids[2], ids[3], "462012", None, state, ends, 1)


def issue(
    state: State, kind: Kind, series: Series, *, changes: UUID | None = None, mode: Authority = Authority.CURRENT_LAW
) -> object:
    return papers.issue(request(state), kind, series=series, changes=changes, authority=mode, as_=OFFICE, now=NOW)


def test_beside_a_paper_that_stands_none_is_issued() -> None:
    for kind in Kind:
        assert issue(State.INSTRUCTED, kind, Series(SUPPORT)) == Illegal((Move.ENROL, Move.RELEASE))
        assert issue(State.ENROLLED, kind, Series(SUPPORT)) == Illegal(())


@pytest.mark.parametrize("state", [State.INSTRUCTED, State.ENROLLED])
@pytest.mark.parametrize("mode", Authority)
def test_a_support_instruction_that_stands_is_changed_by_another_in_both_modes(state: State, mode: Authority) -> None:
    found = issue(state, Kind.SUPPORT_INSTRUCTION, Series(SUPPORT), changes=SUPPORT.id, mode=mode)
    assert found == Moved(state)


@pytest.mark.parametrize(
    ("kind", "series", "changes", "state"),
    [
        (Kind.RECOMMENDATION, Series(SUPPORT), SUPPORT.id, State.INSTRUCTED),
        (Kind.SUPPORT_INSTRUCTION, Series(SUPPORT), UUID(int=8), State.INSTRUCTED),
        (Kind.SUPPORT_INSTRUCTION, Series(replace(SUPPORT, cancelled=True)), SUPPORT.id, State.ENROLLED),
        (Kind.SUPPORT_INSTRUCTION, Series(SUPPORT, ended=True), SUPPORT.id, State.ENROLLED),
        (Kind.SUPPORT_INSTRUCTION, Series(replace(SUPPORT, kind=Kind.RECOMMENDATION)), SUPPORT.id, State.INSTRUCTED),
        (Kind.SUPPORT_INSTRUCTION, Series(), SUPPORT.id, State.COUNTERSIGNED),
        (Kind.SUPPORT_INSTRUCTION, Series(SUPPORT), SUPPORT.id, State.RELEASED),
    ],
)
def test_nothing_else_is_changed(kind: Kind, series: Series, changes: UUID, state: State) -> None:
    assert issue(state, kind, series, changes=changes) == Unfit("nothing_to_change", "changes")


def test_after_a_cancellation_another_paper_follows_also_for_who_is_enrolled() -> None:
    gone = Series(replace(SUPPORT, cancelled=True))
    assert issue(State.COUNTERSIGNED, Kind.RECOMMENDATION, gone) == Moved(State.INSTRUCTED)
    assert issue(State.ENROLLED, Kind.RECOMMENDATION, gone) == Moved(State.ENROLLED)
    assert issue(State.ENROLLED, Kind.RECOMMENDATION, replace(gone, ended=True)) == Illegal(())
    assert papers.legal_moves(State.ENROLLED, Authority.CURRENT_LAW, gone) == (Move.INSTRUCT,)
    assert papers.legal_moves(State.ENROLLED, Authority.CURRENT_LAW, Series(SUPPORT)) == ()


def cancel(state: State, last: Issued | None, *, countersigned: bool = True, today: date = TODAY) -> Cancelled | Unfit:
    return papers.cancel(request(state), last, countersigned=countersigned, starts_on=STARTS, today=today)


def test_cancelled_the_request_waits_for_the_next_paper_where_it_stood_before() -> None:
    assert cancel(State.INSTRUCTED, SUPPORT) == Cancelled(SUPPORT.id, State.COUNTERSIGNED, STARTS)
    assert cancel(State.INSTRUCTED, SUPPORT, countersigned=False) == Cancelled(SUPPORT.id, State.NOMINATED, STARTS)
    late = STARTS + timedelta(days=3)
    assert cancel(State.INSTRUCTED, SUPPORT, today=late) == Cancelled(SUPPORT.id, State.COUNTERSIGNED, late)
    for state in (State.ENROLLED, State.RELEASED):
        assert cancel(state, SUPPORT) == Cancelled(SUPPORT.id, state, None)


@pytest.mark.parametrize("last", [None, replace(SUPPORT, cancelled=True), replace(SUPPORT, kind=Kind.INSTRUCTION)])
def test_only_a_support_instruction_that_stands_is_cancelled(last: Issued | None) -> None:
    assert cancel(State.INSTRUCTED, last) == Unfit("nothing_to_cancel", "")


# --- modes that change with cases and papers under way ----------------------------------------------------------------

histories = st.lists(
    st.one_of(
        st.sampled_from(Authority),
        st.sampled_from(["countersign", "enrol", "cancel"]),
        st.tuples(st.sampled_from(Kind), st.sampled_from(Issuer), st.booleans()),
    ),
    max_size=30,
)


@given(histories)
def test_one_paper_stands_at_most_whoever_has_the_power_meanwhile(
    history: list[Authority | str | tuple[Kind, Issuer, bool]],
) -> None:
    mode, state, signed = Authority.CURRENT_LAW, State.NOMINATED, False
    stack: list[tuple[Issued, str]] = []
    for said in history:
        last = stack[-1][0] if stack else None
        standing = [each for each, fate in stack if fate == "stands"]
        assert len(standing) <= 1
        assert (state is State.INSTRUCTED) <= bool(standing), "who is instructed has a paper"
        at = replace(request(state), expires_at=None)
        if isinstance(said, Authority):
            mode = said
        elif said == "cancel":
            outcome = cancel(state, last, countersigned=signed)
            assert isinstance(outcome, Cancelled) == (bool(standing) and standing[0].kind is Kind.SUPPORT_INSTRUCTION)
            if isinstance(outcome, Cancelled) and last is not None:
                state, stack[-1] = outcome.state, (replace(last, cancelled=True), "cancelled")
        elif isinstance(said, str):
            moved = steps.take_step(at, Move(said), authority=mode, now=NOW)
            if isinstance(moved, Moved):
                state, signed = moved.state, signed or said == "countersign"
        else:
            kind, by, changing = said
            changes = last.id if changing and last is not None else None
            found = papers.issue(at, kind, series=Series(last), changes=changes, authority=mode, as_={by}, now=NOW)
            delegated = kind is Kind.INSTRUCTION and mode is Authority.DELEGATED
            entitled = by is (Issuer.PLACEMENT if delegated else Issuer.HELLO_WORK)
            assert isinstance(found, NotYours) == (not entitled)
            if isinstance(found, Moved):
                if changes is None:
                    assert not standing, "another stands"
                else:
                    assert [each.kind for each in standing] == [kind] == [Kind.SUPPORT_INSTRUCTION]
                    stack[-1] = (stack[-1][0], "changed")
                number = len(stack) + 1
                stack.append((Issued(UUID(int=100 + number), number, kind, cancelled=False), "stands"))
                state = found.state
