"""The feed and the projections. Statements over whole batches: a replay brings thousands of events a second.

The feed's numbers come from one counter row. Whoever adds lines keeps it locked until the commit, so numbers have no
gaps, become visible in order, and a plain `seq > position` is a safe way to read on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Boolean, Date, DateTime, Integer, LargeBinary, TextClause, Uuid, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import Text, TypeEngine

from services.dashboard.domain import STAGES, CourseRun, Figures, Pool, Progress, Stage


@dataclass(frozen=True, slots=True)
class Line:
    """An event on its way into the feed; `value` is the CloudEvent as it travelled."""

    event_id: UUID
    type: str
    subject: str
    value: bytes
    told_at: datetime


@dataclass(frozen=True, slots=True)
class Numbered:
    """A line of the feed with its number."""

    seq: int
    type: str
    value: str


@dataclass(frozen=True, slots=True)
class Page:
    """Some lines, how far they were looked for, and what the feed holds: lines `first` to `last`."""

    lines: Sequence[Numbered]
    reached: int
    first: int
    last: int

    def reaches(self, after: int) -> bool:
        """Whether reading on after this number misses nothing. A number not yet given is another feed's."""
        return self.first - 1 <= after <= self.last


@dataclass(frozen=True, slots=True)
class CourseRow:
    """A course run as the catalogue tells it, with the version of the entry."""

    course_run_id: UUID
    sequence: int
    course_number: str
    field: str
    starts_on: date
    ends_on: date
    applications_close_at: datetime
    provider: str


@dataclass(frozen=True, slots=True)
class PoolRow:
    """A pool's seats as training tells them, with the version of the pool."""

    pool_id: UUID
    sequence: int
    course_run_id: UUID
    kind: str
    municipality: str | None
    granted: int
    held: int
    filled: int
    waiting: int


_WINDOW = 2000  # numbers looked through at once, so that a rare type doesn't make one long statement

_MOMENT = DateTime(timezone=True)


def _statement(sql: str, **types: TypeEngine[Any]) -> TextClause:
    return text(sql).bindparams(*(bindparam(name, type_=type_) for name, type_ in types.items()))


# What the feed holds already is left out before numbers are drawn: the inbox forgets after 45 days, a replay may not.
_APPEND = _statement(
    """
    WITH fresh AS (
        SELECT n.*, row_number() OVER (ORDER BY place) AS number
        FROM unnest(:ids, :types, :subjects, :values, :told) WITH ORDINALITY
             AS n(id, type, subject, value, told_at, place)
        WHERE NOT EXISTS (SELECT FROM feed WHERE event_id = n.id)
    ), counted AS (
        UPDATE feed_counter SET last = last + (SELECT count(*) FROM fresh) RETURNING last
    )
    INSERT INTO feed (seq, event_id, type, subject, value, told_at, at)
    SELECT last - (SELECT count(*) FROM fresh) + number, id, type, subject, value, told_at, clock_timestamp()
    FROM counted, fresh ORDER BY number
    """,
    ids=ARRAY(Uuid),
    types=ARRAY(Text),
    subjects=ARRAY(Text),
    values=ARRAY(LargeBinary),
    told=ARRAY(_MOMENT),
)

_ADVANCE = _statement(
    f"""
    INSERT INTO case_progress AS known (case_id, municipality, {", ".join(f"{stage}_at" for stage in STAGES)})
    SELECT * FROM unnest(:case_ids, :municipalities, {", ".join(f":{stage}" for stage in STAGES)})
    ON CONFLICT (case_id) DO UPDATE SET
        municipality = coalesce(known.municipality, excluded.municipality),
        {", ".join(f"{stage}_at = least(known.{stage}_at, excluded.{stage}_at)" for stage in STAGES)}
    """,  # noqa: S608  (the stages are our own words)
    case_ids=ARRAY(Uuid),
    municipalities=ARRAY(Text),
    **{stage: ARRAY(_MOMENT) for stage in STAGES},
)

_COURSE_COLUMNS: dict[str, TypeEngine[Any]] = {
    "course_run_id": ARRAY(Uuid),
    "sequence": ARRAY(BigInteger),
    "course_number": ARRAY(Text),
    "field": ARRAY(Text),
    "starts_on": ARRAY(Date),
    "ends_on": ARRAY(Date),
    "applications_close_at": ARRAY(_MOMENT),
    "provider": ARRAY(Text),
}
_POOL_COLUMNS: dict[str, TypeEngine[Any]] = {
    "pool_id": ARRAY(Uuid),
    "sequence": ARRAY(BigInteger),
    "course_run_id": ARRAY(Uuid),
    "kind": ARRAY(Text),
    "municipality": ARRAY(Text),
    "granted": ARRAY(Integer),
    "held": ARRAY(Integer),
    "filled": ARRAY(Integer),
    "waiting": ARRAY(Integer),
}


def _newest_wins(table: str, columns: dict[str, TypeEngine[Any]]) -> TextClause:
    """An upsert in which a row only ever gives way to a later version of itself."""
    key, *others = columns
    return _statement(
        f"INSERT INTO {table} AS known ({', '.join(columns)})"  # noqa: S608  (names from this file)
        f" SELECT * FROM unnest({', '.join(f':{name}' for name in columns)})"
        f" ON CONFLICT ({key}) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in others)}"
        " WHERE known.sequence < excluded.sequence",
        **columns,
    )


_PUT_COURSES = _newest_wins("course_run", _COURSE_COLUMNS)
_PUT_POOLS = _newest_wins("pool", _POOL_COLUMNS)

# One statement, so that the lines and the bounds are of the same moment.
_PAGE = _statement(
    """
    WITH held AS (SELECT last, coalesce((SELECT min(seq) FROM feed), last + 1) AS first FROM feed_counter)
    SELECT held.first, held.last, line.seq, line.type, line.value
    FROM held LEFT JOIN LATERAL (
        SELECT seq, type, value FROM feed
        WHERE seq > coalesce(:after, first - 1) AND seq <= coalesce(:after, first - 1) + :window
          AND (:every OR type = ANY(:types))
        ORDER BY seq LIMIT :limit
    ) AS line ON true ORDER BY line.seq
    """,
    after=BigInteger(),
    window=BigInteger(),
    every=Boolean(),
    types=ARRAY(Text),
    limit=Integer(),
)

_COUNT = text(
    "SELECT (SELECT last FROM feed_counter) AS position, clock_timestamp() AS as_of,"  # noqa: S608
    " (SELECT greatest(0, extract(epoch FROM at - told_at))::float FROM feed ORDER BY seq DESC LIMIT 1) AS lag, "
    + ", ".join(f"count({stage}_at) AS {stage}" for stage in STAGES)
    + " FROM case_progress"
)
_RUNS = text(
    "SELECT * FROM course_run WHERE ends_on >= (clock_timestamp() AT TIME ZONE 'Asia/Tokyo')::date"
    " ORDER BY applications_close_at, course_number, course_run_id"
)
_POOLS = text(
    "SELECT pool.* FROM pool JOIN course_run USING (course_run_id)"
    " WHERE ends_on >= (clock_timestamp() AT TIME ZONE 'Asia/Tokyo')::date"
    " ORDER BY kind DESC, municipality NULLS FIRST, pool_id"
)

# Only ever from the beginning: a hole in the middle would be read over without a word.
_FORGET = text(
    "WITH oldest AS MATERIALIZED (SELECT seq, at FROM feed ORDER BY seq LIMIT :chunk)"
    " DELETE FROM feed WHERE seq < coalesce((SELECT min(seq) FROM oldest WHERE at >= :before),"
    " (SELECT max(seq) + 1 FROM oldest)) RETURNING 1"
)


async def append_to_feed(session: AsyncSession, lines: Sequence[Line]) -> None:
    """Add lines at the end. First among a batch's statements: it locks the counter, and so lines up all the others."""
    await session.execute(
        _APPEND,
        {
            "ids": [line.event_id for line in lines],
            "types": [line.type for line in lines],
            "subjects": [line.subject for line in lines],
            "values": [line.value for line in lines],
            "told": [line.told_at for line in lines],
        },
    )


async def advance_cases(session: AsyncSession, cases: Sequence[Progress]) -> None:
    """Note the stages that cases reached; the first moment stays."""
    if cases:
        values: dict[str, Any] = {stage: [case.reached.get(stage) for case in cases] for stage in STAGES}
        values["case_ids"] = [case.case_id for case in cases]
        values["municipalities"] = [case.municipality for case in cases]
        await session.execute(_ADVANCE, values)


async def put_course_runs(session: AsyncSession, runs: Sequence[CourseRow]) -> None:
    """Note course runs, each once."""
    if runs:
        await session.execute(_PUT_COURSES, {name: [getattr(run, name) for run in runs] for name in _COURSE_COLUMNS})


async def put_pools(session: AsyncSession, pools: Sequence[PoolRow]) -> None:
    """Note pools, each once."""
    if pools:
        await session.execute(_PUT_POOLS, {name: [getattr(pool, name) for pool in pools] for name in _POOL_COLUMNS})


async def read_page(session: AsyncSession, *, after: int | None, types: Sequence[str], limit: int) -> Page:
    """Lines after a number (or from the oldest that is kept), all or only of some types."""
    values = {"after": after, "window": _WINDOW, "every": not types, "types": list(types), "limit": limit}
    rows = (await session.execute(_PAGE, values)).all()
    first, last = rows[0].first, rows[0].last
    lines = [Numbered(row.seq, row.type, row.value.decode("utf-8")) for row in rows if row.seq is not None]
    start = first - 1 if after is None else after
    reached = lines[-1].seq if lines and len(lines) == limit else max(start, min(start + _WINDOW, last))
    return Page(lines, reached, first, last)


async def read_figures(session: AsyncSession) -> Figures:
    """Everything that is counted, at one position of the feed."""
    # Three statements see one state of the database, or the seats would be of another moment than the position.
    await session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
    counted = (await session.execute(_COUNT)).one()
    pools: dict[UUID, list[Pool]] = {}
    for row in await session.execute(_POOLS):
        pools.setdefault(row.course_run_id, []).append(
            Pool(row.pool_id, row.kind, row.municipality, row.granted, row.held, row.filled, row.waiting)
        )
    runs = tuple(
        CourseRun(
            course_run_id=row.course_run_id,
            course_number=row.course_number,
            field=row.field,
            starts_on=row.starts_on,
            applications_close_at=row.applications_close_at.astimezone(UTC),
            provider=row.provider,
            pools=tuple(pools.get(row.course_run_id, ())),
        )
        for row in await session.execute(_RUNS)
    )
    return Figures(
        as_of=counted.as_of.astimezone(UTC),
        position=counted.position,
        funnel=tuple(Stage(stage, getattr(counted, stage)) for stage in STAGES),
        seats=runs,
        lag_seconds=counted.lag,
    )


async def forget_lines(session: AsyncSession, *, before: datetime, chunk: int) -> int:
    """Drop the oldest lines, up to the first that is young enough; how many went."""
    return len((await session.execute(_FORGET, {"before": before, "chunk": chunk})).all())
