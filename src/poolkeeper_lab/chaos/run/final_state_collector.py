"""Collect the final state of the cluster for `final_state_checker`.

Invariant: a field that could not be checked is None, with a message; this module draws no conclusion.
Not promised: a check of pages outside the application's database. PostgreSQL counts checksum failures only since that
server's last crash.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TypeVar

from poolkeeper.cluster import snapshot
from poolkeeper.cluster.handle import Cluster
from poolkeeper.core import errors
from poolkeeper.decide import health
from poolkeeper.model.assessment import Assessment, FindingKind
from poolkeeper.model.observed import Snapshot
from poolkeeper.model.spec import ClusterSpec
from poolkeeper.model.verdict import Outcome
from poolkeeper.suite import test
from poolkeeper.system import postgres
from poolkeeper_lab.chaos.history.final_state import FinalState
from poolkeeper_lab.chaos.workloads import workload_tables
from poolkeeper_lab.chaos.workloads.job import SCHEMA

T = TypeVar("T")
Say = Callable[[str], None]
QUERY_SECONDS = 120.0  # for one statement over complete tables

# Only tables that a standby can read: it has no rows of an unlogged table, and refuses to read one.
_TABLES = (
    "SELECT format('%I.%I', nspname, relname) FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace "
    "WHERE relkind IN ('r', 'p') AND relpersistence = 'p' AND nspname NOT IN ('pg_catalog', 'information_schema') "
    "ORDER BY 1"
)
# The sum does not depend on the order of the rows, and needs no memory for them; the count detects duplicates. The
# alias stands for all columns of the row as long as no column has its name.
_DIGEST = (
    "SELECT count(*) || ' rows, ' || coalesce(sum(hashtextextended(all_columns__::text, 0)::numeric), 0) "
    "FROM {} AS all_columns__"
)
_CHECKSUMS = "SELECT sum(checksum_failures)::bigint FROM pg_stat_database"
_AMCHECK_SCHEMA = (
    "SELECT quote_ident(nspname) FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace "
    "WHERE extname = 'amcheck'"
)
_HEAP = (
    "SELECT format('%s: block %s: %s', oid::regclass, blkno, msg) FROM pg_class, LATERAL {schema}.verify_heapam(oid) "
    "WHERE relkind IN ('r', 't', 'm') AND relam = (SELECT oid FROM pg_am WHERE amname = 'heap') "
    "AND relpersistence = 'p'"
)
_INDEX = (
    "SELECT {schema}.bt_index_check(pg_class.oid, true) FROM pg_class JOIN pg_index ON indexrelid = pg_class.oid "
    "WHERE relam = (SELECT oid FROM pg_am WHERE amname = 'btree') AND relpersistence = 'p' "
    "AND indisready AND indisvalid"
)


async def collect(cluster: Cluster, primary: str, heal_seconds: float | None, say: Say) -> FinalState:
    """Collect the state of a healthy cluster. Only the validation suite, at the end, writes meanwhile."""
    spec = cluster.spec
    nodes = tuple(node.name for node in spec.nodes)
    seen = await snapshot.take_snapshot(cluster)
    rows = await _of_each(nodes, lambda node: _digests(cluster, primary, node), "the rows of", say)
    failures = await _of_each(nodes, lambda node: _checksums(cluster, node), "the checksum failures of", say)
    complaints = await _or_none(_amcheck(cluster, primary, nodes), "amcheck", say)
    suite = await _or_none(_suite(cluster, say), "the validation suite", say)
    return FinalState(
        nodes=nodes,
        rows=rows,
        timelines=timelines(seen, nodes),
        amcheck=complaints,
        checksum_failures=failures,
        orphaned_slots=orphaned(seen, nodes),
        drift=drift(spec, seen),
        suite=suite[0] if suite else None,
        suite_complaints=suite[1] if suite else (),
        heal_seconds=heal_seconds,
    )


async def collect_unhealthy(cluster: Cluster, heal_seconds: float | None) -> FinalState:
    """Return the state of a cluster that did not recover: the drift shows the reason; the rest is unknown."""
    seen, nodes = await snapshot.take_snapshot(cluster), tuple(node.name for node in cluster.spec.nodes)
    return FinalState(nodes=nodes, drift=drift(cluster.spec, seen), heal_seconds=heal_seconds)


def timelines(seen: Snapshot, nodes: Iterable[str]) -> Mapping[str, int | None]:
    """Return each node's timeline, as the node reports it; None if it did not answer."""
    servers = {node: seen.postgres[node].value if node in seen.postgres else None for node in nodes}
    return {node: server.timeline if server else None for node, server in servers.items()}


def orphaned(seen: Snapshot, nodes: Iterable[str]) -> tuple[str, ...] | None:
    """Return the slots on any node that belong to no declared node; None if a node did not answer."""
    servers = {node: seen.postgres[node].value if node in seen.postgres else None for node in nodes}
    slots, found = {slot_of(node) for node in servers}, list[str]()
    for node, server in servers.items():
        if server is None:
            return None
        found += [f"{slot.name} on {node}" for slot in server.slots if slot.name not in slots]
    return tuple(found)


def slot_of(node: str) -> str:
    """Return the name that Patroni gives to a member's slot."""
    return re.sub("[-. ]", "_", node.lower())


def drift(spec: ClusterSpec, seen: Snapshot) -> tuple[str, ...] | None:
    """Return the disagreements and failures of the components; None if the only findings are missing answers."""
    assessment: Assessment = health.assess(spec, seen)
    found = tuple(str(finding) for finding in assessment.findings if finding.kind is not FindingKind.UNKNOWN)
    return None if assessment.findings and not found else found


async def _or_none(work: Awaitable[T], what: str, say: Say) -> T | None:
    """Return the result of the work; on an error, return None and say why."""
    try:
        return await work
    except errors.PoolkeeperError as e:
        say(f"{what} could not be checked: {e.message}")
        return None


async def _of_each(
    nodes: Iterable[str], ask: Callable[[str], Awaitable[T]], what: str, say: Say
) -> Mapping[str, T | None]:
    nodes = tuple(nodes)
    found = await asyncio.gather(*(_or_none(ask(node), f"{what} {node}", say) for node in nodes))
    return dict(zip(nodes, found, strict=True))


async def _digests(cluster: Cluster, primary: str, node: str) -> Mapping[str, str]:
    """Return the digest over all rows of every table of the application's database, by table."""
    limit = cluster.spec.timeouts.query
    names = await postgres.query(workload_tables.straight(cluster, primary, "superuser"), _TABLES, limit)
    async with postgres.session(workload_tables.straight(cluster, node, "superuser"), QUERY_SECONDS) as opened:
        return {str(name): str((await opened.rows(_DIGEST.format(name)))[0][0]) for (name,) in names}


async def _checksums(cluster: Cluster, node: str) -> int | None:
    """Return the number of pages that failed; None if the server keeps no checksums."""
    ((found,),) = await postgres.query(
        workload_tables.straight(cluster, node, "superuser"), _CHECKSUMS, cluster.spec.timeouts.query
    )
    return None if found is None else int(found)


async def _amcheck(cluster: Cluster, primary: str, nodes: Iterable[str]) -> tuple[str, ...]:
    """Return amcheck's complaints about all heaps and B-trees of the application's database, on every node.

    The extension exists only during the check, in the run's own schema, unless the database already has it.
    """
    limit, dsn = cluster.spec.timeouts.query, workload_tables.straight(cluster, primary, "superuser")
    had = await postgres.query(dsn, _AMCHECK_SCHEMA, limit)
    schema = str(had[0][0]) if had else SCHEMA
    if not had:
        await postgres.query(dsn, f"CREATE EXTENSION amcheck SCHEMA {SCHEMA}", limit)
    try:
        await workload_tables.replayed(cluster, primary)
        found = await asyncio.gather(*(_complaints(cluster, node, schema) for node in nodes))
    finally:
        if not had:
            await postgres.query(dsn, "DROP EXTENSION amcheck", limit)
    return tuple(complaint for of_node in found for complaint in of_node)


async def _complaints(cluster: Cluster, node: str, schema: str) -> list[str]:
    """Return the complaints of one node. Complaints about heaps are rows; the first about a B-tree is an error."""
    async with postgres.session(workload_tables.straight(cluster, node, "superuser"), QUERY_SECONDS) as opened:
        found = [f"{node}: {row[0]}" for row in await opened.rows(_HEAP.format(schema=schema))]
        try:
            await opened.rows(_INDEX.format(schema=schema))
        except errors.ServerRefused as e:
            if e.code not in ("XX001", "XX002"):  # data_corrupted, index_corrupted
                raise
            found.append(f"{node}: {e.message}")
    return found


async def _suite(cluster: Cluster, say: Say) -> tuple[str, tuple[str, ...]]:
    """Return the suite's outcome, and each check that did not pass with its summary."""
    suite = await test.run_suite(test.own_target(cluster), None, lambda _: None)
    failed = tuple(f"{v.check}: {v.outcome}: {v.summary}" for v in suite.verdicts if v.outcome is not Outcome.PASS)
    for text in failed:
        say(f"the validation suite: {text}")
    return suite.outcome.value, failed
