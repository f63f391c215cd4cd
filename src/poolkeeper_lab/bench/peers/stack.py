"""A running peer: its Compose project, with passwords that are generated for this one run.

Invariant: containers, network and volumes have the label of this peer's cluster, so `down` needs no file and also
removes the remains of a killed run. Only one stack is up at a time: they share a network and a port.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from poolkeeper.core import errors, file_modes
from poolkeeper.model.dsn import Dsn
from poolkeeper.model.endpoint_keys import RW
from poolkeeper.system import compose, process, state
from poolkeeper_lab.bench.measure import startup_times
from poolkeeper_lab.bench.peers import contenders, multi_host
from poolkeeper_lab.bench.peers.peer_catalogue import NODES, PEERS, Peer, PeerCommand
from poolkeeper_lab.drill import drill_client

NET = "10.213.79"  # /24; the nodes have .11 and the next addresses
PORT = 26000  # of the endpoint, on 127.0.0.1
POSTGRES_PORT = 5432
PASSWORDS = ("superuser", "replication", "app", "pcp", "monitor")
ROLE = DATABASE = "app"
UP_SECONDS = 300


def label(key: str) -> str:
    """Return the name of the cluster, of the Compose project and of the network."""
    return f"bench-{key}"


def make_passwords(folder: Path) -> None:
    """Create one file for each password, readable only by this user."""
    file_modes.make_folder(folder, file_modes.PRIVATE_FOLDER)
    for name in PASSWORDS:
        state.write(folder / name, secrets.token_hex(16))


def environment(peer: Peer, sources: Path, image: str, passwords: Path) -> dict[str, str]:
    """Return the variables of a peer's Compose file. Pure."""
    return {
        "PEER_IMAGE": image,
        "PEER_CLUSTER": label(peer.key),
        "PEER_FOLDER": str(sources / peer.folder),
        "PEER_SECRETS": str(passwords),
        "PEER_CPUS": f"{contenders.CPUS:g}",
        "PEER_MEMORY": contenders.MEMORY,
        "PEER_NET": NET,
        "PEER_PORT": str(PORT),
        **peer.variables,
    }


def sweep() -> None:
    """Remove the containers of every peer and of our own bench cluster, also those of former runs.

    Raises:
        EngineFailed: if the engine refuses.
    """
    for name in (startup_times.NAME, *(label(peer.key) for peer in PEERS)):
        compose.remove_all(name)


def project(name: str, file: Path) -> compose.Project:
    """Return a Compose project of the bench."""
    return compose.Project(name, name, file)


def start(wanted: compose.Project, variables: Mapping[str, str], title: str) -> None:
    """Run `docker compose up` with these variables.

    Raises:
        EngineFailed: with the last lines of its output.
    """
    argv = wanted.argv("up", "-d", "--no-build", "--pull", "never")
    done = process.run(argv, timeout=UP_SECONDS, env={**os.environ, **variables})
    if not done.ok:
        tail = "\n".join(done.output.splitlines()[-15:])
        raise errors.EngineFailed(f"{title} could not be started", detail=tail)


class Stack(contenders.TrialCluster):
    """A peer of the catalogue. `passwords` is the folder of this run's passwords."""

    def __init__(self, peer: Peer, sources: Path, image: str, passwords: Path) -> None:
        self.peer = peer
        self.title, self.label = peer.title, label(peer.key)
        self.nodes = {name: f"{NET}.{11 + i}" for i, name in enumerate(NODES)}
        self._passwords = passwords
        self._project = project(self.label, sources / peer.folder / "compose.yaml")
        self._environment = environment(peer, sources, image, passwords)

    def up(self) -> None:
        """Start the Compose project."""
        start(self._project, self._environment, self.title)

    def down(self) -> None:
        """Remove the project by its label."""
        compose.remove_all(self.label)

    def endpoint(self) -> drill_client.ClientEndpoint:
        """Return the proxy's port; without a proxy, all nodes."""
        password = (self._passwords / ROLE).read_text(encoding="utf-8")
        if self.peer.tries_all_nodes:
            dsn = Dsn(",".join(self.nodes.values()), POSTGRES_PORT, ROLE, DATABASE, password)
            return drill_client.ClientEndpoint(RW, dsn, contenders.statement, connect=multi_host.connect)
        return drill_client.ClientEndpoint(RW, Dsn("127.0.0.1", PORT, ROLE, DATABASE, password), contenders.statement)

    def container(self, service: str) -> str:
        """Return the container name as Compose forms it."""
        return f"{self.label}-{service}-1"

    def rows(self, node: str, query: str) -> list[str]:
        """Run the query at the node's own socket."""
        return contenders.psql(self.container(node), DATABASE, query)

    def lacks(self) -> str | None:
        """Return the missing condition from its nodes, and from its own check if the catalogue has one."""
        settled = self.peer.settled
        if (missing := super().lacks()) is not None or settled is None:
            return missing
        printed = process.run(self._exec(settled.command), timeout=contenders.SECONDS).output
        ready = printed == settled.expected
        return None if ready else f"its {settled.command.service} does not report it as settled: {printed}"

    def cannot(self, fault: str) -> str:
        """Return the reason from the catalogue."""
        return self.peer.cannot.get(fault, "")

    def switch_over(self, primary: str) -> None:
        """Run the catalogue's command, with the first other node as the target.

        Raises:
            EngineFailed: if the catalogue has no command for it, or the command fails.
        """
        if self.peer.switchover is None:
            raise errors.EngineFailed(f"{self.title} has no command for a switchover")
        command = self.peer.switchover.of(primary, next(name for name in NODES if name != primary))
        process.check(self._exec(command), timeout=contenders.SECONDS, what=f"the switchover of {self.title}")

    def _exec(self, command: PeerCommand) -> list[str]:
        return ["docker", "exec", "--user", "postgres", self.container(command.service), *command.argv]
