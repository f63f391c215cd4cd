"""A run of the bench as JSON, and back; the schema is that of `bench_model`, with the comparison beside it.

comparison   null, or {"before" (started_at), "same_machine", "settings" (those that differ), "rows" [{"section",
             "key", "change" (better | worse | within noise | unknown), "why", "before", "after" (estimates),
             "factor"}]}
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from poolkeeper.core import errors
from poolkeeper.report import plain
from poolkeeper_lab.bench.report.bench_model import SCHEMA, BenchRun
from poolkeeper_lab.bench.report.compare import Comparison


def render(run: BenchRun, comparison: Comparison | None = None) -> str:
    """Return the document, indented, ending in one newline."""
    return plain.text(document(run, comparison))


def document(run: BenchRun, comparison: Comparison | None = None) -> dict[str, Any]:
    """Return the document as plain data."""
    return {**plain.data(run), "comparison": _compared(comparison) if comparison else None}


def _compared(comparison: Comparison) -> dict[str, Any]:
    rows = [
        {
            "section": row.section,
            "key": row.metric.key,
            "change": row.change.value,
            "why": row.why,
            "before": plain.data(row.before) if row.before else None,
            "after": plain.data(row.after) if row.after else None,
            "factor": row.factor,
        }
        for row in comparison.rows
    ]
    return {
        "before": comparison.before.started_at,
        "same_machine": comparison.is_same_machine,
        "settings": list(comparison.settings),
        "rows": rows,
    }


def read(path: Path) -> BenchRun:
    """Return an earlier run from its file.

    Raises:
        UsageError: if the file is unreadable, is not such a report, or has a later schema.
    """
    hint = "Name a bench*.json that `poolkeeper bench` wrote."
    try:
        run = BenchRun.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError as e:
        raise errors.UsageError(f"{path} cannot be read: {e.strerror}", hint=hint) from e
    except (ValidationError, UnicodeDecodeError) as e:
        raise errors.UsageError(f"{path} is no report of the bench", hint=hint, detail=str(e)) from e
    if run.schema_version > SCHEMA:
        raise errors.UsageError(f"{path} has schema {run.schema_version}; this release reads up to {SCHEMA}", hint=hint)
    return run
