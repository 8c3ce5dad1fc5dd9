"""The table of moves: what is legal, who is responsible, and what comes back to whom."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from itertools import product
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.referral.domain import chain as chain_of
from services.referral.domain.chain import LONGEST, NotRerouted, Place
from services.referral.domain.moves import (
    AT_WORK,
    BACK_TO,
    BACK_TO_LINE,
    ENDED,
    IN_FLIGHT,
    MOVES,
    OPEN,
    Moved,
    NewCourse,
    NotMoved,
    Referral,
    Said,
    legal_moves,
)
from services.referral.domain.moves import advance as move
from services.referral.domain.states import BY_PERSON, DeclineReason, Kind, Party, Progress, State, Verb

TO_PROGRAMME = Referral(
    id=UUID(int=1),
    case_id=UUID(int=2),
    municipality="462012",
    sender="desk",
    receiver="npo",
    coordinator="city",
    verb=Verb.TRANSFER,
    programme_id=UUID(int=3),
    course_run_id=None,
    seat_request_id=None,
    state=State.SENT,
    responsible_agency="desk",
    progress=None,
    reason=None,
    sent_at=datetime(2026, 4, 1, tzinfo=UTC),
    version=1,
)
TO_COURSE = replace(TO_PROGRAMME, programme_id=None, course_run_id=UUID(int=4), receiver="school")
SAID = Said(reason="other", day=date(2026, 5, 1), outcome="started", missing=("wishes",))
ELSEWHERE = Said(course=NewCourse(UUID(int=5), "other-school", "other-city"))

# Written by hand from the words, and not from the table: party, move, from -> to. Both ways to give a case.
GIVEN = """
sender       send              draft -> sent
receiver     receive           sent -> received
receiver     accept            sent received waiting -> accepted
receiver     decline           sent received waiting -> decline_pending
receiver     return            sent received -> returned
sender       answer            returned -> sent
receiver     wait              sent received waiting -> waiting
receiver     reroute           sent received waiting -> rerouted
coordinator  confirm_decline   decline_pending -> declined
clock        confirm_decline   decline_pending -> declined
coordinator  overrule_forward  decline_pending -> accepted
coordinator  overrule_back     decline_pending -> received
sender       withdraw          draft sent received returned waiting decline_pending -> withdrawn
person       end_consent       sent received returned waiting decline_pending -> withdrawn
service      lose              sent received returned waiting decline_pending -> withdrawn
service      end_with_case     sent received returned waiting decline_pending -> withdrawn
receiver     contact           accepted no_show -> contact_made
receiver     start             accepted contact_made no_show -> in_service
receiver     miss              accepted contact_made in_service -> no_show
receiver     hold              accepted contact_made in_service no_show -> on_hold
receiver     resume            on_hold -> contact_made
receiver     set_outcome       accepted contact_made in_service no_show on_hold outcome_set -> outcome_set
receiver     close             outcome_set -> closed
receiver     add_outcome       closed -> closed
sender       add_outcome       closed -> closed
clock        expire            sent received returned waiting accepted contact_made no_show -> expired
clock        take_over         in_service -> in_service
clock        take_over         on_hold -> on_hold
clock        take_over         outcome_set -> outcome_set
"""
_WHATEVER_THE_WAY = {
    *("end_consent", "lose", "end_with_case", "contact", "start", "miss", "hold", "resume"),
    *("set_outcome", "close", "add_outcome", "take_over"),
}
# The receiver asks for the case, and its holder answers: the same, with the parts changed, and without a way round it.
REQUESTED = """
sender       receive           sent -> received
sender       accept            sent received waiting -> accepted
sender       decline           sent received waiting -> decline_pending
coordinator  confirm_decline   decline_pending -> declined
clock        confirm_decline   decline_pending -> declined
coordinator  overrule_forward  decline_pending -> accepted
coordinator  overrule_back     decline_pending -> received
receiver     withdraw          draft sent received returned waiting decline_pending -> withdrawn
clock        expire            sent received waiting accepted contact_made no_show -> expired
""" + "".join(f"{line}\n" for line in GIVEN.splitlines() if set(line.split()[1:2]) & _WHATEVER_THE_WAY)
# Only once the coordinator has taken it over, for silence at work.
SILENT = """
coordinator  set_outcome       accepted contact_made in_service no_show on_hold outcome_set -> outcome_set
coordinator  close             outcome_set -> closed
coordinator  expire            accepted contact_made in_service no_show on_hold outcome_set -> expired
"""
# Back from a cancelled paper is open to who was instructed alone, and has a test of its own.
SEATS = """
sender       send              draft -> sent
sender       withdraw          draft sent received returned waiting decline_pending -> withdrawn
person       end_consent       sent received returned waiting decline_pending -> withdrawn
service      lose              sent received returned waiting decline_pending -> withdrawn
service      end_with_case     sent received returned waiting decline_pending -> withdrawn
training     wait_for_seat     sent received -> received
training     hold_seat         sent received -> received
training     nominate          sent received -> received
training     countersign       sent received -> received
training     instruct          sent received -> received
training     enrol             sent received -> accepted
training     refuse_seat       sent received -> declined
training     release_seat      sent received -> declined
training     back_to_line      sent received -> received
training     change_course     sent -> sent
training     change_course     received -> received
training     change_course     accepted -> accepted
training     change_course     outcome_set -> outcome_set
training     change_course     closed -> closed
training     set_outcome       accepted contact_made in_service no_show on_hold outcome_set -> outcome_set
training     close             outcome_set -> closed
training     correct_outcome   closed -> closed
training     add_outcome       closed -> closed
receiver     set_outcome       accepted contact_made in_service no_show on_hold outcome_set -> outcome_set
receiver     close             outcome_set -> closed
receiver     add_outcome       closed -> closed
sender       add_outcome       closed -> closed
clock        take_over         accepted -> accepted
clock        take_over         outcome_set -> outcome_set
"""


# Another holds the case by now: it only refers, wherever it stands, and stays there.
_TAKEN_ON = ("accepted", "contact_made", "in_service", "no_show", "on_hold", "outcome_set", "closed")
_OFFERED = ("sent", "received", "returned", "waiting", "decline_pending")
STAYS_REQUESTED = "".join(f"service keep_holder {state} -> {state}\n" for state in (*_TAKEN_ON, "expired"))
STAYS = STAYS_REQUESTED + "".join(f"service keep_holder {state} -> {state}\n" for state in _OFFERED)


def read(table: str) -> Mapping[tuple[str, str, str], str]:
    found: dict[tuple[str, str, str], str] = {}
    for line in filter(None, table.splitlines()):
        (party, name, *sources), target = line.partition("->")[0].split(), line.partition("->")[2].strip()
        found |= {(party, name, source): target for source in sources}
    return found


ORACLE = {
    (Kind.PROGRAMME, Verb.REFER): read(GIVEN),
    (Kind.PROGRAMME, Verb.TRANSFER): read(GIVEN + STAYS),
    (Kind.PROGRAMME, Verb.REQUEST): read(REQUESTED + STAYS_REQUESTED),
    (Kind.COURSE_RUN, Verb.REFER): read(SEATS),
    (Kind.COURSE_RUN, Verb.TRANSFER): read(SEATS + STAYS),
}
TAKEN_OVER = read(SILENT)
NAMES = sorted({each.name for each in MOVES})


def standing(kind: Kind, verb: Verb, state: State) -> Referral:
    about = TO_PROGRAMME if kind is Kind.PROGRAMME else TO_COURSE
    before_hold = State.CONTACT_MADE if state is State.ON_HOLD else None
    taken_on = verb is not Verb.REFER and state in {*AT_WORK, State.CLOSED}
    holder = about.receiver if taken_on else about.sender
    return replace(about, verb=verb, state=state, before_hold=before_hold, responsible_agency=holder)


@pytest.mark.parametrize(("kind", "verb"), ORACLE, ids=lambda each: each.value)
def test_every_state_move_and_party_is_as_the_words_have_it(kind: Kind, verb: Verb) -> None:
    """17 states x 34 moves x 7 parties, for each verb and kind: where it stands, who answers for it, what it is."""
    oracle = ORACLE[kind, verb]
    for state, name, party in product(State, NAMES, Party):
        before = standing(kind, verb, state)
        outcome = move(before, name, {party}, SAID)
        target = oracle.get((party, name, state))
        reached = outcome.referral.state.value if isinstance(outcome, Moved) else None
        assert reached == target, (state, name, party)
        if isinstance(outcome, Moved):
            holder = holder_by_words(before, name, before.responsible_agency)
            assert outcome.referral.responsible_agency == holder, (state, name, party)
            assert outcome.referral.verb is (Verb.REFER if name == "keep_holder" else verb)


@pytest.mark.parametrize(("kind", "verb"), ORACLE, ids=lambda each: each.value)
def test_what_is_not_legal_names_what_is(kind: Kind, verb: Verb) -> None:
    oracle = ORACLE[kind, verb]
    for state, party in product(State, Party):
        outcome = move(standing(kind, verb, state), "no_such_move", {party})
        assert isinstance(outcome, NotMoved)
        legal = {name for by, name, source in oracle if (by, source) == (party, state)}
        assert {each.name for each in outcome.legal} == legal


@pytest.mark.parametrize(("kind", "verb"), ORACLE, ids=lambda each: each.value)
def test_what_is_taken_over_at_work_can_be_ended_by_the_coordinator_too(kind: Kind, verb: Verb) -> None:
    by_agencies = {cell: to for cell, to in ORACLE[kind, verb].items() if cell[0] != Party.CLOCK}
    oracle = by_agencies | dict(TAKEN_OVER)
    for state, name, party in product(sorted(AT_WORK), NAMES, Party):
        before = replace(standing(kind, verb, state), taken_over=True, responsible_agency="city")
        outcome = move(before, name, {party}, SAID)
        reached = outcome.referral.state.value if isinstance(outcome, Moved) else None
        assert reached == oracle.get((party, name, state)), (state, name, party)
        if isinstance(outcome, Moved):
            assert outcome.referral.responsible_agency == "city"
            assert outcome.referral.taken_over == (outcome.referral.state in AT_WORK or name == "keep_holder")


def test_nobody_takes_over_from_itself() -> None:
    own = replace(TO_PROGRAMME, state=State.IN_SERVICE, sender="npo", coordinator="npo")
    assert "take_over" not in {each.name for each in legal_moves(own, {Party.CLOCK})}
    sent_by_it = replace(TO_PROGRAMME, state=State.IN_SERVICE, sender="city", responsible_agency="city")
    assert "take_over" in {each.name for each in legal_moves(sent_by_it, {Party.CLOCK})}, "silence is silence"


def test_what_the_coordinator_took_over_stays_its_own_when_it_is_heard_that_the_case_stays() -> None:
    asked_itself = replace(TO_PROGRAMME, state=State.EXPIRED, receiver="city", responsible_agency="city")
    kept = move(asked_itself, "keep_holder", {Party.SERVICE})
    assert isinstance(kept, Moved)
    assert (kept.referral.responsible_agency, kept.referral.verb) == ("city", Verb.REFER)


def test_every_state_is_of_one_sort() -> None:
    assert IN_FLIGHT.isdisjoint(AT_WORK)
    assert {State.DRAFT} | OPEN | ENDED == set(State)


def test_a_provider_cannot_accept_by_hand_what_its_seats_have_not_shown() -> None:
    assert move(TO_COURSE, "accept", {Party.RECEIVER}) == NotMoved(())


def test_an_agency_that_refers_within_its_own_house_has_both_parts() -> None:
    inside = replace(TO_PROGRAMME, receiver="desk")

    assert inside.parties("desk") == {Party.SENDER, Party.RECEIVER}


@pytest.mark.parametrize("reason", DeclineReason)
def test_nobody_is_made_to_go_where_they_said_no(reason: DeclineReason) -> None:
    declined = replace(TO_PROGRAMME, state=State.DECLINE_PENDING, reason=reason.value)
    names = {each.name for each in legal_moves(declined, {Party.COORDINATOR})}
    forward = set() if reason in BY_PERSON else {"overrule_forward"}

    assert names == {"confirm_decline", "overrule_back"} | forward


@pytest.mark.parametrize(("verb", "asker"), [(Verb.TRANSFER, "desk"), (Verb.REFER, "desk"), (Verb.REQUEST, "npo")])
def test_who_asked_does_not_overrule_the_no_to_it(verb: Verb, asker: str) -> None:
    declined = replace(TO_PROGRAMME, verb=verb, state=State.DECLINE_PENDING, reason="no_capacity", coordinator=asker)

    assert {each.name for each in legal_moves(declined, {Party.COORDINATOR})} == {"confirm_decline", "overrule_back"}


def test_a_draft_that_is_thrown_away_has_left_no_desk() -> None:
    draft = replace(TO_PROGRAMME, state=State.DRAFT)
    thrown = move(draft, "withdraw", {Party.SENDER}, Said(reason="person_wishes"))
    taken_back = move(TO_PROGRAMME, "withdraw", {Party.SENDER}, Said(reason="person_wishes"))
    assert isinstance(thrown, Moved)
    assert isinstance(taken_back, Moved)
    assert (draft.has_left, thrown.referral.has_left, taken_back.referral.has_left) == (False, False, True)


def test_what_is_taken_over_on_hold_still_knows_where_it_stood() -> None:
    held = replace(TO_PROGRAMME, state=State.ON_HOLD, before_hold=State.IN_SERVICE, responsible_agency="npo")
    taken = move(held, "take_over", {Party.CLOCK})
    assert isinstance(taken, Moved)
    assert taken.referral.before_hold is State.IN_SERVICE


def test_why_it_was_declined_is_kept_when_that_is_confirmed_and_gone_when_it_is_overruled() -> None:
    declined = move(TO_PROGRAMME, "decline", {Party.RECEIVER}, Said(reason="no_capacity"))
    assert isinstance(declined, Moved)
    for name, reason in (("confirm_decline", "no_capacity"), ("overrule_back", None), ("overrule_forward", None)):
        outcome = move(declined.referral, name, {Party.COORDINATOR})
        assert isinstance(outcome, Moved)
        assert outcome.referral.reason == reason


def test_after_a_hold_it_goes_on_where_it_stood() -> None:
    for state in (State.ACCEPTED, State.CONTACT_MADE, State.IN_SERVICE, State.NO_SHOW):
        held = move(replace(TO_PROGRAMME, state=state), "hold", {Party.RECEIVER}, SAID)
        assert isinstance(held, Moved)
        resumed = move(held.referral, "resume", {Party.RECEIVER})
        assert isinstance(resumed, Moved)
        assert (resumed.referral.state, resumed.referral.before_hold) == (state, None)


# --- Who is responsible ----------------------------------------------------------------------------------------------

STEPS = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(list(Party))), max_size=14)


def holder_by_words(before: Referral, name: str, holder: str) -> str:
    """Acceptance moves it, unless the sender only refers; what the coordinator confirms or takes over is theirs."""
    given = before.verb is not Verb.REQUEST
    match name:
        case "accept" | "overrule_forward" | "enrol":
            return holder if before.verb is Verb.REFER else before.receiver
        case "confirm_decline":
            return before.coordinator if given else holder
        case "expire":
            return before.coordinator if given or before.state in AT_WORK else holder
        case "take_over":
            return before.coordinator
        case "keep_holder":
            return before.sender if holder == before.receiver else holder
        case _:
            return holder


@given(st.sampled_from([TO_PROGRAMME, TO_COURSE]), st.sampled_from(Verb), STEPS)
def test_somebody_with_a_name_is_responsible_after_every_step(
    start: Referral, verb: Verb, steps: list[tuple[str, Party]]
) -> None:
    referral = replace(start, verb=verb)
    holder = referral.sender
    for name, party in steps:
        outcome = move(referral, name, {party}, SAID)
        if isinstance(outcome, Moved):
            assert outcome.referral.version == referral.version + 1
            holder = holder_by_words(referral, name, holder)
            referral = outcome.referral
        assert referral.responsible_agency == holder
        assert holder in {referral.sender, referral.receiver, referral.coordinator}
        if referral.state in IN_FLIGHT:
            assert holder == referral.sender


TRAINING = [each.name for each in MOVES if each.by == {Party.TRAINING} and each.progress is not None]
BACK = set(BACK_TO.values())


@given(st.lists(st.sampled_from(TRAINING), max_size=12))
def test_a_seat_never_goes_back_to_an_earlier_stage_but_when_it_is_gone_or_its_paper(names: list[str]) -> None:
    order = list(Progress)
    referral, reached = TO_COURSE, -1
    for name in names:
        before = referral.progress
        outcome = move(referral, name, {Party.TRAINING}, Said(reason="full"))
        if isinstance(outcome, Moved):
            referral = outcome.referral
            assert referral.progress is not None
            if name in BACK:
                assert before is Progress.INSTRUCTED
            elif name == BACK_TO_LINE:
                assert before not in {Progress.SEAT_WAITING, Progress.ENROLLED}
            else:
                assert order.index(referral.progress) > reached
            reached = order.index(referral.progress)


def test_training_says_what_came_of_who_is_enrolled_and_of_nobody_else() -> None:
    for state in set(State) - AT_WORK - {State.CLOSED}:
        at = replace(TO_COURSE, state=state)
        said = {each.name for each in legal_moves(at, {Party.TRAINING})}
        assert said & {"set_outcome", "correct_outcome", "add_outcome", "close"} == set()


# --- Outcomes --------------------------------------------------------------------------------------------------------


def test_what_is_added_later_never_hides_how_far_the_person_came() -> None:
    closed = replace(TO_PROGRAMME, state=State.CLOSED, outcome="employed")
    for said, shown in (
        ("employed_3_months", "employed_3_months"),
        ("started", "employed"),
        ("broken_off", "employed"),
    ):
        added = move(closed, "add_outcome", {Party.RECEIVER}, Said(outcome=said))
        assert isinstance(added, Moved)
        assert added.referral.outcome == shown


def test_until_it_is_closed_an_outcome_can_be_corrected() -> None:
    said = replace(TO_PROGRAMME, state=State.OUTCOME_SET, outcome="employed")
    corrected = move(said, "set_outcome", {Party.RECEIVER}, Said(outcome="started"))
    assert isinstance(corrected, Moved)
    assert corrected.referral.outcome == "started"


# --- Rerouting -------------------------------------------------------------------------------------------------------


def test_a_chain_never_comes_back_and_ends() -> None:
    a, b, c, d = (Place(name, name) for name in "abcd")

    def reroute(chain: list[Place], to: Place) -> NotRerouted | None:
        return chain_of.reroute(chain, to, sender="desk")

    assert reroute([a], b) is None
    assert reroute([a, b], a) == NotRerouted("in_the_chain")
    assert reroute([a, b], Place("a", "another programme")) == NotRerouted("in_the_chain")
    assert reroute([a, b], b) == NotRerouted("in_the_chain")
    assert reroute([a, b], Place("b", "its other programme")) is None
    assert reroute([a, b, c], d) is None
    assert LONGEST == 4
    assert reroute([a, b, c, d], Place("e", "e")) == NotRerouted("too_long")
    assert reroute([a], Place("desk", "its own programme")) == NotRerouted("in_the_chain"), "there it came from"
    assert reroute([Place("desk", "one")], Place("desk", "another")) is None, "within one house"
