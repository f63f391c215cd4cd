"""The complete agent: its watchers, its two loops and its API, ended together.

Invariant: two agents at once do no harm: every action can be repeated, and the release compares revisions. Without any
agent the cluster is correct, only slower. When one part fails the agent ends; its container starts it again.
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

STORE_TIMEOUT = 2.0  # seconds for one request to etcd


async def run(spec: ClusterSpec, pcp_password: str, check_password: str, journal: Journal, port: int) -> None:
    """Run all parts until SIGTERM or SIGINT.

    An error of any part ends the others and passes through.
    """
    known = KnownState(spec)
    store = Store([str(member.address) for member in spec.etcd.members], STORE_TIMEOUT)
    monitor = ProcessMonitor()
    journal.note("started", cluster=spec.name, boot=monitor.boot_id)
    parts: tuple[Coroutine[None, None, None], ...] = (
        watchers.StoreWatcher(known, store, journal).run(),
        watchers.watch_deaths(known, monitor, journal),
        watchers.probe_lease_holder(known),
        watchers.watch_silence(known),
        watchers.watch_replay(known),
        watchers.watch_balanced(known, check_password),
        RouteLoop(known, store, journal).run(),
        PoolLoop(known, pcp_password, journal).run(),
        api.serve(known, journal, port),
    )
    try:
        await _run_until_signal(parts)
    finally:
        monitor.close()
        await store.close()
    journal.note("ended")


async def _run_until_signal(parts: Sequence[Coroutine[None, None, None]]) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    tasks = [asyncio.ensure_future(part) for part in parts]
    stopped = asyncio.ensure_future(stop.wait())
    done, _ = await asyncio.wait({*tasks, stopped}, return_when=asyncio.FIRST_COMPLETED)
    for task in (*tasks, stopped):
        task.cancel()
    await asyncio.gather(*tasks, stopped, return_exceptions=True)
    for task in done - {stopped}:
        task.result()  # a part ends only by an error
