"""The keeper's agent: it observes, decides and executes its decisions until it is stopped."""
