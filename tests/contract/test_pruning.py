"""The PostgreSQL transport forgets what is old, and only what every group has read."""

import asyncpg

from embedded.postgres import EmbeddedPostgres
from shared.bus.port import Message
from shared.bus.postgres import PostgresTransport
from tests.contract.rings import Listener, consuming, nothing_left


async def test_records_go_after_thirty_days_and_never_before_every_group_has_read_them(
    postgres: EmbeddedPostgres, database_name: str, group: str
) -> None:
    transport = PostgresTransport(postgres.url(user="tsunagu_bus", database=database_name), pause=0.05)
    await transport.start()
    owner = await asyncpg.connect(user="postgres", database=database_name, host=str(postgres.socket_folder))
    topic, quick, slow = "tsunagu.pruned", Listener(), Listener()
    await transport.ensure_topics([topic])
    await transport.publish([Message(topic, "k", value) for value in (b"old", b"old too", b"new")])
    await owner.execute("UPDATE bus.log SET at = now() - interval '31 days' WHERE value <> 'new'")
    assert await transport.prune() == 0, "nobody has read anything"

    async with consuming(transport, f"{group}-slow", topic, slow):
        await slow.until_taken(3)
        await nothing_left(transport, f"{group}-slow", topic)
    await owner.execute("UPDATE bus.grp SET off = 1 WHERE grp = $1 AND off > 0", f"{group}-slow")
    async with consuming(transport, f"{group}-quick", topic, quick):
        await quick.until_taken(3)
        await nothing_left(transport, f"{group}-quick", topic)
    assert await transport.prune() == 1, "the slow group has read only the first"

    await owner.execute("UPDATE bus.grp SET off = 3 WHERE off > 0")
    assert await transport.prune() == 1
    newcomer = Listener()
    async with consuming(transport, f"{group}-new", topic, newcomer):
        await newcomer.until_taken(1)
    assert newcomer.values == [b"new"]
    await owner.close()
    await transport.stop()
