"""The direct endpoints in `status`, in the lines after `up`, in psql's files and in the benchmark's cluster."""

from __future__ import annotations

import io
import tomllib
from pathlib import Path

import pytest
from rich.console import Console
from tests.poolkeeper.unit import deployments, snapshots
from tests.poolkeeper.unit.snapshots import PRIMARY, SPEC, STANDBY

from poolkeeper.cli import connection_lines, tables
from poolkeeper.cluster.handle import Cluster
from poolkeeper.decide import health
from poolkeeper.model import source
from poolkeeper.model.spec import ClusterSpec
from poolkeeper.render import client_files, haproxy_config, keeper_config
from poolkeeper.system import state
from poolkeeper_lab.bench.measure import startup_times

OFF = deployments.edit(deployments.edit(SPEC, "endpoints.direct_rw.port", 0), "endpoints.direct_ro.port", 0)
KEYS = ("direct_rw", "direct_ro")


def shown(spec: ClusterSpec) -> list[list[str]]:
    """Return the words of each line of `status`."""
    seen = snapshots.healthy(spec)
    screen = Console(file=io.StringIO(), width=200)
    screen.print(tables.status(spec, seen, health.assess(spec, seen)))
    assert isinstance(screen.file, io.StringIO)
    return [line.split() for line in screen.file.getvalue().splitlines()]


def test_status_shows_the_declared_ones() -> None:
    """Direct endpoints have no Pgpool-II. One without a port is not shown, and the cluster is healthy without it."""
    assert ["direct_rw", "5200", "-", PRIMARY, "(primary)"] in shown(SPEC)
    assert ["direct_ro", "5201", "-", STANDBY, "(standby)"] in shown(SPEC)
    assert not [words for words in shown(OFF) if words and words[0] in KEYS]
    assert health.assess(OFF, snapshots.healthy(OFF)).is_healthy


@pytest.mark.parametrize(("spec", "count"), [(SPEC, 2), (OFF, 0), (snapshots.blue(), 1)])
def test_connection_lines_and_psql_files_have_them(tmp_path: Path, spec: ClusterSpec, count: int) -> None:
    """The lines after `up`, and each service of psql with its line in pgpass."""
    lines = connection_lines.of_cluster(Cluster(spec, state.State(tmp_path), tmp_path)).splitlines()
    assert sum(line.split()[0] in KEYS for line in lines) == count
    assert sum(key in client_files.endpoints(spec) for key in KEYS) == count
    assert client_files.password_file(spec, {"app": "x"}).count("\n") == 3 + count + len(spec.nodes)


def test_haproxy_has_an_endpoint_and_no_server_for_them() -> None:
    """Direct endpoints use the servers of the inner ports, so only these follow a role."""
    text = haproxy_config.config(SPEC)
    for key, inner, sessions in (("direct_rw", "primary", 46), ("direct_ro", "standbys", 46)):
        section = text.split(f"\nfrontend {key}\n")[1].split("\n\n")[0]
        assert f"maxconn {sessions}\n" in section
        assert f"default_backend {inner}" in section
        assert "server " not in section
        assert f"\nlisten {inner}\n" in text
        assert f"frontend {key}" not in haproxy_config.config(OFF)


def test_the_keeper_s_configuration_has_none_of_them() -> None:
    """The fault acts on the inner ports, so an edit of a direct endpoint restarts HAProxy only."""
    assert keeper_config.config(SPEC) == keeper_config.config(OFF)


@pytest.mark.parametrize("spec", [SPEC, OFF], ids=["on", "off"])
def test_the_benchmark_s_cluster_runs_beside_this_one(spec: ClusterSpec) -> None:
    """The two share no port, and an endpoint that is off stays off."""
    made = source.load(startup_times.to_toml(startup_times.bench_document(spec)))
    ours, its = ({port for table in each.published_ports().values() for port in table} for each in (spec, made))
    assert len(ours) == len(its)
    assert not ours & its
    assert set(made.direct_endpoints()) == set(spec.direct_endpoints())
    assert tomllib.loads(startup_times.to_toml(startup_times.bench_document(spec)))["name"] == made.name
