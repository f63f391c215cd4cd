"""Mutants of keeper: a change of its own source, made only in its container.

A mutation is (file, old text, new text); the old text must occur exactly once. The original is kept beside the changed
file under another name, so that any later run can restore it without knowing the bug. Its modification time is restored
as well, since Python matches compiled files by it. The container's file system is read-only for its processes and stays
so, except for the moment of the change, which this machine makes as root.

Invariant: a file is replaced atomically, and only after its original was kept. A re-created container (by `up`) has no
change either. Not promised: to work with an engine on another machine.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from typing_extensions import override

from poolkeeper.core import errors, interrupts
from poolkeeper.system import process
from poolkeeper_lab.chaos.mutants.change import ClusterChange
from poolkeeper_lab.drill.drilled_cluster import DrilledCluster
from poolkeeper_lab.faults.host import Host

PACKAGE = "/usr/local/lib/poolkeeper/poolkeeper"  # in the keeper's container (images/keeper/Dockerfile)
KEPT, HALF = ".before-mutant", ".mutant-half"
_SECONDS = 60.0


@dataclass(frozen=True)
class Mutation:
    """A replacement in one file; `file` is relative to the package's folder, for example "decide/release.py"."""

    file: str
    old: str
    new: str

    def of(self, text: str) -> str:
        """Return the text with the bug.

        Raises:
            OperationRefused: if the old text does not occur exactly once.
        """
        if (count := text.count(self.old)) != 1:
            raise errors.OperationRefused(
                f"{self.file}: the text to be changed occurs {count} times, so the bug cannot be injected",
                hint="The mutation in chaos/mutants/ has to match the source.",
            )
        return text.replace(self.old, self.new)


class KeeperSource(ClusterChange):
    """The mutations that make one bug."""

    def __init__(self, *mutations: Mutation) -> None:
        self.mutations = mutations

    @override
    def unavailable(self, drilled: DrilledCluster) -> str:
        del drilled
        if os.geteuid() != 0:
            return "it needs root on this machine"
        return "" if process.find("nsenter") else "not installed on this machine: nsenter"

    @override
    async def apply(self, drilled: DrilledCluster) -> None:
        await interrupts.in_thread(mutate, drilled.host, drilled.spec.keeper.service, self.mutations)

    @override
    async def revert(self, drilled: DrilledCluster) -> None:
        await interrupts.in_thread(restore, drilled.host, drilled.spec.keeper.service)

    @override
    async def is_applied(self, drilled: DrilledCluster) -> bool:
        return bool(await interrupts.in_thread(left, drilled.host, drilled.spec.keeper.service))


def mutate(host: Host, service: str, mutations: Sequence[Mutation]) -> None:
    """Change the files and restart the container.

    Raises:
        OperationRefused: before any change, if the old text of a mutation does not occur exactly once.
    """
    texts: dict[str, str] = {}
    for mutation in mutations:
        path = f"{PACKAGE}/{mutation.file}"
        text = texts.get(path) or host.docker("exec", host.cluster.container(service), "cat", path)
        texts[path] = mutation.of(text)
    _writable(host, service, True)
    try:
        for path, text in texts.items():
            script = 'cp -p "$1" "$1$2" && cat > "$1$3" && chmod 644 "$1$3" && mv "$1$3" "$1"'
            _inside(host, service, "sh", "-c", script, "sh", path, KEPT, HALF, stdin=text)
    finally:
        _writable(host, service, False)
    host.docker("restart", host.cluster.container(service))


def left(host: Host, service: str) -> tuple[str, ...]:
    """Return the kept originals and unfinished changes; none without an injected bug."""
    host.docker("start", host.cluster.container(service))  # no effect on a container that runs
    words = ("find", PACKAGE, "-name", f"*{KEPT}", "-o", "-name", f"*{HALF}")
    return tuple(host.docker("exec", host.cluster.container(service), *words).split())


def restore(host: Host, service: str) -> None:
    """Restore every original, and restart the container if there was any."""
    found = left(host, service)
    if not found:
        return
    _writable(host, service, True)
    try:
        for path in found:
            if path.endswith(KEPT):
                _inside(host, service, "mv", "-f", path, path.removesuffix(KEPT))
            else:
                _inside(host, service, "rm", "-f", path)
    finally:
        _writable(host, service, False)
    host.docker("restart", host.cluster.container(service))


def _writable(host: Host, service: str, on: bool) -> None:
    _inside(host, service, "mount", "-n", "-o", f"remount,bind,{'rw' if on else 'ro'}", "/")


def _inside(host: Host, service: str, *argv: str, stdin: str | None = None) -> None:
    """Run a program of the container in its mount namespace, with this machine's rights."""
    enter = ["nsenter", "--target", str(host.first_process(service)), "--mount", "--"]
    process.check([*enter, *argv], stdin=stdin, timeout=_SECONDS, what=f"{argv[0]} in {service}")
