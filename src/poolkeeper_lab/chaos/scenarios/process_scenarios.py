"""Single processes of PostgreSQL, Pgpool-II, HAProxy, etcd or keeper end or are frozen; all others continue."""

from __future__ import annotations

import signal

from poolkeeper_lab.chaos.scenarios.scenario import AT_ONCE, BRIEF, NODE, NOTHING, PROCESS, ended, frozen, killed, row
from poolkeeper_lab.chaos.scenarios.targets import (
    BALANCED_ENDPOINT,
    ETCD_FOLLOWER,
    ETCD_FOLLOWERS,
    ETCD_LEADER,
    HAPROXY,
    KEEPER,
    PRIMARY,
    QUORUM_STANDBY,
    RW_ENDPOINT,
    STANDBY,
    STANDBYS,
)
from poolkeeper_lab.faults import choices, processes
from poolkeeper_lab.faults.choices import of_server, one

# Ruff would give each argument a line of its own.
# fmt: off
OF_SESSIONS = (
    row("term_backend", ended("one session process of the primary", PRIMARY, choices.backend), AT_ONCE, NOTHING,
        "A session that is ended on the primary must leave its transaction complete or not applied"),
    row("term_all_backends", ended("every session process of the primary", PRIMARY, choices.backends), AT_ONCE, NOTHING,
        "The end of all sessions of the primary must leave each transaction complete or not applied"),
    row("term_all_backends_of_standby", ended("every session process of a standby", STANDBY, choices.backends), AT_ONCE,
        NOTHING, "The end of all sessions of a standby must not let the next ones write or read too old a state"),
    row("kill_backend", killed("one session process of the primary", PRIMARY, choices.backend), AT_ONCE, PROCESS,
        "A primary that loses one session's process must lose nothing that any session had acknowledged"),
    row("kill_backend_of_standby", killed("one session process of a standby", STANDBY, choices.backend), AT_ONCE,
        PROCESS, "A standby that loses one session's process must come back with the same rows"),
    row("freeze_backend", frozen("one session process of the primary", PRIMARY, choices.backend), BRIEF, NOTHING,
        "A frozen session that holds locks must delay only the sessions that wait for these locks"),
    row("freeze_all_backends", frozen("every session process of the primary", PRIMARY, choices.backends), BRIEF,
        NOTHING, "A primary whose sessions are all frozen must finish each of them once when they continue"),
)

OF_SERVER = (
    row("kill_checkpointer", killed("the primary's checkpointer", PRIMARY, of_server("checkpointer")), AT_ONCE, PROCESS,
        "A primary that loses its checkpointer must lose nothing that it had acknowledged"),
    row("freeze_checkpointer", frozen("the primary's checkpointer", PRIMARY, of_server("checkpointer")), BRIEF, NOTHING,
        "A frozen checkpointer must delay no session"),
    row("kill_walwriter", killed("the primary's WAL writer", PRIMARY, of_server("walwriter")), AT_ONCE, PROCESS,
        "A primary that loses its WAL writer must lose nothing that it had acknowledged"),
    row("freeze_walwriter", frozen("the primary's WAL writer", PRIMARY, of_server("walwriter")), BRIEF, NOTHING,
        "A frozen WAL writer must delay no commit that flushes to disk without it"),
    row("kill_standby_checkpointer", killed("a standby's checkpointer", STANDBY, of_server("checkpointer")), AT_ONCE,
        PROCESS, "A standby that loses its checkpointer must come back with the same rows"),
    row("kill_startup_process", killed("a standby's startup process", STANDBY, of_server("startup")), AT_ONCE, NODE,
        "A standby whose replay is killed must come back with the same rows"),
    row("freeze_startup_process", frozen("a standby's startup process", STANDBY, of_server("startup")), BRIEF, NOTHING,
        "A standby that receives and does not replay must still hold every commit that it acknowledged"),
    row("freeze_both_startup_processes", frozen("every standby's startup process", STANDBYS, of_server("startup")),
        BRIEF, NOTHING,
        "A cluster whose standbys do not replay must continue to write, and no session may read back in time"),
    row("int_postmaster",
        ended("the primary's postmaster: a fast shutdown", PRIMARY, processes.postmaster, signal.SIGINT), BRIEF, NODE,
        "A primary that is shut down without Patroni must hand over all that it had acknowledged"),
    row("quit_postmaster",
        ended("the primary's postmaster: an immediate shutdown", PRIMARY, processes.postmaster, signal.SIGQUIT), BRIEF,
        NODE, "A primary that is shut down immediately, without Patroni, must be replaced without losing a write"),
)

OF_REPLICATION = (
    row("kill_walsender", killed("one WAL sender of the primary", PRIMARY, one(of_server("walsender"))), AT_ONCE,
        PROCESS, "A primary that loses a process of replication must lose nothing that it had acknowledged"),
    row("term_walsenders", ended("every WAL sender of the primary", PRIMARY, of_server("walsender")), AT_ONCE, NOTHING,
        "A primary whose replication is cut off must acknowledge nothing until a standby is back"),
    row("freeze_walsender", frozen("one WAL sender of the primary", PRIMARY, one(of_server("walsender"))), BRIEF,
        NOTHING, "A frozen WAL sender must hold back no commit, as the other standby acknowledges"),
    row("freeze_walsenders", frozen("every WAL sender of the primary", PRIMARY, of_server("walsender")), BRIEF, NOTHING,
        "A primary that sends no WAL must acknowledge nothing meanwhile"),
    row("kill_walreceiver", killed("the WAL receiver of the first standby", QUORUM_STANDBY, of_server("walreceiver")),
        AT_ONCE, NODE, "A standby that loses its WAL receiver must come back with the same rows"),
    row("term_walreceiver", ended("the WAL receiver of a standby", STANDBY, of_server("walreceiver")), AT_ONCE, NOTHING,
        "A standby whose WAL receiver is ended must connect again and lack nothing"),
    row("freeze_walreceiver", frozen("the WAL receiver of the first standby", QUORUM_STANDBY, of_server("walreceiver")),
        BRIEF, NOTHING,
        "A commit must be acknowledged by the other standby when the first one's WAL receiver is frozen"),
    row("freeze_walreceivers", frozen("every standby's WAL receiver", STANDBYS, of_server("walreceiver")), BRIEF,
        NOTHING, "A primary that no standby answers must acknowledge nothing meanwhile"),
    row("kill_quorum_standby", killed("the postmaster of the first standby", QUORUM_STANDBY, processes.postmaster),
        AT_ONCE, NODE, "A commit must be acknowledged by the other standby when the first one crashes"),
    row("kill_both_standbys", killed("every standby's postmaster", STANDBYS, processes.postmaster), AT_ONCE, NODE,
        "A primary that lost all standbys must acknowledge nothing until one is back"),
)

OF_ENDPOINTS = (
    row("kill_pgpool_child",
        killed("one session process of the read-write endpoint's Pgpool-II", RW_ENDPOINT, choices.pool_session),
        AT_ONCE, NOTHING, "A Pgpool-II that loses a session's process must not execute its statement twice"),
    row("kill_pgpool_children",
        killed("every child for sessions of the read-write endpoint's Pgpool-II", RW_ENDPOINT, choices.pool_children),
        AT_ONCE, NOTHING,
        "A Pgpool-II that loses all its children must start new ones, and execute no statement twice"),
    row("kill_pgpool_balanced_children",
        killed("every child for sessions of the balanced endpoint's Pgpool-II", BALANCED_ENDPOINT,
               choices.pool_children), AT_ONCE, PROCESS,
        "A balanced endpoint that loses all its children must lose no write that they had passed on"),
    row("freeze_pgpool_child",
        frozen("one session process of the read-write endpoint's Pgpool-II", RW_ENDPOINT, choices.pool_session), BRIEF,
        NOTHING, "A statement that waits in a frozen child of Pgpool-II must take effect once or not at all"),
    row("freeze_pgpool_parent",
        frozen("the parent process of the read-write endpoint's Pgpool-II", RW_ENDPOINT, processes.first), BRIEF,
        NOTHING, "A Pgpool-II whose parent is frozen must continue to serve its sessions"),
    row("freeze_pgpool_balanced_parent",
        frozen("the parent process of the balanced endpoint's Pgpool-II", BALANCED_ENDPOINT, processes.first), BRIEF,
        PROCESS, "A balanced endpoint whose parent process is frozen must show no wrong view when it continues"),
    row("int_pgpool", ended("the read-write endpoint's Pgpool-II", RW_ENDPOINT, processes.first, signal.SIGINT),
        AT_ONCE, PROCESS, "A read-write endpoint's Pgpool-II that exits cleanly must cost no more than its sessions"),
    row("kill_haproxy_worker", killed("HAProxy's worker", HAPROXY, choices.below_first), AT_ONCE, PROCESS,
        "The death of HAProxy's worker must cost no more than sessions"),
    row("freeze_haproxy_worker", frozen("HAProxy's worker", HAPROXY, choices.below_first), BRIEF, PROCESS,
        "A statement that waits in HAProxy's frozen worker must take effect once or not at all"),
    row("term_haproxy", ended("HAProxy's first process", HAPROXY, processes.first), AT_ONCE, PROCESS,
        "An HAProxy that is asked to exit must open again, automatically or by its healing, and lose no write"),
)

OF_CONTROL_PLANE = (
    row("term_etcd_leader", ended("the leader of etcd", ETCD_LEADER, processes.first), AT_ONCE, PROCESS,
        "A leader of etcd that exits cleanly must not move the primary's role"),
    row("kill_etcd_follower", killed("the first process of a follower in etcd", ETCD_FOLLOWER, processes.first),
        AT_ONCE, PROCESS, "The death of a follower in etcd must not change what any client sees"),
    row("freeze_etcd_follower", frozen("a follower in etcd", ETCD_FOLLOWER, processes.first), BRIEF, NOTHING,
        "A frozen follower in etcd must not move the primary's role"),
    row("freeze_etcd_followers", frozen("every follower in etcd", ETCD_FOLLOWERS, processes.first), BRIEF, PROCESS,
        "An etcd cluster without a quorum for a while must not move the primary's role"),
    row("kill_etcd_followers", killed("the first process of every follower in etcd", ETCD_FOLLOWERS, processes.first),
        AT_ONCE, PROCESS, "An etcd cluster that loses its quorum and regains it must remember the primary"),
    row("term_patroni", ended("the primary's Patroni", PRIMARY, processes.patroni), BRIEF, NODE,
        "A primary whose Patroni exits cleanly must hand over all that it had acknowledged"),
    row("kill_standby_patroni", killed("a standby's Patroni", STANDBY, processes.patroni), AT_ONCE, PROCESS,
        "The death of a standby's Patroni must not change what any client sees"),
    row("term_keeper", ended("the keeper's first process", KEEPER, processes.first), AT_ONCE, PROCESS,
        "A keeper that exits cleanly must leave everything as it was"),
)

SCENARIOS = (*OF_SESSIONS, *OF_SERVER, *OF_REPLICATION, *OF_ENDPOINTS, *OF_CONTROL_PLANE)
# fmt: on
