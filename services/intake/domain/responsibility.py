"""Who answers for each referral, told from the events alone, and how that stands in the daily proof.

The referral service decides; what is kept here is a second book of the same, from another source, so that the two can
be compared: a referral that one of them has lost is found by the other.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Entry:
    """One step of a referral: where it stands from then on, and who answers for it (責任を持つ機関)."""

    referral_id: UUID
    case_id: UUID
    number: int
    state: str
    holder: str
    sender: str
    receiver: str
    coordinator: str | None
    verb: str
    ended: str | None
    """With which code it ended; None while it is open."""
    at: datetime
    taken_over: bool = False
    """Who works on it was silent: the coordinator answers for it in their place, and is waited for."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What was told of a referral, in the domain's words."""

    what: str
    at: datetime
    state: str | None = None
    code: str | None = None
    coordinator: str | None = None
    ends: bool = True
    holder: str | None = None
    receiver: str | None = None


def follow(before: Entry, heard: Heard) -> Entry:
    """The next entry. One agency answers at every moment: who sent it, who took it on, or who took it over."""
    after = replace(before, number=before.number + 1, at=heard.at)
    match heard.what:
        case "accepted":
            return replace(after, state="accepted", holder=before.holder if before.verb == "refer" else before.receiver)
        case "taken_over":
            assert heard.coordinator is not None
            coordinator, goes_on = heard.coordinator, not heard.ends
            taken = replace(after, holder=coordinator, coordinator=coordinator, taken_over=goes_on)
            # After a decline it has ended already, with its own reason.
            return taken if goes_on or before.ended else replace(taken, state="expired", ended="expired")
        case "became_refer":
            return replace(after, verb="refer", holder=heard.holder or before.holder)
        case "course_changed":
            assert heard.receiver is not None
            return replace(after, receiver=heard.receiver, coordinator=heard.coordinator)
        case "outcome_set":
            return after if before.ended else replace(after, state="outcome_set")
        case "declined" | "withdrawn" | "rerouted" | "closed":
            return replace(after, state=heard.what, ended=heard.code or heard.what)
        case "progressed" if heard.state == "expired":
            return replace(after, state="expired", ended="expired")
        case "progressed":
            return replace(after, state=heard.state or before.state)
        case _:  # received, returned, decline_pending: nobody else answers for it
            return replace(after, state=heard.what, coordinator=heard.coordinator or before.coordinator)


def waits_for(entry: Entry) -> str | None:
    """Whose move it is while it is open. What comes after its end, and the days of a seat, are in referral's list."""
    asked, asker = (entry.sender, entry.receiver) if entry.verb == "request" else (entry.receiver, entry.sender)
    if entry.ended is not None:
        return None
    match entry.state:
        case "sent" | "received":
            return asked
        case "returned":
            return asker
        case "decline_pending":
            return entry.coordinator or asker
        case _:
            return entry.coordinator if entry.taken_over else entry.receiver


# --- in the daily proof ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Stands:
    """How a referral that an agency ever answered for stands with it: held, ended or handed_on."""

    referral_id: UUID
    case_id: UUID
    stands: str
    state: str
    waits_for: str | None
    to: str | None
    ended: str | None
    since: datetime


def standings(agency: str, entries: Iterable[Entry]) -> tuple[Stands, ...]:
    """One line a referral, in the order of their ids."""
    last: dict[UUID, Entry] = {}
    was_mine: dict[UUID, bool] = {}
    since: dict[UUID, datetime] = {}
    for entry in sorted(entries, key=lambda entry: (entry.referral_id, entry.number)):
        before = last.get(entry.referral_id)
        if before is None or (before.holder, before.ended) != (entry.holder, entry.ended):
            since[entry.referral_id] = entry.at
        last[entry.referral_id] = entry
        was_mine[entry.referral_id] = was_mine.get(entry.referral_id, False) or entry.holder == agency
    return tuple(
        _stands(agency, last[referral_id], since[referral_id]) for referral_id in sorted(last) if was_mine[referral_id]
    )


def _stands(agency: str, entry: Entry, since: datetime) -> Stands:
    mine = entry.holder == agency
    stands = ("ended" if entry.ended is not None else "held") if mine else "handed_on"
    return Stands(
        entry.referral_id,
        entry.case_id,
        stands,
        entry.state,
        waits_for=waits_for(entry) if mine else None,
        to=None if mine else entry.holder,
        ended=entry.ended if mine else None,
        since=since,
    )


def counts(standing: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """came = held + ended + handed_on."""
    found = {"came": 0, "held": 0, "ended": 0, "handed_on": 0}
    for each in standing:
        found["came"] += 1
        found[each["stands"]] += 1
    return found


def shown(standing: Sequence[Stands]) -> dict[str, Any]:
    """The proof's part about referrals, as it is exported."""
    lines = [
        {
            "referral_id": str(each.referral_id),
            "case_id": str(each.case_id),
            "stands": each.stands,
            "state": each.state,
            "waits_for": each.waits_for,
            "to": each.to,
            "ended": each.ended,
            "since": each.since.isoformat(timespec="microseconds"),
        }
        for each in standing
    ]
    return {"referrals": lines, "referral_counts": counts(lines)}


def check(plain: Mapping[str, Any], before: Mapping[str, Any] | None) -> list[str]:
    """What is wrong with a proof's part about referrals. A proof of before 0.2.0 has none, and needs none."""
    day = plain["day"]
    there = None if before is None else before.get("referrals")
    if "referrals" not in plain:
        return (
            []
            if there is None
            else [f"{day}: つなぎの部分がなくなっています / the part about referrals has disappeared"]
        )
    lines = plain["referrals"]
    found = [
        f"{day}: {line['referral_id']} は{ja} / {en}"
        for line in lines
        for missing, ja, en in (
            (
                line["stands"] == "ended" and not line["ended"],
                "理由なしで終わっています",
                "the referral ended without a code",
            ),
            (line["stands"] == "handed_on" and not line["to"], "引継先がありません", "nobody took the referral over"),
            (line["stands"] == "held" and not line["state"], "状態がありません", "the referral stands nowhere"),
        )
        if missing
    ]
    ids = {line["referral_id"] for line in lines}
    if len(ids) != len(lines):
        found.append(f"{day}: 同じつなぎが二度あります / a referral stands twice")
    if counts(lines) != plain["referral_counts"]:
        found.append(f"{day}: つなぎの数が一覧と合いません / the counts of referrals are not those of the list")
    found += [
        f"{day}: {line['referral_id']} がなくなっています / the referral has disappeared"
        for line in there or ()
        if line["referral_id"] not in ids
    ]
    return found
