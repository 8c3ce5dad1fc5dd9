"""Statements that lock, that return domain values, or that write what was decided. The tables stand in migrations/."""
