"""`tune` at its edges: what this machine has, what an edit of `cluster.toml` makes `up` do, and the edit itself.

Invariant: `write` changes the file whole or not at all, only in the keys of the proposal, and only to a text that
`source.load` accepts; where somebody changed the file meanwhile, it is left alone.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from poolkeeper.cluster.handle import Cluster
from poolkeeper.core import errors
from poolkeeper.decide import planning, sizing
from poolkeeper.model import source, toml_edit
from poolkeeper.model.observed import Container
from poolkeeper.model.plan import Action, PlanStep
from poolkeeper.model.spec import ClusterSpec
from poolkeeper.model.tuning import Machine, Proposal, Wish
from poolkeeper.operations import up
from poolkeeper.render import pgpool_config
from poolkeeper.render.files import render
from poolkeeper.system import images, machine, state

# Parameters of postgresql.conf, of those that `tune` proposes, that PostgreSQL takes at its start only (context
# "postmaster" in pg_settings of 17).
AT_START = frozenset({"max_connections", "shared_buffers", "max_worker_processes"})


def machine_of(cores: int | None, memory_gb: float | None) -> Machine:
    """What is to be divided: as told, else this machine's own. Raises UsageError where that cannot be read."""
    own_cores = cores or machine.cores()
    if memory_gb:
        return Machine(own_cores, int(memory_gb * 1024))
    try:
        return Machine(own_cores, machine.memory()["MemTotal"])
    except (KeyError, errors.Unreachable) as e:
        raise errors.UsageError(f"this machine's memory cannot be read: {e}", hint="Say it: --memory GB.") from e


def proposal(cluster: Cluster, on: Machine, wish: Wish) -> Proposal:
    """The proposal, with what each change makes `up` do. Raises UsageError or ProposalRefused."""
    made = sizing.propose(cluster.spec, on, wish)
    return replace(made, effects=effects(cluster, made))


def effects(cluster: Cluster, made: Proposal) -> Mapping[str, str]:
    """Key → what `up` does to apply that change alone, by its own plan for a cluster that runs as declared."""
    references = images.references(cluster.spec, cluster.image_sources)
    files = render(cluster.spec, references)
    now = up.desired(cluster.spec, references, files)
    running = {
        service: Container(service, service, "", "running", "healthy", "", definition, "", 0, 0)
        for service, definition in now.definitions.items()
    }
    leader = cluster.spec.nodes[0].name
    actual = planning.Actual(running, files, now.dynamic, leader, former=cluster.spec)
    found = {}
    for choice in made.changes:
        spec = sizing.apply(cluster.spec, (choice,))
        wanted = up.desired(spec, references, render(spec, references))
        steps = planning.plan_up(spec, wanted, actual, pgpool_config.needs_restart).steps
        found[choice.key] = ", ".join(dict.fromkeys(_effect(step, spec) for step in steps)) or "nothing"
    return found


def _effect(step: PlanStep, spec: ClusterSpec) -> str:
    names = "every node" if len(step.services) > 1 or step.services[0] in {n.name for n in spec.nodes} else ""
    names = names or ", ".join(step.services)
    if step.action is Action.PATCH:
        changed = set(step.change.get("postgresql", {}).get("parameters", {}))
        return "restarts PostgreSQL on every node" if changed & AT_START else "PostgreSQL reloads, no session ends"
    words = {Action.RECREATE: "makes anew", Action.RESTART: "restarts", Action.RELOAD: "reloads"}
    return f"{words.get(step.action, step.action.value)} {names}"


def edited(text: str, made: Proposal) -> str:
    """The text of the file with the proposal's changes. Raises OperationRefused, or SpecError if a rule of the spec breaks."""
    after = toml_edit.put(text, {choice.location: choice.proposed for choice in made.changes})
    source.load(after)
    return after


def diff(text: str, made: Proposal, path: Path) -> Iterator[str]:
    """The edit as a unified diff."""
    old, new = text.splitlines(keepends=True), edited(text, made).splitlines(keepends=True)
    return difflib.unified_diff(old, new, str(path), f"{path} (proposed)")


def write(path: Path, text: str, made: Proposal) -> bool:
    """Edit the file in place; False if there was nothing to change. `text` is what the proposal was made from.

    Raises OperationRefused (nothing was written), SpecError, PermissionRefused or DiskFull.
    """
    after = edited(text, made)
    if after == text:
        return False
    cluster = path.resolve()
    if cluster.read_bytes().decode() != text:
        raise errors.OperationRefused(f"{path} was changed meanwhile; nothing was written", hint="Run it again.")
    former = cluster.stat()
    state.write(cluster, after, mode=former.st_mode & 0o777)
    if (written := cluster.stat()) and (written.st_uid, written.st_gid) != (former.st_uid, former.st_gid):
        os.chown(cluster, former.st_uid, former.st_gid)  # written by root: it stays its owner's
    return True
