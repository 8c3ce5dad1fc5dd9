"""The tables of referral, and the loads that lock or return domain values."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Date,
    DateTime,
    Integer,
    MetaData,
    Row,
    SmallInteger,
    Table,
    Text,
    Uuid,
    any_,
    case,
    func,
    insert,
    literal,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from services.referral.domain import (
    OPEN,
    Capacity,
    Case,
    Consent,
    CourseRun,
    Pool,
    Programme,
    Progress,
    Referral,
    Stage,
    State,
)

metadata = MetaData()

agency = Table(
    "agency",
    metadata,
    Column("agency_id", Text, primary_key=True),
    Column("corporate_number", Text),
    Column("name", Text, nullable=False),
    Column("kana", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("municipality", Text, nullable=False),
    Column("municipalities_served", ARRAY(Text), nullable=False),
    Column("phone", Text),
    Column("confirmed_by", Text, nullable=False),
    Column("confirmed_on", Date, nullable=False),
    Column("version", Integer, nullable=False),
)
programme = Table(
    "programme",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("agency_id", Text, nullable=False),
    Column("programme_code", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("function", Text, nullable=False),
    Column("strand", SmallInteger, nullable=False),
    Column("stage", Text, nullable=False),
    Column("municipalities", ARRAY(Text), nullable=False),
    Column("needs", ARRAY(Text), nullable=False),
    Column("capacity_state", Text, nullable=False),
    Column("confirmed_on", Date, nullable=False),
    Column("version", Integer, nullable=False),
)
course_option = Table(
    "course_option",
    metadata,
    Column("course_run_id", Uuid, primary_key=True),
    Column("course_number", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("field", Text, nullable=False),
    Column("system", Text, nullable=False),
    Column("site_municipality", Text, nullable=False),
    Column("prefecture", Text, nullable=False),
    Column("starts_on", Date, nullable=False),
    Column("ends_on", Date, nullable=False),
    Column("applications_close_at", DateTime(timezone=True), nullable=False),
    Column("capacity", Integer, nullable=False),
    Column("sequence", BigInteger, nullable=False),
)
course_pool = Table(
    "course_pool",
    metadata,
    Column("pool_id", Uuid, primary_key=True),
    Column("course_run_id", Uuid, nullable=False),
    Column("kind", Text, nullable=False),
    Column("municipality", Text),
    Column("granted", Integer, nullable=False),
    Column("held", Integer, nullable=False),
    Column("filled", Integer, nullable=False),
    Column("waiting", Integer, nullable=False),
    Column("sequence", BigInteger, nullable=False),
)
case_fact = Table(
    "case_fact",
    metadata,
    Column("case_id", Uuid, primary_key=True),
    Column("municipality", Text),
    Column("opened_by", Text),
    Column("topics", ARRAY(Text), nullable=False),
    Column("needs", ARRAY(Text), nullable=False),
    Column("urgent", Boolean, nullable=False),
    Column("consent_state", Text),
    Column("consent_version", Integer),
    Column("consent_purposes", ARRAY(Text), nullable=False),
    Column("consent_recipients", ARRAY(Text), nullable=False),
    Column("consent_valid_until", Date),
    Column("assessment_number", Integer),
    Column("levels", JSONB),
    Column("prolongation_risk", Text),
)
referral = Table(
    "referral",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("case_id", Uuid, nullable=False),
    Column("municipality", Text, nullable=False),
    Column("sender", Text, nullable=False),
    Column("receiver", Text, nullable=False),
    Column("programme_id", Uuid),
    Column("course_run_id", Uuid),
    Column("seat_request_id", Uuid),
    Column("state", Text, nullable=False),
    Column("responsible_agency", Text, nullable=False),
    Column("progress", Text),
    Column("reason", Text),
    Column("sent_at", DateTime(timezone=True), nullable=False),
    Column("version", Integer, nullable=False),
)
referral_step = Table(
    "referral_step",
    metadata,
    Column("referral_id", Uuid, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("step", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("reason", Text),
    Column("at", DateTime(timezone=True), nullable=False),
)

_OPEN_STATES = referral.c.state.in_(sorted(OPEN))
_AREA = case(
    (func.cardinality(programme.c.municipalities) == 0, agency.c.municipalities_served),
    else_=programme.c.municipalities,
)
_WITHIN_REACH = 500

# --- Referrals -------------------------------------------------------------------------------------------------------


async def lock_referral(session: AsyncSession, referral_id: UUID) -> Referral | None:
    """The referral, locked against every other mover."""
    query = select(referral).where(referral.c.id == referral_id).with_for_update()
    row = (await session.execute(query)).one_or_none()
    return None if row is None else as_referral(row)


async def lock_open_referrals(
    session: AsyncSession, case_id: UUID, *, course_run_id: UUID | None = None
) -> Sequence[Referral]:
    """The case's unanswered referrals, to one course run or to anything; always locked in the same order."""
    query = select(referral).where(referral.c.case_id == case_id, _OPEN_STATES).order_by(referral.c.id)
    if course_run_id is not None:
        query = query.where(referral.c.course_run_id == course_run_id)
    return [as_referral(row) for row in await session.execute(query.with_for_update())]


async def find_referral(session: AsyncSession, referral_id: UUID) -> Referral | None:
    """The referral, to look at."""
    row = (await session.execute(select(referral).where(referral.c.id == referral_id))).one_or_none()
    return None if row is None else as_referral(row)


async def add_referral(session: AsyncSession, sent: Referral, *, at: datetime) -> None:
    """Write a new referral with its first step."""
    await session.execute(insert(referral).values(id=sent.id, **_columns(sent)))
    await _add_step(session, sent, step="send", by=sent.sender, at=at)


async def store_move(session: AsyncSession, moved: Referral, *, step: str, by: str, at: datetime) -> None:
    """Write what a move came to. The row is locked by whoever calls this."""
    await session.execute(update(referral).where(referral.c.id == moved.id).values(**_columns(moved)))
    await _add_step(session, moved, step=step, by=by, at=at)


async def steps_of(session: AsyncSession, referral_id: UUID) -> Sequence[Row[Any]]:
    """Everything that happened to a referral, in order."""
    query = select(referral_step).where(referral_step.c.referral_id == referral_id).order_by(referral_step.c.version)
    return (await session.execute(query)).all()


async def list_referrals(
    session: AsyncSession, *conditions: ColumnElement[bool], before: UUID | None, limit: int
) -> Sequence[Referral]:
    """Newest first (ids grow with time), one more than asked for."""
    query = select(referral).where(*conditions).order_by(referral.c.id.desc()).limit(limit + 1)
    if before is not None:
        query = query.where(referral.c.id < before)
    return [as_referral(row) for row in await session.execute(query)]


def served(column: Column[Any], municipalities: Collection[str]) -> ColumnElement[bool]:
    """`Actor.serves`, as a condition: a municipality's own code, or its prefecture's."""
    prefectures = [code.removeprefix("prefecture:") for code in municipalities if code.startswith("prefecture:")]
    return or_(column.in_(municipalities), func.left(column, 2).in_(prefectures))


def as_referral(row: Row[Any]) -> Referral:
    """A row as the domain knows it."""
    return Referral(
        id=row.id,
        case_id=row.case_id,
        municipality=row.municipality,
        sender=row.sender,
        receiver=row.receiver,
        programme_id=row.programme_id,
        course_run_id=row.course_run_id,
        seat_request_id=row.seat_request_id,
        state=State(row.state),
        progress=None if row.progress is None else Progress(row.progress),
        reason=row.reason,
        sent_at=row.sent_at,
        version=row.version,
    )


def _columns(of: Referral) -> dict[str, Any]:
    return {
        "case_id": of.case_id,
        "municipality": of.municipality,
        "sender": of.sender,
        "receiver": of.receiver,
        "programme_id": of.programme_id,
        "course_run_id": of.course_run_id,
        "seat_request_id": of.seat_request_id,
        "state": of.state,
        "responsible_agency": of.responsible_agency,
        "progress": of.progress,
        "reason": of.reason,
        "sent_at": of.sent_at,
        "version": of.version,
    }


async def _add_step(session: AsyncSession, of: Referral, *, step: str, by: str, at: datetime) -> None:
    values = {"referral_id": of.id, "version": of.version, "step": step, "by": by, "reason": of.reason, "at": at}
    await session.execute(insert(referral_step).values(**values))


# --- Facts about cases -----------------------------------------------------------------------------------------------


async def put_case_fact(
    session: AsyncSession, case_id: UUID, guard: Column[Any] | None = None, /, **facts: Any
) -> bool:
    """Write what was heard about a case. With a guard column, only if its new value is greater than the one known."""
    values = {"topics": [], "needs": [], "urgent": False, "consent_purposes": [], "consent_recipients": []} | facts
    statement = upsert(case_fact).values(case_id=case_id, **values)
    newer = None if guard is None else or_(guard.is_(None), guard < facts[guard.name])
    written = statement.on_conflict_do_update(index_elements=[case_fact.c.case_id], set_=facts, where=newer)
    return (await session.execute(written.returning(case_fact.c.case_id))).one_or_none() is not None


async def lock_case_fact(session: AsyncSession, case_id: UUID) -> Row[Any] | None:
    """What is known of a case, once its opening was heard; nobody refers it or takes its consent back meanwhile."""
    return (await session.execute(_opened_case(case_id).with_for_update())).one_or_none()


async def find_case_fact(session: AsyncSession, case_id: UUID) -> Row[Any] | None:
    """The same, to look at."""
    return (await session.execute(_opened_case(case_id))).one_or_none()


def consent_of(fact: Row[Any]) -> Consent:
    """What was last heard of the consent."""
    return Consent(
        state=fact.consent_state,
        purposes=frozenset(fact.consent_purposes),
        recipients=frozenset(fact.consent_recipients),
        valid_until=fact.consent_valid_until,
    )


async def case_to_route(session: AsyncSession, fact: Row[Any]) -> Case:
    """The case with where it was referred to already."""
    target = func.coalesce(referral.c.programme_id, referral.c.course_run_id)
    query = select(target, referral.c.state).where(
        referral.c.case_id == fact.case_id, or_(_OPEN_STATES, referral.c.state == State.DECLINED)
    )
    rows = (await session.execute(query)).all()
    return Case(
        case_id=fact.case_id,
        municipality=fact.municipality,
        opened_by=fact.opened_by,
        topics=frozenset(fact.topics),
        needs=frozenset(fact.needs),
        urgent=fact.urgent,
        levels=fact.levels,
        prolongation_risk=fact.prolongation_risk,
        open_targets=frozenset(where for where, state in rows if state in OPEN),
        declined_targets=frozenset(where for where, state in rows if state == State.DECLINED),
    )


def _opened_case(case_id: UUID) -> Any:
    return select(case_fact).where(case_fact.c.case_id == case_id, case_fact.c.municipality.is_not(None))


# --- What can be referred to -----------------------------------------------------------------------------------------


async def put_newer(session: AsyncSession, table: Table, key: Column[Any], **values: Any) -> None:
    """Write what training told, unless something with a later sequence is known: topics may be replayed."""
    statement = upsert(table).values(**values)
    changes = {name: value for name, value in values.items() if name != key.name}
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=[key], set_=changes, where=table.c.sequence < values["sequence"]
        )
    )


async def find_programme(session: AsyncSession, programme_id: UUID) -> Row[Any] | None:
    """A programme of the directory."""
    return (await session.execute(select(programme).where(programme.c.id == programme_id))).one_or_none()


async def find_course(session: AsyncSession, course_run_id: UUID) -> Row[Any] | None:
    """A course run that training told of."""
    query = select(course_option).where(course_option.c.course_run_id == course_run_id)
    return (await session.execute(query)).one_or_none()


async def options_near(session: AsyncSession, municipality: str) -> Sequence[Programme | CourseRun]:
    """Everything that may be an answer: the prefecture's programmes and course runs, and pools of the municipality."""
    return [*await _programmes_near(session, municipality), *await _courses_near(session, municipality)]


async def _programmes_near(session: AsyncSession, municipality: str) -> Iterable[Programme]:
    area = func.unnest(_AREA).column_valued("area")
    in_prefecture = select(literal(1)).select_from(area).where(func.left(area, 2) == municipality[:2]).exists()
    query = (
        select(programme, _AREA.label("area"))
        .join(agency, agency.c.agency_id == programme.c.agency_id)
        .where(in_prefecture)
        # Whoever serves the municipality itself comes first, so that the limit never costs a nearer answer.
        .order_by((literal(municipality) == any_(_AREA)).desc(), programme.c.id)
        .limit(_WITHIN_REACH)
    )
    return [
        Programme(
            id=row.id,
            agency_id=row.agency_id,
            name=row.name,
            function=row.function,
            stage=Stage(row.stage),
            municipalities=frozenset(row.area),
            needs=frozenset(row.needs),
            capacity=Capacity(row.capacity_state),
        )
        for row in await session.execute(query)
    ]


async def _courses_near(session: AsyncSession, municipality: str) -> Iterable[CourseRun]:
    own = select(course_pool.c.course_run_id).where(course_pool.c.municipality == municipality)
    query = (
        select(course_option)
        .where(
            or_(
                func.left(course_option.c.site_municipality, 2) == municipality[:2],
                course_option.c.course_run_id.in_(own),
            )
        )
        .order_by(course_option.c.applications_close_at.desc(), course_option.c.course_run_id)
        .limit(_WITHIN_REACH)
    )
    rows = (await session.execute(query)).all()
    pools: dict[UUID, list[Pool]] = {row.course_run_id: [] for row in rows}
    for pool in await session.execute(select(course_pool).where(course_pool.c.course_run_id.in_(pools))):
        pools[pool.course_run_id].append(
            Pool(pool.kind, pool.municipality, pool.granted, pool.held, pool.filled, pool.waiting)
        )
    return [
        CourseRun(
            id=row.course_run_id,
            number=row.course_number,
            provider=row.provider,
            field=row.field,
            municipality=row.site_municipality,
            applications_close_at=row.applications_close_at,
            pools=tuple(pools[row.course_run_id]),
        )
        for row in rows
    ]


# --- The directory ---------------------------------------------------------------------------------------------------


async def lock_agency(session: AsyncSession, agency_id: str) -> Row[Any] | None:
    """An agency's entry, locked."""
    query = select(agency).where(agency.c.agency_id == agency_id).with_for_update()
    return (await session.execute(query)).one_or_none()


async def lock_programme(session: AsyncSession, agency_id: str, programme_code: str) -> Row[Any] | None:
    """A programme's entry, locked, by the code that its agency gave it."""
    query = select(programme).where(programme.c.agency_id == agency_id, programme.c.programme_code == programme_code)
    return (await session.execute(query.with_for_update())).one_or_none()


async def list_agencies(
    session: AsyncSession, *, municipality: str | None, after: str | None, limit: int
) -> Sequence[Row[Any]]:
    """By id, one more than asked for."""
    query = select(agency).order_by(agency.c.agency_id).limit(limit + 1)
    if municipality is not None:
        query = query.where(_in_area(municipality, agency.c.municipalities_served))
    if after is not None:
        query = query.where(agency.c.agency_id > after)
    return (await session.execute(query)).all()


async def list_programmes(
    session: AsyncSession,
    *,
    municipality: str | None,
    function: str | None,
    stage: str | None,
    after: tuple[str, str] | None,
    limit: int,
) -> Sequence[Row[Any]]:
    """By agency and code, one more than asked for; each with its agency's name and the area it really covers."""
    query = (
        select(programme, agency.c.name.label("agency_name"), _AREA.label("area"))
        .join(agency, agency.c.agency_id == programme.c.agency_id)
        .order_by(programme.c.agency_id, programme.c.programme_code)
        .limit(limit + 1)
    )
    if municipality is not None:
        query = query.where(_in_area(municipality, _AREA))
    if function is not None:
        query = query.where(programme.c.function == function)
    if stage is not None:
        query = query.where(programme.c.stage == stage)
    if after is not None:
        query = query.where(tuple_(programme.c.agency_id, programme.c.programme_code) > tuple_(*after))
    return (await session.execute(query)).all()


def _in_area(municipality: str, area: ColumnElement[Any]) -> ColumnElement[bool]:
    """`domain.covers`, as a condition."""
    inside = func.unnest(area).column_valued("inside")
    whole_prefecture = (func.substr(inside, 3, 3) == "000") & (func.left(inside, 2) == municipality[:2])
    return select(literal(1)).select_from(inside).where((inside == municipality) | whole_prefecture).exists()
