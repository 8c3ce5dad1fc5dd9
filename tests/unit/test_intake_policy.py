"""Who may see what: the table's rows as sentences, and twenty thousand random cases against an oracle of our own."""

import random
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from itertools import product
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from services.intake.api.disclosures import AddDisclosure
from services.intake.api.records import AddRecord
from services.intake.domain.cases import Consent, ConsentState, SharedFor
from services.intake.domain.meetings import Basis, Meeting, MeetingKind
from services.intake.domain.policy import (
    GRANTS,
    NEEDS,
    Action,
    Allowed,
    Caller,
    Denied,
    Disclosure,
    Hidden,
    Purpose,
    Record,
    Standing,
    decide,
)
from services.intake.domain.sheet import FIELDS, FieldSet, fields_of
from services.intake.handlers.access import judged
from shared.auth import Role

TODAY = date(2026, 11, 25)
YESTERDAY, TOMORROW = TODAY - timedelta(days=1), TODAY + timedelta(days=1)
NOW = datetime(2026, 11, 25, 3, 0, tzinfo=UTC)
C = frozenset({"counsellor"})
HOLDER = Caller("desk", serves=True, roles=C)
NPO = Caller("npo", serves=True, roles=C, kind="npo")
WELFARE = replace(NPO, kind="welfare_office")
FAR = Caller("far", serves=False, roles=C)
NIGHT = Caller("night", serves=True, roles=frozenset({"emergency"}))


def consent(*purposes: str, to: tuple[str, ...] = (), state: str = "given", **more: Any) -> Consent:
    return Consent(ConsentState(state), frozenset(purposes), frozenset(to), **more)


@dataclass(frozen=True)
class About:
    """A case as its facts say, before anybody judged the consent."""

    consent: Consent | None = None
    violence: bool = False
    holder: str = "desk"
    opened_by: str = "opener"
    disclosures: tuple[Disclosure, ...] = ()
    emergency_ends_at: datetime | None = None
    reviewers: frozenset[str] = frozenset()
    meeting: Meeting | None = None
    use_stopped: bool = False


def disclosed(basis: Basis = Basis.INTEREST, **more: Any) -> Disclosure:
    sets = frozenset({FieldSet.IDENTITY, FieldSet.HEALTH})
    return replace(Disclosure("npo", Purpose.SUPPORT, sets, basis, TODAY), **more)


def asked(
    caller: Caller,
    about: About,
    purpose: Purpose = Purpose.REFERRAL,
    action: Action = Action.READ,
    basis: Basis | None = None,
) -> Allowed | Denied | Hidden:
    """The decision, with consent judged where every service judges it."""
    record = Record(
        holder=about.holder,
        opened_by=about.opened_by,
        violence=about.violence,
        consent=judged(about.consent, caller.agency, purpose=purpose, today=TODAY),
        disclosures=about.disclosures,
        emergency_ends_at=about.emergency_ends_at,
        reviewers=about.reviewers,
        meeting=about.meeting,
        use_stopped=about.use_stopped,
    )
    return decide(caller, action, record, purpose=purpose, today=TODAY, now=NOW, basis=basis)


def seen(decision: Allowed | Denied | Hidden) -> set[str]:
    assert isinstance(decision, Allowed), decision
    return set(fields_of(decision.sets))


# --- the case -------------------------------------------------------------------------------------------------------


def test_the_holder_sees_everything_on_its_own_duty() -> None:
    assert asked(HOLDER, About(violence=True)) == Allowed(Basis.OWN_DUTY, frozenset(FieldSet))


def test_where_use_has_been_stopped_the_holder_tells_the_person_and_nobody_anybody() -> None:
    about = About(consent=consent("referral", "training", to=("npo", "far")), disclosures=(disclosed(),))
    allowed = 0
    for purpose, action, caller in product(Purpose, Action, (HOLDER, NPO, FAR)):
        before = asked(caller, about, purpose, action)
        after = asked(caller, replace(about, use_stopped=True), purpose, action)
        if isinstance(before, Allowed) and not (caller is HOLDER and purpose is Purpose.DISCLOSURE):
            allowed += 1
            assert isinstance(after, Denied), (purpose, action, caller)
        else:
            assert after == before, (purpose, action, caller)
    assert allowed > 5
    stopped = About(use_stopped=True)
    assert asked(HOLDER, stopped, Purpose.DISCLOSURE) == Allowed(Basis.OWN_DUTY, frozenset(FieldSet))
    assert asked(HOLDER, stopped, Purpose.SUPPORT) == Denied("use_stopped")


@pytest.mark.parametrize("action", [Action.WRITE, Action.EXPORT, Action.ACCESSES, Action.DISCLOSE])
def test_who_asks_for_what_is_the_holders_alone_is_told_so_and_a_stranger_nothing(action: Action) -> None:
    for caller in (NPO, NIGHT, Caller("opener", serves=False, roles=C)):
        assert asked(caller, About(), Purpose.SUPPORT, action) == Denied("not_yours")
    assert asked(FAR, About(), Purpose.SUPPORT, action) == Hidden()


def test_serving_the_municipality_is_no_basis() -> None:
    assert asked(NPO, About()) == Denied("no_basis")


def test_having_opened_the_case_is_no_basis_once_another_holds_it() -> None:
    assert asked(Caller("opener", serves=False, roles=C), About()) == Denied("no_basis")


def test_whose_business_it_is_not_learns_not_even_that_it_exists() -> None:
    assert asked(FAR, About(consent("referral"))) == Hidden()


@pytest.mark.parametrize("roles", [set(), {"directory"}, {"planner", "observer", "operator"}])
def test_without_work_with_people_there_is_nothing_to_see_not_even_for_the_holders_agency(roles: set[str]) -> None:
    caller = Caller("desk", serves=True, roles=frozenset(roles))
    assert asked(caller, About(consent("referral", to=("desk",)))) == Hidden()


def test_roles_are_called_as_in_tokens() -> None:
    assert {role for caller in (HOLDER, NIGHT) for role in caller.roles} <= {role.value for role in Role}


# --- consent --------------------------------------------------------------------------------------------------------


def test_consent_that_names_an_agency_reaches_it_anywhere() -> None:
    allowed = asked(FAR, About(consent("referral", to=("far",))))
    assert isinstance(allowed, Allowed)
    assert allowed.basis is Basis.CONSENT


@pytest.mark.parametrize(
    "said",
    [
        consent("referral", valid_until=YESTERDAY),
        consent("referral", valid_from=TOMORROW),
        consent("training"),
        consent("referral", to=("somebody",)),
        consent("referral", categories=frozenset({"health"})),
        consent("referral", state="withdrawn"),
        consent("referral", state="refused"),
        consent("referral", state="not_yet"),
    ],
)
def test_consent_that_does_not_reach_so_far_is_no_basis(said: Consent) -> None:
    assert asked(NPO, About(said)) == Denied("no_basis")


def test_on_its_first_and_its_last_day_consent_stands() -> None:
    assert isinstance(asked(NPO, About(consent("referral", valid_from=TODAY, valid_until=TODAY))), Allowed)


def test_illness_is_shown_only_where_consent_names_it() -> None:
    for purpose in (Purpose.ASSESSMENT, Purpose.CASE_CONFERENCE):
        unnamed = consent(purpose.value)
        assert "health_note" not in seen(asked(NPO, About(unnamed), purpose))
        named = replace(unnamed, categories=frozenset({"identity", "health"}))
        assert seen(asked(NPO, About(named), purpose)) == set(fields_of({FieldSet.IDENTITY, FieldSet.HEALTH}))


def test_no_consent_shows_more_than_its_purpose_needs() -> None:
    everything = frozenset(str(each) for each in FieldSet)
    assert "health_note" not in seen(asked(NPO, About(consent("training", categories=everything)), Purpose.TRAINING))


def test_a_recipient_writes_nothing() -> None:
    assert asked(NPO, About(consent("referral")), action=Action.WRITE) == Denied("not_yours")


def test_each_role_sees_what_its_work_needs() -> None:
    said = About(consent("referral", "training", "assessment"))
    school = Caller("school", serves=True, roles=frozenset({"provider"}))
    office = Caller("office", serves=True, roles=frozenset({"hello_work"}))
    assert seen(asked(school, said, Purpose.TRAINING)) == set(fields_of({FieldSet.IDENTITY, FieldSet.CONTACT}))
    assert asked(school, said, Purpose.REFERRAL) == Denied("no_basis")
    assert "story" in seen(asked(office, said, Purpose.REFERRAL))
    assert asked(office, said, Purpose.ASSESSMENT) == Denied("no_basis")


# --- disclosures ----------------------------------------------------------------------------------------------------


def test_a_disclosure_shows_what_was_named_for_what_it_was_named_until_its_last_day() -> None:
    about = About(disclosures=(disclosed(),))
    assert asked(NPO, about, Purpose.SUPPORT) == Allowed(
        Basis.INTEREST, frozenset({FieldSet.IDENTITY, FieldSet.HEALTH})
    )
    assert asked(NPO, about, Purpose.REFERRAL) == Denied("no_basis")
    assert asked(FAR, about, Purpose.SUPPORT) == Hidden()
    assert asked(NPO, About(disclosures=(disclosed(until=YESTERDAY),)), Purpose.SUPPORT) == Denied("no_basis")


def test_a_disclosure_makes_the_case_known_to_its_recipient_anywhere() -> None:
    about = About(disclosures=(disclosed(recipient="far"),))
    assert isinstance(asked(FAR, about, Purpose.SUPPORT), Allowed)
    assert asked(FAR, about, Purpose.REFERRAL) == Hidden()


def test_a_disclosure_on_consent_reaches_as_far_as_consent_does_that_day() -> None:
    made = disclosed(Basis.CONSENT, purpose=Purpose.REFERRAL, sets=frozenset({FieldSet.IDENTITY, FieldSet.STORY}))
    assert asked(NPO, About(disclosures=(made,))) == Denied("no_basis")
    about = About(consent("referral", categories=frozenset({"story"})), disclosures=(made,))
    assert seen(asked(NPO, about)) == set(fields_of({FieldSet.STORY}))


def test_with_a_basis_named_only_that_one_counts() -> None:
    about = About(consent("referral"), disclosures=(disclosed(purpose=Purpose.REFERRAL),))
    assert "health_note" not in seen(asked(NPO, about))
    assert "health_note" in seen(asked(NPO, about, basis=Basis.INTEREST))
    assert asked(NPO, about, basis=Basis.OWN_DUTY) == Denied("no_basis")
    assert asked(HOLDER, about, basis=Basis.INTEREST) == Denied("no_basis")


def test_another_public_bodys_duty_is_a_basis_for_a_public_body_alone() -> None:
    about = About(disclosures=(disclosed(Basis.OTHER_DUTY),))
    for basis in (None, Basis.OTHER_DUTY):
        assert isinstance(asked(WELFARE, about, Purpose.SUPPORT, basis=basis), Allowed)
        for kind in ("npo", "self_reliance_desk", "social_welfare_council", "training_provider", ""):
            entrusted = replace(NPO, kind=kind)
            assert asked(entrusted, about, Purpose.SUPPORT, basis=basis) == Denied("not_a_public_body"), kind
    elsewhere = replace(FAR, kind="npo")
    to_far = About(disclosures=(disclosed(Basis.OTHER_DUTY, recipient="far"),))
    assert asked(elsewhere, to_far, Purpose.SUPPORT) == Denied("not_a_public_body"), "what was let it read, it knows of"
    both = About(disclosures=(disclosed(Basis.OTHER_DUTY), disclosed(Basis.INTEREST)))
    assert asked(NPO, both, Purpose.SUPPORT) == asked(NPO, About(disclosures=(disclosed(),)), Purpose.SUPPORT)


def test_the_holder_alone_discloses() -> None:
    assert isinstance(asked(HOLDER, About(), Purpose.SUPPORT, Action.DISCLOSE), Allowed)
    assert asked(NPO, About(consent("referral")), Purpose.REFERRAL, Action.DISCLOSE) == Denied("not_yours")


def test_where_there_was_violence_the_way_to_the_person_is_the_holders_alone_on_every_basis() -> None:
    every = frozenset(FieldSet)
    about = About(
        consent("referral"),
        violence=True,
        disclosures=tuple(disclosed(basis, sets=every) for basis in Basis),
        emergency_ends_at=NOW + timedelta(minutes=1),
    )
    caller = replace(NPO, roles=frozenset({"counsellor", "emergency"}))
    for purpose, basis in product(Purpose, (None, *Basis)):
        decision = asked(caller, about, purpose, basis=basis)
        if isinstance(decision, Allowed):
            assert not decision.sets & {FieldSet.CONTACT, FieldSet.PROXY}


# --- emergencies ----------------------------------------------------------------------------------------------------


def test_an_emergency_is_declared_by_whom_the_case_concerns_and_who_has_the_right_to() -> None:
    def declared(caller: Caller) -> Allowed | Denied | Hidden:
        return asked(caller, About(), Purpose.SUPPORT, Action.DECLARE)

    assert declared(NIGHT) == Allowed(Basis.EMERGENCY, frozenset())
    assert declared(NPO) == Denied("no_basis")
    assert declared(replace(NIGHT, serves=False)) == Hidden()
    assert declared(Caller("desk", serves=True, roles=frozenset({"counsellor", "emergency"}))) == Denied("not_yours")


def test_an_emergency_is_read_for_its_hour_by_name_and_is_good_for_nothing_else() -> None:
    open_ = About(emergency_ends_at=NOW + timedelta(seconds=1))
    assert seen(asked(NIGHT, open_, Purpose.SUPPORT, basis=Basis.EMERGENCY)) == set(FIELDS)
    assert asked(NIGHT, open_, Purpose.SUPPORT) == Denied("no_basis")
    for action in (Action.WRITE, Action.EXPORT, Action.ACCESSES, Action.DISCLOSE):
        assert isinstance(asked(NIGHT, open_, Purpose.SUPPORT, action, Basis.EMERGENCY), Denied)
    over = About(emergency_ends_at=NOW)
    assert asked(NIGHT, over, Purpose.SUPPORT, basis=Basis.EMERGENCY) == Denied("no_basis")
    without_the_right = replace(NIGHT, roles=C)
    assert asked(without_the_right, open_, Purpose.SUPPORT, basis=Basis.EMERGENCY) == Denied("no_basis")


def test_who_was_told_judges_an_emergency() -> None:
    about = About(reviewers=frozenset({"far"}))
    assert isinstance(asked(FAR, about, Purpose.SUPPORT, Action.REVIEW), Allowed)
    assert isinstance(asked(NPO, about, Purpose.SUPPORT, Action.REVIEW), Denied)


# --- meetings -------------------------------------------------------------------------------------------------------

KAIGI = Meeting(MeetingKind.SHIEN_KAIGI, TODAY, "desk", frozenset({"desk", "npo"}))


def in_meeting(caller: Caller, meeting: Meeting, action: Action = Action.READ, **more: Any) -> object:
    about = About(consent("case_conference", to=(caller.agency,)), meeting=meeting)
    return asked(caller, about, more.pop("purpose", Purpose.MEETING), action, **more)


def test_a_statutory_meeting_is_open_to_its_members_on_its_day() -> None:
    allowed = Allowed(Basis.SHIEN_KAIGI, frozenset())
    assert in_meeting(NPO, KAIGI) == in_meeting(NPO, KAIGI, Action.WRITE) == allowed
    assert in_meeting(NPO, replace(KAIGI, held_on=TOMORROW)) == Denied("meeting_to_come")
    assert in_meeting(NPO, replace(KAIGI, held_on=YESTERDAY)) == Denied("meeting_over")


def test_who_is_no_member_does_not_learn_of_a_meeting_not_even_as_the_cases_holder() -> None:
    assert in_meeting(FAR, KAIGI) == Hidden()
    assert in_meeting(HOLDER, replace(KAIGI, convened_by="npo", members=frozenset({"npo"}))) == Hidden()
    assert in_meeting(Caller("npo", serves=True, roles=frozenset({"emergency"})), KAIGI) == Hidden()


def test_after_its_day_the_convening_desk_reads_back_what_it_wrote_itself() -> None:
    over = replace(KAIGI, held_on=YESTERDAY)
    assert in_meeting(HOLDER, replace(over, written_by="desk")) == Allowed(Basis.SHIEN_KAIGI, frozenset())
    assert in_meeting(HOLDER, replace(over, written_by="npo")) == Denied("meeting_over")
    assert in_meeting(NPO, replace(over, written_by="npo")) == Denied("meeting_over")
    assert in_meeting(HOLDER, replace(over, written_by="desk"), Action.WRITE) == Denied("meeting_over")


def test_no_other_basis_and_no_other_purpose_opens_a_meeting() -> None:
    for basis in set(Basis) - {Basis.SHIEN_KAIGI}:
        assert in_meeting(NPO, KAIGI, basis=basis) == Denied("no_basis")
    for purpose in set(Purpose) - {Purpose.MEETING}:
        assert in_meeting(NPO, KAIGI, purpose=purpose) == Denied("other_purpose")
    for action in set(Action) - {Action.READ, Action.WRITE}:
        assert in_meeting(NPO, KAIGI, action) == Denied("not_yours")


def test_a_meetings_basis_opens_nothing_outside_it() -> None:
    for basis, action, purpose in product((Basis.SHIEN_KAIGI, Basis.CHOSEI_KAIGI), Action, Purpose):
        assert asked(NPO, About(consent("referral")), purpose, action, basis) == Denied("no_basis")


# --- the table ------------------------------------------------------------------------------------------------------


def test_every_field_of_the_sheet_belongs_to_a_set_and_every_set_has_fields() -> None:
    assert {field.set for field in FIELDS.values()} == set(FieldSet)


def test_the_table_names_no_standing_that_may_see_nothing() -> None:
    assert not {standing for standing, _ in GRANTS} & {Standing.CONCERNED, Standing.STRANGER}


def test_nobody_but_the_holder_writes_exports_or_discloses() -> None:
    changing = {Action.WRITE, Action.EXPORT, Action.DISCLOSE}
    assert {standing for standing, action in GRANTS if action in changing} == {Standing.HOLDER, Standing.MEMBER}


# --- the oracle -----------------------------------------------------------------------------------------------------

WHO = {"name", "kana", "previous_name", "sex", "birth_date"}
WHERE = {"postcode", "address", "phone", "other_phone", "email", "contact_note"}
CAME_FOR_THEM = {"proxy_name", "proxy_phone", "proxy_relation"}
TOLD = {"story", "next_step"}
IN_SET = {
    "identity": WHO, "contact": WHERE, "proxy": CAME_FOR_THEM, "health": {"health_note"}, "family": {"family_note"},
    "story": TOLD,
}  # fmt: skip
MEETS_PEOPLE = {"counsellor", "placement", "hello_work", "provider"}
KINDS = (
    "self_reliance_desk", "welfare_office", "municipality", "npo", "social_welfare_council", "work_readiness",
    "certified_work_training", "host_workplace", "municipal_placement", "hello_work", "public_training",
    "training_provider", "prefecture", "region", "health_centre", "child_guidance_centre", "",
)  # fmt: skip
PUBLIC = {
    "welfare_office", "municipality", "municipal_placement", "hello_work", "public_training", "prefecture",
    "health_centre", "child_guidance_centre",
}  # fmt: skip
IN_THE_ORDER_OF_THE_LAW = [
    "consent", "shien_kaigi_art9", "chosei_kaigi_27_3", "appi_69_2_2", "appi_69_2_3", "appi_69_2_4", "emergency",
]  # fmt: skip

OWN_WORK = {
    "read": {"support", "assessment", "case_conference", "referral", "training", "disclosure"},
    "write": {"support"},
    "record": {"support"},
    "export": {"support", "referral", "disclosure"},
    "accesses": {"support", "disclosure"},
    "disclose": {"support", "assessment", "case_conference", "referral", "training"},
}

Said = tuple[str, str, frozenset[str]]
NO: Said = ("denied", "", frozenset())
UNKNOWN: Said = ("hidden", "", frozenset())


def oracle(caller: Caller, action: str, about: About, purpose: str, basis: str | None) -> Said:
    """The rules again, from the issue's and the law's words, field by field, without a line of the service's code."""
    if about.meeting is not None:
        return _oracle_of_meetings(caller, action, about.meeting, purpose, basis)
    if not caller.roles & (MEETS_PEOPLE | {"emergency"}):
        return UNKNOWN
    its_business = caller.serves or caller.agency in (about.holder, about.opened_by)
    agreed = _oracle_of_consent(caller, about.consent, purpose)
    named = about.consent is not None and caller.agency in about.consent.recipients
    reached = agreed if its_business or named else set()
    let_read = _oracle_of_disclosures(caller, about, purpose, agreed)
    judges = caller.agency in about.reviewers and "counsellor" in caller.roles
    if not (its_business or reached or let_read or judges):
        return UNKNOWN

    ways: list[tuple[str, set[str]]] = []
    if caller.agency == about.holder and "counsellor" in caller.roles and purpose in OWN_WORK.get(action, ()):
        whole = set(FIELDS) if action in ("read", "write", "export") else set()
        ways.append(("appi_69_2_2", TOLD if action == "record" else whole))
    if judges and (action, purpose) == ("review", "support"):
        ways.append(("appi_69_2_2", set()))
    if action == "read":
        readable = [("consent", reached), *((name, let_read.get(name, set())) for name in IN_THE_ORDER_OF_THE_LAW)]
        readable = [(name, fields) for name, fields in readable if name != "appi_69_2_3" or caller.kind in PUBLIC]
        hour_runs = about.emergency_ends_at is not None and about.emergency_ends_at > NOW
        if "emergency" in caller.roles and its_business and hour_runs and (purpose, basis) == ("support", "emergency"):
            readable.append(("emergency", set(FIELDS)))
        secret = WHERE | CAME_FOR_THEM if about.violence else set()
        ways += [(name, fields - secret) for name, fields in readable if fields - secret]
    if action == "record" and reached & TOLD:
        ways.append(("consent", TOLD))
    may_declare = "emergency" in caller.roles and its_business and caller.agency != about.holder
    if may_declare and (action, purpose) == ("declare", "support"):
        ways.append(("emergency", set()))
    for name, fields in ways:
        if basis in (None, name):
            return "allowed", name, frozenset(fields)
    return NO


def _oracle_of_disclosures(caller: Caller, about: About, purpose: str, agreed: set[str]) -> dict[str, set[str]]:
    works_for = {"counsellor"}
    if purpose in ("referral", "training"):
        works_for |= {"placement", "hello_work"}
    if purpose == "training":
        works_for |= {"provider"}
    let_read: dict[str, set[str]] = {}
    for one in about.disclosures:
        to_them = one.recipient == caller.agency and one.purpose.value == purpose
        if to_them and caller.roles & works_for and not one.until < TODAY:
            fields = set().union(*(IN_SET[each.value] for each in one.sets))
            if one.basis.value == "consent":
                fields &= agreed
            let_read.setdefault(one.basis.value, set()).update(fields)
    return {basis: fields for basis, fields in let_read.items() if fields}


def _oracle_of_consent(caller: Caller, said: Consent | None, purpose: str) -> set[str]:
    if said is None or said.state.value != "given" or purpose not in said.purposes:
        return set()
    if (said.valid_from and said.valid_from > TODAY) or (said.valid_until and said.valid_until < TODAY):
        return set()
    if said.recipients and caller.agency not in said.recipients:
        return set()
    needed = {
        "referral": WHO | WHERE | TOLD,
        "training": WHO | WHERE,
        "assessment": WHO | {"health_note", "family_note"} | TOLD,
        "case_conference": WHO | {"health_note", "family_note"} | TOLD,
    }[purpose]
    works_for = {
        "counsellor": {"referral", "training", "assessment", "case_conference"},
        "placement": {"referral", "training"},
        "hello_work": {"referral", "training"},
        "provider": {"training"},
    }
    if not any(purpose in works_for.get(role, set()) for role in caller.roles):
        return set()
    if said.categories:
        return needed & set().union(*(IN_SET[category] for category in said.categories))
    return needed - {"health_note"}


def _oracle_of_meetings(caller: Caller, action: str, meeting: Meeting, purpose: str, basis: str | None) -> Said:
    if caller.agency not in meeting.members or not caller.roles & MEETS_PEOPLE:
        return UNKNOWN
    own = {
        "shien_kaigi": "shien_kaigi_art9", "chosei_kaigi_27_3": "chosei_kaigi_27_3", "shien_chosei_kaigi": "consent"
    }[meeting.kind.value]  # fmt: skip
    if basis not in (None, own) or purpose != "meeting":
        return NO
    on_the_day = meeting.held_on == TODAY and action in ("read", "write")
    back = meeting.held_on < TODAY and action == "read" and caller.agency == meeting.convened_by == meeting.written_by
    return ("allowed", own, frozenset()) if on_the_day or back else NO


def _told(decision: Allowed | Denied | Hidden) -> Said:
    match decision:
        case Allowed(basis, sets):
            return "allowed", basis.value, frozenset(fields_of(sets))
        case Denied():
            return NO
        case Hidden():
            return UNKNOWN


AGENCIES = ("desk", "npo", "school", "far")


def _anything(chance: random.Random) -> tuple[Caller, About]:
    """Any case, with what people would do more often than what nobody would: else nearly every answer is no."""
    roles = [role for role in (*sorted(MEETS_PEOPLE), "emergency", "observer") if chance.random() < 0.4]
    roles += ["counsellor"] if chance.random() < 0.4 else []
    kind = chance.choice((*KINDS, *sorted(PUBLIC)))
    caller = Caller(chance.choice(AGENCIES), serves=chance.random() < 0.5, roles=frozenset(roles), kind=kind)
    days = (None, None, TODAY, YESTERDAY, TOMORROW)
    said = None
    if chance.random() < 0.8:
        said = consent(
            *chance.sample(("assessment", "case_conference", "referral", "training"), chance.randrange(5)),
            to=tuple(chance.sample(AGENCIES, chance.randrange(3))),
            state=chance.choice(("given", "given", "given", "given", "not_yet", "refused", "withdrawn")),
            valid_from=chance.choice(days),
            valid_until=chance.choice(days),
            categories=frozenset(chance.sample(list(IN_SET), chance.choice((0, 0, 1, 2, 4)))),
        )
        said = said if said.purposes else replace(said, state=ConsentState.NOT_YET)  # as the database has it
    made = [
        Disclosure(
            recipient=chance.choice(AGENCIES),
            purpose=chance.choice((Purpose.SUPPORT, Purpose.ASSESSMENT, Purpose.REFERRAL, Purpose.TRAINING)),
            sets=frozenset(chance.sample(list(FieldSet), chance.randrange(1, 4))),
            basis=chance.choice((Basis.CONSENT, Basis.OWN_DUTY, Basis.OTHER_DUTY, Basis.INTEREST, Basis.EMERGENCY)),
            until=chance.choice((YESTERDAY, TODAY, TOMORROW)),
        )
        for _ in range(chance.choice((0, 2, 6, 9)))
    ]
    meeting = None
    if chance.random() < 0.25:
        meeting = Meeting(
            kind=chance.choice(list(MeetingKind)),
            held_on=chance.choice((YESTERDAY, TODAY, TODAY, TOMORROW)),
            convened_by=chance.choice(AGENCIES),
            members=frozenset(chance.sample(AGENCIES, chance.randrange(2, 5))),
            written_by=chance.choice((None, *AGENCIES)),
        )
    return caller, About(
        consent=said,
        violence=chance.random() < 0.3,
        holder=chance.choice(AGENCIES),
        opened_by=chance.choice(AGENCIES),
        disclosures=tuple(made),
        emergency_ends_at=chance.choice((None, NOW, NOW + timedelta(minutes=59), NOW - timedelta(minutes=1))),
        reviewers=frozenset(chance.sample(AGENCIES, chance.choice((0, 0, 1, 2)))),
        meeting=meeting,
    )


def _any_question(chance: random.Random, about: About) -> tuple[Action, Purpose, Basis | None]:
    action = Action.READ if chance.random() < 0.6 else chance.choice(list(Action))
    usual = Purpose.MEETING if about.meeting else chance.choice((Purpose.SUPPORT, Purpose.REFERRAL, Purpose.TRAINING))
    purpose = usual if chance.random() < 0.7 else chance.choice(list(Purpose))
    return action, purpose, chance.choice((None, None, None, *Basis))


def test_twenty_thousand_random_decisions_are_the_oracles() -> None:
    chance = random.Random(20_000)
    met: dict[tuple[str, str], int] = {}
    for number in range(20_000):
        caller, about = _anything(chance)
        action, purpose, basis = _any_question(chance, about)
        expected = oracle(caller, action.value, about, purpose.value, None if basis is None else basis.value)
        decision = asked(caller, about, purpose, action, basis)
        assert _told(decision) == expected, (number, caller, about, action, purpose, basis)
        met[expected[:2]] = met.get(expected[:2], 0) + 1
    wanted = {("allowed", basis) for basis in IN_THE_ORDER_OF_THE_LAW} | {("denied", ""), ("hidden", "")}
    assert met.keys() == wanted
    assert min(met.values()) > 30, met


def test_no_combination_is_left_undecided() -> None:
    for action, purpose, said, violence in product(Action, Purpose, (None, consent("referral")), (True, False)):
        assert isinstance(asked(NPO, About(said, violence), purpose, action), Allowed | Denied)


def test_the_interface_names_the_purposes_that_the_table_grants() -> None:
    def named(body: type[BaseModel]) -> set[Purpose]:
        return {Purpose(purpose) for purpose in get_args(body.model_fields["purpose"].annotation)}

    assert {Purpose(purpose) for purpose in SharedFor} == NEEDS.keys()
    assert named(AddDisclosure) == GRANTS[Standing.HOLDER, Action.DISCLOSE].keys()
    assert named(AddRecord) == (
        GRANTS[Standing.HOLDER, Action.RECORD].keys() | GRANTS[Standing.RECIPIENT, Action.RECORD].keys()
    )
