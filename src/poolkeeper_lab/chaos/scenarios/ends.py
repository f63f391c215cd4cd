"""The other ends of a cut: the components that the target of a step cannot reach."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from poolkeeper_lab.faults import peers


@dataclass(frozen=True)
class End:
    """The components at the other end, and what they are called after "between the primary and"."""

    name: str
    services: peers.Peers | Sequence[str]


ALL_OTHERS = End("all others", ())
NODES = End("the other nodes", peers.nodes)
EVERY_NODE = End("every node", peers.nodes)
ONE_NODE = End("one other node", peers.next_node)
ETCD = End("all of etcd", peers.etcd)
OTHER_MEMBERS = End("the other members of etcd", peers.etcd)
ONE_FOLLOWER = End("one follower", peers.next_etcd)
HAPROXY = End("HAProxy", peers.haproxy)
KEEPER = End("the keeper", peers.keeper)
BALANCED_ENDPOINT = End("the balanced endpoint's Pgpool-II", peers.balanced_endpoint)
OTHER_SIDE = End("all others", peers.other_side)
