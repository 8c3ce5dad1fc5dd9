"""The clock's door: holds and waits that ran out."""

from datetime import timedelta

from services.training.handlers.seats import expire_hold
from shared.service import Sweep

sweeps = [Sweep("expire_holds", timedelta(seconds=1), expire_hold)]
