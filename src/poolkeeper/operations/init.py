"""`init`: write a `cluster.toml` with every key at its default, for a first or a further cluster.

Invariant: an existing file is never overwritten, and nothing is written unless `source.load` accepts the text. Not
promised: that the network and the ports are free on this machine; `up` checks that before it starts anything.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib import resources
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from poolkeeper.core import errors, file_modes
from poolkeeper.model import endpoint_keys, source, toml_edit
from poolkeeper.model.grammar import Setting
from poolkeeper.model.spec import ClusterSpec

FILE_NAME = "cluster.toml"
Values = dict[toml_edit.Location, Setting]


@dataclass(frozen=True)
class InitOptions:
    """The differences from the defaults; a value that is None or 0 keeps the default.

    `subnet` moves every address: each keeps its distance to the first address of its network. `port_offset` is added to
    the ports of the nodes, the endpoints, HAProxy and keeper, also to HAProxy's inner ports.
    """

    name: str | None = None
    subnet: str | None = None
    port_offset: int = 0


def init(folder: Path, options: InitOptions) -> Path:
    """Write `cluster.toml` into a folder, which is created if it is missing; return the file's path.

    Raises:
        UsageError: the file exists already, or the options do not make a valid cluster. Nothing was written.
        PermissionRefused: the folder or the file cannot be written.
    """
    text = cluster_toml(options)
    path = folder / FILE_NAME
    try:
        file_modes.make_folder(folder)
        with path.open("x", encoding="utf-8") as file:
            os.fchmod(file.fileno(), file_modes.SHARED_FILE)
            file.write(text)
    except FileExistsError as e:
        taken = path if os.path.lexists(path) else folder
        raise errors.UsageError(
            f"{taken} exists already; nothing was written", hint="Give another folder: poolkeeper init DIR"
        ) from e
    except OSError as e:
        raise errors.PermissionRefused(f"cannot write {path}: {e.strerror}") from e
    return path


def default_text() -> str:
    """Return the packaged `cluster.toml`: every key with its default value and a comment."""
    return (resources.files("poolkeeper") / FILE_NAME).read_text(encoding="utf-8")


def cluster_toml(options: InitOptions) -> str:
    """Return the packaged `cluster.toml` with the options applied.

    Raises:
        UsageError: the options do not make a valid cluster; the detail lists each broken rule.
    """
    text, spec = default_text(), ClusterSpec()
    values: Values = {}
    if options.name is not None:
        values["name",] = options.name
    if options.subnet is not None:
        values |= _addresses(spec, _network(options.subnet))
    if options.port_offset:
        values |= {location: port + options.port_offset for location, port in _ports(spec).items()}
    edited = toml_edit.put(text, values) if values else text
    try:
        source.load(edited)
    except errors.SpecError as e:
        raise errors.UsageError(
            "these options do not make a valid cluster; nothing was written",
            detail="\n".join(f"  {mistake.key}: {mistake.rule}" for mistake in e.mistakes),
        ) from e
    return edited


def _network(text: str) -> IPv4Network:
    try:
        return IPv4Network(text)
    except ValueError as e:
        raise errors.UsageError(f"{text!r} is not an IPv4 network: {e}", hint="As: --subnet 10.9.0.0/24") from e


def _addresses(spec: ClusterSpec, network: IPv4Network) -> Values:
    """Return every address of the file, moved to another network."""
    declared: dict[toml_edit.Location, IPv4Address] = {
        **{("nodes", i, "address"): node.address for i, node in enumerate(spec.nodes)},
        **{("etcd", "members", i, "address"): member.address for i, member in enumerate(spec.etcd.members)},
        **{("endpoints", key, "address"): getattr(spec.endpoints, key).address for key in endpoint_keys.POOLED},
        ("haproxy", "address"): spec.haproxy.address,
        ("keeper", "address"): spec.keeper.address,
    }
    first = int(spec.network.subnet.network_address)
    offsets = {location: int(address) - first for location, address in declared.items()}
    if max(offsets.values()) >= network.num_addresses:
        raise errors.UsageError(
            f"{network} is too small: the default addresses reach up to its address number {max(offsets.values())}",
            hint="Give a network of /25 or larger, or edit the addresses in cluster.toml.",
        )
    moved = {location: str(network[offset]) for location, offset in offsets.items()}
    return {("network", "subnet"): str(network), **moved}


def _ports(spec: ClusterSpec) -> dict[toml_edit.Location, int]:
    """Return the published ports, and HAProxy's inner ones: it listens on both kinds, and no two may be equal."""
    of_haproxy = ("stats_port", "primary_port", "standby_port", "runtime_port")
    return {
        **{("nodes", i, "port"): node.port for i, node in enumerate(spec.nodes)},
        **{("endpoints", key, "port"): getattr(spec.endpoints, key).port for key in endpoint_keys.ALL},
        **{("haproxy", key): getattr(spec.haproxy, key) for key in of_haproxy},
        ("keeper", "port"): spec.keeper.port,
    }
