"""Disclosures over HTTP (提供): the holder lets another agency read, lists it, and ends it early."""

from datetime import date, datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from services.intake.api.persons import denied
from services.intake.domain.disclosures import DisclosureReason, NotDisclosed
from services.intake.domain.meetings import Basis
from services.intake.domain.policy import Denied, Disclosure, Purpose
from services.intake.domain.sheet import FieldSet
from services.intake.handlers import disclosures as handlers
from shared.auth import Caller, Role, requires
from shared.bus.envelope import new_id
from shared.codes import AgencyId, DayAsWritten
from shared.problems import Problem, ProblemType, invalid
from shared.service import Body, Now, Page, Pages, Transaction, page, router

disclosures = router(tag="disclosures")

_REFUSALS = {
    "meeting_basis": ProblemType(
        "meeting_basis",
        409,
        "What is said in a statutory meeting is not disclosed: write it down there, on its day",
        "支援会議・調整会議で話されたことは提供できません。会議の当日に、会議の記録として書いてください",
    ),
    "own_agency": ProblemType(
        "own_agency", 409, "The agency that holds the case reads it anyway", "担当機関はそのままで読めます"
    ),
    "beyond_consent": ProblemType(
        "beyond_consent",
        409,
        "The person's consent does not reach so far, for this recipient, purpose and sets",
        "この提供先・目的・項目には、本人の同意が及んでいません。本人に確認し、同意を記録してください",
    ),
    "hidden_by_violence": ProblemType(
        "hidden_by_violence",
        409,
        "Where there was violence, how to find the person is shown to the holder alone",
        "DV・虐待のあるケースでは、連絡先と来談者の情報は担当機関のほかには見せられません",
    ),
}


class AddDisclosure(Body):
    """Who may read what, for what, until when, and on which legal basis."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "recipient": "kagoshima-welfare",
                    "purpose": "support",
                    "sets": ["identity", "story"],
                    "basis": "appi_69_2_3",
                    "until": "2027-03-31",
                    "reason": "legal_request",
                }
            ]
        }
    )

    recipient: AgencyId
    purpose: Literal["support", "assessment", "case_conference", "referral", "training"]
    sets: list[FieldSet] = Field(min_length=1, max_length=len(FieldSet))
    basis: Basis = Field(
        description="根拠。これなしの提供はありません。`appi_69_2_3` で読めるのは行政機関等だけです(`agency_kind`)。"
    )
    until: DayAsWritten = Field(description="The last day. At most a year away, on `emergency` three days.")
    reason: DisclosureReason

    def disclosure(self) -> Disclosure:
        """The same, as the domain knows it."""
        return Disclosure(self.recipient, Purpose(self.purpose), frozenset(self.sets), self.basis, self.until)


class DisclosureView(BaseModel):
    """What was disclosed to whom. `ended_at`: ended early, or with the consent that it rests on."""

    model_config = ConfigDict(from_attributes=True)

    disclosure_id: UUID = Field(validation_alias="id")
    recipient: str
    purpose: str
    sets: list[str]
    basis: str
    consent_version: int | None
    until: date
    reason: str
    made_by: str
    at: datetime
    ended_at: datetime | None


@disclosures.post(
    "/v1/cases/{case_id}/disclosures",
    status_code=201,
    summary="Disclose to another agency",
    description="担当機関が、項目・目的・根拠・期限を決めて、ほかの機関が読めるようにします。同意に基づく提供は、読むたびに"
    "同意を確かめ、撤回とともに終わります。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def add_disclosure(
    case_id: UUID, body: AddDisclosure, session: Transaction, now: Now, actor: Caller
) -> DisclosureView:
    """No basis, no disclosure."""
    made = await handlers.add_disclosure(
        session, case_id, body.disclosure(), body.reason, disclosure_id=new_id(), actor=actor, now=now
    )
    match made:
        case Denied():
            raise denied(made)
        case NotDisclosed():
            raise _refused(made)
        case row:
            return DisclosureView.model_validate(row)


@disclosures.get(
    "/v1/cases/{case_id}/disclosures",
    summary="What was disclosed to whom",
    description="担当機関には、このケースのすべての提供を、ほかの機関には自機関への提供だけを返します(古い順)。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def list_disclosures(case_id: UUID, session: Transaction, actor: Caller, pages: Pages) -> Page[DisclosureView]:
    """Oldest first."""
    found = await handlers.list_disclosures(
        session, case_id, after=pages.begin(UUID), limit=pages.one_more, actor=actor
    )
    return page(found, pages, key=lambda row: (row.id,), show=DisclosureView.model_validate)


@disclosures.post(
    "/v1/cases/{case_id}/disclosures/{disclosure_id}/ending",
    summary="End a disclosure early",
    description="期限の前に提供を終えます。もう終わっているものは、そのまま返します。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def end_disclosure(
    case_id: UUID, disclosure_id: UUID, session: Transaction, now: Now, actor: Caller
) -> DisclosureView:
    """By who holds the case now."""
    ended = await handlers.end_disclosure(session, case_id, disclosure_id, actor=actor, now=now)
    if isinstance(ended, Denied):
        raise denied(ended)
    return DisclosureView.model_validate(ended)


def _refused(outcome: NotDisclosed) -> Problem:
    match outcome.reason:
        case "in_the_past":
            return invalid("/until", "in_the_past", "This day is over", "期限が過ぎています")
        case "too_long":
            return invalid(
                "/until",
                "too_long",
                "At most a year at once; on the basis of an emergency three days",
                "一度に一年まで(緊急の根拠では三日まで)です",
            )
        case reason:
            return Problem(_REFUSALS[reason])
