"""The conditions of this machine that prevent a start: taken ports, overlapping networks, a full disk."""

from __future__ import annotations

import errno
import shutil
import socket
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, ip_network
from pathlib import Path

from poolkeeper.core import errors
from poolkeeper.system import compose, process

LEAST_FREE_BYTES = 2 * 1024**3  # three base backups, their WAL and the engine's own files


def check_disk(path: Path) -> None:
    """Check the free space of the engine's data folder (of `path`, where that folder is unknown).

    Raises:
        DiskFull: if less than LEAST_FREE_BYTES is free.
    """
    root = process.run(["docker", "info", "--format", "{{.DockerRootDir}}"]).stdout.strip()
    place = Path(root) if root and Path(root).exists() else path
    free = shutil.disk_usage(place).free
    if free < LEAST_FREE_BYTES:
        raise errors.DiskFull(
            f"only {free / 1024**3:.1f} GiB is free at {place}; a start needs {LEAST_FREE_BYTES / 1024**3:.0f} GiB",
            hint="Free some space (docker system df shows the engine's use), then run the command again.",
        )


def check_ports(bind: IPv4Address, ports: Iterable[int]) -> None:
    """Check that each port is free.

    Raises:
        PortTaken: for the first taken port, with the name of its program where that is known.
        PermissionRefused: if this user may not listen on a port.
        SpecError: if `bind` is not an address of this machine.
    """
    for port in ports:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((str(bind), port))
            except OSError as e:
                raise _port_error(e, bind, port) from e


def _port_error(e: OSError, bind: IPv4Address, port: int) -> errors.PoolkeeperError:
    if e.errno == errno.EADDRNOTAVAIL:
        return errors.SpecError(
            "cluster.toml", (errors.Mistake("network.bind_address", None, f"{bind} is not an address of this machine"),)
        )
    if e.errno == errno.EACCES:
        return errors.PermissionRefused(f"this user may not listen on port {port}", hint="Choose a port above 1023.")
    return errors.PortTaken(
        f"port {port} on {bind} is already used by {_holder(port)}",
        hint="Stop that program, or choose another port in cluster.toml.",
    )


def _holder(port: int) -> str:
    done = process.run(["docker", "ps", "--filter", f"publish={port}", "--format", "{{.Names}}"])
    if done.ok and done.stdout.strip():
        return f"the container {done.stdout.split()[0]}"
    inode = _listening_inode(port)
    for proc in Path("/proc").glob("[0-9]*") if inode else ():
        try:
            if any(f.readlink().name == f"socket:[{inode}]" for f in (proc / "fd").iterdir()):
                name = (proc / "comm").read_text(encoding="utf-8", errors="replace").strip()
                return f"process {proc.name} ({name})"
        except OSError:  # another user's process, or one that has just ended
            continue
    return "another process"


def _listening_inode(port: int) -> str | None:
    """Return the inode of the socket that listens on a port: /proc/net/tcp, state 0A."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text(encoding="utf-8").splitlines()[1:] if Path(table).exists() else ():
            fields = line.split()
            if fields[3] == "0A" and int(fields[1].rsplit(":", 1)[1], 16) == port:
                return fields[9]
    return None


def check_network(subnet: IPv4Network, cluster: str) -> None:
    """Check that no other network overlaps the subnet.

    Raises:
        NetworkOverlap: if a network of the engine or a route of this machine overlaps it.
    """
    for name, (owner, subnets) in compose.networks().items():
        for other in subnets:
            if owner != cluster and ip_network(other).overlaps(subnet):
                raise _overlap(subnet, f"the engine's network {name} ({other})")
    for interface, route in _routes():
        if route.prefixlen > 0 and route.overlaps(subnet) and not interface.startswith("br-"):
            raise _overlap(subnet, f"the route to {route} by {interface}")


def _overlap(subnet: IPv4Network, other: str) -> errors.NetworkOverlap:
    return errors.NetworkOverlap(
        f"network.subnet {subnet} overlaps {other}",
        hint="Choose another subnet, and addresses in it, in cluster.toml.",
    )


def _routes() -> list[tuple[str, IPv4Network]]:
    table = Path("/proc/net/route")
    return read_routes(table.read_text(encoding="utf-8")) if table.exists() else []


def read_routes(text: str) -> list[tuple[str, IPv4Network]]:
    """Read /proc/net/route as (interface, network); its addresses and masks are little-endian hexadecimal."""
    rows = [line.split() for line in text.splitlines()[1:] if line.strip()]
    return [(row[0], IPv4Network(f"{_address(row[1])}/{_address(row[7])}", strict=False)) for row in rows]


def _address(text: str) -> IPv4Address:
    return IPv4Address(int.from_bytes(bytes.fromhex(text), "little"))
