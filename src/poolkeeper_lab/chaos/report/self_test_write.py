"""Puts the three reports of a live self-test down: each whole or not at all."""

from __future__ import annotations

from pathlib import Path

from poolkeeper.system import state
from poolkeeper_lab.chaos.report import self_test_html, self_test_json, self_test_report
from poolkeeper_lab.chaos.report.self_test_model import LiveTest

STEM = "self-test"
_RENDERERS = {".md": self_test_report.render, ".html": self_test_html.render, ".json": self_test_json.render}


def write_all(test: LiveTest, directory: Path) -> tuple[Path, ...]:
    """Write self-test.md, .html and .json (in this order); their paths. Raises PermissionRefused or DiskFull."""
    texts = {directory / f"{STEM}{suffix}": render(test) for suffix, render in _RENDERERS.items()}
    for path, text in texts.items():
        state.write(path, text, mode=0o644)
    return tuple(texts)
