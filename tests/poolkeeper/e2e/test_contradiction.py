"""A Pgpool-II that contradicts itself: injected through a race in its source, and repaired by keeper.

Only clients see the contradiction.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from tests.clusters import ClusterUnderTest
from tests.poolkeeper.e2e import keeper_steps
from tests.poolkeeper.e2e.hammer import wait_for

from poolkeeper.model.decision import Verb
from poolkeeper_lab.faults import choices
from poolkeeper_lab.faults.host import Host
from poolkeeper_lab.faults.packets import DropPackets

pytestmark = pytest.mark.e2e

SYN_SENT = "02"  # /proc/net/tcp: the state of a connection whose first packet is not answered
SIGN = "kind does not match between main(0) slot[0]"


@pytest.fixture(autouse=True)
def leave_it_healthy(cluster: ClusterUnderTest) -> Iterator[None]:
    yield
    keeper_steps.heal(cluster)


def answer(cluster: ClusterUnderTest) -> str:
    """Return "" if 9999 accepts a new session, else the error."""
    try:
        with psycopg.connect(cluster.dsn("balanced"), connect_timeout=15) as session:
            session.execute("SELECT 1")
    except psycopg.Error as e:
        return str(e)
    return ""


def is_connecting(host: Host, service: str, address: str) -> bool:
    """Does a child of Pgpool-II wait for the answer of a server at this address? Its health check may do so as well."""
    table = Path(f"/proc/{host.first_process(service)}/net/tcp").read_text(encoding="utf-8").splitlines()[1:]
    wanted = "".join(f"{int(part):02X}" for part in reversed(address.split("."))) + f":{5432:04X}"
    rows = [line.split() for line in table]
    waiting = {f"socket:[{row[9]}]" for row in rows if row[2] == wanted and row[3] == SYN_SENT}
    return any(waiting & open_files(child.pid) for child in choices.pool_children(host.processes(service)))


def open_files(pid: int) -> set[str]:
    """Return the targets of a process's file descriptors, without those that it closed meanwhile; none if it ended."""
    found: set[str] = set()
    try:
        descriptors = list(Path(f"/proc/{pid}/fd").iterdir())
    except FileNotFoundError:
        return found
    for descriptor in descriptors:
        with contextlib.suppress(FileNotFoundError):
            found.add(str(descriptor.readlink()))
    return found


def contradict(cluster: ClusterUnderTest, node: str) -> None:
    """A child of the balanced endpoint is still connecting to this node while it is detached, and gets through then."""
    host, service = Host(cluster.handle), cluster.handle.spec.endpoints.balanced.service
    address = str(cluster.handle.spec.addresses()[node])
    cut = DropPackets(host, service, [address])
    cut.aim()
    late = threading.Thread(target=answer, args=(cluster,))
    cut.inject()
    try:
        late.start()
        wait_for(lambda: is_connecting(host, service, address), "a child that waits for the node")
        keeper_steps.command_pool(cluster, node, promote=False)
        wait_for(lambda: keeper_steps.pool_view(cluster)[node].status == "down", "the detached node", 20)
    finally:
        cut.heal()
        late.join(30)


def test_a_contradicting_endpoint_accepts_sessions_again(cluster: ClusterUnderTest) -> None:
    """Without keeper the state stays, while the control port reports no fault; keeper repairs it by a detach."""
    spec = cluster.handle.spec
    first, keeper = spec.nodes[0].name, cluster.container(spec.keeper.service)
    if cluster.primary() == first:
        cluster.ok("switchover")
        cluster.wait_healthy()
    cluster.docker(
        "restart", cluster.container(spec.endpoints.balanced.service)
    )  # so that no child has a pooled connection
    cluster.wait_healthy()
    journal = keeper_steps.Journal(cluster)
    cluster.docker("stop", keeper)
    try:
        contradict(cluster, first)
        wait_for(lambda: keeper_steps.pool_view(cluster)[first].status == "up", "the node to be up in Pgpool's view")
        assert SIGN in answer(cluster)
        assert {node.status for node in keeper_steps.pool_view(cluster).values()} == {"up"}
    finally:
        cluster.docker("start", keeper)
    wait_for(lambda: answer(cluster) == "", "sessions to be let in again", 40)
    cluster.wait_healthy()
    assert journal.find(event="done", what=Verb.DETACH.value, node=first)
    assert not journal.find(event="decided", what=Verb.RESTART.value)
