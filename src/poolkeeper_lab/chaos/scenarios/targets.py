"""Short names of the targets of faults, for the tables of scenarios."""

from __future__ import annotations

from poolkeeper_lab.faults.fault_target import FaultTarget

PRIMARY, STANDBY, STANDBYS = FaultTarget.PRIMARY, FaultTarget.STANDBY, FaultTarget.STANDBYS
QUORUM_STANDBY, NODES, EVERYTHING = FaultTarget.QUORUM_STANDBY, FaultTarget.NODES, FaultTarget.EVERYTHING
PRIMARY_SIDE, STANDBY_SIDE = FaultTarget.PRIMARY_SIDE, FaultTarget.STANDBY_SIDE
ETCD_LEADER, ETCD_FOLLOWER = FaultTarget.ETCD_LEADER, FaultTarget.ETCD_FOLLOWER
ETCD_FOLLOWERS, ETCD_MEMBERS = FaultTarget.ETCD_FOLLOWERS, FaultTarget.ETCD_MEMBERS
RW_ENDPOINT, RO_ENDPOINT = FaultTarget.RW_ENDPOINT, FaultTarget.RO_ENDPOINT
BALANCED_ENDPOINT, HAPROXY, KEEPER = FaultTarget.BALANCED_ENDPOINT, FaultTarget.HAPROXY, FaultTarget.KEEPER
