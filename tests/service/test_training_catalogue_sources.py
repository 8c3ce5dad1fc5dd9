"""The catalogue of courses: what sources say comes in by two steps, differences are settled, people search."""

import csv
import io
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text

from embedded.postgres import EmbeddedPostgres
from services.training.domain.catalogue import resolve
from services.training.handlers.catalogue import sources
from services.training.tables import catalogue as tables
from services.training.tables.catalogue_search import Reader, Wanted, asking
from shared.auth import Role
from shared.service.clock import wall_time
from tests.service.deliberation_room import line, the_room
from tests.service.training_courses import an_offer, desk, offer_again, offered, planner, school, seat
from tests.world import KAGOSHIMA, KIRISHIMA, ZAMA, Caller, Running, World, execute_as_admin

PATH = "/v1/catalogue-imports"
CHECKED = date(2026, 11, 2)
WHOLE: Mapping[str, Any] = {
    "講座番号": "46-r8-001",
    "出典": "provider",
    "確認日": "令和8年11月2日",
    "外部講座番号": "5-07-46-002-0001",
    "訓練種別": "job_seeker_practical",
    "分野": "care",
    "講座名": "介護職員初任者研修科",
    "実施機関名": "かごしま福祉専門学校",
    "法人番号": "8000020130001",
    "所在地コード": "462012",
    "所在地": "鹿児島市山下町1-1",
    "交通": "市電 朝日通から歩5分",
    "バリアフリー": "段差なし、車いす用トイレ",
    "職業分類コード": "049-01、050-02",
    "職業分類の版": "2022",
    "めざす資格": "介護職員初任者研修",
    "開始日": "令和9年1月12日",
    "終了日": "2027-04-09",
    "月数": "3",
    "総時間": "300",
    "曜日": "月火水木金",
    "実施方法": "on_site short_hours childcare",
    "定員": "15",
    "最少開講人数": "8",
    "優先枠": "2",
    "委ねる枠": "462012:4 462187:2",
    "枠の戻る日": "2026-12-09",
    "応募開始": "2026-11-20 08:30",
    "応募締切": "2026-12-16 16:00",
    "見学会": "2026-12-02 10:00、2026-12-09 10:00",
    "選考日": "2026-12-18",
    "選考場所": "同校 2階, 会議室",
    "選考方法": "面接・筆記",
    "結果通知日": "2026-12-23",
    "中止決定日": "2026-12-21",
    "自己負担額": "9800",
    "対象者": "求職者で、ハローワークの支援指示を受けた方",
    "担当ハローワーク": "ハローワークかごしま",
    "状態": "recruiting",
    "応募者数": "6",
    "合格者数": "0",
    "応募状況の時点": "2026-11-01",
}


@pytest.fixture
def training(world: World) -> Running:
    return world.service("training")


def file_of(*rows: Mapping[str, Any]) -> str:
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, fieldnames=list(dict.fromkeys(name for row in rows for name in row)))
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def row(source: str, number: str = "46-r8-001", *, checked: date = CHECKED, **words: Any) -> dict[str, Any]:
    return {"講座番号": number, "出典": source, "確認日": checked.isoformat(), **words}


async def checked(caller: Caller, content: bytes | str) -> dict[str, Any]:
    sent = content.encode() if isinstance(content, str) else content
    answer = await caller.post(PATH, content=sent, headers={"Content-Type": "text/csv"})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def taken(training: Running, *rows: Mapping[str, Any], caller: Caller | None = None) -> dict[str, Any]:
    caller = caller or planner(training)
    report = await checked(caller, file_of(*rows))
    answer = await caller.post(f"{PATH}/{report['import_id']}/commit", {})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def found(training: Running, caller: Caller | None = None, **filters: Any) -> list[str]:
    items = await (caller or desk(training)).whole("/v1/catalogue", **filters)
    return [item["course_number"] for item in items]


async def only(training: Running) -> dict[str, Any]:
    (item,) = (await desk(training).get("/v1/catalogue")).json()["items"]
    answer = await desk(training).get(f"/v1/catalogue/{item['catalogue_id']}")
    assert answer.headers["etag"] == f'"{answer.json()["version"]}"'
    whole: dict[str, Any] = answer.json()
    return whole


async def settled(training: Running, field: str, source: str, *, version: int | None = None) -> Any:
    whole = await only(training)
    return await planner(training).post(
        f"/v1/catalogue/{whole['catalogue_id']}/settlements",
        {"field": field, "source": source, "reason": "電話で確認"},
        headers={"If-Match": f'"{version or whole["version"]}"'},
    )


# --- the record and its two steps -------------------------------------------------------------------------------------


async def test_a_record_comes_in_whole_and_only_with_the_second_step(training: Running) -> None:
    report = await checked(planner(training), file_of(WHOLE))
    assert (report["created"], report["rejected"], report["remarks"]) == (1, 0, [])
    assert await found(training) == []
    await taken(training, WHOLE)
    whole = await only(training)
    record = whole["record"]
    unsaid = {name for name, value in record.items() if value is None}
    assert unsaid == {"from_time", "until_time"}, "every field of the record, save a trial place's hours"
    assert record["applications_close_at"] == "2026-12-16T16:00:00+09:00"
    assert (record["starts_on"], record["weekdays"]) == ("2027-01-12", ["mon", "tue", "wed", "thu", "fri"])
    assert (record["delivery"], record["delegated"]) == (
        ["childcare", "on_site", "short_hours"],
        {KAGOSHIMA: 4, KIRISHIMA: 2},
    )
    assert record["priority_seats"] == 2
    assert (record["external_number"], record["occupation_codes"]) == ("5-07-46-002-0001", ["049-01", "050-02"])
    assert {each["checked_on"] for field in whole["sources"] for each in field["words"]} == {"2026-11-02"}
    assert (whole["differences"], whole["noticed"], whole["seats"]) == ([], [], None)


async def test_three_encodings_give_the_same_preview(training: Running) -> None:
    await taken(training, row("prefecture", 所在地コード=KAGOSHIMA, 定員="12"))
    caller, previews, named = planner(training), [], []
    for encoding in ("utf-8", "utf-8-sig", "cp932"):
        report = await checked(caller, file_of(WHOLE).encode(encoding))
        named.append(report["encoding"])
        answer = await caller.get(f"{PATH}/{report['import_id']}/rows")
        previews.append((report["updated"], report["remarks"], answer.json()["items"]))
    assert named == ["utf-8-sig", "utf-8-sig", "cp932"]
    assert previews[0] == previews[1] == previews[2]
    (preview,) = previews[0][2]
    states = {each["field"]: (each["state"], each["against"]) for each in preview["fields"]}
    assert (preview["row"], preview["became"], preview["faults"]) == (2, "updated", [])
    assert states["capacity"] == ("differs", ["prefecture"])
    assert states["site_municipality"] == ("same", [])
    assert {state for field, (state, _) in states.items() if field not in {"capacity", "site_municipality"}} == {"new"}


async def test_another_encoding_is_named_and_nothing_is_kept(training: Running) -> None:
    for encoding, word in (("euc_jp", "EUC-JP"), ("iso2022_jp", "ISO-2022-JP"), ("utf-16", "UTF-8でもcp932")):
        answer = await planner(training).post(
            PATH, content=file_of(WHOLE).encode(encoding), headers={"Content-Type": "text/csv"}
        )
        assert answer.status_code == 422
        assert word in answer.json()["detail_ja"]
    assert await training.rows("SELECT FROM import_file") == []


async def test_a_file_in_three_encodings_at_once_is_refused_whole(training: Running) -> None:
    header, line = file_of(WHOLE).split("\r\n")[:2]
    mixed = b"\r\n".join([header.encode(), line.encode("cp932"), line.encode("euc_jp")])
    answer = await planner(training).post(PATH, content=mixed, headers={"Content-Type": "text/csv"})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert "バイト目" in answer.json()["detail_ja"]
    assert await training.rows("SELECT FROM catalogue_statement") == []


BAD: tuple[tuple[dict[str, str], str, str, str], ...] = (
    ({"定員": "-1"}, "定員", "greater_than_equal", "1以上"),
    ({"定員": "0"}, "定員", "greater_than_equal", "1以上"),
    ({"定員": "1000000000"}, "定員", "less_than_equal", "1000まで"),
    ({"定員": "15.5"}, "定員", "int_parsing", "整数"),
    ({"法人番号": "8000020130002"}, "法人番号", "corporate_number", "法人番号"),
    ({"所在地コード": "462013"}, "所在地コード", "municipality_code", "6桁"),
    ({"開始日": "2027-02-30"}, "開始日", "date_from_datetime_parsing", "暦にある"),
    ({"実施方法": "on_site zoom"}, "実施方法", "enum", "online"),
    ({"終了日": "2027-01-11"}, "終了日", "ends_before_start", "開始日より前"),
    ({"応募締切": "2027-01-13 16:00"}, "応募締切", "closes_after_start", "開始日より後"),
    ({"選考日": "2026-12-15"}, "選考日", "selects_before_closing", "応募締切より前"),
    ({"確認日": "2126-11-02"}, "確認日", "checked_in_future", "まだ来ていない"),
    ({"出典": "rumour"}, "出典", "source_not_known", "hello_work"),
    ({"所在地コード": "142166"}, "所在地コード", "not_your_prefecture", "担当する地域"),
    ({"所在地コード": ""}, "所在地コード", "site_needed", "所在地コード"),
)


async def test_bad_input_is_a_clear_problem_and_nothing_is_half_done(training: Running) -> None:
    rows = [{**WHOLE, **changed, "講座番号": f"46-bad-{number}"} for number, (changed, *_) in enumerate(BAD)]
    report = await checked(planner(training), file_of(*rows, {**WHOLE, "講座番号": "46-good"}))
    assert (report["created"], report["rejected"]) == (1, len(BAD))
    previews = await planner(training).whole(f"{PATH}/{report['import_id']}/rows", limit=7)
    assert [preview["row"] for preview in previews] == list(range(2, len(BAD) + 3))
    for (_, column, code, word), error, preview in zip(BAD, report["errors"], previews[:-1], strict=True):
        assert (error["column"], error["code"]) == (column, code)
        assert word in error["message_ja"]
        fault = preview["faults"][0]
        assert (preview["became"], fault["column"], fault["code"]) == ("rejected", column, code)
    commit = f"{PATH}/{report['import_id']}/commit"
    assert (await planner(training).post(commit, {})).status_code == 409
    assert await found(training) == []
    assert (await planner(training).post(commit, {"skip_rejected": True})).status_code == 200
    assert await found(training) == ["46-good"]


async def test_what_is_unusual_is_remarked_and_taken(training: Running) -> None:
    report = await taken(training, {**WHOLE, "月数": "8", "終了日": "2027-09-10", "定員": "40"})
    assert [each["code"] for each in report["remarks"]] == ["unusual_months", "unusual_capacity"]
    assert {each["code"] for each in (await only(training))["noticed"]} == {"unusual_months", "unusual_capacity"}


async def test_a_line_of_a_few_columns_is_judged_with_what_its_source_said_before(training: Running) -> None:
    await taken(training, WHOLE)
    wrong = row("provider", checked=CHECKED + timedelta(9), 終了日="2027-01-11")
    report = await checked(planner(training), file_of(wrong))
    assert report["errors"][0]["code"] == "ends_before_start"
    report = await taken(training, row("provider", checked=CHECKED + timedelta(9), 定員="14", めざす資格=""))
    assert report["updated"] == 1
    record = (await only(training))["record"]
    assert (record["capacity"], record["qualification"], record["title"]) == (14, None, "介護職員初任者研修科")


# --- sources that disagree --------------------------------------------------------------------------------------------


async def disagreeing(training: Running) -> dict[str, Any]:
    await taken(training, WHOLE)
    await taken(training, row("hello_work", 定員="20", 応募締切="2026-12-16 16:15", 開始日="2027-01-12"))
    return await only(training)


def field_of(whole: Mapping[str, Any], name: str) -> dict[str, Any]:
    (field,) = (each for each in whole["sources"] if each["field"] == name)
    found: dict[str, Any] = field
    return found


async def test_differences_are_listed_with_each_sources_word_and_when_it_was_checked(training: Running) -> None:
    whole = await disagreeing(training)
    assert whole["differences"] == ["capacity", "applications_close_at"]
    assert (whole["record"]["capacity"], whole["record"]["hours"]) == (20, 300)
    (listed,) = (await planner(training).get("/v1/catalogue-differences")).json()["items"]
    assert [each["field"] for each in listed["fields"]] == ["capacity", "applications_close_at"]
    assert listed["fields"][0]["words"] == [
        {"source": "hello_work", "value": 20, "checked_on": "2026-11-02"},
        {"source": "provider", "value": 15, "checked_on": "2026-11-02"},
    ]
    answer = await planner(training).get("/v1/catalogue-differences", params={"field": "title"})
    assert answer.json()["items"] == []


async def test_the_planner_decides_field_by_field_and_repeating_does_not_undo_it(training: Running) -> None:
    await disagreeing(training)
    answer = await settled(training, "capacity", "provider")
    assert answer.status_code == 201, answer.text
    whole = answer.json()
    assert (whole["record"]["capacity"], whole["differences"]) == (15, ["applications_close_at"])
    how = field_of(whole, "capacity")["settled"]
    assert (how["source"], how["by"], how["reason"]) == ("provider", "kencho-planner", "電話で確認")

    later = CHECKED + timedelta(days=7)
    report = await taken(training, row("hello_work", checked=later, 定員="20"))
    assert (report["unchanged"], [each["code"] for each in report["remarks"]]) == (1, ["differs"])
    whole = await only(training)
    assert (whole["record"]["capacity"], whole["differences"]) == (15, ["applications_close_at"])
    assert field_of(whole, "capacity")["words"][0]["checked_on"] == later.isoformat()

    report = await taken(training, row("hello_work", checked=later, 定員="18"))
    assert [each["code"] for each in report["remarks"]] == ["reopens"]
    whole = await only(training)
    assert (whole["record"]["capacity"], whole["differences"]) == (15, ["capacity", "applications_close_at"])
    assert (await settled(training, "capacity", "hello_work")).json()["record"]["capacity"] == 18


async def test_who_decides_has_read_the_newest_words(training: Running) -> None:
    version = (await disagreeing(training))["version"]
    await taken(training, row("provider", checked=CHECKED + timedelta(1), 定員="16"))
    late = await settled(training, "capacity", "provider", version=version)
    assert (late.status_code, late.json()["code"]) == (412, "stale")
    assert (await settled(training, "months", "hello_work")).json()["code"] == "source_says_nothing"
    assert (await settled(training, "months", "provider")).json()["code"] == "no_difference"
    assert await training.rows("SELECT FROM catalogue_settlement") == []


async def test_only_the_planner_of_the_place_decides_and_sees_what_is_to_be_decided(training: Running) -> None:
    whole = await disagreeing(training)
    far = training.as_("kanagawa", Role.PLANNER, municipalities=["prefecture:14"])
    answer = await far.post(
        f"/v1/catalogue/{whole['catalogue_id']}/settlements",
        {"field": "capacity", "source": "provider"},
        headers={"If-Match": f'"{whole["version"]}"'},
    )
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert (await far.get("/v1/catalogue-differences")).json()["items"] == []
    report = await checked(far, file_of(row("provider", 定員="3")))
    assert report["errors"][0]["code"] == "not_your_prefecture"
    assert (await far.get(f"{PATH}/{report['import_id']}/rows")).status_code == 200
    assert (await planner(training).get(f"{PATH}/{report['import_id']}/rows")).status_code == 404


async def test_what_stands_can_be_reckoned_anew_from_what_was_said_and_decided(training: Running) -> None:
    """In whatever order the files come: the table agrees with the statements and settlements beside it."""
    await disagreeing(training)
    await settled(training, "capacity", "provider")
    for day in (5, 3, 8):
        await taken(training, row("jeed", checked=CHECKED + timedelta(day), 定員=str(10 + day), 月数="3"))
    async with training.database.transaction() as session:
        session.info["settings"] = training.desk.settings
        (entry,) = (await tables.find_entries(session, ["46-r8-001"])).values()
        standing = resolve(entry.words, entry.settlements, list(sources(session)))
    assert {field: each.value for field, each in standing.items()} == entry.record
    assert tuple(field for field, each in standing.items() if each.differs) == entry.differences
    assert entry.words["capacity"]["jeed"].value == 18
    answer = await desk(training).whole(f"/v1/catalogue/{entry.id}/statements", limit=2)
    assert [each["source"] for each in answer] == ["provider", "hello_work", "jeed", "jeed"], (
        "an older word adds nothing"
    )


async def test_a_blank_stands_against_a_file_of_an_earlier_day_whichever_is_read_first(training: Running) -> None:
    place, blank = row("provider", 所在地コード=KAGOSHIMA), row("provider", checked=date(2026, 11, 10), 定員="")
    earlier = row("provider", checked=date(2026, 11, 5), 定員="20")
    for number, files in (("46-first", (blank, earlier)), ("46-last", (earlier, blank))):
        for each in (place, *files):
            await taken(training, each | {"講座番号": number})
    items = (await desk(training).get("/v1/catalogue")).json()["items"]
    assert [(item["course_number"], item["record"]["capacity"]) for item in items] == [
        ("46-first", None),
        ("46-last", None),
    ]


async def test_an_office_ranks_its_sources_itself(training: Running, world: World, tmp_path: Path) -> None:
    training.database.carries["settings"] = world.settings("training", layouts_path=tmp_path)
    own = tmp_path / "catalogue_sources.toml"
    ranked = ("school", "provider", "hello_work")
    own.write_text("".join(f'[[source]]\ncode = "{code}"\nwords = "x"\n' for code in ranked), encoding="utf-8")
    assert (await disagreeing(training))["record"]["capacity"] == 15
    report = await checked(planner(training), file_of(row("school", 定員="11"), row("jeed", "46-x", 定員="11")))
    assert [(each["row"], each["code"]) for each in report["errors"]] == [(3, "source_not_known")]
    own.write_text("[[source]]\ncode = 1", encoding="utf-8")
    answer = await planner(training).post(PATH, content=file_of(WHOLE).encode(), headers={"Content-Type": "text/csv"})
    assert (answer.status_code, answer.json()["code"]) == (409, "layout_broken")


async def test_statements_and_settlements_only_grow(training: Running) -> None:
    await disagreeing(training)
    await settled(training, "capacity", "provider")
    for table in ("catalogue_statement", "catalogue_settlement"):
        for verb in (f"DELETE FROM {table}", f"UPDATE {table} SET source = 'x'"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await training.rows(verb)


# --- search -----------------------------------------------------------------------------------------------------------


async def three_courses(training: Running) -> None:
    await taken(
        training,
        WHOLE,
        {**WHOLE, "講座番号": "46-web", "分野": "web_design", "所在地コード": KIRISHIMA, "講座名": "Ｗｅｂデザイン科",
         "実施方法": "online", "開始日": "2027-01-05", "月数": "", "訓練種別": "public_commissioned"},
        {**WHOLE, "講座番号": "46-later", "開始日": "", "終了日": "", "実施方法": "on_site childcare",
         "応募締切": "2099-01-01 16:00", "選考日": "", "結果通知日": "", "状態": "cancelled"},
    )  # fmt: skip


SEARCHES: tuple[tuple[dict[str, Any], list[str]], ...] = (
    ({}, ["46-web", "46-r8-001", "46-later"]),
    ({"field": "care"}, ["46-r8-001", "46-later"]),
    ({"system": "public_commissioned"}, ["46-web"]),
    ({"municipality": KIRISHIMA}, ["46-web"]),
    ({"prefecture": "46", "status": "cancelled"}, ["46-later"]),
    ({"prefecture": "14"}, []),
    ({"starts_from": "2027-01-06", "starts_to": "2027-01-12"}, ["46-r8-001"]),
    ({"delivery": "childcare"}, ["46-r8-001", "46-later"]),
    ({"delivery": ["childcare", "short_hours"]}, ["46-r8-001"]),
    ({"text": "webデザイン"}, ["46-web"]),
    ({"text": "100%"}, []),
    ({"text": "霧島"}, ["46-web"]),
)


async def test_courses_are_found_by_what_people_ask_for(training: Running) -> None:
    await three_courses(training)
    for filters, numbers in SEARCHES:
        assert await found(training, **filters) == numbers, filters
        assert await found(training, limit=1, **filters) == numbers, "page by page"


async def test_applications_are_open_up_to_the_very_second(training: Running) -> None:
    closes = wall_time().replace(microsecond=0) + timedelta(hours=1)
    opens = closes - timedelta(hours=2)
    await taken(
        training,
        row("provider", 所在地コード=KAGOSHIMA, 応募開始=opens.isoformat(), 応募締切=closes.isoformat()),
    )
    assert await found(training, open_now=True) == ["46-r8-001"]
    training.pass_time(timedelta(hours=1, seconds=1))
    assert await found(training, open_now=True) == []


async def test_free_seats_are_those_of_the_callers_own_pool(training: Running) -> None:
    await three_courses(training)
    mine = await offered(training, course_number="46-r8-001", capacity=1, delegated={KAGOSHIMA: 1})
    await offered(training, course_number="46-web", capacity=2, delegated={KIRISHIMA: 2})
    assert await found(training, with_free=True) == ["46-r8-001"]
    assert await found(training, desk(training, KIRISHIMA), with_free=True) == ["46-web"]
    assert await found(training, planner(training), with_free=True) == ["46-web", "46-r8-001"]
    assert await found(training, school(training), with_free=True) == []
    await seat(training, mine)
    assert await found(training, with_free=True) == []
    (_, item, _) = (await desk(training).get("/v1/catalogue")).json()["items"]
    assert {name: item["seats"][name] for name in ("course_run_id", "offered", "free")} == {
        "course_run_id": str(mine), "offered": 1, "free": 0
    }  # fmt: skip


async def test_seats_shared_by_several_are_free_for_each_while_their_decision_is_in_force(
    training: Running,
) -> None:
    await three_courses(training)
    room = await the_room(training)
    shared = line(2, [KAGOSHIMA, KIRISHIMA], fiscal_year=2027, field=None)
    decision = await room.decide(allotments=[shared])
    await offer_again(training, an_offer(course_number="46-web", capacity=2, delegated={f"{KAGOSHIMA}+{KIRISHIMA}": 2}))
    for town in (KAGOSHIMA, KIRISHIMA):
        assert await found(training, desk(training, town), with_free=True) == ["46-web"]
    assert await found(training, desk(training, ZAMA), with_free=True) == []
    await room.decide(allotments=[], supersedes=[decision])
    # Before anybody asks or frees a seat, the pool still has them; what nobody may have is not free.
    assert await found(training, with_free=True) == []


async def test_a_search_becomes_a_file_that_excel_opens(training: Running) -> None:
    await three_courses(training)
    await taken(training, row("hello_work", 定員="20", 講座名="=HYPERLINK(1)"))
    answer = await desk(training).get("/v1/catalogue.csv", params={"field": "care", "limit": 1})
    lines = list(csv.reader(io.StringIO(answer.content.decode("cp932"))))
    line = dict(zip(lines[0], lines[1], strict=True))
    assert (len(lines), answer.headers["content-type"]) == (2, "text/csv; charset=shift_jis")
    assert line["講座名"] == "'=HYPERLINK(1)"
    assert (line["実施方法"], line["曜日"]) == ("託児あり、通所、短時間", "月、火、水、木、金")
    assert (line["応募締切"], line["見学会"]) == ("2026-12-16 16:00", "2026-12-02 10:00、2026-12-09 10:00")
    assert (line["食い違い"], line["市町村"]) == ("講座名、定員", "鹿児島市")
    rest = await desk(training).get("/v1/catalogue.csv" + answer.headers["link"].split(">")[0].removeprefix("<"))
    assert rest.content.decode("cp932").splitlines()[1].startswith("46-later,")
    utf8 = await desk(training).get("/v1/catalogue.csv", params={"encoding": "utf-8"})
    assert utf8.content.startswith(b"\xef\xbb\xbf")
    assert len(utf8.content.decode("utf-8-sig").splitlines()) == 4


async def test_a_search_and_a_course_become_calendars(training: Running) -> None:
    await three_courses(training)
    answer = await desk(training).get("/v1/catalogue.ics", params={"field": "care"})
    assert answer.headers["content-type"] == "text/calendar; charset=utf-8"
    events = events_of(answer.content.decode())
    assert len(events) == 8 + 4
    whole = await desk(training).get("/v1/catalogue")
    course = whole.json()["items"][1]
    own = await desk(training).get(f"/v1/catalogue/{course['catalogue_id']}/calendar.ics")
    events = events_of(own.content.decode())
    title = "介護職員初任者研修科"
    assert {event["SUMMARY"]: event.get("DTSTART") or event["DTSTART;VALUE=DATE"] for event in events} == {
        f"【応募締切】{title}": "20261216T070000Z",
        f"【見学会】{title}": "20261209T010000Z",
        f"【選考】{title}": "20261218",
        f"【結果通知】{title}": "20261223",
        f"【中止決定日】{title}": "20261221",
        f"【開始】{title}": "20270112",
        f"【終了】{title}": "20270409",
    }
    (selection,) = (event for event in events if event["SUMMARY"].startswith("【選考】"))
    assert (selection["LOCATION"], selection["DTEND;VALUE=DATE"]) == ("同校 2階\\, 会議室", "20261219")
    assert len({event["UID"] for event in events}) == 8


def events_of(text: str) -> list[dict[str, str]]:
    """Events by their properties, read as RFC 5545 says: CRLF, folded at 75 octets, each with what it must have."""
    assert all(len(line.encode()) <= 75 for line in text.split("\r\n"))
    lines = text.replace("\r\n ", "").split("\r\n")
    assert (lines[0], lines[-2:]) == ("BEGIN:VCALENDAR", ["END:VCALENDAR", ""])
    events: list[dict[str, str]] = []
    for written in lines:
        if written == "BEGIN:VEVENT":
            events.append({})
        elif events and written != "END:VEVENT" and written not in {"END:VCALENDAR", ""}:
            name, _, value = written.partition(":")
            assert name not in events[-1], "once in an event"
            events[-1][name] = value
    for event in events:
        assert {"UID", "DTSTAMP", "SUMMARY"} <= event.keys()
    return events


# --- twenty thousand courses ------------------------------------------------------------------------------------------

_MANY = """
INSERT INTO catalogue_course (id, course_number, record, field, system, municipality, begins_on, closes_at, delivery,
    searched)
SELECT uuidv7(), 'many-' || n, jsonb_build_object('title', 'course ' || n),
    (ARRAY['care', 'it', 'other', 'basic', 'web_design', 'sales_office'])[1 + n % 6],
    'job_seeker_practical', CASE n % 50 WHEN 0 THEN '462012' ELSE '131016' END, date '2027-01-01' + n % 365, now(),
    '{on_site}', 'course ' || n
FROM generate_series(1, 20000) AS n
"""


async def test_a_search_among_twenty_thousand_courses_reads_in_the_order_of_an_index(
    training: Running, postgres: EmbeddedPostgres, database_name: str
) -> None:
    """A page is read from an index in its order: neither is the whole catalogue read nor sorted for it."""
    await training.rows(_MANY)
    await execute_as_admin(postgres, "ANALYZE training.catalogue_course", database_name)
    asked = {
        "catalogue_course_by_day": Wanted(starts_from=date(2027, 6, 1)),
        "catalogue_course_by_field": Wanted(field="care", starts_from=date(2027, 6, 1)),
        "catalogue_course_by_place": Wanted(municipality=KAGOSHIMA),
    }
    async with training.database.transaction() as session:
        for index, wanted in asked.items():
            statement, values = asking(wanted, reader=Reader([KAGOSHIMA], wall_time()), after=None, limit=51)
            plan = "\n".join(row[0] for row in await session.execute(text(f"EXPLAIN {statement}"), values))
            assert (index in plan, "Seq Scan on catalogue_course" in plan) == (True, False), plan
    assert await found(training, text="course 19999") == ["many-19999"]
