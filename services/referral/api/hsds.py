"""The directory for systems that speak Open Referral HSDS: a document to read page by page, and the same taken in."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, TypeGuard

from pydantic import BaseModel, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError
from sqlalchemy.ext.asyncio import AsyncSession

from services.referral.api import hsds_document as document
from services.referral.api.files import agency_entry, became, programme_entry, workplace_entry
from services.referral.api.listed import example
from services.referral.api.rows import AgencyRow, FirmRow, ProfessionalRow, ProgrammeRow, WorkplaceRow
from services.referral.handlers import directory as handlers
from services.referral.handlers.directory import FirmEntry, ProfessionalEntry
from services.referral.tables import listing
from shared.auth import Actor, Caller, Role, requires
from shared.codes import holds_my_number
from shared.service import Now, Pages, Transaction, day_in_japan, page, router
from shared.service.failures import words_for
from shared.service.imports import Became, Fault, FileRow, Form, Remarked, Rows, import_router
from shared.service.imports.faults import Faults
from shared.service.imports.rows import each_record_once, refuse_my_numbers
from shared.service.imports.sheet import Sheet, unreadable
from shared.service.strict import loads

hsds = router(tag="directory")

_MOST_ORGANIZATIONS = 2_000
_MOST_FAULTS = 20  # of one organization
_LABELS = {"agency_id": "organization_identifiers"}


class HsdsRow(FileRow):
    """An organization of the document, with everything that it has: it stands or falls as one."""

    key: ClassVar = ("agency_id",)
    agency: AgencyRow
    programmes: tuple[ProgrammeRow, ...] = Field(default=(), max_length=5_000)
    professionals: tuple[ProfessionalRow, ...] = Field(default=(), max_length=5_000)
    host_workplaces: tuple[WorkplaceRow, ...] = Field(default=(), max_length=5_000)
    training_firms: tuple[FirmRow, ...] = Field(default=(), max_length=5_000)

    @property
    def agency_id(self) -> str:
        """Whose it all is."""
        return self.agency.agency_id

    @property
    def parts(self) -> Mapping[str, Sequence[FileRow]]:
        """What it has, under the names of the document."""
        return {name: getattr(self, name) for name in type(self).model_fields if name != "agency"}

    @model_validator(mode="after")
    def _each_once(self) -> "HsdsRow":
        for rows in self.parts.values():
            keys = [tuple(getattr(row, name) for name in row.key) for row in rows]
            if len(set(keys)) < len(keys):
                raise PydanticCustomError("twice", "the same entry twice")
        return self


class HsdsDocument(BaseModel):
    """Organizations, and the services of exactly these, as HSDS 3.0 has them."""

    model_config = example(
        hsds="3.0",
        organizations=[
            {
                "id": "01920000-0000-7000-8000-0000000000a0",
                "name": "桜島サポートセンター",
                "description": "桜島サポートセンター",
                "organization_identifiers": [
                    {
                        "id": "01920000-0000-7000-8000-0000000000a2",
                        "identifier_scheme": "tsunagu-agency",
                        "identifier_type": "tsunagu-agency",
                        "identifier": "sakurajima-npo",
                    }
                ],
            }
        ],
        services=[
            {
                "id": "01920000-0000-7000-8000-0000000000a1",
                "organization_id": "01920000-0000-7000-8000-0000000000a0",
                "name": "朝の居場所",
                "status": "active",
                "assured_date": "2026-04-01",
            }
        ],
        next_cursor=None,
    )

    hsds: str = Field(description="The version of the standard.")
    organizations: list[dict[str, Any]]
    services: list[dict[str, Any]]
    next_cursor: str | None


@hsds.get(
    "/v1/hsds",
    dependencies=[requires(*Role)],
    summary="The directory as HSDS 3.0",
    description="名簿を Open Referral HSDS 3.0 のJSONで書き出します。HSDSに項目のないものは `x-tsunagu` に入ります。"
    "同じ形のJSONを取り込めます。",
)
async def export_hsds(session: Transaction, _: Caller, now: Now, pages: Pages) -> HsdsDocument:
    """By agency; each page is a document of its own."""
    rows = await listing.whole_entries(
        session, "agency", after=pages.begin(lambda agency_id: (agency_id,)), limit=pages.one_more
    )
    agencies = page(rows, pages, key=lambda row: (row.agency_id,), show=lambda row: row._asdict())
    ids, today = [agency["agency_id"] for agency in agencies.items], day_in_japan(now)
    found: dict[str, dict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
    for kind in ("programme", "professional", "host_workplace", "training_firm"):
        for row in await listing.entries_of(session, kind, ids):
            found[row.agency_id][kind].append(row._asdict())
    return HsdsDocument(
        hsds="3.0",
        organizations=[document.organization(agency, found[agency["agency_id"]]) for agency in agencies.items],
        services=[document.service(programme, today) for own in ids for programme in found[own]["programme"]],
        next_cursor=agencies.next_cursor,
    )


# --- taken in --------------------------------------------------------------------------------------------------------


def read_hsds(content: bytes, model: type[HsdsRow]) -> Rows[HsdsRow]:
    """The document's organizations as rows. Raises `Problem(INVALID)` if it can't be taken as a whole."""
    organizations, services = _parts(content)
    faults = Faults()
    fitting: list[tuple[int, HsdsRow]] = []
    for number, organization in enumerate(organizations, start=2):
        own = services.pop(str(organization.get("id")), [])
        outcome = _fitted(organization, own, model)
        if isinstance(outcome, HsdsRow):
            fitting.append((number, outcome))
        else:
            faults.add(number, outcome)
    if services:
        raise unreadable(
            "a service of an organization that is not there", "ない組織(organization_id)の service があります"
        )
    good, repeats = each_record_once(fitting, _LABELS, faults)
    return Rows(_sheet(organizations), good, repeats, faults, [])


async def take_hsds(
    session: AsyncSession, rows: Sequence[HsdsRow], actor: Actor, now: datetime
) -> list[Became | Remarked | Fault]:
    """Organizations become entries, each with everything it has or not at all."""
    foreign = await handlers.foreign_entries(session, [agency_entry(row.agency, actor) for row in rows], actor=actor)
    named = [FirmEntry(**firm.model_dump()) for row in rows for firm in row.training_firms]
    firms = await handlers.lock_firms(session, named)
    refused = {rows[number].agency_id: became(why, "agency") for number, why in foreign.items()}
    for number, why in handlers.stuck_firms(named, firms).items():
        refused.setdefault(named[number].agency_id, became(why, "training_firm"))
    good = [row for row in rows if row.agency_id not in refused]
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    remarks: dict[str, dict[Fault, None]] = defaultdict(dict)
    parts: dict[str, list[tuple[FileRow, handlers.Entry]]] = {
        "agency": [(row.agency, agency_entry(row.agency, actor)) for row in good],
        "programme": [(each, programme_entry(each, actor)) for row in good for each in row.programmes],
        "professional": [(each, ProfessionalEntry(**each.model_dump())) for row in good for each in row.professionals],
        "host_workplace": [(each, workplace_entry(each, actor)) for row in good for each in row.host_workplaces],
        "training_firm": [(each, FirmEntry(**each.model_dump())) for row in good for each in row.training_firms],
    }
    for kind, entries in parts.items():
        for agency_id, outcome in await _keep(session, entries, kind, firms, actor, now):
            match outcome:
                case Remarked(what, told):
                    counts[agency_id][what] += 1
                    remarks[agency_id] |= dict.fromkeys(told)
                case str():
                    counts[agency_id][outcome] += 1
                case Fault():  # said of its agency above
                    pass
    return [refused.get(row.agency_id) or _outcome(counts[row.agency_id], remarks[row.agency_id]) for row in rows]


async def _keep(
    session: AsyncSession,
    entries: Sequence[tuple[FileRow, handlers.Entry]],
    kind: str,
    firms: handlers.Firms,
    actor: Actor,
    now: datetime,
) -> list[tuple[str, Became | Remarked | Fault]]:
    """Those that say the same fields go together: what a document doesn't speak of stays as it is."""
    by_told: dict[frozenset[str], list[handlers.Entry]] = defaultdict(list)
    for row, entry in entries:
        by_told[frozenset(row.model_fields_set)].append(entry)
    found = []
    for told, same in by_told.items():
        outcomes = await handlers.keep_entries(
            session, same, told=told | {"confirmed_by"}, actor=actor, now=now, firms=firms
        )
        found += [(entry.agency_id, became(each, kind)) for entry, each in zip(same, outcomes, strict=True)]
    return found


def _outcome(count: Counter[str], remarks: Mapping[Fault, None]) -> Became | Remarked:
    what: Became = "created" if count["created"] else "unchanged"
    if count["updated"] or (count["created"] and count["unchanged"]):
        what = "updated"
    return Remarked(what, tuple(remarks)) if remarks else what


def _parts(content: bytes) -> tuple[list[dict[str, Any]], dict[str, list[dict[str, Any]]]]:
    plain = loads(content.removeprefix(b"\xef\xbb\xbf"))
    refuse_my_numbers([(number, None) for number, text in _texts(plain) if holds_my_number(text)])
    organizations, services = (
        plain.get(name) if isinstance(plain, dict) else None for name in ("organizations", "services")
    )
    if not (_are_objects(organizations) and _are_objects(services)):
        raise unreadable(
            "no document with organizations and services", "organizations と services のあるJSONではありません"
        )
    if not organizations:
        raise unreadable("there is no organization", "organizations が空です")
    by_organization: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for service in services:
        nested = service.get("organization")
        inside = nested.get("id") if isinstance(nested, dict) else None
        by_organization[str(service.get("organization_id") or inside)].append(service)
    return organizations, by_organization


def _are_objects(value: Any) -> TypeGuard[list[dict[str, Any]]]:
    return isinstance(value, list) and all(isinstance(each, dict) for each in value)


def _fitted(
    organization: Mapping[str, Any], services: Sequence[Mapping[str, Any]], model: type[HsdsRow]
) -> HsdsRow | list[Fault]:
    try:
        values = document.entries(organization, services)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):
        return [_NOT_HSDS]
    try:
        return model.model_validate(values)
    except ValidationError as error:
        return [
            Fault(_place(each), each["type"], *words_for(each["type"], each.get("ctx")))
            for each in error.errors(include_input=False, include_url=False)[:_MOST_FAULTS]
        ]


_NOT_HSDS = Fault(None, "not_hsds", "Not an organization of HSDS 3.0", "HSDS 3.0 の organization の形ではありません")


def _place(error: ErrorDetails) -> str | None:
    """Where in the organization, in the names of this service's own files. An unknown name is the author's own text."""
    path = error["loc"][:-1] if error["type"] == "extra_forbidden" else error["loc"]
    return "/".join(map(str, path)) or None


def _texts(plain: Any) -> Iterator[tuple[int, str]]:
    """Every text of the document, names of fields too, with the row of its organization; 1 for all the others."""
    organizations = plain.get("organizations") if isinstance(plain, dict) else None
    if isinstance(organizations, list):
        for number, organization in enumerate(organizations, start=2):
            yield from ((number, text) for text in _texts_of(organization))
        plain = {name: value for name, value in plain.items() if name != "organizations"}
    yield from ((1, text) for text in _texts_of(plain))


def _texts_of(value: Any, name: str = "") -> Iterator[str]:
    match value:
        case str() if name != "number":  # a telephone's is judged by its own type
            yield value
        case dict():
            for key, each in value.items():
                yield key
                yield from _texts_of(each, key)
        case list():
            for each in value:
                yield from _texts_of(each, name)
        case _:
            pass


def _sheet(organizations: Sequence[Mapping[str, Any]]) -> Sheet:
    cells = [(str(each.get("id", "")), str(each.get("name", ""))) for each in organizations]
    return Sheet("utf-8-sig", ("id", "名称"), tuple(enumerate(cells, start=2)))


HSDS = Form(
    "HSDS",
    "application/json",
    lambda _: {"$ref": "#/components/schemas/HsdsDocument"},
    read_hsds,
    lambda content: _sheet(_parts(content)[0]),
)
hsds_files = import_router(
    path="/v1/hsds-imports",
    tag="directory",
    role=Role.DIRECTORY,
    row=HsdsRow,
    take=take_hsds,
    title_ja="名簿",
    most_rows=_MOST_ORGANIZATIONS,
    form=HSDS,
)
