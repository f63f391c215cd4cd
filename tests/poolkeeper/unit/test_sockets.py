"""Unix sockets between HAProxy and Pgpool-II: both ends name the same file, and only they mount the volume."""

from __future__ import annotations

import re

import pytest
import yaml
from tests.poolkeeper.unit import deployments, snapshots
from tests.poolkeeper.unit.snapshots import SPEC

from poolkeeper.decide import planning
from poolkeeper.model.observed import NODE_PARAMETER, Container
from poolkeeper.model.plan import Action
from poolkeeper.model.spec import ClusterSpec
from poolkeeper.render import compose_file, haproxy_config, keeper_config, patroni_config, pgpool_config, sockets
from poolkeeper.system import postgres

IMAGES = {role: f"poolkeeper/{role}:0123456789ab" for role in compose_file.ROLES}
ON = SPEC
OFF = deployments.edit(SPEC, "haproxy.unix_sockets", False)
SHARING = {"haproxy_pgpool", "pgpool_rw", "pgpool_ro"}


def setting(spec: ClusterSpec, endpoint: str, name: str) -> str:
    """Return a setting of an endpoint's pgpool.conf, without quotes."""
    found = re.search(rf"^{name} = '?(.*?)'?$", pgpool_config.config(spec, endpoint), re.MULTILINE)
    assert found
    return found[1]


@pytest.mark.parametrize("endpoint", ["rw", "ro"])
def test_haproxy_connects_to_the_socket_of_pgpool(endpoint: str) -> None:
    """The server's file is in a folder of that Pgpool-II's list, with the name of its port."""
    service = getattr(ON.endpoints, endpoint).service
    (server,) = re.findall(
        rf"^    server {service} unix@(\S+) check maxconn 30$", haproxy_config.config(ON), re.MULTILINE
    )
    folder, _, name = server.rpartition("/")
    assert folder in setting(ON, endpoint, "unix_socket_directories").split(",")
    assert name == f".s.PGSQL.{setting(ON, endpoint, 'port')}"


@pytest.mark.parametrize(("endpoint", "inner"), [("rw", "primary"), ("ro", "standbys")])
def test_pgpool_connects_to_the_socket_of_the_inner_port(endpoint: str, inner: str) -> None:
    """A host name that begins with / is a folder to Pgpool-II; the inner port stays open by TCP as well."""
    section = haproxy_config.config(ON).split(f"\nlisten {inner}\n")[1].split("\n\n")[0]
    wanted = f"{setting(ON, endpoint, 'backend_hostname0')}/.s.PGSQL.{setting(ON, endpoint, 'backend_port0')}"
    assert f"    bind unix@{wanted} mode 666\n" in section
    assert re.search(rf"^    bind {SPEC.haproxy.address}:\d+$", section, re.MULTILINE)


def test_two_pgpools_have_different_sockets() -> None:
    assert sockets.path("pgpool_rw", 9999) != sockets.path("pgpool_ro", 9999)


def test_only_the_services_with_sockets_mount_the_volume() -> None:
    document = compose_file.document(ON, IMAGES)
    mounting = {n for n, s in document["services"].items() if f"sockets:{sockets.ROOT}" in s.get("volumes", [])}
    configured = {n for n, s in document["services"].items() if "POOLKEEPER_SOCKETS" in s.get("environment", {})}
    assert mounting == configured == SHARING
    volume = document["volumes"]["sockets"]
    assert volume["driver_opts"]["type"] == "tmpfs"
    assert volume["labels"] == {"poolkeeper.cluster": SPEC.name}


def test_sockets_do_not_change_the_balanced_endpoint() -> None:
    assert pgpool_config.config(ON, "balanced") == pgpool_config.config(OFF, "balanced")
    assert keeper_config.config(ON) == keeper_config.config(OFF)


def test_without_sockets_no_volume_is_mounted_and_all_is_tcp() -> None:
    document = compose_file.document(OFF, IMAGES)
    assert "sockets" not in document["volumes"]
    assert "unix@" not in haproxy_config.config(OFF)
    assert setting(OFF, "rw", "backend_hostname0") == "haproxy_pgpool"
    assert setting(OFF, "rw", "unix_socket_directories") == pgpool_config.RUN


# ── HAProxy and PostgreSQL ──

NODES = deployments.edit(OFF, "haproxy.node_sockets", True)


def test_haproxy_connects_to_the_socket_of_postgresql() -> None:
    """Each server is a file in a folder of that node's list; Patroni is checked by TCP."""
    lines = re.findall(
        r"^    server (pg_node\d) unix@(\S+) check addr (\S+) port 8008 ", haproxy_config.config(NODES), re.M
    )
    assert len(lines) == 2 * len(SPEC.nodes)
    for name, file, asked in lines:
        (node,) = (node for node in SPEC.nodes if node.name == name)
        parameters = yaml.safe_load(patroni_config.node_config(NODES, node))["postgresql"]["parameters"]
        folder, _, file_name = file.rpartition("/")
        assert parameters["unix_socket_directories"].split(",") == [patroni_config.SOCKETS, folder]
        assert (file_name, asked) == (".s.PGSQL.5432", str(node.address))


def test_only_haproxy_and_the_nodes_share_their_sockets() -> None:
    document = compose_file.document(NODES, IMAGES)
    folders = {n: s["environment"]["POOLKEEPER_SOCKETS"] for n, s in document["services"].items()
            if "POOLKEEPER_SOCKETS" in s.get("environment", {})}  # fmt: skip
    assert folders == {name: sockets.folder(name) for name in ("pg_node1", "pg_node2", "pg_node3", "haproxy_pgpool")}
    assert setting(NODES, "rw", "backend_hostname0") == "haproxy_pgpool"
    assert not sockets.endpoints(NODES)


@pytest.mark.parametrize("spec", [ON, NODES], ids=["tcp", "sockets"])
def test_a_node_reports_its_name_at_every_endpoint(spec: ClusterSpec) -> None:
    """A node reports its name even if inet_server_addr() is null."""
    for node in spec.nodes:
        assert (
            yaml.safe_load(patroni_config.node_config(spec, node))["postgresql"]["parameters"][NODE_PARAMETER]
            == node.name
        )
    assert NODE_PARAMETER in postgres.SERVED_BY


def test_local_clients_need_a_password_as_well() -> None:
    """A connection by a socket is `local` to pool_hba.conf, with the same method."""
    (rule,) = (line.split() for line in pgpool_config.host_rules().splitlines() if line.startswith("local"))
    assert rule == ["local", "all", "all", "scram-sha-256"]


def test_the_edit_recreates_the_services_with_sockets() -> None:
    """The three services with the volume, HAProxy last; the nodes stay."""
    before, after = deployments.desired(OFF), deployments.desired(ON)
    there = {
        name: Container(**{**vars(snapshots.container(OFF, name)), "definition": before.definitions[name]})
        for name in OFF.addresses()
    }
    steps = planning.plan_up(
        ON, after, planning.Actual(there, before.files, before.dynamic, "pg_node1"), pgpool_config.needs_restart
    )
    made = [service for step in steps.steps if step.action is Action.RECREATE for service in step.services]
    assert set(made) == SHARING
    assert made[-1] == "haproxy_pgpool"


@pytest.mark.parametrize("endpoint", ["rw", "ro", "balanced"])
def test_mode_of_the_endpoints_with_one_server(endpoint: str) -> None:
    """The balanced endpoint must know the primary, and keeps its mode."""
    spec = deployments.edit(SPEC, "pgpool.one_server_mode", "logical_replication")
    wanted = "streaming_replication" if endpoint == "balanced" else "logical_replication"
    assert setting(spec, endpoint, "backend_clustering_mode") == wanted
    assert setting(SPEC, endpoint, "backend_clustering_mode") == "streaming_replication"
    assert endpoint == "balanced" or pgpool_config.needs_restart(
        pgpool_config.config(SPEC, endpoint), pgpool_config.config(spec, endpoint)
    )


def test_threads_are_rendered_only_if_declared() -> None:
    assert "nbthread" not in haproxy_config.config(SPEC)
    (line,) = re.findall(
        r"^    nbthread \d+$", haproxy_config.config(deployments.edit(SPEC, "haproxy.threads", 1)), re.MULTILINE
    )
    assert line.split()[1] == "1"


@pytest.mark.parametrize(
    ("key", "services"), [("haproxy", {"haproxy_pgpool"}), ("pgpool", {"pgpool", "pgpool_rw", "pgpool_ro"})]
)
def test_batch_scheduling_is_set_for_the_declared_services(key: str, services: set[str]) -> None:
    """Without a declaration no service has the setting."""
    other = "pgpool" if key == "haproxy" else "haproxy"
    alone = deployments.edit(SPEC, f"{other}.batch", False)
    for spec, wanted in ((alone, services), (deployments.edit(alone, f"{key}.batch", False), set())):
        rendered = compose_file.document(spec, IMAGES)["services"]
        assert {n for n, s in rendered.items() if "POOLKEEPER_BATCH" in s.get("environment", {})} == wanted
