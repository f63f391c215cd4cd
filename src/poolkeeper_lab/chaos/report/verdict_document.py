"""Verdicts as documents for JSON. Long lists of anomalies are cut, and their number is always there. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from poolkeeper_lab.chaos.checkers.checker_self_test import SelfTest
from poolkeeper_lab.chaos.checkers.finding import Anomaly, CheckerFinding
from poolkeeper_lab.chaos.checkers.run_verdict import RunEvaluation

SHOWN = 50  # anomalies of one finding


def document(evaluation: RunEvaluation) -> dict[str, Any]:
    """Return the verdict of a run as plain data."""
    return {
        "outcome": evaluation.outcome.value,
        "scenario": evaluation.header.scenario,
        "seed": evaluation.header.seed,
        "cluster": dict(evaluation.header.cluster),
        "operations": dict(evaluation.counts),
        "is_torn": evaluation.is_torn,
        "findings": [_finding(finding) for finding in evaluation.findings],
        "gaps": {name: {"seconds": gap.seconds, "is_open": gap.is_open} for name, gap in evaluation.gaps.items()},
    }


def _finding(finding: CheckerFinding) -> dict[str, Any]:
    return {
        "checker": finding.checker,
        "workload": finding.workload,
        "outcome": finding.outcome.value,
        "summary": finding.summary,
        "counts": finding.counts,
        "anomalies": _anomalies(finding.anomalies),
        "permitted": _anomalies(finding.permitted),
        "unknowns": list(finding.unknowns),
        "figures": dict(finding.figures),
        "seconds": finding.seconds,
    }


def _anomalies(anomalies: Iterable[Anomaly]) -> list[dict[str, Any]]:
    return [asdict(anomaly) for anomaly in anomalies][:SHOWN]


def self_test_document(result: SelfTest) -> dict[str, Any]:
    """Return the result of a self-test as plain data."""
    return {
        "outcome": result.outcome.value,
        "missed": list(result.missed),
        "trials": [asdict(trial) for trial in result.trials],
        "mutants": [asdict(mutant) for mutant in result.mutants],
    }
