"""The life cycle of a cluster by a user's commands: up, up again, edits, stop, interruption, down."""

from __future__ import annotations

import json
import re
import shutil
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest
from tests.clusters import ClusterUnderTest, interrupt, make_folder

from poolkeeper.model.verdict import GROUPS, OWN_GROUPS

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


def identities(cluster: ClusterUnderTest) -> dict[str, tuple[str, str]]:
    """Return each service's container id and start time: a restart changes them."""
    document = json.loads(cluster.run("status", "--json").stdout)
    return {name: (c["identity"], c["started_at"]) for name, c in document["containers"].items()}


def test_up_again_changes_nothing(cluster: ClusterUnderTest) -> None:
    """A second `up` on a healthy cluster restarts nothing and reports that."""
    before = identities(cluster)
    done = cluster.run("up")
    assert done.returncode == 0
    assert "nothing was changed" in done.stderr
    assert identities(cluster) == before


def test_first_primary_and_the_declared_topology(cluster: ClusterUnderTest) -> None:
    """Names, addresses, endpoints and roles are the declared ones; status says healthy with exit code 0."""
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


def test_a_standby_is_added_and_removed(edited: ClusterUnderTest) -> None:
    """A declared fourth node clones itself and joins every view; undeclared, it goes with its volume."""
    before = identities(edited)
    fourth = '\n[[nodes]]\nname = "pg_node4"\naddress = "10.8.0.14"\nport = 5614\n'
    edit(edited, r"(?s)(\[\[nodes\]\]\nname = \"pg_node3\".*?\nport = 5613\n)", rf"\g<1>{fourth}")
    edited.ok("up")
    rows = {row["node"]: row for row in json.loads(edited.run("status", "--json").stdout)["nodes"]}
    assert (rows["pg_node4"]["postgres"], rows["pg_node4"]["pgpool"]) == ("standby", "standby, up")
    now = identities(edited)
    assert all(now[name] == before[name] for name in before if name.startswith(("pg_node", "etcd")))
    assert json.loads(edited.run("test", "--json").stdout)["counts"]["total"] == 34
    edited.folder.joinpath("cluster.toml").write_text(
        edited.folder.joinpath("cluster.toml").read_text().replace(fourth, "")
    )
    edited.ok("up")
    assert set(identities(edited)) == set(before)
    assert "poolkeeper_pg_node4" not in edited.docker("volume", "ls", "-q").split()


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


INITIALIZING = "starting etcd1"  # and every node, the first of which has just begun to


def test_ctrl_c_in_the_middle_of_up(cluster: ClusterUnderTest, tmp_path: Path) -> None:
    """After an interruption at any step, `up` completes the start, and `down` leaves nothing."""
    second = make_folder(tmp_path, another)
    cluster.ok("stop")  # two full clusters are too much for two cores
    try:
        for after in ("creating the containers", INITIALIZING, "starting pgpool_rw"):
            child = second.spawn("up")
            assert child.stdout
            assert next((line for line in child.stdout if after in line), None), f"it ended before it came to {after}"
            assert interrupt(child) == 130
            if after == INITIALIZING:
                second.ok("up")
                assert second.run("status").returncode == 0
            second.ok("down", "--purge")
            assert leftovers(second, "other") == []
    finally:
        second.run("down", "--purge")
        cluster.ok("up")


def another(text: str) -> str:
    """Return the same cluster under another name, on another network and other ports."""
    text = text.replace('name = "poolkeeper"', 'name = "other"').replace("10.8.0.", "10.219.7.")
    moved = {"561": "581", "510": "530", "520": "540", "840": "860", "999": "979"}
    for old, new in ((f"= {old}", f"= {new}") for old, new in moved.items()):
        text = text.replace(old, new)
    return text


def leftovers(cluster: ClusterUnderTest, name: str) -> list[str]:
    """Return the containers, networks and volumes that still have the cluster's label."""
    label = f"label=poolkeeper.cluster={name}"
    found = [cluster.docker("ps", "-aq", "--filter", label)]
    found += [cluster.docker(kind, "ls", "-q", "--filter", label) for kind in ("network", "volume")]
    return [line for text in found for line in text.splitlines()]


def test_two_clusters_side_by_side(cluster: ClusterUnderTest, tmp_path: Path) -> None:
    """A cluster of another name runs beside the first; taking it down leaves the first as it was."""
    before = identities(cluster)
    second = make_folder(tmp_path, lambda text: smaller(another(text)))
    try:
        second.ok("up")
        assert second.run("status").returncode == 0
        assert second.container("pgpool") == "other_pgpool"
    finally:
        second.ok("down", "--purge")
    assert leftovers(second, "other") == []
    assert identities(cluster) == before
    cluster.wait_healthy()


def smaller(text: str) -> str:
    """Return the cluster with one standby and one etcd member: two cores carry no more beside another cluster."""
    text = re.sub(r'(?s)\[\[nodes\]\]\nname = "pg_node3".*?(?=\n\[)', "", text, count=1)
    return re.sub(r'(?s)\[\[etcd\.members\]\]\nname = "etcd[23]".*?(?=\n\[)', "", text)


def test_dead_container_is_named(cluster: ClusterUnderTest, tmp_path: Path) -> None:
    """A Pgpool that cannot start: `up` names its container, shows its last log lines and a hint, and ends with 32."""
    broken = '[pgpool.parameters]\nlog_min_messages = "nonsense"'
    second = make_folder(tmp_path, lambda text: smaller(another(text)).replace("[pgpool.parameters]", broken))
    try:
        done = second.run("up")
        assert done.returncode == 32, done.stderr
        assert "the container other_pgpool" in done.stderr
        assert "nonsense" in done.stderr
        assert "poolkeeper logs pgpool" in done.stderr
    finally:
        second.ok("down", "--purge")
    assert leftovers(cluster, "other") == []


def test_lost_passwords_are_refused(cluster: ClusterUnderTest) -> None:
    """Data without its passwords: `up` refuses, since new passwords would not match the data."""
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


def test_a_taken_port_is_reported(tmp_path: Path) -> None:
    """A port in use is named with its holder before anything is started; nothing is left behind."""
    import socket  # noqa: PLC0415 - only here

    taken = make_folder(tmp_path, lambda text: smaller(another(text)))
    with socket.create_server(("127.0.0.1", 5300)):
        done = taken.run("up")
    assert done.returncode == 23
    assert "port 5300" in done.stderr
    assert "process" in done.stderr
    assert leftovers(taken, "other") == []


def test_a_network_overlap_is_reported(cluster: ClusterUnderTest, tmp_path: Path) -> None:
    """A subnet that another network uses is refused by name."""
    overlapping = make_folder(tmp_path, lambda text: another(text).replace("10.219.7.", "10.8.0."))
    done = overlapping.run("up")
    assert done.returncode == 24
    assert "overlaps" in done.stderr
    assert leftovers(cluster, "other") == []
