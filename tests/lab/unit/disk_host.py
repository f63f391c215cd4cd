"""A cluster of two nodes whose volumes are folders, and a host whose images, mounts and copies are folders too."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.lab.unit.test_faults import FakeHost

from poolkeeper.core import errors


class DiskHost(FakeHost):
    """A cluster of two nodes whose volumes and state folder are below `root`."""

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.root = root
        names = [SimpleNamespace(name=name) for name in ("pg_node1", "pg_node2")]
        roles = SimpleNamespace(app_database="app")
        spec = SimpleNamespace(nodes=names, roles=roles, addresses=lambda: {"pg_node1": "a", "pg_node2": "b"})
        cluster = SimpleNamespace(spec=spec, node=lambda *words: words)
        self.cluster = SimpleNamespace(
            spec=spec, folder=SimpleNamespace(root=root / "state"), with_passwords=lambda: cluster
        )
        (root / "state").mkdir()

    def docker(self, *words: str, seconds: float = 60) -> str:
        super().docker(*words, seconds=seconds)
        if words[0] == "inspect":
            source = self.root / words[-1].removeprefix("c_")
            return f'[{{"Destination": "/var/lib/postgresql/data", "Source": "{source}"}}]'
        return ""


class FakeEngine:
    """A fake of the host's programs: an image is a folder beside its file, a mount hides the former folder."""

    def __init__(self, fails_at: int = -1) -> None:
        self.mounts: list[tuple[Path, Path, Path]] = []  # the image's store, the mountpoint, the hidden folder
        self.ran: list[str] = []
        self.fails_at = fails_at

    def check(self, argv: Sequence[str], **_: Any) -> str:
        if len(self.ran) == self.fails_at:
            self.fails_at = -1
            raise errors.EngineFailed("injected")
        self.ran.append(argv[0])
        if argv[0] == "fallocate":
            Path(argv[-1]).touch()
        elif argv[0] == "mkfs.ext4":
            store = Path(argv[-1]).with_suffix(".store")
            shutil.rmtree(store, ignore_errors=True)
            (store / "lost+found").mkdir(parents=True)
        elif argv[0] == "mount":
            self.mount(Path(argv[-2]).with_suffix(".store"), Path(argv[-1]))
        elif argv[0] == "umount":
            self.umount(Path(argv[-1]))
        elif argv[0] == "cp":
            shutil.copytree(argv[-2], argv[-1], dirs_exist_ok=True)
        return "/dev/loop7\n" if argv[0] == "losetup" else ""

    def mount(self, store: Path, where: Path) -> None:
        hidden = store.with_suffix(f".hidden{len(self.mounts)}")
        where.rename(hidden)
        store.rename(where)
        self.mounts.append((store, where, hidden))

    def umount(self, where: Path) -> None:
        (found,) = [mount for mount in self.mounts if mount[1] == where]
        self.mounts.remove(found)
        where.rename(found[0])
        found[2].rename(where)

    def table(self) -> list[tuple[str, str]]:
        return [("/dev/vda", "/"), *(("/dev/loop7", str(where)) for _, where, _ in self.mounts)]


def made(root: Path) -> DiskHost:
    """Return a host with some data in the first node's volume."""
    host = DiskHost(root)
    wal = root / "pg_node1" / "pgdata" / "pg_wal"
    wal.mkdir(parents=True)
    (wal / "segment").write_text("wal")
    (wal.parent / "PG_VERSION").write_text("17")
    return host
