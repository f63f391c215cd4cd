"""The life cycle of a cluster by a user's commands: up again, stop, and what the commands refuse."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import psycopg
import pytest
from tests.clusters import ClusterUnderTest, make_folder
from tests.poolkeeper.e2e.identities import identities

pytestmark = pytest.mark.e2e


def test_up_again_changes_nothing(cluster: ClusterUnderTest) -> None:
    """A second `up` on a healthy cluster restarts nothing and reports that."""
    before = identities(cluster)
    done = cluster.run("up")
    assert done.returncode == 0
    assert "nothing was changed" in done.stderr
    assert identities(cluster) == before


HOSTILE = {
    "PGSSLMODE": "require", "PGSERVICE": "none", "PGOPTIONS": "-cnone=1", "PGTARGETSESSIONATTRS": "standby",
    "PGCHANNELBINDING": "require", "PGGSSENCMODE": "require", "PGHOSTADDR": "192.0.2.1", "PGCLIENTENCODING": "none",
    "PGDATESTYLE": "none", "COMPOSE_FILE": "/none", "COMPOSE_PROJECT_NAME": "other", "COMPOSE_ENV_FILES": "/none",
    "DOCKER_DEFAULT_PLATFORM": "linux/none", "LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0",
    "PYTHONIOENCODING": "ascii",
}  # fmt: skip


def test_the_operators_shell_changes_nothing(cluster: ClusterUnderTest) -> None:
    """`up` repairs the modes that another umask left, and needs none of the shell's variables."""
    before = identities(cluster)
    rendered = list((cluster.folder / ".poolkeeper" / "rendered").rglob("*"))
    for path in rendered:
        path.chmod(path.stat().st_mode & 0o700)
    done = cluster.run("up", shell=HOSTILE, umask=0o077)
    assert done.returncode == 0, done.stderr
    assert "nothing was changed" in done.stderr
    assert {path.stat().st_mode & 0o777 for path in rendered} == {0o755, 0o644}
    assert cluster.run("status", shell=HOSTILE).returncode == 0
    assert cluster.run("test", "--only", "2", shell=HOSTILE, umask=0o077).returncode == 0
    assert identities(cluster) == before


def test_stop_and_up_keep_the_data(cluster: ClusterUnderTest) -> None:
    """`stop` ends every container and keeps data and passwords; `up` brings both back."""
    secret = cluster.secret("app")
    with psycopg.connect(cluster.dsn("rw"), autocommit=True) as session:
        session.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    cluster.ok("stop")
    assert cluster.run("status").returncode == 2
    cluster.ok("up")
    assert cluster.secret("app") == secret
    with psycopg.connect(cluster.dsn("rw"), autocommit=True) as session:
        assert session.execute("SELECT answer FROM kept").fetchall() == [(42,)]
        session.execute("DROP TABLE kept")


def test_commands_report_a_missing_cluster(tmp_path: Path) -> None:
    """Without a cluster, each command reports that and how to start one."""
    absent = make_folder(tmp_path, lambda text: text.replace('name = "poolkeeper"', 'name = "absent"'))
    for command in ("status", "test"):
        done = absent.run(command)
        assert done.returncode == 30
        assert "Start it with: " in done.stderr
    assert absent.run("ps").returncode == 2
    assert absent.run("up", "--nonsense").returncode == 2
    (tmp_path / "cluster.toml").unlink()
    assert absent.run("status").returncode == 10


def test_a_second_command_is_locked_out(cluster: ClusterUnderTest) -> None:
    """Two commands never change one cluster at once: the second one ends at once with a reason."""
    first = cluster.spawn("stop")
    try:
        deadline = time.monotonic() + 60
        while (second := cluster.run("up")).returncode != 36:
            if first.poll() == 36:  # the machine started it slowly, so it came second
                assert second.returncode == 0
                return
            assert first.poll() is None, f"they never met: {second.stderr}"
            assert time.monotonic() < deadline
    finally:
        first.wait(timeout=120)
        cluster.ok("up")


def test_lost_passwords_are_refused(cluster: ClusterUnderTest) -> None:
    """`up` refuses data without its passwords, since new passwords would not match the data."""
    kept = cluster.handle.folder.secrets
    away = kept.with_name("secrets.away")
    kept.rename(away)
    try:
        done = cluster.run("up")
    finally:
        shutil.rmtree(kept, ignore_errors=True)
        away.rename(kept)
    assert done.returncode == 11, done.stderr
    assert "passwords" in done.stderr
    assert cluster.run("status").returncode == 0
