"""Errors, progress, waits, rollback and interrupts, used by every other package. Nothing here knows of clusters."""
