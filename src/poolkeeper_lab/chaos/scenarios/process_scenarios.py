"""Single processes of PostgreSQL, Pgpool-II, HAProxy, etcd or keeper end or are frozen; all others continue."""

from __future__ import annotations

import signal

from poolkeeper_lab.chaos.scenarios.process_groups import (
    BACKEND,
    BACKENDS,
    CHECKPOINTER,
    FIRST,
    PARENT,
    PATRONI,
    POOL_CHILDREN,
    POOL_SESSION,
    POSTMASTER,
    STARTUP,
    WAL_RECEIVER,
    WAL_SENDER,
    WAL_SENDERS,
    WAL_WRITER,
    WORKER,
)
from poolkeeper_lab.chaos.scenarios.scenario import AT_ONCE, BRIEF, NOTHING, PROCESS, ended, frozen, killed, row
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

OF_SESSIONS = (
    row("term_backend", ended(PRIMARY, BACKEND), AT_ONCE, NOTHING)
    >> "A session that is ended on the primary must leave its transaction complete or not applied",
    row("term_all_backends", ended(PRIMARY, BACKENDS), AT_ONCE, NOTHING)
    >> "The end of all sessions of the primary must leave each transaction complete or not applied",
    row("term_all_backends_of_standby", ended(STANDBY, BACKENDS), AT_ONCE, NOTHING)
    >> "The end of all sessions of a standby must not let the next ones write or read too old a state",
    row("kill_backend", killed(PRIMARY, BACKEND), AT_ONCE, PROCESS)
    >> "A primary that loses one session's process must lose nothing that any session had acknowledged",
    row("kill_backend_of_standby", killed(STANDBY, BACKEND), AT_ONCE, PROCESS)
    >> "A standby that loses one session's process must come back with the same rows",
    row("freeze_backend", frozen(PRIMARY, BACKEND), BRIEF, NOTHING)
    >> "A frozen session that holds locks must delay only the sessions that wait for these locks",
    row("freeze_all_backends", frozen(PRIMARY, BACKENDS), BRIEF, NOTHING)
    >> "A primary whose sessions are all frozen must finish each of them once when they continue",
)

OF_SERVER = (
    row("kill_checkpointer", killed(PRIMARY, CHECKPOINTER), AT_ONCE, PROCESS)
    >> "A primary that loses its checkpointer must lose nothing that it had acknowledged",
    row("freeze_checkpointer", frozen(PRIMARY, CHECKPOINTER), BRIEF, NOTHING)
    >> "A frozen checkpointer must delay no session",
    row("kill_walwriter", killed(PRIMARY, WAL_WRITER), AT_ONCE, PROCESS)
    >> "A primary that loses its WAL writer must lose nothing that it had acknowledged",
    row("freeze_walwriter", frozen(PRIMARY, WAL_WRITER), BRIEF, NOTHING)
    >> "A frozen WAL writer must delay no commit that flushes to disk without it",
    row("kill_standby_checkpointer", killed(STANDBY, CHECKPOINTER), AT_ONCE, PROCESS)
    >> "A standby that loses its checkpointer must come back with the same rows",
    row("kill_startup_process", killed(STANDBY, STARTUP), AT_ONCE)
    >> "A standby whose replay is killed must come back with the same rows",
    row("freeze_startup_process", frozen(STANDBY, STARTUP), BRIEF, NOTHING)
    >> "A standby that receives and does not replay must still hold every commit that it acknowledged",
    row("freeze_both_startup_processes", frozen(STANDBYS, STARTUP), BRIEF, NOTHING)
    >> "A cluster whose standbys do not replay must continue to write, and no session may read back in time",
    row("int_postmaster", ended(PRIMARY, POSTMASTER, signal.SIGINT, "a fast shutdown"), BRIEF)
    >> "A primary that is shut down without Patroni must hand over all that it had acknowledged",
    row("quit_postmaster", ended(PRIMARY, POSTMASTER, signal.SIGQUIT, "an immediate shutdown"), BRIEF)
    >> "A primary that is shut down immediately, without Patroni, must be replaced without losing a write",
)

OF_REPLICATION = (
    row("kill_walsender", killed(PRIMARY, WAL_SENDER), AT_ONCE, PROCESS)
    >> "A primary that loses a process of replication must lose nothing that it had acknowledged",
    row("term_walsenders", ended(PRIMARY, WAL_SENDERS), AT_ONCE, NOTHING)
    >> "A primary whose replication is cut off must acknowledge nothing until a standby is back",
    row("freeze_walsender", frozen(PRIMARY, WAL_SENDER), BRIEF, NOTHING)
    >> "A frozen WAL sender must hold back no commit, as the other standby acknowledges",
    row("freeze_walsenders", frozen(PRIMARY, WAL_SENDERS), BRIEF, NOTHING)
    >> "A primary that sends no WAL must acknowledge nothing meanwhile",
    row("kill_walreceiver", killed(QUORUM_STANDBY, WAL_RECEIVER), AT_ONCE)
    >> "A standby that loses its WAL receiver must come back with the same rows",
    row("term_walreceiver", ended(STANDBY, WAL_RECEIVER), AT_ONCE, NOTHING)
    >> "A standby whose WAL receiver is ended must connect again and lack nothing",
    row("freeze_walreceiver", frozen(QUORUM_STANDBY, WAL_RECEIVER), BRIEF, NOTHING)
    >> "A commit must be acknowledged by the other standby when the first one's WAL receiver is frozen",
    row("freeze_walreceivers", frozen(STANDBYS, WAL_RECEIVER), BRIEF, NOTHING)
    >> "A primary that no standby answers must acknowledge nothing meanwhile",
    row("kill_quorum_standby", killed(QUORUM_STANDBY, POSTMASTER), AT_ONCE)
    >> "A commit must be acknowledged by the other standby when the first one crashes",
    row("kill_both_standbys", killed(STANDBYS, POSTMASTER), AT_ONCE)
    >> "A primary that lost all standbys must acknowledge nothing until one is back",
)

OF_ENDPOINTS = (
    row("kill_pgpool_child", killed(RW_ENDPOINT, POOL_SESSION), AT_ONCE, NOTHING)
    >> "A Pgpool-II that loses a session's process must not execute its statement twice",
    row("kill_pgpool_children", killed(RW_ENDPOINT, POOL_CHILDREN), AT_ONCE, NOTHING)
    >> "A Pgpool-II that loses all its children must start new ones, and execute no statement twice",
    row("kill_pgpool_balanced_children", killed(BALANCED_ENDPOINT, POOL_CHILDREN), AT_ONCE, PROCESS)
    >> "A balanced endpoint that loses all its children must lose no write that they had passed on",
    row("freeze_pgpool_child", frozen(RW_ENDPOINT, POOL_SESSION), BRIEF, NOTHING)
    >> "A statement that waits in a frozen child of Pgpool-II must take effect once or not at all",
    row("freeze_pgpool_parent", frozen(RW_ENDPOINT, PARENT), BRIEF, NOTHING)
    >> "A Pgpool-II whose parent is frozen must continue to serve its sessions",
    row("freeze_pgpool_balanced_parent", frozen(BALANCED_ENDPOINT, PARENT), BRIEF, PROCESS)
    >> "A balanced endpoint whose parent process is frozen must show no wrong view when it continues",
    row("int_pgpool", ended(RW_ENDPOINT, FIRST, signal.SIGINT), AT_ONCE, PROCESS)
    >> "A read-write endpoint's Pgpool-II that exits cleanly must cost no more than its sessions",
    row("kill_haproxy_worker", killed(HAPROXY, WORKER), AT_ONCE, PROCESS)
    >> "The death of HAProxy's worker must cost no more than sessions",
    row("freeze_haproxy_worker", frozen(HAPROXY, WORKER), BRIEF, PROCESS)
    >> "A statement that waits in HAProxy's frozen worker must take effect once or not at all",
    row("term_haproxy", ended(HAPROXY, FIRST), AT_ONCE, PROCESS)
    >> "An HAProxy that is asked to exit must open again, automatically or by its healing, and lose no write",
)

OF_CONTROL_PLANE = (
    row("term_etcd_leader", ended(ETCD_LEADER, FIRST), AT_ONCE, PROCESS)
    >> "A leader of etcd that exits cleanly must not move the primary's role",
    row("kill_etcd_follower", killed(ETCD_FOLLOWER, FIRST), AT_ONCE, PROCESS)
    >> "The death of a follower in etcd must not change what any client sees",
    row("freeze_etcd_follower", frozen(ETCD_FOLLOWER, FIRST), BRIEF, NOTHING)
    >> "A frozen follower in etcd must not move the primary's role",
    row("freeze_etcd_followers", frozen(ETCD_FOLLOWERS, FIRST), BRIEF, PROCESS)
    >> "An etcd cluster without a quorum for a while must not move the primary's role",
    row("kill_etcd_followers", killed(ETCD_FOLLOWERS, FIRST), AT_ONCE, PROCESS)
    >> "An etcd cluster that loses its quorum and regains it must remember the primary",
    row("term_patroni", ended(PRIMARY, PATRONI), BRIEF)
    >> "A primary whose Patroni exits cleanly must hand over all that it had acknowledged",
    row("kill_standby_patroni", killed(STANDBY, PATRONI), AT_ONCE, PROCESS)
    >> "The death of a standby's Patroni must not change what any client sees",
    row("term_keeper", ended(KEEPER, FIRST), AT_ONCE, PROCESS)
    >> "A keeper that exits cleanly must leave everything as it was",
)

SCENARIOS = (*OF_SESSIONS, *OF_SERVER, *OF_REPLICATION, *OF_ENDPOINTS, *OF_CONTROL_PLANE)
