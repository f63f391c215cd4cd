"""`logs`: the containers' logs, merged in the order of their time stamps."""

from __future__ import annotations

import heapq
import queue
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from poolkeeper.cluster.handle import Cluster
from poolkeeper.system import compose

_STAMP = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{8,18}(Z|[+-][0-9]{2}:[0-9]{2})")


@dataclass(frozen=True)
class Line:
    """A log line: when the engine received it (RFC 3339, sorts as text), its service, and its text."""

    at: str
    service: str
    text: str


def present(cluster: Cluster, services: Sequence[str] = ()) -> dict[str, str]:
    """Return the existing containers of these services (service → container); of all if none is named.

    Raises:
        UsageError: a name is not a service of the cluster.
    """
    wanted = {service: cluster.container(service) for service in services or cluster.spec.addresses()}
    existing = compose.containers(cluster.spec.name)
    return {service: name for service, name in wanted.items() if service in existing}


def parse(service: str, raw: str) -> Line:
    """Parse a line of `docker logs --timestamps`. A line without a time stamp keeps its text."""
    at, _, text = raw.partition(" ")
    return Line(at, service, text) if _STAMP.fullmatch(at) else Line("", service, raw)


def merged(
    containers: Mapping[str, str], *, follow: bool = False, since: str | None = None, tail: int | None = None
) -> Iterator[Line]:
    """Yield the lines of several containers (service → container), oldest first.

    With `follow`, yield each line as it is written, without an end. `since` is a duration such as `10m`, or a time;
    `tail` is the number of last lines of each container.
    """
    sources = {
        service: compose.follow_logs(name, follow=follow, since=since, tail_lines=tail)
        for service, name in containers.items()
    }
    if follow:
        yield from _as_written(sources)
        return
    # The two channels of one container may be out of order by a few lines, so they are sorted before the merge.
    parsed = ([parse(service, raw) for raw in lines] for service, lines in sources.items())
    yield from heapq.merge(*(sorted(lines, key=_time) for lines in parsed), key=_time)


def _time(line: Line) -> str:
    return line.at


def _as_written(sources: Mapping[str, Iterator[str]]) -> Iterator[Line]:
    inbox: queue.Queue[Line | None] = queue.Queue()

    def pump(service: str, lines: Iterator[str]) -> None:
        try:
            for raw in lines:
                inbox.put(parse(service, raw))
        finally:
            inbox.put(None)

    for service, lines in sources.items():
        threading.Thread(target=pump, args=(service, lines), daemon=True).start()
    open_sources = len(sources)
    while open_sources:
        line = inbox.get()
        if line is None:
            open_sources -= 1
        else:
            yield line
