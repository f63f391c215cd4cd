"""The faults of the drill: each has a mechanism, a target, a sentence, and limits for its effect on clients.

Invariant: every report reads the goals from here; they are stated nowhere else in the code.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from poolkeeper.core import errors
from poolkeeper_lab.drill.goals import BEYOND, RATIO, DrillGoal
from poolkeeper_lab.faults import containers, fault, packets, processes
from poolkeeper_lab.faults.fault import Fault
from poolkeeper_lab.faults.fault_target import FaultTarget, Make
from poolkeeper_lab.faults.host import Host


@dataclass(frozen=True)
class DrillFault:
    """A fault by its name.

    `lasts_until_healed`: the victim cannot come back before the healing, so its time to come back counts from there.
    """

    name: str
    target: FaultTarget
    sentence: str
    make: Make
    goals: tuple[DrillGoal, ...] = ()
    lasts_until_healed: bool = False
    ends_container: bool = False  # the engine's restart policy starts it again

    @property
    def hits_node(self) -> bool:
        """Whether the victim is a PostgreSQL node, which has to stream and to be attached before it is back."""
        return self.target in (FaultTarget.PRIMARY, FaultTarget.STANDBY)


FAILOVER = (DrillGoal("write p50", 1.5), DrillGoal("write p95", 2.5))
HARDLY = (DrillGoal("write max", 0.5),)
WITHIN_LEASE = (DrillGoal("write max", 25.0),)
BACK = (DrillGoal("back max", 30.0),)
BACK_AT_ONCE = (DrillGoal("write max", 3.0),)
NO_ERROR = (DrillGoal(BEYOND, 0.0),)
TEN_TIMES = (DrillGoal(RATIO, 10.0),)


def _processes(choose: processes.Choose) -> Make:
    return lambda host, victim, _: processes.KillProcesses(host, victim, choose)


def _plain(kind: Callable[[Host, str], Fault]) -> Make:
    return lambda host, victim, _: kind(host, victim)


ENTRIES = (
    DrillFault(
        "kill_postmaster",
        FaultTarget.PRIMARY,
        "SIGKILL of the primary's postmaster; its backends notice and end, its container lives",
        _processes(processes.postmaster),
        (*FAILOVER, *BACK),
    ),
    DrillFault(
        "kill_patroni",
        FaultTarget.PRIMARY,
        "SIGKILL of the primary's Patroni; PostgreSQL runs on",
        _processes(processes.patroni),
        HARDLY,
    ),
    DrillFault(
        "kill_node",
        FaultTarget.PRIMARY,
        "docker kill of the primary's container: all its processes and its network at once",
        _plain(containers.KillContainer),
        (*FAILOVER, *TEN_TIMES, *BACK),
        lasts_until_healed=True,
    ),
    DrillFault(
        "stop_node",
        FaultTarget.PRIMARY,
        "docker stop of the primary's container: PostgreSQL shuts down cleanly and gives the lease back",
        _plain(containers.StopContainer),
        BACK,
        lasts_until_healed=True,
    ),
    DrillFault(
        "freeze_node",
        FaultTarget.PRIMARY,
        "docker pause of the primary's container: all its processes stand still, alive and silent",
        _plain(containers.PauseContainer),
        WITHIN_LEASE,
        lasts_until_healed=True,
    ),
    DrillFault(
        "drop_packets_to",
        FaultTarget.PRIMARY,
        "every packet to and from the primary's container is dropped; it runs on, alone",
        _plain(packets.DropPackets),
        WITHIN_LEASE,
        lasts_until_healed=True,
    ),
    DrillFault(
        "switchover",
        FaultTarget.PRIMARY,
        "the primary hands its role to a standby on request",
        fault.Ask,
        (*FAILOVER, *NO_ERROR),
    ),
    DrillFault(
        "kill_pgpool",
        FaultTarget.RW_ENDPOINT,
        "SIGKILL of the first process of the read-write endpoint's Pgpool-II",
        _processes(processes.first),
        BACK_AT_ONCE,
        ends_container=True,
    ),
    DrillFault(
        "kill_haproxy",
        FaultTarget.HAPROXY,
        "SIGKILL of HAProxy's first process",
        _processes(processes.first),
        BACK_AT_ONCE,
        ends_container=True,
    ),
    DrillFault(
        "kill_keeper",
        FaultTarget.KEEPER,
        "SIGKILL of the keeper's first process",
        _processes(processes.first),
        HARDLY,
        ends_container=True,
    ),
    DrillFault(
        "kill_etcd_leader",
        FaultTarget.ETCD_LEADER,
        "SIGKILL of the first process of the etcd member that leads",
        _processes(processes.first),
        HARDLY,
        ends_container=True,
    ),
    DrillFault(
        "kill_standby",
        FaultTarget.STANDBY,
        "docker kill of a standby's container",
        _plain(containers.KillContainer),
        (*HARDLY, DrillGoal("read max", 1.5), *BACK),
        lasts_until_healed=True,
    ),
)
NAMES = tuple(entry.name for entry in ENTRIES)


def choose(names: tuple[str, ...]) -> tuple[DrillFault, ...]:
    """Return the named faults in the order of the catalogue, or all faults without a name.

    Raises:
        UsageError: if a name is unknown.
    """
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        raise errors.UsageError(f"no such fault: {', '.join(unknown)}", hint=f"There are: {', '.join(NAMES)}.")
    return tuple(entry for entry in ENTRIES if not names or entry.name in names)
