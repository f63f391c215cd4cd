"""Chaos: inject faults while clients work, record their results, and check the recorded history."""
