"""The yardstick of seat requests sends what the service sends: said here, long before anybody measures."""

import pytest

from bench import pgbench
from services.training.tables import seats
from shared.bus import mailbox
from shared.service import idempotency

SENT = [
    hot._sql
    for hot in (
        idempotency._CLAIM,
        seats._LOCK_COURSE_FOR,
        seats._POOLS_FOR,
        seats._ADD_REQUESTS,
        mailbox._TELL,
        idempotency._KEEP,
    )
]


@pytest.mark.parametrize("ours", [pgbench.HELD, pgbench.WAITING])
def test_pgbench_sends_the_statements_of_a_seat_request(ours: tuple[pgbench.Statement, ...]) -> None:
    assert pgbench.differences(SENT, ours) == []
