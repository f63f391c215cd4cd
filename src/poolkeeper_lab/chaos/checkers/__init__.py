"""Checkers: pure functions from a workload's history and its declared options to a finding."""
