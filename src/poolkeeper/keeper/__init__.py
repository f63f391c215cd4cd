"""The keeper's agent: it observes, decides and acts until it is stopped."""
