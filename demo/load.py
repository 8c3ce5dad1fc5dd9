"""Loads the invented region over HTTP, in the two steps that any office's file takes: dry run, then commit.

The plan quota is a real notice's (Kagoshima, October to December 2022: 768 seats); agencies, courses and persons are
invented (架空). Course runs start some weeks from today, so that applications are open whenever the region is loaded.
"""

import csv
import io
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import httpx2
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from demo.client import REGION, Agency, demo_agencies
from demo.decide import allotments_of, decide, has_decided
from shared.codes import is_corporate_number
from shared.service.clock import day_in_japan, wall_time

PLANNER = "kenchou-planner"
OPERATOR = "region-observer"
NOTIFICATION, OFFICE, CERTIFIED = "架空-特-46-0001", "架空-安-46", "架空-認-46-0001"
"""Under which number the invented placements, the invented Hello Work and the invented schools act."""
_COLUMNS = (
    "講座番号", "講座名", "訓練種別", "分野", "実施機関ID", "所在地コード", "開始日", "終了日", "定員", "応募締切",
    "仮押さえ時間", "委ねる枠", "出典", "確認日",
)  # fmt: skip
_DIRECTORY = (
    ("機関 agencies", "agency", "agencies.csv"),
    ("事業 programmes", "programme", "programmes.csv"),
    ("専門職 professionals", "professional", "professionals.csv"),
    ("職親 host workplaces", "host-workplace", "host_workplaces.csv"),
    ("認定就労訓練 training firms", "training-firm", "training_firms.csv"),
)
_CLOSES_DAYS_BEFORE = 14
SOURCE = "架空 (定員の合計は鹿児島県の令和4年10〜12月の計画による)"


async def load_region(base: str, keys: Path, console: Console) -> None:
    """Load what isn't there yet. Raises `demo.client.Refused` when the platform refuses a file."""
    async with httpx2.AsyncClient(trust_env=False, timeout=60) as client:
        planner = Agency.from_keys(base, PLANNER, keys, client)
        await register_names(Agency.from_keys(base, OPERATOR, keys, client))
        if (await planner.get("/training/v1/course-runs", limit=1))["items"]:
            console.print("  ✓ 架空の地域はすでに読み込まれています / the invented region is already there")
            return
        today = day_in_japan(wall_time())
        if not await has_decided(planner):
            await decide(planner, allotments_of(_delegated(today)), title="(架空)委ねる枠")
        files = [
            *((name, f"/referral/v1/{path}-imports", directory_file(file, today)) for name, path, file in _DIRECTORY),
            ("訓練コース course runs", "/training/v1/course-run-imports", course_run_file(today)),
        ]
        columns = (TextColumn("  … {task.description}"), BarColumn(), MofNCompleteColumn())
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
            task = progress.add_task("架空の地域 / invented region", total=2 * len(files))
            for name, path, content in files:
                progress.update(task, description=name)
                report = await take_in(planner, path, content, lambda: progress.advance(task))
                console.print(f"  ✓ {name}: {report['created'] + report['updated'] + report['unchanged']}")
        for municipality, agency in coordinators().items():
            await planner.put(f"/referral/v1/coordinators/{municipality}", {"agency_id": agency})
        for municipality, towns in neighbours().items():
            await planner.put(f"/referral/v1/neighbours/{municipality}", {"neighbours": towns})


async def register_names(operator: Agency) -> None:
    """In whose name placements, Hello Work, schools and desks act: nobody does anything after a seat without."""
    known = {(each["agency"], each["basis"]) for each in await operator.every("/training/v1/registrations")}
    kinds = {
        "placement": {"basis": "free_placement_notification", "number": NOTIFICATION},
        "hello_work": {"basis": "public_employment_office", "number": OFFICE},
        "provider": {"basis": "training_school", "number": CERTIFIED},
        "counsellor": {"basis": "support_desk"},
    }
    for agency in demo_agencies():
        for role in sorted(kinds.keys() & set(agency["roles"])):
            if (agency["agency"], kinds[role]["basis"]) in known:
                continue
            name = {"agency": agency["agency"], "legal_entity": invented_number(agency["agency"])}
            await operator.post("/training/v1/registrations", name | kinds[role] | {"valid_from": "2022-10-01"})


def invented_number(agency: str) -> str:
    """A corporate number with a right check digit that no real body has: its base number begins with 9999."""
    base = f"9999{sum(ord(char) * place for place, char in enumerate(agency, 1)) % 10**8:08d}"
    return next(f"{digit}{base}" for digit in range(10) if is_corporate_number(f"{digit}{base}"))


async def take_in(planner: Agency, path: str, content: bytes, advance: Any = lambda: None) -> Any:
    """Check a file, then commit it; a rejected row stops the loading with its words."""
    checked = await planner.post(path, content)
    advance()
    if checked["rejected"]:
        raise ValueError("; ".join(f"{e['row']}: {e['column']} {e['message_ja']}" for e in checked["errors"][:5]))
    committed = await planner.post(f"{path}/{checked['import_id']}/commit", {})
    advance()
    return committed


def directory_file(name: str, today: date) -> bytes:
    """A file of the region's directory in its own encoding, confirmed today: whenever it is loaded, it is fresh."""
    content = (REGION / name).read_bytes()
    encoding = "utf-8-sig" if content.startswith(b"\xef\xbb\xbf") else "cp932"
    header, *rows = csv.reader(io.StringIO(content.decode(encoding), newline=""))
    place = header.index("確認日")
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(header)
    writer.writerows([*row[:place], today.isoformat(), *row[place + 1 :]] for row in rows)
    return out.getvalue().encode(encoding)


def coordinators() -> dict[str, str]:
    """Who coordinates in each municipality."""
    return {row["全国地方公共団体コード"]: row["調整役の機関ID"] for row in _municipalities()}


def neighbours() -> dict[str, list[str]]:
    """Which of the region's cities border on each: from there it may borrow. Islands have none."""
    return {row["全国地方公共団体コード"]: row["近隣の市町村コード"].split() for row in _municipalities()}


def _municipalities() -> list[dict[str, str]]:
    with (REGION / "municipalities.csv").open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def course_run_file(today: date) -> bytes:
    """The region's course runs as a file for import (cp932), with days counted from today."""
    with (REGION / "course_runs.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = [
            [
                row["講座番号"], row["講座名"], row["訓練種別"], row["分野"], row["実施機関ID"], row["所在地コード"],
                *_days(today, int(row["開始まで(週)"]), int(row["月数"])), row["定員"],
                f"{today + timedelta(weeks=int(row['開始まで(週)']), days=-_CLOSES_DAYS_BEFORE)} 16:00",
                row["仮押さえ時間"], row["委ねる枠"], SOURCE, today.isoformat(),
            ]
            for row in csv.DictReader(file)
        ]  # fmt: skip
    return as_file(rows)


def _delegated(today: date) -> list[tuple[date, str]]:
    """When each course run of the region begins, and which of its seats are delegated to whom."""
    with (REGION / "course_runs.csv").open(encoding="utf-8-sig", newline="") as file:
        return [
            (today + timedelta(weeks=int(row["開始まで(週)"])), row["委ねる枠"] or "") for row in csv.DictReader(file)
        ]


def popular_course_file(today: date, number: str, *, capacity: int, delegated: str) -> bytes:
    """One more course run, for the play: few seats, and many who want them."""
    starts, ends = _days(today, 6, 5)
    closes = f"{today + timedelta(weeks=6, days=-_CLOSES_DAYS_BEFORE)} 16:15"
    row = [
        number,
        "(架空)人気のWebデザイン科・追加開講",
        "job_seeker_practical",
        "web_design",
        "school-iroha",
        "462187",
    ]
    return as_file([[*row, starts, ends, str(capacity), closes, "72", delegated, "架空", today.isoformat()]])


def as_file(rows: list[list[str]]) -> bytes:
    """Rows under the import's columns, as a Japanese office's spreadsheet saves them."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(_COLUMNS)
    writer.writerows(rows)
    return out.getvalue().encode("cp932")


def _days(today: date, weeks: int, months: int) -> tuple[str, str]:
    starts = today + timedelta(weeks=weeks)
    return starts.isoformat(), (starts + timedelta(days=months * 30)).isoformat()
