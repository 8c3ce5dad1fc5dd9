"""The duplicate search over a million invented persons, and whether its cost stays flat from ten thousand on.

Two databases on one server, one small and one large, are asked in turns. Their fingerprints are real ones, of names in
about the frequencies in which they are borne in Japan, so that common names find as many as they would.
"""

import json
import random
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import islice, product
from typing import Any
from uuid import UUID

import asyncpg
from rich.progress import Progress

from bench import stage
from bench.report import Figure, Report, at_most, holds, median, only_told, percentile
from bench.wire import Wire
from services.intake.domain.matching import is_dayless
from services.intake.handlers.fingerprints import made
from shared.auth import Role
from shared.vault import MasterKeys, new_master_keys

SMALL = 10_000
_BATCH = 20_000
_SEED = 20_261_129
# The most common family names in thousandths of the population (invented people bear them, too), then a long tail.
_COMMON = (
    ("佐藤", "サトウ", 15), ("鈴木", "スズキ", 14), ("高橋", "タカハシ", 11), ("田中", "タナカ", 11),
    ("伊藤", "イトウ", 9), ("渡辺", "ワタナベ", 8), ("山本", "ヤマモト", 8), ("中村", "ナカムラ", 8),
    ("小林", "コバヤシ", 8), ("加藤", "カトウ", 7), ("吉田", "ヨシダ", 7), ("山田", "ヤマダ", 6),
    ("佐々木", "ササキ", 5), ("山口", "ヤマグチ", 5), ("松本", "マツモト", 5), ("井上", "イノウエ", 5),
    ("木村", "キムラ", 5), ("林", "ハヤシ", 4), ("清水", "シミズ", 4), ("斎藤", "サイトウ", 4),
)  # fmt: skip
_FRONT = (
    ("上", "カミ"), ("大", "オオ"), ("小", "オ"), ("高", "タカ"), ("松", "マツ"), ("竹", "タケ"), ("梅", "ウメ"),
    ("杉", "スギ"), ("北", "キタ"), ("南", "ミナミ"), ("西", "ニシ"), ("東", "ヒガシ"), ("石", "イシ"), ("岩", "イワ"),
    ("川", "カワ"), ("谷", "タニ"), ("野", "ノ"), ("森", "モリ"), ("青", "アオ"), ("白", "シラ"), ("黒", "クロ"),
)  # fmt: skip
_BACK = (
    ("田", "タ"), ("山", "ヤマ"), ("川", "カワ"), ("村", "ムラ"), ("島", "シマ"), ("井", "イ"), ("本", "モト"),
    ("沢", "サワ"), ("原", "ハラ"), ("崎", "サキ"), ("口", "グチ"), ("木", "キ"), ("橋", "ハシ"), ("池", "イケ"),
    ("坂", "サカ"), ("浦", "ウラ"), ("岡", "オカ"), ("尾", "オ"), ("瀬", "セ"), ("部", "ベ"), ("園", "ゾノ"),
)  # fmt: skip
_GIVEN_FRONT = (
    ("広", "ヒロ"), ("良", "ヨシ"), ("和", "カズ"), ("正", "マサ"), ("信", "ノブ"), ("孝", "タカ"), ("光", "ミツ"),
    ("幸", "ユキ"), ("友", "トモ"), ("明", "アキ"), ("里", "サト"), ("恵", "ケイ"), ("直", "ナオ"), ("美", "ミ"),
    ("春", "ハル"), ("夏", "ナツ"), ("千", "チ"), ("真", "マ"), ("由", "ユ"), ("久", "ヒサ"),
)  # fmt: skip
_GIVEN_BACK = (
    ("子", "コ"), ("美", "ミ"), ("恵", "エ"), ("夫", "オ"), ("彦", "ヒコ"), ("樹", "キ"), ("志", "シ"), ("人", "ト"),
    ("也", "ヤ"), ("香", "カ"), ("奈", "ナ"), ("代", "ヨ"), ("則", "ノリ"), ("治", "ハル"), ("一", "イチ"),
)  # fmt: skip
_TOWNS = (stage.MUNICIPALITY, "462039", "462187", "462250")


@dataclass(slots=True)
class Side:
    """One of the two: so many persons behind one service."""

    persons: int
    port: int
    token: str
    samples: Sequence[tuple[UUID, dict[str, str]]]
    waits: list[float] = field(default_factory=list)
    rounds: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    found: int = 0


async def measure(progress: Progress, *, rounds: int, persons: int, searches: int = 400) -> Report:
    """Both sides in turns; each round's p95 by itself, and the middle one of them."""
    task = progress.add_task("同じ方を探す / persons", total=2 + 2 * rounds)
    masters = new_master_keys()
    async with AsyncExitStack() as stack:
        within = stack.enter_context(stage.folder())
        server = stack.enter_context(stage.postgres(within))
        sides = []
        for name, many in (("small", min(SMALL, persons)), ("large", persons)):
            await stage.make_database(server, name, ["intake"])
            samples = await _fill(await stage.admin(server, name), MasterKeys(lambda: masters), many)
            own = within / name
            own.mkdir()
            (own / "masters").write_text(masters, encoding="ascii")
            service = stage.served(
                "intake", Role.COUNSELLOR, server=server, database=name, within=own, master_keys_file=own / "masters"
            )
            served = await stack.enter_async_context(service)
            sides.append(Side(many, served.port, served.token, samples))
            progress.advance(task)
        chance = random.Random(_SEED)
        for side in sides:
            await _search(side, chance, searches // 4, kept=False)  # warm
        for _ in range(rounds):
            for side in sides:
                await _search(side, chance, searches, kept=True)
                progress.advance(task)
    return _report(*sides, rounds=rounds, searches=searches)


def _report(small: Side, large: Side, *, rounds: int, searches: int) -> Report:
    figures: list[Figure] = []
    for side in (small, large):
        beside = f"p50 {percentile(side.waits, 0.5) * 1000:.1f} ms, n = {len(side.waits):,}"
        p95 = median(side.rounds) * 1000
        if side is large:
            figures.append(at_most(f"{side.persons:,} persons: p95", p95, 20, unit=" ms", beside=beside))
        else:
            figures.append(only_told(f"{side.persons:,} persons: p95", f"{p95:.1f} ms  ({beside})"))
        right = f"{side.found:,} found whom they looked for"
        figures.append(holds(f"{side.persons:,} persons: every answer", side.wrong, beside=right))
    ratio = median(large.rounds) / median(small.rounds)
    figures.append(at_most(f"p95, {large.persons:,} to {small.persons:,} persons", ratio, 1.5))
    raw = {
        f"{side.persons}": {
            "p50_ms": round(percentile(side.waits, 0.5) * 1000, 2),
            "p95_ms": [round(each * 1000, 2) for each in side.rounds],
            "p99_ms": round(percentile(side.waits, 0.99) * 1000, 2),
        }
        for side in (small, large)
    }
    notes = (f"{rounds} rounds of {searches:,} searches for each side, in turns, one after another; over HTTP",)
    return Report("同じ方を探す / the duplicate search", figures, raw, notes)


# --- searches -------------------------------------------------------------------------------------------------------


async def _search(side: Side, chance: random.Random, searches: int, *, kept: bool) -> None:
    wire = await Wire.to(side.port, side.token)
    waits = []
    for _ in range(searches):
        case_id, sheet = chance.choice(side.samples)
        asked, certain = _as_asked(sheet, chance)
        answer = await wire.ask("POST", "/v1/persons/search", asked)
        waits.append(answer.seconds)
        if answer.status != 200:
            side.wrong.append(f"an answer with {answer.status}")
        elif certain:
            there = str(case_id) in {item["case_id"] for item in json.loads(answer.body)["items"]}
            side.found += there
            side.wrong += [] if there else ["somebody was not found"]
    wire.close()
    if kept:
        side.waits += waits
        side.rounds.append(percentile(waits, 0.95))


def _as_asked(sheet: dict[str, str], chance: random.Random) -> tuple[dict[str, str], bool]:
    """What a counsellor knows; and whether it must find the person, or is too common a name for that."""
    kana = chance.choice([sheet["kana"], sheet["kana"].replace(" ", "\u3000"), _hiragana(sheet["kana"])])
    kind = chance.random()
    if kind < 0.5:
        return {"kana": kana, "birth_date": sheet["birth_date"]}, True
    if kind < 0.65:
        return sheet | {"kana": kana}, True
    if kind < 0.8:
        return {"phone": sheet["phone"]}, True
    if kind < 0.9:
        return {"kana": kana}, False
    return {"name": sheet["name"], "birth_date": "1999-12-31", "phone": "099-999-9999"}, False


def _hiragana(kana: str) -> str:
    return "".join(chr(ord(char) - 0x60) if "ァ" <= char <= "ヶ" else char for char in kana)


# --- persons --------------------------------------------------------------------------------------------------------


async def _fill(connection: asyncpg.Connection, masters: MasterKeys, persons: int) -> list[tuple[UUID, dict[str, str]]]:
    """Cases and their fingerprints, put straight into the tables; some of the caller's town, to look for."""
    chance = random.Random(_SEED)
    samples: list[tuple[UUID, dict[str, str]]] = []
    opened_at = datetime(2026, 4, 1, tzinfo=UTC)
    await connection.execute("SET search_path = intake; SET session_replication_role = replica")
    await connection.execute("SET maintenance_work_mem = '512MB'")
    index = await connection.fetchval("SELECT pg_get_indexdef('person_index_fingerprint'::regclass)")
    await connection.execute("DROP INDEX person_index_fingerprint")
    sheets = _sheets(chance)
    numbers = iter(range(persons))
    while batch := list(islice(numbers, _BATCH)):
        cases: list[Any] = []
        indexed: list[Any] = []
        marks: list[Any] = []
        for number in batch:
            case_id, sheet, town = UUID(int=(number << 64) | chance.getrandbits(64)), next(sheets), _town(chance)
            cases.append(
                (case_id, f"2026-{number:07}", town, "desk", "desk", "walk_in", [], [], False, "open",
                 opened_at.date(), "not_yet", 0, opened_at, 1)
            )  # fmt: skip
            indexed.append((case_id, 1))
            prints = made(masters, sheet, 1)
            marks += [(case_id, kind.value, mark, town, is_dayless(kind, prints)) for kind, mark in prints.items()]
            if town == stage.MUNICIPALITY and (number < SMALL or chance.random() < SMALL / persons):
                samples.append((case_id, sheet))
        await _copy(connection, "case_", cases, [
            "id", "number", "municipality", "opened_by", "holder_agency", "entrance", "topics", "needs", "urgent",
            "status", "next_step_on", "consent_state", "consent_version", "opened_at", "version",
        ])  # fmt: skip
        await _copy(connection, "person_indexed", indexed, ["case_id", "index_version"])
        await _copy(connection, "person_index", marks, ["case_id", "kind", "fingerprint", "municipality", "dayless"])
    await connection.execute(index)
    await connection.execute("VACUUM ANALYZE")
    await connection.execute("CHECKPOINT")
    await connection.close()
    return samples


async def _copy(connection: asyncpg.Connection, table: str, rows: list[Any], columns: list[str]) -> None:
    await connection.copy_records_to_table(table, records=rows, columns=columns, schema_name="intake")


def _town(chance: random.Random) -> str:
    """Half of them in the caller's town, as in a prefecture with one large city."""
    return chance.choices(_TOWNS, weights=(50, 20, 20, 10))[0]


def _sheets(chance: random.Random) -> Iterator[dict[str, str]]:
    """Invented people without end."""
    families = [(name, kana) for name, kana, _ in _COMMON] + [
        (a + b, x + y) for (a, x), (b, y) in product(_FRONT, _BACK)
    ]
    rest = 1000 - sum(each for *_, each in _COMMON)
    tail = _falling(len(families) - len(_COMMON))
    weights = [each for *_, each in _COMMON] + [rest * share for share in tail]
    givens = [(a + b, x + y) for (a, x), (b, y) in product(_GIVEN_FRONT, _GIVEN_BACK)]
    shares = _falling(len(givens))
    chance.shuffle(givens)
    while True:
        people = zip(chance.choices(families, weights, k=1000), chance.choices(givens, shares, k=1000), strict=True)
        for (family, family_kana), (given, given_kana) in people:
            sheet = {
                "name": f"{family} {given}",
                "kana": f"{family_kana} {given_kana}",
                "birth_date": (date(1940, 1, 1) + timedelta(days=chance.randrange(25_000))).isoformat(),
                "phone": f"0{chance.choice('789')}0{chance.randrange(10**8):08}",
            }
            if chance.random() < 0.3:
                sheet["email"] = f"p{chance.getrandbits(40):x}@example.jp"
            if chance.random() < 0.05:
                sheet["previous_name"] = f"{chance.choice(families)[0]} {given}"
            yield sheet


def _falling(many: int) -> list[float]:
    """Shares that fall as names do: the tenth is borne by half as many as the third, and so on."""
    weights = [1 / (place + 10) for place in range(many)]
    return [weight / sum(weights) for weight in weights]
