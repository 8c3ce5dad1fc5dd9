"""What a route allows. Every route says `requires(...)` or `public`; the frame refuses to start otherwise."""

from typing import Annotated, Any

import structlog
from fastapi import Depends, Request
from fastapi.params import Depends as DependsParam
from fastapi.security import HTTPBearer
from fastapi.security.http import HTTPAuthorizationCredentials

from shared.auth.actor import Actor, Role
from shared.auth.tokens import Refused, Verifier
from shared.problems import FORBIDDEN, UNAUTHENTICATED, Problem

_log = structlog.get_logger()
_bearer = HTTPBearer(auto_error=False, bearerFormat="JWT", description="RFC 9068 access token, ES256.")


async def authenticator(
    request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> Actor:
    """The verified caller, or 401. Why a token was refused is told to the log alone."""
    if given is None:
        raise Problem(UNAUTHENTICATED, headers={"WWW-Authenticate": 'Bearer realm="tsunagu"'})
    verifier: Verifier = request.app.state.verifier
    try:
        actor = await verifier.actor(given.credentials)
    except Refused as refused:
        _log.info("token_refused", reason=refused.reason)
        raise Problem(
            UNAUTHENTICATED, headers={"WWW-Authenticate": 'Bearer realm="tsunagu", error="invalid_token"'}
        ) from None
    request.state.actor = actor
    return actor


Caller = Annotated[Actor, Depends(authenticator)]
"""The actor, for an endpoint's signature."""


class Permission:
    """A route's rule: any one of these roles. Callable, so that FastAPI runs it before the endpoint."""

    def __init__(self, roles: frozenset[Role]) -> None:
        self.roles = roles

    async def __call__(self, actor: Caller) -> None:
        """403 unless the caller has one of the roles."""
        if not self.roles & actor.roles:
            raise Problem(
                FORBIDDEN,
                detail=f"One of these roles is needed: {', '.join(sorted(self.roles))}.",
                detail_ja=f"次のいずれかの権限が必要です: {', '.join(sorted(self.roles))}",
            )


class Public:
    """The declared absence of a rule, for pages, health and references."""

    async def __call__(self) -> None:
        """Anybody."""


def requires(*roles: Role) -> Any:
    """`dependencies=[requires(Role.COUNSELLOR)]` on a route."""
    return Depends(Permission(frozenset(roles)))


public = Depends(Public())
"""`dependencies=[public]` on a route that anybody may read."""


def rule_of(dependencies: list[DependsParam]) -> Permission | Public | None:
    """The rule that a route declares, if any."""
    for dependency in dependencies:
        if isinstance(dependency.dependency, Permission | Public):
            return dependency.dependency
    return None
