"""The sub-committee (分科会): set up, its rules and members, its meetings from the invitation to the close.

The prefecture's planner keeps the record. Everything about one sub-committee is done one by one, under its lock.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.training.domain import deliberation as rules_of
from services.training.domain.deliberation import Meeting, MeetingKind, Rules, Seat, Step
from services.training.domain.refusals import Denied, NotNow
from services.training.tables import decisions
from services.training.tables import deliberation as record
from services.training.tables.deliberation import Committee
from shared.auth import Actor
from shared.bus.envelope import new_id
from shared.problems import FORBIDDEN, NOT_FOUND, Problem
from shared.service import day_in_japan


@dataclass(frozen=True, slots=True)
class SettingUp:
    """A sub-committee as the council (地域職業能力開発促進協議会) set it up."""

    prefecture: str
    name: str
    set_up_by: str
    in_force_from: date
    rules: Rules


def keeps_record(actor: Actor, prefecture: str) -> bool:
    """Whether the caller keeps this prefecture's record."""
    return actor.serves(f"{prefecture}0000")


def keeper_only(actor: Actor, prefecture: str) -> None:
    """403 for anybody but the prefecture's own planner."""
    if not keeps_record(actor, prefecture):
        raise Problem(
            FORBIDDEN,
            detail="Only for a prefecture that you serve.",
            detail_ja="担当する都道府県についてだけ記録できます。",
        )


async def lock(session: AsyncSession, sub_committee_id: UUID, *, actor: Actor, now: datetime) -> Committee:
    """The sub-committee, locked for its keeper; the moment of what is done now stands in it."""
    committee = await record.lock_committee(session, sub_committee_id, now)
    if committee is None:
        raise Problem(NOT_FOUND)
    keeper_only(actor, committee.prefecture)
    return committee


async def set_up(session: AsyncSession, setting: SettingUp, *, actor: Actor, now: datetime) -> UUID | Denied:
    """A prefecture's sub-committee, with its first rules."""
    keeper_only(actor, setting.prefecture)
    denied = rules_of.check_rules(setting.rules)
    if denied is not None:
        return replace(denied, about=f"rules/{denied.about}")
    sub_committee_id = new_id()
    written = {"in_force_from": setting.in_force_from, "by": actor.agency, "now": now}
    values = {
        "id": sub_committee_id,
        "prefecture": setting.prefecture,
        "name": setting.name,
        "set_up_by": setting.set_up_by,
    }
    if not await record.add_committee(session, values | written):
        return Denied("already_set_up", "prefecture")
    await record.add_rules(session, sub_committee_id, setting.rules, written | {"decided_by": setting.set_up_by})
    return sub_committee_id


async def change_rules(
    session: AsyncSession,
    sub_committee_id: UUID,
    rules: Rules,
    *,
    in_force_from: date,
    decided_by: str,
    actor: Actor,
    now: datetime,
) -> int | Denied:
    """New rules, from a later day on: what is being voted on goes by the rules that it began with."""
    committee = await lock(session, sub_committee_id, actor=actor, now=now)
    if in_force_from <= day_in_japan(committee.now):
        return Denied("rules_begin_later", "in_force_from")
    denied = rules_of.check_rules(rules)
    if denied is not None:
        return denied
    values = {"in_force_from": in_force_from, "decided_by": decided_by, "by": actor.agency, "now": committee.now}
    return await record.add_rules(session, committee.id, rules, values)


async def seat_member(
    session: AsyncSession, sub_committee_id: UUID, seat: Seat, *, actor: Actor, now: datetime
) -> Seat | Denied:
    """A body becomes a member, by an office that it sends."""
    committee = await lock(session, sub_committee_id, actor=actor, now=now)
    denied = rules_of.seat_member(seat, await record.read_seats(session, committee.id))
    if denied is not None:
        return denied
    await record.add_seat(session, committee.id, seat, by=actor.agency, now=committee.now)
    return seat


async def end_membership(
    session: AsyncSession, sub_committee_id: UUID, member_id: UUID, until_on: date, *, actor: Actor, now: datetime
) -> Seat | Denied:
    """A membership ends with a day; what the seat voted before stays."""
    committee = await lock(session, sub_committee_id, actor=actor, now=now)
    seat = next((each for each in await record.read_seats(session, committee.id) if each.id == member_id), None)
    if seat is None:
        raise Problem(NOT_FOUND)
    denied = rules_of.end_membership(seat, until_on)
    if denied is not None:
        return denied
    await record.end_seat(session, member_id, until_on, by=actor.agency, now=committee.now)
    return replace(seat, until_on=until_on)


# --- meetings -------------------------------------------------------------------------------------------------------


async def plan_meeting(
    session: AsyncSession,
    sub_committee_id: UUID,
    *,
    held_on: date | None,
    answers_by: datetime | None,
    actor: Actor,
    now: datetime,
) -> Meeting | Denied:
    """A meeting on a day, or a written resolution (持ち回り) with a moment until which answers count."""
    committee = await lock(session, sub_committee_id, actor=actor, now=now)
    if (held_on is None) == (answers_by is None):
        return Denied("day_or_answers_by", "held_on")
    meeting = Meeting(new_id(), MeetingKind.MEETING if answers_by is None else MeetingKind.WRITTEN, held_on, answers_by)
    if meeting.answers_are_late(committee.now):
        return Denied("answers_by_passed", "answers_by")
    await record.add_meeting(session, committee.id, meeting, by=actor.agency, now=committee.now)
    return meeting


async def put_on_agenda(
    session: AsyncSession,
    sub_committee_id: UUID,
    meeting_id: UUID,
    *,
    title: str,
    motion_id: UUID | None,
    actor: Actor,
    now: datetime,
) -> Meeting | Denied | NotNow:
    """An item, with the motion that it is about; until the members come together."""
    committee = await lock(session, sub_committee_id, actor=actor, now=now)
    meeting = await _meeting(session, committee, meeting_id)
    if meeting.votes or not rules_of.legal_steps(meeting):
        return NotNow(rules_of.legal_steps(meeting))
    if motion_id is not None:
        found = await decisions.find_motion(session, motion_id, committee.now)
        if found is None or found[0].sub_committee_id != committee.id:
            return Denied("no_motion_of_ours", "motion_id")
        if await record.is_on_agenda(session, meeting_id, motion_id):
            return Denied("already_on_the_agenda", "motion_id")
    await record.add_to_agenda(session, meeting_id, title, motion_id)
    return replace(meeting, agenda=meeting.agenda + 1)


async def add_paper(
    session: AsyncSession,
    sub_committee_id: UUID,
    meeting_id: UUID,
    paper: dict[str, Any],
    *,
    actor: Actor,
    now: datetime,
) -> Meeting | NotNow:
    """A paper for a meeting: what it is and where it lies. Until the meeting is closed."""
    committee = await lock(session, sub_committee_id, actor=actor, now=now)
    meeting = await _meeting(session, committee, meeting_id)
    if not rules_of.legal_steps(meeting):
        return NotNow(())
    await record.add_paper(session, meeting_id, paper | {"id": new_id(), "by": actor.agency, "now": committee.now})
    return meeting


async def take_step(
    session: AsyncSession,
    sub_committee_id: UUID,
    meeting_id: UUID,
    step: Step,
    *,
    present: Collection[UUID] = (),
    actor: Actor,
    now: datetime,
) -> Meeting | Denied | NotNow:
    """Convene, hold, close or cancel. Where votes begin, the roll is called, and stays as it is."""
    committee = await lock(session, sub_committee_id, actor=actor, now=now)
    meeting = await _meeting(session, committee, meeting_id)
    today = day_in_japan(committee.now)
    stopped = rules_of.take_step(meeting, step, now=committee.now, today=today)
    if stopped is not None:
        return stopped
    taken = replace(meeting, steps=meeting.steps | {step})
    if taken.votes and not meeting.votes:
        seats = await record.read_seats(session, committee.id)
        roll = rules_of.call_roll(seats, meeting.held_on or today, present)
        if isinstance(roll, Denied):
            return roll
        await record.add_roll(session, meeting_id, roll)
    await record.add_step(session, meeting_id, step, by=actor.agency, now=committee.now)
    return taken


async def _meeting(session: AsyncSession, committee: Committee, meeting_id: UUID) -> Meeting:
    meeting = await record.find_meeting(session, committee.id, meeting_id)
    if meeting is None:
        raise Problem(NOT_FOUND)
    return meeting
