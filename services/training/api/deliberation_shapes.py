"""What travels about the sub-committee, its motions and decisions."""

from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from sqlalchemy import Row

from services.training.api.allotment_shapes import AllotmentView, DecidedAllotment, SeatsBody, line_of
from services.training.api.courses import CourseField, Prefecture, System, Text
from services.training.domain.decisions import DecisionState
from services.training.domain.deliberation import Choice, Meeting, MeetingKind, Rules, Seat, Share, legal_steps
from services.training.domain.motions import About, Motion, MotionState, Proposal, Wish, legal_moves
from services.training.tables.decisions import motion_of, proposal_of
from shared.codes import AgencyId, DayAsWritten, FreeText, MomentAsWritten
from shared.service import Body

Short = Annotated[FreeText, StringConstraints(min_length=1, max_length=120)]


class ShareBody(Body):
    """A part that has to be reached: 過半数 is more than 1 of 2; 三分の二以上 at least 2 of 3."""

    parts: int = Field(ge=1, le=100, examples=[1])
    of: int = Field(ge=1, le=100, examples=[2])
    more_than: bool = Field(description="真: を超える / 偽: 以上", examples=[True])

    @property
    def share(self) -> Share:
        """As the domain has it."""
        return Share(self.parts, self.of, self.more_than)


class RulesBody(Body):
    """How it decides (議事の規則)."""

    quorum: ShareBody = Field(description="定足数: 議決権のある委員のうち")
    majority: ShareBody = Field(description="可決に要る割合: 会議では出席者、持ち回りでは議決権のある委員全員のうち")
    chair_breaks_ties: bool = Field(description="可否同数のとき部会長が決するか", examples=[False])
    ratify_within: int = Field(ge=1, le=250, description="専決を追認する期限(開庁日)", examples=[20])

    @property
    def rules(self) -> Rules:
        """As the domain has them."""
        return Rules(self.quorum.share, self.majority.share, self.chair_breaks_ties, self.ratify_within)


class SetUp(Body):
    """A prefecture's sub-committee, as its council set it up."""

    prefecture: Prefecture = Field(examples=["46"])
    name: Text = Field(examples=["委託訓練等分科会"])
    set_up_by: Text = Field(examples=["鹿児島県地域職業能力開発促進協議会"])
    in_force_from: DayAsWritten = Field(examples=["2026-04-01"])
    rules: RulesBody


class NewRules(RulesBody):
    """Other rules, from a later day on."""

    in_force_from: DayAsWritten = Field(examples=["2027-04-01"])
    decided_by: Text = Field(examples=["第3回分科会"])


class NewMember(Body):
    """A body and the office that it sends; never a person's name."""

    agency: AgencyId = Field(examples=["kagoshima-city"])
    office: Short = Field(description="役職。氏名は書かないでください", examples=["雇用推進課長"])
    voting: bool = Field(description="議決権の有無(無しは助言のみ)", examples=[True])
    presides: bool = Field(default=False, description="部会長")
    from_on: DayAsWritten = Field(examples=["2026-04-01"])


class EndMembership(Body):
    """The last day."""

    until_on: DayAsWritten = Field(examples=["2027-03-31"])


class NewMeeting(Body):
    """A day for a meeting, or the moment until which written answers count (持ち回り)."""

    held_on: DayAsWritten | None = Field(default=None, examples=["2026-12-10"])
    answers_by: MomentAsWritten | None = Field(default=None, examples=["2026-12-10T17:00:00+09:00"])


class NewItem(Body):
    """An item of the agenda, with its motion if it is about one."""

    title: Text = Field(examples=["令和8年度第4四半期の委ねる枠について"])
    motion_id: UUID | None = None


class NewPaper(Body):
    """A paper (資料): where it lies, not the paper itself."""

    title: Text = Field(examples=["資料1 求職者支援訓練の実施状況"])
    kind: Literal["proposal", "statistics", "opinion", "law", "other"] = Field(examples=["statistics"])
    reference: Text = Field(description="文書番号またはURL", examples=["労発1130第1号"])
    brought_by: AgencyId = Field(examples=["kagoshima-labour-bureau"])


class Hold(Body):
    """Who was there, advisers included."""

    present: list[UUID] = Field(max_length=500)


class WishBody(Body):
    """What training should teach, and for whom. No personal data."""

    system: System
    field: CourseField
    wish: Annotated[FreeText, StringConstraints(min_length=1, max_length=2000)] = Field(
        examples=["短時間で、託児のある介護の訓練を増やす"]
    )
    target_group: Short = Field(examples=["育児中の求職者"])


class MotionBody(Body):
    """One version of a motion."""

    title: Text = Field(examples=["令和8年度第4四半期の委ねる枠"])
    effective_from: DayAsWritten = Field(examples=["2026-12-15"])
    ends_on: DayAsWritten | None = Field(default=None, examples=["2027-03-31"])
    supersedes: list[UUID] = Field(default_factory=list, max_length=100, description="これに代わって失効する決定")
    allotments: list[SeatsBody] = Field(default_factory=list, max_length=1000)
    wish: WishBody | None = None

    @property
    def proposal(self) -> Proposal:
        """As the domain has it. 422 where a line says neither one course run nor a fiscal year."""
        wish = self.wish
        return Proposal(
            self.title,
            self.effective_from,
            self.ends_on,
            frozenset(self.supersedes),
            tuple(line_of(number, line) for number, line in enumerate(self.allotments)),
            None if wish is None else Wish(wish.system.value, wish.field.value, wish.wish, wish.target_group),
        )


class NewMotion(MotionBody):
    """What is proposed, and by whom."""

    about: About = Field(examples=["delegated_quota"])
    proposed_by: AgencyId = Field(examples=["kencho-planner"])


class PutToVote(Body):
    """In which meeting."""

    meeting_id: UUID


class CastVote(Body):
    """A seat's vote; who is against may say why (少数意見)."""

    member_id: UUID
    choice: Choice = Field(examples=["for"])
    dissent: Annotated[FreeText, StringConstraints(min_length=1, max_length=2000)] | None = Field(
        default=None, description="少数意見。個人に関する情報は書かないでください"
    )


class Urgently(Body):
    """The chair who decides (専決)."""

    member_id: UUID


class Nothing(Body):
    """There is nothing to say with it."""


# --- answers --------------------------------------------------------------------------------------------------------


class RulesView(BaseModel):
    """A version of the rules."""

    rule_version: int
    in_force_from: date
    quorum: ShareBody
    majority: ShareBody
    chair_breaks_ties: bool
    ratify_within: int
    decided_by: str


class CommitteeView(BaseModel):
    """A sub-committee with the rules of today."""

    sub_committee_id: UUID
    prefecture: str
    name: str
    set_up_by: str
    in_force_from: date
    rules: RulesView


class MemberView(BaseModel):
    """A seat: a body and its office."""

    member_id: UUID
    agency: str
    office: str
    voting: bool
    presides: bool
    from_on: date
    until_on: date | None


class MeetingView(BaseModel):
    """A meeting, and what can be done next."""

    meeting_id: UUID
    kind: MeetingKind
    held_on: date | None
    answers_by: datetime | None
    steps: list[str]
    takes_votes: bool
    legal_steps: list[str]


class StepView(BaseModel):
    """What happened to a meeting."""

    model_config = ConfigDict(from_attributes=True)

    step: str
    at: datetime
    by: str


class ItemView(BaseModel):
    """An item of the agenda."""

    model_config = ConfigDict(from_attributes=True)

    number: int
    title: str
    motion_id: UUID | None


class PaperView(BaseModel):
    """A paper."""

    model_config = ConfigDict(from_attributes=True)

    paper_id: UUID = Field(validation_alias="id")
    title: str
    kind: str
    reference: str
    brought_by: str


class PlaceView(BaseModel):
    """A line of the roll. In writing nobody is present: who answered is in the votes."""

    model_config = ConfigDict(from_attributes=True)

    member_id: UUID
    agency: str
    office: str
    voting: bool
    presides: bool
    present: bool


class VoteView(BaseModel):
    """What one seat said."""

    member_id: UUID
    agency: str
    office: str
    choice: Choice
    dissent: str | None
    at: datetime
    recorded_by: str


class BallotView(BaseModel):
    """A vote on a motion; its outcome is counted and never typed."""

    ballot_id: UUID
    motion_id: UUID
    motion_version: int
    meeting_id: UUID
    purpose: str
    opened_at: datetime
    outcome: str | None
    entitled: int | None
    present: int | None
    fors: int | None
    againsts: int | None
    abstentions: int | None
    votes: list[VoteView]


class WholeMeeting(MeetingView):
    """A meeting with everything that belongs to it."""

    history: list[StepView]
    agenda: list[ItemView]
    papers: list[PaperView]
    roll: list[PlaceView]
    ballots: list[BallotView]


class WishView(BaseModel):
    """What training should teach."""

    system: str
    field: str
    wish: str
    target_group: str


class VersionView(BaseModel):
    """A version of a motion."""

    version: int
    title: str
    effective_from: date
    ends_on: date | None
    supersedes: list[UUID]
    allotments: list[AllotmentView]
    wish: WishView | None
    recorded_at: datetime


class MotionView(BaseModel):
    """A motion, where it stands, and what can be done next."""

    motion_id: UUID
    sub_committee_id: UUID
    about: About
    state: MotionState
    version: int
    decision_id: UUID | None
    legal_moves: list[str]


class WholeMotion(MotionView):
    """A motion with its versions and votes."""

    proposed_by: str
    versions: list[VersionView]
    ballots: list[BallotView]


class ConcludedView(BaseModel):
    """What a vote came to, and the decision it made, ratified or refused."""

    motion_id: UUID
    outcome: str
    entitled: int
    present: int
    fors: int
    againsts: int
    abstentions: int
    decision_id: UUID | None


class DecisionView(BaseModel):
    """A decision, and where it stands at the moment that was asked for."""

    decision_id: UUID
    number: str
    version: int
    prefecture: str
    kind: About
    title: str
    state: DecisionState
    urgent: bool
    decided_at: datetime
    effective_at: datetime
    ends_at: datetime | None
    ratify_before: datetime | None
    ratification: Literal["ratified", "refused"] | None
    motion_id: UUID
    motion_version: int
    meeting_id: UUID | None
    supersedes: list[UUID]
    superseded_by: list[UUID]
    allotments: list[DecidedAllotment]
    wish: WishView | None


def show_rules(row: Row[Any], *, version: int, in_force_from: date, decided_by: str) -> RulesView:
    """The rules out of a row's columns."""
    return RulesView(
        rule_version=version,
        in_force_from=in_force_from,
        quorum=ShareBody(parts=row.quorum_parts, of=row.quorum_of, more_than=row.quorum_more_than),
        majority=ShareBody(parts=row.majority_parts, of=row.majority_of, more_than=row.majority_more_than),
        chair_breaks_ties=row.chair_breaks_ties,
        ratify_within=row.ratify_within,
        decided_by=decided_by,
    )


def show_committee(row: Row[Any]) -> CommitteeView:
    """A sub-committee."""
    rules = show_rules(
        row, version=row.rule_version, in_force_from=row.rules_in_force_from, decided_by=row.rules_decided_by
    )
    return CommitteeView(
        sub_committee_id=row.id,
        prefecture=row.prefecture,
        name=row.name,
        set_up_by=row.set_up_by,
        in_force_from=row.in_force_from,
        rules=rules,
    )


def show_seat(seat: Seat) -> MemberView:
    """A seat."""
    return MemberView(
        member_id=seat.id,
        agency=seat.agency,
        office=seat.office,
        voting=seat.voting,
        presides=seat.presides,
        from_on=seat.from_on,
        until_on=seat.until_on,
    )


def show_meeting(meeting: Meeting) -> MeetingView:
    """A meeting."""
    return MeetingView(
        meeting_id=meeting.id,
        kind=meeting.kind,
        held_on=meeting.held_on,
        answers_by=meeting.answers_by,
        steps=sorted(meeting.steps),
        takes_votes=meeting.votes,
        legal_steps=[step.value for step in legal_steps(meeting)],
    )


def show_ballot(row: Row[Any]) -> BallotView:
    """A vote with who said what."""
    return BallotView(
        ballot_id=row.id,
        motion_id=row.motion_id,
        motion_version=row.motion_version,
        meeting_id=row.meeting_id,
        purpose=row.purpose,
        opened_at=row.opened_at,
        outcome=row.outcome,
        entitled=row.entitled,
        present=row.present,
        fors=row.fors,
        againsts=row.againsts,
        abstentions=row.abstentions,
        votes=[VoteView.model_validate(each) for each in row.votes],
    )


def show_motion(motion: Motion) -> MotionView:
    """A motion without its content."""
    return MotionView(
        motion_id=motion.id,
        sub_committee_id=motion.sub_committee_id,
        about=motion.about,
        state=motion.state,
        version=motion.version,
        decision_id=motion.decision_id,
        legal_moves=[move.value for move in legal_moves(motion)],
    )


def show_whole_motion(row: Row[Any], versions: list[Row[Any]], ballots: list[Row[Any]]) -> WholeMotion:
    """A motion with everything that belongs to it."""
    return WholeMotion(
        **dict(show_motion(motion_of(row))),
        proposed_by=row.proposed_by,
        versions=[_version(each) for each in versions],
        ballots=[show_ballot(each) for each in ballots],
    )


def _version(row: Row[Any]) -> VersionView:
    proposal = proposal_of(row)
    return VersionView(
        version=row.version,
        title=row.title,
        effective_from=row.effective_from,
        ends_on=row.ends_on,
        supersedes=sorted(proposal.supersedes),
        allotments=[AllotmentView.model_validate(each) for each in row.content.get("allotments", [])],
        wish=_wish(row.content),
        recorded_at=row.recorded_at,
    )


def _wish(content: dict[str, Any]) -> WishView | None:
    return WishView.model_validate(content) if "wish" in content else None


def show_decision(row: Row[Any]) -> DecisionView:
    """A decision."""
    return DecisionView(
        decision_id=row.id,
        number=row.number,
        version=row.version,
        prefecture=row.prefecture,
        kind=row.about,
        title=row.title,
        state=row.state,
        urgent=row.ratify_before is not None,
        decided_at=row.decided_at,
        effective_at=row.effective_at,
        ends_at=row.ends_at,
        ratify_before=row.ratify_before,
        ratification=row.ratification,
        motion_id=row.motion_id,
        motion_version=row.motion_version,
        meeting_id=row.meeting_id,
        supersedes=row.supersedes,
        superseded_by=row.superseded_by,
        allotments=[DecidedAllotment.model_validate(each) for each in row.allotments],
        wish=_wish(row.content),
    )
