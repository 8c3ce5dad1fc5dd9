"""Events of an invented region for the dashboard's tests, as records of several partitions."""

import random
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID, uuid4
from zlib import crc32

from shared.bus.envelope import headers_of, new_id, open_envelope, seal
from shared.bus.port import PARTITIONS, Record
from shared.events import (
    AssessmentRecorded,
    CaseOpened,
    ConsentGiven,
    CourseOffered,
    Enrolled,
    Event,
    InstructionIssued,
    PoolChanged,
    ReferralAccepted,
    ReferralReceived,
    ReferralSent,
    SeatHeld,
    topic_of,
)
from tests.world import KAGOSHIMA

AT = datetime(2026, 11, 1, 3, 0, tzinfo=UTC)
RUN = UUID(int=77)
POOL = UUID(int=78)


def opened(case_id: UUID | None = None) -> CaseOpened:
    return CaseOpened(
        case_id=case_id or uuid4(), municipality=KAGOSHIMA, agency_id="kagoshima-desk", entrance="desk", opened_at=AT
    )


def journey(case_id: UUID) -> list[Event]:
    """Everything that happens to one person, in order; a listener may stop anywhere."""
    referral, request = uuid4(), uuid4()
    hands: dict[str, Any] = {"sender": "kagoshima-desk", "receiver": "aira-school"}
    seat: dict[str, Any] = {"case_id": case_id, "seat_request_id": request, "course_run_id": RUN}
    return [
        opened(case_id),
        ConsentGiven(case_id=case_id, consent_version=1, purposes=["support"]),
        AssessmentRecorded(
            case_id=case_id,
            assessment_id=uuid4(),
            number=1,
            rubric="fdp-1",
            setting="desk",
            prolongation_risk="high",
            rated_at=AT,
        ),
        ReferralSent(case_id=case_id, referral_id=referral, **hands),
        ReferralReceived(case_id=case_id, referral_id=referral, receiver="aira-school"),
        ReferralAccepted(case_id=case_id, referral_id=referral, **hands),
        SeatHeld(**seat, pool_id=POOL, pool_kind="general", expires_at=AT),
        InstructionIssued(**seat, instruction_id=uuid4(), by_agency="hello-work", authority="hello_work"),
        Enrolled(**seat, pool_id=POOL, starts_on=date(2026, 12, 1)),
    ]


def course(run: UUID = RUN, *, ends_on: date = date(2099, 3, 31), number: str = "5-08-46-01-0001") -> CourseOffered:
    return CourseOffered(
        course_run_id=run,
        course_number=number,
        provider="aira-school",
        prefecture="46",
        site_municipality=KAGOSHIMA,
        system="public",
        field="care",
        starts_on=date(2026, 12, 1),
        ends_on=ends_on,
        applications_close_at=AT,
        capacity=20,
    )


def pool(*, held: int, filled: int = 0, pool_id: UUID = POOL, run: UUID = RUN, granted: int = 15) -> PoolChanged:
    return PoolChanged(
        pool_id=pool_id, course_run_id=run, kind="general", granted=granted, held=held, filled=filled, waiting=0
    )


def record(event: Event, *, offset: int, sequence: int = 1, partition: int = 0, event_id: UUID | None = None) -> Record:
    made = event_id or new_id()
    topic = topic_of(event.publisher)
    value = seal(event, event_id=made, at=AT, sequence=sequence, by="somebody", cause=None)
    headers = headers_of(event_id=made, type_=event.type, subject=event.subject, topic=topic)
    return Record(topic, partition, offset, event.subject, value, headers)


def partitions_of(events: Iterable[Event]) -> list[list[Record]]:
    """As the bus would carry them: in order within each partition of each topic, and in no order across them."""
    carried: dict[tuple[str, int], list[Record]] = {}
    for event in events:
        place = (topic_of(event.publisher), crc32(event.subject.encode()) % PARTITIONS)
        line = carried.setdefault(place, [])
        line.append(record(event, offset=len(line), sequence=len(line), partition=place[1]))
    return list(carried.values())


def journeys(count: int, *, seed: int) -> list[Event]:
    """Persons who came more or less far, their news mixed as they happen side by side."""
    chance = random.Random(seed)
    waiting = [journey(uuid4())[: chance.randint(1, 9)] for _ in range(count)]
    told: list[Event] = []
    while waiting:
        line = chance.choice(waiting)
        told.append(line.pop(0))
        waiting = [each for each in waiting if each]
    return told


def ids_of(records: Sequence[Record]) -> list[UUID]:
    return [open_envelope(each.value, each.headers).id for each in records]
