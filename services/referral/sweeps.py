"""The clock's door: a decided referral whose facts have not come is tried again, and given up in the end."""

from datetime import timedelta

from services.referral.handlers.decided import try_again
from shared.service import Sweep

sweeps = [Sweep("try_decided_referrals", timedelta(minutes=1), try_again)]
