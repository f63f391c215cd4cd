"""Calculate the figures of a round from the observations. Pure.

Invariant: the figures come only from the clients' own record; the watch of the cluster only explains how a gap splits.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from poolkeeper_lab.drill import ledger, split
from poolkeeper_lab.drill.drill_results import DrillRound, EndpointGap
from poolkeeper_lab.drill.ledger import Attempt, AttemptOutcome

BUCKET = 0.1  # seconds
_BEFORE, _AFTER, _AT_MOST = 2.0, 3.0, 60.0  # the drawn window: before the fault, after the gap, in all


@dataclass
class ObservedRound:
    """The observations while a fault lasts; times are of the monotonic clock, None for what did not happen."""

    fault: str
    number: int
    keeper: bool
    victim: str = ""
    injected: float | None = None
    healed: float | None = None
    back: float | None = None
    ended: float = 0.0
    back_since_healed: bool = False
    problems: list[str] = field(default_factory=list)

    def failed(self) -> DrillRound:
        """Return a round with nothing but its problems."""
        return DrillRound(self.fault, self.number, self.keeper, self.victim, "; ".join(self.problems))


def figures(
    observed: ObservedRound,
    clients: Iterable[str],
    writes: tuple[Attempt, ...],
    reads: tuple[Attempt, ...],
    stored: Mapping[int, int] | None,
    leases: Iterable[split.LeaseTimes],
    recoveries: Iterable[split.Recovery],
    nodes: Collection[str],
) -> DrillRound:
    """Return the round. `stored` is None if the primary could not be queried; `nodes` are the servers that count."""
    if observed.injected is None:
        return observed.failed()
    at, recoveries = observed.injected, tuple(recoveries)
    parts = split.split_gap(at, _first_served(writes, at, nodes), leases, recoveries, observed.victim)
    write, read = (_endpoint_gap(attempts, clients, observed) for attempts in (writes, reads))
    problems = [*observed.problems, *(f"no {w} was acknowledged any more" for w, g in _named(write, read) if g.is_open)]
    since = observed.healed if observed.back_since_healed else at
    return DrillRound(
        observed.fault,
        observed.number,
        observed.keeper,
        observed.victim,
        problem="; ".join(problems),
        write=write,
        read=read,
        verdict=None if stored is None else ledger.evaluate(writes, stored, _newest(parts, recoveries, at)),
        read_errors=ledger.errors_by_code(reads),
        beyond_reconnect=ledger.beyond_reconnect(a for a in writes if a.ended >= at),
        split=parts,
        healed=None if observed.healed is None else observed.healed - at,
        back=None if observed.back is None or since is None else observed.back - since,
        rate=_rate(writes, at, write),
    )


def _named(write: EndpointGap, read: EndpointGap) -> tuple[tuple[str, EndpointGap], ...]:
    return ("write", write), ("read", read)


def _endpoint_gap(attempts: tuple[Attempt, ...], clients: Iterable[str], observed: ObservedRound) -> EndpointGap:
    at, until = observed.injected or 0.0, observed.ended
    gap = ledger.longest_gap(attempts, at, until)
    by_client = {client: ledger.longest_gap(attempts, at, until, client).seconds for client in clients}
    return EndpointGap(gap.seconds, gap.begin - at, by_client, gap.is_open and gap.seconds > 1)


def _first_served(writes: Iterable[Attempt], at: float, nodes: Collection[str]) -> dict[str, float]:
    """Return each node's first acknowledgement after the fault, also of a write that began before and waited."""
    found: dict[str, float] = {}
    for attempt in writes:
        if attempt.outcome is AttemptOutcome.ACKNOWLEDGED and attempt.ended >= at and attempt.server in nodes:
            found.setdefault(attempt.server, attempt.ended)
    return found


def _newest(parts: split.Split | None, recoveries: Iterable[split.Recovery], at: float) -> tuple[str, float] | None:
    """Return the new primary, and the time at which it was first observed open."""
    if parts is None or (opened := split.opened_at(recoveries, parts.new_primary, at)) is None:
        return None
    return parts.new_primary, opened


def _rate(writes: Iterable[Attempt], at: float, gap: EndpointGap) -> tuple[tuple[float, int], ...]:
    """Return the acknowledged writes in each tenth of a second around the fault and the gap."""
    buckets = math.ceil(round((_BEFORE + min(max(gap.end, 0.0) + _AFTER, _AT_MOST)) / BUCKET, 6))
    acknowledged = (a.ended - at for a in writes if a.outcome is AttemptOutcome.ACKNOWLEDGED)
    counts = Counter(math.floor((moment + _BEFORE) / BUCKET) for moment in acknowledged)
    return tuple((round(i * BUCKET - _BEFORE, 1), counts[i]) for i in range(buckets))
