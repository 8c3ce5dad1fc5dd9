"""A small region for referral's tests: agencies and programmes taken in from files, and events as others tell them."""

from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID, uuid4

from shared.auth import Role
from shared.bus.envelope import headers_of, new_id, seal
from shared.bus.port import Record
from shared.events import (
    CaseErased,
    CaseOpened,
    ConsentGiven,
    CourseOffered,
    Enrolled,
    Event,
    InstructionIssued,
    PoolChanged,
    SeatHeld,
    SeatReleased,
    topic_of,
)
from shared.service.clock import day_in_japan, wall_time
from tests.world import KAGOSHIMA, KIRISHIMA, Caller, Running

AT = datetime(2026, 11, 1, 3, 0, tzinfo=UTC)
CLOSES = datetime(2099, 1, 31, 7, 0, tzinfo=UTC)
COURSE, POOL, SEAT = UUID(int=500), UUID(int=501), UUID(int=502)

TODAY = day_in_japan(wall_time())
"""Entries are confirmed today: what is said of room is worth something for thirty days."""
AGENCIES = (
    "機関ID,法人番号,名称,カナ,種別,所在地コード,対象地域コード,電話,確認者,確認日\n"
    "sakura-npo,7000012050002,桜の会,サクラノカイ,npo,462012,462012 462187,099-000-0000,福祉課,"
    f"令和{TODAY.year - 2018}年{TODAY.month}月{TODAY.day}日\n"
    f"zama-npo,,座間の会,ザマノカイ,npo,142166,142166,,福祉課,{TODAY:%Y/%m/%d}\n"
)
PROGRAMMES = (
    "機関ID,事業コード,事業名,支援機能,系統,段階,対象地域コード,対応する課題,空き状況,確認日\n"
    f"sakura-npo,ibasho,桜の居場所,drop_in_space,4,居場所,,isolation people,空きあり,{TODAY}\n"
    f"sakura-npo,junbi,桜の就労準備,work_readiness,4,work_readiness,462012,tasks、people,full,{TODAY}\n"
    f"zama-npo,ibasho,座間の居場所,drop_in_space,4,drop_in,,isolation,,{TODAY}\n"
)


def opened(case_id: UUID, *, needs: tuple[str, ...] = ("people",), municipality: str = KAGOSHIMA) -> CaseOpened:
    return CaseOpened(
        case_id=case_id,
        municipality=municipality,
        agency_id="kagoshima-desk",
        entrance="walk_in",
        topics=["job_search"],
        needs=list(needs),
        opened_at=AT,
    )


def erased(case_id: UUID) -> CaseErased:
    return CaseErased(case_id=case_id, agency_id="kagoshima-desk", reason="persons_request", erased_at=AT)


def consented(case_id: UUID, version: int = 1, **changes: Any) -> ConsentGiven:
    return ConsentGiven(case_id=case_id, consent_version=version, **{"purposes": ["referral"], **changes})


def offered(**changes: Any) -> CourseOffered:
    values: dict[str, Any] = {
        "course_run_id": COURSE,
        "course_number": "5-46-12-001",
        "provider": "school-hibiki",
        "prefecture": "46",
        "site_municipality": KAGOSHIMA,
        "system": "job_seeker_practical",
        "field": "care",
        "starts_on": date(2099, 2, 10),
        "ends_on": date(2099, 5, 10),
        "applications_close_at": CLOSES,
        "capacity": 15,
    }
    return CourseOffered(**(values | changes))


def seats(granted: int, *, own: bool = True, pool_id: UUID = POOL) -> PoolChanged:
    return PoolChanged(
        pool_id=pool_id,
        course_run_id=COURSE,
        kind="delegated" if own else "general",
        municipality=KAGOSHIMA if own else None,
        granted=granted,
        held=0,
        filled=0,
        waiting=0,
    )


def held(case_id: UUID, referral_id: UUID | None) -> SeatHeld:
    return SeatHeld(
        case_id=case_id,
        seat_request_id=SEAT,
        referral_id=referral_id,
        course_run_id=COURSE,
        pool_id=POOL,
        pool_kind="delegated",
        expires_at=CLOSES,
    )


def released(case_id: UUID, referral_id: UUID | None, reason: str) -> SeatReleased:
    return SeatReleased(
        case_id=case_id,
        seat_request_id=SEAT,
        referral_id=referral_id,
        course_run_id=COURSE,
        pool_id=POOL,
        reason=reason,
    )


def instructed(case_id: UUID, referral_id: UUID | None) -> InstructionIssued:
    return InstructionIssued(
        case_id=case_id,
        seat_request_id=SEAT,
        instruction_id=uuid4(),
        referral_id=referral_id,
        course_run_id=COURSE,
        by_agency="hellowork-kagoshima",
        authority="current_law",
    )


def enrolled(case_id: UUID, referral_id: UUID | None) -> Enrolled:
    return Enrolled(
        case_id=case_id,
        seat_request_id=SEAT,
        referral_id=referral_id,
        course_run_id=COURSE,
        pool_id=POOL,
        starts_on=date(2099, 2, 10),
    )


async def told_with_sequence(running: Running, event: Event, sequence: int, *, at: datetime = AT) -> None:
    """Deliver an event of a known version of its aggregate, as a replay would; `at`: when it was published."""
    event_id, topic = new_id(), topic_of(event.publisher)
    value = seal(event, event_id=event_id, at=at, sequence=sequence, by=None, cause=None)
    headers = headers_of(event_id=event_id, type_=event.type, subject=event.subject, topic=topic)
    await running.inbox.deliver([Record(topic, 0, 0, event.subject, value, headers)])


def keeper_of(running: Running, *prefectures: str) -> Caller:
    """Who keeps the directory of whole prefectures: where none is said, of every one that these tests have."""
    areas = [f"prefecture:{each}" for each in prefectures or ("46", "14")]
    return running.as_("kagoshima-city", Role.DIRECTORY, municipalities=areas)


async def take_in(running: Running, path: str, content: str | bytes) -> Any:
    """Both steps of an import."""
    keeper = keeper_of(running)
    raw = content.encode() if isinstance(content, str) else content
    checked = await keeper.post(path, content=raw, headers={"Content-Type": "text/csv"})
    assert checked.status_code == 201, checked.text
    committed = await keeper.post(f"{path}/{checked.json()['import_id']}/commit", {})
    assert committed.status_code == 200, committed.text
    return committed.json()


class Region:
    """A directory, a case with consent, and the callers of most tests."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.case_id = uuid4()
        self.desk = running.as_("kagoshima-desk")
        self.npo = running.as_("sakura-npo", municipalities=[KIRISHIMA])
        self.programmes: dict[str, str] = {}

    async def ready(self) -> "Region":
        await take_in(self.running, "/v1/agency-imports", AGENCIES)
        await take_in(self.running, "/v1/programme-imports", PROGRAMMES)
        await self.running.hear(opened(self.case_id), consented(self.case_id), offered())
        await self.running.rows("DELETE FROM outbox")  # what the directory told is no part of a referral's way
        rows = await self.running.rows("SELECT id, agency_id || '/' || programme_code AS name FROM programme")
        self.programmes = {row["name"]: str(row["id"]) for row in rows}
        return self

    async def send(self, **body: Any) -> Any:
        answer = await self.desk.post("/v1/referrals", {"case_id": str(self.case_id), **body})
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def to_programme(self, name: str = "sakura-npo/ibasho") -> str:
        # That of another town is sent knowingly.
        more = {"knowingly": True} if name.startswith("zama-npo") else {}
        return str((await self.send(programme_id=self.programmes[name], **more))["referral_id"])

    async def to_course(self) -> UUID:
        return UUID((await self.send(course_run_id=str(COURSE)))["referral_id"])

    async def look(self, referral_id: object) -> Any:
        return (await self.desk.get(f"/v1/referrals/{referral_id}")).json()

    async def candidates(self) -> Any:
        answer = await self.desk.get(f"/v1/cases/{self.case_id}/candidates")
        assert answer.status_code == 200, answer.text
        return answer.json()


async def coordinated(running: Running, agency: str, municipality: str = KAGOSHIMA) -> None:
    """Name a municipality's coordinator, by hand."""
    await running.rows(
        "INSERT INTO agency (agency_id, name, kana, kind, municipality, municipalities_served, confirmed_by,"
        " confirmed_on) VALUES ($1, $1, 'チョウセイ', 'municipality', $2, ARRAY[$2], '福祉課', '2026-11-01')"
        " ON CONFLICT DO NOTHING",
        agency,
        municipality,
    )
    await running.rows(
        "INSERT INTO coordinator (municipality, agency_id, set_by, set_at) VALUES ($1, $2, 'x', now())"
        " ON CONFLICT (municipality) DO UPDATE SET agency_id = excluded.agency_id",
        municipality,
        agency,
    )


def code(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]
