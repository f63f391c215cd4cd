"""Faults for the validation suite, and what its verdicts are expected to be."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager

from tests.clusters import ClusterUnderTest

from poolkeeper.model.target import Target
from poolkeeper.model.verdict import Outcome, Suite, Verdict
from poolkeeper.suite import test
from poolkeeper.system import postgres

PASS, FAIL, UNKNOWN = Outcome.PASS, Outcome.FAIL, Outcome.UNKNOWN
SHORT = 2.0  # seconds; long enough for a healthy answer, short enough to freeze a node without an election
Found = dict[str, Verdict]
Say = Callable[[str], None]


def run(target: Target, *groups: int, say: Say = lambda _: None) -> Found:
    """Run these groups (default: all) and return the verdicts by check."""
    return by_check(asyncio.run(test.run_suite(target, frozenset(groups) or None, say)))


def by_check(suite: Suite) -> Found:
    """Return the verdicts by check."""
    return {verdict.check: verdict for verdict in suite.verdicts}


def expect(found: Found, **outcomes: Outcome) -> None:
    """Assert that each named check has this outcome.

    A dot is written __, and a group without a dot stands for all of its checks.
    """
    for name, outcome in outcomes.items():
        check = name.replace("__", ".")
        verdicts = [v for v in found.values() if v.check == check or v.check.startswith(f"{check}.")]
        assert verdicts, f"{check} did not run"
        for verdict in verdicts:
            assert verdict.outcome is outcome, f"{verdict.check}: {verdict.outcome}: {verdict.summary}"


def expect_each(found: Found, outcome: Outcome, checks: list[str]) -> None:
    """Assert that each of these checks has this outcome."""
    for check in checks:
        assert found[check].outcome is outcome, f"{check}: {found[check].outcome}: {found[check].summary}"


def sql(cluster: ClusterUnderTest, node: str, statement: str, dbname: str = "app") -> list[postgres.Row]:
    """Execute one statement as superuser, directly on a node."""
    return asyncio.run(postgres.query(cluster.opened.node(node, "superuser", dbname), statement, 10))


def left_behind(cluster: ClusterUnderTest) -> list[str]:
    """Return the suite's schemas on the primary."""
    statement = "SELECT nspname FROM pg_namespace WHERE starts_with(nspname, 'poolkeeper_check_')"
    return [row[0] for row in sql(cluster, cluster.primary(), statement)]


def standbys_of(cluster: ClusterUnderTest) -> list[str]:
    """Return the standbys' names."""
    primary = cluster.primary()
    return [name for name in cluster.target().names if name != primary]


@contextmanager
def container_fault(cluster: ClusterUnderTest, do: str, undo: str, *services: str) -> Iterator[None]:
    """`docker DO` these services while the block runs, and always UNDO it."""
    containers = [cluster.container(service) for service in services]
    options = ["--time", "5"] if do == "stop" else []
    try:
        cluster.docker(do, *options, *containers)
        yield
    finally:
        cluster.docker(undo, *containers)


def keeper_stopped(cluster: ClusterUnderTest) -> AbstractContextManager[None]:
    """Stop the keeper: it would repair a fault in Pgpool-II's view or HAProxy's routes within a second."""
    return container_fault(cluster, "stop", "start", cluster.opened.spec.keeper.service)


@contextmanager
def process_frozen(cluster: ClusterUnderTest, kind: str, nodes: list[str]) -> Iterator[None]:
    """Freeze (SIGSTOP) a process of PostgreSQL on these nodes, by its backend_type.

    "startup": WAL is received and acknowledged, but not replayed (Patroni would soon resume a mere
    pg_wal_replay_pause). "walreceiver": nothing is acknowledged, so commits that need a quorum hang.
    """
    statement = f"SELECT pid FROM pg_stat_activity WHERE backend_type = '{kind}'"
    pids = {node: str(sql(cluster, node, statement)[0][0]) for node in nodes}
    try:
        for node, pid in pids.items():
            cluster.docker("exec", cluster.container(node), "kill", "-STOP", pid)
        yield
    finally:
        for node, pid in pids.items():
            cluster.docker("exec", cluster.container(node), "kill", "-CONT", pid)


def detach(cluster: ClusterUnderTest, index: int) -> None:
    """Take a backend out of the balancing Pgpool-II by its control port; the password stays in the container."""
    spec = cluster.opened.spec
    user, port = spec.roles.pcp, spec.pgpool.pcp_port
    script = (
        f"umask 077; printf '*:*:{user}:%s\\n' \"$(cat /run/secrets/pcp)\" > /tmp/pcppass; "
        f"PCPPASSFILE=/tmp/pcppass pcp_detach_node -h 127.0.0.1 -p {port} -U {user} -w -n {index}; "
        "ended=$?; rm /tmp/pcppass; exit $ended"
    )
    cluster.docker("exec", cluster.container(spec.endpoints.balanced.service), "sh", "-c", script)


def run_until(cluster: ClusterUnderTest, wanted: Callable[[Found], bool], *groups: int, seconds: float = 30) -> Suite:
    """Run these groups until their verdicts are the wanted ones or the time is over, and return the last run."""
    deadline = time.monotonic() + seconds
    while True:
        suite = asyncio.run(test.run_suite(cluster.target(), frozenset(groups), lambda _: None))
        if wanted(by_check(suite)) or time.monotonic() > deadline:
            return suite


@asynccontextmanager
async def rewriting_proxy(port: int, old: bytes, new: bytes) -> AsyncIterator[int]:
    """Provide a port that leads to that one, and puts other bytes of the same length into the answers."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind_reader, behind_writer = await asyncio.open_connection("127.0.0.1", port)

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, rewrite: bool) -> None:
            with contextlib.suppress(ConnectionError):
                while data := await source.read(65536):
                    sink.write(data.replace(old, new) if rewrite else data)
                    await sink.drain()
            sink.close()

        await asyncio.gather(pump(reader, behind_writer, rewrite=False), pump(behind_reader, writer, rewrite=True))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
