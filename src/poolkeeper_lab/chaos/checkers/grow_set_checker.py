"""Check a set that only grows: in the end it has every acknowledged element once, and no other element.

Operations: `add` of an element (a number or a word, never the same twice); `read`, whose result is the list of all
elements. A read whose value is "final" is checked in full: the workload invokes it when no add is in progress and, on a
standby, after replay has reached that point. A read on the endpoint `rw` has to show every element acknowledged before
it.

Invariant: an INFO may be absent or present, at most once; a FAIL must be absent. Without a final read the finding is
unknown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from poolkeeper.model.endpoint_keys import RW
from poolkeeper_lab.chaos.checkers.finding import Anomaly, CheckerFinding, nothing, some
from poolkeeper_lab.chaos.history.history import Completion, History, Operation

ADD, READ, FINAL = "add", "read", "final"
LOST, STALE = "lost", "stale"
PHANTOM, REFUSED, DUPLICATE = "phantom", "refused", "duplicate"


@dataclass(frozen=True)
class GrowSetOptions:
    """The options: the endpoints whose reads are never behind."""

    current_endpoints: tuple[str, ...] = (RW,)


def check(history: History, options: Mapping[str, Any]) -> CheckerFinding:
    """Check the adds against the reads.

    Raises:
        ValueError: if an element was added twice.
    """
    wanted = GrowSetOptions(**options)
    adds = _adds(history.operations)
    reads = [o for o in history.operations if o.f == READ and o.is_ok]
    if not adds:
        return nothing("nothing was added")
    anomalies = [found for read in reads for found in _check_read(read, adds, wanted)]
    acknowledged = sum(add.is_ok for add in adds.values())
    lost = {number for found in anomalies if found.name == LOST for number in found.operations[1:]}
    summary = f"{len(lost)} of {acknowledged} acknowledged adds lost, {len(reads)} reads"
    figures = {
        LOST: len(lost),
        "acknowledged": acknowledged,
        "open": sum(a.is_info for a in adds.values()),
        "reads": len(reads),
    }
    return CheckerFinding(summary, tuple(anomalies), tuple(_unchecked(reads, adds)), figures=figures)


def _adds(operations: Iterable[Operation]) -> dict[Any, Operation]:
    adds: dict[Any, Operation] = {}
    for operation in operations:
        if operation.f == ADD and adds.setdefault(operation.value, operation) is not operation:
            raise ValueError(f"{operation.value!r} was added twice, so its two adds cannot be distinguished")
    return adds


def _unchecked(reads: Iterable[Operation], adds: Mapping[Any, Operation]) -> Iterator[str]:
    finals = [read.began for read in reads if read.value == FINAL]
    if not finals:
        yield "no final read was answered"
        return
    late = [add for add in adds.values() if add.is_ok and add.ended >= max(finals)]
    if late:
        yield f"{len(late)} adds were acknowledged after the last final read began"
    if not any(add.is_ok for add in adds.values()):
        yield "no add was acknowledged"


def _check_read(read: Operation, adds: Mapping[Any, Operation], wanted: GrowSetOptions) -> Iterator[Anomaly]:
    """Yield at most one anomaly of each kind; its operations are the read and then the adds."""
    counts = Counter(read.result)
    is_final = read.value == FINAL

    def those(name: str, words: str, is_so: Callable[[Any], bool], among: Iterable[Any]) -> Iterator[Anomaly]:
        found = [element for element in among if is_so(element)]
        if found:
            numbers = tuple(adds[element].number for element in found if element in adds)
            yield Anomaly(name, f"read #{read.number} {words}: {some(found)}", (read.number, *numbers))

    def is_missing(element: Any) -> bool:
        return adds[element].is_ok and adds[element].ended < read.began and element not in counts

    def is_phantom(element: Any) -> bool:
        return element not in adds or adds[element].began > read.ended

    def is_refused(element: Any) -> bool:
        return element in adds and adds[element].completion is Completion.FAIL

    if is_final:
        yield from those(LOST, "lacks elements acknowledged before it", is_missing, adds)
    elif read.endpoint in wanted.current_endpoints:
        yield from those(STALE, "does not yet show elements acknowledged before it", is_missing, adds)
    yield from those(PHANTOM, "shows elements that no client had tried to add", is_phantom, counts)
    yield from those(REFUSED, "shows refused elements", is_refused, counts)
    yield from those(DUPLICATE, "shows more than once", lambda element: counts[element] > 1, counts)
