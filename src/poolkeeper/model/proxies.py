"""The names of HAProxy's proxies: rendered by one room, expected by others."""

from __future__ import annotations

PRIMARY = "primary"  # inner port that leads to the primary
STANDBYS = "standbys"  # inner port that spreads over the standbys

# Every frontend and backend that must be up.
EXPECTED = (
    *((name, "FRONTEND") for name in ("rw", "ro", "stats", PRIMARY, STANDBYS)),
    *((name, "BACKEND") for name in ("lane_rw", "lane_ro", PRIMARY, STANDBYS)),
)
