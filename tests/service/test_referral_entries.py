"""Whose business an entry is, whose word about room stands, what is mended in a file, and which codes there are."""

import json
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from shared.auth import Role
from shared.events import ProgrammeListed
from shared.service.clock import day_in_japan, wall_time
from tests.service.referral_region import AGENCIES, PROGRAMMES, code, consented, keeper_of, offered, opened, take_in
from tests.service.test_referral_exchange import FIRMS, PROFESSIONALS, RICH_AGENCY, WORKPLACES
from tests.world import KAGOSHIMA, KIRISHIMA, Caller, Running

TODAY = day_in_japan(wall_time())
CSV = {"Content-Type": "text/csv"}
TOKYO = "131016"
REACHED_BY_MAIL = (
    "機関ID,名称,カナ,種別,所在地コード,対象地域コード,確認者,確認日,連絡先メール,連絡方法\n"
    "{agency},{name},ナマエ,npo,{place},{place},福祉課," + str(TODAY) + ",taken@example.jp,メール\n"
)


@pytest.fixture
async def directory(referral: Running) -> Running:
    await take_in(referral, "/v1/agency-imports", AGENCIES)
    await take_in(referral, "/v1/programme-imports", PROGRAMMES)
    return referral


@pytest.fixture
async def full(directory: Running) -> Running:
    """With an agency that has professionals, a host workplace and firms."""
    for kind, content in {
        "agency": RICH_AGENCY,
        "professional": PROFESSIONALS,
        "host-workplace": WORKPLACES,
        "training-firm": FIRMS,
    }.items():
        report = await take_in(directory, f"/v1/{kind}-imports", content)
        assert report["rejected"] == 0, report
    await directory.rows("DELETE FROM outbox")
    return directory


async def check(keeper: Caller, path: str, content: str) -> Any:
    answer = await keeper.post(path, content=content.encode(), headers=CSV)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def whole(running: Running) -> Any:
    """Every agency and programme as it is kept."""
    return [
        tuple(map(str, await running.rows(f"SELECT to_jsonb(e)::text AS entry FROM {kind} e ORDER BY 1")))
        for kind in ("agency", "programme")
    ]


# --- whose business an entry is --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("agency", "place", "why"),
    [
        ("tokyo-x", TOKYO, "new, in another prefecture"),
        ("sakura-npo", TOKYO, "moved out of this prefecture"),
        ("zama-npo", KAGOSHIMA, "moved in from another prefecture"),
        ("zama-npo", "142166", "known, and another prefecture's"),
    ],
)
async def test_no_file_writes_an_agency_of_another_area(directory: Running, agency: str, place: str, why: str) -> None:
    before = await whole(directory)
    keeper = keeper_of(directory, "46")
    content = REACHED_BY_MAIL.format(agency=agency, name="別の名", place=place)
    report = await check(keeper, "/v1/agency-imports", content)
    (error,) = report["errors"]
    assert (error["row"], error["column"], error["code"]) == (2, "所在地コード", "not_your_area"), why
    assert (report["created"], report["updated"], report["rejected"]) == (0, 0, 1)
    commit = f"/v1/agency-imports/{report['import_id']}/commit"
    assert code(await keeper.post(commit, {"skip_rejected": True})) == (409, "conflict")
    assert await whole(directory) == before


@pytest.mark.parametrize("known_as", ["its courses' provider", "the case's holder", "a referral's sender"])
async def test_who_is_known_and_not_listed_is_first_listed_by_the_keeper_of_where_it_is_known(
    directory: Running, known_as: str
) -> None:
    case_id = uuid4()
    await directory.hear(opened(case_id), consented(case_id), offered())
    agency = {"its courses' provider": "school-hibiki", "the case's holder": "kagoshima-desk"}.get(known_as, "shakyo")
    if agency == "shakyo":
        (row,) = await directory.rows("SELECT id FROM programme WHERE agency_id = 'sakura-npo' LIMIT 1")
        order = {"case_id": str(case_id), "programme_id": str(row["id"]), "verb": "refer"}
        assert (await directory.as_("shakyo").post("/v1/referrals", order)).status_code == 201
    elsewhere, here = keeper_of(directory, "14"), keeper_of(directory, "46")
    report = await check(
        elsewhere, "/v1/agency-imports", REACHED_BY_MAIL.format(agency=agency, name="学校", place="142166")
    )
    assert [(error["column"], error["code"]) for error in report["errors"]] == [("所在地コード", "not_your_area")]
    report = await check(
        here, "/v1/agency-imports", REACHED_BY_MAIL.format(agency=agency, name="学校", place=KAGOSHIMA)
    )
    assert (report["rejected"], report["created"]) == (0, 1)
    unheard = REACHED_BY_MAIL.format(agency="unheard-of", name="学校", place="142166")
    assert (await check(elsewhere, "/v1/agency-imports", unheard))["created"] == 1


async def test_a_school_with_courses_is_known_where_they_are_held_and_not_where_its_cases_come_from(
    directory: Running,
) -> None:
    case_id = uuid4()
    case = opened(case_id, municipality="142166").model_copy(update={"agency_id": "school-hibiki"})
    await directory.hear(case, offered())
    for prefecture, place, created in (("14", "142166", 0), ("46", KAGOSHIMA, 1)):
        school = REACHED_BY_MAIL.format(agency="school-hibiki", name="学校", place=place)
        assert (await check(keeper_of(directory, prefecture), "/v1/agency-imports", school))["created"] == created


async def test_of_a_file_only_the_lines_of_other_areas_are_refused(directory: Running) -> None:
    keeper = keeper_of(directory, "46")
    content = AGENCIES.replace("桜の会", "桜の輪").replace("座間の会", "座間の輪")
    report = await check(keeper, "/v1/agency-imports", content)
    assert [(error["row"], error["code"]) for error in report["errors"]] == [(3, "not_your_area")]
    done = await keeper.post(f"/v1/agency-imports/{report['import_id']}/commit", {"skip_rejected": True})
    assert done.json()["updated"] == 1
    rows = await directory.rows("SELECT name FROM agency ORDER BY agency_id")
    assert [row["name"] for row in rows] == ["桜の輪", "座間の会"]


@pytest.mark.parametrize(
    ("path", "content", "column"),
    [
        ("/v1/programme-imports", PROGRAMMES.replace("座間の居場所", "ほかの居場所"), "機関ID"),
        ("/v1/professional-imports", PROFESSIONALS.replace("hana-npo", "zama-npo"), "機関ID"),
        ("/v1/host-workplace-imports", WORKPLACES.replace("hana-npo", "zama-npo"), "機関ID"),
        ("/v1/training-firm-imports", FIRMS.replace("hana-npo", "zama-npo"), "機関ID"),
    ],
)
async def test_nor_anything_else_that_such_an_agency_has(
    directory: Running, path: str, content: str, column: str
) -> None:
    report = await check(keeper_of(directory, "46"), path, content)
    assert {(error["column"], error["code"]) for error in report["errors"]} == {(column, "not_your_area")}
    assert report["rejected"] == content.count("zama-npo")


@pytest.mark.parametrize("place", [TOKYO, KAGOSHIMA])
async def test_nor_does_a_document(directory: Running, place: str) -> None:
    document = (await directory.as_().get("/v1/hsds")).json()
    zama = next(each for each in document["organizations"] if each["name"] == "座間の会")
    zama["email"], zama["x-tsunagu"]["contact_channel"] = "taken@example.jp", "email"
    zama["locations"][0]["external_identifier"] = place
    before, keeper = await whole(directory), keeper_of(directory, "46")
    checked = await keeper.post("/v1/hsds-imports", json=document)
    report = checked.json()
    assert [(error["row"], error["code"]) for error in report["errors"]] == [(3, "not_your_area")], report
    assert (report["unchanged"], report["rejected"]) == (1, 1)
    commit = f"/v1/hsds-imports/{report['import_id']}/commit"
    assert (await keeper.post(commit, {"skip_rejected": True})).status_code == 200
    assert await whole(directory) == before


async def test_a_part_of_an_organization_belongs_to_it_whatever_it_says(full: Running) -> None:
    document = (await full.as_().get("/v1/hsds")).json()
    hana = next(each for each in document["organizations"] if each["name"] == "花の会")
    hana["x-tsunagu"]["professionals"][0] |= {"agency_id": "zama-npo", "count": 9}
    keeper = keeper_of(full, "46")
    report = (await keeper.post("/v1/hsds-imports", json={"organizations": [hana], "services": []})).json()
    assert (report["rejected"], report["updated"]) == (0, 1)
    await keeper.post(f"/v1/hsds-imports/{report['import_id']}/commit", {})
    assert [(each["agency_id"], each["count"]) for each in await keeper.whole("/v1/professionals")] == [("hana-npo", 9)]


async def test_an_agency_that_keeps_a_directory_keeps_its_own_entry_and_moves_only_where_it_serves(
    directory: Running,
) -> None:
    zama = directory.as_("zama-npo", Role.DIRECTORY, municipalities=[KAGOSHIMA])
    stays = REACHED_BY_MAIL.format(agency="zama-npo", name="座間の輪", place="142166")
    assert (await check(zama, "/v1/agency-imports", stays))["updated"] == 1
    away = stays.replace("142166", TOKYO)
    assert (await check(zama, "/v1/agency-imports", away))["rejected"] == 1
    here = stays.replace("142166", KAGOSHIMA)
    assert (await check(zama, "/v1/agency-imports", here))["updated"] == 1


# --- whose word about room stands ------------------------------------------------------------------------------------


async def programme(running: Running, name: str = "桜の居場所") -> Any:
    items = await running.as_().whole("/v1/programmes")
    return next(item for item in items if item["name"] == name)


async def tell_full(running: Running) -> None:
    shown = await programme(running)
    path = f"/v1/programmes/{shown['programme_id']}/capacity"
    npo = running.as_("sakura-npo")
    answer = await npo.put(path, {"state": "full"}, etag=f'"{shown["version"]}"')
    assert answer.status_code == 200, answer.text
    await running.rows("DELETE FROM outbox")


@pytest.mark.parametrize("days", [0, 29])
async def test_no_file_puts_an_agencys_own_word_about_room_aside_and_its_line_is_told_so(
    directory: Running, days: int
) -> None:
    await tell_full(directory)
    directory.pass_time(timedelta(days=days))
    later = PROGRAMMES.replace(str(TODAY), str(TODAY + timedelta(days=days))).replace("居場所,drop", "居間,drop")
    keeper = keeper_of(directory)
    report = await check(keeper, "/v1/programme-imports", later)
    assert [(each["row"], each["column"], each["code"]) for each in report["remarks"]] == [
        (2, "空き状況", "own_word_stands")
    ]
    assert (report["remarks_total"], report["rejected"], report["updated"]) == (1, 0, 3 if days else 2)
    path = f"/v1/programme-imports/{report['import_id']}"
    assert (await keeper.get(path)).json()["remarks"] == report["remarks"]
    lines = (await keeper.get(f"{path}/errors.csv")).content.decode("utf-8-sig").splitlines()
    assert ["自ら伝えた" in line for line in lines] == [False, True, False, False]
    done = (await keeper.post(f"{path}/commit", {})).json()
    assert (done["remarks"], done["updated"]) == (report["remarks"], report["updated"])
    shown = await programme(directory, "桜の居間")
    assert (shown["capacity_said"], shown["capacity_said_by"]) == ("full", "sakura-npo")
    told = [event for event in await directory.told() if isinstance(event, ProgrammeListed)]
    assert {event.capacity_state for event in told if str(event.programme_id) == shown["programme_id"]} == {"full"}


async def test_when_an_agencys_own_word_is_too_old_a_file_may_tell(directory: Running) -> None:
    await tell_full(directory)
    directory.pass_time(timedelta(days=30))
    later = PROGRAMMES.replace(str(TODAY), str(TODAY + timedelta(days=30)))
    report = await take_in(directory, "/v1/programme-imports", later)
    assert (report["remarks"], report["updated"]) == ([], 3)
    shown = await programme(directory)
    assert (shown["capacity_state"], shown["capacity_said_by"]) == ("has_room", "kagoshima-city")


async def test_a_file_that_says_what_the_agency_said_is_not_remarked_and_the_agencys_own_file_is_its_word(
    directory: Running,
) -> None:
    await tell_full(directory)
    same = await take_in(directory, "/v1/programme-imports", PROGRAMMES.replace("空きあり", "満員"))
    assert (same["remarks"], same["unchanged"]) == ([], 3)
    own = directory.as_("sakura-npo", Role.DIRECTORY)
    lines = PROGRAMMES.splitlines(keepends=True)
    report = await check(own, "/v1/programme-imports", lines[0] + lines[1])
    assert (report["remarks"], report["updated"]) == ([], 1)


async def test_a_document_puts_no_own_word_aside_either(directory: Running) -> None:
    document = (await directory.as_().get("/v1/hsds")).json()
    await tell_full(directory)
    report = (await keeper_of(directory).post("/v1/hsds-imports", json=document)).json()
    assert [(each["row"], each["code"]) for each in report["remarks"]] == [(2, "own_word_stands")]
    assert (report["rejected"], report["updated"], report["unchanged"]) == (0, 0, 2)


# --- professionals, host workplaces and firms ------------------------------------------------------------------------

KINDS = {
    "professionals": "professional_id",
    "host-workplaces": "workplace_id",
    "training-firms": "firm_id",
}


async def one_of(running: Running, path: str) -> Any:
    first, *_ = await running.as_().whole(f"/v1/{path}")
    return first


@pytest.mark.parametrize("path", KINDS)
async def test_every_kind_of_entry_is_confirmed_shows_its_versions_and_grows_stale(full: Running, path: str) -> None:
    entry = await one_of(full, path)
    own = f"/v1/{path}/{entry[KINDS[path]]}"
    npo, observer = full.as_("hana-npo", municipalities=[KIRISHIMA]), full.as_("anybody", Role.OBSERVER)
    full.pass_time(timedelta(days=180))
    stale = await observer.whole(f"/v1/{path}", stale=True)
    assert entry[KINDS[path]] in {each[KINDS[path]] for each in stale}
    confirmed = await npo.post(f"{own}/confirm", {})
    assert (confirmed.status_code, confirmed.json()["freshness"]) == (200, "fresh"), confirmed.text
    assert confirmed.json()["confirmed_by"] == "hana-npo"
    shown = await observer.get(own)
    assert shown.headers["etag"] == confirmed.headers["etag"] == '"2"'
    assert shown.json() == confirmed.json()
    assert len(await observer.whole(f"/v1/{path}", stale=True)) == len(stale) - 1
    versions = await observer.whole(f"{own}/versions", limit=1)
    assert [(each["version"], each["by"]) for each in versions] == [(2, "hana-npo"), (1, "kagoshima-city")]
    assert versions[1]["entry"]["confirmed_by"] == "花の会"
    then = (await observer.get(f"{own}/versions", params={"at": versions[1]["at"]})).json()["items"]
    assert [each["version"] for each in then] == [1]
    for nobody in (f"/v1/{path}/{uuid4()}", f"/v1/{path}/{uuid4()}/versions"):
        assert code(await observer.get(nobody)) == (404, "not_found")
    assert code(await npo.post(f"/v1/{path}/{uuid4()}/confirm", {})) == (404, "not_found")
    assert code(await full.as_("sakura-npo").post(f"{own}/confirm", {})) == (403, "forbidden")
    assert code(await observer.post(f"{own}/confirm", {})) == (403, "forbidden")


async def test_what_an_agency_is_asked_to_confirm_can_be_confirmed(full: Running) -> None:
    npo = full.as_("hana-npo", municipalities=[KIRISHIMA])
    full.pass_time(timedelta(days=90))
    paths = {"agency": "agencies", "professional": "professionals"}
    paths |= {"host_workplace": "host-workplaces", "training_firm": "training-firms"}
    asked = await npo.whole("/v1/agencies/hana-npo/confirmations")
    assert {each["kind"] for each in asked} == set(paths)
    for each in asked:
        if each["what"] == "entry":
            answer = await npo.post(f"/v1/{paths[each['kind']]}/{each['entry_id']}/confirm", {})
            assert answer.status_code == 200, answer.text
    left = await npo.whole("/v1/agencies/hana-npo/confirmations")
    assert [(each["kind"], each["what"]) for each in left] == [("host_workplace", "room")]


async def test_a_host_workplaces_own_agency_tells_its_trial_places_and_no_file_puts_them_aside(full: Running) -> None:
    entry = await one_of(full, "host-workplaces")
    path = f"/v1/host-workplaces/{entry['workplace_id']}/trial-places"
    npo = full.as_("hana-npo", municipalities=[KIRISHIMA])
    body = {"steps": [{"step": "week", "places": 2, "free": 0}, {"step": "visit", "places": 3, "free": 3}]}
    assert code(await npo.put(path, body, etag=None)) == (428, "if_match_missing")
    for other in (full.as_("sakura-npo"), keeper_of(full)):
        assert code(await other.put(path, body, etag='"1"')) == (403, "forbidden")
    told = await npo.put(path, body, etag='"1"')
    assert told.status_code == 200, told.text
    assert [(each["step"], each["free"]) for each in told.json()["steps"]] == [("visit", 3), ("week", 0)]
    assert (told.json()["steps_said_by"], told.json()["steps_said_on"]) == ("hana-npo", str(TODAY))
    assert code(await npo.put(path, body, etag='"1"')) == (412, "stale")
    for wrong, why in (
        ([{"step": "visit", "places": 1, "free": 2}], "more_free_than_all"),
        ([{"step": "visit", "places": 1}] * 2, "trial_steps"),
        ([{"step": "month", "places": 1}], "enum"),
    ):
        refused = await npo.put(path, {"steps": wrong}, etag='"2"')
        assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, why)

    report = await take_in(full, "/v1/host-workplace-imports", WORKPLACES)
    assert [(each["column"], each["code"]) for each in report["remarks"]] == [("受入れ段階", "own_word_stands")]
    assert (await one_of(full, "host-workplaces"))["steps"] == told.json()["steps"]
    full.pass_time(timedelta(days=30))
    old = await one_of(full, "host-workplaces")
    assert [each["free"] for each in old["steps"]] == [None, None], "nobody knows any more"
    asked = await npo.whole("/v1/agencies/hana-npo/confirmations")
    assert [(each["kind"], each["what"]) for each in asked] == [("host_workplace", "room")]
    later = WORKPLACES.replace(str(TODAY), str(TODAY + timedelta(days=30)))
    assert (await take_in(full, "/v1/host-workplace-imports", later))["remarks"] == []
    assert (await one_of(full, "host-workplaces"))["steps"] == entry["steps"]


async def test_professionals_are_asked_for_by_where_they_may_be_called(full: Running) -> None:
    more = f"sakura-npo,nurse,1,,桜の会,{TODAY}\nzama-npo,nurse,1,{KAGOSHIMA},座間の会,{TODAY}\n"
    await take_in(full, "/v1/professional-imports", PROFESSIONALS.splitlines(keepends=True)[0] + more)
    desk = full.as_()
    for place, found in {
        KAGOSHIMA: ["sakura-npo", "zama-npo"],
        KIRISHIMA: ["hana-npo", "sakura-npo"],
        TOKYO: [],
    }.items():
        items = await desk.whole("/v1/professionals", municipality=place)
        assert sorted(each["agency_id"] for each in items) == found, place
    firms = await desk.whole("/v1/training-firms", municipality=KIRISHIMA, industry="food")
    assert [each["firm_code"] for each in firms] == ["pan"]
    assert await desk.whole("/v1/training-firms", municipality=KAGOSHIMA) == []


async def test_a_call_is_planned_for_a_day_that_has_not_gone_by(full: Running) -> None:
    firm = await one_of(full, "training-firms")
    npo = full.as_("hana-npo", municipalities=[KIRISHIMA])
    yesterday = str(TODAY - timedelta(days=1))
    for state in ("interested", "applying"):
        answer = await npo.post(
            f"/v1/training-firms/{firm['firm_id']}/steps", {"state": state, "follow_up_on": yesterday}
        )
        (error,) = answer.json()["errors"]
        assert (answer.status_code, error["pointer"], error["code"]) == (422, "/follow_up_on", "follow_up_past")
    overdue = FIRMS.replace(f"agriculture,{TODAY}", f"agriculture,{yesterday}")
    report = await take_in(full, "/v1/training-firm-imports", overdue)
    assert [(each["row"], each["column"], each["code"]) for each in report["remarks"]] == [
        (2, "次の連絡日", "follow_up_past")
    ], "it goes in, since that nobody has called is true"


async def test_of_an_agency_that_is_not_there_nothing_waits(referral: Running) -> None:
    desk = referral.as_()
    for path in ("/v1/agencies/nobody-there", "/v1/agencies/nobody-there/confirmations"):
        assert code(await desk.get(path)) == (404, "not_found")


# --- codes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "content", "column", "nearest"),
    [
        ("programme", PROGRAMMES.replace("isolation people", "isolatoin"), "対応する課題", "isolation 孤立"),
        ("programme", PROGRAMMES.replace("drop_in_space", "居場処", 1), "支援機能", "drop_in_space 居場所"),
        ("agency", AGENCIES.replace(",npo,", ",npooo,", 1), "種別", "npo NPO・市民団体"),
        (
            "professional",
            PROFESSIONALS.replace("psychiatric_social_worker", "phychiatric_socal_wrker"),
            "専門職",
            "psychiatric_social_worker 精神保健福祉士",
        ),
        ("host-workplace", WORKPLACES.replace("textile", "textil"), "業種コード", "textile 繊維・縫製"),
        ("training-firm", FIRMS.replace("agriculture", "agricultur"), "業種コード", "agriculture 農業・林業"),
    ],
)
async def test_a_code_that_nobody_knows_is_refused_with_the_nearest(
    full: Running, kind: str, content: str, column: str, nearest: str
) -> None:
    report = await check(keeper_of(full), f"/v1/{kind}-imports", content)
    (error,) = report["errors"]
    assert (error["row"], error["column"], error["code"]) == (2, column, "not_in_vocabulary")
    assert nearest in error["message"]
    assert nearest in error["message_ja"]


async def test_a_word_is_as_good_as_its_code(full: Running) -> None:
    words = {
        "programme": PROGRAMMES.replace("isolation people", "孤立 人との習慣と力").replace("drop_in_space", "居場所"),
        "agency": AGENCIES.replace(",npo,", ",ＮＰＯ・市民団体,"),
        "professional": PROFESSIONALS.replace("psychiatric_social_worker", "精神保健福祉士"),
        "host-workplace": WORKPLACES.replace("textile", "繊維・縫製"),
        "training-firm": FIRMS.replace("agriculture", "農業・林業"),
    }
    for kind, content in words.items():
        report = await check(keeper_of(full), f"/v1/{kind}-imports", content)
        assert (report["rejected"], report["unchanged"]) == (0, report["rows"]), report


@pytest.mark.parametrize(
    ("path", "params", "nearest"),
    [
        ("/v1/programmes", {"function": "drop_in_spce"}, "drop_in_space 居場所"),
        ("/v1/agencies", {"kind": "npooo"}, "npo NPO・市民団体"),
        ("/v1/professionals", {"profession": "nurze"}, "nurse 看護師"),
        ("/v1/host-workplaces", {"industry": "textil"}, "textile 繊維・縫製"),
        ("/v1/training-firms", {"industry": "nougyouu"}, None),
    ],
)
async def test_a_list_asked_for_by_a_code_that_nobody_knows_is_no_empty_list(
    full: Running, path: str, params: dict[str, str], nearest: str | None
) -> None:
    answer = await full.as_().get(path, params=params)
    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["code"]) == (422, "not_in_vocabulary")
    assert error["pointer"] == f"/{next(iter(params))}"
    if nearest is not None:
        assert nearest in error["message_ja"]


async def test_a_list_can_be_asked_for_in_words(full: Running) -> None:
    desk = full.as_()
    assert len(await desk.whole("/v1/programmes", function="居場所")) == 2
    assert len(await desk.whole("/v1/professionals", profession="精神保健福祉士")) == 1
    assert await desk.whole("/v1/professionals", profession="nurse") == [], "known, and nobody has one"


async def test_how_an_agency_is_reached_is_written_in_words_and_refused_with_them(directory: Running) -> None:
    keeper, line = keeper_of(directory), REACHED_BY_MAIL.format(agency="sakura-npo", name="桜の会", place=KAGOSHIMA)
    for word in ("手紙", "郵送", "letter"):
        assert (await check(keeper, "/v1/agency-imports", line.replace("メール\n", f"{word}\n")))["rejected"] == 0
    report = await check(keeper, "/v1/agency-imports", line.replace(",メール\n", ",伝書鳩\n"))
    (error,) = report["errors"]
    assert (error["column"], error["code"]) == ("連絡方法", "enum")
    assert "アカウント (account)、メール (email)、郵送 (letter)" in error["message_ja"]


# --- a leading zero --------------------------------------------------------------------------------------------------


async def test_a_leading_zero_that_a_spreadsheet_dropped_is_put_back_and_told(referral: Running) -> None:
    keeper = keeper_of(referral, "01")
    line = REACHED_BY_MAIL.format(agency="sapporo-npo", name="札幌の会", place="11002")
    report = await check(keeper, "/v1/agency-imports", line)
    assert [(each["row"], each["column"], each["code"]) for each in report["remarks"]] == [
        (2, "所在地コード", "zero_put_back"),
        (2, "対象地域コード", "zero_put_back"),
    ]
    done = await keeper.post(f"/v1/agency-imports/{report['import_id']}/commit", {})
    assert done.json()["created"] == 1
    shown = (await keeper.get("/v1/agencies/sapporo-npo")).json()
    assert (shown["municipality"], shown["municipalities_served"]) == ("011002", ["011002"])
    wrong = await check(keeper, "/v1/agency-imports", line.replace("11002", "11003"))
    assert {error["code"] for error in wrong["errors"]} == {"municipality_code"}
    assert wrong["remarks"] == []


async def test_over_json_a_code_is_as_it_was_sent(referral: Running) -> None:
    keeper = keeper_of(referral, "01")
    line = REACHED_BY_MAIL.format(agency="sapporo-npo", name="札幌の会", place="011002")
    report = await check(keeper, "/v1/agency-imports", line)
    await keeper.post(f"/v1/agency-imports/{report['import_id']}/commit", {})
    document = json.loads((await keeper.get("/v1/hsds")).text.replace("011002", "11002"))
    report = (await keeper.post("/v1/hsds-imports", json=document)).json()
    assert (report["rejected"], report["remarks"]) == (1, [])
    assert "municipality_code" in {error["code"] for error in report["errors"]}
    assert code(await keeper.get("/v1/agencies", params={"municipality": "11002"})) == (422, "invalid")
