"""Poolkeeper: a high-availability PostgreSQL cluster behind Pgpool-II and HAProxy, and the proof that it works."""

__version__ = "0.2.0"
