"""Every error that Poolkeeper raises on purpose.

    PoolkeeperError                 1   the root: what happened, where, and the next step
    ├── UsageError                  2   a wrong request: an unknown name, or options that contradict each other
    ├── SpecError                  10   cluster.toml is wrong; has every mistake at once
    ├── UnsafeChange               11   an edit of cluster.toml that a running cluster cannot apply
    ├── HistoryDamaged             12   a recorded history cannot be read; has the line
    ├── EngineMissing              20   no container engine answers, and Poolkeeper may not install one
    ├── EngineFailed               21   the engine refused or failed a command
    ├── ImageFailed                22   an image or its base could not be built
    ├── PortTaken                  23   a host port is in use by something else
    ├── NetworkOverlap             24   the subnet overlaps another network of this machine
    ├── DiskFull                   25   too little disk to start safely
    ├── PermissionRefused          26   this user lacks a permission
    ├── ClusterNotUp               30   the command needs a running cluster
    ├── DeadlinePassed             31   a wait ended; has the last observation      (retryable)
    ├── ContainerDied              32   a container ended while it was needed; has its last log lines
    ├── Unreachable                33   a server did not answer                    (retryable)
    ├── ServerRefused              34   a server answered with an error; has the SQLSTATE or HTTP status
    ├── DatabaseUserError          35   a database user cannot be added, changed or dropped as asked
    ├── StateLocked                36   another poolkeeper command is changing this cluster (retryable)
    ├── OperationRefused           37   an operation that is not safe now; lists the reasons
    └── ProposalRefused            38   `tune` finds no configuration that this machine and the rules allow

The number is the process's exit code. `status` has its own codes: 0 healthy, 1 degraded, 2 down, 3 unknown.
`chaos check` and `doctor` exit with 3 for an unknown result. A command line that Click cannot parse exits with 2.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mistake:
    """A mistake in `cluster.toml`: the dotted key, its line (1-based, None if the key is absent), and the rule."""

    key: str
    line: int | None
    rule: str

    def __str__(self) -> str:
        where = f"line {self.line}" if self.line else "not in the file"
        return f"{self.key} ({where}): {self.rule}"


class PoolkeeperError(Exception):
    """The root of the tree.

    `message` states what happened and where, `hint` the next step. `detail` is longer text such as log lines.
    """

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
    """`cluster.toml` cannot be used. `mistakes` holds all mistakes, in the order of the file."""

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
    """A recorded history cannot be checked. `line` is 1-based, None if the mistake is in no particular line."""

    exit_code = 12

    def __init__(self, path: str, line: int | None, what: str) -> None:
        super().__init__(
            f"{path}{f', line {line}' if line else ''}: {what}",
            hint="Nothing was checked: a damaged history proves neither success nor failure.",
        )
        self.line = line


class EngineMissing(PoolkeeperError):
    """No container engine with Compose v2 answers."""

    exit_code = 20


class EngineFailed(PoolkeeperError):
    """The engine, or Compose, ended with an error."""

    exit_code = 21


class ImageFailed(PoolkeeperError):
    """An image or its base could not be built."""

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
    """The command needs a running cluster, and none runs."""

    exit_code = 30


class DeadlinePassed(PoolkeeperError):
    """A condition did not hold in time. The message ends with the last observation."""

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
    """A precondition of an operation does not hold, or could not be checked. Nothing was changed."""

    exit_code = 37


class ProposalRefused(PoolkeeperError):
    """No configuration fits the request: the machine or a rule of `cluster.toml` does not allow it."""

    exit_code = 38
