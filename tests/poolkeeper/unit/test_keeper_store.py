"""The view of etcd's keys, Patroni's and ours: it holds no fact that they do not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolkeeper.model.observed_state import Lease, Member, NodeRecord, StoreView
from poolkeeper.system import cluster_store
from poolkeeper.system.etcd_wire import Guard, KeyValue

SERVICE, OWN = "/service/main/", "/poolkeeper/main/"
MEMBER = {"role": "replica", "state": "running", "timeline": 3, "xlog_location": 9, "replication_state": "streaming"}
KEYS = {
    f"{SERVICE}leader": "pg_node1",
    f"{SERVICE}members/pg_node1": {"role": "primary", "state": "running", "timeline": 3, "xlog_location": 10},
    f"{SERVICE}members/pg_node2": MEMBER,
    f"{SERVICE}status": {"optime": 10, "slots": {"pg_node2": 9}},
    f"{SERVICE}sync": {"leader": "pg_node1", "sync_standby": "pg_node2,pg_node3", "quorum": 1},
    f"{SERVICE}config": {"ttl": 20},
    f"{OWN}nodes/pg_node2": {"incarnation": "x", "boot": "y", "started": "2026-01-01T00:00:00Z"},
}


def view(changes: dict[str, Any] | None = None) -> StoreView:
    """Return the view of the keys with these changed; None removes one. A text is stored as it is."""
    keys = {key: value for key, value in {**KEYS, **(changes or {})}.items() if value is not None}
    pairs = [KeyValue(k, v if isinstance(v, str) else json.dumps(v), i, "0") for i, (k, v) in enumerate(keys.items())]
    return cluster_store.read_view("main", 99, pairs)


def test_every_key_is_read() -> None:
    """The keys have the form of Patroni 4 and of the supervisors."""
    assert view() == StoreView(
        99,
        Lease("pg_node1", 0),
        {
            "pg_node1": Member("pg_node1", "primary", "running", 3, 10),
            "pg_node2": Member("pg_node2", "replica", "running", 3, 9, "streaming"),
        },
        {"pg_node2": NodeRecord("pg_node2", "x", "y", 6)},
        10,
        paused=False,
    )


def test_an_empty_store_gives_no_facts() -> None:
    """Another cluster's keys give no facts either."""
    assert cluster_store.read_view("main", 1, []) == StoreView(1)
    others = [KeyValue(key.replace("/main/", "/main2/"), "{}", 1, "0") for key in KEYS]
    assert cluster_store.read_view("main", 1, others) == StoreView(1)


@pytest.mark.parametrize(
    ("key", "value", "field", "wanted"),
    [
        ("leader", None, "lease", None),
        ("status", None, "leader_lsn", None),
        ("status", "no JSON", "leader_lsn", None),
        ("status", "[1]", "leader_lsn", None),
        ("status", {"optime": "10"}, "leader_lsn", None),
        ("status", {"optime": True}, "leader_lsn", None),
        ("config", {"pause": True}, "paused", True),
        ("config", {"pause": "true"}, "paused", False),
        ("config", None, "paused", False),
    ],
)
def test_a_missing_or_malformed_key_is_an_absent_fact(key: str, value: Any, field: str, wanted: Any) -> None:
    """The store never invents a fact."""
    assert getattr(view({f"{SERVICE}{key}": value}), field) == wanted


def test_a_malformed_member_is_not_eligible() -> None:
    """The member is present, and each value that it does not publish is unknown."""
    found = view({f"{SERVICE}members/pg_node2": "no JSON"}).members["pg_node2"]
    assert found == Member("pg_node2", "unknown", "unknown", None, None)
    assert not found.is_streaming
    assert view({f"{SERVICE}members/pg_node2": {**MEMBER, "role": "master"}}).members["pg_node2"].role == "primary"


@pytest.mark.parametrize("value", ["no JSON", {}, {"incarnation": "x"}, {"boot": "y"}, "null"])
def test_an_incomplete_record_is_ignored(value: Any) -> None:
    """A release could not compare it."""
    assert view({f"{OWN}nodes/pg_node2": value}).records == {}


def test_a_release_compares_holder_lease_and_incarnation() -> None:
    """The release compares them by value and revision."""
    assert cluster_store.release_guards("main", "pg_node1", 7, 5) == (
        Guard("/service/main/leader", value="pg_node1", revision=7),
        Guard("/poolkeeper/main/nodes/pg_node1", revision=5),
    )


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from([*MEMBER, "boot", "pause"]), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*KEYS, f"{SERVICE}failover", OWN]), VALUES.map(json.dumps) | st.text()))
def test_any_values_can_be_read(values: dict[str, str]) -> None:
    """The keeper survives any value that a client writes there."""
    found = cluster_store.read_view("main", 1, [KeyValue(k, v, 1, "0") for k, v in values.items()])
    assert (found.lease is None) is (f"{SERVICE}leader" not in values)
    assert len(found.members) <= 2
