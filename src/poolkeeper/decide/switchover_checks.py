"""May the primary hand its role over now, and to whom?

Patroni is asked to switch over to a *named* standby only where a person named one. Without a name every standby of the
quorum races for the lease: the winner has compared its position with the others', and the loser follows it at once.
With a name nobody compares, and Patroni holds everybody else back for 2 s (Patroni 4: process_unhealthy_cluster in
ha.py), in which no standby can acknowledge a commit of the new primary.
"""

from __future__ import annotations

from dataclasses import dataclass

from poolkeeper.decide import preconditions as facts
from poolkeeper.model.observed import Snapshot
from poolkeeper.model.precondition import Precondition, allowed
from poolkeeper.model.spec import ClusterSpec
from poolkeeper.model.verdict import Outcome


@dataclass(frozen=True)
class CandidateVerdict:
    """The leader, the standby that is expected to take over, and all that was asked."""

    leader: str | None
    candidate: str | None
    preconditions: tuple[Precondition, ...]

    @property
    def is_allowed(self) -> bool:
        """May it begin?"""
        return allowed(self.preconditions)


def check(spec: ClusterSpec, seen: Snapshot, to: str | None = None) -> CandidateVerdict:
    """Look at everything; `to` is the standby that was asked for."""
    leader = facts.agreed_leader(seen)
    candidate = to or choose(spec, seen)
    found = [*facts.common(spec, seen), facts.endpoint(spec, seen)]
    if to is not None and to == leader:
        found.append(Precondition("candidate", Outcome.FAIL, f"{to} is the leader already"))
    elif candidate is not None:
        found += facts.eligible_candidate(spec, seen, candidate)
    else:
        found.append(_nobody(spec, seen))
    return CandidateVerdict(leader, candidate, tuple(found))


def choose(spec: ClusterSpec, seen: Snapshot) -> str | None:
    """The fit standby that is the least behind; the first declared one of equals; None if none is fit."""
    leader = facts.agreed_leader(seen)
    names = [node.name for node in spec.nodes if node.name != leader]
    fit = [name for name in names if allowed(facts.eligible_candidate(spec, seen, name))]
    return min(fit, key=lambda name: facts.lag_bytes(seen, name) or 0, default=None)


def _nobody(spec: ClusterSpec, seen: Snapshot) -> Precondition:
    """Why no standby is fit: what forbids each; unknown as soon as one of them might be."""
    leader = facts.agreed_leader(seen)
    reasons, might = [], leader is None
    for name in (node.name for node in spec.nodes if node.name != leader):
        forbidding = [p for p in facts.eligible_candidate(spec, seen, name) if p.forbids]
        reasons += [f"{p.name}: {p.fact}" for p in forbidding[:1]]
        might = might or all(p.outcome is Outcome.UNKNOWN for p in forbidding)
    outcome = Outcome.UNKNOWN if might else Outcome.FAIL
    return Precondition("candidate", outcome, f"no standby is fit ({'; '.join(reasons)})")
