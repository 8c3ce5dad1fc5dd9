"""The clock's door: holds and waits that ran out, and urgent decisions that nobody ratified in time."""

from datetime import timedelta

from services.training.handlers.motions import lapse_next
from services.training.handlers.seats import expire_hold
from shared.service import Sweep

sweeps = [
    Sweep("expire_holds", timedelta(seconds=1), expire_hold),
    Sweep("lapse_decisions", timedelta(minutes=1), lapse_next),
]
