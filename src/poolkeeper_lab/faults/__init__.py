"""The faults of a running cluster, each with its healing, for the drill and the chaos runs."""
