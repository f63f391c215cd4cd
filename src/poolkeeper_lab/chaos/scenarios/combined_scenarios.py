"""Two faults, one after the other or one within the other, three in a row, and all at once."""

from __future__ import annotations

from poolkeeper_lab.chaos.scenarios.scenario import ALL_RECOVER, Scenario, act, frozen, killed, of_drill, paused
from poolkeeper_lab.faults import containers, processes, session_faults
from poolkeeper_lab.faults.fault_target import FaultTarget

_PRIMARY_DIES, _SERVER_CRASHES = of_drill("kill_node"), of_drill("kill_postmaster")
_STANDBY_DIES, _SWITCHOVER = of_drill("kill_standby"), of_drill("switchover")

_ONE_AFTER_THE_OTHER = (
    Scenario(
        "primary_and_then_its_successor",
        "A second failover while the first is being recovered from must lose no acknowledged write",
        (_PRIMARY_DIES, _SERVER_CRASHES),
    ),
    Scenario(
        "standby_and_then_primary",
        "A primary that crashes while a standby comes back must be replaced by one that has everything",
        (_STANDBY_DIES, _SERVER_CRASHES),
    ),
    Scenario(
        "standby_and_then_the_other",
        "A second standby that dies while the first one comes back must cost no acknowledged write",
        (_STANDBY_DIES, _STANDBY_DIES),
    ),
    Scenario(
        "keeper_and_then_primary",
        "A primary that crashes while keeper starts must be replaced all the same",
        (of_drill("kill_keeper"), _SERVER_CRASHES),
    ),
    Scenario(
        "etcd_leader_and_then_primary",
        "A primary that crashes while etcd is short of a member must be replaced all the same",
        (of_drill("kill_etcd_leader"), _SERVER_CRASHES),
    ),
    Scenario(
        "switchover_and_then_crash",
        "A primary that crashes right after it took the role must be replaced by one that has everything",
        (_SWITCHOVER, _SERVER_CRASHES),
    ),
    Scenario(
        "three_primaries_in_a_row",
        "A third failover while two nodes still come back must lose no acknowledged write",
        (_SERVER_CRASHES, _SERVER_CRASHES, _SERVER_CRASHES),
    ),
    Scenario(
        "haproxy_and_then_primary",
        "An endpoint that has just started must lead nobody to a primary that then crashes",
        (of_drill("kill_haproxy"), _SERVER_CRASHES),
    ),
)

_ONE_WITHIN_THE_OTHER = (
    Scenario(
        "keeper_frozen_and_primary_dies",
        "A primary that dies while keeper stands still must be replaced without it, and be lost by no write",
        (paused(FaultTarget.KEEPER), _PRIMARY_DIES),
        overlaps=True,
    ),
    Scenario(
        "etcd_leader_frozen_and_primary_crashes",
        "A primary that crashes while etcd's leader stands still must be replaced by one that has everything",
        (paused(FaultTarget.ETCD_LEADER), _SERVER_CRASHES),
        overlaps=True,
    ),
    Scenario(
        "standby_frozen_and_primary_crashes",
        "A primary that crashes while a standby is frozen must be replaced by the one that acknowledged",
        (paused(FaultTarget.STANDBY), _SERVER_CRASHES),
        overlaps=True,
    ),
    Scenario(
        "standby_dead_and_primary_crashes",
        "A primary that crashes while one standby is dead must be replaced by the one that acknowledged",
        (_STANDBY_DIES, _SERVER_CRASHES),
        overlaps=True,
    ),
    Scenario(
        "both_standbys_dead",
        "A primary without any standby must acknowledge nothing, and go on when one is back",
        (_STANDBY_DIES, _STANDBY_DIES),
        overlaps=True,
    ),
    Scenario(
        "both_standbys_frozen_and_primary_crashes",
        "A primary that crashes while nobody can acknowledge must lose nothing that it had acknowledged before",
        (paused(FaultTarget.STANDBY), paused(FaultTarget.STANDBY), _SERVER_CRASHES),
        overlaps=True,
    ),
    Scenario(
        "waiting_commits_cancelled",
        "A commit whose wait was cancelled must count as unknown; all that was acknowledged must outlive the primary",
        (
            paused(FaultTarget.STANDBY),
            paused(FaultTarget.STANDBY),
            act("pg_cancel_backend of all commits that wait", FaultTarget.PRIMARY, session_faults.CancelWaiting),
        ),
        (1.0, 2.0),
        overlaps=True,
    ),
    Scenario(
        "haproxy_frozen_and_primary_crashes",
        "An endpoint that thaws after a failover must lead no writer to the former primary",
        (paused(FaultTarget.HAPROXY), _SERVER_CRASHES),
        overlaps=True,
    ),
    Scenario(
        "pgpool_frozen_and_primary_crashes",
        "A Pgpool-II that thaws after a failover must double nothing and pass nothing to the former primary",
        (paused(FaultTarget.RW_ENDPOINT), _SERVER_CRASHES),
        overlaps=True,
    ),
    Scenario(
        "balanced_endpoint_frozen_and_primary_dies",
        "A balanced endpoint that thaws after a failover must not write to the former primary",
        (paused(FaultTarget.POOL_ENDPOINT), _PRIMARY_DIES),
        overlaps=True,
    ),
    Scenario(
        "patroni_frozen_and_server_crashes",
        "A server that crashes while its Patroni stands still must be replaced all the same",
        (frozen("the primary's Patroni", FaultTarget.PRIMARY, processes.patroni), _SERVER_CRASHES),
        overlaps=True,
    ),
    Scenario(
        "read_only_and_standby_die",
        "A read-only endpoint that starts while a standby is dead must show nothing too old",
        (
            _STANDBY_DIES,
            killed("the first process of the read-only endpoint", FaultTarget.RO_ENDPOINT, processes.first),
        ),
        overlaps=True,
    ),
)

SCENARIOS = (
    *_ONE_AFTER_THE_OTHER,
    *_ONE_WITHIN_THE_OTHER,
    Scenario(
        "kill_everything",
        "A loss of power must lose nothing that was acknowledged, and the cluster must come back by itself",
        (act("docker kill of every container at once", FaultTarget.EVERYTHING, containers.KillEverything),),
        recovers=ALL_RECOVER,
    ),
)
