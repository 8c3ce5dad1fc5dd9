"""Why something can't be done with a sub-committee, a meeting or a motion: the rule, and what stands against it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Denied:
    """The rule that stands against it; `about` names the field, `named` what it stands against."""

    reason: str
    about: str
    named: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class NotNow:
    """As it stands this can't be done; these can."""

    legal: tuple[str, ...]
