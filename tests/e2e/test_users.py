"""`poolkeeper user`: whole or not at all, proved by logging in through every port and by planting what goes wrong."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from poolkeeper.render import psql
from poolkeeper.system import state
from tests.e2e.conftest import Cluster, interrupt

pytestmark = pytest.mark.e2e

NAME, DATABASE = "e2e_alice", "e2e_shop"
LANES = ("rw", "pool", "ro")
# With what upsets a shell, a colon (pool_passwd's own separator), a blank and letters of two bytes.
PASSWORD = "pa:ss wörd'\"\\$`%s"
OTHER = "another-Password_2"


def superuser(cluster: Cluster) -> psycopg.Connection[tuple[object, ...]]:
    """A session on the primary, past Pgpool."""
    names = [node.name for node in cluster.place.spec.nodes]
    node = f"node{names.index(cluster.primary()) + 1}"
    return psycopg.connect(cluster.dsn(node, "superuser"), autocommit=True)


def sql(cluster: Cluster, statement: str) -> list[tuple[object, ...]]:
    """One statement as superuser on the primary."""
    with superuser(cluster) as session:
        cursor = session.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def log_in(
    cluster: Cluster, lane: str, password: str, dbname: str = "postgres"
) -> psycopg.Connection[tuple[object, ...]]:
    """A login of the test's user."""
    spec = cluster.place.spec
    return psycopg.connect(
        host=psql.client_host(spec),
        port=psql.doors(spec)[lane],
        user=NAME,
        password=password,
        dbname=dbname,
        connect_timeout=5,
        autocommit=True,
    )


def refused(cluster: Cluster, lane: str, password: str) -> bool:
    """Is the login refused because of who logs in?"""
    try:
        log_in(cluster, lane, password).close()
    except psycopg.OperationalError as e:
        return "authentication failed" in str(e)
    return False


def rows(cluster: Cluster) -> dict[str, dict[str, object]]:
    """`user list --json` by name."""
    return {row["name"]: row for row in json.loads(cluster.run("user", "list", "--json").stdout)["users"]}


def traces(cluster: Cluster) -> list[str]:
    """Where anything of the test's user or database is left."""
    found = [f"pool_passwd: {line}" for line in cluster.place.folder.pool_passwd.read_text().split() if NAME in line]
    for service in cluster.place.spec.lane_by_service():
        copy = cluster.docker("exec", cluster.container(service), "cat", "/run/pgpool/pool_passwd")
        found += [f"{service}: {line}" for line in copy.split() if NAME in line]
    found += [f"role {name}" for (name,) in sql(cluster, f"SELECT rolname FROM pg_roles WHERE rolname = '{NAME}'")]
    return found + [
        f"database {name}" for (name,) in sql(cluster, f"SELECT datname FROM pg_database WHERE datname = '{DATABASE}'")
    ]


@pytest.fixture(autouse=True)
def leave_no_user(cluster: Cluster) -> Iterator[None]:
    """Whatever a test did, its user, its database and its entry are gone."""
    file = cluster.place.folder.pool_passwd
    before = file.read_text()
    yield
    with superuser(cluster) as session:
        session.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)".encode())
        session.execute(f"DROP ROLE IF EXISTS {NAME}".encode())
    if file.read_text() != before:
        state.write(file, before)
        for service in cluster.place.spec.lane_by_service():
            cluster.docker("exec", cluster.container(service), "reload.sh")


@pytest.fixture
def added(cluster: Cluster) -> None:
    """The test's user and its database."""
    cluster.ok("user", "add", NAME, "--database", DATABASE, "--password-stdin", stdin=PASSWORD + "\n")


def started(cluster: Cluster) -> dict[str, object]:
    """What a restart would change."""
    containers = json.loads(cluster.run("status", "--json").stdout)["containers"]
    return {name: (c["identity"], c["started_at"], c["restarts"]) for name, c in containers.items()}


def test_added_user_logs_in_through_every_port_and_its_password_is_nowhere(cluster: Cluster) -> None:
    """No restart; the password is in no argument list, no container's definition, no log, even where all is logged."""
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
            said = child.stdout.read().decode()
    finally:
        sql(cluster, "ALTER ROLE postgres RESET log_statement")
    assert child.returncode == 0, said
    assert any(NAME in line for line in seen), "the command lines were not seen"
    inspected = json.dumps([json.loads(cluster.docker("inspect", c)) for c in names(cluster)], ensure_ascii=False)
    logs = "".join(logs_of(cluster, container) for container in names(cluster))
    for text in (said, *seen, inspected, logs):
        assert PASSWORD not in text
        assert "SCRAM-SHA-256$" not in text
    with log_in(cluster, "rw", PASSWORD, DATABASE) as session:
        session.execute("CREATE TABLE mine (id int)")
    for lane in LANES:
        with log_in(cluster, lane, PASSWORD, DATABASE) as session:
            assert session.execute("SELECT current_user").fetchone() == (NAME,)
    with log_in(cluster, "ro", PASSWORD, DATABASE) as session, pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        session.execute("CREATE TABLE refused (id int)")
    assert cluster.place.folder.pool_passwd.stat().st_mode & 0o777 == 0o600
    assert started(cluster) == before
    assert rows(cluster)[NAME]["databases"] == [DATABASE]
    assert cluster.run("user", "list").returncode == 0


def command_lines() -> set[str]:
    """Every process's argument list now; containers' processes are among them."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found.add(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return found


def names(cluster: Cluster) -> list[str]:
    """Every container."""
    return [cluster.container(service) for service in cluster.place.spec.addresses()]


def logs_of(cluster: Cluster, container: str) -> str:
    """A container's log, and PostgreSQL's own log files where it keeps any."""
    done = subprocess.run(["docker", "logs", container], capture_output=True, text=True, check=False, errors="replace")
    files = cluster.docker("exec", container, "sh", "-c", "cat /var/lib/postgresql/data/pgdata/log/* 2>/dev/null; true")
    return done.stdout + done.stderr + files


@pytest.mark.usefixtures("added")
def test_changed_password_replaces_the_former_one(cluster: Cluster) -> None:
    """A session that is open goes on."""
    with log_in(cluster, "pool", PASSWORD, DATABASE) as session:
        cluster.ok("user", "passwd", NAME, "--password-stdin", stdin=OTHER)
        for lane in LANES:
            assert refused(cluster, lane, PASSWORD)
            log_in(cluster, lane, OTHER).close()
        assert session.execute("SELECT 1").fetchone() == (1,)
    generated = cluster.ok("user", "passwd", NAME, "--generate").strip()
    log_in(cluster, "rw", generated).close()
    assert refused(cluster, "rw", OTHER)


@pytest.mark.usefixtures("added")
def test_dropped_user_is_gone_with_its_sessions(cluster: Cluster) -> None:
    """What it owns keeps it, unless its database is named and its loss accepted; the cluster stays healthy."""
    kept = cluster.run("user", "drop", NAME)
    assert (kept.returncode, f"owner of database {DATABASE}" in kept.stderr) == (35, True)
    asked = cluster.run("user", "drop", NAME, "--database", DATABASE)
    assert (asked.returncode, "--yes" in asked.stderr) == (35, True)
    log_in(cluster, "pool", PASSWORD).close()
    with log_in(cluster, "pool", PASSWORD, DATABASE) as session:
        cluster.ok("user", "drop", NAME, "--database", DATABASE, "--yes")
        with pytest.raises(psycopg.OperationalError):
            session.execute("SELECT 1")
    assert traces(cluster) == []
    assert all(refused(cluster, lane, PASSWORD) for lane in LANES)
    cluster.wait_healthy(30)


@pytest.mark.usefixtures("added")
def test_drop_is_stopped_by_what_is_in_another_database(cluster: Cluster) -> None:
    sql(cluster, f"GRANT ALL ON DATABASE postgres TO {NAME}")
    try:
        done = cluster.run("user", "drop", NAME, "--database", DATABASE, "--yes")
        assert (done.returncode, "privileges for database postgres" in done.stderr) == (35, True)
        log_in(cluster, "pool", PASSWORD, DATABASE).close()
    finally:
        sql(cluster, f"REVOKE ALL ON DATABASE postgres FROM {NAME}")


def test_planted_drift_is_shown_and_mended(cluster: Cluster) -> None:
    """In PostgreSQL only, another password, in pool_passwd only: each is shown with exit code 1, and can be mended."""
    sql(cluster, f"CREATE ROLE {NAME} LOGIN PASSWORD 'by-hand'")
    assert "in PostgreSQL only" in str(rows(cluster)[NAME]["drift"])
    assert cluster.run("user", "list").returncode == 1
    cluster.ok("user", "passwd", NAME, "--password-stdin", stdin=OTHER)
    assert rows(cluster)[NAME]["drift"] == []
    sql(cluster, f"ALTER ROLE {NAME} PASSWORD 'by-hand'")
    assert "differ" in str(rows(cluster)[NAME]["drift"])
    sql(cluster, f"DROP ROLE {NAME}")
    assert "in pool_passwd only" in str(rows(cluster)[NAME]["drift"])
    cluster.ok("user", "drop", NAME)
    assert NAME not in rows(cluster)


def test_witness_that_does_not_answer_is_a_question_mark(cluster: Cluster) -> None:
    lane = cluster.container("pgpool")
    cluster.docker("pause", lane)
    try:
        done = cluster.run("user", "list")
    finally:
        cluster.docker("unpause", lane)
    assert (done.returncode, "could not look" in done.stdout) == (3, True)


@pytest.mark.parametrize(("break_it", "mend_it"), [("pause", "unpause"), ("stop", "start")])
def test_nothing_is_begun_while_a_pgpool_is_away(cluster: Cluster, break_it: str, mend_it: str) -> None:
    lane = cluster.container("pgpool_ro")
    cluster.docker(break_it, lane)
    try:
        done = cluster.run("user", "add", NAME, "--database", DATABASE, "--generate")
    finally:
        cluster.docker(mend_it, lane)
        cluster.wait_healthy()
    assert (done.returncode, done.stdout) == (30, "")
    assert lane in done.stderr
    assert traces(cluster) == []


@pytest.fixture
def deaf_pgpool(cluster: Cluster) -> Iterator[None]:
    """A Pgpool that can't be told to read its list again: what fails is the last step, in one of three."""
    lane, script = cluster.container("pgpool_ro"), "/usr/local/bin/reload.sh"
    cluster.docker("exec", lane, "mv", script, f"{script}.away")
    yield
    cluster.docker("exec", lane, "mv", f"{script}.away", script)


@pytest.mark.usefixtures("deaf_pgpool")
def test_failure_in_the_middle_of_add_leaves_nothing(cluster: Cluster) -> None:
    done = cluster.run("user", "add", NAME, "--database", DATABASE, "--generate")
    assert (done.returncode, done.stdout) == (21, "")
    assert f"taken back: creating the role {NAME}" in done.stderr
    assert traces(cluster) == []


@pytest.mark.usefixtures("added", "deaf_pgpool")
def test_failure_in_the_middle_of_passwd_and_drop_leaves_all_as_it_was(cluster: Cluster) -> None:
    for words in (("passwd", NAME, "--generate"), ("drop", NAME, "--database", DATABASE, "--yes")):
        assert cluster.run("user", *words).returncode == 21
        for lane in LANES:
            log_in(cluster, lane, PASSWORD, DATABASE).close()


def wait_until(condition: Callable[[], object], seconds: float = 20) -> None:
    """Until the condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline


def test_interruption_in_the_middle_leaves_nothing(cluster: Cluster) -> None:
    """Ctrl-C as soon as the role is there."""
    with superuser(cluster) as session:
        child = cluster.spawn("user", "add", NAME, "--database", DATABASE, "--generate")
        query = f"SELECT FROM pg_roles WHERE rolname = '{NAME}'".encode()
        wait_until(lambda: session.execute(query).fetchone() is not None)
        assert interrupt(child) == 130
    assert traces(cluster) == []
    assert child.stdout
    assert "taken back" in child.stdout.read()


def test_password_of_the_application_changes_with_its_files(cluster: Cluster) -> None:
    before = cluster.secret("app")
    try:
        cluster.ok("user", "passwd", "app", "--password-stdin", stdin=OTHER)
        assert cluster.secret("app") == OTHER
        psycopg.connect(cluster.dsn("rw")).close()
        environment = {**os.environ, "PGPASSFILE": str(cluster.place.folder.pgpass)}
        passwordless = cluster.dsn("pool").replace(f" password={OTHER}", "")
        login = f"import psycopg; psycopg.connect({passwordless!r})"
        subprocess.run([cluster.argv()[0], "-c", login], env=environment, check=True)
    finally:
        cluster.ok("user", "passwd", "app", "--password-stdin", stdin=before)
    assert cluster.secret("app") == before


@pytest.mark.parametrize(
    ("words", "stdin", "reason"),
    [
        (("add", "postgres", "--generate"), "", "the superuser"),
        (("drop", "app"), "", "the application's role"),
        (("passwd", "poolkeeper_check", "--generate"), "", "the role of the checks"),
        (("add", "Alice", "--generate"), "", "can't be the name"),
        (("add", NAME), "", "no terminal"),
        (("add", NAME, "--password-stdin"), "two\nlines", "line break"),
        (("add", NAME, "--database", "app", "--generate"), "", "a database app already"),
        (("add", "select", "--generate"), "", "a word of SQL"),
        (("drop", "nobody_at_all"), "", "no user"),
    ],
)
def test_what_can_not_be_is_refused(cluster: Cluster, words: tuple[str, ...], stdin: str, reason: str) -> None:
    done = cluster.run("user", *words, stdin=stdin)
    assert (done.returncode, done.stdout) == (35, "")
    assert reason in done.stderr


def test_one_change_at_a_time(cluster: Cluster) -> None:
    with state.lock(cluster.place.folder):
        assert cluster.run("user", "add", NAME, "--generate").returncode == 36


def test_password_is_asked_for_twice_and_not_shown(cluster: Cluster) -> None:
    """On a terminal of its own, as a person would see it."""
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
    log_in(cluster, "pool", OTHER).close()
