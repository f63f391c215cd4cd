"""The wall clock of one node jumps, by libfaketime: that of Patroni, of PostgreSQL, and of all that these two start.

The library of this machine is put into the container, and a script in the place of Patroni has it loaded; Patroni is
started anew by its supervisor, and then starts PostgreSQL anew in place, so the roles stay. Then the jump is a line in
a file, while everything runs. Only wall clocks jump: the monotonic clock and the times of files stay true.
Invariant: healing puts Patroni's own file back, removes all that was put in, and restarts the container, since a loaded
library cannot be taken out of a process; without anything put in it does nothing.
Not promised: anything about programs that do not ask the C library for the time. etcd is one (Go asks the kernel), and
keeper's container takes no files (its root is read-only), so their clocks cannot jump here.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

from poolkeeper.core import errors, wait
from poolkeeper.system import patroni
from poolkeeper_lab.faults import processes
from poolkeeper_lab.faults.fault import Fault
from poolkeeper_lab.faults.host import Host

FOLDER = "/opt/poolkeeper-fault-clock"
PATRONI = "/usr/bin/patroni"
LIBRARY = "libfaketime.so.1"
READY_SECONDS = 30.0  # for Patroni to be there again, and for PostgreSQL to be started anew
_PLACES = (Path("/usr/lib"), Path("/usr/lib64"), Path("/usr/local/lib"))

_SCRIPT = f"""#!/bin/sh
export LD_PRELOAD={FOLDER}/{LIBRARY} FAKETIME_TIMESTAMP_FILE={FOLDER}/offset FAKETIME_CACHE_DURATION=1
export FAKETIME_DONT_FAKE_MONOTONIC=1 FAKETIME_DISABLE_SHM=1 NO_FAKE_STAT=1 PYTHONPATH={FOLDER}
exec {FOLDER}/patroni "$@"
"""
# Under the library clock_nanosleep, which Python's sleep is made of, ends with EINVAL; select is left alone.
_SLEEP = "import select, time; time.sleep = lambda seconds: select.select([], [], [], seconds) and None"
_PUT_IN = f"""
set -eu
chmod 755 {FOLDER} && chmod 644 {FOLDER}/{LIBRARY} && echo +0 > {FOLDER}/offset
cp -p {PATRONI} {FOLDER}/patroni.new && mv {FOLDER}/patroni.new {FOLDER}/patroni
echo '{_SLEEP}' > {FOLDER}/sitecustomize.py
printf '%s' '{_SCRIPT}' > {FOLDER}/script && chmod 755 {FOLDER}/script && mv {FOLDER}/script {PATRONI}
"""
_TAKE_OUT = f"""
[ -d {FOLDER} ] || exit 0
if [ -e {FOLDER}/patroni ]; then mv -f {FOLDER}/patroni {PATRONI}; fi
rm -rf {FOLDER} && echo taken out
"""


def library(places: tuple[Path, ...] = _PLACES) -> Path | None:
    """The library on this machine, of its own architecture; None where it is not installed."""
    patterns = (f"*/faketime/{LIBRARY}", f"faketime/{LIBRARY}")
    found = [path for cluster in places for pattern in patterns for path in cluster.glob(pattern)]
    return found[0] if found else None


class JumpClock(Fault):
    """The wall clock of a node jumps by so many seconds; it stays so until it is healed."""

    sentence = "the wall clock of {} jumps"

    def __init__(self, host: Host, victim: str, seconds: int = 3600) -> None:
        super().__init__(host, victim)
        self._seconds = seconds

    def __str__(self) -> str:
        return f"{super().__str__()} by {self._seconds:+d} s"

    def available(self) -> str:
        if sys.platform != "linux":
            return "it needs Linux"
        return "" if library() else "not installed on this machine: libfaketime"

    def inject(self) -> None:
        found = library()
        if not found:
            raise errors.EngineFailed("libfaketime is not installed on this machine")
        container = self.host.container(self.victim)
        self._run(f"mkdir -p {FOLDER}")
        self.host.docker("cp", str(found), f"{container}:{FOLDER}/{LIBRARY}")
        self._run(_PUT_IN)
        self.host.send(signal.SIGKILL, self._patroni(), self.victim)
        asyncio.run(self._start_anew())
        self._run(f"echo {self._seconds:+d} > {FOLDER}/new && mv {FOLDER}/new {FOLDER}/offset")

    def heal(self) -> None:
        self.start_if_down()
        take_out(self.host, self.victim)

    def _patroni(self) -> tuple[int, ...]:
        return tuple(found.pid for found in processes.patroni(self.host.processes(self.victim)))

    def _run(self, script: str) -> str:
        return run(self.host, self.victim, script)

    async def _start_anew(self) -> None:
        cluster = self.host.cluster
        address, limit = str(cluster.spec.addresses()[self.victim]), cluster.spec.timeouts.query

        async def look() -> str | None:
            try:
                member = (await patroni.observe(address, limit)).member(self.victim)
                await patroni.restart_postgres(address, cluster.with_passwords().rest_auth, READY_SECONDS)
            except errors.PoolkeeperError as e:
                return e.message
            return None if member else "Patroni does not know itself"

        await wait.wait_until(f"the restart of PostgreSQL on {self.victim}", look, seconds=READY_SECONDS)


def run(host: Host, service: str, script: str) -> str:
    """A script in a container, as root; what it printed. Raises EngineFailed."""
    return host.docker("exec", "--user", "0", host.container(service), "sh", "-c", script)


def take_out(host: Host, service: str) -> None:
    """Remove what was put into a running container, and restart it if there was anything. Raises EngineFailed."""
    if run(host, service, _TAKE_OUT).strip():
        host.docker("restart", "--time", "30", host.container(service), seconds=90)
