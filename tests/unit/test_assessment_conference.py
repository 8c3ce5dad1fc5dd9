"""What a conference may decide on which ground, who sees it when, and what its map says."""

from datetime import date, timedelta
from itertools import product
from uuid import UUID

import pytest

from services.assessment.domain.conference import (
    DECISIONS,
    Conference,
    Lane,
    Mapped,
    Member,
    NotCalled,
    NotDecided,
    State,
    call,
    decide,
    ended_by_consent,
    may_see,
    own_record_only,
    tells_of_illness,
)
from services.assessment.domain.tasks import Kind

TODAY = date(2026, 12, 10)
DESK, NPO, CITY, CLINIC = "kagoshima-desk", "kagoshima-npo", "kagoshima-city", "kirishima-clinic"


def conference(
    lane: Lane = Lane.CONSENT, state: State = State.IN_SESSION, chair: str = DESK, days: int = 0
) -> Conference:
    members = (Member(chair, "career_consultant"), Member(NPO, "job_coach"))
    return Conference(UUID(int=1), UUID(int=2), lane, chair, state, TODAY + timedelta(days), members)


def test_art_9_decides_nothing_that_shows_the_person_to_somebody_new() -> None:
    assert DECISIONS[Lane.ART_9] == {Kind.ACTION, Kind.CONSENT_TO_SEEK}
    for lane, kind in product(Lane, Kind):
        refused = decide(conference(lane), kind, owner=NPO, due_on=TODAY, holder=DESK, covered=True, today=TODAY)
        assert (refused is None) == (kind in DECISIONS[lane])


@pytest.mark.parametrize(
    ("lane", "owner", "covered", "reason"),
    [
        (Lane.CONSENT, NPO, True, None),
        (Lane.CONSENT, NPO, False, "owner_not_covered"),
        (Lane.CONSENT, CITY, False, None),  # the holder, who was not there
        (Lane.CONSENT, CLINIC, True, "owner_not_there"),
        (Lane.ART_9, NPO, False, None),
        (Lane.ART_9, CITY, True, "owner_not_there"),  # a holder who was not there hears of nothing
    ],
)
def test_who_takes_a_decision_on(lane: Lane, owner: str, covered: bool, reason: str | None) -> None:
    decided = decide(
        conference(lane), Kind.ACTION, owner=owner, due_on=TODAY, holder=CITY, covered=covered, today=TODAY
    )
    assert decided == (None if reason is None else NotDecided(reason))


def test_it_is_called_with_whom_consent_reaches_the_chair_included() -> None:
    def called(lane: Lane, covered: set[str], kind: str = "npo", serves: bool = True) -> NotCalled | None:
        members = {DESK, NPO}
        return call(lane, TODAY, by=DESK, by_kind=kind, serves=serves, members=members, covered=covered, today=TODAY)

    assert called(Lane.CONSENT, {DESK, NPO}) is None
    assert called(Lane.CONSENT, {NPO}) == NotCalled("not_covered", (DESK,))
    assert called(Lane.CONSENT, set()) == NotCalled("not_covered", (DESK, NPO))
    assert called(Lane.ART_9, set(), "municipality") is None
    assert called(Lane.ART_9, {DESK, NPO}) == NotCalled("not_the_desk")
    assert called(Lane.ART_9, set(), "municipality", serves=False) == NotCalled("not_the_desk")


def test_who_sees_it_and_when() -> None:
    for days, agency, consented in product((-1, 0, 1), (DESK, NPO, CITY, CLINIC), (True, False)):
        closed, shared = conference(Lane.ART_9, days=days), conference(days=days)
        art_9 = may_see(closed, agency, holder=CITY, consented=consented, today=TODAY)
        assert art_9 == (agency == DESK or (agency == NPO and days == 0))
        assert own_record_only(closed, TODAY) == (days != 0)
        by_consent = may_see(shared, agency, holder=CITY, consented=consented, today=TODAY)
        assert by_consent == (agency == CITY or (agency in {DESK, NPO} and consented))
        assert not own_record_only(shared, TODAY)


def test_what_the_person_says_ends_what_rests_on_it() -> None:
    for lane, state, over, left_out, chair in product(Lane, State, (True, False), (True, False), (DESK, CITY)):
        ended = ended_by_consent(conference(lane, state, chair), holder=CITY, over=over, chair_taken_back=left_out)
        standing = lane is Lane.CONSENT and state in {State.CALLED, State.IN_SESSION}
        assert ended == (standing and (over or (left_out and chair == DESK)))


def test_a_need_is_covered_or_could_be_or_is_missing_in_the_region() -> None:
    nobody: frozenset[str] = frozenset()
    assert Mapped("housing", frozenset({NPO}), frozenset({CITY})).standing == "covered"
    assert Mapped("housing", nobody, frozenset({CITY})).standing == "open"
    assert Mapped("housing", nobody, nobody).standing == "missing"


def test_a_need_that_nobody_knows_may_be_illness() -> None:
    assert not tells_of_illness("housing")
    for need in ("health", "mind", "disability", "violence", "a_new_code"):
        assert tells_of_illness(need)
