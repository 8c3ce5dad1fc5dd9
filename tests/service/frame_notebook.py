"""A service that exists only in tests: notes, so that the frame can be tried without any real service's rules."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any
from uuid import UUID

from fastapi import Query, Response
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from shared.auth import Caller, Role, requires
from shared.bus.envelope import new_id
from shared.bus.mailbox import emit
from shared.codes import FreeText, MunicipalityCode
from shared.events import CaseOpened
from shared.problems import NOT_FOUND, Problem
from shared.service import (
    Body,
    IfMatch,
    Now,
    Page,
    Pages,
    Service,
    Transaction,
    etag,
    expect,
    number,
    page,
    router,
)
from tests.world import KAGOSHIMA, Running, World, execute_as_admin

TABLE = """
SET ROLE tsunagu_intake_owner;
CREATE TABLE intake.frame_note (
    id uuid PRIMARY KEY, line bigint GENERATED ALWAYS AS IDENTITY, body text NOT NULL, version int NOT NULL DEFAULT 1,
    twin uuid REFERENCES intake.frame_note DEFERRABLE INITIALLY DEFERRED
);
RESET ROLE;
"""


class Detail(Body):
    """Something nested."""

    count: int = 0
    ratio: float = 0.0
    marks: dict[str, int] = {}  # noqa: RUF012 - pydantic copies defaults


class NewNote(Body):
    """What a note is made of."""

    body: FreeText
    municipality: MunicipalityCode = KAGOSHIMA
    details: list[Detail] = []  # noqa: RUF012 - pydantic copies defaults
    anything: Any = None


class ChangedNote(Body):
    """A note's new text."""

    body: FreeText


Meanwhile = Callable[[AsyncSession, UUID], Awaitable[None]]


async def _nothing(_session: AsyncSession, _note: UUID) -> None:
    """By default a request meets no accident."""


class Notebook:
    """The service; `meanwhile` happens in each POST after everything was written and told, before the answer."""

    def __init__(self) -> None:
        self.meanwhile: Meanwhile = _nothing
        self.runs = 0
        self.running: Running

    def declared(self) -> Service:
        """The declaration."""
        notes = router(tag="notes")
        keeper = [requires(Role.COUNSELLOR)]

        @notes.post("/v1/notes", status_code=201, dependencies=keeper)
        async def write_note(
            new: NewNote, response: Response, session: Transaction, now: Now, actor: Caller
        ) -> dict[str, Any]:
            self.runs += 1
            note_id = new_id()
            await session.execute(
                text("INSERT INTO frame_note (id, body) VALUES (:id, :body)"), {"id": note_id, "body": new.body}
            )
            await emit(session, (_opened(note_id, new.municipality, actor.agency, now), 1), at=now)
            await self.meanwhile(session, note_id)
            response.headers["Location"] = f"/v1/notes/{note_id}"
            response.headers["ETag"] = etag(1)
            return {"id": str(note_id), "run": self.runs, "text": "受け付けました"}

        @notes.get("/v1/notes", dependencies=keeper)
        async def list_notes(
            pages: Pages, session: Transaction, colour: Annotated[str | None, Query(max_length=20)] = None
        ) -> Page[int]:
            after = pages.begin(number) or 0
            found = await session.execute(
                text("SELECT line FROM frame_note WHERE line > :after ORDER BY line LIMIT :limit"),
                {"after": after, "limit": pages.one_more},
            )
            return page(found.all(), pages, key=lambda row: (row.line,), show=lambda row: int(row.line))

        @notes.get("/v1/notes/{note_id}", dependencies=keeper)
        async def read_note(note_id: UUID, response: Response, session: Transaction) -> dict[str, Any]:
            row = (
                await session.execute(text("SELECT body, version FROM frame_note WHERE id = :id"), {"id": note_id})
            ).one_or_none()
            if row is None:
                raise Problem(NOT_FOUND)
            response.headers["ETag"] = etag(row.version)
            return {"body": row.body, "version": row.version}

        @notes.post("/v1/notes/{note_id}/sign", dependencies=keeper)
        async def sign_note(note_id: UUID, session: Transaction) -> dict[str, Any]:
            return {"signed": str(note_id)}

        @notes.patch("/v1/notes/{note_id}", dependencies=keeper)
        async def change_note(
            note_id: UUID, changed: ChangedNote, read: IfMatch, session: Transaction
        ) -> dict[str, Any]:
            found = await session.execute(
                text("SELECT version FROM frame_note WHERE id = :id FOR UPDATE"), {"id": note_id}
            )
            expect(found.scalar_one(), read)
            await session.execute(
                text("UPDATE frame_note SET body = :body, version = version + 1 WHERE id = :id"),
                {"id": note_id, "body": changed.body},
            )
            return {"version": read + 1}

        return Service(name="intake", title="Notebook", title_ja="帳面", routers=[notes], tags={"notes": "メモ"})

    async def count(self) -> tuple[int, int, int]:
        """How many notes, untold events and kept answers there are."""
        (row,) = await self.running.rows(
            "SELECT (SELECT count(*) FROM frame_note), (SELECT count(*) FROM outbox),"
            " (SELECT count(*) FROM idempotency)"
        )
        return row[0], row[1], row[2]


def _opened(case_id: UUID, municipality: str, agency: str, now: Any) -> CaseOpened:
    return CaseOpened(case_id=case_id, municipality=municipality, agency_id=agency, entrance="counter", opened_at=now)


async def open_notebook(world: World, **settings: Any) -> Notebook:
    """The notebook on the schema of intake, with its table."""
    await execute_as_admin(world.postgres, TABLE, world.database_name)
    notebook = Notebook()
    notebook.running = Running(notebook.declared(), world.settings("intake", **settings))
    world._running[f"notebook-{id(notebook)}"] = notebook.running
    return notebook


async def another_process(world: World, first: Notebook, **settings: Any) -> Notebook:
    """The same service once more, on the same tables, sharing nothing else."""
    notebook = Notebook()
    notebook.running = Running(notebook.declared(), world.settings("intake", **settings))
    world._running[f"notebook-{id(notebook)}"] = notebook.running
    assert notebook.running.desk.lines is not first.running.desk.lines
    return notebook
