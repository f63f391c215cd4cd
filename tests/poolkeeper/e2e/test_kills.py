"""Each kind of service is killed in a running cluster: it recovers, or `status` reports it and `up` repairs it."""

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
    """Bring the cluster up after each test, so that the next one finds it healthy."""
    yield
    cluster.ok("up")


def name_of(cluster: ClusterUnderTest, service: str) -> str:
    """Return the service of a role, or the service itself."""
    primary = cluster.primary() if service in ("primary", "standby") else ""
    others = [node.name for node in cluster.handle.spec.nodes if node.name != primary]
    return {"primary": primary, "standby": others[0]}.get(service, service)


@pytest.mark.parametrize("services", TOGETHER, ids=" ".join)
def test_killed_containers_are_reported_and_started_again(cluster: ClusterUnderTest, services: tuple[str, ...]) -> None:
    """After `docker kill`, status names each; `up` starts them again, and no acknowledged row is lost."""
    victims = {name_of(cluster, service) for service in services}
    with psycopg.connect(cluster.dsn("rw"), autocommit=True) as session:
        session.execute("DROP TABLE IF EXISTS survives")
        session.execute("CREATE TABLE survives AS SELECT generate_series(1, 100) AS id")
    cluster.docker("kill", *(cluster.container(victim) for victim in victims))
    assessment = cluster.assess()
    assert assessment.level in (Level.DEGRADED, Level.DOWN)
    assert victims <= {finding.subject for finding in assessment.findings}
    cluster.ok("up")
    assert cluster.run("status").returncode == 0
    with psycopg.connect(cluster.dsn("rw"), autocommit=True) as session:
        assert session.execute("SELECT count(*) FROM survives").fetchall() == [(100,)]
        session.execute("DROP TABLE survives")


@pytest.mark.parametrize("service", ["etcd2", "standby", "pgpool", "pgpool_rw", "haproxy_pgpool"])
def test_a_dead_process_is_started_again(cluster: ClusterUnderTest, service: str) -> None:
    """The engine restarts a container whose first process is killed from outside."""
    container = cluster.container(name_of(cluster, service))
    pid = cluster.docker("inspect", "--format", "{{.State.Pid}}", container)
    restarts = int(cluster.docker("inspect", "--format", "{{.RestartCount}}", container))
    host = ("run", "--rm", "--pid", "host", "--entrypoint", "sh")
    cluster.docker(*host, image_of(cluster, container), "-c", f"kill -9 {pid}")
    cluster.wait_level(lambda found: found.level is not Level.HEALTHY or counted(cluster, container) > restarts, 20)
    cluster.wait_healthy()
    assert counted(cluster, container) == restarts + 1


def counted(cluster: ClusterUnderTest, container: str) -> int:
    """Return how often the engine has restarted a container."""
    return int(cluster.docker("inspect", "--format", "{{.RestartCount}}", container))


def image_of(cluster: ClusterUnderTest, container: str) -> str:
    """Return a container's image."""
    return cluster.docker("inspect", "--format", "{{.Config.Image}}", container)


def test_a_paused_standby_is_reported(cluster: ClusterUnderTest) -> None:
    """A paused standby does not answer: status reports it within its deadlines, and `up` unpauses it."""
    victim = name_of(cluster, "standby")
    cluster.docker("pause", cluster.container(victim))
    assessment = cluster.assess()
    assert assessment.level is Level.DEGRADED
    assert victim in {finding.subject for finding in assessment.findings}
    cluster.ok("up")
    assert cluster.assess().level is Level.HEALTHY


def test_a_stale_view_of_pgpool_is_repaired(cluster: ClusterUnderTest) -> None:
    """After a switchover by patronictl, `up` returns with a healthy cluster under the new primary."""
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
    cluster.wait_level(lambda assessment: assessment.primary not in (None, leader))
    done = cluster.run("up")
    assert done.returncode == 0, done.stderr
    assessment = cluster.assess()
    assert assessment.level is Level.HEALTHY
    assert assessment.primary != leader
