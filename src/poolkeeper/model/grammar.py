"""The grammars of single values: names, addresses, image references, free-form parameters.

Invariant: no text that these types accept contains a line break, a NUL or another control character. A value is
therefore never a second line of a rendered file. Not promised: that a name is free on this machine.
"""

from __future__ import annotations

import math
import shlex
from datetime import date, time
from ipaddress import IPv4Address, IPv4Network
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, StringConstraints
from pydantic_core import PydanticCustomError

# Service names become container names (at least two characters), DNS names, Patroni members and replication slots: the
# intersection of the four grammars (slots allow only a-z, 0-9 and _, at most 63 characters).
SERVICE = r"^[a-z][a-z0-9_]{1,39}$"
CLUSTER = r"^[a-z][a-z0-9-]{0,30}$"
ROLE = r"^[a-z_][a-z0-9_]{0,62}$"
POSTGRESQL_PARAMETER = r"^[A-Za-z_][A-Za-z0-9_]{0,62}(\.[A-Za-z_][A-Za-z0-9_]{0,62})?$"
PGPOOL_PARAMETER = r"^[a-z][a-z0-9_]{0,62}$"
_PATH = r"[a-z0-9]+((\.|__?|-+)[a-z0-9]+)*"
IMAGE_PREFIX = rf"^{_PATH}(/{_PATH}){{0,7}}$"
IMAGE = (
    rf"^([A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]{{1,5}})?/)?{_PATH}(/{_PATH}){{0,7}}"
    r"(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@sha256:[a-f0-9]{64})?$"
)
IN_WORDS = {
    SERVICE: "a name of a-z, 0-9 and _, beginning with a letter, of 2 to 40 characters",
    CLUSTER: "a name of a-z, 0-9 and -, beginning with a letter, of 1 to 31 characters",
    ROLE: "a name of a-z, 0-9 and _, beginning with a letter or _, of 1 to 63 characters",
    POSTGRESQL_PARAMETER: "a parameter's name: letters, digits and _, with at most one dot",
    PGPOOL_PARAMETER: "a parameter's name: a-z, 0-9 and _, beginning with a letter",
    IMAGE_PREFIX: "the first part of an image's name, in small letters, such as poolkeeper or team/poolkeeper",
    IMAGE: "an image reference such as debian:trixie-slim",
}

# Names with another meaning, and that meaning: a line of /etc/hosts, a keyword of
# synchronous_standby_names, a keyword in the address column of pg_hba.conf.
RESERVED_SERVICES = {
    **dict.fromkeys(("localhost", "localdomain", "broadcasthost"), "stands for the machine itself"),
    **dict.fromkeys(("any", "first"), "is a keyword of synchronous_standby_names"),
    **dict.fromkeys(("all", "samehost", "samenet"), "is a keyword of pg_hba.conf"),
}
_NO_NETWORK = {
    IPv4Network("0.0.0.0/8"): "unspecified",
    IPv4Network("127.0.0.0/8"): "loopback",
    IPv4Network("169.254.0.0/16"): "link-local",
    IPv4Network("224.0.0.0/3"): "multicast or reserved",
}
_SCALAR = "must be text, a number, true or false"
_SHOWN_LENGTH = 60


def refuse(sentence: str) -> PydanticCustomError:
    """Return an error whose sentence is shown without changes."""
    return PydanticCustomError("refused", "{sentence}", {"sentence": sentence})


def shown(value: object) -> str:
    """Return a value as the file would have it, on one line and not too long."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        cut = value if len(value) <= _SHOWN_LENGTH else value[:_SHOWN_LENGTH] + "…"
        return '"' + repr(cut)[1:-1].replace("\\'", "'").replace('"', '\\"') + '"'
    if isinstance(value, dict | list | tuple):
        return "a table" if isinstance(value, dict) else "a list"
    if isinstance(value, date | time):
        return value.isoformat()
    return str(value) if not isinstance(value, int) or abs(value) < 10**20 else "a number of that size"


def _unreserved(name: str) -> str:
    if name in RESERVED_SERVICES:
        raise refuse(f"{shown(name)} {RESERVED_SERVICES[name]}; choose another name")
    return name


def _address(value: object) -> IPv4Address:
    if isinstance(value, IPv4Address):
        return value
    try:
        if isinstance(value, str):
            return IPv4Address(value)
    except ValueError:
        pass
    raise refuse(f'must be an IPv4 address such as "10.8.0.11", not {shown(value)}')


def _bindable(address: IPv4Address) -> IPv4Address:
    if address in IPv4Network("224.0.0.0/3"):
        raise refuse(f"{address} is {_NO_NETWORK[IPv4Network('224.0.0.0/3')]}; no host has it")
    return address


def _network(value: object) -> IPv4Network:
    if isinstance(value, IPv4Network):
        return value
    try:
        network = IPv4Network(value, strict=False) if isinstance(value, str) else None
    except ValueError:
        network = None
    if network is None or not isinstance(value, str):
        raise refuse(f'must be a subnet such as "10.8.0.0/24", not {shown(value)}')
    if IPv4Address(value.split("/")[0]) != network.network_address:
        raise refuse(f'{shown(value)} is an address inside a subnet; the subnet itself is "{network}"')
    for special, kind in _NO_NETWORK.items():
        if network.overlaps(special):
            raise refuse(f"{network} overlaps the {kind} addresses {special}")
    return network


def _setting(value: object) -> object:
    if isinstance(value, dict):
        raise refuse(f'{_SCALAR}; a name with a dot is written in quotes, as in "auto_explain.log_analyze" = true')
    if not isinstance(value, str | int | float):
        raise refuse(f"{_SCALAR}, not {shown(value)}")
    if isinstance(value, str):
        return _one_line(value)
    if not math.isfinite(value) or abs(value) >= 2**63:
        raise refuse(f"must be a number of at most 64 bits, not {shown(value)}")
    return value


def _one_line(text: str) -> str:
    """Refuse a control character other than tab, and a Unicode line or paragraph separator."""
    if any((not char.isprintable() and char != "\t" and ord(char) < 0xA0) or char in "\u2028\u2029" for char in text):
        raise refuse(f"must be one line without control characters, not {shown(text)}")
    return text


def _words(command: str) -> str:
    """Refuse a command that cannot be split into a program and its arguments; strip blanks around it."""
    try:
        shlex.split(command)
    except ValueError as e:
        raise refuse(f"must be a program and its arguments, as in a shell: {e}, in {shown(command)}") from e
    return command.strip()


ServiceName = Annotated[str, StringConstraints(pattern=SERVICE), AfterValidator(_unreserved)]
ClusterName = Annotated[str, StringConstraints(pattern=CLUSTER)]
RoleName = Annotated[str, StringConstraints(pattern=ROLE)]
ImageName = Annotated[str, StringConstraints(pattern=IMAGE, max_length=255)]
ImagePrefix = Annotated[str, StringConstraints(pattern=IMAGE_PREFIX, max_length=128)]
# Limits of ours, or of HAProxy and Pgpool-II: their timers have 31 bits of milliseconds.
Milliseconds = Annotated[int, Field(le=2_147_483_647)]
Seconds = Annotated[int, Field(le=86_400)]
ByteCount = Annotated[int, Field(ge=0, le=2**40)]
HostPort = Annotated[int, Field(ge=1, le=65535)]
OptionalPort = Annotated[int, Field(ge=0, le=65535)]  # 0: none
Address = Annotated[IPv4Address, PlainValidator(_address)]
BindAddress = Annotated[IPv4Address, PlainValidator(_address), AfterValidator(_bindable)]
Subnet = Annotated[IPv4Network, PlainValidator(_network)]
Command = Annotated[str, AfterValidator(_one_line), AfterValidator(_words)]
Setting = Annotated[str | int | float | bool, BeforeValidator(_setting)]
PostgresqlParameter = Annotated[str, StringConstraints(pattern=POSTGRESQL_PARAMETER)]
PgpoolParameter = Annotated[str, StringConstraints(pattern=PGPOOL_PARAMETER)]
