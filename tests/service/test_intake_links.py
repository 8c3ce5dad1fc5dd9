"""Two cases of one person: linked and unlinked by people, never merged, in a ledger that alternates."""

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.intake.domain.links import Link, Refused, Step, link, pair, unlink
from tests.service.intake_counter import opened
from tests.world import KAGOSHIMA, KIRISHIMA, Caller, Running, World, execute_as_admin

SAYS = {"reason": "person_says"}
MISTAKE = {"reason": "by_mistake"}


async def linked(caller: Caller, case_id: str, other: str) -> int:
    return (await caller.post(f"/v1/cases/{case_id}/links", SAYS | {"other": other})).status_code


async def unlinked(caller: Caller, case_id: str, other: str) -> int:
    return (await caller.post(f"/v1/cases/{case_id}/links/{other}/unlinking", MISTAKE)).status_code


async def links_of(caller: Caller, case_id: str) -> list[str]:
    answer = await caller.get(f"/v1/cases/{case_id}/links")
    assert answer.status_code == 200, answer.text
    return [each["case_id"] for each in answer.json()["items"]]


async def ledger(intake: Running) -> list[tuple[int, str]]:
    rows = await intake.rows("SELECT number, step FROM person_link ORDER BY case_a, case_b, number")
    return [(row["number"], row["step"]) for row in rows]


@pytest.mark.parametrize(
    ("present", "linking", "unlinking"),
    [
        (Link(), Link(1, Step.LINKED), Refused("not_linked")),
        (Link(1, Step.LINKED), Refused("linked_already"), Link(2, Step.UNLINKED)),
        (Link(2, Step.UNLINKED), Link(3, Step.LINKED), Refused("not_linked")),
    ],
)
def test_what_may_follow_on_what_stands(present: Link, linking: Any, unlinking: Any) -> None:
    assert (link(present), unlink(present)) == (linking, unlinking)


async def test_who_holds_one_of_them_links_and_who_holds_the_other_takes_it_back(world: World) -> None:
    intake = world.service("intake")
    desk, npo = intake.as_(), intake.as_("kagoshima-npo")
    ours, theirs = await opened(desk, person={"name": "架空 花子"}), await opened(npo, person={"name": "架空 花"})
    done = await desk.post(f"/v1/cases/{ours}/links", SAYS | {"other": theirs})
    assert (done.status_code, done.json()["case_id"], done.json()["linked"]) == (201, theirs, True)
    assert (await links_of(desk, ours), await links_of(npo, theirs)) == ([theirs], [ours])
    assert (await linked(npo, theirs, ours), await linked(desk, ours, theirs)) == (409, 409)
    assert (await candidates_link(desk, ours, theirs)) in {None, "linked"}
    taken_back = await npo.post(f"/v1/cases/{theirs}/links/{ours}/unlinking", {"reason": "other_person"})
    assert (taken_back.status_code, taken_back.json()["linked"]) == (200, False)
    assert (await links_of(desk, ours), await links_of(npo, theirs)) == ([], [])
    assert await unlinked(desk, ours, theirs) == 409
    assert await ledger(intake) == [(1, "linked"), (2, "unlinked")]
    for case_id in (ours, theirs):
        entries = await desk.whole(f"/v1/cases/{case_id}/timeline")
        assert [entry["kind"] for entry in entries][-2:] == ["case_linked", "case_unlinked"]
        assert entries[-1]["codes"] == {"reason": "other_person", "by": "kagoshima-npo"}


async def candidates_link(desk: Caller, case_id: str, other: str) -> str | None:
    items = (await desk.get(f"/v1/cases/{case_id}/candidates")).json()["items"]
    found: list[str | None] = [each["link"] for each in items if each["case_id"] == other]
    return found[0] if found else None


async def test_candidates_say_what_was_decided_before(world: World) -> None:
    desk = world.service("intake").as_()
    sheet = {"name": "架空 花子", "phone": "099-000-0001", "birth_date": "1985-04-01"}
    one, other = await opened(desk, person=sheet), await opened(desk, person=sheet)
    for step in (None, "linked", "unlinked"):
        if step is not None:
            assert await (linked if step == "linked" else unlinked)(desk, other, one) in {200, 201}
        assert await candidates_link(desk, one, other) == step


async def test_linking_moves_no_data_and_no_custody(world: World) -> None:
    intake = world.service("intake")
    desk, npo = intake.as_(), intake.as_("kagoshima-npo")
    ours, theirs = await opened(desk, person={"name": "架空 花子"}), await opened(npo, person={"name": "架空 花"})
    watched = "SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {} t"
    tables = ("case_", "personal_value", "custody", "person_index", "case_consent", "outbox")
    before = [await intake.rows(watched.format(table)) for table in tables]
    assert await linked(desk, ours, theirs) == 201
    assert [await intake.rows(watched.format(table)) for table in tables] == before
    assert (await desk.get(f"/v1/cases/{theirs}/person")).status_code == 403


async def test_who_holds_neither_decides_nothing_and_a_stranger_knows_of_nothing(world: World) -> None:
    intake = world.service("intake")
    desk, school = intake.as_(), intake.as_("kagoshima-school")
    far = intake.as_("kirishima-desk", municipalities=[KIRISHIMA])
    one, other = await opened(desk), await opened(desk)
    elsewhere = await opened(far, municipality=KIRISHIMA)
    refused = await school.post(f"/v1/cases/{one}/links", SAYS | {"other": other})
    assert (refused.status_code, refused.json()["code"]) == (403, "not_the_holder")
    for caller, mine, theirs in ((far, one, other), (desk, one, elsewhere), (far, elsewhere, one)):
        assert await linked(caller, mine, theirs) == 404
        assert await unlinked(caller, mine, theirs) == 404
    assert await ledger(intake) == []


async def test_a_link_into_another_town_is_shown_to_those_whose_business_both_are(world: World) -> None:
    intake = world.service("intake")
    desk, far = intake.as_(), intake.as_("kirishima-desk", municipalities=[KIRISHIMA])
    wide = intake.as_("prefecture-desk", municipalities=["prefecture:46"])
    ours, theirs = await opened(desk), await opened(wide, municipality=KIRISHIMA)
    assert await linked(wide, theirs, ours) == 201
    assert await links_of(wide, ours) == [theirs]
    assert (await links_of(desk, ours), await links_of(far, theirs)) == ([], [])
    for caller, case_id, secret in ((desk, ours, theirs), (far, theirs, ours)):
        assert secret not in str(await caller.whole(f"/v1/cases/{case_id}/timeline"))


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"reason": "person_says"}, "missing"),
        ({"other": "x", "reason": "person_says"}, "uuid_parsing"),
        ({"reason": "because"}, "enum"),
        ({"reason": "other_person"}, "enum"),
    ],
)
async def test_a_link_needs_another_case_and_a_coded_reason(world: World, body: dict[str, str], code: str) -> None:
    desk = world.service("intake").as_()
    one, other = await opened(desk), await opened(desk)
    sent = body if code in {"missing", "uuid_parsing"} else body | {"other": other}
    answer = await desk.post(f"/v1/cases/{one}/links", sent)
    assert (answer.status_code, [error["code"] for error in answer.json()["errors"]]) == (422, [code])
    itself = await desk.post(f"/v1/cases/{one}/links", SAYS | {"other": one})
    assert [error["code"] for error in itself.json()["errors"]] == ["itself"]
    assert (await desk.post(f"/v1/cases/{one}/links/{one}/unlinking", MISTAKE)).json()["code"] == "not_linked"


async def test_of_ten_who_link_at_once_from_both_ends_one_does(world: World) -> None:
    intake = world.service("intake")
    desk = intake.as_()
    one, other = await opened(desk), await opened(desk)
    for act, done in ((linked, 201), (unlinked, 200), (linked, 201)):
        answers = await asyncio.gather(
            *(act(desk, *((one, other) if number % 2 else (other, one))) for number in range(10))
        )
        assert sorted(answers) == [done] + [409] * 9
    assert await ledger(intake) == [(1, "linked"), (2, "unlinked"), (3, "linked")]


async def test_who_links_and_who_unlinks_at_once_leave_a_ledger_that_alternates(world: World) -> None:
    intake = world.service("intake")
    desk = intake.as_()
    one, other = await opened(desk), await opened(desk)
    await asyncio.gather(*((linked if number % 2 else unlinked)(desk, one, other) for number in range(12)))
    steps = await ledger(intake)
    assert steps == [(number, "linked" if number % 2 else "unlinked") for number in range(1, len(steps) + 1)]
    assert len(steps) > 0


@pytest.mark.parametrize(
    ("first", "second", "number", "step"),
    [
        (0, 1, 2, "unlinked"),
        (0, 1, 3, "linked"),
        (0, 1, 1, "unlinked"),
        (0, 1, 2, "linked"),
        (1, 0, 1, "linked"),
        (0, 0, 1, "linked"),
        (0, 1, 0, "unlinked"),
    ],
)
async def test_the_database_itself_keeps_the_ledger_alternating(
    world: World, first: int, second: int, number: int, step: str
) -> None:
    intake = world.service("intake")
    desk = intake.as_()
    cases = [UUID(each) for each in sorted([await opened(desk), await opened(desk)])]
    with pytest.raises(asyncpg.IntegrityConstraintViolationError):
        await intake.rows(
            "INSERT INTO person_link (case_a, case_b, number, step, reason, by, at)"
            " VALUES ($1, $2, $3, $4, 'x', 'x', now())",
            cases[first], cases[second], number, step,
        )  # fmt: skip
    for statement in ("UPDATE person_link SET step = 'linked'", "DELETE FROM person_link"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await intake.rows(statement)


# --- any history ----------------------------------------------------------------------------------------------------

AGENCIES = ("kagoshima-desk", "kagoshima-npo", "kagoshima-school", "kirishima-desk")
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["link", "link", "unlink", "both"]),
        st.integers(0, 4),
        st.integers(0, 4),
        st.sampled_from(AGENCIES),
    ),
    min_size=1,
    max_size=25,
)


@given(STEPS)
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
async def test_in_any_history_what_is_shown_is_what_was_last_decided(
    world: World, steps: Sequence[tuple[str, int, int, str]]
) -> None:
    """Beside an oracle that knows nothing of tables: sets of pairs, and who holds what."""
    intake = world.service("intake")
    await execute_as_admin(world.postgres, "TRUNCATE intake.case_ CASCADE", world.database_name)
    callers = {agency: intake.as_(agency, municipalities=[KAGOSHIMA]) for agency in AGENCIES[:3]}
    callers["kirishima-desk"] = intake.as_("kirishima-desk", municipalities=[KIRISHIMA])
    holders = ["kagoshima-desk", "kagoshima-desk", "kagoshima-npo", "kagoshima-npo", "kirishima-desk"]
    towns = [KAGOSHIMA] * 4 + [KIRISHIMA]
    cases = [await opened(callers[holder], municipality=town) for holder, town in zip(holders, towns, strict=True)]
    true: set[frozenset[str]] = set()

    for what, first, second, agency in steps:
        one, other = cases[first], cases[second]
        both = frozenset({one, other})
        knows = all((towns[each] == KIRISHIMA) == (agency == "kirishima-desk") for each in (first, second))
        may = knows and agency in {holders[first], holders[second]}
        if what == "both":
            answers = await asyncio.gather(linked(callers[agency], one, other), linked(callers[agency], other, one))
            if first != second and may:
                assert sorted(answers) == ([409, 409] if both in true else [201, 409])
                true.add(both)
            continue
        status = await (linked if what == "link" else unlinked)(callers[agency], one, other)
        if first == second:
            assert status == (422 if what == "link" else 409)
        elif not knows:
            assert status == 404
        elif not may:
            assert status == 403
        elif (what == "link") == (both in true):
            assert status == 409
        else:
            assert status == (201 if what == "link" else 200)
            true ^= {both}

    for number, case_id in enumerate(cases):
        shown = await links_of(callers[holders[number]], case_id)
        assert sorted(shown) == sorted(other for both in true if case_id in both for other in both - {case_id})
    by_pair: dict[tuple[UUID, UUID], list[str]] = {}
    for row in await intake.rows("SELECT case_a, case_b, step FROM person_link ORDER BY case_a, case_b, number"):
        by_pair.setdefault((row["case_a"], row["case_b"]), []).append(row["step"])
    for ledger_pair, taken in by_pair.items():
        assert ledger_pair == pair(*ledger_pair)
        assert taken == ["linked", "unlinked"] * (len(taken) // 2) + ["linked"] * (len(taken) % 2)
