"""Group 18: the direct endpoints lead to the right nodes, and the read-only one refuses writes.

Invariant: one verdict for each direct endpoint that is declared. Group 14 checks the spread of reads at the read-only
endpoint alone, since both endpoints share HAProxy's servers.
"""

from __future__ import annotations

from poolkeeper.model.endpoint_keys import DIRECT_RO, DIRECT_RW
from poolkeeper.model.probe import Readings
from poolkeeper.model.target import Target
from poolkeeper.model.verdict import Verdict
from poolkeeper.suite.checks import endpoint_checks, read_only_checks
from poolkeeper.suite.checks.outcomes import Check


def direct_endpoints(target: Target, readings: Readings) -> tuple[Verdict, ...]:
    """Check group 18: the read-write endpoint reaches the primary; the read-only one refuses a write."""
    declared = target.own.direct if target.own else {}
    verdicts = []
    if dsn := declared.get(DIRECT_RW):
        check = Check("direct_endpoints.direct_rw", 18, f"A query through the direct read-write endpoint ({dsn.port})")
        verdicts.append(endpoint_checks.check_endpoint(check, target, readings, readings.direct_rw))
    if dsn := declared.get(DIRECT_RO):
        check = Check(
            "direct_endpoints.direct_ro", 18, f"The direct read-only endpoint ({dsn.port}) refuses every write"
        )
        verdicts.append(read_only_checks.refuses_writes(check, readings, readings.direct_ro))
    return tuple(verdicts)
