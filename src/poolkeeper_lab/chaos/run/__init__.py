"""Chaos runs: schedule, clients, nemesis, and the evidence that a run keeps."""
