"""etcd and Patroni with their rendered files: the store serves, reports a lost quorum, and Patroni accepts its file.

Patroni's check opens a connection to each member of the store, so it runs beside a real one.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.poolkeeper.integration.conftest import Bench, Benches
from tests.poolkeeper.unit import deployments, snapshots

from poolkeeper.core import errors, wait
from poolkeeper.model.observed import EtcdView
from poolkeeper.system import compose, etcd, process

pytestmark = pytest.mark.integration


@dataclass(frozen=True)
class Store:
    """The members of a store in a network of their own: name → container, address."""

    bench: Bench
    network: str
    containers: dict[str, str]
    addresses: dict[str, str]

    def view(self, member: str) -> EtcdView:
        """Return our adapter's view of a member."""
        return asyncio.run(etcd.observe(self.addresses[member], 5))

    def validate(self, config: Path | None = None) -> process.Finished:
        """Run Patroni's own check of a node's file."""
        return self.bench.run("pg_node1", "validate", config=config, options=["--network", self.network])


@pytest.fixture(scope="module")
def store(benches: Benches) -> Store:
    """Three members that have a quorum."""
    # "quorum" is documented and works, but the check of Patroni 4.0 takes truth values only: see below.
    made = benches.make(deployments.edit(snapshots.SPEC, "replication.synchronous_mode", "on"))
    label = f"{compose.CLUSTER}={made.label}"
    process.check(["docker", "network", "create", "--label", label, made.label])
    names = [member.name for member in made.spec.etcd.members]
    containers = {name: made.start(name, options=["--network", made.label, "--network-alias", name]) for name in names}
    form = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    addresses = {
        name: process.check(["docker", "inspect", "--format", form, container]).strip()
        for name, container in containers.items()
    }
    found = Store(made, made.label, containers, addresses)

    async def healthy() -> None:
        for name in names:
            try:
                view = await etcd.observe(addresses[name], 5)
            except errors.PoolkeeperError as e:
                raise wait.NotYet(f"{name}: {e.message}") from e
            if not view.healthy:
                raise wait.NotYet(f"{name} has no quorum")

    asyncio.run(wait.wait_for("a quorum", healthy, seconds=30))
    return found


def test_patroni_accepts_its_file(store: Store) -> None:
    """Patroni prints no message."""
    done = store.validate()
    assert (done.code, done.output) == (0, "")


def test_patronis_only_complaint_about_quorum_commit_is_the_known_one(store: Store, bench: Bench) -> None:
    """Patroni 4.0's check does not know the value that its documentation names; everything else is in order.

    A complete cluster proves that Patroni itself accepts it: synchronous_standby_names is "ANY …" there.
    """
    done = store.validate(bench.config("pg_node1"))
    assert done.output in ("", "bootstrap.dcs.synchronous_mode quorum is not a boolean")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("ttl: 20", "ttl: soon", "ttl"),
        ("scope: poolkeeper\n", "", "scope"),
        ("bin_dir: /usr/lib/postgresql/17/bin", "bin_dir: /usr/lib/postgresql/9/bin", "bin_dir"),
        ("- etcd1:2379", "- nowhere:2379", "nowhere:2379"),
        ("name: pg_node1", "name: [", "expected ',' or ']'"),
    ],
)
def test_patroni_refuses_an_injected_mistake(store: Store, old: str, new: str, said: str) -> None:
    """The mistakes: a wrong type, a missing key, an absent server, a silent store, no YAML."""
    done = store.validate(store.bench.altered_copy("pg_node1", "patroni.yml", old, new))
    assert done.code == 1
    assert said in done.output


def test_a_store_without_a_quorum_reports_it(store: Store) -> None:
    """The one member of three that is left answers that it serves no client; that is not silence."""
    assert store.view("etcd1").healthy
    process.check(["docker", "kill", store.containers["etcd2"], store.containers["etcd3"]])

    async def lost() -> None:
        try:
            view = await etcd.observe(store.addresses["etcd1"], 5)
        except errors.Unreachable as e:  # for a moment it waits for the others itself
            raise wait.NotYet(e.message) from e
        wait.require("it is healthy" if view.healthy else None)

    asyncio.run(wait.wait_for("the loss of the quorum", lost, seconds=20))
    with pytest.raises(errors.Unreachable):
        store.view("etcd2")
