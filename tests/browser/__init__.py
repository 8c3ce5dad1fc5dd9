"""The pages, seen by a real Chromium."""
