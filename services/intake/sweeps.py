"""The clock's door: daily proofs, drafts that were put away, and what an earlier version wrote in the clear."""

from datetime import timedelta

from services.intake.handlers.custody import prove_yesterday
from services.intake.handlers.drafts import erase_ended
from services.intake.handlers.persons import seal_old_next_step
from shared.service import Sweep

sweeps = [
    Sweep("prove_custody", timedelta(minutes=5), prove_yesterday),
    Sweep("erase_ended_drafts", timedelta(hours=1), erase_ended),
    # Removable once no installation comes from 0.1.0, which kept the next step of a case in the clear.
    Sweep("seal_old_next_steps", timedelta(minutes=10), seal_old_next_step),
]
