"""The duplicate search against its plain meaning: every sheet compared with what is asked, one by one."""

import random
from typing import Any

import pytest

from services.intake.domain.matching import FROM, Kind, Likelihood, comparable, compared_as, likeness
from services.intake.handlers.matching import MOST
from tests.service.intake_counter import opened
from tests.world import KAGOSHIMA, KIRISHIMA, ZAMA, Caller, Running, World, execute_as_admin

SHEETS, SEARCHES = 70, 60
POOLS: dict[str, list[str | None]] = {
    "name": ["架空 花子", "架空 葉子", "空想 太郎", None],
    "kana": ["カクウ ハナコ", "カクウ ヨウコ", "クウソウ ハナコ", None],
    "previous_name": ["空想 花子", "架空 花子", None, None],
    "birth_date": ["1985-04-01", "1985-04-02", None],
    "phone": ["0990000001", "0990000002", None, None],
    "other_phone": ["0990000001", None, None],
    "email": ["hanako@example.jp", None, None],
}


def drawn(chance: random.Random) -> dict[str, str]:
    """Few values, so that much agrees, and much agrees in part."""
    values = {field: chance.choice(pool) for field, pool in POOLS.items()}
    return {field: value for field, value in values.items() if value is not None}


def alike(asked: dict[str, str], theirs: dict[str, str], *, masked: bool) -> tuple[int, list[str]] | None:
    """Score and reasons, from the values themselves."""
    ours, there = comparable(asked), comparable(theirs)
    pairs = {
        (kind, other)
        for kind, value in ours.items()
        for other, same in there.items()
        if same == value and compared_as(kind) == compared_as(other)
    }
    day = Kind.BIRTH_DATE
    other_day = day in ours and day in there and ours[day] != there[day]
    found = likeness(pairs, other_birth_date=other_day, masked=masked)
    return (found.score, [*found.reasons]) if found.score >= FROM[Likelihood.WEAK] else None


async def taken_up(intake: Running, chance: random.Random) -> list[dict[str, Any]]:
    """Cases of several agencies and towns; of each, what is to be known of it."""
    desks = {
        "kagoshima-desk": intake.as_(),
        "kagoshima-npo": intake.as_("kagoshima-npo", municipalities=[KAGOSHIMA, KIRISHIMA]),
        "zama-desk": intake.as_("zama-desk", municipalities=[ZAMA]),
    }
    cases = []
    for _ in range(SHEETS):
        agency, town = chance.choice([*desks]), chance.choice([KAGOSHIMA, KAGOSHIMA, KIRISHIMA, ZAMA])
        sheet, violence = drawn(chance), chance.random() < 0.2
        case_id = await opened(desks[agency], person=sheet, municipality=town, urgency=["violence"] if violence else [])
        cases.append({"id": case_id, "agency": agency, "town": town, "sheet": sheet, "violence": violence})
    return cases


@pytest.mark.parametrize(
    ("agency", "towns"),
    [
        ("kagoshima-desk", [KAGOSHIMA]),
        ("kagoshima-npo", [KIRISHIMA]),
        ("prefecture-desk", ["prefecture:46"]),
        ("wide-desk", ["prefecture:14", KAGOSHIMA]),
        ("kagoshima-npo", []),
    ],
)
async def test_a_search_finds_what_comparing_every_sheet_would_find(
    intake: Running, agency: str, towns: list[str]
) -> None:
    chance = random.Random(f"{agency} {towns}")
    cases = await taken_up(intake, chance)
    caller = intake.as_(agency, municipalities=towns)
    found_some = 0
    for _ in range(SEARCHES):
        asked = drawn(chance)
        if not asked.keys() - {"birth_date"}:
            continue
        expected = {}
        for case in cases:
            served = case["town"] in towns or f"prefecture:{case['town'][:2]}" in towns
            likely = alike(asked, case["sheet"], masked=case["violence"] and case["agency"] != agency)
            if likely is not None and (served or case["agency"] == agency):
                expected[case["id"]] = likely
        answer = (await caller.post("/v1/persons/search", asked)).json()
        seen = {item["case_id"]: (item["score"], item["agrees"]) for item in answer["items"]}
        best = sorted(((score, case_id) for case_id, (score, _) in expected.items()), reverse=True)[:MOST]
        assert seen == {case_id: expected[case_id] for _, case_id in best}, asked
        assert answer["more"] == (len(expected) > MOST)
        found_some += bool(seen)
    assert found_some > SEARCHES // 2, "a look for nobody proves nothing"


async def test_namesakes_in_other_towns_hide_nobody_in_ones_own(world: World, intake: Running, desk: Caller) -> None:
    person = {"name": "架空 花子", "kana": "カクウ ハナコ", "phone": "0990000001"}
    ours = await opened(desk, person=person)
    theirs = await opened(intake.as_("zama-desk", municipalities=[ZAMA]), person=person, municipality=ZAMA)
    # Fifteen hundred newer ones, with the same fingerprints: more than are looked at of each.
    for table in ("case_", "person_index"):
        await execute_as_admin(world.postgres, copies(table, theirs), world.database_name)
    for asked in ({"kana": "カクウ ハナコ"}, {"phone": "0990000001"}, person):
        assert [item["case_id"] for item in (await desk.post("/v1/persons/search", asked)).json()["items"]] == [ours]


def copies(table: str, case_id: str) -> str:
    """SQL that copies a case's rows under ids that sort after all others."""
    key = "id" if table == "case_" else "case_id"
    return f"""
        SET search_path = intake; SET session_replication_role = replica;
        INSERT INTO {table} SELECT (jsonb_populate_record(t, jsonb_build_object(
            '{key}', 'ffffffff-ffff-7fff-8fff-' || lpad(to_hex(n), 12, '0')
        ) || CASE WHEN '{table}' = 'case_' THEN jsonb_build_object('number', 'x-' || n) ELSE '{{}}' END)).*
        FROM {table} t, generate_series(1, 1500) n WHERE t.{key} = '{case_id}'
    """
