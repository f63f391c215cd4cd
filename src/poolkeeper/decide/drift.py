"""Drift: where PostgreSQL and Patroni, Pgpool-II and HAProxy disagree.

Each of them reports which node is primary and which are standbys. The truth is Patroni's lease together with
PostgreSQL's own report; the other two follow it, and where they do not, that is drift.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from poolkeeper.model import proxies
from poolkeeper.model.assessment import Finding, FindingKind, NodeRow
from poolkeeper.model.observed import Container, PatroniMember, PatroniView, Snapshot
from poolkeeper.model.spec import ClusterSpec


def primary_by_postgres(seen: Snapshot) -> str | None:
    """Return the one node that reports that it is not in recovery; None if there is none, or more than one."""
    primaries = [name for name, server in seen.postgres.items() if server.value and not server.value.in_recovery]
    return primaries[0] if len(primaries) == 1 else None


def patroni_view(seen: Snapshot) -> PatroniView | None:
    """Return the view of the leader's Patroni if it answers, else of any other."""
    views = {name: answer.value for name, answer in seen.patroni.items() if answer.value}
    for name, view in views.items():
        if view.leader == name:
            return view
    return next(iter(views.values()), None)


def role_by_pgpool(seen: Snapshot, node: str) -> str | None:
    """Return primary or standby, as the balanced endpoint's Pgpool-II reports; None if it does not."""
    backend = seen.pgpool.value.node(node) if seen.pgpool.value else None
    return backend.role if backend else None


def role_by_haproxy(seen: Snapshot, node: str) -> str | None:
    """Return primary, standby, both or out, as HAProxy's two inner ports report; None if HAProxy does not answer."""
    return proxies.role_of(seen.haproxy.value, node) if seen.haproxy.value else None


def disagreements(spec: ClusterSpec, seen: Snapshot) -> Iterator[Finding]:
    """Find every disagreement between two sources that both answered."""
    view = patroni_view(seen)
    leaders = {answer.value.leader for answer in seen.patroni.values() if answer.value}
    if len(leaders) > 1:
        named = ", ".join(sorted(str(leader) for leader in leaders))
        yield Finding(FindingKind.DRIFT, "patroni", f"its members name different leaders: {named}")
    for node in spec.nodes:
        server = seen.postgres.get(node.name)
        if server is None or server.value is None:
            continue
        truth = server.value.role
        member = view.member(node.name) if view else None
        if view and member is None:
            yield Finding(FindingKind.DRIFT, node.name, "Patroni does not know it")
        elif member and member.is_leader is not (truth == "primary"):
            yield Finding(FindingKind.DRIFT, node.name, f"PostgreSQL reports {truth}, Patroni reports {member.role}")
        pool = role_by_pgpool(seen, node.name)
        if pool and pool != truth:
            yield Finding(FindingKind.DRIFT, node.name, f"PostgreSQL reports {truth}, Pgpool-II reports {pool}")
        endpoint = role_by_haproxy(seen, node.name)
        if endpoint and endpoint != truth:
            yield Finding(FindingKind.DRIFT, node.name, f"PostgreSQL reports {truth}, HAProxy reports {endpoint}")


def node_row(seen: Snapshot, node: str) -> NodeRow:
    """Return a node as each source reports it, side by side."""
    containers = seen.containers.value
    server = seen.postgres[node].value if node in seen.postgres else None
    view = patroni_view(seen)
    member = view.member(node) if view else None
    pool = seen.pgpool.value.node(node) if seen.pgpool.value else None
    endpoint = role_by_haproxy(seen, node)
    reported = {role for role in (server and server.role, pool and pool.role, endpoint) if role}
    if server is None:
        reported.discard("out")  # HAProxy takes out a server that does not answer: that is no disagreement
    if member:
        reported.add("primary" if member.is_leader else "standby")
    return NodeRow(
        node=node,
        container=_container(containers, node),
        postgres=server.role if server else "?",
        patroni=f"{member.role}, {member.state}" if member else "?",
        timeline=str(server.timeline) if server else "?",
        lag=_lag(member),
        slot=_slot(seen, node),
        pgpool=f"{pool.role}, {pool.status}" if pool else "?",
        haproxy=endpoint or "?",
        drift=len(reported) > 1,
    )


def _container(containers: Mapping[str, Container] | None, node: str) -> str:
    if containers is None:
        return "?"
    return containers[node].state if node in containers else "missing"


def _lag(member: PatroniMember | None) -> str:
    if member is None:
        return "?"
    if member.is_leader:
        return "-"
    return "?" if member.lag_bytes is None else str(member.lag_bytes)


def _slot(seen: Snapshot, node: str) -> str:
    primary = primary_by_postgres(seen)
    server = seen.postgres[primary].value if primary else None
    if server is None:
        return "?"
    if node == primary:
        return "-"
    slot = next((s for s in server.slots if s.name == node), None)
    return "missing" if slot is None else "active" if slot.active else "inactive"
