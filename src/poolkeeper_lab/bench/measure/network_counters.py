"""What a container sent: bytes and packets of its network namespace, without loopback.

Source: Linux, /proc/PID/net/dev, of the namespace of that process; the sixteen numbers are eight received, eight sent,
bytes and packets the first two of each. What passes by a Unix socket is in none of them. Offloading by the kernel makes
one packet of several, as it does on any bridge between containers.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from poolkeeper.core import errors
from poolkeeper_lab.bench.measure import cpu

_LOOPBACK = "lo"
_SENT_BYTES, _SENT_PACKETS, _NUMBERS = 8, 9, 16


@dataclass(frozen=True)
class Sent:
    """What left a namespace since it was made."""

    bytes: int
    packets: int


def read_devices(text: str) -> Sent:
    """The sum over all interfaces but loopback. Raises EngineFailed for any other text."""
    sent = [0, 0]
    for line in text.splitlines()[2:]:
        name, colon, numbers = line.partition(":")
        values = numbers.split()
        if not colon or len(values) != _NUMBERS or not all(value.isdigit() for value in values):
            raise errors.EngineFailed("a line of /proc/net/dev cannot be read", detail=line)
        if name.strip() != _LOOPBACK:
            sent[0] += int(values[_SENT_BYTES])
            sent[1] += int(values[_SENT_PACKETS])
    return Sent(*sent)


def of_process(pid: int, proc: Path = cpu.PROC) -> Sent:
    """What the namespace of a process sent until now. Raises EngineFailed."""
    file = proc / str(pid) / "net" / "dev"
    try:
        return read_devices(file.read_text(encoding="ascii"))
    except OSError as e:
        raise errors.EngineFailed(f"{file} cannot be read: {e.strerror}") from e
