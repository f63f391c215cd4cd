"""Which containers a cluster has, to compare before and after a command."""

from __future__ import annotations

import json

from tests.clusters import ClusterUnderTest


def identities(cluster: ClusterUnderTest) -> dict[str, tuple[str, str]]:
    """Return each service's container id and start time: a restart changes them."""
    document = json.loads(cluster.run("status", "--json").stdout)
    return {name: (c["identity"], c["started_at"]) for name, c in document["containers"].items()}
