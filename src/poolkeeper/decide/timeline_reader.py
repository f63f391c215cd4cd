"""The timeline of the last role change, from the log lines of all services.

Its anchor is the last time that a node took the lease to be promoted. The timeline begins with the first cause shortly
before that and ends with the last step that belongs to it. Each time is that at which the engine received
the line. A program that buffers its output appears late, and lines of the same millisecond are in any order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import pairwise

from poolkeeper.decide import log_signs
from poolkeeper.model.spec import ClusterSpec
from poolkeeper.model.timeline import CAUSES, EventKind, LogLine, Timeline, TimelineEvent

BEFORE = timedelta(seconds=30)  # the lease (20 s), and what an election may take
AFTER = timedelta(seconds=180)  # until the former primary is back, in the worst case as a new clone
SETTLED = timedelta(seconds=20)  # from then on, until Pgpool-II has it again
TAKEN = (EventKind.LOCKED, EventKind.PROMOTING, EventKind.PROMOTED)
SAME = timedelta(milliseconds=100)  # two equal lines within this time are one: HAProxy writes to two channels


def read_timeline(spec: ClusterSpec, lines: Iterable[LogLine]) -> Timeline | None:
    """Return the timeline, or None where the logs have no role change. `lines` may come in any order."""
    classified = (log_signs.classify(spec, line) for line in lines)
    steps = _without_doubles(sorted((step for step in classified if step), key=lambda step: step.at))
    anchors = [i for i, step in enumerate(steps) if step.kind in TAKEN]
    if not anchors:
        return None
    first = _first_of_change(steps, anchors)
    primary = steps[anchors[-1]].node
    before = [step for step in steps[:first] if steps[first].at - step.at <= BEFORE]
    found = [*_since_cause(before, primary), *steps[first:]]
    former = _former(found, primary)
    end = _end(found, steps[anchors[-1]], former)
    return Timeline(primary, former, tuple(step for step in found if step.at <= end))


def _without_doubles(steps: Sequence[TimelineEvent]) -> list[TimelineEvent]:
    kept: list[TimelineEvent] = []
    for step in steps:
        recent = (old for old in reversed(kept[-8:]) if step.at - old.at <= SAME)
        if not any((old.service, old.kind, old.words) == (step.service, step.kind, step.words) for old in recent):
            kept.append(step)
    return kept


def _first_of_change(steps: Sequence[TimelineEvent], anchors: Sequence[int]) -> int:
    """Return the first anchor of the last promotion: the same node, without a cause in between."""
    last = anchors[-1]
    first = last
    for later, earlier in pairwise(reversed(anchors)):
        if not _is_same_change(steps[earlier], steps[last]) or _lost_role(steps[earlier:later], steps[last].node):
            break
        first = earlier
    return first


def _is_same_change(earlier: TimelineEvent, last: TimelineEvent) -> bool:
    return earlier.node == last.node and last.at - earlier.at <= BEFORE


def _lost_role(steps: Sequence[TimelineEvent], node: str) -> bool:
    """Return whether this node lost its role in between."""
    return any(step.kind in (EventKind.DEMOTED, EventKind.ASKED) and step.node == node for step in steps)


def _since_cause(steps: Sequence[TimelineEvent], primary: str) -> Sequence[TimelineEvent]:
    """Return the steps from the cause on: a request, else the first cause at the former primary, else any cause.

    A standby that was restarted a moment before is no cause; nor is any step before an earlier promotion.
    """
    taken = [i for i, step in enumerate(steps) if step.kind in TAKEN]
    steps = steps[taken[-1] + 1 :] if taken else steps
    asked = [i for i, step in enumerate(steps) if step.kind is EventKind.ASKED]
    if asked:
        return steps[asked[-1] :]
    former = _former(steps, primary)
    causes = [step for step in steps if step.kind in CAUSES]
    first = next((step for step in causes if step.node == former), next(iter(causes), None))
    return steps[steps.index(first) :] if first else ()


def _former(steps: Sequence[TimelineEvent], primary: str) -> str | None:
    """Return the former primary: the node of the request, else the last one that lost its lease or server before."""
    taken = next((i for i, step in enumerate(steps) if step.kind in TAKEN), len(steps))
    for kinds in ((EventKind.ASKED,), (EventKind.RELEASED, EventKind.DEMOTED, EventKind.DIED, EventKind.STOPPED)):
        nodes = [step.node for step in steps[:taken] if step.kind in kinds and step.node not in ("", primary)]
        if nodes:
            return nodes[-1]
    return None


def _end(steps: Sequence[TimelineEvent], promoted: TimelineEvent, former: str | None) -> datetime:
    """Return the end of the timeline: some time after the former primary streams again."""
    back = (s.at for s in steps if s.kind is EventKind.STREAMING and s.node == former and s.at > promoted.at)
    return min(promoted.at + AFTER, next(back, promoted.at + AFTER) + SETTLED)


def document(cluster: str, timeline: Timeline) -> dict[str, object]:
    """Return the stable form for scripts. Times are ISO 8601; offsets are milliseconds since the first step."""
    return {
        "schema": 1,
        "cluster": cluster,
        "kind": timeline.kind,
        "former": timeline.former,
        "primary": timeline.primary,
        "began": timeline.steps[0].at.isoformat(timespec="milliseconds"),
        "steps": [
            {
                "at": step.at.isoformat(timespec="milliseconds"),
                "offset_ms": timeline.offset_ms(step),
                "service": step.service,
                "node": step.node or None,
                "kind": step.kind.value,
                "words": step.words,
            }
            for step in timeline.steps
        ],
    }
