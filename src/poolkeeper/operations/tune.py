"""`tune`: this machine's resources, what `up` would do for each proposed edit of `cluster.toml`, and the edit itself.

Invariant: `write` changes the file completely or not at all, only in the keys of the proposal, and only to a text that
`source.load` accepts. A file that changed after it was read is not touched. `decide/sizing.py` computes the proposal.
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

# The parameters of postgresql.conf that `tune` proposes and PostgreSQL reads only at its start (context "postmaster" in
# pg_settings of 17).
AT_START = frozenset({"max_connections", "shared_buffers", "max_worker_processes"})


def machine_of(cores: int | None, memory_gb: float | None) -> Machine:
    """Return the machine to size for: the given values, else this machine's own. `memory_gb` is in GiB.

    Raises:
        UsageError: this machine's memory cannot be read.
    """
    own_cores = cores or machine.cores()
    if memory_gb:
        return Machine(own_cores, int(memory_gb * 1024))
    try:
        return Machine(own_cores, machine.memory()["MemTotal"])
    except (KeyError, errors.Unreachable) as e:
        raise errors.UsageError(f"this machine's memory cannot be read: {e}", hint="Give it: --memory GB.") from e


def proposal(cluster: Cluster, on: Machine, wish: Wish) -> Proposal:
    """Return the proposal, with what `up` would do for each change.

    Raises:
        UsageError: a wanted number is less than 1.
        ProposalRefused: the machine, or a limit of the spec, cannot hold what is wanted.
    """
    made = sizing.propose(cluster.spec, on, wish)
    return replace(made, effects=effects(cluster, made))


def effects(cluster: Cluster, made: Proposal) -> Mapping[str, str]:
    """Return what `up` does to apply each change alone, by key, from its plan for a cluster that runs as declared."""
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
    words = {Action.RECREATE: "re-creates", Action.RESTART: "restarts", Action.RELOAD: "reloads"}
    return f"{words.get(step.action, step.action.value)} {names}"


def edited(text: str, made: Proposal) -> str:
    """Return the text of the file with the proposal's changes.

    Raises:
        OperationRefused: the file's form cannot be edited in place.
        SpecError: a rule of the spec does not hold afterwards.
    """
    after = toml_edit.put(text, {choice.location: choice.proposed for choice in made.changes})
    source.load(after)
    return after


def diff(text: str, made: Proposal, path: Path) -> Iterator[str]:
    """Yield the edit as the lines of a unified diff.

    Raises:
        OperationRefused, SpecError: as `edited`.
    """
    old, new = text.splitlines(keepends=True), edited(text, made).splitlines(keepends=True)
    return difflib.unified_diff(old, new, str(path), f"{path} (proposed)")


def write(path: Path, text: str, made: Proposal) -> bool:
    """Edit the file in place; return False if nothing had to change. `text` is the text that the proposal is based on.

    Raises:
        OperationRefused: the file changed meanwhile, or cannot be edited in place. Nothing was written.
        SpecError: a rule of the spec does not hold afterwards. Nothing was written.
        PermissionRefused: the file cannot be written.
        DiskFull: no space is left.
    """
    after = edited(text, made)
    if after == text:
        return False
    file = path.resolve()
    if file.read_bytes().decode() != text:
        raise errors.OperationRefused(f"{path} was changed meanwhile; nothing was written", hint="Run it again.")
    former = file.stat()
    state.write(file, after, mode=former.st_mode & 0o777)
    if (written := file.stat()) and (written.st_uid, written.st_gid) != (former.st_uid, former.st_gid):
        os.chown(file, former.st_uid, former.st_gid)  # root wrote it: the owner stays the same
    return True
