"""Lists and sheets out of what was typed once: whose they are, what stands in them, and each person logged."""

import csv
import io
from pathlib import Path
from uuid import UUID

import pytest

from services.intake.api import exports
from services.intake.domain.meetings import Basis
from services.intake.domain.policy import Purpose
from services.intake.domain.sheet import FIELDS
from services.intake.handlers import emergencies, meetings, persons, records
from services.intake.handlers.exports import words_of
from shared import vault
from shared.events import ReferralAccepted
from shared.vault import erasing
from tests.service.intake_counter import opened
from tests.world import KIRISHIMA, ZAMA, Caller, Running, World

PERSON = {
    "name": "髙﨑 花子",
    "kana": "タカサキ ハナコ",
    "birth_date": "昭和60年4月1日",
    "phone": "099-000-0001",
    "story": "架空の話",
}
PERIOD = {"from": "2000-01-01", "to": "2000-12-31"}


async def this_year(intake: Running) -> dict[str, str]:
    (row,) = await intake.rows(
        "SELECT min(opened_at)::date AS first, (max(opened_at) + interval '1 day')::date AS last FROM case_"
    )
    return {"from": row["first"].isoformat(), "to": row["last"].isoformat()}


async def table(desk: Caller, path: str, codec: str = "cp932", **params: str) -> list[list[str]]:
    answer = await desk.get(path, params=params)
    assert answer.status_code == 200, answer.text
    charset = "shift_jis" if codec == "cp932" else "utf-8"
    assert answer.headers["content-type"] == f"text/csv; charset={charset}", "as browsers name it"
    return list(csv.reader(io.StringIO(answer.content.decode(codec), newline="")))


async def test_the_reception_list_holds_what_the_agency_took_up(world: World) -> None:
    intake = world.service("intake")
    desk = intake.as_()
    await opened(desk, person=PERSON, topics=["debt", "income"], most_serious="debt")
    handed = await opened(desk, person=PERSON)
    await opened(intake.as_("kagoshima-npo"), person={"name": "他機関"})
    await intake.hear(
        ReferralAccepted(
            case_id=UUID(handed), referral_id=UUID(int=9), sender="kagoshima-desk", receiver="kagoshima-npo"
        )
    )
    path, period = "/v1/exports/reception-list.csv", await this_year(intake)
    header, first, second = await table(desk, path, **period)
    line, other = dict(zip(header, first, strict=True)), dict(zip(header, second, strict=True))
    assert (line["氏名"], line["生年月日"], line["相談内容"]) == (
        "髙﨑 花子",
        "昭和60年4月1日",
        "債務のこと、収入・生活費のこと",
    )
    assert line["最も深刻な相談"] == "債務のこと"
    assert (other["氏名"], other["電話番号"], other["担当機関"]) == ("", "", "kagoshima-npo"), (
        "its holder has the person now"
    )
    utf8 = await table(desk, path, "utf-8-sig", encoding="utf-8", **period)
    assert utf8 == [header, first, second]
    logged = await intake.rows("SELECT subject_id, purpose, fields FROM access_log WHERE action = 'export'")
    assert {str(entry["subject_id"]) for entry in logged} == set(await held(desk))
    assert "birth_date" in logged[0]["fields"]


async def held(desk: Caller) -> list[str]:
    return [case["case_id"] for case in await desk.whole("/v1/cases", holder="kagoshima-desk")]


async def test_another_municipalitys_desk_finds_nothing_of_it(world: World) -> None:
    intake = world.service("intake")
    case_id = await opened(intake.as_(), person=PERSON)
    far = intake.as_("zama-desk", municipalities=[ZAMA])
    period = await this_year(intake)
    assert len(await table(far, "/v1/exports/reception-list.csv", **period)) == 1
    assert len(await table(far, "/v1/exports/funnel.csv", **period)) == 1
    assert (await far.get(f"/v1/cases/{case_id}/hand-over-sheet.csv")).status_code == 404
    near = await intake.as_("kagoshima-npo").get(f"/v1/cases/{case_id}/hand-over-sheet.csv")
    assert near.status_code == 403


async def test_the_funnel_counts_every_outcome_and_sums_up(world: World) -> None:
    intake = world.service("intake")
    desk = intake.as_()
    for outcome in ("support", "support", "hand_off", None):
        case_id = await opened(desk)
        if outcome:
            assert (await desk.post(f"/v1/cases/{case_id}/screenings", {"outcome": outcome})).status_code == 201
    await opened(desk, municipality=KIRISHIMA)
    _, *lines = await table(desk, "/v1/exports/funnel.csv", **(await this_year(intake)))
    kagoshima = [line[1:] for line in lines if line[0] == "462012"]
    assert kagoshima == [
        ["1 情報提供・相談対応のみ", "0", "0.0"],
        ["2 他機関へつなぎ", "1", "25.0"],
        ["3 同意に向けて継続", "0", "0.0"],
        ["4 支援(プラン策定)", "2", "50.0"],
        ["5 中断", "0", "0.0"],
        ["未実施", "1", "25.0"],
        ["計", "4", "100.0"],
    ]
    assert [line for line in lines if line[0] == KIRISHIMA][-1][2] == "1"


async def test_the_hand_over_sheet_tells_the_whole_story_and_hides_where_somebody_hides(world: World) -> None:
    intake = world.service("intake")
    desk = intake.as_()
    case_id = await opened(
        desk, person=PERSON, topics=["debt"], next_step="ハローワークに同行", next_step_on="2026-12-01"
    )
    sheet = {line[0]: line[1] for line in await table(desk, f"/v1/cases/{case_id}/hand-over-sheet.csv")}
    assert (sheet["相談の内容"], sheet["決めたこと・次の対応"], sheet["電話番号"]) == (
        "架空の話",
        "ハローワークに同行",
        "099-000-0001",
    )
    assert (sheet["次の対応の期日"], sheet["債務のこと"], sheet["住まいのこと"]) == ("令和8年12月1日", "○", "")
    hunted = await opened(desk, person=PERSON, urgency=["violence"])
    sheet = {line[0]: line[1] for line in await table(desk, f"/v1/cases/{hunted}/hand-over-sheet.csv")}
    assert (sheet["氏名"], sheet["電話番号"]) == ("髙﨑 花子", "")


async def test_what_cp932_lacks_is_told_and_nothing_becomes_a_question_mark(world: World) -> None:
    intake = world.service("intake")
    desk = intake.as_()
    case_id = await opened(desk, person={"name": "𠮷田 架空"})
    path = f"/v1/cases/{case_id}/hand-over-sheet.csv"
    refused = await desk.get(path)
    assert (refused.status_code, refused.json()["code"]) == (409, "not_in_cp932")
    assert refused.json()["errors"][0]["character"] == "U+20BB7"
    assert "𠮷田" not in refused.text
    sheet = {line[0]: line[1] for line in await table(desk, path, "utf-8-sig", encoding="utf-8")}
    assert sheet["氏名"] == "𠮷田 架空"


async def test_a_municipality_lays_it_out_its_own_way(world: World, tmp_path: Path) -> None:
    intake = world.service("intake")
    desk = intake.as_()
    await opened(desk, person=PERSON)
    intake.database.carries["settings"] = world.settings("intake", layouts_path=tmp_path)
    (tmp_path / "reception_list.toml").write_text(
        'title = "わが市の一覧"\n[[column]]\nheading = "お名前"\nfield = "name"\n', encoding="utf-8-sig"
    )
    path, period = "/v1/exports/reception-list.csv", await this_year(intake)
    assert await table(desk, path, **period) == [["お名前"], ["髙﨑 花子"]]
    (logged,) = await intake.rows("SELECT fields FROM access_log WHERE action = 'export'")
    assert logged["fields"] == ["name"], "only what leaves is logged as leaving"
    (tmp_path / "reception_list.toml").write_text("title = 3 3", encoding="utf-8")
    broken = await desk.get(path, params=period)
    assert (broken.status_code, broken.json()["code"]) == (409, "layout_broken")
    assert len(await table(desk, "/v1/exports/funnel.csv", **period)) > 1, "the other files go on"


@pytest.mark.parametrize(
    "period", [{"from": "2026-02-01", "to": "2026-01-01"}, {"from": "2020-01-01", "to": "2026-01-01"}, {}]
)
async def test_a_list_needs_a_period_of_a_year_at_the_most(world: World, period: dict[str, str]) -> None:
    answer = await world.service("intake").as_().get("/v1/exports/reception-list.csv", params=period)
    assert answer.status_code == 422
    assert {error["in"] for error in answer.json()["errors"]} == {"query"}


async def test_a_file_that_would_be_too_long_says_what_to_do_instead(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    intake = world.service("intake")
    desk = intake.as_()
    case_id = await opened(desk, person=PERSON)
    await opened(desk)
    monkeypatch.setattr(exports, "MOST_ROWS", 1)
    await desk.get(f"/v1/cases/{case_id}/person")
    for path, params, instead in (
        ("/v1/exports/reception-list.csv", await this_year(intake), "shorter time"),
        (f"/v1/cases/{case_id}/accesses.csv", {}, "/accesses"),
    ):
        refused = (await desk.get(path, params=params)).json()
        assert (refused["code"], instead in refused["detail"]) == ("too_many_rows", True)


async def test_an_empty_list_has_its_headings(world: World) -> None:
    assert len(await table(world.service("intake").as_(), "/v1/exports/reception-list.csv", **PERIOD)) == 1


def test_the_list_for_the_person_has_words_for_everything_that_the_log_may_say() -> None:
    said = {
        "action": {*vault.Action},
        "purpose": {*Purpose, erasing.PURPOSE},
        "basis": {*Basis},
        "field": {*FIELDS, records.WORDS, persons.WITNESS, meetings.NOTE, emergencies.WORDS},
    }
    for table_, codes in said.items():
        assert codes - words_of("accesses", table_).keys() == set()


async def test_the_person_gets_the_list_of_who_looked_in_words(world: World) -> None:
    intake = world.service("intake")
    desk = intake.as_()
    case_id = await opened(desk, person=PERSON)
    await desk.get(f"/v1/cases/{case_id}/person")
    await intake.rows(
        "INSERT INTO access_log (subject_id, action, agency, actor, roles, purpose, basis, fields)"
        " SELECT $1, 'read', 'kagoshima-npo', 'somebody', '{}', 'referral', 'consent', '{name}'"
        " FROM generate_series(1, 10000)",
        UUID(case_id),
    )
    header, opening, reading, *rest = await table(desk, f"/v1/cases/{case_id}/accesses.csv")
    assert header == ["日時", "機関", "したこと", "目的", "根拠", "項目"]
    assert (opening[1:3], reading[2]) == (["kagoshima-desk", "書いた"], "見た")
    assert "相談の内容" in reading[5].split("、")
    assert len(rest) == 10_000
    assert rest[0][1:] == ["kagoshima-npo", "見た", "つなぎ", "本人の同意", "氏名"]
    far = intake.as_("zama-desk", municipalities=[ZAMA])
    assert (await far.get(f"/v1/cases/{case_id}/accesses.csv")).status_code == 404
    assert (await intake.as_("kagoshima-npo").get(f"/v1/cases/{case_id}/accesses.csv")).status_code == 403
