"""Proof of death: whether the supervisor (PID 1) of a node's container has ended, seen from the host's /proc.

Invariant: the monitor reports "dead" only for a process that it has itself seen alive and holds by a pidfd. In every
unclear case it reports "unknown" with a reason, and no component may act on that.

Why the end of PID 1 is the end of the node: a process that ends first releases its children (`exit_notify` →
`forget_original_parent` → `find_child_reaper`). There the init of a PID namespace kills every other process of the
namespace, also those of `docker exec`. It sleeps until each of them is gone (`zap_pid_ns_processes`). Only then does
it get the exit state that `pidfd_poll` checks, and wake its pollers (`do_notify_pidfd`). So a readable pidfd means that
no process of the node remains; a process that is stuck in the kernel only delays it.

Not promised: anything about another machine, or about a supervisor that ended before it was seen. The monitor needs the
host's PID namespace and no privilege. Every user may read `cmdline` and `status` in /proc, and `pidfd_open` needs no
permission. No namespace link is read.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import select
import time
from dataclasses import dataclass
from pathlib import Path

from poolkeeper.model.process_state import Life, ProcessState

# Seconds between two searches for a supervisor that was not found. A search costs 6 ms on a machine with 300 processes.
# A supervisor writes its record only once it runs, so the first search nearly always finds it.
SEARCH_PAUSE = 2.0
_BOOT_ID = "sys/kernel/random/boot_id"


@dataclass
class _Attended:
    """A node: its last known state, the time of the next search, and the open pidfd while it lives."""

    sight: ProcessState
    next_search: float = 0.0
    pidfd: int | None = None


class ProcessMonitor:
    """Monitor the supervisors of this machine by their pidfds, inside one event loop; the caller closes it."""

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._proc = proc
        self._attended: dict[str, _Attended] = {}
        self._deaths: asyncio.Queue[ProcessState] = asyncio.Queue()

    @property
    def boot_id(self) -> str:
        """The id of this machine's current boot; "" if it is not readable."""
        with contextlib.suppress(OSError):
            return (self._proc / _BOOT_ID).read_text(encoding="utf-8").strip()
        return ""

    def attend(self, node: str, incarnation: str, boot: str) -> ProcessState:
        """Start or continue to monitor a node; return its current state. A new incarnation replaces the former one.

        `incarnation` and `boot` are those of the node's own record. While the state is unknown, each call searches
        again, at most once every SEARCH_PAUSE seconds.
        """
        known = self._attended.get(node)
        if known is None or known.sight.incarnation != incarnation:
            self._forget(node)
            known = self._attended[node] = _Attended(_sight(node, incarnation, "unknown", "not searched yet"))
        if known.sight.state == "unknown" and time.monotonic() >= known.next_search:
            self._search(known, boot)
            known.next_search = time.monotonic() + SEARCH_PAUSE
        return known.sight

    def sight(self, node: str) -> ProcessState:
        """Return the last known state of a node, without a new search."""
        known = self._attended.get(node)
        return known.sight if known else _sight(node, "", "unknown", "this node is not monitored")

    async def next_death(self, timeout: float) -> ProcessState | None:
        """Return the next death as soon as it happens, each one once; None if none happens within `timeout` seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                return await self._deaths.get()
        return None

    def close(self) -> None:
        """Release every process."""
        for node in tuple(self._attended):
            self._forget(node)

    def _search(self, known: _Attended, boot: str) -> None:
        """Find the supervisor and hold it, or record the reason why that failed."""
        try:
            pidfd = self._hold(known.sight, boot)
        except _Unknown as e:
            _update(known, "unknown", str(e))
            return
        except OSError as e:
            _update(known, "unknown", f"the kernel refused: {e}")
            return
        known.pidfd = pidfd
        _update(known, "alive", "its supervisor runs")
        asyncio.get_running_loop().add_reader(pidfd, self._on_event, known)

    def _hold(self, sight: ProcessState, boot: str) -> int:
        """Return a pidfd that is certainly that of the living supervisor; raise _Unknown or OSError."""
        if not boot or boot != self.boot_id:
            raise _Unknown(f"its record is of boot {boot or 'unknown'}, this machine's is {self.boot_id or 'unknown'}")
        pid = self._find(sight)
        pidfd = os.pidfd_open(pid)
        try:
            self._confirm(pid, pidfd, sight)
        except BaseException:
            os.close(pidfd)
            raise
        return pidfd

    def _confirm(self, pid: int, pidfd: int, sight: ProcessState) -> None:
        """Confirm that the pidfd is the supervisor's: the pid could have been reused since the search.

        Only one process has an incarnation: if it has this pid before and after, it had it in between too.
        """
        if not self._is_supervisor(pid, sight):
            raise _Unknown("its supervisor ended before it could be held")
        if events := _poll(pidfd):
            raise _Unknown(f"its pidfd cannot be polled (poll returns {events:#x})")

    def _find(self, sight: ProcessState) -> int:
        """Return the pid of the one process that is this supervisor; raise _Unknown if there is not exactly one."""
        pids = [int(name) for name in os.listdir(self._proc) if name.isdecimal()]
        found = [pid for pid in pids if self._is_supervisor(pid, sight)]
        if len(found) != 1:
            raise _Unknown(
                "no such supervisor runs here" if not found else f"{len(found)} processes have its incarnation"
            )
        return found[0]

    def _is_supervisor(self, pid: int, sight: ProcessState) -> bool:
        """Return whether a process has the incarnation and is PID 1 of a namespace; an ended process has no argv."""
        folder = f"{self._proc}/{pid}"
        try:
            with open(f"{folder}/cmdline", "rb", buffering=0) as file:
                words = file.read()
            if sight.incarnation.encode() not in words:
                return False  # nearly always: every process of the machine is checked
            argv = words.split(b"\0")
            wanted = {(b"--node", sight.node.encode()), (b"--incarnation", sight.incarnation.encode())}
            return wanted <= set(itertools.pairwise(argv)) and _is_init(
                Path(folder, "status").read_text(encoding="utf-8", errors="replace")
            )
        except (FileNotFoundError, ProcessLookupError):
            return False

    def _on_event(self, known: _Attended) -> None:
        """Handle an event of the pidfd. Only POLLIN is an end: a kernel may also report an error (POLLERR)."""
        if known.pidfd is None or not (events := _poll(known.pidfd)):
            return
        _release(known)
        if events & select.POLLIN and not events & (select.POLLERR | select.POLLNVAL):
            _update(known, "dead", "its supervisor ended, and every process of its container before it")
            self._deaths.put_nowait(known.sight)
        else:
            _update(known, "unknown", f"its pidfd cannot be polled (poll returns {events:#x})")

    def _forget(self, node: str) -> None:
        known = self._attended.pop(node, None)
        if known is not None:
            _release(known)


class _Unknown(Exception):
    """The reason why a supervisor cannot be held; it becomes the reason of a ProcessState."""


def _sight(node: str, incarnation: str, state: Life, reason: str) -> ProcessState:
    return ProcessState(node, incarnation, state, reason, time.monotonic())


def _update(known: _Attended, state: Life, reason: str) -> None:
    """Record a state and its reason; a new reason keeps `since`, a new state starts now."""
    was = known.sight
    since = was.since if state == was.state else time.monotonic()
    known.sight = ProcessState(was.node, was.incarnation, state, reason, since)


def _release(known: _Attended) -> None:
    if known.pidfd is not None:
        asyncio.get_running_loop().remove_reader(known.pidfd)
        os.close(known.pidfd)
        known.pidfd = None


def _poll(pidfd: int) -> int:
    """Return the events that poll() reports at once; 0 while the process lives."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return sum(events for _, events in poll.poll(0))


def _is_init(status: str) -> bool:
    """Return whether the pid in its own PID namespace is 1: the last of NSpid, which starts with the reader's."""
    numbers = [line.split()[1:] for line in status.splitlines() if line.startswith("NSpid:")]
    return any(line[-1:] == ["1"] for line in numbers)
