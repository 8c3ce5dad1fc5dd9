"""Options and their reasons in words that a counsellor can read out to the person."""

from datetime import date, datetime
from typing import Any, Literal, assert_never
from uuid import UUID

from pydantic import BaseModel, Field

from services.referral.api.words import GROUPS_JA, STAGES_JA, WORDS_JA
from services.referral.domain.options import CourseRun, Programme, Stage
from services.referral.domain.routing import Excluded, Ranked, Reason
from services.referral.domain.told import Reading

_TEXTS = {
    "answers_needs": ("記録された課題に応えます({about})", "Answers needs on record ({about})"),
    "answers_other_needs": (
        "記録された課題とは別の支援です",
        "Support of another kind than the needs ask for",
    ),
    "needs_not_recorded": ("課題の記録がまだありません", "No needs are on record yet"),
    "serves_municipality": ("この市町村を対象としています", "Serves this municipality"),
    "neighbour_municipality": ("近隣の市町村の事業です", "Serves a neighbouring municipality"),
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
    "holder_knows_more": (
        "担当機関だけが見られる事実は、点数と順番に含めていません",
        "Points and order are without what only the case's holder may read",
    ),
    "next_rung": ("今の段階の次の段階です", "The next rung of the ladder"),
    "same_rung": ("今と同じ段階の支援です(並行利用)", "The same rung as now, beside it"),
    "rungs_down": ("今より{count}段前の段階です", "{count} rungs down from where the person is"),
    "rungs_skipped": (
        "間の段階を{count}つ飛ばします(妨げにはなりません。理由は相談の記録に残してください)",
        "Skips {count} rungs; that bars nothing. Write down why in the case's own record",
    ),
    "says_no": (
        "このケースは以前ここから戻っています。次の候補として自動では示しません",
        "Gave this case back, or never answered: not proposed of itself",
    ),
    "declined_before": ("以前このつなぎ先から戻ってきています", "Gave a referral of this case back before"),
    "there_already": ("すでにこのつなぎ先が受諾しています", "Has accepted this case already"),
    "stale_entry": (
        "{count}日より長く内容が確認されていません",
        "Unconfirmed for more than {count} days",
    ),
    "begins_later": ("{about}に始まります", "Begins on {about}"),
    "ask_whether_eligible": ("対象者が限られています({about})。本人に確認してください", "For some only ({about}): ask"),
    "has_conditions": ("利用の条件があります({about})", "Has conditions ({about})"),
    "consent_needed": ("送る前に本人同意が必要です", "The person's consent is needed before it is sent"),
    "consent_not_yet_valid": (
        "同意の開始日がまだ来ていません。今は送れません",
        "Consent begins later: not to be sent now",
    ),
    "consent_expired": ("同意の期限が過ぎています。今は送れません", "The consent has run out: not to be sent now"),
    "consent_other_purpose": (
        "同意の目的にこのつなぎが含まれていません。今は送れません",
        "The consent is for other purposes: not to be sent now",
    ),
    "consent_not_named": (
        "同意の提供先にこの機関が含まれていません。今は送れません",
        "The consent names other agencies: not to be sent now",
    ),
    "other_municipality": ("この市町村は対象外です", "Does not serve this municipality"),
    "deadline_passed": ("応募期限を過ぎています", "The application deadline has passed"),
    "already_referred": ("返事待ちのつなぎがあります", "An open referral waits there"),
    "answers_no_need": (
        "記録された課題に応えるものではありません({about})",
        "Answers none of the needs on record ({about})",
    ),
    "ended": ("事業の期間が終わっています", "The programme has ended"),
    "not_for_whom": ("対象者が異なります({about})", "For others ({about})"),
    "stage_left_out": ("規則により、この段階({about})は除かれています", "The rules leave out this stage ({about})"),
    "strand_left_out": ("規則により、系統{count}は除かれています", "The rules leave out strand {count}"),
    "function_left_out": (
        "規則により、この支援機能({about})は除かれています",
        "The rules leave out this function ({about})",
    ),
}
_OF_THE_CASE = frozenset({"answers_needs", "answers_no_need"})
"""What these are about are needs on record, which not everybody of the municipality may read."""
_WORDS = STAGES_JA | GROUPS_JA | WORDS_JA


class ReasonAnswer(BaseModel):
    """One reason, as a code and for people."""

    code: str
    text_ja: str
    text_en: str
    weight: int = Field(default=0, description="What it adds to the points; 0: a remark.")
    rule: str | None = Field(default=None, description="Of the rules' version: the exclusion that left the option out.")


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
    may_be_sent: bool = Field(
        description="Whether consent covers it now. If not, it is shown all the same, with the reason."
    )


def candidate_answer(ranked: Ranked, reading: Reading) -> CandidateAnswer:
    """A candidate as it is shown to who may read so much of the case."""
    shown = option_answer(ranked, reading).model_dump()
    return CandidateAnswer(**shown, score=ranked.score, may_be_sent=ranked.may_be_sent)


def option_answer(placed: Ranked | Excluded, reading: Reading) -> OptionAnswer:
    """An option with its reasons."""
    option = placed.option
    reasons = [reason_answer(each, reading) for each in placed.reasons]
    place: dict[str, Any] = {"id": option.id, "stage": placed.stage, "reasons": reasons}
    match option:
        case Programme():
            return OptionAnswer(
                kind="programme",
                agency_id=option.agency_id,
                name=option.name,
                function=option.function,
                starts_on=option.starts_on,
                ends_on=option.ends_on,
                **place,
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


def needs_in(placed: Ranked | Excluded) -> frozenset[str]:
    """The case's needs that its reasons name."""
    return frozenset(code for reason in placed.reasons if reason.code in _OF_THE_CASE for code in reason.about)


def reason_answer(reason: Reason, reading: Reading) -> ReasonAnswer:
    """A reason in both languages; needs that this reader may not know are not named."""
    japanese, english = _TEXTS[reason.code]
    codes = reading.of(reason.about) if reason.code in _OF_THE_CASE else reason.about
    if not codes:
        japanese, english = japanese.replace("({about})", ""), english.replace(" ({about})", "")
    about_ja = "、".join(_WORDS.get(code, code) for code in codes)
    about = ", ".join(code.replace("_", " ") for code in codes)
    return ReasonAnswer(
        code=reason.code,
        text_ja=japanese.format(about=about_ja, count=reason.count),
        text_en=english.format(about=about, count=reason.count),
        weight=reason.weight,
        rule=reason.rule,
    )
