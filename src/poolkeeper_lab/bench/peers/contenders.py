"""A cluster that can be brought up, asked, broken, healed and taken down: what the contenders of a failover share.

Invariant: a fault is the same command for every cluster: the engine's kill of a container, SIGKILL to the process that
PostgreSQL's own lock file names. Only the switchover is each cluster's own.
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
CPUS, MEMORY = 1.0, "2g"  # what each container of each cluster may use


@dataclass(frozen=True)
class TrialNode:
    """What a node says of itself: `silent` where it does not answer; `followers`: who streams from it."""

    role: str  # primary | standby | silent
    followers: int = 0


def lacks(states: Mapping[str, TrialNode]) -> str | None:
    """What a cluster lacks to be whole: one primary, and every other node streaming from it. Pure."""
    primaries = [name for name, node in states.items() if node.role == "primary"]
    if len(primaries) != 1:
        return f"{', '.join(primaries)} are primaries" if primaries else "there is no primary"
    if silent := [name for name, node in states.items() if node.role == "silent"]:
        return f"{', '.join(silent)} do not answer"
    followers = states[primaries[0]].followers
    return None if followers == len(states) - 1 else f"{followers} of {len(states) - 1} standbys stream"


def primary_of(states: Mapping[str, TrialNode]) -> str:
    """The one primary. Raises Unreachable where there is none, or more than one."""
    found = [name for name, node in states.items() if node.role == "primary"]
    if len(found) != 1:
        raise errors.Unreachable(lacks(states) or "the primary is not to be told")
    return found[0]


class TrialCluster(ABC):
    """One contender. `nodes` maps each PostgreSQL node to its address in the cluster's network."""

    title: str
    label: str  # of its containers: the value of `poolkeeper.cluster`
    nodes: Mapping[str, str]

    @abstractmethod
    def up(self) -> None:
        """From nothing. Raises PoolkeeperError."""

    @abstractmethod
    def down(self) -> None:
        """Containers, network and data are gone; also those that a killed run left. Raises EngineFailed."""

    @abstractmethod
    def endpoint(self) -> drill_client.ClientEndpoint:
        """Where writers go."""

    @abstractmethod
    def container(self, service: str) -> str:
        """The container of a service."""

    @abstractmethod
    def rows(self, node: str, query: str) -> list[str]:
        """Rows of a query in the application's database on one node, columns parted by `|`. Raises PoolkeeperError."""

    @abstractmethod
    def switch_over(self, primary: str) -> None:
        """Hand the role over, by the cluster's own means. Raises EngineFailed."""

    def cannot(self, fault: str) -> str:
        """Why a fault is not for this cluster; "" if it is."""
        del fault
        return ""

    def lacks(self) -> str | None:
        """What it lacks to be whole and ready for a fault."""
        return lacks(self.states())

    def states(self) -> dict[str, TrialNode]:
        """What each node says now."""
        return {name: self._state(name) for name in self.nodes}

    def _state(self, node: str) -> TrialNode:
        try:
            recovery, _, followers = self.rows(node, STATE)[0].partition("|")
        except (errors.PoolkeeperError, IndexError):
            return TrialNode("silent")
        return TrialNode("standby" if recovery.startswith("t") else "primary", int(followers))

    def break_it(self, fault: str, victim: str) -> None:
        """Inject a fault. Raises EngineFailed."""
        if fault == peer_catalogue.KILL_NODE:
            process.check(["docker", "kill", self.container(victim)], timeout=SECONDS)
        elif fault == peer_catalogue.KILL_POSTMASTER:
            kill = f"kill -9 $(head -n 1 {peer_catalogue.DATA}/postmaster.pid)"
            process.check(["docker", "exec", "--user", "0", self.container(victim), "sh", "-c", kill], timeout=SECONDS)
        else:
            self.switch_over(victim)

    def heal(self, fault: str, victim: str) -> None:
        """Give the victim back what a machine would have after a reset. What recovers by itself needs nothing."""
        if fault == peer_catalogue.KILL_NODE:
            process.check(["docker", "start", self.container(victim)], timeout=SECONDS)

    def pids(self) -> dict[str, int]:
        """Container → the host's number of its first process, of each that runs. Raises EngineFailed."""
        found = compose.inspect(self.label)
        return {d["Name"].lstrip("/"): int(d["State"]["Pid"]) for d in found if d["State"]["Pid"]}


def psql(container: str, database: str, query: str) -> list[str]:
    """A query by the superuser at the node's own socket. Raises EngineFailed."""
    argv = ["docker", "exec", "--user", "postgres", container, "psql", "-XAtq", "-d", database, "-c", query]
    return process.check(argv, timeout=SECONDS, what=f"psql in {container}").splitlines()


def statement(number: int) -> str:
    """The write of an id, as the drill's: into a table without a constraint, and by whom it was taken."""
    return f"INSERT INTO {TABLE} (id) VALUES ({number:d}) RETURNING {postgres.SERVED_BY}"


def counts(lines: Sequence[str]) -> dict[int, int]:
    """Rows of "id|count" → how often each id is there. Pure."""
    pairs = (line.split("|") for line in lines if line)
    return {int(number): int(times) for number, times in pairs}
