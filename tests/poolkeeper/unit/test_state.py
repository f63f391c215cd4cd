"""The folder `.poolkeeper/`: files complete or not at all, secrets for their owner only, one command at a time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.poolkeeper.unit import snapshots

from poolkeeper.core import errors
from poolkeeper.model.spec import ClusterSpec
from poolkeeper.system import state


@pytest.fixture
def folder(tmp_path: Path) -> state.State:
    """Return a folder that does not exist yet."""
    return state.State(tmp_path / "cluster" / ".poolkeeper")


def _mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def _files(root: Path) -> dict[str, str]:
    return {str(path.relative_to(root)): path.read_text() for path in root.rglob("*") if path.is_file()}


def test_a_file_is_written_with_its_mode_whatever_the_umask(tmp_path: Path) -> None:
    """The default is 0600, in a folder that is created; no temporary file remains."""
    before = os.umask(0)
    try:
        state.write(tmp_path / "deep" / "secret", "ü\n")
        os.umask(0o077)
        state.write(tmp_path / "deep" / "open", "x", mode=0o644)
    finally:
        os.umask(before)
    assert _files(tmp_path) == {"deep/secret": "ü\n", "deep/open": "x"}
    assert (_mode(tmp_path / "deep/secret"), _mode(tmp_path / "deep/open")) == (0o600, 0o644)


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, OSError(28, "full"), OSError(30, "read-only")])
@pytest.mark.parametrize("moment", ["os.fsync", "pathlib.Path.replace"])
def test_an_interrupted_write_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str, interruption: BaseException | type[BaseException]
) -> None:
    """After Ctrl-C or a full disk before the replacement, the old file is complete, and alone."""
    path = tmp_path / "file"
    state.write(path, "old")

    def interrupt(*_: object) -> None:
        raise interruption

    monkeypatch.setattr(moment, interrupt)
    with pytest.raises((KeyboardInterrupt, errors.DiskFull, errors.PermissionRefused)):
        state.write(path, "new and longer")
    monkeypatch.undo()
    assert _files(tmp_path) == {"file": "old"}


def test_a_refusal_by_the_system_is_a_poolkeeper_error(tmp_path: Path) -> None:
    """The error names the path where a file stands in place of a folder."""
    (tmp_path / "file").write_text("")
    with pytest.raises(errors.PermissionRefused, match="file/inner"):
        state.write(tmp_path / "file" / "inner", "x")
    with pytest.raises(errors.PermissionRefused):
        state.prepare(state.State(tmp_path / "file"))


def test_secrets_are_made_for_their_owner_alone(folder: state.State) -> None:
    """Folders have mode 0700, files 0600, and every secret is a different one."""
    folder.root.parent.mkdir()
    before = os.umask(0)
    try:
        state.prepare(folder)
    finally:
        os.umask(before)
    made = [path for path in folder.secrets.rglob("*") if path.is_file()]
    assert {_mode(path) for path in made} == {0o600}
    assert {_mode(path) for path in (folder.root, folder.secrets, folder.pool_key.parent)} == {0o700}
    assert {path.name for path in made} == {*state.SECRET_NAMES, "pool_key"}
    assert len({path.read_text() for path in made}) == len(made)
    assert all(len(secret) >= 32 for secret in state.read_secrets(folder).values())


def test_secrets_that_exist_are_never_changed(folder: state.State) -> None:
    """The folder creates only missing secrets, and tightens modes."""
    state.prepare(folder)
    (folder.secrets / "app").unlink()
    (folder.secrets / "superuser").write_text("chosen by hand\n")
    folder.root.chmod(0o755)
    before = {name: text for name, text in _files(folder.secrets).items() if name != "app"}
    state.prepare(folder)
    after = _files(folder.secrets)
    assert after.pop("app")
    assert after == before
    assert state.read_secrets(folder)["superuser"] == "chosen by hand"
    assert _mode(folder.root) == 0o700


def test_a_cluster_that_was_never_started_has_no_secrets(folder: state.State) -> None:
    """The hint names the next step."""
    with pytest.raises(errors.ClusterNotUp, match="never started") as caught:
        state.read_secrets(folder)
    assert caught.value.hint


def test_a_tree_holds_exactly_the_files(tmp_path: Path) -> None:
    """Stale files go, also those of an interrupted write; unchanged files are not touched."""
    state.write_tree(tmp_path, {"a/b": "1", "a/c": "2", "d": "3"})
    kept = (tmp_path / "a/b").stat()
    state.write_tree(tmp_path, {"a/b": "1", "d": "4", "e/f": "5"})
    assert _files(tmp_path) == {"a/b": "1", "d": "4", "e/f": "5"}
    assert state.read_tree(tmp_path) == {"a/b": "1", "d": "4", "e/f": "5"}
    assert ((tmp_path / "a/b").stat().st_ino, (tmp_path / "a/b").stat().st_mtime_ns) == (kept.st_ino, kept.st_mtime_ns)
    assert _mode(tmp_path / "d") == 0o644
    assert state.read_tree(tmp_path / "nowhere") == {}


PATHS = st.from_regex(r"[a-c](/[d-f]){0,2}/[g-i]", fullmatch=True)


@given(st.lists(st.dictionaries(PATHS, st.text(st.characters(codec="utf-8"), max_size=5), max_size=4), max_size=4))
def test_any_tree_after_any_other(tmp_path_factory: pytest.TempPathFactory, trees: list[dict[str, str]]) -> None:
    """A file is read as it was last written, byte for byte."""
    root = tmp_path_factory.mktemp("tree")
    for tree in trees:
        state.write_tree(root, tree)
        assert state.read_tree(root) == tree


def test_what_was_applied_is_kept_until_the_data_goes(folder: state.State) -> None:
    """`down` forgets what belonged to the data; the passwords stay. `--purge` leaves nothing."""
    state.prepare(folder)
    state.write(folder.pool_passwd, "app:AESx\n")
    state.record_applied(folder, {"pgpool/pgpool/pgpool.conf": "x = 1\n"})
    state.record_applied(folder, {"haproxy/haproxy.cfg": "y\n"})
    assert state.read_applied(folder) == {"pgpool/pgpool/pgpool.conf": "x = 1\n", "haproxy/haproxy.cfg": "y\n"}
    passwords = state.read_secrets(folder)
    state.forget_cluster(folder)
    state.forget_cluster(folder)
    assert state.read_applied(folder) == {}
    assert not folder.pool_passwd.exists()
    assert state.read_secrets(folder) == passwords
    state.purge(folder)
    state.purge(folder)
    assert not folder.root.exists()


@pytest.mark.parametrize("spec", [snapshots.SPEC, snapshots.blue(), snapshots.spec_of(5, 1)])
def test_the_former_spec_is_read_as_it_was_written(folder: state.State, spec: ClusterSpec) -> None:
    """The former spec is kept until the data goes."""
    assert state.read_former(folder) is None
    state.record_former(folder, spec)
    assert state.read_former(folder) == spec
    state.forget_cluster(folder)
    assert state.read_former(folder) is None


def test_a_former_spec_of_another_poolkeeper_is_none(folder: state.State) -> None:
    """A record that cannot be read counts as none."""
    for text in ("", "{", '{"nam": "x"}'):
        state.write(folder.root / state.FORMER, text)
        assert state.read_former(folder) is None


def test_a_former_spec_without_direct_endpoints_had_none(folder: state.State) -> None:
    """An older Poolkeeper recorded it: any program may use their ports, so `up` has to check."""
    document = ClusterSpec().model_dump(mode="json")
    for key in ("direct_rw", "direct_ro"):
        del document["endpoints"][key]
    state.write(folder.root / state.FORMER, json.dumps(document))
    former = state.read_former(folder)
    assert former is not None
    assert former.direct_endpoints() == {}
    assert set(former.published_ports()["haproxy_pgpool"]) == {5100, 5101, 8406}


HOLD = """
import sys
from pathlib import Path
from poolkeeper.system import state
with state.lock(state.State(Path(sys.argv[1]))):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_only_one_process_has_the_lock(folder: state.State) -> None:
    """A second one is refused at once; when the first is killed, nothing is left of its lock."""
    argv = [sys.executable, "-c", HOLD, str(folder.root)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True) as other:
        assert other.stdout
        assert other.stdout.readline() == "held\n"
        with pytest.raises(errors.StateLocked), state.lock(folder):
            pass
        other.kill()
        other.wait(timeout=10)
        with state.lock(folder):
            pass


def test_an_error_under_the_lock_is_its_own(folder: state.State) -> None:
    """The error is not taken for the lock's, and the lock is free after it."""
    with pytest.raises(BlockingIOError), state.lock(folder):
        raise BlockingIOError
    with state.lock(folder):
        assert _mode(folder.root / "lock") == 0o600
