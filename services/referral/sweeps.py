"""The clock's door: what waits too long, decided referrals whose facts have not come, needs that nobody answers."""

from datetime import timedelta

from services.referral.handlers.clocks import ring
from services.referral.handlers.decided import try_again
from services.referral.handlers.routing import look_for_unmet_needs
from services.referral.tables.nearby import drop_old_changes
from shared.service import Sweep

sweeps = [
    Sweep("try_decided_referrals", timedelta(minutes=1), try_again),
    Sweep("ring_referral_clocks", timedelta(minutes=1), ring),
    Sweep("look_for_unmet_needs", timedelta(minutes=1), look_for_unmet_needs),
    Sweep("drop_old_directory_changes", timedelta(hours=1), drop_old_changes),
]
