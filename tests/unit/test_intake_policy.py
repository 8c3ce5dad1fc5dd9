"""Who may see what: the table's rows as sentences, and twenty thousand random cases against an oracle of our own."""

import random
from datetime import date, timedelta
from itertools import product

import pytest

from services.intake.domain.cases import Consent, ConsentState
from services.intake.domain.policy import (
    GRANTS,
    Action,
    Allowed,
    Basis,
    Caller,
    Denied,
    Hidden,
    Purpose,
    Record,
    Standing,
    decide,
)
from services.intake.domain.sheet import FIELDS, FieldSet, fields_of

TODAY = date(2026, 11, 25)
HOLDER = Caller("desk", serves=True, counsels=True)
NPO = Caller("npo", serves=True, counsels=True)
FAR = Caller("far", serves=False, counsels=True)


def consent(*purposes: str, to: tuple[str, ...] = (), until: date | None = None, state: str = "given") -> Consent:
    return Consent(ConsentState(state), frozenset(purposes), frozenset(to), until)


def record(said: Consent | None = None, *, violence: bool = False) -> Record:
    return Record(holder="desk", opened_by="opener", violence=violence, consent=said)


def asked(caller: Caller, about: Record, purpose: Purpose = Purpose.REFERRAL, action: Action = Action.READ) -> object:
    return decide(caller, action, about, purpose=purpose, today=TODAY)


def test_the_holder_sees_everything_on_its_own_duty() -> None:
    assert asked(HOLDER, record(violence=True)) == Allowed(Basis.OWN_DUTY, frozenset(FieldSet))


def test_serving_the_municipality_is_no_basis() -> None:
    assert asked(NPO, record()) == Denied("no_basis")


def test_having_opened_the_case_is_no_basis_once_another_holds_it() -> None:
    assert asked(Caller("opener", serves=False, counsels=True), record()) == Denied("no_basis")


def test_whose_business_it_is_not_learns_not_even_that_it_exists() -> None:
    assert asked(FAR, record(consent("referral"))) == Hidden()


def test_consent_that_names_an_agency_reaches_it_anywhere() -> None:
    allowed = asked(FAR, record(consent("referral", to=("far",))))
    assert isinstance(allowed, Allowed)
    assert allowed.basis is Basis.CONSENT


@pytest.mark.parametrize(
    "said",
    [
        consent("referral", until=TODAY - timedelta(days=1)),
        consent("training"),
        consent("referral", to=("somebody",)),
        consent("referral", state="withdrawn"),
        consent("referral", state="refused"),
        consent("referral", state="not_yet"),
    ],
)
def test_consent_that_does_not_reach_so_far_is_no_basis(said: Consent) -> None:
    assert asked(NPO, record(said)) == Denied("no_basis")


def test_on_its_last_day_consent_still_stands() -> None:
    assert isinstance(asked(NPO, record(consent("referral", until=TODAY))), Allowed)


def test_health_is_shown_for_no_training() -> None:
    allowed = asked(NPO, record(consent("training")), Purpose.TRAINING)
    assert isinstance(allowed, Allowed)
    assert "health_note" not in fields_of(allowed.sets)


def test_a_recipient_writes_nothing() -> None:
    assert asked(NPO, record(consent("referral")), action=Action.WRITE) == Denied("not_yours")


def test_without_the_counsellors_role_there_is_nothing_to_see_not_even_for_the_holders_agency() -> None:
    assert asked(Caller("desk", serves=True, counsels=False), record()) == Hidden()


def test_every_field_of_the_sheet_belongs_to_a_set_and_every_set_has_fields() -> None:
    assert {field.set for field in FIELDS.values()} == set(FieldSet)


def test_the_table_names_no_standing_that_may_see_nothing() -> None:
    assert not {standing for standing, _ in GRANTS} & {Standing.CONCERNED, Standing.STRANGER}


# --- the oracle -----------------------------------------------------------------------------------------------------


def oracle(caller: Caller, action: Action, about: Record, purpose: Purpose) -> tuple[str, str, frozenset[str]]:
    """The rules again, from the issue's and the law's words, field by field, without a line of the service's code."""
    nothing: frozenset[str] = frozenset()
    said = about.consent
    named = said is not None and caller.agency in said.recipients
    if not caller.counsels:
        return "hidden", "", nothing
    if caller.agency == about.holder:
        may = {
            "read": True,
            "write": purpose.value == "support",
            "record": purpose.value == "support",
            "export": purpose.value in ("support", "referral", "disclosure"),
            "accesses": purpose.value in ("support", "disclosure"),
        }[action.value]
        if not may:
            return "denied", "other_purpose", nothing
        sees = {"accesses": nothing, "record": frozenset({"story", "next_step"})}
        return "allowed", "appi_69_2_2", sees.get(action.value, frozenset(FIELDS))
    if not (caller.serves or caller.agency == about.opened_by or named):
        return "hidden", "", nothing
    in_force = (
        said is not None
        and said.state.value == "given"
        and not (said.valid_until is not None and said.valid_until < TODAY)
        and purpose.value in said.purposes
        and (len(said.recipients) == 0 or named)
    )
    if not in_force:
        if caller.serves or caller.agency == about.opened_by:
            return "denied", "no_basis", nothing
        return "hidden", "", nothing
    if action.value not in ("read", "record"):
        return "denied", "not_yours", nothing
    if action.value == "record":
        if purpose.value == "training":
            return "denied", "other_purpose", nothing
        return "allowed", "consent", frozenset({"story", "next_step"})
    who = {"name", "kana", "previous_name", "sex", "birth_date"}
    where = {"postcode", "address", "phone", "other_phone", "email", "contact_note"}
    told = {"story", "next_step"}
    inner = {"health_note", "family_note"}
    seen = {
        "referral": who | where | told,
        "training": who | where,
        "assessment": who | inner | told,
        "case_conference": who | inner | told,
    }[purpose.value]
    if about.violence:
        seen = seen - where
    return "allowed", "consent", frozenset(seen)


def _told(decision: Allowed | Denied | Hidden) -> tuple[str, str, frozenset[str]]:
    match decision:
        case Allowed(basis, sets):
            return "allowed", basis.value, frozenset(fields_of(sets))
        case Denied(reason):
            return "denied", reason, frozenset()
        case Hidden():
            return "hidden", "", frozenset()


def test_twenty_thousand_random_decisions_are_the_oracles() -> None:
    chance = random.Random(20_000)
    agencies = ("desk", "npo", "school", "far")
    kinds = set()
    for _ in range(20_000):
        caller = Caller(chance.choice(agencies), serves=chance.random() < 0.5, counsels=chance.random() < 0.9)
        said = None
        if chance.random() < 0.8:
            # Purposes of consent are intake's four; the others can't be consented to.
            purposes = chance.sample(("assessment", "case_conference", "referral", "training"), chance.randrange(5))
            until = chance.choice((None, TODAY, TODAY - timedelta(days=1), TODAY + timedelta(days=9)))
            state = chance.choice(("given", "given", "given", "not_yet", "refused", "withdrawn"))
            said = consent(*purposes, to=tuple(chance.sample(agencies, chance.randrange(3))), until=until, state=state)
        about = Record(chance.choice(agencies), chance.choice(agencies), chance.random() < 0.3, said)
        action, purpose = chance.choice(list(Action)), chance.choice(list(Purpose))
        expected = oracle(caller, action, about, purpose)
        assert _told(decide(caller, action, about, purpose=purpose, today=TODAY)) == expected
        kinds.add(expected[:2])
    assert len(kinds) >= 6, "every kind of outcome was met"


def test_no_combination_is_left_undecided() -> None:
    for action, purpose, said, violence in product(Action, Purpose, (None, consent("referral")), (True, False)):
        assert asked(NPO, record(said, violence=violence), purpose, action)
