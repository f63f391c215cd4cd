"""Actions of operators on a running cluster: Poolkeeper's operations under load, and commands without Patroni.

Invariant: a fault that begins a lasting state (maintenance mode) ends it when it is healed. A request that the cluster
may refuse is done or refused completely; a fault does not depend on which. Commands run in the victim's container as
its own user.
Not promised: that maintenance mode ends with a run that was killed. An operator may have begun it, so only
`poolkeeper maintenance off`, or `up`, ends it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from typing_extensions import override

from poolkeeper.core import errors
from poolkeeper.core.progress import Silent
from poolkeeper.operations import maintenance, reinit, restart
from poolkeeper.system import cluster_store, etcd_kv, patroni
from poolkeeper.system.etcd_wire import Guard
from poolkeeper_lab.faults.fault import Ask, Fault
from poolkeeper_lab.faults.host import Host

DATA = "/var/lib/postgresql/data/pgdata"
STORE_SECONDS = 5.0  # for a member of etcd to answer
_REFUSALS = (errors.OperationRefused, errors.ServerRefused)


class CommandAttempt(Ask):
    """A switchover that Poolkeeper's own checks or Patroni may refuse; a refused one changes nothing."""

    sentence = "a request to {} that may be refused"

    def __init__(self, host: Host, victim: str, request: Callable[[], None]) -> None:
        super().__init__(host, victim, request)
        self.refusal = ""

    @override
    def inject(self) -> None:
        try:
            super().inject()
        except _REFUSALS as e:
            self.refusal = e.message


class Handover(Fault):
    """Patroni's own switchover, as `patronictl` requests it, without Poolkeeper's checks."""

    sentence = "a switchover away from {}, requested directly from Patroni"

    @override
    def inject(self) -> None:
        cluster = self.host.cluster
        address = str(cluster.spec.addresses()[self.victim])
        auth, limit = cluster.with_passwords().rest_auth, float(cluster.spec.timeouts.up)
        asyncio.run(patroni.switchover(address, self.victim, auth, limit))

    def heal(self) -> None:
        """Do nothing: nothing has to be removed."""


class ByHand(Fault):
    """A run of pg_ctl in a node's container, without Patroni."""

    sentence = "pg_ctl in {}, without Patroni"

    def __init__(self, host: Host, victim: str, *words: str) -> None:
        super().__init__(host, victim)
        self._words = words

    @override
    def inject(self) -> None:
        container = self.host.cluster.container(self.victim)
        self.host.docker("exec", "--user", "postgres", container, "pg_ctl", "--pgdata", DATA, *self._words)

    @override
    def heal(self) -> None:
        self.start_if_down()


class Maintenance(Fault):
    """Maintenance mode, on at the injection and off at the healing."""

    sentence = "maintenance mode on, by way of {}"

    @override
    def inject(self) -> None:
        maintenance.set_mode(self.host.cluster, True, Silent())

    @override
    def heal(self) -> None:
        maintenance.set_mode(self.host.cluster, False, Silent())


class Reinit(Fault):
    """`poolkeeper reinit` of a standby: its data is removed and cloned from the primary."""

    sentence = "reinit of {}"

    @override
    def inject(self) -> None:
        reinit.reinit(self.host.cluster, self.victim, Silent())

    def heal(self) -> None:
        """Do nothing: Patroni completes the clone."""


class RollingRestart(Fault):
    """`poolkeeper restart`: PostgreSQL on every node, one after the other, with a switchover in between."""

    sentence = "a rolling restart, {} the last"

    @override
    def inject(self) -> None:
        restart.restart(self.host.cluster, None, Silent())

    def heal(self) -> None:
        """Do nothing: nothing has to be removed."""


class ReloadEndpoint(Fault):
    """An endpoint's Pgpool-II reads its configuration again, as after an edit, several times in a row."""

    sentence = "reloads of {}"

    def __init__(self, host: Host, victim: str, times: int = 3) -> None:
        super().__init__(host, victim)
        self._times = times

    @override
    def inject(self) -> None:
        for _ in range(self._times):
            self.host.docker("exec", self.host.cluster.container(self.victim), "reload.sh")

    def heal(self) -> None:
        """Do nothing: the configuration did not change."""


class DeleteLease(Fault):
    """The leader key is deleted in etcd while the leader runs and holds it."""

    sentence = "deletion of the lease of {} in etcd"

    @override
    def inject(self) -> None:
        asyncio.run(self._delete())

    async def _delete(self) -> None:
        spec = self.host.cluster.spec
        store = etcd_kv.Store([str(member.address) for member in spec.etcd.members], STORE_SECONDS)
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(store.close)
            key = cluster_store.leader_key(spec.name)
            if not await store.delete_if([key], [Guard(key, value=self.victim)]):
                raise errors.ClusterNotUp(f"{self.victim} does not hold the lease")

    def heal(self) -> None:
        """Do nothing: Patroni writes the key again."""
