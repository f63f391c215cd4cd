"""System calls that `strace -c` counted, read from its summary. Pure.

Source: strace(1), `-c`. The columns are the share of the time, the seconds, microseconds a call, the calls, the errors
(empty where there was none) and the name. The times are of a traced process and are left alone: tracing makes them.
"""

from __future__ import annotations

from collections.abc import Mapping

from poolkeeper.core import errors

READS, WRITES, WAITS, OTHERS = "reads", "writes", "waits", "others"
KINDS = (READS, WRITES, WAITS, OTHERS)
_OF_KIND = {
    READS: ("read", "readv", "recv", "recvfrom", "recvmsg", "recvmmsg"),
    WRITES: ("write", "writev", "send", "sendto", "sendmsg", "sendmmsg"),
    WAITS: ("select", "pselect6", "poll", "ppoll", "epoll_wait", "epoll_pwait", "epoll_pwait2"),
}
_KIND = {name: kind for kind, names in _OF_KIND.items() for name in names}


def read_summary(text: str) -> dict[str, int]:
    """The calls of each name; nothing where nothing was counted. Raises EngineFailed for any other text."""
    lines = [line.split() for line in text.splitlines() if line.strip()]
    if not lines:
        return {}
    if lines[0] != ["%", "time", "seconds", "usecs/call", "calls", "errors", "syscall"]:
        raise errors.EngineFailed("this is no summary of strace -c", detail="\n".join(text.splitlines()[:5]))
    counted: dict[str, int] = {}
    for words in lines[1:]:
        if words[0].startswith("---"):
            continue
        if len(words) not in (5, 6) or not words[3].isdigit():
            raise errors.EngineFailed("a line of the summary of strace -c cannot be read", detail=" ".join(words))
        counted[words[-1]] = int(words[3])
    total = counted.pop("total", None)
    if total != sum(counted.values()):
        raise errors.EngineFailed(f"strace -c counted {sum(counted.values())} calls and says that they are {total}")
    return counted


def by_kind(counted: Mapping[str, int]) -> dict[str, int]:
    """The calls of each of KINDS."""
    kinds = dict.fromkeys(KINDS, 0)
    for name, count in counted.items():
        kinds[_KIND.get(name, OTHERS)] += count
    return kinds
