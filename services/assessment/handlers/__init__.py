"""What assessment does, a file for each subject: load, ask, store, tell."""
