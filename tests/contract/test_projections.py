"""Read models: many events in one transaction, each once in effect, and poison costs neither order nor the others."""

from collections.abc import Sequence
from dataclasses import replace
from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from shared.bus.inbox import ATTEMPTS, Ears, Inbox, News, retry_parked
from tests.contract.mail_house import House, record, take_notes


async def test_a_projection_takes_batches_and_falls_back_to_the_one_that_is_to_blame(house: House) -> None:
    bad, good = uuid4(), uuid4()
    sizes: list[int] = []

    async def project(session: AsyncSession, news: Sequence[News]) -> None:
        sizes.append(len(news))
        await take_notes(session, news)
        if any(item.event.subject == str(bad) and item.sequence == 2 for item in news):
            raise ValueError

    inbox = Inbox("training", house.listener, Ears({}, project), pauses=(0.0,))
    await inbox.deliver([record(good, n, offset=n) for n in range(1, 11)])
    assert sizes == [10]
    mixed = [
        record(key, version, offset=100 + n)
        for n, (version, key) in enumerate((v, k) for v in (1, 2, 3) for k in (bad, good))
    ]
    await inbox.deliver([*mixed, replace(mixed[0], offset=200, value=b"?")])
    assert (await house.effects())[bad] == [1]
    assert (await house.effects())[good] == [*range(1, 11), 1, 2, 3]
    assert [reason for _, reason, _ in await house.parked()] == ["failed", "behind_parked", "not_json"]
    await inbox.deliver(mixed)
    assert (await house.effects())[good] == [*range(1, 11), 1, 2, 3]


async def test_one_poison_among_five_hundred_costs_a_few_transactions_and_no_order(house: House) -> None:
    keys = [uuid4() for _ in range(10)]
    sizes: list[int] = []

    async def project(session: AsyncSession, news: Sequence[News]) -> None:
        sizes.append(len(news))
        await take_notes(session, news)
        if any(item.event.subject == str(keys[3]) and item.sequence == 20 for item in news):
            raise ValueError

    records = [record(keys[n % 10], n // 10 + 1, offset=n) for n in range(1_000)]
    await Inbox("training", house.listener, Ears({}, project), pauses=(0.0,)).deliver(records)
    assert sizes[0] == 500
    assert sizes[-1] == 500 - 50, "all but the poisoned key's, which wait behind it"
    assert len(sizes) < 2 * 9 + ATTEMPTS + 2, "in halves, and not one by one"
    whole = list(range(1, 101))
    assert await house.effects() == {key: whole[:19] if key == keys[3] else whole for key in keys}
    assert [reason for _, reason, _ in await house.parked()] == ["failed", *["behind_parked"] * 80]
    assert (await retry_parked(house.listener, Ears({}, take_notes), str(keys[3]))).done == 81
    assert (await house.effects())[keys[3]] == whole


async def test_the_same_event_twice_in_one_batch_counts_once(house: House) -> None:
    key = uuid4()
    inbox = Inbox("training", house.listener, Ears({}, take_notes), pauses=(0.0,))
    one = record(key, 1)
    await inbox.deliver([one, replace(one, offset=50), record(key, 2, offset=51), replace(one, offset=52)])
    assert await house.effects() == {key: [1, 2]}
