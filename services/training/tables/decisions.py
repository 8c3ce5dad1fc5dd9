"""Motions and their versions, votes, and decisions. What was voted on becomes a decision by the database's own copy."""

# ruff: noqa: S608  (put together from this file's own words; every value is bound)

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from pydantic_core import to_json
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.training.domain.decisions import Allotment, Decision, Selector
from services.training.domain.deliberation import Choice, Outcome, Tally
from services.training.domain.motions import About, Motion, Onward, Proposal, Purpose, Seats, Wish

_ADD_MOTION = text(
    "INSERT INTO motion (id, sub_committee_id, about, proposed_by, recorded_by, recorded_at)"
    " VALUES (:id, :sub_committee_id, :about, :proposed_by, :by, :now)"
)
_ADD_VERSION = text(
    "INSERT INTO motion_version (motion_id, version, title, effective_from, ends_on, supersedes, content, recorded_by,"
    " recorded_at) VALUES (:motion_id, :version, :title, :effective_from, :ends_on, CAST(:supersedes AS uuid[]),"
    " CAST(:content AS jsonb), :by, :now)"
)
_WITHDRAW = text("INSERT INTO motion_withdrawal (motion_id, at, by) VALUES (:id, :now, :by)")
_MOTIONS = (
    "SELECT m.id, m.sub_committee_id, m.about, m.proposed_by, m.recorded_at, d.id AS decision_id,"
    " d.ratify_before IS NOT NULL AND r.decision_id IS NULL AND d.ratify_before > CAST(:now AS timestamptz) AS urgent,"
    " EXISTS (SELECT FROM motion_withdrawal w WHERE w.motion_id = m.id) AS withdrawn,"
    " (SELECT max(version) FROM motion_version v WHERE v.motion_id = m.id) AS version,"
    " (SELECT coalesce(jsonb_agg(jsonb_build_array(b.purpose, e.outcome) ORDER BY b.opened_at, b.id), '[]')"
    " FROM ballot b LEFT JOIN ballot_end e ON e.ballot_id = b.id WHERE b.motion_id = m.id"
    " AND e.outcome IS DISTINCT FROM 'withdrawn') AS ballots"
    " FROM motion m LEFT JOIN decision d ON d.motion_id = m.id LEFT JOIN ratification r ON r.decision_id = d.id"
)
_FIND_MOTION = text(f"{_MOTIONS} WHERE m.id = :id")
_LIST_MOTIONS = text(
    f"{_MOTIONS} WHERE m.sub_committee_id = :id AND (CAST(:after AS uuid) IS NULL OR m.id > :after)"
    " ORDER BY m.id LIMIT :limit"
)
_COMMITTEE_OF = text("SELECT sub_committee_id FROM motion WHERE id = :id")
_VERSIONS = text(
    "SELECT version, title, effective_from, ends_on, supersedes, content, recorded_by, recorded_at FROM motion_version"
    " WHERE motion_id = :id ORDER BY version"
)


async def add_motion(session: AsyncSession, motion: Motion, *, proposed_by: str, by: str, now: datetime) -> None:
    """A motion, still without a version."""
    values = {
        "id": motion.id,
        "sub_committee_id": motion.sub_committee_id,
        "about": motion.about.value,
        "proposed_by": proposed_by,
        "by": by,
        "now": now,
    }
    await session.execute(_ADD_MOTION, values)


async def add_version(
    session: AsyncSession, motion_id: UUID, version: int, proposal: Proposal, *, by: str, now: datetime
) -> None:
    """A motion as it now reads; the versions before stay."""
    values = {
        "motion_id": motion_id,
        "version": version,
        "title": proposal.title,
        "effective_from": proposal.effective_from,
        "ends_on": proposal.ends_on,
        "supersedes": sorted(proposal.supersedes),
        "content": to_json(_content(proposal)).decode(),
        "by": by,
        "now": now,
    }
    await session.execute(_ADD_VERSION, values)


def _content(proposal: Proposal) -> dict[str, Any]:
    if proposal.wish is not None:
        wish = proposal.wish
        return {"system": wish.system, "field": wish.field, "wish": wish.wish, "target_group": wish.target_group}
    return {
        "allotments": [
            {
                "municipalities": line.municipalities,
                "course_number": line.selector.course_number,
                "system": line.selector.system,
                "field": line.selector.field,
                "quarter": line.selector.quarter,
                "fiscal_year": line.selector.fiscal_year,
                "seats": line.seats,
                "cut_off_on": line.cut_off_on,
                "returns_percent": line.returns_percent,
                "lendable": line.lendable,
                "onward": [
                    {"municipalities": sorted(each.municipalities), "cut_off_on": each.cut_off_on}
                    for each in line.onward
                ],
                "carries_over": line.carries_over,
            }
            for line in proposal.allotments
        ]
    }


def proposal_of(row: Row[Any]) -> Proposal:
    """A version out of its columns."""
    content = row.content
    lines = content.get("allotments", [])
    wish = (
        Wish(content["system"], content["field"], content["wish"], content["target_group"])
        if "wish" in content
        else None
    )
    return Proposal(
        row.title, row.effective_from, row.ends_on, frozenset(row.supersedes), tuple(map(_line, lines)), wish
    )


def _line(line: Mapping[str, Any]) -> Seats:
    selector = Selector(*(line[name] for name in ("course_number", "system", "field", "quarter", "fiscal_year")))
    return Seats(
        tuple(line["municipalities"]),
        selector,
        line["seats"],
        date.fromisoformat(line["cut_off_on"]),
        line["returns_percent"],
        line["lendable"],
        tuple(
            Onward(tuple(each["municipalities"]), date.fromisoformat(each["cut_off_on"]))
            for each in line.get("onward", ())
        ),
        line.get("carries_over", False),
    )


async def committee_of(session: AsyncSession, motion_id: UUID) -> UUID | None:
    """Whose motion it is."""
    found: UUID | None = (await session.execute(_COMMITTEE_OF, {"id": motion_id})).scalar_one_or_none()
    return found


async def find_motion(session: AsyncSession, motion_id: UUID, now: datetime) -> tuple[Motion, Row[Any]] | None:
    """A motion with what has happened to it, and its row. Decided on with its sub-committee locked."""
    row = (await session.execute(_FIND_MOTION, {"id": motion_id, "now": now})).one_or_none()
    return None if row is None else (motion_of(row), row)


def motion_of(row: Row[Any]) -> Motion:
    """A motion out of its columns."""
    return Motion(
        id=row.id,
        sub_committee_id=row.sub_committee_id,
        about=About(row.about),
        version=row.version or 0,
        ballots=[(Purpose(purpose), outcome and Outcome(outcome)) for purpose, outcome in row.ballots],
        withdrawn=row.withdrawn,
        decision_id=row.decision_id,
        urgent=bool(row.urgent),
    )


async def list_motions(
    session: AsyncSession, sub_committee_id: UUID, *, now: datetime, after: UUID | None, limit: int
) -> list[Row[Any]]:
    """Motions as they were tabled."""
    values = {"id": sub_committee_id, "now": now, "after": after, "limit": limit}
    return list(await session.execute(_LIST_MOTIONS, values))


async def read_versions(session: AsyncSession, motion_id: UUID) -> list[Row[Any]]:
    """Every version of a motion."""
    return list(await session.execute(_VERSIONS, {"id": motion_id}))


async def withdraw(session: AsyncSession, motion_id: UUID, *, by: str, now: datetime) -> None:
    """A motion is taken back; its versions stay."""
    await session.execute(_WITHDRAW, {"id": motion_id, "by": by, "now": now})


# --- votes ----------------------------------------------------------------------------------------------------------

_ADD_BALLOT = text(
    "INSERT INTO ballot (id, sub_committee_id, meeting_id, motion_id, motion_version, rule_version, purpose, opened_at,"
    " opened_by) VALUES (:id, :sub_committee_id, :meeting_id, :motion_id, :motion_version, :rule_version, :purpose,"
    " :now, :by)"
)
_OPEN_BALLOT = text(
    "SELECT b.id, b.meeting_id, b.purpose, b.motion_version, r.* FROM ballot b"
    " JOIN committee_rule r ON r.sub_committee_id = b.sub_committee_id AND r.version = b.rule_version"
    " WHERE b.motion_id = :id AND NOT EXISTS (SELECT FROM ballot_end e WHERE e.ballot_id = b.id)"
)
_READ_VOTES = text("SELECT member_id, choice FROM vote WHERE ballot_id = :id")
_ADD_VOTE = text(
    "INSERT INTO vote (ballot_id, member_id, meeting_id, choice, dissent, at, recorded_by)"
    " VALUES (:id, :member_id, :meeting_id, :choice, :dissent, :now, :by)"
)
_END_BALLOT = text(
    "INSERT INTO ballot_end (ballot_id, outcome, entitled, present, fors, againsts, abstentions, at, by)"
    " VALUES (:id, :outcome, :entitled, :present, :fors, :againsts, :abstentions, :now, :by)"
)
_BALLOTS = text(
    "SELECT b.id, b.meeting_id, b.motion_id, b.motion_version, b.purpose, b.opened_at, e.outcome, e.entitled,"
    " e.present, e.fors, e.againsts, e.abstentions, e.at AS ended_at, (SELECT coalesce(jsonb_agg(jsonb_build_object("
    "'member_id', v.member_id, 'agency', m.agency, 'office', m.office, 'choice', v.choice, 'dissent', v.dissent,"
    " 'at', v.at, 'recorded_by', v.recorded_by) ORDER BY v.member_id), '[]')"
    " FROM vote v JOIN committee_member m ON m.id = v.member_id WHERE v.ballot_id = b.id) AS votes"
    " FROM ballot b LEFT JOIN ballot_end e ON e.ballot_id = b.id"
    " WHERE b.motion_id = :motion_id OR b.meeting_id = :meeting_id ORDER BY b.opened_at, b.id"
)


async def add_ballot(session: AsyncSession, values: Mapping[str, Any]) -> None:
    """A motion is put to the vote."""
    await session.execute(_ADD_BALLOT, dict(values))


async def find_open_ballot(session: AsyncSession, motion_id: UUID) -> Row[Any] | None:
    """The vote that is going on about a motion, with the rules it goes by."""
    return (await session.execute(_OPEN_BALLOT, {"id": motion_id})).one_or_none()


async def read_votes(session: AsyncSession, ballot_id: UUID) -> dict[UUID, Choice]:
    """What each seat has said."""
    return {row.member_id: Choice(row.choice) for row in await session.execute(_READ_VOTES, {"id": ballot_id})}


async def add_vote(session: AsyncSession, values: Mapping[str, Any]) -> None:
    """One seat's vote, once."""
    await session.execute(_ADD_VOTE, dict(values))


async def end_ballot(
    session: AsyncSession, ballot_id: UUID, outcome: str, tally: Tally, *, by: str, now: datetime
) -> None:
    """What the vote came to; the database counts for itself, and refuses anything else."""
    counts = {name: getattr(tally, name) for name in ("entitled", "present", "fors", "againsts", "abstentions")}
    await session.execute(_END_BALLOT, {"id": ballot_id, "outcome": outcome, "by": by, "now": now} | counts)


async def read_ballots(
    session: AsyncSession, *, motion_id: UUID | None = None, meeting_id: UUID | None = None
) -> list[Row[Any]]:
    """The votes on a motion, or in a meeting."""
    return list(await session.execute(_BALLOTS, {"motion_id": motion_id, "meeting_id": meeting_id}))


# --- decisions ------------------------------------------------------------------------------------------------------

_ADD_DECISION = text(
    "INSERT INTO decision (id, sub_committee_id, fiscal_year, serial, version, motion_id, motion_version, ballot_id,"
    " decided_by_member, decided_at, effective_at, ends_at, ratify_before, recorded_by)"
    " VALUES (:id, :sub_committee_id, :fiscal_year, :serial, :version, :motion_id, :motion_version, :ballot_id,"
    " :decided_by_member, :decided_at, :effective_at, :ends_at, :ratify_before, :by)"
)
_NEXT_SERIAL = text(
    "SELECT 1 + coalesce(max(serial), 0) FROM decision WHERE sub_committee_id = :id AND fiscal_year = :fiscal_year"
)
_NUMBER = "c.prefecture || '-' || d.fiscal_year || '-' || lpad(CAST(d.serial AS text), 3, '0')"
_BOOK = text(
    f"SELECT d.id, m.about, {_NUMBER} AS number, d.version, d.effective_at, d.ends_at, d.ratify_before,"
    " r.outcome, r.at,"
    " ARRAY(SELECT s.superseded_id FROM decision_supersedes s WHERE s.decision_id = d.id) AS supersedes,"
    " (SELECT coalesce(jsonb_agg(to_jsonb(a)), '[]') FROM decision_allotment a WHERE a.decision_id = d.id)"
    " AS allotments"
    " FROM decision d JOIN sub_committee c ON c.id = d.sub_committee_id JOIN motion m ON m.id = d.motion_id"
    " LEFT JOIN ratification r ON r.decision_id = d.id WHERE d.sub_committee_id = :id"
)
_RATIFY = text(
    "INSERT INTO ratification (decision_id, ballot_id, outcome, at) VALUES (:decision_id, :ballot_id, :outcome, :now)"
)
_TELL = text(
    "INSERT INTO decision_told (decision_id, number, news, by_decision, at)"
    " SELECT :decision_id, 1 + count(*), :news, :by_decision, :now FROM decision_told WHERE decision_id = :decision_id"
    " RETURNING number"
)


@dataclass(frozen=True, slots=True)
class Made:
    """How a decision came to be: by a vote, or urgently by the chair."""

    motion_id: UUID
    motion_version: int
    fiscal_year: int
    serial: int
    decided_at: datetime
    ballot_id: UUID | None = None
    decided_by_member: UUID | None = None


async def next_serial(session: AsyncSession, sub_committee_id: UUID, fiscal_year: int) -> int:
    """The next number of the fiscal year; the sub-committee is locked."""
    serial: int = (
        await session.execute(_NEXT_SERIAL, {"id": sub_committee_id, "fiscal_year": fiscal_year})
    ).scalar_one()
    return serial


async def add_decision(
    session: AsyncSession, sub_committee_id: UUID, decision: Decision, made: Made, *, by: str
) -> None:
    """A decision; the database copies what was voted on, and refuses what contradicts another one."""
    values = {
        "id": decision.id,
        "sub_committee_id": sub_committee_id,
        "version": decision.version,
        "effective_at": decision.effective_at,
        "ends_at": decision.ends_at,
        "ratify_before": decision.ratify_before,
        "by": by,
    }
    how = {
        "motion_id": made.motion_id,
        "motion_version": made.motion_version,
        "fiscal_year": made.fiscal_year,
        "serial": made.serial,
        "decided_at": made.decided_at,
        "ballot_id": made.ballot_id,
        "decided_by_member": made.decided_by_member,
    }
    await session.execute(_ADD_DECISION, values | how)


async def read_book(session: AsyncSession, sub_committee_id: UUID) -> dict[UUID, Decision]:
    """Every decision of a sub-committee."""
    return {row.id: _decision(row) for row in await session.execute(_BOOK, {"id": sub_committee_id})}


def _decision(row: Row[Any]) -> Decision:
    return Decision(
        id=row.id,
        kind=row.about,
        number=row.number,
        effective_at=row.effective_at,
        ends_at=row.ends_at,
        ratify_before=row.ratify_before,
        ratified_at=row.at if row.outcome == "ratified" else None,
        refused_at=row.at if row.outcome == "refused" else None,
        supersedes=frozenset(row.supersedes),
        allotments=tuple(
            Allotment(
                frozenset(line["municipalities"]),
                Selector(line["course_number"], line["system"], line["field"], line["quarter"], line["fiscal_year"]),
            )
            for line in row.allotments
        ),
        version=row.version,
    )


async def ratify(session: AsyncSession, decision_id: UUID, ballot_id: UUID, *, ratified: bool, now: datetime) -> None:
    """An urgent decision is ratified, or refused, by a vote."""
    outcome = "ratified" if ratified else "refused"
    values = {"decision_id": decision_id, "ballot_id": ballot_id, "outcome": outcome, "now": now}
    await session.execute(_RATIFY, values)


async def tell(
    session: AsyncSession, decision_id: UUID, news: str, *, by_decision: UUID | None = None, now: datetime
) -> int:
    """That something is told of a decision, once; its number in the order of what is told of it."""
    values = {"decision_id": decision_id, "news": news, "by_decision": by_decision, "now": now}
    number: int = (await session.execute(_TELL, values)).scalar_one()
    return number


# --- reading --------------------------------------------------------------------------------------------------------

_DECISIONS = (
    f"SELECT d.*, c.prefecture, {_NUMBER} AS number, m.about, v.title, v.content, r.outcome AS ratification,"
    " r.at AS ratified_at, b.meeting_id, decision_state(d.id, CAST(:at AS timestamptz)) AS state,"
    " ARRAY(SELECT s.superseded_id FROM decision_supersedes s WHERE s.decision_id = d.id ORDER BY 1) AS supersedes,"
    " ARRAY(SELECT s.decision_id FROM decision_supersedes s WHERE s.superseded_id = d.id ORDER BY 1) AS superseded_by,"
    " (SELECT coalesce(jsonb_agg(to_jsonb(a) || jsonb_build_object('decision_allotment_id', a.id, 'onward',"
    " (SELECT coalesce(jsonb_agg(jsonb_build_object('municipalities', o.municipalities, 'cut_off_on', o.cut_off_on)"
    " ORDER BY o.step), '[]') FROM allotment_onward o WHERE o.decision_allotment_id = a.id),"
    " 'carried_over', allotment_seats(a.id) - a.seats)"
    " ORDER BY a.number), '[]') FROM decision_allotment a WHERE a.decision_id = d.id) AS allotments"
    " FROM decision d JOIN sub_committee c ON c.id = d.sub_committee_id JOIN motion m ON m.id = d.motion_id"
    " JOIN motion_version v ON v.motion_id = d.motion_id AND v.version = d.motion_version"
    " LEFT JOIN ratification r ON r.decision_id = d.id LEFT JOIN ballot b ON b.id = d.ballot_id"
)
_GET_DECISION = text(f"{_DECISIONS} WHERE d.id = :id")
_LIST_DECISIONS = text(
    f"SELECT * FROM ({_DECISIONS} WHERE (CAST(:prefecture AS text) IS NULL OR c.prefecture = :prefecture)"
    " AND (CAST(:municipality AS text) IS NULL OR EXISTS (SELECT FROM decision_allotment a WHERE a.decision_id = d.id"
    " AND a.municipalities @> ARRAY[CAST(:municipality AS text)]))"
    " AND (CAST(:after AS uuid) IS NULL OR d.id > :after)) AS found"
    " WHERE NOT :in_force OR state = 'in_force' ORDER BY id LIMIT :limit"
)


async def find_decision(session: AsyncSession, decision_id: UUID, at: datetime) -> Row[Any] | None:
    """A decision, and where it stands at a moment."""
    return (await session.execute(_GET_DECISION, {"id": decision_id, "at": at})).one_or_none()


async def list_decisions(
    session: AsyncSession,
    *,
    prefecture: str | None,
    municipality: str | None,
    in_force: bool,
    at: datetime,
    after: UUID | None,
    limit: int,
) -> Sequence[Row[Any]]:
    """Decisions as they were made, and where each stands at a moment; or those alone that are in force then."""
    values = {
        "prefecture": prefecture,
        "municipality": municipality,
        "in_force": in_force,
        "at": at,
        "after": after,
        "limit": limit,
    }
    return (await session.execute(_LIST_DECISIONS, values)).all()
