"""The validation suite's judgement: pure functions from readings to verdicts, one module a theme."""
