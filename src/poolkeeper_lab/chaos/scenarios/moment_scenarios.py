"""Moments in which a bug would hurt most: one fault meets the cluster while another one holds.

Invariant: each keeps its promise in a cluster without bugs; the live self-test plants the bug that breaks it.
"""

from __future__ import annotations

from poolkeeper_lab.chaos.scenarios.scenario import Scenario, ScenarioStep, act
from poolkeeper_lab.faults import moments, operator_faults
from poolkeeper_lab.faults.fault_target import FaultTarget
from poolkeeper_lab.faults.moments import Moment, Plan

TOO_OLD = (42.0, 46.0)  # seconds: more than the bound on the age of a read and its slack, by the defaults


def moment(sentence: str, target: FaultTarget, plan: Plan) -> ScenarioStep:
    """An act of several faults at once."""
    return ScenarioStep(sentence, target, lambda host, victim, _: Moment(host, victim, plan))


CUT_ALL_THEN_KILL = Scenario(
    "cut_all_then_kill",
    "A primary whose standbys are all cut off must acknowledge nothing that dies with it",
    (
        moment(
            "every standby is cut off from the primary for 3 s, then docker kill",
            FaultTarget.PRIMARY,
            moments.cut_all_then_kill,
        ),
    ),
)

CUT_FIRST_THEN_KILL = Scenario(
    "cut_first_then_kill",
    "A primary that dies while one standby is behind must be replaced by the other one",
    (
        moment(
            "one standby is cut off from the primary for 3 s, then docker kill of the primary",
            FaultTarget.PRIMARY,
            moments.cut_first_then_kill,
        ),
    ),
)

LATE_COMMITS_THEN_KILL = Scenario(
    "late_commits_then_kill",
    "A commit that came through after its client had given up must be kept by whoever takes over",
    (
        moment(
            "every standby is cut off from the primary for 4 s and hears it again for 4 s, then docker kill",
            FaultTarget.PRIMARY,
            moments.late_commits_then_kill,
        ),
    ),
)
SILENT_PATRONI_LATE_STANDBY = Scenario(
    "silent_patroni_and_late_standby",
    "A primary whose Patroni stands still within its lease must keep its role",
    (
        moment(
            "the primary's Patroni stands still; one standby hears no etcd, and the primary only after 6 s",
            FaultTarget.PRIMARY,
            moments.silent_patroni_and_late_standby,
        ),
    ),
    (7.0, 8.0),
)

FALLS_BEHIND = Scenario(
    "falls_behind",
    "A standby that falls behind must not be read from once it is too old",
    (
        moment(
            "a standby is cut off from the other nodes; clients and Patroni's store reach it",
            FaultTarget.STANDBY,
            moments.from_nodes,
        ),
    ),
    TOO_OLD,
)

RUNS_AND_DOES_NOT_STREAM = Scenario(
    "runs_and_does_not_stream",
    "A standby that runs and receives nothing must not be read from once it is too old",
    (
        moment(
            "a standby is cut off from the other nodes and its WAL receiver ended; clients reach it",
            FaultTarget.STANDBY,
            moments.not_streaming,
        ),
    ),
    TOO_OLD,
)

PATRONIS_SWITCHOVER = Scenario(
    "switchover_of_patroni",
    "A switchover that nobody announces must be followed by every witness",
    (act("a switchover asked of Patroni itself", FaultTarget.PRIMARY, operator_faults.Handover),),
    (1.0, 2.0),
)
SCENARIOS = (
    CUT_ALL_THEN_KILL,
    CUT_FIRST_THEN_KILL,
    LATE_COMMITS_THEN_KILL,
    SILENT_PATRONI_LATE_STANDBY,
    FALLS_BEHIND,
    RUNS_AND_DOES_NOT_STREAM,
    PATRONIS_SWITCHOVER,
)
