"""Planned operations on a running cluster: each completes, or is refused with a reason, and no write is lost."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import psycopg
import pytest
from tests.clusters import ClusterUnderTest, load_json
from tests.poolkeeper.e2e.hammer import wait_for

from poolkeeper.model.assessment import Level
from poolkeeper.render import patroni_config

pytestmark = pytest.mark.e2e

REFUSED = 37
PAUSE = 10.0  # seconds: bounds an outage on a busy machine; how short it is, the drill measures
STARTED = "SELECT pg_postmaster_start_time(), (pg_control_system()).system_identifier"


@pytest.fixture(autouse=True)
def leave_it_healthy(cluster: ClusterUnderTest) -> Iterator[None]:
    """Bring the cluster up after each test, so that the next one finds it healthy."""
    yield
    cluster.ok("up")


def standbys(cluster: ClusterUnderTest) -> list[str]:
    """Return the nodes that are not the primary."""
    primary = cluster.primary()
    return [node.name for node in cluster.handle.spec.nodes if node.name != primary]


def started(cluster: ClusterUnderTest, *names: str) -> dict[str, Any]:
    """Return when PostgreSQL was started on these nodes; on all if none is named."""
    found = {}
    for i, node in enumerate(cluster.handle.spec.nodes, start=1):
        if names and node.name not in names:
            continue
        with psycopg.connect(cluster.dsn(f"node{i}", "superuser")) as session:
            ((at, _),) = session.execute(STARTED).fetchall()
            found[node.name] = at
    return found


class Writer:
    """A client that writes numbers through the read-write endpoint, each on a fresh connection, until it is stopped."""

    def __init__(self, cluster: ClusterUnderTest) -> None:
        self.acknowledged: list[int] = []
        self.errors: list[str] = []
        self._dsn = cluster.dsn("rw")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write)
        with psycopg.connect(self._dsn, autocommit=True) as session:
            session.execute("DROP TABLE IF EXISTS numbers")
            session.execute("CREATE TABLE numbers (n int PRIMARY KEY)")

    def __enter__(self) -> Writer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=60)

    def _write(self) -> None:
        n = 0
        while not self._stop.is_set():
            n += 1
            try:
                with psycopg.connect(self._dsn, autocommit=True, connect_timeout=15) as session:
                    session.execute("INSERT INTO numbers VALUES (%s)", [n])
                self.acknowledged.append(n)
            except psycopg.Error as e:
                self.errors.append(str(e))

    def lost(self) -> set[int]:
        """Return the acknowledged numbers that are missing."""
        with psycopg.connect(self._dsn) as session:
            there = {row[0] for row in session.execute("SELECT n FROM numbers").fetchall()}
        return set(self.acknowledged) - there


def test_switchover_moves_the_role_and_loses_nothing(cluster: ClusterUnderTest) -> None:
    """The role moves, every view follows, the pause is measured, and each acknowledged write is there."""
    former = cluster.primary()
    with Writer(cluster) as writer:
        document = load_json(cluster.ok("switchover", "--json"))
    assert document["former"] == former
    assessment = cluster.assess()
    assert assessment.primary == document["primary"] != former
    assert assessment.level is Level.HEALTHY, [str(finding) for finding in assessment.findings]
    assert 0 < float(str(document["pause"])) <= PAUSE
    assert 0 < float(str(document["write_pause"])) <= PAUSE
    assert document["steps"]
    assert writer.acknowledged
    assert writer.lost() == set()


def test_switchover_to_a_named_node(cluster: ClusterUnderTest) -> None:
    wanted = standbys(cluster)[-1]
    done = cluster.run("switchover", "--to", wanted)
    assert done.returncode == 0, done.stderr
    assert f"→ {wanted}" in done.stdout
    assert cluster.primary() == wanted


def test_dry_run_changes_nothing(cluster: ClusterUnderTest) -> None:
    primary, before = cluster.primary(), started(cluster)
    document = load_json(cluster.ok("switchover", "--dry-run", "--json"))
    assert (document["leader"], document["allowed"]) == (primary, True)
    assert document["candidate"] in standbys(cluster)
    assert "✔" in cluster.ok("switchover", "--dry-run")
    assert (cluster.primary(), started(cluster)) == (primary, before)


def test_operations_are_refused_while_standbys_are_out(cluster: ClusterUnderTest) -> None:
    """A switchover to the leader, to a node that is stopped, and when no standby is left; a restart while one is out.

    A reason each, and nothing is begun.
    """
    primary, before, (first, second) = cluster.primary(), started(cluster), standbys(cluster)
    refused(cluster, primary, "switchover", "--to", primary)
    cluster.docker("stop", cluster.container(first))
    refused(cluster, primary, "switchover", "--to", first)
    assert first in refused(cluster, primary, "restart", second).stderr
    refused(cluster, primary, "restart")
    assert started(cluster, second) == {second: before[second]}
    cluster.docker("stop", cluster.container(second))
    refused(cluster, primary, "switchover")
    refused(cluster, primary, "switchover", "--dry-run")
    assert cluster.run("switchover", "--to", "nobody").returncode == 2


def refused(cluster: ClusterUnderTest, primary: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command that must be refused; the primary stays the same."""
    done = cluster.run(*words)
    assert done.returncode == REFUSED, done.stdout + done.stderr
    assert cluster.primary() == primary
    return done


def test_rolling_restart_restarts_every_node(cluster: ClusterUnderTest) -> None:
    """Each PostgreSQL is a new process, the former primary is restarted last, and nothing acknowledged is lost."""
    former, before = cluster.primary(), started(cluster)
    with Writer(cluster) as writer:
        document = load_json(cluster.ok("restart", "--json"))
    after = started(cluster)
    assert all(after[node] > before[node] for node in before)
    assert isinstance(nodes := document["nodes"], list)
    assert nodes[-1] == former
    assert after[former] == max(after.values())
    assert cluster.primary() != former
    assert writer.lost() == set()


def test_restart_of_one_standby_leaves_the_others_alone(cluster: ClusterUnderTest) -> None:
    primary, before, node = cluster.primary(), started(cluster), standbys(cluster)[0]
    cluster.ok("restart", node)
    after = started(cluster)
    assert {name for name in before if after[name] != before[name]} == {node}
    assert cluster.primary() == primary


def test_maintenance_mode_is_reported_and_forbids(cluster: ClusterUnderTest) -> None:
    """While the mode is on, status reports it and no operation moves a role. Switched off, the cluster is as before."""
    primary = cluster.primary()
    try:
        cluster.ok("maintenance", "on")
        assessment = cluster.assess()
        assert assessment.level is Level.DEGRADED
        assert any("maintenance" in finding.message or "paused" in finding.message for finding in assessment.findings)
        assert "already" in cluster.run("maintenance", "on").stderr
        refused(cluster, primary, "switchover")
        refused(cluster, primary, "restart")
    finally:
        cluster.ok("maintenance", "off")
    assert cluster.wait_healthy(30).primary == primary


def test_reinit_clones_a_standby_that_does_not_start(cluster: ClusterUnderTest) -> None:
    """Its configuration file is damaged; `status` says so, and `reinit` is the way out."""
    node = next(node.name for node in cluster.handle.spec.nodes if node.name != cluster.primary())
    script = """
        data=$(dirname "$(find /var/lib/postgresql/data -name postmaster.pid)")
        echo "damaged = = line" >> "$data/postgresql.auto.conf"
        kill -9 "$(head -n 1 "$data/postmaster.pid")"
    """
    cluster.docker("exec", cluster.container(node), "sh", "-c", script)

    def reported() -> bool:
        return f"{node}: PostgreSQL does not start: FATAL" in cluster.run("status").stdout

    wait_for(reported, "the reason in status", 60)
    cluster.ok("reinit", node, "--yes")
    cluster.wait_healthy()


def test_reinit_clones_a_standby_again(cluster: ClusterUnderTest) -> None:
    """A file that the old copy alone had is gone; the node streams, and Pgpool has it."""
    primary, node = cluster.primary(), standbys(cluster)[0]
    container, marker = cluster.container(node), f"{patroni_config.DATA_DIRECTORY}/of_the_old_copy"
    cluster.docker("exec", "-u", "postgres", container, "touch", marker)
    assert cluster.run("reinit", node).returncode == 2, "without a terminal and without --yes"
    refused(cluster, primary, "reinit", primary, "--yes")
    cluster.ok("reinit", node, "--yes")
    assert cluster.assess().level is Level.HEALTHY
    gone = subprocess.run(["docker", "exec", container, "test", "-e", marker], check=False, timeout=30)
    assert gone.returncode == 1


def test_events_show_a_switchover_in_order(cluster: ClusterUnderTest) -> None:
    """The steps of all components stand in the only possible order."""
    cluster.ok("switchover")
    former_timeline = timeline(cluster)
    document = load_json(cluster.ok("switchover", "--json"))
    last = timeline(cluster)
    assert (last["kind"], last["former"], last["primary"]) == ("switchover", document["former"], document["primary"])
    assert datetime.fromisoformat(last["began"]) > datetime.fromisoformat(former_timeline["began"])
    steps = last["steps"]
    assert [step["at"] for step in steps] == sorted(step["at"] for step in steps)
    former, primary = document["former"], document["primary"]
    order = [
        ("switchover asked for", former),
        ("demoted", former),
        ("lease taken", primary),
        ("promoted", primary),
        ("streams", former),
    ]
    firsts = [first(steps, act, node) for act, node in order]
    assert firsts == sorted(firsts)
    assert first(steps, "route open", primary) > 0
    assert {cluster.handle.spec.haproxy.service, former, primary} <= {step["service"] for step in steps}
    assert f"{former} → {primary}" in cluster.ok("events", "--since", "5m")


def timeline(cluster: ClusterUnderTest) -> dict[str, Any]:
    """Return the JSON output of `events`."""
    document = json.loads(cluster.ok("events", "--since", "5m", "--json"))
    assert isinstance(document, dict)
    return document


def first(steps: list[dict[str, Any]], kind: str, node: object) -> int:
    """Return the offset of the first such step of that node, in milliseconds."""
    found = [step["offset_ms"] for step in steps if (step["kind"], step["node"]) == (kind, node)]
    assert found, f"no step {kind!r} of {node}: {steps}"
    return int(found[0])


def test_a_quiet_time_has_no_events(cluster: ClusterUnderTest) -> None:
    time.sleep(2)  # so that the last second has no event of an earlier test: nothing else can be waited for
    assert cluster.run("events", "--since", "1s").returncode == 1
