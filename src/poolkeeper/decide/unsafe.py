"""The edits of `cluster.toml` that an existing cluster cannot take: refused before anything is changed.

Some values are used once, when the data is created (the roles, etcd's members); some belong to all containers at once
(the network); some would lose data (removing the primary). Invariant: an edit that is refused here would otherwise be
ignored silently, fail half-way, or lose data; `planning` can apply every other edit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from poolkeeper.core import errors
from poolkeeper.model.observed import Container
from poolkeeper.model.spec import ClusterSpec

# Roles that the first start creates in the database, or that log in to Patroni. `roles.pcp` is Pgpool-II's own.
FIXED_ROLES = ("superuser", "replication", "rewind", "check", "app", "app_database", "rest")
KINDS = {"postgres": "a PostgreSQL node", "etcd": "an etcd member"}  # images of services that keep data in a volume
_START_OVER = "Put it back in cluster.toml, or start over with: poolkeeper down (removes the data)."


def refuse(
    spec: ClusterSpec, former: ClusterSpec | None, containers: Mapping[str, Container], leader: str | None
) -> None:
    """Refuse a `spec` that the existing cluster cannot reach.

    `former` is the last declaration of the cluster, if it is known; `leader` is the primary, if it is known.

    Raises:
        UnsafeChange: with every edit that is refused, and what to do instead.
    """
    if former and former.name != spec.name:
        raise errors.UnsafeChange(
            f"name: this folder holds the cluster {former.name!r}, and a cluster cannot be renamed to {spec.name!r}",
            hint="Put the name back; to start over, run `poolkeeper down` with the former name first. "
            "A second cluster has a cluster.toml in a folder of its own.",
        )
    if fixed := [*_fixed(spec, former, containers), *_kinds(spec, containers)]:
        raise errors.UnsafeChange(
            "a cluster that exists cannot take these changes",
            detail="\n".join(f"  {line}" for line in fixed),
            hint=_START_OVER,
        )
    _refuse_lost_data(spec, containers, leader)
    if former and (taken := [*_taken_addresses(spec, former, containers), *_taken_ports(spec, former, containers)]):
        raise errors.UnsafeChange(
            "a running container still has an address or a port that another one is to get",
            detail=_list(taken),
            hint="Do it in two steps: move the container that has it to a free value, `poolkeeper up`, then the other.",
        )


def _list(lines: list[str]) -> str:
    return "\n".join(f"  {line}" for line in lines)


def _fixed(spec: ClusterSpec, former: ClusterSpec | None, containers: Mapping[str, Container]) -> Iterator[str]:
    declared = {member.name for member in spec.etcd.members}
    if former is None:
        existing = {name for name, container in containers.items() if _image(container) == "etcd"}
        if existing - declared:
            yield _changed("etcd.members", existing, declared)
        return
    before = {member.name for member in former.etcd.members}
    if before != declared:
        yield _changed("etcd.members", before, declared)
    for role in FIXED_ROLES:
        old, new = getattr(former.roles, role), getattr(spec.roles, role)
        if old != new:
            yield f"roles.{role}: {old} → {new} (created when the cluster first starts)"
    if containers and former.network.subnet != spec.network.subnet:
        yield f"network.subnet: {former.network.subnet} → {spec.network.subnet} (every container is in it)"


def _changed(key: str, before: set[str], after: set[str]) -> str:
    return f"{key}: {', '.join(sorted(before))} → {', '.join(sorted(after))} (fixed when the cluster first starts)"


def _kinds(spec: ClusterSpec, containers: Mapping[str, Container]) -> Iterator[str]:
    """Find names that pass from one kind of service to another: they would take the other's volume."""
    declared = {**{m.name: "etcd" for m in spec.etcd.members}, **{n.name: "postgres" for n in spec.nodes}}
    for name in spec.addresses():
        kind = _image(containers[name]) if name in containers else None
        if kind in KINDS and declared.get(name) != kind:
            yield f"{name} is {KINDS[kind]} and cannot become something else; choose another name"


def _refuse_lost_data(spec: ClusterSpec, containers: Mapping[str, Container], leader: str | None) -> None:
    declared = spec.addresses()
    gone = sorted(name for name, found in containers.items() if name not in declared and _image(found) == "postgres")
    if gone and leader is None:
        raise errors.UnsafeChange(
            f"{', '.join(gone)} would be removed with its data, and it is unknown now which node is the primary",
            hint="Put it back in cluster.toml, bring the cluster up, then remove it.",
        )
    if leader in containers and leader not in declared:
        raise errors.UnsafeChange(
            f"{leader} is the primary and is no longer declared",
            hint="Put it back in cluster.toml, move the primary elsewhere, then remove it.",
        )


def _taken_addresses(spec: ClusterSpec, former: ClusterSpec, containers: Mapping[str, Container]) -> Iterator[str]:
    holders = {address: name for name, address in former.addresses().items() if _holds(spec, containers, name)}
    for name, address in spec.addresses().items():
        holder = holders.get(address, name)
        if holder != name:
            yield f"{name}: its new address {address} is still {holder}'s"


def _taken_ports(spec: ClusterSpec, former: ClusterSpec, containers: Mapping[str, Container]) -> Iterator[str]:
    published = former.published_ports().items()
    holders = {port: name for name, ports in published if _holds(spec, containers, name) for port in ports}
    for name, ports in spec.published_ports().items():
        for port in ports:
            holder = holders.get(port, name)
            if holder != name:
                yield f"{name}: its new port {port} is still {holder}'s"


def _holds(spec: ClusterSpec, containers: Mapping[str, Container], service: str) -> bool:
    """Return whether its container keeps its address and ports while others start.

    A container that is no longer declared is removed first.
    """
    return service in spec.addresses() and service in containers and containers[service].state in ("running", "paused")


def _image(container: Container) -> str:
    """Return the last part of its image's name: the kind of service."""
    return container.image.rsplit("/", 1)[-1].split(":", 1)[0]
