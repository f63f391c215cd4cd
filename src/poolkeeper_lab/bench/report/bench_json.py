"""A run of the bench as JSON, and back; the schema is that of `bench_model`, with the comparison beside it.

comparison   null, or {"before" (started_at), "same_machine", "settings" (those that differ), "rows" [{"section",
             "key", "change" (better | worse | within noise | unknown), "why", "before", "after" (estimates),
             "factor"}]}
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import AliasPath, BaseModel, ConfigDict, Field, ValidationError

from poolkeeper.core import errors
from poolkeeper.report import plain
from poolkeeper_lab.bench.report.bench_model import SCHEMA, BenchRun, Estimate
from poolkeeper_lab.bench.report.compare import Comparison, MetricChange


class ComparedDocument(BaseModel):
    """A `Compared`."""

    model_config = ConfigDict(from_attributes=True)

    section: str
    key: str = Field(validation_alias=AliasPath("metric", "key"))
    change: MetricChange
    why: str
    before: Estimate | None
    after: Estimate | None
    factor: float | None


class ComparisonDocument(BaseModel):
    """A `Comparison`."""

    model_config = ConfigDict(from_attributes=True)

    before: str = Field(validation_alias=AliasPath("before", "started_at"))
    same_machine: bool = Field(validation_alias="is_same_machine")
    settings: tuple[str, ...]
    rows: tuple[ComparedDocument, ...]


def render(run: BenchRun, comparison: Comparison | None = None) -> str:
    """Return the document, indented, ending in one newline."""
    return plain.text(document(run, comparison))


def document(run: BenchRun, comparison: Comparison | None = None) -> dict[str, Any]:
    """Return the document as plain data."""
    compared = ComparisonDocument.model_validate(comparison) if comparison else None
    return {**plain.data(run), "comparison": plain.data(compared)}


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
