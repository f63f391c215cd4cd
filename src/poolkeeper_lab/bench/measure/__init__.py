"""Measurement: rounds, medians with intervals, CPU time, packets and system calls."""
