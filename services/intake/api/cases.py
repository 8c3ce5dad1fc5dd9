"""The counter's endpoints: permissions, status codes, one call into the handlers each."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Query, Response
from sqlalchemy import Row

from services.intake.api.drafts import no_such_draft
from services.intake.api.persons import denied, refuse_unborn
from services.intake.api.shapes import (
    CaseAnswer,
    CaseView,
    ChangeCase,
    ConsentFact,
    ConsentStanding,
    ConsentView,
    OpenCase,
    SaidAboutConsent,
    ScreenCase,
    Screening,
    TimelineEntry,
)
from services.intake.domain.cases import (
    FIRST_STEP,
    SENSITIVE,
    Case,
    ConsentState,
    Contradicted,
    WitnessNeeded,
    left_in,
)
from services.intake.domain.policy import Denied
from services.intake.domain.sheet import FieldSet
from services.intake.handlers import cases as handlers
from services.intake.handlers import persons
from services.intake.handlers.access import sets_open_to
from services.intake.handlers.cases import HoldsItAlready, NotAmongTopics
from services.intake.handlers.drafts import NoSuchDraft
from services.intake.tables import cases as tables
from services.intake.tables.cases import Wanted
from shared.auth import Actor, Caller, Role, requires
from shared.bus.envelope import new_id
from shared.codes import AgencyId
from shared.problems import Problem, ProblemType, invalid
from shared.service import (
    IfMatch,
    Now,
    Page,
    Pages,
    Transaction,
    day_in_japan,
    etag,
    moment,
    number,
    page,
    router,
)

cases = router(tag="cases")

_CONTRADICTIONS = {
    "nothing_to_withdraw": ProblemType(
        "nothing_to_withdraw",
        409,
        "No consent stands that could be withdrawn",
        "撤回できる同意がありません",
    ),
    "consent_stands": ProblemType(
        "consent_stands",
        409,
        "A consent stands: it ends by being withdrawn",
        "有効な同意があります。終わらせるには「撤回」を記録してください",
    ),
    "consent_unchanged": ProblemType(
        "consent_unchanged",
        409,
        "This is recorded already; record it again when what was agreed to has changed",
        "同じ内容がすでに記録されています。内容が変わったときに新しく記録してください",
    ),
}

_WITNESS_NEEDED = ProblemType(
    "witness_needed",
    409,
    "Consent that opens the case to your own agency needs a witness, and how it was given",
    "自機関に開く同意を記録するには、立会人と同意の方法が要ります",
)
_MISSING = {
    "witness": ("Name who was there when the person said so", "本人が同意したときに立ち会った人の氏名を書いてください"),
    "form": ("Say whether it was written or oral", "書面(written)か口頭(oral)かを書いてください"),
}

_MAY_TELL = frozenset({"topics", "needs", "urgency"})
_DOORS = (Role.COUNSELLOR, Role.PLACEMENT, Role.HELLO_WORK, Role.PROVIDER)
"""Who may take up a consultation: everybody who meets people. What follows is a counsellor's work."""


@cases.post(
    "/v1/cases",
    status_code=201,
    summary="Open a case",
    description="相談を受け付け、支援ケースを開きます。本文は `{}` でも構いません。どの機関も、どの市町村の相談でも"
    "受け付けられます(断らない相談支援)。受け付けた機関が担当になります。",
    dependencies=[requires(*_DOORS)],
)
async def open_case(body: OpenCase, response: Response, session: Transaction, now: Now, actor: Caller) -> CaseAnswer:
    """Whoever asks is taken up; a case needs a municipality and gets an owner and a next step."""
    if body.consent is not None:
        _check_end(body.consent, "/consent/valid_until", now)
    if body.person is not None:
        refuse_unborn(body.person, "/person/birth_date", now)
    opening = handlers.Opening(
        municipality=body.municipality or only_municipality(actor),
        entrance=body.entrance.value,
        topics=_codes(body.topics),
        needs=_codes(body.needs),
        urgent=body.urgent,
        urgency=_codes(body.urgency),
        most_serious=body.most_serious,
        next_step_on=body.next_step_on or day_in_japan(now),
        anchor=body.anchor,
        consent=None if body.consent is None else body.consent.consent(),
        witness=None if body.consent is None else body.consent.witness,
        sheet=_sheet(body),
        draft_id=body.draft_id,
    )
    case = await handlers.open_case(session, opening, case_id=new_id(), actor=actor, now=now)
    if isinstance(case, Contradicted):
        raise Problem(_CONTRADICTIONS[case.reason])
    if isinstance(case, NoSuchDraft):
        raise no_such_draft()
    # Relative, since the service doesn't know under which path it is mounted.
    response.headers["Location"] = f"cases/{case.id}"
    return shown(case, response)


@cases.get(
    "/v1/cases",
    summary="List cases",
    description="自機関が受け付けた・担当する支援ケースと、担当市町村の支援ケースの一覧です(急ぎのケースが先、次に新しい順)。"
    "`career_untouched_weeks` は、キャリア形成の課題に何週間も手が付いていないケースを、"
    "`next_step_until` は次の対応の期日がその日までのケースを、"
    "`anchor_missing` は担当の支援員として機関名だけが入っているケース(引き継いだ直後など)を返します。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def list_cases(
    session: Transaction,
    now: Now,
    actor: Caller,
    pages: Pages,
    status: Literal["open", "closed"] | None = None,
    consent: ConsentState | None = None,
    holder: Annotated[AgencyId | None, Query(description="The agency responsible for the case.")] = None,
    urgent: bool | None = None,
    consent_recorded_elsewhere: Annotated[
        bool | None, Query(description="Whether another agency than the holder wrote down the consent that stands.")
    ] = None,
    career_untouched_weeks: Annotated[
        int | None, Query(ge=1, le=104, description="Open, and nobody worked on career formation for so many weeks.")
    ] = None,
    next_step_until: Annotated[
        date | None, Query(description="Open, and the day of the next step is this one or before: what is due.")
    ] = None,
    anchor_missing: Annotated[
        bool | None,
        Query(description="Open, and the agency itself is the anchor: no person is named yet."),
    ] = None,
) -> Page[CaseView]:
    """The caller's own agency's cases, and those of its municipalities."""
    untouched = None if career_untouched_weeks is None else now - timedelta(weeks=career_untouched_weeks)
    found = await tables.find_cases(
        session,
        Wanted(status, consent, holder, urgent, untouched, consent_recorded_elsewhere, next_step_until, anchor_missing),
        agency=actor.agency,
        municipalities=sorted(actor.municipalities),
        before=pages.begin(lambda presses, case_id: (bool(number(presses)), UUID(case_id))),
        limit=pages.one_more,
    )
    steps = await persons.next_steps(session, found[: pages.limit], actor=actor)

    def show(case: Case) -> CaseView:
        sets = frozenset(FieldSet) if actor.agency == case.holder_agency else frozenset[FieldSet]()
        return _view(case, steps.get(case.id), sets)

    return page(found, pages, key=lambda case: (int(case.presses), case.id), show=show)


@cases.get(
    "/v1/cases/{case_id}",
    summary="Read a case",
    description="支援ケースを読みます。更新に使う ETag が付きます。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def get_case(case_id: UUID, response: Response, session: Transaction, now: Now, actor: Caller) -> CaseView:
    """The case as it stands, with the ETag for a change."""
    case = await handlers.get_case(session, case_id, actor)
    steps = await persons.next_steps(session, [case], actor=actor)
    response.headers["ETag"] = etag(case.version)
    return _view(case, steps.get(case_id), await sets_open_to(session, case, actor, now))


@cases.patch(
    "/v1/cases/{case_id}",
    summary="Change a case",
    description="次の対応、相談内容、課題、緊急度を書き換えます。省いた項目はそのまま残ります。"
    "次の対応と担当の支援員を書くこと、緊急の理由を取り下げることは、担当機関だけができます。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def change_case(
    case_id: UUID,
    body: ChangeCase,
    read: IfMatch,
    response: Response,
    session: Transaction,
    now: Now,
    actor: Caller,
) -> CaseAnswer:
    """Next step, topics, needs, urgency."""
    changes = body.model_dump(exclude_none=True, exclude={"next_step"})
    for name in ("topics", "needs", "urgency"):
        if name in changes:
            changes[name] = _codes(changes[name])
    case = await handlers.change_case(
        session, case_id, changes, next_step=body.next_step, read=read, actor=actor, now=now
    )
    if isinstance(case, Denied):
        raise denied(case)
    if isinstance(case, NotAmongTopics):
        raise invalid(
            "/most_serious",
            "not_among_topics",
            "The most serious topic must be one of the topics",
            "最も深刻な相談内容は、相談内容の中から選んでください",
        )
    response.headers["ETag"] = etag(case.version)
    return _answer(case, await sets_open_to(session, case, actor, now))


@cases.post(
    "/v1/cases/{case_id}/consents",
    status_code=201,
    summary="Record consent",
    description="情報共有についての本人の意思(同意・未取得・不同意・撤回)を、新しい版として記録します。"
    "記録した事実は書き換えません。担当でない機関が、自機関に開く同意を記録するときは、"
    "立会人(`witness`)と同意の方法(`form`)が要ります。担当機関には経過などですぐに知らされます。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def add_consent(
    case_id: UUID, body: SaidAboutConsent, session: Transaction, now: Now, actor: Caller
) -> ConsentFact:
    """A versioned fact, never an edit."""
    _check_end(body, "/valid_until", now)
    fact = await handlers.add_consent(session, case_id, body.consent(), witness=body.witness, actor=actor, now=now)
    if isinstance(fact, Contradicted):
        raise Problem(_CONTRADICTIONS[fact.reason])
    if isinstance(fact, WitnessNeeded):
        raise _witness_needed(fact)
    return ConsentFact.model_validate(fact)


@cases.get(
    "/v1/cases/{case_id}/consents",
    summary="List consents",
    description="同意の記録を古い順に返します。最後のものが今の状態です。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def list_consents(case_id: UUID, session: Transaction, actor: Caller, pages: Pages) -> Page[ConsentView]:
    """All that was ever said about sharing, oldest first."""
    case = await handlers.get_case(session, case_id, actor)
    found = await tables.find_consents(session, case_id, after=pages.begin(number) or 0, limit=pages.one_more)
    named = await persons.witnesses(session, case, found[: pages.limit], actor=actor)

    def show(fact: Row[Any]) -> ConsentView:
        return ConsentView.model_validate({**fact._asdict(), "witness_name": named.get(fact.version)})

    return page(found, pages, key=lambda fact: (fact.version,), show=show)


@cases.post(
    "/v1/cases/{case_id}/screenings",
    status_code=201,
    summary="Record a screening",
    description="スクリーニングの結果(情報提供のみ・つなぎ・同意未取得・支援する・中断)を記録します。"
    "どの結果でもケースは閉じません。つなぎの相手(`receiver`)が分かっていれば、その機関が受け取るまで「つなぎ待ち」が続きます。"
    "受け取りを待つつなぎを改められるのは、担当機関だけです。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def screen_case(case_id: UUID, body: ScreenCase, session: Transaction, now: Now, actor: Caller) -> Screening:
    """The decision at the door; the case stays open whatever it is."""
    row = await handlers.screen_case(
        session,
        case_id,
        body.outcome.value,
        receiver=body.receiver,
        screening_id=new_id(),
        actor=actor,
        now=now,
    )
    match row:
        case Denied():
            raise denied(row)
        case HoldsItAlready():
            raise invalid(
                "/receiver", "holds_it_already", "That agency holds the case already", "その機関は、すでに担当機関です"
            )
        case screened:
            return Screening.model_validate(screened)


@cases.get(
    "/v1/cases/{case_id}/timeline",
    summary="Read the timeline",
    description="支援ケースの経過です。自機関の記録に加え、つなぎ・訓練などで起きたことが自動で届きます(古い順)。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def get_timeline(
    case_id: UUID, session: Transaction, now: Now, actor: Caller, pages: Pages
) -> Page[TimelineEntry]:
    """What was done here and what came back, in the order in which it happened."""
    case = await handlers.get_case(session, case_id, actor)
    sets = await sets_open_to(session, case, actor, now)
    after = pages.begin(lambda at, entry_id: (moment(at), number(entry_id, bits=64)))
    found = await tables.find_timeline(session, case_id, after=after, limit=pages.one_more)

    def show(entry: Row[Any]) -> TimelineEntry:
        told = TimelineEntry.model_validate(entry)
        codes = {name: left_in(value, sets) if name in _MAY_TELL else value for name, value in told.codes.items()}
        return told.model_copy(update={"codes": codes})

    return page(found, pages, key=lambda entry: (entry.at.isoformat(), entry.id), show=show)


def shown(case: Case, response: Response) -> CaseAnswer:
    """A case as it stands, with its ETag."""
    response.headers["ETag"] = etag(case.version)
    return _answer(case)


def _view(case: Case, next_step: str | None, sets: frozenset[FieldSet]) -> CaseView:
    sensitive_open = sets >= set(SENSITIVE.values())
    return CaseView(**dict(_answer(case, sets)), next_step=next_step, sensitive_open=sensitive_open)


def _answer(case: Case, sets: frozenset[FieldSet] = frozenset(FieldSet)) -> CaseAnswer:
    return CaseAnswer(
        case_id=case.id,
        number=case.number,
        municipality=case.municipality,
        opened_by=case.opened_by,
        holder_agency=case.holder_agency,
        status="open" if case.status == "open" else "closed",
        entrance=case.entrance,
        topics=list(left_in(case.topics, sets)),
        needs=list(left_in(case.needs, sets)),
        urgent=case.urgent,
        urgency=list(left_in(case.urgency, sets)),
        most_serious=next(iter(left_in([case.most_serious or ""], sets)), None) or None,
        next_step_on=case.next_step_on,
        consent=ConsentStanding(state=case.consent_state, version=case.consent_version, recorded_by=case.consent_by),
        screening_outcome=case.screening_outcome,
        opened_at=case.opened_at,
        hand_off_open=case.hand_off_open,
        anchor=case.anchor or case.holder_agency,
        ended=case.ended,
        career_touched_at=case.career_touched_at,
        version=case.version,
        sheet_version=case.sheet_version,
    )


def _sheet(body: OpenCase) -> dict[str, str]:
    written = {} if body.person is None else body.person.values()
    return {name: value for name, value in written.items() if value is not None} | {
        "next_step": body.next_step or FIRST_STEP
    }


def _codes(chosen: Sequence[StrEnum]) -> tuple[str, ...]:
    """Each once, in the order in which they were named."""
    return tuple(dict.fromkeys(code.value for code in chosen))


def only_municipality(actor: Actor) -> str:
    """The municipality of a caller who serves just one."""
    served = [code for code in actor.municipalities if not code.startswith("prefecture:")]
    if len(served) != 1 or len(actor.municipalities) != 1:
        raise invalid(
            "/municipality",
            "missing",
            "Your agency serves more than one municipality, or none by name: say which one this is about",
            "担当する市町村が一つに決まらないため、どの市町村の相談かを指定してください",
        )
    return served[0]


def _witness_needed(outcome: WitnessNeeded) -> Problem:
    errors = [
        {"in": "body", "pointer": f"/{name}", "code": "missing", "message": message, "message_ja": message_ja}
        for name, (message, message_ja) in _MISSING.items()
        if name in outcome.missing
    ]
    return Problem(_WITNESS_NEEDED, errors=errors)


def _check_end(said: SaidAboutConsent, pointer: str, now: datetime) -> None:
    if said.valid_until is not None and said.valid_until < day_in_japan(now):
        raise invalid(pointer, "in_the_past", "Consent can't end before it is given", "同意の期限が過ぎています")
