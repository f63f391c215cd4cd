"""The early release: on proof only, once, never in maintenance mode; and the fence, another machine's proof."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from uuid import uuid4

import pytest
from tests.clusters import ClusterUnderTest
from tests.poolkeeper.e2e import keeper_steps
from tests.poolkeeper.e2e.hammer import wait_for
from tests.poolkeeper.e2e.test_operations import Writer

from poolkeeper.keeper.__main__ import PASSWORDS
from poolkeeper.model.decision import Verb

pytestmark = pytest.mark.e2e

FENCE_AFTER = 2  # seconds of silence
# The fence asks a server of this test, which knows how to turn the machine off; any answer but 2xx is a failure.
ASK = "python3 -c 'import sys, urllib.request as u; u.urlopen(sys.argv[1], timeout=20)'"
# A test that no release happens can only wait for some time.
A_WHILE = 4.0  # seconds, in which a release would happen many times
SECOND_PORT = 18407


@pytest.fixture(autouse=True)
def leave_it_healthy(cluster: ClusterUnderTest) -> Iterator[None]:
    yield
    keeper_steps.heal(cluster)


class Fence:
    """A server at the network's gateway; `act` turns a node off, or refuses by raising."""

    def __init__(self, gateway: str) -> None:
        self.asked: list[str] = []
        self.act: Callable[[str], None] = self._refuse
        fence = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                fence.asked.append(self.path[1:])
                try:
                    fence.act(self.path[1:])
                except RuntimeError as e:
                    self.send_error(500, str(e))
                else:
                    self.send_response(204)
                    self.end_headers()

            def log_message(self, *_: object) -> None:
                """Write no log: the test reports what matters."""

        self.server = ThreadingHTTPServer((gateway, 0), Handler)

    @staticmethod
    def _refuse(node: str) -> None:
        raise RuntimeError(f"{node} does not answer the fence either")


@pytest.fixture(scope="module")
def fenced(cluster: ClusterUnderTest) -> Iterator[Fence]:
    """Provide a cluster with a fence."""
    gateway = str(cluster.handle.spec.network.subnet.network_address + 1)
    fence = Fence(gateway)
    threading.Thread(target=fence.server.serve_forever, daemon=True).start()
    command = f"{ASK} http://{gateway}:{fence.server.server_port}/{{node}}"
    settings = {"fence_command": f'"{command}"', "fence_after_seconds": str(FENCE_AFTER)}
    try:
        with keeper_steps.edited(cluster, **settings, release_interval_seconds="3"):
            yield fence
    finally:
        fence.server.shutdown()


@contextmanager
def on_another_machine(cluster: ClusterUnderTest, node: str, journal: keeper_steps.Journal) -> Iterator[None]:
    """Freeze the node; keeper's process monitor assumes another machine, and sees neither life nor death."""
    with keeper_steps.foreign_record(cluster, node, incarnation=str(uuid4()), boot=str(uuid4())):
        journal.wait(10, event="seen", node=node, process="unknown")
        cluster.docker("pause", cluster.container(node))
        try:
            yield
        finally:
            if cluster.docker("inspect", "-f", "{{.State.Paused}}", cluster.container(node)) == "true":
                cluster.docker("unpause", cluster.container(node))


def test_maintenance_mode_forbids_the_early_release(cluster: ClusterUnderTest) -> None:
    """After a proven death, no lease is released, and the journal has the reason; when the mode ends, roles move."""
    former, journal = cluster.primary(), keeper_steps.Journal(cluster)
    cluster.ok("maintenance", "on")
    try:
        cluster.docker("kill", cluster.container(former))
        journal.wait(10, event="declined", what="early release", why="maintenance mode")
        time.sleep(A_WHILE)
        assert keeper_steps.lease_owner(cluster) == former
        assert not journal.find(event="decided", what=Verb.RELEASE.value)
    finally:
        cluster.ok("maintenance", "off")
    keeper_steps.new_primary(cluster, former, 40)
    cluster.docker("start", cluster.container(former))
    cluster.wait_healthy()


def test_death_of_another_incarnation_is_no_proof(cluster: ClusterUnderTest) -> None:
    """The store records that another incarnation runs: the death of the one that was seen releases no lease."""
    former, journal = cluster.primary(), keeper_steps.Journal(cluster)
    with keeper_steps.foreign_record(cluster, former, incarnation=str(uuid4())):
        journal.wait(10, event="seen", node=former, process="unknown")
        cluster.docker("kill", cluster.container(former))
        time.sleep(A_WHILE)
        assert keeper_steps.lease_owner(cluster) == former
        assert not journal.find(event="decided", what=Verb.RELEASE.value)
        cluster.docker("start", cluster.container(former))
        cluster.wait_healthy()
    assert not journal.releases()


def test_two_keepers_release_once(cluster: ClusterUnderTest, tmp_path: Path) -> None:
    """A second keeper on the host: both see the death, one of two transactions counts, and the cluster recovers."""
    former, journal, said = cluster.primary(), keeper_steps.Journal(cluster), tmp_path / "second"
    declared = next(cluster.handle.folder.rendered.glob("keeper/cluster.json"))
    argv = [sys.executable, "-u", "-m", "poolkeeper.cli.main", "keeper", "run", str(declared)]
    passwords = {name: cluster.secret(secret) for name, secret in PASSWORDS.items()}
    with said.open("w") as out:
        second = subprocess.Popen(
            [*argv, "--port", str(SECOND_PORT)], stdout=out, env={**cluster.environment(), **passwords}
        )
    try:
        wait_for(lambda: seen_alive(said, former), "the second keeper to see the primary")
        with Writer(cluster) as writer, keeper_steps.killed(cluster, former):
            primary = keeper_steps.new_primary(cluster, former)
            wait_for(lambda: keeper_steps.pool_primary(cluster) == primary, "the new primary in Pgpool's view", 40)
        assert second.poll() is None
    finally:
        second.terminate()
        second.wait(20)
    release = {"event": "done", "what": Verb.RELEASE.value}
    others = [event for event in keeper_steps.read_journal(said.read_text()) if release.items() <= event.items()]
    assert len(journal.releases()) + len(others) == 1
    assert writer.lost() == set()


def seen_alive(journal: Path, node: str) -> bool:
    """Return whether that keeper reported that the node's process lives."""
    wanted = {"event": "seen", "node": node, "process": "alive"}
    return any(
        wanted.items() <= event.items() for event in keeper_steps.read_journal(journal.read_text(encoding="utf-8"))
    )


def test_fence_that_proves_nothing_releases_nothing(cluster: ClusterUnderTest, fenced: Fence) -> None:
    """Exit code 1: the lease keeps its holder, and the journal has the failure."""
    former, journal = cluster.primary(), keeper_steps.Journal(cluster)
    fenced.act = Fence._refuse
    with on_another_machine(cluster, former, journal):
        journal.wait(20, event="failed", what=Verb.FENCE.value, node=former, why="ended with 1")
        assert keeper_steps.lease_owner(cluster) == former
    assert fenced.asked[0] == former
    cluster.wait_healthy()
    assert not journal.releases()


def test_fence_that_proves_it_releases_at_once(cluster: ClusterUnderTest, fenced: Fence) -> None:
    """A silent primary is turned off: the next one is elected long before the lease ends."""
    former, journal = cluster.primary(), keeper_steps.Journal(cluster)
    fenced.act = lambda node: void(cluster.docker("kill", cluster.container(node)))
    with Writer(cluster) as writer, on_another_machine(cluster, former, journal):
        began = time.monotonic()
        keeper_steps.new_primary(cluster, former, 30)
        took = time.monotonic() - began
        cluster.docker("start", cluster.container(former))
        cluster.wait_healthy()
    assert took < cluster.handle.spec.patroni.ttl * 0.75
    assert len(journal.releases()) == 1
    assert writer.lost() == set()


def void(_: object) -> None:
    """Accept a value and do nothing."""
