"""The clock's door: what waits too long, and decided referrals whose facts have not come."""

from datetime import timedelta

from services.referral.handlers.clocks import ring
from services.referral.handlers.decided import try_again
from shared.service import Sweep

sweeps = [
    Sweep("try_decided_referrals", timedelta(minutes=1), try_again),
    Sweep("ring_referral_clocks", timedelta(minutes=1), ring),
]
