"""How far agencies see the same, per item, from all they rated together, and from vignettes they rate for practice."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.assessment.domain.agreement import Agreement, Counts, Undefined, quarter_of, weighted_kappa
from services.assessment.domain.instruments import Answer, Instrument, faults_of_answer
from services.assessment.domain.joint import Seat
from services.assessment.handlers.assessments import NoAnswer, instrument_in_use
from services.assessment.tables import agreement, instruments
from services.assessment.tables.agreement import Counted, Vignette
from shared.auth import Actor
from shared.problems import NOT_FOUND, Problem
from shared.service import day_in_japan


@dataclass(frozen=True, slots=True)
class Pair:
    """Two agencies and an item; no names: all pairs of the region together."""

    agencies: tuple[str, str] | None
    item: str
    found: Agreement | Undefined


@dataclass(frozen=True, slots=True)
class Quarter:
    """An agency beside all others, in a quarter. `higher`, `same`, `lower`: how often it said so of the same person."""

    begins_on: date
    item: str
    found: Agreement | Undefined
    higher: int
    same: int
    lower: int
    drifted: bool
    """Its agreement lies outside of what the quarter before left open."""


@dataclass(frozen=True, slots=True)
class RatedAlready:
    """Once a quarter: what was said after seeing the others' levels would tell nothing."""


async def read_agreement(
    session: AsyncSession, name: str, *, vignette: bool, since: date, everybody: bool, actor: Actor, now: datetime
) -> list[Pair]:
    """The whole region together, and the caller's own pairs; every pair, for who publishes the region's rules."""
    instrument = await instrument_in_use(session, name, now)
    counted = await agreement.count_pairs(
        session, name, vignette=vignette, since=since, agency=None if everybody else actor.agency
    )
    region, by_pair = _Tally(instrument), defaultdict[tuple[str, str], _Tally](lambda: _Tally(instrument))
    for each in counted:
        region.add(each)
        if isinstance(each.of, tuple):
            by_pair[each.of].add(each)
    pairs = [(None, region), *sorted(by_pair.items())]
    return [Pair(agencies, item, weighted_kappa(counts)) for agencies, tally in pairs for item, counts in tally.items()]


async def read_drift(
    session: AsyncSession, name: str, *, vignette: bool, since: date, actor: Actor, now: datetime
) -> list[Quarter]:
    """The caller's agency beside all others, quarter by quarter."""
    instrument = await instrument_in_use(session, name, now)
    counted = await agreement.count_quarters(session, name, vignette=vignette, since=since, agency=actor.agency)
    quarters = defaultdict[date, _Tally](lambda: _Tally(instrument))
    for each in counted:
        if isinstance(each.of, date):
            quarters[each.of].add(each)
    found: list[Quarter] = []
    for item in sorted(instrument.levels):
        before: Agreement | None = None
        for quarter in sorted(quarters):
            made = _quarter(quarter, item, quarters[quarter].counts[item], before)
            before = made.found if isinstance(made.found, Agreement) else before
            found.append(made)
    return found


def _quarter(begins_on: date, item: str, counts: Counts, before: Agreement | None) -> Quarter:
    found = weighted_kappa(counts)
    drifted = False
    if isinstance(found, Agreement) and before is not None and not (found.few or before.few):
        (low, high), (was_low, was_high) = found.interval, before.interval
        drifted = high < was_low or low > was_high
    cells = [(mine, theirs, n) for mine, row in enumerate(counts) for theirs, n in enumerate(row)]
    return Quarter(
        begins_on,
        item,
        found,
        higher=sum(n for mine, theirs, n in cells if mine > theirs),
        same=sum(n for mine, theirs, n in cells if mine == theirs),
        lower=sum(n for mine, theirs, n in cells if mine < theirs),
        drifted=drifted,
    )


class _Tally:
    """For each item of an instrument a table of counts, filled in one pass over however many there are."""

    def __init__(self, instrument: Instrument) -> None:
        self.counts = {item: [[0] * highest for _ in range(highest)] for item, highest in instrument.levels.items()}
        self._by_place = [self.counts[item] for item in sorted(self.counts)]

    def add(self, each: Counted) -> None:
        """So many more in one cell. What an earlier version had, and this one has not, isn't compared."""
        if each.place < len(self._by_place):
            table = self._by_place[each.place]
            if max(each.a, each.b) <= len(table):
                table[each.a - 1][each.b - 1] += each.n

    def items(self) -> list[tuple[str, Counts]]:
        """In the order of the items' codes."""
        return sorted(self.counts.items())


# --- vignettes ------------------------------------------------------------------------------------------------------


async def publish_vignette(session: AsyncSession, vignette: Vignette, *, now: datetime) -> Vignette | None:
    """An invented person to practise on. None: there is no such instrument."""
    if await instruments.version_on(session, vignette.instrument, day_in_japan(now)) is None:
        return None
    await agreement.add_vignette(session, vignette, at=now)
    return vignette


async def list_vignettes(session: AsyncSession, *, after: UUID | None, limit: int) -> list[Vignette]:
    """All of them."""
    return await agreement.find_vignettes(session, after=after, limit=limit)


async def rate_vignette(
    session: AsyncSession, vignette_id: UUID, answer: Answer, *, actor: Actor, now: datetime
) -> Mapping[Seat, Answer] | NoAnswer | RatedAlready:
    """What the agency sees, once a quarter; what the others saw is shown for it."""
    vignette = await agreement.find_vignette(session, vignette_id)
    if vignette is None:
        raise Problem(NOT_FOUND)
    instrument = await instrument_in_use(session, vignette.instrument, now)
    faults = faults_of_answer(instrument, answer)
    if faults:
        return NoAnswer(instrument, tuple(faults))
    quarter = quarter_of(day_in_japan(now))
    seen = await agreement.rate_vignette(
        session, vignette_id, answer, agency=actor.agency, quarter=quarter, rubric=instrument.version, at=now
    )
    if seen is None:
        return RatedAlready()
    own = Seat(actor.agency, "")
    with_me = [tuple(sorted((own, other))) for other in seen if other.agency != actor.agency]
    await agreement.add_pairs(
        session,
        vignette_id,
        [(one, other) for one, other in with_me],
        seen,
        items=sorted(instrument.levels),
        instrument=instrument.name,
        quarter=quarter,
        vignette=True,
    )
    return seen


async def read_vignette(
    session: AsyncSession, vignette_id: UUID, *, actor: Actor, now: datetime
) -> tuple[Vignette, Mapping[Seat, Answer]]:
    """A vignette, and what all agencies saw this quarter, for one that has rated it; else its own nothing."""
    vignette = await agreement.find_vignette(session, vignette_id)
    if vignette is None:
        raise Problem(NOT_FOUND)
    seen = await agreement.ratings_of(session, vignette_id, quarter_of(day_in_japan(now)))
    return vignette, seen if Seat(actor.agency, "") in seen else {}
