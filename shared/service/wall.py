"""The second wall is looked at before a service that keeps persons serves anybody: row-level security, by catalogue.

It holds against what we forget in a statement. Against somebody who can run statements of their own it does not:
whoever has the service's role says by themselves who acts.
"""

import asyncio
from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Row, bindparam, text
from sqlalchemy.ext.asyncio import AsyncSession

from shared.database import BY_COMMAND, Database, is_outage

UNWALLED = frozenset(
    {
        "alembic_version",
        "outbox",  # events: ids and codes, for everybody
        "inbox",
        "parked",
        "idempotency",  # found by its caller's own key only; answers without a word about a person
        "access_unsealed",  # numbers of entries, and digests over them
        "access_seal",
    }
)
"""The frame's tables that hold nothing of a person. Every other table of the schema must have its wall."""
PATIENCE = timedelta(seconds=30)
"""How long a start waits for a database that is away."""


class StartRefused(Exception):
    """The service must not serve as things are; the text says why and what to do, in Japanese and English."""


# Every role is a member of itself.
_PASSES = text(
    "SELECT EXISTS (SELECT FROM pg_roles r"
    " WHERE (r.rolsuper OR r.rolbypassrls) AND pg_has_role(current_user, r.oid, 'MEMBER'))"
)
# `applies`: what is granted to the login role, and to everybody (0).
_TABLES = text(
    "SELECT c.relname AS name, c.relkind::text AS kind, c.relrowsecurity AND c.relforcerowsecurity AS walled,"
    " pg_has_role(current_user, c.relowner, 'MEMBER') OR o.rolsuper OR o.rolbypassrls AS owned,"
    " has_table_privilege(c.oid, 'TRUNCATE') OR has_table_privilege(c.oid, 'TRIGGER') AS stripped,"
    " coalesce('security_invoker=true' = ANY (c.reloptions) OR 'security_invoker=on' = ANY (c.reloptions), false)"
    " AS as_reader,"
    " EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polpermissive AND ("
    "  pg_get_expr(p.polqual, c.oid) = 'true' OR pg_get_expr(p.polwithcheck, c.oid) = 'true')"
    "  AND (p.polroles = '{0}' OR EXISTS (SELECT FROM unnest(p.polroles) AS granted"
    "   WHERE pg_has_role(current_user, granted, 'MEMBER')))) AS open"
    " FROM pg_class c JOIN pg_roles o ON o.oid = c.relowner"
    " WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = :schema)"
    " AND c.relkind IN ('r', 'p', 'v', 'm', 'f') ORDER BY c.relname"
).bindparams(bindparam("schema"))


async def missing_walls(session: AsyncSession, schema: str, unwalled: Collection[str] = ()) -> list[str]:
    """What of the second wall is not there, in words; empty when all of it stands."""
    found = []
    if (await session.execute(_PASSES)).scalar_one():
        found.append("接続の役割が行の制限を受けません / the login role is, or may become, one that passes every wall")
    tables = (await session.execute(_TABLES, {"schema": schema})).all()
    kept = [table for table in tables if table.name not in UNWALLED.union(unwalled)]
    if not kept:
        found.append(f"スキーマ {schema} に表がありません / there is no table in the schema {schema}")
    for table in kept:
        found += [f"{table.name}: {fault}" for fault in _faults(table)]
    return found


def _faults(table: Row[Any]) -> Sequence[str]:
    if table.kind == "v":
        return [] if table.as_reader else ["所有者として読むビュー / a view that reads as its owner"]
    if table.kind in "mf":
        return ["行の制限を持てません / it can have no row-level security"]
    faults = {
        "行の制限がないか、強制されていません / row-level security is not enabled and forced": not table.walled,
        "全員に開いた規則があります / a policy lets everybody through": table.open,
        "役割が表の所有者です / the login role owns it, or its owner passes every wall": table.owned,
        "役割が TRUNCATE か TRIGGER を持ちます / the login role may TRUNCATE it or add triggers": table.stripped,
    }
    return [words for words, is_so in faults.items() if is_so]


async def refuse_without_wall(database: Database, schema: str, unwalled: Collection[str] = ()) -> None:
    """Raise `StartRefused` unless all of the wall stands. A database that is away is waited for, half a minute."""
    found = await _patiently(database, schema, unwalled)
    if found:
        raise StartRefused(
            "個人の情報を守る行の制限が欠けているため、起動しません。"
            "`migrate` を実行するか、役割と表の権限を戻してください。\n"
            "Refusing to start: the row-level security around personal data is not whole. Run `migrate`, or give roles"
            " and tables their rights back.\n" + "\n".join(f"  ✗ {words}" for words in found)
        )


async def _patiently(database: Database, schema: str, unwalled: Collection[str]) -> list[str]:
    clock = asyncio.get_running_loop().time
    until = clock() + PATIENCE.total_seconds()
    while True:
        try:
            async with database.transaction(BY_COMMAND) as session:
                return await missing_walls(session, schema, unwalled)
        except Exception as error:
            if not is_outage(error):
                raise
            if clock() > until:
                raise StartRefused(
                    "データベースにつながらず、行の制限を確かめられないため、起動しません。\n"
                    "Refusing to start: the database can't be reached, so nobody knows whether its wall stands."
                ) from None
        await asyncio.sleep(0.5)
