"""The keeper repairs changes of others, may be killed at any moment, and does nothing without its sources."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from tests.clusters import ClusterUnderTest
from tests.poolkeeper.e2e import keeper_steps
from tests.poolkeeper.e2e.hammer import wait_for
from tests.poolkeeper.e2e.test_operations import Writer, standbys

from poolkeeper.model.assessment import Level
from poolkeeper.model.decision import Verb
from poolkeeper_lab.faults.host import Host

pytestmark = pytest.mark.e2e

CORRECTIONS = {verb.value for verb in (Verb.PROMOTE, Verb.ATTACH, Verb.DETACH, Verb.RESTART)}


@pytest.fixture(autouse=True)
def leave_it_healthy(cluster: ClusterUnderTest) -> Iterator[None]:
    yield
    keeper_steps.heal(cluster)


@pytest.mark.parametrize("wrong", ["a false primary", "a standby detached"])
def test_stale_view_of_pgpool_is_repaired(cluster: ClusterUnderTest, wrong: str) -> None:
    """The fault is injected by PCP while no keeper runs, so that it stays; a keeper repairs it as soon as it runs."""
    primary, victim = cluster.primary(), standbys(cluster)[0]
    keeper = cluster.container(cluster.handle.spec.keeper.service)
    journal = keeper_steps.Journal(cluster)
    cluster.docker("stop", keeper)
    if wrong == "a false primary":
        keeper_steps.command_pool(cluster, victim, promote=True)
        wait_for(lambda: keeper_steps.pool_primary(cluster) == victim, "the false primary")
    else:
        keeper_steps.command_pool(cluster, victim, promote=False)
        wait_for(lambda: keeper_steps.pool_view(cluster)[victim].status == "down", "the detached standby")
    assert any(victim in str(finding) for finding in cluster.assess().findings)
    cluster.docker("start", keeper)
    assert cluster.wait_healthy(40).primary == primary
    assert [event for event in journal.find(event="done") if event["what"] in CORRECTIONS]
    assert not journal.releases()


def test_pgpool_restarted_in_the_middle_of_a_failover(cluster: ClusterUnderTest) -> None:
    """Pgpool-II restarts without memory while roles move, and gets the right view before the former primary is back."""
    former = cluster.primary()
    with keeper_steps.killed(cluster, former):
        cluster.docker("restart", "--time", "0", cluster.container(cluster.handle.spec.endpoints.balanced.service))
        primary = keeper_steps.new_primary(cluster, former)
        wait_for(lambda: keeper_steps.pool_primary(cluster) == primary, "the new primary in Pgpool's view", 40)
        wait_for(lambda: keeper_steps.pool_view(cluster)[former].status == "down", "the dead node to be down in it", 20)
    assert cluster.primary() == primary


@pytest.mark.parametrize("moment", ["the death", "a correction"])
def test_keeper_killed_in_the_middle(cluster: ClusterUnderTest, moment: str) -> None:
    """Keeper dies with the primary, or between a decision and its effect in Pgpool-II; the next one completes it."""
    former, keeper = cluster.primary(), cluster.handle.spec.keeper.service
    host, journal = Host(cluster.handle), keeper_steps.Journal(cluster)
    pid = host.first_process(keeper)
    with Writer(cluster) as writer, keeper_steps.killed(cluster, former):
        if moment == "a correction":
            wait_for(lambda: {e["what"] for e in journal.find(event="decided")} & CORRECTIONS, "a correction", 30)
        host.send(signal.SIGKILL, [pid], keeper)
        primary = keeper_steps.new_primary(cluster, former, 40)
        wait_for(lambda: keeper_steps.pool_primary(cluster) == primary, "the new primary in Pgpool's view", 40)
    assert host.first_process(keeper) != pid
    assert writer.lost() == set()


def test_a_keeper_without_its_store_does_nothing_and_reports_it(cluster: ClusterUnderTest) -> None:
    """While the majority of etcd is frozen, the keeper executes nothing, even after a death that it sees."""
    former = cluster.primary()
    journal = keeper_steps.Journal(cluster)
    frozen = [cluster.container(member.name) for member in cluster.handle.spec.etcd.members[:2]]
    cluster.docker("pause", *frozen)
    try:
        journal.wait(30, event="store", state="unknown")
        known = len(journal.find(event="decided"))
        cluster.docker("kill", cluster.container(former))
        journal.wait(10, event="seen", node=former, process="dead")
        assert cluster.assess().level is not Level.HEALTHY  # this takes some time
        assert len(journal.find(event="decided")) == known
        assert not journal.releases()
    finally:
        cluster.docker("unpause", *frozen)
    journal.wait(30, event="store", state="answers again")
    keeper_steps.new_primary(cluster, former, 60)
    cluster.docker("start", cluster.container(former))
    cluster.wait_healthy()
