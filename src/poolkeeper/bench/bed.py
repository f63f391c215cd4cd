"""What a load needs: the bench's own database, filled, and the container that pgbench runs in; both are taken away."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from poolkeeper import undo
from poolkeeper.bench import client, database, doors, pgbench
from poolkeeper.model.progress import Progress
from poolkeeper.observe import Access
from poolkeeper.place import Place

LOAD_SECONDS = 600  # most that it may take to fill the tables


@contextmanager
def loaded(place: Place, access: Access, primary: str, scale: int, progress: Progress) -> Iterator[client.Client]:
    """pgbench's tables of that scale on every node, on disk, for the length of the block. Raises PoolkeeperError."""
    direct = doors.own(place.spec, primary)[0]
    where = pgbench.Where(direct.host, direct.port, place.spec.roles.app, database.NAME)
    with client.running(place, primary) as using, database.made(access, primary, progress):
        with progress.step(f"loading pgbench's tables, scale {scale}"):
            using.run(pgbench.initialize(where, scale), LOAD_SECONDS)
            undo.run(database.settle(access, primary))
            undo.run(database.spread(access, primary))
        yield using
