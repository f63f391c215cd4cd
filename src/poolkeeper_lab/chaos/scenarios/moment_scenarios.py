"""Moments in which a bug does most harm: one fault hits the cluster while another one lasts.

Invariant: a cluster without bugs keeps each of these promises; the live self-test injects the bug that breaks it.
"""

from __future__ import annotations

from poolkeeper_lab.chaos.scenarios.scenario import NODE, SHORT, ScenarioStep, row, step
from poolkeeper_lab.chaos.scenarios.targets import PRIMARY, STANDBY
from poolkeeper_lab.faults import moments, operator_faults
from poolkeeper_lab.faults.fault_target import FaultTarget
from poolkeeper_lab.faults.moments import Moment, Plan

TOO_OLD = (42.0, 46.0)  # seconds: more than the bound on the age of a read and its slack, by the defaults


def moment(sentence: str, target: FaultTarget, plan: Plan) -> ScenarioStep:
    """Return a step of several faults at once."""
    return ScenarioStep(sentence, target, lambda host, victim, _: Moment(host, victim, plan))


# Ruff would give each argument a line of its own.
# fmt: off
CUT_ALL_THEN_KILL = row("cut_all_then_kill",
    moment("every standby is cut off for 3 s, then docker kill", PRIMARY, moments.cut_all_then_kill), SHORT, NODE,
    "A primary whose standbys are all cut off must acknowledge nothing that dies with it")

CUT_FIRST_THEN_KILL = row("cut_first_then_kill",
    moment("one standby is cut off for 3 s, then docker kill of the primary", PRIMARY, moments.cut_first_then_kill),
    SHORT, NODE, "A primary that dies while one standby is behind must be replaced by the other one")

LATE_COMMITS_THEN_KILL = row("late_commits_then_kill",
    moment("every standby is cut off for 4 s and reconnected for 4 s, then docker kill", PRIMARY,
           moments.late_commits_then_kill), SHORT, NODE,
    "A commit that completed after its client had given up must be kept by the next primary")
SILENT_PATRONI_LATE_STANDBY = row("silent_patroni_and_late_standby",
    moment("the primary's Patroni is frozen; one standby is cut off from etcd, and from the primary for 6 s", PRIMARY,
           moments.silent_patroni_and_late_standby), (7.0, 8.0), NODE,
    "A primary whose Patroni is frozen within its lease must keep its role")

FALLS_BEHIND = row("falls_behind",
    moment("a standby is cut off from the other nodes; clients and etcd reach it", STANDBY, moments.from_nodes),
    TOO_OLD, NODE, "A standby that falls behind must not be read from once it is too old")

RUNS_AND_DOES_NOT_STREAM = row("runs_and_does_not_stream",
    moment("a standby is cut off from the other nodes and its WAL receiver ended; clients reach it", STANDBY,
           moments.not_streaming), TOO_OLD, NODE,
    "A standby that runs and receives nothing must not be read from once it is too old")

PATRONIS_SWITCHOVER = row("switchover_of_patroni",
    step("a switchover requested directly from Patroni", PRIMARY, operator_faults.Handover), (1.0, 2.0), NODE,
    "A switchover that is not announced must be followed by every component")
SCENARIOS = (
    CUT_ALL_THEN_KILL,
    CUT_FIRST_THEN_KILL,
    LATE_COMMITS_THEN_KILL,
    SILENT_PATRONI_LATE_STANDBY,
    FALLS_BEHIND,
    RUNS_AND_DOES_NOT_STREAM,
    PATRONIS_SWITCHOVER,
)
# fmt: on
