"""`events`: the timeline of the last role change, from the logs of every container of the cluster.

Not promised: lines that the engine has rotated away, or that a container wrote before it was re-created.
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

_FRACTION = re.compile(r"\.(\d+)")  # the engine writes nanoseconds, Python reads six digits at most


def last_change(cluster: Cluster, since: str | None) -> Timeline | None:
    """Return the last role change in the logs since then; None if they hold none.

    `since` is a duration such as `10m` or `2h`, or a time; None reads everything.

    Raises:
        ClusterNotUp: no container of the cluster exists.
    """
    etcd = {member.name for member in cluster.spec.etcd.members}  # its logs hold nothing about roles
    present = logs.present(cluster, [service for service in cluster.spec.addresses() if service not in etcd])
    if not present:
        raise errors.ClusterNotUp("no container of this cluster exists", hint="Start it with: poolkeeper up")
    return timeline_reader.read_timeline(cluster.spec, _lines(present, since))


def _lines(containers: dict[str, str], since: str | None) -> Iterator[LogLine]:
    for line in logs.merged(containers, since=since):
        at = read_time(line.at)
        if at is not None:
            yield LogLine(at, line.service, line.text)


def read_time(stamp: str) -> datetime | None:
    """Return a time stamp of the engine (RFC 3339, up to nanoseconds); None if the line has none."""
    if not stamp:
        return None
    digits = _FRACTION.sub(lambda found: f".{found.group(1)[:6]:0<6}", stamp)
    return datetime.fromisoformat(digits.replace("Z", "+00:00"))
