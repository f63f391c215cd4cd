"""Several faults as one, so that the second meets the cluster in the moment that the first one made.

Invariant: every plan here begins with a cut, so what a cut needs is what it needs. Who is around a victim is found when
it is aimed at it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

from poolkeeper_lab.faults import choices, containers, processes
from poolkeeper_lab.faults.fault import Fault
from poolkeeper_lab.faults.host import Ground
from poolkeeper_lab.faults.packets import DropPackets, lacking, sweep_rules
from poolkeeper_lab.faults.processes import FreezeProcesses, TermProcesses
from poolkeeper_lab.faults.together import Parts, Together

UNSEEN = 3.0  # seconds in which the primary runs without the standbys that are cut off; below a client's patience
GIVEN_UP, SENT_AGAIN = 4.0, 4.0  # seconds: beyond a client's patience; until TCP tries again
VOTES = 6.0  # seconds: a silence that is noticed, and an election with its limit of 2 s for each question

Plan = Callable[[Ground, str], Parts]


class Moment(Together):
    """A plan around a victim."""

    def __init__(self, ground: Ground, victim: str, plan: Plan) -> None:
        super().__init__(ground, victim)
        self._plan = plan

    @cached_property
    def _parts(self) -> Parts:
        return tuple(self._plan(self.ground, self.victim))

    def available(self) -> str:
        return lacking()


def others(ground: Ground, node: str) -> list[str]:
    """The other nodes by their names."""
    return sorted(declared.name for declared in ground.place.spec.nodes if declared.name != node)


def cut_from(ground: Ground, standby: str, primary: str) -> DropPackets:
    """A standby that hears all but the primary."""
    return DropPackets(ground, standby, (str(ground.place.spec.addresses()[primary]),))


def cut_all_then_kill(ground: Ground, victim: str) -> Parts:
    """No standby hears the primary for a while; then it dies, and nobody else has what it wrote meanwhile."""
    cuts = [(cut_from(ground, standby, victim), 0.0) for standby in others(ground, victim)]
    return (*cuts[:-1], (cuts[-1][0], UNSEEN), (containers.KillContainer(ground, victim), 0.0))


def cut_first_then_kill(ground: Ground, victim: str) -> Parts:
    """The first standby by name does not hear the primary for a while; then the primary dies."""
    cut = cut_from(ground, others(ground, victim)[0], victim)
    return (cut, UNSEEN), (containers.KillContainer(ground, victim), 0.0)


def late_commits_then_kill(ground: Ground, victim: str) -> Parts:
    """No standby hears the primary until clients have given up; they get all of it, and then the primary dies."""
    standbys = others(ground, victim)
    cuts = [(cut_from(ground, standby, victim), 0.0) for standby in standbys]
    primary = str(ground.place.spec.addresses()[victim])
    opened = [(Reopen(ground, standby, primary), 0.0) for standby in standbys]
    kill = (containers.KillContainer(ground, victim), 0.0)
    return (*cuts[:-1], (cuts[-1][0], GIVEN_UP), *opened[:-1], (opened[-1][0], SENT_AGAIN), kill)


def silent_patroni_and_late_standby(ground: Ground, victim: str) -> Parts:
    """The primary's Patroni stands still. One standby hears neither etcd nor, for a while, the primary.

    That standby gives its vote, then follows the primary again, and hears of no other one: who took the role meanwhile
    has a rival that acknowledges. Within the lease nobody may take it.
    """
    spec, late = ground.place.spec, others(ground, victim)[-1]
    primary, stores = str(spec.addresses()[victim]), [str(member.address) for member in spec.etcd.members]
    return (
        (DropPackets(ground, late, [*stores, primary]), 0.0),
        (FreezeProcesses(ground, victim, processes.patroni), VOTES),
        (Reopen(ground, late, primary), 0.0),
    )


def from_nodes(ground: Ground, victim: str) -> Parts:
    """A standby that hears no other node, and everybody else."""
    return ((DropPackets(ground, victim, _addresses(ground, others(ground, victim))), 0.0),)


def not_streaming(ground: Ground, victim: str) -> Parts:
    """A standby that runs, is asked, and has no connection to any node that it could receive from."""
    return (*from_nodes(ground, victim), (TermProcesses(ground, victim, choices.of_server("walreceiver")), 0.0))


def _addresses(ground: Ground, names: Sequence[str]) -> list[str]:
    return [str(ground.place.spec.addresses()[name]) for name in names]


class Reopen(Fault):
    """Part of a cut ends early: the rules about one address go, the others stay for whoever made them."""

    sentence = "the end of a part of the cut around {}"

    def __init__(self, ground: Ground, victim: str, address: str) -> None:
        super().__init__(ground, victim)
        self._address = address

    def inject(self) -> None:
        sweep_rules(self.ground, self.victim, self._address)

    def heal(self) -> None:
        """The cut is healed by itself."""
