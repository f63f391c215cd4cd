"""Judgements as documents for JSON. Long lists of anomalies are cut, and their number is always there. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from poolkeeper_lab.chaos.checkers.checker_self_test import SelfTest
from poolkeeper_lab.chaos.checkers.finding import Anomaly, CheckerFinding
from poolkeeper_lab.chaos.checkers.run_verdict import RunEvaluation

SHOWN = 50  # anomalies of one finding


def document(judged: RunEvaluation) -> dict[str, Any]:
    """A run's."""
    return {
        "outcome": judged.outcome.value,
        "scenario": judged.header.scenario,
        "seed": judged.header.seed,
        "cluster": dict(judged.header.cluster),
        "operations": dict(judged.counts),
        "is_torn": judged.is_torn,
        "findings": [_finding(finding) for finding in judged.findings],
        "gaps": {endpoint: {"seconds": gap.seconds, "is_open": gap.is_open} for endpoint, gap in judged.gaps.items()},
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
    """A self-test's."""
    return {
        "outcome": result.outcome.value,
        "missed": list(result.missed),
        "trials": [asdict(trial) for trial in result.trials],
        "mutants": [asdict(mutant) for mutant in result.mutants],
    }
