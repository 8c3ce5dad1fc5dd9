"""What lies on the table of a conference, for one reader: everything here was asked for on that reader's own ground."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.assessment.domain.access import SeesOwn
from services.assessment.domain.instruments import FDP, Instrument
from services.assessment.domain.progress import Progress
from services.assessment.domain.rule import Rule
from services.assessment.handlers import assessments
from services.assessment.handlers.access import concerns, reach
from services.assessment.handlers.conference_record import Record, read_record
from services.assessment.handlers.conferences import Seen
from services.assessment.handlers.joint import Shown, get_joint, list_joints
from services.assessment.handlers.rules import list_rules
from services.assessment.tables import instruments, tasks
from services.assessment.tables.assessments import Rated
from services.assessment.tables.tasks import Row
from shared.auth import Actor
from shared.problems import Problem


@dataclass(frozen=True, slots=True)
class Levels:
    """How the person was rated, first and last, with the words for the last; `own_only`: by the reader alone."""

    progress: Progress
    latest: Rated
    instrument: Instrument
    rule: Rule | None
    evidence: Mapping[str, str]
    withheld: frozenset[str]
    own_only: bool


@dataclass(frozen=True, slots=True)
class Paper:
    """Everything that a paper of a conference shows. `levels` None: nothing was rated; or hidden, as `hidden` says."""

    record: Record
    professions: Mapping[str, str]
    levels: Levels | None
    hidden: bool
    joint: Shown | None
    tasks: Sequence[Row]
    own_tasks: bool
    """The reader sees its own tasks alone: the case is another town's."""


async def read_paper(session: AsyncSession, conference_id: UUID, *, actor: Actor, now: datetime) -> Paper:
    """As far as the reader may see, today: of ratings, of words about illness, of what others have to do."""
    record = await read_record(session, conference_id, actor=actor, now=now)
    levels, hidden = await _levels(session, record.seen.case.id, actor, now)
    near = concerns(record.seen.case, actor)
    return Paper(
        record,
        {row.code: row.japanese for row in await instruments.list_professions(session)},
        levels,
        hidden,
        await _joint(session, record.seen, actor, now),
        await tasks.find_waiting(session, record.seen.case.id, owner=None if near else actor.agency),
        not near,
    )


async def _levels(session: AsyncSession, case_id: UUID, actor: Actor, now: datetime) -> tuple[Levels | None, bool]:
    try:
        _, sees = await reach(session, case_id, actor=actor, now=now)
    except Problem:
        return None, True  # the meeting opens nothing else of the case
    progress, rated, versions = await assessments.read_progress(session, case_id, FDP, actor=actor, now=now)
    if progress is None:
        return None, False
    latest = rated[progress.points[-1].id]
    words = await assessments.read_evidence(session, case_id, latest.id, actor=actor, now=now)
    evidence, withheld = words or ({}, frozenset())
    rules = {each.rule.version: each.rule for each in await list_rules(session)}
    rule = None if latest.rule_version is None else rules[latest.rule_version]
    own_only = isinstance(sees, SeesOwn)
    return Levels(progress, latest, versions[latest.rubric], rule, evidence, withheld, own_only), False


async def _joint(session: AsyncSession, seen: Seen, actor: Actor, now: datetime) -> Shown | None:
    """The conference's last joint rating, if the reader may see one."""
    found = await list_joints(session, seen.case.id, after=None, limit=1_000, actor=actor, now=now)
    held = [row for row in found if row.conference_id == seen.held.id]
    return await get_joint(session, held[-1].id, actor=actor, now=now) if held else None
