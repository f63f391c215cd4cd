"""The assessment of a snapshot: its level and its findings.

Invariant: HEALTHY only if every source was asked, answered, and agrees. A source that could not be asked is a finding
of its own, so an unreachable cluster is never healthy.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from poolkeeper.decide import drift, start_failure
from poolkeeper.model import endpoint_keys, pool_node_states, proxies
from poolkeeper.model.assessment import Assessment, Finding, FindingKind, Level
from poolkeeper.model.endpoint_keys import DIRECT_RO, DIRECT_RW, RO, RW
from poolkeeper.model.observed import Postgres, Seen, Snapshot
from poolkeeper.model.spec import ClusterSpec

T = TypeVar("T")
# Endpoint → whether its server is expected to be in recovery
PROMISES = {RW: False, RO: True, DIRECT_RW: False, DIRECT_RO: True}
NOT_ASKED = "not asked"


def assess(spec: ClusterSpec, seen: Snapshot) -> Assessment:
    """Assess a snapshot of a declared cluster."""
    findings = tuple(_findings(spec, seen))
    return Assessment(
        level=_level(spec, seen, findings),
        findings=findings,
        rows=tuple(drift.node_row(seen, node.name) for node in spec.nodes),
        primary=drift.primary_by_postgres(seen),
    )


def _level(spec: ClusterSpec, seen: Snapshot, findings: tuple[Finding, ...]) -> Level:
    kinds = {finding.kind for finding in findings}
    if FindingKind.DOWN in kinds:
        return Level.DOWN
    if is_unreachable(spec, seen):
        return Level.UNKNOWN
    if kinds & {FindingKind.FAULT, FindingKind.DRIFT}:
        return Level.DEGRADED
    return Level.UNKNOWN if FindingKind.UNKNOWN in kinds else Level.HEALTHY


def is_unreachable(spec: ClusterSpec, seen: Snapshot) -> bool:
    """Return whether neither the engine nor any node answered."""
    return not seen.containers.is_known and not any(_server(seen, node.name) for node in spec.nodes)


def _server(seen: Snapshot, node: str) -> Postgres | None:
    return seen.postgres[node].value if node in seen.postgres else None


def _error_of(answer: Seen[T] | None) -> str:
    """Return why there is no answer."""
    return answer.error if answer else NOT_ASKED


def _findings(spec: ClusterSpec, seen: Snapshot) -> Iterator[Finding]:
    yield from _containers(spec, seen)
    yield from _leadership(spec, seen)
    yield from _failed_starts(spec, seen)
    yield from _patroni(spec, seen)
    yield from _replication(spec, seen)
    yield from _pgpool(spec, seen)
    yield from _haproxy(spec, seen)
    yield from _endpoints(spec, seen)
    yield from _etcd(spec, seen)
    yield from _keeper(spec, seen)
    yield from drift.disagreements(spec, seen)


def _containers(spec: ClusterSpec, seen: Snapshot) -> Iterator[Finding]:
    known = seen.containers.value
    if known is None:
        yield Finding(FindingKind.UNKNOWN, "containers", seen.containers.error)
        return
    if not any(container.is_running for container in known.values()):
        yield Finding(FindingKind.DOWN, "cluster", "no container runs; start it with: poolkeeper up")
        return
    for service in spec.addresses():
        container = known.get(service)
        if container is None:
            yield Finding(FindingKind.FAULT, service, "its container does not exist")
        elif not container.is_running:
            ended = f" with {container.exit_code}" if container.state == "exited" else ""
            memory = ", out of memory" if container.oom_killed else ""
            yield Finding(FindingKind.FAULT, service, f"its container is {container.state}{ended}{memory}")


def _leadership(spec: ClusterSpec, seen: Snapshot) -> Iterator[Finding]:
    servers = {node.name: _server(seen, node.name) for node in spec.nodes}
    answers = {name: server for name, server in servers.items() if server}
    primaries = [name for name, server in answers.items() if not server.in_recovery]
    for name in servers:
        if name not in answers:
            yield Finding(FindingKind.FAULT, name, f"PostgreSQL does not answer: {_error_of(seen.postgres.get(name))}")
    if len(primaries) > 1:
        yield Finding(FindingKind.FAULT, "cluster", f"more than one primary: {', '.join(primaries)}")
    if not primaries and answers:
        yield Finding(FindingKind.DOWN, "cluster", "no node is primary; Patroni is electing one, or has no quorum")
    elif not primaries and seen.containers.is_known:
        yield Finding(FindingKind.DOWN, "cluster", "no PostgreSQL answers")


def _failed_starts(spec: ClusterSpec, seen: Snapshot) -> Iterator[Finding]:
    for node, message in seen.failed_starts.items():
        advice = start_failure.way_out(message, spec.container_name(node))
        yield Finding(FindingKind.FAULT, node, f"PostgreSQL does not start: {message}. {advice}")


def _patroni(spec: ClusterSpec, seen: Snapshot) -> Iterator[Finding]:
    for node in spec.nodes:
        answer = seen.patroni.get(node.name)
        if answer is None or answer.value is None:
            yield Finding(FindingKind.FAULT, node.name, f"Patroni does not answer: {_error_of(answer)}")
    if any(answer.value and answer.value.paused for answer in seen.patroni.values()):
        yield Finding(
            FindingKind.FAULT,
            "patroni",
            "is paused, so no standby replaces a lost primary; `poolkeeper up` resumes it",
        )


def _replication(spec: ClusterSpec, seen: Snapshot) -> Iterator[Finding]:
    primary = drift.primary_by_postgres(seen)
    server = _server(seen, primary) if primary else None
    if primary is None or server is None:
        return
    streaming = {s.application for s in server.senders if s.state == "streaming"}
    active = {s.name for s in server.slots if s.kind == "physical" and s.active}
    for standby in (node.name for node in spec.nodes if node.name != primary):
        if standby not in streaming:
            yield Finding(FindingKind.FAULT, standby, f"is not streaming from {primary}")
        if standby not in active:
            yield Finding(FindingKind.FAULT, standby, f"its replication slot on {primary} is missing or inactive")
        replica = _server(seen, standby)
        if replica and replica.timeline != server.timeline:
            timelines = f"{replica.timeline}, the primary on {server.timeline}"
            yield Finding(FindingKind.FAULT, standby, f"is on timeline {timelines}")
    if spec.replication.synchronous_mode != "off" and not server.synchronous_standby_names:
        yield Finding(
            FindingKind.FAULT, primary, "synchronous replication is not in force (synchronous_standby_names is empty)"
        )
    if not server.data_checksums:
        yield Finding(FindingKind.FAULT, primary, "data checksums are off")


def _pgpool(spec: ClusterSpec, seen: Snapshot) -> Iterator[Finding]:
    service = spec.endpoints.balanced.service
    view = seen.pgpool.value
    if view is None:
        yield Finding(FindingKind.FAULT, service, f"Pgpool-II does not answer: {seen.pgpool.error}")
        return
    for node in spec.nodes:
        backend = view.node(node.name)
        if backend is None:
            yield Finding(FindingKind.DRIFT, service, f"{node.name} is not one of its backends")
        elif not pool_node_states.is_in_use(backend.status):
            yield Finding(FindingKind.FAULT, service, f"has {node.name} as {backend.status}")


def _haproxy(spec: ClusterSpec, seen: Snapshot) -> Iterator[Finding]:
    service, view = spec.haproxy.service, seen.haproxy.value
    if view is None:
        yield Finding(FindingKind.FAULT, service, f"its statistics cannot be read: {seen.haproxy.error}")
        return
    for proxy, name in proxies.expected(spec):
        row = view.row(proxy, name)
        if row is None or not row.is_up:
            yield Finding(FindingKind.FAULT, service, f"{proxy}/{name} is {row.status if row else 'missing'}")


def _endpoints(spec: ClusterSpec, seen: Snapshot) -> Iterator[Finding]:
    for key in (*endpoint_keys.POOLED, *spec.direct_endpoints()):
        endpoint = seen.endpoints.get(key)
        if endpoint is None or endpoint.value is None:
            yield Finding(
                FindingKind.FAULT, f"endpoint {key}", f"a query through its port fails: {_error_of(endpoint)}"
            )
        elif key in PROMISES and endpoint.value.in_recovery is not PROMISES[key]:
            role = "a standby" if endpoint.value.in_recovery else "the primary"
            yield Finding(FindingKind.FAULT, f"endpoint {key}", f"was answered by {role}, {endpoint.value.node}")


def _etcd(spec: ClusterSpec, seen: Snapshot) -> Iterator[Finding]:
    for member in spec.etcd.members:
        view = seen.etcd.get(member.name)
        if view is None or view.value is None:
            yield Finding(FindingKind.FAULT, member.name, f"does not answer: {_error_of(view)}")
        elif not view.value.healthy:
            yield Finding(FindingKind.FAULT, member.name, "has no quorum")


def _keeper(spec: ClusterSpec, seen: Snapshot) -> Iterator[Finding]:
    service, view = spec.keeper.service, seen.keeper.value
    if view is None:
        yield Finding(FindingKind.FAULT, service, f"does not answer, so a failover takes longer: {seen.keeper.error}")
        return
    if not view.healthy:
        yield Finding(FindingKind.FAULT, service, "its loop has stalled")
    for source in view.blind:
        yield Finding(FindingKind.FAULT, service, f"cannot read the {source}")
    if view.open_matters:
        matters = "; ".join(view.open_matters)
        yield Finding(FindingKind.DRIFT, service, f"has been at work for {view.drift_seconds:.0f} s: {matters}")
