"""One transaction per request, committed before the answer leaves, with the Idempotency-Key's record inside it.

A dependency with `yield` can commit before the answer too (`scope="function"`), but it can't see the answer, and a kept
answer must lie in the effect's own transaction. So the route itself opens and commits; see docs/decisions/0004.
"""

from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar, cast

from fastapi import Depends, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from shared.auth import Actor, authenticated
from shared.bus.mailbox import Origin
from shared.database import NOBODY, Database
from shared.problems import UNAVAILABLE, Problem
from shared.service.clock import Clock
from shared.service.gathering import Gathering, Member, Replay
from shared.service.idempotency import Claim, GivenKey, InProgress, claim_keys, claim_of, keep_answers, replay
from shared.service.lines import Lines, again_and_again
from shared.settings import Settings

_BESIDE_THE_LINE = 2
"""Transactions in flight for those who are done one by one, per scarce thing."""

Order = TypeVar("Order")
Outcome = TypeVar("Outcome")


class Desk:
    """What every request of an app needs; stands in `app.state.desk`."""

    def __init__(self, database: Database, clock: Clock, settings: Settings) -> None:
        self.database = database
        self.clock = clock
        self.settings = settings
        self.lines = Lines()
        self.gathering = Gathering(database, clock)


class Work:
    """One request's transaction: opened by the first statement, ended by the route; or its part in a shared one."""

    def __init__(self, desk: Desk, request: Request, *, alone: bool = False) -> None:
        self.desk = desk
        self.alone = alone
        self.origin = Origin(cause=request.scope.get("state", {}).get("request_id"))
        self.now: datetime | None = None
        self._request = request
        self._session: AsyncSession | None = None
        self._claim: Claim | None = None
        self._member: Member | None = None
        self._leave: list[Callable[[], None]] = []

    @property
    def session(self) -> AsyncSession:
        """The session, made when it is first asked for; it knows whose doing everything is."""
        if self._session is None:
            # The route's rule, which comes first, has verified the caller; a public route has none.
            actor: Actor | None = getattr(self._request.state, "actor", None)
            self._session = self.desk.database.session(NOBODY if actor is None else actor.acting)
            self._session.info["origin"] = self.origin
        return self._session

    async def claim(self, claim: Claim) -> None:
        """Take the key for this request, or raise `Replay` with the answer that was given to it before."""
        await self._wait_for_key(claim)
        claimed_at = await again_and_again(lambda: self._claimed_at(claim), while_=InProgress)
        self._claim = claim
        self.now = claimed_at + self.desk.clock.offset

    async def _claimed_at(self, claim: Claim) -> datetime:
        try:
            _, claimed_at = await claim_keys(self.session, [claim])
            if claimed_at is None:
                kept = await replay(self.session, claim)
                raise kept if isinstance(kept, Problem) else Replay(kept)
        except InProgress:
            await self.desk.database.roll_back(self.session)
            raise
        return claimed_at

    async def decide_together(self, decide: Any, thing: Hashable, claim: Claim, order: Any) -> Any:
        """The outcome of an order, decided in one transaction with the orders of others who want the same thing."""
        await self._wait_for_key(claim)
        if self.alone:
            busy = Problem(UNAVAILABLE, headers={"Retry-After": "1"})
            await self._wait_in_line(("alone", decide, thing), width=_BESIDE_THE_LINE, busy=busy)
        self._member = Member(claim, order)
        join = self.desk.gathering.go_alone if self.alone else self.desk.gathering.join
        join(decide, thing, self._member)
        return await self._member.outcome()

    async def finish(self, response: Response) -> None:
        """Keep the answer under its key, and commit."""
        if self._member is not None:
            await self._member.finish(response)
        if self._claim is not None:
            await keep_answers(self.session, [(self._claim, response)])
        if self._session is not None:
            await self.desk.database.commit(self._session)

    async def close(self) -> None:
        """Roll back what was not committed, give the connection back, and let the next in line."""
        if self._member is not None:
            self._member.leave()
        try:
            if self._session is not None:
                await self._session.close()
        finally:
            for leave in reversed(self._leave):
                leave()

    async def _wait_for_key(self, claim: Claim) -> None:
        await self._wait_in_line(("key", *claim.place), width=1, busy=InProgress())

    async def _wait_in_line(self, key: tuple[Hashable, ...], *, width: int, busy: Problem) -> None:
        """Wait for a turn, before any connection is taken."""
        try:
            self._leave.append(await self.desk.lines.enter(key, width=width))
        except TimeoutError:
            raise busy from None


def work_of(request: Request) -> Work:
    """The request's work; the route put it there."""
    work: Work = request.state.work
    return work


async def reading(request: Request) -> AsyncSession:
    """A session without a key, for what keeps nothing for a repeat: whatever is public and only reads, and a search.

    The form behind a one-time link has none either: the link answers once, and is the key.
    """
    return work_of(request).session


async def transaction(request: Request, idempotency_key: GivenKey = None) -> AsyncSession:
    """The caller's transaction. A POST needs an Idempotency-Key; elsewhere If-Match does that work."""
    work, actor = work_of(request), await authenticated(request)
    work.origin = replace(work.origin, by=actor.agency)
    if request.method == "POST":
        await work.claim(await claim_of(request, actor, idempotency_key))
    return work.session


async def current_time(request: Request) -> datetime:
    """The database's time for this request, taken once."""
    work = work_of(request)
    if work.now is None:
        work.now = await work.desk.clock.now(work.session)
    return work.now


Reading = Annotated[AsyncSession, Depends(reading)]
Transaction = Annotated[AsyncSession, Depends(transaction)]
Now = Annotated[datetime, Depends(current_time)]


class Together(Generic[Order, Outcome]):
    """For an endpoint whose requests are gathered: `outcome = await together(thing, order)`."""

    def __init__(self, work: Work, decide: Any, claim: Claim) -> None:
        self._work = work
        self._decide = decide
        self._claim = claim

    @property
    def origin(self) -> Origin:
        """Whose doing the order is; decided with others, it must carry that itself."""
        return self._work.origin

    async def __call__(self, thing: Hashable, order: Order) -> Outcome:
        """The order's outcome. What the endpoint raises after it undoes it."""
        return cast(Outcome, await self._work.decide_together(self._decide, thing, self._claim, order))


def gathered(
    decide: Callable[[AsyncSession, Any, Sequence[Order], datetime], Awaitable[Sequence[Outcome | Problem]]],
) -> Any:
    """`Annotated[Together[Order, Outcome], gathered(decide)]`, instead of a `Transaction`: see `Decide`."""

    async def together(request: Request, idempotency_key: GivenKey = None) -> Together[Order, Outcome]:
        work, actor = work_of(request), await authenticated(request)
        work.origin = replace(work.origin, by=actor.agency)
        return Together(work, decide, await claim_of(request, actor, idempotency_key))

    return Depends(together)
