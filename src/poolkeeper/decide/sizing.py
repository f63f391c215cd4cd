"""The values of `cluster.toml` for a number of cores, an amount of memory and a number of clients.

All nodes share one machine, so memory is divided once: first the programs besides PostgreSQL, then the nodes' servers,
their connections, maintenance and sorting; the rest is the page cache. Invariants, tested by properties over generated
machines: the result passes the spec's rules; the lines of the budget never exceed the machine; with more memory no
memory setting gets smaller, and with more clients no endpoint and no max_connections does.

The module does not know the data or the disks. Timings of the election depend on the network and the disks, so they
stay unchanged.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from poolkeeper.core import errors
from poolkeeper.decide import endpoint_sizing
from poolkeeper.decide.endpoint_sizing import Capacity
from poolkeeper.model import spec_rules
from poolkeeper.model.grammar import Setting
from poolkeeper.model.spec import ClusterSpec
from poolkeeper.model.tuning import Choice, Machine, MemoryShare, Proposal, Wish, WorkloadKind, size

# Sorts and hash tables that one statement holds at once; the largest work_mem that is worth its memory, in MiB; the
# part of the cores that parallel workers may take; and the most workers of one statement.
PLAN_NODES = {WorkloadKind.OLTP: 1, WorkloadKind.MIXED: 2, WorkloadKind.REPORTING: 3}
MOST_WORK_MEM = {WorkloadKind.OLTP: 64, WorkloadKind.MIXED: 256, WorkloadKind.REPORTING: 1024}
PARALLEL_CORES = {WorkloadKind.OLTP: 0.5, WorkloadKind.MIXED: 0.75, WorkloadKind.REPORTING: 1.0}
MOST_PER_GATHER = {WorkloadKind.OLTP: 2, WorkloadKind.MIXED: 4, WorkloadKind.REPORTING: 8}

# MiB. Pgpool-II's are from its documentation ("Resource Requirement"), its catalog cache of render/pgpool.py; a
# connection's is the lower end of the range in cluster.toml; the rest is what the containers of an idle cluster use,
# rounded up.
CONNECTION = 5.0
POOL_PROCESS, POOL_FIXED, POOL_SLOT = 5.0, 10.0 + 19.0, 0.02
ETCD, KEEPER, ENDPOINT, ENDPOINT_SESSION = 64.0, 96.0, 64.0, 0.0625
AGENT = 96.0  # Patroni and the supervisor of a node
SERVER = 48.0  # a server's shared memory besides shared_buffers, and its own processes
HASH_MEM = 2.0  # hash_mem_multiplier's default
VACUUMS = 4  # autovacuum_max_workers' default, and one by hand
LEAST_BUFFERS, MOST_BUFFERS = 16.0, 16384.0
LEAST_MAINTENANCE, MOST_MAINTENANCE = 16.0, 2048.0
LEAST_WAL, MOST_WAL = 1024.0, 8192.0
LEAST_SHM = 256

# PostgreSQL 17's own values of the parameters that are proposed.
DEFAULTS: dict[str, Setting] = {
    "shared_buffers": "128MB",
    "effective_cache_size": "4GB",
    "work_mem": "4MB",
    "maintenance_work_mem": "64MB",
    "max_wal_size": "1GB",
    "min_wal_size": "80MB",
    "checkpoint_timeout": "5min",
    "max_parallel_workers": 8,
    "max_parallel_workers_per_gather": 2,
    "max_parallel_maintenance_workers": 2,
    "max_worker_processes": 8,
}

BUDGET_RULE = "rule “connection budget”, docs/configuration.md"
MEMORY_DOCS = "PostgreSQL 17, 19.4 Resource Consumption"
WAL_DOCS = "PostgreSQL 17, 28.5 WAL Configuration"
PLANNER_DOCS = "PostgreSQL 17, 19.7 Query Planning"
PARALLEL_DOCS = "PostgreSQL 17, 15.1 How Parallel Query Works"


@dataclass(frozen=True)
class Sizes:
    """Every figure of a proposal: counts, and MiB."""

    endpoints: Capacity
    workers: int
    per_gather: int
    node: float
    buffers: float
    maintenance: float
    work: float
    cache: float  # page cache, of one node
    shm: int
    wal: float
    budget: tuple[MemoryShare, ...]


def propose(spec: ClusterSpec, machine: Machine, wish: Wish) -> Proposal:
    """Return the proposal.

    Raises:
        UsageError: if a request is below 1.
        ProposalRefused: if the machine or a limit of the spec cannot hold what is wanted.
    """
    asked = (machine.cores, machine.memory_mb, wish.clients, wish.pairs)
    if any(number is not None and number < 1 for number in asked):
        raise errors.UsageError("cores, memory, clients and pairs must be at least 1")
    sizes = _sizes(spec, machine, wish)
    too_much = _exceeded_limit(sizes)
    if too_much:
        raise errors.ProposalRefused(too_much, hint=_room_hint(spec, machine, wish))
    choices = (*endpoint_sizing.choices(spec, wish, sizes.endpoints), *_servers(spec, wish, sizes, machine))
    after = apply(spec, tuple(choice for choice in choices if choice.is_change))
    if broken := spec_rules.broken_rules(after):
        location, rule = broken[0]
        place = ".".join(map(str, location))
        raise errors.ProposalRefused(f"{place}: {rule}", hint="Correct that in cluster.toml first.")
    return Proposal(machine, wish, choices, sizes.budget, after, tuple(_notes(after, sizes)))


def apply(spec: ClusterSpec, choices: tuple[Choice, ...]) -> ClusterSpec:
    """Return the spec with these choices applied.

    Raises:
        ValidationError: pydantic's, if a value is out of its range.
    """
    raw: dict[str, Any] = spec.model_dump()
    for choice in choices:
        *way, last = choice.location
        table = raw
        for part in way:
            table = table[part]
        table[last] = choice.proposed
    return ClusterSpec.model_validate(raw)


def _exceeded_limit(sizes: Sizes) -> str:
    """Return which limit is exceeded, as a sentence; "" if none is."""
    endpoints = sizes.endpoints
    most = max(endpoints.children.values())
    if most > 2000:
        return f"an endpoint would need {most} processes of Pgpool-II; 2000 are the limit"
    if endpoints.max_connections > 10_000:
        return f"each node would need max_connections = {endpoints.max_connections}; 10000 are the limit"
    if sizes.work < 1:
        return (
            f"{endpoints.sessions} sessions and {endpoints.opened} connections leave no memory to sort in: "
            f"work_mem would be {max(sizes.work, 0) * 1024:.0f} kB"
        )
    return ""


def _room_hint(spec: ClusterSpec, machine: Machine, wish: Wish) -> str:
    """Return a hint with the highest number of clients that the machine can serve."""
    possible, beyond = 0, wish.clients or 2000
    while possible + 1 < beyond:
        middle = (possible + beyond) // 2
        tried = Wish(middle, wish.pairs, wish.workload)
        possible, beyond = (possible, middle) if _exceeded_limit(_sizes(spec, machine, tried)) else (middle, beyond)
    pairs = (
        max(endpoint.max_pool for endpoint in endpoint_sizing.declared(spec).values())
        if wish.pairs is None
        else wish.pairs
    )
    if not possible:
        return "This machine is too small for the cluster; give it more memory (--memory)."
    less = " or turn off an unused direct endpoint (port = 0)," if spec.direct_endpoints() else ""
    return (
        f"This machine has room for --clients {possible} with {pairs} pairs of user and database (--pairs);{less} or "
        "give more --memory."
    )


def _sizes(spec: ClusterSpec, machine: Machine, wish: Wish) -> Sizes:
    endpoints, count = endpoint_sizing.endpoints(spec, wish), len(spec.nodes)
    workers = int(machine.cores * PARALLEL_CORES[wish.workload])
    per_gather = min(MOST_PER_GATHER[wish.workload], workers // 2)
    outside = _outside(spec, machine, endpoints)
    node = (machine.memory_mb - sum(share.mb for share in outside)) / count
    buffers = min(max(node / 4, LEAST_BUFFERS), MOST_BUFFERS)
    maintenance = min(max(node / 16, LEAST_MAINTENANCE), MOST_MAINTENANCE)
    inside = [
        MemoryShare("shared_buffers", count * buffers, f"{count} nodes × {buffers:.0f} MB"),
        MemoryShare("servers", count * SERVER, f"{count} nodes × {SERVER:.0f} MB of other shared memory and processes"),
        MemoryShare(
            "connections",
            endpoints.opened * CONNECTION,
            f"{endpoints.opened} open when every endpoint is full × {CONNECTION:.0f} MB",
        ),
        MemoryShare("maintenance", VACUUMS * maintenance, f"{VACUUMS} × maintenance_work_mem, on the primary alone"),
    ]
    cache = max(node / 4, 0)
    rest = machine.memory_mb - sum(share.mb for share in (*outside, *inside)) - count * cache
    holders = (endpoints.sessions + count * workers) * HASH_MEM * PLAN_NODES[wish.workload]
    most = MOST_WORK_MEM[wish.workload]
    work = min(rest / holders, most)
    cache += max(rest - work * holders, 0) / count
    formula = f"{holders:.0f} sorts or hash tables at once × {work:.1f} MB"
    budget = (
        *outside,
        *inside,
        MemoryShare("work_mem", work * holders, formula),
        MemoryShare("page cache", count * cache, "what no other line takes"),
    )
    return Sizes(
        endpoints=endpoints,
        workers=workers,
        per_gather=per_gather,
        node=node,
        buffers=buffers,
        maintenance=maintenance,
        work=work,
        cache=cache,
        shm=_shm(work, workers, per_gather, endpoints.sessions),
        wal=min(max(4 * buffers, LEAST_WAL), MOST_WAL),
        budget=budget,
    )


def _shm(work: float, workers: int, per_gather: int, sessions: int) -> int:
    """Return the size of the parallel statements' shared hash tables, in steps of 64 MiB; it is part of work_mem."""
    statements = min(workers // per_gather, sessions) if per_gather else 0
    needed = HASH_MEM * max(work, 0) * (workers + statements) if statements else 0
    return max(LEAST_SHM, min(math.ceil(needed / 64) * 64, 1_048_576))


def _outside(spec: ClusterSpec, machine: Machine, endpoints: Capacity) -> list[MemoryShare]:
    """Return the memory of everything besides PostgreSQL."""
    members, count, system = len(spec.etcd.members), len(spec.nodes), max(512.0, machine.memory_mb / 10)
    processes, sessions = sum(endpoints.children.values()), endpoints.sessions
    pool = len(endpoints.children) * POOL_FIXED + processes * POOL_PROCESS + endpoints.pooled * POOL_SLOT
    formula = (
        f"3 × {POOL_FIXED:.0f} MB + {processes} processes × {POOL_PROCESS:.0f} MB + {POOL_SLOT} MB a pooled connection"
    )
    return [
        MemoryShare("system and engine", system, "a tenth of the memory, at least 512 MB"),
        MemoryShare("etcd", members * ETCD, f"{members} members × {ETCD:.0f} MB"),
        MemoryShare("Pgpool-II", pool, formula),
        MemoryShare(
            "HAProxy",
            ENDPOINT + sessions * ENDPOINT_SESSION,
            f"{ENDPOINT:.0f} MB + {sessions} sessions × 64 kB of buffers",
        ),
        MemoryShare("keeper", KEEPER, f"{KEEPER:.0f} MB"),
        MemoryShare("Patroni", count * AGENT, f"{count} nodes × {AGENT:.0f} MB"),
    ]


def _servers(spec: ClusterSpec, wish: Wish, sizes: Sizes, machine: Machine) -> Iterator[Choice]:
    server, haproxy, endpoints = spec.postgresql, spec.haproxy, sizes.endpoints
    formula = endpoint_sizing.connections_formula(spec, endpoints)
    yield Choice(
        ("postgresql", "max_connections"),
        server.max_connections,
        endpoints.max_connections,
        f"Per node: all endpoints may use the same node after role changes: {formula} ≤ {endpoints.max_connections}.",
        BUDGET_RULE,
    )
    yield Choice(
        ("postgresql", "shared_memory_mb"),
        server.shared_memory_mb,
        sizes.shm,
        f"Per node: shared hash tables of parallel statements live in /dev/shm: 2 × work_mem × ({sizes.workers} "
        f"workers + their leaders), in steps of 64, at least {LEAST_SHM}.",
        PARALLEL_DOCS,
    )
    for name, proposed, why, source in _parameters(sizes, wish, machine, len(spec.nodes)):
        now = server.parameters.get(name)
        yield Choice(("postgresql", "parameters", name), now, proposed, why, source, DEFAULTS[name])
    waits = spec.patroni.ttl * 1000 + haproxy.hold_ms
    yield Choice(
        ("haproxy", "queue_timeout_ms"),
        haproxy.queue_timeout_ms,
        max(haproxy.queue_timeout_ms, waits),
        f"Clients that queue should outlast a failover: at least patroni.ttl + haproxy.hold_ms = {waits} ms.",
        "docs/architecture.md, Endpoints",
    )


def _parameters(sizes: Sizes, wish: Wish, machine: Machine, nodes: int) -> Iterator[tuple[str, Setting, str, str]]:
    """Return (name, value, why, source) of each parameter of postgresql.conf; all are per node."""
    node, wal = f"{sizes.node:.0f} MB", size(sizes.wal)
    yield "shared_buffers", size(sizes.buffers), f"Per node: a quarter of its {node}, at most 16 GB.", MEMORY_DOCS
    yield (
        "effective_cache_size",
        size(sizes.buffers + sizes.cache),
        f"Per node: shared_buffers + its {sizes.cache:.0f} MB of the page cache; a hint for the planner, no memory.",
        PLANNER_DOCS,
    )
    yield (
        "work_mem",
        size(sizes.work),
        f"What is left over {sizes.endpoints.sessions} sessions and {nodes}×{sizes.workers} parallel workers, × "
        f"{HASH_MEM:.0f} (hash_mem_multiplier) × {PLAN_NODES[wish.workload]} sorts a statement, at most "
        f"{MOST_WORK_MEM[wish.workload]} MB.",
        MEMORY_DOCS,
    )
    why = f"Per node: a sixteenth of its {node}, at most 2 GB; {VACUUMS} at once, on the primary alone."
    yield "maintenance_work_mem", size(sizes.maintenance), why, MEMORY_DOCS
    why = f"Per node: 4 × shared_buffers, 1 to 8 GB, so that checkpoints are started by time; {nodes} × {wal} of disk."
    yield "max_wal_size", wal, why, WAL_DOCS
    yield "min_wal_size", size(sizes.wal / 4), "Per node: a quarter of max_wal_size is kept to be used again.", WAL_DOCS
    yield (
        "checkpoint_timeout",
        "15min",
        "The first change of a page after a checkpoint logs all of it, so rarer checkpoints write less WAL. The "
        "longer recovery delays no client: a standby takes over.",
        WAL_DOCS,
    )
    part = f"{PARALLEL_CORES[wish.workload]:.0%} of {machine.cores} cores ({wish.workload.value})"
    why = f"Per node: {part}, which {nodes} nodes share."
    yield "max_parallel_workers", sizes.workers, why, PARALLEL_DOCS
    most = MOST_PER_GATHER[wish.workload]
    why = f"Half of max_parallel_workers, at most {most}: two statements at least can be parallel."
    yield "max_parallel_workers_per_gather", sizes.per_gather, why, PARALLEL_DOCS
    why = "Half of the cores, at most 4: for CREATE INDEX and VACUUM."
    yield "max_parallel_maintenance_workers", min(4, machine.cores // 2), why, PARALLEL_DOCS
    why = "max_parallel_workers + 4 for others, at least PostgreSQL's own 8."
    yield "max_worker_processes", max(8, sizes.workers + 4), why, MEMORY_DOCS


def _notes(spec: ClusterSpec, sizes: Sizes) -> Iterator[str]:
    count = len(spec.nodes)
    keep = spec.postgresql.parameters.get("max_slot_wal_keep_size", "-1, without a limit")
    yield (
        f"Per node are all of postgresql.*: {count} nodes share this machine, each with {sizes.node:.0f} MB of it. Per "
        "endpoint are num_init_children and max_pool, of the direct endpoints max_sessions."
    )
    yield f"WAL needs disk: {count} × ({size(sizes.wal)} max_wal_size + {keep} max_slot_wal_keep_size) at the most."
    yield "No container has a memory limit: the budget holds by these values, and the kernel does not enforce it."
    yield (
        "Unchanged: etcd's heartbeat and election, Patroni's ttl, loop_wait and retry_timeout, the checks of HAProxy: "
        "they depend on the network and the disks (poolkeeper doctor measures them), not cores or memory."
    )
