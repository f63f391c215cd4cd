"""`poolkeeper user`: logins through every port prove its effect, and a search proves that no password leaks."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import subprocess
from pathlib import Path

import psycopg
import pytest
from tests.clusters import ClusterUnderTest
from tests.poolkeeper.e2e.user_probe import (
    DATABASE,
    ENDPOINTS,
    NAME,
    OTHER,
    PASSWORD,
    added,
    drift,
    leave_no_user,
    log_in,
    refused,
    row,
    sql,
    traces,
)

from poolkeeper.core.progress import Silent
from poolkeeper.operations import user
from poolkeeper.system import compose

__all__ = ["added", "leave_no_user"]
pytestmark = pytest.mark.e2e


def started(cluster: ClusterUnderTest) -> dict[str, object]:
    """Return what a restart would change."""
    containers = compose.containers(cluster.handle.spec.name)
    return {name: (c.identity, c.started_at, c.restarts) for name, c in containers.items()}


def test_an_added_user_logs_in_through_every_port_and_its_password_does_not_leak(cluster: ClusterUnderTest) -> None:
    """No container restarts; the password is in no argument list, definition or log, even if all is logged."""
    before = started(cluster)
    sql(cluster, "ALTER ROLE postgres SET log_statement = 'all'")
    seen: set[str] = set()
    try:
        argv = cluster.argv("user", "add", NAME, "--database", DATABASE, "--password-stdin")
        with subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=cluster.environment()
        ) as child:
            assert child.stdin
            assert child.stdout
            child.stdin.write(PASSWORD.encode())
            child.stdin.close()
            while child.poll() is None:
                seen |= command_lines()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(0.005)
            said = child.stdout.read().decode()
    finally:
        sql(cluster, "ALTER ROLE postgres RESET log_statement")
    assert child.returncode == 0, said
    assert any(NAME in line for line in seen), "the command lines were not seen"
    inspected = json.dumps(json.loads(cluster.docker("inspect", *names(cluster))), ensure_ascii=False)
    logs = "".join(logs_of(cluster, container) for container in names(cluster))
    for text in (said, *seen, inspected, logs):
        assert PASSWORD not in text
        assert "SCRAM-SHA-256$" not in text
    with log_in(cluster, "rw", PASSWORD, DATABASE) as session:
        session.execute("CREATE TABLE mine (id int)")
    for endpoint in ENDPOINTS:
        with log_in(cluster, endpoint, PASSWORD, DATABASE) as session:
            assert session.execute("SELECT current_user").fetchone() == (NAME,)
    with log_in(cluster, "ro", PASSWORD, DATABASE) as session, pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        session.execute("CREATE TABLE refused (id int)")
    assert cluster.handle.folder.pool_passwd.stat().st_mode & 0o777 == 0o600
    assert started(cluster) == before
    found = row(cluster)
    assert found
    assert (found.databases, found.drift, found.undecided) == ((DATABASE,), (), ())


@pytest.mark.parametrize("name", ["E2E_Älice Ünd-1", "e2e-$x@y.z"])
def test_a_name_with_other_characters_works_at_every_endpoint(cluster: ClusterUnderTest, name: str) -> None:
    """Capitals, a blank, a dash, letters of two bytes, signs of the shell: as PostgreSQL allows them in quotes."""
    cluster.ok("user", "add", name, "--password-stdin", stdin=PASSWORD)
    try:
        for password in (PASSWORD, OTHER):
            for endpoint in ENDPOINTS:
                with log_in(cluster, endpoint, password, name=name) as session:
                    assert session.execute("SELECT current_user").fetchone() == (name,)
            found = row(cluster, name)
            assert found
            assert (found.drift, found.undecided) == ((), ())
            cluster.ok("user", "passwd", name, "--password-stdin", stdin=OTHER)
    finally:
        cluster.ok("user", "drop", name)
    assert row(cluster, name) is None


def command_lines() -> set[str]:
    """Return every process's argument list now, those of the containers included."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found.add(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return found


def names(cluster: ClusterUnderTest) -> list[str]:
    """Return every container."""
    return [cluster.container(service) for service in cluster.handle.spec.addresses()]


def logs_of(cluster: ClusterUnderTest, container: str) -> str:
    """Return a container's log, and PostgreSQL's own log files if it has any."""
    done = subprocess.run(["docker", "logs", container], capture_output=True, text=True, check=False, errors="replace")
    if "pg_node" not in container:
        return done.stdout + done.stderr
    files = cluster.docker("exec", container, "sh", "-c", "cat /var/lib/postgresql/data/pgdata/log/* 2>/dev/null; true")
    return done.stdout + done.stderr + files


@pytest.mark.usefixtures("added")
def test_a_changed_password_replaces_the_former_one(cluster: ClusterUnderTest) -> None:
    """An open session continues."""
    with log_in(cluster, "balanced", PASSWORD, DATABASE) as session:
        cluster.ok("user", "passwd", NAME, "--password-stdin", stdin=OTHER)
        for endpoint in ENDPOINTS:
            assert refused(cluster, endpoint, PASSWORD)
            log_in(cluster, endpoint, OTHER).close()
        assert session.execute("SELECT 1").fetchone() == (1,)
    generated = cluster.ok("user", "passwd", NAME, "--generate").strip()
    log_in(cluster, "rw", generated).close()
    assert refused(cluster, "rw", OTHER)


@pytest.mark.usefixtures("added")
def test_a_dropped_user_is_gone_with_its_sessions(cluster: ClusterUnderTest) -> None:
    """A user that owns a database stays, unless the loss of that database is confirmed; the cluster stays healthy."""
    kept = cluster.run("user", "drop", NAME)
    assert (kept.returncode, f"owner of database {DATABASE}" in kept.stderr) == (35, True)
    asked = cluster.run("user", "drop", NAME, "--database", DATABASE)
    assert (asked.returncode, "--yes" in asked.stderr) == (2, True)
    log_in(cluster, "balanced", PASSWORD).close()
    with log_in(cluster, "balanced", PASSWORD, DATABASE) as session:
        cluster.ok("user", "drop", NAME, "--database", DATABASE, "--yes")
        with pytest.raises(psycopg.Error):
            session.execute("SELECT 1")
    assert traces(cluster) == []
    assert all(refused(cluster, endpoint, PASSWORD) for endpoint in ENDPOINTS)
    cluster.wait_healthy(30)


@pytest.mark.usefixtures("added")
def test_privileges_in_another_database_forbid_the_drop(cluster: ClusterUnderTest) -> None:
    sql(cluster, f"GRANT ALL ON DATABASE postgres TO {NAME}")
    try:
        done = cluster.run("user", "drop", NAME, "--database", DATABASE, "--yes")
        assert (done.returncode, "privileges for database postgres" in done.stderr) == (35, True)
        log_in(cluster, "balanced", PASSWORD, DATABASE).close()
    finally:
        sql(cluster, f"REVOKE ALL ON DATABASE postgres FROM {NAME}")


def test_injected_drift_is_shown_and_repaired(cluster: ClusterUnderTest) -> None:
    """Drift (in PostgreSQL only, in pool_passwd only, another password) is shown with exit code 1, and repaired."""
    sql(cluster, f"CREATE ROLE {NAME} LOGIN PASSWORD 'by-hand'")
    shown = cluster.run("user", "list")
    assert (shown.returncode, "in PostgreSQL only" in shown.stdout) == (1, True)
    user.change_password(cluster.handle, NAME, OTHER, Silent())
    assert drift(cluster) == ""
    sql(cluster, f"ALTER ROLE {NAME} PASSWORD 'by-hand'")
    assert "differ" in drift(cluster)
    sql(cluster, f"DROP ROLE {NAME}")
    assert "in pool_passwd only" in drift(cluster)
    user.drop(cluster.handle, NAME, None, Silent())
    assert row(cluster) is None
    assert cluster.run("user", "list").returncode == 0


def test_a_silent_pgpool_leaves_the_list_undecided(cluster: ClusterUnderTest) -> None:
    endpoint = cluster.container("pgpool")
    cluster.docker("pause", endpoint)
    try:
        done = cluster.run("user", "list")
    finally:
        cluster.docker("unpause", endpoint)
    assert (done.returncode, "could not read" in done.stdout) == (3, True)


def test_the_password_of_the_application_changes_with_its_files(cluster: ClusterUnderTest) -> None:
    before = cluster.secret("app")
    try:
        user.change_password(cluster.handle, "app", OTHER, Silent())
        assert cluster.secret("app") == OTHER
        psycopg.connect(cluster.dsn("rw")).close()
        passwordless = cluster.dsn("balanced").replace(f" password={OTHER}", "")
        psycopg.connect(passwordless, passfile=str(cluster.handle.folder.pgpass)).close()
    finally:
        user.change_password(cluster.handle, "app", before, Silent())
    assert cluster.secret("app") == before


def test_a_password_is_asked_for_twice_and_not_shown(cluster: ClusterUnderTest) -> None:
    """The command runs on its own terminal, as it does for a person."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(cluster.argv()[0], cluster.argv("user", "add", NAME), cluster.environment())
    shown = b""
    with contextlib.suppress(OSError):  # the end of a terminal is an error
        for question in (b"Password: ", b"confirmation: "):
            while not shown.endswith(question):
                shown += os.read(terminal, 1024)
            os.write(terminal, OTHER.encode() + b"\n")
        while chunk := os.read(terminal, 1024):
            shown += chunk
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, shown.decode()
    assert OTHER.encode() not in shown
    log_in(cluster, "balanced", OTHER).close()
