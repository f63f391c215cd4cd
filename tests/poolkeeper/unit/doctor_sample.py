"""The facts of a cluster without findings, in which tests replace single facts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.poolkeeper.unit.suite_sample import bad, ok

from poolkeeper.model.diagnosis import (
    Activity,
    ClusterFacts,
    Counters,
    EtcdLoad,
    HostLoad,
    NodeLoad,
    PoolUse,
    SlotUse,
    StandbyLag,
    Traffic,
    Vacuuming,
    Volume,
)
from poolkeeper.model.observed import Container, PatroniMember, PatroniView
from poolkeeper.model.spec import ClusterSpec

SPEC = ClusterSpec()
PRIMARY, STANDBY, OTHER = (node.name for node in SPEC.nodes)
GIB = 1024**3
SETTINGS = {
    "max_connections": "500",
    "superuser_reserved_connections": "3",
    "reserved_connections": "0",
    "checkpoint_timeout": "300",
    "autovacuum": "on",
    "autovacuum_freeze_max_age": "200000000",
    "autovacuum_multixact_freeze_max_age": "400000000",
}
QUIET = Activity(20, 3, 0.4, 0.0, 0, 12, 0, 0.0, 0, 0.0, 0)
COUNTED = Counters(990_000, 10_000, 5, 1_000, 0, 100_000, 100, 12, 36_000.0)
SLOT = SlotUse("pg_node3", "physical", True, "reserved", 4 * GIB, 1_000, 0, 0.0)
FSYNCS = ((0.001, 400), (0.008, 900), (0.016, 995), (0.128, 1000), (float("inf"), 1000))


def load(name: str) -> NodeLoad:
    """Return the load of a node without findings; the first node is the primary."""
    standbys = tuple(StandbyLag(other, "streaming", "quorum", 512, 0.01) for other in (STANDBY, OTHER))
    return NodeLoad(
        in_recovery=name != PRIMARY,
        settings=SETTINGS,
        pending=(),
        activity=QUIET,
        counters=COUNTED,
        oldest_xid=("app", 1_000_000),
        oldest_multixact=("app", 10),
        slots=(SLOT,),
        standbys=standbys if name == PRIMARY else (),
    )


def traffic(queued: int = 0, sessions: int = 5, key: str = "rw", endpoints: int = 8) -> tuple[Traffic, ...]:
    """Return HAProxy's rows; the endpoint `key` has `sessions` sessions and, where it has a queue, `queued` clients."""
    rows = [Traffic(name, "FRONTEND", 0, 0, endpoints, 20, 4224) for name in ("rw", "ro", "primary")]
    for endpoint in ("rw", "ro"):
        waiting, open_sessions = (queued, sessions) if endpoint == key else (0, 5)
        service = getattr(SPEC.endpoints, endpoint).service
        rows.append(Traffic(f"endpoint_{endpoint}", service, waiting, waiting, open_sessions, 20, 30))
        rows.append(Traffic(f"endpoint_{endpoint}", "BACKEND", waiting, waiting, open_sessions, 20, 423))
    for endpoint, limit in SPEC.direct_sessions().items():
        rows.append(Traffic(endpoint, "FRONTEND", 0, 0, sessions if endpoint == key else 5, 20, limit))
    return tuple(rows)


USE = PoolUse(32, 5, 400, 40, 400, (("app", "app"),))


def healthy() -> ClusterFacts:
    """Return every fact, without findings."""
    names = [node.name for node in SPEC.nodes]
    members = [member.name for member in SPEC.etcd.members]
    volumes = {name: ok((Volume("/data", 100, 30, 70), Volume("/dev/shm", 100, 1, 99))) for name in names}
    volumes |= {name: ok((Volume("/var/lib/etcd", 100, 30, 70),)) for name in members}
    view = PatroniView(tuple(PatroniMember(n, "replica", "streaming", 1, 0) for n in names))
    containers = {n: Container(n, n, "", "running", "healthy", "", "", "", 0, 0) for n in names}
    return ClusterFacts(
        endpoints={key: ok(USE) for key in ("rw", "ro", "balanced")},
        traffic=ok(traffic()),
        nodes={name: ok(load(name), name) for name in names},
        databases=ok(("app", "postgres")),
        vacuuming={name: ok(Vacuuming((), ())) for name in ("app", "postgres")},
        etcd={name: ok(EtcdLoad(10**6, 2 * GIB, FSYNCS, 0, 2)) for name in members},
        volumes=volumes,
        host=ok(HostLoad(4, 1.5, 16_000, 9_000)),
        containers=ok(containers),
        patroni={name: ok(view) for name in names},
    )


def with_endpoint(key: str, **changes: Any) -> ClusterFacts:
    """Return the facts with another use of an endpoint's Pgpool-II."""
    facts = healthy()
    return replace(facts, endpoints={**facts.endpoints, key: ok(replace(USE, **changes))})


def with_node(name: str = PRIMARY, **changes: Any) -> ClusterFacts:
    """Return the facts with another load of a node."""
    facts = healthy()
    return replace(facts, nodes={**facts.nodes, name: ok(replace(load(name), **changes), name)})


def doing(name: str = PRIMARY, **changes: Any) -> ClusterFacts:
    """Return the facts with other sessions on a node."""
    return with_node(name, activity=replace(QUIET, **changes))


def counted(**changes: Any) -> ClusterFacts:
    """Return the facts with other counters of the primary."""
    return with_node(counters=replace(COUNTED, **changes))


def with_entry(name: str, key: str, value: Any) -> ClusterFacts:
    """Return the facts with another answer in one of the mappings."""
    facts = healthy()
    changes: dict[str, Any] = {name: {**getattr(facts, name), key: ok(value)}}
    return replace(facts, **changes)


def with_fact(name: str, value: Any) -> ClusterFacts:
    """Return the facts with another answer to one of the single questions."""
    changes: dict[str, Any] = {name: ok(value)}
    return replace(healthy(), **changes)


def silent(name: str, key: str = "") -> ClusterFacts:
    """Return the facts without an answer to that question."""
    facts = healthy()
    changes: dict[str, Any] = {name: {**getattr(facts, name), key: bad()} if key else bad()}
    return replace(facts, **changes)
