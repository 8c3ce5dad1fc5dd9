"""The tables of referral, and the loads that lock or return domain values."""
