"""What a scenario is, and the acts that it is made of.

Invariant: an act is a fault that can be undone. A scenario with two acts injects the second when the first one was just
healed, and nobody has recovered yet; one whose acts overlap injects the second while the first still lasts.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from poolkeeper_lab.drill import drill_faults
from poolkeeper_lab.faults import containers, packets, processes
from poolkeeper_lab.faults.fault import Fault
from poolkeeper_lab.faults.fault_target import FaultTarget, Make, declared
from poolkeeper_lab.faults.host import Host
from poolkeeper_lab.faults.together import Together

# How long a fault lasts, in seconds, from and to. A lease is 20 s: what nobody can prove dead is replaced after that.
AT_ONCE = (1.0, 2.0)
BRIEF = (2.0, 4.0)
SHORT = (3.0, 6.0)
WITHIN_LEASE = (6.0, 10.0)
BEYOND_LEASE = (25.0, 30.0)
# About how long the cluster then takes to be whole, for the plan only: a node has to be attached again, a process
# started; where nobody was away there is nothing to be done.
NOTHING_RECOVERS, NODE_RECOVERS, PROCESS_RECOVERS, ALL_RECOVER = 3.0, 22.0, 8.0, 45.0


@dataclass(frozen=True)
class ScenarioStep:
    """One fault: what it does, to whom, and what makes it."""

    sentence: str
    target: FaultTarget
    make: Make

    def fault(self, host: Host, victims: Sequence[str], request: Callable[[], None]) -> Fault:
        """The fault at its victim, or the same one at each of them."""
        made = [self.make(host, victim, request) for victim in victims]
        return made[0] if len(made) == 1 else Together(host, ", ".join(victims), [(part, 0.0) for part in made])


@dataclass(frozen=True)
class Scenario:
    """A name, a promise, and the acts that put it to the test. `hold`: how long each lasts, from and to, in seconds."""

    name: str
    promise: str
    acts: tuple[ScenarioStep, ...]
    hold: tuple[float, float] = SHORT
    recovers: float = NODE_RECOVERS
    overlaps: bool = False  # healed in the reverse order
    splits: bool = False  # somebody makes a second primary past Patroni: only the endpoints are judged then

    @property
    def seconds(self) -> float:
        """About how long it takes, at the most that it may be held."""
        return self.hold[1] * len(self.acts) + self.recovers

    @property
    def hits_keeper(self) -> bool:
        """Is keeper away for a while? Then nobody holds the bound on the age of reads."""
        return any(act.target in (FaultTarget.KEEPER, FaultTarget.EVERYTHING) for act in self.acts)

    def unavailable(self, host: Host) -> str:
        """Why it cannot be run here; "" if it can."""
        made = (act.make(host, "nobody", _no_request) for act in self.acts)
        return next((reason for fault in made if (reason := fault.available())), "") or self.unmet(host)

    def unmet(self, host: Host) -> str:
        """Why a fault of it would meet nothing of its victim in the declared cluster; "" if all do."""
        spec = host.cluster.spec
        services = declared(spec) | {
            FaultTarget.PRIMARY: spec.nodes[0].name
        }  # or another: the nodes are declared alike
        acts = ((act, services[act.target]) for act in self.acts if act.target in services)
        made = (act.make(host, service, _no_request) for act, service in acts)
        return next((reason for fault in made if (reason := fault.unmet())), "")


def _no_request() -> None:
    """Stands for what asks for a switchover where nothing is asked."""


def of_drill(name: str) -> ScenarioStep:
    (entry,) = drill_faults.choose((name,))
    return ScenarioStep(entry.sentence, entry.target, entry.make)


def act(sentence: str, target: FaultTarget, kind: Callable[[Host, str], Fault]) -> ScenarioStep:
    return ScenarioStep(sentence, target, lambda host, victim, _: kind(host, victim))


def frozen(what: str, target: FaultTarget, choose: processes.Choose) -> ScenarioStep:
    sentence = f"SIGSTOP of {what}; all else in its container goes on"
    return ScenarioStep(sentence, target, lambda host, victim, _: processes.FreezeProcesses(host, victim, choose))


def killed(what: str, target: FaultTarget, choose: processes.Choose) -> ScenarioStep:
    sentence = f"SIGKILL of {what}"
    return ScenarioStep(sentence, target, lambda host, victim, _: processes.KillProcesses(host, victim, choose))


def asked_to_end(
    what: str, target: FaultTarget, choose: processes.Choose, number: signal.Signals = signal.SIGTERM
) -> ScenarioStep:
    sentence = f"{number.name} of {what}"
    return ScenarioStep(sentence, target, lambda host, victim, _: processes.TermProcesses(host, victim, choose, number))


def paused(target: FaultTarget) -> ScenarioStep:
    return act(f"docker pause of {target}: everything in it stands still", target, containers.PauseContainer)


def cut(target: FaultTarget, ways: Sequence[str], words: str) -> ScenarioStep:
    return ScenarioStep(words, target, lambda host, victim, _: packets.DropPackets(host, victim, ways=ways))


BOTH_WAYS = ("INPUT", "OUTPUT")
