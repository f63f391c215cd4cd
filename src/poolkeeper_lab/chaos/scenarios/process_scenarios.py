"""Single processes end or stand still while all else goes on: of the server, Pgpool-II, HAProxy, etcd, keeper."""

from __future__ import annotations

import signal

from poolkeeper_lab.chaos.scenarios.scenario import (
    AT_ONCE,
    BRIEF,
    NOTHING_RECOVERS,
    PROCESS_RECOVERS,
    Scenario,
    asked_to_end,
    frozen,
    killed,
)
from poolkeeper_lab.faults import choices, processes
from poolkeeper_lab.faults.choices import of_server, one
from poolkeeper_lab.faults.fault_target import FaultTarget

OF_SESSIONS = (
    Scenario(
        "term_backend",
        "A session that is ended on the primary must leave its transaction whole or not at all",
        (asked_to_end("one process of a session of the primary", FaultTarget.PRIMARY, choices.backend),),
        AT_ONCE,
        NOTHING_RECOVERS,
    ),
    Scenario(
        "term_all_backends",
        "The end of all sessions of the primary must leave each transaction whole or not at all",
        (asked_to_end("every process of a session of the primary", FaultTarget.PRIMARY, choices.backends),),
        AT_ONCE,
        NOTHING_RECOVERS,
    ),
    Scenario(
        "term_all_backends_of_standby",
        "The end of all sessions of a standby must not let the next ones write or read too old a state",
        (asked_to_end("every process of a session of a standby", FaultTarget.STANDBY, choices.backends),),
        AT_ONCE,
        NOTHING_RECOVERS,
    ),
    Scenario(
        "kill_backend",
        "A primary that loses one session's process must lose nothing that any session had acknowledged",
        (killed("one process of a session of the primary", FaultTarget.PRIMARY, choices.backend),),
        AT_ONCE,
        PROCESS_RECOVERS,
    ),
    Scenario(
        "kill_backend_of_standby",
        "A standby that loses one session's process must come back with the same rows",
        (killed("one process of a session of a standby", FaultTarget.STANDBY, choices.backend),),
        AT_ONCE,
        PROCESS_RECOVERS,
    ),
    Scenario(
        "freeze_backend",
        "A session that stands still with its locks must hold up only who waits for them",
        (frozen("one process of a session of the primary", FaultTarget.PRIMARY, choices.backend),),
        BRIEF,
        NOTHING_RECOVERS,
    ),
    Scenario(
        "freeze_all_backends",
        "A primary whose sessions all stand still must finish each of them once when they go on",
        (frozen("every process of a session of the primary", FaultTarget.PRIMARY, choices.backends),),
        BRIEF,
        NOTHING_RECOVERS,
    ),
)

OF_SERVER = (
    Scenario(
        "kill_checkpointer",
        "A primary that loses its checkpointer must lose nothing that it had acknowledged",
        (killed("the primary's checkpointer", FaultTarget.PRIMARY, of_server("checkpointer")),),
        AT_ONCE,
        PROCESS_RECOVERS,
    ),
    Scenario(
        "freeze_checkpointer",
        "A checkpointer that stands still must hold up no session",
        (frozen("the primary's checkpointer", FaultTarget.PRIMARY, of_server("checkpointer")),),
        BRIEF,
        NOTHING_RECOVERS,
    ),
    Scenario(
        "kill_walwriter",
        "A primary that loses its WAL writer must lose nothing that it had acknowledged",
        (killed("the primary's WAL writer", FaultTarget.PRIMARY, of_server("walwriter")),),
        AT_ONCE,
        PROCESS_RECOVERS,
    ),
    Scenario(
        "freeze_walwriter",
        "A WAL writer that stands still must hold up no commit that waits for the disk by itself",
        (frozen("the primary's WAL writer", FaultTarget.PRIMARY, of_server("walwriter")),),
        BRIEF,
        NOTHING_RECOVERS,
    ),
    Scenario(
        "kill_standby_checkpointer",
        "A standby that loses its checkpointer must come back with the same rows",
        (killed("a standby's checkpointer", FaultTarget.STANDBY, of_server("checkpointer")),),
        AT_ONCE,
        PROCESS_RECOVERS,
    ),
    Scenario(
        "kill_startup_process",
        "A standby whose replay is killed must come back with the same rows",
        (killed("a standby's startup process", FaultTarget.STANDBY, of_server("startup")),),
        AT_ONCE,
    ),
    Scenario(
        "freeze_startup_process",
        "A standby that receives and does not replay must still hold every commit that it acknowledged",
        (frozen("a standby's startup process", FaultTarget.STANDBY, of_server("startup")),),
        BRIEF,
        NOTHING_RECOVERS,
    ),
    Scenario(
        "freeze_both_startup_processes",
        "A cluster whose standbys do not replay must go on writing, and no session may read back in time",
        (frozen("every standby's startup process", FaultTarget.STANDBYS, of_server("startup")),),
        BRIEF,
        NOTHING_RECOVERS,
    ),
    Scenario(
        "int_postmaster",
        "A primary that is shut down past Patroni must hand over all that it had acknowledged",
        (
            asked_to_end(
                "the primary's postmaster: a fast shutdown", FaultTarget.PRIMARY, processes.postmaster, signal.SIGINT
            ),
        ),
        BRIEF,
    ),
    Scenario(
        "quit_postmaster",
        "A primary that is shut down at once past Patroni must be replaced without losing a write",
        (
            asked_to_end(
                "the primary's postmaster: an immediate shutdown",
                FaultTarget.PRIMARY,
                processes.postmaster,
                signal.SIGQUIT,
            ),
        ),
        BRIEF,
    ),
)

OF_REPLICATION = (
    Scenario(
        "kill_walsender",
        "A primary that loses a process of replication must lose nothing that it had acknowledged",
        (killed("one WAL sender of the primary", FaultTarget.PRIMARY, one(of_server("walsender"))),),
        AT_ONCE,
        PROCESS_RECOVERS,
    ),
    Scenario(
        "term_walsenders",
        "A primary whose replication is cut off must acknowledge nothing until a standby is back",
        (asked_to_end("every WAL sender of the primary", FaultTarget.PRIMARY, of_server("walsender")),),
        AT_ONCE,
        NOTHING_RECOVERS,
    ),
    Scenario(
        "freeze_walsender",
        "A WAL sender that stands still must hold back no commit, as the other standby acknowledges",
        (frozen("one WAL sender of the primary", FaultTarget.PRIMARY, one(of_server("walsender"))),),
        BRIEF,
        NOTHING_RECOVERS,
    ),
    Scenario(
        "freeze_walsenders",
        "A primary that sends no WAL must acknowledge nothing meanwhile",
        (frozen("every WAL sender of the primary", FaultTarget.PRIMARY, of_server("walsender")),),
        BRIEF,
        NOTHING_RECOVERS,
    ),
    Scenario(
        "kill_walreceiver",
        "A standby that loses its WAL receiver must come back with the same rows",
        (
            killed(
                "the WAL receiver of the standby that acknowledges",
                FaultTarget.QUORUM_STANDBY,
                of_server("walreceiver"),
            ),
        ),
        AT_ONCE,
    ),
    Scenario(
        "term_walreceiver",
        "A standby whose WAL receiver is ended must connect again and lack nothing",
        (asked_to_end("the WAL receiver of a standby", FaultTarget.STANDBY, of_server("walreceiver")),),
        AT_ONCE,
        NOTHING_RECOVERS,
    ),
    Scenario(
        "freeze_walreceiver",
        "A commit must be acknowledged by the other standby when the one that is first stands still",
        (
            frozen(
                "the WAL receiver of the standby that acknowledges",
                FaultTarget.QUORUM_STANDBY,
                of_server("walreceiver"),
            ),
        ),
        BRIEF,
        NOTHING_RECOVERS,
    ),
    Scenario(
        "freeze_walreceivers",
        "A primary that no standby answers must acknowledge nothing meanwhile",
        (frozen("every standby's WAL receiver", FaultTarget.STANDBYS, of_server("walreceiver")),),
        BRIEF,
        NOTHING_RECOVERS,
    ),
    Scenario(
        "kill_quorum_standby",
        "A commit must be acknowledged by the other standby when the one that is first crashes",
        (killed("the postmaster of the standby that acknowledges", FaultTarget.QUORUM_STANDBY, processes.postmaster),),
        AT_ONCE,
    ),
    Scenario(
        "kill_both_standbys",
        "A primary that lost all standbys must acknowledge nothing until one is back",
        (killed("every standby's postmaster", FaultTarget.STANDBYS, processes.postmaster),),
        AT_ONCE,
    ),
)

OF_ENDPOINTS = (
    Scenario(
        "kill_pgpool_child",
        "A Pgpool-II that loses a session's process must not double its statement",
        (
            killed(
                "one process of a session of the read-write endpoint's Pgpool-II",
                FaultTarget.RW_ENDPOINT,
                choices.pool_session,
            ),
        ),
        AT_ONCE,
        NOTHING_RECOVERS,
    ),
    Scenario(
        "kill_pgpool_children",
        "A Pgpool-II that loses all its children must make new ones, and double no statement",
        (
            killed(
                "every child for sessions of the read-write endpoint's Pgpool-II",
                FaultTarget.RW_ENDPOINT,
                choices.pool_children,
            ),
        ),
        AT_ONCE,
        NOTHING_RECOVERS,
    ),
    Scenario(
        "kill_pgpool_balanced_children",
        "A balanced endpoint that loses all its children must lose no write that they had passed on",
        (
            killed(
                "every child for sessions of the balanced endpoint's Pgpool-II",
                FaultTarget.POOL_ENDPOINT,
                choices.pool_children,
            ),
        ),
        AT_ONCE,
        PROCESS_RECOVERS,
    ),
    Scenario(
        "freeze_pgpool_child",
        "A statement that waits in a frozen child of Pgpool-II must take effect once or not at all",
        (
            frozen(
                "one process of a session of the read-write endpoint's Pgpool-II",
                FaultTarget.RW_ENDPOINT,
                choices.pool_session,
            ),
        ),
        BRIEF,
        NOTHING_RECOVERS,
    ),
    Scenario(
        "freeze_pgpool_parent",
        "A Pgpool-II whose parent stands still must go on serving its sessions",
        (
            frozen(
                "the parent process of the read-write endpoint's Pgpool-II", FaultTarget.RW_ENDPOINT, processes.first
            ),
        ),
        BRIEF,
        NOTHING_RECOVERS,
    ),
    Scenario(
        "freeze_pgpool_balanced_parent",
        "A balanced endpoint whose parent process stands still must show no view that is wrong when it goes on",
        (
            frozen(
                "the parent process of the balanced endpoint's Pgpool-II", FaultTarget.POOL_ENDPOINT, processes.first
            ),
        ),
        BRIEF,
        PROCESS_RECOVERS,
    ),
    Scenario(
        "int_pgpool",
        "A read-write endpoint's Pgpool-II that ends in order must cost no more than its sessions",
        (asked_to_end("the read-write endpoint's Pgpool-II", FaultTarget.RW_ENDPOINT, processes.first, signal.SIGINT),),
        AT_ONCE,
        PROCESS_RECOVERS,
    ),
    Scenario(
        "kill_haproxy_worker",
        "The death of HAProxy's worker must cost no more than sessions",
        (killed("HAProxy's worker", FaultTarget.HAPROXY, choices.below_first),),
        AT_ONCE,
        PROCESS_RECOVERS,
    ),
    Scenario(
        "freeze_haproxy_worker",
        "A statement that waits in HAProxy's frozen worker must take effect once or not at all",
        (frozen("HAProxy's worker", FaultTarget.HAPROXY, choices.below_first),),
        BRIEF,
        PROCESS_RECOVERS,
    ),
    Scenario(
        "term_haproxy",
        "An endpoint that is asked to end must be open again by itself, or by what heals it, and lose no write",
        (asked_to_end("HAProxy's first process", FaultTarget.HAPROXY, processes.first),),
        AT_ONCE,
        PROCESS_RECOVERS,
    ),
)

OF_DECIDERS = (
    Scenario(
        "term_etcd_leader",
        "A leader of etcd that ends in order must not move the primary's role",
        (asked_to_end("the member of etcd that leads", FaultTarget.ETCD_LEADER, processes.first),),
        AT_ONCE,
        PROCESS_RECOVERS,
    ),
    Scenario(
        "kill_etcd_follower",
        "The death of a follower in etcd must not change what any client sees",
        (killed("the first process of a follower in etcd", FaultTarget.ETCD_FOLLOWER, processes.first),),
        AT_ONCE,
        PROCESS_RECOVERS,
    ),
    Scenario(
        "freeze_etcd_follower",
        "A follower in etcd that stands still must not move the primary's role",
        (frozen("a follower in etcd", FaultTarget.ETCD_FOLLOWER, processes.first),),
        BRIEF,
        NOTHING_RECOVERS,
    ),
    Scenario(
        "freeze_etcd_followers",
        "A store without a quorum for a while must not move the primary's role",
        (frozen("every follower in etcd", FaultTarget.ETCD_FOLLOWERS, processes.first),),
        BRIEF,
        PROCESS_RECOVERS,
    ),
    Scenario(
        "kill_etcd_followers",
        "A store that loses its quorum and gets it back must remember who leads",
        (killed("the first process of every follower in etcd", FaultTarget.ETCD_FOLLOWERS, processes.first),),
        AT_ONCE,
        PROCESS_RECOVERS,
    ),
    Scenario(
        "term_patroni",
        "A primary whose Patroni ends in order must hand over all that it had acknowledged",
        (asked_to_end("the primary's Patroni", FaultTarget.PRIMARY, processes.patroni),),
        BRIEF,
    ),
    Scenario(
        "kill_standby_patroni",
        "The death of a standby's Patroni must not change what any client sees",
        (killed("a standby's Patroni", FaultTarget.STANDBY, processes.patroni),),
        AT_ONCE,
        PROCESS_RECOVERS,
    ),
    Scenario(
        "term_keeper",
        "A keeper that ends in order must leave everything as it was",
        (asked_to_end("the keeper's first process", FaultTarget.KEEPER, processes.first),),
        AT_ONCE,
        PROCESS_RECOVERS,
    ),
)

SCENARIOS = (*OF_SESSIONS, *OF_SERVER, *OF_REPLICATION, *OF_ENDPOINTS, *OF_DECIDERS)
