"""The story of the last role change, out of the logs of every container of the cluster.

Not promised: what the engine has rotated away, or what a container that was made anew had written before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime

from poolkeeper.cluster.handle import Cluster
from poolkeeper.core import errors
from poolkeeper.decide import timeline_reader
from poolkeeper.model.timeline import LogLine, Timeline
from poolkeeper.operations import logs
from poolkeeper.system import compose

_FRACTION = re.compile(r"\.(\d+)")  # the engine writes nanoseconds, Python reads six digits at most


def last_change(cluster: Cluster, since: str | None) -> Timeline | None:
    """The last role change in the logs since then (`10m`, `2h`, a time; None: all). Raises ClusterNotUp."""
    existing = compose.containers(cluster.spec.name)
    present = {s: cluster.container(s) for s in cluster.spec.addresses() if s in existing and s not in _stores(cluster)}
    if not present:
        raise errors.ClusterNotUp("no container of this cluster exists", hint="Start it with: make pgpool-up")
    return timeline_reader.read_timeline(cluster.spec, _lines(present, since))


def _stores(cluster: Cluster) -> set[str]:
    """etcd's own log says nothing about roles."""
    return {member.name for member in cluster.spec.etcd.members}


def _lines(containers: dict[str, str], since: str | None) -> Iterator[LogLine]:
    for line in logs.merged(containers, since=since):
        at = read_time(line.at)
        if at is not None:
            yield LogLine(at, line.service, line.text)


def read_time(stamp: str) -> datetime | None:
    """A time stamp of the engine (RFC 3339, up to nanoseconds); None where the line has none."""
    if not stamp:
        return None
    digits = _FRACTION.sub(lambda found: f".{found.group(1)[:6]:0<6}", stamp)
    return datetime.fromisoformat(digits.replace("Z", "+00:00"))
