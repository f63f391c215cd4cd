"""The scenarios of the self-test: each brings the cluster to the moment in which a bug must hurt.

Without a bug they keep their promises, as those of a run do, but for `cut_cancel_then_kill`: a cancelled wait is
visible (docs/guarantees.md), so there only what was acknowledged without a warning must be there in the end.
"""

from __future__ import annotations

from poolkeeper.chaos.plants import deeds
from poolkeeper.chaos.scenarios.scenario import (
    BOTH_WAYS,
    SHORT,
    WITHIN_LEASE,
    Act,
    Scenario,
    act,
    frozen,
    killed,
    of_drill,
)
from poolkeeper.faults import processes
from poolkeeper.faults.target import Target

TOO_OLD = (42.0, 46.0)  # seconds: more than the bound on the age of a read and its slack, by the defaults

CUT_ALL_THEN_KILL = Scenario(
    "cut_all_then_kill",
    "A primary whose standbys are all cut off must acknowledge nothing that dies with it",
    (
        act(
            "every standby is cut off from the primary for 3 s, then docker kill",
            Target.PRIMARY,
            deeds.cut_all_then_kill,
        ),
    ),
)
CUT_FIRST_THEN_KILL = Scenario(
    "cut_first_then_kill",
    "A primary that dies while one standby is behind must be replaced by the other one",
    (
        act(
            "one standby is cut off from the primary for 3 s, then docker kill of the primary",
            Target.PRIMARY,
            deeds.cut_first_then_kill,
        ),
    ),
)
CUT_CANCEL_THEN_KILL = Scenario(
    "cut_cancel_then_kill",
    "A commit whose wait was cancelled must not be taken for acknowledged",
    (
        act(
            "every standby is cut off from the primary, commits that wait are cancelled for 3 s, then docker kill",
            Target.PRIMARY,
            deeds.cut_cancel_then_kill,
        ),
    ),
)
FREEZE_PATRONI = Scenario(
    "freeze_patroni_briefly",
    "A primary whose Patroni stands still within its lease must keep its role",
    (frozen("the primary's Patroni", Target.PRIMARY, processes.patroni),),
    WITHIN_LEASE,
)
RUNS_AND_DOES_NOT_STREAM = Scenario(
    "runs_and_does_not_stream",
    "A standby that runs and receives nothing must not be read from once it is too old",
    (
        act(
            "a standby is cut off from the other nodes and its WAL receiver ended; clients reach it",
            Target.STANDBY,
            deeds.cut_and_not_streaming,
        ),
    ),
    TOO_OLD,
)
FALLS_BEHIND = Scenario(
    "falls_behind",
    "A standby that falls behind must not be read from once it is too old",
    (
        act(
            "a standby is cut off from the other nodes; clients and Patroni's store reach it",
            Target.STANDBY,
            deeds.cut_from_nodes,
        ),
    ),
    TOO_OLD,
)
PATRONIS_SWITCHOVER = Scenario(
    "switchover_of_patroni",
    "A switchover that nobody announces must be followed by every witness",
    (act("a switchover asked of Patroni itself", Target.PRIMARY, deeds.PlainSwitchover),),
    (1.0, 2.0),
)
FORGETFUL = Scenario(
    "cut_of_standby_that_is_not_healed",
    "A standby that was cut off must be back soon after its healing",
    (
        Act(
            "every packet to and from a standby is dropped, and the healing forgets one rule",
            Target.STANDBY,
            lambda ground, victim, _: deeds.ForgetfulDrop(ground, victim, ways=BOTH_WAYS),
        ),
    ),
    SHORT,
)
KILL_PGPOOL = Scenario(
    "kill_pgpool",
    "The death of the read-write lane's Pgpool-II must not double a statement",
    (of_drill("kill_pgpool"),),
)
KILL_POSTMASTER = Scenario(
    "kill_postmaster",
    "A primary whose server crashes must be replaced without losing, doubling or inventing a write",
    (killed("the primary's postmaster", Target.PRIMARY, processes.postmaster),),
)
