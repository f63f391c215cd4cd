"""The groups and their checks: 13 for any cluster, and 5 for the promises of Poolkeeper's own clusters.

Invariant: the number of verdicts follows from the target alone, never from the readings. A group that does not apply to
a target is left out, and the run reports it. Its checks could neither pass nor fail; if they were always unknown, the
suite could never pass, or its readers would learn to ignore unknown results.
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

GroupCheck = Callable[[Target, Readings], tuple[Verdict, ...]]


def _pgpool_connection(target: Target, readings: Readings) -> tuple[Verdict, ...]:
    return endpoint_checks.pool_query(target, readings), pgpool_checks.backends_up(target, readings)


CHECKS: dict[int, GroupCheck] = {
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
    """Return group → the reason why it does not apply to this target.

    A foreign cluster has no keeper, and its Patroni (if any) and its configuration are out of reach. Its read-only
    endpoint may lead to the primary by intention. The suite tries no write there, since no such promise exists.
    """
    if target.own is None:
        why = "applies only to a cluster that Poolkeeper started"
        return dict.fromkeys(sorted(OWN_GROUPS), why)
    left_out = {}
    if not target.own.acknowledgements:
        left_out[16] = "does not apply, since cluster.toml declares replication.synchronous_mode off"
    if not target.own.direct:
        left_out[18] = "does not apply, since cluster.toml gives no direct endpoint a port"
    return left_out


def evaluate(target: Target, readings: Readings, groups: frozenset[int] | None = None) -> tuple[Verdict, ...]:
    """Return the verdicts of the applicable ones among these groups (default: all), in order."""
    chosen = (frozenset(GROUPS) if groups is None else groups) - set(inapplicable(target))
    return tuple(verdict for group in sorted(chosen) for verdict in CHECKS[group](target, readings))
