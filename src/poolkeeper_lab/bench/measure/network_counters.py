"""The traffic that a container sent: bytes and packets of its network namespace, without loopback.

Source: Linux, /proc/PID/net/dev, of the namespace of that process. The sixteen numbers are eight for received and eight
for sent traffic, and each group begins with bytes and packets. They exclude Unix sockets. The kernel's offloading
merges several packets into one, as on any bridge between containers.
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
    """The traffic that left a namespace since it was created."""

    bytes: int
    packets: int


def read_devices(text: str) -> Sent:
    """Return the sum over all interfaces except loopback.

    Raises:
        EngineFailed: if the text has another format.
    """
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
    """Return the traffic that the namespace of a process has sent so far.

    Raises:
        EngineFailed: if the counters cannot be read.
    """
    file = proc / str(pid) / "net" / "dev"
    try:
        return read_devices(file.read_text(encoding="ascii"))
    except OSError as e:
        raise errors.EngineFailed(f"{file} cannot be read: {e.strerror}") from e
