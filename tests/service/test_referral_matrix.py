"""State x move x caller over HTTP, every one of them, against the table that is written by hand in the unit test."""

import json
from collections import Counter
from datetime import timedelta
from itertools import product
from typing import Any
from uuid import UUID, uuid5

import pytest

from services.referral.domain.moves import AT_WORK
from services.referral.domain.states import Kind, State, Verb
from shared.auth import Role
from shared.service.clock import day_in_japan, wall_time
from tests.service.referral_region import COURSE, Region, coordinated
from tests.unit.test_referral_moves import ORACLE, TAKEN_OVER
from tests.world import KAGOSHIMA, KIRISHIMA, ZAMA, Caller, World

SAYS: dict[str, dict[str, Any]] = {
    "decline": {"reason": "no_capacity"},
    "return": {"missing": ["wishes"]},
    "set_outcome": {"outcome": "started"},
    "add_outcome": {"outcome": "employed"},
}
DESK = ("send", "answer", "confirm_decline", "overrule_forward", "overrule_back", "expire")
BOTH = (
    *("receive", "accept", "decline", "return", "wait", "reroute", "withdraw"),
    *("contact", "start", "miss", "hold", "resume", "set_outcome", "close", "add_outcome"),
)
WHO = ("sender", "receiver", "receiver_as_provider", "coordinator", "neighbour", "stranger", "observer")
PARTIES = ("sender", "receiver", "coordinator")
Cell = tuple[State, str, str]
CELLS: list[Cell] = list(product(State, (*DESK, *BOTH), WHO))
ROW = """
INSERT INTO referral (id, case_id, municipality, sender, receiver, coordinator, programme_id, course_run_id, verb,
    state, responsible_agency, reason, before_hold, outcome, sent_at, version)
SELECT id, id, '462012', 'kagoshima-desk', receiver, 'kagoshima-city', programme_id, course_run_id, verb, state,
    CASE WHEN verb <> 'refer' AND state IN ('accepted', 'contact_made', 'in_service', 'no_show', 'on_hold',
        'outcome_set', 'closed') THEN receiver ELSE 'kagoshima-desk' END,
    CASE WHEN state IN ('decline_pending', 'declined', 'withdrawn') THEN 'no_capacity' END,
    CASE WHEN state = 'on_hold' THEN 'contact_made' END,
    CASE WHEN state IN ('outcome_set', 'closed') THEN 'started' END, now(), 1
FROM json_to_recordset(CAST($1 AS json)) AS told(id uuid, receiver text, programme_id uuid, course_run_id uuid,
    verb text, state text)
"""
CASE = """
INSERT INTO case_fact (case_id, municipality, opened_by, holder, consent_state, consent_version)
SELECT (told ->> 'id')::uuid, '462012', 'kagoshima-desk', 'kagoshima-desk', 'given', 1
FROM json_array_elements(CAST($1 AS json)) AS told
"""
STEP = "INSERT INTO referral_step SELECT id, 1, 'send', sender, NULL, now() FROM referral"


def id_of(cell: Cell) -> UUID:
    return uuid5(UUID(int=0), "/".join(cell))


def expected(oracle: Any, cell: Cell) -> tuple[int, str | set[str] | None]:
    """The status; the state that is reached, or what could be done instead."""
    state, name, who = cell
    if who == "observer" or (who == "receiver_as_provider" and name in DESK):
        return 403, None
    if who == "stranger" or (state is State.DRAFT and who != "sender"):
        return 404, None
    if who == "neighbour":
        return 403, None
    party = "receiver" if who == "receiver_as_provider" else who
    target = oracle.get((party, name, state))
    if target is not None:
        return 200, target
    return 409, {legal for by, legal, source in oracle if (by, source) == (party, state)}


def holder_of(cell: Cell, verb: Verb, receiver: str) -> str:
    """Who answers for it after a legal move, by the words of the page."""
    state, name, _ = cell
    if name in {"accept", "overrule_forward"}:
        return "kagoshima-desk" if verb is Verb.REFER else receiver
    if name == "confirm_decline" and verb is not Verb.REQUEST:
        return "kagoshima-city"
    taken_on = state in {*AT_WORK, State.CLOSED} and verb is not Verb.REFER
    return receiver if taken_on else "kagoshima-desk"


def callers(region: Region, receiver: str) -> dict[str, Caller]:
    running = region.running
    return {
        "sender": region.desk,
        "receiver": running.as_(receiver, municipalities=[KIRISHIMA]),
        "receiver_as_provider": running.as_(receiver, Role.PROVIDER, municipalities=[KIRISHIMA]),
        "coordinator": running.as_("kagoshima-city", municipalities=[KIRISHIMA]),
        "neighbour": running.as_("kagoshima-shakyo", municipalities=[KAGOSHIMA]),
        "stranger": running.as_("zama-desk", municipalities=[ZAMA]),
        "observer": running.as_(receiver, Role.OBSERVER, municipalities=[KAGOSHIMA]),
    }


async def furnished(region: Region, kind: Kind, verb: Verb, receiver: str) -> None:
    """A case and a referral for each cell, standing where the cell has it."""
    to = (region.programmes["sakura-npo/ibasho"], None) if kind is Kind.PROGRAMME else (None, str(COURSE))
    rows = json.dumps(
        [
            {
                "id": str(id_of(cell)),
                "receiver": receiver,
                "programme_id": to[0],
                "course_run_id": to[1],
                "verb": verb,
                "state": cell[0],
            }
            for cell in CELLS
        ]
    )
    for statement in (CASE, ROW):
        await region.running.rows(statement, rows)
    await region.running.rows(STEP)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "verb"),
    [
        (Kind.PROGRAMME, Verb.TRANSFER),
        (Kind.PROGRAMME, Verb.REFER),
        (Kind.PROGRAMME, Verb.REQUEST),
        (Kind.COURSE_RUN, Verb.TRANSFER),
    ],
    ids=lambda each: each.value,
)
async def test_every_move_of_every_caller_in_every_state_is_as_the_words_have_it(
    world: World, kind: Kind, verb: Verb
) -> None:
    region = await Region(world.service("referral")).ready()
    await coordinated(region.running, "kagoshima-city")
    receiver = "sakura-npo" if kind is Kind.PROGRAMME else "school-hibiki"
    await furnished(region, kind, verb, receiver)
    calling, oracle, seen = callers(region, receiver), ORACLE[kind, verb], Counter[int]()
    to_come = {"review_on": (day_in_japan(wall_time()) + timedelta(days=9)).isoformat()}
    elsewhere = {"programme_id": region.programmes["zama-npo/ibasho"], "knowingly": True}
    # Who is turned away before anybody looks at verb and kind is turned away once.
    cells = [cell for cell in CELLS if (verb is Verb.TRANSFER and kind is Kind.PROGRAMME) or cell[2] in PARTIES]
    if verb is Verb.REFER:
        # The table of `transfer` but for the holder, and so only what is legal is asked again.
        cells = [cell for cell in cells if expected(oracle, cell)[0] == 200]
    says = SAYS | {"wait": to_come, "hold": to_come, "reroute": elsewhere}
    for cell in cells:
        _, name, who = cell
        path = f"/v1/referrals/{id_of(cell)}/{name.replace('_', '-')}"
        answer = await calling[who].post(path, says.get(name))
        status, then = expected(oracle, cell)
        assert answer.status_code == status, (cell, answer.text)
        body = answer.json()
        if status == 200:
            assert (body["state"], body["version"]) == (then, 2), cell
            assert (body["responsible_agency"], body["verb"]) == (holder_of(cell, verb, receiver), verb), cell
        if status == 409:
            assert body["code"] == "illegal_move", cell
            assert {error["legal"] for error in body.get("errors", [])} == then, cell
        seen[status] += 1
    assert seen.keys() >= ({200} if verb is Verb.REFER else {200, 404, 409})
    moved = await region.running.rows("SELECT id FROM referral WHERE version > 1")
    legal = {id_of(cell) for cell in cells if expected(oracle, cell)[0] == 200}
    assert {row["id"] for row in moved} == legal, "nobody moved but who was told so"


async def test_what_was_taken_over_is_moved_by_its_coordinator_too(world: World) -> None:
    """Every state of those in which somebody is at work, every move, the three parties."""
    region = await Region(world.service("referral")).ready()
    await coordinated(region.running, "kagoshima-city")
    kind, verb, receiver = Kind.PROGRAMME, Verb.REFER, "sakura-npo"
    await furnished(region, kind, verb, receiver)
    await region.running.rows(
        "UPDATE referral SET taken_over = true, responsible_agency = coordinator WHERE state = ANY($1)", sorted(AT_WORK)
    )
    calling, oracle = callers(region, receiver), dict(ORACLE[kind, verb]) | dict(TAKEN_OVER)
    to_come = {"review_on": (day_in_japan(wall_time()) + timedelta(days=9)).isoformat()}
    elsewhere = {"programme_id": region.programmes["zama-npo/ibasho"], "knowingly": True}
    says = SAYS | {"wait": to_come, "hold": to_come, "reroute": elsewhere}
    for cell in (cell for cell in CELLS if cell[0] in AT_WORK and cell[2] in PARTIES):
        _, name, who = cell
        answer = await calling[who].post(f"/v1/referrals/{id_of(cell)}/{name.replace('_', '-')}", says.get(name))
        status, then = expected(oracle, cell)
        assert answer.status_code == status, (cell, answer.text)
        body = answer.json()
        if status == 200:
            assert (body["state"], body["responsible_agency"]) == (then, "kagoshima-city"), cell
            waiting = {"expired": ("place", "kagoshima-city"), "closed": None}
            shown = body["waits"] and (body["waits"]["clock"], body["waits"]["agency_id"])
            assert shown == waiting.get(body["state"], ("start", "kagoshima-city")), cell
        else:
            assert {error["legal"] for error in body.get("errors", [])} == then, cell
