"""A second cluster beside the first: interrupted, complete, or refused, it leaves nothing and disturbs nothing."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest
from tests.clusters import ClusterUnderTest, interrupt, make_folder
from tests.poolkeeper.e2e.identities import identities

pytestmark = pytest.mark.e2e

INITIALIZING = "starting etcd1"  # and every node; the first one begins to initialize its data


def another(text: str) -> str:
    """Return the same cluster under another name, on another network and other ports."""
    text = text.replace('name = "poolkeeper"', 'name = "other"').replace("10.8.0.", "10.219.7.")
    moved = {"561": "581", "510": "530", "520": "540", "840": "860", "999": "979"}
    for old, new in ((f"= {old}", f"= {new}") for old, new in moved.items()):
        text = text.replace(old, new)
    return text


def smaller(text: str) -> str:
    """Return the cluster with one standby and one etcd member: two cores carry no more beside another cluster."""
    text = re.sub(r'(?s)\[\[nodes\]\]\nname = "pg_node3".*?(?=\n\[)', "", text, count=1)
    return re.sub(r'(?s)\[\[etcd\.members\]\]\nname = "etcd[23]".*?(?=\n\[)', "", text)


def leftovers(cluster: ClusterUnderTest, name: str) -> list[str]:
    """Return the containers, networks and volumes that still have the cluster's label."""
    label = f"label=poolkeeper.cluster={name}"
    found = [cluster.docker("ps", "-aq", "--filter", label)]
    found += [cluster.docker(kind, "ls", "-q", "--filter", label) for kind in ("network", "volume")]
    return [line for text in found for line in text.splitlines()]


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


def test_a_taken_port_is_reported(tmp_path: Path) -> None:
    """A port in use is named with its holder before anything is started; nothing is left behind."""
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
