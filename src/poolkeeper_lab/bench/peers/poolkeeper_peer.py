"""Our own cluster among the contenders: the commands that a user types start and remove it, under its own name.

It is the cluster of `bench startup` (another name, network and ports), with the limits of the peers' containers.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from poolkeeper.cluster.handle import Cluster
from poolkeeper.core import errors, file_modes
from poolkeeper.model import source
from poolkeeper.model.endpoint_keys import RW
from poolkeeper.model.spec import ClusterSpec
from poolkeeper.system import compose, postgres, process, state
from poolkeeper_lab.bench.measure import startup_times
from poolkeeper_lab.bench.peers import contenders
from poolkeeper_lab.drill import drill_client

TITLE = "Poolkeeper"
UP_SECONDS = 600


class PoolkeeperPeer(contenders.TrialCluster):
    """The declared cluster under the bench's name, with its file in a scratch `folder`."""

    title, label = TITLE, startup_times.NAME

    def __init__(self, declared: ClusterSpec, images: Path, folder: Path) -> None:
        self._file = folder / "cluster.toml"
        file_modes.make_folder(folder, file_modes.PRIVATE_FOLDER)
        self._file.write_text(startup_times.to_toml(startup_times.bench_document(declared)), encoding="utf-8")
        spec = source.load(self._file.read_text(encoding="utf-8"), str(self._file))
        self.cluster = Cluster(spec, state.State(folder / ".poolkeeper"), images)
        self.nodes = {node.name: str(node.address) for node in spec.nodes}

    def up(self) -> None:
        """Start it from nothing, and then set the limits."""
        self._command("up")
        names = [str(document["Name"]).lstrip("/") for document in compose.inspect(self.label)]
        limit = ["--cpus", f"{contenders.CPUS:g}", "--memory", contenders.MEMORY, "--memory-swap", contenders.MEMORY]
        process.check(["docker", "update", *limit, *names], what="docker update")

    def down(self) -> None:
        """Remove it by its label, which works without the file of a killed run."""
        compose.remove_all(self.label)
        state.forget_cluster(self.cluster.folder)

    def endpoint(self) -> drill_client.ClientEndpoint:
        """Return the read-write endpoint at its published port."""
        roles = self.cluster.spec.roles
        return drill_client.ClientEndpoint(
            RW, self.cluster.with_passwords().endpoint(RW, "app", roles.app_database), contenders.statement
        )

    def container(self, service: str) -> str:
        """Return the container name as the cluster forms it."""
        return self.cluster.container(service)

    def rows(self, node: str, query: str) -> list[str]:
        """Run the query at the node's own port."""
        spec = self.cluster.spec
        dsn = self.cluster.with_passwords().node(node, "superuser", spec.roles.app_database)
        found = asyncio.run(postgres.query(dsn, query, spec.timeouts.query))
        return ["|".join(map(_text, row)) for row in found]

    def switch_over(self, primary: str) -> None:
        """Run `poolkeeper switchover`, to the candidate that Patroni prefers."""
        del primary
        self._command("switchover")

    def _command(self, *words: str) -> None:
        argv = [sys.executable, "-m", "poolkeeper.cli.main", "--file", str(self._file), *words]
        done = process.run(argv, timeout=UP_SECONDS)
        if not done.ok:
            raise errors.EngineFailed(f"poolkeeper {' '.join(words)} ended with {done.code}", detail=done.output)


def _text(value: object) -> str:
    """Return the value as psql prints it."""
    return {True: "t", False: "f"}.get(value, str(value)) if isinstance(value, bool) else str(value)
