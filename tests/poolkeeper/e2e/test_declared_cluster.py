"""A new cluster is the declared one: topology, secrets, authentication, settings, and the reports of its suite."""

from __future__ import annotations

import json
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest
from tests.clusters import ClusterUnderTest

from poolkeeper.model.verdict import GROUPS, OWN_GROUPS

pytestmark = pytest.mark.e2e


def test_first_primary_and_the_declared_topology(cluster: ClusterUnderTest) -> None:
    """Names, addresses, endpoints and roles are the declared ones; status reports healthy with exit code 0."""
    done = cluster.run("status", "--json")
    document = json.loads(done.stdout)
    assert (done.returncode, document["level"]) == (0, "healthy")
    assert set(document["containers"]) == set(cluster.handle.spec.addresses())
    roles = {key: seen["in_recovery"] for key, seen in document["endpoints"].items() if key != "balanced"}
    assert roles == {"rw": False, "ro": True, "direct_rw": False, "direct_ro": True}
    assert set(document["versions"]) == {"PostgreSQL", "Patroni", "Pgpool-II", "HAProxy", "etcd"}
    assert "unknown" not in document["versions"].values()


@pytest.mark.skipif(shutil.which("psql") is None, reason="the printed lines are psql's, which is not installed here")
def test_printed_commands_work_as_they_are(cluster: ClusterUnderTest) -> None:
    """Each psql line that `up` prints can be pasted."""
    lines = [line for line in cluster.ok("up").splitlines() if "psql" in line]
    assert len(lines) == 6
    for line in lines:
        command = line[line.index("PG") :] + " -Atc 'SELECT 1'"
        done = subprocess.run(command, shell=True, capture_output=True, text=True, cwd=cluster.folder, check=False)
        assert done.stdout.strip() == "1", f"{command}: {done.stderr}"


def test_secrets_are_private_and_nowhere_else(cluster: ClusterUnderTest) -> None:
    """Mode 0600, folders 0700; no password in rendered files, containers' environment, arguments or logs."""
    folder = cluster.handle.folder
    for path in [*folder.secrets.rglob("*"), folder.pgpass]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    passwords = [cluster.secret(name) for name in cluster.opened.passwords]
    public = [path.read_text() for path in folder.rendered.rglob("*") if path.is_file()]
    public += [cluster.docker("inspect", cluster.container(service)) for service in cluster.handle.spec.addresses()]
    public.append(cluster.run("logs").stdout)
    assert not [password for password in passwords for text in public if password in text]
    pool_passwd = folder.pool_passwd.read_text().splitlines()
    assert pool_passwd
    assert all(":AES" in line for line in pool_passwd)


def test_every_hop_is_scram(cluster: ClusterUnderTest) -> None:
    """Every stored password is SCRAM, every rule of pg_hba asks for it, and a wrong password is refused everywhere."""
    with psycopg.connect(cluster.dsn("node1", "superuser")) as session:
        verifiers = session.execute("SELECT rolpassword FROM pg_authid WHERE rolcanlogin").fetchall()
        methods = session.execute("SELECT DISTINCT auth_method FROM pg_hba_file_rules").fetchall()
    assert verifiers
    assert all(v.startswith("SCRAM-SHA-256$") for (v,) in verifiers)
    assert methods == [("scram-sha-256",)]
    for endpoint in ("rw", "ro", "direct_rw", "direct_ro", "balanced", "node1", "node2", "node3"):
        with pytest.raises(psycopg.OperationalError, match=r"password|SCRAM|authentication"):
            psycopg.connect(cluster.dsn(endpoint).replace(cluster.secret("app"), "wrong"))


def test_processes_are_not_root(cluster: ClusterUnderTest) -> None:
    """The first process of every container runs as a user of its own."""
    for service in cluster.handle.spec.addresses():
        pid = cluster.docker("inspect", "--format", "{{.State.Pid}}", cluster.container(service))
        assert Path(f"/proc/{pid}").stat().st_uid != 0, service


def test_checksums_quorum_slots_and_rewind(cluster: ClusterUnderTest) -> None:
    """Data checksums are on, quorum commit is in force, pg_rewind is ready, one physical slot a standby is active."""
    node = f"node{[n.name for n in cluster.handle.spec.nodes].index(cluster.primary()) + 1}"
    with psycopg.connect(cluster.dsn(node, "superuser")) as session:

        def ask(query: LiteralString) -> list[tuple[Any, ...]]:
            return session.execute(query).fetchall()

        assert ask("SHOW data_checksums") == [("on",)]
        assert ask("SHOW synchronous_standby_names")[0][0].startswith("ANY 1 (")
        assert ask("SELECT count(*) FROM pg_replication_slots WHERE active AND slot_type = 'physical'") == [(2,)]
        granted = ask("SELECT has_function_privilege('rewinder', 'pg_read_binary_file(text)', 'EXECUTE')")
        superusers = ask("SELECT rolname FROM pg_roles WHERE rolsuper")
    assert granted == [(True,)]
    assert superusers == [("postgres",)]


def test_reports_of_the_suite(cluster: ClusterUnderTest) -> None:
    """`poolkeeper test`: 20 checks in 13 groups, 10 in 5 of our own, all green; four reports; --only."""
    done = cluster.run("test", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads(done.stdout)
    assert document["outcome"] == "pass"
    assert sum(len(group["checks"]) for group in document["groups"] if group["group"] not in OWN_GROUPS) == 20
    assert sum(len(group["checks"]) for group in document["groups"]) == 30
    assert [group["group"] for group in document["groups"] if group["checks"]] == sorted(GROUPS)
    for ending in ("md", "html", "xml", "json"):
        text = (cluster.folder / "reports" / f"pgpool-validation.{ending}").read_text()
        assert "pg_node2" in text
        assert cluster.secret("app") not in text
    only = json.loads(cluster.run("test", "--only", "8", "--json").stdout)
    assert [group["group"] for group in only["groups"] if group["checks"]] == [8]


def test_foreign_cluster_by_dsn(cluster: ClusterUnderTest) -> None:
    """The suite runs against a cluster that is only known by its connection strings, without our own promises."""
    words = ["test", "--json", "--reports", "elsewhere"]
    names = {
        "balanced": "balanced",
        "rw": "rw",
        "ro": "ro",
        "pg_node1": "node1",
        "pg_node2": "node2",
        "pg_node3": "node3",
    }
    for name, endpoint in names.items():
        words += ["--dsn", f"{name}={cluster.dsn(endpoint, 'superuser', 'app')}"]
    spec = cluster.handle.spec
    stats = f"http://{spec.haproxy.stats_user}:{cluster.secret('stats')}@127.0.0.1:{spec.haproxy.stats_port}/"
    done = cluster.run(*words, "--stats", stats)
    document = json.loads(done.stdout)
    assert document["outcome"] == "pass", done.stderr
    assert [group["group"] for group in document["groups"] if group["checks"]] == sorted(set(GROUPS) - OWN_GROUPS)
    assert cluster.secret("superuser") not in done.stdout + done.stderr
