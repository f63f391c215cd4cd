"""Whom a fault hits, by the role at that moment, and what makes a fault of it."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from poolkeeper.model.spec import ClusterSpec
from poolkeeper_lab.faults.fault import Fault
from poolkeeper_lab.faults.host import Host


class FaultTarget(StrEnum):
    """Whom a fault hits, by the role at that moment."""

    PRIMARY = "the primary"
    STANDBY = "a standby"
    STANDBYS = "every standby"
    QUORUM_STANDBY = "the standby that acknowledges commits first"
    PRIMARY_SIDE = "the primary and the member of etcd beside it"
    STANDBY_SIDE = "a standby and the member of etcd beside it"
    ETCD_LEADER = "the leader of etcd"
    ETCD_FOLLOWER = "a follower in etcd"
    ETCD_FOLLOWERS = "every follower in etcd"
    ETCD_MEMBERS = "every member of etcd"
    RW_ENDPOINT = "the read-write endpoint's Pgpool-II"
    RO_ENDPOINT = "the read-only endpoint's Pgpool-II"
    BALANCED_ENDPOINT = "the balanced endpoint's Pgpool-II"
    HAPROXY = "HAProxy"
    KEEPER = "the keeper"
    NODES = "every node"
    EVERYTHING = "every container"


def declared(spec: ClusterSpec) -> dict[FaultTarget, str]:
    """The services whose role never moves."""
    return {
        FaultTarget.RW_ENDPOINT: spec.endpoints.rw.service,
        FaultTarget.RO_ENDPOINT: spec.endpoints.ro.service,
        FaultTarget.BALANCED_ENDPOINT: spec.endpoints.balanced.service,
        FaultTarget.HAPROXY: spec.haproxy.service,
        FaultTarget.KEEPER: spec.keeper.service,
    }


Make = Callable[[Host, str, Callable[[], None]], Fault]  # where, the victim, what asks for a switchover
