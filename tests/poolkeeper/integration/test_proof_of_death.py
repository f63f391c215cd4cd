"""The process monitor and real containers: it reports a death at once, and only of a node that it saw alive."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from poolkeeper.model.spec import ClusterSpec
from poolkeeper.system import images as built
from poolkeeper.system import process
from poolkeeper.system.process_monitor import ProcessMonitor

pytestmark = pytest.mark.integration

LABEL = "poolkeeper.test=1"
LOG = logging.getLogger(__name__)  # the measurements: --log-cli-level=INFO
# PID 1 with children of its own, one of which has left its session and takes no notice of SIGTERM.
SCRIPT = "setsid sh -c 'trap \"\" TERM; sleep 600 & wait' & sleep 600 & wait"


@dataclass(frozen=True)
class Node:
    """A container whose PID 1 has an incarnation."""

    name: str
    identity: str
    incarnation: str

    def processes(self) -> dict[str, str]:
        """Every process in /proc whose control group is this container's: its number in the container → its state."""
        found = (self._read(entry) for entry in Path("/proc").iterdir() if entry.name.isdecimal())
        return dict(process for process in found if process is not None)

    def _read(self, entry: Path) -> tuple[str, str] | None:
        try:
            if self.identity not in (entry / "cgroup").read_text():
                return None
            status = dict(line.split(":", 1) for line in (entry / "status").read_text().splitlines())
        except (FileNotFoundError, ProcessLookupError):
            return None
        return status["NSpid"].split()[-1], status["State"].split()[0]

    async def kill(self) -> None:
        await asyncio.to_thread(process.check, ["docker", "kill", self.name])


@pytest.fixture
def node(request: pytest.FixtureRequest) -> Iterator[Node]:
    """A running one with a process that `docker exec` put into it; removed at the end."""
    reference = built.references(ClusterSpec(), built.SOURCES)["etcd"]
    if built.missing({"etcd": reference}):
        request.getfixturevalue("images")
    name, incarnation = f"pk_it_kv_monitor_{secrets.token_hex(3)}", str(uuid.uuid4())
    options = ["--name", name, "--label", LABEL, "--network", "none", "--no-healthcheck", "--entrypoint", "sh"]
    argv = ["-c", SCRIPT, "sh", "--node", "pg_node1", "--incarnation", incarnation]
    try:
        identity = process.check(["docker", "run", "-d", *options, reference, *argv]).strip()
        process.check(["docker", "exec", "-d", name, "sleep", "600"])
        yield Node(name, identity, incarnation)
    finally:
        process.run(["docker", "rm", "-f", "-v", name])


def test_a_death_is_reported_at_once_and_no_process_is_left(node: Node) -> None:
    """At that moment /proc has no process of the container but PID 1, a zombie until the engine reaps it."""

    async def work() -> None:
        monitor = ProcessMonitor()
        began = time.monotonic()
        process_state = monitor.attend("pg_node1", node.incarnation, monitor.boot_id)
        LOG.info("found after %.1f ms", (time.monotonic() - began) * 1000)
        assert process_state.state == "alive", process_state.reason
        assert len(node.processes()) >= 4
        assert await monitor.next_death(0.2) is None
        began = time.monotonic()
        killing = asyncio.create_task(node.kill())
        death = await monitor.next_death(20)
        took = time.monotonic() - began
        left = node.processes()
        await killing
        LOG.info(
            "reported %.0f ms after `docker kill` began, it ended after %.0f",
            took * 1000,
            (time.monotonic() - began) * 1000,
        )
        assert death is not None
        assert (death.state, death.incarnation) == ("dead", node.incarnation)
        assert left in ({}, {"1": "Z"})
        late = ProcessMonitor()
        assert late.attend("pg_node1", node.incarnation, late.boot_id).state == "unknown"
        assert monitor.attend("pg_node1", node.incarnation, monitor.boot_id) == death
        monitor.close()

    asyncio.run(work())


def test_a_frozen_container_is_not_dead(node: Node) -> None:
    """The same holds for a container that is cut off, or in which only PID 1 is left."""

    async def work() -> None:
        monitor = ProcessMonitor()
        assert monitor.attend("pg_node1", node.incarnation, monitor.boot_id).state == "alive"
        process.check(["docker", "pause", node.name])
        try:
            assert await monitor.next_death(0.3) is None
            assert monitor.sight("pg_node1").state == "alive"
        finally:
            process.check(["docker", "unpause", node.name])
        monitor.close()

    asyncio.run(work())


def test_another_node_is_not_taken_for_this_one(node: Node) -> None:
    """Both arguments must match; a child of PID 1 has another argv, or is no PID 1."""

    async def work() -> None:
        monitor = ProcessMonitor()
        assert monitor.attend("pg_node2", node.incarnation, monitor.boot_id).state == "unknown"
        assert monitor.attend("pg_node1", str(uuid.uuid4()), monitor.boot_id).state == "unknown"
        assert monitor.attend("pg_node1", node.incarnation, str(uuid.uuid4())).state == "unknown"
        monitor.close()

    asyncio.run(work())
