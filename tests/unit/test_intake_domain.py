"""What the counter decides, as plain values."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.intake.domain.cases import (
    CAREER_NEEDS,
    Case,
    Consent,
    ConsentForm,
    ConsentState,
    Contradicted,
    Need,
    Recorded,
    Topic,
    case_number,
    is_the_holders,
    is_urgent,
    most_serious_of,
    needs_witness,
    record_consent,
    urgency_of,
)

GIVEN, NOT_YET, REFUSED, WITHDRAWN = (
    ConsentState.GIVEN,
    ConsentState.NOT_YET,
    ConsentState.REFUSED,
    ConsentState.WITHDRAWN,
)
REFERRAL = Consent(GIVEN, frozenset({"referral"}))
TRAINING = Consent(GIVEN, frozenset({"referral", "training"}))

CONSENTS = st.one_of(
    st.sampled_from([Consent(NOT_YET), Consent(REFUSED), Consent(WITHDRAWN)]),
    st.builds(
        Consent,
        st.just(GIVEN),
        st.frozensets(st.sampled_from(["referral", "training"]), min_size=1),
        st.frozensets(st.sampled_from(["kagoshima-desk", "kirishima-npo"])),
        st.none() | st.dates(date(2026, 1, 1), date(2027, 12, 31)),
    ),
)


@pytest.mark.parametrize(
    ("present", "said", "expected"),
    [
        (None, Consent(NOT_YET), Recorded(1)),
        (None, REFERRAL, Recorded(1)),
        (None, Consent(REFUSED), Recorded(1)),
        (None, Consent(WITHDRAWN), Contradicted("nothing_to_withdraw")),
        (Consent(NOT_YET), Consent(WITHDRAWN), Contradicted("nothing_to_withdraw")),
        (Consent(WITHDRAWN), Consent(WITHDRAWN), Contradicted("nothing_to_withdraw")),
        (Consent(NOT_YET), Consent(NOT_YET), Contradicted("consent_unchanged")),
        (Consent(REFUSED), Consent(REFUSED), Contradicted("consent_unchanged")),
        (Consent(REFUSED), Consent(NOT_YET), Recorded(1)),
        (Consent(REFUSED), REFERRAL, Recorded(1)),
        (REFERRAL, REFERRAL, Contradicted("consent_unchanged")),
        (REFERRAL, TRAINING, Recorded(1)),
        (REFERRAL, Consent(NOT_YET), Contradicted("consent_stands")),
        (REFERRAL, Consent(REFUSED), Contradicted("consent_stands")),
        (REFERRAL, Consent(WITHDRAWN), Recorded(1)),
        (Consent(WITHDRAWN), REFERRAL, Recorded(1)),
        (Consent(WITHDRAWN), Consent(REFUSED), Recorded(1)),
    ],
)
def test_what_may_follow_on_what_was_said(
    present: Consent | None, said: Consent, expected: Recorded | Contradicted
) -> None:
    assert record_consent(present, said, version=0) == expected


@given(st.lists(CONSENTS, max_size=12))
def test_consent_that_stands_ends_only_by_being_withdrawn(sayings: list[Consent]) -> None:
    present, version, history = None, 0, [NOT_YET]
    for said in sayings:
        decision = record_consent(present, said, version=version)
        if isinstance(decision, Recorded):
            assert decision.version == version + 1
            present, version = said, decision.version
            history.append(said.state)
    assert all(after in {GIVEN, WITHDRAWN} for before, after in pairwise(history) if before is GIVEN)
    assert all(before is GIVEN for before, after in pairwise(history) if after is WITHDRAWN)


TODAY = date(2026, 11, 25)
FOR_NPO = replace(REFERRAL, recipients=frozenset({"npo"}))


@pytest.mark.parametrize("said", [REFERRAL, FOR_NPO, replace(FOR_NPO, recipients=frozenset({"school", "npo"}))])
def test_consent_that_opens_a_case_to_who_writes_it_down_needs_a_witness(said: Consent) -> None:
    for present in (None, Consent(NOT_YET), Consent(WITHDRAWN), replace(REFERRAL, recipients=frozenset({"school"}))):
        assert needs_witness(present, said, by="npo", holder="desk")
        assert not needs_witness(present, said, by="desk", holder="desk"), "the holder reads it anyway"


@pytest.mark.parametrize("said", [Consent(NOT_YET), Consent(REFUSED), Consent(WITHDRAWN), FOR_NPO])
def test_what_opens_nothing_to_who_writes_it_down_needs_none(said: Consent) -> None:
    assert not needs_witness(None, said, by="school", holder="desk")


WIDE = replace(
    TRAINING, categories=frozenset({"identity", "story"}), valid_from=TODAY, valid_until=TODAY + timedelta(days=9)
)


@pytest.mark.parametrize(
    ("more", "needed"),
    [
        ({"recipients": frozenset({"npo"})}, False),
        ({"purposes": frozenset({"referral"})}, False),
        ({"categories": frozenset({"story"})}, False),
        ({"valid_until": TODAY, "valid_from": TODAY}, False),
        ({"form": ConsentForm.WRITTEN}, False),
        ({"purposes": frozenset({"referral", "assessment"})}, True),
        ({"categories": frozenset({"story", "health"})}, True),
        ({"categories": frozenset()}, True),
        ({"valid_until": None}, True),
        ({"valid_until": TODAY + timedelta(days=10)}, True),
        ({"valid_from": None}, True),
        ({"valid_from": TODAY - timedelta(days=1)}, True),
    ],
)
def test_a_part_that_is_taken_back_needs_no_witness_and_whatever_opens_more_does(
    more: dict[str, Any], needed: bool
) -> None:
    assert needs_witness(WIDE, replace(WIDE, **more), by="npo", holder="desk") is needed


def test_illness_is_never_part_of_what_was_not_named() -> None:
    named = replace(REFERRAL, categories=frozenset({"health"}))
    assert needs_witness(REFERRAL, named, by="npo", holder="desk")
    assert not needs_witness(REFERRAL, replace(named, categories=frozenset({"story"})), by="npo", holder="desk")


@pytest.mark.parametrize("topic", ["violence", "nothing_to_eat"])
@pytest.mark.parametrize("said", [None, [], ["danger_to_life"]])
def test_violence_and_hunger_are_reasons_whatever_was_ticked(topic: str, said: list[str] | None) -> None:
    assert topic in urgency_of(present=(), said=said, topics=["debt", topic])


def test_reasons_stand_in_one_order_and_only_a_word_takes_them_away() -> None:
    assert urgency_of(present=["danger_to_life"], said=None, topics=["violence"]) == ("violence", "danger_to_life")
    assert urgency_of(present=["violence", "danger_to_life"], said=None, topics=()) == ("violence", "danger_to_life")
    assert urgency_of(present=["violence"], said=[], topics=()) == ()


@pytest.mark.parametrize("present", [True, False])
@pytest.mark.parametrize("said", [None, True, False])
def test_a_new_reason_is_urgent_whatever_was_ticked(present: bool, said: bool | None) -> None:
    assert is_urgent(present=present, said=said, added=["danger_to_life"])


@pytest.mark.parametrize(
    ("present", "said", "urgent"),
    [(True, None, True), (False, None, False), (True, False, False), (False, True, True)],
)
def test_otherwise_the_counsellor_says_what_is_urgent(present: bool, said: bool | None, urgent: bool) -> None:
    assert is_urgent(present=present, said=said, added=[]) is urgent


def test_the_most_serious_topic_goes_with_its_topic() -> None:
    assert most_serious_of("debt", ["debt", "income"]) == "debt"
    assert most_serious_of("debt", ["income"]) is None


def test_the_sheet_has_sixteen_topics_and_needs_come_in_two_groups_of_six() -> None:
    assert (len(Topic), len(Need), len(CAREER_NEEDS)) == (16, 12, 6)


@pytest.mark.parametrize(
    ("running", "number"), [(123, "2026-000123"), (999_999, "2026-999999"), (1_000_000, "2026-1000000")]
)
def test_a_case_number_never_loses_digits(running: int, number: str) -> None:
    assert case_number(date(2026, 4, 1), running) == number


def a_case() -> Case:
    return Case(
        id=UUID(int=1),
        number="2026-000001",
        municipality="462012",
        opened_by="opener",
        holder_agency="holder",
        entrance="walk_in",
        topics=(),
        needs=(),
        urgent=False,
        urgency=(),
        status="open",
        next_step_on=date(2026, 11, 23),
        consent_state="not_yet",
        consent_version=0,
        screening_outcome=None,
        opened_at=datetime(2026, 11, 23, tzinfo=UTC),
        career_touched_at=datetime(2026, 11, 23, tzinfo=UTC),
        version=1,
        sheet_version=1,
    )


@pytest.mark.parametrize(
    ("agency", "served", "concerned"),
    [
        ("opener", "142166", True),
        ("holder", "142166", True),
        ("somebody", "462012", True),
        ("somebody", "142166", False),
    ],
)
def test_a_case_concerns_its_opener_its_holder_and_its_municipality(agency: str, served: str, concerned: bool) -> None:
    case = a_case()
    assert case.concerns(agency, lambda code: code == served) is concerned


@pytest.mark.parametrize(
    ("before", "after", "is_its"),
    [
        ({}, {"topics": ("debt",)}, False),
        ({}, {"topics": ("violence",), "urgency": ("violence",), "urgent": True}, False),
        ({}, {"anchor": "相談員 9"}, True),
        ({"urgent": True}, {"urgent": False}, True),
        ({"urgency": ("danger_to_life",)}, {"urgency": ("violence",)}, True),
        ({"topics": ("violence",)}, {"topics": ()}, True),
        ({"topics": ("violence",)}, {"topics": (), "urgency": ("violence",)}, False),
    ],
)
def test_an_alarm_is_anybodys_to_raise_and_the_holders_to_take_away(
    before: dict[str, Any], after: dict[str, Any], is_its: bool
) -> None:
    case = replace(a_case(), **before)
    assert is_the_holders(case, replace(case, **after)) is is_its
