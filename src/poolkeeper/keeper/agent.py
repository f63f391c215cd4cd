"""The agent as a whole: its senses, its two loops and its API, ended together.

Invariant: two agents at once do no harm (every act can be repeated, the release compares revisions), and so does none:
the cluster is then correct, only slower. An agent whose part fails ends as a whole; its container starts it anew.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine, Sequence

from poolkeeper.keeper import api, watchers
from poolkeeper.keeper.journal import Journal
from poolkeeper.keeper.known_state import KnownState
from poolkeeper.keeper.pool_loop import PoolLoop
from poolkeeper.keeper.route_loop import RouteLoop
from poolkeeper.model.spec import ClusterSpec
from poolkeeper.system.etcd_kv import Store
from poolkeeper.system.process_monitor import ProcessMonitor

STORE_TIMEOUT = 2.0  # seconds for one question to etcd


async def run(spec: ClusterSpec, pcp_password: str, check_password: str, journal: Journal, port: int) -> None:
    """Keep the cluster until SIGTERM or SIGINT."""
    known = KnownState(spec)
    store = Store([str(member.address) for member in spec.etcd.members], STORE_TIMEOUT)
    witness = ProcessMonitor()
    journal.note("started", cluster=spec.name, boot=witness.boot_id)
    parts: tuple[Coroutine[None, None, None], ...] = (
        watchers.StoreWatcher(known, store, journal).run(),
        watchers.watch_deaths(known, witness, journal),
        watchers.probe_lease_holder(known),
        watchers.watch_silence(known),
        watchers.watch_replay(known),
        watchers.watch_balanced(known, check_password),
        RouteLoop(known, store, journal).run(),
        PoolLoop(known, pcp_password, journal).run(),
        api.serve(known, journal, port),
    )
    try:
        await _until_told(parts)
    finally:
        witness.close()
        await store.close()
    journal.note("ended")


async def _until_told(parts: Sequence[Coroutine[None, None, None]]) -> None:
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    tasks = [asyncio.ensure_future(part) for part in parts]
    end = asyncio.ensure_future(told.wait())
    done, _ = await asyncio.wait({*tasks, end}, return_when=asyncio.FIRST_COMPLETED)
    for task in (*tasks, end):
        task.cancel()
    await asyncio.gather(*tasks, end, return_exceptions=True)
    for task in done - {end}:
        task.result()  # a part never ends by itself but by an error
