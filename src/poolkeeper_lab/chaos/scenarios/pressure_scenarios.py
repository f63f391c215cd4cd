"""Too little of what a part needs: memory, CPU, connections."""

from __future__ import annotations

from poolkeeper_lab.chaos.scenarios.scenario import PROCESS_RECOVERS, WITHIN_LEASE, Scenario, ScenarioStep, act
from poolkeeper_lab.faults import resource_limits, session_faults
from poolkeeper_lab.faults.fault_target import FaultTarget


def starved(target: FaultTarget) -> ScenarioStep:
    return act(f"{target} gets one twentieth of a CPU", target, resource_limits.StarveCpu)


def out_of_memory(target: FaultTarget) -> ScenarioStep:
    return act(
        f"{target} gets less memory than it needs, and the kernel kills in it", target, resource_limits.ExhaustMemory
    )


SCENARIOS = (
    Scenario(
        "starve_primary",
        "A primary that hardly gets any CPU must lose nothing, whether it keeps its role or not",
        (starved(FaultTarget.PRIMARY),),
        WITHIN_LEASE,
    ),
    Scenario(
        "starve_standby",
        "A standby that hardly gets any CPU must show nothing too old and nothing half",
        (starved(FaultTarget.STANDBY),),
        WITHIN_LEASE,
    ),
    Scenario(
        "starve_etcd_leader",
        "A leader of etcd that hardly gets any CPU must not make two nodes acknowledge writes",
        (starved(FaultTarget.ETCD_LEADER),),
        WITHIN_LEASE,
        PROCESS_RECOVERS,
    ),
    Scenario(
        "starve_keeper",
        "A keeper that hardly gets any CPU must not act on what is no longer so",
        (starved(FaultTarget.KEEPER),),
        WITHIN_LEASE,
        PROCESS_RECOVERS,
    ),
    Scenario(
        "starve_haproxy",
        "An endpoint that hardly gets any CPU must lead nobody to the wrong node",
        (starved(FaultTarget.HAPROXY),),
        WITHIN_LEASE,
        PROCESS_RECOVERS,
    ),
    Scenario(
        "no_memory_on_primary",
        "A primary in which the kernel kills for want of memory must lose nothing that it acknowledged",
        (out_of_memory(FaultTarget.PRIMARY),),
    ),
    Scenario(
        "no_memory_on_standby",
        "A standby in which the kernel kills for want of memory must come back with the same rows",
        (out_of_memory(FaultTarget.STANDBY),),
    ),
    Scenario(
        "no_memory_in_pgpool",
        "A Pgpool-II in which the kernel kills for want of memory must double no statement",
        (out_of_memory(FaultTarget.RW_ENDPOINT),),
        recovers=PROCESS_RECOVERS,
    ),
    Scenario(
        "no_memory_in_pgpool_balanced",
        "A balanced endpoint in which the kernel kills for want of memory must lose no write that it had passed on",
        (out_of_memory(FaultTarget.POOL_ENDPOINT),),
        recovers=PROCESS_RECOVERS,
    ),
    Scenario(
        "no_memory_in_etcd_leader",
        "A leader of etcd that the kernel kills for want of memory must not move the primary's role",
        (out_of_memory(FaultTarget.ETCD_LEADER),),
        recovers=PROCESS_RECOVERS,
    ),
    Scenario(
        "primary_full_of_sessions",
        "A primary that takes no more sessions must keep its role and all that is open",
        (act("idle sessions at the primary until it refuses more", FaultTarget.PRIMARY, session_faults.FillServer),),
    ),
    Scenario(
        "standby_full_of_sessions",
        "A standby that takes no more sessions must go on acknowledging and serve again when they end",
        (act("idle sessions at a standby until it refuses more", FaultTarget.STANDBY, session_faults.FillServer),),
    ),
    Scenario(
        "endpoint_full_of_sessions",
        "A read-write endpoint without a free child must let new clients wait or refuse them, and lose nothing",
        (act("idle sessions at 5100 until no child is free", FaultTarget.RW_ENDPOINT, session_faults.FillEndpoint),),
        recovers=PROCESS_RECOVERS,
    ),
    Scenario(
        "read_only_full_of_sessions",
        "A read-only endpoint without a free child must let no session read back in time",
        (act("idle sessions at 5101 until no child is free", FaultTarget.RO_ENDPOINT, session_faults.FillEndpoint),),
        recovers=PROCESS_RECOVERS,
    ),
    Scenario(
        "balanced_endpoint_full_of_sessions",
        "A balanced endpoint without a free child must lose no write that it had passed on",
        (act("idle sessions at 9999 until no child is free", FaultTarget.POOL_ENDPOINT, session_faults.FillEndpoint),),
        recovers=PROCESS_RECOVERS,
    ),
    Scenario(
        "silent_clients",
        "A read-write endpoint whose children all wait for clients that say nothing must serve again when they leave",
        (act("connections to 5100 that say nothing", FaultTarget.RW_ENDPOINT, session_faults.SilentClients),),
        recovers=PROCESS_RECOVERS,
    ),
)
