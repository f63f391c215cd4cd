"""The interface of a contender in `bench failover`: a cluster that can be started, queried, broken, healed and removed.

Invariant: a fault is the same command for every cluster: the engine's kill of a container, or SIGKILL to the process
that PostgreSQL's own lock file names. Only the switchover is a command of the cluster itself.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from poolkeeper.core import errors
from poolkeeper.system import compose, postgres, process
from poolkeeper_lab.bench.peers import peer_catalogue
from poolkeeper_lab.drill import drill_client

TABLE = "poolkeeper_drill"
STATE = "SELECT pg_is_in_recovery(), (SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming')"
SECONDS = 60.0  # of one command in a container
CPUS, MEMORY = 1.0, "2g"  # the limits of each container in each cluster


@dataclass(frozen=True)
class TrialNode:
    """The state that a node reports: `silent` if it does not answer; `followers`: how many standbys stream from it."""

    role: str  # primary | standby | silent
    followers: int = 0


def lacks(states: Mapping[str, TrialNode]) -> str | None:
    """Return what keeps a cluster from being healthy: one primary, every other node streaming from it. Pure."""
    primaries = [name for name, node in states.items() if node.role == "primary"]
    if len(primaries) != 1:
        return f"{', '.join(primaries)} are primaries" if primaries else "there is no primary"
    if silent := [name for name, node in states.items() if node.role == "silent"]:
        return f"{', '.join(silent)} do not answer"
    followers = states[primaries[0]].followers
    return None if followers == len(states) - 1 else f"{followers} of {len(states) - 1} standbys stream"


def primary_of(states: Mapping[str, TrialNode]) -> str:
    """Return the one primary.

    Raises:
        Unreachable: if there is no primary, or more than one.
    """
    found = [name for name, node in states.items() if node.role == "primary"]
    if len(found) != 1:
        raise errors.Unreachable(lacks(states) or "the primary is unknown")
    return found[0]


class TrialCluster(ABC):
    """One contender. `nodes` maps each PostgreSQL node to its address in the cluster's network."""

    title: str
    label: str  # of its containers: the value of `poolkeeper.cluster`
    nodes: Mapping[str, str]

    @abstractmethod
    def up(self) -> None:
        """Start it from nothing.

        Raises:
            PoolkeeperError: if it cannot be started.
        """

    @abstractmethod
    def down(self) -> None:
        """Remove containers, network and data, also those that a killed run left.

        Raises:
            EngineFailed: if the engine refuses.
        """

    @abstractmethod
    def endpoint(self) -> drill_client.ClientEndpoint:
        """Return the endpoint of the writers."""

    @abstractmethod
    def container(self, service: str) -> str:
        """Return the name of a service's container."""

    @abstractmethod
    def rows(self, node: str, query: str) -> list[str]:
        """Run a query in the application's database on one node, and return its rows with columns separated by `|`.

        Raises:
            PoolkeeperError: if the node does not answer.
        """

    @abstractmethod
    def switch_over(self, primary: str) -> None:
        """Switch over to another node, with the cluster's own command.

        Raises:
            EngineFailed: if the command fails.
        """

    def cannot(self, fault: str) -> str:
        """Return why a fault does not apply to this cluster; "" if it does."""
        del fault
        return ""

    def lacks(self) -> str | None:
        """Return what keeps it from being healthy and ready for a fault; None if it is ready."""
        return lacks(self.states())

    def states(self) -> dict[str, TrialNode]:
        """Return the state that each node reports now."""
        return {name: self._state(name) for name in self.nodes}

    def _state(self, node: str) -> TrialNode:
        try:
            recovery, _, followers = self.rows(node, STATE)[0].partition("|")
        except (errors.PoolkeeperError, IndexError):
            return TrialNode("silent")
        return TrialNode("standby" if recovery.startswith("t") else "primary", int(followers))

    def break_it(self, fault: str, victim: str) -> None:
        """Inject a fault.

        Raises:
            EngineFailed: if the fault cannot be injected.
        """
        if fault == peer_catalogue.KILL_NODE:
            process.check(["docker", "kill", self.container(victim)], timeout=SECONDS)
        elif fault == peer_catalogue.KILL_POSTMASTER:
            kill = f"kill -9 $(head -n 1 {peer_catalogue.DATA}/postmaster.pid)"
            process.check(["docker", "exec", "--user", "0", self.container(victim), "sh", "-c", kill], timeout=SECONDS)
        else:
            self.switch_over(victim)

    def heal(self, fault: str, victim: str) -> None:
        """Restore what the victim would have after a reset of its machine; other faults need no healing."""
        if fault == peer_catalogue.KILL_NODE:
            process.check(["docker", "start", self.container(victim)], timeout=SECONDS)

    def pids(self) -> dict[str, int]:
        """Map each running container to the host process id of its first process.

        Raises:
            EngineFailed: if the engine does not answer.
        """
        found = compose.inspect(self.label)
        return {d["Name"].lstrip("/"): int(d["State"]["Pid"]) for d in found if d["State"]["Pid"]}


def psql(container: str, database: str, query: str) -> list[str]:
    """Run a query as the superuser at the node's own socket.

    Raises:
        EngineFailed: if psql fails.
    """
    argv = ["docker", "exec", "--user", "postgres", container, "psql", "-XAtq", "-d", database, "-c", query]
    return process.check(argv, timeout=SECONDS, what=f"psql in {container}").splitlines()


def statement(number: int) -> str:
    """Return the INSERT of an id, like the drill's: no constraint, and it returns the server that executed it."""
    return f"INSERT INTO {TABLE} (id) VALUES ({number:d}) RETURNING {postgres.SERVED_BY}"


def counts(lines: Sequence[str]) -> dict[int, int]:
    """Parse rows of "id|count" into how often each id is stored. Pure."""
    pairs = (line.split("|") for line in lines if line)
    return {int(number): int(times) for number, times in pairs}
