"""The checks of the validation suite: pure functions from readings to verdicts, one module for each topic."""
