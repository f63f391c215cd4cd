"""Every error that Poolkeeper raises on purpose.

    PoolkeeperError                 1   the root: what happened, where, and what to do next
    ├── UsageError                  2   a wrong request: an unknown name, or options that contradict each other
    ├── SpecError                  10   cluster.toml is wrong; carries every mistake at once
    ├── UnsafeChange               11   an edit of cluster.toml that a running cluster cannot take
    ├── HistoryDamaged             12   a recorded history cannot be read; carries the line
    ├── EngineMissing              20   no container engine answers, and none may be installed
    ├── EngineFailed               21   the engine refused or failed a command
    ├── ImageFailed                22   an image or its base could not be built
    ├── PortTaken                  23   a host port is in use by something else
    ├── NetworkOverlap             24   the subnet overlaps another network of this machine
    ├── DiskFull                   25   too little disk to start safely
    ├── PermissionRefused          26   this user may not do what is needed
    ├── ClusterNotUp               30   the command needs a running cluster
    ├── DeadlinePassed             31   a wait ended; says what it last saw        (retryable)
    ├── ContainerDied              32   a container ended while it was needed; carries its last log lines
    ├── Unreachable                33   a server did not answer                    (retryable)
    ├── ServerRefused              34   a server answered with an error; carries the SQLSTATE or HTTP status
    ├── DatabaseUserError          35   a database user cannot be added, changed or dropped as asked
    ├── StateLocked                36   another poolkeeper command is changing this cluster (retryable)
    ├── OperationRefused           37   an operation that would not be safe now; lists what forbids it
    └── ProposalRefused            38   `tune` finds no configuration that this machine and the rules allow

The number is the process's exit code. `status` has its own codes (0 healthy, 1 degraded, 2 down, 3 cannot tell);
`chaos check` and `doctor` end with 3 where they cannot tell; and a command line that cannot be parsed ends with 2, as
Click does it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mistake:
    """One mistake in `cluster.toml`: the dotted key, its line (1-based, None if the key is absent), and the rule."""

    key: str
    line: int | None
    rule: str

    def __str__(self) -> str:
        where = f"line {self.line}" if self.line else "not in the file"
        return f"{self.key} ({where}): {self.rule}"


class PoolkeeperError(Exception):
    """The root. `message` says what and where, `hint` says what next; `detail` is longer text such as log lines."""

    exit_code = 1
    retryable = False

    def __init__(self, message: str, *, hint: str = "", detail: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.detail = detail


class UsageError(PoolkeeperError):
    """The request is wrong: an unknown name, options that contradict each other, or a missing confirmation.

    The exit code is that of a command line that Click cannot parse.
    """

    exit_code = 2


class SpecError(PoolkeeperError):
    """`cluster.toml` cannot be used. `mistakes` holds all of them, in the order of the file."""

    exit_code = 10

    def __init__(self, path: str, mistakes: tuple[Mistake, ...]) -> None:
        count = "1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
        super().__init__(
            f"{path} has {count}; nothing was started or changed",
            hint="docs/configuration.md lists every key with its rule.",
            detail="\n".join(f"  {mistake}" for mistake in mistakes),
        )
        self.mistakes = mistakes


class UnsafeChange(PoolkeeperError):
    """An edit that cannot be applied to the running cluster without losing it."""

    exit_code = 11


class HistoryDamaged(PoolkeeperError):
    """A recorded history cannot be judged. `line` is 1-based, None where the file as a whole is meant."""

    exit_code = 12

    def __init__(self, path: str, line: int | None, what: str) -> None:
        super().__init__(
            f"{path}{f', line {line}' if line else ''}: {what}",
            hint="Nothing was judged: what a damaged history says is neither good nor bad.",
        )
        self.line = line


class EngineMissing(PoolkeeperError):
    """No container engine with Compose v2 answers."""

    exit_code = 20


class EngineFailed(PoolkeeperError):
    """The engine, or Compose, ended with an error."""

    exit_code = 21


class ImageFailed(PoolkeeperError):
    """An image or its base could not be made."""

    exit_code = 22


class PortTaken(PoolkeeperError):
    """A host port that the cluster publishes is already in use."""

    exit_code = 23


class NetworkOverlap(PoolkeeperError):
    """The cluster's subnet overlaps a network that is not its own."""

    exit_code = 24


class DiskFull(PoolkeeperError):
    """Less disk is free than a start needs."""

    exit_code = 25


class PermissionRefused(PoolkeeperError):
    """The operating system or the engine refused this user."""

    exit_code = 26


class ClusterNotUp(PoolkeeperError):
    """The command needs a running cluster and there is none."""

    exit_code = 30


class DeadlinePassed(PoolkeeperError):
    """A condition did not come true in time. The message ends with what was last seen."""

    exit_code = 31
    retryable = True


class ContainerDied(PoolkeeperError):
    """A container of the cluster ended while something waited for it."""

    exit_code = 32


class Unreachable(PoolkeeperError):
    """A server did not answer: refused, timed out, or closed the connection."""

    exit_code = 33
    retryable = True


class ServerRefused(PoolkeeperError):
    """A server answered, with an error. `code` is its SQLSTATE or HTTP status."""

    exit_code = 34

    def __init__(self, message: str, *, code: str, hint: str = "", detail: str = "") -> None:
        super().__init__(message, hint=hint, detail=detail)
        self.code = code


class DatabaseUserError(PoolkeeperError):
    """A database user cannot be added, changed or dropped as asked."""

    exit_code = 35


class StateLocked(PoolkeeperError):
    """Another poolkeeper command holds the cluster's lock."""

    exit_code = 36
    retryable = True


class OperationRefused(PoolkeeperError):
    """A precondition of an operation does not hold, or could not be looked at. Nothing was begun."""

    exit_code = 37


class ProposalRefused(PoolkeeperError):
    """No configuration for what was asked: the machine or a rule of `cluster.toml` does not allow it."""

    exit_code = 38
