"""Groups 2 (its first half), 3 and 13: the endpoints of the clients, and HAProxy's dashboard."""

from __future__ import annotations

from poolkeeper.cluster.reading import listed, reason
from poolkeeper.model.observed import HaproxyView
from poolkeeper.model.probe import EndpointFacts, Reading, Readings
from poolkeeper.model.target import Target
from poolkeeper.model.verdict import Verdict
from poolkeeper.suite.checks import node_roles
from poolkeeper.suite.checks.outcomes import Check, duration


def pool_query(target: Target, readings: Readings) -> Verdict:
    """Check group 2, first half: a query through Pgpool-II."""
    check = Check("pgpool_connection.query", 2, f"A query through Pgpool-II ({target.balanced.port})")
    return check_endpoint(check, target, readings, readings.balanced)


def haproxy_connectivity(target: Target, readings: Readings) -> tuple[Verdict, ...]:
    """Check group 3: a query through the read-write endpoint, and one through the read-only endpoint."""
    rw = Check("haproxy_connectivity.rw", 3, f"A query through the read-write endpoint ({target.rw.port})")
    ro = Check("haproxy_connectivity.ro", 3, f"A query through the read-only endpoint ({target.ro.port})")
    return check_endpoint(rw, target, readings, readings.rw), check_endpoint(ro, target, readings, readings.ro)


def check_endpoint(
    check: Check, target: Target, readings: Readings, endpoint: Reading[EndpointFacts] | None
) -> Verdict:
    """Check an endpoint; one that gives no session fails if a node behind it answers, else its state is unknown."""
    if endpoint is None:
        return check.unknown("The endpoint was not tried")
    if endpoint.value is None:
        if node_roles.knows_a_node(readings):
            return check.failed(f"The endpoint is closed while the nodes answer: {reason(endpoint)}", endpoint)
        return check.unknown(f"Neither the endpoint nor a node gave an answer: {reason(endpoint)}", endpoint)
    server = node_roles.name_of(readings, endpoint.value.server)
    if not node_roles.silent(target, readings) and node_roles.node_of(readings, endpoint.value.server) is None:
        return check.failed(f"{server} answered, which is none of the nodes", endpoint, *readings.nodes.values())
    if wrong := _wrong_role(target, readings, endpoint):
        return check.failed(f"{server} answered, {wrong}", endpoint)
    role = "standby" if endpoint.value.in_recovery else "primary"
    return check.passed(f"{server} answered in {duration(endpoint.evidence.seconds)} as {role}", endpoint)


def _wrong_role(target: Target, readings: Readings, endpoint: Reading[EndpointFacts]) -> str:
    """Return why the node that answered is the wrong one; the balancing endpoint may lead to any node."""
    in_recovery = endpoint.value is not None and endpoint.value.in_recovery
    if in_recovery and (endpoint is readings.rw or endpoint is readings.direct_rw):
        return "which is a standby; this endpoint must lead to the primary"
    if endpoint is readings.ro and not in_recovery and not target.is_foreign:
        return "which is the primary; this endpoint must lead to standbys"
    return ""


def haproxy_stats(target: Target, readings: Readings) -> tuple[Verdict, ...]:
    """Check group 13: the dashboard answers, and every expected proxy is up."""
    check = Check("haproxy_stats", 13, "HAProxy's dashboard answers, with every proxy up")
    stats = readings.stats
    if stats is None:
        return (check.unknown("The dashboard was not asked"),)
    if stats.value is not None:
        return (_proxies(check, target, stats.value, stats),)
    if stats.failure and stats.failure.is_access:
        return (check.unknown(f"The dashboard refuses this user: {reason(stats)}", stats),)
    if stats.answered or node_roles.any_node_answers(readings):
        return (check.failed(f"The dashboard does not answer correctly: {reason(stats)}", stats),)
    return (check.unknown(f"Neither the dashboard nor a node answers: {reason(stats)}", stats),)


def _proxies(check: Check, target: Target, view: HaproxyView, stats: Reading[HaproxyView]) -> Verdict:
    """Check every declared proxy; of a foreign HAProxy, every one that it has."""
    present = tuple((p.proxy, p.name) for p in view.proxies if p.name in ("FRONTEND", "BACKEND"))
    wanted = target.proxies or present
    if not wanted:
        return check.failed("The dashboard lists no proxy", stats)
    rows = {(proxy, kind): view.row(proxy, kind) for proxy, kind in wanted}
    bad = [
        f"{proxy} {kind} {row.status if row else 'missing'}"
        for (proxy, kind), row in rows.items()
        if not (row and row.is_up)
    ]
    if bad:
        return check.failed(f"{len(bad)} of {len(rows)} proxies are not up: {', '.join(bad)}", stats)
    return check.passed(
        f"All {len(rows)} frontends and backends are up: {listed(dict.fromkeys(p for p, _ in rows))}", stats
    )
