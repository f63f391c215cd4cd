"""The readings of `doctor` from other programs; a component that does not answer is reported as unknown."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.poolkeeper.unit import doctor_sample as sample
from typer.testing import CliRunner

from poolkeeper.cli import context, doctor_command, main
from poolkeeper.cluster import snapshot
from poolkeeper.cluster.handle import Cluster
from poolkeeper.core import errors
from poolkeeper.doctor import facts
from poolkeeper.doctor.rules import all_rules, host_rules
from poolkeeper.model.diagnosis import ClusterFacts, PoolUse, Traffic, Volume
from poolkeeper.model.spec import ClusterSpec
from poolkeeper.model.verdict import Outcome
from poolkeeper.system import activity, etcd, haproxy, machine, patroni, pgpool, process, state

SPEC = ClusterSpec()
CLUSTER = Cluster(SPEC, secrets=dict.fromkeys(state.SECRET_NAMES, "x"))

# SHOW pool_processes and SHOW pool_pools of Pgpool-II 4.6.1, shortened: a free process, one with a client, our own.
PROCESSES = [
    ("4354", "2026-11-24 20:47:46", "1", "", "", "", "", "Wait for connection"),
    ("4336", "2026-11-24 20:47:42", "3", "app", "app", "2026-11-24 20:48:06", "2", "Idle in transaction"),
    ("4353", "2026-11-24 20:47:46", "2", "postgres", "poolkeeper_check", "2026-11-24 20:48:06", "1", "Execute command"),
]


def pool(pid: str, number: str, backend: str, user: str, uses: str) -> tuple[str, ...]:
    """Return a row of SHOW pool_pools."""
    named = (user, user) if user else ("", "")
    return (pid, "start", "1", number, backend, *named, "", "", "", "0", "3", "0", uses, "4832", "0", "Idle", "0")


POOLS = [
    *(pool("4354", "0", backend, "app", "7") for backend in "012"),
    *(pool("4354", "1", backend, "", "0") for backend in "012"),
    *(pool("4336", "0", backend, "report", "2") for backend in "012"),
    *(pool("4353", "0", backend, "me", "1") for backend in "012"),
]


def test_pgpools_processes_and_pools_are_read() -> None:
    """A pool that is open to three nodes is one; the session that asks, and its user, are not counted."""
    use = pgpool.read_use(PROCESSES, POOLS, ("me", "me"))
    assert use == PoolUse(3, 1, 6, 3, 10, (("app", "app"), ("report", "report")))


def test_pgpools_rows_of_another_form_are_refused() -> None:
    with pytest.raises(errors.ServerRefused):
        pgpool.read_use([("1", "2")], [])


# `;csv` of HAProxy 3.0, shortened.
STATISTICS = (
    "# pxname,svname,qcur,qmax,scur,smax,slim,stot,status,check_status,\n"
    "rw,FRONTEND,,,14,55,4224,2902,OPEN,,\n"
    "endpoint_rw,pgpool_rw,2,9,30,30,30,2672,UP,L7OK,\n"
    "endpoint_rw,BACKEND,3,25,14,55,423,2763,UP,,\n"
    "primary,pg_node1,0,0,0,25,,985,DOWN,L7STS,\n"
    "direct_rw,FRONTEND,,,46,46,46,120,OPEN,,\n"
)


def test_haproxys_queues_and_limits_are_read() -> None:
    rows = haproxy.read_traffic(STATISTICS)
    assert rows[0] == Traffic("rw", "FRONTEND", 0, 0, 14, 55, 4224)
    assert rows[1] == Traffic("endpoint_rw", "pgpool_rw", 2, 9, 30, 30, 30)
    assert rows[2].queued == 3
    assert rows[3].limit is None
    assert rows[4] == Traffic("direct_rw", "FRONTEND", 0, 0, 46, 46, 46)


def test_a_page_that_is_not_haproxys_is_refused() -> None:
    with pytest.raises(errors.ServerRefused):
        haproxy.read_traffic("<html>")


# /metrics of etcd 3.5, shortened.
METRICS = """# TYPE etcd_disk_wal_fsync_duration_seconds histogram
etcd_disk_wal_fsync_duration_seconds_bucket{le="0.001"} 456
etcd_disk_wal_fsync_duration_seconds_bucket{le="0.032"} 1564
etcd_disk_wal_fsync_duration_seconds_bucket{le="8.192"} 1573
etcd_disk_wal_fsync_duration_seconds_bucket{le="+Inf"} 1573
etcd_disk_wal_fsync_duration_seconds_sum 9.049270981000008
etcd_mvcc_db_total_size_in_bytes 823296
etcd_server_quota_backend_bytes 2.147483648e+09
etcd_server_heartbeat_send_failures_total 4
etcd_server_leader_changes_seen_total 3
grpc_server_handled_total{grpc_code="OK"} 1
"""


def test_etcds_metrics_are_read() -> None:
    load = etcd.read_load(METRICS)
    assert (load.db_bytes, load.quota_bytes) == (823_296, 2**31)
    assert (load.heartbeat_failures, load.leader_changes) == (4, 3)
    assert load.fsyncs == ((0.001, 456), (0.032, 1564), (8.192, 1573), (float("inf"), 1573))
    assert host_rules.slowest_writes(load) == (0.001, 0.032)


def test_incomplete_metrics_are_refused() -> None:
    with pytest.raises(errors.ServerRefused, match="quota"):
        etcd.read_load(METRICS.replace("quota", "other"))


DF = """Mounted on                        1B-blocks      Used     Avail
/var/lib/postgresql/data          625721344 469307392 143339520
/dev/shm                          268435456   1142784 267292672
"""


def test_the_output_of_df_is_read() -> None:
    data, shm = machine.read_volumes(DF)
    assert data == Volume("/var/lib/postgresql/data", 625721344, 469307392, 143339520)
    assert shm.path == "/dev/shm"


def test_output_that_is_not_from_df_is_refused() -> None:
    with pytest.raises(errors.EngineFailed):
        machine.read_volumes("head\nno such thing\n")


def test_meminfo_is_read() -> None:
    text = "MemTotal:       24683520 kB\nMemAvailable:   20000000 kB\nHugePages_Total:       0\n"
    assert machine.read_memory(text) == {"MemTotal": 24105, "MemAvailable": 19531}


def test_this_machine_has_a_load() -> None:
    found = machine.host_load()
    assert found.cores >= 1
    assert 0 < found.available_mb <= found.memory_mb


def silence(monkeypatch: pytest.MonkeyPatch, but: tuple[str, ...] = ()) -> None:
    """Make every component fail to answer, but those in `but`."""

    async def refuse(*_: Any, **__: Any) -> Any:
        raise errors.Unreachable("connection refused")

    def fail(*_: Any, **__: Any) -> Any:
        raise errors.EngineFailed("the program docker is not installed")

    asked: dict[str, tuple[Any, str, Callable[..., Any]]] = {
        "node": (activity, "node_load", refuse),
        "databases": (activity, "databases", refuse),
        "endpoint": (pgpool, "observe_use", refuse),
        "traffic": (haproxy, "observe_traffic", refuse),
        "etcd": (etcd, "observe_load", refuse),
        "patroni": (patroni, "observe", refuse),
        "containers": (snapshot, "observe_containers", refuse),
        "engine": (process, "check", fail),
        "logs": (process, "run", fail),
        "host": (machine, "host_load", fail),
    }
    for name, (module, function, instead) in asked.items():
        if name not in but:
            monkeypatch.setattr(module, function, instead)


def test_a_cluster_that_does_not_answer_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each question has a reading without a value, and every check is unknown."""
    silence(monkeypatch)
    collected = asyncio.run(facts.collect(CLUSTER))
    assert all(reading.value is None for reading in collected.nodes.values())
    assert all(reading.value is None for reading in collected.endpoints.values())
    assert collected.traffic is not None
    assert collected.host is not None
    findings = all_rules.evaluate(SPEC, collected)
    assert {finding.outcome.value for finding in findings} == {"unknown"}
    assert all(finding.message for finding in findings)


def test_only_the_primary_is_asked_for_its_databases(monkeypatch: pytest.MonkeyPatch) -> None:
    silence(monkeypatch)
    asked: list[str] = []

    async def load(dsn: Any, _limit: float) -> Any:
        name = next(node.name for node in SPEC.nodes if node.port == dsn.port)
        return sample.load(name)

    async def databases(dsn: Any, _limit: float) -> tuple[str, ...]:
        asked.append(f"{dsn.port}")
        return ("app", "postgres")

    async def vacuuming(dsn: Any, _limit: float) -> Any:
        asked.append(f"{dsn.port}/{dsn.dbname}")
        raise errors.ServerRefused("permission denied for database app", code="42501")

    monkeypatch.setattr(activity, "node_load", load)
    monkeypatch.setattr(activity, "databases", databases)
    monkeypatch.setattr(activity, "vacuuming", vacuuming)
    collected = asyncio.run(facts.collect(CLUSTER))
    assert asked == ["5611", "5611/app", "5611/postgres"]
    assert collected.databases is not None
    assert collected.databases.value == ("app", "postgres")
    assert all(reading.value is None for reading in collected.vacuuming.values())


Collect = Callable[[Cluster], Awaitable[ClusterFacts]]


def collecting(found: ClusterFacts) -> Collect:
    """Return a `collect` that finds these facts."""

    async def collect(_: Cluster) -> ClusterFacts:
        return found

    return collect


@pytest.mark.parametrize(
    ("found", "code", "outcome"),
    [
        (sample.healthy(), 0, Outcome.PASS),
        (sample.doing(lock_waits=1, longest_lock_wait=7.0), 1, Outcome.FAIL),
        (sample.silent("nodes", sample.OTHER), 3, Outcome.UNKNOWN),
    ],
)
def test_the_command_ends_with_the_code_of_the_outcome(
    monkeypatch: pytest.MonkeyPatch, found: ClusterFacts, code: int, outcome: Outcome
) -> None:
    monkeypatch.setattr(facts, "collect", collecting(found))
    monkeypatch.setattr(context.ClusterFile, "cluster", property(lambda _: KnownCluster()))
    shown = CliRunner().invoke(main.app, ["doctor"])
    assert shown.exit_code == code
    assert doctor_command._WORDS[outcome] in shown.stdout
    assert ("postgresql.lock_waits" in shown.stdout) == (code != 0)
    assert "endpoints.pairs" in CliRunner().invoke(main.app, ["doctor", "--all"]).stdout
    assert f'"exit_code": {code}' in CliRunner().invoke(main.app, ["doctor", "--json"]).stdout


class KnownCluster:
    """A cluster with known passwords."""

    def with_passwords(self) -> Cluster:
        """Return the cluster."""
        return CLUSTER
