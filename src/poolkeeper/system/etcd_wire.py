"""The messages of etcd's HTTP gateway (etcd 3.5: docs, "gRPC gateway"): values and their encoding. Pure."""

from __future__ import annotations

import base64
import itertools
from dataclasses import dataclass
from typing import Any

from poolkeeper.core import errors

COMPACTED = "compacted"  # code of ServerRefused if etcd no longer has the changes: read all keys again, then watch


@dataclass(frozen=True)
class KeyValue:
    """One key of the store. `revision` is that of its last change; `lease` is "0" without a lease."""

    key: str
    value: str
    revision: int
    lease: str


@dataclass(frozen=True)
class Guard:
    """The condition on a key under which a write happens; if both parts are given, both must hold.

    Revision 0 means that the key does not exist; no value equals that of a missing key.
    """

    key: str
    value: str | None = None
    revision: int | None = None

    def __post_init__(self) -> None:
        if self.value is None and self.revision is None:
            raise ValueError(f"a guard of {self.key} compares nothing")


@dataclass(frozen=True)
class KeyChange:
    """The changes of one transaction. Resume a watch with `after=revision`."""

    revision: int
    puts: tuple[KeyValue, ...]
    deletes: tuple[str, ...]


def encode(text: str) -> str:
    """Encode text as the gateway's base64; bytes that are no UTF-8 pass through as surrogates, both ways."""
    return base64.b64encode(text.encode(errors="surrogateescape")).decode()


def decode(text: str) -> str:
    """Decode the gateway's base64."""
    return base64.b64decode(text).decode(errors="surrogateescape")


def key_range(prefix: str) -> dict[str, str]:
    """Return the range of all keys with this prefix: its first key, and the first key after it."""
    first = prefix.encode(errors="surrogateescape")
    if not first:
        return {"key": encode("\0"), "range_end": encode("\0")}
    # UTF-8 never holds 0xff, so the last byte can be raised.
    return {"key": encode(prefix), "range_end": base64.b64encode(first[:-1] + bytes([first[-1] + 1])).decode()}


def compare(guard: Guard) -> list[dict[str, str]]:
    """Return the comparisons of a transaction for a guard."""
    wanted: list[dict[str, str]] = []
    if guard.value is not None:
        wanted.append({"target": "VALUE", "result": "EQUAL", "key": encode(guard.key), "value": encode(guard.value)})
    if guard.revision is not None:
        revision = str(guard.revision)
        wanted.append({"target": "MOD", "result": "EQUAL", "key": encode(guard.key), "mod_revision": revision})
    return wanted


def read_key_value(kv: dict[str, Any]) -> KeyValue:
    """Read one key of an answer; the gateway omits empty and zero fields."""
    return KeyValue(decode(kv["key"]), decode(kv.get("value", "")), int(kv["mod_revision"]), str(kv.get("lease", "0")))


def read_changes(message: dict[str, Any]) -> tuple[KeyChange, ...]:
    """Read one message of a watch; return its changes, one per revision.

    Raises:
        ServerRefused: with code "compacted", if etcd no longer has some changes.
        Unreachable: if the member ended the watch.
    """
    if "error" in message:
        raise errors.Unreachable(f"etcd ended the watch: {message['error'].get('message', message['error'])}")
    result = message["result"]
    if int(result.get("compact_revision", 0)):
        raise errors.ServerRefused(
            f"etcd no longer has the changes before {result['compact_revision']}", code=COMPACTED
        )
    if result.get("canceled"):
        raise errors.Unreachable(f"etcd ended the watch: {result.get('cancel_reason', 'without a reason')}")
    grouped = itertools.groupby(result.get("events", []), key=lambda event: int(event["kv"]["mod_revision"]))
    return tuple(_read_change(revision, list(events)) for revision, events in grouped)


def _read_change(revision: int, events: list[dict[str, Any]]) -> KeyChange:
    """Read the events of one revision; a transaction changes a key once, so their order is irrelevant."""
    gone = [event.get("type") == "DELETE" for event in events]
    return KeyChange(
        revision,
        tuple(read_key_value(event["kv"]) for event, is_gone in zip(events, gone, strict=True) if not is_gone),
        tuple(decode(event["kv"]["key"]) for event, is_gone in zip(events, gone, strict=True) if is_gone),
    )
