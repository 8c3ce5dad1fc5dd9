"""Statutory meetings, disclosures and emergencies: what is agreed to, refused, and due when."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from services.intake.domain.disclosures import LONGEST, NotDisclosed, disclose
from services.intake.domain.emergency import REVIEW_DAYS, Declaration, NotDeclared, declare
from services.intake.domain.meetings import BASIS_OF, Basis, Meeting, MeetingKind, NotConvened, convene
from services.intake.domain.policy import Disclosure, Purpose
from services.intake.domain.sheet import FieldSet
from shared.service import working_day_after

TODAY = date(2026, 11, 25)
NOW = datetime(2026, 11, 25, 3, 0, tzinfo=UTC)

# --- meetings -------------------------------------------------------------------------------------------------------


def test_the_three_meetings_have_three_bases() -> None:
    assert len({BASIS_OF[kind] for kind in MeetingKind}) == 3


def convened(
    kind: MeetingKind = MeetingKind.SHIEN_KAIGI, by_kind: str = "self_reliance_desk", day: date = TODAY
) -> object:
    return convene(kind, day, by="desk", by_kind=by_kind, members=frozenset({"npo"}), today=TODAY)


def test_the_convening_desk_is_a_member() -> None:
    assert convened() == Meeting(MeetingKind.SHIEN_KAIGI, TODAY, "desk", frozenset({"desk", "npo"}))


def test_what_needs_consent_is_no_statutory_meeting() -> None:
    assert convened(MeetingKind.SHIEN_CHOSEI_KAIGI) == NotConvened("meeting_of_consent")


def test_who_carries_out_public_assistance_convenes_its_meeting_and_the_municipality_or_its_desk_the_other() -> None:
    assert convened(by_kind="npo") == NotConvened("not_the_desk")
    assert convened(MeetingKind.CHOSEI_KAIGI_27_3) == NotConvened("not_the_desk")
    assert isinstance(convened(MeetingKind.CHOSEI_KAIGI_27_3, by_kind="welfare_office"), Meeting)


def test_a_day_that_is_over_has_no_meeting() -> None:
    assert convened(day=TODAY - timedelta(days=1)) == NotConvened("in_the_past")


# --- disclosures ----------------------------------------------------------------------------------------------------

SAID = Disclosure("npo", Purpose.SUPPORT, frozenset({FieldSet.IDENTITY, FieldSet.STORY}), Basis.OTHER_DUTY, TODAY)


def made(said: Disclosure, *, violence: bool = False, agreed: frozenset[FieldSet] = frozenset()) -> object:
    return disclose(said, holder="desk", violence=violence, agreed=agreed, today=TODAY)


def test_a_disclosure_needs_one_of_the_bases_on_which_a_holder_may_disclose() -> None:
    every = frozenset(FieldSet)
    for basis in Basis:
        outcome = made(replace(SAID, basis=basis), agreed=every)
        assert isinstance(outcome, Disclosure if basis in LONGEST else NotDisclosed)
    assert made(replace(SAID, basis=Basis.SHIEN_KAIGI)) == NotDisclosed("meeting_basis")
    assert made(replace(SAID, basis=Basis.CHOSEI_KAIGI)) == NotDisclosed("meeting_basis")


def test_on_consent_no_more_is_disclosed_than_was_agreed_to() -> None:
    said = replace(SAID, basis=Basis.CONSENT)
    assert made(said, agreed=frozenset({FieldSet.IDENTITY})) == NotDisclosed("beyond_consent")
    assert made(said, agreed=SAID.sets) == said


@pytest.mark.parametrize(("basis", "days"), [(Basis.INTEREST, 366), (Basis.EMERGENCY, 3)])
def test_a_disclosure_has_an_end(basis: Basis, days: int) -> None:
    last = replace(SAID, basis=basis, until=TODAY + timedelta(days=days))
    assert made(last) == last
    assert made(replace(last, until=last.until + timedelta(days=1))) == NotDisclosed("too_long")
    assert made(replace(last, until=TODAY - timedelta(days=1))) == NotDisclosed("in_the_past")


def test_nobody_discloses_to_itself() -> None:
    assert made(replace(SAID, recipient="desk")) == NotDisclosed("own_agency")


@pytest.mark.parametrize("hidden", [FieldSet.CONTACT, FieldSet.PROXY])
def test_where_there_was_violence_the_way_to_the_person_is_not_disclosed(hidden: FieldSet) -> None:
    said = replace(SAID, sets=frozenset({FieldSet.IDENTITY, hidden}))
    assert made(said, violence=True) == NotDisclosed("hidden_by_violence")
    assert made(said) == said


# --- emergencies ----------------------------------------------------------------------------------------------------


def declared(open_until: datetime | None = None) -> Declaration | NotDeclared:
    return declare(
        by="night", holder="desk", open_until=open_until, today=TODAY, now=NOW, working_day_after=working_day_after
    )


def test_an_emergency_lasts_sixty_minutes_and_is_reviewed_within_two_working_days() -> None:
    begun = declared()
    assert isinstance(begun, Declaration)
    assert begun.ends_at - NOW == timedelta(minutes=60)
    assert begun.review_due_on == date(2026, 11, 27)


def test_a_second_one_begins_after_the_first() -> None:
    assert declared(NOW + timedelta(seconds=1)) == NotDeclared("emergency_open")
    assert isinstance(declared(NOW), Declaration)


def test_who_was_told_or_holds_it_now_reviews_and_never_who_declared() -> None:
    begun = declared()
    assert isinstance(begun, Declaration)
    assert begun.reviewers("desk") == {"desk"}
    assert begun.reviewers("npo") == {"desk", "npo"}
    assert begun.reviewers("night") == {"desk"}


@pytest.mark.parametrize(
    ("declared_on", "due"),
    [
        ("2026-11-25", "2026-11-27"),  # Wednesday
        ("2026-11-27", "2026-12-01"),  # Friday: over the weekend
        ("2026-11-28", "2026-12-01"),  # Saturday
        ("2026-11-20", "2026-11-25"),  # 23 November is 勤労感謝の日
        ("2026-09-18", "2026-09-25"),  # 敬老の日, a day between two holidays (国民の休日), 秋分の日
        ("2026-05-01", "2026-05-08"),  # 憲法記念日 on a Sunday moves to Wednesday (振替休日)
        ("2026-12-25", "2027-01-04"),  # 28 December, then offices are closed until 3 January
        ("2026-12-28", "2027-01-05"),
    ],
)
def test_working_days_are_those_on_which_public_offices_are_open(declared_on: str, due: str) -> None:
    assert working_day_after(date.fromisoformat(declared_on), REVIEW_DAYS) == date.fromisoformat(due)
