"""The directory kept by those who know: an entry confirmed, room told by the agency itself, hours, coordinators."""

from collections.abc import Callable
from typing import Annotated, Any, assert_never
from uuid import UUID

from fastapi import Path, Response
from pydantic import Field

from services.referral.api.cells import Places
from services.referral.api.listed import (
    KINDS,
    AgencyAnswer,
    Confirmed,
    Kind,
    NamedCoordinator,
    ProgrammeAnswer,
    WorkplaceAnswer,
    example,
    found,
    shown_agency,
    shown_programme,
    shown_workplace,
)
from services.referral.api.rows import Closed, ClosedDays, Hours, Steps
from services.referral.domain.directory import Room, RoomFault, TrialStep
from services.referral.domain.options import Capacity
from services.referral.handlers import listing as handlers
from services.referral.handlers.listing import Changed, NotThere, NotYours
from services.referral.tables import directory as tables
from shared.auth import Caller, Role, requires
from shared.codes import AgencyId, MunicipalityCode
from shared.problems import FORBIDDEN, NOT_FOUND, Problem, invalid
from shared.service import Body, IfMatch, Now, Transaction, day_in_japan, etag, router
from shared.service.failures import words_for

keeping = router(tag="directory")

OWN = (Role.COUNSELLOR, Role.PROVIDER, Role.PLACEMENT, Role.HELLO_WORK, Role.DIRECTORY)
"""Who may speak for an agency of their own; the directory's keeper also for those of the municipalities served."""


class RoomBody(Body):
    """空き, as the agency itself knows it. A number that isn't known is left out: unknown is not zero, and not room."""

    model_config = example(state="has_room", total=10, free=3)

    state: Capacity
    total: Places | None = None
    free: Places | None = None


class HoursBody(Body):
    """When the agency is open, and when it isn't."""

    model_config = example(
        opening_hours=[{"weekday": 0, "opens": "08:30", "closes": "17:15"}],
        closed_weekdays=[5, 6],
        closed_days=["2026-12-29", "2026-12-30"],
    )

    opening_hours: Hours
    closed_weekdays: Closed = Field(description="0 is Monday.")
    closed_days: ClosedDays


class TrialPlacesBody(Body):
    """受入れ段階, all of them, as the agency itself knows them. What isn't known to be free is left out."""

    model_config = example(steps=[{"step": "visit", "places": 3, "free": 1}, {"step": "week", "places": 1}])

    steps: Steps = Field(max_length=len(TrialStep))


class CoordinatorBody(Body):
    """The agency that coordinates in the municipality."""

    model_config = example(agency_id="kagoshima-desk", place_days=10)

    agency_id: AgencyId
    place_days: int | None = Field(
        default=None,
        ge=1,
        le=60,
        description="Working days it has to find the next place for what it took over; without it, ten.",
    )


def _confirmer(kind: Kind) -> Callable[..., Any]:
    async def confirm(
        entry_id: Annotated[kind.id_type, Path(alias=kind.id_name)],  # type: ignore[name-defined] # each kind's own
        session: Transaction,
        actor: Caller,
        now: Now,
        response: Response,
    ) -> Confirmed:
        """By its agency, or by who keeps the directory there. Room, and trial places, are another word."""
        changed(await handlers.confirm_entry(session, kind.name, entry_id, actor=actor, now=now), response)
        return kind.show(await found(session, kind, entry_id), day_in_japan(now))

    return confirm


for _kind in KINDS:
    keeping.add_api_route(
        f"{_kind.path}/{{{_kind.id_name}}}/confirm",
        _confirmer(_kind),
        methods=["POST"],
        response_model=_kind.answer,
        dependencies=[requires(*OWN)],
        name=f"confirm_{_kind.name}",
        summary=f"Confirm the entry of a {_kind.called}",
        description=f"{_kind.japanese}の記載が今も正しいことを確かめます。その機関か、機関の所在地の名簿を預かる機関ができます。"
        "空き状況や受入れ段階は、別に伝えてください。",
    )


@keeping.put(
    "/v1/programmes/{programme_id}/capacity",
    dependencies=[requires(*OWN)],
    summary="Tell how much room a programme has",
    description="事業の空き状況を、その機関が自ら伝えます。読んだ版の ETag を If-Match で示してください。"
    "30日たつと「不明」と読まれます。",
)
async def set_capacity(
    programme_id: UUID, body: RoomBody, read: IfMatch, session: Transaction, actor: Caller, now: Now, response: Response
) -> ProgrammeAnswer:
    """By its own agency alone; 412 where somebody changed the entry meanwhile."""
    room = Room(body.state, body.total, body.free)
    outcome = await handlers.set_room(session, programme_id, room, read=read, actor=actor, now=now)
    if isinstance(outcome, RoomFault):
        raise invalid("/free", outcome.value, *words_for(outcome.value))
    changed(outcome, response)
    return await _programme(session, programme_id, now)


@keeping.put(
    "/v1/host-workplaces/{workplace_id}/trial-places",
    dependencies=[requires(*OWN)],
    summary="Tell which trial places a host workplace has, and how many are free",
    description="職親の受入れ段階(見学・半日・一週間・有給体験・就職)ごとの定員と空きを、連絡を受け持つ機関が自ら伝えます。"
    "読んだ版の ETag を If-Match で示してください。空きは30日たつと「不明」と読まれます。",
)
async def set_trial_places(
    workplace_id: UUID,
    body: TrialPlacesBody,
    read: IfMatch,
    session: Transaction,
    actor: Caller,
    now: Now,
    response: Response,
) -> WorkplaceAnswer:
    """By the agency that keeps the contact alone; 412 where somebody changed the entry meanwhile."""
    steps = [step.model_dump() for step in body.steps]
    outcome = await handlers.set_trial_places(session, workplace_id, steps, read=read, actor=actor, now=now)
    return shown_workplace(changed(outcome, response), day_in_japan(now))


@keeping.put(
    "/v1/agencies/{agency_id}/hours",
    dependencies=[requires(*OWN)],
    summary="Tell when an agency is open",
    description="支援機関の受付時間・定休日・休業日を伝えます。休みの日は、つなぎの期限を数えません。"
    "読んだ版の ETag を If-Match で示してください。",
)
async def set_hours(
    agency_id: AgencyId,
    body: HoursBody,
    read: IfMatch,
    session: Transaction,
    actor: Caller,
    now: Now,
    response: Response,
) -> AgencyAnswer:
    """By itself, or by who keeps the directory there."""
    outcome = await handlers.set_hours(session, agency_id, body.model_dump(), read=read, actor=actor, now=now)
    return shown_agency(changed(outcome, response), day_in_japan(now))


@keeping.put(
    "/v1/coordinators/{municipality}",
    dependencies=[requires(Role.DIRECTORY)],
    summary="Name who coordinates in a municipality",
    description="市町村の調整役(受け手が見つからないときに預かる機関)を決めます。その市町村の名簿を預かる機関ができます。",
)
async def set_coordinator(
    municipality: Annotated[MunicipalityCode, Path()],
    body: CoordinatorBody,
    session: Transaction,
    actor: Caller,
    now: Now,
    response: Response,
) -> NamedCoordinator:
    """The same again changes nothing."""
    outcome = await handlers.set_coordinator(
        session, municipality, body.agency_id, place_days=body.place_days, actor=actor, now=now
    )
    if isinstance(outcome, NotThere):
        raise invalid("/agency_id", "agency_not_known", *AGENCY_NOT_KNOWN)
    return NamedCoordinator.model_validate(changed(outcome, response), from_attributes=True)


AGENCY_NOT_KNOWN = (
    "Take the agency's own line in first",
    "先に支援機関のファイルでこの機関を登録してください",
)


def changed(outcome: Changed | NotThere | NotYours, response: Response) -> Any:
    """The row as it is now, with its ETag; or the problem."""
    match outcome:
        case Changed(row):
            response.headers["ETag"] = etag(row.version)
            return row
        case NotThere():
            raise Problem(NOT_FOUND)
        case NotYours():
            raise Problem(
                FORBIDDEN,
                detail="Only the agency itself does this, or who keeps the directory of its municipality; its room and"
                " its trial places, it alone.",
                detail_ja="その機関自身か、所在地の名簿を預かる機関だけができます(空き状況と受入れ段階はその機関だけです)。",
            )
        case _:
            assert_never(outcome)


async def _programme(session: Transaction, programme_id: UUID, now: Now) -> ProgrammeAnswer:
    row = await tables.find_programme_shown(session, programme_id)
    return shown_programme(row, day_in_japan(now))
