"""One writer: at no time do two nodes acknowledge writes.

Operations: `write` straight at a node (the endpoint is its name), whose result names the timeline that it was written on,
as {"timeline": 3}. The role may move from A to B and back to A, so that acknowledgements alternate between nodes is no
fault by itself. What tells is the timeline: every promotion begins a new one, a crashed primary that recovers stays on
its own, and no other node ever writes on that. So

    two nodes acknowledged writes on one timeline                                        → two primaries: they split
    a write began after one on a higher timeline was acknowledged, and was acknowledged  → a former primary still wrote

Not promised: to see a former primary that acknowledged while the first writes of the next one were under way; two
overlapping intervals can always be put in either order. Nor anything about a node that was never asked.

The timeline has to be that of the WAL being written, `pg_walfile_name(pg_current_wal_insert_lsn())`: the one in
`pg_control_checkpoint()` is the former one until the first checkpoint after a promotion ends, and accuses the innocent.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from poolkeeper_lab.chaos.checkers.finding import Anomaly, CheckerFinding, nothing, some
from poolkeeper_lab.chaos.history.history import History, Operation

WRITE, TIMELINE = "write", "timeline"
SPLIT, FORMER = "split-brain", "former-primary"


@dataclass(frozen=True)
class OneWriterOptions:
    """None yet."""


@dataclass(frozen=True)
class Term:
    """A node's acknowledged writes on one timeline: when the first began, when the last was acknowledged."""

    node: str
    timeline: int
    began: float
    ended: float
    first: int
    last: int
    writes: int

    def __str__(self) -> str:
        return f"{self.node} on timeline {self.timeline}, {self.writes} writes in {self.ended - self.began:.3f} s"


def check(history: History, options: Mapping[str, Any]) -> CheckerFinding:
    """Judge the acknowledged writes of all nodes together."""
    OneWriterOptions(**options)
    writes = [o for o in history.operations if o.f == WRITE]
    acknowledged = [o for o in writes if o.is_ok]
    if not acknowledged:
        return nothing("no node acknowledged a write")
    known = [o for o in acknowledged if _timeline(o) is not None]
    found = reigns(known)
    anomalies = (*_split(found), *_former(known))
    summary = f"{len(acknowledged)} acknowledged writes in {len(found)} reigns: {some(found)}"
    figures = {"acknowledged": len(acknowledged), "reigns": len(found), "nodes": len({o.endpoint for o in writes})}
    return CheckerFinding(summary, anomalies, tuple(_unjudged(writes, len(acknowledged) - len(known))), figures=figures)


def _timeline(write: Operation) -> int | None:
    timeline = (write.result or {}).get(TIMELINE)
    return None if timeline is None else int(timeline)


def reigns(writes: Sequence[Operation]) -> tuple[Term, ...]:
    """One for each node and timeline, in the order of their beginnings. `writes` are acknowledged and name theirs."""
    by: dict[tuple[str, int], list[Operation]] = {}
    for write in writes:
        by.setdefault((write.endpoint, _timeline(write) or 0), []).append(write)
    return tuple(sorted((_reign(*key, group) for key, group in by.items()), key=lambda reign: reign.began))


def _reign(node: str, timeline: int, writes: Sequence[Operation]) -> Term:
    first, last = min(writes, key=lambda o: o.began), max(writes, key=lambda o: o.ended)
    return Term(node, timeline, first.began, last.ended, first.number, last.number, len(writes))


def _unjudged(writes: Sequence[Operation], silent: int) -> Iterator[str]:
    if silent:
        yield f"{silent} acknowledged writes do not say their timeline"
    if len({write.endpoint for write in writes}) < 2:
        yield "only one node was asked, so a second writer could not be seen"


def _split(found: Sequence[Term]) -> Iterator[Anomaly]:
    first: dict[int, Term] = {}
    for reign in found:
        other = first.setdefault(reign.timeline, reign)
        if other is not reign:
            words = f"{other.node} and {reign.node} both acknowledged writes on timeline {reign.timeline}"
            yield Anomaly(SPLIT, words, (other.first, other.last, reign.first, reign.last))


def _higher(before: Operation, write: Operation) -> Operation:
    return write if (_timeline(write) or 0) > (_timeline(before) or 0) else before


def _former(writes: Sequence[Operation]) -> Iterator[Anomaly]:
    """Of each reign that came too late its first write, beside the one that had the highest timeline before it."""
    by_end = sorted(writes, key=lambda o: o.ended)
    ends = [o.ended for o in by_end]
    highest = list(accumulate(by_end, _higher))
    told: set[tuple[str, int]] = set()
    for write in writes:
        count, own = bisect_left(ends, write.began), _timeline(write) or 0
        before = highest[count - 1] if count else write
        above = _timeline(before) or 0
        if above > own and (write.endpoint, own) not in told:
            told.add((write.endpoint, own))
            words = (
                f"{write.endpoint} acknowledged write #{write.number} on timeline {own}, which began after {before.endpoint} "
                f"had acknowledged #{before.number} on timeline {above}"
            )
            yield Anomaly(FORMER, words, (before.number, write.number))
