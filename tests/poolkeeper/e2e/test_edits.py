"""Edits of cluster.toml: each one is applied with the smallest restart, or refused before anything changes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import psycopg
import pytest
from tests.clusters import ClusterUnderTest
from tests.poolkeeper.e2e.identities import identities

pytestmark = pytest.mark.e2e


def edit(cluster: ClusterUnderTest, pattern: str, replacement: str) -> None:
    """Edit cluster.toml as a user would; the pattern must match once."""
    path = cluster.folder / "cluster.toml"
    text, count = re.subn(pattern, replacement, path.read_text(), flags=re.M)
    assert count == 1, f"{pattern} matches {count} times"
    path.write_text(text)


@pytest.fixture
def edited(cluster: ClusterUnderTest) -> Iterator[ClusterUnderTest]:
    """Provide the cluster; restore and apply its cluster.toml at the end."""
    path = cluster.folder / "cluster.toml"
    before = path.read_text()
    try:
        yield cluster
    finally:
        path.write_text(before)
        cluster.ok("up")


def test_reloadable_parameter_is_applied_without_a_restart(edited: ClusterUnderTest) -> None:
    """An edited PostgreSQL parameter arrives on every node; no container is touched."""
    before = identities(edited)
    edit(edited, r"^log_min_duration_statement = .*$", 'log_min_duration_statement = "2s"')
    edited.ok("up")
    for endpoint in ("node1", "node2", "node3"):
        with psycopg.connect(edited.dsn(endpoint)) as session:
            assert session.execute("SHOW log_min_duration_statement").fetchall() == [("2s",)]
    assert identities(edited) == before


def test_restart_parameter_restarts_postgres_in_place(edited: ClusterUnderTest) -> None:
    """shared_buffers needs a restart of PostgreSQL: done on every node, the primary stays, no container is touched."""
    before, primary = identities(edited), edited.primary()
    edit(edited, r"^shared_buffers = .*$", 'shared_buffers = "96MB"')
    edited.ok("up")
    for endpoint in ("node1", "node2", "node3"):
        with psycopg.connect(edited.dsn(endpoint)) as session:
            assert session.execute("SHOW shared_buffers").fetchall() == [("96MB",)]
    assert identities(edited) == before
    assert edited.primary() == primary


def test_an_edit_of_haproxy_or_of_one_endpoint_restarts_nothing_else(edited: ClusterUnderTest) -> None:
    """A pool size restarts only that endpoint's Pgpool; a timeout of HAProxy is a reload that keeps an open session."""
    before = identities(edited)
    with psycopg.connect(edited.dsn("rw"), autocommit=True) as session:
        edit(edited, r"^queue_timeout_ms = .*$", "queue_timeout_ms = 20000")
        edited.ok("up")
        assert session.execute("SELECT 1").fetchall() == [(1,)]
    assert identities(edited) == before
    edit(edited, r"(?s)(\[endpoints\.ro\].*?num_init_children = )\d+(?=.*\[endpoints\.balanced\])", r"\g<1>16")
    edited.ok("up")
    changed = {service for service, seen in identities(edited).items() if seen != before[service]}
    assert changed == {"pgpool_ro"}


def test_a_standby_is_added_renamed_and_removed(edited: ClusterUnderTest) -> None:
    """A declared fourth node clones itself and joins every view, again under another name; undeclared, it goes."""
    before = identities(edited)
    fourth = '\n[[nodes]]\nname = "pg_node4"\naddress = "10.8.0.14"\nport = 5614\n'
    edit(edited, r"(?s)(\[\[nodes\]\]\nname = \"pg_node3\".*?\nport = 5613\n)", rf"\g<1>{fourth}")
    edited.ok("up")
    rows = {row["node"]: row for row in json.loads(edited.run("status", "--json").stdout)["nodes"]}
    assert (rows["pg_node4"]["postgres"], rows["pg_node4"]["pgpool"]) == ("standby", "standby, up")
    now = identities(edited)
    assert all(now[name] == before[name] for name in before if name.startswith(("pg_node", "etcd")))
    assert json.loads(edited.run("test", "--json").stdout)["counts"]["total"] == 34
    edit(edited, 'name = "pg_node4"', 'name = "pg_other"')
    edited.ok("up")
    rows = {row["node"]: row for row in json.loads(edited.run("status", "--json").stdout)["nodes"]}
    assert (rows["pg_other"]["postgres"], rows["pg_other"]["pgpool"]) == ("standby", "standby, up")
    assert "pg_node4" not in rows
    edit(edited, re.escape(fourth.replace("pg_node4", "pg_other")), "")
    edited.ok("up")
    assert set(identities(edited)) == set(before)
    volumes = edited.docker("volume", "ls", "-q").split()
    assert not {"poolkeeper_pg_node4", "poolkeeper_pg_other"}.intersection(volumes)


def test_bad_file_is_refused_before_anything_changes(edited: ClusterUnderTest) -> None:
    """Every mistake is named with its line, the exit code is 10, and the cluster is as it was."""
    before = identities(edited)
    edit(edited, r"^max_connections = .*$", "max_connections = 100\nmax_conections = 7")
    done = edited.run("up")
    assert done.returncode == 10
    assert "max_conections" in done.stderr
    assert "unknown key" in done.stderr
    assert "is too few" in done.stderr
    edited.folder.joinpath("cluster.toml").write_text(
        edited.folder.joinpath("cluster.toml")
        .read_text()
        .replace("max_connections = 100\nmax_conections = 7", "max_connections = 500")
    )
    assert identities(edited) == before


def test_unsafe_edit_is_refused(edited: ClusterUnderTest) -> None:
    """etcd's members cannot change under a running cluster: refused with a reason, exit code 11."""
    text = edited.folder.joinpath("cluster.toml").read_text()
    edited.folder.joinpath("cluster.toml").write_text(text.replace('name = "etcd3"', 'name = "etcd9"'))
    done = edited.run("up")
    assert done.returncode == 11
    assert "etcd" in done.stderr
