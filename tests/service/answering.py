"""An agency without an account, for the tests of its door: how it is reached, and how it opens and answers."""

import re
from typing import Any
from uuid import UUID

import httpx2

from tests.service.referral_region import Region

CODE = re.compile(r'class="code">([0-9A-Z-]{19})<')
LINK = re.compile(r"http://tsunagu\.test/referral(/a/[A-Za-z0-9_-]{43})")


async def without_account(region: Region, channel: str = "letter", agency: str = "sakura-npo") -> None:
    """From now on the agency is reached like that."""
    await region.running.rows(
        "UPDATE agency SET contact_channel = $2, contact_email = $3, phone = '099-000-0001' WHERE agency_id = $1",
        agency,
        channel,
        f"{agency}@example.jp",
    )


async def letter_for(region: Region, referral_id: object) -> str:
    """The code of a new letter."""
    answer = await region.desk.put(f"/v1/referrals/{referral_id}/letter", None, etag=None)
    assert answer.status_code == 200, answer.text
    found = CODE.search(answer.text)
    assert found is not None
    return found[1]


async def open_by(region: Region, secret: str) -> httpx2.Response:
    """Look, with no token and no cookie."""
    return await region.running.client.get(f"/a/{secret}")


async def answer_by(region: Region, secret: str, move: str = "", **chosen: Any) -> httpx2.Response:
    """Send the form."""
    form = {"secret": secret, "move": move} | chosen
    return await region.running.client.post("/a", data=form)


async def links_of(region: Region, referral_id: object) -> list[Any]:
    """As their sender sees them."""
    answer = await region.desk.get(f"/v1/referrals/{referral_id}/links")
    assert answer.status_code == 200, answer.text
    return list(answer.json()["items"])


async def state_of(region: Region, referral_id: object) -> str:
    """Where the referral stands."""
    (row,) = await region.running.rows("SELECT state FROM referral WHERE id = $1", UUID(str(referral_id)))
    return str(row["state"])
