"""Record the clients' attempts and their results, and compare the record with the stored rows.

Invariant: an attempt is in the ledger before any part of it is sent. It is acknowledged only if the server's answer is
complete and without a warning. An attempt that was sent and has no such answer is ambiguous: it may be stored or not,
and neither is an error. Pure, except for the lock. Times are seconds of the monotonic clock of one process.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise

# Classes of SQLSTATE after which a statement may be stored all the same: a cancelled wait for the quorum (01), a lost
# connection (08), an ended session (57), failures of the system or of Pgpool-II (58, XX). 40003 means just that.
_MAYBE_STORED = ("01", "08", "57", "58", "XX")
_UNKNOWN_COMPLETION = "40003"
LOST = "lost"  # the connection ended without a SQLSTATE
SILENT = "silent"  # the client gave up at its deadline
ENDED = " and the session ended"  # follows the SQLSTATE of a fatal error
_RECONNECT = (LOST, SILENT, "57P01", "57P02", "08006", "08003", "08000")


class AttemptOutcome(StrEnum):
    """The effect of an attempt, as far as the client can tell."""

    ACKNOWLEDGED = "acknowledged"
    REFUSED = "refused"
    AMBIGUOUS = "ambiguous"


@dataclass(frozen=True)
class Attempt:
    """One statement of one client: `number` is the id that it writes; `server` the server that reports the answer."""

    number: int
    client: str  # kept | fresh
    began: float
    ended: float
    outcome: AttemptOutcome
    code: str = ""  # SQLSTATE, or a word if there is none; "" without an error
    server: str = ""


def outcome_of(code: str, sent: bool) -> AttemptOutcome:
    """Return the outcome of a statement that ended with this code. A statement that was not `sent` cannot be stored."""
    if not sent:
        return AttemptOutcome.REFUSED
    open_end = code in (LOST, SILENT, _UNKNOWN_COMPLETION) or code[:2] in _MAYBE_STORED
    return AttemptOutcome.AMBIGUOUS if open_end else AttemptOutcome.REFUSED


class Ledger:
    """The attempts at one endpoint; threads may share it."""

    def __init__(self, first: int = 1) -> None:
        self._next = first
        self._open: dict[int, tuple[str, float]] = {}
        self._closed: list[Attempt] = []
        self._proven: dict[str, float] = {}  # client → when its last acknowledged attempt began
        self._lock = threading.Lock()

    def open(self, client: str, now: float) -> int:
        """Record an attempt before it is sent, and return its number."""
        with self._lock:
            number, self._next = self._next, self._next + 1
            self._open[number] = (client, now)
        return number

    def close(self, number: int, now: float, outcome: AttemptOutcome, code: str = "", server: str = "") -> None:
        """Record the result of an attempt."""
        with self._lock:
            client, began = self._open.pop(number)
            self._closed.append(Attempt(number, client, began, now, outcome, code, server))
            if outcome is AttemptOutcome.ACKNOWLEDGED:
                self._proven[client] = began

    def attempts(self, now: float) -> tuple[Attempt, ...]:
        """Return all attempts in the order of their ends; one that has not ended by `now` is ambiguous."""
        with self._lock:
            hanging = [
                Attempt(n, c, began, now, AttemptOutcome.AMBIGUOUS, SILENT) for n, (c, began) in self._open.items()
            ]
            return tuple(sorted([*self._closed, *hanging], key=lambda a: a.ended))

    def served_since(self, moment: float, clients: Iterable[str]) -> bool:
        """Return whether each client had an attempt acknowledged that it began after that moment."""
        with self._lock:
            return all(self._proven.get(client, moment) > moment for client in clients)

    @property
    def next_number(self) -> int:
        """The number of the next attempt."""
        return self._next


@dataclass(frozen=True)
class Gap:
    """An interval without an acknowledged attempt. It is open if none followed until the record ended."""

    begin: float
    end: float
    is_open: bool = False

    @property
    def seconds(self) -> float:
        """The length of the gap."""
        return self.end - self.begin


def longest_gap(attempts: Iterable[Attempt], since: float, until: float, client: str | None = None) -> Gap:
    """Return the longest interval between two successive acknowledgements of which the second came after `since`.

    `until` ends the record; `client` restricts it to one client. Without an earlier acknowledgement, the first interval
    begins at `since`.
    """
    ends = sorted(a.ended for a in _acknowledged(attempts) if client in (None, a.client) and a.ended <= until)
    before = max((end for end in ends if end <= since), default=since)
    marks = [before, *(end for end in ends if end > since)]
    closed = [Gap(begin, end) for begin, end in pairwise(marks)]
    return max([*closed, Gap(marks[-1], until, is_open=True)], key=lambda gap: gap.seconds)


def _acknowledged(attempts: Iterable[Attempt]) -> list[Attempt]:
    return [a for a in attempts if a.outcome is AttemptOutcome.ACKNOWLEDGED]


@dataclass(frozen=True)
class LedgerVerdict:
    """The record compared with the final rows of the primary. `errors` counts the codes of other attempts."""

    acknowledged: int
    refused: int
    ambiguous: int
    lost: tuple[int, ...]  # acknowledged and absent
    duplicates: tuple[int, ...]  # stored more than once
    phantoms: tuple[int, ...]  # refused and stored all the same, or never attempted
    ambiguous_stored: int
    stale: int  # acknowledged by another node after the new primary was open
    errors: Mapping[str, int] = field(default_factory=dict)

    @property
    def is_sound(self) -> bool:
        """Whether no write was lost, stored twice, stored without an attempt, or acknowledged by a former primary."""
        return not (self.lost or self.duplicates or self.phantoms or self.stale)


def evaluate(
    attempts: Iterable[Attempt], stored: Mapping[int, int], new_primary: tuple[str, float] | None
) -> LedgerVerdict:
    """Compare the attempted writes with the stored rows.

    `stored` maps each id to its number of rows; `new_primary` is the node's name and the time at which it opened.
    """
    attempts = list(attempts)
    by = {outcome: {a.number for a in attempts if a.outcome is outcome} for outcome in AttemptOutcome}
    possible = by[AttemptOutcome.ACKNOWLEDGED] | by[AttemptOutcome.AMBIGUOUS]
    return LedgerVerdict(
        acknowledged=len(by[AttemptOutcome.ACKNOWLEDGED]),
        refused=len(by[AttemptOutcome.REFUSED]),
        ambiguous=len(by[AttemptOutcome.AMBIGUOUS]),
        lost=tuple(sorted(by[AttemptOutcome.ACKNOWLEDGED] - set(stored))),
        duplicates=tuple(sorted(number for number, times in stored.items() if times > 1)),
        phantoms=tuple(sorted(set(stored) - possible)),
        ambiguous_stored=len(by[AttemptOutcome.AMBIGUOUS] & set(stored)),
        stale=_stale(attempts, new_primary),
        errors=errors_by_code(attempts),
    )


def _stale(attempts: Iterable[Attempt], new_primary: tuple[str, float] | None) -> int:
    """Count the statements that began after the new primary was open, and that another node acknowledged."""
    if new_primary is None:
        return 0
    node, opened = new_primary
    return sum(a.server not in ("", node) for a in _acknowledged(attempts) if a.began > opened)


def errors_by_code(attempts: Iterable[Attempt]) -> dict[str, int]:
    """Return the number of attempts by error code, the most frequent first."""
    return dict(Counter(a.code for a in attempts if a.outcome is not AttemptOutcome.ACKNOWLEDGED).most_common())


def beyond_reconnect(attempts: Iterable[Attempt]) -> int:
    """Count the errors that a reconnect between transactions does not avoid: all except an ended session."""
    failed = (a.code for a in attempts if a.outcome is not AttemptOutcome.ACKNOWLEDGED)
    return sum(code not in _RECONNECT and not code.endswith(ENDED) for code in failed)
