"""A disk that is full to its last block: under all of a node's data, or under its WAL alone.

Invariant: the fault takes effect before it counts as injected. The primary gets work that needs space until the victim
refuses it, as primary, or no longer follows, as standby. If neither happens, `inject` fails.
"""

from __future__ import annotations

import asyncio

from typing_extensions import override

from poolkeeper.cluster import snapshot
from poolkeeper.core import errors
from poolkeeper.system import postgres
from poolkeeper_lab.faults import disk_images, node_faults, power
from poolkeeper_lab.faults.disk_images import DiskPart, Image
from poolkeeper_lab.faults.fault import Fault
from poolkeeper_lab.faults.host import Host

MESSAGE = 4 << 20  # bytes of WAL in one statement
MESSAGES = 60  # more than the preallocated segments hold
STATEMENT_SECONDS = 20.0
_FILL_WAL = f"SELECT pg_logical_emit_message(true, 'poolkeeper', repeat('x', {MESSAGE}))"
_FILL_DATA = "CREATE TABLE {0} AS SELECT i, repeat('x', 1000) AS filler FROM generate_series(1, 20000) AS i"
_FOLLOWERS = "SELECT application_name FROM pg_stat_replication WHERE state = 'streaming'"


class FillDisk(Fault):
    """The victim's disk is full. `growth`: a table of the application's database, created to need space.

    `as_primary`: the victim gets the role first, once its data is on the small disk.
    """

    sentence = "a full disk of {}"

    def __init__(self, host: Host, victim: str, part: DiskPart, growth: str, as_primary: bool = False) -> None:
        super().__init__(host, victim)
        self._image, self._growth, self._as_primary = Image(host, victim, part), growth, as_primary

    @override
    def available(self) -> str:
        return disk_images.available(self.host)

    @override
    def inject(self) -> None:
        primary = power.move_all(self.host, [self._image])
        if self._as_primary:
            node_faults.hand_over(self.host, self.victim)
            primary = self.victim
        self._image.fill()
        asyncio.run(self._press(primary))

    async def _press(self, primary: str) -> None:
        """Give the primary work until the full disk affects the victim; raise EngineFailed if it does not."""
        cluster = self.host.cluster.with_passwords()
        dsn = cluster.node(primary, "superuser", cluster.spec.roles.app_database)
        if self._image.part is DiskPart.DATA:
            await postgres.query(dsn, f"DROP TABLE IF EXISTS {self._growth}", STATEMENT_SECONDS)
        statement = _FILL_WAL if self._image.part is DiskPart.WAL else _FILL_DATA.format(self._growth)
        for _ in range(MESSAGES):
            pressed = await snapshot.observe(postgres.query(dsn, statement, STATEMENT_SECONDS))
            if pressed.error and primary == self.victim:
                return
            following = await snapshot.observe(postgres.query(dsn, _FOLLOWERS, STATEMENT_SECONDS))
            if primary != self.victim and following.value is not None and (self.victim,) not in following.value:
                return
            statement = _FILL_WAL
        raise errors.EngineFailed(f"the disk of {self.victim} is full, and that had no effect")

    @override
    def heal(self) -> None:
        power.put_back(self.host, [self._image])
