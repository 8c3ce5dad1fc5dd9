"""Those who send referrals and those who answer them, each way by its own hand, and the books held against them."""

import asyncio
import random
import time
from typing import Any
from uuid import UUID

import asyncpg
import httpx2

from demo.client import Agency, eventually
from services.intake.domain.custody import check
from tests.e2e.processes import Platform

DESK = "kagoshima-desk"
RECEIVERS = ("npo-hinata", "ibasho-sakura", "readiness-wakaba")
DRAINED = 120.0
"""Seconds after the last kill until everything that was told has been heard."""
WAYS = ("accept", "accept", "refer", "beside", "decline", "return", "withdraw", "leave", "close", "onward")
"""beside: another agency than the holder refers it; it may not hand it over. onward: from hand to hand, however late
intake hears of it: one receiver hands it on, the next has taken it on and offers it to the third."""
STATES = {
    "accept": "accepted", "refer": "accepted", "beside": "accepted", "decline": "declined", "return": "accepted",
    "withdraw": "withdrawn", "leave": "sent", "close": "closed",
    "handed on": "accepted", "taken on": "accepted", "offered": "sent",
}  # fmt: skip
"""By hand: where each way leads."""


class Office:
    """Those who send and answer, each way by its own hand."""

    def __init__(self, platform: Platform, client: httpx2.AsyncClient) -> None:
        agencies = (DESK, *RECEIVERS)
        self.callers = {name: Agency.from_keys(platform.url, name, platform.keys, client) for name in agencies}
        self.programmes: dict[str, str] = {}
        self.dice = random.Random(7)
        self.sent: dict[UUID, tuple[str, UUID]] = {}
        """Each referral with its way and its case."""

    async def begin(self) -> None:
        """Learn of the directory."""
        items = await eventually(
            lambda: self.callers[DESK].every("/referral/v1/programmes"),
            until=lambda found: {item["agency_id"] for item in found} >= set(RECEIVERS),
            what="the directory",
        )
        self.programmes = {item["agency_id"]: item["programme_id"] for item in items}

    async def open_case(self) -> str:
        """A person comes to the desk, and agrees."""
        consent = {"state": "given", "purposes": ["referral"]}
        opened = await self.callers[DESK].post("/intake/v1/cases", {"needs": ["people"], "consent": consent})
        case_id: str = opened["case_id"]
        return case_id

    async def send(self, case_id: str) -> None:
        """Send a case to somebody, and have it go one of the ways."""
        way, receiver = self.dice.choice(WAYS), self.dice.choice(RECEIVERS)
        second, third = (each for each in RECEIVERS if each != receiver)
        if way != "onward":
            await self._refer(case_id, way, second if way == "beside" else DESK, receiver)
            return
        await self._refer(case_id, "handed on", DESK, receiver)
        await self._refer(case_id, "taken on", receiver, second)
        await self._refer(case_id, "offered", second, third)

    async def _refer(self, case_id: str, way: str, by: str, receiver: str) -> None:
        sender = self.callers[by]
        body = {"case_id": case_id, "programme_id": self.programmes[receiver]}
        body |= {"verb": "refer" if way in {"refer", "beside"} else "transfer"}
        sent = await eventually(lambda: sender.post("/referral/v1/referrals", body), what="consent known to referral")
        path = f"/referral/v1/referrals/{sent['referral_id']}"
        self.sent[UUID(sent["referral_id"])] = (way, UUID(case_id))
        for who, name, said in _steps(way, receiver):
            await self.callers[who].post(f"{path}/{name}", said)


def _steps(way: str, receiver: str) -> list[tuple[str, str, Any]]:
    match way:
        case "accept" | "refer" | "beside" | "handed on" | "taken on":
            return [(receiver, "receive", None), (receiver, "accept", None)]
        case "decline":
            return [(receiver, "decline", {"reason": "no_capacity"}), (DESK, "confirm-decline", None)]
        case "return":
            return [
                (receiver, "return", {"missing": ["wishes"]}),
                (DESK, "answer", None),
                (receiver, "accept", None),
            ]
        case "withdraw":
            return [(DESK, "withdraw", None)]
        case "close":
            outcome = {"outcome": "employed"}
            return [(receiver, "accept", None), (receiver, "set-outcome", outcome), (receiver, "close", None)]
        case _:
            return []


_UNHEARD = """
SELECT (SELECT count(*) FROM intake.outbox) + (SELECT count(*) FROM referral.outbox)
    + (SELECT count(*) FROM referral.referral r WHERE NOT EXISTS (
        SELECT FROM intake.referral_custody c WHERE c.referral_id = r.id AND c.state = r.state))
"""


_STANDING = {
    "not sent on": "SELECT 'intake', count(*), min(seq) FROM intake.outbox"
    " UNION ALL SELECT 'referral', count(*), min(seq) FROM referral.outbox",
    "not read": "SELECT g.grp, g.topic, g.p, p.next_off - g.off FROM bus.grp g JOIN bus.part p USING (topic, p)"
    " WHERE g.off < p.next_off - 1 ORDER BY 4 DESC LIMIT 20",
    "parked": "SELECT 'referral', key, reason, left(error, 300) FROM referral.parked"
    " UNION ALL SELECT 'intake', key, reason, left(error, 300) FROM intake.parked",
    "connections": "SELECT usename, state, wait_event, now() - xact_start, left(query, 120) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid() ORDER BY 1, 4",
    "locks": "SELECT locktype, mode, granted, pid FROM pg_locks WHERE NOT granted OR locktype = 'advisory'",
}


async def standing(database: asyncpg.Connection) -> str:
    """Where the news is, for whoever looks for what has not arrived."""
    found = []
    for name, sql in _STANDING.items():
        try:
            found += [name, *(f"  {tuple(row)}" for row in await database.fetch(sql))]
        except asyncpg.PostgresError as error:
            found.append(f"{name}: {error}")
    return "\n".join(found)


async def drained(database: asyncpg.Connection) -> None:
    ends = time.monotonic() + DRAINED
    while await database.fetchval(_UNHEARD):
        assert time.monotonic() < ends, "what was told has not been heard"
        await asyncio.sleep(0.1)


async def agree(database: asyncpg.Connection, office: Office) -> None:
    """Every referral that was sent is there once, in both books alike, and stands in its case's timeline once."""
    first = await database.fetch("SELECT * FROM referral.referral")
    assert {row["id"]: row["case_id"] for row in first} == {key: case for key, (_, case) in office.sent.items()}
    assert {row["id"]: row["state"] for row in first} == {key: STATES[way] for key, (way, _) in office.sent.items()}
    second = await database.fetch(
        "SELECT DISTINCT ON (referral_id) referral_id, state, holder FROM intake.referral_custody"
        " ORDER BY referral_id, number DESC"
    )
    assert {(row["id"], row["state"], row["responsible_agency"]) for row in first} == {tuple(row) for row in second}
    steps = await database.fetch("SELECT referral_id, count(*) AS n FROM referral.referral_step GROUP BY 1")
    assert {row["referral_id"]: row["n"] for row in steps} == {row["id"]: row["version"] for row in first}
    told = await database.fetch(
        "SELECT codes->>'referral_id' AS id, kind, count(*) AS n FROM intake.timeline"
        " WHERE service = 'referral' GROUP BY 1, 2"
    )
    assert {row["n"] for row in told} == {1}, "nothing was heard twice"
    assert {UUID(row["id"]) for row in told if row["kind"] == "referral_sent"} == set(office.sent)
    holders = {row["id"]: row["holder_agency"] for row in await database.fetch("SELECT * FROM intake.case_")}
    moved = {"accept", "return", "close", "taken on", "offered"}
    for row in first:
        way, case_id = office.sent[row["id"]]
        assert row["verb"] == ("refer" if way in {"refer", "beside"} else "transfer"), "its holder's offer stays one"
        # Who accepted a transfer holds the case, until it hands it on; of all else its holder stays, whoever sent it.
        if way != "handed on":
            assert holders[case_id] == (row["responsible_agency"] if way in moved else DESK)
    known = await database.fetch("SELECT case_id, holder FROM referral.case_fact")
    assert all(holders[row["case_id"]] == row["holder"] for row in known), "both services name the same holder"
    for schema in ("intake", "referral", "assessment", "training", "dashboard"):
        assert await database.fetchval(f"SELECT count(*) FROM {schema}.parked") == 0
    for caller in office.callers.values():
        proof = await caller.get("/intake/v1/custody-proofs/now")
        assert check([proof]) == []
