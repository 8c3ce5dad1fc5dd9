"""What goes over the wire: bodies, answers, and an example of each."""

import re
import unicodedata
from datetime import date, datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    computed_field,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from services.intake.api.notices import Notice, without_effect
from services.intake.domain.cases import (
    Consent,
    ConsentForm,
    ConsentState,
    Entrance,
    Need,
    ScreeningOutcome,
    SharedFor,
    Topic,
    Urgency,
)
from services.intake.domain.policy import shown_for_none
from services.intake.domain.sheet import FieldSet, katakana
from shared.codes import (
    EMAIL_FORM,
    PHONE_FORM,
    POSTCODE_FORM,
    AgencyId,
    Code,
    DayAsWritten,
    FreeText,
    LongText,
    MunicipalityCode,
    PhoneText,
)
from shared.service import Body

Line = Annotated[FreeText, Field(min_length=1)]
Topics = Annotated[list[Topic], Field(max_length=len(Topic))]
Reasons = Annotated[list[Urgency], Field(max_length=len(Urgency))]
Needs = Annotated[list[Need], Field(max_length=len(Need))]


# What Unicode promises never to be a character (Unicode 23.7).
_NO_CHARACTERS = re.compile(
    "[\ufdd0-\ufdef"
    + "".join(chr(plane + low) for plane in range(0, 0x110000, 0x10000) for low in (0xFFFE, 0xFFFF))
    + "]"
)


def whole(text: str) -> str:
    """Characters that only one office's machines know (外字) would be lost everywhere else."""
    if any(unicodedata.category(char) == "Co" for char in text) or _NO_CHARACTERS.search(text):
        raise PydanticCustomError("gaiji", "a character outside the standard was found")
    return text


Words = Annotated[FreeText, AfterValidator(whole), Field(min_length=1)]
Witness = Annotated[Words, Field(max_length=100)]


class SaidAboutConsent(Body):
    """What the person said about sharing (同意)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "state": "given",
                    "purposes": ["assessment", "referral", "training"],
                    "recipients": ["kagoshima-hello-work"],
                    "categories": ["identity", "contact", "story"],
                    "valid_from": "2026-12-01",
                    "valid_until": "2027-03-31",
                    "text_version": "kagoshima-2026-1",
                    "form": "written",
                }
            ]
        }
    )

    state: ConsentState
    purposes: list[SharedFor] = Field(
        default=[], max_length=len(SharedFor), description="Needed when consent is given; else, what was asked for."
    )
    recipients: list[AgencyId] = Field(default=[], max_length=50, description="Empty: whoever the purposes need.")
    categories: list[FieldSet] = Field(
        default=[],
        max_length=len(FieldSet),
        description="Sets of the sheet. Empty: those that the purposes need, without `health`, which has to be named.",
    )
    valid_from: DayAsWritten | None = Field(default=None, description="Its first day; default: at once.")
    valid_until: DayAsWritten | None = Field(default=None, description="Its last day.")
    text_version: Code | None = Field(default=None, description="Which consent sentence was read out or signed.")
    form: ConsentForm | None = Field(default=None, description="同意の方法: 書面・口頭.")
    witness: Witness | None = Field(
        default=None,
        description="立会人: who was there; sealed, and read by the agency that holds the case. Another agency that "
        "writes down consent which opens the case to itself names one, and the `form`.",
    )

    @model_validator(mode="after")
    def _terms_fit_the_state(self) -> Self:
        if self.state is ConsentState.GIVEN and not self.purposes:
            raise PydanticCustomError("purposes_missing", "consent is given for a purpose")
        if self.state is not ConsentState.GIVEN and (self.valid_from or self.valid_until):
            raise PydanticCustomError("end_without_consent", "only given consent has an end")
        if self.valid_from and self.valid_until and self.valid_until < self.valid_from:
            raise PydanticCustomError("ends_before_it_begins", "consent can't end before it begins")
        if self.state is ConsentState.WITHDRAWN and (self.purposes or self.recipients or self.categories):
            # It would look like a part taken back, and be the whole: a part is consent given again for the rest.
            raise PydanticCustomError("withdrawn_whole", "consent is withdrawn as a whole")
        return self

    def consent(self) -> Consent:
        """The same, as the domain knows it."""
        return Consent(
            state=self.state,
            purposes=frozenset(str(purpose) for purpose in self.purposes),
            recipients=frozenset(self.recipients),
            valid_until=self.valid_until,
            text_version=self.text_version,
            valid_from=self.valid_from,
            categories=frozenset(str(category) for category in self.categories),
            form=self.form,
        )


def _digits(text: Any) -> Any:
    """Numbers are kept in narrow digits; a Japanese number dialled from abroad becomes the one dialled here."""
    if not isinstance(text, str):
        return text
    narrow = re.sub(r"[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]", "", text)
    narrow = re.sub(r"[\u2010-\u2015\u2212\u30fc]", "-", unicodedata.normalize("NFKC", narrow)).strip()
    return re.sub(r"^\+81[-\s]?(\(0\))?", "0", narrow)


Anchor = Annotated[
    FreeText, Field(min_length=1, max_length=60, description="担当の支援員: whom everybody can turn to.")
]
Story = Annotated[LongText, AfterValidator(whole), Field(min_length=1)]
Kana = Annotated[Words, AfterValidator(katakana)]
Postcode = Annotated[FreeText, BeforeValidator(_digits), Field(pattern=POSTCODE_FORM)]
Phone = Annotated[PhoneText, BeforeValidator(_digits), Field(pattern=PHONE_FORM)]
Email = Annotated[FreeText, Field(max_length=254, pattern=EMAIL_FORM)]


class PersonSheet(Body):
    """The reception sheet (相談受付票): every field may be missing. A field sent as null is emptied."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "鹿児島 花子",
                    "kana": "カゴシマ ハナコ",
                    "birth_date": "昭和60年4月1日",
                    "phone": "099-000-0000",
                }
            ]
        }
    )

    name: Annotated[Words, Field(max_length=100)] | None = None
    kana: Annotated[Kana, Field(max_length=100)] | None = None
    previous_name: Annotated[Words, Field(max_length=100)] | None = None
    sex: Literal["male", "female", "other"] | None = None
    birth_date: DayAsWritten | None = None
    postcode: Postcode | None = None
    address: Annotated[Words, Field(max_length=300)] | None = None
    phone: Phone | None = None
    other_phone: Phone | None = None
    email: Email | None = None
    contact_note: Annotated[Words, Field(max_length=500)] | None = None
    proxy_name: Annotated[Words, Field(max_length=100)] | None = None
    proxy_phone: Phone | None = None
    proxy_relation: Annotated[Words, Field(max_length=50)] | None = None
    health_note: Words | None = None
    family_note: Words | None = None
    story: Story | None = None

    def values(self) -> dict[str, str | None]:
        """The fields that were sent, as they are kept."""
        sent = self.model_dump(mode="json", exclude_unset=True)
        return {name: None if value is None else str(value) for name, value in sent.items()}


class OpenCase(Body):
    """What is known when somebody comes. `{}` is enough for an agency with one municipality."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {},
                {
                    "municipality": "462012",
                    "entrance": "outreach",
                    "topics": ["withdrawal", "income"],
                    "needs": ["isolation", "people"],
                    "next_step": "来週、居場所でもう一度会う",
                    "next_step_on": "2026-12-01",
                    "consent": {"state": "not_yet"},
                },
            ]
        }
    )

    municipality: MunicipalityCode | None = Field(default=None, description="Default: the caller's only municipality.")
    entrance: Entrance = Entrance.WALK_IN
    topics: Topics = Field(default=[])
    needs: Needs = Field(default=[])
    urgent: bool | None = Field(
        default=None, strict=True, description="True in any case where there is a reason in `urgency`."
    )
    urgency: Reasons = Field(
        default=[], description="緊急の理由. The topics violence and nothing_to_eat bring theirs with them."
    )
    most_serious: Topic | None = Field(default=None, description="最も深刻な相談内容: one of `topics`.")
    next_step: Line | None = None
    next_step_on: DayAsWritten | None = None
    consent: SaidAboutConsent | None = None
    anchor: Anchor | None = Field(default=None, description="担当の支援員. Default: who opens the case.")
    draft_id: UUID | None = Field(default=None, description="The draft that this sheet was typed in; it is done with.")
    person: PersonSheet | None = Field(default=None, description="相談受付票: whatever is known, or nothing at all.")

    @model_validator(mode="after")
    def _marks_one_of_its_topics(self) -> Self:
        if self.most_serious is not None and self.most_serious not in self.topics:
            raise PydanticCustomError("not_among_topics", "the most serious topic must be one of the topics")
        return self


class ChangeCase(Body):
    """What is absent or null stays as it is."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"next_step": "ハローワークに同行する", "next_step_on": "2026-12-03"}]}
    )

    next_step: Line | None = None
    next_step_on: DayAsWritten | None = None
    topics: Topics | None = None
    needs: Needs | None = None
    urgent: bool | None = Field(default=None, strict=True)
    urgency: Reasons | None = Field(default=None, description="The reasons that there are now; [] takes all away.")
    most_serious: Topic | None = None
    anchor: Anchor | None = None


class ScreenCase(Body):
    """The decision at the door (スクリーニング)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"outcome": "support"}, {"outcome": "hand_off", "receiver": "kagoshima-welfare"}]
        }
    )

    outcome: ScreeningOutcome
    receiver: AgencyId | None = Field(
        default=None, description="つなぎ先, of a hand-off: it then waits for this agency, and for no other."
    )

    @model_validator(mode="after")
    def _a_hand_off_has_a_receiver(self) -> Self:
        if self.receiver is not None and self.outcome is not ScreeningOutcome.HAND_OFF:
            raise PydanticCustomError("receiver_without_hand_off", "only a hand-off has a receiver")
        return self


class ConsentStanding(BaseModel):
    """The consent as it stands; version 0 is "nobody has asked yet"."""

    state: str
    version: int
    recorded_by: str | None = Field(description="Which agency wrote it down; the holder, or another counter.")


class CaseAnswer(BaseModel):
    """A case (支援ケース)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "case_id": "01939c1e-7a10-7c44-9f55-0b8b1f1a2c3d",
                    "number": "2026-000123",
                    "municipality": "462012",
                    "opened_by": "kagoshima-desk",
                    "holder_agency": "kagoshima-desk",
                    "status": "open",
                    "entrance": "walk_in",
                    "topics": ["job_search"],
                    "needs": ["people"],
                    "urgent": False,
                    "urgency": [],
                    "most_serious": "job_search",
                    "next_step_on": "2026-12-01",
                    "consent": {"state": "given", "version": 1, "recorded_by": "kagoshima-desk"},
                    "screening_outcome": "support",
                    "opened_at": "2026-11-23T01:15:00Z",
                    "version": 3,
                    "sheet_version": 1,
                    "hand_off_open": False,
                    "anchor": "相談員 3",
                    "ended": None,
                    "career_touched_at": "2026-11-23T01:15:00Z",
                }
            ]
        }
    )

    case_id: UUID
    number: str
    municipality: str
    opened_by: str
    holder_agency: str
    status: Literal["open", "closed"]
    entrance: str
    topics: list[str]
    needs: list[str]
    urgent: bool
    urgency: list[str] = Field(description="Why: nothing_to_eat, violence, danger_to_life.")
    most_serious: str | None
    next_step_on: date
    consent: ConsentStanding
    screening_outcome: str | None
    hand_off_open: bool = Field(description="Screened as a hand-off (つなぎ), and no receiver has acknowledged it yet.")
    anchor: str = Field(description="担当の支援員: a person or, after a hand-over, the agency; never nobody.")
    ended: str | None
    career_touched_at: datetime = Field(description="When somebody last worked on career formation.")
    opened_at: datetime
    version: int
    sheet_version: int


class CaseView(CaseAnswer):
    """A case as it is read. Answers to a POST are kept for a repeat, and so hold no words about a person."""

    next_step: str | None = Field(description="For the agency that holds the case; each reading is logged.")
    sensitive_open: bool = Field(
        default=True,
        description="Whether codes of health and violence would stand here for this caller. They are for the holder and"
        " for whom consent or a disclosure opens them (in a list: for the holder alone); for others false.",
    )


class PersonView(BaseModel):
    """What the caller may see of the person, and on which legal basis."""

    case_id: UUID
    version: int
    basis: str
    person: dict[str, str]
    masked: list[str] = Field(description="Sets of fields that stay closed for this caller and purpose.")


class SheetSaved(BaseModel):
    """The sheet's version that now stands."""

    version: int


class ConsentFact(BaseModel):
    """One consent fact; the newest stands."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "examples": [
                {
                    "case_id": "01939c1e-7a10-7c44-9f55-0b8b1f1a2c3d",
                    "version": 1,
                    "state": "given",
                    "purposes": ["referral"],
                    "recipients": [],
                    "categories": ["identity", "contact"],
                    "valid_from": None,
                    "valid_until": None,
                    "text_version": "kagoshima-2026-1",
                    "form": "written",
                    "witnessed": True,
                    "recorded_by": "kagoshima-desk",
                    "at": "2026-11-23T01:15:00Z",
                    "notices": [],
                }
            ]
        },
    )

    case_id: UUID
    version: int
    state: str
    purposes: list[str]
    recipients: list[str]
    categories: list[str]
    valid_from: date | None
    valid_until: date | None
    text_version: str | None
    form: str | None
    witnessed: bool = Field(validation_alias="witness", description="Whether a witness is named.")
    recorded_by: str
    at: datetime

    @computed_field  # type: ignore[prop-decorator]
    @property
    def notices(self) -> list[Notice]:
        """What this consent names without effect."""
        unseen = shown_for_none(self.categories, self.purposes) if self.state == ConsentState.GIVEN else ()
        return [without_effect(unseen)] if unseen else []

    @field_validator("witnessed", mode="before")
    @classmethod
    def _is_there(cls, sealed: bytes | bool | None) -> bool:
        return bool(sealed)


class ConsentView(ConsentFact):
    """A consent fact as it is read. Answers to a POST hold no words about a person."""

    witness: str | None = Field(
        default=None, validation_alias="witness_name", description="For the agency that holds the case; logged."
    )


class Screening(BaseModel):
    """A screening that was recorded."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "examples": [
                {
                    "screening_id": "01939c1e-8b21-7d55-8a66-1c9c2f2b3d4e",
                    "case_id": "01939c1e-7a10-7c44-9f55-0b8b1f1a2c3d",
                    "outcome": "support",
                    "receiver": None,
                    "recorded_by": "kagoshima-desk",
                    "at": "2026-11-23T01:20:00Z",
                }
            ]
        },
    )

    screening_id: UUID = Field(validation_alias="id")
    case_id: UUID
    outcome: str
    receiver: str | None
    recorded_by: str
    at: datetime


class TimelineEntry(BaseModel):
    """Something that happened to the case: here or, told by `service`, elsewhere. Expect kinds you don't know."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "examples": [
                {
                    "at": "2026-11-24T02:00:00Z",
                    "kind": "referral_accepted",
                    "service": "referral",
                    "codes": {
                        "referral_id": "01939c1f-0000-7000-8000-000000000001",
                        "sender": "kagoshima-desk",
                        "receiver": "kirishima-npo",
                    },
                }
            ]
        },
    )

    at: datetime
    kind: str
    service: str
    codes: dict[str, Any]
