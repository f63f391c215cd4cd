"""`ps`: the containers of a cluster as the engine reports them. It changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from poolkeeper.cluster.handle import Cluster
from poolkeeper.model.observed import Container
from poolkeeper.model.spec import ClusterSpec
from poolkeeper.system import compose


def ps(cluster: Cluster) -> list[dict[str, Any]]:
    """Return one row for each existing container, in the order of the Compose file.

    Raises:
        EngineFailed: the engine does not answer.
    """
    containers = compose.containers(cluster.spec.name)
    memory = compose.memory_bytes([c.name for c in containers.values() if c.is_running])
    return container_rows(cluster.spec, containers, memory, datetime.now(UTC))


def container_rows(
    spec: ClusterSpec, containers: Mapping[str, Container], memory: Mapping[str, str], now: datetime
) -> list[dict[str, Any]]:
    """Return the rows from what the engine reported. `memory` holds text such as "120MiB" by container name."""
    addresses, ports = spec.addresses(), spec.published_ports()
    order = [*addresses, *sorted(set(containers) - set(addresses))]
    return [
        {
            "service": service,
            "container": c.name,
            "address": str(addresses.get(service, "-")),
            "ports": [f"{spec.network.bind_address}:{host}" for host in ports.get(service, {})],
            "state": c.state if c.health == "none" or not c.is_running else f"{c.state} ({c.health})",
            "uptime": _uptime(c, now),
            "restarts": c.restarts,
            "memory": memory.get(c.name, "-"),
            "image": c.image,
        }
        for service in order
        if (c := containers.get(service))
    ]


def _uptime(container: Container, now: datetime) -> str:
    if not container.is_running:
        return "-"
    seconds = int((now - datetime.fromisoformat(container.started_at[:19] + "+00:00")).total_seconds())
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{max(0, seconds)} s"
