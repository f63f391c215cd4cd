"""A scenario of faults with its promise, the rows of its tables, and its steps.

Invariant: a step is a fault that can be healed. A scenario with two steps injects the second right after the first was
healed, before the cluster has recovered. A scenario whose steps overlap injects the second while the first still lasts.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from poolkeeper_lab.chaos.scenarios.process_groups import ProcessGroup
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
INCOMING, OUTGOING, BOTH_WAYS = ("INPUT",), ("OUTPUT",), ("INPUT", "OUTPUT")


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


@dataclass(frozen=True)
class ScenarioRow:
    """A row of a table of scenarios without its promise: `row(...) >> "A primary must ..."` is the scenario.

    The operator lets `ruff format` put the promise on the second line of the row, at any length of the first.
    """

    name: str
    steps: tuple[ScenarioStep, ...]
    hold: tuple[float, float]
    recovers: float
    overlaps: bool = False
    splits: bool = False

    def __rshift__(self, promise: str) -> Scenario:
        """Return the scenario of this row with its promise."""
        return Scenario(self.name, promise, self.steps, self.hold, self.recovers, self.overlaps, self.splits)


Steps = ScenarioStep | tuple[ScenarioStep, ...]


def row(
    name: str, steps: Steps, hold: tuple[float, float] = SHORT, recovers: float = NODE, *, splits: bool = False
) -> ScenarioRow:
    """Return a row of a table; its steps follow one another."""
    return ScenarioRow(name, _tuple(steps), hold, recovers, splits=splits)


def overlapping(name: str, steps: Steps, hold: tuple[float, float] = SHORT, recovers: float = NODE) -> ScenarioRow:
    """Return a row of a table; each step begins while those before it last."""
    return ScenarioRow(name, _tuple(steps), hold, recovers, overlaps=True)


def of_drill(name: str, hold: tuple[float, float] = SHORT, recovers: float = NODE) -> ScenarioRow:
    """Return a row with one fault of the drill, which gives the scenario its name."""
    return row(name, drill(name), hold, recovers)


def _tuple(steps: Steps) -> tuple[ScenarioStep, ...]:
    return (steps,) if isinstance(steps, ScenarioStep) else steps


def pick(scenarios: Sequence[Scenario], name: str) -> Scenario:
    """Return the scenario of a name.

    Raises:
        StopIteration: if no scenario has the name.
    """
    return next(scenario for scenario in scenarios if scenario.name == name)


def drill(name: str) -> ScenarioStep:
    """Return a fault of the drill as a step."""
    (entry,) = drill_faults.choose((name,))
    return ScenarioStep(entry.sentence, entry.target, entry.make)


def step(sentence: str, target: FaultTarget, kind: Callable[[Host, str], Fault]) -> ScenarioStep:
    """Return a step with a fault that needs nothing but its victim."""
    return ScenarioStep(sentence, target, lambda host, victim, _: kind(host, victim))


def frozen(target: FaultTarget, group: ProcessGroup) -> ScenarioStep:
    """Return a step that freezes some processes of a container."""
    sentence = f"SIGSTOP of {group.name} of {target}; all other processes of its container continue"
    return ScenarioStep(sentence, target, lambda host, victim, _: processes.FreezeProcesses(host, victim, group.choose))


def killed(target: FaultTarget, group: ProcessGroup) -> ScenarioStep:
    """Return a step that kills some processes of a container."""
    sentence = f"SIGKILL of {group.name} of {target}"
    return ScenarioStep(sentence, target, lambda host, victim, _: processes.KillProcesses(host, victim, group.choose))


def ended(
    target: FaultTarget, group: ProcessGroup, number: signal.Signals = signal.SIGTERM, effect: str = ""
) -> ScenarioStep:
    """Return a step that asks some processes of a container to exit; `effect` explains the signal."""
    sentence = f"{number.name} of {group.name} of {target}{effect and ': ' + effect}"

    def make(host: Host, victim: str, _: object) -> processes.TermProcesses:
        return processes.TermProcesses(host, victim, group.choose, number)

    return ScenarioStep(sentence, target, make)


def paused(target: FaultTarget) -> ScenarioStep:
    """Return a step that pauses a container."""
    return step(f"docker pause of {target}: all its processes are frozen", target, containers.PauseContainer)


def isolated(target: FaultTarget, ways: Sequence[str] = BOTH_WAYS) -> ScenarioStep:
    """Return a step that drops every packet of a container in one direction or both."""
    sentence = f"every packet to and from {target}'s container is dropped"
    if ways == INCOMING:
        sentence = f"every packet to {target}'s container is dropped; the packets that it sends arrive"
    if ways == OUTGOING:
        sentence = f"every packet from {target}'s container is dropped; it receives all packets"
    return ScenarioStep(sentence, target, lambda host, victim, _: packets.DropPackets(host, victim, ways=ways))
