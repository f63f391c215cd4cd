"""What clients meet first: a free session of an endpoint, a place in a queue, a kept connection.

Not known: how many wait for a full direct endpoint. HAProxy does not accept them, so only the kernel has them.
"""

from __future__ import annotations

from collections.abc import Iterator

from poolkeeper.doctor.rules.rule import Rule, share, value_of
from poolkeeper.model.diagnosis import ClusterFacts, DoctorFinding, PoolUse, Traffic
from poolkeeper.model.spec import ClusterSpec
from poolkeeper.model.spec_endpoints import Endpoint

NEARLY_FULL = 0.9
ENOUGH_SESSIONS = 100  # served by the processes that there are, before reuse is judged
LEAST_REUSE = 2.0  # sessions a kept connection has served, on average
CROWDED = 0.8  # of a frontend's own limit
BEHIND_HAPROXY = ("rw", "ro")
ENDPOINTS = ("rw", "ro", "balanced")


def judge(spec: ClusterSpec, facts: ClusterFacts) -> Iterator[DoctorFinding]:
    """Each endpoint's processes and connections, and HAProxy's queues and limits."""
    for key in ENDPOINTS:
        endpoint: Endpoint = getattr(spec.endpoints, key)
        yield _processes(facts, key, endpoint)
        yield _pairs(facts, key, endpoint)
        yield _reuse(spec, facts, key)
    for key in BEHIND_HAPROXY:
        yield _queue(spec, facts, key, getattr(spec.endpoints, key).service)
    for key in spec.direct_endpoints():
        yield _direct_sessions(facts, key)
        yield _direct_queue(facts, key)
    yield from _frontends(spec, facts)


def _row(facts: ClusterFacts, proxy: str, name: str) -> Traffic | None:
    rows = value_of(facts.traffic) or ()
    return next((row for row in rows if row.proxy == proxy and row.name == name), None)


def _processes(facts: ClusterFacts, key: str, endpoint: Endpoint) -> DoctorFinding:
    """By HAProxy's word where it stands before the endpoint: a full endpoint lets nobody in to ask Pgpool-II itself."""
    look = Rule(
        "endpoints.sessions",
        key,
        f"{NEARLY_FULL:.0%} of the sessions that the endpoint serves at once",
        f"endpoints.{key}.num_init_children",
        "Raise it with postgresql.max_connections (poolkeeper tune --clients N computes both), or have clients "
        "close sessions that they do not use.",
        "SHOW pool_processes",
    )
    reading = facts.endpoints.get(key)
    row = _row(facts, f"endpoint_{key}", endpoint.service)
    if row and row.limit:
        figure = f"{row.sessions} of {row.limit}"
        says = f"{figure} sessions are open at the endpoint {key}, at most {row.most_sessions} since HAProxy began"
        return look.judged(row.sessions >= NEARLY_FULL * row.limit, figure, says, facts.traffic, reading)
    use = value_of(reading)
    if use is None:
        return look.unknown(*((facts.traffic, reading) if key in BEHIND_HAPROXY else (reading,)))
    figure = f"{use.busy} of {use.children}"
    full = use.busy >= NEARLY_FULL * use.children
    return look.judged(full, figure, f"{figure} processes of the endpoint {key} serve a client", reading)


def _pairs(facts: ClusterFacts, key: str, endpoint: Endpoint) -> DoctorFinding:
    look = Rule(
        "endpoints.pairs",
        key,
        f"max_pool = {endpoint.max_pool} pairs of user and database",
        f"endpoints.{key}.max_pool",
        "Raise it (poolkeeper tune --pairs N computes max_connections with it), or have the clients of an endpoint log in "
        "with fewer users and databases.",
        "SHOW pool_pools",
    )
    reading = facts.endpoints.get(key)
    use = value_of(reading)
    if use is None:
        return look.unknown(reading)
    count = len(use.pairs)
    says = f"{count} pairs of user and database are kept in the endpoint {key}"
    more = "; a process that meets one more closes a connection for it" if count > endpoint.max_pool else ""
    return look.judged(count > endpoint.max_pool, str(count), says + more, reading)


def _reuse(spec: ClusterSpec, facts: ClusterFacts, key: str) -> DoctorFinding:
    look = Rule(
        "endpoints.reuse",
        key,
        f"{LEAST_REUSE:g} sessions a kept connection, once {ENOUGH_SESSIONS} were served",
        "pgpool.child_life_time" if spec.pgpool.connection_cache else "pgpool.connection_cache",
        "Keep connections for longer (pgpool.child_life_time, pgpool.connection_cache), or have clients keep theirs: "
        "each new one costs a login and a server process.",
        "SHOW pool_pools",
    )
    reading = facts.endpoints.get(key)
    use = value_of(reading)
    if use is None:
        return look.unknown(reading)
    mean = use.uses / use.connections if use.connections else 0.0
    figure = f"{mean:.1f}"
    says = f"{use.sessions} sessions were served; each of the {use.connections} kept connections served {mean:.1f}"
    return look.judged(_reconnects(use, mean), figure, says, reading)


def _reconnects(use: PoolUse, mean: float) -> bool:
    return use.sessions >= ENOUGH_SESSIONS and mean < LEAST_REUSE


def _queue(spec: ClusterSpec, facts: ClusterFacts, key: str, service: str) -> DoctorFinding:
    """Those who wait for the endpoint; HAProxy counts some at the backend and some at its server."""
    look = Rule(
        "haproxy.queue",
        key,
        "nobody waits",
        f"endpoints.{key}.num_init_children",
        f"Raise it with max_connections (poolkeeper tune --clients N): a client waits at most "
        f"{spec.haproxy.queue_timeout_ms / 1000:g} s (haproxy.queue_timeout_ms), then it is refused.",
        f"echo 'show stat' to HAProxy: qcur, qmax of endpoint_{key}",
    )
    row = _row(facts, f"endpoint_{key}", "BACKEND")
    if row is None:
        why = "" if value_of(facts.traffic) is None else f"HAProxy has no backend endpoint_{key}"
        return look.unknown(facts.traffic, why=why)
    rows = [row, *([server] if (server := _row(facts, f"endpoint_{key}", service)) else [])]
    waiting, most = max(r.queued for r in rows), max(r.most_queued for r in rows)
    says = f"{waiting} clients wait for a free session of the endpoint {key}, at most {most} since HAProxy began"
    return look.judged(waiting > 0, str(waiting), says, facts.traffic)


def _direct(facts: ClusterFacts, key: str) -> Traffic | str:
    """The row of a direct endpoint's endpoint, which has a limit of its own; or why there is none."""
    row = _row(facts, key, "FRONTEND")
    if row and row.limit:
        return row
    if value_of(facts.traffic) is None:
        return ""  # the reading has the reason
    return f"HAProxy's frontend {key} has no limit" if row else f"HAProxy has no frontend {key}"


def _direct_sessions(facts: ClusterFacts, key: str) -> DoctorFinding:
    look = Rule(
        "endpoints.sessions",
        key,
        f"{NEARLY_FULL:.0%} of the sessions that the endpoint serves at once",
        f"endpoints.{key}.max_sessions",
        "Raise it with postgresql.max_connections (poolkeeper tune --clients N computes both), or make the programs' "
        "own pools smaller: the sum of them must fit.",
        f"echo 'show stat' to HAProxy: scur, smax, slim of {key}",
    )
    row = _direct(facts, key)
    if isinstance(row, str):
        return look.unknown(facts.traffic, why=row)
    limit = row.limit or 0
    figure = f"{row.sessions} of {limit}"
    says = f"{figure} sessions are open at the endpoint {key}, at most {row.most_sessions} since HAProxy began"
    return look.judged(row.sessions >= NEARLY_FULL * limit, figure, says, facts.traffic)


def _direct_queue(facts: ClusterFacts, key: str) -> DoctorFinding:
    """Its endpoint has no queue: while there is room everybody is let in, and then nobody."""
    look = Rule(
        "haproxy.queue",
        key,
        "there is room for one more",
        f"endpoints.{key}.max_sessions",
        "Raise it with max_connections (poolkeeper tune --clients N): a client waits, connected and without an answer, "
        "until a session ends or its own connection timeout.",
        f"echo 'show stat' to HAProxy: scur, slim of {key}",
    )
    row = _direct(facts, key)
    if isinstance(row, str):
        return look.unknown(facts.traffic, why=row)
    limit = row.limit or 0
    figure = f"{max(0, limit - row.sessions)} free"
    says = f"the endpoint {key} would let {limit - row.sessions} more in, so nobody waits for a place"
    full = row.sessions >= limit
    if full:
        says = f"the endpoint {key} is full: who comes now waits until a session ends (how many do, HAProxy does not count)"
    return look.judged(full, figure, says, facts.traffic)


def _frontends(spec: ClusterSpec, facts: ClusterFacts) -> Iterator[DoctorFinding]:
    """The ports that have HAProxy's own limit; a direct endpoint's is that of its sessions."""
    rows = value_of(facts.traffic)
    advice = "HAProxy's own limit follows the endpoints' num_init_children; look who opens so many sessions."
    if rows is None:
        yield Rule("haproxy.sessions", "haproxy", f"{CROWDED:.0%} of each port's limit", "").unknown(facts.traffic)
        return
    for row in rows:
        if row.name == "FRONTEND" and row.limit and row.proxy not in spec.direct_endpoints():
            look = Rule("haproxy.sessions", row.proxy, f"{CROWDED:.0%} of its limit", "", advice)
            figure = f"{row.sessions} of {row.limit}"
            says = f"{figure} sessions ({share(row.sessions, row.limit)}) are open at HAProxy's port {row.proxy}"
            yield look.judged(row.sessions >= CROWDED * row.limit, figure, says, facts.traffic)
