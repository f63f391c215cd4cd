"""A proposal of `tune`: the values that a machine and a number of clients ask for, each with its reason.

Invariant: a `Proposal` that exists passes every rule of the spec, and the lines of its budget add up to no more than
the machine's memory. Not promised: that a server which is asked for other things than these lines count stays below
them (an extension, a session that raises its own work_mem).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from poolkeeper.model.grammar import Setting
from poolkeeper.model.spec import ClusterSpec

Location = tuple[str, ...]


class WorkloadKind(StrEnum):
    """Which endpoint takes most of the clients, and how heavy a statement is."""

    OLTP = "oltp"  # many short transactions, at the read-write endpoint
    MIXED = "mixed"  # half and half
    REPORTING = "reporting"  # few long reads, at the read-only endpoint


@dataclass(frozen=True)
class Machine:
    """What all the containers share: processor cores, and memory in MiB."""

    cores: int
    memory_mb: int


@dataclass(frozen=True)
class Wish:
    """What is wanted. None leaves that part of the endpoints as it is declared.

    `clients` are sessions open at once, `pairs` the different pairs of user and database that they log in as.
    """

    clients: int | None = None
    pairs: int | None = None
    workload: WorkloadKind = WorkloadKind.OLTP


@dataclass(frozen=True)
class Choice:
    """One key of `cluster.toml`: what it is now (None: not set, so `default` holds), and what is proposed."""

    location: Location
    now: Setting | None
    proposed: Setting
    why: str  # a sentence with the formula
    source: str
    default: Setting | None = None  # PostgreSQL's own

    @property
    def key(self) -> str:
        """As `postgresql.max_connections`."""
        return ".".join(self.location)

    @property
    def is_change(self) -> bool:
        """Is the proposed value another one than holds now? 1024MB and 1GB are the same."""
        return _plain(self.default if self.now is None else self.now) != _plain(self.proposed)


@dataclass(frozen=True)
class MemoryShare:
    """A line of the memory budget, in MiB, of the whole machine."""

    title: str
    mb: float
    formula: str


@dataclass(frozen=True)
class Proposal:
    """Every choice, what the machine's memory goes to, and the cluster that results."""

    machine: Machine
    wish: Wish
    choices: tuple[Choice, ...]
    budget: tuple[MemoryShare, ...]
    spec: ClusterSpec
    notes: tuple[str, ...] = ()
    effects: Mapping[str, str] = field(default_factory=dict)  # key → what `up` must do to apply it

    @property
    def changes(self) -> tuple[Choice, ...]:
        """The choices that are other values than now."""
        return tuple(choice for choice in self.choices if choice.is_change)

    @property
    def total_mb(self) -> float:
        """What the lines of the budget add up to."""
        return sum(share.mb for share in self.budget)


_UNITS = {"kb": 1, "mb": 1024, "gb": 1024**2, "tb": 1024**3}
_SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86400}


def _plain(value: Setting | None) -> object:
    """A value in which the unit makes no difference: sizes in kB, times in seconds, whole numbers as numbers."""
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
    """MiB as PostgreSQL writes them, rounded down: whole GB where they are whole."""
    whole = int(mb)
    return f"{whole // 1024}GB" if whole >= 1024 and whole % 1024 == 0 else f"{whole}MB"
