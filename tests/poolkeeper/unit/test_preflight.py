"""The conditions of the machine that prevent a start, each with an injected obstacle."""

from __future__ import annotations

import shutil
import socket
from collections import namedtuple
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from poolkeeper.core import errors
from poolkeeper.system import compose, preflight, process

LOOPBACK = IPv4Address("127.0.0.1")
Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that this process listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def silent(argv: list[str], **_: object) -> process.Finished:
    """An engine without any answer."""
    return process.Finished(tuple(argv), 1, "", "")


def test_a_taken_port_is_named_with_its_holder(taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the port and the process that listens on it; a free port passes."""
    monkeypatch.setattr(process, "run", silent)
    with pytest.raises(errors.PortTaken, match=rf"port {taken} .* process \d+"):
        preflight.check_ports(LOOPBACK, [taken])
    with socket.create_server(("127.0.0.1", 0)) as other:
        free = other.getsockname()[1]
    preflight.check_ports(LOOPBACK, [free])


def test_a_foreign_bind_address_is_refused() -> None:
    """An address that no interface of this machine has (192.0.2.0/24 is for documentation, RFC 5737)."""
    with pytest.raises(errors.SpecError) as refused:
        preflight.check_ports(IPv4Address("192.0.2.7"), [5100])
    assert "bind_address" in refused.value.detail


def test_a_nearly_full_disk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte less than is needed is refused with both numbers; just enough passes."""
    monkeypatch.setattr(process, "run", silent)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, preflight.LEAST_FREE_BYTES - 1))
    with pytest.raises(errors.DiskFull, match="needs 2 GiB"):
        preflight.check_disk(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, preflight.LEAST_FREE_BYTES))
    preflight.check_disk(tmp_path)


def test_an_overlap_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another network of the engine or a route of the machine overlaps; our own network does not count."""
    subnet = IPv4Network("10.8.0.0/24")
    monkeypatch.setattr(preflight, "_routes", lambda: [("eth0", IPv4Network("10.0.0.0/8"))])
    monkeypatch.setattr(compose, "networks", lambda: {"poolkeeper": ("poolkeeper", ("10.8.0.0/24",))})
    with pytest.raises(errors.NetworkOverlap, match=r"route to 10\.0\.0\.0/8 by eth0"):
        preflight.check_network(subnet, "poolkeeper")
    monkeypatch.setattr(preflight, "_routes", list)
    preflight.check_network(subnet, "poolkeeper")
    with pytest.raises(errors.NetworkOverlap, match="network poolkeeper"):
        preflight.check_network(subnet, "another")
