"""Tables, and the loads that lock or return domain values."""
