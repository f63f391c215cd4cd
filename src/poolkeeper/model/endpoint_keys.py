"""The keys of the endpoints, as cluster.toml has them: each is written here and nowhere else."""

from __future__ import annotations

from typing import Final

RW: Final = "rw"
RO: Final = "ro"
BALANCED: Final = "balanced"
DIRECT_RW: Final = "direct_rw"
DIRECT_RO: Final = "direct_ro"

POOLED_BEHIND_HAPROXY: Final = (RW, RO)  # a Pgpool-II with one server, behind a port of HAProxy
POOLED: Final = (*POOLED_BEHIND_HAPROXY, BALANCED)  # every endpoint with a Pgpool-II
DIRECT: Final = (DIRECT_RW, DIRECT_RO)  # HAProxy alone
BEHIND_HAPROXY: Final = (*POOLED_BEHIND_HAPROXY, *DIRECT)  # every endpoint whose port HAProxy listens on
ALL: Final = (*POOLED, *DIRECT)
