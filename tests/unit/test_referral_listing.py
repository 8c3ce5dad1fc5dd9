"""How far an entry of the directory can be believed, and the way of firms to certified work training."""

import tomllib
import unicodedata
from datetime import date, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.intake.domain.cases import Need, Topic
from services.referral.domain.directory import (
    ACTS,
    Days,
    Freshness,
    Room,
    RoomFault,
    freshness,
    is_legal_basis,
    nearest,
    room_fault,
)
from services.referral.domain.firms import (
    WAYS,
    Firm,
    FirmFault,
    FirmMoved,
    FirmState,
    NoWay,
    call_firm,
    firm_fault,
    is_due,
    move_firm,
    tell_firm,
)
from services.referral.domain.map_supply import Kind, Offer, Thresholds
from services.referral.domain.options import Capacity, Stage, room_today
from services.referral.tables.vocabulary import vocabulary

ROOT = Path(__file__).resolve().parents[2]
TODAY = date(2026, 11, 30)
DAYS = Days(ageing=90, stale=180)


def ago(days: int) -> date:
    return TODAY - timedelta(days=days)


@pytest.mark.parametrize(
    ("confirmed_on", "worth"),
    [
        (ago(0), Freshness.FRESH),
        (ago(89), Freshness.FRESH),
        (ago(90), Freshness.AGEING),
        (ago(179), Freshness.AGEING),
        (ago(180), Freshness.STALE),
        (ago(20_000), Freshness.STALE),
        (None, Freshness.UNKNOWN),
        (ago(-1), Freshness.UNKNOWN),
    ],
)
def test_an_entry_grows_stale_from_the_day_on_which_it_was_confirmed(
    confirmed_on: date | None, worth: Freshness
) -> None:
    assert freshness(confirmed_on, TODAY, DAYS) is worth


@given(
    st.none() | st.dates(date(2000, 1, 1), date(2050, 1, 1)),
    st.dates(date(2000, 1, 1), date(2050, 1, 1)),
    st.integers(1, 400),
)
def test_an_entry_never_grows_younger_by_itself(confirmed_on: date | None, today: date, later: int) -> None:
    order = [Freshness.FRESH, Freshness.AGEING, Freshness.STALE]
    before, after = (freshness(confirmed_on, day, DAYS) for day in (today, today + timedelta(days=later)))
    if before is not Freshness.UNKNOWN:
        assert order.index(after) >= order.index(before)


@pytest.mark.parametrize("confirmed_on", [ago(-1), ago(-365), ago(180)])
def test_the_map_relies_on_no_entry_that_the_directory_does_not(confirmed_on: date) -> None:
    kind = Kind("drop_in_space", "drop_in", 4)
    entry = Offer(uuid4(), kind, frozenset(), frozenset(), "has_room", 5, confirmed_on, TODAY)
    assert entry.is_stale(TODAY, Thresholds())
    assert entry.places(TODAY, Thresholds()) == 0


@pytest.mark.parametrize("said", Capacity)
def test_a_word_about_room_is_worth_nothing_after_thirty_days(said: Capacity) -> None:
    assert room_today(said, ago(0), TODAY) is said
    assert room_today(said, ago(29), TODAY) is said
    for day in (ago(30), ago(31), ago(-1), None):
        assert room_today(said, day, TODAY) is Capacity.UNKNOWN


@pytest.mark.parametrize(
    ("room", "fault"),
    [
        (Room(Capacity.HAS_ROOM, 10, 3), None),
        (Room(Capacity.HAS_ROOM, 10, 10), None),
        (Room(Capacity.HAS_ROOM, 10, 11), RoomFault.MORE_FREE_THAN_ALL),
        (Room(Capacity.HAS_ROOM, None, 11), None),
        (Room(Capacity.HAS_ROOM, 10, 0), RoomFault.ROOM_WITHOUT_FREE),
        (Room(Capacity.HAS_ROOM, 10, None), None),
        (Room(Capacity.FULL, 10, 1), RoomFault.FREE_WITHOUT_ROOM),
        (Room(Capacity.FULL, 10, 0), None),
        (Room(Capacity.WAITING_LIST, 10, 1), RoomFault.FREE_WITHOUT_ROOM),
        (Room(Capacity.WAITING_LIST, 10, None), None),
        (Room(Capacity.ASK_FIRST, 10, 1), None),
        (Room(Capacity.ASK_FIRST, 10, 0), None),
        (Room(Capacity.UNKNOWN), None),
    ],
)
def test_a_word_about_room_does_not_contradict_itself(room: Room, fault: RoomFault | None) -> None:
    assert room_fault(room) is fault


@pytest.mark.parametrize("code", ["self_reliance_act_3", "social_welfare_act_106_4", "own", "ordinance", *ACTS])
def test_a_legal_basis_is_an_act_and_its_article(code: str) -> None:
    assert is_legal_basis(code)


@pytest.mark.parametrize("code", ["self_reliance_act_three", "self_reliance", "act_3", "3", "", "own_", "own_1234"])
def test_anything_else_is_no_legal_basis(code: str) -> None:
    assert not is_legal_basis(code)


def test_the_nearest_code_is_named_and_nothing_far_away() -> None:
    known = vocabulary().words("functions")
    assert nearest("dropin_space", known) == "drop_in_space 居場所"
    assert nearest("work_rediness", known) == "work_readiness 就労準備支援"
    assert nearest("居場処", known) == "drop_in_space 居場所", "by its word, too"
    assert nearest("qqqqqqqq", known) is None


def test_the_lists_hold_every_code_that_other_services_use() -> None:
    known = vocabulary()
    assert known.needs.keys() == {code.value for code in (*Topic, *Need)}, "intake's"
    begins = tomllib.loads((ROOT / "services/assessment/instruments/professions.toml").read_text(encoding="utf-8"))
    assert known.words("professions") == {each["code"]: each["japanese"] for each in begins["professions"]}
    for of in ("functions", "targets", "needs", "professions", "kinds", "industries"):
        words = known.words(of)
        assert len({unicodedata.normalize("NFKC", word) for word in words.values()}) == len(words), of


def test_the_list_of_functions_reaches_every_rung_of_the_ladder() -> None:
    known = vocabulary()
    assert len(known.functions) >= 40
    assert {function.stage for function in known.functions.values()} == set(Stage)
    assert all(f.japanese and f.english for f in known.functions.values())
    assert "any" in known.targets
    assert known.days == DAYS


# --- firms -----------------------------------------------------------------------------------------------------------

CERTIFIED = Firm(FirmState.CERTIFIED, None, ago(10), "460001")


def standing(state: FirmState) -> Firm:
    return CERTIFIED if state is FirmState.CERTIFIED else Firm(state, TODAY)


@pytest.mark.parametrize("state", FirmState)
@pytest.mark.parametrize("to", FirmState)
def test_a_firm_goes_where_the_table_says_and_nowhere_else(state: FirmState, to: FirmState) -> None:
    outcome = move_firm(standing(state), standing(to))
    if to in WAYS[state]:
        assert isinstance(outcome, FirmMoved)
        assert outcome.firm.state is to
    else:
        assert outcome == NoWay(WAYS[state])


def test_the_table_of_ways_is_the_one_that_was_decided() -> None:
    assert {(was.value, to.value) for was, ways in WAYS.items() for to in ways} == {
        ("interested", "applying"),
        ("interested", "lapsed"),
        ("applying", "certified"),
        ("applying", "lapsed"),
        ("certified", "lapsed"),
        ("lapsed", "interested"),
    }


@pytest.mark.parametrize(
    ("firm", "fault"),
    [
        (CERTIFIED, None),
        (Firm(FirmState.CERTIFIED, None, None, "460001"), FirmFault.CERTIFICATE_MISSING),
        (Firm(FirmState.CERTIFIED, None, TODAY, None), FirmFault.CERTIFICATE_MISSING),
        (Firm(FirmState.APPLYING, TODAY, TODAY, None), FirmFault.CERTIFICATE_TOO_EARLY),
        (Firm(FirmState.INTERESTED, TODAY, None, "460001"), FirmFault.CERTIFICATE_TOO_EARLY),
        (Firm(FirmState.INTERESTED, None), FirmFault.FOLLOW_UP_MISSING),
        (Firm(FirmState.APPLYING, None), FirmFault.FOLLOW_UP_MISSING),
        (Firm(FirmState.LAPSED, None), None),
        (Firm(FirmState.LAPSED, None, TODAY, "460001"), None),
    ],
)
def test_what_is_told_about_a_firm_fits_its_state(firm: Firm, fault: FirmFault | None) -> None:
    assert firm_fault(firm) is fault


def test_a_certificate_stays_on_record_when_it_lapses() -> None:
    assert move_firm(CERTIFIED, Firm(FirmState.LAPSED, None)) == FirmMoved(
        Firm(FirmState.LAPSED, None, CERTIFIED.certified_on, CERTIFIED.certified_by)
    )


def test_what_is_told_of_a_lapsed_firm_takes_no_certificate_away() -> None:
    nothing, corrected = Firm(FirmState.LAPSED, None), Firm(FirmState.LAPSED, None, ago(20), "462012")
    lapsed = Firm(FirmState.LAPSED, None, CERTIFIED.certified_on, CERTIFIED.certified_by)
    assert tell_firm(CERTIFIED, nothing) == FirmMoved(lapsed)
    assert tell_firm(lapsed, nothing) == FirmMoved(lapsed)
    assert tell_firm(lapsed, corrected) == FirmMoved(corrected)
    assert tell_firm(CERTIFIED, Firm(FirmState.CERTIFIED, None)) is FirmFault.CERTIFICATE_MISSING
    assert tell_firm(CERTIFIED, Firm(FirmState.APPLYING, TODAY)) == NoWay(WAYS[FirmState.CERTIFIED])


def test_a_step_without_what_it_needs_is_not_made() -> None:
    applying = Firm(FirmState.APPLYING, TODAY)
    assert move_firm(applying, Firm(FirmState.CERTIFIED, None)) is FirmFault.CERTIFICATE_MISSING


def test_a_call_changes_the_day_and_nothing_else() -> None:
    later = ago(-30)
    assert call_firm(CERTIFIED, Firm(FirmState.CERTIFIED, later)) == FirmMoved(
        Firm(FirmState.CERTIFIED, later, CERTIFIED.certified_on, CERTIFIED.certified_by)
    )
    assert call_firm(Firm(FirmState.APPLYING, TODAY), Firm(FirmState.APPLYING, None)) is FirmFault.FOLLOW_UP_MISSING


def test_a_firm_is_called_on_its_day_and_after_it() -> None:
    assert [is_due(Firm(FirmState.INTERESTED, day), TODAY) for day in (ago(1), TODAY, ago(-1), None)] == [
        True,
        True,
        False,
        False,
    ]
