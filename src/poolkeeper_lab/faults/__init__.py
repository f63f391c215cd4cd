"""The ways to break a running cluster, each with its way back; what the drill and the chaos runs are made of."""
