"""The loop of the store and of HAProxy: releases, fences, routes. It never waits for a slow component."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from poolkeeper.core import errors
from poolkeeper.keeper.decide import release, routes
from poolkeeper.keeper.journal import Journal
from poolkeeper.keeper.known_state import KnownState, wait_or_tick
from poolkeeper.model import proxies
from poolkeeper.model.decision import Decision, Verb
from poolkeeper.model.observed import Seen
from poolkeeper.model.observed_state import Route
from poolkeeper.system import cluster_store, fence, haproxy_runtime
from poolkeeper.system.etcd_kv import Store

TIMEOUT = 1.0  # seconds for one exchange with HAProxy
FENCE_TIMEOUT = 30.0  # seconds that a fence may take
ERRORS = (errors.Unreachable, errors.ServerRefused)


class RouteLoop:
    """Decides whenever an event comes, else once a tick."""

    def __init__(self, known: KnownState, store: Store, journal: Journal) -> None:
        self._known, self._store, self._journal = known, store, journal
        haproxy = known.spec.haproxy
        self._runtime_api = (str(haproxy.address), haproxy.runtime_port)
        self._fencing: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Run until cancelled."""
        while True:
            await self._iterate()
            self._known.iterated_at = self._known.clock()
            event = await wait_or_tick(self._known.wake_routes, self._known.spec.keeper.tick_ms / 1000)
            if not event:
                await self._poll_haproxy()

    async def _iterate(self) -> None:
        """Decide on the last routes and execute that; no poll comes first and delays the answer to a death."""
        observed, memory = self._known.refresh()
        verdict = release.decide(self._known.spec, observed, memory)
        moves = routes.decide(self._known.spec, observed, memory)
        self._journal.begin("release", [verdict] if verdict else [])
        self._journal.begin("routes", moves)
        work = [self._move(moves)] if moves else []
        if isinstance(verdict, Decision) and verdict.verb is Verb.RELEASE:
            work.append(self._release(verdict))
        elif isinstance(verdict, Decision):
            self._begin_fence(verdict)
        await asyncio.gather(*work)

    def _begin_fence(self, decision: Decision) -> None:
        """Start the fence as a task, so that the loop continues meanwhile; one at a time."""
        if self._fencing is not None and not self._fencing.done():
            return
        if self._fencing is not None:
            self._fencing.result()  # an unexpected error ends the agent
        self._fencing = asyncio.create_task(self._fence(decision))

    async def _release(self, decision: Decision) -> None:
        """Release the lease in one transaction, which does nothing if the store has changed since the death was proven.

        The dead node's own key is deleted with the lease, because each candidate asks every member that has a key. The
        address of a container that is just ending costs the candidate the two seconds that Patroni gives the request.
        """
        cluster, owner = self._known.spec.name, decision.node
        guards = cluster_store.release_guards(cluster, owner, decision.lease_revision, decision.record_revision)
        try:
            keys = [cluster_store.leader_key(cluster), cluster_store.member_key(cluster, owner)]
            done = await self._store.delete_if(keys, guards)
        except ERRORS as e:
            self._journal.note("failed", what=decision.verb.value, node=owner, why=e.message)
            return
        if done:
            self._known.memory = replace(self._known.memory, last_release=self._known.clock())
            self._journal.note("done", what=decision.verb.value, node=owner)
        else:
            self._journal.note("declined", what="early release", node=owner, why="the store has changed since")

    async def _fence(self, decision: Decision) -> None:
        """Run the fence, which proves the death, and then release. A fence that fails counts as a release, too."""
        self._known.memory = replace(self._known.memory, last_release=self._known.clock())
        try:
            await fence.run(self._known.spec.keeper.fence_command, decision.node, FENCE_TIMEOUT)
        except ERRORS as e:
            self._journal.note("failed", what=decision.verb.value, node=decision.node, why=e.message)
            return
        self._journal.note("done", what=decision.verb.value, node=decision.node)
        await self._release(replace(decision, verb=Verb.RELEASE))

    async def _move(self, moves: tuple[Decision, ...]) -> None:
        commands = [command for move in moves for command in _commands(move)]
        try:
            await haproxy_runtime.send(*self._runtime_api, commands, TIMEOUT)
        except ERRORS as e:
            self._journal.note("failed", what="command HAProxy", why=e.message)
        else:
            for move in moves:
                self._journal.note("done", what=move.verb.value, node=move.node, proxy=move.proxy)
        await self._poll_haproxy()

    async def _poll_haproxy(self) -> None:
        try:
            servers = await haproxy_runtime.servers(*self._runtime_api, TIMEOUT)
        except ERRORS as e:
            self._known.update(routes=Seen(error=e.message))
            return
        routes = tuple(
            Route(s.proxy, s.server, s.operational == "up", s.admin != "ready")
            for s in servers
            if s.proxy in (proxies.PRIMARY, proxies.STANDBYS)
        )
        self._known.update(routes=Seen(routes))
        opened = self._known.observed.opened
        holder = opened.owner if opened else None
        if any(route.proxy == proxies.PRIMARY and route.node == holder and not route.is_up for route in routes):
            self._known.recheck_holder()


def _commands(move: Decision) -> list[str]:
    """Return the commands for HAProxy. They end the sessions of a closed route: their server may never answer."""
    end = haproxy_runtime.end_sessions(move.proxy, move.node)
    match move.verb:
        case Verb.CUT:
            return [haproxy_runtime.health(move.proxy, move.node, up=False), end]
        case Verb.OPEN:
            return [haproxy_runtime.health(move.proxy, move.node, up=True)]
        case Verb.CLOSE_READS:
            # Not "maint": a server that leaves it is up at once, whatever its check finds.
            return [haproxy_runtime.state(move.proxy, move.node, "drain"), end, end]
        case Verb.OPEN_READS:
            return [haproxy_runtime.state(move.proxy, move.node, "ready")]
        case _:
            raise ValueError(f"{move.verb.name} is no route")
