"""A healthy cluster as the validation suite reads it; tests inject bad readings into it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from poolkeeper.model import proxies
from poolkeeper.model.dsn import Dsn
from poolkeeper.model.observed import HaproxyView, KeeperView, PatroniMember, PatroniView, PgpoolNode, Proxy
from poolkeeper.model.probe import (
    Acknowledger,
    Arrival,
    Balance,
    CommitFacts,
    EndpointFacts,
    Failure,
    FailureKind,
    Inserts,
    NodeFacts,
    PgpoolFacts,
    Reading,
    Readings,
    ReadOnlyFacts,
    ReadOnlySession,
    RowsSeen,
    Sender,
    Server,
    SlotFacts,
    WriteAttempt,
)
from poolkeeper.model.spec import ClusterSpec
from poolkeeper.model.target import OwnCluster, Target
from poolkeeper.model.verdict import Evidence

EXPECTED = proxies.expected(ClusterSpec())
VERSION = "17.11 (Debian 17.11-0+deb13u1)"
ROWS = tuple((session, number) for session in range(1, 11) for number in (1, 2, 3))
SCHEMA = "poolkeeper_check_0123456789ab"
SILENT = Failure(FailureKind.UNREACHABLE, "", "no answer within 5 s")


def refused(code: str, text: str = "refused") -> Failure:
    """Return an error that a server sent."""
    return Failure(FailureKind.REFUSED, code, text)


def ambiguous() -> Failure:
    """Return a commit that its quorum has not acknowledged."""
    return Failure(FailureKind.AMBIGUOUS, "01000", "ambiguous commit")


def ok(value: Any, where: str = "somewhere") -> Reading[Any]:
    """Return an answer."""
    return Reading(Evidence(where, "a question", str(value), 0.004), value)


def bad(failure: Failure = SILENT, where: str = "somewhere") -> Reading[Any]:
    """Return a missing answer."""
    return Reading(Evidence(where, "a question", failure.text, 0.004), None, failure)


def names(count: int = 3) -> tuple[str, ...]:
    """Return the names of the nodes."""
    return tuple(f"n{i}" for i in range(1, count + 1))


def target(count: int = 3, *, foreign: bool = False, acknowledgements: int = 1) -> Target:
    """Return a cluster of this number of nodes."""
    nodes = {name: Dsn("127.0.0.1", 5610 + i, "app", "app", "secret") for i, name in enumerate(names(count), start=1)}
    endpoint = nodes["n1"]
    return Target(
        cluster="sample",
        nodes=nodes,
        monitors=nodes,
        balanced=replace(endpoint, port=9999),
        rw=replace(endpoint, port=5100),
        ro=replace(endpoint, port=5101),
        stats_url="http://127.0.0.1:8406",
        proxies=() if foreign else EXPECTED,
        own=None
        if foreign
        else OwnCluster(
            patroni=dict.fromkeys(nodes, "10.8.0.11"),
            keeper=("127.0.0.1", 8407),
            read_sessions=8,
            acknowledgements=acknowledgements,
            direct={"direct_rw": replace(endpoint, port=5200), "direct_ro": replace(endpoint, port=5201)},
        ),
    )


def server(name: str) -> Server:
    """Return a node's identity."""
    return Server(f"17953772{name[1:]}.5", f"10.8.0.1{name[1:]}")


def node(name: str, primary: str, version: str = VERSION) -> NodeFacts:
    """Return what a node reports about itself."""
    return NodeFacts(server(name), name != primary, 1, version)


def backend(name: str, primary: str, **changes: Any) -> PgpoolNode:
    """Return a row of SHOW pool_nodes."""
    role = "primary" if name == primary else "standby"
    return replace(PgpoolNode(int(name[1:]), name, "up", "up", role, role, 100), **changes)


def proxy_rows(**status: str) -> tuple[Proxy, ...]:
    """Return all expected proxies; a status of one can be given as PROXY_KIND=status."""
    return tuple(
        Proxy(proxy, kind, status.get(f"{proxy}_{kind}", "OPEN" if kind == "FRONTEND" else "UP"), 0)
        for proxy, kind in EXPECTED
    )


def dashboard(all_names: tuple[str, ...], primary: str, **status: str) -> HaproxyView:
    """Return all expected proxies and the servers of the inner ports; PROXY_NAME=status gives the status of one."""
    servers = tuple(
        Proxy(proxy, name, status.get(f"{proxy}_{name}", "UP" if (name == primary) is leads else "DOWN"), 2)
        for proxy, leads in ((proxies.PRIMARY, True), (proxies.STANDBYS, False))
        for name in all_names
    )
    return HaproxyView("3.0.11", proxy_rows(**status) + servers)


def patroni(all_names: tuple[str, ...], leader: str) -> PatroniView:
    """Return the cluster as a Patroni reports it."""
    return PatroniView(
        tuple(
            PatroniMember(name, *(("leader", "running") if name == leader else ("quorum_standby", "streaming")), 1, 0)
            for name in all_names
        )
    )


def endpoint(standbys: list[str], view: HaproxyView | None) -> ReadOnlyFacts:
    """Return eight sessions of the read-only endpoint, in turn on each standby."""
    answered = [standbys[i % len(standbys)] for i in range(8)] if standbys else []
    return ReadOnlyFacts(tuple(ReadOnlySession(server(name), True, "25006", "25006") for name in answered), (), view)


def acknowledgers(standbys: list[str], sync_state: str | None = "quorum") -> tuple[Acknowledger, ...]:
    """Return the standbys as the primary reports them."""
    return tuple(Acknowledger(name, "streaming", sync_state) for name in standbys)


def healthy(count: int = 3, primary: str = "n2") -> Readings:
    """Return only good readings. The primary is not the first node, so that no check can rely on names."""
    all_names = names(count)
    standbys = [name for name in all_names if name != primary]
    before = tuple(backend(name, primary) for name in all_names)
    after = tuple(replace(row, selects=112) for row in before)
    view = dashboard(all_names, primary)
    return Readings(
        nodes={name: ok(node(name, primary), name) for name in all_names},
        senders={primary: ok(tuple(Sender(name, "streaming") for name in standbys))},
        slots={primary: ok(tuple(SlotFacts(name, "physical", True) for name in standbys))},
        balanced=ok(EndpointFacts(server(primary), False), "balanced"),
        rw=ok(EndpointFacts(server(primary), False), "rw"),
        ro=ok(EndpointFacts(server(standbys[0]), True), "ro"),
        backends=ok(before, "backends"),
        pgpool=ok(PgpoolFacts("4.6.1 (chirikoboshi)", 32)),
        stats=ok(view),
        balance=ok(Balance(12 * count, before, after, {server(name): 12 for name in all_names})),
        workspace=ok(SCHEMA, "workspace"),
        inserted=ok(SCHEMA),
        arrivals={name: ok(Arrival(SCHEMA, SCHEMA, 0.01)) for name in standbys},
        altered=ok("integer"),
        columns={name: ok(Arrival("integer", "integer", 0.01)) for name in standbys},
        attempts={name: ok(WriteAttempt(True, "25006", "read-only")) for name in standbys},
        inserts=ok(Inserts(ROWS, ROWS)),
        rows={name: ok(RowsSeen(ROWS, 0.02)) for name in all_names},
        read_only=ok(endpoint(standbys, view)),
        patroni={name: ok(patroni(all_names, primary), f"{name}'s Patroni") for name in all_names},
        commit={primary: ok(CommitFacts(f"ANY 1 ({','.join(standbys)})", acknowledgers(standbys)))},
        session_commit=ok("on", "rw"),
        keeper=ok(KeeperView(True, primary, (), False, (), 0.0), "keeper"),
        direct_rw=ok(EndpointFacts(server(primary), False), "direct_rw"),
        direct_ro=ok(endpoint(standbys[:1], None), "direct_ro"),
    )


def put(readings: Readings, field: str, reading: Reading[Any] | None) -> Readings:
    """Return the readings with one of them replaced or removed. `field` is as "balanced" or "nodes.n1"."""
    name, _, key = field.partition(".")
    if not key:
        single: dict[str, Any] = {name: reading}
        return replace(readings, **single)
    mapping: Mapping[str, Reading[Any]] = getattr(readings, name)
    kept = {k: r for k, r in mapping.items() if k != key}
    changed: dict[str, Any] = {name: {**kept, key: reading} if reading else kept}
    return replace(readings, **changed)


def without(readings: Readings, *fields: str, failure: Failure = SILENT) -> Readings:
    """Return the readings with these failed."""
    for field in fields:
        readings = put(readings, field, bad(failure))
    return readings
