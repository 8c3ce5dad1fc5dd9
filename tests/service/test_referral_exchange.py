"""The directory goes out as files and into an empty service, and is the same; what is wrong in a file is told."""

import csv
import io
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from embedded.postgres import EmbeddedPostgres
from services.referral.tables import listing
from shared.auth import Role
from shared.events import AgencyListed, ProgrammeListed
from shared.service.clock import day_in_japan, wall_time
from tests.service.referral_region import AGENCIES, PROGRAMMES, code, keeper_of, take_in
from tests.stock import Stock
from tests.world import KAGOSHIMA, KIRISHIMA, Caller, Running, World

TODAY = day_in_japan(wall_time())
KINDS = {
    "agency": "agencies",
    "programme": "programmes",
    "professional": "professionals",
    "host_workplace": "host-workplaces",
    "training_firm": "training-firms",
}
RICH_AGENCY = (
    "機関ID,名称,カナ,種別,所在地コード,対象地域コード,電話,確認者,確認日,窓口,受付時間,定休日,休業日,連絡先メール,連絡方法\n"
    f"hana-npo,花の会,ハナノカイ,npo,462187,462187,0995-00-0000,福祉課,{TODAY},"
    '"総合窓口|0995-00-0001|consultation|予約制\n出張窓口",月-金 8:30-17:15、土 9:00-12:00,日,2027-01-04 2027-01-05,'
    "uketsuke@hana.example,メール\n"
)
RICH_PROGRAMME = (
    "機関ID,事業コード,事業名,支援機能,系統,段階,対応する課題,空き状況,定員,空き数,空き確認日,確認者,確認日,対象者コード,"
    "利用条件,根拠,開始日,終了日,受領期限(日),初回連絡期限(日),開始期限(日)\n"
    f"hana-npo,houmon,=花の訪問,訪問相談・アウトリーチ,4,訪問,isolation family,空きあり,10,3,{TODAY},花の会,{TODAY},"
    '"withdrawal,youth","resident|市内にお住まいの方\nfamily_agrees|ご家族の了解",self_reliance_act_3,2026-04-01,2027-03-31,1,3,10\n'
)
PROFESSIONALS = (
    f"機関ID,専門職,人数,対象地域コード,確認者,確認日\nhana-npo,psychiatric_social_worker,2,462187,花の会,{TODAY}\n"
)
WORKPLACES = (
    "機関ID,事業所コード,法人番号,事業所名,所在地コード,業種コード,受入れ段階,確認者,確認日\n"
    f"hana-npo,koubou,7000012050002,(架空)つむぎ工房,462187,textile,見学:3/1、一週間:2,花の会,{TODAY}\n"
)
FIRMS = (
    "機関ID,事業者コード,事業者名,所在地コード,業種コード,次の連絡日,認定日,認定者コード,確認者,確認日,状態\n"
    f"hana-npo,nouen,(架空)みどり農園,462187,agriculture,{TODAY},,,花の会,{TODAY},関心あり\n"
    f"hana-npo,pan,(架空)ひだまりパン,462187,food,,2026-04-01,460001,花の会,{TODAY},認定\n"
)


@pytest.fixture
async def full(referral: Running) -> Running:
    """A directory that has something in every column."""
    for kind, contents in {
        "agency": (AGENCIES, RICH_AGENCY),
        "programme": (PROGRAMMES, RICH_PROGRAMME),
        "professional": (PROFESSIONALS,),
        "host-workplace": (WORKPLACES,),
        "training-firm": (FIRMS,),
    }.items():
        for content in contents:
            report = await take_in(referral, f"/v1/{kind}-imports", content)
            assert report["rejected"] == 0, report
            assert report["ignored_columns"] == []
    return referral


@pytest.fixture
async def elsewhere(postgres: EmbeddedPostgres, stock: Stock) -> AsyncIterator[Running]:
    """The same service in another region, with an empty directory."""
    name = stock.take()
    async with World(postgres, name).opened() as world:
        yield world.service("referral")
    stock.give_back(name)


async def whole(referral: Running) -> dict[str, list[Any]]:
    """Every entry as it is kept; ids and versions are each service's own."""
    found = {}
    for kind in KINDS:
        rows = await referral.rows(f"SELECT (to_jsonb(e) - 'id' - 'version')::text AS entry FROM {kind} e")
        found[kind] = sorted((json.loads(row["entry"]) for row in rows), key=str)
    return found


@pytest.mark.parametrize(("encoding", "columns"), [("cp932", "ours"), ("utf-8", "ours"), ("cp932", "gif")])
async def test_a_directory_goes_out_as_csv_and_into_an_empty_service(
    full: Running, elsewhere: Running, encoding: str, columns: str
) -> None:
    observer = full.as_("anybody", Role.OBSERVER)
    for kind, name in KINDS.items():
        answer = await observer.get(f"/v1/exports/{name}.csv", params={"encoding": encoding, "columns": columns})
        assert answer.status_code == 200, answer.text
        assert ("pd:" in answer.text or "ad:" in answer.text) == (columns == "gif" and kind != "professional")
        assert answer.headers["content-type"].startswith("text/csv")
        report = await take_in(elsewhere, f"/v1/{kind.replace('_', '-')}-imports", answer.content)
        assert (report["rejected"], report["updated"], report["unchanged"]) == (0, 0, 0)
        assert report["encoding"] == ("cp932" if encoding == "cp932" else "utf-8-sig")
    before = await whole(full)
    assert await whole(elsewhere) == before
    assert {kind: len(entries) for kind, entries in before.items()} == {
        "agency": 3,
        "programme": 4,
        "professional": 1,
        "host_workplace": 1,
        "training_firm": 2,
    }


async def test_a_directory_goes_out_as_hsds_and_into_an_empty_service(full: Running, elsewhere: Running) -> None:
    keeper = keeper_of(elsewhere)
    cursor: str | None = ""
    pages = 0
    while cursor is not None:
        answer = await full.as_().get("/v1/hsds", params={"limit": 2} | ({"cursor": cursor} if cursor else {}))
        assert answer.status_code == 200, answer.text
        cursor, pages = answer.json()["next_cursor"], pages + 1
        path = "/v1/hsds-imports"
        checked = await keeper.post(path, content=answer.content, headers={"Content-Type": "application/json"})
        assert checked.status_code == 201, checked.text
        assert checked.json()["rejected"] == 0, checked.text
        done = await keeper.post(f"{path}/{checked.json()['import_id']}/commit", {})
        assert (done.status_code, done.json()["created"]) == (200, checked.json()["rows"])
    assert pages == 2
    assert await whole(elsewhere) == await whole(full)
    told = [type(event) for event in await elsewhere.told()]
    assert (told.count(AgencyListed), told.count(ProgrammeListed)) == (3, 4)


async def test_the_same_document_again_changes_nothing(full: Running) -> None:
    keeper = keeper_of(full)
    content = (await keeper.get("/v1/hsds")).content
    again = await keeper.post("/v1/hsds-imports", content=content, headers={"Content-Type": "application/json"})
    assert (again.json()["unchanged"], again.json()["updated"], again.json()["created"]) == (3, 0, 0)


async def test_what_is_wrong_in_a_document_is_told_with_its_place(full: Running) -> None:
    keeper = keeper_of(full)
    document = (await keeper.get("/v1/hsds")).json()
    document["services"][0]["x-tsunagu"]["capacity_free"] = 99
    document["services"][0]["x-tsunagu"]["capacity_total"] = 1
    document["organizations"][1]["organization_identifiers"] = []
    document["organizations"][2]["locations"] = "here"
    path = "/v1/hsds-imports"
    checked = await keeper.post(path, json=document)
    errors = checked.json()["errors"]
    assert [(error["row"], error["code"]) for error in errors if error["code"] != "string_type"] == [
        (2, "more_free_than_all"),
        (4, "not_hsds"),
    ]
    assert errors[0]["column"] == "programmes/0/capacity_free"
    assert {error["row"] for error in errors} == {2, 3, 4}
    errors_file = await keeper.get(f"{path}/{checked.json()['import_id']}/errors.csv")
    lines = list(csv.DictReader(io.StringIO(errors_file.content.decode("utf-8-sig"))))
    assert "定員より多く" in lines[0]["エラー"]
    assert all(line["エラー"] for line in lines)
    refused = await keeper.post(f"{path}/{checked.json()['import_id']}/commit", {})
    assert code(refused) == (409, "conflict")


async def test_the_same_programme_twice_is_none(full: Running) -> None:
    keeper = keeper_of(full)
    document = (await keeper.get("/v1/hsds")).json()
    document["services"].append(document["services"][0])
    (error,) = (await keeper.post("/v1/hsds-imports", json=document)).json()["errors"]
    assert (error["row"], error["code"]) == (2, "twice")


async def test_another_systems_document_changes_only_what_it_speaks_of(full: Running) -> None:
    keeper = keeper_of(full)
    before = (await keeper.get("/v1/agencies/hana-npo")).json()
    document = (await keeper.get("/v1/hsds")).json()
    organization = next(each for each in document["organizations"] if each["name"] == "花の会")
    organization["name"] = "花の輪"
    for name in ("contacts", "phones"):
        del organization[name]
    organization["locations"][0].pop("schedules")
    for name in ("closed_days", "closed_weekdays", "professionals", "host_workplaces", "training_firms"):
        del organization["x-tsunagu"][name]
    body = {"organizations": [organization], "services": []}
    checked = await keeper.post("/v1/hsds-imports", json=body)
    assert checked.json()["rejected"] == 0, checked.text
    await keeper.post(f"/v1/hsds-imports/{checked.json()['import_id']}/commit", {})
    after = (await keeper.get("/v1/agencies/hana-npo")).json()
    assert {name for name in after if after[name] != before[name]} == {"name", "version"}
    assert len(await keeper.whole("/v1/training-firms")) == 2


@pytest.mark.parametrize(
    ("body", "refused"),
    [
        (b"{", (400, "malformed")),
        (b"[]", (422, "invalid")),
        (b'{"organizations": [], "services": []}', (422, "invalid")),
        (b'{"organizations": [{"id": "a"}], "services": [3]}', (422, "invalid")),
        (b'{"organizations": [{"id": "a"}], "services": [{"id": "s", "organization_id": "b"}]}', (422, "invalid")),
        (b'{"organizations": [{"id": "a", "remark": "1234 5678 9018"}], "services": []}', (422, "invalid")),
    ],
)
async def test_a_document_that_is_none_is_refused_whole(
    referral: Running, body: bytes, refused: tuple[int, str]
) -> None:
    keeper = keeper_of(referral)
    answer = await keeper.post("/v1/hsds-imports", content=body, headers={"Content-Type": "application/json"})
    assert code(answer) == refused
    assert await referral.rows("SELECT 1 FROM import_file") == []


async def test_a_character_that_cp932_lacks_is_named_and_utf_8_has_it(referral: Running) -> None:
    await take_in(referral, "/v1/agency-imports", AGENCIES.replace("座間の会", "𠮷田の会"))
    desk = referral.as_()
    answer = await desk.get("/v1/exports/agencies.csv")
    assert code(answer) == (409, "not_in_cp932")
    (error,) = answer.json()["errors"]
    assert (error["row"], error["column"], error["character"]) == (3, "名称", "U+20BB7")
    assert "𠮷田の会" in (await desk.get("/v1/exports/agencies.csv", params={"encoding": "utf-8"})).content.decode(
        "utf-8"
    )


async def test_a_long_export_goes_on_where_it_says(full: Running) -> None:
    desk, path, found = full.as_(), "/v1/exports/programmes.csv?limit=3", []
    for _ in range(3):
        answer = await desk.get(path)
        found += list(csv.DictReader(io.StringIO(answer.content.decode("cp932"))))
        if "link" not in answer.headers:
            break
        path = f"/v1/exports/programmes.csv{answer.headers['link'].removeprefix('<').partition('>')[0]}"
    assert [row["事業コード"] for row in found] == ["houmon", "ibasho", "junbi", "ibasho"]
    assert found[0]["事業名"] == "'=花の訪問", "no spreadsheet runs it"


async def test_of_ten_thousand_rows_the_three_hundred_wrong_ones_are_told_with_line_field_and_remedy(
    referral: Running,
) -> None:
    await take_in(referral, "/v1/agency-imports", AGENCIES)
    wrong = {
        0: ("drop_in_spase", "居場所", "支援機能", "近いコード: drop_in_space"),
        1: ("drop_in_space", "喫茶", "段階", "決められたコードではありません"),
        2: ("drop_in_space", "居場所", "機関ID", "支援機関のファイル"),
    }
    lines = [PROGRAMMES.splitlines()[0]]
    for number in range(10_000):
        kind = number // 33 % 3 if number % 33 == 0 and number < 9_900 else None
        function, stage, *_ = wrong[kind] if kind is not None else ("drop_in_space", "居場所")
        agency = "nobody-npo" if kind == 2 else "sakura-npo"
        lines.append(f"{agency},p-{number},居場所{number},{function},4,{stage},,isolation,空きあり,{TODAY}")
    keeper = keeper_of(referral)
    content = "\r\n".join(lines).encode("cp932")
    path = "/v1/programme-imports"
    checked = await keeper.post(path, content=content, headers={"Content-Type": "text/csv"})
    report = checked.json()
    assert (report["rows"], report["rejected"], report["errors_total"], report["created"]) == (10_000, 300, 300, 9_700)
    for error in report["errors"]:
        kind = (error["row"] - 2) // 33 % 3
        assert (error["row"] - 2) % 33 == 0
        assert error["column"] == wrong[kind][2]
        assert wrong[kind][3] in error["message_ja"]
    assert await referral.rows("SELECT 1 FROM programme") == []
    told = await keeper.get(f"{path}/{report['import_id']}/errors.csv")
    assert told.headers["content-type"] == "text/csv; charset=shift_jis", "as the office's Excel opens it"
    rows = list(csv.DictReader(io.StringIO(told.content.decode("cp932"), newline="")))
    assert list(rows[0])[-1] == "エラー"
    assert [number for number, row in enumerate(rows, start=2) if row["エラー"]] == list(range(2, 9_902, 33))
    commit = f"{path}/{report['import_id']}/commit"
    assert code(await keeper.post(commit, {})) == (409, "conflict")
    assert await referral.rows("SELECT 1 FROM programme") == [], "nothing half done"
    await referral.rows("DELETE FROM outbox")
    done = await keeper.post(commit, {"skip_rejected": True})
    assert (done.status_code, done.json()["created"]) == (200, 9_700)
    (count,) = await referral.rows(
        "SELECT (SELECT count(*) FROM outbox) AS told, (SELECT count(DISTINCT key) FROM outbox) AS keys,"
        " (SELECT count(*) FROM directory_version WHERE kind = 'programme') AS kept"
    )
    assert (count["told"], count["kept"], count["keys"]) == (9_700, 9_700, 9_700)


# --- firms, workplaces, professionals --------------------------------------------------------------------------------


async def firm(referral: Running, name: str) -> Any:
    return next(item for item in await referral.as_().whole("/v1/training-firms") if item["firm_code"] == name)


async def test_a_firm_goes_its_way_step_by_step_and_every_step_is_kept(full: Running) -> None:
    npo: Caller = full.as_("hana-npo")
    path = f"/v1/training-firms/{(await firm(full, 'nouen'))['firm_id']}"
    too_far = await npo.post(
        f"{path}/steps", {"state": "certified", "certified_on": "2026-11-20", "certified_by": "460001"}
    )
    assert code(too_far) == (409, "illegal_move")
    assert {error["legal"] for error in too_far.json()["errors"]} == {"applying", "lapsed"}
    later = str(TODAY + timedelta(days=20))
    called = await npo.post(f"{path}/steps", {"state": "interested", "follow_up_on": later})
    assert (called.status_code, called.json()["follow_up_on"]) == (200, later), called.text
    applying = await npo.post(f"{path}/steps", {"state": "applying", "follow_up_on": later})
    assert applying.json()["next_states"] == ["certified", "lapsed"]
    missing = await npo.post(f"{path}/steps", {"state": "certified"})
    assert (missing.status_code, missing.json()["errors"][0]["code"]) == (422, "certificate_missing")
    body = {"state": "certified", "certified_on": "2026-11-20", "certified_by": "460001"}
    certified = await npo.post(f"{path}/steps", body)
    assert (certified.json()["state"], certified.json()["confirmed_by"]) == ("certified", "hana-npo")
    steps = await full.as_("anybody", Role.OBSERVER).whole(f"{path}/steps", limit=1)
    assert [(step["was"], step["state"], step["follow_up_on"], step["by"]) for step in steps] == [
        (None, "interested", str(TODAY), "kagoshima-city"),
        ("interested", "interested", later, "hana-npo"),
        ("interested", "applying", later, "hana-npo"),
        ("applying", "certified", None, "hana-npo"),
    ]
    assert code(await npo.get(f"/v1/training-firms/{uuid4()}/steps")) == (404, "not_found")
    assert code(await full.as_("sakura-npo").post(f"{path}/steps", body)) == (403, "forbidden")


async def test_a_file_moves_no_firm_where_it_cannot_go(full: Running) -> None:
    keeper = keeper_of(full)
    back = FIRMS.replace(f",,2026-04-01,460001,花の会,{TODAY},認定", f",{TODAY},,,花の会,{TODAY},申請中")
    answer = await keeper.post("/v1/training-firm-imports", content=back.encode(), headers={"Content-Type": "text/csv"})
    (error,) = answer.json()["errors"]
    assert (error["row"], error["column"], error["code"]) == (3, "状態", "illegal_move")
    assert "失効" in error["message_ja"]


async def test_a_document_moves_no_firm_either_and_leaves_its_agency_untouched(full: Running) -> None:
    keeper = keeper_of(full)
    document = (await keeper.get("/v1/hsds")).json()
    organization = document["organizations"][0]
    organization["name"] = "花の輪"
    pan = next(each for each in organization["x-tsunagu"]["training_firms"] if each["firm_code"] == "pan")
    pan |= {"state": "applying", "follow_up_on": str(TODAY), "certified_on": None, "certified_by": None}
    checked = await keeper.post("/v1/hsds-imports", json=document)
    assert [error["code"] for error in checked.json()["errors"]] == ["illegal_move"]
    done = await keeper.post(f"/v1/hsds-imports/{checked.json()['import_id']}/commit", {"skip_rejected": True})
    assert done.status_code == 200
    assert (await keeper.get("/v1/agencies/hana-npo")).json()["name"] == "花の会"


async def test_a_file_takes_no_certificate_away_from_a_firm_that_lapses(full: Running) -> None:
    lapsed = FIRMS.replace(f",,2026-04-01,460001,花の会,{TODAY},認定", f",,,,花の会,{TODAY},失効")
    for _ in range(2):
        assert (await take_in(full, "/v1/training-firm-imports", lapsed))["rejected"] == 0
        pan = await firm(full, "pan")
        assert (pan["state"], pan["certified_on"], pan["certified_by"]) == ("lapsed", "2026-04-01", "460001")


async def test_where_firms_stand_is_asked_once_for_a_whole_file(full: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    known_firms = listing.known_firms

    async def count(session: Any, keys: Any) -> Any:
        asked.append(len(keys))
        return await known_firms(session, keys)

    monkeypatch.setattr(listing, "known_firms", count)
    keeper = keeper_of(full)
    checked = await keeper.post(
        "/v1/training-firm-imports", content=FIRMS.encode(), headers={"Content-Type": "text/csv"}
    )
    assert (checked.json()["unchanged"], asked) == (2, [2])
    asked.clear()
    checked = await keeper.post("/v1/hsds-imports", json=(await keeper.get("/v1/hsds")).json())
    assert (checked.json()["rejected"], asked) == (0, [2])


async def test_nor_does_a_document(full: Running) -> None:
    document = (await keeper_of(full).get("/v1/hsds")).json()
    pan = next(
        each for each in document["organizations"][0]["x-tsunagu"]["training_firms"] if each["firm_code"] == "pan"
    )
    pan |= {"state": "lapsed", "certified_on": None, "certified_by": None}
    checked = (await keeper_of(full).post("/v1/hsds-imports", json=document)).json()
    assert checked["rejected"] == 0, checked
    await keeper_of(full).post(f"/v1/hsds-imports/{checked['import_id']}/commit", {})
    assert (await firm(full, "pan"))["certified_on"] == "2026-04-01"


async def test_firms_whose_day_has_come_are_listed(full: Running) -> None:
    desk = full.as_()
    assert [item["firm_code"] for item in await desk.whole("/v1/training-firms", due=True)] == ["nouen"]
    assert [item["firm_code"] for item in await desk.whole("/v1/training-firms", due=False)] == ["pan"]
    assert [item["firm_code"] for item in await desk.whole("/v1/training-firms", state="certified")] == ["pan"]
    assert len(await desk.whole("/v1/training-firms", agency_id="hana-npo", limit=1)) == 2


async def test_workplaces_and_professionals_are_found_by_what_they_offer(full: Running) -> None:
    desk = full.as_()
    (workplace,) = await desk.whole("/v1/host-workplaces", step="visit", municipality=KIRISHIMA)
    assert workplace["steps"] == [
        {"step": "visit", "places": 3, "free": 1},
        {"step": "week", "places": 2, "free": None},
    ]
    for nothing in ({"step": "job"}, {"industry": "food"}, {"municipality": KAGOSHIMA}, {"agency_id": "sakura-npo"}):
        assert await desk.whole("/v1/host-workplaces", **nothing) == []
    (professional,) = await desk.whole("/v1/professionals", profession="psychiatric_social_worker")
    assert (professional["count"], professional["agency_name"], professional["freshness"]) == (2, "花の会", "fresh")
    assert await desk.whole("/v1/professionals", profession="nurse") == []
