"""What is known about a person is written and read: policy decides, the log is written, then the values open."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from services.intake.domain.cases import Case
from services.intake.domain.meetings import Basis
from services.intake.domain.policy import Action, Denied, Purpose
from services.intake.domain.sheet import FieldSet, fields_of
from services.intake.handlers import fingerprints
from services.intake.handlers.access import allowed, by_itself, key_of, refuse_erased, there, values_of
from services.intake.tables import cases, persons
from services.intake.tables.persons import Written
from shared import vault
from shared.auth import Actor
from shared.vault.log import accesses_of

WITNESS = "consent_witness"
"""The field's name in the access log."""


@dataclass(frozen=True, slots=True)
class Person:
    """What the caller may see of a person, on which basis, and which sets stay closed."""

    case_id: UUID
    version: int
    basis: Basis
    values: Mapping[str, str]
    masked: frozenset[FieldSet]


@dataclass(frozen=True, slots=True)
class Overtaken:
    """Somebody saved the sheet in between: who wrote which fields, and when. Nothing of it is lost."""

    written: tuple[Written, ...]


async def begin_sheet(
    session: AsyncSession, case: Case, values: Mapping[str, str], *, actor: Actor, now: datetime
) -> None:
    """The first version of a case's sheet, under a key of its own. Who opens a case writes on its own duty."""
    access = actor.access(
        vault.Action.WRITE, purpose=Purpose.SUPPORT, basis=Basis.OWN_DUTY, fields=values, session=session
    )
    key = await vault.make_key(session, case.id, access)
    await persons.add_values(session, key, case.id, values, version=1, by=actor.agency, at=now)
    await fingerprints.begin(session, case.id, values)


async def get_person(
    session: AsyncSession, case_id: UUID, *, purpose: Purpose, basis: Basis | None, actor: Actor, now: datetime
) -> Person | Denied:
    """The sheet as far as it may be seen, on the basis that is named or on the first that reaches."""
    case = there(await cases.find_case(session, case_id))
    decision = await allowed(session, case, Action.READ, purpose=purpose, basis=basis, actor=actor, now=now)
    if isinstance(decision, Denied):
        return decision
    fields = fields_of(decision.sets)
    values = await values_of(
        session, [case_id], vault.Action.READ, fields, purpose=purpose, basis=decision.basis, actor=actor
    )
    if case_id not in values:
        await refuse_erased(session, case_id)
    return Person(
        case_id, case.sheet_version, decision.basis, values.get(case_id, {}), frozenset(FieldSet) - decision.sets
    )


async def change_person(
    session: AsyncSession,
    case_id: UUID,
    values: Mapping[str, str | None],
    *,
    read: int,
    actor: Actor,
    now: datetime,
) -> int | Denied | Overtaken:
    """Write fields of the sheet as its next version; None empties one. The version that now stands."""
    case = there(await cases.lock_case(session, case_id))
    decision = await allowed(session, case, Action.WRITE, purpose=Purpose.SUPPORT, actor=actor, now=now)
    if isinstance(decision, Denied):
        return decision
    if read != case.sheet_version:
        return Overtaken(tuple(await persons.written_since(session, case_id, read)))
    version = await _write(session, case, values, basis=decision.basis, actor=actor, now=now)
    await fingerprints.change(session, case_id, values, basis=decision.basis, actor=actor)
    await cases.change_case(session, case, sheet_version=version)
    return version


async def write_next_step(
    session: AsyncSession, case: Case, next_step: str, *, actor: Actor, now: datetime
) -> int | Denied:
    """The next step of a locked case, by who holds it. The version of the sheet that the caller is to write down."""
    decision = await allowed(session, case, Action.WRITE, purpose=Purpose.SUPPORT, actor=actor, now=now)
    if isinstance(decision, Denied):
        return decision
    values = {"next_step": next_step}
    return await _write(session, case, values, basis=decision.basis, actor=actor, now=now)


async def write_first_step(session: AsyncSession, case: Case, next_step: str, *, by: str, now: datetime) -> int:
    """The next step that a case gets by itself, until somebody writes a better one. The sheet's version."""
    access = by_itself(vault.Action.WRITE, by, ["next_step"])
    key = (await vault.unlock(session, [case.id], access)).of(case.id)
    version = case.sheet_version + 1
    await persons.add_values(session, key, case.id, {"next_step": next_step}, version=version, by=by, at=now)
    return version


async def _write(
    session: AsyncSession,
    case: Case,
    values: Mapping[str, str | None],
    *,
    basis: Basis,
    actor: Actor,
    now: datetime,
) -> int:
    await refuse_erased(session, case.id)
    key = await key_of(session, case.id, vault.Action.WRITE, values, purpose=Purpose.SUPPORT, basis=basis, actor=actor)
    version = case.sheet_version + 1
    await persons.add_values(session, key, case.id, values, version=version, by=actor.agency, at=now)
    return version


async def seal_old_next_step(session: AsyncSession, now: datetime) -> bool:
    """Seal one case's next step that an earlier version kept in the clear. False when there is none left."""
    found = await cases.take_old_next_step(session)
    if found is None:
        return False
    case, next_step = found
    values = {"next_step": next_step}
    access = vault.Access(
        vault.Action.WRITE, case.holder_agency, "upgrade", (), Purpose.SUPPORT, Basis.OWN_DUTY, tuple(values)
    )
    key = await vault.make_key(session, case.id, access)
    version = case.sheet_version + 1
    await persons.add_values(session, key, case.id, values, version=version, by=case.holder_agency, at=now)
    await cases.change_case(session, case, sheet_version=version)
    return True


async def next_steps(session: AsyncSession, found: Collection[Case], *, actor: Actor) -> dict[UUID, str]:
    """The next steps of the cases that the caller holds: its own work list, and each reading is logged."""
    held = await values_of_held(session, found, vault.Action.READ, ["next_step"], actor=actor)
    return {case_id: fields["next_step"] for case_id, fields in held.items() if "next_step" in fields}


async def values_of_held(
    session: AsyncSession, found: Collection[Case], action: vault.Action, fields: Collection[str], *, actor: Actor
) -> Mapping[UUID, dict[str, str]]:
    """Fields of those of the cases that the caller holds, read or exported on its own duty, and logged so."""
    held = [case.id for case in found if case.holder_agency == actor.agency and not case.use_stopped]
    if not held or not fields:
        return {}
    return await values_of(session, held, action, fields, purpose=Purpose.SUPPORT, basis=Basis.OWN_DUTY, actor=actor)


async def seal_witness(session: AsyncSession, case: Case, witness: str, *, actor: Actor) -> bytes:
    """The name of who was there when the case's newest consent was given. Its counter writes on its own duty."""
    key = await key_of(
        session, case.id, vault.Action.WRITE, [WITNESS], purpose=Purpose.SUPPORT, basis=Basis.OWN_DUTY, actor=actor
    )
    return key.seal(witness, cases.witness_place(case.id, case.consent_version))


async def witnesses(session: AsyncSession, case: Case, facts: Collection[Row[Any]], *, actor: Actor) -> dict[int, str]:
    """The witnesses of a case's consents, by version: for who holds the case, and each reading is logged."""
    named = [fact for fact in facts if fact.witness is not None]
    if not named or case.holder_agency != actor.agency:
        return {}
    access = actor.access(
        vault.Action.READ, purpose=Purpose.SUPPORT, basis=Basis.OWN_DUTY, fields=[WITNESS], session=session
    )
    key = (await vault.unlock(session, [case.id], access)).keys.get(case.id)
    if key is None:
        return {}
    return {fact.version: key.open(fact.witness, cases.witness_place(case.id, fact.version)) for fact in named}


async def list_accesses(
    session: AsyncSession, case_id: UUID, *, after: int, limit: int, actor: Actor, now: datetime
) -> Sequence[Row[Any]] | Denied:
    """Who looked at the person's data, for who may tell the person; oldest first."""
    case = there(await cases.find_case(session, case_id))
    decision = await allowed(session, case, Action.ACCESSES, purpose=Purpose.DISCLOSURE, actor=actor, now=now)
    if isinstance(decision, Denied):
        return decision
    return await accesses_of(session, case_id, after=after, limit=limit)
