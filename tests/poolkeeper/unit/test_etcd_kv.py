"""etcd's gateway on the wire: keys, ranges, guards and the messages of a watch."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolkeeper.core import errors
from poolkeeper.system import etcd_wire
from poolkeeper.system.etcd_wire import Guard, KeyChange, KeyValue


def _b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@given(st.text())
def test_text_survives_the_wire(text: str) -> None:
    assert etcd_wire.decode(etcd_wire.encode(text)) == text


@given(st.binary())
def test_bytes_that_are_no_text_survive_the_wire(raw: bytes) -> None:
    """A foreign value must not stop the reading of all the others."""
    wire = base64.b64encode(raw).decode()
    assert etcd_wire.encode(etcd_wire.decode(wire)) == wire


@given(st.text(min_size=1), st.text())
def test_a_range_holds_exactly_the_keys_of_a_prefix(prefix: str, key: str) -> None:
    """etcd compares bytes: first <= key < end."""
    found = etcd_wire.key_range(prefix)
    first, end = base64.b64decode(found["key"]), base64.b64decode(found["range_end"])
    assert (first <= key.encode() < end) is key.startswith(prefix)
    assert first <= (prefix + key).encode() < end


def test_no_prefix_is_every_key() -> None:
    assert etcd_wire.key_range("") == {"key": _b64("\0"), "range_end": _b64("\0")}


def test_each_part_of_a_guard_is_compared() -> None:
    """A number goes as text: JSON's own would lose precision above 2^53."""
    assert etcd_wire.compare(Guard("k", "v", 2**60)) == [
        {"target": "VALUE", "result": "EQUAL", "key": _b64("k"), "value": _b64("v")},
        {"target": "MOD", "result": "EQUAL", "key": _b64("k"), "mod_revision": str(2**60)},
    ]
    assert [part["target"] for part in etcd_wire.compare(Guard("k", ""))] == ["VALUE"]
    assert [part["target"] for part in etcd_wire.compare(Guard("k", revision=0))] == ["MOD"]


def test_a_guard_that_compares_nothing_is_refused() -> None:
    """Such a guard would let every change pass."""
    with pytest.raises(ValueError, match="compares nothing"):
        Guard("k")


def _put(key: str, revision: int, **more: str) -> dict[str, Any]:
    return {"kv": {"key": _b64(key), "mod_revision": str(revision), **more}}


def _delete(key: str, revision: int) -> dict[str, Any]:
    return {"type": "DELETE", **_put(key, revision)}


def test_a_message_of_a_watch_is_a_change_for_each_revision() -> None:
    """A watch can be resumed behind each event; the wire leaves out empty values and absent leases."""
    events = [_put("a", 5, value=_b64("1"), lease="77"), _delete("b", 5), _put("a", 6), _delete("a", 9)]
    assert etcd_wire.read_changes({"result": {"header": {}, "events": events}}) == (
        KeyChange(5, (KeyValue("a", "1", 5, "77"),), ("b",)),
        KeyChange(6, (KeyValue("a", "", 6, "0"),), ()),
        KeyChange(9, (), ("a",)),
    )


def test_a_message_without_events_is_no_change() -> None:
    assert etcd_wire.read_changes({"result": {"header": {"revision": "3"}, "created": True}}) == ()


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ('{"result": {"canceled": true, "compact_revision": "9"}}', errors.ServerRefused),
        ('{"result": {"canceled": true, "cancel_reason": "etcdserver: no leader"}}', errors.Unreachable),
        ('{"error": {"grpc_code": 14, "http_code": 503, "message": "no leader"}}', errors.Unreachable),
    ],
)
def test_the_end_of_a_watch_is_an_error(message: str, error: type[errors.PoolkeeperError]) -> None:
    with pytest.raises(error) as caught:
        etcd_wire.read_changes(json.loads(message))
    assert getattr(caught.value, "code", etcd_wire.COMPACTED) == etcd_wire.COMPACTED
