"""What a scenario is, and the steps that it is made of.

Invariant: a step is a fault that can be healed. A scenario with two steps injects the second right after the first was
healed, before the cluster has recovered. A scenario whose steps overlap injects the second while the first still lasts.
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

# The duration of a fault in seconds, from and to. A lease lasts 20 s: a node whose death nothing proves is replaced
# only after that.
AT_ONCE = (1.0, 2.0)
BRIEF = (2.0, 4.0)
SHORT = (3.0, 6.0)
WITHIN_LEASE = (6.0, 10.0)
BEYOND_LEASE = (25.0, 30.0)
# About how many seconds the cluster then needs to recover, for the plan only. A node has to be attached again, or a
# process to be started; if neither was away, nothing recovers.
NOTHING, NODE, PROCESS, ALL = 3.0, 22.0, 8.0, 45.0
BOTH_WAYS = ("INPUT", "OUTPUT")


@dataclass(frozen=True)
class ScenarioStep:
    """One fault: a sentence that describes it, its target, and the function that makes it."""

    sentence: str
    target: FaultTarget
    make: Make

    def fault(self, host: Host, victims: Sequence[str], request: Callable[[], None]) -> Fault:
        """Return the fault for its victim, or one fault that hits all of the victims at once."""
        made = [self.make(host, victim, request) for victim in victims]
        return made[0] if len(made) == 1 else Together(host, ", ".join(victims), [(part, 0.0) for part in made])


@dataclass(frozen=True)
class Scenario:
    """A name, a promise, and the steps that test it. `hold`: how many seconds each step lasts, from and to."""

    name: str
    promise: str
    steps: tuple[ScenarioStep, ...]
    hold: tuple[float, float] = SHORT
    recovers: float = NODE
    overlaps: bool = False  # the faults are healed in the reverse order
    splits: bool = False  # a person makes a second primary without Patroni: then only the endpoints are checked

    @property
    def seconds(self) -> float:
        """About how many seconds the scenario takes, if each step lasts as long as it may."""
        return self.hold[1] * len(self.steps) + self.recovers

    @property
    def hits_keeper(self) -> bool:
        """Is keeper away for a while? Then nothing enforces the bound on the age of reads."""
        return any(step.target in (FaultTarget.KEEPER, FaultTarget.EVERYTHING) for step in self.steps)

    def unavailable(self, host: Host) -> str:
        """Return why the scenario cannot run on this machine; "" if it can."""
        made = (step.make(host, "no victim", _no_request) for step in self.steps)
        return next((reason for fault in made if (reason := fault.available())), "") or self.unmet(host)

    def unmet(self, host: Host) -> str:
        """Return why one of its faults has no effect in the declared cluster; "" if all have one."""
        spec = host.cluster.spec
        services = declared(spec) | {FaultTarget.PRIMARY: spec.nodes[0].name}  # all nodes are declared alike
        steps = ((step, services[step.target]) for step in self.steps if step.target in services)
        made = (step.make(host, service, _no_request) for step, service in steps)
        return next((reason for fault in made if (reason := fault.unmet())), "")


def _no_request() -> None:
    """Stand in for the request of a switchover where none is made."""


Steps = ScenarioStep | tuple[ScenarioStep, ...]


def row(
    name: str, steps: Steps, hold: tuple[float, float], recovers: float, promise: str, *, splits: bool = False
) -> Scenario:
    """Return a scenario from a row of a table; its steps follow one another."""
    return Scenario(name, promise, _tuple(steps), hold, recovers, splits=splits)


def overlapping(name: str, steps: Steps, hold: tuple[float, float], recovers: float, promise: str) -> Scenario:
    """Return a scenario from a row of a table; each step begins while those before it last."""
    return Scenario(name, promise, _tuple(steps), hold, recovers, overlaps=True)


def _tuple(steps: Steps) -> tuple[ScenarioStep, ...]:
    return (steps,) if isinstance(steps, ScenarioStep) else steps


def of_drill(name: str) -> ScenarioStep:
    """Return a fault of the drill as a step."""
    (entry,) = drill_faults.choose((name,))
    return ScenarioStep(entry.sentence, entry.target, entry.make)


def step(sentence: str, target: FaultTarget, kind: Callable[[Host, str], Fault]) -> ScenarioStep:
    """Return a step with a fault that needs nothing but its victim."""
    return ScenarioStep(sentence, target, lambda host, victim, _: kind(host, victim))


def frozen(what: str, target: FaultTarget, choose: processes.Choose) -> ScenarioStep:
    """Return a step that freezes some processes of a container."""
    sentence = f"SIGSTOP of {what}; all other processes of its container continue"
    return ScenarioStep(sentence, target, lambda host, victim, _: processes.FreezeProcesses(host, victim, choose))


def killed(what: str, target: FaultTarget, choose: processes.Choose) -> ScenarioStep:
    """Return a step that kills some processes of a container."""
    sentence = f"SIGKILL of {what}"
    return ScenarioStep(sentence, target, lambda host, victim, _: processes.KillProcesses(host, victim, choose))


def ended(
    what: str, target: FaultTarget, choose: processes.Choose, number: signal.Signals = signal.SIGTERM
) -> ScenarioStep:
    """Return a step that asks some processes of a container to exit."""
    sentence = f"{number.name} of {what}"
    return ScenarioStep(sentence, target, lambda host, victim, _: processes.TermProcesses(host, victim, choose, number))


def paused(target: FaultTarget) -> ScenarioStep:
    """Return a step that pauses a container."""
    return step(f"docker pause of {target}: all its processes are frozen", target, containers.PauseContainer)


def cut(target: FaultTarget, ways: Sequence[str], sentence: str) -> ScenarioStep:
    """Return a step that drops every packet of a container in one direction or both."""
    return ScenarioStep(sentence, target, lambda host, victim, _: packets.DropPackets(host, victim, ways=ways))
