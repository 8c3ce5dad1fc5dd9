"""Everything about a case that an agency may see, newest first, as codes: ratings, conferences, plans and tasks.

Words are read where they stand. Nothing of a statutory meeting is here, not even for its chair: that is a lane of its
own, and this list may lie on the table before whomever the person agreed to.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.assessment.domain.access import Sees, SeesOwn
from services.assessment.domain.conference import Lane
from services.assessment.handlers import conferences as meetings
from services.assessment.handlers.access import reach
from services.assessment.handlers.joint import CONSENT_LANE, may_see
from services.assessment.handlers.plan_views import plans_beside
from services.assessment.tables import assessments, conferences, joint, tasks
from services.assessment.tables.assessments import Rated
from services.assessment.tables.cases import Case
from services.assessment.tables.conferences import Row as ConferenceRow
from services.assessment.tables.joint import Row as JointRow
from services.assessment.tables.plans import Plan
from services.assessment.tables.tasks import Row as TaskRow
from shared.auth import Actor
from shared.service import day_in_japan


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
    what: Rating | JointRow | ConferenceRow | Plan | TaskRow


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


async def _conferences(session: AsyncSession, view: View) -> list[Entry]:
    found = await conferences.list_of_case(session, view.case.id, after=(date.min, UUID(int=0)), limit=_MANY)
    today = day_in_japan(view.now)
    return [
        Entry(row.called_at, row.conference.id, row)
        for row in found
        if row.conference.lane is Lane.CONSENT and meetings.sees(row.conference, view.case, view.actor.agency, today)
    ]


async def _plans(session: AsyncSession, view: View) -> list[Entry]:
    found = await plans_beside(session, view.case, view.sees, limit=_MANY, actor=view.actor, now=view.now)
    return [Entry(plan.created_at, plan.id, plan) for plan in found]


async def _tasks(session: AsyncSession, view: View) -> list[Entry]:
    found = await tasks.find_told(session, view.case.id, owner=view.own, limit=_MANY)
    return [Entry(row.created_at, row.task.id, row) for row in found]


_MANY = 1_000
"""More of one kind than a case ever has; reads are bounded all the same."""
_Reader = Callable[[AsyncSession, View], Awaitable[list[Entry]]]
_KINDS: tuple[_Reader, ...] = (_ratings, _joint_ratings, _conferences, _plans, _tasks)
"""A new kind of thing is one more line here, and one more shape in the interface."""
