"""The 13 groups and their judges.

Invariant: the number of verdicts follows from the groups and the number of nodes alone, never from what was found.
"""

from __future__ import annotations

from collections.abc import Callable

from poolkeeper.model.probe import Readings
from poolkeeper.model.target import Target
from poolkeeper.model.verdict import GROUPS, Verdict
from poolkeeper.verify import doors, nodes, pgpool, replication, writes

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
}


def judge(target: Target, readings: Readings, groups: frozenset[int] | None = None) -> tuple[Verdict, ...]:
    """The verdicts of these groups (default: all), in order."""
    chosen = frozenset(GROUPS) if groups is None else groups
    return tuple(verdict for group in sorted(chosen) for verdict in JUDGES[group](target, readings))
