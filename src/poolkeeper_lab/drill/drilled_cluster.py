"""The cluster under a drill: find the service of a role, wait for health, and check whether a victim is back."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from poolkeeper.cluster import snapshot
from poolkeeper.cluster.handle import Cluster
from poolkeeper.core import errors, wait
from poolkeeper.core.progress import Silent
from poolkeeper.decide import health
from poolkeeper.model import pool_node_states
from poolkeeper.model.endpoint_keys import BALANCED
from poolkeeper.model.observed import PatroniMember, PatroniView, Postgres
from poolkeeper.model.spec import ClusterSpec
from poolkeeper.operations import switchover
from poolkeeper.system import etcd, http, patroni, pgpool
from poolkeeper_lab.drill import watch
from poolkeeper_lab.drill.drill_schedule import ScheduledFault
from poolkeeper_lab.faults import peers
from poolkeeper_lab.faults.fault_target import FaultTarget, declared
from poolkeeper_lab.faults.host import Host

POLL_PAUSE = 0.2  # seconds between two checks of a returning victim
SWITCHOVER_SECONDS = 60.0
_OF_ETCD = (FaultTarget.ETCD_LEADER, FaultTarget.ETCD_FOLLOWER, FaultTarget.ETCD_FOLLOWERS, FaultTarget.ETCD_MEMBERS)


@dataclass(frozen=True)
class DrilledCluster:
    """A running cluster, and the host on which faults are injected."""

    cluster: Cluster
    host: Host

    @property
    def spec(self) -> ClusterSpec:
        """The declared cluster."""
        return self.cluster.spec

    async def wait_healthy(self, seconds: float) -> str:
        """Wait until all health checks pass, and return the primary's name.

        Raises:
            DeadlinePassed: with the findings.
        """

        async def check() -> str:
            assessment = health.assess(self.spec, await snapshot.take_snapshot(self.cluster))
            if not (assessment.is_healthy and assessment.primary):
                raise wait.NotYet("; ".join(map(str, assessment.findings)) or "no primary")
            return assessment.primary

        return await wait.wait_for("health", check, seconds=seconds, pause=POLL_PAUSE)

    async def find(self, target: FaultTarget, primary: str, pick: int) -> str:
        """Return the first service that has the role now.

        Raises:
            Unreachable: if no component names the service.
        """
        return (await self.find_all(target, primary, pick))[0]

    async def find_all(self, target: FaultTarget, primary: str, pick: int) -> tuple[str, ...]:
        """Return every service that has the role now; `pick` chooses one if several have the same role.

        Raises:
            Unreachable: if no component names the service.
        """
        standbys = [node.name for node in self.spec.nodes if node.name != primary]
        standby = standbys[pick % len(standbys)]
        if target in _OF_ETCD:
            return await self._of_etcd(target, pick)
        if target is FaultTarget.QUORUM_STANDBY:
            seen = await snapshot.observe_postgres(self.cluster, primary)
            return (acknowledging(seen.value, standbys),)
        several = {
            FaultTarget.STANDBYS: tuple(standbys),
            FaultTarget.PRIMARY_SIDE: (primary, peers.beside(self.spec, primary)),
            FaultTarget.STANDBY_SIDE: (standby, peers.beside(self.spec, standby)),
        }
        return several.get(target) or (self._only(target, primary, standby),)

    def _only(self, target: FaultTarget, primary: str, standby: str) -> str:
        moving = {
            FaultTarget.PRIMARY: primary,
            FaultTarget.STANDBY: standby,
            FaultTarget.NODES: "every node",
            FaultTarget.EVERYTHING: "every container",
        }
        return (moving | declared(self.spec))[target]

    async def _of_etcd(self, target: FaultTarget, pick: int) -> tuple[str, ...]:
        members = [member.name for member in self.spec.etcd.members]
        if target is FaultTarget.ETCD_MEMBERS:
            return tuple(members)
        leader = await self._etcd_leader()
        followers = [member for member in members if member != leader]
        if target is FaultTarget.ETCD_LEADER or not followers:
            return (leader,)
        return tuple(followers) if target is FaultTarget.ETCD_FOLLOWERS else (followers[pick % len(followers)],)

    async def _etcd_leader(self) -> str:
        """Return the member that names itself as the leader (etcd: maintenance API, Status)."""
        for member in self.spec.etcd.members:
            url = f"http://{self.cluster.address(member.name)}:{etcd.PORT}/v3/maintenance/status"
            status = await http.fetch_json(url, timeout=self.spec.timeouts.query, method="POST", body={})
            if str(status.get("leader")) == str(status["header"]["member_id"]):
                return member.name
        raise errors.Unreachable("no member of etcd reports that it leads")

    def switchover(self, primary: str, keeper: bool) -> Callable[[], None]:
        """Return the call that moves the role away from this primary and waits for the end: Poolkeeper's own operation.

        Without the keeper the call is Patroni's own request alone, the baseline of the operation.
        """

        def request() -> None:
            if keeper:
                switchover.switchover(self.cluster, None, Silent())
            else:
                plain = patroni.switchover(
                    self.cluster.address(primary), primary, self.cluster.rest_auth, SWITCHOVER_SECONDS
                )
                asyncio.run(plain)

        return request

    async def missing(
        self, scheduled: ScheduledFault, victim: str, started: object, journal: watch.WatchLog
    ) -> str | None:
        """Return what the victim still lacks to be back; None if nothing. `started`: its start before the fault."""
        state = await asyncio.to_thread(self.host.state, victim)
        if state["Status"] != "running" or state.get("Paused"):
            return f"its container is {state['Status']}"
        if scheduled.entry.ends_container and state["StartedAt"] == started:
            return "its container has not ended yet"
        return await self._missing_of_node(victim, journal) if scheduled.entry.hits_node else None

    async def _missing_of_node(self, node: str, journal: watch.WatchLog) -> str | None:
        """Check the node's own port, its own Patroni, and the Pgpool-II that has the nodes as backends."""
        if (state := journal.state(node)) not in (watch.PRIMARY, watch.STANDBY):
            return f"its PostgreSQL is {state or 'not yet queried'}"
        limit = self.spec.timeouts.query
        try:
            lacks = lacks_in_patroni(await patroni.observe(self.cluster.address(node), limit), node)
            if lacks is not None:
                return lacks
            backend = (await pgpool.observe(self.cluster.endpoint(BALANCED), limit)).node(node)
        except errors.PoolkeeperError as e:
            return e.message
        if backend is None:
            return "Pgpool-II does not know it"
        return None if pool_node_states.is_in_use(backend.status) else f"Pgpool-II has it {backend.status}"


def acknowledging(primary: Postgres | None, standbys: Sequence[str]) -> str:
    """Return the standby with the least lag among those whose acknowledgement counts for a commit.

    Raises:
        Unreachable: if the primary names no such standby.
    """
    counted = [
        sender
        for sender in (primary.senders if primary else ())
        if sender.sync_state in ("sync", "quorum") and sender.application in standbys
    ]
    if not counted:
        raise errors.Unreachable("the primary names no standby that acknowledges commits")
    return min(counted, key=lambda s: math.inf if s.lag_bytes is None else s.lag_bytes).application


def lacks_in_patroni(view: PatroniView, node: str) -> str | None:
    """Return what a node lacks to lead, or to stream on the leader's timeline, by Patroni; None if nothing."""
    member = view.member(node)
    leader: PatroniMember | None = view.member(view.leader) if view.leader else None
    if member is None or leader is None:
        return "Patroni does not know it" if leader else "there is no leader"
    if member.is_leader:
        return None if member.state == "running" else f"Patroni has it {member.state}"
    if member.state != "streaming" or member.timeline != leader.timeline:
        return f"Patroni has it {member.state} on timeline {member.timeline}, the leader on {leader.timeline}"
    return None
