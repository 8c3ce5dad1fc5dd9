"""Load, ask, store, tell: seats, the steps up to an enrolment, course runs, and what people read."""
