"""Questions for a cluster of a `cluster.toml` only: to Patroni, to the keeper, and about commits."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from poolkeeper.cluster.reading import take
from poolkeeper.model.dsn import Dsn
from poolkeeper.model.observed import KeeperView, PatroniView
from poolkeeper.model.probe import Acknowledger, CommitFacts, Reading
from poolkeeper.model.target import OwnCluster, Target
from poolkeeper.system import keeper_client, patroni, postgres

NAMES = "SELECT current_setting('synchronous_standby_names')"
STANDBYS = "SELECT application_name, state, sync_state FROM pg_stat_replication ORDER BY 1"
SESSION = "SELECT current_setting('synchronous_commit')"


async def patroni_views(own: OwnCluster, timeout: float) -> Mapping[str, Reading[PatroniView]]:
    """Read the cluster as each node's Patroni reports it."""
    asked = (_patroni(address, timeout) for address in own.patroni.values())
    return dict(zip(own.patroni, await asyncio.gather(*asked), strict=True))


async def _patroni(address: str, timeout: float) -> Reading[PatroniView]:
    def show(view: PatroniView) -> str:
        return ", ".join(f"{m.name} {m.role} {m.state}" for m in view.members)

    where = f"{address}:{patroni.PORT}"
    return await take(where, "GET /cluster", timeout, patroni.observe(address, timeout), show)


async def keeper_view(own: OwnCluster, timeout: float) -> Reading[KeeperView]:
    """Read the state that the keeper reports."""

    def show(view: KeeperView) -> str:
        state = f"healthy {view.healthy}, maintenance {view.maintenance}, primary {view.primary}"
        return f"{state}, cannot see: {list(view.blind)}, open: {list(view.open_matters)}"

    host, port = own.keeper
    return await take(f"{host}:{port}", "GET /status", timeout, keeper_client.observe(host, port, timeout), show)


async def commit(target: Target, names: Sequence[str]) -> dict[str, Reading[CommitFacts]]:
    """Read which standbys each of these nodes waits for before it acknowledges a commit."""
    return {name: await _commit(target.monitors[name], target.timeout) for name in names}


async def _commit(dsn: Dsn, timeout: float) -> Reading[CommitFacts]:
    async def ask() -> CommitFacts:
        async with postgres.session(dsn, timeout) as opened:
            ((waits_for,),) = await opened.rows(NAMES)
            return CommitFacts(waits_for, tuple(Acknowledger(*row) for row in await opened.rows(STANDBYS)))

    def show(found: CommitFacts) -> str:
        rows = "; ".join(f"{s.application}: {s.state}, {s.sync_state}" for s in found.standbys)
        return f"“{found.synchronous_standby_names}”; {rows or 'no row'}"

    return await take(dsn.label, f"{NAMES}; {STANDBYS}", timeout, ask(), show)


async def session_commit(target: Target) -> Reading[str]:
    """Read what a session through the read-write endpoint waits for at its commits."""

    async def ask() -> str:
        ((value,),) = await postgres.query(target.rw, SESSION, target.timeout)
        return str(value)

    return await take(target.rw.label, SESSION, target.timeout, ask())
