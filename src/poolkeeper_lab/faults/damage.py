"""Damage on a standby's disk, made while its server is down: WAL overwritten or lost, a page of a table overwritten.

Invariant: the standby still needs the damaged data. WAL is damaged between the redo point and the last replayed
position, and the primary still has it. A damaged page belongs to a table that does not change, and no record that would
write it again is left to replay. Before the damage, a note is written to `.poolkeeper/disks`. The note is removed once
the node is cloned again; `sweep` does that for a run that died.

PostgreSQL 17 cannot recover from all damage of WAL. The damaged segment may be of a later timeline than the record that
is being read in it. Then the startup process exits at every start (WaitForWALToBecomeAvailable, xlogrecovery.c). Only
an operator can help then, so `LoseWal.heal` does what an operator would do, and only on exactly this message.
"""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path

from typing_extensions import override

from poolkeeper.cluster import snapshot
from poolkeeper.core import errors
from poolkeeper.operations import logs
from poolkeeper.render.patroni_config import DATA_DIRECTORY
from poolkeeper.system import postgres
from poolkeeper_lab.faults import disk_images, node_faults
from poolkeeper_lab.faults.disk_images import SEGMENT
from poolkeeper_lab.faults.fault import Fault
from poolkeeper_lab.faults.host import Host

PAGE = 8192
BEHIND = 128 << 10  # bytes of WAL after the redo point, at least
CORRUPTED = "XX001"  # data_corrupted
ANSWER_SECONDS = 40.0
START_SECONDS = 12.0  # until a server has replayed its WAL and answers
IMPASSABLE = "but previous recovered WAL file came from timeline"
RECENT = "15s"  # of a log; a server that exits at its start is started again every second or two


class LoseWal(Fault):
    """WAL that a standby needs for its start: a page of it overwritten, its last segment removed, or all segments.

    `killed`: the standby is killed before that, not stopped.
    """

    sentence = "damage of the WAL of {}"

    def __init__(self, host: Host, victim: str, what: str = "page", killed: bool = False) -> None:
        super().__init__(host, victim)
        self._what, self._killed = what, killed

    @override
    def available(self) -> str:
        return "" if os.geteuid() == 0 else "it needs root on this machine"

    @override
    def inject(self) -> None:
        node_faults.checkpoint(self.host, self.victim)
        node_faults.wait_written(self.host, node_faults.wait_healthy(self.host), BEHIND)
        end = node_faults.wait_replayed(self.host, self.victim)
        if self._killed:
            self.host.docker("kill", self.host.cluster.container(self.victim))
        else:
            node_faults.stop(self.host, [self.victim])
        self._damage(end)
        node_faults.start(self.host, [self.victim])

    def _damage(self, end: int) -> None:
        """Damage the WAL. `end` is a position that the standby has replayed, in bytes."""
        redo = position(control_data(self.host, self.victim)["Latest checkpoint's REDO location"])
        folder = disk_images.volume(self.host, self.victim) / Path(DATA_DIRECTORY).name / "pg_wal"
        if end - redo < 2 * PAGE:
            raise errors.EngineFailed(f"{self.victim} has only {end - redo} bytes of WAL to replay, so none is damaged")
        if self._what == "page":
            middle = (redo + end) // 2 // PAGE * PAGE
            overwrite(segment(folder, middle), middle % SEGMENT, PAGE)
        elif self._what == "segment":
            segment(folder, end - 1).unlink()
        else:
            for file in folder.iterdir():
                if re.fullmatch(r"[0-9A-F]{24}", file.name):
                    file.unlink()

    @override
    def heal(self) -> None:
        self.start_if_down()
        asyncio.run(snapshot.observe(node_faults.wait_answer(self.host, self.victim, START_SECONDS)))
        lines = logs.merged({self.victim: self.host.cluster.container(self.victim)}, since=RECENT)
        if any(IMPASSABLE in line.text for line in lines):
            node_faults.clone_again(self.host, self.victim)


class SpoilPage(Fault):
    """A page of an unchanging table is damaged on a standby; `inject` checks that the server refuses to read it.

    `promoted`: the node then becomes primary, before the check.
    """

    sentence = "damage of a page of {}"

    def __init__(self, host: Host, victim: str, table: str, promoted: bool = False) -> None:
        super().__init__(host, victim)
        self._table, self._promoted = table, promoted

    @override
    def available(self) -> str:
        return "" if os.geteuid() == 0 else "it needs root on this machine"

    @override
    def inject(self) -> None:
        node_faults.checkpoint(self.host, self.victim)
        node_faults.wait_replayed(self.host, self.victim)
        path = asyncio.run(self._path())
        node_faults.stop(self.host, [self.victim])  # with a restart point at that checkpoint: nothing older is replayed
        note = _note(self.host, self.victim)
        note.parent.mkdir(exist_ok=True)
        note.touch()
        overwrite(disk_images.volume(self.host, self.victim) / Path(DATA_DIRECTORY).name / path, PAGE + PAGE // 2, 64)
        node_faults.start(self.host, [self.victim])
        if self._promoted:
            node_faults.hand_over(self.host, self.victim)
        asyncio.run(self._require_refusal())

    async def _path(self) -> str:
        cluster = self.host.cluster.with_passwords()
        dsn = cluster.node(self.victim, "superuser", cluster.spec.roles.app_database)
        ((path,),) = await postgres.query(dsn, f"SELECT pg_relation_filepath('{self._table}')", ANSWER_SECONDS)
        return str(path)

    async def _require_refusal(self) -> None:
        """Require that the checksum detects the damage; raise EngineFailed if the page is returned as data."""
        cluster = self.host.cluster.with_passwords()
        dsn = cluster.node(self.victim, "superuser", cluster.spec.roles.app_database)
        await node_faults.wait_answer(self.host, self.victim, ANSWER_SECONDS)
        try:
            found = await postgres.query(dsn, f"SELECT count(*) FROM {self._table}", ANSWER_SECONDS)
        except errors.ServerRefused as e:
            if e.code != CORRUPTED:
                raise
            return
        raise errors.EngineFailed(f"{self.victim} read a damaged page of {self._table} as data: {found}")

    @override
    def heal(self) -> None:
        self.start_if_down()
        clone_noted(self.host, self.victim)


def clone_noted(host: Host, node: str) -> None:
    """Clone a node again if a page of it was damaged; if it is the primary, it hands over the role before."""
    note = _note(host, node)
    if note.exists():
        node_faults.take_role_from(host, node)
        node_faults.clone_again(host, node)
        note.unlink()


def control_data(host: Host, node: str) -> dict[str, str]:
    """Return the output of pg_controldata for a node whose container is down, by name.

    Raises:
        EngineFailed: if the program or the engine fails.
    """
    container = host.cluster.container(node)
    image = host.docker("inspect", "--format", "{{.Config.Image}}", container).strip()
    flags = ("--rm", "--network", "none", "--volumes-from", f"{container}:ro", "--env", "LC_ALL=C")
    output = host.docker("run", *flags, "--entrypoint", "pg_controldata", image, "-D", DATA_DIRECTORY)
    pairs = (line.partition(":") for line in output.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def position(text: str) -> int:
    """Return a position in the WAL, such as "0/3000028", in bytes."""
    high, _, low = text.partition("/")
    return (int(high, 16) << 32) + int(low, 16)


def segment(folder: Path, byte: int) -> Path:
    """Return the file that has a byte of the WAL, on the latest timeline.

    Raises:
        EngineFailed: if there is no such file.
    """
    number, each = byte // SEGMENT, (1 << 32) // SEGMENT
    found = sorted(folder.glob(f"{'[0-9A-F]' * 8}{number // each:08X}{number % each:08X}"))
    if not found:
        raise errors.EngineFailed(f"{folder} has no segment with byte {byte} of the WAL")
    return found[-1]


def overwrite(file: Path, offset: int, size: int) -> None:
    """Invert every bit of a range of bytes of a file.

    Raises:
        EngineFailed: if the file ends before the range.
    """
    with file.open("r+b") as opened:
        opened.seek(offset)
        before = opened.read(size)
        if len(before) < size:
            raise errors.EngineFailed(f"{file.name} ends before byte {offset + size}")
        opened.seek(offset)
        opened.write(bytes(byte ^ 0xFF for byte in before))
        opened.flush()
        os.fsync(opened.fileno())


def _note(host: Host, node: str) -> Path:
    return host.cluster.folder.root / disk_images.FOLDER / f"{node}.damaged"
