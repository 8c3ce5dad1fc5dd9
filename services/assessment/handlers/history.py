"""Everything about a case that an agency may see, newest first, as codes: what is rated, jointly rated, and to be done.

Words are read where they stand. Nothing of a statutory meeting is here, not even for its chair: that is a lane of its
own, and this list may lie on the table before whomever the person agreed to.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.assessment.domain.access import Sees, SeesOwn
from services.assessment.handlers.access import reach
from services.assessment.handlers.joint import CONSENT_LANE, may_see
from services.assessment.tables import assessments, joint, tasks
from services.assessment.tables.assessments import Rated
from services.assessment.tables.cases import Case
from services.assessment.tables.joint import Row as JointRow
from services.assessment.tables.tasks import Row as TaskRow
from shared.auth import Actor


@dataclass(frozen=True, slots=True)
class Rating:
    """A rating, and the one that corrects it, as far as the caller sees that."""

    rated: Rated
    corrected_by: UUID | None


@dataclass(frozen=True, slots=True)
class Entry:
    """Something about the case, and when it was; two of one moment stand in the order of their ids."""

    at: datetime
    id: UUID
    what: Rating | JointRow | TaskRow


@dataclass(frozen=True, slots=True)
class View:
    """Who looks at which case, when, and how far it sees."""

    case: Case
    sees: Sees | SeesOwn
    actor: Actor
    now: datetime

    @property
    def own(self) -> str | None:
        """The agency, where it sees only what is its own."""
        return self.actor.agency if isinstance(self.sees, SeesOwn) else None


Place = tuple[datetime, UUID]


async def read_history(
    session: AsyncSession, case_id: UUID, *, before: Place | None, limit: int, actor: Actor, now: datetime
) -> list[Entry]:
    """The newest first. A statement or two for each kind of thing, however many there are."""
    case, sees = await reach(session, case_id, actor=actor, now=now)
    view = View(case, sees, actor, now)
    found = [entry for read in _KINDS for entry in await read(session, view)]
    found.sort(key=lambda entry: (entry.at, entry.id), reverse=True)
    return [entry for entry in found if before is None or (entry.at, entry.id) < before][:limit]


async def _ratings(session: AsyncSession, view: View) -> list[Entry]:
    found = await assessments.find_assessments(session, view.case.id, by=view.own)
    corrected = {rated.corrects: rated.id for rated in found}
    return [Entry(rated.rated_at, rated.id, Rating(rated, corrected.get(rated.id))) for rated in found]


async def _joint_ratings(session: AsyncSession, view: View) -> list[Entry]:
    """Their heads: no levels, and not who has given them, whatever state they are in."""
    found = await joint.find_joints(session, view.case.id, after=None, limit=_MANY)
    return [
        Entry(row.begun_at, row.id, row)
        for row in found
        if row.lane == CONSENT_LANE and may_see(row, view.case, view.actor, view.now)
    ]


async def _tasks(session: AsyncSession, view: View) -> list[Entry]:
    found = await tasks.find_told(session, view.case.id, owner=view.own, limit=_MANY)
    return [Entry(row.created_at, row.task.id, row) for row in found]


_MANY = 1_000
"""More of one kind than a case ever has; reads are bounded all the same."""
_KINDS: tuple[Callable[[AsyncSession, View], Awaitable[list[Entry]]], ...] = (_ratings, _joint_ratings, _tasks)
"""A new kind of thing is one more line here, and one more shape in the interface."""
