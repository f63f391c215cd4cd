"""Two faults in sequence or one during the other, three in a row, and all containers at once."""

from __future__ import annotations

from poolkeeper_lab.chaos.scenarios.process_groups import FIRST, PATRONI
from poolkeeper_lab.chaos.scenarios.scenario import (
    ALL,
    AT_ONCE,
    SHORT,
    drill,
    frozen,
    killed,
    overlapping,
    paused,
    row,
    step,
)
from poolkeeper_lab.chaos.scenarios.targets import (
    BALANCED_ENDPOINT,
    ETCD_LEADER,
    EVERYTHING,
    HAPROXY,
    KEEPER,
    PRIMARY,
    RO_ENDPOINT,
    RW_ENDPOINT,
    STANDBY,
)
from poolkeeper_lab.faults import session_faults
from poolkeeper_lab.faults.containers import KillEverything

_PRIMARY_DIES, _SERVER_CRASHES = drill("kill_node"), drill("kill_postmaster")
_STANDBY_DIES, _SWITCHOVER = drill("kill_standby"), drill("switchover")
_STANDBYS_FROZEN = (paused(STANDBY), paused(STANDBY))
_COMMITS_CANCELLED = step("pg_cancel_backend of all commits that wait", PRIMARY, session_faults.CancelWaiting)

_IN_SEQUENCE = (
    row("primary_and_then_its_successor", (_PRIMARY_DIES, _SERVER_CRASHES))
    >> "A second failover while the first is being recovered from must lose no acknowledged write",
    row("standby_and_then_primary", (_STANDBY_DIES, _SERVER_CRASHES))
    >> "A primary that crashes while a standby comes back must be replaced by a node that has everything",
    row("standby_and_then_the_other", (_STANDBY_DIES, _STANDBY_DIES))
    >> "A second standby that dies while the first one comes back must cost no acknowledged write",
    row("keeper_and_then_primary", (drill("kill_keeper"), _SERVER_CRASHES))
    >> "A primary that crashes while keeper starts must still be replaced",
    row("etcd_leader_and_then_primary", (drill("kill_etcd_leader"), _SERVER_CRASHES))
    >> "A primary that crashes while etcd is short of a member must still be replaced",
    row("switchover_and_then_crash", (_SWITCHOVER, _SERVER_CRASHES))
    >> "A primary that crashes right after it took the role must be replaced by a node that has everything",
    row("three_primaries_in_a_row", (_SERVER_CRASHES, _SERVER_CRASHES, _SERVER_CRASHES))
    >> "A third failover while two nodes still come back must lose no acknowledged write",
    row("haproxy_and_then_primary", (drill("kill_haproxy"), _SERVER_CRASHES))
    >> "An HAProxy that has just started must route no client to a primary that then crashes",
)

_DURING_ANOTHER = (
    overlapping("keeper_frozen_and_primary_dies", (paused(KEEPER), _PRIMARY_DIES))
    >> "A primary that dies while keeper is frozen must be replaced without keeper, and no write may be lost",
    overlapping("etcd_leader_frozen_and_primary_crashes", (paused(ETCD_LEADER), _SERVER_CRASHES))
    >> "A primary that crashes while etcd's leader is frozen must be replaced by a node that has everything",
    overlapping("standby_frozen_and_primary_crashes", (paused(STANDBY), _SERVER_CRASHES))
    >> "A primary that crashes while a standby is frozen must be replaced by the one that acknowledged",
    overlapping("standby_dead_and_primary_crashes", (_STANDBY_DIES, _SERVER_CRASHES))
    >> "A primary that crashes while one standby is dead must be replaced by the one that acknowledged",
    overlapping("both_standbys_dead", (_STANDBY_DIES, _STANDBY_DIES))
    >> "A primary without any standby must acknowledge nothing, and continue when one is back",
    overlapping("both_standbys_frozen_and_primary_crashes", (*_STANDBYS_FROZEN, _SERVER_CRASHES))
    >> "A primary that crashes while no standby can acknowledge must lose nothing that it had acknowledged before",
    overlapping("waiting_commits_cancelled", (*_STANDBYS_FROZEN, _COMMITS_CANCELLED), AT_ONCE)
    >> "A commit whose wait was cancelled must count as unknown; all that was acknowledged must outlive the primary",
    overlapping("haproxy_frozen_and_primary_crashes", (paused(HAPROXY), _SERVER_CRASHES))
    >> "An HAProxy that thaws after a failover must route no writer to the former primary",
    overlapping("pgpool_frozen_and_primary_crashes", (paused(RW_ENDPOINT), _SERVER_CRASHES))
    >> "A Pgpool-II that thaws after a failover must execute nothing twice and pass nothing to the former primary",
    overlapping("balanced_endpoint_frozen_and_primary_dies", (paused(BALANCED_ENDPOINT), _PRIMARY_DIES))
    >> "A balanced endpoint that thaws after a failover must not write to the former primary",
    overlapping("patroni_frozen_and_server_crashes", (frozen(PRIMARY, PATRONI), _SERVER_CRASHES))
    >> "A server that crashes while its Patroni is frozen must still be replaced",
    overlapping("read_only_endpoint_and_standby_die", (_STANDBY_DIES, killed(RO_ENDPOINT, FIRST)))
    >> "A read-only endpoint that starts while a standby is dead must show nothing too old",
)

SCENARIOS = (
    *_IN_SEQUENCE,
    *_DURING_ANOTHER,
    row("kill_everything", step("docker kill of every container at once", EVERYTHING, KillEverything), SHORT, ALL)
    >> "A loss of power must lose nothing that was acknowledged, and the cluster must recover automatically",
)
