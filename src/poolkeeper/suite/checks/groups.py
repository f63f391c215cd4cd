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
from poolkeeper.suite.checks import (
    commit_checks,
    direct_checks,
    drift_checks,
    endpoint_checks,
    keeper_checks,
    node_checks,
    pgpool_checks,
    read_only_checks,
    replication_checks,
    write_checks,
)

Judge = Callable[[Target, Readings], tuple[Verdict, ...]]


def _pgpool_connection(target: Target, readings: Readings) -> tuple[Verdict, ...]:
    return endpoint_checks.pool_query(target, readings), pgpool_checks.backends_up(target, readings)


JUDGES: dict[int, Judge] = {
    1: node_checks.node_status,
    2: _pgpool_connection,
    3: endpoint_checks.haproxy_connectivity,
    4: replication_checks.streaming_replication,
    5: write_checks.write_isolation,
    6: replication_checks.ddl_replication,
    7: pgpool_checks.load_balancing,
    8: node_checks.version_consistency,
    9: replication_checks.wal_streaming,
    10: replication_checks.replication_slots,
    11: write_checks.concurrent_writes,
    12: pgpool_checks.pgpool_version,
    13: endpoint_checks.haproxy_stats,
    14: read_only_checks.read_only_endpoint,
    15: drift_checks.no_drift,
    16: commit_checks.quorum_commit,
    17: keeper_checks.keeper,
    18: direct_checks.direct_endpoints,
}


def inapplicable(target: Target) -> dict[int, str]:
    """Group → why it has no meaning for this target.

    Another's cluster has no keeper, its Patroni (if any) and what it declares cannot be reached from here, and its
    read-only endpoint may lead to the primary by intention; no write is tried there for a promise that nobody gave.
    """
    if target.own is None:
        why = "is judged of a cluster that Poolkeeper started only"
        return dict.fromkeys(sorted(OWN_GROUPS), why)
    left_out = {}
    if not target.own.acknowledgements:
        left_out[16] = "is not judged, since cluster.toml declares replication.synchronous_mode off"
    if not target.own.direct:
        left_out[18] = "is not judged, since cluster.toml gives no direct endpoint a port"
    return left_out


def judge(target: Target, readings: Readings, groups: frozenset[int] | None = None) -> tuple[Verdict, ...]:
    """The verdicts of these groups (default: all) that are applicable, in order."""
    chosen = (frozenset(GROUPS) if groups is None else groups) - set(inapplicable(target))
    return tuple(verdict for group in sorted(chosen) for verdict in JUDGES[group](target, readings))
