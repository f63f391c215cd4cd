"""Puts the three reports of a drill down: each whole or not at all."""

from __future__ import annotations

from pathlib import Path

from poolkeeper.system import state
from poolkeeper_lab.drill import drill_html, drill_json, drill_report
from poolkeeper_lab.drill.drill_results import Drill

STEM = "drill"
_RENDERERS = {".md": drill_report.render, ".html": drill_html.render, ".json": drill_json.render}


def write_all(drill: Drill, directory: Path) -> tuple[Path, ...]:
    """Write drill.md, .html and .json (in this order); their paths. Raises PermissionRefused or DiskFull."""
    texts = {directory / f"{STEM}{suffix}": render(drill) for suffix, render in _RENDERERS.items()}
    for path, text in texts.items():
        state.write(path, text, mode=0o644)
    return tuple(texts)
