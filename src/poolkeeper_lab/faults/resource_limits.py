"""Too little memory or CPU: the limits of one container's control group, written on the host, as `docker update` does.

`docker update` itself cannot return to "no limit" (the engine treats 0 as "unchanged" and refuses -1), and it would
outlive the container's restart. So the files of the group are written, which the engine re-creates at every start.
Invariant: healing writes the limits that the engine has noted for the container (HostConfig), or no limit if it has
noted none. So it needs no state of the injection. Both versions of control groups work. Needs root on this machine.
Not promised: which process the kernel kills. It is the one with the highest score in the container.
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from typing_extensions import override

from poolkeeper.core import errors, wait
from poolkeeper_lab.faults.fault import Fault
from poolkeeper_lab.faults.host import Host

PERIOD = 100_000  # microseconds, the kernel's own default
KILL_SECONDS = 20.0  # until the kernel has killed: the container is in use, so it soon needs more than the limit
STEP = 1 << 20  # bytes: the lowest limit, and the step of higher ones where the kernel refuses it
_ROOT = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class ControlGroup:
    """A container's control group: the folders of its files for memory and for the CPU, and its version."""

    memory: Path
    cpu: Path
    is_unified: bool

    def read(self, of: Path, name: str) -> str:
        """Return a file's text.

        Raises:
            EngineFailed: if there is no such file, for example because the container ended.
        """
        try:
            return (of / name).read_text(encoding="ascii")
        except OSError as e:
            raise errors.EngineFailed(f"{of / name} cannot be read: {e.strerror}") from e

    def write(self, of: Path, name: str, value: int) -> bool:
        """Write a limit, -1 for none; return False if the kernel refuses it as too low.

        Raises:
            EngineFailed: if the kernel refuses it for another reason.
        """
        text = str(value) if value >= 0 or not self.is_unified else "max"
        try:
            (of / name).write_text(text, encoding="ascii")
        except OSError as e:
            if value >= 0 and of == self.memory and e.errno in (errno.EBUSY, errno.EINVAL):  # EINVAL: below the other
                return False
            raise errors.EngineFailed(f"{of / name} did not take {text}: {e.strerror}") from e
        return True

    @property
    def usage(self) -> int:
        """The bytes in use, including the page cache."""
        return int(self.read(self.memory, "memory.current" if self.is_unified else "memory.usage_in_bytes"))

    @property
    def kills(self) -> int:
        """The number of processes that the kernel has killed for lack of memory since the container's start."""
        text = self.read(self.memory, "memory.events" if self.is_unified else "memory.oom_control")
        counts = dict(line.split() for line in text.splitlines())
        return int(counts.get("oom_kill", 0))

    def limit_memory(self, value: int) -> bool:
        """Limit memory and swap together, -1 for no limit; return False if the kernel cannot reach the limit."""
        if self.is_unified:
            self.write(self.memory, "memory.swap.max", 0 if value >= 0 else -1)
            return self.write(self.memory, "memory.max", value)
        names = ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"]  # the latter never below the former
        present = [name for name in names if (self.memory / name).exists()]
        order = present if value >= 0 else reversed(present)
        return all(self.write(self.memory, name, value) for name in order)

    def limit_cpu(self, quota: int) -> None:
        """Limit the CPU to `quota` microseconds in each period; -1 for no limit.

        Raises:
            EngineFailed: if the kernel refuses it.
        """
        if self.is_unified:
            text = f"{quota if quota >= 0 else 'max'} {PERIOD}"
            try:
                (self.cpu / "cpu.max").write_text(text, encoding="ascii")
            except OSError as e:
                raise errors.EngineFailed(f"{self.cpu / 'cpu.max'} did not take {text}: {e.strerror}") from e
        else:
            self.write(self.cpu, "cpu.cfs_quota_us", quota)


def group(pid: int, proc: Path = Path("/proc"), root: Path = _ROOT) -> ControlGroup:
    """Return the control group of a process, by its PID on the host.

    Raises:
        EngineFailed: if it has no control group of its own.
    """
    try:
        lines = (proc / str(pid) / "cgroup").read_text(encoding="ascii").splitlines()
    except OSError as e:
        raise errors.EngineFailed(f"the control group of process {pid} cannot be read: {e.strerror}") from e
    paths = {names: path.lstrip("/") for _, names, path in (line.split(":", 2) for line in lines)}
    by_controller = {name: path for names, path in paths.items() for name in names.split(",")}
    if not by_controller.get("memory", paths.get("")):
        raise errors.EngineFailed(f"process {pid} is in no control group of its own, so no limit can be set for it")
    if "memory" not in by_controller:
        folder = root / paths.get("", "")
        return ControlGroup(folder, folder, is_unified=True)
    cpu = next(names for names in paths if "cpu" in names.split(","))
    return ControlGroup(root / "memory" / by_controller["memory"], root / cpu / paths[cpu], is_unified=False)


def restore(host: Host, service: str) -> None:
    """Give a running container the limits that the engine has noted for it.

    Raises:
        EngineFailed: if the kernel or the engine refuses.
    """
    noted = noted_limits(host, service)
    own = group(host.first_process(service))
    own.limit_memory(-1)
    if noted["Memory"]:
        own.limit_memory(noted["Memory"])
    nano = noted["NanoCpus"]
    own.limit_cpu(nano * PERIOD // 1_000_000_000 if nano else noted["CpuQuota"] or -1)


def noted_limits(host: Host, service: str) -> Mapping[str, int]:
    """Return the limits of the container at its next start, from the engine; 0 is no limit."""
    document = json.loads(host.docker("inspect", "--format", "{{json .HostConfig}}", host.cluster.container(service)))
    return {name: int(document.get(name) or 0) for name in ("Memory", "NanoCpus", "CpuQuota")}


class Limit(Fault):
    """The common part of the limits."""

    @override
    def available(self) -> str:
        if os.geteuid() != 0:
            return "it needs root on this machine"
        return "" if _ROOT.is_dir() else f"this machine has no {_ROOT}"

    @override
    def heal(self) -> None:
        if not self.start_if_down():  # otherwise the limits went with the group
            restore(self.host, self.victim)


class StarveCpu(Limit):
    """The container gets a small part of one CPU; everything in it runs, slowly and in bursts."""

    sentence = "{} gets one twentieth of a CPU"

    def __init__(self, host: Host, victim: str, share: float = 0.05) -> None:
        super().__init__(host, victim)
        self._share = share

    @override
    def inject(self) -> None:
        group(self.host.first_process(self.victim)).limit_cpu(int(self._share * PERIOD))


class ExhaustMemory(Limit):
    """The container may use less memory than it needs, until the kernel has killed one of its processes for it."""

    sentence = "{} gets less memory than it needs, and the kernel kills"

    @override
    def inject(self) -> None:
        started = self.host.state(self.victim)["StartedAt"]
        own = group(self.host.first_process(self.victim))
        before = own.kills
        if not own.limit_memory(STEP):
            squeeze(own)

        async def killed() -> None:
            state = self.host.state(self.victim)
            if state["StartedAt"] != started or state["Status"] != "running":
                return  # it killed the first process, and so the container with its limits
            try:
                wait.require(None if own.kills > before else "the kernel has killed nothing")
            except errors.EngineFailed as e:  # the container ends at this moment; the next check finds that
                raise wait.NotYet(e.message) from e

        asyncio.run(wait.wait_for("a kill for lack of memory", killed, seconds=KILL_SECONDS))


def squeeze(own: ControlGroup) -> None:
    """Set the lowest limit that the kernel accepts, after an attempt made it reclaim as much as it could.

    Raises:
        EngineFailed: if it accepts none near the usage.
    """
    for shift in range(8):
        if own.limit_memory((own.usage // STEP + (1 << shift)) * STEP):
            return
    raise errors.EngineFailed(f"{own.memory} accepts no limit near its {own.usage} bytes")
