"""Who looked at a person's data, as every service that keeps some tells it: to be shown to the person."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict


class AccessEntry(BaseModel):
    """Somebody read or wrote the person's data: who, when, what, why, on which legal basis."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    at: datetime
    action: str
    agency: str
    actor: str
    roles: list[str]
    purpose: str
    basis: str
    fields: list[str]
