"""Who is calling: a verified token becomes an `Actor`; what a route allows is declared beside it, default deny."""

from shared.auth.actor import Actor, Role
from shared.auth.guard import Caller, authenticator, public, requires
from shared.auth.tokens import Refused, Verifier

__all__ = ["Actor", "Caller", "Refused", "Role", "Verifier", "authenticator", "public", "requires"]
