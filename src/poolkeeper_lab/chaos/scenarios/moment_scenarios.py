"""Moments in which a bug does most harm: one fault hits the cluster while another one lasts.

Invariant: a cluster without bugs keeps each of these promises; the live self-test injects the bug that breaks it.
"""

from __future__ import annotations

from poolkeeper_lab.chaos.scenarios.scenario import AT_ONCE, ScenarioStep, pick, row, step
from poolkeeper_lab.chaos.scenarios.targets import PRIMARY, STANDBY
from poolkeeper_lab.faults import moments, operator_faults
from poolkeeper_lab.faults.fault_target import FaultTarget
from poolkeeper_lab.faults.moments import Moment, Plan

TOO_OLD = (42.0, 46.0)  # seconds: more than the bound on the age of a read and its slack, by the defaults


def moment(sentence: str, target: FaultTarget, plan: Plan) -> ScenarioStep:
    """Return a step of several faults at once."""
    return ScenarioStep(sentence, target, lambda host, victim, _: Moment(host, victim, plan))


_CUT_ALL = moment("every standby is cut off for 3 s, then docker kill", PRIMARY, moments.cut_all_then_kill)
_CUT_ONE = moment(
    "one standby is cut off for 3 s, then docker kill of the primary", PRIMARY, moments.cut_first_then_kill
)
_LATE_COMMITS = moment(
    "every standby is cut off for 4 s and reconnected for 4 s, then docker kill",
    PRIMARY,
    moments.late_commits_then_kill,
)
_SILENT_PATRONI = moment(
    "the primary's Patroni is frozen; one standby is cut off from etcd, and from the primary for 6 s",
    PRIMARY,
    moments.silent_patroni_and_late_standby,
)
_FROM_NODES = moment(
    "a standby is cut off from the other nodes; clients and etcd reach it", STANDBY, moments.from_nodes
)
_NOT_STREAMING = moment(
    "a standby is cut off from the other nodes and its WAL receiver ended; clients reach it",
    STANDBY,
    moments.not_streaming,
)
_HANDOVER = step("a switchover requested directly from Patroni", PRIMARY, operator_faults.Handover)

SCENARIOS = (
    row("cut_all_then_kill", _CUT_ALL)
    >> "A primary whose standbys are all cut off must acknowledge nothing that dies with it",
    row("cut_first_then_kill", _CUT_ONE)
    >> "A primary that dies while one standby is behind must be replaced by the other one",
    row("late_commits_then_kill", _LATE_COMMITS)
    >> "A commit that completed after its client had given up must be kept by the next primary",
    row("silent_patroni_and_late_standby", _SILENT_PATRONI, (7.0, 8.0))
    >> "A primary whose Patroni is frozen within its lease must keep its role",
    row("falls_behind", _FROM_NODES, TOO_OLD) >> "A standby that falls behind must not be read from once it is too old",
    row("runs_and_does_not_stream", _NOT_STREAMING, TOO_OLD)
    >> "A standby that runs and receives nothing must not be read from once it is too old",
    row("switchover_of_patroni", _HANDOVER, AT_ONCE)
    >> "A switchover that is not announced must be followed by every component",
)
CUT_ALL_THEN_KILL = pick(SCENARIOS, "cut_all_then_kill")
CUT_FIRST_THEN_KILL = pick(SCENARIOS, "cut_first_then_kill")
LATE_COMMITS_THEN_KILL = pick(SCENARIOS, "late_commits_then_kill")
SILENT_PATRONI_LATE_STANDBY = pick(SCENARIOS, "silent_patroni_and_late_standby")
FALLS_BEHIND = pick(SCENARIOS, "falls_behind")
RUNS_AND_DOES_NOT_STREAM = pick(SCENARIOS, "runs_and_does_not_stream")
PATRONIS_SWITCHOVER = pick(SCENARIOS, "switchover_of_patroni")
