"""Erasing what is known about a person (消去), legal holds (保全), and the end of its use (利用停止)."""

from dataclasses import dataclass
from enum import StrEnum

from services.intake.domain.custody import Custody


class Reason(StrEnum):
    """Why a case is erased."""

    PERSONS_REQUEST = "persons_request"
    """利用停止・消去の請求 (個人情報保護法 Art. 98-)."""
    RETENTION_OVER = "retention_over"
    """保存期間の満了."""
    OPENED_BY_MISTAKE = "opened_by_mistake"


class HoldReason(StrEnum):
    """Why it must be kept, or why it need no longer be."""

    LITIGATION = "litigation"
    INVESTIGATION = "investigation"
    AUDIT = "audit"
    DISCLOSURE_PENDING = "disclosure_pending"
    """A request for disclosure or correction is being dealt with (個人情報保護法 Art. 76-97)."""
    ENDED = "ended"


class StopReason(StrEnum):
    """Why the data may not be used, or why it may again."""

    PERSONS_REQUEST = "persons_request"
    """個人情報保護法 Art. 98: kept or used unlawfully, so the person says."""
    OBJECTION = "objection"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Stopped:
    """It is used no more, but to tell the person."""


@dataclass(frozen=True, slots=True)
class Resumed:
    """It may be used again."""


@dataclass(frozen=True, slots=True)
class Ordered:
    """It is to be erased, for good."""


@dataclass(frozen=True, slots=True)
class Placed:
    """It must be kept from now on."""


@dataclass(frozen=True, slots=True)
class Lifted:
    """It need no longer be kept."""


@dataclass(frozen=True, slots=True)
class Refused:
    """It can't be so: not_the_holder, still_open, on_hold, not_on_hold, erased, use_stopped, use_not_stopped."""

    reason: str


def order_erasure(custody: Custody, *, by: str, held: bool, ordered: bool) -> Ordered | Refused:
    """Whoever holds a case erases it once it is closed, unless it must be kept. There is no way back."""
    if by != custody.holder:
        return Refused("not_the_holder")
    if ordered:
        return Refused("erased")
    if held:
        return Refused("on_hold")
    return Refused("still_open") if custody.open else Ordered()


def place_hold(custody: Custody, *, by: str, held: bool, ordered: bool) -> Placed | Refused:
    """Whoever holds a case keeps it from being erased. What was ordered already can't be held up any more."""
    if by != custody.holder:
        return Refused("not_the_holder")
    if ordered:
        return Refused("erased")
    return Refused("on_hold") if held else Placed()


def lift_hold(custody: Custody, *, by: str, held: bool) -> Lifted | Refused:
    """Whoever holds the case ends the hold."""
    if by != custody.holder:
        return Refused("not_the_holder")
    return Lifted() if held else Refused("not_on_hold")


def stop_use(custody: Custody, *, by: str, stopped: bool, ordered: bool) -> Stopped | Refused:
    """Whoever holds a case ends the use of its data, which is kept."""
    if by != custody.holder:
        return Refused("not_the_holder")
    if ordered:
        return Refused("erased")
    return Refused("use_stopped") if stopped else Stopped()


def resume_use(custody: Custody, *, by: str, stopped: bool) -> Resumed | Refused:
    """Whoever holds the case lets its data be used again."""
    if by != custody.holder:
        return Refused("not_the_holder")
    return Resumed() if stopped else Refused("use_not_stopped")
