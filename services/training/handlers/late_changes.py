"""A course run changes late or is cancelled: tried first, so that everybody sees whom it affects, then done at once.

What the trial showed is what is done: the change names its trial, and is refused where it would affect others by now.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.training.domain.alternatives import Found, Seeker, find_alternatives
from services.training.domain.late_changes import (
    NOBODYS_CHOICE,
    TERMS,
    Affected,
    After,
    Claim,
    Denied,
    Effect,
    Planned,
    Terms,
    moved_by_file,
    plan_change,
)
from services.training.domain.line import FIRST
from services.training.domain.quota import GENERAL, Pool
from services.training.domain.steps import State
from services.training.domain.trial import offered_instead, step_of
from services.training.handlers.catalogue_ours import show_in_catalogue
from services.training.handlers.motions import begin_of
from services.training.handlers.places import read_positions
from services.training.handlers.reserves import Told, move_up
from services.training.handlers.seats import offer_free_seats, seat_held, tell
from services.training.tables import courses, late_changes, line, region_settings, seat_times, seats
from services.training.tables.late_changes import Following, Run
from services.training.tables.region_settings import RegionSetting
from services.training.tables.seats import Share
from shared.auth import Actor
from shared.bus.envelope import new_id
from shared.events import CourseChanged, CourseOffered, SeatAffected, SeatReleased, SeatWaitlisted
from shared.problems import NOT_FOUND, Problem
from shared.service import day_in_japan, working_day_after

_INSTANT = timedelta(microseconds=1)
_BY_FILE = "file"
_REASONS = {
    Effect.CANCELLED: "course_cancelled",
    Effect.SEAT_LOST: "capacity_lowered",
    Effect.COLLIDES: "overlapping_seat",
}
"""Why a request was released, by what the change meant for the person."""


@dataclass(frozen=True, slots=True)
class Change:
    """What the operator wants; what is left out stays as it is."""

    reason: str
    cancel: bool = False
    capacity: int | None = None
    starts_on: date | None = None
    ends_on: date | None = None
    applications_close_at: datetime | None = None
    site_municipality: str | None = None

    def of(self, before: Terms) -> Terms | None:
        """The terms as they would be; None, where it is cancelled."""
        if self.cancel:
            return None
        said = {name: getattr(self, name, None) for name in TERMS}
        return replace(before, **{name: value for name, value in said.items() if value is not None})


@dataclass(frozen=True, slots=True)
class Offer:
    """One person whom the change affects, and what is offered instead."""

    affected: Affected
    found: Found


@dataclass(frozen=True, slots=True)
class Trial:
    """What a change would come to, and by which sign it is known that it still would."""

    run: Run
    planned: Planned
    offers: Sequence[Offer]
    answer_by: datetime
    sign: str


@dataclass(frozen=True, slots=True)
class Outdated:
    """Since the trial something happened: others would be affected, or otherwise."""


@dataclass(frozen=True, slots=True)
class Done:
    """The change stands."""

    change_id: UUID
    trial: Trial


async def try_change(
    session: AsyncSession, course_run_id: UUID, change: Change, *, actor: Actor, now: datetime
) -> Trial | Denied:
    """Who would be affected, in which order, with what is offered to each. Nothing is written."""
    run = await late_changes.find_run(session, course_run_id)
    if run is None or not may_change(run, actor):
        raise Problem(NOT_FOUND)
    if run.row["cancelled_at"] is not None:
        return Denied("is_cancelled", "")
    if change.cancel and run.row["confirmed_at"] is not None and change.reason not in NOBODYS_CHOICE:
        return Denied("is_to_begin", "reason")
    pools = await seats.read_pools(session, run.id, now)
    claims = await _claims(session, run)
    today = day_in_japan(now)
    planned = plan_change(run.terms, change.of(run.terms), claims, pools, today=today, now=now)
    if isinstance(planned, Denied):
        return planned
    return await _trial(session, run, planned, _sign(run, change, planned), now)


async def _trial(session: AsyncSession, run: Run, planned: Planned, sign: str, now: datetime) -> Trial:
    today = day_in_japan(now)
    setting = await region_settings.read_setting(session, run.row["prefecture"], today)
    offers = await _find_offers(session, run, planned, setting, now)
    answer_by = begin_of(working_day_after(today, setting.answer_within_days) + timedelta(days=1)) - _INSTANT
    return Trial(run, planned, offers, answer_by, sign)


def may_change(run: Run, actor: Actor) -> bool:
    """Whoever runs it, and the planner of its place."""
    return bool(run.row["provider_agency"] == actor.agency or actor.serves(run.terms.site_municipality))


async def _claims(session: AsyncSession, run: Run) -> list[Claim]:
    claims = await late_changes.read_claims(session, run.id)
    busy = await seat_times.read_busy(session, {claim.request.case_id for claim in claims}, run.id)
    return [replace(claim, busy=tuple(busy[claim.request.case_id])) for claim in claims]


def _sign(run: Run, change: Change, planned: Planned) -> str:
    """The same as long as the same people are affected in the same way; who takes which alternative is not in it."""
    who = [(str(each.claim.request.id), each.claim.request.state, each.effect, each.after) for each in planned.affected]
    returns = sorted((str(pool_id), count) for pool_id, count in planned.returns.items())
    return sha256(repr((run.id, run.row["version"], change, who, returns)).encode()).hexdigest()[:32]


async def _find_offers(
    session: AsyncSession, run: Run, planned: Planned, setting: RegionSetting, now: datetime
) -> list[Offer]:
    """Alternatives for everybody affected: the course runs are looked up once, however many people there are."""
    step = step_of(run.row["system"], run.row["field"])
    cases = {each.claim.request.case_id for each in planned.affected}
    towns = {each.claim.request.municipality for each in planned.affected} | {run.terms.site_municipality}
    within = timedelta(days=setting.alternatives_within_days)
    candidates = await late_changes.read_candidates(
        session,
        run.id,
        [run.row["field"]] if step is None else offered_instead(step),
        {town[:2] for town in towns},
        today=day_in_japan(now),
        until=run.terms.starts_on + within,
        now=now,
    )
    stands_in = await late_changes.read_stands_in(session, cases)
    offers = []
    for each in planned.affected:
        request = each.claim.request
        seeker = Seeker(
            request.case_id,
            request.municipality,
            run.terms.site_municipality,
            run.terms.starts_on,
            each.claim.busy,
            frozenset(stands_in[request.case_id]),
            each.claim.benefit_ends_on,
            each.claim.target_groups,
            step,
            run.row["host_workplace_id"],
        )
        near = setting.neighbours.get(request.municipality, [])
        taken = request.state is State.ENROLLED  # who has begun is told, and has nothing to choose
        found = find_alternatives(seeker, [] if taken else candidates, neighbours=near, within=within, now=now)
        offers.append(Offer(each, found))
    return offers


# --- done -----------------------------------------------------------------------------------------------------------


async def change_course(
    session: AsyncSession, course_run_id: UUID, change: Change, *, sign: str, actor: Actor, now: datetime
) -> Done | Denied | Outdated:
    """Do what the trial showed, in one transaction: seats, places in line, records, and the news of each."""
    course = await seats.lock_course(session, course_run_id)
    if course is None:
        raise Problem(NOT_FOUND)
    trial = await try_change(session, course_run_id, change, actor=actor, now=now)
    if isinstance(trial, Denied):
        return trial
    if trial.sign != sign:
        return Outdated()
    change_id, run, planned = new_id(), trial.run, trial.planned
    pools = await seats.read_pools(session, run.id, now)
    await _end(session, planned, now)
    await _share_out(session, run, planned, now)
    version = await late_changes.stand(session, run.id, planned.after or run.terms)
    await courses.open_priority_pools(session, [run.id])
    await line.look_again(session, [run.id], now)
    following = _follow(planned, pools)
    await late_changes.add_following(session, following)
    await late_changes.add_change(
        session,
        change_id,
        run.id,
        before=run.terms,
        after=planned.after,
        reason=change.reason,
        agency=actor.agency,
        now=now,
    )
    records = _records(trial, change_id, following, now)
    await late_changes.add_affected(session, records)
    told: list[Told] = [(_course_offered(run, planned), version), (_course_changed(run, planned, change_id), version)]
    told += _affected_told(trial, records, following, await read_positions(session, [run.id], now))
    told += await _deadlines(session, run, pools)
    # As it stands now: holds that are given from here on end by the new days.
    course = await seats.lock_course(session, run.id)
    assert course is not None
    touched = {each.claim.request.pool_id for each in planned.leaving} | {each.pool_id for each in following}
    touched |= set(planned.returns)
    told += await offer_free_seats(session, course, touched, now)
    for each in planned.leaving:
        if each.effect is Effect.COLLIDES:  # As if the person had withdrawn: no seat is lost to the course.
            told += await move_up(session, course, each.claim.request, now=now)
    await show_in_catalogue(session, [run.id], now=now)
    await tell(session, run.id, told, touched, now)
    return Done(change_id, trial)


async def tell_of_file(
    session: AsyncSession, run: Run, after: Terms, *, version: int, agency: str, now: datetime
) -> list[Told]:
    """A file moved the course run, which was `run` before: everybody affected has a record, as by any late change."""
    planned = moved_by_file(run.terms, after, await _claims(session, run), now=now)
    if not planned.affected or run.terms.ends_on < day_in_japan(now):
        return []
    change_id, trial = new_id(), await _trial(session, run, planned, "", now)
    await late_changes.add_change(
        session, change_id, run.id, before=run.terms, after=after, reason=_BY_FILE, agency=agency, now=now
    )
    records = _records(trial, change_id, [], now)
    await late_changes.add_affected(session, records)
    return [(_course_changed(run, planned, change_id), version), *_affected_told(trial, records, [], {})]


async def _end(session: AsyncSession, planned: Planned, now: datetime) -> None:
    ending = {each.claim.request.id: _REASONS[each.effect] for each in planned.leaving}
    holding = [each.claim.request.id for each in planned.leaving if each.claim.request.holds_a_seat]
    await late_changes.end_requests(session, ending, holding, now)
    for each in planned.leaving:
        if each.claim.request.is_offered:
            await line.answer_offer(session, each.claim.request, "left", reason=ending[each.claim.request.id], now=now)


async def _share_out(session: AsyncSession, run: Run, planned: Planned, now: datetime) -> None:
    """Out of the pools, then out of the course run: what leaves a delegated pool counts for its allotment again."""
    cancelled = planned.after is None
    leaving = [Share(run.id, pool_id, -count, is_cancelled=cancelled) for pool_id, count in planned.returns.items()]
    shares = [*leaving, Share(run.id, None, -planned.closes)]
    await seats.share_out(session, shares, command=new_id(), now=now)


def _follow(planned: Planned, pools: Sequence[Pool]) -> list[Following]:
    """Whoever lost a seat stands before all others, in whatever line; the strongest claim first."""
    standing = {pool.id: pool for pool in pools}
    general = next((pool.id for pool in pools if pool.kind == GENERAL), None)
    waiting = [each.claim for each in planned.affected if each.claim.request.state is State.WAITING]
    first = min([FIRST, *(claim.line_no for claim in waiting if claim.line_no is not None)])
    following = []
    # From the weakest to the strongest, each before the one before.
    for each in planned.affected:
        if each.after is After.IN_LINE:
            pool = standing[each.claim.request.pool_id]
            emptied = pool.granted == planned.returns.get(pool.id, 0)
            pool_id = general if emptied and general is not None else pool.id
            first -= 1
            following.append(Following(new_id(), each.claim.request, pool_id, first))
    return following


async def _deadlines(session: AsyncSession, run: Run, pools: Sequence[Pool]) -> list[Told]:
    """Whoever keeps a seat is told until when it is held now."""
    kinds = {pool.id: pool.kind for pool in pools}
    told: list[Told] = []
    for request in await seats.follow_deadlines(session, [run.id]):
        if request.state is not State.WAITING and (until := request.expires_at) is not None:
            held = seat_held(
                request,
                pool_id=request.pool_id,
                pool_kind=kinds[request.pool_id],
                expires_at=until,
                offered=request.is_offered,
            )
            told.append((held, request.version))
    return told


# --- what is kept and told ------------------------------------------------------------------------------------------


def _records(trial: Trial, change_id: UUID, following: Sequence[Following], now: datetime) -> list[dict[str, Any]]:
    goes_on = {each.request.id: each.id for each in following}
    return [
        {
            "id": new_id(),
            "change_id": change_id,
            "place": place,
            "seat_request_id": offer.affected.claim.request.id,
            "case_id": offer.affected.claim.request.case_id,
            "municipality": offer.affected.claim.request.municipality,
            "stood": offer.affected.claim.request.state.value,
            "effect": offer.affected.effect.value,
            "afterwards": offer.affected.after.value,
            "next_request_id": goes_on.get(offer.affected.claim.request.id),
            "offers": [
                {
                    "course_run_id": each.course_run_id,
                    "starts_on": each.starts_on,
                    "days_apart": each.days_apart,
                    "free": each.free,
                    "why": each.why,
                }
                for each in offer.found.alternatives
            ],
            "others": dict(offer.found.others),
            "owner": offer.affected.claim.requested_by,
            "answer_by": trial.answer_by,
            "at": now,
        }
        for place, offer in enumerate(trial.offers, 1)
    ]


def _affected_told(
    trial: Trial, records: Sequence[dict[str, Any]], following: Sequence[Following], places: Mapping[UUID, int]
) -> list[Told]:
    """Of each person what ended, what goes on instead, and what is offered."""
    told: list[Told] = []
    goes_on = {each.request.id: each for each in following}
    for offer, record in zip(trial.offers, records, strict=True):
        request, after = offer.affected.claim.request, offer.affected.after
        version = request.version
        next_one = goes_on.get(request.id)
        if after is not After.KEEPS:
            version += 1
            released = SeatReleased(
                case_id=request.case_id,
                seat_request_id=request.id,
                # A referral goes on with the place in the line; it comes back where nothing goes on.
                referral_id=None if next_one else request.referral_id,
                course_run_id=request.course_run_id,
                pool_id=request.pool_id,
                reason=_REASONS[offer.affected.effect],
            )
            told.append((released, version))
        if next_one is not None:
            waits = SeatWaitlisted(
                case_id=request.case_id,
                seat_request_id=next_one.id,
                referral_id=request.referral_id,
                course_run_id=request.course_run_id,
                pool_id=next_one.pool_id,
                position=places[next_one.id],
                again=True,
            )
            told.append((waits, 1))
        affected = SeatAffected(
            case_id=request.case_id,
            seat_request_id=request.id,
            course_run_id=request.course_run_id,
            change_id=record["change_id"],
            affected_id=record["id"],
            effect=record["effect"],
            afterwards=record["afterwards"],
            alternatives=[each.course_run_id for each in offer.found.alternatives],
            owner=record["owner"],
            answer_by=trial.answer_by,
        )
        told.append((affected, version))
    return told


def _course_changed(run: Run, planned: Planned, change_id: UUID) -> CourseChanged:
    kind = "cancelled" if planned.after is None else "changed"
    return CourseChanged(course_run_id=run.id, change_id=change_id, kind=kind, affected=len(planned.affected))


def _course_offered(run: Run, planned: Planned) -> CourseOffered:
    """Whoever knows course runs hears of it as of every other change; of a cancelled one, that it has no seat."""
    terms = planned.after or replace(run.terms, capacity=0)
    return CourseOffered(
        course_run_id=run.id,
        course_number=run.row["course_number"],
        provider=run.row["provider_agency"],
        prefecture=run.row["prefecture"],
        site_municipality=terms.site_municipality,
        system=run.row["system"],
        field=run.row["field"],
        starts_on=terms.starts_on,
        ends_on=terms.ends_on,
        applications_close_at=terms.applications_close_at,
        capacity=terms.capacity,
        host_workplace_id=run.row["host_workplace_id"],
    )
