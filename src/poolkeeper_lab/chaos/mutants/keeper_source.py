"""Bugs of the keeper: a change of its own source, made in its container and nowhere else.

A mutation is (file, old text, new text); the old text must occur once. The original is kept beside the changed file
under another name, so that whoever finds one there can put it back without knowing which bug it was, and the time of
the file comes back with it, by which Python knows its compiled form. The container's file system is read-only for
everything in it and stays so but for the moment of the change, which is made from this machine as root.

Invariant: a file is replaced whole, and only after its original was kept. The end of the container (`up` that makes it
anew) takes the change away as well. Not promised: to work with an engine on another machine.
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
KEPT, HALF = ".before-plant", ".plant-half"
_SECONDS = 60.0


@dataclass(frozen=True)
class Mutation:
    """`file` is below the package's folder, as "decide/release.py"."""

    file: str
    old: str
    new: str

    def of(self, text: str) -> str:
        """The text with the bug in it. Raises OperationRefused where the old text does not occur exactly once."""
        if (count := text.count(self.old)) != 1:
            raise errors.OperationRefused(
                f"{self.file}: the text to be changed occurs {count} times, so the bug cannot be planted",
                hint="The mutation in chaos/plants/ has to follow the source.",
            )
        return text.replace(self.old, self.new)


class KeeperSource(ClusterChange):
    """Some mutations that together are one bug."""

    def __init__(self, *mutations: Mutation) -> None:
        self.mutations = mutations

    @override
    def unavailable(self, site: DrilledCluster) -> str:
        del site
        if os.geteuid() != 0:
            return "it needs root on this machine"
        return "" if process.find("nsenter") else "not installed on this machine: nsenter"

    @override
    async def apply(self, site: DrilledCluster) -> None:
        await interrupts.in_thread(plant, site.host, site.spec.keeper.service, self.mutations)

    @override
    async def take_away(self, site: DrilledCluster) -> None:
        await interrupts.in_thread(restore, site.host, site.spec.keeper.service)

    @override
    async def is_there(self, site: DrilledCluster) -> bool:
        return bool(await interrupts.in_thread(left, site.host, site.spec.keeper.service))


def plant(host: Host, service: str, mutations: Sequence[Mutation]) -> None:
    """Change the files and start the process anew. Raises OperationRefused before anything was changed."""
    texts: dict[str, str] = {}
    for mutation in mutations:
        path = f"{PACKAGE}/{mutation.file}"
        text = texts.get(path) or host.docker("exec", host.container(service), "cat", path)
        texts[path] = mutation.of(text)
    _writable(host, service, True)
    try:
        for path, text in texts.items():
            script = 'cp -p "$1" "$1$2" && cat > "$1$3" && chmod 644 "$1$3" && mv "$1$3" "$1"'
            _inside(host, service, "sh", "-c", script, "sh", path, KEPT, HALF, stdin=text)
    finally:
        _writable(host, service, False)
    host.docker("restart", host.container(service))


def left(host: Host, service: str) -> tuple[str, ...]:
    """The originals that are kept there, and halves of changes: nothing where no bug is planted."""
    host.docker("start", host.container(service))  # which leaves alone what runs
    words = ("find", PACKAGE, "-name", f"*{KEPT}", "-o", "-name", f"*{HALF}")
    return tuple(host.docker("exec", host.container(service), *words).split())


def restore(host: Host, service: str) -> None:
    """Put every original back, and start the process anew if there was any."""
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
    host.docker("restart", host.container(service))


def _writable(host: Host, service: str, on: bool) -> None:
    _inside(host, service, "mount", "-n", "-o", f"remount,bind,{'rw' if on else 'ro'}", "/")


def _inside(host: Host, service: str, *argv: str, stdin: str | None = None) -> None:
    """Run a program of the container in its mount namespace, with this machine's rights."""
    enter = ["nsenter", "--target", str(host.first_process(service)), "--mount", "--"]
    process.check([*enter, *argv], stdin=stdin, timeout=_SECONDS, what=f"{argv[0]} in {service}")
