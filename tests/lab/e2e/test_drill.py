"""The drill by the user's command, against a real cluster: its record of every write must be complete."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from tests.clusters import ClusterUnderTest, interrupt, load_json

from poolkeeper.model.assessment import Level
from poolkeeper_lab.drill import drill_faults

pytestmark = pytest.mark.e2e
SECONDS = 480
ELSEWHERE = {  # injected by another test that checks at least as much
    "freeze_node": "test_interrupted_drill_heals_its_fault; test_direct_endpoints, for the sessions of the frozen node",
    "kill_etcd_leader": "test_baseline_runs_with_the_keeper_off_and_starts_it_again",
    "kill_haproxy": "test_kills",
    "kill_pgpool": "test_kills",
    "kill_standby": "test_kills",
    "kill_keeper": "test_keeper",
}
NEEDS_ROOT = ("drop_packets_to",)  # the packet filter
TOGETHER = tuple(name for name in drill_faults.NAMES if name not in ELSEWHERE and name not in NEEDS_ROOT)


def drill(cluster: ClusterUnderTest, folder: Path, *words: str) -> dict[str, Any]:
    """Run a drill and return its report; fail if a round did not run or heal, or a write was lost or stored twice."""
    done = cluster.run("drill", *words, "--json", "--reports", str(folder), timeout=SECONDS)
    assert done.returncode == 0, f"{done.stdout[-4000:]}\n{done.stderr}"
    return load_json(done.stdout)


@pytest.mark.timeout(SECONDS + 60)
@pytest.mark.parametrize("names", [TOGETHER, NEEDS_ROOT], ids=" ".join)
def test_faults_lose_nothing_and_heal(cluster: ClusterUnderTest, tmp_path: Path, names: tuple[str, ...]) -> None:
    if names == NEEDS_ROOT and os.geteuid() != 0:
        pytest.skip("the packet filter needs root")
    faults = drill(cluster, tmp_path, *names, "--rounds", "1", "--seed", "1")["faults"]
    assert sorted(fault["fault"] for fault in faults) == sorted(names)
    for fault in faults:
        assert (fault["lost"], fault["duplicates"], fault["phantoms"], fault["stale"]) == (0, 0, 0, 0), fault["fault"]
        assert fault["acknowledged"] > 100
        assert fault["write_gap"]["count"] == fault["read_gap"]["count"] == fault["back"]["count"] == 1
    assert {path.suffix for path in tmp_path.iterdir()} == {".md", ".html", ".json"}
    assert cluster.assess().level is Level.HEALTHY
    for made in (made for fault in faults if fault["fault"] == "kill_node" for made in fault["rounds"]):
        # A new primary, and a split of the gap that adds up; the gap begins with the last acknowledgement before the
        # fault, a few ms earlier than the split.
        assert made["new_primary"] not in (None, made["victim"])
        assert sum(made["split"].values()) == pytest.approx(made["write_gap"], abs=0.5)


@pytest.mark.timeout(SECONDS + 60)
def test_baseline_runs_with_the_keeper_off_and_starts_it_again(cluster: ClusterUnderTest, tmp_path: Path) -> None:
    (fault,) = drill(cluster, tmp_path, "kill_etcd_leader", "--rounds", "1", "--baseline")["faults"]
    assert sorted(made["keeper"] for made in fault["rounds"]) == [False, True]
    keeper = cluster.container(cluster.handle.spec.keeper.service)
    assert cluster.docker("inspect", "--format", "{{.State.Status}}", keeper) == "running"


@pytest.mark.timeout(SECONDS + 60)
def test_interrupted_drill_heals_its_fault(cluster: ClusterUnderTest, tmp_path: Path) -> None:
    child = cluster.spawn("drill", "freeze_node", "--rounds", "1", "--reports", str(tmp_path))
    cluster.wait_paused(child)
    assert interrupt(child) == 130
    assert not cluster.paused()
    cluster.wait_healthy(180)
