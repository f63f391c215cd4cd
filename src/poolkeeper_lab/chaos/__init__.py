"""Chaos: what clients were told while the cluster was being broken, recorded and judged afterwards."""
