"""What `up` must do so that the running cluster becomes the declared one: the least that applies it.

Order: etcd, one at a time; standbys before the primary; then the endpoints; then the endpoint. Invariant: a plan for a
cluster that is as declared is empty; a change that cannot be applied to a running cluster raises UnsafeChange.
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
    """What is declared: each service's definition digest, every rendered file, and Patroni's shared configuration."""

    definitions: Mapping[str, str]
    files: Mapping[str, str]
    dynamic: Mapping[str, Any]


@dataclass(frozen=True)
class Actual:
    """What is there. `dynamic` is None while no Patroni answers; `leader` likewise.

    `former` is what the cluster was last declared as; None where nobody noted it.
    """

    containers: Mapping[str, Container]
    applied: Mapping[str, str] = field(default_factory=dict)
    dynamic: Mapping[str, Any] | None = None
    leader: str | None = None
    pending_restart: frozenset[str] = frozenset()  # nodes whose PostgreSQL waits for a restart, by Patroni's word
    former: ClusterSpec | None = None


def files_of(spec: ClusterSpec, service: str, files: Mapping[str, str]) -> dict[str, str]:
    """The rendered files that a service mounts."""
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
    """The steps from `actual` to `desired`.

    `needs_restart` tells whether a Pgpool-II must restart to go from one configuration text to another.
    Raises UnsafeChange.
    """
    unsafe.refuse(spec, actual.former, actual.containers, actual.leader)
    steps = [
        *_removals(spec, actual),
        *_starts(spec, actual),
        *_recreations(spec, desired, actual),
        *_reconfigurations(spec, desired, actual, needs_restart),
        *_shared_configuration(spec, desired, actual),
    ]
    # A container that starts anew starts PostgreSQL anew; one that was paused goes on.
    begun = {name for step in steps if step.action in (Action.START, Action.RECREATE) for name in step.services}
    anew = begun - {container.service for container in _existing(spec, actual, "paused")}
    restarts = (step for step in pending_restarts(spec, actual) if not anew.intersection(step.services))
    return Plan((*steps, *restarts))


def _removals(spec: ClusterSpec, actual: Actual) -> Iterator[PlanStep]:
    for service in sorted(set(actual.containers) - set(spec.addresses())):
        yield PlanStep(Action.REMOVE, (service,), "is no longer declared in cluster.toml")


def stages(spec: ClusterSpec) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """The services in their order of start: the store; the nodes; the endpoints, the endpoint and the keeper."""
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
    """Every service in the order in which a disturbance may pass: the primary after the other nodes."""
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
    """A paused container goes on with what it read at its start, so it is treated as a running one."""
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
            yield PlanStep(Action.RESTART, (service,), f"{why}, and Pgpool-II takes that at its start only")
        else:
            yield PlanStep(Action.RELOAD, (service,), why)


def _differs(path: str, old: str, new: str) -> bool:
    """Does a running service care? Patroni reads `bootstrap` at the first start only."""
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
    """Nodes that Patroni marks "pending restart", the standbys first."""
    for service in ordered(spec, actual.leader):
        if service in actual.pending_restart:
            yield PlanStep(Action.RESTART_POSTGRES, (service,), "a changed parameter takes effect at a restart only")


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """The patch that turns `old` into `new`; a None removes a key (Patroni: PATCH /config).

    As Patroni does, two values count as the same if they read the same (1 and "1"): it would not store such a change.
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
