"""Routing's rules over HTTP: their versions, a trial against what was proposed, and the replay of all proposals."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from services.referral.api.map_shapes import ShownAnswer
from services.referral.domain.options import Stage
from services.referral.domain.routing_rules import (
    FIRST,
    HEAVIEST,
    Exclusion,
    Fact,
    NotPublished,
    RuleSet,
    Tried,
    Weights,
    replaced_by,
    told,
)
from services.referral.domain.small_counts import show, show_part
from services.referral.handlers import proposals
from services.referral.handlers import routing_rules as handlers
from services.referral.handlers.routing_rules import HoldForOthers
from services.referral.tables.routing_rules import Published
from shared.auth import Caller, Role, requires
from shared.codes import Code
from shared.problems import FORBIDDEN, Problem, invalid
from shared.service import Body, LongPages, Now, Reading, Transaction, page, router

routing_rules = router(tag="routing-rules")

Weight = Annotated[int, Field(strict=True, ge=-HEAVIEST, le=HEAVIEST)]
Forward = Annotated[int, Field(strict=True, ge=0, le=HEAVIEST)]
"""What a low level adds: never less than nothing (DOMAIN.md 4)."""

_FIRST: JsonDict = told(FIRST)
_WHO: JsonDict = {"effective_from": "2027-04-01", "decided_by": "kagoshima-council", "decided_on": "2027-02-20"}
_TRIED: JsonDict = {
    name: {"count": count, "at_least": count, "below": None}
    for name, count in {"cases": 120, "had_candidates": 110, "other_candidates": 14, "none_left": 0}.items()
}
_NOT_PUBLISHED = {
    "not_later": (
        "/effective_from",
        "It holds from tomorrow at the earliest, so that nothing is proposed anew",
        "明日以降の日を指定してください。これまでの提案は変わりません",
    ),
    "decided_later": (
        "/decided_on",
        "It was decided on a day that has come",
        "決定日に、まだ来ていない日は書けません",
    ),
    "weight_out_of_range": ("/weights", "Weights from -100 to 100", "重みは -100 から 100 で指定してください"),
    "room_out_of_order": (
        "/weights/capacity_unknown",
        "Not known, or full, can't weigh more than room: set it to has_room or less",
        "空きが不明・満員の重みは「空きあり」以下にしてください",
    ),
    "values_missing": (
        "/exclusions",
        "Say which values this exclusion leaves out, or take it away",
        "除く値を指定するか、この規則を外してください",
    ),
    "values_not_asked": (
        "/exclusions",
        "An exclusion by this fact takes no values: leave them out",
        "この事実による規則に値は要りません。values を空にしてください",
    ),
    "unknown_value": (
        "/exclusions/{rule}/values",
        "One of these values is not known{nearest}",
        "知られていない値があります{nearest_ja}",
    ),
    "same_code": ("/exclusions", "Give each exclusion a code of its own", "規則ごとに違う符号を付けてください"),
    "excludes_everybody": (
        "/exclusions",
        "Under these rules nobody would have a candidate: switch an exclusion off, and try them first",
        "この規則では誰にも候補が残りません。除く規則を減らし、先に試行で確かめてください",
    ),
}


class RoutingWeights(Body):
    """What each reason adds to an option's points."""

    answers_need: Weight = Field(description="For each need that is answered.")
    serves_municipality: Weight
    neighbour_municipality: Weight
    same_municipality: Weight
    within_reach: Weight
    has_room: Weight
    ask_first: Weight
    waiting_list: Weight
    capacity_unknown: Weight
    full: Weight
    own_pool_free: Weight
    general_pool_free: Weight
    seat_waiting_line: Weight
    seats_unknown: Weight
    urgent_and_room: Weight
    declined_before: Weight
    stale_entry: Weight
    next_rung: Weight
    rung_skipped: Weight = Field(description="For each rung between the person's and the option's.")


class ExclusionShape(Body):
    """A rule that leaves options out. It can look at one of these facts and at nothing else: no level, no flag."""

    code: Code = Field(description="この規則の符号, e.g. for_others.")
    looks_at: Fact
    on: bool = Field(strict=True, default=True)
    values: list[Code] = Field(
        max_length=100, default_factory=list, description="Of stage, strand, function and for_whom: what is left out."
    )


class RoutingRules(Body):
    """What the rules say (つなぎ先の並べ方)."""

    model_config = ConfigDict(json_schema_extra={"examples": [_FIRST]})

    weights: RoutingWeights
    early: dict[Stage, Forward] = Field(
        description="What a low FDP level adds to an option on that rung. It takes nothing away from anybody."
    )
    neighbours: bool = Field(
        strict=True, description="Whether programmes of neighbouring municipalities are candidates."
    )
    stale_after_days: int = Field(strict=True, ge=1, le=3650)
    exclusions: list[ExclusionShape] = Field(max_length=50)

    def rules(self, effective_from: date) -> RuleSet:
        """The same, as the domain knows it; its number comes with publishing."""
        return RuleSet(
            version=0,
            effective_from=effective_from,
            weights=Weights(**self.weights.model_dump()),
            early=dict(self.early),
            neighbours=self.neighbours,
            stale_after_days=self.stale_after_days,
            exclusions=tuple(
                Exclusion(each.code, each.looks_at, each.on, frozenset(each.values)) for each in self.exclusions
            ),
        )


class PublishRoutingRules(RoutingRules):
    """The next version, with who decided it and when."""

    model_config = ConfigDict(json_schema_extra={"examples": [_FIRST | _WHO]})

    effective_from: date
    decided_by: Code = Field(description="決めた会議・機関の符号, e.g. of a regional council.")
    decided_on: date


_CASES = f"At most {handlers.LOOKED_BACK:,}, the newest first."
_OTHERS = "Cases that would get other candidates, or in another order."
_NONE_LEFT = "Cases that had candidates, and would have none."


class TriedAnswer(BaseModel):
    """What a version would have made of past cases, counted as it was published; small counts for who serves all."""

    cases: ShownAnswer = Field(description=_CASES)
    had_candidates: ShownAnswer
    other_candidates: ShownAnswer = Field(description=_OTHERS)
    none_left: ShownAnswer = Field(description=_NONE_LEFT)

    @classmethod
    def of(cls, tried: Tried, *, own: bool) -> "TriedAnswer":
        """As a reader sees it."""
        cases = show(tried.cases, own=own)
        had = show_part(tried.had_candidates, own=own, of=[cases])
        others = show_part(tried.others, own=own, of=[cases])
        none_left = show_part(tried.none_left, own=own, of=[cases, had, others])
        return cls(
            cases=ShownAnswer.of(cases),
            had_candidates=ShownAnswer.of(had),
            other_candidates=ShownAnswer.of(others),
            none_left=ShownAnswer.of(none_left),
        )


class RoutingRulesAnswer(BaseModel):
    """A version of the rules."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                _FIRST
                | _WHO
                | {
                    "version": 2,
                    "published_by": "kagoshima-council",
                    "published_at": "2027-02-21T01:00:00Z",
                    "tried": _TRIED,
                    "replaced_by": None,
                    "replaces": [],
                }
            ]
        }
    )

    version: int
    effective_from: date
    weights: dict[str, int]
    early: dict[Stage, int]
    neighbours: bool
    stale_after_days: int
    exclusions: list[ExclusionShape]
    decided_by: str
    decided_on: date
    published_by: str
    published_at: datetime
    tried: TriedAnswer | None = Field(description="Without: published before such counts were kept.")
    replaced_by: int | None = Field(description="A later version that holds before this one would: it never holds.")
    replaces: list[int] = Field(description="Versions that never hold because this one does before them.")


class RoutingRulesList(BaseModel):
    """Every version, the oldest first."""

    rules: list[RoutingRulesAnswer]


class RoutingTrialAnswer(BaseModel):
    """What rules would have made of the newest proposal of each case of municipalities that the caller serves; nothing
    is changed by asking.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "cases": 120,
                    "had_candidates": 118,
                    "other_candidates": 14,
                    "none_left": 1,
                    "cases_with_others": ["01920000-0000-7000-8000-0000000000c1"],
                    "cases_with_none_left": [],
                    "could_be_published": True,
                }
            ]
        }
    )

    cases: int = Field(description=_CASES)
    had_candidates: int
    other_candidates: int = Field(description=_OTHERS)
    none_left: int = Field(description=_NONE_LEFT)
    cases_with_others: list[UUID] = Field(description=f"At most {handlers.NAMED}.")
    cases_with_none_left: list[UUID]
    could_be_published: bool = Field(
        description="False where nobody would have a candidate left, or where others take part whom the caller doesn't"
        " serve."
    )


class RoutingReplayAnswer(BaseModel):
    """Some of all proposals made again by their own versions. `differ` must be empty."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"replayed": 500, "differ": [], "next_cursor": None}]})

    replayed: int
    differ: list[UUID]
    next_cursor: str | None


@routing_rules.get(
    "/v1/routing-rules",
    summary="List the versions of the routing rules",
    description="つなぎ先の候補を選び、並べる規則の版を、古い順に返します。",
    dependencies=[requires(Role.COUNSELLOR, Role.RULES)],
)
async def list_routing_rules(session: Reading, actor: Caller) -> RoutingRulesList:
    """All of them, also those to come."""
    published = await handlers.list_rules(session)
    own, replaced = await handlers.serves_all(session, actor), replaced_by(each.rules for each in published)
    return RoutingRulesList(rules=[_answer(each, replaced, own=own) for each in published])


@routing_rules.post(
    "/v1/routing-rules",
    status_code=201,
    summary="Publish a version of the routing rules",
    description="つなぎ先の規則の次の版を公開します。明日以降の日から、参加するすべての市町村に適用されるので、"
    "そのすべてを担当する機関だけが公開できます。誰にも候補が残らない規則は公開できません。",
    dependencies=[requires(Role.RULES)],
)
async def publish_routing_rules(
    body: PublishRoutingRules, session: Transaction, now: Now, actor: Caller
) -> RoutingRulesAnswer:
    """For a later day."""
    outcome = await handlers.publish_rules(
        session,
        body.rules(body.effective_from),
        decided_by=body.decided_by,
        decided_on=body.decided_on,
        actor=actor,
        now=now,
    )
    match outcome:
        case Published():
            published = await handlers.list_rules(session)
            return _answer(outcome, replaced_by(each.rules for each in published), own=True)
        case NotPublished():
            raise _refused(outcome)
        case HoldForOthers():
            raise Problem(
                FORBIDDEN,
                detail="The rules hold for every municipality that takes part: who serves all of them publishes.",
                detail_ja="規則は参加するすべての市町村に適用されます。そのすべてを担当する機関(県や広域の会議)が公開してください。",
            )


@routing_rules.post(
    "/v1/routing-rules/trial",
    summary="Try routing rules against what was proposed",
    description="この規則なら、これまでの提案のうち何件のケースで候補が変わり、何件で候補がなくなるかを数えます。何も変わりません。",
    dependencies=[requires(Role.RULES)],
)
async def try_routing_rules(body: RoutingRules, session: Reading, now: Now, actor: Caller) -> RoutingTrialAnswer:
    """Rules that leave nobody a way are counted, too."""
    found = await handlers.try_rules(session, body.rules(date.max), actor, now)
    if isinstance(found, NotPublished):
        raise _refused(found)
    return RoutingTrialAnswer(
        **_counts(found.tried),
        cases_with_others=list(found.named_others),
        cases_with_none_left=list(found.named_none_left),
        could_be_published=found.could_be_published,
    )


@routing_rules.get(
    "/v1/routing-rules/replay",
    summary="Make all proposals again",
    description="これまでの提案を、残された事実とその時の版から求め直し、違うものを返します。空でなければなりません。ページごとに続けてください。",
    dependencies=[requires(Role.RULES)],
)
async def replay_proposals(session: Reading, pages: LongPages) -> RoutingReplayAnswer:
    """Page by page, the oldest first: shows that nothing was rewritten."""
    found = await proposals.replay_some(session, after=pages.begin(UUID), limit=pages.one_more)
    rest = page(found.looked_at, pages, key=lambda each: (each,), show=lambda each: each)
    return RoutingReplayAnswer(
        replayed=len(rest.items),
        differ=[each for each in rest.items if each in found.differ],
        next_cursor=rest.next_cursor,
    )


def _answer(published: Published, replaced: Mapping[int, int], *, own: bool) -> RoutingRulesAnswer:
    rules = published.rules
    return RoutingRulesAnswer(
        version=rules.version,
        effective_from=rules.effective_from,
        **told(rules),
        decided_by=published.decided_by,
        decided_on=published.decided_on,
        published_by=published.published_by,
        published_at=published.published_at,
        tried=None if published.tried is None else TriedAnswer.of(published.tried, own=own),
        replaced_by=replaced.get(rules.version),
        replaces=[version for version, by in replaced.items() if by == rules.version],
    )


def _counts(tried: Tried) -> dict[str, int]:
    return {
        "cases": tried.cases,
        "had_candidates": tried.had_candidates,
        "other_candidates": tried.others,
        "none_left": tried.none_left,
    }


def _refused(found: NotPublished) -> Problem:
    pointer, english, japanese = _NOT_PUBLISHED[found.reason]
    said = {
        "rule": found.rule,
        "nearest": f". Meant: {found.nearest}?" if found.nearest else "",
        "nearest_ja": f"。「{found.nearest}」ですか" if found.nearest else "",
    }
    return invalid(pointer.format(**said), found.reason, english.format(**said), japanese.format(**said))
