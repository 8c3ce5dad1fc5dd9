"""The clock's door: tasks whose day has passed are told to who can do something about them."""

from datetime import timedelta

from services.assessment.handlers.tasks import tell_overdue
from shared.service import Sweep

sweeps = [Sweep("tell_overdue_tasks", timedelta(minutes=10), tell_overdue)]
