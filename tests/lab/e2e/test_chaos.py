"""A short chaos run against a real cluster, by the user's command: every promise holds, and every workload ran."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.clusters import ClusterUnderTest, interrupt, load_json

from poolkeeper.model.assessment import Level
from poolkeeper_lab.chaos.history import jsonl

pytestmark = pytest.mark.e2e
SECONDS = 600
# Five minutes, in the order, with the moments and victims of a seed: some faults of each kind that every machine can
# inject. A campaign plays all of them (docs/test-record.md).
SUBSET = (
    *("kill_postmaster", "kill_standby", "switchover", "kill_everything"),
    *("kill_checkpointer", "term_all_backends", "freeze_walsenders", "freeze_etcd_leader", "kill_keeper"),
    *("kill_pgpool_children", "kill_haproxy", "disconnect_standby", "cut_primary_from_etcd_briefly"),
    *("standbys_do_not_hear", "reset_replication", "switchover_under_lock_queue", "waiting_commits_cancelled"),
)


def words(folder: Path, minutes: str, *scenarios: str) -> list[str]:
    """Return the command line of a run with a fixed seed."""
    which = [word for name in scenarios for word in ("--scenario", name)]
    return ["chaos", "run", "--minutes", minutes, "--seed", "1", "--reports", str(folder), *which]


def report(folder: Path) -> dict[str, Any]:
    """Return the JSON report of a run."""
    return load_json((folder / "chaos.json").read_text())


@pytest.mark.timeout(SECONDS + 60)
def test_five_seeded_minutes_hold_every_promise(cluster: ClusterUnderTest, tmp_path: Path) -> None:
    done = cluster.run(*words(tmp_path, "5", *SUBSET), timeout=SECONDS)
    assert done.returncode == 0, f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    written = report(tmp_path)
    assert written["outcome"] == "pass"
    assert len(written["passages"]) > len(SUBSET) / 2
    assert written["lost"] == 0
    assert [s["workload"] for s in written["shares"] if not s["ok"]] == []
    assert cluster.assess().level is Level.HEALTHY
    (history,) = tmp_path.glob("*.jsonl")
    assert {path.name for path in tmp_path.iterdir()} == {"chaos.md", "chaos.html", "chaos.json", history.name}
    assert cluster.run("chaos", "check", str(history)).returncode == 0


@pytest.mark.timeout(SECONDS + 60)
def test_an_interrupted_run_heals_and_checks_its_history(cluster: ClusterUnderTest, tmp_path: Path) -> None:
    child = cluster.spawn(*words(tmp_path, "1", "freeze_node"))
    cluster.wait_paused(child)
    assert interrupt(child, 240) in (0, 3)  # the one fault that was planned had begun, and is healed
    assert not cluster.paused()
    assert report(tmp_path)["is_interrupted"]
    (history,) = tmp_path.glob("*.jsonl")
    assert jsonl.read(history).final_state is not None
    cluster.wait_healthy(180)


@pytest.mark.timeout(SECONDS + 60)
def test_an_injected_bug_is_caught_and_removed_from_the_cluster(cluster: ClusterUnderTest, tmp_path: Path) -> None:
    done = cluster.run("chaos", "self-test", "--bug", "election_by_keeper", "--reports", str(tmp_path), timeout=SECONDS)
    assert done.returncode == 0, f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    written: dict[str, Any] = load_json((tmp_path / "self-test.json").read_text())
    (bug,) = written["bugs"]
    assert (bug["outcome"], bug["caught_by"]) == ("pass", "set: lost")
    assert cluster.assess().level is Level.HEALTHY
