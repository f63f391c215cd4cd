"""The Compose file: dumped from data, never templated.

Each service has the label `poolkeeper.definition`, a digest of its definition. `up` compares it with that of the
running container to decide which containers to re-create. Paths are relative to the file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import yaml

from poolkeeper.model import endpoint_keys
from poolkeeper.model.spec import ClusterSpec
from poolkeeper.model.spec_endpoints import Endpoint
from poolkeeper.render import etcd_config, sockets

CLUSTER_LABEL = "poolkeeper.cluster"
SERVICE_LABEL = "poolkeeper.service"
DEFINITION_LABEL = "poolkeeper.definition"
ROLES = ("postgres", "etcd", "pgpool", "haproxy", "keeper")  # the folders of images/


def document(spec: ClusterSpec, images: Mapping[str, str]) -> dict[str, Any]:
    """Return the Compose file as data. `images` maps each of ROLES to an image reference."""
    services: dict[str, Any] = {}
    for member in spec.etcd.members:
        services[member.name] = _etcd(images["etcd"], member.name)
    for node in spec.nodes:
        services[node.name] = _postgres(spec, images["postgres"], node.name)
    for key in endpoint_keys.POOLED:
        endpoint: Endpoint = getattr(spec.endpoints, key)
        services[endpoint.service] = _pgpool(spec, images["pgpool"], endpoint.service)
    services[spec.haproxy.service] = _haproxy(spec, images["haproxy"])
    services[spec.keeper.service] = _keeper(images["keeper"])
    for name in sockets.members(spec):
        services[name] = _with_sockets(services[name], name)
    for name, service in services.items():
        services[name] = {**_common(spec, name), **service}
        services[name]["labels"][DEFINITION_LABEL] = digest(services[name])
    label = {CLUSTER_LABEL: spec.name}
    volumes = [*(m.name for m in spec.etcd.members), *(n.name for n in spec.nodes)]
    secrets = sorted({secret for service in services.values() for secret in service.get("secrets", [])})
    return {
        "name": spec.project,
        "services": services,
        "networks": {"cluster": _network(spec, dict(label))},
        "volumes": {
            **{name: {"name": volume_name(spec, name), "labels": dict(label)} for name in volumes},
            **(_memory_volume(spec, dict(label)) if sockets.members(spec) else {}),
        },
        "secrets": {name: {"file": f"../secrets/{name}"} for name in secrets},
    }


def text(spec: ClusterSpec, images: Mapping[str, str]) -> str:
    """Return the Compose file as text."""
    head = f'# Rendered by Poolkeeper for the cluster "{spec.name}"; edit cluster.toml instead, then `poolkeeper up`.\n'
    return head + yaml.safe_dump(document(spec, images), sort_keys=False, width=120)


def volume_name(spec: ClusterSpec, service: str) -> str:
    """Return the name of a service's volume."""
    return f"{spec.project}_{service}"


def digest(value: Any) -> str:
    """Return a short, stable digest of plain data."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _network(spec: ClusterSpec, label: dict[str, str]) -> dict[str, Any]:
    subnet = spec.network.subnet
    return {
        "name": spec.project,
        "driver": "bridge",
        "ipam": {"config": [{"subnet": str(subnet), "gateway": str(subnet.network_address + 1)}]},
        "labels": label,
    }


def _memory_volume(spec: ClusterSpec, label: dict[str, str]) -> dict[str, Any]:
    """Return the volume in memory for sockets. It is empty again when none of its containers runs."""
    options = dict(sockets.DRIVER)
    name = volume_name(spec, sockets.VOLUME)
    return {sockets.VOLUME: {"name": name, "driver": "local", "driver_opts": options, "labels": label}}


def _with_sockets(service: dict[str, Any], name: str) -> dict[str, Any]:
    return {
        **service,
        "environment": {**service["environment"], "POOLKEEPER_SOCKETS": sockets.folder(name)},
        "volumes": [*service["volumes"], f"{sockets.VOLUME}:{sockets.ROOT}"],
    }


def _common(spec: ClusterSpec, name: str) -> dict[str, Any]:
    """Return the common part of a service: name, address, ports, a bounded log and a restart after a crash."""
    bind = spec.network.bind_address
    ports = [f"{bind}:{host}:{inner}" for host, inner in spec.published_ports().get(name, {}).items()]
    service: dict[str, Any] = {
        "container_name": spec.container_name(name),
        "hostname": name,
        "labels": {CLUSTER_LABEL: spec.name, SERVICE_LABEL: name},
        "restart": "unless-stopped",
        "stop_grace_period": f"{spec.timeouts.stop}s",
        "networks": {"cluster": {"ipv4_address": str(spec.addresses()[name])}},
        "logging": {"driver": "json-file", "options": {"max-size": "20m", "max-file": "3"}},
    }
    return {**service, "ports": ports} if ports else service


def _postgres(spec: ClusterSpec, image: str, name: str) -> dict[str, Any]:
    return {
        "image": image,
        "shm_size": f"{spec.postgresql.shared_memory_mb}m",
        "environment": {
            "POOLKEEPER_CLUSTER": spec.name,
            "POOLKEEPER_NODE": name,
            **({"POOLKEEPER_INITIALIZES": "yes"} if name == spec.nodes[0].name else {}),
            "POOLKEEPER_ETCD": ",".join(f"{m.name}:{etcd_config.CLIENT_PORT}" for m in spec.etcd.members),
            "POOLKEEPER_HAPROXY": f"{spec.haproxy.service}:{spec.haproxy.runtime_port}",
            "POOLKEEPER_HAPROXY_ADDRESS": str(spec.haproxy.address),
            "POOLKEEPER_CHECK_ROLE": spec.roles.check,
            "POOLKEEPER_REWIND_ROLE": spec.roles.rewind,
            "POOLKEEPER_APP_ROLE": spec.roles.app,
            "POOLKEEPER_APP_DATABASE": spec.roles.app_database,
            **({"POOLKEEPER_SUPERUSER": spec.roles.superuser} if name in sockets.nodes(spec) else {}),
        },
        "secrets": ["superuser", "replication", "rewind", "rest", "check", "app"],
        "volumes": [f"./patroni/{name}:/etc/poolkeeper:ro", f"{name}:/var/lib/postgresql/data"],
        # Patroni shuts PostgreSQL down fast and cleanly on SIGTERM.
        "stop_signal": "SIGTERM",
    }


def _etcd(image: str, name: str) -> dict[str, Any]:
    return {"image": image, "volumes": [f"./etcd/{name}:/etc/poolkeeper:ro", f"{name}:/var/lib/etcd"]}


def _pgpool(spec: ClusterSpec, image: str, name: str) -> dict[str, Any]:
    return {
        "image": image,
        "environment": {
            "POOLKEEPER_CHECK_ROLE": spec.roles.check,
            "POOLKEEPER_PCP_USER": spec.roles.pcp,
            "POOLKEEPER_PCP_PORT": str(spec.pgpool.pcp_port),
            **({"POOLKEEPER_BATCH": "yes"} if spec.pgpool.batch else {}),
        },
        "secrets": ["check", "pcp"],
        "volumes": [f"./pgpool/{name}:/etc/poolkeeper:ro", "../secrets/pool:/run/pool:ro"],
        "tmpfs": ["/run/pgpool:mode=0755"],
        # Fast shutdown of Pgpool-II: it ends the sessions, then exits.
        "stop_signal": "SIGINT",
    }


def _haproxy(spec: ClusterSpec, image: str) -> dict[str, Any]:
    return {
        "image": image,
        "environment": {
            "POOLKEEPER_STATS_USER": spec.haproxy.stats_user,
            "POOLKEEPER_STATS_PORT": str(spec.haproxy.stats_port),
            **({"POOLKEEPER_BATCH": "yes"} if spec.haproxy.batch else {}),
        },
        "secrets": ["stats"],
        "volumes": ["./haproxy:/etc/poolkeeper:ro"],
        "stop_signal": "SIGTERM",
    }


def _keeper(image: str) -> dict[str, Any]:
    """Return keeper's service. It sees the machine's processes and may not signal them (docs/architecture.md)."""
    return {
        "image": image,
        "pid": "host",
        "read_only": True,
        "cap_drop": ["ALL"],
        # Its entry point reads the secrets of any owner, and becomes a user without capabilities.
        "cap_add": ["DAC_READ_SEARCH", "SETGID", "SETUID"],
        "security_opt": ["no-new-privileges:true"],
        "secrets": ["check", "pcp"],
        "volumes": ["./keeper:/etc/poolkeeper:ro"],
        "stop_signal": "SIGTERM",
    }
