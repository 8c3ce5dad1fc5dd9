"""Custody (担当): a case has one holding agency at every instant, and a proof each day that nobody fell through.

Holding begins by opening a case, by accepting a referral from who holds it, or by reopening; it ends by another's
acceptance, or by closing with an outcome or a coded reason of interruption. Silence and outages end nothing.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from services.intake.domain import responsibility
from services.intake.domain.responsibility import Stands


class Step(StrEnum):
    """What happens to the custody of a case."""

    OPENED = "opened"
    HANDED_OVER = "handed_over"
    CLOSED = "closed"
    REOPENED = "reopened"


class Outcome(StrEnum):
    """終結の理由: what was reached."""

    GOAL_REACHED = "goal_reached"
    INFORMATION_ENOUGH = "information_enough"
    OTHER_SCHEME = "other_scheme"
    """Another scheme or agency carries it on, and has acknowledged that."""


class Interruption(StrEnum):
    """中断の理由: why it ends without an outcome."""

    NOT_REACHABLE = "not_reachable"
    MOVED_AWAY = "moved_away"
    PERSON_WISHES = "person_wishes"
    ADMITTED = "admitted"
    """In hospital, in an institution or in custody for long."""
    DIED = "died"
    OPENED_BY_MISTAKE = "opened_by_mistake"


@dataclass(frozen=True, slots=True)
class Custody:
    """Who holds a case now; a closed case was last held by `holder`."""

    holder: str
    open: bool
    hand_off_open: bool = False
    """Screened as a hand-off, and no receiver has acknowledged it yet."""


@dataclass(frozen=True, slots=True)
class HandOff:
    """つなぎ: who held the case when it was screened so, to whom it is handed if that was said, and when."""

    holder: str
    receiver: str | None
    at: datetime

    def outlives(self, holder: str) -> bool:
        """Whether it still waits with a new holder: a named receiver who is another has heard of nothing yet."""
        return self.receiver not in {None, holder}


@dataclass(frozen=True, slots=True)
class Sent:
    """A referral, as its sending was told."""

    sender: str
    receiver: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Moved:
    """The custody is so from now on, by this step."""

    step: Step
    custody: Custody


@dataclass(frozen=True, slots=True)
class Refused:
    """It can't be so: not_the_holder, closed_already, still_open, hand_off_waits,
    hides_somebody, not_agreed."""

    reason: str


def close(custody: Custody, *, by: str, ended: Outcome | Interruption) -> Moved | Refused:
    """End the support. A hand-off that nobody acknowledged is not an outcome: the case stays with its holder."""
    if by != custody.holder:
        return Refused("not_the_holder")
    if not custody.open:
        return Refused("closed_already")
    if custody.hand_off_open and isinstance(ended, Outcome):
        return Refused("hand_off_waits")
    return Moved(Step.CLOSED, Custody(custody.holder, open=False))


def reopen(custody: Custody, *, by: str, agreed: bool = False, hides: bool = False) -> Moved | Refused:
    """The person came back, to whichever door: who takes them up holds the case. The history stays.

    Holding opens everything that was written before. So another agency than the last holder needs the person's consent
    for it (`agreed`), which who writes it down for itself does with a witness; a new case needs nothing.

    Where somebody may be looking for the person (`hides`), holding is seeing where they are: there only the last holder
    does so, and another door opens a case of its own.
    """
    if custody.open:
        return Refused("still_open")
    if by != custody.holder and hides:
        return Refused("hides_somebody")
    if by != custody.holder and not agreed:
        return Refused("not_agreed")
    return Moved(Step.REOPENED, Custody(by, open=True))


def hand_over(custody: Custody, *, sender: str, receiver: str) -> Moved | Refused | None:
    """A referral that moves the case was accepted. None: its receiver holds the case already.

    Refused where its sender does not hold the case (any more): nobody gives what another has. A case that its sender
    closed in the meantime goes on with the receiver: somebody took the person on.
    """
    if receiver == custody.holder:
        return None
    if sender != custody.holder:
        return Refused("not_the_holder")
    step = Step.HANDED_OVER if custody.open else Step.REOPENED
    return Moved(step, Custody(receiver, open=True))


def acknowledges(sent: Sent, hand_off: HandOff) -> bool:
    """Whether a referral that its receiver has seen is the hand-off's own.

    It is not where another agency sent it, or where it went to the sender itself. Where no receiver was named, none is
    that was on its way before.
    """
    if sent.sender != hand_off.holder or sent.receiver == hand_off.holder:
        return False
    return sent.at >= hand_off.at if hand_off.receiver is None else sent.receiver == hand_off.receiver


# --- the daily proof ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Entry:
    """One step in the custody of a case, as the ledger has it."""

    case_id: UUID
    number: int
    step: Step
    holder: str
    ended: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Held:
    """How a case that ever came to the agency stands with it at the end of the day."""

    case_id: UUID
    came: str
    stands: str
    ended: str | None
    since: datetime


@dataclass(frozen=True, slots=True)
class Proof:
    """Every case that ever came to an agency is held by it, closed by it with a reason, or held by who accepted it.

    And every referral that it ever answered for: held, ended with a code, or answered for by another.
    """

    agency: str
    day: date
    before: str
    cases: tuple[Held, ...]
    referrals: tuple[Stands, ...] = ()

    @property
    def counts(self) -> dict[str, int]:
        """came = held + closed + handed_on."""
        counts = {"came": len(self.cases), "held": 0, "closed": 0, "handed_on": 0}
        for case in self.cases:
            counts[case.stands] += 1
        return counts


def standings(agency: str, entries: Iterable[Entry]) -> tuple[Held, ...]:
    """The agency's list, from the whole ledger of its cases: one line a case, in the order of case ids."""
    found: dict[UUID, Held] = {}
    for entry in sorted(entries, key=lambda entry: (entry.case_id, entry.number)):
        known = found.get(entry.case_id)
        if entry.holder == agency:
            came = known.came if known is not None else _came(entry.step)
            stands = "closed" if entry.step is Step.CLOSED else "held"
            found[entry.case_id] = Held(entry.case_id, came, stands, entry.ended, entry.at)
        elif known is not None and known.stands != "handed_on":
            found[entry.case_id] = Held(entry.case_id, known.came, "handed_on", None, entry.at)
    return tuple(found[case_id] for case_id in sorted(found))


def _came(step: Step) -> str:
    return {Step.OPENED: "opened", Step.HANDED_OVER: "received", Step.REOPENED: "reopened", Step.CLOSED: "opened"}[step]


def first_link(agency: str) -> str:
    """What stands before an agency's first proof."""
    return hashlib.sha256(f"tsunagu custody\x1f{agency}".encode()).hexdigest()


def document(proof: Proof) -> dict[str, Any]:
    """The proof as it is exported, with the digest that the next day's proof names."""
    plain: dict[str, Any] = {
        "agency": proof.agency,
        "day": proof.day.isoformat(),
        "before": proof.before,
        "counts": proof.counts,
        "cases": [
            {
                "case_id": str(case.case_id),
                "came": case.came,
                "stands": case.stands,
                "ended": case.ended,
                "since": case.since.isoformat(timespec="microseconds"),
            }
            for case in proof.cases
        ],
        **responsibility.shown(proof.referrals),
    }
    return plain | {"digest": digest(plain)}


def digest(plain: Mapping[str, Any]) -> str:
    """SHA-256 over everything but the digest itself, in a fixed form."""
    rest = {name: value for name, value in plain.items() if name != "digest"}
    return hashlib.sha256(
        json.dumps(rest, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
    ).hexdigest()


def check(documents: Sequence[Mapping[str, Any]]) -> list[str]:
    """What is wrong with an agency's proofs, in order; empty if they hold. Needs nothing but the proofs."""
    findings: list[str] = []
    before: Mapping[str, Any] | None = None
    for plain in documents:
        try:
            findings += _check_one(plain, before)
        except (KeyError, TypeError, ValueError):
            findings.append("読めない証明があります / a proof can't be read")
        before = plain
    return findings


def _check_one(plain: Mapping[str, Any], before: Mapping[str, Any] | None) -> list[str]:
    day, cases = plain["day"], plain["cases"]
    found = []
    if plain["digest"] != digest(plain):
        found.append(f"{day}: 作られたあとに書き換えられています / it was changed after it was made")
    # Where the first proof at hand is not the agency's first, what came before it is simply not vouched for.
    if before is not None and (
        plain["agency"] != before["agency"] or plain["day"] <= before["day"] or plain["before"] != before["digest"]
    ):
        found.append(f"{day}: {before['day']} の証明に続いていません / it does not follow on that proof")
    counts = {"came": len(cases), "held": 0, "closed": 0, "handed_on": 0}
    for case in cases:
        counts[case["stands"]] += 1
        if case["stands"] == "closed" and not case["ended"]:
            found.append(
                f"{day}: {case['case_id']} は理由なしの終結です / the case is closed without an outcome or a reason"
            )
    if len({case["case_id"] for case in cases}) != len(cases):
        found.append(f"{day}: 同じケースが二度あります / a case stands twice")
    if counts != plain["counts"] or counts["came"] != counts["held"] + counts["closed"] + counts["handed_on"]:
        found.append(f"{day}: 数が一覧と合いません / the counts are not those of the list")
    if before is not None:
        there = {case["case_id"] for case in cases}
        found += [
            f"{day}: {case['case_id']} がなくなっています / the case has disappeared"
            for case in before["cases"]
            if case["case_id"] not in there
        ]
    return found + responsibility.check(plain, before)
