"""The readings of the validation suite: `all_readings.collect` takes every one that the chosen groups need."""
