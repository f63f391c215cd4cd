"""What the cluster is like after it all: everything that `checkers.after` judges, collected.

Invariant: what could not be looked at is None, and said; nothing is concluded from it here.
Not promised: the pages of other databases than the application's are not looked at, and what PostgreSQL counts of
checksum failures is since that server's last crash.
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
QUERY_SECONDS = 120.0  # for one statement over whole tables

# Those that a standby can be asked for: it has no rows of an unlogged table, and refuses to read one.
_TABLES = (
    "SELECT format('%I.%I', nspname, relname) FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace "
    "WHERE relkind IN ('r', 'p') AND relpersistence = 'p' AND nspname NOT IN ('pg_catalog', 'information_schema') "
    "ORDER BY 1"
)
# The sum does not depend on the order of the rows, and needs no memory for them; the count tells doubles apart. The
# alias is the whole row as long as no column has its name.
_DIGEST = (
    "SELECT count(*) || ' rows, ' || coalesce(sum(hashtextextended(whole_row__::text, 0)::numeric), 0) "
    "FROM {} AS whole_row__"
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
    """Look at everything; nobody works in the cluster meanwhile but the validation suite, at the end."""
    spec = cluster.spec
    nodes = tuple(node.name for node in spec.nodes)
    seen = await snapshot.snapshot(cluster)
    rows = await _of_each(nodes, lambda node: _digests(cluster, primary, node), "the rows of", say)
    failures = await _of_each(nodes, lambda node: _checksums(cluster, node), "the checksum failures of", say)
    complaints = await _told(_amcheck(cluster, primary, nodes), "amcheck", say)
    suite = await _told(_suite(cluster, say), "the validation suite", say)
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
    """Of a cluster that is not whole: what the witnesses say, so that it is known in what; the rest is unknown."""
    seen, nodes = await snapshot.snapshot(cluster), tuple(node.name for node in cluster.spec.nodes)
    return FinalState(nodes=nodes, drift=drift(cluster.spec, seen), heal_seconds=heal_seconds)


def timelines(seen: Snapshot, nodes: Iterable[str]) -> Mapping[str, int | None]:
    """Node → the timeline that it says."""
    servers = {node: seen.postgres[node].value if node in seen.postgres else None for node in nodes}
    return {node: server.timeline if server else None for node, server in servers.items()}


def orphaned(seen: Snapshot, nodes: Iterable[str]) -> tuple[str, ...] | None:
    """Slots of any node that bear no declared node's name; None where a node did not answer."""
    servers = {node: seen.postgres[node].value if node in seen.postgres else None for node in nodes}
    slots, found = {slot_of(node) for node in servers}, list[str]()
    for node, server in servers.items():
        if server is None:
            return None
        found += [f"{slot.name} on {node}" for slot in server.slots if slot.name not in slots]
    return tuple(found)


def slot_of(node: str) -> str:
    """The name that Patroni gives to a member's slot."""
    return re.sub("[-. ]", "_", node.lower())


def drift(spec: ClusterSpec, seen: Snapshot) -> tuple[str, ...] | None:
    """What the witnesses disagree about or find broken; None where all that is said is that one did not answer."""
    judged: Assessment = health.assess(spec, seen)
    found = tuple(str(finding) for finding in judged.findings if finding.kind is not FindingKind.UNKNOWN)
    return None if judged.findings and not found else found


async def _told(work: Awaitable[T], what: str, say: Say) -> T | None:
    """What it gives; where it cannot, None, and why is said."""
    try:
        return await work
    except errors.PoolkeeperError as e:
        say(f"{what} could not be looked at: {e.message}")
        return None


async def _of_each(
    nodes: Iterable[str], ask: Callable[[str], Awaitable[T]], what: str, say: Say
) -> Mapping[str, T | None]:
    nodes = tuple(nodes)
    found = await asyncio.gather(*(_told(ask(node), f"{what} {node}", say) for node in nodes))
    return dict(zip(nodes, found, strict=True))


async def _digests(cluster: Cluster, primary: str, node: str) -> Mapping[str, str]:
    """Table → digest over all its rows, of every table of the application's database on the primary."""
    limit = cluster.spec.timeouts.query
    names = await postgres.query(workload_tables.straight(cluster, primary, "superuser"), _TABLES, limit)
    async with postgres.session(workload_tables.straight(cluster, node, "superuser"), QUERY_SECONDS) as opened:
        return {str(name): str((await opened.rows(_DIGEST.format(name)))[0][0]) for (name,) in names}


async def _checksums(cluster: Cluster, node: str) -> int | None:
    """Pages; None where the server keeps no checksums."""
    ((found,),) = await postgres.query(
        workload_tables.straight(cluster, node, "superuser"), _CHECKSUMS, cluster.spec.timeouts.query
    )
    return None if found is None else int(found)


async def _amcheck(cluster: Cluster, primary: str, nodes: Iterable[str]) -> tuple[str, ...]:
    """What amcheck says of all heaps and B-trees of the application's database, on every node.

    The extension is there for as long as it is needed, in the run's own schema, unless the database has it already.
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
    """A heap's are rows; a B-tree's is an error of a class of its own, and the first one ends the look."""
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
    """Its outcome, and each check that did not pass with what it says."""
    suite = await test.run_suite(test.own_target(cluster), None, lambda _: None)
    told = tuple(f"{v.check}: {v.outcome}: {v.summary}" for v in suite.verdicts if v.outcome is not Outcome.PASS)
    for text in told:
        say(f"the validation suite: {text}")
    return suite.outcome.value, told
