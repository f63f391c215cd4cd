"""Puts the three reports of a run of chaos down: each whole or not at all."""

from __future__ import annotations

from pathlib import Path

from poolkeeper.model.chaos_run import ChaosRun
from poolkeeper.report import chaos_html, chaos_json, chaos_markdown
from poolkeeper.system import state

STEM = "chaos"
_RENDERERS = {".md": chaos_markdown.render, ".html": chaos_html.render, ".json": chaos_json.render}


def write_all(run: ChaosRun, directory: Path) -> tuple[Path, ...]:
    """Write chaos.md, .html and .json (in this order); their paths. Raises PermissionRefused or DiskFull."""
    texts = {directory / f"{STEM}{suffix}": render(run) for suffix, render in _RENDERERS.items()}
    for path, text in texts.items():
        state.write(path, text, mode=0o644)
    return tuple(texts)
