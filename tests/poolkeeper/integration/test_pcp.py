"""Pgpool-II's control protocol, with a real Pgpool-II; behind it one unused address and one real PostgreSQL."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

import pytest
from tests.poolkeeper.integration.conftest import Bench, Benches
from tests.poolkeeper.unit import deployments, snapshots

from poolkeeper.core import errors, wait
from poolkeeper.system import compose, pcp, process, state

pytestmark = pytest.mark.integration

SERVER = """
install -d -o postgres /run/postgresql /d && cd /d
su postgres -c "$PG/initdb -D /d/data -A trust -U $ROLE" > /dev/null
echo 'host all all 0.0.0.0/0 trust' >> /d/data/pg_hba.conf
exec setpriv --reuid=postgres --regid=postgres --init-groups $PG/postgres -D /d/data -c 'listen_addresses=*'
"""


@dataclass(frozen=True)
class Pool:
    """A Pgpool-II of the balanced endpoint: its container, address, and the password of its control port."""

    container: str
    address: str
    password: str

    async def connect(self, password: str | None = None) -> pcp.PcpSession:
        return await pcp.connect(self.address, 9898, "pcp", password or self.password, 5)


def _address(container: str) -> str:
    form = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    return process.check(["docker", "inspect", "--format", form, container]).strip()


@pytest.fixture(scope="module")
def pool(benches: Benches) -> Iterator[Pool]:
    """Provide a Pgpool-II: node 0 is a PostgreSQL, the names of the others lead nowhere."""
    spec = deployments.edit(snapshots.SPEC, "pgpool.search_primary_node_timeout", 1)
    made = benches.make(spec)
    process.check(["docker", "network", "create", "--label", f"{compose.CLUSTER}={made.label}", made.label])
    server = _start_postgres(made)
    container = made.start("pgpool", options=["--network", made.label])
    found = Pool(container, _address(container), state.read_secrets(made.folder)["pcp"])

    async def answers() -> None:
        try:
            session = await found.connect()
            await session.nodes()  # Pgpool asks the servers themselves, too
            await session.close()
        except (errors.Unreachable, errors.ServerRefused) as e:
            raise wait.NotYet(e.message) from e

    asyncio.run(wait.wait_for("PCP", answers, seconds=30))
    yield found
    process.run(["docker", "rm", "-f", container, server])


def _start_postgres(made: Bench) -> str:
    name = f"pk_it_{secrets.token_hex(4)}"
    major = made.spec.postgresql.version
    flags = ["--label", f"{compose.CLUSTER}={made.label}", "--label", "poolkeeper.test=1", "--network", made.label]
    flags += ["--network-alias", made.spec.nodes[0].name, "-e", f"PG=/usr/lib/postgresql/{major}/bin"]
    flags += ["-e", f"ROLE={made.spec.roles.check}"]
    image = made.images["postgres"]
    process.check(["docker", "run", "-d", "--name", name, *flags, "--entrypoint", "sh", image, "-ec", SERVER])

    async def ready() -> None:
        said = compose.tail(name, 50)
        wait.require(None if "database system is ready" in said else said[-300:])

    asyncio.run(wait.wait_for("PostgreSQL", ready, seconds=60))
    return name


def _talk(pool: Pool, talk: Callable[[pcp.PcpSession], Awaitable[None]]) -> None:
    async def run() -> None:
        session = await pool.connect()
        try:
            await talk(session)
        finally:
            await session.close()

    asyncio.run(run())


async def _until(session: pcp.PcpSession, index: int, *wanted: str) -> None:
    """Wait for the effect of a command: Pgpool-II answers before it has acted."""

    async def check() -> None:
        node = await session.node(index)
        wait.require(None if node.status in wanted else str(node))

    await wait.wait_for(f"node {index}: {wanted}", check, seconds=20)


def test_the_nodes(pool: Pool) -> None:
    """One connection takes several commands; an unknown index is refused, and the session continues."""

    async def talk(session: pcp.PcpSession) -> None:
        assert await session.node_count() == 3
        nodes = await session.nodes()
        assert [(n.index, n.hostname, n.port) for n in nodes] == [(i, f"pg_node{i + 1}", 5432) for i in range(3)]
        assert await session.node(2) == nodes[2]
        with pytest.raises(errors.ServerRefused, match="invalid node ID"):
            await session.node(9)
        assert await session.node_count() == 3

    _talk(pool, talk)


def test_detach_attach_and_promote(pool: Pool) -> None:
    """One connection serves while Pgpool-II restarts its children; promotion takes every other node down."""

    async def talk(session: pcp.PcpSession) -> None:
        await session.detach(1)
        await _until(session, 1, "down")
        await session.attach(1)
        await _until(session, 1, "waiting", "up")
        with pytest.raises(errors.ServerRefused, match="not valid"):
            await session.promote(9)
        await session.promote(1)
        await _until(session, 0, "down")
        assert [node.role for node in await session.nodes()] == ["standby", "primary", "standby"]
        with pytest.raises(errors.ServerRefused, match="already primary"):
            await session.promote(1)
        with pytest.raises(errors.Unreachable):  # that one Pgpool calls fatal
            await session.node_count()

    _talk(pool, talk)


def test_a_wrong_password(pool: Pool) -> None:
    """Pgpool-II refuses the login, and the error has its message."""
    with pytest.raises(errors.ServerRefused, match='authentication failed for user "pcp"'):
        asyncio.run(pool.connect("wrong"))


def test_a_closed_or_frozen_port_is_unreachable(pool: Pool) -> None:
    """A closed port and a frozen Pgpool-II are reported within the deadline."""
    with pytest.raises(errors.Unreachable):
        asyncio.run(pcp.connect(pool.address, 1, "pcp", "x", 2))
    process.check(["docker", "pause", pool.container])
    try:
        with pytest.raises(errors.Unreachable, match=r"no answer within 0\.5 s"):
            asyncio.run(pcp.connect(pool.address, 9898, "pcp", pool.password, 0.5))
    finally:
        process.check(["docker", "unpause", pool.container])
