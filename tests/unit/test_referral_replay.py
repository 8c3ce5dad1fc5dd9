"""What was proposed can be read and made again: over any history of rules, directory and case, it is the same."""

import json
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.referral.domain.kept_proposals import (
    answer_read,
    answer_told,
    case_read,
    case_told,
    compare,
    digest,
    option_read,
    option_told,
    text_of,
)
from services.referral.domain.nearby import Directory
from services.referral.domain.options import Option
from services.referral.domain.routing import Case, Routing
from services.referral.domain.routing_rules import FIRST, RuleSet, read, rules_on, told
from tests.unit.test_referral_routing import CASE, DROP_IN, NOW, cases, courses, options, programmes, route, rule_sets


@given(options)
def test_an_option_is_the_same_after_it_was_kept(offered: list[Option]) -> None:
    for option in offered:
        text = text_of(option_told(option))
        again = option_read(json.loads(text))
        assert again == option
        assert text_of(option_told(again)) == text


@given(cases, st.sets(st.uuids(), max_size=2))
def test_a_case_is_the_same_after_it_was_kept(case: Case, targets: set[UUID]) -> None:
    waiting = replace(case, open_targets=frozenset(targets), taken_targets=frozenset(targets))
    assert case_read(json.loads(text_of(case_told(waiting)))) == waiting


def test_what_was_kept_before_a_no_counted_is_read_as_it_was() -> None:
    told_of = case_told(CASE)
    del told_of["refused_targets"]
    told_of["opened_by"] = told_of.pop("holder")
    assert case_read(told_of) == CASE
    said = route(CASE, [DROP_IN], reckoned=1)
    answered = answer_told(said)
    del answered["waiting"]
    assert answer_read(answered, {DROP_IN.id: DROP_IN}) == said


def test_what_is_different_has_another_address() -> None:
    addresses = {digest(text_of(option_told(replace(DROP_IN, capacity_free=free)))) for free in (None, 0, 1)}
    assert len(addresses) == 3


changes = st.one_of(programmes, courses).map(lambda entry: replace(entry, id=UUID(int=entry.id.int % 8)))
steps = st.lists(st.one_of(changes, cases, rule_sets, st.integers(0, 7)), max_size=25)


class Region:
    """A directory, rules and asked cases over some days, with a chronicle of what was answered."""

    def __init__(self) -> None:
        self.directory = Directory()
        self.rules = [FIRST]
        self.kept_options: dict[bytes, str] = {}
        self.kept: list[tuple[datetime, str, list[bytes], str]] = []
        self.said: list[Routing] = []

    def take(self, step: object, now: datetime) -> None:
        match step:
            case Case():
                self.answer(step, now)
            case RuleSet():
                from_on = (now + timedelta(days=1)).date()
                self.rules.append(replace(step, version=len(self.rules) + 1, effective_from=from_on))
            case int():
                self.directory.drop(UUID(int=step))
            case _:
                self.directory.put(step)  # type: ignore[arg-type]

    def answer(self, case: Case, now: datetime) -> None:
        rules = rules_on(self.rules, (now + timedelta(hours=9)).date())
        near = self.directory.near(case.asked, rules, now)
        routing = route(case, near.options, now, rules, beyond=near.beyond)
        texts = [text_of(option_told(option)) for option in near.options]
        self.kept_options |= {digest(text): text for text in texts}
        facts = {"case": case_told(case), "rule_version": rules.version, "beyond": near.beyond}
        kept = text_of(answer_told(routing))
        self.kept.append((now, text_of(facts), [digest(text) for text in texts], kept))
        self.said.append(routing)


@given(steps)
def test_every_proposal_of_any_history_is_made_again_identically(history: list[object]) -> None:
    region = Region()
    for day, step in enumerate(history):
        region.take(step, NOW + timedelta(hours=11 * day))
    published = {rules.version: json.loads(text_of(told(rules))) for rules in region.rules}
    for (now, facts_text, digests, answer), said in zip(region.kept, region.said, strict=True):
        facts = json.loads(facts_text)
        seen = [option_read(json.loads(region.kept_options[each])) for each in digests]
        shown = answer_read(json.loads(answer), {option.id: option for option in seen})
        assert shown == said, "what was said on that day can be read"
        version = facts["rule_version"]
        rules = read(published[version], version=version, effective_from=FIRST.effective_from)
        again = route(case_read(facts["case"]), seen, now, rules, beyond=facts["beyond"])
        assert compare(shown, again).identical
        assert again == said


@pytest.mark.parametrize("differs", ["candidates", "order", "reasons", "rest"])
def test_a_difference_is_named(differs: str) -> None:
    said = route(CASE, [DROP_IN, replace(DROP_IN, id=UUID(int=11))])
    first, second = said.items
    others = {
        "candidates": replace(said, items=(first,)),
        "order": replace(said, items=(second, first)),
        "reasons": replace(said, items=(first, replace(second, reasons=second.reasons[:-1]))),
        "rest": replace(said, unmet_needs=("housing",)),
    }
    found = compare(said, others[differs])
    assert not getattr(found, differs)
    assert not found.identical
    assert compare(said, said).identical
