"""A run of chaos as JSON for programs, schema 1. Keys are only ever added within a schema; readers ignore unknown ones.

schema, cluster, started_at (ISO 8601, UTC), seconds, seed, outcome (pass | fail | unknown), replay, history,
left_out, problems, is_interrupted, injected (faults), lost (acknowledged writes that the end did not show)
passages     [{"number", "scenario", "promise", "faults", "victims", "outcome", "problem", "began", "healed", "whole",
               "completions" {"ok", "fail", "info"}, "pauses" {endpoint: seconds}}]; times in seconds after the first line
               of the history; null where it did not come
judgements   [{"checker", "workload", "outcome", "summary", "count", "anomalies" [{"name", "text", "operations"}],
               "unknowns", "permitted"}]; the first anomalies, "count" is how many there are
shares       [{"workload", "ok", "fail", "info", "codes", "writes"}]: operations by what clients were told; "writes" are
             those of "ok" that change something
pauses       [{"endpoint", "seconds", "is_open"}]
rate         [[second, acknowledged operations]]
latency      [[second, median, longest]] of the operations acknowledged in it, in milliseconds
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from poolkeeper_lab.chaos.report.chaos_model import ChaosRun

SCHEMA = 1


def render(run: ChaosRun) -> str:
    """The whole document, indented, ending in one newline."""
    return json.dumps(document(run), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def document(run: ChaosRun) -> dict[str, Any]:
    """The document as plain data; an outcome is its word."""
    return {"schema": SCHEMA, **asdict(run)}
