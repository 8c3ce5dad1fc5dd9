"""What a route allows. Every route says `requires(...)` or `public`; the frame refuses to start otherwise."""

from typing import Annotated, Any

import structlog
from fastapi import Depends, Request
from fastapi.params import Depends as DependsParam
from fastapi.security import HTTPBearer
from prometheus_client import Counter

from shared.auth.actor import Actor, Role
from shared.auth.refusals import WORDS, Reason, Refused
from shared.auth.tokens import Verifier
from shared.problems import FORBIDDEN, UNAUTHENTICATED, UNAVAILABLE, Problem

_log = structlog.get_logger()
_REFUSED = Counter("tsunagu_tokens_refused", "Requests refused for their token, by reason", ["service", "reason"])
_bearer = HTTPBearer(auto_error=False)


async def authenticated(request: Request) -> Actor:
    """The verified caller, or 401 with the reason's code; operators count the codes.

    It asks for no dependency of its own, and is called rather than depended on where that is possible: FastAPI resolves
    each anew wherever it is named, at 30 µs and more, though it was resolved for the same request before.
    """
    known: Actor | None = getattr(request.state, "actor", None)
    if known is not None:
        return known
    given = await _bearer(request)
    verifier: Verifier = request.app.state.verifier
    try:
        if given is None:
            raise Refused(Reason.MISSING)
        actor = await verifier.actor(given.credentials)
    except Refused as refused:
        _REFUSED.labels(verifier.service, refused.reason).inc()
        _log.info("token_refused", service=verifier.service, reason=refused.reason)
        raise _problem(refused.reason) from None
    request.state.actor = actor
    return actor


def _problem(reason: Reason) -> Problem:
    """RFC 6750 section 3: who sent no token learns the scheme alone. That we can't judge is no fault of the token's."""
    words, words_ja = WORDS[reason]
    error = {"in": "header", "code": reason, "message": words, "message_ja": words_ja}
    if reason is Reason.KEYS_UNREACHABLE:
        return Problem(UNAVAILABLE, errors=[error], headers={"Retry-After": "5"})
    challenge = 'Bearer realm="tsunagu"'
    if reason is not Reason.MISSING:
        challenge += f', error="invalid_token", error_description="{words}"'
    return Problem(UNAUTHENTICATED, errors=[error], headers={"WWW-Authenticate": challenge})


Caller = Annotated[Actor, Depends(authenticated)]
"""The actor, for an endpoint's signature."""


class Permission(HTTPBearer):
    """A route's rule: any one of these roles. FastAPI runs it before the endpoint, and describes the token by it."""

    def __init__(self, roles: frozenset[Role]) -> None:
        super().__init__(
            scheme_name="HTTPBearer",
            bearerFormat="JWT",
            description="Access token of this installation's issuer, for this service.",
            auto_error=False,
        )
        self.roles = roles

    async def __call__(self, request: Request) -> None:  # type: ignore[override]
        """403 unless the caller has one of the roles."""
        actor = await authenticated(request)
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
