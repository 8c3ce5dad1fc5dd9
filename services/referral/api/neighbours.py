"""近隣の市町村: from which municipalities a town may borrow support."""

from pydantic import BaseModel, ConfigDict, Field

from services.referral.handlers import neighbours as handlers
from services.referral.handlers.neighbours import NotServed, OwnTown
from services.referral.tables import neighbours as tables
from shared.auth import Caller, Role, requires
from shared.codes import MunicipalityCode
from shared.problems import FORBIDDEN, Problem, invalid
from shared.service import Body, Now, Transaction, router

neighbours = router(tag="directory")


class PutNeighbours(Body):
    """All of them; an empty list takes them away."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"neighbours": ["462187", "462039"]}]})

    neighbours: list[MunicipalityCode] = Field(max_length=100)


class NeighboursAnswer(BaseModel):
    """A town's neighbours, as routing takes them."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"municipality": "462012", "neighbours": ["462039", "462187"]}]}
    )

    municipality: str
    neighbours: list[str]


@neighbours.get(
    "/v1/neighbours/{municipality}",
    dependencies=[requires(*Role)],
    summary="A municipality's neighbours",
    description="つなぎ先の候補に含める近隣の市町村を返します。",
)
async def get_neighbours(municipality: MunicipalityCode, session: Transaction, _: Caller) -> NeighboursAnswer:
    """By code."""
    names = await tables.list_neighbours(session, municipality)
    return NeighboursAnswer(municipality=municipality, neighbours=list(names))


@neighbours.put(
    "/v1/neighbours/{municipality}",
    dependencies=[requires(Role.DIRECTORY)],
    summary="Set a municipality's neighbours",
    description="つなぎ先の候補に含める近隣の市町村を、まとめて置き換えます。同じ内容をもう一度送っても変わりません。",
)
async def set_neighbours(
    municipality: MunicipalityCode, body: PutNeighbours, session: Transaction, now: Now, actor: Caller
) -> NeighboursAnswer:
    """By those who keep the directory of the town. It says from whom this town borrows, not who borrows from it."""
    outcome = await handlers.set_neighbours(session, municipality, body.neighbours, actor=actor, now=now)
    match outcome:
        case NotServed():
            raise Problem(
                FORBIDDEN,
                detail="A town's neighbours are set by those who keep its directory.",
                detail_ja="近隣の市町村を決められるのは、その市町村の名簿を管理する機関です。",
            )
        case OwnTown():
            raise invalid(
                "/neighbours", "own_municipality", "No town is its own neighbour", "自分の市町村は指定できません"
            )
        case _:
            return NeighboursAnswer(municipality=municipality, neighbours=list(outcome))
