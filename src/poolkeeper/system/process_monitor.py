"""Proof of death: whether the supervisor (PID 1) of a node's container has ended, seen from the host's /proc.

Invariant: "dead" is said only of a process that this very witness saw alive and holds by a pidfd; whatever it cannot
tell is "unknown" with a reason, and nobody may act on that.

Why the end of PID 1 is the end of the node: a process that ends first takes its leave of its children (`exit_notify` →
`forget_original_parent` → `find_child_reaper`), and there the init of a PID namespace kills every other process of the
namespace, those that `docker exec` put into it too, and sleeps until each of them is gone (`zap_pid_ns_processes`).
Only then does it get the exit state for which `pidfd_poll` looks, and wake those that poll it (`do_notify_pidfd`). So
a readable pidfd says that no process of the node remains; one stuck in the kernel only makes it come later.

It promises nothing about another machine, nor about a supervisor that ended before it was seen. It needs the host's
PID namespace and no privilege: `cmdline` and `status` in /proc are open to all, `pidfd_open` needs no permission, and
no namespace link is read.
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

# Seconds between two looks for a supervisor that was not found. A look costs 6 ms on a machine of 300 processes; a
# supervisor writes its record only once it runs, so the first look nearly always finds it.
LOOK_AGAIN = 2.0
_BOOT_ID = "sys/kernel/random/boot_id"


@dataclass
class _Attended:
    """A node, what is known of it, when it is looked for next, and the open pidfd while it lives."""

    sight: ProcessState
    next_look: float = 0.0
    pidfd: int | None = None


class ProcessMonitor:
    """Holds the supervisors of this machine by their pidfds. To be used inside one event loop, and closed."""

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._proc = proc
        self._attended: dict[str, _Attended] = {}
        self._deaths: asyncio.Queue[ProcessState] = asyncio.Queue()

    @property
    def boot_id(self) -> str:
        """Which boot of this machine this is; empty if that cannot be read."""
        with contextlib.suppress(OSError):
            return (self._proc / _BOOT_ID).read_text().strip()
        return ""

    def attend(self, node: str, incarnation: str, boot: str) -> ProcessState:
        """Begin to watch, or go on; what is known now. Another incarnation of the node replaces the former.

        `incarnation` and `boot` are those of the node's own record. While unknown, it is looked for each LOOK_AGAIN.
        """
        known = self._attended.get(node)
        if known is None or known.sight.incarnation != incarnation:
            self._let_go(node)
            known = self._attended[node] = _Attended(_sight(node, incarnation, "unknown", "not looked yet"))
        if known.sight.state == "unknown" and time.monotonic() >= known.next_look:
            self._look(known, boot)
            known.next_look = time.monotonic() + LOOK_AGAIN
        return known.sight

    def sight(self, node: str) -> ProcessState:
        """What is known of a node now, without looking anew."""
        known = self._attended.get(node)
        return known.sight if known else _sight(node, "", "unknown", "nobody asked to attend this node")

    async def next_death(self, timeout: float) -> ProcessState | None:
        """The next death, as soon as it happens, each one once; None if there is none within `timeout` seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                return await self._deaths.get()
        return None

    def close(self) -> None:
        """Let go of every process."""
        for node in tuple(self._attended):
            self._let_go(node)

    def _look(self, known: _Attended, boot: str) -> None:
        """Find the supervisor and hold it, or say why not."""
        try:
            pidfd = self._hold(known.sight, boot)
        except _Unknown as e:
            _learn(known, "unknown", str(e))
            return
        except OSError as e:
            _learn(known, "unknown", f"the kernel refused: {e}")
            return
        known.pidfd = pidfd
        _learn(known, "alive", "its supervisor runs")
        asyncio.get_running_loop().add_reader(pidfd, self._on_event, known)

    def _hold(self, sight: ProcessState, boot: str) -> int:
        """A pidfd that is certain to be that of the living supervisor. Raises _Unknown, OSError."""
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
        """Is it the supervisor's pidfd? Its number could have gone to another process between finding and opening.

        An incarnation is one process's alone: what has this number before and after had it in between too.
        """
        if not self._is_supervisor(pid, sight):
            raise _Unknown("its supervisor ended before it could be held")
        if events := _poll(pidfd):
            raise _Unknown(f"its pidfd cannot be waited for (poll says {events:#x})")

    def _find(self, sight: ProcessState) -> int:
        """The one process that is this supervisor."""
        pids = [int(name) for name in os.listdir(self._proc) if name.isdecimal()]
        found = [pid for pid in pids if self._is_supervisor(pid, sight)]
        if len(found) != 1:
            raise _Unknown("no such supervisor runs here" if not found else f"{len(found)} processes say to be it")
        return found[0]

    def _is_supervisor(self, pid: int, sight: ProcessState) -> bool:
        """Does it bear the incarnation, and is it PID 1 of a namespace? A process that has ended has no argv."""
        folder = f"{self._proc}/{pid}"
        try:
            with open(f"{folder}/cmdline", "rb", buffering=0) as file:
                words = file.read()
            if sight.incarnation.encode() not in words:
                return False  # nearly always: this is asked of every process of the machine
            argv = words.split(b"\0")
            wanted = {(b"--node", sight.node.encode()), (b"--incarnation", sight.incarnation.encode())}
            return wanted <= set(itertools.pairwise(argv)) and _is_init(Path(folder, "status").read_text())
        except (FileNotFoundError, ProcessLookupError):
            return False

    def _on_event(self, known: _Attended) -> None:
        """The pidfd has something to say. Only POLLIN is an end: a kernel may also use it to refuse us (POLLERR)."""
        if known.pidfd is None or not (events := _poll(known.pidfd)):
            return
        _release(known)
        if events & select.POLLIN and not events & (select.POLLERR | select.POLLNVAL):
            _learn(known, "dead", "its supervisor ended, and every process of its container before it")
            self._deaths.put_nowait(known.sight)
        else:
            _learn(known, "unknown", f"its pidfd cannot be waited for (poll says {events:#x})")

    def _let_go(self, node: str) -> None:
        known = self._attended.pop(node, None)
        if known is not None:
            _release(known)


class _Unknown(Exception):
    """Why a supervisor cannot be held; ends as the reason of a Sight."""


def _sight(node: str, incarnation: str, state: Life, reason: str) -> ProcessState:
    return ProcessState(node, incarnation, state, reason, time.monotonic())


def _learn(known: _Attended, state: Life, reason: str) -> None:
    """A new reason leaves `since` as it was, a new state begins now."""
    was = known.sight
    since = was.since if state == was.state else time.monotonic()
    known.sight = ProcessState(was.node, was.incarnation, state, reason, since)


def _release(known: _Attended) -> None:
    if known.pidfd is not None:
        asyncio.get_running_loop().remove_reader(known.pidfd)
        os.close(known.pidfd)
        known.pidfd = None


def _poll(pidfd: int) -> int:
    """What poll() says of it at once; 0 while the process lives."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return sum(events for _, events in poll.poll(0))


def _is_init(status: str) -> bool:
    """Is its number in its own PID namespace 1? The last of NSpid, which begins with that in the reader's."""
    numbers = [line.split()[1:] for line in status.splitlines() if line.startswith("NSpid:")]
    return any(line[-1:] == ["1"] for line in numbers)
