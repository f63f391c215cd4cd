"""People at work: operations under load, requests at the worst moment, and commands behind everyone's back."""

from __future__ import annotations

from poolkeeper_lab.chaos.scenarios.scenario import (
    PROCESS_RECOVERS,
    SHORT,
    Scenario,
    ScenarioStep,
    act,
    of_drill,
    paused,
)
from poolkeeper_lab.faults import operator_faults, session_faults
from poolkeeper_lab.faults.fault_target import FaultTarget

_AT_ONCE = (0.5, 1.0)
_SWITCHOVER = of_drill("switchover")


def by_hand(target: FaultTarget, sentence: str, *words: str) -> ScenarioStep:
    return ScenarioStep(sentence, target, lambda host, victim, _: operator_faults.ByHand(host, victim, *words))


def attempt(sentence: str) -> ScenarioStep:
    return ScenarioStep(sentence, FaultTarget.PRIMARY, operator_faults.CommandAttempt)


SCENARIOS = (
    Scenario(
        "promote_by_hand",
        "A standby that is promoted past Patroni must be taken back, and take nothing along that an endpoint acknowledged",
        (by_hand(FaultTarget.STANDBY, "pg_ctl promote in a standby's container, past Patroni", "promote"),),
        _AT_ONCE,
        splits=True,
    ),
    Scenario(
        "switchover_under_open_transaction",
        "A switchover must not wait for a transaction that stands open, nor store any of it",
        (
            act("a transaction has written and stands open", FaultTarget.PRIMARY, session_faults.OpenTransaction),
            _SWITCHOVER,
        ),
        _AT_ONCE,
        overlaps=True,
    ),
    Scenario(
        "switchover_under_lock_queue",
        "A switchover must let a queue of lockers through as refused or done, and none of them twice",
        (
            act("ACCESS EXCLUSIVE on a table, behind which all queue", FaultTarget.PRIMARY, session_faults.LockedTable),
            _SWITCHOVER,
        ),
        (2.0, 4.0),
        overlaps=True,
    ),
    Scenario(
        "switchover_under_long_queries",
        "A switchover must not wait for queries that run for long at both endpoints",
        (act("long queries at 5100 and 5101", FaultTarget.PRIMARY, session_faults.LongQuery), _SWITCHOVER),
        _AT_ONCE,
        overlaps=True,
    ),
    Scenario(
        "switchover_while_etcd_leader_frozen",
        "A switchover that is asked while etcd's leader stands still must be done or refused as a whole",
        (paused(FaultTarget.ETCD_LEADER), attempt("a switchover is asked, and may be refused")),
        SHORT,
        overlaps=True,
    ),
    Scenario(
        "switchover_while_standby_frozen",
        "A switchover that is asked while a standby is frozen must be done or refused as a whole",
        (paused(FaultTarget.STANDBY), attempt("a switchover is asked, and may be refused")),
        SHORT,
        overlaps=True,
    ),
    Scenario(
        "there_and_back",
        "A switchover right after another must not lead an endpoint to the one before",
        (_SWITCHOVER, _SWITCHOVER),
        _AT_ONCE,
    ),
    Scenario(
        "stop_server_by_hand",
        "A primary whose server somebody stops at once must not lose what it had acknowledged",
        (by_hand(FaultTarget.PRIMARY, "pg_ctl stop -m immediate on the primary", "stop", "--mode", "immediate"),),
    ),
    Scenario(
        "stop_server_by_hand_in_order",
        "A primary whose server somebody stops in order must not lose what it had acknowledged",
        (by_hand(FaultTarget.PRIMARY, "pg_ctl stop -m fast on the primary", "stop", "--mode", "fast"),),
    ),
    Scenario(
        "restart_server_by_hand",
        "A primary whose server somebody restarts must not lose what it had acknowledged, nor write beside another",
        (
            by_hand(
                FaultTarget.PRIMARY, "pg_ctl restart on the primary", "restart", "--mode", "fast", "--timeout", "30"
            ),
        ),
    ),
    Scenario(
        "stop_standby_by_hand",
        "A standby whose server somebody stops must be started again and come back",
        (by_hand(FaultTarget.STANDBY, "pg_ctl stop -m immediate on a standby", "stop", "--mode", "immediate"),),
    ),
    Scenario(
        "maintenance",
        "A cluster in maintenance mode must serve as ever, and go on being watched after it",
        (act("maintenance mode", FaultTarget.PRIMARY, operator_faults.Maintenance),),
        SHORT,
    ),
    Scenario(
        "crash_in_maintenance",
        "A primary that crashes in maintenance mode must lose nothing, and somebody lead after it",
        (act("maintenance mode", FaultTarget.PRIMARY, operator_faults.Maintenance), of_drill("kill_postmaster")),
        SHORT,
        overlaps=True,
    ),
    Scenario(
        "terminate_sessions",
        "A primary on which somebody ends all sessions must store each statement once or not at all",
        (
            act(
                "pg_terminate_backend of all sessions on the primary but the balanced endpoint's",
                FaultTarget.PRIMARY,
                session_faults.EndSessions,
            ),
        ),
        _AT_ONCE,
        PROCESS_RECOVERS,
    ),
    Scenario(
        "terminate_sessions_of_standby",
        "A standby on which somebody ends all sessions must let no session read back in time",
        (
            act(
                "pg_terminate_backend of all sessions on a standby but the balanced endpoint's",
                FaultTarget.STANDBY,
                session_faults.EndSessions,
            ),
        ),
        _AT_ONCE,
        PROCESS_RECOVERS,
    ),
    Scenario(
        "delete_lease",
        "A primary whose lease somebody deletes must keep it or lose it, but not acknowledge beside another",
        (act("deletion of the leader's key in etcd", FaultTarget.PRIMARY, operator_faults.DeleteLease),),
        _AT_ONCE,
    ),
    Scenario(
        "reinit_under_load",
        "A standby that is cloned anew under load must cost no write and come back with the same rows",
        (act("poolkeeper reinit of a standby", FaultTarget.STANDBY, operator_faults.Reinit),),
        _AT_ONCE,
    ),
    Scenario(
        "rolling_restart_under_load",
        "A rolling restart under load must lose, double and invent nothing",
        (act("poolkeeper restart of every node", FaultTarget.PRIMARY, operator_faults.RollingRestart),),
        _AT_ONCE,
    ),
    Scenario(
        "reload_endpoint",
        "An endpoint whose Pgpool-II reads its configuration again must double no statement",
        (
            act(
                "reloads of the read-write endpoint's Pgpool-II",
                FaultTarget.RW_ENDPOINT,
                operator_faults.ReloadEndpoint,
            ),
        ),
        _AT_ONCE,
        PROCESS_RECOVERS,
    ),
)
