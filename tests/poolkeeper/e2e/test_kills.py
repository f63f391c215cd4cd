"""Each kind of service is killed in a running cluster: it heals, or it is reported and `up` heals it."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from tests.clusters import ClusterUnderTest

from poolkeeper.model.assessment import Level

pytestmark = pytest.mark.e2e

TOGETHER = (("etcd1", "standby", "pgpool_ro", "pgpool"), ("haproxy_pgpool",), ("primary", "pgpool_rw"))


@pytest.fixture(autouse=True)
def leave_it_healthy(cluster: ClusterUnderTest) -> Iterator[None]:
    """Whatever a test did, the next one finds a healthy cluster."""
    yield
    cluster.ok("up")


def name_of(cluster: ClusterUnderTest, service: str) -> str:
    """The service meant by a role, or the service itself."""
    primary = cluster.primary() if service in ("primary", "standby") else ""
    others = [node.name for node in cluster.handle.spec.nodes if node.name != primary]
    return {"primary": primary, "standby": others[0]}.get(service, service)


@pytest.mark.parametrize("services", TOGETHER, ids=" ".join)
def test_killed_containers_are_reported_and_healed(cluster: ClusterUnderTest, services: tuple[str, ...]) -> None:
    """`docker kill`: status names each and is not 0; `up` brings them back; acknowledged rows are all there."""
    victims = {name_of(cluster, service) for service in services}
    with psycopg.connect(cluster.dsn("rw"), autocommit=True) as session:
        session.execute("DROP TABLE IF EXISTS survives")
        session.execute("CREATE TABLE survives AS SELECT generate_series(1, 100) AS id")
    cluster.docker("kill", *(cluster.container(victim) for victim in victims))
    judged = cluster.assess()
    assert judged.level in (Level.DEGRADED, Level.DOWN)
    assert victims <= {finding.subject for finding in judged.findings}
    cluster.ok("up")
    assert cluster.run("status").returncode == 0
    with psycopg.connect(cluster.dsn("rw"), autocommit=True) as session:
        assert session.execute("SELECT count(*) FROM survives").fetchall() == [(100,)]
        session.execute("DROP TABLE survives")


@pytest.mark.parametrize("service", ["etcd2", "standby", "pgpool", "pgpool_rw", "haproxy_pgpool"])
def test_dead_process_comes_back_by_itself(cluster: ClusterUnderTest, service: str) -> None:
    """SIGKILL of a container's first process from outside: the engine starts it again, nobody is needed."""
    container = cluster.container(name_of(cluster, service))
    pid = cluster.docker("inspect", "--format", "{{.State.Pid}}", container)
    restarts = int(cluster.docker("inspect", "--format", "{{.RestartCount}}", container))
    host = ("run", "--rm", "--pid", "host", "--entrypoint", "sh")
    cluster.docker(*host, image_of(cluster, container), "-c", f"kill -9 {pid}")
    cluster.wait_level(lambda judged: judged.level is not Level.HEALTHY or counted(cluster, container) > restarts, 20)
    cluster.wait_healthy()
    assert counted(cluster, container) == restarts + 1


def counted(cluster: ClusterUnderTest, container: str) -> int:
    """How often the engine has restarted a container."""
    return int(cluster.docker("inspect", "--format", "{{.RestartCount}}", container))


def image_of(cluster: ClusterUnderTest, container: str) -> str:
    """A container's image."""
    return cluster.docker("inspect", "--format", "{{.Config.Image}}", container)


def test_paused_standby_is_seen(cluster: ClusterUnderTest) -> None:
    """A frozen standby answers nothing: status says so within its deadlines, and `up` lets it go on."""
    victim = name_of(cluster, "standby")
    cluster.docker("pause", cluster.container(victim))
    judged = cluster.assess()
    assert judged.level is Level.DEGRADED
    assert victim in {finding.subject for finding in judged.findings}
    cluster.ok("up")
    assert cluster.assess().level is Level.HEALTHY


def test_stale_view_of_pgpool_is_drift_and_mended(cluster: ClusterUnderTest) -> None:
    """After a switchover behind Pgpool's back, status flags the drift and `up` mends it."""
    leader = cluster.primary()
    cluster.docker(
        "exec",
        cluster.container(leader),
        "patronictl",
        "switchover",
        "--leader",
        leader,
        "--force",
    )
    cluster.wait_level(lambda judged: judged.primary not in (None, leader))
    done = cluster.run("up")
    assert done.returncode == 0, done.stderr
    judged = cluster.assess()
    assert judged.level is Level.HEALTHY
    assert judged.primary != leader
