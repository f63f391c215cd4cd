"""The access of faults to the host: the engine, a container's processes as the host sees them, and its network.

Invariant: a process is found below the first process of one container of this cluster, never by a name alone. A rule of
the packet filter is in that container's own namespace and carries our mark. So no fault can hit anything else.
Signals to a container's processes and `nsenter` need root on this machine. If a signal is refused, a container of the
same image sends it in the host's PID namespace.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from poolkeeper.cluster.handle import Cluster
from poolkeeper.core import errors
from poolkeeper.system import process

_SECONDS = 60


@dataclass(frozen=True)
class Process:
    """A process, with its PID on the host."""

    pid: int
    parent: int
    argv: tuple[str, ...]
    is_stopped: bool = False  # by a signal; it does not run until SIGCONT

    @property
    def program(self) -> str:
        """The file name of its program; PostgreSQL's children write "postgres: …" there."""
        return Path(self.argv[0]).name if self.argv else ""


def descendants(first: int, proc: Path = Path("/proc")) -> tuple[Process, ...]:
    """Return a process and all its descendants, parents first, without those that end meanwhile."""
    found = {seen.pid: seen for entry in proc.iterdir() if entry.name.isdigit() and (seen := _read(entry))}
    below, waiting = [], [first]
    while waiting:
        pid = waiting.pop(0)
        if pid in found:
            below.append(found[pid])
        waiting += sorted(child.pid for child in found.values() if child.parent == pid)
    return tuple(below)


def _read(entry: Path) -> Process | None:
    try:
        # The name in parentheses may hold anything, also a parenthesis; the parent is the second word after the last.
        state, parent = (entry / "stat").read_text(errors="replace", encoding="utf-8").rpartition(")")[2].split()[:2]
        argv = (entry / "cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0")
    except (OSError, ValueError):
        return None
    return Process(int(entry.name), int(parent), tuple(argv), state == "T")


@dataclass(frozen=True)
class Host:
    """Access to one cluster's containers from the host."""

    cluster: Cluster

    def docker(self, *words: str, seconds: float = _SECONDS) -> str:
        """Run docker and return its output.

        Raises:
            EngineFailed: if docker fails.
        """
        return process.check(["docker", *words], timeout=seconds, what=f"docker {' '.join(words[:2])}")

    def state(self, service: str) -> dict[str, object]:
        """Return the engine's `State` of a container: Status, Pid, Paused, StartedAt and others.

        Raises:
            EngineFailed: if docker fails.
        """
        document = json.loads(self.docker("inspect", "--format", "{{json .State}}", self.cluster.container(service)))
        return dict(document)

    def first_process(self, service: str) -> int:
        """Return the PID on the host of a container's first process.

        Raises:
            ClusterNotUp: if the container does not run.
        """
        pid = int(str(self.state(service).get("Pid", 0)))
        if not pid:
            raise errors.ClusterNotUp(f"{service} does not run")
        return pid

    def processes(self, service: str) -> tuple[Process, ...]:
        """Return all processes of a container except those of `docker exec`, the first one first."""
        return descendants(self.first_process(service))

    def send(self, number: signal.Signals, pids: Sequence[int], service: str) -> None:
        """Send a signal to processes of a service's container, whose PIDs were found a moment ago."""
        for pid in pids:
            try:
                os.kill(pid, number)
            except PermissionError:
                self._send_by_container(number, pid, service)

    def _send_by_container(self, number: signal.Signals, pid: int, service: str) -> None:
        image = self.docker("inspect", "--format", "{{.Config.Image}}", self.cluster.container(service)).strip()
        flags = ("--rm", "--pid", "host", "--network", "none", "--user", "0", "--entrypoint", "sh")
        self.docker("run", *flags, image, "-c", f"kill -{number.value} {pid}")

    def in_network(self, service: str, *argv: str) -> process.Finished:
        """Run a program of the host in a container's network namespace, and return its result for any exit code."""
        enter = ["nsenter", "--target", str(self.first_process(service)), "--net"]
        return process.run([*enter, *argv], timeout=_SECONDS)
