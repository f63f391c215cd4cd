"""The messages of etcd's HTTP gateway (etcd 3.5: docs, "gRPC gateway"): values, and how they are written. Pure."""

from __future__ import annotations

import base64
import itertools
from dataclasses import dataclass
from typing import Any

from poolkeeper.core import errors

COMPACTED = "compacted"  # the code of ServerRefused when changes were forgotten: read everything again, then watch


@dataclass(frozen=True)
class KeyValue:
    """One key as the store has it. `revision` is that of its last change; `lease` is "0" where it has none."""

    key: str
    value: str
    revision: int
    lease: str


@dataclass(frozen=True)
class Guard:
    """What must hold of a key for a write to happen; both parts where both are given.

    Revision 0 says that the key does not exist; no value equals that of a key which does not exist.
    """

    key: str
    value: str | None = None
    revision: int | None = None

    def __post_init__(self) -> None:
        if self.value is None and self.revision is None:
            raise ValueError(f"a guard of {self.key} compares nothing")


@dataclass(frozen=True)
class KeyChange:
    """What one transaction did. Resume a watch with `after=revision`."""

    revision: int
    puts: tuple[KeyValue, ...]
    deletes: tuple[str, ...]


def encode(text: str) -> str:
    """Text → the gateway's base64. Bytes that are no UTF-8 pass through as surrogates, both ways."""
    return base64.b64encode(text.encode(errors="surrogateescape")).decode()


def decode(text: str) -> str:
    """The gateway's base64 → text."""
    return base64.b64decode(text).decode(errors="surrogateescape")


def key_range(prefix: str) -> dict[str, str]:
    """Every key that begins with `prefix`, in etcd's way: a first key, and the first one behind."""
    first = prefix.encode(errors="surrogateescape")
    if not first:
        return {"key": encode("\0"), "range_end": encode("\0")}
    # UTF-8 never holds 0xff, so the last byte can be raised.
    return {"key": encode(prefix), "range_end": base64.b64encode(first[:-1] + bytes([first[-1] + 1])).decode()}


def compare(guard: Guard) -> list[dict[str, str]]:
    """A guard → the comparisons of a transaction."""
    wanted: list[dict[str, str]] = []
    if guard.value is not None:
        wanted.append({"target": "VALUE", "result": "EQUAL", "key": encode(guard.key), "value": encode(guard.value)})
    if guard.revision is not None:
        revision = str(guard.revision)
        wanted.append({"target": "MOD", "result": "EQUAL", "key": encode(guard.key), "mod_revision": revision})
    return wanted


def read_key_value(kv: dict[str, Any]) -> KeyValue:
    """One key of an answer; the gateway leaves out whatever is empty or zero."""
    return KeyValue(decode(kv["key"]), decode(kv.get("value", "")), int(kv["mod_revision"]), str(kv.get("lease", "0")))


def read_changes(message: dict[str, Any]) -> tuple[KeyChange, ...]:
    """One message of a watch → its changes, one a revision.

    Raises ServerRefused (code "compacted") when changes were forgotten, Unreachable when the member ended the watch.
    """
    if "error" in message:
        raise errors.Unreachable(f"etcd ended the watch: {message['error'].get('message', message['error'])}")
    result = message["result"]
    if int(result.get("compact_revision", 0)):
        raise errors.ServerRefused(f"etcd has forgotten what was before {result['compact_revision']}", code=COMPACTED)
    if result.get("canceled"):
        raise errors.Unreachable(f"etcd ended the watch: {result.get('cancel_reason', 'without a reason')}")
    grouped = itertools.groupby(result.get("events", []), key=lambda event: int(event["kv"]["mod_revision"]))
    return tuple(_read_change(revision, list(events)) for revision, events in grouped)


def _read_change(revision: int, events: list[dict[str, Any]]) -> KeyChange:
    """The events of one revision. A transaction touches a key once, so their order among themselves says nothing."""
    gone = [event.get("type") == "DELETE" for event in events]
    return KeyChange(
        revision,
        tuple(read_key_value(event["kv"]) for event, is_gone in zip(events, gone, strict=True) if not is_gone),
        tuple(decode(event["kv"]["key"]) for event, is_gone in zip(events, gone, strict=True) if is_gone),
    )
