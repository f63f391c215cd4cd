"""The keeper's decisions: pure functions from the observed state to decisions. No I/O."""
