"""Faults on demand, where the region is invented (`TSUNAGU_DEMO`): so that anybody can see that they do no harm."""

from fastapi import APIRouter, Request

from shared.auth import Role, requires
from shared.bus.relay import Relay


def rehearsal_router() -> APIRouter:
    """Not part of the API: absent unless the installation is a demonstration."""
    router = APIRouter(prefix="/v1/rehearsals", include_in_schema=False)

    @router.post("/duplicate-delivery", status_code=202, dependencies=[requires(Role.OPERATOR)])
    async def publish_next_batch_twice(request: Request) -> dict[str, int]:
        relay: Relay = request.app.state.relay
        relay.publish_next_batch_twice()
        return {"published_twice": relay.published_twice}

    @router.get("/duplicate-delivery", dependencies=[requires(Role.OPERATOR)])
    async def published_twice(request: Request) -> dict[str, int]:
        relay: Relay = request.app.state.relay
        return {"published_twice": relay.published_twice}

    return router
