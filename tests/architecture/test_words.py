"""What people are told: every refusal has its own words in Japanese and English, and no code stands without them."""

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from services.intake.api.shapes import PersonSheet
from services.referral.api import reasons
from services.referral.domain import read_routing, routing
from services.referral.domain.options import Capacity
from shared.problems import _CONSENT_HELP, Problem, ProblemType
from shared.service import Body
from shared.service.failures import words_for
from shared.service.imports import FileRow
from tests.world import SERVICES

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(path for folder in ("shared", "services") for path in (ROOT / folder).rglob("*.py"))
IN_GENERAL = words_for("no such code")
JUNK: tuple[Any, ...] = (
    None, True, 1, -1, 10**12, 1.5, "", "x", "1234-5678-9018", "\x07", "a" * 5000, "2026-13-45", "2026-01-01T00:00:00",
    [], ["x"] * 200, {}, {"a": 1}, [[1]],
)  # fmt: skip
TEXTS = tuple(junk for junk in JUNK if isinstance(junk, str))
"""A cell of a file is a text."""
LIMITS = {"expected", "max_length", "min_length", "le", "ge"}
for service in SERVICES:
    importlib.import_module(f"services.{service}.app")


def shapes(of: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for shape in of.__subclasses__():
        if shape.__module__.startswith(("services.", "shared.")):
            yield shape
            yield from shapes(shape)


SHAPES = sorted({*shapes(Body), *shapes(FileRow)}, key=lambda shape: shape.__name__)


def test_the_shapes_are_there() -> None:
    """Without this, the tests that run once for each could run for none."""
    assert {"OpenCase", "SendBody", "NewSeatRequest", "AgencyRow", "CourseRunRow"} <= {each.__name__ for each in SHAPES}


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_whatever_is_wrong_with_a_value_is_said_in_particular(shape: type[BaseModel]) -> None:
    vague: set[str] = set()
    for name, field in shape.model_fields.items():
        for junk in JUNK if issubclass(shape, Body) else TEXTS:
            try:
                shape.model_validate({field.alias or name: junk})
            except ValidationError as error:
                vague |= {each["type"] for each in error.errors() if words_for(each["type"]) == IN_GENERAL}
    assert vague == set(), "shared/service/failures.py has no words for it"


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_where_only_some_things_are_accepted_they_are_told(shape: type[BaseModel]) -> None:
    untold: list[str] = []
    for name, field in shape.model_fields.items():
        for junk in JUNK if issubclass(shape, Body) else TEXTS:
            try:
                shape.model_validate({field.alias or name: junk})
            except ValidationError as error:
                for each in error.errors():
                    limits = LIMITS & each.get("ctx", {}).keys()
                    english, japanese = words_for(each["type"], each.get("ctx"))
                    told = {limit: str(each["ctx"][limit]) for limit in limits}
                    untold += [name for words in told.values() if words not in english]
                    untold += [name for words in told.values() for one in alternatives(words) if one not in japanese]
                    untold += [name for mark in (" or ", "'", '"') if mark in japanese]
    assert untold == []


def alternatives(expected: str) -> list[str]:
    """The values that a sentence of pydantic's quotes; of any other all of it."""
    return re.findall(r"'([^']*)'", expected) or expected.split(" or ")


@pytest.mark.parametrize(
    ("expected", "japanese"),
    [
        ("'refer' or 'transfer'", "送る(refer)、transfer"),
        ("'a', 'b' or 'refer'", "a、b、送る(refer)"),
        ("'one'", "one"),
        ("1, 2 or 3", "1、2、3"),
        ("True or None", "true、null"),
        ("\"it's\" or 'x or y'", "it's、x or y"),
        ("土 (sat)、日 (sun)", "土 (sat)、日 (sun)"),
        ("from, to", "from, to"),
    ],
)
def test_in_japanese_no_english_word_stands_between_what_is_accepted(expected: str, japanese: str) -> None:
    english, said = words_for("literal_error", {"expected": expected}, {"refer": "送る"})
    assert f"使えるもの: {japanese})" in said
    assert f"allowed: {expected}" in english


@pytest.mark.parametrize("field", ["phone", "other_phone", "proxy_phone", "email", "postcode"])
def test_a_form_that_people_are_to_keep_to_is_told_with_an_example(field: str) -> None:
    with pytest.raises(ValidationError) as refused:
        PersonSheet.model_validate({field: "zz zz"})
    (error,) = refused.value.errors()
    english, japanese = words_for(error["type"], error.get("ctx"))
    assert "e.g." in english
    assert "例" in japanese
    assert "zz" not in english + japanese


def test_every_kind_of_problem_has_a_code_of_its_own_and_words_in_both_languages() -> None:
    titles: dict[str, set[tuple[str, str]]] = {}
    for call, path in calls(ProblemType.__name__):
        code, _, english, japanese = [constant(argument) for argument in call.args]
        if None not in {code, english, japanese}:
            assert speaks(japanese or ""), f"{path.name}: {code}"
            assert not speaks(english or ""), f"{path.name}: {code}"
            titles.setdefault(code or "", set()).add((english or "", japanese or ""))
    assert len(titles) > 20
    assert {code: said for code, said in titles.items() if len(said) > 1} == {}


def test_what_to_do_about_a_problem_is_said_in_both_languages() -> None:
    one_language = []
    for call, path in calls(Problem.__name__):
        named = {keyword.arg: keyword.value for keyword in call.keywords}
        if ("detail" in named) != ("detail_ja" in named):
            one_language.append(f"{path.relative_to(ROOT)}:{call.lineno}")
        elif (japanese := constant(named.get("detail_ja"))) is not None:
            assert speaks(japanese), f"{path.relative_to(ROOT)}:{call.lineno}"
    assert one_language == []


def test_every_reason_for_a_candidate_can_be_read_out_to_the_person() -> None:
    source = "".join(map(inspect.getsource, (routing, read_routing)))
    given = set(re.findall(r'\bReason\(\s*"(\w+)"', source)) | {f"consent_{lacks}" for lacks in _CONSENT_HELP}
    given = given - {"consent_not_given"} | {state.value for state in Capacity} - {"unknown"}
    assert given - set(reasons._TEXTS) == set(), "each reason has its words"
    constants = {node.value for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant)}
    assert set(reasons._TEXTS) - given - constants == set(), "and no words are left over"
    for japanese, english in reasons._TEXTS.values():
        assert speaks(japanese)
        assert not speaks(english)


def calls(name: str) -> Iterator[tuple[ast.Call, Path]]:
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name:
                yield node, path


def constant(node: ast.AST | None) -> str | None:
    """The text, where it stands there as it is; f-strings by their constant parts."""
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) for part in node.values if isinstance(part, ast.Constant))
    return str(node.value) if isinstance(node, ast.Constant) else None


def speaks(words: str) -> bool:
    """Whether it is Japanese."""
    return re.search(r"[\u3040-\u30ff\u4e00-\u9fff]", words) is not None
