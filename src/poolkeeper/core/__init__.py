"""What every room builds on: errors, progress, waits, rollback and interrupts. It knows nothing of clusters."""
