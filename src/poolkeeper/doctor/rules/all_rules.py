"""The findings of all rules in one order, and their overall outcome.

Invariant: each declared endpoint, node and etcd member has a finding of each rule that concerns it, also when no
component answered. The overall outcome is unknown unless every rule passes or one fires.
"""

from __future__ import annotations

from collections.abc import Iterable

from poolkeeper.doctor.rules import endpoint_rules, host_rules, replication_rules, server_rules, vacuum_rules
from poolkeeper.model.diagnosis import ClusterFacts, DoctorFinding
from poolkeeper.model.spec import ClusterSpec
from poolkeeper.model.verdict import Outcome, merge

EXIT_CODES = {Outcome.PASS: 0, Outcome.FAIL: 1, Outcome.UNKNOWN: 3}


def evaluate(spec: ClusterSpec, facts: ClusterFacts) -> tuple[DoctorFinding, ...]:
    """Return every finding: endpoints, servers, replication, vacuum, then the host and etcd."""
    modules = (endpoint_rules, server_rules, replication_rules, vacuum_rules, host_rules)
    return tuple(finding for module in modules for finding in module.evaluate(spec, facts))


def outcome(findings: Iterable[DoctorFinding]) -> Outcome:
    """Return fail if a rule fires, else unknown if a subject could not be checked, else pass."""
    return merge(finding.outcome for finding in findings)
