"""Several faults as one, so that the second meets the cluster in the moment that the first one made.

Invariant: every plan here begins with a cut, so what a cut needs is what it needs. Who is around a victim is found when
it is aimed at it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

from poolkeeper_lab.faults import choices, containers, processes
from poolkeeper_lab.faults.fault import Fault
from poolkeeper_lab.faults.host import Host
from poolkeeper_lab.faults.packets import DropPackets, lacking, sweep_rules
from poolkeeper_lab.faults.processes import FreezeProcesses, TermProcesses
from poolkeeper_lab.faults.together import Parts, Together

UNSEEN = 3.0  # seconds in which the primary runs without the standbys that are cut off; below a client's patience
GIVEN_UP, SENT_AGAIN = 4.0, 4.0  # seconds: beyond a client's patience; until TCP tries again
VOTES = 6.0  # seconds: a silence that is noticed, and an election with its limit of 2 s for each question

Plan = Callable[[Host, str], Parts]


class Moment(Together):
    """A plan around a victim."""

    def __init__(self, host: Host, victim: str, plan: Plan) -> None:
        super().__init__(host, victim)
        self._plan = plan

    @cached_property
    def _parts(self) -> Parts:
        return tuple(self._plan(self.host, self.victim))

    def available(self) -> str:
        return lacking()


def others(host: Host, node: str) -> list[str]:
    """The other nodes by their names."""
    return sorted(declared.name for declared in host.cluster.spec.nodes if declared.name != node)


def cut_from(host: Host, standby: str, primary: str) -> DropPackets:
    """A standby that hears all but the primary."""
    return DropPackets(host, standby, (str(host.cluster.spec.addresses()[primary]),))


def cut_all_then_kill(host: Host, victim: str) -> Parts:
    """No standby hears the primary for a while; then it dies, and nobody else has what it wrote meanwhile."""
    cuts = [(cut_from(host, standby, victim), 0.0) for standby in others(host, victim)]
    return (*cuts[:-1], (cuts[-1][0], UNSEEN), (containers.KillContainer(host, victim), 0.0))


def cut_first_then_kill(host: Host, victim: str) -> Parts:
    """The first standby by name does not hear the primary for a while; then the primary dies."""
    cut = cut_from(host, others(host, victim)[0], victim)
    return (cut, UNSEEN), (containers.KillContainer(host, victim), 0.0)


def late_commits_then_kill(host: Host, victim: str) -> Parts:
    """No standby hears the primary until clients have given up; they get all of it, and then the primary dies."""
    standbys = others(host, victim)
    cuts = [(cut_from(host, standby, victim), 0.0) for standby in standbys]
    primary = str(host.cluster.spec.addresses()[victim])
    opened = [(Reopen(host, standby, primary), 0.0) for standby in standbys]
    kill = (containers.KillContainer(host, victim), 0.0)
    return (*cuts[:-1], (cuts[-1][0], GIVEN_UP), *opened[:-1], (opened[-1][0], SENT_AGAIN), kill)


def silent_patroni_and_late_standby(host: Host, victim: str) -> Parts:
    """The primary's Patroni stands still. One standby hears neither etcd nor, for a while, the primary.

    That standby gives its vote, then follows the primary again, and hears of no other one: who took the role meanwhile
    has a rival that acknowledges. Within the lease nobody may take it.
    """
    spec, late = host.cluster.spec, others(host, victim)[-1]
    primary, stores = str(spec.addresses()[victim]), [str(member.address) for member in spec.etcd.members]
    return (
        (DropPackets(host, late, [*stores, primary]), 0.0),
        (FreezeProcesses(host, victim, processes.patroni), VOTES),
        (Reopen(host, late, primary), 0.0),
    )


def from_nodes(host: Host, victim: str) -> Parts:
    """A standby that hears no other node, and everybody else."""
    return ((DropPackets(host, victim, _addresses(host, others(host, victim))), 0.0),)


def not_streaming(host: Host, victim: str) -> Parts:
    """A standby that runs, is asked, and has no connection to any node that it could receive from."""
    return (*from_nodes(host, victim), (TermProcesses(host, victim, choices.of_server("walreceiver")), 0.0))


def _addresses(host: Host, names: Sequence[str]) -> list[str]:
    return [str(host.cluster.spec.addresses()[name]) for name in names]


class Reopen(Fault):
    """Part of a cut ends early: the rules about one address go, the others stay for whoever made them."""

    sentence = "the end of a part of the cut around {}"

    def __init__(self, host: Host, victim: str, address: str) -> None:
        super().__init__(host, victim)
        self._address = address

    def inject(self) -> None:
        sweep_rules(self.host, self.victim, self._address)

    def heal(self) -> None:
        """The cut is healed by itself."""
