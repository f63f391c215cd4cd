"""The checkers: each a pure function from a workload's history and its declared options to a finding."""
