"""Rules for the endpoints: their sessions, HAProxy's queues, and the connections that Pgpool-II keeps.

Not known: the number of clients that wait for a full direct endpoint. HAProxy does not accept their connections, so
they are in the kernel's listen backlog only.
"""

from __future__ import annotations

from collections.abc import Iterator

from poolkeeper.doctor.rules.rule import Rule, share, value_of
from poolkeeper.model import endpoint_keys
from poolkeeper.model.diagnosis import ClusterFacts, DoctorFinding, PoolUse, Traffic
from poolkeeper.model.spec import ClusterSpec
from poolkeeper.model.spec_endpoints import Endpoint

NEARLY_FULL = 0.9
ENOUGH_SESSIONS = 100  # served by the current processes, before reuse is evaluated
LEAST_REUSE = 2.0  # sessions that a kept connection has served, on average
CROWDED = 0.8  # of a frontend's own limit


def evaluate(spec: ClusterSpec, facts: ClusterFacts) -> Iterator[DoctorFinding]:
    """Yield the findings of each endpoint's processes and connections, and of HAProxy's queues and limits."""
    for key in endpoint_keys.POOLED:
        endpoint: Endpoint = getattr(spec.endpoints, key)
        yield _processes(facts, key, endpoint)
        yield _pairs(facts, key, endpoint)
        yield _reuse(spec, facts, key)
    for key in endpoint_keys.POOLED_BEHIND_HAPROXY:
        yield _queue(spec, facts, key, getattr(spec.endpoints, key).service)
    for key in spec.direct_endpoints():
        yield _direct_sessions(facts, key)
        yield _direct_queue(facts, key)
    yield from _frontends(spec, facts)


def _row(facts: ClusterFacts, proxy: str, name: str) -> Traffic | None:
    rows = value_of(facts.traffic) or ()
    return next((row for row in rows if row.proxy == proxy and row.name == name), None)


def _processes(facts: ClusterFacts, key: str, endpoint: Endpoint) -> DoctorFinding:
    """Evaluate HAProxy's count where there is one: a full endpoint admits no session that could ask Pgpool-II."""
    rule = Rule(
        "endpoints.sessions",
        key,
        f"{NEARLY_FULL:.0%} of the sessions that the endpoint serves at once",
        f"endpoints.{key}.num_init_children",
        "Raise it with postgresql.max_connections (poolkeeper tune --clients N computes both), or have the clients "
        "close unused sessions.",
        "SHOW pool_processes",
    )
    reading = facts.endpoints.get(key)
    row = _row(facts, f"endpoint_{key}", endpoint.service)
    if row and row.limit:
        figure = f"{row.sessions} of {row.limit}"
        text = f"{figure} sessions are open at the endpoint {key}, at most {row.most_sessions} since HAProxy started"
        return rule.finding(row.sessions >= NEARLY_FULL * row.limit, figure, text, facts.traffic, reading)
    use = value_of(reading)
    if use is None:
        return rule.unknown(*((facts.traffic, reading) if key in endpoint_keys.POOLED_BEHIND_HAPROXY else (reading,)))
    figure = f"{use.busy} of {use.children}"
    full = use.busy >= NEARLY_FULL * use.children
    return rule.finding(full, figure, f"{figure} processes of the endpoint {key} serve a client", reading)


def _pairs(facts: ClusterFacts, key: str, endpoint: Endpoint) -> DoctorFinding:
    rule = Rule(
        "endpoints.pairs",
        key,
        f"max_pool = {endpoint.max_pool} pairs of user and database",
        f"endpoints.{key}.max_pool",
        "Raise it (poolkeeper tune --pairs N also computes max_connections), or have the clients of an endpoint use "
        "fewer users and databases.",
        "SHOW pool_pools",
    )
    reading = facts.endpoints.get(key)
    use = value_of(reading)
    if use is None:
        return rule.unknown(reading)
    count = len(use.pairs)
    text = f"{count} pairs of user and database are kept in the endpoint {key}"
    more = "; a process that serves one more pair closes a kept connection" if count > endpoint.max_pool else ""
    return rule.finding(count > endpoint.max_pool, str(count), text + more, reading)


def _reuse(spec: ClusterSpec, facts: ClusterFacts, key: str) -> DoctorFinding:
    rule = Rule(
        "endpoints.reuse",
        key,
        f"{LEAST_REUSE:g} sessions per kept connection, once {ENOUGH_SESSIONS} were served",
        "pgpool.child_life_time" if spec.pgpool.connection_cache else "pgpool.connection_cache",
        "Keep connections for longer (pgpool.child_life_time, pgpool.connection_cache), or have clients keep theirs: "
        "each new connection costs a login and a server process.",
        "SHOW pool_pools",
    )
    reading = facts.endpoints.get(key)
    use = value_of(reading)
    if use is None:
        return rule.unknown(reading)
    mean = use.uses / use.connections if use.connections else 0.0
    figure = f"{mean:.1f}"
    text = f"{use.sessions} sessions were served; each of the {use.connections} kept connections served {mean:.1f}"
    return rule.finding(_reconnects(use, mean), figure, text, reading)


def _reconnects(use: PoolUse, mean: float) -> bool:
    return use.sessions >= ENOUGH_SESSIONS and mean < LEAST_REUSE


def _queue(spec: ClusterSpec, facts: ClusterFacts, key: str, service: str) -> DoctorFinding:
    """Evaluate the waiting clients; HAProxy counts some of them at the backend and some at its server."""
    rule = Rule(
        "haproxy.queue",
        key,
        "no client waits",
        f"endpoints.{key}.num_init_children",
        f"Raise it with max_connections (poolkeeper tune --clients N): a client waits at most "
        f"{spec.haproxy.queue_timeout_ms / 1000:g} s (haproxy.queue_timeout_ms), then HAProxy refuses it.",
        f"echo 'show stat' to HAProxy: qcur, qmax of endpoint_{key}",
    )
    row = _row(facts, f"endpoint_{key}", "BACKEND")
    if row is None:
        why = "" if value_of(facts.traffic) is None else f"HAProxy has no backend endpoint_{key}"
        return rule.unknown(facts.traffic, why=why)
    rows = [row, *([server] if (server := _row(facts, f"endpoint_{key}", service)) else [])]
    waiting, most = max(r.queued for r in rows), max(r.most_queued for r in rows)
    text = f"{waiting} clients wait for a free session of the endpoint {key}, at most {most} since HAProxy started"
    return rule.finding(waiting > 0, str(waiting), text, facts.traffic)


def _direct(facts: ClusterFacts, key: str) -> Traffic | str:
    """Return the row of a direct endpoint's frontend, which has its own limit; or the reason why there is none."""
    row = _row(facts, key, "FRONTEND")
    if row and row.limit:
        return row
    if value_of(facts.traffic) is None:
        return ""  # the reading has the reason
    return f"HAProxy's frontend {key} has no limit" if row else f"HAProxy has no frontend {key}"


def _direct_sessions(facts: ClusterFacts, key: str) -> DoctorFinding:
    rule = Rule(
        "endpoints.sessions",
        key,
        f"{NEARLY_FULL:.0%} of the sessions that the endpoint serves at once",
        f"endpoints.{key}.max_sessions",
        "Raise it with postgresql.max_connections (poolkeeper tune --clients N computes both), or make the "
        "applications' own pools smaller: max_sessions bounds their sum.",
        f"echo 'show stat' to HAProxy: scur, smax, slim of {key}",
    )
    row = _direct(facts, key)
    if isinstance(row, str):
        return rule.unknown(facts.traffic, why=row)
    limit = row.limit or 0
    figure = f"{row.sessions} of {limit}"
    text = f"{figure} sessions are open at the endpoint {key}, at most {row.most_sessions} since HAProxy started"
    return rule.finding(row.sessions >= NEARLY_FULL * limit, figure, text, facts.traffic)


def _direct_queue(facts: ClusterFacts, key: str) -> DoctorFinding:
    """Evaluate the free sessions: a direct endpoint has no queue, and admits no client once it is full."""
    rule = Rule(
        "haproxy.queue",
        key,
        "one session is free",
        f"endpoints.{key}.max_sessions",
        "Raise it with max_connections (poolkeeper tune --clients N): a client waits, connected and without an answer, "
        "until a session ends or its own connection timeout.",
        f"echo 'show stat' to HAProxy: scur, slim of {key}",
    )
    row = _direct(facts, key)
    if isinstance(row, str):
        return rule.unknown(facts.traffic, why=row)
    limit = row.limit or 0
    figure = f"{max(0, limit - row.sessions)} free"
    text = f"the endpoint {key} has {limit - row.sessions} free sessions, so no client waits"
    full = row.sessions >= limit
    if full:
        text = f"the endpoint {key} is full: new clients wait until a session ends (HAProxy does not count them)"
    return rule.finding(full, figure, text, facts.traffic)


def _frontends(spec: ClusterSpec, facts: ClusterFacts) -> Iterator[DoctorFinding]:
    """Evaluate the ports with HAProxy's own limit; a direct endpoint's limit is that of its sessions."""
    rows = value_of(facts.traffic)
    advice = (
        "HAProxy's own limit follows the endpoints' num_init_children; find the clients that open so many sessions."
    )
    if rows is None:
        yield Rule("haproxy.sessions", "haproxy", f"{CROWDED:.0%} of each port's limit", "").unknown(facts.traffic)
        return
    for row in rows:
        if row.name == "FRONTEND" and row.limit and row.proxy not in spec.direct_endpoints():
            rule = Rule("haproxy.sessions", row.proxy, f"{CROWDED:.0%} of its limit", "", advice)
            figure = f"{row.sessions} of {row.limit}"
            text = f"{figure} sessions ({share(row.sessions, row.limit)}) are open at HAProxy's port {row.proxy}"
            yield rule.finding(row.sessions >= CROWDED * row.limit, figure, text, facts.traffic)
