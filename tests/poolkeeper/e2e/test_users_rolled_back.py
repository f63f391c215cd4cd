"""`poolkeeper user` leaves nothing behind if it is refused, or if it fails half-way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from tests.clusters import ClusterUnderTest, interrupt
from tests.poolkeeper.e2e.user_probe import (
    DATABASE,
    ENDPOINTS,
    NAME,
    OTHER,
    PASSWORD,
    added,
    leave_no_user,
    log_in,
    superuser,
    traces,
)

from poolkeeper.cluster.handle import Cluster
from poolkeeper.core import errors, wait
from poolkeeper.core.progress import Silent
from poolkeeper.operations import user
from poolkeeper.system import state

__all__ = ["added", "leave_no_user"]
pytestmark = pytest.mark.e2e


@pytest.mark.parametrize(("breakage", "repair"), [("pause", "unpause"), ("stop", "start")])
def test_nothing_is_begun_while_a_pgpool_is_down(cluster: ClusterUnderTest, breakage: str, repair: str) -> None:
    endpoint = cluster.container("pgpool_ro")
    cluster.docker(breakage, endpoint)
    try:
        done = cluster.run("user", "add", NAME, "--database", DATABASE, "--generate")
    finally:
        cluster.docker(repair, endpoint)
        cluster.wait_healthy()
    assert (done.returncode, done.stdout) == (30, "")
    assert endpoint in done.stderr
    assert traces(cluster) == []


@pytest.fixture
def pgpool_without_reload(cluster: ClusterUnderTest) -> Iterator[None]:
    """Remove the reload script of one Pgpool-II, so that the last step fails in one of three."""
    endpoint, script = cluster.container("pgpool_ro"), "/usr/local/bin/reload.sh"
    cluster.docker("exec", endpoint, "mv", script, f"{script}.away")
    yield
    cluster.docker("exec", endpoint, "mv", f"{script}.away", script)


@pytest.mark.usefixtures("pgpool_without_reload")
def test_a_failed_add_leaves_nothing(cluster: ClusterUnderTest) -> None:
    done = cluster.run("user", "add", NAME, "--database", DATABASE, "--generate")
    assert (done.returncode, done.stdout) == (21, "")
    assert f"rolled back: creating the role {NAME}" in done.stderr
    assert traces(cluster) == []


@pytest.mark.usefixtures("added", "pgpool_without_reload")
def test_a_failed_passwd_or_drop_changes_nothing(cluster: ClusterUnderTest) -> None:
    with pytest.raises(errors.EngineFailed):
        user.change_password(cluster.handle, NAME, OTHER, Silent())
    with pytest.raises(errors.EngineFailed):
        user.drop(cluster.handle, NAME, DATABASE, Silent())
    for endpoint in ENDPOINTS:
        log_in(cluster, endpoint, PASSWORD, DATABASE).close()


async def wait_for_role(session: psycopg.Connection[Any]) -> None:
    """Wait until the role of these tests exists."""
    query = f"SELECT FROM pg_roles WHERE rolname = '{NAME}'".encode()

    async def check() -> None:
        wait.require(None if session.execute(query).fetchone() is not None else f"the role {NAME}")

    await wait.wait_for("the creation of the role", check, seconds=20)


def test_an_interrupted_add_leaves_nothing(cluster: ClusterUnderTest) -> None:
    """The test sends Ctrl-C as soon as the role exists."""
    with superuser(cluster) as session:
        child = cluster.spawn("user", "add", NAME, "--database", DATABASE, "--generate")
        asyncio.run(wait_for_role(session))
        assert interrupt(child) == 130
    assert traces(cluster) == []
    assert child.stdout
    assert "rolled back" in child.stdout.read()


@pytest.mark.parametrize(
    ("words", "stdin", "reason", "code"),
    [
        (("add", "postgres", "--generate"), "", "the superuser", 35),
        (("add", NAME), "", "no terminal", 2),
        (("add", NAME, "--password-stdin"), "two\nlines", "line break", 35),
    ],
)
def test_an_impossible_change_is_refused(
    cluster: ClusterUnderTest, words: tuple[str, ...], stdin: str, reason: str, code: int
) -> None:
    done = cluster.run("user", *words, stdin=stdin)
    assert (done.returncode, done.stdout) == (code, "")
    assert reason in done.stderr


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda cluster: user.drop(cluster, "app", None, Silent()), "the application's role"),
        (lambda cluster: user.change_password(cluster, "poolkeeper_check", OTHER, Silent()), "the role of the checks"),
        (lambda cluster: user.add(cluster, "a:lice", OTHER, None, Silent()), "can't be the name of a user"),
        (lambda cluster: user.add(cluster, NAME, OTHER, "No", Silent()), "can't be the name of a database"),
        (lambda cluster: user.add(cluster, NAME, OTHER, "app", Silent()), "a database app already"),
        (lambda cluster: user.add(cluster, NAME, OTHER, "select", Silent()), "a word of SQL"),
        (lambda cluster: user.drop(cluster, NAME, None, Silent()), "no user"),
        (lambda cluster: user.change_password(cluster, NAME, OTHER, Silent()), "no user"),
    ],
)
def test_a_refused_change_changes_nothing(
    cluster: ClusterUnderTest, change: Callable[[Cluster], None], reason: str
) -> None:
    with pytest.raises(errors.DatabaseUserError, match=reason):
        change(cluster.handle)
    assert traces(cluster) == []


def test_one_change_at_a_time(cluster: ClusterUnderTest) -> None:
    with state.lock(cluster.handle.folder), pytest.raises(errors.StateLocked):
        user.add(cluster.handle, NAME, OTHER, None, Silent())
