"""Check that the read-only endpoint never writes, never goes back in time within a session, and shows nothing too old.

Operations: `beat` on `rw` writes the next number of a counter; `read` on `ro` returns the counter's number; `write` on
`ro` is an attempt to write that has to be refused with 25006. A session is the pair (process, session).

Invariant: a read is too old only against a beat that was acknowledged more than bound + slack seconds before the read
began. With `bound` None, no bound is promised under the faults of this run (without keeper there is none), and ages are
only figures. Each of the three parts that could not be checked leaves the finding unknown.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from poolkeeper.model.endpoint_keys import RO
from poolkeeper_lab.chaos.checkers.finding import Anomaly, CheckerFinding, nothing
from poolkeeper_lab.chaos.history.history import History, Operation

BEAT, READ, WRITE = "beat", "read", "write"
READ_ONLY = "25006"  # read_only_sql_transaction
WRITTEN, BACKWARDS, TOO_OLD, PHANTOM, REFUSED = "write-accepted", "backwards", "too-old", "phantom", "refused"


@dataclass(frozen=True)
class ReadOnlyOptions:
    """The bounds in seconds; `initial` is the counter before the first beat."""

    bound: float | None
    slack: float = 0.0
    initial: int = 0
    endpoint: str = RO


class _Beats:
    """The acknowledged beats in the order of their ends."""

    def __init__(self, operations: Sequence[Operation], initial: int) -> None:
        acknowledged = sorted((o for o in operations if o.f == BEAT and o.is_ok), key=lambda o: o.ended)
        self.tried = {o.value: o for o in operations if o.f == BEAT}
        self.ends = [o.ended for o in acknowledged]
        self._highest = [initial, *accumulate((o.value for o in acknowledged), max, initial=initial)][1:]

    def highest_before(self, moment: float) -> int:
        """Return the highest number that was acknowledged before that moment."""
        return int(self._highest[bisect_left(self.ends, moment)])

    def age(self, read: Operation) -> float:
        """Return the seconds from the acknowledgement of the first beat that the read lacks to its begin, or 0."""
        newer = bisect_right(self._highest, read.result)
        return max(0.0, read.began - self.ends[newer - 1]) if 0 < newer < len(self._highest) else 0.0


def check(history: History, options: Mapping[str, Any]) -> CheckerFinding:
    """Check the endpoint's writes, its sessions and the age of their reads."""
    wanted = ReadOnlyOptions(**options)
    at_endpoint = [o for o in history.operations if o.endpoint == wanted.endpoint]
    reads = [o for o in at_endpoint if o.f == READ and o.is_ok]
    writes = [o for o in at_endpoint if o.f == WRITE]
    if not at_endpoint:
        return nothing(f"the endpoint {wanted.endpoint} received no operation")
    beats = _Beats(history.operations, wanted.initial)
    anomalies = [*_accepted(writes), *_backwards(reads), *_impossible(reads, beats, wanted)]
    if wanted.bound is not None:
        anomalies += _too_old(reads, beats, wanted.bound + wanted.slack)
    refusals = Counter(o.code for o in writes if not o.is_ok)
    summary = f"{len(reads)} reads, {len(writes)} writes refused {refusals[READ_ONLY]} times with {READ_ONLY}"
    figures = {
        "reads": len(reads),
        "beats": len(beats.ends),
        "oldest_seconds": max(map(beats.age, reads), default=None),
        "write_codes": dict(refusals.most_common()),
    }
    return CheckerFinding(summary, tuple(anomalies), tuple(_unchecked(reads, refusals, beats)), figures=figures)


def _unchecked(reads: Sequence[Operation], refusals: Mapping[str, int], beats: _Beats) -> Iterator[str]:
    if not reads:
        yield "no read was answered"
    if not refusals.get(READ_ONLY):
        yield f"no write was refused with {READ_ONLY}, so the refusal of writes was not checked"
    if not beats.ends:
        yield "no beat was acknowledged, so no age is known"
    elif reads and reads[-1].began <= beats.ends[0]:
        yield "no read began after a beat was acknowledged, so no age is known"


def _accepted(writes: Sequence[Operation]) -> Iterator[Anomaly]:
    for write in writes:
        if write.is_ok:
            yield Anomaly(WRITTEN, f"write #{write.number} on {write.endpoint} was accepted", (write.number,))


def _backwards(reads: Sequence[Operation]) -> Iterator[Anomaly]:
    before: dict[tuple[int, int], Operation] = {}
    for read in sorted(reads, key=lambda o: o.began):
        session = (read.process, read.session)
        last = before.get(session)
        if last and read.result < last.result:
            words = f"client {read.process}, session {read.session}, read {last.result} and then {read.result}"
            yield Anomaly(BACKWARDS, words, (last.number, read.number))
        before[session] = read


def _impossible(reads: Sequence[Operation], beats: _Beats, wanted: ReadOnlyOptions) -> Iterator[Anomaly]:
    for read in reads:
        beat = beats.tried.get(read.result)
        if read.result == wanted.initial:
            continue
        if beat is None or beat.began > read.ended:
            words = f"read #{read.number} shows {read.result}, which no client had tried yet"
            yield Anomaly(PHANTOM, words, (read.number,))
        elif beat.is_fail:
            words = f"read #{read.number} shows {read.result}, which was refused"
            yield Anomaly(REFUSED, words, (beat.number, read.number))


def _too_old(reads: Sequence[Operation], beats: _Beats, seconds: float) -> Iterator[Anomaly]:
    for read in reads:
        least = beats.highest_before(read.began - seconds)
        if read.result < least:
            words = (
                f"read #{read.number} shows {read.result}; {least} was acknowledged over {seconds:g} s before it began"
            )
            yield Anomaly(TOO_OLD, words, (beats.tried[least].number, read.number))
