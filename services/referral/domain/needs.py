"""A need that nobody in the region answers (未充足のニーズ) is on record from the day it is seen until it ends."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from services.referral.domain.routing import Routing

Need = str | None
"""A need's code; None: the whole case, for which there is no candidate at all."""


class NeedState(StrEnum):
    """Where a record stands."""

    OPEN = "open"
    MET = "met"
    ENDED = "ended"


class EndReason(StrEnum):
    """Why it is open no longer."""

    CANDIDATE_FOUND = "candidate_found"
    SERVED = "served"
    """Somebody who accepted the case answers it; of the whole case: somebody has accepted it."""
    NO_LONGER_NEEDED = "no_longer_needed"
    """It is no longer on the case's record."""
    CASE_CLOSED = "case_closed"
    CASE_ERASED = "case_erased"

    @property
    def state(self) -> NeedState:
        """Met, or ended without."""
        return NeedState.MET if self in {EndReason.CANDIDATE_FOUND, EndReason.SERVED} else NeedState.ENDED


@dataclass(frozen=True, slots=True)
class Compared:
    """What begins to be on record, and what ends, with its reason."""

    begins: tuple[Need, ...]
    ends: tuple[tuple[Need, EndReason], ...]


def unmet(routing: Routing, *, taken: bool) -> frozenset[Need]:
    """What a case lacks now: needs that nobody answers, and the whole case, where nobody could take or has taken it."""
    whole = routing.need_unmet and not taken
    return frozenset(routing.unmet_needs) | (frozenset({None}) if whole else frozenset())


def still_said(
    said: Collection[Need], *, wanted: Collection[str], served: Collection[str], taken: bool
) -> frozenset[Need]:
    """What somebody said who looked for a place holds until it is answered, or not needed: a candidate is no answer."""
    return frozenset(need for need in said if (not taken if need is None else need in wanted and need not in served))


def coordinated_by(said_by: str | None, *, holder: str, coordinator: str) -> str:
    """Who coordinates what is open today: who said so, as long as the case is theirs, else who coordinates now."""
    return said_by if said_by is not None and said_by in {holder, coordinator} else coordinator


def compare(
    on_record: Collection[Need],
    lacking: Collection[Need],
    *,
    wanted: Collection[str],
    served: Collection[str],
    taken: bool,
) -> Compared:
    """What to write, so that the open records are what the case lacks. Twice the same changes nothing."""
    begins = sorted(set(lacking) - set(on_record), key=_last_the_whole)
    ends = sorted(set(on_record) - set(lacking), key=_last_the_whole)
    return Compared(tuple(begins), tuple((need, _why(need, wanted, served, taken=taken)) for need in ends))


def _why(need: Need, wanted: Collection[str], served: Collection[str], *, taken: bool) -> EndReason:
    if need in served or (need is None and taken):
        return EndReason.SERVED
    if need is not None and need not in wanted:
        return EndReason.NO_LONGER_NEEDED
    return EndReason.CANDIDATE_FOUND


def _last_the_whole(need: Need) -> tuple[bool, str]:
    return need is None, need or ""
