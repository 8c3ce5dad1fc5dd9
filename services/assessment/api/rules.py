"""The prolongation rule over HTTP: its versions, a trial against what was rated, and the replay of what was flagged."""

from datetime import date, datetime
from typing import Annotated

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from services.assessment.domain.rule import NotPublished, Rule
from services.assessment.handlers import rules as handlers
from services.assessment.tables.rules import Published
from shared.auth import Caller, Role, requires
from shared.codes import Code
from shared.problems import invalid
from shared.service import Body, Now, Reading, Transaction, router

rules = router(tag="rules")

_RULE: JsonDict = {
    "low": 2,
    "conference_within": 10,
    "reassess_flagged": 90,
    "reassess_undetermined": 30,
    "reassess_clear": 180,
}
_NOT_PUBLISHED = {
    "not_later": (
        "/effective_from",
        "It holds from tomorrow at the earliest, so that nothing is judged anew",
        "明日以降の日を指定してください。過去の判定は変わりません",
    ),
    "low_out_of_range": ("/low", "From 1 to 4", "1 から 4 で指定してください"),
    "days_out_of_range": ("/conference_within", "Days from 1 to 730", "日数は 1 から 730 で指定してください"),
}


class RuleShape(Body):
    """What the rule says. `conference_within` counts working days, the others days."""

    model_config = ConfigDict(json_schema_extra={"examples": [_RULE]})

    low: int = Field(strict=True, ge=1, le=4, description="One axis at this level or below flags (2).")
    conference_within: int = Field(strict=True, ge=1, le=730)
    reassess_flagged: int = Field(strict=True, ge=1, le=730)
    reassess_undetermined: int = Field(strict=True, ge=1, le=730)
    reassess_clear: int = Field(strict=True, ge=1, le=730)

    def rule(self, effective_from: date) -> Rule:
        """The same, as the domain knows it; its number comes with publishing."""
        return Rule(
            0,
            effective_from,
            self.low,
            self.conference_within,
            self.reassess_flagged,
            self.reassess_undetermined,
            self.reassess_clear,
        )


class PublishRule(RuleShape):
    """The next version, with who decided it and when."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {**_RULE, "effective_from": "2027-04-01", "decided_by": "kagoshima-council", "decided_on": "2027-02-20"}
            ]
        }
    )

    effective_from: date
    decided_by: Code = Field(description="決めた会議・機関の符号, e.g. of a regional council.")
    decided_on: date


class RuleAnswer(BaseModel):
    """A version of the rule (長期化のおそれの判定規則)."""

    version: int
    effective_from: date
    low: int
    conference_within: int
    reassess_flagged: int
    reassess_undetermined: int
    reassess_clear: int
    decided_by: str
    decided_on: date
    published_by: str
    published_at: datetime


class RulesAnswer(BaseModel):
    """Every version, the oldest first."""

    rules: list[RuleAnswer]


class TrialAnswer(BaseModel):
    """What a rule would do to everything rated so far; nothing is changed by asking."""

    rated: int
    flagged: int
    would_be: int
    differ: int


class ReplayAnswer(BaseModel):
    """Every flag made again by its own version. `differ` must be 0."""

    rated: int
    differ: int


class FlagAnswer(BaseModel):
    """Cases whose first rating said so. `days`: quartiles of those that are closed; null where none is."""

    prolongation_risk: str
    rule_version: int
    cases: int
    still_open: int
    took_long: int
    days: list[float] | None


class CalibrationAnswer(BaseModel):
    """Flags beside real durations (判定と実際の期間)."""

    long_days: int
    flags: list[FlagAnswer]


@rules.get(
    "/v1/rules",
    summary="List the versions of the rule",
    description="長期化のおそれの判定規則の版を、古い順に返します。",
    dependencies=[requires(Role.COUNSELLOR, Role.RULES)],
)
async def list_rules(session: Reading) -> RulesAnswer:
    """All of them, also those to come."""
    return RulesAnswer(rules=[_answer(each) for each in await handlers.list_rules(session)])


@rules.post(
    "/v1/rules",
    status_code=201,
    summary="Publish a version of the rule",
    description="判定規則の次の版を公開します。明日以降の日から適用され、それまでの判定は変わりません。",
    dependencies=[requires(Role.RULES)],
)
async def publish_rule(body: PublishRule, session: Transaction, now: Now, actor: Caller) -> RuleAnswer:
    """For a later day."""
    outcome = await handlers.publish_rule(
        session,
        body.rule(body.effective_from),
        decided_by=body.decided_by,
        decided_on=body.decided_on,
        actor=actor,
        now=now,
    )
    match outcome:
        case Published():
            return _answer(outcome)
        case NotPublished(reason):
            pointer, english, japanese = _NOT_PUBLISHED[reason]
            raise invalid(pointer, reason, english, japanese)


@rules.post(
    "/v1/rules/trial",
    summary="Try a rule against what was rated",
    description="この規則なら、これまでの評価のうち何件の判定が変わるかを数えます。何も変わりません。",
    dependencies=[requires(Role.RULES)],
)
async def try_rule(body: RuleShape, session: Reading) -> TrialAnswer:
    """Counts over the whole region."""
    found = await handlers.try_rule(session, body.rule(date.max))
    return TrialAnswer(rated=found.rated, flagged=found.flagged, would_be=found.would_be, differ=found.differ)


@rules.get(
    "/v1/rules/replay",
    summary="Make every flag again",
    description="これまでのすべての判定を、その時の版で判定し直し、違うものを数えます。0 でなければなりません。",
    dependencies=[requires(Role.RULES)],
)
async def replay_rules(session: Reading) -> ReplayAnswer:
    """Shows that nothing was rewritten."""
    found = await handlers.replay_rules(session)
    return ReplayAnswer(rated=found.rated, differ=found.differ)


@rules.get(
    "/v1/rules/calibration",
    summary="Compare flags with real durations",
    description="最初の評価の判定ごとに、実際の支援期間(四分位)と、`long_days` 日以上かかった件数を数えます。"
    "規則を見直す材料です。",
    dependencies=[requires(Role.COUNSELLOR, Role.RULES)],
)
async def calibrate_rules(
    session: Reading, now: Now, long_days: Annotated[int, Query(ge=1, le=3650, description="長期とみなす日数")] = 365
) -> CalibrationAnswer:
    """Over the whole region, by version of the rule."""
    found = await handlers.calibrate(session, long_days=long_days, now=now)
    return CalibrationAnswer(
        long_days=long_days,
        flags=[
            FlagAnswer(
                prolongation_risk=each.risk,
                rule_version=each.rule_version,
                cases=each.cases,
                still_open=each.still_open,
                took_long=each.took_long,
                days=None if each.days is None else [round(value, 1) for value in each.days],
            )
            for each in found
        ],
    )


def _answer(published: Published) -> RuleAnswer:
    rule = published.rule
    return RuleAnswer(
        version=rule.version,
        effective_from=rule.effective_from,
        low=rule.low,
        conference_within=rule.conference_within,
        reassess_flagged=rule.reassess_flagged,
        reassess_undetermined=rule.reassess_undetermined,
        reassess_clear=rule.reassess_clear,
        decided_by=published.decided_by,
        decided_on=published.decided_on,
        published_by=published.published_by,
        published_at=published.published_at,
    )
