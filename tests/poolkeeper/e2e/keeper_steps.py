"""Helpers of the keeper's tests: its journal, Pgpool-II's view, the store, and faults that end with their block."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from tests.clusters import ClusterUnderTest
from tests.poolkeeper.e2e.hammer import wait_for

from poolkeeper.core import errors
from poolkeeper.model.assessment import Level
from poolkeeper.model.decision import Verb
from poolkeeper.system import cluster_store, etcd_kv, pcp

SECONDS = 5.0  # for one conversation
Event = dict[str, Any]
T = TypeVar("T")


def read_journal(text: str) -> list[Event]:
    """Return the keeper's events in this text."""
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


class Journal:
    """The events of the keeper's container from now on; a kill of the container loses none of them."""

    def __init__(self, cluster: ClusterUnderTest) -> None:
        self._cluster = cluster
        self._container = cluster.container(cluster.handle.spec.keeper.service)
        self._before = len(self._all())

    def _all(self) -> list[Event]:
        return read_journal(self._cluster.docker("logs", self._container))

    def find(self, **wanted: str) -> list[Event]:
        """Return the events since then whose entries contain these words."""
        said = self._all()[self._before :]
        return [event for event in said if all(word in str(event.get(key)) for key, word in wanted.items())]

    def wait(self, seconds: float = 20, **wanted: str) -> None:
        """Wait until there is such an event."""
        wait_for(lambda: self.find(**wanted), f"an event {wanted}", seconds)

    def releases(self) -> list[Event]:
        """Return the completed early releases."""
        return self.find(event="done", what=Verb.RELEASE.value)


def pool_view(cluster: ClusterUnderTest) -> dict[str, pcp.PcpNode]:
    """Return the balanced endpoint's backends as its Pgpool-II reports them; none while it does not answer."""

    async def observe(session: pcp.PcpSession) -> dict[str, pcp.PcpNode]:
        return {node.hostname: node for node in await session.nodes()}

    try:
        return _with_pool(cluster, observe)
    except (errors.Unreachable, errors.ServerRefused):
        return {}


def command_pool(cluster: ClusterUnderTest, node: str, *, promote: bool) -> None:
    """Run `pcp_promote_node` or `pcp_detach_node` for a node."""
    index = [each.name for each in cluster.handle.spec.nodes].index(node)

    async def command(session: pcp.PcpSession) -> None:
        await (session.promote(index) if promote else session.detach(index))

    _with_pool(cluster, command)


def _with_pool(cluster: ClusterUnderTest, act: Callable[[pcp.PcpSession], Awaitable[T]]) -> T:
    spec = cluster.handle.spec

    async def converse() -> T:
        address, password = str(spec.endpoints.balanced.address), cluster.secret("pcp")
        session = await pcp.connect(address, spec.pgpool.pcp_port, spec.roles.pcp, password, SECONDS)
        try:
            return await act(session)
        finally:
            await session.close()

    return asyncio.run(converse())


def pool_primary(cluster: ClusterUnderTest) -> str:
    """Return the one backend that Pgpool-II reports as primary and up; "" without one."""
    found = [n.hostname for n in pool_view(cluster).values() if n.role == "primary" and n.status in ("up", "waiting")]
    return found[0] if len(found) == 1 else ""


def read_key(cluster: ClusterUnderTest, key: str) -> str | None:
    """Return the value of a key of etcd."""

    async def read(store: etcd_kv.Store) -> str | None:
        return next((pair.value for pair in (await store.read(key))[1] if pair.key == key), None)

    return _with_store(cluster, read)


def put_key(cluster: ClusterUnderTest, key: str, value: str) -> None:
    """Write a key of etcd, as any client could."""

    async def put(store: etcd_kv.Store) -> int:
        return await store.put(key, value)

    _with_store(cluster, put)


def _with_store(cluster: ClusterUnderTest, act: Callable[[etcd_kv.Store], Awaitable[T]]) -> T:
    async def converse() -> T:
        store = etcd_kv.Store([str(member.address) for member in cluster.handle.spec.etcd.members], SECONDS)
        try:
            return await act(store)
        finally:
            await store.close()

    return asyncio.run(converse())


def lease_owner(cluster: ClusterUnderTest) -> str | None:
    """Return the holder of the lease; None without a holder, or if etcd does not report it."""
    try:
        return read_key(cluster, cluster_store.leader_key(cluster.handle.spec.name))
    except errors.Unreachable:
        return None


@contextmanager
def foreign_record(cluster: ClusterUnderTest, node: str, **changes: str) -> Iterator[None]:
    """Change the node's record while the block runs; a node that starts meanwhile writes its own."""
    key = cluster_store.record_key(cluster.handle.spec.name, node)
    true = read_key(cluster, key)
    assert true is not None
    injected = json.dumps({**json.loads(true), **changes})
    put_key(cluster, key, injected)
    try:
        yield
    finally:
        if read_key(cluster, key) == injected:
            put_key(cluster, key, true)


@contextmanager
def edited(cluster: ClusterUnderTest, **settings: str) -> Iterator[None]:
    """Apply other settings of the keeper (TOML) by `up` while the block runs."""
    file = cluster.folder / "cluster.toml"
    before = text = file.read_text()
    for key, value in settings.items():
        line = f"{key} = {value}"
        text, count = re.subn(rf"(?m)^{key} = .*$", line.replace("\\", r"\\"), text)
        assert count == 1, key
    file.write_text(text)
    try:
        cluster.ok("up")
        yield
    finally:
        file.write_text(before)
        cluster.ok("up")


@contextmanager
def killed(cluster: ClusterUnderTest, *services: str) -> Iterator[None]:
    """`docker kill` these services; at the end, start them again and wait until the cluster is healthy."""
    for service in services:
        cluster.docker("kill", cluster.container(service))
    try:
        yield
    finally:
        for service in services:
            cluster.docker("start", cluster.container(service))
        cluster.wait_healthy()


def heal(cluster: ClusterUnderTest) -> None:
    """Bring the cluster up after each test, so that the next one finds it healthy."""
    if cluster.assess().level is not Level.HEALTHY:
        cluster.ok("up")


def inner_dsn(cluster: ClusterUnderTest) -> str:
    """Return the DSN of HAProxy's inner port of the read-only endpoint, where every session is a new one."""
    spec = cluster.handle.spec
    where = f"host={spec.haproxy.address} port={spec.haproxy.standby_port}"
    return f"{where} user={spec.roles.app} password={cluster.secret('app')} dbname={spec.roles.app_database}"


def new_primary(cluster: ClusterUnderTest, former: str, seconds: float = 15) -> str:
    """Wait until another node holds the lease, and return its name."""
    wait_for(lambda: lease_owner(cluster) not in (None, former), f"a primary after {former}", seconds)
    return str(lease_owner(cluster))
