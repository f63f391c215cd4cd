"""Too little memory or CPU, or too few connections."""

from __future__ import annotations

from poolkeeper_lab.chaos.scenarios.scenario import PROCESS, SHORT, WITHIN_LEASE, ScenarioStep, row, step
from poolkeeper_lab.chaos.scenarios.targets import (
    BALANCED_ENDPOINT,
    ETCD_LEADER,
    HAPROXY,
    KEEPER,
    PRIMARY,
    RO_ENDPOINT,
    RW_ENDPOINT,
    STANDBY,
)
from poolkeeper_lab.faults import resource_limits, session_faults
from poolkeeper_lab.faults.fault_target import FaultTarget


def starved(target: FaultTarget) -> ScenarioStep:
    """Return a step in which a container hardly gets any CPU."""
    return step(f"{target} gets one twentieth of a CPU", target, resource_limits.StarveCpu)


def out_of_memory(target: FaultTarget) -> ScenarioStep:
    """Return a step in which a container has too little memory."""
    return step(
        f"{target} gets less memory than it needs, and the kernel kills one of its processes",
        target,
        resource_limits.ExhaustMemory,
    )


def full_server(target: FaultTarget) -> ScenarioStep:
    """Return a step in which a server accepts no more sessions."""
    return step(f"idle sessions at {target} until it refuses more", target, session_faults.FillServer)


def full_endpoint(target: FaultTarget, port: int) -> ScenarioStep:
    """Return a step in which an endpoint's Pgpool-II has no free child."""
    return step(f"idle sessions at {port} until no child is free", target, session_faults.FillEndpoint)


SCENARIOS = (
    row("starve_primary", starved(PRIMARY), WITHIN_LEASE)
    >> "A primary that hardly gets any CPU must lose nothing, whether it keeps its role or not",
    row("starve_standby", starved(STANDBY), WITHIN_LEASE)
    >> "A standby that hardly gets any CPU must show nothing too old and nothing incomplete",
    row("starve_etcd_leader", starved(ETCD_LEADER), WITHIN_LEASE, PROCESS)
    >> "A leader of etcd that hardly gets any CPU must not make two nodes acknowledge writes",
    row("starve_keeper", starved(KEEPER), WITHIN_LEASE, PROCESS)
    >> "A keeper that hardly gets any CPU must not use outdated state",
    row("starve_haproxy", starved(HAPROXY), WITHIN_LEASE, PROCESS)
    >> "An HAProxy that hardly gets any CPU must route no client to the wrong node",
    row("no_memory_on_primary", out_of_memory(PRIMARY))
    >> "A primary in which the kernel kills for lack of memory must lose nothing that it acknowledged",
    row("no_memory_on_standby", out_of_memory(STANDBY))
    >> "A standby in which the kernel kills for lack of memory must come back with the same rows",
    row("no_memory_in_pgpool", out_of_memory(RW_ENDPOINT), SHORT, PROCESS)
    >> "A Pgpool-II in which the kernel kills for lack of memory must execute no statement twice",
    row("no_memory_in_pgpool_balanced", out_of_memory(BALANCED_ENDPOINT), SHORT, PROCESS)
    >> "A balanced endpoint in which the kernel kills for lack of memory must lose no write that it had passed on",
    row("no_memory_in_etcd_leader", out_of_memory(ETCD_LEADER), SHORT, PROCESS)
    >> "A leader of etcd that the kernel kills for lack of memory must not move the primary's role",
    row("primary_full_of_sessions", full_server(PRIMARY))
    >> "A primary that accepts no more sessions must keep its role and all that is open",
    row("standby_full_of_sessions", full_server(STANDBY))
    >> "A standby that accepts no more sessions must continue to acknowledge and serve again when they end",
    row("endpoint_full_of_sessions", full_endpoint(RW_ENDPOINT, 5100), SHORT, PROCESS)
    >> "A read-write endpoint without a free child must let new clients wait or refuse them, and lose nothing",
    row("read_only_endpoint_full_of_sessions", full_endpoint(RO_ENDPOINT, 5101), SHORT, PROCESS)
    >> "A read-only endpoint without a free child must let no session read back in time",
    row("balanced_endpoint_full_of_sessions", full_endpoint(BALANCED_ENDPOINT, 9999), SHORT, PROCESS)
    >> "A balanced endpoint without a free child must lose no write that it had passed on",
    row("silent_clients", step("silent connections to 5100", RW_ENDPOINT, session_faults.SilentClients), SHORT, PROCESS)
    >> "A read-write endpoint whose children all wait for silent clients must serve again when these leave",
)
