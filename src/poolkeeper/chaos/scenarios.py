"""The scenarios: what is broken, and the promise that has to hold while it is, each in one sentence.

Invariant: only what can be done and undone here is listed: each act is a fault of `drill`, which has its own way back.
A scenario with two acts injects the second when the first one was just healed, and nobody has recovered yet. The
promises are those of docs/guarantees.md. The checkers judge all of them in every scenario; the sentence says what it is
for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from poolkeeper import errors
from poolkeeper.drill import catalogue, faults, packets
from poolkeeper.drill.catalogue import Make, Target
from poolkeeper.drill.faults import Fault
from poolkeeper.drill.ground import Ground

# How long a fault lasts, in seconds, from and to. A lease is 20 s: what nobody can prove dead is replaced after that.
SHORT = (3.0, 6.0)
WITHIN_LEASE = (6.0, 10.0)
BEYOND_LEASE = (25.0, 30.0)
# About how long the cluster then takes to be whole, for the plan only: a node has to be attached again, a process not.
NODE_RECOVERS, PROCESS_RECOVERS, ALL_RECOVER = 22.0, 8.0, 45.0


@dataclass(frozen=True)
class Act:
    """One fault: what it does, to whom, and what makes it."""

    sentence: str
    target: Target
    make: Make


@dataclass(frozen=True)
class Scenario:
    """A name, a promise, and the acts that put it to the test. `hold`: how long each lasts, from and to, in seconds."""

    name: str
    promise: str
    acts: tuple[Act, ...]
    hold: tuple[float, float] = SHORT
    recovers: float = NODE_RECOVERS

    @property
    def seconds(self) -> float:
        """About how long it takes, at the most that it may be held."""
        return self.hold[1] * len(self.acts) + self.recovers

    @property
    def hits_keeper(self) -> bool:
        """Is keeper away for a while? Then nobody holds the bound on the age of reads."""
        return any(act.target in (Target.KEEPER, Target.EVERYTHING) for act in self.acts)

    def unavailable(self, ground: Ground) -> str:
        """Why it cannot be run here; "" if it can."""
        made = (act.make(ground, "nobody", _no_request) for act in self.acts)
        return next((reason for fault in made if (reason := fault.available())), "")


def _no_request() -> None:
    """Stands for what asks for a switchover where nothing is asked."""


def _of_drill(name: str) -> Act:
    (entry,) = catalogue.choose((name,))
    return Act(entry.sentence, entry.target, entry.make)


def _act(sentence: str, target: Target, kind: Callable[[Ground, str], Fault]) -> Act:
    return Act(sentence, target, lambda ground, victim, _: kind(ground, victim))


def _frozen(what: str, target: Target, choose: faults.Choose) -> Act:
    sentence = f"SIGSTOP of {what}; all else in its container goes on"
    return Act(sentence, target, lambda ground, victim, _: faults.FreezeProcesses(ground, victim, choose))


def _killed(what: str, target: Target, choose: faults.Choose) -> Act:
    sentence = f"SIGKILL of {what}"
    return Act(sentence, target, lambda ground, victim, _: faults.KillProcesses(ground, victim, choose))


def _paused(target: Target) -> Act:
    return _act(f"docker pause of {target}: everything in it stands still", target, faults.PauseContainer)


def _cut(target: Target, ways: Sequence[str], words: str) -> Act:
    return Act(words, target, lambda ground, victim, _: packets.DropPackets(ground, victim, ways=ways))


BOTH_WAYS = ("INPUT", "OUTPUT")

SCENARIOS = (
    # The primary dies.
    Scenario(
        "kill_postmaster",
        "A primary whose server crashes must be replaced without losing, doubling or inventing a write",
        (_of_drill("kill_postmaster"),),
    ),
    Scenario(
        "kill_node",
        "A primary that dies as a whole must be replaced without losing what it had acknowledged",
        (_of_drill("kill_node"),),
    ),
    Scenario(
        "stop_node",
        "A primary that is stopped in order must hand over all that it had acknowledged",
        (_of_drill("stop_node"),),
    ),
    Scenario(
        "kill_patroni",
        "The death of the primary's Patroni must not change what any client sees",
        (_of_drill("kill_patroni"),),
    ),
    Scenario(
        "switchover",
        "A switchover must move the role without a moment in which two nodes acknowledge writes",
        (_of_drill("switchover"),),
    ),
    # The primary is silent, and nobody can prove it dead.
    Scenario(
        "freeze_node",
        "A frozen primary that thaws after its successor took over must not acknowledge a write",
        (_of_drill("freeze_node"),),
        BEYOND_LEASE,
    ),
    Scenario(
        "freeze_node_briefly",
        "A primary that thaws before its lease ends must go on as if nothing had been",
        (_of_drill("freeze_node"),),
        WITHIN_LEASE,
    ),
    Scenario(
        "drop_packets_to",
        "A primary that is cut off must not acknowledge a write that its successor lacks",
        (_of_drill("drop_packets_to"),),
        BEYOND_LEASE,
    ),
    Scenario(
        "drop_packets_into",
        "A primary that is heard but hears nothing must not acknowledge a write that its successor lacks",
        (
            _cut(
                Target.PRIMARY, ("INPUT",), "every packet to the primary's container is dropped; what it sends arrives"
            ),
        ),
        BEYOND_LEASE,
    ),
    Scenario(
        "drop_packets_out_of",
        "A primary that hears but is not heard must not acknowledge a write that its successor lacks",
        (_cut(Target.PRIMARY, ("OUTPUT",), "every packet from the primary's container is dropped; it hears all"),),
        BEYOND_LEASE,
    ),
    Scenario(
        "freeze_postmaster",
        "A primary that takes no new sessions for a while must lose nothing of the open ones",
        (_frozen("the primary's postmaster", Target.PRIMARY, faults.postmaster),),
        WITHIN_LEASE,
    ),
    Scenario(
        "freeze_patroni",
        "A primary whose Patroni stands still beyond its lease must not acknowledge writes beside its successor",
        (_frozen("the primary's Patroni", Target.PRIMARY, faults.patroni),),
        BEYOND_LEASE,
    ),
    # A standby.
    Scenario(
        "kill_standby",
        "The death of a standby must cost no write, and no session may read back in time",
        (_of_drill("kill_standby"),),
    ),
    Scenario(
        "kill_standby_postmaster",
        "A standby whose server crashes must come back with the same rows",
        (_killed("a standby's postmaster", Target.STANDBY, faults.postmaster),),
    ),
    Scenario(
        "stop_standby",
        "A standby that is stopped in order must cost no write",
        (_act("docker stop of a standby's container", Target.STANDBY, faults.StopContainer),),
    ),
    Scenario(
        "freeze_standby",
        "A frozen standby must not hold back a commit for good, and must show nothing too old when it thaws",
        (_paused(Target.STANDBY),),
        WITHIN_LEASE,
    ),
    Scenario(
        "drop_packets_of_standby",
        "A standby that is cut off must not hold back a commit for good, and must catch up when it is back",
        (_cut(Target.STANDBY, BOTH_WAYS, "every packet to and from a standby's container is dropped"),),
        WITHIN_LEASE,
    ),
    # Who decides.
    Scenario(
        "kill_etcd_leader",
        "The death of the leader of etcd must not move the primary's role",
        (_of_drill("kill_etcd_leader"),),
        recovers=PROCESS_RECOVERS,
    ),
    Scenario(
        "freeze_etcd_leader",
        "A leader of etcd that stands still must not stop anyone from writing for good",
        (_paused(Target.ETCD_LEADER),),
        WITHIN_LEASE,
        PROCESS_RECOVERS,
    ),
    Scenario(
        "kill_keeper",
        "The death of keeper must not change what any client sees",
        (_of_drill("kill_keeper"),),
        recovers=PROCESS_RECOVERS,
    ),
    Scenario(
        "freeze_keeper",
        "A keeper that thaws must not act on what it knew before",
        (_paused(Target.KEEPER),),
        WITHIN_LEASE,
        PROCESS_RECOVERS,
    ),
    # The doors.
    Scenario(
        "kill_pgpool",
        "The death of the read-write lane's Pgpool-II must not double a statement",
        (_of_drill("kill_pgpool"),),
        recovers=PROCESS_RECOVERS,
    ),
    Scenario(
        "kill_pgpool_ro",
        "The death of the read-only lane's Pgpool-II must not let a write or an old read through",
        (_killed("the first process of the read-only lane's Pgpool-II", Target.RO_LANE, faults.first),),
        recovers=PROCESS_RECOVERS,
    ),
    Scenario(
        "kill_pgpool_balanced",
        "The death of the balanced lane's Pgpool-II must lose no write that it had passed on",
        (_killed("the first process of the balanced lane's Pgpool-II", Target.POOL_LANE, faults.first),),
        recovers=PROCESS_RECOVERS,
    ),
    Scenario(
        "freeze_pgpool",
        "A statement that waits in a frozen Pgpool-II must take effect once or not at all",
        (_paused(Target.RW_LANE),),
        WITHIN_LEASE,
        PROCESS_RECOVERS,
    ),
    Scenario(
        "kill_haproxy",
        "The death of HAProxy must cost no more than sessions",
        (_of_drill("kill_haproxy"),),
        recovers=PROCESS_RECOVERS,
    ),
    Scenario(
        "freeze_haproxy",
        "A statement that waits in a frozen HAProxy must take effect once or not at all",
        (_paused(Target.HAPROXY),),
        WITHIN_LEASE,
        PROCESS_RECOVERS,
    ),
    # Two, the second while the first is being recovered from, and all at once.
    Scenario(
        "primary_and_then_its_successor",
        "A second failover while the first is being recovered from must lose no acknowledged write",
        (_of_drill("kill_node"), _of_drill("kill_postmaster")),
    ),
    Scenario(
        "standby_and_then_primary",
        "A primary that crashes while a standby comes back must be replaced by one that has everything",
        (_of_drill("kill_standby"), _of_drill("kill_postmaster")),
    ),
    Scenario(
        "keeper_and_then_primary",
        "A primary that crashes while keeper starts must be replaced all the same",
        (_of_drill("kill_keeper"), _of_drill("kill_postmaster")),
    ),
    Scenario(
        "etcd_leader_and_then_primary",
        "A primary that crashes while etcd is short of a member must be replaced all the same",
        (_of_drill("kill_etcd_leader"), _of_drill("kill_postmaster")),
    ),
    Scenario(
        "kill_everything",
        "A loss of power must lose nothing that was acknowledged, and the cluster must come back by itself",
        (_act("docker kill of every container at once", Target.EVERYTHING, faults.KillEverything),),
        recovers=ALL_RECOVER,
    ),
)
NAMES = tuple(scenario.name for scenario in SCENARIOS)


def choose(names: Sequence[str]) -> tuple[Scenario, ...]:
    """The named scenarios in the order of the list; all where none is named. Raises UserError for an unknown name."""
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        raise errors.UserError(f"no such scenario: {', '.join(unknown)}", hint="`poolkeeper chaos list` has them.")
    return tuple(scenario for scenario in SCENARIOS if not names or scenario.name in names)
