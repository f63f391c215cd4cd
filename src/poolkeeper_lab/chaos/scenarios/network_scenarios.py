"""Components out of the network, cut off from etcd or from keeper, or on the smaller side of a split.

Invariant: clients connect from the host through the published ports, so they reach both sides of every cut.
"""

from __future__ import annotations

from poolkeeper_lab.chaos.scenarios import ends
from poolkeeper_lab.chaos.scenarios.between import PEER, cut, refused
from poolkeeper_lab.chaos.scenarios.scenario import (
    BEYOND_LEASE,
    BRIEF,
    INCOMING,
    NOTHING,
    OUTGOING,
    PROCESS,
    SHORT,
    WITHIN_LEASE,
    ScenarioStep,
    row,
    step,
)
from poolkeeper_lab.chaos.scenarios.targets import (
    BALANCED_ENDPOINT,
    ETCD_FOLLOWER,
    ETCD_LEADER,
    ETCD_MEMBERS,
    HAPROXY,
    KEEPER,
    PRIMARY,
    PRIMARY_SIDE,
    RW_ENDPOINT,
    STANDBY,
    STANDBY_SIDE,
    STANDBYS,
)
from poolkeeper_lab.faults import networks
from poolkeeper_lab.faults.fault_target import FaultTarget


def _disconnected(target: FaultTarget) -> ScenarioStep:
    return step(f"docker network disconnect of {target}", target, networks.LeaveNetwork)


OF_COMPONENTS = (
    row("disconnect_primary", _disconnected(PRIMARY), BEYOND_LEASE)
    >> "A primary that is out of the network beyond its lease must acknowledge nothing that its successor lacks",
    row("disconnect_primary_briefly", _disconnected(PRIMARY), BRIEF, NOTHING)
    >> "A primary that is out of the network for a moment must come back with all that it had acknowledged",
    row("disconnect_standby", _disconnected(STANDBY), SHORT, NOTHING)
    >> "A standby that is out of the network must cost no write, and must catch up when it is back",
    row("disconnect_both_standbys", _disconnected(STANDBYS), BRIEF, NOTHING)
    >> "A primary whose standbys are out of the network must acknowledge nothing until one is back",
    row("disconnect_etcd_leader", _disconnected(ETCD_LEADER), BRIEF, NOTHING)
    >> "A leader of etcd that is out of the network must not move the primary's role",
    row("disconnect_haproxy", _disconnected(HAPROXY), BRIEF, NOTHING)
    >> "An HAProxy that is out of the network must serve again on the same ports when it is back",
    row("disconnect_pgpool", _disconnected(RW_ENDPOINT), BRIEF, NOTHING)
    >> "A read-write endpoint's Pgpool-II that is out of the network must execute no statement twice when it is back",
    row("disconnect_pgpool_balanced", _disconnected(BALANCED_ENDPOINT), BRIEF, NOTHING)
    >> "A balanced endpoint that is out of the network must show no wrong view when it is back",
    row("disconnect_keeper", _disconnected(KEEPER), SHORT, NOTHING)
    >> "A keeper that is out of the network must not use outdated state",
)

OF_ETCD = (
    row("cut_primary_from_etcd", cut(PRIMARY, ends.ETCD), BEYOND_LEASE)
    >> "A primary that cannot renew its lease must not acknowledge writes beside its successor",
    row("cut_primary_from_etcd_briefly", cut(PRIMARY, ends.ETCD), BRIEF, NOTHING)
    >> "A primary that misses etcd for a moment must keep its role",
    row("refuse_etcd_to_primary", refused(PRIMARY, ends.ETCD), BRIEF, NOTHING)
    >> "A primary that etcd refuses for a moment must keep its role",
    row("primary_does_not_hear_etcd", cut(PRIMARY, ends.ETCD, INCOMING), SHORT, NOTHING)
    >> "A primary whose requests reach etcd and that receives no answer must have no rival",
    row("cut_standby_from_etcd", cut(STANDBY, ends.ETCD), WITHIN_LEASE, NOTHING)
    >> "A standby that cannot reach etcd must continue to acknowledge what it receives",
    row("cut_etcd_leader_from_next", cut(ETCD_LEADER, ends.ONE_FOLLOWER, of=PEER), SHORT, PROCESS)
    >> "An etcd cluster in which two members cannot reach each other must continue through the third",
    row("etcd_follower_does_not_hear", cut(ETCD_FOLLOWER, ends.OTHER_MEMBERS, INCOMING, PEER), SHORT, NOTHING)
    >> "A follower in etcd that can send but not receive must not depose the leader permanently",
    row("etcd_leader_is_not_heard", cut(ETCD_LEADER, ends.OTHER_MEMBERS, OUTGOING, PEER), SHORT, NOTHING)
    >> "A leader of etcd that can receive but not send must be replaced without moving the primary's role",
    row("etcd_members_apart", cut(ETCD_MEMBERS, ends.OTHER_MEMBERS, of=PEER), BRIEF, NOTHING)
    >> "An etcd cluster whose members are all cut off from each other for a while must remember the primary",
)

OF_KEEPER = (
    row("cut_keeper_from_primary", cut(PRIMARY, ends.KEEPER), SHORT, PROCESS)
    >> "A keeper that cannot reach the primary must not treat it as dead",
    row("cut_keeper_from_etcd", cut(KEEPER, ends.ETCD), SHORT, PROCESS)
    >> "A keeper that cannot reach etcd must do nothing",
    row("cut_keeper_from_haproxy", cut(KEEPER, ends.HAPROXY), SHORT, PROCESS)
    >> "A keeper that cannot reach HAProxy must correct its routes once it can",
    row("cut_keeper_from_balanced", cut(KEEPER, ends.BALANCED_ENDPOINT), SHORT, PROCESS)
    >> "A keeper that cannot reach Pgpool-II must repair Pgpool-II's view once it can",
    row("refuse_everything_to_keeper", refused(KEEPER, ends.ALL_OTHERS), SHORT, PROCESS)
    >> "A keeper whose every connection is refused must do nothing",
)

OF_SIDES = (
    row("primary_in_minority", cut(PRIMARY_SIDE, ends.OTHER_SIDE), BEYOND_LEASE)
    >> "A primary on the smaller side of a split must not acknowledge a write that the larger one lacks",
    row("standby_in_minority", cut(STANDBY_SIDE, ends.OTHER_SIDE), WITHIN_LEASE)
    >> "A standby on the smaller side of a split must delay no client, and catch up when the split ends",
    row("primary_in_minority_briefly", cut(PRIMARY_SIDE, ends.OTHER_SIDE), BRIEF, PROCESS)
    >> "A primary on the smaller side of a split that ends before its lease must keep its role",
)

SCENARIOS = (*OF_COMPONENTS, *OF_ETCD, *OF_KEEPER, *OF_SIDES)
