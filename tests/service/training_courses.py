"""Course runs and callers for the tests of training, and the promises that must hold after every commit."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx2

from services.training.domain.offers import CourseOffer, Denied
from services.training.handlers.courses import Offered, offer_course_runs
from shared.auth import Actor, Role
from shared.bus.envelope import headers_of, new_id, seal
from shared.bus.port import Record
from shared.events import CaseOpened, ConsentGiven, Event, TrainingReferred, topic_of
from shared.service.clock import wall_time
from tests.service.deliberation_room import entrust
from tests.world import KAGOSHIMA, KIRISHIMA, ZAMA, Caller, Running

SCHOOL = "kagoshima-school"
LATER: dict[str, Any] = {"starts_on": date(2027, 10, 1), "ends_on": date(2028, 3, 31)}
"""After the days of `an_offer`: nobody holds two seats at a time."""
ENTITY = {"legal_entity": "8000020130001", "notification_number": "46-toku-000001"}


def an_offer(**changes: Any) -> CourseOffer:
    """A course run of ten seats, open for thirty days more."""
    offer = CourseOffer(
        course_number=f"46-{uuid4().hex[:12]}",
        title="Web デザイン科",
        provider_agency=SCHOOL,
        site_municipality=KAGOSHIMA,
        system="job_seeker_practical",
        field="web_design",
        starts_on=date(2027, 4, 1),
        ends_on=date(2027, 9, 30),
        applications_close_at=wall_time().replace(microsecond=0) + timedelta(days=30),
        capacity=10,
        hold_hours=72,
        source="test",
        checked_on=date(2026, 1, 5),
        delegated={},
    )
    return replace(offer, **changes)


async def offered(training: Running, offer: CourseOffer | None = None, **changes: Any) -> UUID:
    """Put a course run into the catalogue, as an import does; what is delegated was decided before."""
    offer = offer or an_offer(**changes)
    if offer.delegated:
        await entrust(training)
    outcome = await offer_again(training, offer)
    assert isinstance(outcome, Offered)
    return outcome.course_run_id


HELLO_WORK_ENTITY = "6000020271004"
SCHOOL_ENTITY, SCHOOL_NUMBER = "7000012050002", "認定-46-0001"
_REGISTERED = (
    *((f"placement-{town}", "free_placement_notification") for town in (KAGOSHIMA, KIRISHIMA, ZAMA)),
    ("hello-work-kagoshima", "public_employment_office"),
    # Who stands for all bodies at once, where a test lets it.
    ("kagoshima-desk", "free_placement_notification"),
    ("kagoshima-desk", "public_employment_office"),
    (SCHOOL, "training_school"),
    *((f"desk-{town}", "support_desk") for town in (KAGOSHIMA, KIRISHIMA, ZAMA)),
)
_NAMES = {
    "public_employment_office": (HELLO_WORK_ENTITY, None),
    "training_school": (SCHOOL_ENTITY, SCHOOL_NUMBER),
    "support_desk": (ENTITY["legal_entity"], None),
}


async def registered(training: Running) -> None:
    """The callers of these tests are registered, once for each test, as an operator would have done long ago."""
    for place, (agency, basis) in enumerate(_REGISTERED, 1):
        own = (ENTITY["legal_entity"], ENTITY["notification_number"])
        entity, number = own if agency == "kagoshima-desk" else _NAMES.get(basis, own)
        await training.rows(
            "INSERT INTO registration (id, agency, basis, legal_entity, number, valid_from, recorded_by, recorded_at)"
            " VALUES ($1, $2, $3, $4, $5, '2022-10-01', 'operator', now()) ON CONFLICT DO NOTHING",
            UUID(int=place),
            agency,
            basis,
            entity,
            number,
        )


async def offer_again(training: Running, offer: CourseOffer) -> Offered | Denied:
    """Offer a course run, as the planner of its place does, and say what it came to."""
    await registered(training)
    async with training.database.transaction() as session:
        serves = frozenset({f"prefecture:{offer.prefecture}"})
        actor = Actor("test", "kencho-planner", "agency", serves, frozenset({Role.PLANNER}), ())
        (outcome,) = await offer_course_runs(session, [offer], actor=actor, now=await training.desk.clock.now(session))
        return outcome


def desk(training: Running, municipality: str = KAGOSHIMA) -> Caller:
    """A municipality's counsellors."""
    return training.as_(f"desk-{municipality}", Role.COUNSELLOR, municipalities=[municipality])


def placement(training: Running, municipality: str = KAGOSHIMA) -> Caller:
    """A municipality's free job placement."""
    return training.as_(f"placement-{municipality}", Role.PLACEMENT, municipalities=[municipality])


def hello_work(training: Running) -> Caller:
    """Hello Work, for the whole prefecture."""
    return training.as_("hello-work-kagoshima", Role.HELLO_WORK, municipalities=["prefecture:46"])


def school(training: Running, agency: str = SCHOOL) -> Caller:
    """A training provider, which serves no municipality."""
    return training.as_(agency, Role.PROVIDER, municipalities=[])


def planner(training: Running) -> Caller:
    """The prefecture's planners."""
    return training.as_("kencho-planner", Role.PLANNER, municipalities=["prefecture:46"])


def opened(case_id: UUID, municipality: str = KAGOSHIMA) -> CaseOpened:
    """A consultation that was taken up."""
    return CaseOpened(
        case_id=case_id, municipality=municipality, agency_id="desk", entrance="walk_in", opened_at=wall_time()
    )


def consented(case_id: UUID, version: int = 1, **changes: Any) -> ConsentGiven:
    """A consent to whatever a referral needs."""
    values: dict[str, Any] = {"purposes": ["referral"]} | changes
    return ConsentGiven(case_id=case_id, consent_version=version, **values)


async def known_case(training: Running, municipality: str = KAGOSHIMA) -> UUID:
    """A case that training has heard of, with consent."""
    case_id = uuid4()
    await training.hear(opened(case_id, municipality), consented(case_id))
    return case_id


async def ask(
    training: Running, course: UUID, *, municipality: str = KAGOSHIMA, case_id: UUID | None = None, **more: Any
) -> httpx2.Response:
    """Ask for a seat over HTTP, for a new case of the municipality or for the given one."""
    body = {"case_id": str(case_id or await known_case(training, municipality))} | more
    return await desk(training, municipality).post(f"/v1/course-runs/{course}/seat-requests", body)


async def seat(training: Running, course: UUID, **more: Any) -> dict[str, Any]:
    """Ask for a seat that there is."""
    answer = await ask(training, course, **more)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def step(caller: Caller, asked: dict[str, Any], move: str, body: Any = None) -> httpx2.Response:
    """Take a step with a request."""
    return await caller.post(f"/v1/seat-requests/{asked['seat_request_id']}/{move}", body)


async def instructed(training: Running, asked: dict[str, Any]) -> None:
    """Nominate, countersign and instruct under today's law."""
    assert (await step(placement(training), asked, "nominate", ENTITY)).status_code == 200
    assert (await step(hello_work(training), asked, "countersign")).status_code == 200
    answer = await step(hello_work(training), asked, "instruct", {"legal_entity": HELLO_WORK_ENTITY})
    assert answer.status_code == 200, answer.text


def referred(course: UUID, *, municipality: str = KAGOSHIMA, **more: Any) -> TrainingReferred:
    """A referral to a course run."""
    values: dict[str, Any] = {"case_id": uuid4(), "referral_id": uuid4(), "sender": "kagoshima-desk"} | more
    return TrainingReferred(course_run_id=course, municipality=municipality, **values)


async def arrive(training: Running, event: TrainingReferred, *, times: int = 1) -> None:
    """A referral comes in on a partition of its own, as often as the bus likes."""
    event_id = new_id()
    value = seal(event, event_id=event_id, at=wall_time(), sequence=1, by="desk", cause=None)
    headers = headers_of(event_id=event_id, type_=event.type, subject=event.subject, topic=topic_of("referral"))
    record = Record(topic_of("referral"), 0, 0, event.subject, value, headers)
    for _ in range(times):
        await training.inbox.deliver([record])


async def told_since(training: Running, before: int) -> list[Event]:
    """What was told after the first so many events."""
    return (await training.told())[before:]


async def state_of(training: Running, asked: dict[str, Any]) -> str:
    """Where a request stands, as the table has it."""
    rows = await training.rows("SELECT state FROM seat_request WHERE id = $1", UUID(asked["seat_request_id"]))
    state: str = rows[0]["state"]
    return state


async def broken_promises(training: Running, courses: Sequence[UUID] | None = None) -> list[str]:
    """What must never be true after a commit, in words; empty while all is well."""
    return await promises_broken_in(training.rows, courses, offset=training.desk.clock.offset)


async def promises_broken_in(
    rows: Callable[..., Awaitable[Sequence[Any]]], courses: Sequence[UUID] | None, *, offset: timedelta
) -> list[str]:
    """The same, of tables that are read in another way."""
    pools = await rows(
        """
        WITH sums AS MATERIALIZED (
            -- Once for all pools: the legs are no table of their own.
            SELECT pool_id, sum(seats) AS granted_sum,
                   coalesce(sum(seats) FILTER (WHERE account = 'held'), 0) AS held_sum,
                   coalesce(sum(seats) FILTER (WHERE account = 'filled'), 0) AS filled_sum
            FROM seat_leg
            WHERE $1::uuid[] IS NULL OR pool_id IN (SELECT id FROM pool WHERE course_run_id = ANY($1))
            GROUP BY pool_id
        )
        SELECT p.*, c.capacity, c.granted AS course_granted,
               coalesce(granted_sum, 0) AS granted_sum, coalesce(held_sum, 0) AS held_sum,
               coalesce(filled_sum, 0) AS filled_sum, r.holding,
               r.enrolled, r.ready, r.waiting_for_it, p.decision_allotment_id IS NULL
                   OR decision_in_force(p.decision_allotment_id, clock_timestamp() + $2)
                   AND (p.kept IS NOT NULL OR p.cut_off_at > clock_timestamp() + $2) AS in_force
        FROM pool p JOIN course_run c ON c.id = p.course_run_id
        LEFT JOIN sums ON sums.pool_id = p.id
        CROSS JOIN LATERAL (
            SELECT count(*) FILTER (WHERE pool_id = p.id
                       AND state IN ('held', 'nominated', 'countersigned', 'instructed')) AS holding,
                   count(*) FILTER (WHERE pool_id = p.id AND state = 'enrolled') AS enrolled,
                   count(*) FILTER (WHERE pool_id = p.id AND ready) AS ready,
                   count(*) FILTER (WHERE ready
                       AND (p.kind <> 'delegated' OR municipality = ANY(p.municipalities))
                       AND (p.kind <> 'priority' OR p.opens_at <= clock_timestamp() + $2
                            OR target_groups && p.target_groups)
                   ) AS waiting_for_it
            FROM (
                -- Who can have a seat alone, now. Who has another seat at that time is passed over, until the sweep
                -- that follows its return.
                SELECT *, state = 'waiting' AND together_id IS NULL
                    AND coalesce(paused_until <= clock_timestamp() + $2, true)
                    AND (
                        -- Counted, so that it is looked up person by person and never all anew for each pool.
                        SELECT count(*) FROM seat_time t WHERE t.case_id = seat_request.case_id
                        AND t.first_on <= c.ends_on AND t.last_on >= c.starts_on
                    ) = 0 AND NOT EXISTS (
                        SELECT FROM seat_to_offer o WHERE o.course_run_id = seat_request.course_run_id
                    ) AS ready
                FROM seat_request WHERE course_run_id = p.course_run_id
            ) AS asked
        ) r
        WHERE $1::uuid[] IS NULL OR p.course_run_id = ANY($1)
        """,
        courses,
        offset,
    )
    broken = []
    granted: dict[UUID, int] = {}
    for pool in pools:
        granted[pool["course_run_id"]] = granted.get(pool["course_run_id"], 0) + pool["granted"]
        if pool["held"] + pool["filled"] > pool["granted"]:
            broken.append("oversold")
        if (pool["granted"], pool["held"], pool["filled"]) != (
            pool["granted_sum"],
            pool["held_sum"],
            pool["filled_sum"],
        ):
            broken.append("the counters are not the ledger's sums")
        if (pool["held"], pool["filled"]) != (pool["holding"], pool["enrolled"]):
            broken.append("the seats are not the persons who have one")
        if pool["kept"] is not None and pool["granted"] - pool["held"] - pool["filled"] > pool["kept"]:
            broken.append("a seat stayed behind at the cut-off")
        # Until the sweep, or somebody who asks, finds them: seats whose decision is over, or whose cut-off came.
        free = pool["granted"] - pool["held"] - pool["filled"] if pool["in_force"] else 0
        if free > 0 and pool["ready"] > 0:
            broken.append("a free seat beside the pool's own line")
        if free > 0 and pool["waiting_for_it"] > 0:
            broken.append("a free seat beside somebody who waits elsewhere and may have it")
    broken.extend(
        "more granted than there is"
        for pool in pools
        if not granted[pool["course_run_id"]] == pool["course_granted"] <= pool["capacity"]
    )
    return broken


def moment(text: str) -> datetime:
    """A moment out of JSON."""
    return datetime.fromisoformat(text).astimezone(UTC)


__all__ = [
    "ENTITY",
    "HELLO_WORK_ENTITY",
    "KAGOSHIMA",
    "KIRISHIMA",
    "LATER",
    "SCHOOL",
    "SCHOOL_ENTITY",
    "SCHOOL_NUMBER",
    "an_offer",
    "arrive",
    "ask",
    "broken_promises",
    "consented",
    "desk",
    "entrust",
    "hello_work",
    "instructed",
    "known_case",
    "moment",
    "offer_again",
    "offered",
    "opened",
    "placement",
    "planner",
    "promises_broken_in",
    "referred",
    "registered",
    "school",
    "seat",
    "state_of",
    "step",
    "told_since",
]
