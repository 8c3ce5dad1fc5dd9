"""What an agency's own system needs to talk to Tsunagu: a key, a token, and an Idempotency-Key per request."""

import asyncio
import csv
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import httpx2
from joserfc.jwk import ECKey

from shared.auth.issuer import Client, Registration, assertion

REGION = Path(__file__).resolve().parent / "region"
PATIENCE = 60.0
"""Seconds to wait for news of another service, or for a service that is starting again; usually milliseconds."""


def demo_agencies() -> list[dict[str, Any]]:
    """The invented callers: id, kind, municipalities, roles, name."""
    agencies: list[dict[str, Any]] = json.loads((REGION / "clients.json").read_text(encoding="utf-8"))
    return agencies


def municipality_names() -> dict[str, str]:
    """Names of the prefecture's cities by their local government code."""
    with (REGION / "municipalities.csv").open(encoding="utf-8-sig", newline="") as file:
        return {row[0]: row[1] for row in list(csv.reader(file))[1:]}


def registered_clients(keys: Path) -> Registration:
    """The demonstration agencies as the issuer knows them; makes a key pair for each that has none yet."""
    keys.mkdir(parents=True, exist_ok=True, mode=0o700)
    clients = []
    for agency in demo_agencies():
        path = keys / f"{agency['agency']}.pem"
        if not path.exists():
            path.touch(mode=0o600)
            path.write_bytes(ECKey.generate_key("P-256").as_pem(private=True))
        key = ECKey.import_key(path.read_text(encoding="ascii"))
        public = {name: str(value) for name, value in key.as_dict(private=False).items()}
        clients.append(Client(client_id=agency["agency"], public_key=public, **agency))
    return Registration(clients=clients)


def register_clients(registration: Path, keys: Path) -> None:
    """Write the issuer's file of clients for the demonstration agencies."""
    clients = registered_clients(keys)
    registration.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    registration.write_text(clients.model_dump_json(indent=1), encoding="utf-8")


async def fetch_token(base: str, agency: str, pem: str, client: httpx2.AsyncClient | None = None) -> str:
    """An access token by client_credentials with private_key_jwt (RFC 7523)."""
    if client is None:
        async with httpx2.AsyncClient(trust_env=False) as own:
            return await fetch_token(base, agency, pem, own)
    metadata = (await client.get(f"{base}/issuer/.well-known/oauth-authorization-server")).raise_for_status().json()
    signed = assertion(agency, ECKey.import_key(pem), audience=metadata["issuer"], now=time.time())
    answer = await client.post(
        f"{base}/issuer/token",
        data={
            "grant_type": "client_credentials",
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": signed,
        },
    )
    token: str = answer.raise_for_status().json()["access_token"]
    return token


class Refused(Exception):
    """The platform answered with a problem."""

    def __init__(self, answer: httpx2.Response) -> None:
        body = answer.json() if answer.headers.get("content-type", "").startswith("application/problem+json") else {}
        self.code = str(body.get("code", answer.status_code))
        self.status = answer.status_code
        super().__init__(f"{answer.request.method} {answer.request.url.path}: {self.status} {self.code}")


class Agency:
    """One agency's system: keeps its token fresh, and repeats a request safely with the same Idempotency-Key."""

    def __init__(self, base: str, agency: str, pem: str, client: httpx2.AsyncClient) -> None:
        self.base = base
        self.agency = agency
        self._pem = pem
        self._client = client
        self._token = ""
        self._fresh_until = 0.0
        self._one = asyncio.Lock()

    @classmethod
    def from_keys(cls, base: str, agency: str, keys: Path, client: httpx2.AsyncClient) -> Self:
        """An agency whose key lies in `keys`."""
        return cls(base, agency, (keys / f"{agency}.pem").read_text(encoding="ascii"), client)

    async def get(self, path: str, **params: Any) -> Any:
        """GET; raises `Refused`."""
        return (await self._send("GET", path, params=params)).json()

    async def post(self, path: str, body: Any = None, *, key: str | None = None) -> Any:
        """POST with a key of its own; raises `Refused`."""
        sent = {"json": body} if not isinstance(body, bytes) else {"content": body}
        kind = {"Content-Type": "text/csv"} if isinstance(body, bytes) else {}
        headers = {"Idempotency-Key": key or str(uuid4()), **kind}
        return (await self._send("POST", path, headers=headers, **sent)).json()

    async def put(self, path: str, body: Any) -> Any:
        """PUT of something that needs no ETag; raises `Refused`."""
        return (await self._send("PUT", path, json=body)).json()

    async def every(self, path: str, **params: Any) -> list[Any]:
        """All items of a list, page by page."""
        items: list[Any] = []
        cursor: str | None = None
        while True:
            page = await self.get(path, limit=100, **params, **({"cursor": cursor} if cursor else {}))
            items += page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return items

    async def _send(self, method: str, path: str, *, headers: Mapping[str, str] = {}, **sent: Any) -> httpx2.Response:
        """Try again for a while where that is safe and asked for: 503, 409 still running, a dropped connection."""
        delay = 0.3
        ends = time.monotonic() + PATIENCE
        while True:
            failed: Exception
            try:
                answer = await self._client.request(
                    method,
                    self.base + path,
                    headers={**headers, "Authorization": f"Bearer {await self._bearer()}"},
                    **sent,
                )
                if answer.is_success:
                    return answer
                failed = refused = Refused(answer)
                if answer.status_code != 503 and refused.code != "request_in_progress":
                    raise refused
            except httpx2.TransportError as error:
                failed = error
            if time.monotonic() > ends:
                raise failed
            await asyncio.sleep(delay)
            delay = min(delay * 1.5, 2.0)

    async def _bearer(self) -> str:
        async with self._one:
            if time.monotonic() > self._fresh_until:
                self._token = await fetch_token(self.base, self.agency, self._pem, self._client)
                self._fresh_until = time.monotonic() + 200
        return self._token


async def eventually(ask: Callable[[], Awaitable[Any]], *, until: Callable[[Any], bool] = bool, what: str) -> Any:
    """Ask again until the news has arrived. Raises `TimeoutError` naming what never came."""
    delay = 0.02
    ends = time.monotonic() + PATIENCE
    while True:
        try:
            found = await ask()
            if until(found):
                return found
        except Refused as refused:
            if refused.code not in {"case_not_known", "not_found", "consent_missing"}:
                raise
        if time.monotonic() > ends:
            raise TimeoutError(f"{what}: not within {PATIENCE:.0f} s")
        await asyncio.sleep(delay)
        delay = min(delay * 1.5, 0.5)
