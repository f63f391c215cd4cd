"""The wall clock of one node jumps, by libfaketime: for Patroni, PostgreSQL, and every process that they start.

`inject` copies this machine's library into the container and replaces Patroni's file with a script that preloads it.
The supervisor restarts Patroni, and Patroni restarts PostgreSQL in place, so the roles stay. The jump itself is a line
in a file while everything runs. Only wall clocks jump: the monotonic clock and file times stay correct.
Invariant: healing restores Patroni's own file, removes every added file and restarts the container, since a loaded
library cannot be unloaded from a process. If nothing was added, healing does nothing.
Not promised: programs that do not ask the C library for the time. etcd is one (Go asks the kernel). Keeper's container
takes no files (its root is read-only). Their clocks cannot jump here.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

from typing_extensions import override

from poolkeeper.core import errors, wait
from poolkeeper.system import patroni
from poolkeeper_lab.faults import processes
from poolkeeper_lab.faults.fault import Fault
from poolkeeper_lab.faults.host import Host

FOLDER = "/opt/poolkeeper-fault-clock"
PATRONI = "/usr/bin/patroni"
LIBRARY = "libfaketime.so.1"
READY_SECONDS = 30.0  # until Patroni runs again and PostgreSQL is restarted
_FOLDERS = (Path("/usr/lib"), Path("/usr/lib64"), Path("/usr/local/lib"))

_SCRIPT = f"""#!/bin/sh
export LD_PRELOAD={FOLDER}/{LIBRARY} FAKETIME_TIMESTAMP_FILE={FOLDER}/offset FAKETIME_CACHE_DURATION=1
export FAKETIME_DONT_FAKE_MONOTONIC=1 FAKETIME_DISABLE_SHM=1 NO_FAKE_STAT=1 PYTHONPATH={FOLDER}
exec {FOLDER}/patroni "$@"
"""
# Under the library clock_nanosleep, which Python's sleep is made of, ends with EINVAL; select is left alone.
_SLEEP = "import select, time; time.sleep = lambda seconds: select.select([], [], [], seconds) and None"
_INSTALL = f"""
set -eu
chmod 755 {FOLDER} && chmod 644 {FOLDER}/{LIBRARY} && echo +0 > {FOLDER}/offset
cp -p {PATRONI} {FOLDER}/patroni.new && mv {FOLDER}/patroni.new {FOLDER}/patroni
echo '{_SLEEP}' > {FOLDER}/sitecustomize.py
printf '%s' '{_SCRIPT}' > {FOLDER}/script && chmod 755 {FOLDER}/script && mv {FOLDER}/script {PATRONI}
"""
_REMOVE = f"""
[ -d {FOLDER} ] || exit 0
if [ -e {FOLDER}/patroni ]; then mv -f {FOLDER}/patroni {PATRONI}; fi
rm -rf {FOLDER} && echo removed
"""


def library(folders: tuple[Path, ...] = _FOLDERS) -> Path | None:
    """Return this machine's libfaketime, of its own architecture; None if it is not installed."""
    patterns = (f"*/faketime/{LIBRARY}", f"faketime/{LIBRARY}")
    found = [path for folder in folders for pattern in patterns for path in folder.glob(pattern)]
    return found[0] if found else None


class JumpClock(Fault):
    """The wall clock of a node jumps by a number of seconds, until the fault is healed."""

    sentence = "the wall clock of {} jumps"

    def __init__(self, host: Host, victim: str, seconds: int = 3600) -> None:
        super().__init__(host, victim)
        self._seconds = seconds

    def __str__(self) -> str:
        return f"{super().__str__()} by {self._seconds:+d} s"

    @override
    def available(self) -> str:
        if sys.platform != "linux":
            return "it needs Linux"
        return "" if library() else "not installed on this machine: libfaketime"

    @override
    def inject(self) -> None:
        found = library()
        if not found:
            raise errors.EngineFailed("libfaketime is not installed on this machine")
        container = self.host.cluster.container(self.victim)
        self._run(f"mkdir -p {FOLDER}")
        self.host.docker("cp", str(found), f"{container}:{FOLDER}/{LIBRARY}")
        self._run(_INSTALL)
        self.host.send(signal.SIGKILL, self._patroni(), self.victim)
        asyncio.run(self._restart())
        self._run(f"echo {self._seconds:+d} > {FOLDER}/new && mv {FOLDER}/new {FOLDER}/offset")

    @override
    def heal(self) -> None:
        self.start_if_down()
        remove(self.host, self.victim)

    def _patroni(self) -> tuple[int, ...]:
        return tuple(found.pid for found in processes.patroni(self.host.processes(self.victim)))

    def _run(self, script: str) -> str:
        return run(self.host, self.victim, script)

    async def _restart(self) -> None:
        cluster = self.host.cluster
        address, limit = str(cluster.spec.addresses()[self.victim]), cluster.spec.timeouts.query

        async def restarted() -> None:
            try:
                member = (await patroni.observe(address, limit)).member(self.victim)
                await patroni.restart_postgres(address, cluster.with_passwords().rest_auth, READY_SECONDS)
            except errors.PoolkeeperError as e:
                raise wait.NotYet(e.message) from e
            wait.require(None if member else "Patroni does not list its own node")

        await wait.wait_for(f"the restart of PostgreSQL on {self.victim}", restarted, seconds=READY_SECONDS)


def run(host: Host, service: str, script: str) -> str:
    """Run a shell script in a container, as root, and return its output.

    Raises:
        EngineFailed: if the script or the engine fails.
    """
    return host.docker("exec", "--user", "0", host.cluster.container(service), "sh", "-c", script)


def remove(host: Host, service: str) -> None:
    """Remove the added files from a running container, and restart it if there were any.

    Raises:
        EngineFailed: if the script or the engine fails.
    """
    if run(host, service, _REMOVE).strip():
        host.docker("restart", "--time", "30", host.cluster.container(service), seconds=90)
