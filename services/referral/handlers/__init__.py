"""Load, ask, store, tell."""
