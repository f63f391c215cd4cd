"""What planting a bug changes in a cluster, and the way back.

Invariant: `take_away` may be called at any time, also when nothing was applied, half of it was, or all is gone already;
after it `is_there` is false, and the cluster is as it was before. `is_there` looks at the cluster and not at what this
process remembers, so the next run finds what a killed one left.
"""

from __future__ import annotations

import abc

from typing_extensions import override

from poolkeeper.core import interrupts
from poolkeeper_lab.drill.drilled_cluster import DrilledCluster
from poolkeeper_lab.faults import packets
from poolkeeper_lab.faults.sweep import sweep


class ClusterChange(abc.ABC):
    """One way to plant a bug. Everything raises what the servers and the engine raise."""

    def unavailable(self, site: DrilledCluster) -> str:
        """Why it cannot be done here; "" if it can."""
        del site
        return ""

    @abc.abstractmethod
    async def apply(self, site: DrilledCluster) -> None:
        """Plant it."""

    @abc.abstractmethod
    async def take_away(self, site: DrilledCluster) -> None:
        """Take away all of it."""

    @abc.abstractmethod
    async def is_there(self, site: DrilledCluster) -> bool:
        """Is any of it in the cluster?"""


class Outside(ClusterChange):
    """Nothing of the cluster is changed: the bug is in what the run is made with. A fault of it may leave rules."""

    @override
    async def apply(self, site: DrilledCluster) -> None:
        del site

    @override
    async def take_away(self, site: DrilledCluster) -> None:
        await interrupts.in_thread(sweep, site.host)

    @override
    async def is_there(self, site: DrilledCluster) -> bool:
        if packets.lacking():
            return False  # nobody here can have made one
        return any(packets.our_rules(site.host, service) for service in site.spec.addresses())
