"""What a load needs: the bench's own database, filled, and the container that pgbench runs in; both are taken away."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from poolkeeper.cluster.handle import Cluster
from poolkeeper.core import interrupts
from poolkeeper.core.progress import Progress
from poolkeeper_lab.bench.load import bench_endpoints, database, pgbench, pgbench_client

LOAD_SECONDS = 600  # most that it may take to fill the tables


@contextmanager
def loaded(cluster: Cluster, primary: str, scale: int, progress: Progress) -> Iterator[pgbench_client.PgbenchClient]:
    """pgbench's tables of that scale on every node, on disk, for the length of the block. Raises PoolkeeperError."""
    direct = bench_endpoints.own(cluster.spec, primary)[0]
    where = pgbench.Where(direct.host, direct.port, cluster.spec.roles.app, database.NAME)
    with pgbench_client.running(cluster, primary) as using, database.made(cluster, primary, progress):
        with progress.step(f"loading pgbench's tables, scale {scale}"):
            using.run(pgbench.initialize(where, scale), LOAD_SECONDS)
            interrupts.run(database.settle(cluster, primary))
            interrupts.run(database.spread(cluster, primary))
        yield using
