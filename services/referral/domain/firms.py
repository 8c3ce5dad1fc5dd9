"""Firms on the way to certified work training (認定就労訓練, 生活困窮者自立支援法 Art. 16): where each may go.

A firm shows interest, applies, is certified by the prefecture or a designated or core city, and may lapse at any step;
one that lapsed may be won again. Every firm has an agency that follows it up, and a day for it until it is certified.
"""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum


class FirmState(StrEnum):
    """Where a firm stands."""

    INTERESTED = "interested"
    APPLYING = "applying"
    CERTIFIED = "certified"
    LAPSED = "lapsed"


WAYS: dict[FirmState, tuple[FirmState, ...]] = {
    FirmState.INTERESTED: (FirmState.APPLYING, FirmState.LAPSED),
    FirmState.APPLYING: (FirmState.CERTIFIED, FirmState.LAPSED),
    FirmState.CERTIFIED: (FirmState.LAPSED,),
    FirmState.LAPSED: (FirmState.INTERESTED,),
}
"""Where a firm may go from where it stands; code, documents and tests read this one table."""
_OPEN = frozenset({FirmState.INTERESTED, FirmState.APPLYING})


@dataclass(frozen=True, slots=True)
class Firm:
    """What of a firm decides about its way."""

    state: FirmState
    follow_up_on: date | None
    certified_on: date | None = None
    certified_by: str | None = None


@dataclass(frozen=True, slots=True)
class FirmMoved:
    """The firm as it stands now."""

    firm: Firm


@dataclass(frozen=True, slots=True)
class NoWay:
    """It can't go there; where it can."""

    legal: tuple[FirmState, ...]


class FirmFault(StrEnum):
    """What is missing, or can't be, in what is told about a firm."""

    CERTIFICATE_MISSING = "certificate_missing"
    CERTIFICATE_TOO_EARLY = "certificate_too_early"
    FOLLOW_UP_MISSING = "follow_up_missing"
    FOLLOW_UP_PAST = "follow_up_past"
    """A call that is planned lies ahead. A file may hold one whose day has gone by: nobody called, and it is due."""


def firm_fault(firm: Firm) -> FirmFault | None:
    """A certified firm has a day and an authority; one that isn't certified yet has neither, but a day to be called."""
    if firm.state is FirmState.CERTIFIED and (firm.certified_on is None or firm.certified_by is None):
        return FirmFault.CERTIFICATE_MISSING
    if firm.state in _OPEN and (firm.certified_on is not None or firm.certified_by is not None):
        return FirmFault.CERTIFICATE_TOO_EARLY
    if firm.state in _OPEN and firm.follow_up_on is None:
        return FirmFault.FOLLOW_UP_MISSING
    return None


def move_firm(firm: Firm, to: Firm) -> FirmMoved | NoWay | FirmFault:
    """One step on its way. A certificate that was held stays on record when it lapses."""
    if to.state not in WAYS[firm.state]:
        return NoWay(WAYS[firm.state])
    if to.state is FirmState.LAPSED:
        to = Firm(FirmState.LAPSED, to.follow_up_on, firm.certified_on, firm.certified_by)
    fault = firm_fault(to)
    return FirmMoved(to) if fault is None else fault


def tell_firm(firm: Firm, to: Firm) -> FirmMoved | NoWay | FirmFault:
    """What a file says of a firm that is known: a step, or more about where it stands."""
    if to.state is not firm.state:
        return move_firm(firm, to)
    if to.state is FirmState.LAPSED and to.certified_on is None and to.certified_by is None:
        to = Firm(FirmState.LAPSED, to.follow_up_on, firm.certified_on, firm.certified_by)
    fault = firm_fault(to)
    return FirmMoved(to) if fault is None else fault


def call_firm(firm: Firm, to: Firm) -> FirmMoved | FirmFault:
    """It was called and stays where it stands; what is known of its certificate stays, too."""
    called = Firm(firm.state, to.follow_up_on, firm.certified_on, firm.certified_by)
    fault = firm_fault(called)
    return FirmMoved(called) if fault is None else fault


def is_due(firm: Firm, today: date) -> bool:
    """Whether somebody should call: the day has come."""
    return firm.follow_up_on is not None and firm.follow_up_on <= today
