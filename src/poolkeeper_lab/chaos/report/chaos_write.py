"""Puts the three reports of a run of chaos down: each whole or not at all."""

from __future__ import annotations

from pathlib import Path

from poolkeeper.system import state
from poolkeeper_lab.chaos.report import chaos_html, chaos_json, chaos_report
from poolkeeper_lab.chaos.report.chaos_model import ChaosRun

STEM = "chaos"
_RENDERERS = {".md": chaos_report.render, ".html": chaos_html.render, ".json": chaos_json.render}


def write_all(run: ChaosRun, directory: Path) -> tuple[Path, ...]:
    """Write chaos.md, .html and .json (in this order); their paths. Raises PermissionRefused or DiskFull."""
    texts = {directory / f"{STEM}{suffix}": render(run) for suffix, render in _RENDERERS.items()}
    for path, text in texts.items():
        state.write(path, text, mode=0o644)
    return tuple(texts)
