"""The keys of one cluster in etcd: Patroni's (Patroni 4: dcs/__init__.py names them) and ours.

Invariant: a key that is missing or unreadable is an absent fact, never an invented one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from poolkeeper.model.observed_state import Lease, Member, NodeRecord, StoreView
from poolkeeper.system.etcd_wire import Guard, KeyValue

PRIMARY_ROLES = ("primary", "master")  # Patroni before 4 wrote master


def patroni_prefix(cluster: str) -> str:
    """Return the prefix of Patroni's keys."""
    return f"/service/{cluster}/"


def own_prefix(cluster: str) -> str:
    """Return the prefix of the supervisors' and the keeper's keys."""
    return f"/poolkeeper/{cluster}/"


def leader_key(cluster: str) -> str:
    """Return the key of the lease."""
    return f"{patroni_prefix(cluster)}leader"


def member_key(cluster: str, node: str) -> str:
    """Return the key that a node's Patroni publishes."""
    return f"{patroni_prefix(cluster)}members/{node}"


def record_key(cluster: str, node: str) -> str:
    """Return the key that a node's supervisor writes at its start."""
    return f"{own_prefix(cluster)}nodes/{node}"


def release_guards(cluster: str, owner: str, lease_revision: int, record_revision: int) -> tuple[Guard, Guard]:
    """Return the guards of the lease's release: the same holder, the same lease, the same incarnation."""
    return (
        Guard(leader_key(cluster), value=owner, revision=lease_revision),
        Guard(record_key(cluster, owner), revision=record_revision),
    )


def read_view(cluster: str, revision: int, keys: Iterable[KeyValue]) -> StoreView:
    """Return the view that the keys of both prefixes give."""
    by_key = {pair.key: pair for pair in keys}
    service, own = patroni_prefix(cluster), own_prefix(cluster)
    leader = by_key.get(leader_key(cluster))
    return StoreView(
        revision=revision,
        lease=Lease(leader.value, leader.revision) if leader else None,
        members={m.name: m for m in map(_member, _under(f"{service}members/", by_key))},
        records={r.node: r for r in map(_record, _under(f"{own}nodes/", by_key)) if r is not None},
        leader_lsn=_number(_document(by_key.get(f"{service}status")).get("optime")),
        paused=_document(by_key.get(f"{service}config")).get("pause") is True,
    )


def _under(prefix: str, by_key: Mapping[str, KeyValue]) -> list[KeyValue]:
    return [pair for key, pair in by_key.items() if key.startswith(prefix)]


def _document(pair: KeyValue | None) -> dict[str, Any]:
    """Return the value as JSON; an empty document where there is none."""
    try:
        document = json.loads(pair.value) if pair else {}
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _member(pair: KeyValue) -> Member:
    document = _document(pair)
    role = str(document.get("role", "unknown"))
    return Member(
        name=pair.key.rsplit("/", 1)[-1],
        role="primary" if role in PRIMARY_ROLES else role,
        state=str(document.get("state", "unknown")),
        timeline=_number(document.get("timeline")),
        lsn=_number(document.get("xlog_location")),
        replication=str(document.get("replication_state", "")),
    )


def _record(pair: KeyValue) -> NodeRecord | None:
    document = _document(pair)
    if not {"incarnation", "boot"} <= document.keys():
        return None
    name = pair.key.rsplit("/", 1)[-1]
    return NodeRecord(name, str(document["incarnation"]), str(document["boot"]), pair.revision)
