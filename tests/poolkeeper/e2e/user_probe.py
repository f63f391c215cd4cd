"""The database user of the tests, `e2e_alice` with a database: its logins, and every place where it may be left."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from tests.clusters import ClusterUnderTest

from poolkeeper.core.progress import Silent
from poolkeeper.model.database_users import UserRow
from poolkeeper.operations import user
from poolkeeper.render import client_files
from poolkeeper.system import state

NAME, DATABASE = "e2e_alice", "e2e_shop"
ENDPOINTS = ("rw", "balanced", "ro")
# It has characters that a shell expands, a colon (the separator of pool_passwd), a blank and letters of two bytes.
PASSWORD = "pa:ss wörd'\"\\$`%s"
OTHER = "another-Password_2"


def superuser(cluster: ClusterUnderTest) -> psycopg.Connection[tuple[object, ...]]:
    """Open a superuser's session on the primary, without Pgpool-II."""
    nodes = cluster.handle.spec.nodes
    several = {"host": ",".join("127.0.0.1" for _ in nodes), "port": ",".join(str(node.port) for node in nodes)}
    dsn = psycopg.conninfo.make_conninfo(cluster.dsn("node1", "superuser"), target_session_attrs="primary", **several)
    return psycopg.connect(dsn, autocommit=True)


def sql(cluster: ClusterUnderTest, statement: str) -> list[tuple[object, ...]]:
    """Run one statement as superuser on the primary."""
    with superuser(cluster) as session:
        cursor = session.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def log_in(
    cluster: ClusterUnderTest, endpoint: str, password: str, dbname: str = "postgres", name: str = NAME
) -> psycopg.Connection[tuple[object, ...]]:
    """Log in as the test's user, or as another one."""
    spec = cluster.handle.spec
    return psycopg.connect(
        host=client_files.client_host(spec),
        port=client_files.endpoints(spec)[endpoint],
        user=name,
        password=password,
        dbname=dbname,
        connect_timeout=5,
        autocommit=True,
    )


def refused(cluster: ClusterUnderTest, endpoint: str, password: str) -> bool:
    """Return whether the login fails by its authentication."""
    try:
        log_in(cluster, endpoint, password).close()
    except psycopg.OperationalError as e:
        return "authentication failed" in str(e)
    return False


def row(cluster: ClusterUnderTest, name: str = NAME) -> UserRow | None:
    """Return a user's row of `user list`."""
    return next((found for found in user.list_users(cluster.handle) if found.name == name), None)


def drift(cluster: ClusterUnderTest) -> str:
    """Return where the sources of the test's user differ."""
    found = row(cluster)
    assert found
    return "; ".join(found.drift)


def traces(cluster: ClusterUnderTest) -> list[str]:
    """Return every place where the test's user or database is left."""
    found = [f"pool_passwd: {line}" for line in cluster.handle.folder.pool_passwd.read_text().split() if NAME in line]
    for service in cluster.handle.spec.endpoint_by_service():
        copy = cluster.docker("exec", cluster.container(service), "cat", "/run/pgpool/pool_passwd")
        found += [f"{service}: {line}" for line in copy.split() if NAME in line]
    found += [f"role {name}" for (name,) in sql(cluster, f"SELECT rolname FROM pg_roles WHERE rolname = '{NAME}'")]
    return found + [
        f"database {name}" for (name,) in sql(cluster, f"SELECT datname FROM pg_database WHERE datname = '{DATABASE}'")
    ]


@pytest.fixture(autouse=True)
def leave_no_user(cluster: ClusterUnderTest) -> Iterator[None]:
    """Remove the test's user, its database and its entry after each test."""
    file = cluster.handle.folder.pool_passwd
    before = file.read_text()
    yield
    with superuser(cluster) as session:
        session.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)".encode())
        session.execute(f"DROP ROLE IF EXISTS {NAME}".encode())
    if file.read_text() != before:
        state.write(file, before)
        for service in cluster.handle.spec.endpoint_by_service():
            cluster.docker("exec", cluster.container(service), "reload.sh")


@pytest.fixture
def added(cluster: ClusterUnderTest) -> None:
    """Add the test's user and its database."""
    user.add(cluster.handle, NAME, PASSWORD, DATABASE, Silent())
