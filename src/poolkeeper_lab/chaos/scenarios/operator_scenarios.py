"""Operators at work: operations under load, requests at the worst moment, and commands without Patroni."""

from __future__ import annotations

from poolkeeper_lab.chaos.scenarios.scenario import (
    BRIEF,
    PROCESS,
    ScenarioStep,
    drill,
    overlapping,
    paused,
    row,
    step,
)
from poolkeeper_lab.chaos.scenarios.targets import ETCD_LEADER, PRIMARY, RW_ENDPOINT, STANDBY
from poolkeeper_lab.faults import operator_faults, session_faults
from poolkeeper_lab.faults.fault_target import FaultTarget
from poolkeeper_lab.faults.operator_faults import ReloadEndpoint, RollingRestart

_AT_ONCE = (0.5, 1.0)
_OPEN_TRANSACTION = step("a transaction has written and stays open", PRIMARY, session_faults.OpenTransaction)
_LOCK_QUEUE = step("ACCESS EXCLUSIVE on a table; all its clients queue behind it", PRIMARY, session_faults.LockedTable)
_LONG_QUERIES = step("long queries at 5100 and 5101", PRIMARY, session_faults.LongQuery)
_SWITCHOVER = drill("switchover")
_MAINTENANCE = step("maintenance mode", PRIMARY, operator_faults.Maintenance)


def by_hand(target: FaultTarget, command: str) -> ScenarioStep:
    """Return a step that runs a command of pg_ctl in a node's container, without Patroni."""
    sentence, words = f"pg_ctl {command} in {target}'s container, without Patroni", command.split()
    return ScenarioStep(sentence, target, lambda host, victim, _: operator_faults.ByHand(host, victim, *words))


def sessions_ended(target: FaultTarget) -> ScenarioStep:
    """Return a step that ends the sessions of a node, except those of the balanced endpoint."""
    sentence = f"pg_terminate_backend of all sessions of {target} except the balanced endpoint's"
    return step(sentence, target, session_faults.EndSessions)


def attempt(sentence: str) -> ScenarioStep:
    """Return a step that requests a switchover and accepts its refusal."""
    return ScenarioStep(sentence, FaultTarget.PRIMARY, operator_faults.CommandAttempt)


_ATTEMPT = attempt("a switchover is requested, and may be refused")

SCENARIOS = (
    row("promote_by_hand", by_hand(STANDBY, "promote"), _AT_ONCE, splits=True)
    >> "A standby promoted without Patroni must be demoted, and discard nothing that an endpoint acknowledged",
    overlapping("switchover_under_open_transaction", (_OPEN_TRANSACTION, _SWITCHOVER), _AT_ONCE)
    >> "A switchover must not wait for a transaction that stands open, nor store any of it",
    overlapping("switchover_under_lock_queue", (_LOCK_QUEUE, _SWITCHOVER), BRIEF)
    >> "A switchover must refuse or complete each statement of a lock queue, and run none of them twice",
    overlapping("switchover_under_long_queries", (_LONG_QUERIES, _SWITCHOVER), _AT_ONCE)
    >> "A switchover must not wait for queries that run for long at both endpoints",
    overlapping("switchover_while_etcd_leader_frozen", (paused(ETCD_LEADER), _ATTEMPT))
    >> "A switchover that is requested while etcd's leader is frozen must be done or refused completely",
    overlapping("switchover_while_standby_frozen", (paused(STANDBY), _ATTEMPT))
    >> "A switchover that is requested while a standby is frozen must be done or refused completely",
    row("there_and_back", (_SWITCHOVER, _SWITCHOVER), _AT_ONCE)
    >> "A switchover right after another must not route an endpoint to the previous primary",
    row("stop_server_by_hand", by_hand(PRIMARY, "stop --mode immediate"))
    >> "A primary whose server is stopped immediately by hand must not lose what it had acknowledged",
    row("stop_server_by_hand_in_order", by_hand(PRIMARY, "stop --mode fast"))
    >> "A primary whose server is stopped cleanly by hand must not lose what it had acknowledged",
    row("restart_server_by_hand", by_hand(PRIMARY, "restart --mode fast --timeout 30"))
    >> "A primary whose server is restarted by hand must not lose what it had acknowledged, nor write beside another",
    row("stop_standby_by_hand", by_hand(STANDBY, "stop --mode immediate"))
    >> "A standby whose server is stopped by hand must be started again and come back",
    row("maintenance", _MAINTENANCE)
    >> "A cluster in maintenance mode must serve as usual, and continue to be monitored after it",
    overlapping("crash_in_maintenance", (_MAINTENANCE, drill("kill_postmaster")))
    >> "A primary that crashes in maintenance mode must lose nothing, and a node must lead afterwards",
    row("terminate_sessions", sessions_ended(PRIMARY), _AT_ONCE, PROCESS)
    >> "A primary on which all sessions are ended by hand must store each statement once or not at all",
    row("terminate_sessions_of_standby", sessions_ended(STANDBY), _AT_ONCE, PROCESS)
    >> "A standby on which all sessions are ended by hand must let no session read back in time",
    row("delete_lease", step("deletion of the leader key in etcd", PRIMARY, operator_faults.DeleteLease), _AT_ONCE)
    >> "A primary whose lease is deleted by hand must keep it or lose it, but not acknowledge beside another",
    row("reinit_under_load", step("poolkeeper reinit of a standby", STANDBY, operator_faults.Reinit), _AT_ONCE)
    >> "A standby that is cloned again under load must cost no write and come back with the same rows",
    row("rolling_restart_under_load", step("poolkeeper restart of every node", PRIMARY, RollingRestart), _AT_ONCE)
    >> "A rolling restart under load must lose, duplicate and invent nothing",
    row("reload_endpoint", step(f"reloads of {RW_ENDPOINT}", RW_ENDPOINT, ReloadEndpoint), _AT_ONCE, PROCESS)
    >> "An endpoint whose Pgpool-II reloads its configuration must execute no statement twice",
)
