"""The tables of assessment, and the loads that lock or return domain values: a file for each subject."""
