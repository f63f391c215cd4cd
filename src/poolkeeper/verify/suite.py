"""The groups and their judges: 13 of any cluster, and 5 of the promises that Poolkeeper's own clusters make.

Invariant: the number of verdicts follows from the target alone, never from what was found. A group that has no meaning
for a target is left out, and said to be: its checks could neither pass nor fail, and to call them unknown for ever
would make a suite that can never be green, or teach people to overlook what is unknown.
"""

from __future__ import annotations

from collections.abc import Callable

from poolkeeper.model.probe import Readings
from poolkeeper.model.target import Target
from poolkeeper.model.verdict import GROUPS, OWN_GROUPS, Verdict
from poolkeeper.verify import commit, direct, doors, drift, keeper, lane, nodes, pgpool, replication, writes

Judge = Callable[[Target, Readings], tuple[Verdict, ...]]


def _pgpool_connection(target: Target, readings: Readings) -> tuple[Verdict, ...]:
    return doors.pool_query(target, readings), pgpool.backends_up(target, readings)


JUDGES: dict[int, Judge] = {
    1: nodes.node_status,
    2: _pgpool_connection,
    3: doors.haproxy_connectivity,
    4: replication.streaming_replication,
    5: writes.write_isolation,
    6: replication.ddl_replication,
    7: pgpool.load_balancing,
    8: nodes.version_consistency,
    9: replication.wal_streaming,
    10: replication.replication_slots,
    11: writes.concurrent_writes,
    12: pgpool.pgpool_version,
    13: doors.haproxy_stats,
    14: lane.read_only_lane,
    15: drift.no_drift,
    16: commit.quorum_commit,
    17: keeper.keeper,
    18: direct.direct_lanes,
}


def inapplicable(target: Target) -> dict[int, str]:
    """Group → why it has no meaning for this target.

    Another's cluster has no keeper, its Patroni (if any) and what it declares cannot be reached from here, and its
    read-only door may lead to the primary by intention; no write is tried there for a promise that nobody gave.
    """
    if target.own is None:
        why = "is judged of a cluster that Poolkeeper started only"
        return dict.fromkeys(sorted(OWN_GROUPS), why)
    left_out = {}
    if not target.own.acknowledgements:
        left_out[16] = "is not judged, since cluster.toml declares replication.synchronous_mode off"
    if not target.own.direct:
        left_out[18] = "is not judged, since cluster.toml gives no direct lane a port"
    return left_out


def judge(target: Target, readings: Readings, groups: frozenset[int] | None = None) -> tuple[Verdict, ...]:
    """The verdicts of these groups (default: all) that are applicable, in order."""
    chosen = (frozenset(GROUPS) if groups is None else groups) - set(inapplicable(target))
    return tuple(verdict for group in sorted(chosen) for verdict in JUDGES[group](target, readings))
