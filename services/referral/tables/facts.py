"""What the others told about cases, courses and pools; each fact keeps the newest word only."""

from collections.abc import Collection, Sequence
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from sqlalchemy import Column, Row, Table, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from services.referral.tables.schema import case_fact, course_option
from shared.consent import LAST_WORD, Consent
from shared.database import Hot


async def put_case_fact(
    session: AsyncSession, case_id: UUID, guard: Column[Any] | None = None, /, **facts: Any
) -> bool:
    """Write what was heard about a case. With a guard column, only if its new value is greater than the one known."""
    values = {"topics": [], "needs": [], "urgent": False, "consent_purposes": [], "consent_recipients": []} | facts
    values.setdefault("consent_categories", [])
    statement = upsert(case_fact).values(case_id=case_id, **values)
    newer = None if guard is None else or_(guard.is_(None), guard < facts[guard.name])
    written = statement.on_conflict_do_update(index_elements=[case_fact.c.case_id], set_=facts, where=newer)
    return (await session.execute(written.returning(case_fact.c.case_id))).one_or_none() is not None


async def put_holder(session: AsyncSession, case_id: UUID, holder: str, version: int, **more: Any) -> bool:
    """Who holds a case, and what that changes. False: a later version of the case is known, and nothing is changed."""
    guard = case_fact.c.holder_version
    return await put_case_fact(session, case_id, guard, holder=holder, holder_version=version, **more)


_TAKEN_ON = Hot(
    "UPDATE case_fact SET holder = :holder, accepted_ahead = accepted_ahead || CAST(:by AS uuid)"
    " WHERE case_id = :case_id"
)


async def take_on(session: AsyncSession, case_id: UUID, holder: str, *, by: UUID) -> None:
    """Who holds a locked case by the acceptance of this referral, ahead of intake's word."""
    await _TAKEN_ON.rows(session, {"case_id": case_id, "holder": holder, "by": by})


async def set_holder(session: AsyncSession, case_id: UUID, holder: str, *, ahead: Sequence[UUID]) -> None:
    """Who holds a locked case, by intake's word and by what was accepted here that intake has yet to hear of."""
    values = {"holder": holder, "accepted_ahead": list(ahead)}
    await session.execute(update(case_fact).where(case_fact.c.case_id == case_id).values(values))


def holder_of(fact: Row[Any]) -> str:
    """Who holds the case as it is known here."""
    return str(fact.holder or fact.opened_by)


_OPENED = "SELECT * FROM case_fact WHERE case_id = :case_id AND municipality IS NOT NULL"
_FIND = Hot(_OPENED)
_LOCK = Hot(f"{_OPENED} FOR NO KEY UPDATE")


def is_over(fact: Any) -> bool:
    """Closed or erased: nothing is looked for any more."""
    return fact.closed_at is not None or fact.consent_version == LAST_WORD


async def lock_case_fact(session: AsyncSession, case_id: UUID) -> Any:
    """What is known of a case, once its opening was heard; nobody refers it or takes its consent back meanwhile."""
    return _fact(await _LOCK.rows(session, {"case_id": case_id}))


async def find_case_fact(session: AsyncSession, case_id: UUID) -> Any:
    """The same, to look at; None where it was not heard of."""
    return _fact(await _FIND.rows(session, {"case_id": case_id}))


async def find_case_facts(session: AsyncSession, case_ids: Collection[UUID]) -> Sequence[Row[Any]]:
    """The same of many."""
    return (await session.execute(select(case_fact).where(case_fact.c.case_id.in_(case_ids)))).all()


def _fact(rows: list[Any]) -> SimpleNamespace | None:
    return SimpleNamespace(**rows[0]) if rows else None


def consent_of(fact: Row[Any]) -> Consent:
    """What was last heard of the consent."""
    return Consent(
        state=fact.consent_state,
        purposes=frozenset(fact.consent_purposes),
        recipients=frozenset(fact.consent_recipients),
        valid_until=fact.consent_valid_until,
        valid_from=fact.consent_valid_from,
        categories=frozenset(fact.consent_categories),
    )


async def put_newer(session: AsyncSession, table: Table, key: Column[Any], **values: Any) -> None:
    """Write what training told, unless something with a later sequence is known: topics may be replayed."""
    statement = upsert(table).values(**values)
    changes = {name: value for name, value in values.items() if name != key.name}
    await session.execute(
        statement.on_conflict_do_update(index_elements=[key], set_=changes, where=table.c.sequence < values["sequence"])
    )


async def find_course(session: AsyncSession, course_run_id: UUID) -> Row[Any] | None:
    """A course run that training told of."""
    query = select(course_option).where(course_option.c.course_run_id == course_run_id)
    return (await session.execute(query)).one_or_none()
