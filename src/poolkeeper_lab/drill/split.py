"""Split the time of a write gap into detection, election, promotion and routing.

Invariant: the four parts follow one another without a hole, from the fault to the first acknowledged write, so they add
up; there is no split if no other node took over. Pure. All times are of one monotonic clock, in seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

PARTS = ("detection", "election", "promotion", "routing")


@dataclass(frozen=True)
class LeaseTimes:
    """A change of Patroni's leader key: its owner from then on, None while the key is absent."""

    at: float
    owner: str | None


@dataclass(frozen=True)
class Recovery:
    """A change of the state that a node's own port reports: `primary`, `standby`, or `silent`."""

    at: float
    node: str
    state: str


@dataclass(frozen=True)
class Split:
    """The four parts, in seconds.

    detection: fault → the leader key is gone or has another owner. election: → another node owns it. promotion: → that
    node has left recovery. routing: → the first write acknowledged after that.
    """

    detection: float
    election: float
    promotion: float
    routing: float
    new_primary: str

    @property
    def parts(self) -> tuple[tuple[str, float], ...]:
        """Name and seconds, in the order of time."""
        return tuple((name, getattr(self, name)) for name in PARTS)


def split_gap(
    injected: float,
    served: Mapping[str, float],
    leases: Iterable[LeaseTimes],
    recoveries: Iterable[Recovery],
    former: str,
) -> Split | None:
    """Split the time from the fault to the first write that the new primary acknowledged.

    `served` maps a node to its first acknowledgement after the fault. None if no other node than `former` became leader
    and served. An event observed after that write (a poll is later than the event) counts as simultaneous with it; an
    event that was not observed takes no time.
    """
    later = [lease for lease in leases if lease.at >= injected and lease.owner != former]
    owners = ((lease.at, lease.owner) for lease in later if lease.owner is not None and lease.owner in served)
    elected, owner = next(owners, (injected, ""))
    if not owner:
        return None
    opened = opened_at(recoveries, owner, injected)
    end = max(served[owner], injected)
    marks = [injected]
    for mark in (later[0].at, elected, elected if opened is None else opened, end):
        marks.append(min(max(mark, marks[-1]), end))
    detection, election, promotion, routing = (after - before for before, after in pairwise(marks))
    return Split(detection, election, promotion, routing, owner)


def opened_at(recoveries: Iterable[Recovery], node: str, since: float) -> float | None:
    """Return the time at which the node was first observed out of recovery after `since`."""
    return next((r.at for r in recoveries if r.node == node and r.state == "primary" and r.at >= since), None)
