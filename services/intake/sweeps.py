"""The clock's door: proofs, untouched career needs, fingerprints, ends of retention, what lay clear."""

from datetime import timedelta

from services.intake.handlers.cases import report_untouched
from services.intake.handlers.custody import prove_yesterday
from services.intake.handlers.fingerprints import make_anew
from services.intake.handlers.persons import seal_old_next_step
from services.intake.handlers.retention import end_over, erase_over, give_notice
from shared.service import Sweep

sweeps = [
    Sweep("prove_custody", timedelta(minutes=5), prove_yesterday),
    Sweep("report_untouched_career_needs", timedelta(hours=1), report_untouched),
    Sweep("make_fingerprints_anew", timedelta(minutes=1), make_anew),
    Sweep("give_retention_notice", timedelta(hours=1), give_notice),
    Sweep("erase_after_retention", timedelta(hours=1), erase_over),
    Sweep("end_after_retention", timedelta(hours=1), end_over),
    # Removable once no installation comes from 0.1.0, which kept the next step of a case in the clear.
    Sweep("seal_old_next_steps", timedelta(minutes=10), seal_old_next_step),
]
