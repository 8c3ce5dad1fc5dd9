"""Whether what a person agreed to covers a step, for every service that acts on it."""

from dataclasses import replace
from datetime import date
from uuid import UUID

import pytest

from shared.consent import (
    FOR_REFERRAL,
    FOR_TRAINING,
    Consent,
    ConsentLacking,
    Said,
    consent_gap,
    consent_said,
    takes_back,
)
from shared.events import ConsentGiven, ConsentPending, ConsentRefused, ConsentWithdrawn
from shared.problems import consent_missing

TODAY = date(2026, 4, 1)
CASE = UUID(int=1)
GIVEN = Consent("given", frozenset({"referral"}), frozenset({"npo"}), TODAY)
TO_TRAIN = replace(GIVEN, purposes=frozenset({"training"}))


@pytest.mark.parametrize(
    ("consent", "purposes", "because"),
    [
        (GIVEN, FOR_REFERRAL, None),
        (GIVEN, FOR_TRAINING, None),
        (Consent("given"), FOR_REFERRAL, None),
        (Consent(None), FOR_REFERRAL, "not_given"),
        (Consent("not_yet"), FOR_REFERRAL, "not_given"),
        (Consent("refused"), FOR_REFERRAL, "not_given"),
        (Consent("withdrawn"), FOR_REFERRAL, "not_given"),
        (replace(GIVEN, valid_until=date(2026, 3, 31)), FOR_REFERRAL, "expired"),
        (replace(GIVEN, valid_from=TODAY), FOR_REFERRAL, None),
        (replace(GIVEN, valid_from=date(2026, 4, 2)), FOR_REFERRAL, "not_yet_valid"),
        (TO_TRAIN, FOR_REFERRAL, "other_purpose"),
        (TO_TRAIN, FOR_TRAINING, None),
        (replace(GIVEN, purposes=frozenset({"survey"})), FOR_TRAINING, "other_purpose"),
        (replace(GIVEN, recipients=frozenset({"school"})), FOR_REFERRAL, "not_named"),
    ],
)
def test_consent_has_to_cover_the_step(consent: Consent, purposes: frozenset[str], because: str | None) -> None:
    lacking = consent_gap(consent, purposes=purposes, receiver="npo", today=TODAY)

    assert lacking == (None if because is None else ConsentLacking(because))


@pytest.mark.parametrize(
    ("said", "consent"),
    [
        (
            ConsentGiven(case_id=CASE, consent_version=1, purposes=["referral"], recipients=["npo"], valid_until=TODAY),
            GIVEN,
        ),
        (ConsentPending(case_id=CASE, consent_version=1), Consent("not_yet")),
        (ConsentRefused(case_id=CASE, consent_version=1), Consent("refused")),
        (ConsentWithdrawn(case_id=CASE, consent_version=2), Consent("withdrawn")),
    ],
)
def test_what_was_said_is_what_stands(said: Said, consent: Consent) -> None:
    assert consent_said(said) == consent


@pytest.mark.parametrize(
    ("newest", "taken_back"),
    [
        (GIVEN, False),
        (Consent("given"), False),
        (Consent("withdrawn"), True),
        (Consent("refused"), True),
        (Consent("not_yet"), False),
        (Consent(None), False),
        (TO_TRAIN, True),
        (replace(GIVEN, recipients=frozenset({"school"})), True),
        (replace(GIVEN, valid_until=date(2026, 3, 31)), False),
        (replace(GIVEN, valid_from=date(2026, 4, 2)), False),
    ],
)
def test_a_no_or_a_narrower_yes_takes_back_and_the_calendar_does_not(newest: Consent, taken_back: bool) -> None:
    assert takes_back(newest, purposes=FOR_REFERRAL, receiver="npo") is taken_back


def test_what_was_said_before_there_were_categories_means_what_it_meant() -> None:
    old = ConsentGiven.model_validate({"case_id": str(CASE), "consent_version": 1, "purposes": ["referral"]})
    assert consent_said(old) == Consent("given", frozenset({"referral"}))


@pytest.mark.parametrize("because", ["not_given", "not_yet_valid", "expired", "other_purpose", "not_named"])
def test_whatever_is_lacking_people_are_told_what_to_do(because: str) -> None:
    told = consent_missing(because).members

    assert (told["status"], told["code"], told["errors"][0]["code"]) == (409, "consent_missing", because)
    assert told["detail"]
    assert told["detail_ja"]
