"""つなぎ先の候補: where a case may go, best first, with the proposal under which the answer is kept."""

from collections import Counter
from typing import Annotated
from uuid import UUID

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from services.referral.api.answers import refusal
from services.referral.api.reasons import CandidateAnswer, OptionAnswer, candidate_answer, needs_in, option_answer
from services.referral.domain.options import Stage
from services.referral.domain.read_routing import as_read, order_for
from services.referral.domain.routing import Excluded, Ranked, Routing
from services.referral.domain.told import Reading
from services.referral.handlers import looking, proposals
from services.referral.handlers import routing as handlers
from services.referral.handlers.referrals import CaseIsClosed
from services.referral.handlers.routing import Proposal
from shared.auth import Caller, Role, requires
from shared.problems import NOT_FOUND, Problem
from shared.service import Now, Pages, Paging, Transaction, number, page, router

candidates = router(tag="candidates")

EXCLUDED_SHOWN = 50
"""So many that were left out are shown with their reasons; all are counted, kept, and read page by page."""


NEEDS_WITHHELD = (
    "The case's needs are named to who holds it, and to who is told of them by an open referral, as far as the person"
    " agreed; here are some that the caller may not read, in `unmet_needs` or in a reason."
)


class CoordinatorAnswer(BaseModel):
    """Who holds the case meanwhile. There is always somebody."""

    agency_id: str
    text_ja: str
    text_en: str


class CountsAnswer(BaseModel):
    """How many there are of everything; no filter and no page changes that."""

    candidates: int
    by_stage: dict[Stage, int]
    excluded: int = Field(description="Looked at one by one, and left out.")
    beyond: int = Field(description="In the prefecture, and not looked at one by one; 0 where it has few options.")
    beyond_ja: str | None = Field(default=None, description="Which those are, in words; without any: none.")
    beyond_en: str | None = None


class CandidatesAnswer(BaseModel):
    """Never an empty answer: candidates, or the gap and who holds the case."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "items": [
                        {
                            "kind": "programme",
                            "id": "01920000-0000-7000-8000-0000000000a1",
                            "agency_id": "sakurajima-npo",
                            "name": "朝の居場所",
                            "course_number": None,
                            "function": "drop_in_space",
                            "stage": "drop_in",
                            "reasons": [
                                {
                                    "code": "has_room",
                                    "text_ja": "空きがあります",
                                    "text_en": "Has room",
                                    "weight": 6,
                                    "rule": None,
                                }
                            ],
                            "score": 6,
                            "may_be_sent": True,
                        },
                        {
                            "kind": "course_run",
                            "id": "01920000-0000-7000-8000-0000000000b1",
                            "agency_id": "school-hibiki",
                            "name": None,
                            "course_number": "5-08-46-02-0031",
                            "function": "care",
                            "stage": "vocational_training",
                            "system": "job_seeker_practical",
                            "starts_on": "2026-12-28",
                            "ends_on": "2027-03-27",
                            "applications_close_at": "2026-12-14T07:00:00Z",
                            "reasons": [
                                {
                                    "code": "seats_unknown",
                                    "text_ja": "席の状況はまだ届いていません",
                                    "text_en": "Nothing is known about its seats yet",
                                    "weight": 1,
                                    "rule": None,
                                }
                            ],
                            "score": 1,
                            "may_be_sent": True,
                        },
                    ],
                    "next_cursor": None,
                    "counts": {
                        "candidates": 2,
                        "by_stage": {"drop_in": 1, "vocational_training": 1},
                        "excluded": 0,
                        "beyond": 0,
                    },
                    "excluded": [],
                    "proposal_id": "01920000-0000-7000-8000-0000000000f1",
                    "rule_version": 1,
                    "need_unmet": False,
                    "unmet_needs": ["housing"],
                    "needs_withheld": False,
                    "coordinator": {
                        "agency_id": "kagoshima-desk",
                        "text_ja": "受諾されるまで、今の担当機関が引き続き担当します。",
                        "text_en": "The agency that holds the case goes on holding it until somebody accepts.",
                    },
                }
            ]
        }
    )

    items: list[CandidateAnswer] = Field(description="Best first; the next page is of the same proposal.")
    next_cursor: str | None
    counts: CountsAnswer
    excluded: list[OptionAnswer] = Field(
        description="On the first page, the nearest of those that were left out; all of them: .../excluded."
    )
    proposal_id: UUID = Field(description="Under which the answer is kept: why was this proposed on that day?")
    rule_version: int
    need_unmet: bool = Field(description="Nobody can take the case on now, or all have said no: a gap in the region.")
    unmet_needs: list[str] = Field(description="Needs on record that nobody answers who hasn't said no.")
    needs_withheld: bool = Field(description=NEEDS_WITHHELD)
    coordinator: CoordinatorAnswer


@candidates.get(
    "/v1/cases/{case_id}/candidates",
    dependencies=[requires(Role.COUNSELLOR)],
    summary="Where a case may go, with reasons",
    description=(
        "つなぎ先の候補を理由とともに返します。長期化の見込みで候補から外れたり順位が下がったりすることはありません。"
        "判定の段階・長期化の見込み・急ぎかどうかを見られない機関には、それらを除いた点数と順番で示します。"
        "同意が及ばない候補も、理由を付けて示します。候補がなければ足りない支援として記録され、調整役が担当します。"
        "続きのページは、同じ提案(proposal_id)の続きです。担当が変わるなどして見られる順番が変わったときは、最初から読み直してください(422)。"
    ),
)
async def find_candidates(
    case_id: UUID,
    session: Transaction,
    now: Now,
    actor: Caller,
    pages: Pages,
    stage: Annotated[Stage | None, Query(description="Only this rung of the ladder.")] = None,
) -> CandidatesAnswer:
    """Best first; what is left out is named too."""
    reading = (await looking.readings(session, [case_id], actor.agency, now))[case_id]

    def of_this_order(proposal_id: str, index: str, order: str) -> tuple[UUID, int]:
        # A place in one order is another in the other: whoever went on from it would miss somebody.
        if order != order_for(reading):
            raise ValueError("what the caller may read has changed")
        return UUID(proposal_id), number(index)

    place = pages.begin(of_this_order)
    if place is None:
        proposal = await handlers.find_candidates(session, case_id, actor, now)
        if isinstance(proposal, CaseIsClosed):
            raise refusal(proposal)
        return _answer(proposal, pages, stage, reading, begin=0)
    proposal_id, last = place
    given = await proposals.get_proposal(session, proposal_id, actor)
    if given.row.case_id != case_id:
        raise Problem(NOT_FOUND)
    kept = Proposal(proposal_id, case_id, given.row.rule_version, given.routing)
    return _answer(kept, pages, stage, reading, begin=last + 1)


def _answer(
    proposal: Proposal, pages: Paging, stage: Stage | None, reading: Reading, *, begin: int
) -> CandidatesAnswer:
    routing = as_read(proposal.routing, reading)
    chosen = [each for each in routing.items if stage is None or each.stage is stage]
    found = page(
        list(enumerate(chosen))[begin : begin + pages.one_more],
        pages,
        key=lambda place: (proposal.id, place[0], order_for(reading)),
        show=lambda place: candidate_answer(place[1], reading),
    )
    return CandidatesAnswer(
        items=found.items,
        next_cursor=found.next_cursor,
        counts=counts(routing),
        excluded=[] if begin else left_out(routing, reading, stage),
        proposal_id=proposal.id,
        rule_version=proposal.rule_version,
        need_unmet=routing.need_unmet,
        unmet_needs=list(reading.of(routing.unmet_needs)),
        needs_withheld=withholds(routing, reading),
        coordinator=coordinator(routing),
    )


def counts(routing: Routing) -> CountsAnswer:
    """Of all stages."""
    by_stage = Counter(each.stage for each in routing.items)
    return CountsAnswer(
        candidates=len(routing.items),
        by_stage={stage: by_stage[stage] for stage in Stage if by_stage[stage]},
        excluded=len(routing.excluded),
        beyond=routing.beyond,
        beyond_ja=_BEYOND_JA.format(count=routing.beyond) if routing.beyond else None,
        beyond_en=_BEYOND_EN.format(count=routing.beyond) if routing.beyond else None,
    )


_BEYOND_JA = (
    "県内のほかの{count}件は、この市町村(規則が認める近隣を含む)を対象としないか、記録された課題に応えないか、"
    "応募期限を過ぎているため、1件ずつは調べていません。名簿で見られます。"
)
_BEYOND_EN = (
    "{count} others in the prefecture were not looked at one by one: they serve other municipalities, answer none of"
    " the needs on record, or their application deadline has passed. The directory lists them."
)


def withholds(routing: Routing, reading: Reading) -> bool:
    """Whether there is a need that this reader may not know of."""
    placed: list[Ranked | Excluded] = [*routing.items, *routing.excluded]
    codes = frozenset(routing.unmet_needs).union(*map(needs_in, placed))
    return not all(map(reading.holds, codes))


def left_out(routing: Routing, reading: Reading, stage: Stage | None = None) -> list[OptionAnswer]:
    """The nearest of them."""
    return [option_answer(each, reading) for each in nearest_left_out(routing, stage)[:EXCLUDED_SHOWN]]


def nearest_left_out(routing: Routing, stage: Stage | None) -> list[Excluded]:
    """The nearest first: those with the fewest reasons against them."""
    chosen = [each for each in routing.excluded if stage is None or each.stage is stage]
    return sorted(chosen, key=lambda each: len(each.reasons))


def coordinator(routing: Routing) -> CoordinatorAnswer:
    """Who holds the case meanwhile."""
    if routing.need_unmet:
        japanese = (
            "今は引き受けられる先がありません。この機関が調整役として担当を続け、足りない支援として記録されます。"
        )
        english = "Nobody can take it on now. This agency coordinates on; the gap is on record."
    else:
        japanese = "受諾されるまで、今の担当機関が引き続き担当します。"
        english = "The agency that holds the case goes on holding it until somebody accepts."
    return CoordinatorAnswer(agency_id=routing.coordinator, text_ja=japanese, text_en=english)
