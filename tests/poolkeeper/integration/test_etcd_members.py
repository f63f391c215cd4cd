"""The store on three members of etcd: guards, watches that skip nothing, members that die, freeze or are cut off."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass

import pytest

from poolkeeper.core import errors, wait
from poolkeeper.model.spec import ClusterSpec
from poolkeeper.system import etcd, etcd_kv, http, process
from poolkeeper.system import images as built
from poolkeeper.system.etcd_kv import Store
from poolkeeper.system.etcd_wire import COMPACTED, Guard, KeyChange, encode

pytestmark = pytest.mark.integration

TIMEOUT = 1.0  # of the store, seconds
NOTICED = etcd_kv.PULSE + 2 * TIMEOUT + 1  # within what a lost member has to be noticed, and a second for the machine
LABEL = "poolkeeper.test=1"
LOG = logging.getLogger(__name__)  # the measurements: --log-cli-level=INFO


@dataclass(frozen=True)
class Members:
    """Three members in a network of their own: container → address, in the order in which a store asks them."""

    addresses: dict[str, str]

    def store(self) -> Store:
        return Store(tuple(self.addresses.values()), TIMEOUT)

    @contextlib.contextmanager
    def frozen(self, *indexes: int) -> Iterator[None]:
        """Freeze some members: their kernel still accepts connections, no program answers."""
        names = [list(self.addresses)[index] for index in indexes]
        process.check(["docker", "pause", *names])
        try:
            yield
        finally:
            process.check(["docker", "unpause", *names])


@pytest.fixture(scope="module")
def image(request: pytest.FixtureRequest) -> str:
    """etcd's image; all are built if it is missing."""
    reference = built.references(ClusterSpec(), built.SOURCES)["etcd"]
    if built.missing({"etcd": reference}):
        request.getfixturevalue("images")
    return reference


def _start(image: str, name: str, network: str, cluster: str) -> None:
    own = ["--name", name, "--listen-client-urls=http://0.0.0.0:2379", "--listen-peer-urls=http://0.0.0.0:2380"]
    own += [f"--advertise-client-urls=http://{name}:2379", f"--initial-advertise-peer-urls=http://{name}:2380"]
    fast = ["--heartbeat-interval=50", "--election-timeout=500", "--log-level=error", "--data-dir=/data/etcd"]
    options = ["--name", name, "--label", LABEL, "--network", network, "--tmpfs", "/data", "--no-healthcheck"]
    argv = ["docker", "run", "-d", *options, "--entrypoint", "etcd", image, *own, *fast]
    process.check([*argv, f"--initial-cluster={cluster}"])


@pytest.fixture(scope="module")
def members(image: str) -> Iterator[Members]:
    """Three members that have a quorum; gone at the end."""
    network = f"pk_it_kv_{secrets.token_hex(3)}"
    names = [f"{network}_{number}" for number in (1, 2, 3)]
    try:
        process.check(["docker", "network", "create", "--label", LABEL, network])
        for name in names:
            _start(image, name, network, ",".join(f"{each}=http://{each}:2380" for each in names))
        form = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
        addresses = process.check(["docker", "inspect", "--format", form, *names]).split()
        asyncio.run(wait.wait_for("a quorum", lambda: _require_quorum(addresses), seconds=30))
        yield Members(dict(zip(names, addresses, strict=True)))
    finally:
        process.run(["docker", "rm", "-f", "-v", *names])
        process.run(["docker", "network", "rm", network])


async def _require_quorum(addresses: list[str]) -> None:
    for address in addresses:
        try:
            if not (await etcd.observe(address, 5)).healthy:
                raise wait.NotYet(f"{address} has no quorum")
        except errors.PoolkeeperError as e:
            raise wait.NotYet(e.message) from e


@pytest.fixture
def prefix() -> str:
    """Keys of this test alone."""
    return f"/{secrets.token_hex(4)}/ü/"


def _with_store(members: Members, work: Callable[[Store], Awaitable[None]]) -> None:
    """Run against a store that is closed, with nothing of it left running."""

    async def run() -> None:
        store = members.store()
        try:
            await asyncio.wait_for(work(store), 40)
        finally:
            await store.close()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(run())


async def _take(watch: AsyncIterator[KeyChange], count: int) -> list[KeyChange]:
    """The next changes of a watch."""
    return [await asyncio.wait_for(anext(watch), 5) for _ in range(count)]


async def _post(store: Members, path: str, body: dict[str, object]) -> dict[str, str]:
    address = next(iter(store.addresses.values()))
    answer: dict[str, str] = await http.fetch_json(
        f"http://{address}:{etcd.PORT}/v3/{path}", timeout=5, method="POST", body=body
    )
    return answer


def test_a_written_value_is_read(members: Members, prefix: str) -> None:
    """A read returns the revision and only the keys of the prefix; a value may be empty or in another alphabet."""

    async def work(store: Store) -> None:
        first = await store.put(f"{prefix}a", "")
        second = await store.put(f"{prefix}b", "é\n{}")
        await store.put(prefix[:-1], "outside")
        revision, found = await store.read(prefix)
        assert [(kv.key, kv.value, kv.revision, kv.lease) for kv in found] == [
            (f"{prefix}a", "", first, "0"),
            (f"{prefix}b", "é\n{}", second, "0"),
        ]
        assert revision == second + 1
        assert (await store.read(f"{prefix}nothing"))[1] == ()

    _with_store(members, work)


def test_a_key_is_deleted_only_if_every_guard_holds(members: Members, prefix: str) -> None:
    """Each guard fails alone: the value, the revision, the other key's revision, another key's absence."""
    key, other = f"{prefix}leader", f"{prefix}nodes/pg_node1"

    async def work(store: Store) -> None:
        of_other = await store.put(other, "incarnation")
        of_key = await store.put(key, "pg_node1")
        good = [Guard(key, "pg_node1", of_key), Guard(other, revision=of_other)]
        bad = [
            Guard(key, "pg_node2", of_key),
            Guard(key, "pg_node1", of_key - 1),
            Guard(other, revision=of_key),
            Guard(other, "another"),
            Guard(other, revision=0),
            Guard(f"{prefix}none", "x"),
        ]
        for guard in bad:
            assert not await store.delete_if([key], [*good, guard]), guard
            assert not await store.put_if(key, "x", [guard, *good]), guard
        assert [kv.value for kv in (await store.read(key))[1]] == ["pg_node1"]
        assert await store.delete_if([key], [*good, Guard(f"{prefix}none", revision=0)])
        assert not await store.delete_if([key], good)
        assert await store.put_if(key, "pg_node2", [Guard(key, revision=0)])
        assert not await store.put_if(key, "pg_node3", [Guard(key, revision=0)])
        assert [kv.value for kv in (await store.read(key))[1]] == ["pg_node2"]
        with pytest.raises(ValueError, match="needs a guard"):
            await store.delete_if([key], [])

    _with_store(members, work)


def test_a_watch_gives_all_in_order_and_resumes_without_a_gap(members: Members, prefix: str) -> None:
    """A watch gives the same changes live, resumed in the midst, or all from history."""

    async def work(store: Store) -> None:
        start, _ = await store.read(prefix)
        async with contextlib.aclosing(store.watch(prefix, start)) as watch:
            assert await _take(watch, 1) == [KeyChange(start, (), ())]
            for number in range(5):
                await store.put(f"{prefix}{number % 2}", str(number))
                await store.put("/outside", str(number))
            await store.delete_if([f"{prefix}0"], [Guard(f"{prefix}0", "4")])
            live = await _take(watch, 6)
        assert [kv.value for change in live for kv in change.puts] == ["0", "1", "2", "3", "4"]
        assert [change.deletes for change in live][-1] == (f"{prefix}0",)
        assert [change.revision for change in live] == sorted({change.revision for change in live})
        for seen in range(6):
            after = live[seen - 1].revision if seen else start
            async with contextlib.aclosing(store.watch(prefix, after)) as watch:
                assert (await _take(watch, 1 + 6 - seen))[1:] == live[seen:]

    _with_store(members, work)


def test_a_watch_behind_forgotten_changes_is_refused(members: Members, prefix: str) -> None:
    """A revision ahead of the store is refused too: the caller then has another store's history."""

    async def work(store: Store) -> None:
        first = await store.put(f"{prefix}a", "1")
        last = await store.put(f"{prefix}a", "2")
        await _post(members, "kv/compaction", {"revision": str(last)})
        for after in (first - 1, last + 1000):
            with pytest.raises(errors.ServerRefused) as caught:
                async with contextlib.aclosing(store.watch(prefix, after)) as watch:
                    await _take(watch, 2)
            assert caught.value.code == COMPACTED

    _with_store(members, work)


def test_the_end_of_a_lease_comes_by_the_watch(members: Members, prefix: str) -> None:
    """The leader's key expires in this way when its holder does not renew it."""

    async def work(store: Store) -> None:
        start, _ = await store.read(prefix)
        lease = (await _post(members, "lease/grant", {"TTL": "1"}))["ID"]
        body: dict[str, object] = {"key": encode(f"{prefix}leader"), "value": encode("x"), "lease": lease}
        await _post(members, "kv/put", body)
        async with contextlib.aclosing(store.watch(prefix, start)) as watch:
            _, put, gone = await _take(watch, 3)
        assert [kv.lease for kv in put.puts] == [lease]
        assert (gone.puts, gone.deletes) == ((), (f"{prefix}leader",))

    _with_store(members, work)


def test_a_watch_in_silence_continues_and_ends_with_its_task(members: Members, prefix: str) -> None:
    """The watch lasts several pulses, then is cancelled while it waits; `_with_store` finds leftovers."""

    async def work(store: Store) -> None:
        start, _ = await store.read(prefix)
        seen: list[KeyChange] = []

        async def follow() -> None:
            async with contextlib.aclosing(store.watch(prefix, start)) as watch:
                async for change in watch:
                    seen.append(change)

        task = asyncio.create_task(follow())
        done, _ = await asyncio.wait({task}, timeout=3.5 * etcd_kv.PULSE)
        assert not done
        await store.put(f"{prefix}a", "1")

        async def two() -> None:
            wait.require(None if len(seen) == 2 else f"{len(seen)} changes")

        await wait.wait_for("the change", two, seconds=5, pause=0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    _with_store(members, work)


async def _wait_for_loss(watch: AsyncGenerator[KeyChange, None]) -> None:
    """A watch that stands ends with Unreachable, in time."""
    began = time.monotonic()
    with pytest.raises(errors.Unreachable) as caught:
        await asyncio.wait_for(anext(watch), 2 * NOTICED)
    took = time.monotonic() - began
    LOG.info("noticed after %.3f s: %s", took, caught.value.message)
    assert took < NOTICED


async def _lose(store: Store, prefix: str, strike: Callable[[], contextlib.AbstractContextManager[None]]) -> None:
    """A watch whose member is struck ends in time; the next one has what came meanwhile, from another member."""
    start = await store.put(f"{prefix}a", "before")
    async with contextlib.aclosing(store.watch(prefix, start)) as watch:
        await _take(watch, 1)
        with strike():
            await _wait_for_loss(watch)
            await _continue(store, prefix, start)


async def _continue(store: Store, prefix: str, start: int) -> None:
    """Write, and observe every change."""
    began = time.monotonic()
    meanwhile = await store.put(f"{prefix}a", "meanwhile")
    guards = [Guard(f"{prefix}a", revision=meanwhile)]
    assert await store.put_if(f"{prefix}a", "guarded", guards)
    LOG.info("two writes by another member took %.3f s", time.monotonic() - began)
    async with contextlib.aclosing(store.watch(prefix, start)) as watch:
        _, *missed = await _take(watch, 3)
    assert [kv.value for change in missed for kv in change.puts] == ["meanwhile", "guarded"]


def test_a_frozen_member_is_noticed_and_left(members: Members, prefix: str) -> None:
    """The frozen member keeps every connection and answers no request. The store begins with the first member."""
    _with_store(members, lambda store: _lose(store, prefix, lambda: members.frozen(0)))


def test_a_request_to_a_frozen_member_is_answered_by_another(members: Members, prefix: str) -> None:
    """The frozen one may execute it later: then a refusal by the other is no answer, a success is one."""

    async def work(store: Store) -> None:
        revision = await store.put(f"{prefix}a", "1")
        with members.frozen(0):
            assert await store.put_if(f"{prefix}a", "2", [Guard(f"{prefix}a", revision=revision)])
        again = members.store()
        with members.frozen(0), pytest.raises(errors.Unreachable, match="read before you act again"):
            await again.put_if(f"{prefix}a", "3", [Guard(f"{prefix}a", revision=revision)])
        await again.close()

    _with_store(members, work)


def test_a_member_without_a_quorum_is_noticed(members: Members, prefix: str) -> None:
    """The member and its connections work, but it never learns of a change: the others are frozen."""

    async def work(store: Store) -> None:
        start = await store.put(f"{prefix}a", "before")
        with members.frozen(1, 2):
            async with contextlib.aclosing(store.watch(prefix, start)) as watch:
                await _take(watch, 1)
                await _wait_for_loss(watch)
            with pytest.raises(errors.Unreachable, match="no member of etcd answers"):
                await store.read(prefix)

    _with_store(members, work)
    asyncio.run(wait.wait_for("a quorum", lambda: _require_quorum(list(members.addresses.values())), seconds=30))


def test_a_killed_member_is_noticed_and_left(members: Members, prefix: str) -> None:
    """This is the last test, because it leaves two members."""

    @contextlib.contextmanager
    def kill() -> Iterator[None]:
        process.check(["docker", "kill", next(iter(members.addresses))])
        yield

    _with_store(members, lambda store: _lose(store, prefix, kill))
