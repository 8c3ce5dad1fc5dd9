"""Load, ask, store, tell: cases, what is known about persons, and what comes back about them."""
