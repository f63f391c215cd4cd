"""Every judgement of a look, in one order, and what they amount to.

Invariant: each declared endpoint, node and etcd member has a judgement by each judge that concerns it, also when nothing
answered; the sum is unknown unless all of them passed or one is a limit.
"""

from __future__ import annotations

from collections.abc import Iterable

from poolkeeper.doctor.rules import endpoint_rules, host_rules, replication_rules, server_rules, vacuum_rules
from poolkeeper.model.diagnosis import ClusterFacts, DoctorFinding
from poolkeeper.model.spec import ClusterSpec
from poolkeeper.model.verdict import Outcome, merge

EXIT_CODES = {Outcome.PASS: 0, Outcome.FAIL: 1, Outcome.UNKNOWN: 3}


def judge(spec: ClusterSpec, facts: ClusterFacts) -> tuple[DoctorFinding, ...]:
    """All of them: the endpoints, the servers, replication, vacuum, and what everything stands on."""
    rooms = (endpoint_rules, server_rules, replication_rules, vacuum_rules, host_rules)
    return tuple(judgement for room in rooms for judgement in room.judge(spec, facts))


def outcome(judgements: Iterable[DoctorFinding]) -> Outcome:
    """fail: something limits it; unknown: nothing is known to, and not all could be looked at."""
    return merge(judgement.outcome for judgement in judgements)
