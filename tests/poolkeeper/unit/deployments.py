"""A simulated deployment: the effects of a plan's steps on the engine and on Patroni, as pure edits of facts.

It does not know the reason for a step, so a second plan shows the work that the first one left.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.poolkeeper.unit import snapshots

from poolkeeper.decide import planning
from poolkeeper.model.observed import Container
from poolkeeper.model.plan import Action, Plan, PlanStep
from poolkeeper.model.spec import ClusterSpec, Images
from poolkeeper.operations import up
from poolkeeper.render import pgpool_config
from poolkeeper.render.files import render
from poolkeeper.system import images

IMAGES = Path(__file__).resolve().parents[3] / "src/poolkeeper/images"


def desired(spec: ClusterSpec) -> planning.Desired:
    """Return the desired state: the real rendered files and definitions, with the real image references."""
    return _desired(spec.model_dump_json())


@functools.lru_cache(maxsize=200)
def _desired(spec_text: str) -> planning.Desired:
    """Return the desired state from the cache; rendering is the slowest part."""
    spec = ClusterSpec.model_validate_json(spec_text)
    references = image_references(spec)
    return up.desired(spec, references, render(spec, references))


def image_references(spec: ClusterSpec) -> dict[str, str]:
    """Return the real references, computed once, because their input files may change during the tests."""
    return _references(spec.images, spec.postgresql.version)


@functools.cache
def _references(declared: Images, version: int) -> dict[str, str]:
    postgresql = snapshots.SPEC.postgresql.model_copy(update={"version": version})
    return images.references(snapshots.SPEC.model_copy(update={"images": declared, "postgresql": postgresql}), IMAGES)


def patch(config: dict[str, Any], change: Mapping[str, Any]) -> None:
    """Apply a change as Patroni's PATCH does (patch_config in patroni/utils.py): None removes, equal text stays."""
    for name, value in change.items():
        if value is None:
            config.pop(name, None)
        elif isinstance(value, Mapping) and isinstance(config.get(name), dict):
            patch(config[name], value)
        elif name not in config or isinstance(value, Mapping) or str(config[name]) != str(value):
            config[name] = copy.deepcopy(value)


@dataclass(frozen=True)
class Deployment:
    """The existing state. `stored` is Patroni's configuration in etcd, which outlives every container."""

    spec: ClusterSpec | None = None  # of the last `up`
    containers: Mapping[str, Container] = field(default_factory=dict)
    applied: Mapping[str, str] = field(default_factory=dict)
    stored: Mapping[str, Any] | None = None
    leader: str | None = None
    pending: frozenset[str] = frozenset()

    def actual(self) -> planning.Actual:
        """Return the observable state: nothing of Patroni while no node runs."""
        runs = any(c.is_running for c in self.containers.values() if c.image.startswith("poolkeeper/postgres"))
        return planning.Actual(
            containers=self.containers,
            applied=self.applied,
            dynamic=self.stored if runs else None,
            leader=self.leader if runs else None,
            pending_restart=self.pending if runs else frozenset(),
            former=self.spec,
        )

    def plan(self, spec: ClusterSpec) -> Plan:
        """Return the plan from this state to `spec`."""
        return planning.plan_up(spec, desired(spec), self.actual(), pgpool_config.needs_restart)

    def edit(self, edits: Mapping[str, Mapping[str, Any] | None]) -> Deployment:
        """Return the deployment with changes of some containers; None removes one."""
        known = {name: c for name, c in self.containers.items() if edits.get(name, {}) is not None}
        return replace(self, containers={name: replace(c, **(edits.get(name) or {})) for name, c in known.items()})

    def walk(self, spec: ClusterSpec, steps: Plan) -> Deployment:
        """Return the deployment after the plan; the starts come first, as in `up`."""
        wanted, now = desired(spec), self
        for step in sorted(steps.steps, key=lambda step: step.action not in (Action.REMOVE, Action.START)):
            now = now._take(spec, wanted, step)
        return replace(now, spec=spec)

    def _take(self, spec: ClusterSpec, wanted: planning.Desired, step: PlanStep) -> Deployment:
        match step.action:
            case Action.REMOVE:
                return self.edit(dict.fromkeys(step.services))
            case Action.START:
                return self._start(spec, wanted, step.services)
            case Action.RECREATE:
                return self._make(spec, wanted, step.services)
            case Action.RESTART | Action.RELOAD:
                return self._took_files(spec, wanted, step.services)
            case Action.RESTART_POSTGRES:
                return replace(self, pending=self.pending - set(step.services))
            case Action.PATCH:
                stored = copy.deepcopy(dict(self.stored or {}))
                patch(stored, step.change)
                return replace(self, stored=stored)
        raise AssertionError(f"no plan of `up` has {step}")

    def _start(self, spec: ClusterSpec, wanted: planning.Desired, services: tuple[str, ...]) -> Deployment:
        """Start services: Compose re-creates changed definitions; a paused container continues with its files."""
        kept = {
            name
            for name in services
            if (c := self.containers.get(name)) and c.state == "paused" and c.definition == wanted.definitions[name]
        }
        now = self._make(spec, wanted, tuple(name for name in services if name not in kept))
        now = now.edit({name: {"state": "running"} for name in kept})
        if any(node.name in services for node in spec.nodes):
            stored = now.stored if now.stored is not None else copy.deepcopy(dict(wanted.dynamic))
            now = replace(now, stored=stored, leader=now.leader or spec.nodes[0].name)
        return now

    def _make(self, spec: ClusterSpec, wanted: planning.Desired, services: tuple[str, ...]) -> Deployment:
        references = image_references(spec)
        made = dict(self.containers)
        for name in services:
            role = snapshots.image(spec, name).split("/")[1].split(":")[0]
            made[name] = snapshots.container(spec, name, image=references[role], definition=wanted.definitions[name])
        pending = self.pending - set(services)
        return replace(self, containers=made, pending=pending)._took_files(spec, wanted, services)

    def _took_files(self, spec: ClusterSpec, wanted: planning.Desired, services: tuple[str, ...]) -> Deployment:
        taken = {path: text for name in services for path, text in planning.files_of(spec, name, wanted.files).items()}
        return replace(self, applied={**self.applied, **taken})


def running(spec: ClusterSpec, leader: str | None = None) -> Deployment:
    """Return a running cluster in its desired state."""
    wanted = desired(spec)
    made = Deployment()._make(spec, wanted, tuple(spec.addresses()))
    first = leader or spec.nodes[0].name
    return replace(made, spec=spec, stored=copy.deepcopy(dict(wanted.dynamic)), leader=first)


def stopped(spec: ClusterSpec) -> Deployment:
    """Return that cluster after `poolkeeper stop`."""
    return running(spec).edit({name: {"state": "exited"} for name in spec.addresses()})


def edit(spec: ClusterSpec, path: str, value: Any) -> ClusterSpec:
    """Return a spec with another value at a dotted path; a number selects an entry of a list."""
    key, _, rest = path.partition(".")
    inner = getattr(spec, key)
    if rest and isinstance(inner, tuple):
        index, _, rest = rest.partition(".")
        item = edit(inner[int(index)], rest, value)
        value = tuple(item if i == int(index) else old for i, old in enumerate(inner))
    elif rest:
        value = edit(inner, rest, value)
    return spec.model_copy(update={key: value})
