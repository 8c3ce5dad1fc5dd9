"""What stands in the catalogue, out of what sources say; what is noticed in a record; its days as a calendar."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.training.api.calendar import CourseDays, calendar
from services.training.domain.catalogue import (
    Compared,
    Settlement,
    Settling,
    Standing,
    Statement,
    compare,
    newest_words,
    resolve,
    says_anew,
    settle,
)
from services.training.domain.catalogue_checks import findings

NOON = datetime(2026, 11, 30, 3, tzinfo=UTC)
RANK = ("hello_work", "prefecture", "provider")


def said(source: str, day: int, at: int = 0, **words: Any) -> Statement:
    return Statement(source, date(2026, 11, day), NOON + timedelta(minutes=at), words)


def stands(*statements: Statement, settled: tuple[Settlement, ...] = ()) -> dict[str, Standing]:
    return resolve(newest_words(statements), settled, RANK)


def decided(statements: tuple[Statement, ...], field: str, source: str, at: int = 60) -> Settlement:
    words = newest_words(statements)
    standing = resolve(words, (), RANK)
    moment = NOON + timedelta(minutes=at)
    outcome = settle(words, standing, field=field, source=source, by="kencho", at=moment, reason=None)
    assert isinstance(outcome, Settlement)
    return outcome


# --- what stands ------------------------------------------------------------------------------------------------------


def test_the_only_value_stands_and_agreeing_sources_do_not_differ() -> None:
    found = stands(said("provider", 1, capacity=15), said("prefecture", 2, capacity=15))
    assert found == {"capacity": Standing(15, "prefecture", differs=False)}


def test_where_sources_differ_the_one_that_ranks_highest_stands_until_it_is_decided() -> None:
    found = stands(said("provider", 20, capacity=12), said("hello_work", 3, capacity=15), said("jeed", 9, capacity=12))
    assert found["capacity"] == Standing(15, "hello_work", differs=True)
    # Of one that the list doesn't name, no word stands before that of one that it does.
    assert stands(said("provider", 20, capacity=12), said("flyer", 28, capacity=9))["capacity"].source == "provider"


def test_of_one_source_the_word_that_was_checked_last_counts_and_then_the_one_told_last() -> None:
    assert stands(said("provider", 5, capacity=12), said("provider", 3, at=9, capacity=15))["capacity"].value == 12
    assert stands(said("provider", 5, at=9, capacity=12), said("provider", 5, capacity=15))["capacity"].value == 12


def test_a_source_that_takes_its_word_back_is_no_voice() -> None:
    words = (said("hello_work", 1, capacity=15), said("provider", 1, capacity=12))
    assert stands(*words, said("hello_work", 2, capacity=None))["capacity"] == Standing(12, "provider", differs=False)


def test_a_word_that_was_decided_against_does_not_come_back_by_being_repeated() -> None:
    words = (said("hello_work", 1, capacity=15), said("provider", 1, capacity=12))
    settlement = decided(words, "capacity", "provider")
    found = stands(*words, said("hello_work", 28, at=99, capacity=15), settled=(settlement,))
    assert found["capacity"] == Standing(12, "provider", differs=False, settlement=settlement)


def test_a_changed_word_opens_the_difference_again_and_the_decided_value_stands_meanwhile() -> None:
    words = (said("hello_work", 1, capacity=15), said("provider", 1, capacity=12))
    settlement = decided(words, "capacity", "provider")
    for changed in (said("hello_work", 9, capacity=20), said("provider", 9, capacity=11), said("jeed", 9, capacity=9)):
        found = stands(*words, changed, settled=(settlement,))["capacity"]
        assert (found.value, found.differs) == (12, True)
    assert not stands(*words, said("hello_work", 9, capacity=12), settled=(settlement,))["capacity"].differs


def test_what_can_not_be_settled() -> None:
    words = newest_words([said("provider", 1, capacity=12), said("hello_work", 1, capacity=12, months=3)])
    standing = resolve(words, (), RANK)

    def outcome(field: str, source: str) -> Settlement | Settling:
        return settle(words, standing, field=field, source=source, by="kencho", at=NOON, reason=None)

    assert outcome("capacity", "provider") is Settling.NO_DIFFERENCE
    assert outcome("months", "provider") is Settling.SAYS_NOTHING


FEW = st.integers(1, 3)
STATEMENTS = st.lists(
    st.builds(
        Statement,
        st.sampled_from([*RANK, "flyer"]),
        st.builds(lambda day: date(2026, 11, day), FEW),
        st.builds(lambda minutes: NOON + timedelta(minutes=minutes), FEW),
        st.dictionaries(st.sampled_from(["capacity", "title"]), st.none() | FEW, min_size=1),
    ),
    max_size=12,
)
SETTLEMENTS = st.lists(
    st.builds(
        Settlement,
        st.sampled_from(["capacity", "title"]),
        st.sampled_from(RANK),
        FEW,
        st.dictionaries(st.sampled_from(RANK), FEW),
        st.just("kencho"),
        st.builds(lambda minutes: NOON + timedelta(minutes=minutes), FEW),
    ),
    max_size=4,
)


@given(STATEMENTS, SETTLEMENTS, st.randoms(use_true_random=False))
def test_what_stands_is_the_same_in_any_order_and_however_often_it_was_told(
    statements: list[Statement], settlements: list[Settlement], chance: Any
) -> None:
    expected = resolve(newest_words(statements), settlements, RANK)
    again = [*statements, *chance.sample(statements, len(statements) // 2)]
    chance.shuffle(again)
    settled = [*settlements, *settlements]
    chance.shuffle(settled)
    assert resolve(newest_words(again), settled, RANK) == expected


@given(STATEMENTS)
def test_what_stands_is_somebodys_word_and_differs_exactly_where_somebody_else_says_otherwise(
    statements: list[Statement],
) -> None:
    words = newest_words(statements)
    found = resolve(words, (), RANK)
    for field, known in words.items():
        values = {source: word.value for source, word in known.items() if word.value is not None}
        assert (field in found) == bool(values)
        if values:
            assert found[field].value == values[found[field].source]
            assert found[field].differs == (len(set(values.values())) > 1)


@given(STATEMENTS, st.sampled_from(["capacity", "title"]), st.sampled_from(RANK))
def test_after_a_decision_there_is_no_difference_until_somebody_says_something_else(
    statements: list[Statement], field: str, source: str
) -> None:
    words = newest_words(statements)
    outcome = settle(words, resolve(words, (), RANK), field=field, source=source, by="kencho", at=NOON, reason=None)
    if isinstance(outcome, Settlement):
        later = [replace(each, checked_on=each.checked_on + timedelta(days=9)) for each in statements]
        repeated = newest_words([*statements, *(each for each in later if _says_as_before(each, words))])
        for said_again in (words, repeated):
            found = resolve(said_again, [outcome], RANK)[field]
            assert (found.value, found.differs) == (outcome.value, False)


def _says_as_before(statement: Statement, words: Mapping[str, Mapping[str, Any]]) -> bool:
    return all(words[field][statement.source].value == value for field, value in statement.words.items())


# --- a row beside what is known ---------------------------------------------------------------------------------------


def test_each_field_of_a_row_is_new_or_same_or_differs_from_named_sources() -> None:
    words = newest_words([
        said("provider", 5, capacity=12, months=3, title="介護科", hours=300),
        said("prefecture", 5, capacity=15),
    ])  # fmt: skip
    row = said("provider", 9, capacity=12, months=4, title=None, field="care", hours=300, own_cost=None)
    found = {each.field: (each.state, each.against) for each in compare(row, words, resolve(words, (), RANK))}
    assert found == {
        "capacity": (Compared.DIFFERS, ("prefecture",)),
        "months": (Compared.DIFFERS, ("provider",)),
        "title": (Compared.WITHDRAWN, ()),
        "field": (Compared.NEW, ()),
        "hours": (Compared.SAME, ()),
    }


def test_a_sources_first_word_changes_what_is_known_also_where_others_said_something() -> None:
    words = newest_words([said("provider", 5, capacity=12)])
    rows = [said("hello_work", 5, capacity=seats) for seats in (12, 15)] + [said("provider", 6, capacity=12)]
    assert [compare(row, words, {})[0].changes for row in rows] == [True, True, False]


def test_an_older_word_is_shown_as_one() -> None:
    words = newest_words([said("provider", 5, capacity=12)])
    (found,) = compare(said("provider", 3, at=9, capacity=15), words, resolve(words, (), RANK))
    assert found.state is Compared.OLDER


def test_a_row_that_reopens_what_was_decided_says_so() -> None:
    told = (said("hello_work", 1, capacity=15), said("provider", 1, capacity=12))
    words, settlement = newest_words(told), decided(told, "capacity", "provider")
    standing = resolve(words, [settlement], RANK)
    reopens = [
        compare(said("hello_work", 9, at=99, capacity=seats), words, standing)[0].reopens for seats in (15, 12, 20)
    ]
    assert reopens == [False, False, True]


def test_only_another_word_or_a_later_day_is_kept() -> None:
    words = newest_words([said("provider", 5, capacity=12)])
    rows = [said("provider", 5, at=9, capacity=12), said("provider", 4, capacity=15)]
    assert [says_anew(row, words) for row in rows] == [False, False]
    rows = [said("provider", 6, capacity=12), said("provider", 5, at=9, capacity=15), said("provider", 1, title="x")]
    assert [says_anew(row, words) for row in rows] == [True, True, True]


def test_a_blank_is_kept_and_older_words_do_not_come_after_it() -> None:
    blank, older = said("provider", 10, capacity=None), said("provider", 5, at=9, capacity=20)
    assert says_anew(blank, {})
    assert not says_anew(replace(blank, told_at=NOON + timedelta(minutes=9)), newest_words([blank]))
    words = newest_words([blank])
    assert [(each.state, each.changes) for each in compare(older, words, {})] == [(Compared.OLDER, False)]
    assert compare(said("provider", 11, capacity=None), words, {}) == []


@given(STATEMENTS)
def test_what_was_not_kept_would_have_changed_nothing(statements: list[Statement]) -> None:
    told = [replace(each, told_at=NOON + timedelta(minutes=at)) for at, each in enumerate(statements)]
    kept: list[Statement] = []
    for many, statement in enumerate(told, 1):
        if says_anew(statement, newest_words(kept)):
            kept.append(statement)
        assert stands(*kept) == stands(*told[:many])


# --- what is noticed --------------------------------------------------------------------------------------------------

WHOLE: Mapping[str, Any] = {
    "system": "job_seeker_practical",
    "starts_on": "2027-01-12",
    "ends_on": "2027-04-09",
    "months": 3,
    "capacity": 15,
    "min_enrolment": 8,
    "delegated": {"462012": 4},
    "priority_seats": 2,
    "applications_open_at": "2026-11-20T08:30:00+09:00",
    "applications_close_at": "2026-12-16T16:00:00+09:00",
    "selection_on": "2026-12-16",
    "result_on": "2026-12-23",
    "cancel_decision_on": "2026-12-20",
    "return_on": "2026-12-09",
    "occupation_codes": ["049-01"],
    "occupation_edition": 2022,
    "applicants": 9,
    "accepted": 9,
    "counted_on": "2026-11-29",
}


def test_a_usual_record_is_not_remarked() -> None:
    assert findings(WHOLE) == []
    assert findings({}) == []


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"ends_on": "2027-01-11", "months": None}, "ends_before_start"),
        ({"applications_open_at": "2026-12-16T16:00:01+09:00"}, "closes_before_opening"),
        ({"applications_close_at": "2027-01-13T00:00:00+09:00", "selection_on": None}, "closes_after_start"),
        ({"selection_on": "2026-12-15"}, "selects_before_closing"),
        ({"result_on": "2026-12-15"}, "result_before_selection"),
        ({"result_on": "2027-01-13"}, "result_after_start"),
        ({"cancel_decision_on": "2027-01-13"}, "cancels_after_start"),
        ({"return_on": "2027-01-13"}, "returns_after_start"),
        ({"min_enrolment": 16}, "more_needed_than_seats"),
        ({"priority_seats": 12}, "delegated_above_capacity"),
        ({"accepted": 10}, "more_accepted_than_applied"),
        ({"occupation_edition": None}, "edition_needed"),
        ({"counted_on": None}, "counted_when"),
    ],
)
def test_what_can_not_be_is_grave(changed: dict[str, Any], code: str) -> None:
    assert [(each.code, each.grave) for each in findings({**WHOLE, **changed})] == [(code, True)]


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"months": 7, "ends_on": "2027-08-10"}, "unusual_months"),
        ({"system": "job_seeker_basic", "months": 5, "ends_on": "2027-06-10"}, "unusual_months"),
        ({"capacity": 31}, "unusual_capacity"),
        ({"months": 5}, "months_and_days_differ"),
    ],
)
def test_what_is_unusual_is_no_error(changed: dict[str, Any], code: str) -> None:
    assert [(each.code, each.grave) for each in findings({**WHOLE, **changed})] == [(code, False)]


def test_a_deadline_on_the_first_day_in_japan_is_in_time() -> None:
    """23:30 on the 12th in Japan is the 12th, though it is 14:30 in UTC; 00:00 of the 13th is too late."""
    late = {**WHOLE, "selection_on": None, "result_on": None}
    assert findings({**late, "applications_close_at": "2027-01-12T23:30:00+09:00"}) == []
    codes = [each.code for each in findings({**late, "applications_close_at": "2027-01-12T15:00:00+00:00"})]
    assert codes == ["closes_after_start"]


# --- the calendar -----------------------------------------------------------------------------------------------------


def lines_of(text: str) -> list[str]:
    """The content lines, unfolded as RFC 5545 says (3.1)."""
    assert text.endswith("\r\n")
    assert "\n" not in text.replace("\r\n", "")
    raw = text.split("\r\n")[:-1]
    assert max(len(line.encode()) for line in raw) <= 75
    return text.replace("\r\n ", "").split("\r\n")[:-1]


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.just("\n"), max_size=200))
def test_any_title_survives_folding_and_escaping(title: str) -> None:
    course = CourseDays(UUID(int=1), "46-x", 3, {"title": title, "starts_on": "2027-01-12"})
    (summary,) = [each for each in lines_of(calendar("x", [course], now=NOON)) if each.startswith("SUMMARY:")]
    unescaped, escaping = "", False
    for character in summary.removeprefix("SUMMARY:"):
        if escaping:
            unescaped += "\n" if character == "n" else character
        elif character != "\\":
            assert character not in ",;"
            unescaped += character
        escaping = character == "\\" and not escaping
    assert unescaped == f"【開始】{title or '46-x'}"


def test_a_course_of_which_nobody_said_the_title_goes_by_its_number() -> None:
    course = CourseDays(UUID(int=1), "46-x", 3, {"title": None, "starts_on": "2027-01-12"})
    assert "SUMMARY:【開始】46-x" in lines_of(calendar("x", [course], now=NOON))


def test_a_deadline_is_a_moment_and_a_day_ends_on_the_next() -> None:
    record = {"applications_close_at": "2026-12-16T16:00:00+09:00", "ends_on": "2027-12-31", "status": "cancelled"}
    lines = lines_of(calendar("訓練", [CourseDays(UUID(int=1), "46-x", 3, record)], now=NOON))
    assert "DTSTART:20261216T070000Z" in lines
    assert lines[lines.index("DTSTART;VALUE=DATE:20271231") + 1] == "DTEND;VALUE=DATE:20280101"
    assert lines.count("STATUS:CANCELLED") == 2
    assert len({line for line in lines if line.startswith("UID:")}) == 2
