"""PgBouncer's endpoints for `bench path`: in the cluster's own network, in front of the same primary as Pgpool-II.

There are two ports of PgBouncer itself, to compare with 9999, and a port of HAProxy in front of each, to compare with
5100. Invariant: the containers have a label of their own, so the next run removes the remains of a killed one. The
cluster stays unchanged, and no port is published.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from poolkeeper.cluster.handle import Cluster
from poolkeeper.core import interrupts, wait
from poolkeeper.core.progress import Progress
from poolkeeper.model.dsn import Dsn
from poolkeeper.model.spec import ClusterSpec
from poolkeeper.system import compose, state
from poolkeeper_lab.bench.load import database
from poolkeeper_lab.bench.load.bench_endpoints import POSTGRES_PORT, BenchEndpoint, spare_of
from poolkeeper_lab.bench.peers import contenders, peer_catalogue, peer_image, remarks, stack
from poolkeeper_lab.bench.report.bench_model import BenchTable
from poolkeeper_lab.drill import drill_run, link

FOLDER, TITLE = "pgbouncer", "PgBouncer"
PACKAGES = ("pgbouncer", "haproxy")
PORT = 6432
ENDPOINT_PORTS = {"session": 5100, "transaction": 5101}
MAX_CLIENTS = 3000  # max_client_conn of its configuration
HEALTHY_SECONDS = 60.0
READY_SECONDS = 60.0
CONNECT_SECONDS = 4.0


def label(cluster: str) -> str:
    """Return the label of its containers beside a cluster."""
    return stack.label(f"pgbouncer-{cluster}")


@contextmanager
def endpoints(cluster: Cluster, progress: Progress) -> Iterator[Sequence[BenchEndpoint]]:
    """Run PgBouncer for the length of the block, and yield its endpoints.

    Raises:
        PoolkeeperError: if it cannot be started.
    """
    built, name = peer_image.ensure(cluster, progress), label(cluster.spec.name)
    primary = interrupts.run(drill_run.drilled(cluster).wait_healthy(HEALTHY_SECONDS))
    with tempfile.TemporaryDirectory(prefix="poolkeeper-bench-") as scratch:
        password = cluster.with_passwords().passwords["app"]
        state.write(Path(scratch) / "app", password)
        sources = peer_image.copy(Path(scratch))
        project = stack.project(name, sources / FOLDER / "compose.yaml")
        wanted = environment(cluster.spec, primary, sources, built, Path(scratch))
        compose.remove_all(name)
        try:
            with progress.step("starting PgBouncer"):
                stack.start(project, wanted, TITLE)
                about = remarks.settings(
                    TITLE, PACKAGES, peer_catalogue.PGBOUNCER, peer_image.versions(built, PACKAGES)
                )
                table = BenchTable(title="PgBouncer, its version and settings", header=remarks.SETTINGS, rows=about)
                found = as_endpoints(cluster.spec, addresses(name), pids(name), table)
                _ready(found, cluster.spec.roles.app, password)
            yield found
        finally:
            with interrupts.signals_blocked():
                compose.remove_all(name)


def environment(spec: ClusterSpec, primary: str, sources: Path, built: str, passwords: Path) -> dict[str, str]:
    """Return the variables of its Compose file. Pure."""
    return {
        "PEER_IMAGE": built,
        "PEER_CLUSTER": label(spec.name),
        "PEER_FOLDER": str(sources / FOLDER),
        "PEER_SECRETS": str(passwords),
        "PEER_CPUS": "0",  # as the cluster's own containers: no limit
        "PEER_MEMORY": contenders.MEMORY,
        "PGBOUNCER_NETWORK": spec.project,
        "PGBOUNCER_SERVER": f"{spec.addresses()[primary]}:{POSTGRES_PORT}",
        "PGBOUNCER_ROLE": spec.roles.app,
        "PGBOUNCER_DATABASE": database.NAME,
        "PGBOUNCER_POOL_SIZE": str(spec.endpoints.rw.num_init_children),
    }


def as_endpoints(
    spec: ClusterSpec, found: Mapping[str, str], running: Mapping[str, int], about: BenchTable | None = None
) -> tuple[BenchEndpoint, ...]:
    """Return the four endpoints; `found` maps services to addresses, `running` to process ids. Pure."""
    capacities = {"session": spare_of(spec.endpoints.rw), "transaction": MAX_CLIENTS}
    bouncers, fronts = [], []
    for mode, capacity in capacities.items():
        own = f"{TITLE}, {mode}"
        bouncers.append(BenchEndpoint(own, found[mode], PORT, capacity, True, True, {own: running[mode]}, about))
        front = {f"HAProxy before {TITLE}": running["endpoint"]}
        fronts.append(
            BenchEndpoint(
                f"HAProxy + {own}", found["endpoint"], ENDPOINT_PORTS[mode], capacity, True, True, front, about
            )
        )
    return (*bouncers, *fronts)


def addresses(name: str) -> dict[str, str]:
    """Map each service to its address in the cluster's network.

    Raises:
        EngineFailed: if the engine does not answer.
    """
    found = {}
    for document in compose.inspect(name):
        networks = document["NetworkSettings"]["Networks"].values()
        found[_service(document)] = next((n["IPAddress"] for n in networks if n["IPAddress"]), "")
    return found


def pids(name: str) -> dict[str, int]:
    """Map each service to the host process id of its first process.

    Raises:
        EngineFailed: if the engine does not answer.
    """
    return {_service(document): int(document["State"]["Pid"]) for document in compose.inspect(name)}


def _service(document: Mapping[str, Any]) -> str:
    return str(document["Config"]["Labels"].get(compose.SERVICE, ""))


def _ready(found: Sequence[BenchEndpoint], role: str, password: str) -> None:
    """Wait until each endpoint accepts a session."""

    async def check() -> None:
        for endpoint in found:
            try:
                link.connect(Dsn(endpoint.host, endpoint.port, role, database.NAME, password), CONNECT_SECONDS).close()
            except link.Failed as e:
                raise wait.NotYet(f"{endpoint.key}: {e.text}") from e

    interrupts.run(wait.wait_for("PgBouncer's endpoints", check, seconds=READY_SECONDS, pause=0.5))
