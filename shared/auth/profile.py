"""How an issuer's access tokens look, and where they say who is calling: any OIDC issuer by setting.

The default is RFC 9068 as the built-in issuer writes it; `TSUNAGU_ISSUER_PROFILE` describes another one. A claim that
isn't where the profile says stands for nothing: no role, no municipality, and without an agency no caller at all.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, NoReturn, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from shared.auth.actor import Actor, Role
from shared.auth.refusals import Reason, Refused
from shared.codes import AgencyId, Code, is_municipality_code

Algorithm = Literal["ES256", "RS256", "PS256", "EdDSA"]
"""Asymmetric ones alone: `none` and HS256 can't be written down, so no setting can allow them."""
ALGORITHMS: tuple[Algorithm, ...] = get_args(Algorithm)

_PREFECTURE = re.compile(r"prefecture:(0[1-9]|[1-3][0-9]|4[0-7])")
_OUR_ROLES: Mapping[str, Role] = {role.value: role for role in Role}
_AGENCY: TypeAdapter[str] = TypeAdapter(AgencyId)
_CODE: TypeAdapter[str] = TypeAdapter(Code)


def _not_empty(written: tuple[Any, ...]) -> tuple[Any, ...]:
    if not written:
        raise PydanticCustomError("empty", "this must not be empty")
    return written


def _as_path(written: Any) -> Any:
    """`realm_access.roles` is a path; an address (`https://…/agency`) is one name; a list is names as they stand."""
    if isinstance(written, str):
        written = [written] if "://" in written else written.split(".")
    if not isinstance(written, list | tuple) or not written or not all(isinstance(n, str) and n for n in written):
        raise PydanticCustomError("claim_path", "not a path to a claim")
    return tuple(written)


class Source(BaseModel):
    """Where in a token something stands."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    claim: Annotated[tuple[str, ...], BeforeValidator(_as_path)]
    prefix: str = ""
    """Only values that begin so count, without it: `agency:` among roles, `/agencies/` among groups."""
    split: str = ""
    """What stands between the values where they are one text, as the spaces of `scope`."""

    def one(self, claims: Mapping[str, Any]) -> str | None:
        """The one text that stands there; with a prefix, the only one that has it."""
        if self.prefix or self.split:
            texts = self.several(claims) or ()
            return texts[0] if len(texts) == 1 else None
        found = self._found(claims)
        return found if isinstance(found, str) else None

    def several(self, claims: Mapping[str, Any]) -> tuple[str, ...] | None:
        """The list that stands there, empty if there is none; nothing if it is no list of texts."""
        found = self._found(claims)
        if isinstance(found, str) and self.split:
            found = [text for text in found.split(self.split) if text]
        if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
            return None
        return tuple(text.removeprefix(self.prefix) for text in found if text.startswith(self.prefix))

    def _found(self, claims: Mapping[str, Any]) -> Any:
        here: Any = claims
        for name in self.claim:
            if not isinstance(here, dict) or name not in here:
                return []
            here = here[name]
        return here


def _as_source(written: Any) -> Any:
    return {"claim": written} if isinstance(written, str | list) else written


AnySource = Annotated[Source, BeforeValidator(_as_source)]
"""A path alone, or a path with its prefix or separator."""


class Claims(BaseModel):
    """Where a token says who is calling."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    client_id: AnySource = Source(claim=("client_id",))
    agency: AnySource = Source(claim=("agency",))
    agency_kind: AnySource = Source(claim=("agency_kind",))
    municipalities: AnySource = Source(claim=("municipalities",))
    roles: AnySource = Source(claim=("roles",))


class Profile(BaseModel):
    """An issuer's way of writing access tokens (`TSUNAGU_ISSUER_PROFILE`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    algorithms: Annotated[tuple[Algorithm, ...], AfterValidator(_not_empty)] = ("ES256",)
    """A key that doesn't say its own algorithm is used with the first one here that fits it."""
    types: Annotated[tuple[Literal["at+jwt", "JWT"], ...], AfterValidator(_not_empty)] = ("at+jwt",)
    """`JWT` is what ID tokens are called too; allowing it brings the checks of `Verifier` against them."""
    audiences: Mapping[str, Annotated[str, Field(min_length=1)]] = {}
    """`aud` by service, where it can't be `tsunagu-<service>`."""
    claims: Claims = Claims()
    role_names: Mapping[str, Role] | None = None
    """The issuer's names of roles and ours. Once given, only these names count, and not ours by themselves."""

    def audience_of(self, service: str) -> str:
        """The `aud` that names a service."""
        return self.audiences.get(service, f"tsunagu-{service}")

    def client_of(self, claims: Mapping[str, Any]) -> str:
        """Who asked the issuer for the token."""
        return self.claims.client_id.one(claims) or _refuse(Reason.CLIENT_ID)

    def actor_of(self, claims: Mapping[str, Any]) -> Actor:
        """On whose behalf the token speaks. Raises `Refused`."""
        agency = _checked(_AGENCY, self.claims.agency.one(claims), Reason.AGENCY)
        kind = _checked(_CODE, self.claims.agency_kind.one(claims), Reason.AGENCY_KIND)
        municipalities = self._municipalities_of(claims)
        roles = self._roles_of(claims)
        return Actor(
            subject=claims["sub"],
            agency=agency,
            kind=kind,
            municipalities=municipalities,
            roles=roles,
            authority=tuple(sorted({f"agency:{agency}", *municipalities, *(f"role:{role}" for role in roles)})),
        )

    def _municipalities_of(self, claims: Mapping[str, Any]) -> frozenset[str]:
        codes = self.claims.municipalities.several(claims)
        if codes is None or not all(is_municipality_code(code) or _PREFECTURE.fullmatch(code) for code in codes):
            raise Refused(Reason.MUNICIPALITIES)
        return frozenset(codes)

    def _roles_of(self, claims: Mapping[str, Any]) -> frozenset[Role]:
        """A role that isn't ours gives nothing: issuers put the roles of other systems into the same list."""
        names = self.claims.roles.several(claims)
        if names is None:
            raise Refused(Reason.ROLES)
        ours = _OUR_ROLES if self.role_names is None else self.role_names
        return frozenset(ours[name] for name in names if name in ours)


def _checked(form: TypeAdapter[str], value: str | None, reason: Reason) -> str:
    try:
        return form.validate_python(value)
    except ValidationError:
        raise Refused(reason) from None


def _refuse(reason: Reason) -> NoReturn:
    raise Refused(reason)
