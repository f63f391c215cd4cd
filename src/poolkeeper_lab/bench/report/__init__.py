"""The benchmark's results as values, and their reports."""
