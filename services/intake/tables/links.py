"""Which cases are of one person, as people decided: a ledger of links and unlinks, and questions to other desks."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Column, DateTime, Integer, Row, Table, Text, Uuid, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.intake.domain.cases import Case, Consent
from services.intake.domain.links import Link, Step
from services.intake.tables.cases import TERMS, case_, case_consent, consent_of, metadata
from shared.auth import served

inquiry = Table(
    "inquiry",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("case_id", Uuid, nullable=False),
    Column("municipality", Text, nullable=False),
    Column("consent_version", Integer, nullable=False),
    Column("asked_by", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
)

_ADD = text(
    "INSERT INTO person_link (case_a, case_b, number, step, reason, by, at)"
    " VALUES (:case_a, :case_b, :number, :step, :reason, :by, :at)"
)
_LAST = text(
    "SELECT number, step FROM person_link WHERE case_a = :case_a AND case_b = :case_b ORDER BY number DESC LIMIT 1"
)
_OF_CASE = text(
    "SELECT DISTINCT ON (case_a, case_b) CASE WHEN case_a = :case_id THEN case_b ELSE case_a END AS other,"
    " step, reason, by, at FROM person_link WHERE case_a = :case_id OR case_b = :case_id"
    " ORDER BY case_a, case_b, number DESC"
)
_ASK = text(
    "INSERT INTO inquiry (id, case_id, municipality, consent_version, asked_by, at)"
    " VALUES (:id, :case_id, :municipality, :consent_version, :asked_by, :at) ON CONFLICT DO NOTHING RETURNING id"
)
_ANSWER = text(
    "INSERT INTO inquiry_answer (inquiry_id, answered_by, answer, case_id, at)"
    " VALUES (:inquiry_id, :by, :answer, :case_id, :at) ON CONFLICT DO NOTHING RETURNING inquiry_id"
)
_ASKED = text("SELECT id, municipality, asked_by, at FROM inquiry WHERE case_id = :case_id ORDER BY id")
_ANSWERS = text(
    "SELECT inquiry_id, answered_by, answer, at FROM inquiry_answer WHERE inquiry_id = ANY(:ids) ORDER BY at"
)
_OWN_ANSWER = text("SELECT answer FROM inquiry_answer WHERE inquiry_id = :id AND answered_by = :agency")


# --- links ----------------------------------------------------------------------------------------------------------


async def find_last(session: AsyncSession, pair: tuple[UUID, UUID]) -> Link:
    """How two cases stand to one another."""
    row = (await session.execute(_LAST, {"case_a": pair[0], "case_b": pair[1]})).one_or_none()
    return Link() if row is None else Link(row.number, Step(row.step))


async def add_step(
    session: AsyncSession, pair: tuple[UUID, UUID], link: Link, *, reason: str, by: str, at: datetime
) -> None:
    """The next entry of two cases; the database refuses what does not follow on the last."""
    assert link.step is not None
    values = {"number": link.number, "step": link.step.value, "reason": reason, "by": by, "at": at}
    await session.execute(_ADD, {"case_a": pair[0], "case_b": pair[1]} | values)


async def find_links(session: AsyncSession, case_id: UUID) -> Sequence[Row[Any]]:
    """The last entry for every case that was ever linked with one."""
    return (await session.execute(_OF_CASE, {"case_id": case_id})).all()


# --- inquiries ------------------------------------------------------------------------------------------------------


async def add_inquiry(
    session: AsyncSession, inquiry_id: UUID, case: Case, municipality: str, *, by: str, at: datetime
) -> bool:
    """Ask; False if the same was asked on the same consent."""
    values = {"id": inquiry_id, "case_id": case.id, "municipality": municipality, "asked_by": by, "at": at}
    asked = await session.execute(_ASK, values | {"consent_version": case.consent_version})
    return asked.scalar_one_or_none() is not None


async def find_asked(session: AsyncSession, case_id: UUID) -> Sequence[Row[Any]]:
    """What was asked for a case, oldest first."""
    return (await session.execute(_ASKED, {"case_id": case_id})).all()


async def find_answers(session: AsyncSession, inquiry_ids: Collection[UUID]) -> Sequence[Row[Any]]:
    """Who answered what."""
    return (await session.execute(_ANSWERS, {"ids": list(inquiry_ids)})).all()


async def find_inquiries(
    session: AsyncSession,
    municipalities: Collection[str],
    *,
    only: UUID | None = None,
    before: UUID | None = None,
    limit: int,
) -> list[tuple[Row[Any], Consent]]:
    """What these municipalities' desks are asked, newest first, with the consent that stands now."""
    query = (
        select(inquiry, *TERMS)
        .join(case_, case_.c.id == inquiry.c.case_id)
        .join(
            case_consent,
            (case_consent.c.case_id == case_.c.id) & (case_consent.c.version == case_.c.consent_version),
        )
        .where(served(inquiry.c.municipality, municipalities))
        .order_by(inquiry.c.id.desc())
        .limit(limit)
    )
    if only is not None:
        query = query.where(inquiry.c.id == only)
    if before is not None:
        query = query.where(inquiry.c.id < before)
    return [(row, consent_of(row)) for row in await session.execute(query)]


async def find_own_answer(session: AsyncSession, inquiry_id: UUID, agency: str) -> str | None:
    """What an agency answered."""
    found: str | None = (await session.execute(_OWN_ANSWER, {"id": inquiry_id, "agency": agency})).scalar_one_or_none()
    return found


async def add_answer(
    session: AsyncSession, inquiry_id: UUID, answer: str, *, case_id: UUID | None, by: str, at: datetime
) -> bool:
    """Answer; False if the agency has answered already."""
    values = {"inquiry_id": inquiry_id, "answer": answer, "case_id": case_id, "by": by, "at": at}
    return (await session.execute(_ANSWER, values)).scalar_one_or_none() is not None
