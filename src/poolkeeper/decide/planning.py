"""The plan of `up`: the fewest steps that make the running cluster the declared one.

Order: etcd, one at a time; standbys before the primary; then the Pgpool-II services; then HAProxy. Invariant: the plan
for a cluster that is as declared is empty; a change that cannot be applied to a running cluster raises UnsafeChange.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from poolkeeper.decide import unsafe
from poolkeeper.model.observed import Container
from poolkeeper.model.plan import Action, Plan, PlanStep
from poolkeeper.model.spec import ClusterSpec


@dataclass(frozen=True)
class Desired:
    """The declared cluster: each service's definition digest, every rendered file, Patroni's shared configuration."""

    definitions: Mapping[str, str]
    files: Mapping[str, str]
    dynamic: Mapping[str, Any]


@dataclass(frozen=True)
class Actual:
    """The running cluster. `dynamic` and `leader` are None while no Patroni answers.

    `former` is the last declaration of the cluster; None where it was not noted.
    """

    containers: Mapping[str, Container]
    applied: Mapping[str, str] = field(default_factory=dict)
    dynamic: Mapping[str, Any] | None = None
    leader: str | None = None
    pending_restart: frozenset[str] = frozenset()  # nodes whose PostgreSQL waits for a restart, as Patroni reports
    former: ClusterSpec | None = None


def files_of(spec: ClusterSpec, service: str, files: Mapping[str, str]) -> dict[str, str]:
    """Return the rendered files that a service mounts."""
    folder = _folder(spec, service)
    return {path: text for path, text in files.items() if path.startswith(folder)}


def _folder(spec: ClusterSpec, service: str) -> str:
    if service == spec.haproxy.service:
        return "haproxy/"
    if service == spec.keeper.service:
        return "keeper/"
    if service in spec.endpoint_by_service():
        return f"pgpool/{service}/"
    return f"etcd/{service}/" if service in {m.name for m in spec.etcd.members} else f"patroni/{service}/"


def plan_up(spec: ClusterSpec, desired: Desired, actual: Actual, needs_restart: Callable[[str, str], bool]) -> Plan:
    """Return the steps from `actual` to `desired`.

    `needs_restart` returns whether Pgpool-II must restart to change from one configuration text to another.

    Raises:
        UnsafeChange: if a change cannot be applied to the existing cluster.
    """
    unsafe.refuse(spec, actual.former, actual.containers, actual.leader)
    steps = [
        *_removals(spec, actual),
        *_starts(spec, actual),
        *_recreations(spec, desired, actual),
        *_reconfigurations(spec, desired, actual, needs_restart),
        *_shared_configuration(spec, desired, actual),
    ]
    # A container that starts also starts PostgreSQL; one that was paused continues.
    started = {name for step in steps if step.action in (Action.START, Action.RECREATE) for name in step.services}
    fresh = started - {container.service for container in _existing(spec, actual, "paused")}
    restarts = (step for step in pending_restarts(spec, actual) if not fresh.intersection(step.services))
    return Plan((*steps, *restarts))


def new_ports(spec: ClusterSpec, actual: Actual) -> list[int]:
    """Return the declared ports that must be free now.

    Those of a container that exists, or that the plan removes first, are the cluster's own: a node that was renamed in
    cluster.toml gets the port of its former name.
    """
    published = actual.former.published_ports() if actual.former else {}
    held = {port for table in published.values() for port in table}
    removed = {name for name in actual.containers if name not in spec.addresses()}
    leaving = {port for name, table in published.items() if name in removed for port in table}
    return [
        port
        for service, table in spec.published_ports().items()
        for port in table
        if (service not in actual.containers and port not in leaving) or (actual.former and port not in held)
    ]


def _removals(spec: ClusterSpec, actual: Actual) -> Iterator[PlanStep]:
    for service in sorted(set(actual.containers) - set(spec.addresses())):
        yield PlanStep(Action.REMOVE, (service,), "is no longer declared in cluster.toml")


def stages(spec: ClusterSpec) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Return the services in their order of start: etcd; the nodes; the Pgpool-II services, HAProxy and the keeper."""
    etcds = tuple(member.name for member in spec.etcd.members)
    nodes = tuple(node.name for node in spec.nodes)
    return etcds, nodes, (*spec.endpoint_by_service(), spec.haproxy.service, spec.keeper.service)


def _starts(spec: ClusterSpec, actual: Actual) -> Iterator[PlanStep]:
    for stage in stages(spec):
        groups: dict[str, list[str]] = {}
        for service in stage:
            container = actual.containers.get(service)
            if container is None:
                groups.setdefault("does not exist", []).append(service)
            elif not container.is_running:
                groups.setdefault(f"is {container.state}", []).append(service)
        for why, services in groups.items():
            yield PlanStep(Action.START, tuple(services), why)


def ordered(spec: ClusterSpec, leader: str | None) -> list[str]:
    """Return every service in the order of disturbances: the primary after the other nodes."""
    etcds, nodes, outer = stages(spec)
    return [*etcds, *(n for n in nodes if n != leader), *(n for n in nodes if n == leader), *outer]


def _existing(spec: ClusterSpec, actual: Actual, *states: str) -> Iterator[Container]:
    for service in ordered(spec, actual.leader):
        container = actual.containers.get(service)
        if container and container.state in states:
            yield container


def _recreations(spec: ClusterSpec, desired: Desired, actual: Actual) -> Iterator[PlanStep]:
    for container in _existing(spec, actual, "running"):
        if container.definition != desired.definitions[container.service]:
            why = "its image, address, ports or limits changed"
            yield PlanStep(Action.RECREATE, (container.service,), why)


def _reconfigurations(
    spec: ClusterSpec, desired: Desired, actual: Actual, needs_restart: Callable[[str, str], bool]
) -> Iterator[PlanStep]:
    """Plan reloads and restarts. A paused container continues with the files of its start, so it counts as running."""
    endpoints, etcds = set(spec.endpoint_by_service()), {m.name for m in spec.etcd.members}
    for container in _existing(spec, actual, "running", "paused"):
        service = container.service
        if container.definition != desired.definitions[service]:
            continue
        new, old = files_of(spec, service, desired.files), files_of(spec, service, actual.applied)
        changed = sorted(path for path in new if _differs(path, old.get(path, ""), new[path]))
        if not changed:
            continue
        why = f"{', '.join(path.rsplit('/', 1)[-1] for path in changed)} changed"
        if service in etcds or service == spec.keeper.service:
            yield PlanStep(Action.RESTART, (service,), why)
        elif service in endpoints and any(needs_restart(old.get(path, ""), new[path]) for path in changed):
            yield PlanStep(Action.RESTART, (service,), f"{why}, and Pgpool-II reads that at its start only")
        else:
            yield PlanStep(Action.RELOAD, (service,), why)


def _differs(path: str, old: str, new: str) -> bool:
    """Return whether the difference affects a running service: Patroni reads `bootstrap` at the first start only."""
    if old == new or not path.endswith("/patroni.yml"):
        return old != new
    before, after = ({**(yaml.safe_load(text) or {}), "bootstrap": None} for text in (old, new))
    return before != after


def _shared_configuration(spec: ClusterSpec, desired: Desired, actual: Actual) -> Iterator[PlanStep]:
    if actual.dynamic is None:
        return
    change = difference(actual.dynamic, desired.dynamic)
    if change:
        nodes = tuple(service for service in ordered(spec, actual.leader) if service in {n.name for n in spec.nodes})
        keys = ", ".join(_leaves(change))
        yield PlanStep(Action.PATCH, nodes, f"{keys} changed", change)


def pending_restarts(spec: ClusterSpec, actual: Actual) -> Iterator[PlanStep]:
    """Return a restart for each node that Patroni marks "pending restart", the standbys first."""
    for service in ordered(spec, actual.leader):
        if service in actual.pending_restart:
            yield PlanStep(Action.RESTART_POSTGRES, (service,), "a changed parameter takes effect at a restart only")


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Return the patch that turns `old` into `new`; a None removes a key (Patroni: PATCH /config).

    As in Patroni, two values are the same if their texts are (1 and "1"): Patroni would not store such a change.
    """
    patch: dict[str, Any] = {key: None for key in old if key not in new}
    for key, value in new.items():
        if isinstance(value, Mapping) and isinstance(old.get(key), Mapping):
            if inner := difference(old[key], value):
                patch[key] = inner
        elif key not in old or str(old[key]) != str(value):
            patch[key] = value
    return patch


def _leaves(patch: Mapping[str, Any]) -> Iterator[str]:
    for key, value in patch.items():
        if isinstance(value, Mapping):
            yield from _leaves(value)
        else:
            yield key
