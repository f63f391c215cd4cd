"""The operations: one file for each command that changes or inspects a cluster."""
