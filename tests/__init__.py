"""Tests; each folder asks its own question, see ARCHITECTURE.md."""
