"""Puts the three reports of a run of the bench down: each whole or not at all."""

from __future__ import annotations

from pathlib import Path

from poolkeeper.system import state
from poolkeeper_lab.bench.report import bench_html, bench_json, bench_report
from poolkeeper_lab.bench.report.bench_model import BenchRun
from poolkeeper_lab.bench.report.compare import Comparison

_RENDERERS = {".md": bench_report.render, ".html": bench_html.render, ".json": bench_json.render}


def write_all(run: BenchRun, comparison: Comparison | None, directory: Path, stem: str) -> tuple[Path, ...]:
    """Write STEM.md, .html and .json (in this order); their paths. Raises PermissionRefused or DiskFull."""
    texts = {directory / f"{stem}{suffix}": render(run, comparison) for suffix, render in _RENDERERS.items()}
    for path, text in texts.items():
        state.write(path, text, mode=0o644)
    return tuple(texts)
