"""One-time links (回答リンク): what an agency without an account may do with one, what it sees, and until when.

A link stands for one answer of one agency about one referral. Whoever holds it is taken for that agency, so it opens as
little as will do: never a name, a case's number, a text, or another referral.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal, cast

from services.referral.domain import clocks
from services.referral.domain.moves import ENDED, Referral, legal_moves
from services.referral.domain.states import Party, State


class LinkChannel(StrEnum):
    """How an agency without an account is reached."""

    EMAIL = "email"
    LETTER = "letter"


LinkState = Literal["to_print", "printed", "queued", "sent", "failed", "dropped", "answered", "revoked", "expired"]
BY_LINK = ("receive", "accept", "return", "wait", "decline", "contact", "start", "miss", "set_outcome", "close")
"""Moves that a link makes. Passing it on needs a look at the directory, holding it a talk: both need an account."""
ASKS = frozenset({State.SENT, State.RECEIVED, State.WAITING})
"""States in which the receiver is asked to take somebody on; later it is asked how that went."""
KEEPS_LINK = frozenset({"receive"})
"""To have read it is no answer: the link goes on."""

ON_THE_WAY: Mapping[LinkChannel, int] = {LinkChannel.EMAIL: 0, LinkChannel.LETTER: 3}
"""Working days until what was sent is there: Japan's post brings letters on weekdays, across the country in three."""
LIFE = timedelta(days=14)
"""How long a link lives where no clock says more: desks are open twice a week."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What was answered by a link."""

    step: str
    reason: str | None
    at: datetime


def living_state(
    channel: str, *, printed_at: datetime | None, mail: str | None, expires_at: datetime, now: datetime
) -> LinkState:
    """How a link stands that was neither answered nor replaced; `mail`: how its mail stands."""
    if mail == "failed":
        return "failed"
    if expires_at <= now:
        return "expired"
    if channel == LinkChannel.LETTER:
        return "to_print" if printed_at is None else "printed"
    return cast(LinkState, mail)


class Standing(StrEnum):
    """How a link stands, for its right holder."""

    OPEN = "open"
    ANSWERED = "answered"
    OVER = "over"
    """Taken back, passed on, or over for another reason: nothing more is told."""
    NOT_NOW = "not_now"
    """It is somebody else's turn."""


def moves_by_link(referral: Referral) -> tuple[str, ...]:
    """What the receiver may do now by a link."""
    if referral.asked is not Party.RECEIVER:
        return ()  # who asks for a case has an account
    legal = {move.name for move in legal_moves(referral, {Party.RECEIVER})}
    return tuple(name for name in BY_LINK if name in legal)


def wants_link(referral: Referral) -> bool:
    """Whether the next move is the receiver's, and a link can make it."""
    running = clocks.waits_for(referral)
    return running is not None and running[1] is Party.RECEIVER and bool(moves_by_link(referral))


def may_answer(referral: Referral) -> bool:
    """Whether a link opens: it is asked for an answer, or does what the coordinator answers for since its silence.

    Nobody waits for it then, and nothing is mailed by itself; a link that is made by hand opens, as an account would.
    """
    return wants_link(referral) or (referral.taken_over and bool(moves_by_link(referral)))


def stands(referral: Referral, answered: Answered | None) -> Standing:
    """What a link's right holder is shown. What was taken back is so, whatever was answered before."""
    if referral.state in ENDED - {State.CLOSED, State.DECLINED}:
        return Standing.OVER
    if answered is not None:
        return Standing.ANSWERED
    if referral.state in ENDED:
        return Standing.OVER
    return Standing.OPEN if may_answer(referral) else Standing.NOT_NOW


def ends_at(now: datetime, taken_over_at: datetime | None, due: datetime | None = None) -> datetime:
    """Until when a link can be used: until the coordinator takes over, and for a fortnight or until it is `due`."""
    latest = now + LIFE if due is None else max(now + LIFE, due)
    if taken_over_at is None:
        return latest
    # A clock that rang late may take over at any moment; what is sent now can be opened all the same.
    return max(min(latest, taken_over_at), now + timedelta(hours=1))


def last_minute(ends: datetime) -> datetime:
    """The last minute in which a link can be used. Midnight of a day would be read as that day's."""
    return ends - timedelta(minutes=1)


# --- Mail ------------------------------------------------------------------------------------------------------------

PAUSES: Sequence[timedelta] = tuple(timedelta(minutes=minutes) for minutes in (2, 5, 15, 30, 60, 120))
GIVES_UP = timedelta(days=1)


def next_try(tries: int, now: datetime) -> datetime:
    """When a mail is tried again that was tried so often; at the earliest when a try has surely ended."""
    return now + PAUSES[min(tries, len(PAUSES)) - 1]


def gives_up(queued_at: datetime, now: datetime) -> bool:
    """Whether it was tried for a day: its sender has to know, and to take another way."""
    return now - queued_at >= GIVES_UP


# --- Guessing --------------------------------------------------------------------------------------------------------

WINDOW = timedelta(minutes=15)
PER_ADDRESS = 20
"""Wrong links from one address in a window; somebody who mistypes a letter's code ten times still comes in."""
FOR_CODES = 1_000
"""Wrong codes from anywhere in a window. Links that were mailed are too long to be guessed, and go on working."""


def begins(now: datetime) -> datetime:
    """Since when failures still count."""
    return now - WINDOW
