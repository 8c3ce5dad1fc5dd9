"""Why was this proposed on that day? Proposals that were kept, and made again."""

from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict
from sqlalchemy import Row

from services.referral.api.candidates import (
    NEEDS_WITHHELD,
    CountsAnswer,
    coordinator,
    counts,
    left_out,
    nearest_left_out,
    withholds,
)
from services.referral.api.candidates import CoordinatorAnswer as HolderAnswer
from services.referral.api.reasons import CandidateAnswer, OptionAnswer, candidate_answer, option_answer
from services.referral.domain.options import Stage
from services.referral.domain.read_routing import as_read
from services.referral.handlers import looking
from services.referral.handlers import proposals as handlers
from shared.auth import Caller, Role, requires
from shared.problems import NOT_FOUND, Problem
from shared.service import LongPages, Now, Page, Pages, Transaction, number, page, router

proposals = router(tag="candidates")

_HEAD: JsonDict = {
    "proposal_id": "01920000-0000-7000-8000-0000000000f1",
    "case_id": "01920000-0000-7000-8000-0000000000c1",
    "at": "2026-04-01T00:30:00Z",
    "on_day": "2026-04-01",
    "rule_version": 1,
    "candidates": 0,
}


class ProposalHead(BaseModel):
    """A proposal (提案) without what it says."""

    model_config = ConfigDict(json_schema_extra={"examples": [_HEAD]})

    proposal_id: UUID
    case_id: UUID
    at: datetime = Field(description="When it was first given; the same again on that day is the same proposal.")
    on_day: date
    rule_version: int
    candidates: int


class ProposalAnswer(ProposalHead):
    """What was proposed on that day, and why; from what was kept, whatever rules and directory say today."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    **_HEAD,
                    "items": [],
                    "counts": {"candidates": 0, "by_stage": {}, "excluded": 0, "beyond": 3},
                    "excluded": [],
                    "need_unmet": True,
                    "unmet_needs": ["housing"],
                    "needs_withheld": False,
                    "coordinator": {
                        "agency_id": "kagoshima-desk",
                        "text_ja": "今は候補がありません。",
                        "text_en": "There is no candidate now.",
                    },
                }
            ]
        }
    )

    items: list[CandidateAnswer]
    counts: CountsAnswer
    excluded: list[OptionAnswer]
    need_unmet: bool
    unmet_needs: list[str]
    needs_withheld: bool = Field(description=NEEDS_WITHHELD)
    coordinator: HolderAnswer


class ReplayedAnswer(BaseModel):
    """The proposal made again, from the kept facts by the kept version of the rules. All of it must be true."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "proposal_id": "01920000-0000-7000-8000-0000000000f1",
                    "rule_version": 1,
                    "identical": True,
                    "same_candidates": True,
                    "same_order": True,
                    "same_reasons": True,
                    "same_rest": True,
                }
            ]
        }
    )

    proposal_id: UUID
    rule_version: int
    identical: bool
    same_candidates: bool
    same_order: bool
    same_reasons: bool
    same_rest: bool = Field(description="What was left out and why, unmet needs, the coordinator.")


@proposals.get(
    "/v1/cases/{case_id}/proposals",
    dependencies=[requires(Role.COUNSELLOR)],
    summary="What was proposed for a case",
    description="このケースについて示された提案を、新しい順に返します。同じ日に同じ内容は一度だけ残ります。",
)
async def list_proposals(case_id: UUID, session: Transaction, actor: Caller, pages: Pages) -> Page[ProposalHead]:
    """Newest first."""
    rows = await handlers.list_proposals(session, case_id, actor, before=pages.begin(UUID), limit=pages.one_more)
    return page(rows, pages, key=lambda row: (row.id,), show=lambda row: ProposalHead(**_head(row)))


@proposals.get(
    "/v1/proposals/{proposal_id}",
    dependencies=[requires(Role.COUNSELLOR)],
    summary="What was proposed on that day, and why",
    description="その日に示された候補と理由を、そのときのまま返します。候補は上から `limit` 件です。",
)
async def get_proposal(
    proposal_id: UUID,
    session: Transaction,
    now: Now,
    actor: Caller,
    limit: Annotated[int, Query(ge=1, le=500, description="So many candidates, best first.")] = 100,
) -> ProposalAnswer:
    """As it was said."""
    given = await handlers.get_proposal(session, proposal_id, actor)
    case_id = given.row.case_id
    reading = (await looking.readings(session, [case_id], actor.agency, now))[case_id]
    routing = as_read(given.routing, reading)
    return ProposalAnswer(
        **_head(given.row),
        items=[candidate_answer(each, reading) for each in routing.items[:limit]],
        counts=counts(routing),
        excluded=left_out(routing, reading),
        need_unmet=routing.need_unmet,
        unmet_needs=list(reading.of(routing.unmet_needs)),
        needs_withheld=withholds(routing, reading),
        coordinator=coordinator(routing),
    )


@proposals.get(
    "/v1/proposals/{proposal_id}/replay",
    dependencies=[requires(Role.COUNSELLOR)],
    summary="Make a proposal again",
    description="残された事実と規則の版からもう一度求め、候補・順番・理由が同じかどうかを返します。",
)
async def replay_proposal(proposal_id: UUID, session: Transaction, actor: Caller) -> ReplayedAnswer:
    """It must be identical."""
    given = await handlers.get_proposal(session, proposal_id, actor)
    found = await handlers.replay(session, given)
    return ReplayedAnswer(
        proposal_id=proposal_id,
        rule_version=given.row.rule_version,
        identical=found.identical,
        same_candidates=found.candidates,
        same_order=found.order,
        same_reasons=found.reasons,
        same_rest=found.rest,
    )


@proposals.get(
    "/v1/cases/{case_id}/proposals/{proposal_id}/excluded",
    dependencies=[requires(Role.COUNSELLOR)],
    summary="Everything that was left out of a proposal, and why",
    description="この提案で候補から外れたものを、外れた理由の少ない順にすべて返します。",
)
async def list_excluded(
    case_id: UUID,
    proposal_id: UUID,
    session: Transaction,
    now: Now,
    actor: Caller,
    pages: LongPages,
    stage: Annotated[Stage | None, Query(description="Only this rung of the ladder.")] = None,
) -> Page[OptionAnswer]:
    """As it was said."""
    given = await handlers.get_proposal(session, proposal_id, actor)
    if given.row.case_id != case_id:
        raise Problem(NOT_FOUND)
    after = pages.begin(number)
    begin = 0 if after is None else after + 1
    chosen = list(enumerate(nearest_left_out(given.routing, stage)))
    reading = (await looking.readings(session, [case_id], actor.agency, now))[case_id]
    return page(
        chosen[begin : begin + pages.one_more],
        pages,
        key=lambda place: (place[0],),
        show=lambda place: option_answer(place[1], reading),
    )


def _head(row: Row[Any]) -> dict[str, Any]:
    return {
        "proposal_id": row.id,
        "case_id": row.case_id,
        "at": row.at,
        "on_day": row.on_day,
        "rule_version": row.rule_version,
        "candidates": row.candidates,
    }
