"""The sub-committee's rules as plain values: quorum, majority, what is in force, and what contradicts what."""

import ast
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.training.api.deliberation_words import _CANT
from services.training.domain import decisions, deliberation, motions
from services.training.domain.decisions import Allotment, Decision, Selector, state_at
from services.training.domain.deliberation import (
    Choice,
    Meeting,
    MeetingKind,
    Outcome,
    Place,
    Rules,
    Seat,
    Share,
    Step,
    Tally,
    call_roll,
    conclude_vote,
    count,
    outcome,
)
from services.training.domain.motions import About, Motion, MotionState, Move, Purpose, legal_moves
from services.training.domain.refusals import Denied, NotNow

NOON = datetime(2026, 9, 1, 3, 0, tzinfo=UTC)
SECOND, DAY = timedelta(seconds=1), timedelta(days=1)
TODAY = date(2026, 9, 1)
MORE_THAN_HALF, TWO_THIRDS, ALL = Share(1, 2, True), Share(2, 3, False), Share(1, 1, False)
RULES = Rules(MORE_THAN_HALF, MORE_THAN_HALF, chair_breaks_ties=False, ratify_within=5)
KAGOSHIMA, KIRISHIMA = "462012", "462187"


# --- quorum and majority --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("share", "total", "least"),
    [
        (MORE_THAN_HALF, 1, 1),
        (MORE_THAN_HALF, 2, 2),
        (MORE_THAN_HALF, 9, 5),
        (MORE_THAN_HALF, 10, 6),
        (Share(1, 2, False), 10, 5),
        (TWO_THIRDS, 9, 6),
        (TWO_THIRDS, 10, 7),
        (ALL, 4, 4),
    ],
)
def test_a_share_is_reached_by_this_many_and_by_no_fewer(share: Share, total: int, least: int) -> None:
    assert [share.is_reached(count_, total) for count_ in (least - 1, least, total)] == [False, True, True]


@given(st.integers(0, 60), st.integers(0, 60), st.integers(1, 20), st.integers(1, 20), st.booleans())
def test_shares_are_reckoned_exactly(count_: int, total: int, parts: int, of: int, more_than: bool) -> None:
    reached = Share(parts, of, more_than).is_reached(count_, total)
    whole = Fraction(parts, of) * total
    assert reached == (total > 0 and (count_ > whole if more_than else count_ >= whole))


def roll(voting: int, present: int, *, advisers: int = 0) -> list[Place]:
    """The first one presides."""
    places = [Place(UUID(int=n), f"body-{n}", True, n == 0, n < present) for n in range(voting)]
    return places + [Place(UUID(int=100 + n), f"adviser-{n}", False, False, True) for n in range(advisers)]


def choices(words: str) -> dict[UUID, Choice]:
    """`+-0`: for, against, abstain, in the order of the roll; a blank has not answered."""
    meaning = {"+": Choice.FOR, "-": Choice.AGAINST, "0": Choice.ABSTAIN}
    return {UUID(int=n): meaning[word] for n, word in enumerate(words) if word in meaning}


@pytest.mark.parametrize(
    ("kind", "voting", "present", "votes", "rules", "expected"),
    [
        (MeetingKind.MEETING, 10, 5, "+++++", RULES, Outcome.NO_QUORUM),
        (MeetingKind.MEETING, 10, 6, "++++--", RULES, Outcome.PASSED),
        (MeetingKind.MEETING, 10, 6, "+++---", RULES, Outcome.REJECTED),
        # To abstain is no consent: three of six are not more than half.
        (MeetingKind.MEETING, 10, 6, "+++000", RULES, Outcome.REJECTED),
        (MeetingKind.MEETING, 9, 9, "++++++---", replace(RULES, majority=TWO_THIRDS), Outcome.PASSED),
        (MeetingKind.MEETING, 9, 9, "+++++----", replace(RULES, majority=TWO_THIRDS), Outcome.REJECTED),
        # In writing nobody is in a room: silence counts like a refusal, and against the quorum.
        (MeetingKind.WRITTEN, 10, 0, "++++++", RULES, Outcome.PASSED),
        (MeetingKind.WRITTEN, 10, 0, "+++++0", RULES, Outcome.REJECTED),
        (MeetingKind.WRITTEN, 10, 0, "+++++", RULES, Outcome.NO_QUORUM),
        # The chair, first on the roll, breaks a tie where the rules say so.
        (MeetingKind.MEETING, 4, 4, "++--", RULES, Outcome.REJECTED),
        (MeetingKind.MEETING, 4, 4, "++--", replace(RULES, chair_breaks_ties=True), Outcome.PASSED),
        (MeetingKind.MEETING, 4, 4, "--++", replace(RULES, chair_breaks_ties=True), Outcome.REJECTED),
        (MeetingKind.MEETING, 6, 6, "+-0000", replace(RULES, chair_breaks_ties=True), Outcome.REJECTED),
        (MeetingKind.MEETING, 0, 0, "", RULES, Outcome.NO_QUORUM),
    ],
)
def test_what_a_vote_comes_to(
    kind: MeetingKind, voting: int, present: int, votes: str, rules: Rules, expected: Outcome
) -> None:
    assert outcome(count(kind, roll(voting, present), choices(votes)), rules) is expected


def test_advisers_are_part_of_nothing() -> None:
    with_advisers = count(MeetingKind.MEETING, roll(4, 3, advisers=5), choices("++-"))
    assert with_advisers == Tally(entitled=4, present=3, base=3, fors=2, againsts=1, abstentions=0, chair_is_for=True)


@given(st.integers(0, 12), st.integers(0, 12), st.text("+-0", max_size=12), st.booleans())
def test_nothing_passes_without_more_fors_than_againsts(voting: int, present: int, votes: str, tie: bool) -> None:
    rules = replace(RULES, chair_breaks_ties=tie)
    present = min(present, voting)
    tally = count(MeetingKind.MEETING, roll(voting, present), choices(votes[:present]))
    if outcome(tally, rules) is Outcome.PASSED:
        assert present * 2 > voting
        assert tally.fors > tally.againsts or (tie and tally.chair_is_for and tally.fors == tally.againsts)


HELD = Meeting(UUID(int=1), MeetingKind.MEETING, TODAY, None, frozenset({Step.CONVENED, Step.HELD}), agenda=1)
WRITTEN = Meeting(UUID(int=2), MeetingKind.WRITTEN, None, NOON, frozenset({Step.CONVENED}), agenda=1)


@pytest.mark.parametrize(
    ("meeting", "votes", "now", "expected"),
    [
        (HELD, "++ ", NOON, "votes_are_missing"),
        (HELD, "++ ", NOON + 9 * DAY, "votes_are_missing"),
        (HELD, "++-", NOON, Outcome.PASSED),
        (WRITTEN, "+++", NOON, "votes_are_missing"),
        (WRITTEN, "+++", NOON + SECOND, Outcome.PASSED),
        (WRITTEN, "++++", NOON - DAY, Outcome.PASSED),
    ],
)
def test_a_vote_is_concluded_once_all_have_answered_or_the_time_is_over(
    meeting: Meeting, votes: str, now: datetime, expected: str | Outcome
) -> None:
    concluded = conclude_vote(meeting, roll(4, 3), choices(votes), RULES, now=now)
    assert (concluded.reason if isinstance(concluded, Denied) else concluded[0]) == expected


@pytest.mark.parametrize(
    ("meeting", "place", "has_voted", "now", "reason"),
    [
        (HELD, Place(UUID(int=1), "body", True, False, True), False, NOON, None),
        (HELD, Place(UUID(int=1), "body", True, False, True), True, NOON, "already_voted"),
        (HELD, Place(UUID(int=1), "body", True, False, False), False, NOON, "was_not_there"),
        (HELD, Place(UUID(int=1), "body", False, False, True), False, NOON, "only_advises"),
        (HELD, None, False, NOON, "not_on_the_roll"),
        (WRITTEN, Place(UUID(int=1), "body", True, False, False), False, NOON, None),
        (WRITTEN, Place(UUID(int=1), "body", True, False, False), False, NOON + SECOND, "answers_by_passed"),
    ],
)
def test_who_may_vote(
    meeting: Meeting, place: Place | None, has_voted: bool, now: datetime, reason: str | None
) -> None:
    denied = deliberation.vote(meeting, place, has_voted=has_voted, now=now)
    assert (None if denied is None else denied.reason) == reason


# --- members and meetings -------------------------------------------------------------------------------------------


def seat(number: int, *, until: date | None = None, begins: date = date(2026, 4, 1), **more: bool) -> Seat:
    return Seat(UUID(int=number), f"body-{number}", "課長", True, more.get("presides", False), begins, until)


def test_the_first_and_the_last_day_of_a_membership_count() -> None:
    seats = [seat(1, until=TODAY), seat(2, begins=TODAY), seat(3, until=TODAY - DAY), seat(4, begins=TODAY + DAY)]
    called = call_roll(seats, TODAY, {UUID(int=2)})
    assert not isinstance(called, Denied)
    assert [(place.agency, place.present) for place in called] == [("body-1", False), ("body-2", True)]
    assert isinstance(call_roll(seats, TODAY, {UUID(int=3)}), Denied)


def test_one_chair_at_a_time_and_one_seat_for_an_office() -> None:
    chair = seat(1, until=TODAY, presides=True)
    assert deliberation.seat_member(seat(2, begins=TODAY + DAY, presides=True), [chair]) is None
    denied = deliberation.seat_member(seat(2, begins=TODAY, presides=True), [chair])
    assert denied == Denied("chair_already_there", "presides")
    assert deliberation.seat_member(replace(seat(9), agency="body-1"), [chair]) == Denied("already_a_member", "agency")


@pytest.mark.parametrize(
    ("steps", "kind", "ballots", "legal"),
    [
        (set(), MeetingKind.MEETING, 0, (Step.CONVENED, Step.CANCELLED)),
        ({Step.CONVENED}, MeetingKind.MEETING, 0, (Step.HELD, Step.CANCELLED)),
        ({Step.CONVENED, Step.HELD}, MeetingKind.MEETING, 0, (Step.CLOSED,)),
        ({Step.CONVENED}, MeetingKind.WRITTEN, 0, (Step.CLOSED, Step.CANCELLED)),
        ({Step.CONVENED}, MeetingKind.WRITTEN, 1, (Step.CLOSED,)),
        ({Step.CONVENED, Step.CLOSED}, MeetingKind.WRITTEN, 1, ()),
        ({Step.CANCELLED}, MeetingKind.MEETING, 0, ()),
    ],
)
def test_a_meeting_goes_one_way(steps: set[Step], kind: MeetingKind, ballots: int, legal: tuple[Step, ...]) -> None:
    meeting = Meeting(UUID(int=1), kind, TODAY, None, frozenset(steps), agenda=1, ballots=ballots)
    assert deliberation.legal_steps(meeting) == legal
    for step in set(Step) - set(legal):
        assert deliberation.take_step(meeting, step, now=NOON, today=TODAY) == NotNow(legal)


DECIDE, RATIFY = Purpose.DECIDE, Purpose.RATIFY


@pytest.mark.parametrize(
    ("changes", "state", "legal"),
    [
        ({}, MotionState.OPEN, {Move.AMEND, Move.PUT, Move.WITHDRAW, Move.DECIDE_URGENTLY}),
        ({"ballots": [(DECIDE, None)]}, MotionState.UNDER_VOTE, {Move.VOTE, Move.CONCLUDE, Move.WITHDRAW}),
        (
            {"ballots": [(DECIDE, Outcome.NO_QUORUM)]},
            MotionState.OPEN,
            {Move.AMEND, Move.PUT, Move.WITHDRAW, Move.DECIDE_URGENTLY},
        ),
        ({"ballots": [(DECIDE, Outcome.REJECTED)]}, MotionState.REJECTED, set()),
        ({"withdrawn": True}, MotionState.WITHDRAWN, set()),
        ({"decision_id": UUID(int=9), "ballots": [(DECIDE, Outcome.PASSED)]}, MotionState.DECIDED, set()),
        ({"decision_id": UUID(int=9), "urgent": True}, MotionState.DECIDED, {Move.PUT}),
        (
            {"decision_id": UUID(int=9), "urgent": True, "ballots": [(RATIFY, None)]},
            MotionState.DECIDED,
            {Move.VOTE, Move.CONCLUDE},
        ),
        # Its time ran out while it was voted on: the vote still has to be closed.
        ({"decision_id": UUID(int=9), "ballots": [(RATIFY, None)]}, MotionState.DECIDED, {Move.VOTE, Move.CONCLUDE}),
    ],
)
def test_what_can_be_done_with_a_motion(changes: dict[str, object], state: MotionState, legal: set[Move]) -> None:
    motion = replace(Motion(UUID(int=1), UUID(int=2), About.DELEGATED_QUOTA, 1), **changes)  # type: ignore[arg-type]
    assert (motion.state, set(legal_moves(motion))) == (state, legal)


# --- what is in force -----------------------------------------------------------------------------------------------

A, B, C = UUID(int=0xA), UUID(int=0xB), UUID(int=0xC)
WEB = Selector(fiscal_year=2026, field="web_design")


def decision(id_: UUID, *, begins: int = 0, to: str = KAGOSHIMA, **more: object) -> Decision:
    """In force from so many days after noon."""
    made = Decision(
        id_, "delegated_quota", str(id_)[-1], NOON + begins * DAY, allotments=(Allotment(frozenset({to}), WEB),)
    )
    return replace(made, **more)  # type: ignore[arg-type]


def states(*book: Decision, at: datetime) -> list[str]:
    found = {each.id: each for each in book}
    return [state_at(found, each.id, at).value for each in book]


LIMIT = NOON + 5 * DAY


@pytest.mark.parametrize(
    ("made", "before", "at", "after"),
    [
        (decision(A, begins=1), "not_yet_in_force", NOON + DAY, "in_force"),
        (decision(A, ends_at=NOON + DAY), "in_force", NOON + DAY, "ended"),
        (decision(A, ratify_before=LIMIT), "in_force", LIMIT, "lapsed"),
        (decision(A, ratify_before=LIMIT, ratified_at=LIMIT - SECOND), "in_force", LIMIT, "in_force"),
        (decision(A, ratify_before=LIMIT, ratified_at=LIMIT), "in_force", LIMIT, "lapsed"),
        (decision(A, ratify_before=LIMIT, refused_at=LIMIT - DAY), "in_force", LIMIT - DAY, "lapsed"),
        (decision(A, ratify_before=LIMIT, ends_at=LIMIT - DAY), "in_force", LIMIT - DAY, "ended"),
    ],
)
def test_where_a_decision_stands_a_second_before_and_at_the_moment(
    made: Decision, before: str, at: datetime, after: str
) -> None:
    assert (states(made, at=at - SECOND), states(made, at=at)) == ([before], [after])


def test_a_newer_decision_takes_its_place_from_the_moment_it_is_in_force() -> None:
    book = (decision(A), decision(B, begins=3, supersedes=frozenset({A})))
    assert states(*book, at=NOON + 3 * DAY - SECOND) == ["in_force", "not_yet_in_force"]
    assert states(*book, at=NOON + 3 * DAY) == ["superseded", "in_force"]


def test_what_a_lapsed_decision_superseded_is_back() -> None:
    book = (decision(A), decision(B, begins=1, ratify_before=LIMIT, supersedes=frozenset({A})))
    assert [states(*book, at=at) for at in (NOON, NOON + DAY, LIMIT - SECOND, LIMIT)] == [
        ["in_force", "not_yet_in_force"],
        ["superseded", "in_force"],
        ["superseded", "in_force"],
        ["in_force", "lapsed"],
    ]


def test_what_a_superseded_decision_superseded_stays_so() -> None:
    book = (
        decision(A),
        decision(B, begins=1, supersedes=frozenset({A})),
        decision(C, begins=2, supersedes=frozenset({B})),
    )
    assert states(*book, at=NOON + 3 * DAY) == ["superseded", "superseded", "in_force"]


def test_what_ended_first_has_ended_it() -> None:
    newer = decision(B, begins=4, supersedes=frozenset({A}))
    assert states(decision(A, ends_at=NOON + DAY), newer, at=NOON + 5 * DAY)[0] == "ended"
    assert states(decision(A, ends_at=NOON + 5 * DAY), newer, at=NOON + 5 * DAY)[0] == "superseded"


# --- what contradicts what ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (Selector(fiscal_year=2026), Selector(fiscal_year=2026), True),
        (Selector(fiscal_year=2026), Selector(fiscal_year=2027), False),
        (Selector(fiscal_year=2026, quarter=1), Selector(fiscal_year=2026, quarter=2), False),
        (Selector(fiscal_year=2026, quarter=1), Selector(fiscal_year=2026), True),
        (Selector(fiscal_year=2026, field="it"), Selector(fiscal_year=2026, system="job_seeker_basic"), True),
        (Selector(fiscal_year=2026, field="it"), Selector(fiscal_year=2026, field="care", quarter=1), False),
        (Selector(course_number="1"), Selector(course_number="1"), True),
        (Selector(course_number="1"), Selector(course_number="2"), False),
        (Selector(course_number="1"), Selector(fiscal_year=2026), False),
    ],
)
def test_which_courses_are_the_same(one: Selector, other: Selector, same: bool) -> None:
    assert (one.overlaps(other), other.overlaps(one)) == (same, same)


def reason(new: Decision, *book: Decision, now: datetime = NOON) -> str | None:
    denied = decisions.decide(new, {each.id: each for each in book}, now=now)
    return None if denied is None else denied.reason


CONTRADICTS = "contradicts_decision_in_force"


@pytest.mark.parametrize(
    ("new", "old", "expected"),
    [
        (decision(B), decision(A), CONTRADICTS),
        (decision(B, to=KIRISHIMA), decision(A), None),
        (decision(B, supersedes=frozenset({A})), decision(A), None),
        # One that is not in force yet will be.
        (decision(B), decision(A, begins=30), CONTRADICTS),
        (decision(B, ends_at=NOON + 30 * DAY), decision(A, begins=30), None),
        (decision(B, begins=30), decision(A, ends_at=NOON + 30 * DAY), None),
        (decision(B, begins=29), decision(A, ends_at=NOON + 30 * DAY), CONTRADICTS),
        # Urgent, and not ratified: it may be yet.
        (decision(B), decision(A, ratify_before=LIMIT), CONTRADICTS),
        (decision(B, begins=9), decision(A, ratify_before=LIMIT), CONTRADICTS),
        (decision(B), decision(A, ratify_before=LIMIT, refused_at=NOON), None),
        (decision(B, supersedes=frozenset({A})), decision(A, ends_at=NOON), "nothing_to_supersede"),
        (decision(B, supersedes=frozenset({C})), decision(A), "nothing_to_supersede"),
        (decision(B, supersedes=frozenset({A}), kind="training_content"), decision(A), "nothing_to_supersede"),
        (decision(B, ends_at=NOON), decision(A), "over_before_it_begins"),
    ],
)
def test_what_can_be_decided_beside_another_decision(new: Decision, old: Decision, expected: str | None) -> None:
    assert reason(new, old) == expected


def test_an_urgent_decision_that_lapsed_leaves_room_from_that_moment() -> None:
    old = decision(A, ratify_before=LIMIT)
    new = decision(B, begins=5)
    assert reason(new, old, now=LIMIT - SECOND) == CONTRADICTS
    assert reason(new, old, now=LIMIT) is None


def test_what_was_superseded_by_an_unratified_decision_may_come_back() -> None:
    old, urgent = decision(A), decision(B, begins=1, to=KIRISHIMA, ratify_before=LIMIT, supersedes=frozenset({A}))
    new = decision(C, begins=2)
    assert reason(new, old, urgent) == CONTRADICTS
    assert reason(new, old, replace(urgent, ratified_at=NOON + DAY)) is None


def test_the_decision_that_is_contradicted_is_named() -> None:
    denied = decisions.decide(decision(B), {A: decision(A)}, now=NOON)
    assert denied is not None
    assert denied.named == ({"decision_id": str(A), "number": "a", "municipality": KAGOSHIMA},)


@given(st.data())
def test_whatever_is_decided_no_two_in_force_give_the_same_seats(data: st.DataObject) -> None:
    """Decisions come one after the other and some are ratified or refused; at every moment the book is consistent."""
    book: dict[UUID, Decision] = {}
    now = NOON
    for number in range(data.draw(st.integers(1, 9), label="decisions")):
        now += data.draw(st.integers(0, 4)) * DAY
        for old in list(book.values()):
            if decisions.ratify(old, now) is None and data.draw(st.booleans(), label="vote"):
                fate = data.draw(st.sampled_from(["ratified_at", "refused_at"]))
                book[old.id] = replace(old, **{fate: now})  # type: ignore[arg-type]
        begins = now + data.draw(st.integers(0, 6)) * DAY
        new = Decision(
            UUID(int=number + 1),
            "delegated_quota",
            str(number),
            begins,
            ends_at=data.draw(st.none() | st.integers(1, 8).map(lambda days, start=begins: start + days * DAY)),  # type: ignore[misc]
            ratify_before=data.draw(st.none() | st.just(now + 3 * DAY)),
            supersedes=frozenset(data.draw(st.sets(st.sampled_from(sorted(book)), max_size=3)))
            if book
            else frozenset(),
            allotments=(
                Allotment(
                    frozenset(data.draw(st.sets(st.sampled_from([KAGOSHIMA, KIRISHIMA]), min_size=1))),
                    Selector(fiscal_year=2026, quarter=data.draw(st.sampled_from([None, 1, 2]))),
                ),
            ),
        )
        if decisions.decide(new, book, now=now) is None:
            book[new.id] = new
        elif data.draw(st.booleans()):
            # The same again, naming what stands against it, as somebody would.
            named = decisions.decide(replace(new, supersedes=frozenset()), book, now=now)
            against = frozenset(UUID(each["decision_id"]) for each in named.named) if named else frozenset()
            new = replace(new, supersedes=against)
            if decisions.decide(new, book, now=now) is None:
                book[new.id] = new
    for moments in range(60):
        at = NOON + moments * (DAY / 2)
        live = [book[each] for each in decisions.in_force(book, at)]
        for one in live:
            for other in live:
                assert one is other or not one.allotments[0].overlaps(other.allotments[0])


def test_a_decision_is_one_version_on_from_what_it_supersedes() -> None:
    book = {A: replace(decision(A), version=3), B: decision(B)}
    assert decisions.next_version(decision(C), book) == 1
    assert decisions.next_version(decision(C, supersedes=frozenset({A, B})), book) == 4


def test_every_rule_that_stands_against_something_has_its_words() -> None:
    reasons = set()
    for module in (deliberation, decisions, motions):
        assert module.__file__ is not None
        reasons |= _reasons(Path(module.__file__))
    reasons |= {
        each for name in ("deliberation", "motions") for each in _reasons(Path(f"services/training/handlers/{name}.py"))
    }
    internal = {"nothing_to_ratify", "decision_lapsed"}
    assert reasons - internal == set(_CANT)


def _reasons(path: Path) -> set[str]:
    calls = (node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call))
    denied = (call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "Denied")
    return {call.args[0].value for call in denied if isinstance(call.args[0], ast.Constant)}  # type: ignore[misc]
