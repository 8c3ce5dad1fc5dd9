"""Consent that is taken back is taken back everywhere within ten seconds, over the real bus; the rest stays."""

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from rich.console import Console

from demo.client import Agency, Refused, eventually
from demo.load import NOTIFICATION, invented_number, load_region
from shared.service.clock import day_in_japan, wall_time
from tests.e2e.processes import Platform

pytestmark = pytest.mark.slow

BOUND = 10.0
"""Seconds from the answer to the withdrawal until nothing rests on it any more, in any service."""


async def test_withdrawn_consent_is_withdrawn_everywhere_in_one_process(embedded: Platform) -> None:
    await _withdraw(embedded)


@pytest.mark.kafka
async def test_withdrawn_consent_is_withdrawn_everywhere_over_kafka(separate: Platform) -> None:
    await _withdraw(separate)


async def _withdraw(platform: Platform) -> None:
    await load_region(platform.url, platform.keys, Console(quiet=True))
    async with httpx2.AsyncClient(trust_env=False, timeout=30) as client:

        def agency(name: str) -> Agency:
            return Agency.from_keys(platform.url, name, platform.keys, client)

        desk, npo, placement = agency("kagoshima-desk"), agency("npo-hinata"), agency("kagoshima-placement")
        case = f"/intake/v1/cases/{await _referred_case(desk, placement)}"
        under_way = await _on_every_way(desk, case[-36:], agency)
        assert under_way >= {"sent", "returned", "waiting", "decline_pending"}
        ratings = f"/assessment/v1/cases/{case[-36:]}/assessments"
        assert await _basis(npo, case, "referral") == "consent"
        await _seconds(0, lambda: _rated_by(npo, ratings), until=[desk.agency])
        await desk.post(f"{case}/consents", {"state": "withdrawn"})
        began = time.monotonic()
        took = await asyncio.gather(
            _seconds(began, lambda: _basis(npo, case, "referral"), until="no_basis"),
            _seconds(began, lambda: _referrals(desk, case[-36:]), until={"withdrawn"}),
            _seconds(began, lambda: _seats(desk, case[-36:]), until={"released"}),
            _seconds(began, lambda: _rated_by(npo, ratings), until="no_basis"),
        )
        assert max(took) < BOUND, took
        # What the law lets the holder disclose without consent does not fall with it.
        assert await _basis(npo, case, "support") == "appi_69_2_4"
        assert await _rated_by(desk, ratings) == [desk.agency]


async def _referred_case(desk: Agency, placement: Agency) -> str:
    """A case with everything in flight that may rest on consent: referrals, and a nominated seat."""
    consent = {"state": "given", "purposes": ["referral", "training", "assessment"]}
    opened = await desk.post(
        "/intake/v1/cases",
        {"topics": ["job_search"], "needs": ["people", "experience", "isolation"], "consent": consent},
    )
    case_id: str = opened["case_id"]
    rating = f"/assessment/v1/cases/{case_id}/assessments"
    await eventually(lambda: desk.post(rating, {"levels": {"mental": 3}}), what="case known to assessment")
    found = await eventually(
        lambda: desk.get(f"/referral/v1/cases/{case_id}/candidates"),
        until=lambda answer: {item["kind"] for item in answer["items"]} == {"programme", "course_run"},
        what="candidates",
    )
    courses = [item["id"] for item in found["items"] if item["kind"] == "course_run"]
    programme = next(
        item["id"] for item in found["items"] if item["kind"] == "programme" and item["agency_id"] != desk.agency
    )
    sent: list[dict[str, Any]] = [{"programme_id": programme}, {"course_run_id": courses[0]}]
    for to in sent:
        await eventually(lambda to=to: desk.post("/referral/v1/referrals", {"case_id": case_id} | to), what="consent")  # type: ignore[misc]
    (nominated,) = await eventually(
        lambda: desk.every("/training/v1/seat-requests", case_id=case_id),
        until=lambda requests: [request["state"] for request in requests] == ["held"],
        what="a seat",
    )
    entity = {"legal_entity": invented_number(placement.agency), "notification_number": NOTIFICATION}
    await placement.post(f"/training/v1/seat-requests/{nominated['seat_request_id']}/nominate", entity)
    until = (day_in_japan(wall_time()) + timedelta(days=30)).isoformat()
    disclosure = {"recipient": "npo-hinata", "purpose": "support", "sets": ["story"], "basis": "appi_69_2_4"}
    await desk.post(
        f"/intake/v1/cases/{case_id}/disclosures", disclosure | {"until": until, "reason": "protects_person"}
    )
    return case_id


async def _on_every_way(desk: Agency, case_id: str, agency: Callable[[str], Agency]) -> set[str]:
    """Referrals that their receivers have sent back, put in line and declined; in which states they all stand."""
    found = (await desk.get(f"/referral/v1/cases/{case_id}/candidates"))["items"]
    there = {referral["programme_id"] for referral in await desk.every("/referral/v1/referrals", case_id=case_id)}
    others = [item for item in found if item["kind"] == "programme" and item["id"] not in there]
    others = [item for item in others if item["agency_id"] != desk.agency]
    day = (day_in_japan(wall_time()) + timedelta(days=9)).isoformat()
    moves = {"return": {"missing": ["wishes"]}, "wait": {"review_on": day}, "decline": {"reason": "no_capacity"}}
    for item, (name, said) in zip(others, moves.items(), strict=False):
        sent = await desk.post("/referral/v1/referrals", {"case_id": case_id, "programme_id": item["id"]})
        await agency(item["agency_id"]).post(f"/referral/v1/referrals/{sent['referral_id']}/{name}", said)
    return await _referrals(desk, case_id)


async def _basis(caller: Agency, case: str, purpose: str) -> str:
    """On which basis the sheet is read, or why not."""
    try:
        return str((await caller.get(f"{case}/person", purpose=purpose))["basis"])
    except Refused as refused:
        return refused.code


async def _rated_by(caller: Agency, ratings: str) -> list[str] | str:
    """Whose ratings are read, or why none is."""
    try:
        return [str(rating["rated_by"]) for rating in (await caller.get(ratings))["items"]]
    except Refused as refused:
        return refused.code


async def _referrals(desk: Agency, case_id: str) -> set[str]:
    return {referral["state"] for referral in await desk.every("/referral/v1/referrals", case_id=case_id)}


async def _seats(desk: Agency, case_id: str) -> set[str]:
    return {request["state"] for request in await desk.every("/training/v1/seat-requests", case_id=case_id)}


async def _seconds(began: float, ask: Any, *, until: Any) -> float:
    await eventually(ask, until=lambda found: bool(found == until), what=str(until))
    return time.monotonic() - began
