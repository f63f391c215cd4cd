"""Check that at no time two nodes acknowledge writes.

Operations: `write` at a node's own port (the endpoint is the node's name). Its result names the timeline of the write,
as {"timeline": 3}. The role may move from A to B and back to A, so alternating acknowledgements alone prove nothing.
The timeline does: every promotion begins a new one, a crashed primary that recovers stays on its own timeline, and no
other node ever writes on that timeline. Two patterns are anomalies:

    two nodes acknowledged writes on one timeline                                        → split brain
    a write began after one on a higher timeline was acknowledged, and was acknowledged  → a former primary still wrote

Not promised: to detect a former primary that acknowledged while the first writes of the next primary were in progress,
because two overlapping intervals can be put in either order. Nothing is promised for a node that no client queried.

The timeline has to be that of the WAL being written, `pg_walfile_name(pg_current_wal_insert_lsn())`. The timeline in
`pg_control_checkpoint()` stays the former one until the first checkpoint after a promotion ends; it would give false
alarms.
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
    """The options of the checker: none yet."""


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
    """Check the acknowledged writes of all nodes together."""
    OneWriterOptions(**options)
    writes = [o for o in history.operations if o.f == WRITE]
    acknowledged = [o for o in writes if o.is_ok]
    if not acknowledged:
        return nothing("no node acknowledged a write")
    known = [o for o in acknowledged if _timeline(o) is not None]
    found = terms(known)
    anomalies = (*_split(found), *_former(known))
    summary = f"{len(acknowledged)} acknowledged writes in {len(found)} terms: {some(found)}"
    figures = {"acknowledged": len(acknowledged), "terms": len(found), "nodes": len({o.endpoint for o in writes})}
    unknowns = tuple(_unchecked(writes, len(acknowledged) - len(known)))
    return CheckerFinding(summary, anomalies, unknowns, figures=figures)


def _timeline(write: Operation) -> int | None:
    timeline = (write.result or {}).get(TIMELINE)
    return None if timeline is None else int(timeline)


def terms(writes: Sequence[Operation]) -> tuple[Term, ...]:
    """Return one term for each node and timeline, ordered by their begin.

    All `writes` are acknowledged and name their timeline.
    """
    by: dict[tuple[str, int], list[Operation]] = {}
    for write in writes:
        by.setdefault((write.endpoint, _timeline(write) or 0), []).append(write)
    return tuple(sorted((_term(*key, group) for key, group in by.items()), key=lambda term: term.began))


def _term(node: str, timeline: int, writes: Sequence[Operation]) -> Term:
    first, last = min(writes, key=lambda o: o.began), max(writes, key=lambda o: o.ended)
    return Term(node, timeline, first.began, last.ended, first.number, last.number, len(writes))


def _unchecked(writes: Sequence[Operation], without_timeline: int) -> Iterator[str]:
    if without_timeline:
        yield f"{without_timeline} acknowledged writes do not name their timeline"
    if len({write.endpoint for write in writes}) < 2:
        yield "only one node received writes, so a second writer could not be detected"


def _split(found: Sequence[Term]) -> Iterator[Anomaly]:
    first: dict[int, Term] = {}
    for term in found:
        other = first.setdefault(term.timeline, term)
        if other is not term:
            words = f"{other.node} and {term.node} both acknowledged writes on timeline {term.timeline}"
            yield Anomaly(SPLIT, words, (other.first, other.last, term.first, term.last))


def _higher(before: Operation, write: Operation) -> Operation:
    return write if (_timeline(write) or 0) > (_timeline(before) or 0) else before


def _former(writes: Sequence[Operation]) -> Iterator[Anomaly]:
    """Yield the first write of each late term, with the earlier write on the highest timeline."""
    by_end = sorted(writes, key=lambda o: o.ended)
    ends = [o.ended for o in by_end]
    highest = list(accumulate(by_end, _higher))
    reported: set[tuple[str, int]] = set()
    for write in writes:
        count, own = bisect_left(ends, write.began), _timeline(write) or 0
        before = highest[count - 1] if count else write
        above = _timeline(before) or 0
        if above > own and (write.endpoint, own) not in reported:
            reported.add((write.endpoint, own))
            words = (
                f"{write.endpoint} acknowledged write #{write.number} on timeline {own}, which began after "
                f"{before.endpoint} had acknowledged #{before.number} on timeline {above}"
            )
            yield Anomaly(FORMER, words, (before.number, write.number))
