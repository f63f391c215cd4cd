"""The keeper's decisions: pure functions from the observed state and the memory to actions. No I/O."""
