"""A region that a dice made up: its log of events, and the same things as the service's rows."""

import random
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from services.referral.domain.map_supply import Kind
from services.referral.domain.map_views import Seen
from services.referral.handlers import function_map as handlers
from services.referral.handlers.function_map import Wanted
from shared.auth.actor import Actor
from shared.codes import is_municipality_code
from shared.events import (
    AgencyListed,
    CaseClosed,
    CaseErased,
    CaseOpened,
    CaseReopened,
    CourseOffered,
    Enrolled,
    Event,
    NeedMet,
    NeedUnmet,
    PoolChanged,
    ProgrammeListed,
    ReferralAccepted,
    ReferralDeclined,
    ReferralDeclineProposed,
    ReferralProgressed,
    ReferralReceived,
    ReferralSent,
    ReferralWithdrawn,
    SeatHeld,
    SeatRefused,
    SeatReleased,
    SeatWaitlisted,
)
from tests.world import Running

NOW = datetime(2026, 11, 30, 3, 0, tzinfo=UTC)
STAGES = (*("outreach", "drop_in", "work_readiness", "work_training", "vocational_training", "job", "retention"),)
TRAINED = (  # kinds of support in which courses and programmes of the directory meet
    ("vocational_training", 3),
    ("vocational_training", 2),
    ("job_seeker_training", 5),
)
SYSTEMS = (
    *("public_in_house", "public_commissioned", "commissioned_disability", "disability_school"),
    *("job_seeker_basic", "job_seeker_practical", "a_system_of_tomorrow"),
)
NEVER_TOLD = UUID(int=1)
"""A course run that referral has not heard of."""
ROOM = ("has_room", "has_room", "full", "waiting_list", "ask_first", "unknown")


def towns(prefecture: str, many: int) -> list[str]:
    """Right codes of a prefecture, in order; none of them the prefecture's own."""
    found = []
    for number in range(201, 201 + many):
        found += [code for digit in range(10) if is_municipality_code(code := f"{prefecture}{number}{digit}")]
    return found


def prefecture_code(prefecture: str) -> str:
    return next(code for digit in range(10) if is_municipality_code(code := f"{prefecture}000{digit}"))


@dataclass
class Region:
    """Everything that was told, in order, and the neighbours, which are data and no event."""

    log: list[tuple[Event, datetime]] = field(default_factory=list)
    neighbours: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def tell(self, event: Event, at: datetime = NOW) -> None:
        self.log.append((event, at))


@dataclass
class Dice:
    """How big the region is; the seed decides everything else."""

    seed: int
    municipalities: int = 4
    functions: int = 3
    programmes: int = 25
    cases: int = 30
    referrals: int = 30
    courses: int = 9

    def roll(self) -> Region:
        dice, region = random.Random(self.seed), Region()
        own, beyond = towns("46", self.municipalities), towns("45", 2)
        for town in own:
            for near in dice.sample([*own, *beyond], 2):
                if near != town and dice.random() < 0.7:
                    region.neighbours[town].add(near)
        # No course helps with health or debt, whatever programmes do; and no programme with the last two.
        needs = ["health", *(f"need_{number}" for number in range(max(5, self.functions // 2))), "debt"]
        agencies = self._agencies(dice, region, own, beyond)
        programmes = self._programmes(dice, region, agencies, [*own, *beyond], needs[:-2])
        cases = self._cases(dice, region, [*own, *beyond], needs)
        courses = self._courses(dice, region, [*own, *beyond])
        self._referrals(dice, region, cases, programmes, [*courses, NEVER_TOLD])
        self._end_cases(dice, region, cases)
        return region

    def _agencies(self, dice: random.Random, region: Region, own: list[str], beyond: list[str]) -> list[str]:
        agencies = [f"agency-{number}" for number in range(max(3, self.programmes // 10))]
        for version in (1, 2):
            for agency in agencies if version == 1 else agencies[:2]:
                served = dice.sample(own, dice.randint(1, min(4, len(own))))
                if dice.random() < 0.25:
                    served = [prefecture_code(dice.choice(["46", "46", "45", "14"]))]
                region.tell(
                    AgencyListed(
                        agency_id=agency,
                        agency_kind="npo",
                        municipality=dice.choice([*own, *beyond]),
                        municipalities_served=served,
                        confirmed_on=NOW.date(),
                        version=version,
                    )
                )
        return agencies

    def _programmes(
        self, dice: random.Random, region: Region, agencies: list[str], places: list[str], needs: list[str]
    ) -> list[UUID]:
        ids = [UUID(int=dice.getrandbits(128)) for _ in range(self.programmes)]
        kinds = [(f"function_{number}", stage) for number in range(self.functions) for stage in STAGES]
        for number, programme in enumerate([*ids, *ids[:5]]):  # a few change later
            function, stage = kinds[number % len(kinds)]
            strand = dice.randint(1, 6) if self.functions < 10 else 1 + number % 2
            if number % 12 == 0:
                (function, strand), stage = dice.choice(TRAINED), "vocational_training"
            area = dice.sample(places, dice.randint(1, min(6, len(places)))) if dice.random() < 0.6 else []
            if area and dice.random() < 0.05:
                area = [prefecture_code("46")]
            room, today = dice.choice(ROOM), NOW.date()
            starts = dice.choice([None, None, None, today, today + timedelta(days=1)])
            ends = dice.choice([None, None, None, today, today - timedelta(days=1)]) if starts is None else None
            region.tell(
                ProgrammeListed(
                    programme_id=programme,
                    agency_id=dice.choice(agencies) if number < len(ids) else self._agency_of(region, programme),
                    function=function,
                    strand=strand,
                    stage=stage,
                    municipalities=area,
                    needs=dice.sample(needs, dice.randint(0, 2)),
                    capacity_state=room,
                    capacity_vacant=dice.choice([None, None, 0, 1, 4, 9, 30]) if room == "has_room" else None,
                    confirmed_on=today - timedelta(days=dice.choice([0, 30, 179, 180, 181, 400])),
                    capacity_confirmed_on=dice.choice([None, today, today - timedelta(days=dice.choice([29, 30]))]),
                    starts_on=starts,
                    ends_on=ends,
                    version=1 if number < len(ids) else 2,
                )
            )
        return ids

    def _courses(self, dice: random.Random, region: Region, places: list[str]) -> list[UUID]:
        """Open and closed ones, to the second; most have a general pool, many a delegated one, some none at all."""
        ids = [UUID(int=dice.getrandbits(128)) for _ in range(self.courses)]
        pools: dict[UUID, tuple[UUID, str | None]] = {}
        for run in [*ids, *ids[:2]]:  # some change later
            closes = dice.choice([-10 * 86_400, -3_600, -1, 0, 60, 86_400, 40 * 86_400])
            region.tell(
                CourseOffered(
                    course_run_id=run,
                    course_number="5-46-12-001",
                    provider="school-hibiki",
                    prefecture="46",
                    site_municipality=dice.choice([*places, *places, "142166"]),
                    system=dice.choice(SYSTEMS),
                    field="care",
                    starts_on=NOW.date() + timedelta(days=50),
                    ends_on=NOW.date() + timedelta(days=140),
                    applications_close_at=NOW + timedelta(seconds=closes),
                    capacity=15,
                )
            )
        for run in ids:
            for own in (None, dice.choice(places), dice.choice([*places, "142166"])):
                if dice.random() < (0.5 if own else 0.7):
                    pools[UUID(int=dice.getrandbits(128))] = run, own
        for pool in [*pools, *dice.sample(sorted(pools), len(pools) // 2)]:  # half of them change later
            run, own = pools[pool]
            region.tell(
                PoolChanged(
                    pool_id=pool,
                    course_run_id=run,
                    kind="general" if own is None else "delegated",
                    municipality=own,
                    granted=dice.choice([0, 2, 5, 12]),
                    held=dice.choice([0, 0, 1, 3]),
                    filled=dice.choice([0, 2]),
                    waiting=dice.choice([0, 1]),
                )
            )
        return ids

    def _agency_of(self, region: Region, programme: UUID) -> str:
        listed = (event for event, _ in region.log if isinstance(event, ProgrammeListed))
        return next(event.agency_id for event in listed if event.programme_id == programme)

    def _cases(self, dice: random.Random, region: Region, places: list[str], needs: list[str]) -> list[UUID]:
        ids = [UUID(int=dice.getrandbits(128)) for _ in range(self.cases)]
        for case in ids:
            known = dice.random() < 0.8
            region.tell(
                CaseOpened(
                    case_id=case,
                    municipality=dice.choice(places),
                    agency_id="desk",
                    entrance="walk_in",
                    needs=dice.sample(needs, dice.randint(1, 3)) if known else [],
                    topics=dice.sample([*needs, "other"], 2),
                    opened_at=NOW,
                )
            )
        return ids

    def _referrals(
        self, dice: random.Random, region: Region, cases: list[UUID], programmes: list[UUID], courses: list[UUID]
    ) -> None:
        pairs = {
            (dice.choice(cases), dice.choice(programmes if dice.random() < 0.6 else courses))
            for _ in range(self.referrals)
        }
        for case, target in sorted(pairs, key=str):
            referral = UUID(int=dice.getrandbits(128))
            parts: dict[str, Any] = {"case_id": case, "referral_id": referral, "sender": "desk", "receiver": "npo-1"}
            at = NOW - timedelta(days=dice.choice([1, 100, 364, 366, 500]))
            if target in courses:
                sent = ReferralSent(**parts, programme_id=None, course_run_id=target)
                region.tell(sent, at - timedelta(days=20))
                self._seat(dice, region, sent, at)
                continue
            verb = dice.choice(["transfer", "transfer", "refer", "request"])
            if verb == "refer" and referral.int % 2:
                parts["sender"] = "npo-1"  # within one house
            region.tell(ReferralSent(**parts, programme_id=target, verb=verb), at)
            match dice.choice(
                ["sent", "received", "accepted", "in_service", "waiting", "no_capacity", "other", "gone"]
            ):
                case "received":
                    region.tell(ReferralReceived(case_id=case, referral_id=referral, receiver="npo-1"), at)
                case "accepted":
                    region.tell(ReferralAccepted(**parts), at)
                case "in_service" | "waiting" as state:
                    region.tell(ReferralProgressed(**parts, state=state, move="moved"), at)
                case "no_capacity" | "other" as reason:
                    self._decline(dice, region, parts, reason, at)
                case "gone":
                    region.tell(ReferralWithdrawn(**parts, reason="other"), at)
                case _:
                    pass
        for case in dice.sample(cases, len(cases) // 6):
            need = dice.choice([None, "debt", *(f"need_{number}" for number in range(4))])
            where = next(e.municipality for e, _ in region.log if isinstance(e, CaseOpened) and e.case_id == case)
            region.tell(NeedUnmet(case_id=case, need=need, municipality=where, coordinator="desk"))
            if dice.random() < 0.3:
                region.tell(NeedMet(case_id=case, need=need, reason="accepted"))

    def _decline(self, dice: random.Random, region: Region, parts: dict[str, Any], reason: str, at: datetime) -> None:
        """One that was sent back may be declined again; then somebody looks at it, or has not yet."""
        for _ in range(dice.choice([1, 1, 2])):
            region.tell(ReferralDeclineProposed(**parts, coordinator="desk", reason=reason), at)
        match dice.choice(["confirmed", "confirmed", "overruled", "not looked at"]):
            case "confirmed":
                region.tell(ReferralDeclined(**parts, reason=reason), at)
            case "overruled":
                region.tell(ReferralAccepted(**parts), at)
            case _:
                pass

    def _seat(self, dice: random.Random, region: Region, sent: ReferralSent, at: datetime) -> None:
        """What became of it on training's side, as far as it got."""
        of: dict[str, Any] = {
            "case_id": sent.case_id,
            "referral_id": sent.referral_id,
            "course_run_id": sent.course_run_id,
        }
        seat = of | {"seat_request_id": UUID(int=dice.getrandbits(128)), "pool_id": UUID(int=2)}
        for step in dice.choice(
            [
                *(["wait"], ["wait"], ["wait", "hold"], ["hold"], ["wait", "withdraw"], ["wait", "hold", "enrol"]),
                *(["wait", "expired"], ["wait", "expired"], ["wait", "hold", "expired"], ["wait", "course_cancelled"]),
                *(["no_seats_for_you"], ["no_seats_for_you"], ["applications_closed"], ["hold", "enrol"], []),
            ]
        ):
            match step:
                case "wait":
                    region.tell(SeatWaitlisted(**seat, position=1), at - timedelta(days=10))
                case "hold":
                    region.tell(SeatHeld(**seat, pool_kind="general", expires_at=at), at - timedelta(days=5))
                case "enrol":
                    region.tell(Enrolled(**seat, starts_on=at.date()), at)
                case "withdraw":
                    who = {"case_id": sent.case_id, "referral_id": sent.referral_id}
                    region.tell(ReferralWithdrawn(**who, sender="desk", receiver="npo-1", reason="other"), at)
                case "expired" | "course_cancelled":
                    region.tell(SeatReleased(**seat, reason=step), at)
                case _:
                    region.tell(SeatRefused(**of, reason=step), at)

    def _end_cases(self, dice: random.Random, region: Region, cases: list[UUID]) -> None:
        for case in dice.sample(cases, len(cases) // 4):
            region.tell(CaseClosed(case_id=case, agency_id="desk", ended="goal_reached"))
            match dice.randint(0, 3):
                case 0:
                    region.tell(CaseReopened(case_id=case, agency_id="desk"))
                case 1:
                    region.tell(CaseErased(case_id=case, agency_id="desk", reason="persons_request", erased_at=NOW))
                case _:
                    pass


async def take_in(running: Running, region: Region) -> None:
    """The same region as rows: what others tell comes through the door of events, the rest as the service writes it."""
    by_others = CaseOpened | CaseClosed | CaseReopened | CaseErased | CourseOffered | PoolChanged
    await running.hear(*(each for each, _ in region.log if isinstance(each, by_others)))
    agencies = {each.agency_id: each for each, _ in region.log if isinstance(each, AgencyListed)}
    for agency in agencies.values():
        await running.rows(
            "INSERT INTO agency VALUES ($1, NULL, $1, $1, $2, $3, $4, NULL, 'desk', $5, 1)",
            *(agency.agency_id, agency.agency_kind, agency.municipality, agency.municipalities_served),
            agency.confirmed_on,
        )
    programmes = {each.programme_id: each for each, _ in region.log if isinstance(each, ProgrammeListed)}
    for each in programmes.values():
        await running.rows(
            "INSERT INTO programme (id, agency_id, programme_code, name, function, strand, stage, municipalities,"
            " needs, capacity_state, capacity_free, confirmed_on, capacity_confirmed_on, starts_on, ends_on)"
            " VALUES ($1, $2, $3, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
            *(each.programme_id, each.agency_id, str(each.programme_id), each.function, each.strand, each.stage),
            *(each.municipalities, each.needs, each.capacity_state, each.capacity_vacant, each.confirmed_on),
            *(each.capacity_confirmed_on, each.starts_on, each.ends_on),
        )
    for town, near in region.neighbours.items():
        await running.rows(
            "INSERT INTO neighbour (municipality, neighbour, set_by, set_at) SELECT $1, unnest($2::text[]), 'desk', $3",
            *(town, sorted(near), NOW),
        )
    await _take_in_referrals(running, region)


async def _take_in_referrals(running: Running, region: Region) -> None:
    opened = {each.case_id: each for each, _ in region.log if isinstance(each, CaseOpened)}
    for event, at in region.log:
        match event:
            case ReferralSent():
                await running.rows(
                    "INSERT INTO referral VALUES"
                    " ($1, $2, $3, $7, 'npo-1', $4, $5, NULL, 'sent', $7, NULL, NULL, $6, 1)",
                    *(event.referral_id, event.case_id, opened[event.case_id].municipality),
                    *(event.programme_id, event.course_run_id, at, event.sender),
                )
                # Half of the cases that were asked for stay with their holder, and the request is a referral since.
                verb = "refer" if event.verb == "request" and event.referral_id.int % 2 else event.verb
                await running.rows("UPDATE referral SET verb = $2 WHERE id = $1", event.referral_id, verb)
                by = "npo-1" if event.verb == "request" else event.sender
                await _step(running, event.referral_id, "send", None, at, by=by)
            case ReferralReceived():
                await _move(running, event.referral_id, "received", None)
            case ReferralAccepted():
                await _move(running, event.referral_id, "accepted", None)
            case ReferralProgressed():
                await _move(running, event.referral_id, event.state, None)
            case ReferralDeclineProposed():
                await _move(running, event.referral_id, "decline_pending", event.reason)
                await _step(running, event.referral_id, "decline", event.reason, at)
            case ReferralDeclined():
                await _move(running, event.referral_id, "declined", event.reason)
            case ReferralWithdrawn():
                await _move(running, event.referral_id, "withdrawn", event.reason)
            case NeedUnmet():
                await running.rows(
                    "INSERT INTO need_unmet (id, case_id, municipality, need, since, coordinator, state)"
                    " VALUES (gen_random_uuid(), $1, $2, $3, $4, 'desk', 'open')",
                    *(event.case_id, event.municipality, event.need, at),
                )
            case NeedMet():
                await running.rows(
                    "UPDATE need_unmet SET state = 'met', ended_at = $3, reason = 'accepted'"
                    " WHERE case_id = $1 AND need IS NOT DISTINCT FROM $2",
                    *(event.case_id, event.need, at),
                )
            case SeatWaitlisted() | SeatHeld() | SeatRefused() | SeatReleased() | Enrolled():
                assert event.referral_id is not None
                step, state, progress = SEAT_MOVES[type(event)]
                reason = getattr(event, "reason", None)
                await _move(running, event.referral_id, state, reason, progress)
                await _step(running, event.referral_id, step, reason, at)
            case _:
                pass


SEAT_MOVES: dict[type[Event], tuple[str, str, str]] = {
    SeatWaitlisted: ("wait_for_seat", "received", "seat_waiting"),
    SeatHeld: ("hold_seat", "received", "seat_held"),
    Enrolled: ("enrol", "accepted", "enrolled"),
    SeatRefused: ("refuse_seat", "declined", "seat_refused"),
    SeatReleased: ("release_seat", "declined", "seat_released"),
}


async def _move(
    running: Running, referral_id: UUID, state: str, reason: str | None, progress: str | None = None
) -> None:
    await running.rows(
        "UPDATE referral SET state = $2, reason = $3, progress = coalesce($5, progress),"
        " responsible_agency = CASE WHEN $4 THEN receiver ELSE sender END WHERE id = $1",
        *(referral_id, state, reason, state in {"accepted", "in_service"}, progress),
    )


async def _step(
    running: Running, referral_id: UUID, step: str, reason: str | None, at: datetime, *, by: str = "desk"
) -> None:
    await running.rows(
        "INSERT INTO referral_step SELECT $1, count(*) + 1, $2, $5, $3, $4 FROM referral_step WHERE referral_id = $1",
        *(referral_id, step, reason, at, by),
    )


def acting(*municipalities: str) -> Actor:
    """A caller who serves these, or whole prefectures (`prefecture:46`)."""
    return Actor("somebody", "desk", "self_reliance_desk", frozenset(municipalities), frozenset(), ())


async def drawn(running: Running, actor: Actor, wanted: Wanted | None = None) -> list[Seen]:
    """The service's own map at that moment."""
    async with running.database.transaction() as session:
        return await handlers.draw_map(session, wanted or Wanted("46"), actor=actor, now=NOW)


def as_told(seen: Seen) -> tuple[tuple[str, str, str, int], dict[str, Any]]:
    """A whole cell in the oracle's words."""
    kind: Kind = seen.kind
    numbers = ("open_needs", "waiting", "unmet", "wanting", "turned_away")
    supply = ("programmes", "with_room", "stale", "unknown", "places")
    return (seen.municipality, kind.function, kind.stage, kind.strand), {
        **{name: getattr(seen, name).count for name in numbers},
        **{name: getattr(seen.supply, name) for name in supply},
        "state": seen.state.value,
        "why": seen.why.value,
        "proposal": seen.proposal.value,
        "lenders": list(seen.lenders),
    }


async def listed(running: Running) -> list[tuple[Event, datetime]]:
    """The directory as its events tell it."""
    agencies = await running.rows("SELECT *, kind AS agency_kind FROM agency")
    programmes = await running.rows("SELECT *, id AS programme_id FROM programme")
    events = [
        *(AgencyListed.model_validate(dict(row)) for row in agencies),
        *(ProgrammeListed.model_validate(dict(row)) for row in programmes),
    ]
    return [(event, NOW) for event in events]
