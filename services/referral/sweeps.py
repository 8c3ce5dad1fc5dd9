"""The clock's door: what waits too long, what was decided elsewhere, needs that nobody answers, maps and mail."""

from datetime import timedelta

from services.referral.handlers.clocks import ring, start_missing
from services.referral.handlers.decided import try_again
from services.referral.handlers.function_map import keep_snapshot
from services.referral.handlers.mails import carry, note, take_up
from services.referral.handlers.numbers import raise_hops_alarm
from services.referral.handlers.routing import look_for_unmet_needs
from services.referral.tables.nearby import drop_old_changes
from shared.service import Errand, Sweep

sweeps = [
    Sweep("try_decided_referrals", timedelta(minutes=1), try_again),
    # Removable once no installation comes from 0.1.0, whose referrals wait for nobody.
    Sweep("start_missing_clocks", timedelta(minutes=10), start_missing),
    Sweep("ring_referral_clocks", timedelta(minutes=1), ring),
    # It weighs all places for each case, which nobody waits for; beside it people ask, and news come.
    Sweep("look_for_unmet_needs", timedelta(minutes=1), look_for_unmet_needs, share=0.2),
    Sweep("drop_old_directory_changes", timedelta(hours=1), drop_old_changes),
    Sweep("keep_map_snapshots", timedelta(hours=1), keep_snapshot),
    Sweep("raise_hops_alarms", timedelta(minutes=10), raise_hops_alarm),
]
errands = [Errand("mail_links", timedelta(seconds=10), take_up, carry, note)]
