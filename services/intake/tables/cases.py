"""The tables of intake, and the loads that lock or return domain values."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Identity,
    Integer,
    LargeBinary,
    MetaData,
    Row,
    Select,
    Table,
    Text,
    Uuid,
    and_,
    func,
    insert,
    not_,
    or_,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from services.intake.domain.cases import Case, Consent, ConsentForm, ConsentState, case_number
from shared.auth import served
from shared.vault import Place

metadata = MetaData()

case_ = Table(
    "case_",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("number", Text, nullable=False),
    Column("municipality", Text, nullable=False),
    Column("opened_by", Text, nullable=False),
    Column("holder_agency", Text, nullable=False),
    Column("entrance", Text, nullable=False),
    Column("topics", ARRAY(Text, as_tuple=True), nullable=False),
    Column("needs", ARRAY(Text, as_tuple=True), nullable=False),
    Column("urgent", Boolean, nullable=False),
    Column("urgency", ARRAY(Text, as_tuple=True), nullable=False),
    Column("status", Text, nullable=False),
    Column("next_step_on", Date, nullable=False),
    Column("consent_state", Text, nullable=False),
    Column("consent_version", Integer, nullable=False),
    Column("screening_outcome", Text),
    Column("opened_at", DateTime(timezone=True), nullable=False),
    Column("career_touched_at", DateTime(timezone=True), nullable=False),
    Column("version", Integer, nullable=False),
    Column("sheet_version", Integer, nullable=False),
    Column("anchor", Text),
    Column("hand_off_open", Boolean, nullable=False),
    Column("ended", Text),
    Column("custody_number", Integer, nullable=False),
    Column("most_serious", Text),
    Column("use_stopped", Boolean, nullable=False),
    Column("consent_by", Text),
)

case_consent = Table(
    "case_consent",
    metadata,
    Column("case_id", Uuid, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("state", Text, nullable=False),
    Column("purposes", ARRAY(Text), nullable=False),
    Column("recipients", ARRAY(Text), nullable=False),
    Column("valid_until", Date),
    Column("text_version", Text),
    Column("valid_from", Date),
    Column("categories", ARRAY(Text), nullable=False),
    Column("form", Text),
    Column("witness", LargeBinary),
    Column("recorded_by", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
)
TERMS = [case_consent.c[field.name] for field in fields(Consent)]
"""What was agreed to."""

screening = Table(
    "screening",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("case_id", Uuid, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("receiver", Text),
    Column("holder", Text),
    Column("recorded_by", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
)

timeline = Table(
    "timeline",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("case_id", Uuid, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("kind", Text, nullable=False),
    Column("service", Text, nullable=False),
    Column("codes", JSONB, nullable=False),
    Column("event_id", Uuid),
)

_OLD_NEXT_STEP = text(
    "SELECT id, next_step FROM case_ WHERE next_step IS NOT NULL ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED"
)
_PRESSES = and_(case_.c.urgent, case_.c.status == "open")
_TOUCH_CAREER = text("UPDATE case_ SET career_touched_at = :at WHERE id = :id AND career_touched_at < :at")
_TAKE_UNTOUCHED = text(
    "UPDATE case_ SET career_reported_at = :now WHERE id = (SELECT id FROM case_ WHERE status = 'open'"
    " AND career_touched_at <= :before AND (career_reported_at IS NULL OR career_reported_at < career_touched_at)"
    " ORDER BY career_touched_at LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING id"
)
_FORGET_NEXT_STEP = text("UPDATE case_ SET next_step = NULL WHERE id = :id AND next_step IS NOT NULL")
_NEXT_NUMBER = select(func.nextval(text("'case_running_number'")))


async def next_case_number(session: AsyncSession, opened_on: date) -> str:
    """A number nobody else has. Gaps are harmless here, and a counter row would make all counters wait in one line."""
    return case_number(opened_on, (await session.execute(_NEXT_NUMBER)).scalar_one())


async def add_case(session: AsyncSession, case: Case) -> None:
    """A new case."""
    await session.execute(insert(case_).values(asdict(case)))


async def find_case(session: AsyncSession, case_id: UUID) -> Case | None:
    """The case as it stands."""
    return _case((await session.execute(select(case_).where(case_.c.id == case_id))).one_or_none())


async def find_several(session: AsyncSession, case_ids: Collection[UUID]) -> list[Case]:
    """Those of these cases that there are."""
    rows = await session.execute(select(case_).where(case_.c.id.in_(case_ids)).order_by(case_.c.id))
    return [Case(**row._asdict()) for row in rows]


async def lock_case(session: AsyncSession, case_id: UUID) -> Case | None:
    """The case, held until the transaction ends."""
    return _case((await session.execute(select(case_).where(case_.c.id == case_id).with_for_update())).one_or_none())


async def take_old_next_step(session: AsyncSession) -> tuple[Case, str] | None:
    """A case whose next step still lies in the clear, locked, and emptied; with what stood there."""
    row = (await session.execute(_OLD_NEXT_STEP)).one_or_none()
    if row is None:
        return None
    await session.execute(text("UPDATE case_ SET next_step = NULL WHERE id = :id"), {"id": row.id})
    case = await lock_case(session, row.id)
    assert case is not None
    return case, row.next_step


async def touch_career(session: AsyncSession, case_id: UUID, *, at: datetime) -> None:
    """Somebody worked on the person's career formation."""
    await session.execute(_TOUCH_CAREER, {"id": case_id, "at": at})


async def take_untouched(session: AsyncSession, *, before: datetime, now: datetime) -> Case | None:
    """An open case whose career needs nobody has touched since, locked and marked as reported; each once."""
    row = (await session.execute(_TAKE_UNTOUCHED, {"before": before, "now": now})).one_or_none()
    return None if row is None else await find_case(session, row.id)


async def forget_old_next_step(session: AsyncSession, case_id: UUID) -> None:
    """Empty what an earlier version kept in the clear, in a case that is erased."""
    await session.execute(_FORGET_NEXT_STEP, {"id": case_id})


async def change_case(session: AsyncSession, case: Case, **changes: Any) -> Case:
    """Write changes to a locked case, as its next version."""
    values = {**changes, "version": case.version + 1}
    found = await session.execute(update(case_).where(case_.c.id == case.id).values(values).returning(case_))
    return Case(**found.one()._asdict())


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which cases a list is to show; None leaves a condition out."""

    status: str | None = None
    consent: str | None = None
    holder: str | None = None
    urgent: bool | None = None
    untouched_since: datetime | None = None
    """Open, and career needs last touched at this moment or before."""
    consent_elsewhere: bool | None = None
    """Whether the consent that stands was written down by another agency than the holder."""
    next_step_until: date | None = None
    """Open, and the day of the next step is this one or before."""
    anchor_missing: bool | None = None
    """Open, and the agency itself stands as its anchor; or, if False, somebody is named."""


async def find_cases(
    session: AsyncSession,
    wanted: Wanted,
    *,
    agency: str,
    municipalities: Sequence[str],
    before: tuple[bool, UUID] | None,
    limit: int,
) -> list[Case]:
    """The agency's own cases and those of its municipalities: what presses before all else, then the newest.

    Ids are in the order of time. Two questions, since each has an index in its order and both together have none.
    """
    own = or_(
        case_.c.opened_by == agency,
        case_.c.holder_agency == agency,
        served(case_.c.municipality, municipalities),
    )
    found: list[Case] = []
    for presses in (True, False):
        if before is not None and presses and not before[0]:
            continue
        query = _wanted(select(case_).where(own, _PRESSES if presses else not_(_PRESSES)), wanted)
        if before is not None and presses == before[0]:
            query = query.where(case_.c.id < before[1])
        rows = await session.execute(query.order_by(case_.c.id.desc()).limit(limit - len(found)))
        found += [Case(**row._mapping) for row in rows]  # noqa: SLF001
    return found


def _wanted(query: Select[Any], wanted: Wanted) -> Select[Any]:
    for column, value in (
        (case_.c.status, wanted.status),
        (case_.c.consent_state, wanted.consent),
        (case_.c.holder_agency, wanted.holder),
        (case_.c.urgent, wanted.urgent),
    ):
        if value is not None:
            query = query.where(column == value)
    if wanted.consent_elsewhere is not None:
        by = func.coalesce(case_.c.consent_by, case_.c.holder_agency)
        query = query.where((by != case_.c.holder_agency) == wanted.consent_elsewhere)
    if wanted.untouched_since is not None:
        query = query.where(case_.c.status == "open", case_.c.career_touched_at <= wanted.untouched_since)
    if wanted.next_step_until is not None:
        query = query.where(case_.c.status == "open", case_.c.next_step_on <= wanted.next_step_until)
    if wanted.anchor_missing is not None:
        by_itself = func.coalesce(case_.c.anchor, case_.c.holder_agency) == case_.c.holder_agency
        query = query.where(case_.c.status == "open", by_itself == wanted.anchor_missing)
    return query


async def add_consent(
    session: AsyncSession,
    case_id: UUID,
    version: int,
    consent: Consent,
    *,
    witness: bytes | None,
    by: str,
    at: datetime,
) -> Row[Any]:
    """The next consent fact of a case; the witness's name comes sealed."""
    values = {
        "case_id": case_id,
        "version": version,
        "state": str(consent.state),
        "purposes": sorted(consent.purposes),
        "recipients": sorted(consent.recipients),
        "valid_until": consent.valid_until,
        "text_version": consent.text_version,
        "valid_from": consent.valid_from,
        "categories": sorted(consent.categories),
        "form": consent.form,
        "witness": witness,
        "recorded_by": by,
        "at": at,
    }
    added: Row[Any] = (await session.execute(insert(case_consent).values(values).returning(case_consent))).one()
    return added


async def find_consent(session: AsyncSession, case: Case) -> Consent | None:
    """The consent fact that stands; none if nobody has asked yet."""
    if case.consent_version == 0:
        return None
    query = select(*TERMS).where(case_consent.c.case_id == case.id, case_consent.c.version == case.consent_version)
    return consent_of((await session.execute(query)).one())


def consent_of(row: Row[Any]) -> Consent:
    """A consent fact as the domain knows it: all of its terms, or it would be judged as wider than it is."""
    return Consent(
        state=ConsentState(row.state),
        purposes=frozenset(row.purposes),
        recipients=frozenset(row.recipients),
        valid_until=row.valid_until,
        text_version=row.text_version,
        valid_from=row.valid_from,
        categories=frozenset(row.categories),
        form=None if row.form is None else ConsentForm(row.form),
    )


def witness_place(case_id: UUID, version: int) -> Place:
    """Where the name of a consent's witness stands."""
    return Place("case_consent", "witness", f"{case_id}/{version}")


async def find_consents(session: AsyncSession, case_id: UUID, *, after: int, limit: int) -> Sequence[Row[Any]]:
    """The consent facts of a case, oldest first."""
    query = (
        select(case_consent)
        .where(case_consent.c.case_id == case_id, case_consent.c.version > after)
        .order_by(case_consent.c.version)
        .limit(limit)
    )
    return (await session.execute(query)).all()


async def add_screening(
    session: AsyncSession, case: Case, outcome: str, *, receiver: str | None, screening_id: UUID, by: str, at: datetime
) -> Row[Any]:
    """A screening of a case, with who held it then; of a hand-off, with to whom if that was said."""
    said = {"id": screening_id, "case_id": case.id, "outcome": outcome, "receiver": receiver}
    values = said | {"holder": case.holder_agency, "recorded_by": by, "at": at}
    added: Row[Any] = (await session.execute(insert(screening).values(values).returning(screening))).one()
    return added


async def note(
    session: AsyncSession,
    case_id: UUID,
    kind: str,
    codes: dict[str, Any],
    *,
    at: datetime,
    service: str = "intake",
    event_id: UUID | None = None,
) -> bool:
    """Add to the timeline; False if this event stands there already."""
    values = {"case_id": case_id, "at": at, "kind": kind, "service": service, "codes": codes, "event_id": event_id}
    noted = await session.execute(
        upsert(timeline).values(values).on_conflict_do_nothing(index_elements=["event_id"]).returning(timeline.c.id)
    )
    return noted.scalar_one_or_none() is not None


async def find_timeline(
    session: AsyncSession, case_id: UUID, *, after: tuple[datetime, int] | None, limit: int
) -> Sequence[Row[Any]]:
    """What happened to a case, in the order in which it happened, wherever it did."""
    query = select(timeline).where(timeline.c.case_id == case_id)
    if after is not None:
        query = query.where(tuple_(timeline.c.at, timeline.c.id) > after)
    return (await session.execute(query.order_by(timeline.c.at, timeline.c.id).limit(limit))).all()


def _case(row: Row[Any] | None) -> Case | None:
    return None if row is None else Case(**row._asdict())
