"""The target of a fault, by its role at the moment of the injection, and the type of functions that make a fault."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from poolkeeper.model.spec import ClusterSpec
from poolkeeper_lab.faults.fault import Fault
from poolkeeper_lab.faults.host import Host


class FaultTarget(StrEnum):
    """The target of a fault, by its role at the moment of the injection."""

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
    """Return the services whose role never moves."""
    return {
        FaultTarget.RW_ENDPOINT: spec.endpoints.rw.service,
        FaultTarget.RO_ENDPOINT: spec.endpoints.ro.service,
        FaultTarget.BALANCED_ENDPOINT: spec.endpoints.balanced.service,
        FaultTarget.HAPROXY: spec.haproxy.service,
        FaultTarget.KEEPER: spec.keeper.service,
    }


Make = Callable[
    [Host, str, Callable[[], None]], Fault
]  # the host, the victim, and a function that requests a switchover
