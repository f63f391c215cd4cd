"""A read-only endpoint, used like a client that tries to write there.

Invariant: all sessions are open at once, so that no two of them share a pooled connection. An accepted write leaves a
temporary table, which is dropped at once.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack

from poolkeeper.cluster.reading import describe, failure_of, take
from poolkeeper.core import errors
from poolkeeper.model import proxies
from poolkeeper.model.dsn import Dsn
from poolkeeper.model.observed import HaproxyView
from poolkeeper.model.probe import Failure, Reading, ReadOnlyFacts, ReadOnlySession, Server
from poolkeeper.model.target import Target
from poolkeeper.suite.collect import server_probes
from poolkeeper.system import haproxy, postgres

# A standby refuses it before any other check; a primary accepts it without preparation.
WRITE = "CREATE TEMPORARY TABLE poolkeeper_refused (value text)"
UNDO = "DROP TABLE pg_temp.poolkeeper_refused"
ASK = "SET default_transaction_read_only = off"


async def sessions(target: Target, endpoint: Dsn, count: int) -> Reading[ReadOnlyFacts]:
    """Read which nodes answer `count` sessions of a read-only endpoint, and whether any accepts a write."""
    ran = f"{count} sessions at once, each: {server_probes.ENDPOINT}; {WRITE}; {ASK}; {WRITE}; meanwhile GET /;csv"
    return await take(endpoint.label, ran, 2 * target.timeout, _sessions(target, endpoint, count), _show)


async def _sessions(target: Target, endpoint: Dsn, count: int) -> ReadOnlyFacts:
    async with AsyncExitStack() as held:
        tried = await asyncio.gather(*(_try(endpoint, target.timeout, held) for _ in range(count)))
        counted = await _count(target)
    return ReadOnlyFacts(
        tuple(found for found in tried if isinstance(found, ReadOnlySession)),
        tuple(found for found in tried if isinstance(found, Failure)),
        counted,
    )


async def _try(endpoint: Dsn, timeout: float, held: AsyncExitStack) -> ReadOnlySession | Failure:
    try:
        opened = await held.enter_async_context(postgres.session(endpoint, timeout))
        ((started, address, in_recovery),) = await opened.rows(server_probes.ENDPOINT)
        first = await _write(opened)
        await opened.rows(ASK)
        return ReadOnlySession(Server(started, address), in_recovery, first, await _write(opened))
    except errors.PoolkeeperError as e:
        return failure_of(e)


async def _write(opened: postgres.Session) -> str:
    """Return the SQLSTATE of the refusal, "" if there was none; a broken session raises, since it refused nothing."""
    try:
        await opened.rows(WRITE)
    except errors.ServerRefused as e:
        if failure_of(e).code[:2] in ("08", "57"):
            raise
        return e.code
    await opened.rows(UNDO)
    return ""


async def _count(target: Target) -> HaproxyView | None:
    try:
        return await haproxy.observe(target.stats_url, target.stats_auth, target.timeout)
    except errors.PoolkeeperError:
        return None  # the dashboard has its own group; here it is the second of two counts


def _show(found: ReadOnlyFacts) -> str:
    answers = Counter(
        f"{s.server.label} {'in recovery' if s.in_recovery else 'not in recovery'}, "
        f"{s.first or 'accepted'} and then {s.asked or 'accepted'}"
        for s in found.sessions
    )
    parts = [f"{count} sessions: {what}" for what, count in sorted(answers.items())]
    if found.failures:
        parts.append(f"{len(found.failures)} failed: {describe(found.failures[0])}")
    rows = found.counted.proxies if found.counted else ()
    counts = [f"{p.name} {p.sessions} ({p.status})" for p in rows if p.proxy == proxies.STANDBYS]
    return "; ".join([*parts, f"HAProxy's sessions: {', '.join(counts) or 'not reported'}"])
