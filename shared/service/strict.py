"""Strict JSON: what parsers usually let pass is refused: duplicate fields, NaN, NUL, lone surrogates, absurd depth."""

import json
import math
from typing import Any

from fastapi import Request
from pydantic import BaseModel, ConfigDict

from shared.problems import MALFORMED, Problem

_DEPTH = 32


class Body(BaseModel):
    """Every request body: unknown fields are refused, values are never echoed."""

    # A float's validator would take the text "NaN" too.
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, frozen=True, allow_inf_nan=False)


class StrictRequest(Request):
    """A request whose JSON is read strictly."""

    async def json(self) -> Any:
        """The body as JSON. Raises `Problem(MALFORMED)`."""
        if not hasattr(self, "_json"):
            self._json = loads(await self.body())
        return self._json


def loads(body: bytes) -> Any:
    """Parse strictly; the reason is told in words, the value never."""
    try:
        value = json.loads(
            body.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_constant, parse_float=_finite
        )
        if b"\\u" in body or body.count(b"[") + body.count(b"{") > _DEPTH:
            _check(value)
    except RecursionError:
        raise _malformed("too deeply nested", "入れ子が深すぎます") from None
    except _Strict as error:
        raise _malformed(*error.args) from None
    except ValueError:
        raise _malformed("not JSON in UTF-8", "UTF-8 のJSONではありません") from None
    return value


class _Strict(ValueError):
    """A reason in English and Japanese."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _Strict("a field appears twice", "同じ項目が二度書かれています")
    return members


def _no_constant(_name: str) -> Any:
    raise _Strict("NaN and Infinity are not JSON", "NaN や Infinity は使えません")


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise _Strict("a number is too large", "数が大きすぎます")
    return number


def _check(value: Any, depth: int = 0) -> None:
    if depth > _DEPTH:  # whatever reads the value later may have less room than the parser had
        raise RecursionError
    if isinstance(value, str):
        if "\x00" in value or any("\ud800" <= char <= "\udfff" for char in value):
            raise _Strict("a text holds NUL or half a character", "文字として扱えない値が含まれています")
    elif isinstance(value, dict):
        for name, member in value.items():
            _check(name, depth)
            _check(member, depth + 1)
    elif isinstance(value, list):
        for member in value:
            _check(member, depth + 1)


def _malformed(english: str, japanese: str) -> Problem:
    return Problem(
        MALFORMED,
        detail=f"The body is {english}." if english.startswith(("not", "too")) else english,
        detail_ja=japanese,
    )
