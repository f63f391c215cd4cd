"""A cluster of the bench's own, which may be grown, slowed and broken; the user's cluster stays untouched.

Its name, network and ports are those of `bench startup`, so only one exists at a time. It lives in a scratch folder,
and the bench controls it with the commands that a user types. Invariant: at the end of the block, on every path, the
cluster is removed with its data. The next run finds the remains of a killed run by the label and removes them.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

from poolkeeper.cluster.handle import Cluster
from poolkeeper.core import errors, file_modes, interrupts
from poolkeeper.core.progress import Progress
from poolkeeper.model import source
from poolkeeper.model.spec import ClusterSpec
from poolkeeper.operations import engine, up
from poolkeeper.system import compose, process, state
from poolkeeper_lab.bench.load import pgbench_client
from poolkeeper_lab.bench.measure import startup_times

STATE = ".poolkeeper"
COMMAND_SECONDS = 1800.0


def document(spec: ClusterSpec, nodes: int, most: int = 0) -> dict[str, Any]:
    """Return the declared cluster under the bench's name with `nodes` nodes: the declared ones first.

    With `most`, the cluster can grow to that many nodes later without a restart.

    Raises:
        UsageError: if the network has no address left.
    """
    made = startup_times.bench_document(spec)
    taken = {str(address) for address in _addresses(made)}
    subnet = IPv4Network(made["network"]["subnet"])
    free = [str(host) for host in list(subnet.hosts())[1:] if str(host) not in taken]
    ports = _ports(made)
    while len(made["nodes"]) < nodes:
        if not free:
            raise errors.UsageError(f"{subnet} has no address left for {nodes} nodes")
        port = max(ports) + 1
        ports.add(port)
        name = _name(len(made["nodes"]) + 1, {node["name"] for node in made["nodes"]})
        made["nodes"].append({"name": name, "address": free.pop(0), "port": port})
    del made["nodes"][nodes:]
    server = made["postgresql"]
    for key in ("max_wal_senders", "max_replication_slots"):  # a clone uses one more while it runs
        server[key] = max(server[key], max(nodes, most) + 2)
    return made


def _addresses(made: dict[str, Any]) -> Iterator[IPv4Address]:
    pooled = [endpoint for endpoint in made["endpoints"].values() if "address" in endpoint]
    for owner in (*made["nodes"], *made["etcd"]["members"], *pooled, made["haproxy"], made["keeper"]):
        yield IPv4Address(owner["address"])


def _ports(made: dict[str, Any]) -> set[int]:
    owners = (*made["nodes"], *made["endpoints"].values(), made["keeper"])
    return {owner["port"] for owner in owners} | {made["haproxy"]["stats_port"]}


def _name(number: int, taken: set[str]) -> str:
    """Return a name such as "more_node4"; no declared service has this prefix."""
    name = f"more_node{number}"
    return name if name not in taken else _name(number + 1, taken)


@dataclass(frozen=True)
class ScratchCluster:
    """A cluster in its scratch folder."""

    folder: Path
    image_sources: Path

    @property
    def file(self) -> Path:
        """The path of its cluster.toml."""
        return self.folder / "cluster.toml"

    @property
    def cluster(self) -> Cluster:
        """The handle of the cluster as it is declared now."""
        spec = source.load(self.file.read_text(encoding="utf-8"), str(self.file))
        return Cluster(spec, state.State(self.folder / STATE), self.image_sources)

    def declare(self, made: dict[str, Any]) -> None:
        """Write its cluster.toml without applying it."""
        self.file.write_text(startup_times.to_toml(made), encoding="utf-8")

    def command(self, *words: str) -> float:
        """Run a command of Poolkeeper, and return its duration in seconds.

        Raises:
            EngineFailed: if the command fails; the detail is its output.
        """
        argv = [sys.executable, "-m", "poolkeeper.cli.main", "--file", str(self.file), *words]
        begin = time.perf_counter()
        done = process.run(argv, timeout=COMMAND_SECONDS)
        if not done.ok:
            raise errors.EngineFailed(
                f"poolkeeper {' '.join(words)} ended with {done.code} on the bench's own cluster", detail=done.output
            )
        return time.perf_counter() - begin

    def remove(self) -> None:
        """Remove the cluster with its data, in whatever state it is."""
        with interrupts.signals_blocked():
            pgbench_client.sweep(startup_times.NAME)  # its container keeps the network in use
            compose.remove_all(startup_times.NAME)
            state.forget_cluster(state.State(self.folder / STATE))


@contextmanager
def scratch(cluster: Cluster, progress: Progress) -> Iterator[ScratchCluster]:
    """Provide a folder for a cluster of the bench's own, with the engine and the images ready; nothing is started yet.

    Raises:
        OperationRefused: if the user's cluster has the bench's name.
    """
    if cluster.spec.name == startup_times.NAME:
        raise errors.OperationRefused(
            f"the bench would start a cluster {startup_times.NAME!r} of its own, but this cluster has that name",
            hint="Run it from the folder of a cluster with another name.",
        )
    file_modes.make_folder(cluster.folder.root, file_modes.PRIVATE_FOLDER)
    engine.ensure(progress.note, cluster.folder.engine_log)
    up.ensure_images(cluster, progress)
    running = [c for c in compose.containers(cluster.spec.name).values() if c.is_running]
    if running:
        progress.note(f"note: the cluster {cluster.spec.name} is running, which makes these figures worse")
    with tempfile.TemporaryDirectory(prefix="poolkeeper-bench-") as folder:
        own = ScratchCluster(Path(folder), cluster.image_sources)
        own.remove()
        try:
            yield own
        finally:
            own.remove()
