"""Who reads or writes what about a person, why, and on what legal basis: a row of the access log before it happens."""

from dataclasses import dataclass
from enum import StrEnum


class Action(StrEnum):
    """What is done with a person's data."""

    READ = "read"
    WRITE = "write"
    SEARCH = "search"
    EXPORT = "export"
    ERASE = "erase"


@dataclass(frozen=True, slots=True)
class Access:
    """One access, as it stands in the log for ever."""

    action: Action
    agency: str
    actor: str
    """The token's subject: within the agency, who it was."""
    roles: tuple[str, ...]
    purpose: str
    basis: str
    """The legal basis (個人情報保護法 Art. 69(2), 生活困窮者自立支援法 Art. 9, consent, ...); its code."""
    fields: tuple[str, ...]
    request_id: str | None = None
