"""The directory kept alive: who confirms, who tells of room, what grows stale, and that every version stays."""

import asyncio
from datetime import date, timedelta
from typing import Any
from uuid import uuid4

import pytest

from shared.auth import Role
from shared.events import AgencyListed, ProgrammeListed
from shared.service.clock import day_in_japan, wall_time
from tests.service.referral_region import AGENCIES, PROGRAMMES, Region, code, keeper_of, take_in
from tests.world import KAGOSHIMA, KIRISHIMA, ZAMA, Running, World

TODAY = day_in_japan(wall_time())
ROOM = {"state": "has_room", "total": 10, "free": 3}


@pytest.fixture
async def directory(world: World) -> Running:
    referral = world.service("referral")
    await take_in(referral, "/v1/agency-imports", AGENCIES)
    await take_in(referral, "/v1/programme-imports", PROGRAMMES)
    await referral.rows("DELETE FROM outbox")
    return referral


async def programme(referral: Running, name: str = "桜の居場所") -> Any:
    items = await referral.as_().whole("/v1/programmes")
    return next(item for item in items if item["name"] == name)


async def tell_room(referral: Running, caller: Any, body: Any = ROOM, etag: str | None = '"1"') -> Any:
    path = f"/v1/programmes/{(await programme(referral))['programme_id']}/capacity"
    return await caller.put(path, body, etag=etag)


async def test_an_agency_tells_its_own_room_and_everybody_hears(directory: Running) -> None:
    answer = await tell_room(directory, directory.as_("sakura-npo"))
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert answer.headers["etag"] == '"2"'
    assert (told["capacity_state"], told["capacity_total"], told["capacity_free"]) == ("has_room", 10, 3)
    assert told["capacity_confirmed_on"] == TODAY.isoformat()
    (event,) = await directory.told()
    assert isinstance(event, ProgrammeListed)
    assert (event.capacity_state, event.capacity_vacant, event.version) == ("has_room", 3, 2)


@pytest.mark.parametrize(
    ("agency", "roles", "refused"),
    [
        ("zama-npo", (Role.COUNSELLOR,), (403, "forbidden")),
        ("kagoshima-city", (Role.DIRECTORY,), (403, "forbidden")),
        ("sakura-npo", (Role.OBSERVER,), (403, "forbidden")),
    ],
)
async def test_nobody_else_knows_an_agencys_room(
    directory: Running, agency: str, roles: tuple[Role, ...], refused: tuple[int, str]
) -> None:
    assert code(await tell_room(directory, directory.as_(agency, *roles))) == refused
    assert (await programme(directory))["version"] == 1


async def test_room_is_told_of_the_version_that_was_read(directory: Running) -> None:
    npo = directory.as_("sakura-npo")
    assert code(await tell_room(directory, npo, etag=None)) == (428, "if_match_missing")
    assert (await tell_room(directory, npo)).status_code == 200
    assert code(await tell_room(directory, npo)) == (412, "stale")
    assert code(await npo.put(f"/v1/programmes/{uuid4()}/capacity", ROOM, etag='"1"')) == (404, "not_found")


async def test_of_two_who_tell_at_once_one_is_late(directory: Running) -> None:
    npo = directory.as_("sakura-npo")
    answers = await asyncio.gather(*(tell_room(directory, npo, ROOM | {"free": free}) for free in (1, 2, 3, 4)))
    assert sorted(answer.status_code for answer in answers) == [200, 412, 412, 412]
    assert (await programme(directory))["version"] == 2


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (ROOM | {"free": 11}, "more_free_than_all"),
        (ROOM | {"free": 0}, "room_without_free"),
        (ROOM | {"state": "full"}, "free_without_room"),
        (ROOM | {"free": -1}, "greater_than_equal"),
        (ROOM | {"state": "plenty"}, "enum"),
    ],
)
async def test_room_that_cannot_be_is_refused_with_the_field(directory: Running, body: Any, why: str) -> None:
    answer = await tell_room(directory, directory.as_("sakura-npo"), body)
    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["code"]) == (422, why)
    assert error["pointer"] in {"/free", "/state"}
    assert error["message_ja"] != error["message"]


async def test_a_word_about_room_is_unknown_after_thirty_days_and_the_last_word_stands_beside_it(
    directory: Running,
) -> None:
    await tell_room(directory, directory.as_("sakura-npo"))
    directory.pass_time(timedelta(days=29))
    assert (await programme(directory))["capacity_state"] == "has_room"
    directory.pass_time(timedelta(days=1))
    shown = await programme(directory)
    assert (shown["capacity_state"], shown["capacity_said"], shown["capacity_free"]) == ("unknown", "has_room", 3)


async def test_entries_grow_stale_before_everybodys_eyes_and_one_post_makes_them_fresh(directory: Running) -> None:
    desk, npo = directory.as_(), directory.as_("sakura-npo")
    seen = []
    for days in (0, 90, 90):
        directory.pass_time(timedelta(days=days))
        agency = (await desk.get("/v1/agencies/sakura-npo")).json()
        seen.append((agency["freshness"], (await programme(directory))["freshness"]))
    assert seen == [("fresh", "fresh"), ("ageing", "ageing"), ("stale", "stale")]
    stale = await desk.whole("/v1/programmes", stale=True)
    assert len(stale) == 3
    confirmed = await npo.post(f"/v1/programmes/{stale[0]['programme_id']}/confirm", {})
    assert confirmed.status_code == 200, confirmed.text
    assert (confirmed.json()["freshness"], confirmed.json()["confirmed_by"]) == ("fresh", "sakura-npo")
    assert confirmed.json()["capacity_state"] == "unknown", "who confirms an entry says nothing of its room"
    assert len(await desk.whole("/v1/programmes", stale=True)) == 2
    assert [item["name"] for item in await desk.whole("/v1/programmes", stale=False)] == ["桜の居場所"]
    assert (await npo.post("/v1/agencies/sakura-npo/confirm", {})).json()["freshness"] == "fresh"
    assert [item["agency_id"] for item in await desk.whole("/v1/agencies", stale=True)] == ["zama-npo"]
    kinds = [type(event) for event in await directory.told()]
    assert kinds == [ProgrammeListed, AgencyListed]


async def test_confirming_twice_a_day_is_once(directory: Running) -> None:
    npo = directory.as_("sakura-npo")
    first = await npo.post("/v1/agencies/sakura-npo/confirm", {})
    again = await npo.post("/v1/agencies/sakura-npo/confirm", {})
    assert (first.json()["version"], again.json()["version"]) == (2, 2)
    assert len(await directory.told()) == 1


@pytest.mark.parametrize(
    ("agency", "roles", "municipalities", "status"),
    [
        ("kagoshima-city", (Role.DIRECTORY,), [KAGOSHIMA], 200),
        ("kagoshima-city", (Role.DIRECTORY,), [KIRISHIMA], 403),
        ("kagoshima-city", (Role.COUNSELLOR,), [KAGOSHIMA], 403),
        ("sakura-npo", (Role.PROVIDER,), [ZAMA], 200),
        ("sakura-npo", (Role.OBSERVER,), [KAGOSHIMA], 403),
    ],
)
async def test_an_entry_is_confirmed_by_its_agency_or_by_who_keeps_the_directory_there(
    directory: Running, agency: str, roles: tuple[Role, ...], municipalities: list[str], status: int
) -> None:
    caller = directory.as_(agency, *roles, municipalities=municipalities)
    programme_id = (await programme(directory))["programme_id"]
    for path in ("/v1/agencies/sakura-npo/confirm", f"/v1/programmes/{programme_id}/confirm"):
        assert (await caller.post(path, {})).status_code == status
    for path in ("/v1/agencies/nobody-there/confirm", f"/v1/programmes/{uuid4()}/confirm"):
        assert (await caller.post(path, {})).status_code == (404 if Role.OBSERVER not in roles else 403)


async def test_an_agency_sees_what_it_should_confirm(directory: Running) -> None:
    path = "/v1/agencies/sakura-npo/confirmations"
    npo = directory.as_("sakura-npo")
    assert await npo.whole(path) == []
    directory.pass_time(timedelta(days=30))
    room = await npo.whole(path, limit=1)
    assert {(item["kind"], item["what"], item["name"]) for item in room} == {
        ("programme", "room", "桜の居場所"),
        ("programme", "room", "桜の就労準備"),
    }
    directory.pass_time(timedelta(days=60))
    found = {(item["kind"], item["what"], item["freshness"]) for item in await npo.whole(path, limit=1)}
    assert found == {
        ("agency", "entry", "ageing"),
        ("programme", "entry", "ageing"),
        ("programme", "room", "ageing"),
    }


async def test_a_programme_that_has_ended_is_asked_about_its_room_no_more(directory: Running) -> None:
    ended = PROGRAMMES.replace("確認日\n", "確認日,終了日\n").replace(f"{TODAY}\n", f"{TODAY},{TODAY}\n")
    goes_on = ended.replace(f"full,{TODAY},{TODAY}", f"full,{TODAY},{TODAY + timedelta(days=30)}")
    await take_in(directory, "/v1/programme-imports", goes_on)
    directory.pass_time(timedelta(days=30))
    asked = await directory.as_("sakura-npo").whole("/v1/agencies/sakura-npo/confirmations")
    assert [item["name"] for item in asked] == ["桜の就労準備"]


async def test_candidates_with_an_old_word_about_room_have_none_that_is_known(world: World) -> None:
    region = await Region(world.service("referral")).ready()
    codes = []
    for days in (0, 30):
        region.running.pass_time(timedelta(days=days))
        items = (await region.candidates())["items"]
        drop_in = next(item for item in items if item["id"] == region.programmes["sakura-npo/ibasho"])
        codes.append({reason["code"] for reason in drop_in["reasons"]} & {"has_room", "capacity_unknown"})
    assert codes == [{"has_room"}, {"capacity_unknown"}]


async def test_a_day_that_has_not_come_confirms_nothing(directory: Running) -> None:
    later = TODAY + timedelta(days=365)
    slip = AGENCIES.replace(f"{TODAY:%Y/%m/%d}", f"{later:%Y/%m/%d}")
    await take_in(directory, "/v1/agency-imports", slip.replace("zama-npo", "new-npo"))
    shown = (await directory.as_().get("/v1/agencies/new-npo")).json()
    assert shown["freshness"] == "unknown"
    assert [item["agency_id"] for item in await directory.as_().whole("/v1/agencies", stale=True)] == ["new-npo"]
    asked = await directory.as_("new-npo").whole("/v1/agencies/new-npo/confirmations")
    assert [(each["kind"], each["what"]) for each in asked] == [("agency", "entry")], "it is asked to confirm"
    await take_in(directory, "/v1/agency-imports", AGENCIES.replace("zama-npo", "new-npo"))
    assert (await directory.as_().get("/v1/agencies/new-npo")).json()["freshness"] == "fresh", "and can be mended"


async def test_a_slip_of_the_pen_takes_no_word_away_that_has_come(directory: Running) -> None:
    later = TODAY + timedelta(days=365)
    slip = AGENCIES.replace(f"{TODAY:%Y/%m/%d}", f"{later:%Y/%m/%d}")
    report = await take_in(directory, "/v1/agency-imports", slip)
    assert [(each["row"], each["column"], each["code"]) for each in report["remarks"]] == [
        (3, "確認日", "day_not_come")
    ]
    assert (await directory.as_().get("/v1/agencies/zama-npo")).json()["freshness"] == "fresh"
    report = await take_in(directory, "/v1/programme-imports", PROGRAMMES.replace(str(TODAY), str(later)))
    assert {each["code"] for each in report["remarks"]} == {"day_not_come"}
    shown = await programme(directory)
    assert (shown["capacity_state"], shown["confirmed_on"]) == ("has_room", TODAY.isoformat())
    assert (await directory.as_().get("/v1/agencies/zama-npo")).json()["confirmed_on"] == TODAY.isoformat()
    assert (await directory.as_().get("/v1/agencies/zama-npo")).json()["freshness"] == "fresh", "and can be mended"


async def test_an_older_file_does_not_push_a_later_word_aside(directory: Running) -> None:
    old = TODAY - timedelta(days=5)
    older = PROGRAMMES.replace(str(TODAY), str(old))
    await tell_room(directory, directory.as_("sakura-npo"), {"state": "full"})
    report = await take_in(directory, "/v1/programme-imports", older)
    assert (report["updated"], report["unchanged"]) == (0, 3)
    await take_in(directory, "/v1/programme-imports", older.replace("桜の居場所", "桜の午後の居場所"))
    shown = await programme(directory, "桜の午後の居場所")
    assert (shown["capacity_state"], shown["confirmed_on"]) == ("full", TODAY.isoformat())


async def test_a_word_about_room_is_one_word_with_its_numbers(directory: Running) -> None:
    with_numbers = PROGRAMMES.replace("空き状況", "空き状況,定員,空き数").replace("空きあり", "空きあり,10,3")
    with_numbers = with_numbers.replace("full,", "full,,,").replace(",isolation,,", ",isolation,,,,")
    await take_in(directory, "/v1/programme-imports", with_numbers)
    assert (await programme(directory))["capacity_free"] == 3
    await take_in(directory, "/v1/programme-imports", PROGRAMMES.replace("空きあり", "満員"))
    shown = await programme(directory)
    assert (shown["capacity_state"], shown["capacity_total"], shown["capacity_free"]) == ("full", None, None)


async def test_what_a_file_has_no_column_for_stays_as_it_is(directory: Running) -> None:
    npo = directory.as_("sakura-npo")
    hours = {
        "opening_hours": [{"weekday": 2, "opens": "13:00", "closes": "20:00"}],
        "closed_weekdays": [0, 6],
        "closed_days": [f"{TODAY.year + 1}-01-04"],
    }
    answer = await npo.put("/v1/agencies/sakura-npo/hours", hours, etag='"1"')
    assert answer.status_code == 200, answer.text
    renamed = AGENCIES.replace("桜の会", "桜の輪")
    await take_in(directory, "/v1/agency-imports", renamed)
    shown = (await npo.get("/v1/agencies/sakura-npo")).json()
    assert {name: shown[name] for name in hours} == hours
    assert shown["name"] == "桜の輪"
    with_column = renamed.replace("確認日\n", "確認日,定休日,休業日\n", 1).replace("日\nzama", "日,なし,\nzama")
    await take_in(directory, "/v1/agency-imports", with_column)
    shown = (await npo.get("/v1/agencies/sakura-npo")).json()
    assert (shown["closed_weekdays"], shown["closed_days"]) == ([], [])
    assert shown["opening_hours"] == hours["opening_hours"]


async def test_days_off_are_there_for_the_clocks(directory: Running) -> None:
    body: dict[str, Any] = {"opening_hours": [], "closed_weekdays": [6], "closed_days": ["2027-01-05", "2027-01-04"]}
    npo = directory.as_("sakura-npo")
    assert (await npo.put("/v1/agencies/sakura-npo/hours", body, etag='"1"')).status_code == 200
    rows = await directory.rows("SELECT agency_id, day FROM agency_closure ORDER BY day")
    assert [tuple(row) for row in rows] == [("sakura-npo", date(2027, 1, 4)), ("sakura-npo", date(2027, 1, 5))]
    assert code(await npo.put("/v1/agencies/sakura-npo/hours", body, etag='"1"')) == (412, "stale")
    assert code(await npo.put("/v1/agencies/zama-npo/hours", body, etag='"1"')) == (403, "forbidden")


async def test_every_version_is_kept_whole_and_a_moment_shows_what_held_then(directory: Running) -> None:
    npo = directory.as_("sakura-npo")
    programme_id = (await programme(directory))["programme_id"]
    directory.pass_time(timedelta(hours=2))
    await tell_room(directory, npo)
    path = f"/v1/programmes/{programme_id}/versions"
    new, old = await npo.whole(path, limit=1)
    assert [(v["version"], v["by"], v["entry"]["capacity_free"]) for v in (new, old)] == [
        (2, "sakura-npo", 3),
        (1, "kagoshima-city", None),
    ]
    (row,) = await directory.rows("SELECT to_jsonb(programme)::text AS whole FROM programme WHERE name = '桜の居場所'")
    (kept,) = await directory.rows("SELECT entry::text AS whole FROM directory_version WHERE version = 2")
    assert row["whole"] == kept["whole"]
    between = (await npo.get(path, params={"at": old["at"]})).json()["items"]
    assert [version["version"] for version in between] == [1]
    since = (await npo.get(path, params={"at": new["at"]})).json()["items"]
    assert [version["version"] for version in since] == [2], "of all that were, the one that held"
    assert (await npo.get(path, params={"at": "2020-01-01T00:00:00Z"})).json()["items"] == []
    assert code(await npo.get(f"/v1/programmes/{uuid4()}/versions")) == (404, "not_found")
    assert len(await npo.whole("/v1/agencies/sakura-npo/versions")) == 1
    for statement in ("UPDATE directory_version SET by = 'x'", "DELETE FROM directory_version"):
        with pytest.raises(Exception, match="permission denied"):
            await directory.rows(statement)


async def test_a_coordinator_is_named_by_who_keeps_the_directory_there_and_read_by_all(directory: Running) -> None:
    keeper = directory.as_("kagoshima-city", Role.DIRECTORY)
    path = f"/v1/coordinators/{KAGOSHIMA}"
    first = await keeper.put(path, {"agency_id": "sakura-npo"}, etag=None)
    assert first.status_code == 200, first.text
    assert (first.json()["agency_name"], first.json()["set_by"]) == ("桜の会", "kagoshima-city")
    again = await keeper.put(path, {"agency_id": "sakura-npo"}, etag=None)
    assert again.json() == first.json()
    await keeper.put(path, {"agency_id": "zama-npo"}, etag=None)
    found = await directory.as_("anybody", Role.OBSERVER).whole("/v1/coordinators")
    assert [(item["municipality"], item["agency_id"]) for item in found] == [(KAGOSHIMA, "zama-npo")]
    kept = await directory.rows("SELECT version FROM directory_version WHERE kind = 'coordinator' ORDER BY version")
    assert [row["version"] for row in kept] == [1, 2]
    assert code(await keeper.put(f"/v1/coordinators/{ZAMA}", {"agency_id": "zama-npo"}, etag=None)) == (
        403,
        "forbidden",
    )
    unknown = await keeper.put(path, {"agency_id": "nobody-there"}, etag=None)
    assert (unknown.status_code, unknown.json()["errors"][0]["code"]) == (422, "agency_not_known")
    assert code(await directory.as_().put(path, {"agency_id": "sakura-npo"}, etag=None)) == (403, "forbidden")
    assert (await keeper.put("/v1/coordinators/462013", {"agency_id": "sakura-npo"}, etag=None)).status_code == 422


async def test_an_import_tells_every_change_and_a_dry_run_tells_nothing(directory: Running) -> None:
    changed = PROGRAMMES.replace("空きあり", "満員")
    keeper = keeper_of(directory)
    checked = await keeper.post("/v1/programme-imports", content=changed.encode(), headers={"Content-Type": "text/csv"})
    assert checked.json()["updated"] == 1
    assert await directory.told() == []
    await take_in(directory, "/v1/programme-imports", changed)
    (event,) = await directory.told()
    assert isinstance(event, ProgrammeListed)
    assert (event.capacity_state, event.version) == ("full", 2)
    await take_in(directory, "/v1/agency-imports", AGENCIES.replace("npo,462012", "municipality,462012"))
    *_, listed = await directory.told()
    assert isinstance(listed, AgencyListed)
    assert (listed.agency_kind, listed.municipalities_served) == ("municipality", [KAGOSHIMA, KIRISHIMA])
    assert listed.version == 2


async def test_the_codes_are_shown_in_words(directory: Running) -> None:
    words = (await directory.as_().get("/v1/vocabulary")).json()
    assert {"code": "drop_in_space", "japanese": "居場所", "english": "Drop-in space", "stage": "drop_in"} in words[
        "functions"
    ]
    assert len(words["functions"]) >= 40


@pytest.mark.parametrize("role", [Role.PLACEMENT, Role.HELLO_WORK])
async def test_whoever_may_confirm_a_programme_of_their_own_may_tell_its_room(directory: Running, role: Role) -> None:
    assert (await tell_room(directory, directory.as_("sakura-npo", role))).status_code == 200
