"""The validation suite: collect the readings, then evaluate them.

Invariant: a run that ends has one verdict for every check of the chosen groups, even if nothing answers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime

from poolkeeper.cluster.handle import Cluster
from poolkeeper.core import errors
from poolkeeper.model import proxies
from poolkeeper.model.endpoint_keys import BALANCED, RO, RW
from poolkeeper.model.probe import Readings
from poolkeeper.model.target import OwnCluster, Target
from poolkeeper.model.verdict import GROUPS, Suite, compare
from poolkeeper.suite.checks.groups import evaluate, inapplicable
from poolkeeper.suite.collect import all_readings

READ_SESSIONS = 8  # of the read-only endpoint, open at once; two standbys at least then have one each


async def run_suite(
    target: Target,
    groups: frozenset[int] | None,
    say: Callable[[str], None],
    before: Mapping[str, str] | None = None,
) -> Suite:
    """Run these groups (None: all that apply) and take only the readings that they need.

    `say` takes lines of progress. `before` maps each check's id to its outcome in the run to compare with; empty or
    None if there was none. A cancelled run drops its schema first.

    Raises:
        ValueError: if a group does not exist.
        UsageError: if a group does not apply to this target.
    """
    chosen = applicable(target, groups, say)
    started_at, began = datetime.now(UTC).isoformat(timespec="seconds"), time.perf_counter()
    readings = await all_readings.collect(target, chosen, say)
    verdicts = evaluate(target, readings, chosen)
    return Suite(
        cluster=target.cluster,
        started_at=started_at,
        seconds=time.perf_counter() - began,
        verdicts=verdicts,
        versions=versions(readings),
        topology=topology(target, readings),
        changes=compare(dict(before), verdicts) if before else (),
    )


def applicable(target: Target, groups: frozenset[int] | None, say: Callable[[str], None]) -> frozenset[int]:
    """Return the groups to run (`groups` None: all that apply to this target; `say` takes those left out).

    Raises:
        ValueError: if a group does not exist.
        UsageError: if a requested group does not apply to this target.
    """
    if groups is not None and (unknown := groups - set(GROUPS)):
        raise ValueError(f"no such group: {sorted(unknown)}")
    left_out = inapplicable(target)
    for number, why in left_out.items():
        line = f"group {number}, {GROUPS[number]}, {why}"
        if groups is not None and number in groups:
            raise errors.UsageError(line, hint="Leave it out of --only.")
        if groups is None:
            say(line)
    return frozenset(GROUPS) - set(left_out) if groups is None else groups


def own_target(cluster: Cluster) -> Target:
    """Return the target of a `cluster.toml`: `app` writes in its database, the role of the checks reads."""
    spec, database = cluster.spec, cluster.spec.roles.app_database
    pool, (url, auth) = cluster.endpoint(BALANCED, "app", database), cluster.stats
    replication = spec.replication
    return Target(
        cluster=spec.name,
        nodes={node.name: replace(pool, port=node.port) for node in spec.nodes},
        monitors={node.name: cluster.node(node.name) for node in spec.nodes},
        balanced=pool,
        rw=cluster.endpoint(RW, "app", database),
        ro=cluster.endpoint(RO, "app", database),
        stats_url=url,
        stats_auth=auth,
        proxies=proxies.expected(spec),
        timeout=float(spec.timeouts.query),
        own=OwnCluster(
            patroni={node.name: str(node.address) for node in spec.nodes},
            keeper=(pool.host, spec.keeper.port),
            read_sessions=min(READ_SESSIONS, spec.endpoints.ro.num_init_children // 2),
            direct={key: cluster.endpoint(key, "app", database) for key in spec.direct_endpoints()},
            acknowledgements=0 if replication.synchronous_mode == "off" else replication.quorum_acknowledgements,
        ),
    )


def versions(readings: Readings) -> dict[str, str]:
    """Return component → version of those that reported one; nodes are listed singly if they differ."""
    reported = {name: node.value.version.split()[0] for name, node in readings.nodes.items() if node.value}
    alike = len(set(reported.values())) == 1
    found = (
        {"PostgreSQL": next(iter(reported.values()))}
        if alike
        else {f"PostgreSQL on {n}": v for n, v in reported.items()}
    )
    if readings.pgpool and readings.pgpool.value:
        found["Pgpool-II"] = readings.pgpool.value.version
    if readings.stats and readings.stats.value:
        found["HAProxy"] = readings.stats.value.version
    return found


def topology(target: Target, readings: Readings) -> tuple[tuple[str, str, str], ...]:
    """Return (service, where, role): the nodes by their own reports, then the endpoints."""
    nodes = [(name, target.nodes[name].where, _role(name, readings)) for name in target.names]
    direct = target.own.direct if target.own else {}
    endpoints = [
        ("Pgpool-II", target.balanced.where, "balances over the nodes"),
        ("HAProxy", target.rw.where, "read-write endpoint"),
        ("HAProxy", target.ro.where, "read-only endpoint"),
        *(("HAProxy", dsn.where, f"endpoint {key}, straight to PostgreSQL") for key, dsn in direct.items()),
        ("HAProxy", target.stats_url, "dashboard"),
    ]
    return (*nodes, *endpoints)


def _role(name: str, readings: Readings) -> str:
    node = readings.nodes.get(name)
    return node.value.role if node and node.value else "not asked" if node is None else "no answer"
