"""The scenarios: the faults, their order, and the promise that has to hold meanwhile."""
