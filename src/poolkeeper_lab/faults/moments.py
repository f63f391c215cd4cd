"""Several faults as one, so that the second hits the cluster in the state that the first one made.

Invariant: every plan here begins with a cut, so it needs the same as a cut. The nodes around a victim are found when
the fault is aimed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

from typing_extensions import override

from poolkeeper_lab.faults import choices, containers, processes
from poolkeeper_lab.faults.fault import Fault
from poolkeeper_lab.faults.host import Host
from poolkeeper_lab.faults.packets import DropPackets, lacking, sweep_rules
from poolkeeper_lab.faults.processes import FreezeProcesses, TermProcesses
from poolkeeper_lab.faults.together import Parts, Together

UNSEEN = 3.0  # seconds in which the primary runs without the standbys that are cut off; less than a client's timeout
GIVEN_UP, SENT_AGAIN = 4.0, 4.0  # seconds: more than a client's timeout; until TCP sends again
VOTES = 6.0  # seconds: until the silence is noticed, and an election with 2 s for each request

Plan = Callable[[Host, str], Parts]


class Moment(Together):
    """A plan of faults around a victim."""

    def __init__(self, host: Host, victim: str, plan: Plan) -> None:
        super().__init__(host, victim)
        self._plan = plan

    @cached_property
    def _parts(self) -> Parts:
        return tuple(self._plan(self.host, self.victim))

    @override
    def available(self) -> str:
        return lacking()


def others(host: Host, node: str) -> list[str]:
    """Return the names of the other nodes, sorted."""
    return sorted(declared.name for declared in host.cluster.spec.nodes if declared.name != node)


def cut_from(host: Host, standby: str, primary: str) -> DropPackets:
    """Return a cut of a standby from the primary alone."""
    return DropPackets(host, standby, (str(host.cluster.spec.addresses()[primary]),))


def cut_all_then_kill(host: Host, victim: str) -> Parts:
    """Cut the primary off from every standby for a while, then kill it: no other node has its last writes."""
    cuts = [(cut_from(host, standby, victim), 0.0) for standby in others(host, victim)]
    return (*cuts[:-1], (cuts[-1][0], UNSEEN), (containers.KillContainer(host, victim), 0.0))


def cut_first_then_kill(host: Host, victim: str) -> Parts:
    """Cut the first standby by name off from the primary for a while, then kill the primary."""
    cut = cut_from(host, others(host, victim)[0], victim)
    return (cut, UNSEEN), (containers.KillContainer(host, victim), 0.0)


def late_commits_then_kill(host: Host, victim: str) -> Parts:
    """Cut the primary off until clients have given up, reconnect the standbys until they have all, then kill it."""
    standbys = others(host, victim)
    cuts = [(cut_from(host, standby, victim), 0.0) for standby in standbys]
    primary = str(host.cluster.spec.addresses()[victim])
    opened = [(Reopen(host, standby, primary), 0.0) for standby in standbys]
    kill = (containers.KillContainer(host, victim), 0.0)
    return (*cuts[:-1], (cuts[-1][0], GIVEN_UP), *opened[:-1], (opened[-1][0], SENT_AGAIN), kill)


def silent_patroni_and_late_standby(host: Host, victim: str) -> Parts:
    """Freeze the primary's Patroni, and cut one standby off from etcd and, for a while, from the primary.

    That standby gives its vote, then follows the primary again, and learns of no other one. A node that took the role
    meanwhile has a rival that acknowledges. Within the lease no node may take the role.
    """
    spec, late = host.cluster.spec, others(host, victim)[-1]
    primary, stores = str(spec.addresses()[victim]), [str(member.address) for member in spec.etcd.members]
    return (
        (DropPackets(host, late, [*stores, primary]), 0.0),
        (FreezeProcesses(host, victim, processes.patroni), VOTES),
        (Reopen(host, late, primary), 0.0),
    )


def from_nodes(host: Host, victim: str) -> Parts:
    """Cut a standby off from the other nodes only."""
    return ((DropPackets(host, victim, _addresses(host, others(host, victim))), 0.0),)


def not_streaming(host: Host, victim: str) -> Parts:
    """Keep a standby running and reachable for clients, without a connection to any node that it could receive from."""
    return (*from_nodes(host, victim), (TermProcesses(host, victim, choices.of_server("walreceiver")), 0.0))


def _addresses(host: Host, names: Sequence[str]) -> list[str]:
    return [str(host.cluster.spec.addresses()[name]) for name in names]


class Reopen(Fault):
    """Part of a cut ends early: the rules about one address go, the others stay until the cut is healed."""

    sentence = "the end of a part of the cut around {}"

    def __init__(self, host: Host, victim: str, address: str) -> None:
        super().__init__(host, victim)
        self._address = address

    @override
    def inject(self) -> None:
        sweep_rules(self.host, self.victim, self._address)

    def heal(self) -> None:
        """Do nothing: the cut heals its own rules."""
