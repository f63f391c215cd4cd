"""Edits that an existing cluster cannot take are refused with a reason; no edit is ignored silently."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network
from typing import Any, Literal, get_args, get_origin

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from tests.poolkeeper.unit import deployments, snapshots
from tests.poolkeeper.unit.deployments import Deployment
from tests.poolkeeper.unit.snapshots import SPEC

from poolkeeper.core import errors
from poolkeeper.decide import unsafe
from poolkeeper.model.spec import ClusterSpec

RUNNING = deployments.running(SPEC)
STOPPED = deployments.stopped(SPEC)
Edits = Sequence[tuple[str, Any]]


def edited(*edits: tuple[str, Any], spec: ClusterSpec = SPEC) -> ClusterSpec:
    """Return the spec with these values at these paths."""
    for path, value in edits:
        spec = deployments.edit(spec, path, value)
    return spec


def refusal(before: Deployment, spec: ClusterSpec) -> str:
    """Return the complete text of the refusal."""
    with pytest.raises(errors.UnsafeChange) as caught:
        before.plan(spec)
    assert caught.value.hint
    return f"{caught.value.message}\n{caught.value.detail}"


NODE = SPEC.nodes
UNSAFE: dict[str, tuple[Deployment, ClusterSpec, str]] = {
    "another name": (RUNNING, edited(("name", "blue")), "cannot be renamed to 'blue'"),
    "another name, stopped": (STOPPED, edited(("name", "blue")), "cannot be renamed to 'blue'"),
    "another network": (
        RUNNING,
        edited(("network.subnet", IPv4Network("10.9.0.0/24"))),
        "network.subnet: 10.8.0.0/24 → 10.9.0.0/24",
    ),
    "etcd grows": (
        RUNNING,
        snapshots.spec_of(members=5),
        "etcd.members: etcd1, etcd2, etcd3 → etcd1, etcd2, etcd3, etcd4",
    ),
    "etcd shrinks": (STOPPED, snapshots.spec_of(members=1), "etcd.members: etcd1, etcd2, etcd3 → etcd1 (fixed"),
    "an etcd member has another name": (RUNNING, edited(("etcd.members.0.name", "store")), "→ etcd2, etcd3, store"),
    "the primary is removed": (
        deployments.running(SPEC, "pg_node3"),
        snapshots.spec_of(2),
        "pg_node3 is the primary and is no longer declared",
    ),
    "a node is removed while stopped": (STOPPED, snapshots.spec_of(2), "pg_node3 would be removed with its data"),
    "all nodes have other names, stopped": (
        STOPPED,
        edited(*((f"nodes.{i}.name", f"n{i}") for i in range(3))),
        "pg_node1, pg_node2, pg_node3 would be removed with its data",
    ),
    "a node becomes an etcd member": (
        deployments.running(snapshots.spec_of(4)),
        edited(("etcd.members.0.name", "pg_node4")),
        "pg_node4 is a PostgreSQL node and cannot become something else",
    ),
    "a node becomes an endpoint": (
        deployments.running(snapshots.spec_of(4)),
        edited(("endpoints.ro.service", "pg_node4")),
        "pg_node4 is a PostgreSQL node and cannot become something else",
    ),
    "two addresses change places": (
        RUNNING,
        edited(("nodes.0.address", NODE[1].address), ("nodes.1.address", NODE[0].address)),
        "pg_node1: its new address 10.8.0.12 is still pg_node2's",
    ),
    "two ports change places": (
        RUNNING,
        edited(("endpoints.rw.port", 9999), ("endpoints.balanced.port", 5100)),
        "pgpool: its new port 5100 is still haproxy_pgpool's",
    ),
    **{
        f"another {role}": (RUNNING, edited((f"roles.{role}", "somebody")), f"roles.{role}: ")
        for role in unsafe.FIXED_ROLES
    },
}


@pytest.mark.parametrize(("before", "spec", "part"), UNSAFE.values(), ids=UNSAFE.keys())
def test_an_unsafe_edit_is_refused(before: Deployment, spec: ClusterSpec, part: str) -> None:
    """The refusal comes before any change, and names the edit."""
    assert part in refusal(before, spec)


def test_all_fixed_values_are_named_at_once() -> None:
    """A file with several such changes gets one refusal."""
    text = refusal(
        RUNNING, edited(("roles.app", "shop"), ("roles.app_database", "shop"), ("etcd.members.0.name", "store"))
    )
    assert text.count("\n  ") + text.startswith("  ") == 3


SAFE: dict[str, tuple[Deployment, ClusterSpec]] = {
    "the same": (RUNNING, SPEC),
    "a container of etcd is gone": (RUNNING.edit({"etcd1": None}), SPEC),
    "the primary's container is gone": (RUNNING.edit({"pg_node1": None}), SPEC),
    "a standby is removed": (RUNNING, snapshots.spec_of(2)),
    "a free address": (RUNNING, edited(("etcd.members.0.address", IPv4Address("10.8.0.99")))),
    "the address of a removed node": (RUNNING, edited(("haproxy.address", NODE[2].address), spec=snapshots.spec_of(2))),
    "addresses change places while stopped": (
        STOPPED,
        edited(("nodes.0.address", NODE[1].address), ("nodes.1.address", NODE[0].address)),
    ),
    "another user of the control port": (RUNNING, edited(("roles.pcp", "operator"))),
    "another network before there is a container": (
        Deployment(spec=SPEC),
        edited(("network.subnet", IPv4Network("10.9.0.0/24"))),
    ),
    "the former declaration was not noted": (Deployment(containers=RUNNING.containers, leader="pg_node1"), SPEC),
}


@pytest.mark.parametrize(("before", "spec"), SAFE.values(), ids=SAFE.keys())
def test_a_safe_edit_is_planned(before: Deployment, spec: ClusterSpec) -> None:
    """The change is not refused, and a second plan is empty."""
    after = before.walk(spec, before.plan(spec))
    assert after.walk(spec, after.plan(spec)).plan(spec).is_empty


def test_etcds_members_are_protected_without_a_former_declaration() -> None:
    """A member that exists and is no longer declared would be removed with its data."""
    before = Deployment(containers=RUNNING.containers, leader="pg_node1")
    assert "etcd.members" in refusal(before, snapshots.spec_of(members=1))


def test_every_role_but_the_control_ports_is_fixed() -> None:
    """The others are in the database, or in a Patroni that accepts only the former one."""
    assert {*unsafe.FIXED_ROLES, "pcp"} == set(type(SPEC.roles).model_fields)


# Keys that only Poolkeeper reads: the next command uses the new value.
OURS = {"timeouts.up", "timeouts.query"}
FIXED = {"name", "network.subnet", "etcd.members.2.name", *(f"roles.{role}" for role in unsafe.FIXED_ROLES)}
SINGLE = {"postgresql.version", "images.suite"}  # only one value is possible


def leaves(model: type[BaseModel], value: Any, path: str = "") -> Iterator[tuple[str, FieldInfo, Any]]:
    """Find every key of the file that is no table, with its field and value."""
    for key, info in model.model_fields.items():
        inner, where = getattr(value, key), f"{path}{key}"
        if isinstance(inner, BaseModel):
            yield from leaves(type(inner), inner, f"{where}.")
        elif isinstance(inner, tuple):
            yield from leaves(type(inner[-1]), inner[-1], f"{where}.{len(inner) - 1}.")
        else:
            yield where, info, inner


def another(info: FieldInfo, value: Any) -> Any:
    """Return a value that the key does not have now."""
    if get_origin(info.annotation) is Literal:
        return next(choice for choice in get_args(info.annotation) if choice != value)
    kinds: dict[type, Any] = {
        bool: lambda: not value,
        int: lambda: value + 10,  # far enough away that no two ports are equal
        str: lambda: f"{value}x",
        dict: lambda: {**value, "log_statement": "all"},
        IPv4Address: lambda: IPv4Address("10.8.0.200"),
        IPv4Network: lambda: IPv4Network("10.8.0.0/23"),
    }
    return kinds[type(value)]()


LEAVES = {path: (info, value) for path, info, value in leaves(ClusterSpec, SPEC)}


@pytest.mark.parametrize("path", sorted(LEAVES.keys() - OURS - SINGLE))
def test_no_edit_is_ignored_silently(path: str) -> None:
    """Each key of the file, changed: steps, or a refusal. A new key has to be in one of the lists or in a plan."""
    spec = deployments.edit(SPEC, path, another(*LEAVES[path]))
    try:
        steps = RUNNING.plan(spec)
    except errors.UnsafeChange:
        steps = None
    assert steps is None or not steps.is_empty
    assert (steps is None) is (path in FIXED)


@pytest.mark.parametrize("path", sorted(OURS))
def test_poolkeepers_own_keys_change_no_container(path: str) -> None:
    """The next command uses the new value."""
    spec = deployments.edit(SPEC, path, another(*LEAVES[path]))
    assert RUNNING.plan(spec).is_empty
