"""つなぎ先の候補: where a case may go, with reasons that a counsellor can read out to the person."""

from datetime import date, datetime
from typing import Any, Literal, assert_never
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from services.referral.api.words import WORDS_JA
from services.referral.domain.routing import CourseRun, Excluded, Programme, Ranked, Reason, Routing, Stage
from services.referral.handlers import looking as handlers
from shared.auth import Caller, Role, requires
from shared.service import Now, Transaction, router

candidates = router(tag="candidates")

_TEXTS = {
    "answers_needs": ("記録された課題に応えます({about})", "Answers needs on record ({about})"),
    "needs_not_recorded": ("課題の記録がまだありません", "No needs are on record yet"),
    "serves_municipality": ("この市町村を対象としています", "Serves this municipality"),
    "same_municipality": ("同じ市町村で開かれます", "Takes place in the same municipality"),
    "within_reach": ("同じ都道府県内、または委ねられた枠があります", "In the prefecture, or with seats of your own"),
    "has_room": ("空きがあります", "Has room"),
    "ask_first": ("空きは要相談です", "Ask first whether there is room"),
    "waiting_list": ("待機リストがあります", "Keeps a waiting list"),
    "capacity_unknown": ("空き状況は分かっていません", "Whether there is room is not known"),
    "full": ("今は満員です", "Full at present"),
    "own_pool_free": (
        "市町村に委ねられた枠に{count}席の空きがあります",
        "{count} seats free in your municipality's own pool",
    ),
    "general_pool_free": ("一般枠に{count}席の空きがあります", "{count} seats free in the general pool"),
    "seat_waiting_line": ("空席がなく、{count}人が順番を待っています", "No seat is free; {count} wait in line"),
    "seats_unknown": ("席の状況はまだ届いていません", "Nothing is known about its seats yet"),
    "urgent_and_room": ("急ぎのケースで、すぐに空きがあります", "The case is urgent and there is room at once"),
    "earlier_stage_first": ("早い段階の支援から始めることを勧めます", "An earlier stage of support is suggested first"),
    "plan_for_long_support": ("時間をかけた複数機関での支援を見込みます", "Plan for long support by several agencies"),
    "declined_before": ("以前このつなぎ先から戻ってきています", "Gave a referral of this case back before"),
    "other_municipality": ("この市町村は対象外です", "Does not serve this municipality"),
    "deadline_passed": ("応募期限を過ぎています", "The application deadline has passed"),
    "already_referred": ("返事待ちのつなぎがあります", "An open referral waits there"),
    "answers_no_need": (
        "記録された課題に応えるものではありません({about})",
        "Answers none of the needs on record ({about})",
    ),
}


class ReasonAnswer(BaseModel):
    """One reason, as a code and for people."""

    code: str
    text_ja: str
    text_en: str


class OptionAnswer(BaseModel):
    """A programme or a course run."""

    kind: Literal["programme", "course_run"]
    id: UUID
    agency_id: str
    name: str | None = None
    course_number: str | None = None
    function: str
    stage: Stage
    system: str | None = Field(default=None, description="Of a course: job_seeker_basic, public_in_house, ...")
    starts_on: date | None = None
    ends_on: date | None = None
    applications_close_at: datetime | None = Field(default=None, description="Inclusive; nobody applies after it.")
    reasons: list[ReasonAnswer]


class CandidateAnswer(OptionAnswer):
    """An option that could take the case, with the points its reasons add up to."""

    score: int


class CoordinatorAnswer(BaseModel):
    """Who holds the case meanwhile. There is always somebody."""

    agency_id: str
    text_ja: str
    text_en: str


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
                            "reasons": [{"code": "has_room", "text_ja": "空きがあります", "text_en": "Has room"}],
                            "score": 6,
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
                                }
                            ],
                            "score": 2,
                        },
                    ],
                    "excluded": [],
                    "need_unmet": False,
                    "unmet_needs": ["housing"],
                    "coordinator": {
                        "agency_id": "kagoshima-desk",
                        "text_ja": "受諾されるまで、相談を受け付けた機関が引き続き担当します。",
                        "text_en": "The agency that opened the case goes on holding it until somebody accepts.",
                    },
                }
            ]
        }
    )

    items: list[CandidateAnswer]
    excluded: list[OptionAnswer]
    need_unmet: bool = Field(description="Nobody can take the case on now: a gap in the region.")
    unmet_needs: list[str] = Field(description="Needs on record that no candidate answers.")
    coordinator: CoordinatorAnswer


@candidates.get(
    "/v1/cases/{case_id}/candidates",
    dependencies=[requires(Role.COUNSELLOR)],
    summary="Where a case may go, with reasons",
    description=(
        "つなぎ先の候補を理由とともに返します。長期化の見込みで候補から外れたり順位が下がったりすることはありません。"
        "候補がなくても、相談を受け付けた機関が調整役として残ります。"
    ),
)
async def find_candidates(case_id: UUID, session: Transaction, now: Now, actor: Caller) -> CandidatesAnswer:
    """Best first; what is left out is named too."""
    routing = await handlers.find_candidates(session, case_id, actor, now)
    return CandidatesAnswer(
        items=[CandidateAnswer(**_option(ranked).model_dump(), score=ranked.score) for ranked in routing.items],
        excluded=[_option(left_out) for left_out in routing.excluded],
        need_unmet=routing.need_unmet,
        unmet_needs=list(routing.unmet_needs),
        coordinator=_coordinator(routing),
    )


def _option(placed: Ranked | Excluded) -> OptionAnswer:
    option = placed.option
    place: dict[str, Any] = {"id": option.id, "stage": placed.stage, "reasons": [*map(_reason, placed.reasons)]}
    match option:
        case Programme():
            return OptionAnswer(
                kind="programme", agency_id=option.agency_id, name=option.name, function=option.function, **place
            )
        case CourseRun():
            return OptionAnswer(
                kind="course_run",
                agency_id=option.provider,
                course_number=option.number,
                function=option.field,
                system=option.system,
                starts_on=option.starts_on,
                ends_on=option.ends_on,
                applications_close_at=option.applications_close_at,
                **place,
            )
        case _:
            assert_never(option)


def _reason(reason: Reason) -> ReasonAnswer:
    japanese, english = _TEXTS[reason.code]
    about_ja = "、".join(WORDS_JA.get(code, code) for code in reason.about)
    about = ", ".join(code.replace("_", " ") for code in reason.about)
    return ReasonAnswer(
        code=reason.code,
        text_ja=japanese.format(about=about_ja, count=reason.count),
        text_en=english.format(about=about, count=reason.count),
    )


def _coordinator(routing: Routing) -> CoordinatorAnswer:
    if routing.need_unmet:
        japanese = (
            "今は候補がありません。相談を受け付けた機関が調整役として担当を続け、足りない支援として記録されます。"
        )
        english = "There is no candidate now. The agency that opened the case coordinates on; the gap is on record."
    else:
        japanese = "受諾されるまで、相談を受け付けた機関が引き続き担当します。"
        english = "The agency that opened the case goes on holding it until somebody accepts."
    return CoordinatorAnswer(agency_id=routing.coordinator, text_ja=japanese, text_en=english)
