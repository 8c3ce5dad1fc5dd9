"""What the dashboard hears: everything. A batch becomes lines of the feed and counts, in one transaction.

Events of one case come from several topics, so in any order; the same event may come again after a replay. Every
statement here gives the same rows whatever the order and however often.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar
from uuid import UUID

from sqlalchemy.event import listen
from sqlalchemy.ext.asyncio import AsyncSession

from services.dashboard.domain import Step, progress_of
from services.dashboard.handlers import bell
from services.dashboard.tables import (
    CourseRow,
    Line,
    PoolRow,
    advance_cases,
    append_to_feed,
    put_course_runs,
    put_pools,
)
from shared.bus.envelope import seal
from shared.bus.inbox import News
from shared.events import (
    AssessmentRecorded,
    CaseOpened,
    ConsentGiven,
    CourseOffered,
    Enrolled,
    Event,
    InstructionIssued,
    PoolChanged,
    ReferralAccepted,
    ReferralSent,
    SeatHeld,
    TrainingReferred,
)

Row = TypeVar("Row", CourseRow, PoolRow)

STAGE_OF: dict[type[Event], str] = {
    CaseOpened: "opened",
    ConsentGiven: "consented",
    AssessmentRecorded: "assessed",
    ReferralSent: "referred",
    TrainingReferred: "referred",
    ReferralAccepted: "accepted",
    SeatHeld: "seat_held",
    InstructionIssued: "instructed",
    Enrolled: "enrolled",
}


async def copy_to_feed(session: AsyncSession, news: Sequence[News]) -> None:
    """Add the news to the feed, count them, and wake whoever waits for them once it is all committed."""
    listen(session.sync_session, "after_commit", lambda _: bell.ring(), once=True)
    await append_to_feed(session, [_line(item) for item in news])
    await advance_cases(session, progress_of(_steps(news)))
    await put_course_runs(session, _newest(_course_rows(news), lambda row: row.course_run_id))
    await put_pools(session, _newest(_pool_rows(news), lambda row: row.pool_id))


def _line(news: News) -> Line:
    event = news.event
    value = news.record.value
    if not news.record.headers.get("content-type", "").startswith("application/cloudevents"):
        # It came in binary mode, with its attributes in headers: those who read the feed see one form only.
        value = seal(
            event, event_id=news.event_id, at=news.published_at, sequence=news.sequence, by=news.by, cause=news.cause
        )
    return Line(news.event_id, event.type, event.subject, value, news.published_at)


def _steps(news: Iterable[News]) -> Iterable[Step]:
    for item in news:
        match item.event:
            case CaseOpened(case_id=case_id, municipality=municipality):
                yield Step(case_id, "opened", municipality, item.published_at)
            case TrainingReferred(case_id=case_id, municipality=municipality):
                yield Step(case_id, "referred", municipality, item.published_at)
            case event if type(event) in STAGE_OF:
                # Every stage is reached by a case: `case_id` is what these events are about.
                yield Step(getattr(event, event.about), STAGE_OF[type(event)], None, item.published_at)
            case _:
                pass


def _course_rows(news: Iterable[News]) -> Iterable[CourseRow]:
    for item in news:
        # Trial places at host workplaces are no seats of training: nothing of theirs is added up with those.
        if isinstance(event := item.event, CourseOffered) and event.system != "trial":
            yield CourseRow(
                course_run_id=event.course_run_id,
                sequence=item.sequence,
                course_number=event.course_number,
                field=event.field,
                starts_on=event.starts_on,
                ends_on=event.ends_on,
                applications_close_at=event.applications_close_at,
                provider=event.provider,
            )


def _pool_rows(news: Iterable[News]) -> Iterable[PoolRow]:
    for item in news:
        if isinstance(event := item.event, PoolChanged):
            yield PoolRow(
                pool_id=event.pool_id,
                sequence=item.sequence,
                course_run_id=event.course_run_id,
                kind=event.kind,
                municipality=event.municipality,
                granted=event.granted,
                held=event.held,
                filled=event.filled,
                waiting=event.waiting,
            )


def _newest(rows: Iterable[Row], key: Callable[[Row], UUID]) -> list[Row]:
    """One row for each key: an upsert can't touch the same row twice in one statement."""
    newest: dict[UUID, Row] = {}
    for row in rows:
        known = newest.get(key(row))
        if known is None or known.sequence < row.sequence:
            newest[key(row)] = row
    return list(newest.values())
