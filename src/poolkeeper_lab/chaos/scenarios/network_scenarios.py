"""Who is out of the network, cut off from etcd or from keeper, or on the smaller side of a split.

Invariant: clients come from the host by the published ports, so they reach all parties of a cut between parties.
"""

from __future__ import annotations

from poolkeeper.render.etcd_config import PEER_PORT
from poolkeeper_lab.chaos.scenarios.between import HEARS_NOT, IS_NOT_HEARD, cut, refused
from poolkeeper_lab.chaos.scenarios.scenario import (
    BEYOND_LEASE,
    BRIEF,
    NOTHING_RECOVERS,
    PROCESS_RECOVERS,
    SHORT,
    WITHIN_LEASE,
    Scenario,
    ScenarioStep,
    act,
)
from poolkeeper_lab.faults import networks, packets, peers
from poolkeeper_lab.faults.fault_target import FaultTarget


def _disconnected(target: FaultTarget) -> ScenarioStep:
    return act(f"docker network disconnect of {target}", target, networks.LeaveNetwork)


OF_WHOLE_PARTIES = (
    Scenario(
        "disconnect_primary",
        "A primary that is out of the network beyond its lease must acknowledge nothing that its successor lacks",
        (_disconnected(FaultTarget.PRIMARY),),
        BEYOND_LEASE,
    ),
    Scenario(
        "disconnect_primary_briefly",
        "A primary that is out of the network for a moment must come back with all that it had acknowledged",
        (_disconnected(FaultTarget.PRIMARY),),
        BRIEF,
        NOTHING_RECOVERS,
    ),
    Scenario(
        "disconnect_standby",
        "A standby that is out of the network must cost no write, and must catch up when it is back",
        (_disconnected(FaultTarget.STANDBY),),
        SHORT,
        NOTHING_RECOVERS,
    ),
    Scenario(
        "disconnect_both_standbys",
        "A primary whose standbys are out of the network must acknowledge nothing until one is back",
        (_disconnected(FaultTarget.STANDBYS),),
        BRIEF,
        NOTHING_RECOVERS,
    ),
    Scenario(
        "disconnect_etcd_leader",
        "A leader of etcd that is out of the network must not move the primary's role",
        (_disconnected(FaultTarget.ETCD_LEADER),),
        BRIEF,
        NOTHING_RECOVERS,
    ),
    Scenario(
        "disconnect_haproxy",
        "An endpoint that is out of the network must serve again on the same ports when it is back",
        (_disconnected(FaultTarget.HAPROXY),),
        BRIEF,
        NOTHING_RECOVERS,
    ),
    Scenario(
        "disconnect_pgpool",
        "A read-write endpoint's Pgpool-II that is out of the network must double no statement when it is back",
        (_disconnected(FaultTarget.RW_ENDPOINT),),
        BRIEF,
        NOTHING_RECOVERS,
    ),
    Scenario(
        "disconnect_pgpool_balanced",
        "A balanced endpoint that is out of the network must show no view that is wrong when it is back",
        (_disconnected(FaultTarget.POOL_ENDPOINT),),
        BRIEF,
        NOTHING_RECOVERS,
    ),
    Scenario(
        "disconnect_keeper",
        "A keeper that is out of the network must not act on what it knew before",
        (_disconnected(FaultTarget.KEEPER),),
        SHORT,
        NOTHING_RECOVERS,
    ),
)

OF_THE_STORE = (
    Scenario(
        "cut_primary_from_etcd",
        "A primary that cannot renew its lease must not acknowledge writes beside its successor",
        (cut("the primary and all of etcd", FaultTarget.PRIMARY, peers.etcd),),
        BEYOND_LEASE,
    ),
    Scenario(
        "cut_primary_from_etcd_briefly",
        "A primary that misses etcd for a moment must keep its role",
        (cut("the primary and all of etcd", FaultTarget.PRIMARY, peers.etcd),),
        BRIEF,
        NOTHING_RECOVERS,
    ),
    Scenario(
        "refuse_etcd_to_primary",
        "A primary that etcd refuses for a moment must keep its role",
        (refused("the primary and all of etcd", FaultTarget.PRIMARY, peers.etcd),),
        BRIEF,
        NOTHING_RECOVERS,
    ),
    Scenario(
        "primary_does_not_hear_etcd",
        "A primary whose requests arrive at etcd and whose answers do not must have no rival",
        (cut("all of etcd and the primary, what comes from etcd", FaultTarget.PRIMARY, peers.etcd, HEARS_NOT),),
        SHORT,
        NOTHING_RECOVERS,
    ),
    Scenario(
        "cut_standby_from_etcd",
        "A standby that misses etcd must go on acknowledging what it receives",
        (cut("a standby and all of etcd", FaultTarget.STANDBY, peers.etcd),),
        WITHIN_LEASE,
        NOTHING_RECOVERS,
    ),
    Scenario(
        "cut_etcd_leader_from_next",
        "A store in which two members do not hear each other must go on with the third between them",
        (cut("the leader of etcd and one follower", FaultTarget.ETCD_LEADER, peers.next_etcd, ports=(PEER_PORT,)),),
        SHORT,
        PROCESS_RECOVERS,
    ),
    Scenario(
        "etcd_follower_does_not_hear",
        "A follower in etcd that is heard and hears nothing must not depose the leader for good",
        (
            cut(
                "the other members of etcd and a follower, what is sent to it",
                FaultTarget.ETCD_FOLLOWER,
                peers.etcd,
                HEARS_NOT,
                (PEER_PORT,),
            ),
        ),
        SHORT,
        NOTHING_RECOVERS,
    ),
    Scenario(
        "etcd_leader_is_not_heard",
        "A leader of etcd that hears and is not heard must be replaced without moving the primary's role",
        (
            cut(
                "the leader of etcd and the other members, what it sends",
                FaultTarget.ETCD_LEADER,
                peers.etcd,
                IS_NOT_HEARD,
                (PEER_PORT,),
            ),
        ),
        SHORT,
        NOTHING_RECOVERS,
    ),
    Scenario(
        "etcd_members_apart",
        "A store whose members are all cut off from each other for a while must remember who leads",
        (cut("each member of etcd and the others", FaultTarget.ETCD_MEMBERS, peers.etcd, ports=(PEER_PORT,)),),
        BRIEF,
        NOTHING_RECOVERS,
    ),
)

OF_KEEPER = (
    Scenario(
        "cut_keeper_from_primary",
        "A keeper that does not reach the primary must not take it for dead",
        (cut("the primary and the keeper", FaultTarget.PRIMARY, peers.keeper),),
        SHORT,
        PROCESS_RECOVERS,
    ),
    Scenario(
        "cut_keeper_from_etcd",
        "A keeper that does not reach etcd must do nothing",
        (cut("the keeper and all of etcd", FaultTarget.KEEPER, peers.etcd),),
        SHORT,
        PROCESS_RECOVERS,
    ),
    Scenario(
        "cut_keeper_from_haproxy",
        "A keeper that does not reach HAProxy must bring its routes in order when it does",
        (cut("the keeper and HAProxy", FaultTarget.KEEPER, peers.haproxy),),
        SHORT,
        PROCESS_RECOVERS,
    ),
    Scenario(
        "cut_keeper_from_balanced",
        "A keeper that does not reach Pgpool-II must mend its view when it does",
        (cut("the keeper and the balanced endpoint's Pgpool-II", FaultTarget.KEEPER, peers.balanced_endpoint),),
        SHORT,
        PROCESS_RECOVERS,
    ),
    Scenario(
        "refuse_everything_to_keeper",
        "A keeper that everybody refuses must do nothing",
        (
            act(
                "refusal of every packet between the keeper and all others",
                FaultTarget.KEEPER,
                packets.RefusePackets,
            ),
        ),
        SHORT,
        PROCESS_RECOVERS,
    ),
)

OF_SIDES = (
    Scenario(
        "primary_in_minority",
        "A primary on the smaller side of a split must not acknowledge a write that the larger one lacks",
        (cut("the primary with a member of etcd, and all others", FaultTarget.PRIMARY_SIDE, peers.other_side),),
        BEYOND_LEASE,
    ),
    Scenario(
        "standby_in_minority",
        "A standby on the smaller side of a split must hold back nobody, and catch up when it is over",
        (cut("a standby with a member of etcd, and all others", FaultTarget.STANDBY_SIDE, peers.other_side),),
        WITHIN_LEASE,
    ),
    Scenario(
        "primary_in_minority_briefly",
        "A primary on the smaller side of a split that ends before its lease must keep its role",
        (cut("the primary with a member of etcd, and all others", FaultTarget.PRIMARY_SIDE, peers.other_side),),
        BRIEF,
        PROCESS_RECOVERS,
    ),
)

SCENARIOS = (*OF_WHOLE_PARTIES, *OF_THE_STORE, *OF_KEEPER, *OF_SIDES)
