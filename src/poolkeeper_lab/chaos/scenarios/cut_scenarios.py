"""Replication and the endpoints cut off from one another, silently, with a refusal, or one way only.

Invariant: clients come from the host by the published ports, so they reach all parties of a cut between parties.
"""

from __future__ import annotations

from poolkeeper.render.patroni_config import REST_PORT
from poolkeeper_lab.chaos.scenarios.between import HEARS_NOT, IS_NOT_HEARD, SERVER_PORT, cut, refused, reset
from poolkeeper_lab.chaos.scenarios.scenario import BRIEF, NOTHING_RECOVERS, SHORT, WITHIN_LEASE, Scenario
from poolkeeper_lab.faults import peers
from poolkeeper_lab.faults.fault_target import FaultTarget

OF_REPLICATION = (
    Scenario(
        "cut_replication_of_one",
        "A commit must be acknowledged by the other standby when the one that is first is cut off",
        (
            cut(
                "the standby that acknowledges and the other nodes' servers",
                FaultTarget.QUORUM_STANDBY,
                peers.nodes,
                ports=(SERVER_PORT,),
            ),
        ),
        SHORT,
        NOTHING_RECOVERS,
    ),
    Scenario(
        "cut_replication_of_both",
        "A primary that no standby hears must acknowledge nothing meanwhile, and all of it afterwards",
        (cut("the primary's server and both standbys", FaultTarget.PRIMARY, peers.nodes, ports=(SERVER_PORT,)),),
        SHORT,
        NOTHING_RECOVERS,
    ),
    Scenario(
        "standbys_are_not_heard",
        "A primary that hears no acknowledgement must give none, though the standbys have it all",
        (
            cut(
                "both standbys and the primary's server, what they send",
                FaultTarget.PRIMARY,
                peers.nodes,
                HEARS_NOT,
                (SERVER_PORT,),
            ),
        ),
        SHORT,
        NOTHING_RECOVERS,
    ),
    Scenario(
        "standbys_do_not_hear",
        "A primary whose WAL does not arrive must acknowledge nothing, though it is answered",
        (
            cut(
                "the primary's server and both standbys, what it sends",
                FaultTarget.PRIMARY,
                peers.nodes,
                IS_NOT_HEARD,
                (SERVER_PORT,),
            ),
        ),
        SHORT,
        NOTHING_RECOVERS,
    ),
    Scenario(
        "reset_replication",
        "A standby whose connection is reset again and again must lack nothing when it gets one",
        (reset("the primary's server and one standby", FaultTarget.PRIMARY, peers.next_node, SERVER_PORT),),
        SHORT,
        NOTHING_RECOVERS,
    ),
    Scenario(
        "cut_primary_from_nodes",
        "A primary that no other node hears, and that etcd hears, must keep its role",
        (cut("the primary and the other nodes", FaultTarget.PRIMARY, peers.nodes),),
        SHORT,
        NOTHING_RECOVERS,
    ),
)

OF_ENDPOINTS = (
    Scenario(
        "cut_primary_from_haproxy",
        "A primary that the endpoint does not reach must keep its role, and lose no write that it acknowledged",
        (cut("the primary and HAProxy", FaultTarget.PRIMARY, peers.haproxy),),
        WITHIN_LEASE,
        NOTHING_RECOVERS,
    ),
    Scenario(
        "primary_is_not_heard_by_haproxy",
        "A statement whose answer does not reach the endpoint must take effect once or not at all",
        (cut("the primary and HAProxy, what the primary sends", FaultTarget.PRIMARY, peers.haproxy, IS_NOT_HEARD),),
        SHORT,
        NOTHING_RECOVERS,
    ),
    Scenario(
        "cut_checks_of_primary",
        "A primary whose check alone is not answered for a moment must be served all the while",
        (cut("HAProxy and the primary's Patroni", FaultTarget.PRIMARY, peers.haproxy, ports=(REST_PORT,)),),
        SHORT,
        NOTHING_RECOVERS,
    ),
    Scenario(
        "reset_checks_of_primary",
        "A primary that the endpoint took out by its check must be served again as soon as that passes",
        (reset("HAProxy and the primary's Patroni", FaultTarget.PRIMARY, peers.haproxy, REST_PORT),),
        WITHIN_LEASE,
        NOTHING_RECOVERS,
    ),
    Scenario(
        "cut_server_of_primary",
        "A primary whose check passes and whose server is out of reach must double no statement",
        (cut("HAProxy and the primary's server", FaultTarget.PRIMARY, peers.haproxy, ports=(SERVER_PORT,)),),
        SHORT,
        NOTHING_RECOVERS,
    ),
    Scenario(
        "reset_sessions_of_primary",
        "A session that is reset between the endpoint and the primary must leave its transaction whole or not at all",
        (reset("HAProxy and the primary's server", FaultTarget.PRIMARY, peers.haproxy, SERVER_PORT),),
        BRIEF,
        NOTHING_RECOVERS,
    ),
    Scenario(
        "cut_standby_from_haproxy",
        "A standby that the endpoint does not reach must serve no read that is too old when it does",
        (cut("a standby and HAProxy", FaultTarget.STANDBY, peers.haproxy),),
        SHORT,
        NOTHING_RECOVERS,
    ),
    Scenario(
        "reset_checks_of_standbys",
        "A read-only endpoint whose checks all fail must refuse reads, and serve none that is too old afterwards",
        (reset("HAProxy and every standby's Patroni", FaultTarget.STANDBYS, peers.haproxy, REST_PORT),),
        WITHIN_LEASE,
        NOTHING_RECOVERS,
    ),
    Scenario(
        "cut_pgpool_from_haproxy",
        "A statement that waits between HAProxy and Pgpool-II must take effect once or not at all",
        (cut("the read-write endpoint's Pgpool-II and HAProxy", FaultTarget.RW_ENDPOINT, peers.haproxy),),
        SHORT,
        NOTHING_RECOVERS,
    ),
    Scenario(
        "refuse_haproxy_to_pgpool",
        "An endpoint whose Pgpool-II is refused by HAProxy must serve again as soon as it is not",
        (refused("the read-write endpoint's Pgpool-II and HAProxy", FaultTarget.RW_ENDPOINT, peers.haproxy),),
        BRIEF,
        NOTHING_RECOVERS,
    ),
    Scenario(
        "cut_pgpool_ro_from_haproxy",
        "A read that waits between HAProxy and Pgpool-II must not go back in time",
        (cut("the read-only endpoint's Pgpool-II and HAProxy", FaultTarget.RO_ENDPOINT, peers.haproxy),),
        SHORT,
        NOTHING_RECOVERS,
    ),
    Scenario(
        "cut_balanced_from_primary",
        "A balanced endpoint that does not reach the primary must not take a standby for it",
        (cut("the primary and the balanced endpoint's Pgpool-II", FaultTarget.PRIMARY, peers.balanced_endpoint),),
        SHORT,
        NOTHING_RECOVERS,
    ),
    Scenario(
        "cut_balanced_from_nodes",
        "A balanced endpoint that reaches no node must have all of them again when it does",
        (cut("the balanced endpoint's Pgpool-II and every node", FaultTarget.POOL_ENDPOINT, peers.nodes),),
        SHORT,
        NOTHING_RECOVERS,
    ),
)

SCENARIOS = (*OF_REPLICATION, *OF_ENDPOINTS)
