"""A live self-test as JSON for programs, schema 1. Keys are only added within a schema; readers ignore unknown ones.

schema, cluster, started_at (ISO 8601, UTC), seconds, seed, outcome (pass | fail | unknown), replay
stored   {"histories", "mutants", "missed", "outcome"}
bugs     [{"name", "sentence", "wanted" ["checker: anomaly"], "outcome", "scenario", "caught_by", "text", "seconds",
           "rounds", "histories", "problem"}]; "seconds" from its first operation until it was caught, or null
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from poolkeeper_lab.chaos.report.self_test_model import LiveTest

SCHEMA = 1


def render(test: LiveTest) -> str:
    """The whole document, indented, ending in one newline."""
    return json.dumps(document(test), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def document(test: LiveTest) -> dict[str, Any]:
    """The document as plain data; an outcome is its word."""
    return {"schema": SCHEMA, "outcome": test.outcome.value, **asdict(test)}
