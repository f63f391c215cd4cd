"""The preconditions of operations that move or disturb a node, each as a fact of one snapshot.

Invariant: a source that did not answer makes its fact unknown, unless others explain its silence. A container that has
ended runs no PostgreSQL, and a server that does not start has no sessions. Not promised: that a fact still holds a
moment later. Patroni checks again.
"""

from __future__ import annotations

from collections.abc import Iterable

from poolkeeper.decide import drift
from poolkeeper.model.endpoint_keys import RW
from poolkeeper.model.observed import PatroniMember, Postgres, Snapshot
from poolkeeper.model.precondition import Precondition
from poolkeeper.model.spec import ClusterSpec
from poolkeeper.model.verdict import Outcome

SYNCHRONOUS = ("quorum_standby", "sync_standby")  # roles in Patroni's /cluster of standbys that may have every commit
NO_LEADER = "no node"
NOT_RUNNING = ("start failed", "crashed", "stopped", "starting")  # Patroni's states of a server without sessions
ENDED = ("created", "exited", "dead")  # states of a container in which no process of it runs


def agreed_leader(seen: Snapshot) -> str | None:
    """Return the leader on which all answering Patronis, its own among them, and its PostgreSQL agree; else None."""
    leaders = {answer.value.leader for answer in seen.patroni.values() if answer.value}
    leader = next(iter(leaders)) if len(leaders) == 1 else None
    if leader is None or leader not in seen.patroni or not seen.patroni[leader].is_known:
        return None
    server = server_of(seen, leader)
    return leader if server and not server.in_recovery else None


def server_of(seen: Snapshot, node: str) -> Postgres | None:
    """Return the answer of a node's PostgreSQL, if it answers."""
    return seen.postgres[node].value if node in seen.postgres else None


def member_of(seen: Snapshot, node: str) -> PatroniMember | None:
    """Return Patroni's report of a node, if a Patroni answers and knows it."""
    view = drift.patroni_view(seen)
    return view.member(node) if view else None


def leader(seen: Snapshot) -> Precondition:
    """Check that every source names the same leader, and that its PostgreSQL is a primary."""
    name = "leader"
    found = agreed_leader(seen)
    if found:
        return Precondition(
            name, Outcome.PASS, f"{found}, according to every Patroni that answers and to its own PostgreSQL"
        )
    views = [answer.value for answer in seen.patroni.values() if answer.value]
    if not views:
        return Precondition(name, Outcome.UNKNOWN, "no Patroni answers")
    leaders = sorted({view.leader or NO_LEADER for view in views})
    if len(leaders) > 1:
        return Precondition(name, Outcome.FAIL, f"Patroni's members name different ones: {', '.join(leaders)}")
    if leaders == [NO_LEADER]:
        return Precondition(name, Outcome.FAIL, "no node holds the lease")
    server = server_of(seen, leaders[0])
    if server and server.in_recovery:
        return Precondition(name, Outcome.FAIL, f"{leaders[0]} holds the lease, and its PostgreSQL is in recovery")
    silent = "PostgreSQL" if server is None else "Patroni"
    return Precondition(name, Outcome.UNKNOWN, f"{leaders[0]} holds the lease, and its {silent} does not answer")


def single_primary(spec: ClusterSpec, seen: Snapshot) -> Precondition:
    """Check that no node but the leader is open for writes."""
    name = "no second primary"
    servers = {node.name: server_of(seen, node.name) for node in spec.nodes}
    primaries = [node for node, server in servers.items() if server and not server.in_recovery]
    if len(primaries) > 1:
        return Precondition(name, Outcome.FAIL, f"{', '.join(primaries)} are open for writes")
    unanswered = [node for node, server in servers.items() if server is None and not _has_ended(seen, node)]
    silent = [node for node in unanswered if not _does_not_start(seen, node)]
    if silent:
        return Precondition(name, Outcome.UNKNOWN, f"PostgreSQL of {', '.join(silent)} does not answer")
    fact = "every other node is in recovery, or its container has ended"
    return Precondition(name, Outcome.PASS, fact + (f"; {', '.join(unanswered)} does not start" if unanswered else ""))


def _has_ended(seen: Snapshot, service: str) -> bool:
    """Return whether the engine reports that no process of this container runs."""
    known = seen.containers.value
    return known is not None and (service not in known or known[service].state in ENDED)


def _does_not_start(seen: Snapshot, node: str) -> bool:
    """Return whether two sources report that its PostgreSQL does not start: its own Patroni, and the server's log.

    Such a server has not become ready since it last failed, so no client can write to it.
    """
    view = seen.patroni[node].value if node in seen.patroni else None
    member = view.member(node) if view else None
    return bool(member and not member.is_leader and member.state in NOT_RUNNING and node in seen.failed_starts)


def no_maintenance(seen: Snapshot) -> Precondition:
    """Patroni is not paused."""
    name = "no maintenance mode"
    views = [answer.value for answer in seen.patroni.values() if answer.value]
    if not views:
        return Precondition(name, Outcome.UNKNOWN, "no Patroni answers")
    if any(view.paused for view in views):
        return Precondition(name, Outcome.FAIL, "Patroni is paused; `poolkeeper maintenance off` ends that")
    return Precondition(name, Outcome.PASS, "Patroni is not paused")


def store(spec: ClusterSpec, seen: Snapshot) -> Precondition:
    """Check that more than half of etcd's members serve linearizable reads."""
    name, count = "etcd has its quorum", len(spec.etcd.members)
    answers = [seen.etcd[member.name].value for member in spec.etcd.members if member.name in seen.etcd]
    healthy = sum(1 for view in answers if view and view.healthy)
    silent = count - sum(1 for view in answers if view)
    fact = f"{healthy} of {count} members are healthy"
    if healthy > count // 2:
        return Precondition(name, Outcome.PASS, fact)
    unknown = healthy + silent > count // 2
    return Precondition(name, Outcome.UNKNOWN if unknown else Outcome.FAIL, f"{fact}, {silent} do not answer")


def endpoint(spec: ClusterSpec, seen: Snapshot) -> Precondition:
    """Check that HAProxy answers, and that the read-write port leads to the leader."""
    name, port = "the endpoint", spec.endpoints.rw.port
    if seen.haproxy.value is None:
        return Precondition(name, Outcome.UNKNOWN, f"HAProxy's statistics cannot be read: {seen.haproxy.error}")
    answer = seen.endpoints.get(RW)
    if answer is None or answer.value is None:
        return Precondition(name, Outcome.FAIL, f"a query through {port} fails: {answer.error if answer else ''}")
    if answer.value.in_recovery or answer.value.node != agreed_leader(seen):
        return Precondition(name, Outcome.FAIL, f"{port} was answered by {answer.value.node}, not by the leader")
    return Precondition(name, Outcome.PASS, f"HAProxy answers, and {port} leads to {answer.value.node}")


def keeper(spec: ClusterSpec, seen: Snapshot) -> Precondition:
    """Check that keeper runs. Without it the operation is slower and repairs the views itself."""
    name, service = "keeper", spec.keeper.service
    if seen.containers.value is None:
        return Precondition(name, Outcome.UNKNOWN, seen.containers.error, is_required=False)
    container = seen.containers.value.get(service)
    if container is None or not container.is_running or container.health == "unhealthy":
        state = "missing" if container is None else container.health if container.is_running else container.state
        fact = f"{service} is {state}: routes follow later, and this command repairs Pgpool-II's view"
        return Precondition(name, Outcome.FAIL, fact, is_required=False)
    return Precondition(name, Outcome.PASS, f"{service} runs", is_required=False)


def streams(seen: Snapshot, node: str) -> Precondition:
    """Check that a standby receives WAL on the leader's timeline, as the leader, Patroni and the standby report."""
    name = f"{node} streams"
    first = agreed_leader(seen)
    primary = server_of(seen, first) if first else None
    member, own = member_of(seen, node), server_of(seen, node)
    if primary is None:
        return Precondition(name, Outcome.UNKNOWN, "there is no agreed leader that could report it")
    if node not in {sender.application for sender in primary.senders if sender.state == "streaming"}:
        return Precondition(name, Outcome.FAIL, f"{first} does not stream to it")
    if member is None or member.state != "streaming":
        return Precondition(name, Outcome.FAIL, f"Patroni reports {member.state if member else 'unknown'}")
    if own is None:
        return Precondition(name, Outcome.UNKNOWN, "its PostgreSQL does not answer")
    if own.timeline != primary.timeline:
        fact = f"it is on timeline {own.timeline}, {first} on {primary.timeline}"
        return Precondition(name, Outcome.FAIL, fact)
    return Precondition(name, Outcome.PASS, f"from {first}, on timeline {own.timeline}")


def within_lag(spec: ClusterSpec, seen: Snapshot, node: str) -> Precondition:
    """Check that a standby's lag is within what Patroni allows for a promotion."""
    name, bound = f"lag of {node}", spec.patroni.maximum_lag_on_failover
    lag = lag_bytes(seen, node)
    if lag is None:
        return Precondition(name, Outcome.UNKNOWN, "it is not known")
    outcome = Outcome.PASS if lag <= bound else Outcome.FAIL
    return Precondition(name, outcome, f"{lag} bytes; patroni.maximum_lag_on_failover is {bound}")


def lag_bytes(seen: Snapshot, node: str) -> int | None:
    """Return how much WAL the standby has yet to replay, as the leader reports it."""
    first = agreed_leader(seen)
    primary = server_of(seen, first) if first else None
    return next((s.lag_bytes for s in primary.senders if s.application == node), None) if primary else None


def synchronous(spec: ClusterSpec, seen: Snapshot, node: str) -> Precondition:
    """Check that Patroni counts the standby among those that may have every acknowledged commit."""
    name = f"{node} is in the quorum"
    if spec.replication.synchronous_mode == "off":
        return Precondition(name, Outcome.PASS, "replication is asynchronous: there is none")
    member = member_of(seen, node)
    if member is None:
        return Precondition(name, Outcome.UNKNOWN, "Patroni does not report it")
    outcome = Outcome.PASS if member.role in SYNCHRONOUS else Outcome.FAIL
    return Precondition(name, outcome, f"Patroni reports {member.role}")


def eligible_candidate(spec: ClusterSpec, seen: Snapshot, node: str) -> tuple[Precondition, ...]:
    """Return every precondition of a standby's promotion."""
    return streams(seen, node), within_lag(spec, seen, node), synchronous(spec, seen, node)


def quorum_without(spec: ClusterSpec, seen: Snapshot, node: str | None) -> tuple[Precondition, ...]:
    """Check that every other standby serves while this node (None: each, one by one) is out: never two are out."""
    others = [other.name for other in spec.nodes if other.name not in (node, agreed_leader(seen))]
    found: list[Precondition] = []
    for other in others:
        found += [streams(seen, other), synchronous(spec, seen, other)]
    if spec.standby_count - 1 < _acknowledgements(spec):
        fact = "too few standbys are left to acknowledge a commit while one is away: writes wait for it"
        found.append(Precondition("writes", Outcome.FAIL, fact, is_required=False))
    return tuple(found)


def _acknowledgements(spec: ClusterSpec) -> int:
    return 0 if spec.replication.synchronous_mode == "off" else spec.replication.quorum_acknowledgements


def common(spec: ClusterSpec, seen: Snapshot) -> tuple[Precondition, ...]:
    """Return the preconditions of every operation on a node."""
    return leader(seen), single_primary(spec, seen), no_maintenance(seen), store(spec, seen), keeper(spec, seen)


def lines(preconditions: Iterable[Precondition]) -> str:
    """Return those that forbid, one a line."""
    return "\n".join(f"  {precondition}" for precondition in preconditions if precondition.forbids)
