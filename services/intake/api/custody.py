"""Who holds a case, over HTTP: close, reopen, read the ledger; and the daily proof that nobody fell through."""

from datetime import date, datetime
from typing import Any, Self
from uuid import UUID

from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from services.intake.api.cases import shown
from services.intake.api.persons import NOT_THE_HOLDER
from services.intake.api.shapes import CaseAnswer
from services.intake.domain.custody import Interruption, Outcome, Refused
from services.intake.handlers import cases as case_handlers
from services.intake.handlers import custody as handlers
from services.intake.tables import custody as tables
from shared.auth import Caller, Role, requires
from shared.problems import Problem, ProblemType
from shared.service import Body, Now, Page, Pages, Transaction, number, page, router

custody = router(tag="custody")

_REFUSALS = {
    "not_the_holder": NOT_THE_HOLDER,
    "closed_already": ProblemType(
        "closed_already", 409, "The case is closed already", "このケースはすでに終結しています"
    ),
    "still_open": ProblemType("still_open", 409, "The case is open", "このケースは終結していません"),
    "hides_somebody": ProblemType(
        "hides_somebody",
        409,
        "Where there was violence, only its last holder reopens a case: ask it, or open another and link the two",
        "DV・虐待のあるケースを開き直せるのは、担当していた機関だけです。連絡するか、新しいケースを開いて結び付けてください",
    ),
    "not_agreed": ProblemType(
        "not_agreed",
        409,
        "Reopening shows all that was written before: record the person's consent first, or open another case and link",
        "開き直すと以前の記録がすべて見えます。先に本人の同意(立会人と方法)を記録するか、新しいケースを開いて結び付けてください",
    ),
    "hand_off_waits": ProblemType(
        "hand_off_waits",
        409,
        "The hand-off is not acknowledged yet: wait for the receiver, or record the screening anew",
        "つなぎ先がまだ受け取っていません。受け取りを待つか、スクリーニングをあらためて記録してください",
    ),
}


class CloseCase(Body):
    """終結 with what was reached, or 中断 with the reason: exactly one of them."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"outcome": "goal_reached"}]})

    outcome: Outcome | None = None
    interruption: Interruption | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.outcome is None) == (self.interruption is None):
            raise PydanticCustomError("one_reason", "either an outcome or a reason of interruption")
        return self

    @property
    def ended(self) -> Outcome | Interruption:
        """The one that was given."""
        ended = self.outcome or self.interruption
        assert ended is not None
        return ended


class CustodyEntry(BaseModel):
    """A step in the custody of a case (担当の記録)."""

    model_config = ConfigDict(from_attributes=True)

    number: int
    step: str
    holder: str
    ended: str | None
    by: str
    at: datetime


class CustodyProof(BaseModel):
    """Every case that ever came to the agency, and how it stands: came = held + closed + handed_on.

    And every referral that it ever answered for: came = held + ended + handed_on. Proofs of before 0.2.0 have none.
    """

    agency: str
    day: date
    before: str = Field(description="The digest of the proof before; so each vouches for all before it.")
    counts: dict[str, int]
    cases: list[dict[str, Any]]
    referrals: list[dict[str, Any]] = Field(
        default=[], description="held: its state and whom it waits for; handed_on: to whom; ended: with which code."
    )
    referral_counts: dict[str, int] = Field(default={})
    digest: str


@custody.post(
    "/v1/cases/{case_id}/closing",
    summary="Close a case",
    description="担当機関が支援を終結します。達成したこと、または中断の理由のどちらか一つが要ります。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def close_case(
    case_id: UUID, body: CloseCase, response: Response, session: Transaction, now: Now, actor: Caller
) -> CaseAnswer:
    """With a reason, or not at all."""
    case = await handlers.close_case(session, case_id, body.ended, actor=actor, now=now)
    if isinstance(case, Refused):
        raise Problem(_REFUSALS[case.reason])
    return shown(case, response)


@custody.post(
    "/v1/cases/{case_id}/reopening",
    summary="Reopen a case",
    description="終結したケースの方がまた来たとき、受けた機関が担当としてケースを開き直します。経過は残っています。"
    "担当していた機関のほかは、本人の同意が要ります。DV・虐待のあるケースは、担当していた機関だけが開き直せます。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def reopen_case(case_id: UUID, response: Response, session: Transaction, now: Now, actor: Caller) -> CaseAnswer:
    """Who takes the person up holds the case."""
    case = await handlers.reopen_case(session, case_id, actor=actor, now=now)
    if isinstance(case, Refused):
        raise Problem(_REFUSALS[case.reason])
    return shown(case, response)


@custody.get(
    "/v1/cases/{case_id}/custody",
    summary="Who held the case when",
    description="どの機関がいつから担当したかの記録です(古い順)。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def list_custody(case_id: UUID, session: Transaction, actor: Caller, pages: Pages) -> Page[CustodyEntry]:
    """The ledger, oldest first."""
    await case_handlers.get_case(session, case_id, actor)
    found = await tables.find_ledger(session, case_id, after=pages.begin(number) or 0, limit=pages.one_more)
    return page(found, pages, key=lambda entry: (entry.number,), show=CustodyEntry.model_validate)


@custody.get(
    "/v1/custody-proofs",
    response_model_exclude_unset=True,  # the digest is of what was kept, and an older proof has no referrals
    summary="The daily proofs of the own agency",
    description="自機関に来たケースが、担当中・終結・引継済みのどれかに必ずあることの日ごとの証明です(古い順)。前日の証明と鎖のようにつながります。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def list_custody_proofs(session: Transaction, actor: Caller, pages: Pages) -> Page[CustodyProof]:
    """Made after each day; `python -m shared.service verify custody FILE` checks an export of them."""
    after = pages.begin(date.fromisoformat) or date.min
    found = await tables.find_proofs(session, actor.agency, after=after, limit=pages.one_more)
    return page(
        found, pages, key=lambda row: (row.day.isoformat(),), show=lambda row: CustodyProof.model_validate(row.document)
    )


@custody.get(
    "/v1/custody-proofs/now",
    summary="How it stands now",
    description="いまこの時点の証明です(保存はしません)。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def get_custody_now(session: Transaction, now: Now, actor: Caller) -> CustodyProof:
    """On demand."""
    return CustodyProof.model_validate(await handlers.standing(session, actor.agency, now=now))
