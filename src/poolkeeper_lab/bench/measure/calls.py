"""The parser for the summary of `strace -c`: how often each system call was made. Pure.

Source: strace(1), `-c`. The columns are the share of the time, the seconds, microseconds a call, the calls, the errors
(empty if there are none) and the name. The times are ignored: tracing itself causes most of them.
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
    """Return the number of calls by name; an empty summary has none.

    Raises:
        EngineFailed: if the text is not a summary of `strace -c`.
    """
    lines = [line.split() for line in text.splitlines() if line.strip()]
    if not lines:
        return {}
    if lines[0] != ["%", "time", "seconds", "usecs/call", "calls", "errors", "syscall"]:
        raise errors.EngineFailed("this is not a summary of strace -c", detail="\n".join(text.splitlines()[:5]))
    counted: dict[str, int] = {}
    for words in lines[1:]:
        if words[0].startswith("---"):
            continue
        if len(words) not in (5, 6) or not words[3].isdigit():
            raise errors.EngineFailed("a line of the summary of strace -c cannot be read", detail=" ".join(words))
        counted[words[-1]] = int(words[3])
    total = counted.pop("total", None)
    if total != sum(counted.values()):
        raise errors.EngineFailed(f"strace -c counted {sum(counted.values())} calls and reports {total}")
    return counted


def by_kind(counted: Mapping[str, int]) -> dict[str, int]:
    """Return the number of calls of each of KINDS."""
    kinds = dict.fromkeys(KINDS, 0)
    for name, count in counted.items():
        kinds[_KIND.get(name, OTHERS)] += count
    return kinds
