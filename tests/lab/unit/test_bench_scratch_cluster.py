"""The cluster of the bench's own: what it is, that it is removed; its caps, its disk, the loads that are put on it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from ipaddress import IPv4Network
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.poolkeeper.unit import snapshots

from poolkeeper.cluster.handle import Cluster
from poolkeeper.core import errors
from poolkeeper.core.progress import Silent
from poolkeeper.model import source
from poolkeeper.operations import engine, up
from poolkeeper.system import compose, process, state
from poolkeeper.system.process import Finished
from poolkeeper_lab.bench import scratch_cluster
from poolkeeper_lab.bench.load import load_runner, pgbench, pgbench_client
from poolkeeper_lab.bench.measure import caps, disk_space, meter, startup_times

SPEC = snapshots.SPEC


# ── The scratch cluster ──


@pytest.mark.parametrize("nodes", [2, 3, 5, 7])
def test_a_scratch_cluster_has_the_requested_number_of_nodes(nodes: int) -> None:
    """The cluster obeys every rule of cluster.toml, and shares no name, address or port with the declared one."""
    made = source.load(startup_times.to_toml(scratch_cluster.document(SPEC, nodes)))
    assert len(made.nodes) == nodes
    assert made.name == startup_times.NAME
    ours, its = ({port for table in s.published_ports().values() for port in table} for s in (SPEC, made))
    assert not ours & its
    assert all(address in startup_times.SUBNET for address in made.addresses().values())
    kept = min(nodes, len(SPEC.nodes))
    assert [node.name for node in made.nodes[:kept]] == [node.name for node in SPEC.nodes[:kept]]


def test_a_scratch_cluster_has_room_for_a_later_node() -> None:
    """Otherwise `up` would restart PostgreSQL for it, and that would be measured as the clone."""
    tight = SPEC.model_copy(update={"postgresql": SPEC.postgresql.model_copy(update={"max_wal_senders": 4})})
    made = [scratch_cluster.document(tight, nodes, most=4)["postgresql"]["max_wal_senders"] for nodes in (3, 4)]
    assert made == [6, 6]


def test_a_scratch_cluster_takes_no_existing_name() -> None:
    node = SPEC.nodes[0].model_copy(update={"name": "more_node3"})
    made = scratch_cluster.document(SPEC.model_copy(update={"nodes": (SPEC.nodes[1], node)}), 3)
    assert [n["name"] for n in made["nodes"]] == [SPEC.nodes[1].name, "more_node3", "more_node4"]


def test_a_scratch_cluster_without_a_free_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(startup_times, "SUBNET", IPv4Network("10.213.77.0/24"))
    with pytest.raises(errors.UsageError, match="no address left"):
        scratch_cluster.document(SPEC, 400)


@pytest.fixture
def removed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record the removals instead of carrying them out."""
    gone: list[str] = []
    monkeypatch.setattr(pgbench_client, "sweep", lambda name: gone.append(f"client of {name}"))
    monkeypatch.setattr(compose, "remove_all", gone.append)
    monkeypatch.setattr(compose, "containers", lambda _: {})
    monkeypatch.setattr(engine, "ensure", lambda *_: None)
    monkeypatch.setattr(up, "ensure_images", lambda *_: {})
    return gone


def test_scratch_removes_before_and_after_also_on_an_error(tmp_path: Path, removed: list[str]) -> None:
    """The client first: it is in the network that goes with the cluster."""
    cluster = Cluster(SPEC, state.State(tmp_path / "state"), tmp_path)
    folders: list[Path] = []

    def use() -> None:
        with scratch_cluster.scratch(cluster, Silent()) as own:
            folders.append(own.folder)
            own.declare(scratch_cluster.document(SPEC, 4))
            assert len(own.cluster.spec.nodes) == 4
            assert removed == ["client of bench", "bench"]
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        use()
    assert removed == ["client of bench", "bench"] * 2
    assert not folders[0].exists()


def test_scratch_refuses_a_user_s_cluster_of_that_name(tmp_path: Path, removed: list[str]) -> None:
    cluster = Cluster(SPEC.model_copy(update={"name": startup_times.NAME}), state.State(tmp_path), tmp_path)
    with pytest.raises(errors.OperationRefused), scratch_cluster.scratch(cluster, Silent()):
        pass
    assert removed == []


def test_a_command_that_fails_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = scratch_cluster.ScratchCluster(tmp_path, tmp_path)
    monkeypatch.setattr(process, "run", lambda argv, **_: Finished(tuple(argv), 31, "", "too late"))
    with pytest.raises(errors.EngineFailed, match="poolkeeper up ended with 31") as failed:
        own.command("up")
    assert failed.value.detail == "too late"


# ── Caps ──


def load(used: dict[str, float], machine: float) -> caps.CapLoad:
    """Two standbys of a quarter each, on two cores."""
    return caps.CapLoad(used, ("n2", "n3"), 0.25, 2, machine)


@pytest.mark.parametrize(
    ("used", "machine", "said"),
    [
        ({"n2": 0.25, "n3": 0.24, "HAProxy": 0.3}, 1.2, caps.NODES),
        ({"n2": 0.25, "n3": 0.20, "HAProxy": 0.3}, 1.2, "HAProxy, or too few clients"),
        ({"n2": 0.25, "HAProxy": 0.3}, 1.2, "HAProxy, or too few clients"),  # one of the two did nothing
        ({"n2": 0.10, "n3": 0.10, "HAProxy": 0.9, "Pgpool-II": 0.8}, 1.95, caps.CORES),
        ({"n2": 0.10, "n3": 0.10}, 0.3, caps.UNKNOWN),
    ],
)
def test_the_limit_of_a_load_is_named(used: dict[str, float], machine: float, said: str) -> None:
    assert load(used, machine).limit() == said


def test_limit_names_every_container(monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[Sequence[str]] = []
    monkeypatch.setattr(process, "check", lambda argv, **_: limits.append(argv))
    caps.limit(["a", "b"], 0.25)
    assert limits == [["docker", "update", "--cpus", "0.25", "a", "b"]]


# ── Room ──


def test_disk_space_is_checked_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = SimpleNamespace(free=disk_space.needed(4, 64) + disk_space.RESERVE)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    disk_space.check(4, 64, tmp_path)
    usage.free -= 1
    with pytest.raises(errors.DiskFull, match="4 nodes with pgbench's tables of scale 64"):
        disk_space.check(4, 64, tmp_path)


def test_room_grows_with_nodes_and_scale() -> None:
    assert disk_space.needed(4, 64) == 2 * disk_space.needed(2, 64)
    assert disk_space.needed(1, 64) > 64 * disk_space.BYTES_A_SCALE
    assert disk_space.needed(1, 100) - disk_space.needed(1, 99) < 4 * disk_space.BYTES_A_SCALE


# ── Command lines ──

WHERE = pgbench.Where("h", 5101, "app", "x")
READ = pgbench.PgbenchLoad(pgbench.READ_ONLY, pgbench.PREPARED, 1)


def test_work_replaces_what_it_should() -> None:
    argv = load_runner.Work(READ, script="a.sql", transactions=500).argv(WHERE, 120, 10, 2, 7)
    assert f"--file={pgbench.FOLDER}/a.sql" in argv
    assert "--builtin=select-only" not in argv
    assert "--transactions=500" in argv
    assert not [word for word in argv if word.startswith("--time=")]
    assert argv[0] == "pgbench"


def test_work_sets_the_session() -> None:
    argv = load_runner.Work(READ, settings={"synchronous_commit": "local"}).argv(WHERE, 5, 10, 2, 7)
    assert argv[:3] == ["env", "PGOPTIONS=-c synchronous_commit=local", "pgbench"]
    assert load_runner.Work(READ).argv(WHERE, 5, 10, 2, 7) == pgbench.run(READ, WHERE, 5, 10, 2, 7)


def test_by_part_is_processors() -> None:
    used = meter.Usage(4.0, {"a": 2.0, "b": 1.0}, 0.0)
    assert load_runner.by_part(used, {"both": ("a", "b"), "none": ("c",)}) == {"both": 0.75, "none": 0.0}
    assert load_runner.by_part(meter.Usage(0.0, {}, 0.0), {"a": ("a",)}) == {}
