"""A proposal of `tune`: the values for a machine and a number of clients, each with its reason.

Invariant: every `Proposal` obeys all rules of the spec, and the sum of its budget is at most the machine's memory. Not
promised: that a server stays below the budget if it uses memory that the budget does not count. Examples are the memory
of an extension, and that of a session that raises its own work_mem.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from poolkeeper.model.grammar import Setting
from poolkeeper.model.spec import ClusterSpec

Location = tuple[str, ...]


class WorkloadKind(StrEnum):
    """The kinds of workload: the endpoint with most of the clients, and the cost of a statement."""

    OLTP = "oltp"  # many short transactions, at the read-write endpoint
    MIXED = "mixed"  # half of them at each
    REPORTING = "reporting"  # few long reads, at the read-only endpoint


@dataclass(frozen=True)
class Machine:
    """The machine that all containers share: processor cores, and memory in MiB."""

    cores: int
    memory_mb: int


@dataclass(frozen=True)
class Wish:
    """The requested capacity. None keeps the declared values of that part of the endpoints.

    `clients` is the number of sessions at once, `pairs` that of their different pairs of user and database.
    """

    clients: int | None = None
    pairs: int | None = None
    workload: WorkloadKind = WorkloadKind.OLTP


@dataclass(frozen=True)
class Choice:
    """One key of `cluster.toml`: its present value (None: not set, so `default` applies) and the proposed one."""

    location: Location
    now: Setting | None
    proposed: Setting
    why: str  # a sentence with the formula
    source: str
    default: Setting | None = None  # PostgreSQL's own

    @property
    def key(self) -> str:
        """The dotted key, such as `postgresql.max_connections`."""
        return ".".join(self.location)

    @property
    def is_change(self) -> bool:
        """Whether the proposed value differs from the present one. 1024MB and 1GB are equal."""
        return _plain(self.default if self.now is None else self.now) != _plain(self.proposed)


@dataclass(frozen=True)
class MemoryShare:
    """A line of the machine's memory budget, in MiB."""

    title: str
    mb: float
    formula: str


@dataclass(frozen=True)
class Proposal:
    """Every choice, the budget of the machine's memory, and the resulting cluster."""

    machine: Machine
    wish: Wish
    choices: tuple[Choice, ...]
    budget: tuple[MemoryShare, ...]
    spec: ClusterSpec
    notes: tuple[str, ...] = ()
    effects: Mapping[str, str] = field(default_factory=dict)  # key → what `up` must do to apply it

    @property
    def changes(self) -> tuple[Choice, ...]:
        """The choices that differ from the present values."""
        return tuple(choice for choice in self.choices if choice.is_change)

    @property
    def total_mb(self) -> float:
        """The sum of the budget, in MiB."""
        return sum(share.mb for share in self.budget)


_UNITS = {"kb": 1, "mb": 1024, "gb": 1024**2, "tb": 1024**3}
_SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86400}


def _plain(value: Setting | None) -> object:
    """Return a value that can be compared: sizes in kB, times in seconds, integers as numbers."""
    if not isinstance(value, str):
        return value
    text = value.strip().lower()
    digits = text.rstrip("abcdefghijklmnopqrstuvwxyz ")
    unit = text[len(digits) :].strip()
    if not digits.isdigit():
        return value
    if unit in _UNITS:
        return ("size", int(digits) * _UNITS[unit])
    if unit in _SECONDS:
        return ("time", int(digits) * _SECONDS[unit])
    return value if unit else int(digits)


def size(mb: float) -> str:
    """Return MiB as PostgreSQL writes them, rounded down; in GB if that is an integer."""
    size_mb = int(mb)
    return f"{size_mb // 1024}GB" if size_mb >= 1024 and size_mb % 1024 == 0 else f"{size_mb}MB"
