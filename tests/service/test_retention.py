"""What was kept long enough is listed for its holder, and erased when the notice has run out."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from services.intake.domain.retention import RecordClass
from services.intake.tables import retention as tables
from shared.auth import Role
from shared.database import BY_COMMAND, BY_SWEEP, Acting
from tests.service.intake_counter import opened, today
from tests.service.test_intake_emergency import EMERGENCY, WORDS
from tests.service.test_intake_lists import FIRST, HEADER
from tests.world import KAGOSHIMA, KIRISHIMA, Caller, Running, World

YEAR = timedelta(days=366)


@pytest.fixture
async def intake(world: World, tmp_path: Path) -> AsyncIterator[Running]:
    own = tmp_path / "retention.toml"
    own.write_text(
        '[default]\nlist_days = 60\n["462187"]\nsupport = 1\nnotice_days = 90\nmeeting_note = 2\n', encoding="utf-8"
    )
    running = Running(world.service("intake").service, world.settings("intake", retention_path=own))
    yield running
    await running.close()


async def closed(intake: Running, how: dict[str, str] | None = None, **more: Any) -> UUID:
    answer = await intake.as_().post("/v1/cases", {"person": {"name": "架空 花子"}, **more})
    case_id = UUID(answer.json()["case_id"])
    ended = await intake.as_().post(f"/v1/cases/{case_id}/closing", how or {"outcome": "goal_reached"})
    assert ended.status_code == 200, ended.text
    return case_id


async def listed(intake: Running, agency: str = "kagoshima-desk") -> list[UUID]:
    return [UUID(item["case_id"]) for item in await intake.as_(agency).whole("/v1/retention")]


async def erased(intake: Running) -> set[UUID]:
    return {row[0] for row in await intake.rows("SELECT subject_id FROM erasure")}


async def test_each_class_is_told_of_in_its_time_and_erased_after_the_notice(intake: Running) -> None:
    support = await closed(intake)
    information = await closed(intake, {"outcome": "information_enough"})
    mistake = await closed(intake, {"interruption": "opened_by_mistake"})
    elsewhere = await closed(intake, municipality="462187")
    still_open = (await intake.as_().post("/v1/cases", {})).json()["case_id"]
    await intake.sweep()
    assert await listed(intake) == []
    intake.pass_time(1 * YEAR + timedelta(days=1))
    await intake.sweep()
    assert await listed(intake) == [mistake, elsewhere]
    assert await listed(intake, "kagoshima-work") == []
    assert await erased(intake) == set(), "nobody is erased without notice"
    intake.pass_time(timedelta(days=31))
    await intake.sweep()
    assert await erased(intake) == {mistake}
    assert await listed(intake) == [elsewhere]
    intake.pass_time(timedelta(days=60))
    await intake.sweep()
    assert await erased(intake) == {mistake, elsewhere}
    intake.pass_time(2 * YEAR)
    await intake.sweep()
    assert await listed(intake) == [information]
    intake.pass_time(2 * YEAR)
    await intake.sweep()
    assert await erased(intake) == {mistake, elsewhere, information}
    assert await listed(intake) == [support]
    (entry,) = [
        item for item in await intake.as_().whole(f"/v1/cases/{support}/timeline") if item["kind"] == "retention_over"
    ]
    assert set(entry["codes"]) == {"erase_on"}
    intake.pass_time(timedelta(days=31))
    await intake.sweep()
    assert await erased(intake) == {mistake, elsewhere, information, support}
    assert (await intake.as_().get(f"/v1/cases/{still_open}/person")).status_code == 200


async def test_what_is_held_or_reopened_after_the_notice_is_not_erased(intake: Running) -> None:
    held, reopened = await closed(intake), await closed(intake)
    intake.pass_time(5 * YEAR)
    await intake.sweep()
    await intake.as_().post(f"/v1/cases/{held}/legal-hold", {"reason": "audit"})
    assert (await intake.as_().post(f"/v1/cases/{reopened}/reopening")).status_code == 200
    intake.pass_time(timedelta(days=40))
    await intake.sweep()
    assert await erased(intake) == set()
    items = await intake.as_().whole("/v1/retention")
    assert [(UUID(item["case_id"]), item["held"]) for item in items] == [(held, True)]
    await intake.as_().post(f"/v1/cases/{reopened}/closing", {"outcome": "goal_reached"})
    await intake.as_().post(f"/v1/cases/{held}/legal-hold/lifting", {"reason": "ended"})
    await intake.sweep()
    assert await erased(intake) == {held}, "the other one was closed anew, and is kept as long again"
    intake.pass_time(5 * YEAR)
    await intake.sweep()
    assert await listed(intake) == [reopened]


# --- what ends before its case ----------------------------------------------------------------------------------------


async def noted(intake: Running, case_id: UUID, municipality: str = KAGOSHIMA) -> tuple[Caller, str]:
    """Something said about a case in a meeting of today; who convened it, and where it is read."""
    desk = intake.as_("the-desk", municipalities=[municipality])
    body = {"kind": "shien_kaigi", "held_on": today(intake), "topic": "withdrawal", "members": ["kagoshima-npo"]}
    meeting = (await desk.post("/v1/meetings", body)).json()["meeting_id"]
    assert (await desk.post(f"/v1/meetings/{meeting}/cases", {"case_id": str(case_id)})).status_code == 201
    notes = f"/v1/meetings/{meeting}/cases/{case_id}/notes"
    assert (await desk.post(notes, {"text": "会議で話したこと"})).status_code == 201
    return desk, notes


async def said(desk: Caller, notes: str) -> list[str | None]:
    return [note["text"] for note in await desk.whole(notes)]


async def test_what_was_said_in_a_meeting_ends_after_its_municipalitys_years_and_that_it_was_said_stays(
    intake: Running,
) -> None:
    here, elsewhere = await opened(intake.as_()), await opened(intake.as_(), municipality=KIRISHIMA)
    five, two = await noted(intake, UUID(here)), await noted(intake, UUID(elsewhere), KIRISHIMA)
    intake.pass_time(2 * YEAR - timedelta(days=4))
    await intake.sweep()
    assert (await said(*five), await said(*two)) == (["会議で話したこと"], ["会議で話したこと"])
    intake.pass_time(timedelta(days=5))
    await intake.sweep()
    assert (await said(*five), await said(*two)) == (["会議で話したこと"], [None])
    intake.pass_time(3 * YEAR)
    await intake.sweep()
    assert await said(*five) == [None]
    (note,) = await five[0].whole(five[1])
    assert note["written_by"] == "the-desk"
    assert (await intake.as_().get(f"/v1/cases/{here}/person")).status_code == 200, "its case goes on"


async def test_why_an_emergency_was_declared_ends_after_its_review_and_the_codes_stay(intake: Running) -> None:
    judged, waiting = await opened(intake.as_()), await opened(intake.as_())
    night = intake.as_("kagoshima-night", Role.EMERGENCY)
    paths = []
    for case_id in (judged, waiting):
        declared = (await night.post(f"/v1/cases/{case_id}/emergency-accesses", EMERGENCY)).json()
        paths.append(f"/v1/emergency-accesses/{declared['emergency_id']}")
    assert (await intake.as_().post(f"{paths[0]}/review", {"verdict": "justified"})).status_code == 201
    intake.pass_time(3 * YEAR - timedelta(days=10))
    await intake.sweep()
    assert [(await intake.as_().get(path)).json()["words"] for path in paths] == [WORDS] * 2
    intake.pass_time(timedelta(days=11))
    await intake.sweep()
    first, second = [(await intake.as_().get(path)).json() for path in paths]
    assert (first["words"], first["reason"], first["verdict"]) == (None, "danger_to_life", "justified")
    assert second["words"] == WORDS, "nobody has judged it yet"
    assert (await intake.as_().post(f"{paths[1]}/review", {"verdict": "not_justified"})).status_code == 201
    await intake.sweep()
    assert (await intake.as_().get(paths[1])).json()["words"] is None


async def test_an_inquiry_goes_with_its_answers(intake: Running) -> None:
    consent = {"state": "given", "purposes": ["referral"]}
    kirishima = intake.as_("kirishima-desk", municipalities=[KIRISHIMA])
    ours = await opened(intake.as_(), consent=consent, person={"name": "架空 花子"})
    theirs = await opened(kirishima, consent=consent, person={"name": "架空 花子"})
    asked = await intake.as_().post(f"/v1/cases/{ours}/inquiries", {"municipality": KIRISHIMA})
    path = f"/v1/inquiries/{asked.json()['inquiry_id']}"
    assert (await kirishima.post(f"{path}/answers", {"answer": "known", "case_id": theirs})).status_code == 204
    held = await intake.as_("kirishima-desk", municipalities=[KIRISHIMA]).post(
        f"/v1/cases/{theirs}/legal-hold", {"reason": "audit"}
    )
    assert held.status_code == 200, held.text
    intake.pass_time(YEAR)
    await intake.sweep()
    assert (await kirishima.get(path)).status_code == 200, "the case of the answer is held"
    await kirishima.post(f"/v1/cases/{theirs}/legal-hold/lifting", {"reason": "ended"})
    await intake.sweep()
    assert (await kirishima.get(path)).status_code == 404
    assert await intake.rows("SELECT FROM inquiry_answer") == []
    kinds = [entry["kind"] for entry in await intake.as_().whole(f"/v1/cases/{ours}/timeline")]
    assert {"inquiry_sent", "inquiry_answered"} <= set(kinds)


async def test_a_list_goes_with_its_key_after_the_installations_days(intake: Running) -> None:
    answer = await intake.as_().post(
        "/v1/case-imports", content=(HEADER + FIRST).encode(), headers={"Content-Type": "text/csv"}
    )
    file_id = UUID(answer.json()["import_id"])
    intake.pass_time(timedelta(days=59))
    await intake.sweep()
    assert len(await intake.rows("SELECT FROM import_file")) == 1, "this installation keeps them for sixty"
    intake.pass_time(timedelta(days=2))
    await intake.sweep()
    assert await intake.rows("SELECT FROM import_file") == []
    assert await erased(intake) == {file_id}
    assert await intake.rows("SELECT FROM data_key WHERE subject_id = $1", file_id) == []


async def test_under_a_legal_hold_nothing_of_a_case_ends(intake: Running) -> None:
    desk = intake.as_()
    report = await desk.post(
        "/v1/case-imports", content=(HEADER + FIRST).encode(), headers={"Content-Type": "text/csv"}
    )
    assert (await desk.post(f"/v1/case-imports/{report.json()['import_id']}/commit", {})).status_code == 200
    (listed_case,) = await desk.whole("/v1/cases")
    draft = (await desk.post("/v1/drafts", {"person": {"name": "下書き"}})).json()["draft_id"]
    case_id = await opened(desk, draft_id=draft)
    meeting = await noted(intake, UUID(case_id))
    night = intake.as_("kagoshima-night", Role.EMERGENCY)
    declared = await night.post(f"/v1/cases/{case_id}/emergency-accesses", EMERGENCY)
    emergency = f"/v1/emergency-accesses/{declared.json()['emergency_id']}"
    await desk.post(f"{emergency}/review", {"verdict": "justified"})
    holds = [f"/v1/cases/{each}/legal-hold" for each in (case_id, listed_case["case_id"])]
    for hold in holds:
        assert (await desk.post(hold, {"reason": "litigation"})).status_code == 200
    intake.pass_time(10 * YEAR)
    await intake.sweep()
    assert await erased(intake) == set()
    assert len(await intake.rows("SELECT FROM import_file")) == 1
    assert await said(*meeting) == ["会議で話したこと"]
    assert (await desk.get(emergency)).json()["words"] == WORDS
    for hold in holds:
        assert (await desk.post(f"{hold}/lifting", {"reason": "ended"})).status_code == 200
    await intake.sweep()
    assert await erased(intake) == {UUID(draft), UUID(report.json()["import_id"])}
    assert await said(*meeting) == [None]
    assert (await desk.get(emergency)).json()["words"] is None


async def test_a_draft_that_is_taken_out_while_it_is_ending_stays(intake: Running) -> None:
    draft = UUID((await intake.as_().post("/v1/drafts", {"person": {"name": "下書き"}})).json()["draft_id"])
    await intake.as_().post(f"/v1/drafts/{draft}/discard")
    intake.pass_time(timedelta(days=40))
    async with intake.database.transaction(BY_SWEEP) as session:
        now = await intake.desk.clock.now(session)
        assert await tables.find_over(session, RecordClass.DRAFT, {"": now}) == draft
        assert (await intake.as_().post(f"/v1/drafts/{draft}/restore")).status_code == 204
        assert await tables.end(session, RecordClass.DRAFT, draft) is None
    await intake.sweep()
    assert await erased(intake) == set()


@pytest.mark.parametrize(
    ("table", "ending"),
    [
        ("meeting_note", "UPDATE meeting_note SET sealed = NULL"),
        ("emergency_access", "UPDATE emergency_access SET words = NULL"),
        ("inquiry_answer", "DELETE FROM inquiry_answer"),
        ("inquiry", "DELETE FROM inquiry"),
    ],
)
async def test_no_request_and_no_command_ends_anything(intake: Running, table: str, ending: str) -> None:
    consent = {"state": "given", "purposes": ["referral"]}
    desk, kirishima = intake.as_("the-desk"), intake.as_("kirishima-desk", municipalities=[KIRISHIMA])
    case_id = await opened(desk, consent=consent, person={"name": "架空 花子"})
    await noted(intake, UUID(case_id))
    night = intake.as_("kagoshima-night", Role.EMERGENCY)
    assert (await night.post(f"/v1/cases/{case_id}/emergency-accesses", EMERGENCY)).status_code == 201
    asked = await desk.post(f"/v1/cases/{case_id}/inquiries", {"municipality": KIRISHIMA})
    answers = f"/v1/inquiries/{asked.json()['inquiry_id']}/answers"
    assert (await kirishima.post(answers, {"answer": "not_known"})).status_code == 204
    acting = Acting(agency="the-desk", municipalities=(KAGOSHIMA,))
    assert len(await intake.rows_for(acting, f"SELECT FROM {table}")) == 1, "it is the desk's own to see"
    for anybody_but_the_clock in (acting, BY_COMMAND):
        assert await intake.rows_for(anybody_but_the_clock, f"{ending} RETURNING 1") == []
    assert len(await intake.rows(f"SELECT FROM {table}")) == 1


async def test_words_are_emptied_and_never_written_anew(intake: Running) -> None:
    await noted(intake, UUID(await opened(intake.as_())))
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await intake.rows_for(BY_SWEEP, "UPDATE meeting_note SET sealed = '' RETURNING 1")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await intake.rows_for(BY_SWEEP, "UPDATE meeting_note SET written_by = 'somebody' RETURNING 1")


async def test_a_file_that_cannot_be_read_erases_nobody(world: World, tmp_path: Path) -> None:
    own = tmp_path / "retention.toml"
    own.write_text("[default]\nsupport = 0\n", encoding="utf-8")
    running = Running(world.service("intake").service, world.settings("intake", retention_path=own))
    await closed(running)
    running.pass_time(5 * YEAR)
    with pytest.raises(ValueError, match="wanted"):
        await running.sweep()
    assert await running.rows("SELECT 1 FROM retention_notice") == []
    await running.close()
