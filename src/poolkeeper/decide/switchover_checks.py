"""Checks before a switchover, and the choice of the next primary.

Patroni is asked to switch over to a *named* standby only where a user named one. Without a name every standby of the
quorum races for the lease. The winner has compared its position with the others', and the losers follow it at once.
With a name no standby compares, and Patroni holds the others back for 2 s (Patroni 4: process_unhealthy_cluster in
ha.py). In these no standby can acknowledge a commit of the new primary.
"""

from __future__ import annotations

from dataclasses import dataclass

from poolkeeper.decide import preconditions
from poolkeeper.model.observed import Snapshot
from poolkeeper.model.precondition import Precondition, allowed
from poolkeeper.model.spec import ClusterSpec
from poolkeeper.model.verdict import Outcome


@dataclass(frozen=True)
class CandidateVerdict:
    """The leader, the standby that is expected to become primary, and every precondition."""

    leader: str | None
    candidate: str | None
    preconditions: tuple[Precondition, ...]

    @property
    def is_allowed(self) -> bool:
        """Whether the switchover may begin."""
        return allowed(self.preconditions)


def check(spec: ClusterSpec, seen: Snapshot, to: str | None = None) -> CandidateVerdict:
    """Return the verdict on a switchover; `to` is the standby that the user named."""
    leader = preconditions.agreed_leader(seen)
    candidate = to or choose(spec, seen)
    found = [*preconditions.common(spec, seen), preconditions.endpoint(spec, seen)]
    if to is not None and to == leader:
        found.append(Precondition("candidate", Outcome.FAIL, f"{to} is the leader already"))
    elif candidate is not None:
        found += preconditions.eligible_candidate(spec, seen, candidate)
    else:
        found.append(_no_candidate(spec, seen))
    return CandidateVerdict(leader, candidate, tuple(found))


def choose(spec: ClusterSpec, seen: Snapshot) -> str | None:
    """Return the eligible standby with the least lag; the first declared one of equals; None if none is eligible."""
    leader = preconditions.agreed_leader(seen)
    names = [node.name for node in spec.nodes if node.name != leader]
    eligible = [name for name in names if allowed(preconditions.eligible_candidate(spec, seen, name))]
    return min(eligible, key=lambda name: preconditions.lag_bytes(seen, name) or 0, default=None)


def _no_candidate(spec: ClusterSpec, seen: Snapshot) -> Precondition:
    """Return why no standby is eligible: what forbids each; unknown as soon as one of them might be eligible."""
    leader = preconditions.agreed_leader(seen)
    reasons, might = [], leader is None
    for name in (node.name for node in spec.nodes if node.name != leader):
        forbidding = [p for p in preconditions.eligible_candidate(spec, seen, name) if p.forbids]
        reasons += [f"{p.name}: {p.fact}" for p in forbidding[:1]]
        might = might or all(p.outcome is Outcome.UNKNOWN for p in forbidding)
    outcome = Outcome.UNKNOWN if might else Outcome.FAIL
    return Precondition("candidate", outcome, f"no standby is eligible ({'; '.join(reasons)})")
