"""Gathering: requests that want the same scarce thing share one transaction, and each keeps an outcome of its own.

Who comes while a transaction about the same thing is in flight waits inside the process, without a connection; when it
ends, all who wait go together. Whoever finds nobody there goes at once. The row lock stays what makes it right: this
only makes it fast (docs/decisions/0022).
"""

import asyncio
import contextlib
import functools
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Mapping, Sequence
from datetime import datetime
from typing import Any

import structlog
from fastapi import Response
from sqlalchemy.ext.asyncio import AsyncSession

from shared.database import Database, is_outage
from shared.problems import UNAVAILABLE, Problem
from shared.service.clock import Clock
from shared.service.idempotency import Claim, InProgress, claim_keys, forget_keys, keep_answers, replay
from shared.service.lines import PATIENCE, again_and_again
from shared.service.logs import where

_log = structlog.get_logger()
_LARGEST = 64

Decide = Callable[[AsyncSession, Any, Sequence[Any], datetime], Awaitable[Sequence[Any]]]
"""`async def decide(session, thing, orders, now)`: for each order, in this order, its outcome; or, for one that wrote
and told nothing, the `Problem` that it can't be met with."""


class Again(Exception):
    """What the request was gathered with failed, and nothing of it stands: do it once more, by itself."""


class Replay(Exception):
    """The request was answered before: this is that answer."""

    def __init__(self, response: Response) -> None:
        super().__init__("replayed")
        self.response = response


class _Spoilt(Exception):
    """One of the gathered can't go on; `args` say how."""


class Member:
    """One request among those gathered. Its own coroutine makes its answer, between the outcome and the commit."""

    def __init__(self, claim: Claim, order: Any) -> None:
        loop = asyncio.get_running_loop()
        self.claim = claim
        self.order = order
        self._outcome: asyncio.Future[Any] = loop.create_future()
        self._answer: asyncio.Future[Response | None] = loop.create_future()
        self._end: asyncio.Future[Exception | None] = loop.create_future()
        self._patience = loop.call_later(PATIENCE, self._give_up)

    def _give_up(self) -> None:
        self.end(Problem(UNAVAILABLE, headers={"Retry-After": "1"}))

    # --- its own coroutine's side ---

    async def outcome(self) -> Any:
        """What was decided; raised, if it is an exception."""
        outcome = await self._outcome
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def finish(self, answer: Response) -> None:
        """Hand the answer over to be kept, and return once it may leave."""
        if not self._answer.done():  # as it is, if it came too late
            self._answer.set_result(answer)
        failure = await self._end
        if failure is not None:
            raise failure

    def leave(self) -> None:
        """The coroutine is over. Without an answer, nothing that was decided for it may stand."""
        self._patience.cancel()
        self._outcome.cancel()
        if not self._answer.done():
            self._answer.set_result(None)

    # --- the transaction's side ---

    def comes(self) -> bool:
        """Its turn has come; whether it is still there to take it."""
        self._patience.cancel()
        return not self._outcome.done()

    def hand(self, outcome: Any) -> None:
        """Tell the outcome, so that the answer can be made."""
        if self._outcome.done():
            raise _Spoilt("gone")
        self._outcome.set_result(outcome)

    async def answer(self) -> Response:
        """The answer that its coroutine made."""
        answer = await self._answer
        if answer is None:
            raise _Spoilt("no answer")
        return answer

    def end(self, failure: Exception | None = None) -> None:
        """Let it go, wherever it waits: the answer may leave, or there is another one."""
        for future in (self._outcome, self._end):
            if not future.done():
                future.set_result(failure)


class Gathering:
    """Everybody in the process who wants something scarce; a thing costs nothing once nobody wants it."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._lines: dict[Hashable, deque[Member]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def join(self, decide: Decide, thing: Hashable, member: Member) -> None:
        """Be decided on with all who want the same thing by then; 503 if that takes too long."""
        line = self._lines.get((decide, thing))
        if line is None:
            line = self._lines[decide, thing] = deque()
            self._begin(self._serve(decide, thing, line))
        line.append(member)

    def go_alone(self, decide: Decide, thing: Hashable, member: Member) -> None:
        """Be decided on by oneself, beside the line."""
        member.comes()
        self._begin(self._together(decide, thing, [member], beside=True))

    async def drained(self) -> None:
        """Return once no transaction is in flight."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        # In tasks of its own: no member's end may end the others' transaction.
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, decide: Decide, thing: Hashable, line: deque[Member]) -> None:
        try:
            while line:
                called = [line.popleft() for _ in range(min(len(line), _LARGEST))]
                if members := [member for member in called if member.comes()]:
                    await self._together(decide, thing, members)
        finally:
            del self._lines[decide, thing]

    async def _together(
        self, decide: Decide, thing: Hashable, members: Sequence[Member], *, beside: bool = False
    ) -> None:
        """One transaction; nobody is let go before it has ended. Beside the line, a key in use is waited for."""
        attempt = functools.partial(self._transaction, decide, thing, members)
        try:
            ends = await (again_and_again(attempt, while_=InProgress) if beside else attempt())
        except Exception as error:  # noqa: BLE001 - a handler may raise anything; each member gets to know
            ends = dict.fromkeys(members, error if beside else _in_line(error, members))
        for member in members:
            member.end(ends.get(member))

    async def _transaction(
        self, decide: Decide, thing: Hashable, members: Sequence[Member]
    ) -> Mapping[Member, Exception]:
        """Claim, decide, let the answers be made, keep them, commit; who gets no answer, and why."""
        async with contextlib.aclosing(self._database.session()) as session:
            fresh, now = await self._claim(session, members)
            if now is None:
                return {}
            outcomes = await decide(session, thing, [member.order for member in fresh], now)
            decided = list(zip(fresh, outcomes, strict=True))
            refused = {member: outcome for member, outcome in decided if isinstance(outcome, Problem)}
            if len(refused) == len(decided):
                return refused
            if refused:
                await forget_keys(session, [member.claim for member in refused])
            await keep_answers(session, await _answers([each for each in decided if each[0] not in refused]))
            try:
                await self._database.commit(session)
            except Exception as error:  # noqa: BLE001 - told to each member, whose route logs and answers it
                return dict.fromkeys(members, error)
            return refused

    async def _claim(self, session: AsyncSession, members: Sequence[Member]) -> tuple[list[Member], datetime | None]:
        """Those whose keys are new, and the time; whoever was answered before is told that answer.

        Whose key another process is at leaves the others, and waits for it beside them, without a connection.
        """
        new, claimed_at = await claim_keys(session, [member.claim for member in members])
        for member in members:
            if member.claim not in new:
                kept = await replay(session, member.claim)
                if isinstance(kept, InProgress) and len(members) == 1:
                    raise kept
                member.end(_instead(kept))
        fresh = [member for member in members if member.claim in new]
        return fresh, claimed_at and claimed_at + self._clock.offset


def _instead(kept: Response | Problem) -> Exception:
    """What somebody gets whose key is not new."""
    match kept:
        case InProgress():
            return Again()
        case Problem():
            return kept
        case _:
            return Replay(kept)


async def _answers(accepted: Sequence[tuple[Member, Any]]) -> list[tuple[Claim, Response]]:
    """Hand every outcome over, and collect the answers that are made of them."""
    for member, outcome in accepted:
        member.hand(outcome)
    try:
        async with asyncio.timeout(PATIENCE):
            return [(member.claim, await member.answer()) for member, _ in accepted]
    except TimeoutError:
        raise _Spoilt("no answer in time") from None


def _in_line(error: Exception, members: Sequence[Member]) -> Exception:
    """What a failed transaction means to each: where one may have spoilt it for the others, each is done by itself.

    So is whoever has a key that another process is still at, also when nobody else was there: others may come.
    """
    if is_outage(error) or (len(members) == 1 and not isinstance(error, InProgress)):
        return error
    _log.warning("gathered_one_by_one", error=type(error).__name__, records=len(members), where=where(error))
    return Again()
