"""The clock's door: what ran out, plan versions whose day came, quarters that ended, urgent decisions that
lapse, seats whose decision is in force no more, or whose cut-off came or is near, and agreements nobody answered."""

from datetime import timedelta

from services.training.handlers.affected import remind_next
from services.training.handlers.agreements import lapse_next as lapse_next_agreement
from services.training.handlers.carry_over import carry_over_next
from services.training.handlers.cut_offs import warn_next
from services.training.handlers.motions import lapse_next
from services.training.handlers.plans import close_quarter, open_due_version
from services.training.handlers.seats import (
    cut_off_next,
    expire_hold,
    go_on_with_line,
    return_stranded,
    return_surplus,
)
from shared.service import Sweep

sweeps = [
    Sweep("expire_holds", timedelta(seconds=1), expire_hold),
    Sweep("go_on_with_lines", timedelta(seconds=1), go_on_with_line),
    Sweep("remind_of_cancellations", timedelta(minutes=1), remind_next),
    Sweep("lapse_decisions", timedelta(minutes=1), lapse_next),
    # A prefecture's pools are all cut off at the same midnight.
    Sweep("cut_off_seats", timedelta(seconds=1), cut_off_next, at_once=3),
    Sweep("warn_of_cut_offs", timedelta(minutes=1), warn_next),
    Sweep("return_seats", timedelta(seconds=5), return_stranded),
    Sweep("return_surplus", timedelta(minutes=1), return_surplus),
    Sweep("lapse_agreements", timedelta(minutes=1), lapse_next_agreement),
    Sweep("carry_over_seats", timedelta(minutes=1), carry_over_next),
    Sweep("open_plan_versions", timedelta(minutes=1), open_due_version),
    Sweep("close_plan_quarters", timedelta(minutes=1), close_quarter),
]
