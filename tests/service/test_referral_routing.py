"""Candidates by rules that are data: kept, paged, explained, made again; and never from an older directory."""

import asyncio
import base64
import hashlib
import json
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from services.referral.tables.nearby import memory_of
from shared.auth import Role
from shared.events import AssessmentRecorded, CaseHandedOver, CaseReopened
from shared.service.paging import _seal
from tests.service.referral_region import (
    AGENCIES,
    AT,
    PROGRAMMES,
    TODAY,
    Region,
    code,
    consented,
    offered,
    opened,
    seats,
    take_in,
)
from tests.world import KAGOSHIMA, KIRISHIMA, ZAMA, Caller, Running, World

HOLDER = "kagoshima-desk"
LINE = f"sakura-npo,{{0}},桜の{{0}},drop_in_space,4,{{1}},462012,people,has_room,{TODAY}\n"


@pytest.fixture
async def region(referral: Running) -> Region:
    return await Region(referral).ready()


@pytest.fixture
def council(referral: Running) -> Caller:
    return referral.as_("kagoshima-council", Role.RULES)


def crowd(count: int, stage: str = "drop_in") -> str:
    return PROGRAMMES.splitlines(keepends=True)[0] + "".join(LINE.format(f"p{n:03}", stage) for n in range(count))


async def ask(region: Region, by: Caller | None = None, **params: Any) -> Any:
    answer = await (by or region.desk).get(f"/v1/cases/{region.case_id}/candidates", params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


def names(answer: Any) -> list[str]:
    return [item["name"] or item["course_number"] for item in answer["items"]]


def why(answer: Any, name: str) -> set[str]:
    placed = [*answer["items"], *answer["excluded"]]
    return {reason["code"] for item in placed if item["name"] == name for reason in item["reasons"]}


# --- the answer -----------------------------------------------------------------------------------------------------


async def test_an_answer_names_its_rules_and_the_proposal_under_which_it_is_kept(region: Region) -> None:
    found = await ask(region)
    kept = (await region.desk.get(f"/v1/proposals/{found['proposal_id']}")).json()

    assert found["rule_version"] == 1
    assert found["counts"] == {
        "candidates": 3,
        "by_stage": {"drop_in": 1, "work_readiness": 1, "vocational_training": 1},
        "excluded": 0,
        "beyond": 0,
        "beyond_ja": None,
        "beyond_en": None,
    }
    assert {name: kept[name] for name in ("items", "excluded", "counts", "unmet_needs", "coordinator")} == {
        name: found[name] for name in ("items", "excluded", "counts", "unmet_needs", "coordinator")
    }


async def test_the_next_page_is_of_the_same_proposal_whatever_the_directory_becomes(region: Region) -> None:
    await take_in(region.running, "/v1/programme-imports", crowd(5))
    whole = names(await ask(region))
    first = await ask(region, limit=3)
    await take_in(region.running, "/v1/programme-imports", crowd(5).replace("has_room", "full"))
    second = await ask(region, limit=3, cursor=first["next_cursor"])
    third = await ask(region, limit=3, cursor=second["next_cursor"])

    assert names(first) + names(second) + names(third) == whole
    assert (len(whole), third["next_cursor"]) == (8, None)
    assert {page["proposal_id"] for page in (first, second, third)} == {first["proposal_id"]}
    assert names(await ask(region)) != whole, "asked anew, the order is another"


async def test_who_may_read_more_by_now_begins_anew_instead_of_missing_somebody(region: Region) -> None:
    """Levels and urgency change the order: where a page begins in one is not where it begins in the other."""
    await take_in(region.running, "/v1/programme-imports", crowd(3, "job"))
    await region.running.hear(rated(region.case_id, stress=1))
    city = region.running.as_("kagoshima-city")
    bystanders = names(await ask(region, city))
    assert bystanders != (whole := names(await ask(region))), "of levels nothing is to be read, from the order neither"
    first = await ask(region, city, limit=2)
    assert names(first) + names(await ask(region, city, limit=50, cursor=first["next_cursor"])) == bystanders
    await region.running.hear(CaseHandedOver(case_id=region.case_id, agency_id="kagoshima-city", before=HOLDER))
    path, params = f"/v1/cases/{region.case_id}/candidates", {"limit": 2, "cursor": first["next_cursor"]}
    assert code(await city.get(path, params=params)) == (422, "invalid")
    assert names(await ask(region, city)) == whole


async def test_a_cursor_of_another_case_leads_nowhere(region: Region) -> None:
    await take_in(region.running, "/v1/programme-imports", crowd(5))
    other = uuid4()
    await region.running.hear(opened(other), consented(other))
    first = await ask(region, limit=1)
    answer = await region.desk.get(f"/v1/cases/{other}/candidates", params={"limit": 1, "cursor": first["next_cursor"]})
    assert answer.status_code == 422


async def test_a_forged_cursor_shows_no_other_cases_proposal(region: Region) -> None:
    other = uuid4()
    await region.running.hear(opened(other), consented(other))
    place = [(await ask(region))["proposal_id"], "0", "levels urgency"]
    path = f"/v1/cases/{other}/candidates"
    filters = hashlib.sha256(f"{path}[]".encode()).hexdigest()[:12]
    cursor = base64.urlsafe_b64encode(json.dumps([_seal(filters, place), *place]).encode()).decode().rstrip("=")
    assert code(await region.desk.get(path, params={"cursor": cursor})) == (404, "not_found")


async def test_one_rung_can_be_asked_for_and_the_counts_stay(region: Region) -> None:
    await take_in(region.running, "/v1/programme-imports", crowd(2, "job"))
    found = await ask(region, stage="job", limit=1)
    rest = await ask(region, stage="job", limit=1, cursor=found["next_cursor"])

    assert {item["stage"] for item in (*found["items"], *rest["items"])} == {"job"}
    assert (len(found["items"]), len(rest["items"]), rest["next_cursor"]) == (1, 1, None)
    assert found["counts"]["candidates"] == 5
    assert found["excluded"] == []


async def test_who_may_not_be_told_is_shown_with_the_reason(region: Region) -> None:
    assert all(item["may_be_sent"] for item in (await ask(region))["items"])
    await region.running.hear(consented(region.case_id, 2, recipients=["career-center"]))
    narrow = await ask(region)
    assert narrow["counts"]["candidates"] == 3
    assert "consent_not_named" in why(narrow, "桜の就労準備")
    assert not any(item["may_be_sent"] for item in narrow["items"])

    await region.running.hear(consented(region.case_id, 3, purposes=["training"]))
    training = await ask(region)
    assert {item["kind"]: item["may_be_sent"] for item in training["items"]} == {
        "programme": False,
        "course_run": True,
    }
    silent = uuid4()
    await region.running.hear(opened(silent))
    answer = (await region.desk.get(f"/v1/cases/{silent}/candidates")).json()
    assert "consent_needed" in why(answer, "桜の就労準備")


async def test_where_the_person_stands_on_the_ladder_follows_from_who_accepted(region: Region) -> None:
    assert "rungs_skipped" not in why(await ask(region), "桜の居場所")
    sent = await region.to_programme("sakura-npo/junbi")
    await region.npo.post(f"/v1/referrals/{sent}/accept")
    found = await ask(region)

    assert {"same_rung", "there_already"} <= why(found, "桜の就労準備")
    (course,) = [item for item in found["items"] if item["kind"] == "course_run"]
    assert "rungs_skipped" in {reason["code"] for reason in course["reasons"]}, "work training lies between"


async def end(region: Region, referral: str, outcome: str) -> None:
    for move, body in (("accept", None), ("start", None), ("set-outcome", {"outcome": outcome}), ("close", None)):
        answer = await region.npo.post(f"/v1/referrals/{referral}/{move}", body)
        assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    ("outcome", "begun"), [("completed", True), ("next_stage", True), ("not_started", False), ("broken_off", False)]
)
async def test_a_service_that_was_finished_leaves_the_person_on_its_rung(
    region: Region, outcome: str, begun: bool
) -> None:
    await region.running.hear(opened(region.case_id, needs=("tasks", "education")))
    await end(region, await region.to_programme("sakura-npo/junbi"), outcome)
    found = await ask(region)

    (course,) = [item for item in found["items"] if item["kind"] == "course_run"]
    skipped = [reason["text_en"] for reason in course["reasons"] if reason["code"] == "rungs_skipped"]
    assert [text.split(" rungs")[0] for text in skipped] == ["Skips 1" if begun else "Skips 3"]
    (record,) = await region.running.rows("SELECT facts -> 'case' AS told FROM proposal")
    told_of = record["told"]
    assert told_of["stage"] == ("work_readiness" if begun else None)
    assert told_of["served_needs"] == (["tasks"] if begun else [])
    assert told_of["taken_targets"] == []


async def test_an_older_service_that_goes_on_does_not_hold_the_person_back(region: Region) -> None:
    going_on = await region.send(programme_id=region.programmes["sakura-npo/ibasho"], verb="refer")
    await region.npo.post(f"/v1/referrals/{going_on['referral_id']}/accept")
    await end(region, await region.to_programme("sakura-npo/junbi"), "completed")
    assert "rungs_down" in why(await ask(region), "桜の居場所")


async def test_the_flag_is_remarked_at_every_candidate_and_takes_none_away(region: Region) -> None:
    before = await ask(region)
    await region.running.hear(rated(region.case_id, stress=4))
    flagged = await ask(region)

    assert names(flagged) == names(before)
    for item, plain in zip(flagged["items"], before["items"], strict=True):
        assert "plan_for_long_support" in {reason["code"] for reason in item["reasons"]}
        assert "plan_for_long_support" not in {reason["code"] for reason in plain["reasons"]}
        assert item["score"] == plain["score"]


# --- neighbours -----------------------------------------------------------------------------------------------------


async def test_a_neighbours_programme_is_a_candidate_once_the_neighbour_is_named(region: Region) -> None:
    keeper = region.running.as_("kagoshima-city", Role.DIRECTORY)
    line = LINE.format("hashi", "drop_in").replace("462012", KIRISHIMA)
    await take_in(region.running, "/v1/programme-imports", PROGRAMMES.splitlines(keepends=True)[0] + line)
    assert why(await ask(region), "桜のhashi") == {"other_municipality"}

    path = f"/v1/neighbours/{KAGOSHIMA}"
    answer = await keeper.put(path, {"neighbours": [ZAMA, KIRISHIMA, ZAMA]}, etag=None)
    assert answer.json() == {"municipality": KAGOSHIMA, "neighbours": [ZAMA, KIRISHIMA]}
    found = await ask(region)
    assert {"neighbour_municipality", "has_room"} <= why(found, "桜のhashi")
    assert (await region.desk.get(path)).json()["neighbours"] == [ZAMA, KIRISHIMA]

    await keeper.put(path, {"neighbours": []}, etag=None)
    assert why(await ask(region), "桜のhashi") == {"other_municipality"}


async def test_a_towns_neighbours_are_set_by_its_own_keepers_and_are_others(region: Region) -> None:
    keeper = region.running.as_("kagoshima-city", Role.DIRECTORY)
    answer = await keeper.put(f"/v1/neighbours/{KIRISHIMA}", {"neighbours": [KAGOSHIMA]}, etag=None)
    assert code(answer) == (403, "forbidden")
    answer = await keeper.put(f"/v1/neighbours/{KAGOSHIMA}", {"neighbours": [KAGOSHIMA]}, etag=None)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "own_municipality")
    answer = await keeper.put(f"/v1/neighbours/{KAGOSHIMA}", {"neighbours": ["462188"]}, etag=None)
    assert answer.status_code == 422
    assert await region.running.rows("SELECT * FROM neighbour") == []


# --- no answer from an older directory --------------------------------------------------------------------------------


async def test_what_another_process_changed_is_in_the_next_answer(region: Region, world: World) -> None:
    other = world.declared(region.running.service)
    elsewhere = other.as_("kagoshima-desk")
    assert names(await ask(region, elsewhere)) == names(await ask(region))
    await take_in(region.running, "/v1/programme-imports", crowd(3))
    assert len(names(await ask(region, elsewhere))) == 6
    await take_in(other, "/v1/agency-imports", _agencies(served="462187"))
    assert "other_municipality" in why(await ask(region), "桜の居場所")
    await other.hear(offered(applications_close_at=offered().applications_close_at + timedelta(days=1)), seats(3))
    assert "own_pool_free" in {r["code"] for i in (await ask(region))["items"] for r in i["reasons"]}


def _agencies(served: str) -> str:
    return AGENCIES.replace("462012 462187", served)


async def connect(world: World) -> asyncpg.Connection:
    return await asyncpg.connect(user="postgres", database=world.database_name, host=str(world.postgres.socket_folder))


FULL = "UPDATE referral.programme SET capacity_state = 'full' WHERE programme_code = $1"


async def test_who_began_first_and_committed_last_is_not_overlooked(region: Region, world: World) -> None:
    await take_in(region.running, "/v1/programme-imports", crowd(2))
    await ask(region)
    slow, fast = await connect(world), await connect(world)
    try:
        begun = slow.transaction()
        await begun.start()
        await slow.execute(FULL, "p000")
        await fast.execute(FULL, "p001")
        found = await ask(region)
        assert ("full" in why(found, "桜のp000"), "full" in why(found, "桜のp001")) == (False, True)
        await fast.execute(FULL, "junbi")
        await ask(region)
        await begun.commit()
        assert "full" in why(await ask(region), "桜のp000")
    finally:
        await slow.close()
        await fast.close()


async def test_what_was_rolled_back_never_happened(region: Region, world: World) -> None:
    await ask(region)
    connection = await connect(world)
    try:
        begun = connection.transaction()
        await begun.start()
        await connection.execute("UPDATE referral.programme SET capacity_state = 'waiting_list'")
        await begun.rollback()
    finally:
        await connection.close()
    assert "full" in why(await ask(region), "桜の就労準備")


async def test_an_entry_that_is_deleted_is_gone(region: Region, world: World) -> None:
    await take_in(region.running, "/v1/programme-imports", crowd(2))
    await ask(region)
    connection = await connect(world)
    await connection.execute("DELETE FROM referral.programme WHERE programme_code = 'p000'")
    await connection.close()
    found = await ask(region)
    assert "桜のp000" not in names(found)
    assert "桜のp001" in names(found)


async def test_many_who_ask_while_the_directory_changes_see_every_change_in_order(region: Region, world: World) -> None:
    await take_in(region.running, "/v1/programme-imports", crowd(1))
    connection = await connect(world)
    seen: list[tuple[int, int]] = []
    done = 0

    async def change() -> None:
        nonlocal done
        for number in range(1, 16):
            await connection.execute(
                "UPDATE referral.programme SET confirmed_on = date '2000-01-01' + $1::int, name = $2"
                " WHERE programme_code = 'p000'",
                number,
                f"n{number}",
            )
            done = number

    async def look() -> None:
        while done < 15:
            before = done
            found = names(await ask(region))
            (number,) = [int(name[1:]) for name in found if name.startswith("n")] or [0]
            seen.append((before, number))

    await asyncio.gather(change(), *(look() for _ in range(4)))
    await connection.close()
    assert seen
    assert all(number >= before for before, number in seen)


async def test_what_is_the_same_costs_no_reading_of_the_directory(region: Region) -> None:
    await ask(region)
    session = region.running.database.session()
    memory = memory_of(session)
    entries = dict(memory.directory.options)
    await session.close()
    await ask(region)
    assert memory.directory.options.keys() == entries.keys()
    assert all(memory.directory.options[number] is entry for number, entry in entries.items())


async def test_old_changes_are_dropped_and_who_slept_longer_reads_everything_anew(region: Region, world: World) -> None:
    await ask(region)
    other = world.declared(region.running.service)
    await take_in(other, "/v1/programme-imports", crowd(1))
    for running in (other, region.running):
        running.pass_time(timedelta(days=2))
    await other.sweep()
    assert await other.rows("SELECT * FROM directory_change") == []
    assert "桜のp000" in names(await ask(region))


# --- proposals --------------------------------------------------------------------------------------------------------


async def test_the_same_is_kept_once_a_day_and_an_option_once_for_ever(region: Region) -> None:
    first = await ask(region)
    again = await ask(region)
    other = uuid4()
    await region.running.hear(opened(other), consented(other))
    await region.desk.get(f"/v1/cases/{other}/candidates")
    assert first["proposal_id"] == again["proposal_id"]
    assert len(await region.running.rows("SELECT 1 FROM option_seen")) == 3
    assert len(await region.running.rows("SELECT 1 FROM proposal")) == 2

    region.running.pass_time(timedelta(days=1))
    assert (await ask(region))["proposal_id"] != first["proposal_id"]
    listed = await region.desk.whole(f"/v1/cases/{region.case_id}/proposals", limit=1)
    assert [each["case_id"] for each in listed] == [str(region.case_id)] * 2
    assert listed[-1]["proposal_id"] == first["proposal_id"]


@pytest.mark.parametrize("change", ["needs", "directory", "consent", "levels", "referral"])
async def test_whatever_it_rests_on_makes_another_proposal(region: Region, change: str) -> None:
    first = await ask(region)
    match change:
        case "needs":
            await region.running.hear(opened(region.case_id, needs=("people", "health")))
        case "directory":
            await take_in(region.running, "/v1/programme-imports", PROGRAMMES.replace("full", "waiting_list"))
        case "consent":
            await region.running.hear(consented(region.case_id, 2, purposes=["training"]))
        case "levels":
            await region.running.hear(rated(region.case_id, stress=1))
        case _:
            await region.to_programme("sakura-npo/junbi")
    second = await ask(region)
    assert second["proposal_id"] != first["proposal_id"]
    for proposal in (first, second):
        replayed = (await region.desk.get(f"/v1/proposals/{proposal['proposal_id']}/replay")).json()
        assert replayed["identical"], replayed
        shown = (await region.desk.get(f"/v1/proposals/{proposal['proposal_id']}")).json()
        assert shown["items"] == proposal["items"]


def rated(case_id: UUID, *, stress: int) -> AssessmentRecorded:
    return AssessmentRecorded(
        case_id=case_id,
        assessment_id=uuid4(),
        number=1,
        rubric="sample-1",
        setting="solo",
        prolongation_risk="true",
        rated_at=AT,
        stress=stress,
    )


async def test_only_those_who_may_see_the_case_see_what_was_proposed_for_it(region: Region) -> None:
    proposal = (await ask(region))["proposal_id"]
    stranger = region.running.as_("zama-desk", municipalities=[ZAMA])
    for path in (f"/v1/proposals/{proposal}", f"/v1/proposals/{proposal}/replay", f"/v1/proposals/{uuid4()}"):
        assert code(await stranger.get(path)) == (404, "not_found")
    assert code(await stranger.get(f"/v1/cases/{region.case_id}/proposals")) == (404, "case_not_known")


async def test_the_holder_reads_all_of_its_cases_proposals_wherever_it_is(region: Region) -> None:
    """It opened nothing there and serves another town."""
    holder = region.running.as_("zama-npo", municipalities=[ZAMA])
    await region.running.hear(CaseReopened(case_id=region.case_id, agency_id="zama-npo"))
    await take_in(region.running, "/v1/programme-imports", crowd(3))

    first = await ask(region, holder, limit=1)
    second = await ask(region, holder, limit=1, cursor=first["next_cursor"])
    assert names(first) != names(second)
    proposal = first["proposal_id"]
    for path in (f"/v1/proposals/{proposal}", f"/v1/proposals/{proposal}/replay"):
        assert (await holder.get(path)).status_code == 200, path
    assert len(await holder.whole(f"/v1/cases/{region.case_id}/proposals")) == 1


async def test_a_proposal_that_was_rewritten_is_found_out(region: Region, world: World, council: Caller) -> None:
    proposal = (await ask(region))["proposal_id"]
    other = uuid4()
    await region.running.hear(opened(other))
    await region.desk.get(f"/v1/cases/{other}/candidates")
    pages = [await council.get("/v1/routing-rules/replay", params={"limit": 1})]
    pages += [
        await council.get("/v1/routing-rules/replay", params={"limit": 1, "cursor": pages[0].json()["next_cursor"]})
    ]
    assert [page.json()["replayed"] for page in pages] == [1, 1]
    assert [page.json()["differ"] for page in pages] == [[], []]
    assert pages[1].json()["next_cursor"] is None

    connection = await connect(world)
    await connection.execute(
        "UPDATE referral.proposal SET answer = jsonb_set(answer, '{items,0,1}', '99') WHERE id = $1", UUID(proposal)
    )
    await connection.close()
    assert (await council.get("/v1/routing-rules/replay")).json()["differ"] == [proposal]
    found = (await region.desk.get(f"/v1/proposals/{proposal}/replay")).json()
    assert (found["identical"], found["same_candidates"], found["same_reasons"]) == (False, True, False)


async def test_how_an_answer_was_reckoned_is_kept_with_it(region: Region, world: World) -> None:
    await region.running.hear(opened(region.case_id, needs=("isolation",)))
    await region.to_programme()
    found = await ask(region)
    assert (found["items"], found["need_unmet"], found["unmet_needs"]) == ([], False, []), "its answer is waited for"
    path = f"/v1/proposals/{found['proposal_id']}/replay"
    assert (await region.desk.get(path)).json()["identical"]

    connection = await connect(world)
    await connection.execute("UPDATE referral.proposal SET facts = facts - 'reckoned'")
    await connection.close()
    assert not (await region.desk.get(path)).json()["same_rest"], "as of before, who was asked counted as nobody"


@pytest.mark.parametrize("table", ["routing_rule", "option_seen", "proposal"])
async def test_what_was_kept_is_never_changed_by_the_service_itself(region: Region, table: str) -> None:
    await ask(region)
    for statement in (f"DELETE FROM {table}", f"UPDATE {table} SET {_column(table)} = {_column(table)}"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await region.running.rows(statement)


def _column(table: str) -> str:
    return {"routing_rule": "rules", "option_seen": "option", "proposal": "answer"}[table]


async def test_everything_that_was_left_out_is_read_page_by_page_with_its_reasons(region: Region) -> None:
    lines = "".join(LINE.format(f"x{n:03}", "drop_in").replace("people", "housing") for n in range(80))
    await take_in(region.running, "/v1/programme-imports", PROGRAMMES.splitlines(keepends=True)[0] + lines)
    found = await ask(region)
    assert (found["counts"]["excluded"], found["counts"]["beyond"], len(found["excluded"])) == (80, 0, 50)
    assert found["counts"]["beyond_ja"] is None

    path = f"/v1/cases/{region.case_id}/proposals/{found['proposal_id']}/excluded"
    pages = await region.desk.whole(path, limit=30)
    assert len({item["id"] for item in pages}) == 80
    assert pages[:50] == found["excluded"]
    assert {tuple(reason["code"] for reason in item["reasons"]) for item in pages} == {("answers_no_need",)}
    assert await region.desk.whole(path, stage="job") == []

    other = uuid4()
    await region.running.hear(opened(other), consented(other))
    elsewhere = f"/v1/cases/{other}/proposals/{found['proposal_id']}/excluded"
    assert code(await region.desk.get(elsewhere)) == (404, "not_found")
    stranger = region.running.as_("zama-desk", municipalities=[ZAMA])
    assert code(await stranger.get(path)) == (404, "not_found")


async def test_what_is_further_off_is_counted_and_said_in_words(region: Region) -> None:
    lines = "".join(LINE.format(f"x{n:03}", "drop_in").replace("people", "housing") for n in range(220))
    await take_in(region.running, "/v1/programme-imports", PROGRAMMES.splitlines(keepends=True)[0] + lines)
    counted = (await ask(region))["counts"]
    assert counted["beyond"] == 200
    assert "県内のほかの200件" in counted["beyond_ja"]
    assert "200 others in the prefecture" in counted["beyond_en"]
