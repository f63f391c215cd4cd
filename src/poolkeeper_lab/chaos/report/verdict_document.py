"""Verdicts as plain data for JSON. Long lists of anomalies are cut, and their number is always there. Pure."""

from __future__ import annotations

from typing import Any

from poolkeeper.report import plain
from poolkeeper_lab.chaos.checkers.checker_self_test import SelfTest
from poolkeeper_lab.chaos.checkers.finding import CheckerFinding
from poolkeeper_lab.chaos.checkers.run_verdict import RunEvaluation

SHOWN = 50  # anomalies of one finding


def document(evaluation: RunEvaluation) -> dict[str, Any]:
    """Return the verdict of a run as plain data."""
    found, header = plain.data(evaluation), evaluation.header
    return {
        "outcome": evaluation.outcome.value,
        "scenario": header.scenario,
        "seed": header.seed,
        "cluster": dict(header.cluster),
        "operations": found["counts"],
        "is_torn": evaluation.is_torn,
        "findings": [_finding(finding) for finding in evaluation.findings],
        "gaps": found["gaps"],
    }


def _finding(finding: CheckerFinding) -> dict[str, Any]:
    found = plain.data(finding)
    cut = {key: found[key][:SHOWN] for key in ("anomalies", "permitted")}
    return {**found, "outcome": finding.outcome.value, "counts": finding.counts, **cut}


def self_test_document(result: SelfTest) -> dict[str, Any]:
    """Return the result of a self-test as plain data."""
    return {**plain.data(result), "outcome": result.outcome.value, "missed": list(result.missed)}
