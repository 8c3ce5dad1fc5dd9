"""Two do it at once, from two machines or two agencies: one of them does, and the other is told."""

import asyncio
from collections.abc import Coroutine
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.auth import Role
from shared.events import ReferralAccepted
from tests.service.intake_counter import today, with_sheet
from tests.world import KIRISHIMA, Caller, Running

GIVEN = {"state": "given", "purposes": ["referral"]}


async def at_once(*asked: Coroutine[Any, Any, Any]) -> list[int]:
    return sorted(answer.status_code for answer in await asyncio.gather(*asked))


async def custody_of(desk: Caller, case: str) -> list[tuple[str, str]]:
    return [(entry["step"], entry["holder"]) for entry in await desk.whole(f"{case}/custody")]


async def test_of_two_agencies_that_take_the_person_up_again_one_holds_the_case(
    intake: Running, desk: Caller, npo: Caller
) -> None:
    case = await with_sheet(desk, consent=GIVEN)
    await desk.post(f"{case}/closing", {"interruption": "moved_away"})
    assert await at_once(*(who.post(f"{case}/reopening") for who in (desk, npo, desk, npo))) == [200, 409, 409, 409]
    steps = await custody_of(desk, case)
    assert [step for step, _ in steps] == ["opened", "closed", "reopened"]
    assert (await desk.get(case)).json()["holder_agency"] == steps[-1][1]


async def test_a_case_that_is_closed_handed_on_and_reopened_at_once_has_one_holder(
    intake: Running, desk: Caller, npo: Caller
) -> None:
    case = await with_sheet(desk, consent=GIVEN)
    accepted = ReferralAccepted(
        case_id=UUID(case[-36:]),
        referral_id=uuid4(),
        sender="kagoshima-desk",
        receiver="kagoshima-npo",
    )
    await asyncio.gather(
        desk.post(f"{case}/closing", {"outcome": "goal_reached"}),
        intake.hear(accepted),
        desk.post(f"{case}/reopening"),
        desk.post(f"{case}/consents", {"state": "withdrawn"}),
        npo.post(f"{case}/screenings", {"outcome": "support"}),
    )
    shown, steps = (await desk.get(case)).json(), await custody_of(desk, case)
    assert shown["holder_agency"] == steps[-1][1]
    assert (shown["status"] == "closed") == (steps[-1][0] == "closed")
    for before, after in pairwise(steps):
        assert (before[0] == "closed") == (after[0] == "reopened"), steps


async def test_of_two_who_review_an_emergency_at_once_one_does(intake: Running, desk: Caller, night: Caller) -> None:
    case = await with_sheet(desk)
    words = {"reason": "missing", "words": "本人と三日連絡がつかず、家にもいないと知らせがあった"}
    declared = await night.post(f"{case}/emergency-accesses", words)
    path = f"/v1/emergency-accesses/{declared.json()['emergency_id']}/review"
    verdicts = ("justified", "not_justified", "beyond_need")
    assert await at_once(*(desk.post(path, {"verdict": verdict}) for verdict in verdicts)) == [201, 409, 409]


async def test_of_two_who_answer_an_inquiry_at_once_one_does(intake: Running, desk: Caller, far: Caller) -> None:
    case = await with_sheet(desk, consent=GIVEN)
    asked = await desk.post(f"{case}/inquiries", {"municipality": KIRISHIMA})
    path = f"/v1/inquiries/{asked.json()['inquiry_id']}/answers"
    answers = ("not_known", "will_get_in_touch", "not_known")
    assert await at_once(*(far.post(path, {"answer": answer}) for answer in answers)) == [204, 409, 409]
    withdrawn = desk.post(f"{case}/consents", {"state": "withdrawn"})
    second = intake.as_("kirishima-npo", municipalities=[KIRISHIMA])
    statuses = await at_once(withdrawn, second.post(path, {"answer": "not_known"}))
    assert statuses in ([201, 204], [201, 404])


async def test_one_draft_becomes_one_case_or_is_put_away(intake: Running, desk: Caller) -> None:
    draft = (await desk.post("/v1/drafts", {"person": {"name": "下書き"}})).json()["draft_id"]
    openings = [desk.post("/v1/cases", {"draft_id": draft}) for _ in range(3)]
    saving = desk.put(f"/v1/drafts/{draft}", {"person": {"name": "下書き 二"}}, etag='"1"')
    statuses = await at_once(*openings, desk.post(f"/v1/drafts/{draft}/discard"), saving)
    cases = await intake.rows("SELECT id FROM case_")
    put_away = await intake.rows("SELECT discarded_at FROM draft WHERE discarded_at IS NOT NULL")
    assert len(cases) + len(put_away) == 1, statuses
    assert statuses.count(201) == len(cases)


async def test_a_disclosure_ended_by_many_at_once_is_ended_once(intake: Running, desk: Caller) -> None:
    case = await with_sheet(desk)
    body = {"recipient": "kagoshima-npo", "purpose": "support", "sets": ["story"], "basis": "appi_69_2_3"}
    made = await desk.post(f"{case}/disclosures", body | {"until": today(intake, 9), "reason": "legal_request"})
    path = f"{case}/disclosures/{made.json()['disclosure_id']}/ending"
    assert await at_once(*(desk.post(path) for _ in range(4))) == [200] * 4
    kinds = [entry["kind"] for entry in await desk.whole(f"{case}/timeline")]
    assert kinds.count("disclosure_ended") == 1


async def test_a_case_put_on_an_agenda_by_many_at_once_stands_there_once(intake: Running, desk: Caller) -> None:
    case = await with_sheet(desk)
    body = {"kind": "shien_kaigi", "held_on": today(intake), "topic": "debt", "members": ["kagoshima-npo"]}
    meeting = (await desk.post("/v1/meetings", body)).json()["meeting_id"]
    put = [desk.post(f"/v1/meetings/{meeting}/cases", {"case_id": case[-36:]}) for _ in range(4)]
    assert await at_once(*put) == [201] * 4
    assert (await desk.get(f"/v1/meetings/{meeting}")).json()["cases"] == [case[-36:]]


async def test_a_list_committed_by_many_at_once_opens_its_cases_once(intake: Running, desk: Caller) -> None:
    content = "番号,市町村コード,氏名\r\n1,462012,名簿 みつ\r\n2,462012,名簿 よつ\r\n".encode()
    sent = await desk.post("/v1/case-imports", content=content, headers={"Content-Type": "text/csv"})
    path = f"/v1/case-imports/{sent.json()['import_id']}/commit"
    assert sent.json()["rejected"] == 0, sent.text
    statuses = await at_once(*(desk.post(path, {}) for _ in range(3)))
    assert statuses[0] == 200
    assert set(statuses) <= {200, 409}
    assert len(await intake.rows("SELECT id FROM case_")) == 2


async def test_two_keys_of_two_agencies_are_two_even_if_they_are_the_same(intake: Running, desk: Caller) -> None:
    key = "01a22787-737e-722c-a0cb-c8a52de3da6a"
    others = [intake.as_(f"kagoshima-{name}", Role.COUNSELLOR) for name in ("a", "b", "c")]
    answers = await asyncio.gather(*(who.post("/v1/cases", {}, key=key) for who in (desk, *others, desk)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["case_id"] for answer in answers}) == 4


@pytest.mark.parametrize("turns", range(2))
async def test_who_takes_the_alarm_away_while_another_raises_it_is_late(
    intake: Running, desk: Caller, npo: Caller, turns: int
) -> None:
    case = await with_sheet(desk, topics=["debt"], urgency=["danger_to_life"])
    changes = [
        desk.patch(case, {"urgency": []}, etag='"1"'),
        npo.patch(case, {"topics": ["debt", "violence"]}, etag='"1"'),
    ]
    assert await at_once(*(changes[::-1] if turns else changes)) == [200, 412]
