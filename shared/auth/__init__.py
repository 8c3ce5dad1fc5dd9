"""Who is calling: a verified token becomes an `Actor`; what a route allows is declared beside it, default deny."""

from shared.auth.actor import Actor, Role, served
from shared.auth.guard import Caller, authenticated, public, requires
from shared.auth.refusals import Refused
from shared.auth.tokens import Verifier

__all__ = ["Actor", "Caller", "Refused", "Role", "Verifier", "authenticated", "public", "requires", "served"]
