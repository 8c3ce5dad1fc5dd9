"""Agreements to lend or swap seats, their steps, and the pools of lent seats. Facts that are only added to."""

# ruff: noqa: S608  (put together from this file's own words; every value is bound)

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from pydantic_core import to_json
from sqlalchemy.ext.asyncio import AsyncSession

from services.training.domain.agreements import Agreement, AgreementKind, AgreementState, Leg, Lendable
from services.training.domain.quota import Pool
from shared.database import Hot

_ADD = Hot(
    "WITH made AS (INSERT INTO seat_agreement (id, kind, proposed_by, proposed_for, asked, answer_before, recorded_at)"
    " VALUES (:id, :kind, :proposed_by, :proposed_for, :asked, :answer_before, :now))"
    " INSERT INTO agreement_leg (agreement_id, number, pool_id, giver, taker, seats, until_on)"
    " SELECT :id, number, pool_id, giver, taker, seats, until_on"
    " FROM json_populate_recordset(NULL::agreement_leg, CAST(:legs AS json))"
)
_ADD_STEP = Hot(
    "INSERT INTO agreement_step (agreement_id, number, step, by, at) VALUES (:id, :number, :step, :by, :now)"
)
_AGREEMENTS = (
    "SELECT g.*, coalesce(s.step, 'proposed') AS step, coalesce(s.number, 1) AS version, s.at AS step_at, legs.legs,"
    " legs.due_at FROM seat_agreement g LEFT JOIN LATERAL (SELECT * FROM agreement_step WHERE agreement_id = g.id"
    " ORDER BY number DESC LIMIT 1) AS s ON true CROSS JOIN LATERAL ("
    "SELECT json_agg(json_build_object('pool_id', l.pool_id, 'giver', l.giver, 'taker', l.taker, 'seats', l.seats,"
    " 'until_on', l.until_on, 'course_run_id', p.course_run_id, 'course_number', c.course_number, 'title', c.title,"
    " 'decision_id', a.decision_id, 'decision_allotment_id', a.id, 'lent_pool_id', lent.id,"
    " 'outstanding', coalesce(lent.granted, 0), 'taken', coalesce(lent.held + lent.filled, 0)) ORDER BY l.number)"
    " AS legs, max(lent.cut_off_at) AS due_at"
    " FROM agreement_leg l JOIN pool p ON p.id = l.pool_id JOIN course_run c ON c.id = p.course_run_id"
    " JOIN decision_allotment a ON a.id = p.decision_allotment_id"
    " LEFT JOIN pool lent ON lent.agreement_id = l.agreement_id AND lent.agreement_leg = l.number"
    " WHERE l.agreement_id = g.id) AS legs"
)
_GET = Hot(f"{_AGREEMENTS} WHERE g.id = :id")
_STATE = (
    "CASE WHEN step = 'proposed' AND answer_before <= CAST(:now AS timestamptz) THEN 'lapsed'"
    " WHEN step = 'agreed' AND due_at <= CAST(:now AS timestamptz) THEN 'ended' ELSE step END"
)
_LIST = Hot(
    f"SELECT * FROM ({_AGREEMENTS} WHERE (proposed_for = ANY(CAST(:municipalities AS text[]))"
    " OR asked = ANY(CAST(:municipalities AS text[]))"
    " OR 'prefecture:' || left(asked, 2) = ANY(CAST(:municipalities AS text[])))"
    " AND (CAST(:after AS uuid) IS NULL OR g.id > CAST(:after AS uuid))) AS found"
    f" WHERE CAST(:state AS text) IS NULL OR {_STATE} = CAST(:state AS text)"
    " ORDER BY id LIMIT CAST(:limit AS integer)"
)
_LOCK = Hot("SELECT FROM seat_agreement WHERE id = :id FOR UPDATE")
_LOCK_NEXT_LAPSED = Hot(
    "SELECT g.id FROM seat_agreement g WHERE g.answer_before <= CAST(:now AS timestamptz)"
    " AND NOT EXISTS (SELECT FROM agreement_step s WHERE s.agreement_id = g.id)"
    " ORDER BY g.answer_before LIMIT 1 FOR UPDATE SKIP LOCKED"
)
_ABOUT = Hot(
    "SELECT p.id, p.course_run_id, c.prefecture, coalesce(a.lendable, false) AS lendable, a.cut_off_on FROM pool p"
    " JOIN course_run c ON c.id = p.course_run_id LEFT JOIN decision_allotment a ON a.id = p.decision_allotment_id"
    " WHERE p.id = ANY(CAST(:ids AS uuid[]))"
)
_LEND = Hot(
    "INSERT INTO pool (id, course_run_id, kind, municipality, municipalities, decision_allotment_id, source_pool_id,"
    " agreement_id, agreement_leg) SELECT lent.id, p.course_run_id, p.kind, l.taker, ARRAY[l.taker],"
    " p.decision_allotment_id, p.id, l.agreement_id, l.number"
    " FROM unnest(CAST(:ids AS uuid[])) WITH ORDINALITY AS lent (id, number)"
    " JOIN agreement_leg l ON l.agreement_id = :agreement_id AND l.number = lent.number"
    " JOIN pool p ON p.id = l.pool_id"
)


async def add_agreement(session: AsyncSession, agreement: Agreement, now: datetime) -> None:
    """A proposal with its legs."""
    legs = [
        {
            "number": number,
            "pool_id": leg.pool_id,
            "giver": leg.giver,
            "taker": leg.taker,
            "seats": leg.seats,
            "until_on": leg.until_on,
        }
        for number, leg in enumerate(agreement.legs, 1)
    ]
    values = {
        "id": agreement.id,
        "kind": agreement.kind.value,
        "proposed_by": agreement.proposed_by,
        "proposed_for": agreement.proposed_for,
        "asked": agreement.asked,
        "answer_before": agreement.answer_before,
        "legs": to_json(legs).decode(),
        "now": now,
    }
    await _ADD.rows(session, values)


async def add_step(
    session: AsyncSession, agreement: Agreement, step: AgreementState, *, by: str | None, now: datetime
) -> None:
    """What became of it; the database refuses a step that is none, or that comes too late."""
    values = {"id": agreement.id, "number": agreement.version + 1, "step": step.value, "by": by, "now": now}
    await _ADD_STEP.rows(session, values)


async def find_agreement(session: AsyncSession, agreement_id: UUID) -> Mapping[str, Any] | None:
    """An agreement with what is told of it."""
    rows = await _GET.rows(session, {"id": agreement_id})
    return rows[0] if rows else None


async def lock_agreement(session: AsyncSession, agreement_id: UUID) -> None:
    """Locked, so that it is answered once: after the course runs of its pools, where seats are to move."""
    await _LOCK.rows(session, {"id": agreement_id})


async def lock_next_lapsed(session: AsyncSession, now: datetime) -> UUID | None:
    """A proposal, locked, that nobody answered in time and of which nobody was told so."""
    rows = await _LOCK_NEXT_LAPSED.rows(session, {"now": now})
    return rows[0]["id"] if rows else None


async def list_agreements(
    session: AsyncSession,
    municipalities: Collection[str],
    *,
    state: str | None,
    now: datetime,
    after: UUID | None,
    limit: int,
) -> Sequence[Mapping[str, Any]]:
    """Those that a reader's municipalities are part of, as they were proposed."""
    values = {"municipalities": sorted(municipalities), "state": state, "now": now, "after": after, "limit": limit}
    return await _LIST.rows(session, values)


def agreement_of(row: Mapping[str, Any]) -> Agreement:
    """An agreement out of its columns."""
    return Agreement(
        id=row["id"],
        kind=AgreementKind(row["kind"]),
        proposed_by=row["proposed_by"],
        proposed_for=row["proposed_for"],
        asked=row["asked"],
        answer_before=row["answer_before"],
        legs=tuple(
            Leg(UUID(leg["pool_id"]), leg["giver"], leg["taker"], leg["seats"], date.fromisoformat(leg["until_on"]))
            for leg in row["legs"]
        ),
        step=AgreementState(row["step"]),
        version=row["version"],
        due_at=row["due_at"],
    )


async def courses_of(session: AsyncSession, pool_ids: Collection[UUID]) -> dict[UUID, Mapping[str, Any]]:
    """Of which course run each pool is, and what its decision says of lending."""
    return {row["id"]: row for row in await _ABOUT.rows(session, {"ids": list(pool_ids)})}


def lendable(pool: Pool, about: Mapping[str, Any]) -> Lendable:
    """A pool with that."""
    return Lendable(pool, about["prefecture"], about["lendable"], about["cut_off_on"])


async def add_lent_pools(session: AsyncSession, agreement_id: UUID, pool_ids: Sequence[UUID]) -> None:
    """A pool for each leg, without seats yet: for the taker, on the giver's allotment, as both agreed."""
    await _LEND.rows(session, {"agreement_id": agreement_id, "ids": list(pool_ids)})
