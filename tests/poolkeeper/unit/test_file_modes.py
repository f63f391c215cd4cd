"""The modes of every file that Poolkeeper writes: the same under each umask, and `up` repairs those of earlier runs."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.poolkeeper.unit.snapshots import SPEC

import poolkeeper
from poolkeeper.core import file_modes
from poolkeeper.operations import init
from poolkeeper.report import writer
from poolkeeper.system import images, state
from poolkeeper_lab.bench.peers import peer_image
from poolkeeper_lab.chaos.history import history, recorder

SOURCES = Path(poolkeeper.__file__).parents[1]
UMASKS = (0o000, 0o022, 0o027, 0o077, 0o777)
FILES = {"compose.yml": "a", "etcd/etcd1/etcd.yml": "b", "haproxy/haproxy.cfg": "c"}


@contextmanager
def umask(value: int) -> Iterator[None]:
    """Have this umask during the block."""
    before = os.umask(value)
    try:
        yield
    finally:
        os.umask(before)


def modes(root: Path) -> dict[str, str]:
    """Return the mode of a folder and of everything below it."""
    return {str(path.relative_to(root)): oct(stat.S_IMODE(path.lstat().st_mode)) for path in (root, *root.rglob("*"))}


def write_state(root: Path) -> None:
    """Write a state folder, as `up` does."""
    folder = state.State(root / ".poolkeeper")
    with state.lock(folder):
        state.write(folder.root / "build-etcd.log", "x", mode=file_modes.SHARED_FILE)
        state.prepare(folder)
        state.write_tree(folder.rendered, FILES)
        state.write(folder.pgpass, "x")
        state.write(folder.root / "pg_service.conf", "x", mode=file_modes.SHARED_FILE)
        state.write(folder.pool_passwd, "x")
        state.record_applied(folder, FILES)
        state.record_former(folder, SPEC)


def write_history(root: Path) -> None:
    """Write a history of the chaos tests."""
    header = history.Header(scenario="x", seed=1, workloads={})
    with recorder.Recorder(root / "history.jsonl", header):
        pass


WRITERS: dict[str, Callable[[Path], object]] = {
    "state": write_state,
    "init": lambda root: init.init(root / "a" / "b", init.InitOptions()),
    "reports": lambda root: writer.write_all({root / "reports/deep/x.md": "x"}, root / "reports/deep"),
    "peers": peer_image.copy,
    "history": write_history,
}
WANTED = {
    ".": "0o700", "secrets": "0o700", "secrets/app": "0o600", "secrets/pool": "0o700", "secrets/pool/pool_key": "0o600",
    "secrets/pool/pool_passwd": "0o600", "pgpass": "0o600", "lock": "0o600", "pg_service.conf": "0o644",
    "build-etcd.log": "0o644", "rendered": "0o755", "rendered/compose.yml": "0o644", "rendered/etcd": "0o755",
    "rendered/etcd/etcd1": "0o755", "rendered/etcd/etcd1/etcd.yml": "0o644", "applied": "0o755",
    "applied/cluster.json": "0o644", "applied/haproxy": "0o755", "applied/haproxy/haproxy.cfg": "0o644",
}  # fmt: skip


@pytest.mark.parametrize("value", UMASKS, ids=oct)
@pytest.mark.parametrize("name", WRITERS)
def test_the_modes_are_the_same_under_each_umask(tmp_path: Path, name: str, value: int) -> None:
    written = {}
    for number, mask in enumerate((0o022, value)):
        root = tmp_path / str(number)
        root.mkdir()
        with umask(mask):
            WRITERS[name](root)
        written[mask] = modes(root)
    assert written[value] == written[0o022]
    assert len(written[value]) > 1


@pytest.mark.parametrize("value", UMASKS, ids=oct)
def test_containers_read_what_is_rendered_and_only_the_operator_reads_secrets(tmp_path: Path, value: int) -> None:
    with umask(value):
        write_state(tmp_path)
    assert modes(tmp_path / ".poolkeeper").items() >= WANTED.items()


@pytest.mark.parametrize("bits", [0o000, 0o700, 0o777], ids=oct)
def test_up_repairs_the_modes_of_an_earlier_run(tmp_path: Path, bits: int) -> None:
    """Also those of a folder that was copied without its modes; no file is written again for that."""
    write_state(tmp_path)
    wanted = modes(tmp_path)
    folder = tmp_path / ".poolkeeper"
    before = (folder / "rendered/compose.yml").stat()
    for path in sorted(folder.rglob("*"), reverse=True):
        path.chmod(bits)
    folder.chmod(bits)
    write_state(tmp_path)
    assert modes(tmp_path) == wanted
    assert (folder / "rendered/compose.yml").stat().st_ino == before.st_ino


def test_a_link_in_the_folder_is_not_followed(tmp_path: Path) -> None:
    """Its target belongs to somebody else."""
    target = tmp_path / "theirs"
    target.mkdir(mode=0o700)
    (target / "file").touch(mode=0o600)
    root = tmp_path / "rendered"
    root.mkdir()
    (root / "folder").symlink_to(target)
    (root / "file").symlink_to(target / "file")
    before = modes(target)
    file_modes.set_tree(root, file_modes.SHARED_FILE)
    assert modes(target) == before


def test_a_folder_that_exists_keeps_its_mode(tmp_path: Path) -> None:
    """A report goes into the operator's folder as it is."""
    (tmp_path / "mine").mkdir(mode=0o750)
    (tmp_path / "mine").chmod(0o750)
    writer.write_all({tmp_path / "mine/x.md": "x"}, tmp_path / "mine")
    assert modes(tmp_path / "mine") == {".": "0o750", "x.md": "0o644"}


@pytest.fixture
def checkout(tmp_path: Path) -> Callable[[int], Path]:
    """Return a function that copies the package as `git clone` writes it under a umask."""

    def clone(mask: int) -> Path:
        root = tmp_path / f"checkout-{mask:o}" / "poolkeeper"
        shutil.copytree(SOURCES / "poolkeeper", root, ignore=shutil.ignore_patterns("__pycache__"))
        for path in (root, *root.rglob("*")):
            whole = 0o777 if path.is_dir() or path.stat().st_mode & 0o100 else 0o666
            path.chmod(whole & ~mask)
        return root

    return clone


@pytest.mark.parametrize("mask", [0o000, 0o002, 0o027, 0o077], ids=oct)
def test_an_image_does_not_depend_on_the_umask_of_the_checkout(checkout: Callable[[int], Path], mask: int) -> None:
    """The tag is the same, and so are the modes that Docker's COPY keeps."""
    usual, other = checkout(0o022), checkout(mask)
    assert images.references(SPEC, other / "images", other) == images.references(SPEC, usual / "images", usual)
    for role in images.ROLES:
        with images.build_context(usual / "images" / role) as one, images.build_context(other / "images" / role) as two:
            assert modes(two) == modes(one)
            assert set(modes(two).values()) <= {"0o755", "0o644"}
            assert modes(two)["entrypoint.sh"] == "0o755"
            assert modes(two)["Dockerfile"] == "0o644"


@pytest.mark.parametrize("value", [0o000, 0o077, 0o777], ids=oct)
def test_the_command_line_writes_the_same_modes(tmp_path: Path, value: int) -> None:
    """`init` and `render`, as programs."""
    found: list[dict[str, str]] = []
    for mask in (0o022, value):
        root = tmp_path / f"{mask:o}-{len(found)}"
        root.mkdir()
        for words in (("init",), ("render", "out")):
            argv = [sys.executable, "-m", "poolkeeper.cli.main", *words]
            shell = {**os.environ, "PYTHONPATH": str(SOURCES)}
            subprocess.run(argv, cwd=root, env=shell, umask=mask, check=True, capture_output=True)
        found.append(modes(root))
    assert found[0] == found[1]
    assert found[0]["out/compose.yml"] == found[0]["cluster.toml"] == "0o644"
