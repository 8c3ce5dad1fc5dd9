"""The tables of assessment, and the loads that lock or return domain values."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
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
    exists,
    insert,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from services.assessment.domain.fdp import Axis, Rating, Risk
from shared.consent import Consent

metadata = MetaData()

case_fact = Table(
    "case_fact",
    metadata,
    Column("case_id", Uuid, primary_key=True),
    Column("municipality", Text, nullable=False),
    Column("opened_by", Text, nullable=False),
    Column("assessments", Integer, nullable=False),
    Column("holder", Text),
    Column("custody_version", BigInteger),
    Column("closed_at", DateTime(timezone=True)),
    Column("erased_at", DateTime(timezone=True)),
    Column("consent_state", Text),
    Column("consent_version", Integer),
    Column("consent_purposes", ARRAY(Text), nullable=False),
    Column("consent_recipients", ARRAY(Text), nullable=False),
    Column("consent_valid_until", Date),
    Column("consent_valid_from", Date),
)

assessment = Table(
    "assessment",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("case_id", Uuid, nullable=False),
    Column("number", Integer, nullable=False),
    Column("rubric", Text, nullable=False),
    Column("setting", Text, nullable=False),
    *(Column(str(axis), SmallInteger) for axis in Axis),
    Column("raters", ARRAY(Text), nullable=False),
    Column("rated_by", Text, nullable=False),
    Column("rated_at", DateTime(timezone=True), nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    Column("prolongation_risk", Text, nullable=False),
    Column("corrects_id", Uuid),
)


async def keep_case(session: AsyncSession, case_id: UUID, *, municipality: str, opened_by: str) -> None:
    """Remember a case; what is remembered already stays."""
    values = {"case_id": case_id, "municipality": municipality, "opened_by": opened_by, "assessments": 0}
    await session.execute(upsert(case_fact).values(values).on_conflict_do_nothing())


async def keep_custody(
    session: AsyncSession, case_id: UUID, *, holder: str, closed_at: datetime | None, version: int
) -> None:
    """Who holds a case from now on, or held it last, unless something newer is known."""
    known = case_fact.c.custody_version
    values = {"holder": holder, "closed_at": closed_at, "custody_version": version}
    await _change(session, case_id, values, known.is_(None) | (known < version))


async def keep_consent(session: AsyncSession, case_id: UUID, consent: Consent, version: int) -> None:
    """What the person said last about sharing, unless something newer is known."""
    known = case_fact.c.consent_version
    values = {
        "consent_version": version,
        "consent_state": consent.state,
        "consent_purposes": sorted(consent.purposes),
        "consent_recipients": sorted(consent.recipients),
        "consent_valid_until": consent.valid_until,
        "consent_valid_from": consent.valid_from,
    }
    await _change(session, case_id, values, known.is_(None) | (known < version))


async def mark_erased(session: AsyncSession, case_id: UUID, at: datetime) -> None:
    """For good."""
    await _change(session, case_id, {"erased_at": at}, case_fact.c.erased_at.is_(None))


async def _change(session: AsyncSession, case_id: UUID, values: dict[str, Any], when: ColumnElement[bool]) -> None:
    await session.execute(update(case_fact).where(case_fact.c.case_id == case_id, when).values(values))


def holder_of(case: Row[Any]) -> str:
    """Who opened a case holds it as long as nothing else was heard."""
    return str(case.holder or case.opened_by)


def consent_of(case: Row[Any]) -> Consent:
    """What was last heard of the consent."""
    return Consent(
        state=case.consent_state,
        purposes=frozenset(case.consent_purposes),
        recipients=frozenset(case.consent_recipients),
        valid_until=case.consent_valid_until,
        valid_from=case.consent_valid_from,
    )


async def find_case(session: AsyncSession, case_id: UUID) -> Row[Any] | None:
    """What is known about a case."""
    return (await session.execute(select(case_fact).where(case_fact.c.case_id == case_id))).one_or_none()


async def lock_case(session: AsyncSession, case_id: UUID) -> Row[Any] | None:
    """The same, held until the transaction ends: whoever rates this case next waits, and numbers have no gap.

    The count stands in the locked row itself. `max(number)` in this statement would be read from a snapshot taken
    before the wait, and two ratings would get one number.
    """
    query = select(case_fact).where(case_fact.c.case_id == case_id).with_for_update()
    return (await session.execute(query)).one_or_none()


async def add_assessment(session: AsyncSession, values: dict[str, Any]) -> Row[Any]:
    """One more assessment of a locked case, which counts it."""
    counted = update(case_fact).where(case_fact.c.case_id == values["case_id"]).values(assessments=values["number"])
    await session.execute(counted)
    added: Row[Any] = (await session.execute(insert(assessment).values(values).returning(assessment))).one()
    return added


async def find_assessment(session: AsyncSession, case_id: UUID, assessment_id: UUID) -> Row[Any] | None:
    """An assessment of this case."""
    query = select(assessment).where(assessment.c.id == assessment_id, assessment.c.case_id == case_id)
    return (await session.execute(query)).one_or_none()


async def is_corrected(session: AsyncSession, assessment_id: UUID) -> bool:
    """Whether another assessment corrects this one."""
    query = select(assessment.c.id).where(assessment.c.corrects_id == assessment_id)
    return (await session.execute(query)).one_or_none() is not None


async def has_rated(session: AsyncSession, case_id: UUID, agency: str) -> bool:
    """Whether an agency rated this case."""
    query = select(exists().where(assessment.c.case_id == case_id, assessment.c.rated_by == agency))
    return bool((await session.execute(query)).scalar_one())


async def find_assessments(
    session: AsyncSession, case_id: UUID, *, by: str | None, after: int, limit: int
) -> Sequence[Row[Any]]:
    """The assessments of a case, by number; by anybody or by one agency."""
    query = (
        select(assessment)
        .where(_of(case_id, by), assessment.c.number > after)
        .order_by(assessment.c.number)
        .limit(limit)
    )
    return (await session.execute(query)).all()


async def find_ratings(session: AsyncSession, case_id: UUID, *, by: str | None) -> list[tuple[Rating, Row[Any]]]:
    """Anybody's, or one agency's, in the order in which people rated, with what is shown of each."""
    query = select(assessment).where(_of(case_id, by))
    rows = (await session.execute(query.order_by(assessment.c.rated_at, assessment.c.number))).all()
    return [(rating_of(row), row) for row in rows]


def _of(case_id: UUID, by: str | None) -> ColumnElement[bool]:
    of_case = assessment.c.case_id == case_id
    return of_case if by is None else of_case & (assessment.c.rated_by == by)


def rating_of(row: Row[Any]) -> Rating:
    """The row as the domain knows it."""
    levels = {axis: getattr(row, axis) for axis in Axis}
    return Rating(row.id, row.number, levels, Risk(row.prolongation_risk), row.corrects_id)
