"""`status`: observe every component at once, and assess what their views add up to. It changes nothing."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from poolkeeper.cluster import snapshot
from poolkeeper.cluster.handle import Cluster
from poolkeeper.decide import health
from poolkeeper.model.assessment import Assessment
from poolkeeper.model.observed import Seen, Snapshot, versions
from poolkeeper.report import plain


@dataclass(frozen=True)
class ClusterStatus:
    """A snapshot of a cluster and its assessment."""

    cluster: Cluster
    snapshot: Snapshot
    assessment: Assessment


def status(cluster: Cluster) -> ClusterStatus:
    """Observe and assess the cluster once. A component that does not answer is unknown, and raises nothing.

    Raises:
        ClusterNotUp: no password was generated yet: the cluster was never started.
    """
    cluster = cluster.with_passwords()
    observed = asyncio.run(snapshot.take_explained_snapshot(cluster))
    return ClusterStatus(cluster, observed, health.assess(cluster.spec, observed))


def document(found: ClusterStatus) -> dict[str, Any]:
    """Return the stable JSON form. `level` is one of healthy, degraded, down, unknown."""
    observed, assessment = found.snapshot, found.assessment
    return {
        "schema": 1,
        "cluster": found.cluster.spec.name,
        "at": observed.at,
        "level": assessment.level.name.lower(),
        "exit_code": int(assessment.level),
        "primary": assessment.primary,
        "nodes": [plain.data(row) for row in assessment.rows],
        "findings": [plain.data(finding) for finding in assessment.findings],
        "endpoints": {key: _view(endpoint) for key, endpoint in observed.endpoints.items()},
        "keeper": _view(observed.keeper),
        "versions": versions(observed),
        "containers": {name: plain.data(c) for name, c in (observed.containers.value or {}).items()},
    }


def _view(answer: Seen[Any]) -> dict[str, Any]:
    return plain.data(answer.value) if answer.value else {"error": answer.error}
