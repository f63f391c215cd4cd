"""The change of a cluster that injects a bug, and its reversal.

Invariant: `revert` may be called at any time, also if nothing or half of it was applied, or if it was reverted already.
After it `is_applied` is false, and the cluster is as it was before. `is_applied` checks the cluster and not the memory
of this process, so the next run finds a change that a killed run left.
"""

from __future__ import annotations

import abc

from typing_extensions import override

from poolkeeper.core import interrupts
from poolkeeper_lab.drill.drilled_cluster import DrilledCluster
from poolkeeper_lab.faults import packets
from poolkeeper_lab.faults.sweep import sweep


class ClusterChange(abc.ABC):
    """One way to inject a bug. Every method raises the errors of the servers and of the engine."""

    def unavailable(self, drilled: DrilledCluster) -> str:
        """Return why the change is impossible here; "" if it is possible."""
        del drilled
        return ""

    @abc.abstractmethod
    async def apply(self, drilled: DrilledCluster) -> None:
        """Inject the bug."""

    @abc.abstractmethod
    async def revert(self, drilled: DrilledCluster) -> None:
        """Remove all of it."""

    @abc.abstractmethod
    async def is_applied(self, drilled: DrilledCluster) -> bool:
        """Return whether any of it is in the cluster."""


class Outside(ClusterChange):
    """No change of the cluster: the bug is in the run itself, whose fault may leave rules."""

    @override
    async def apply(self, drilled: DrilledCluster) -> None:
        del drilled

    @override
    async def revert(self, drilled: DrilledCluster) -> None:
        await interrupts.in_thread(sweep, drilled.host)

    @override
    async def is_applied(self, drilled: DrilledCluster) -> bool:
        if packets.lacking():
            return False  # no run on this machine can have made one
        return any(packets.our_rules(drilled.host, service) for service in drilled.spec.addresses())
