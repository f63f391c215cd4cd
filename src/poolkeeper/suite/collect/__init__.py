"""The validation suite's eyes and hands: `collect.collect` takes every reading that the chosen groups need."""
