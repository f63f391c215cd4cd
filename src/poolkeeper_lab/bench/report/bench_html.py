"""A run of the bench as one HTML file that needs nothing else: no script, no font, no image, no network."""

from __future__ import annotations

from poolkeeper.report import html
from poolkeeper_lab.bench.report import bench_plot, bench_wording
from poolkeeper_lab.bench.report.bench_model import BenchRun
from poolkeeper_lab.bench.report.compare import Comparison


def render(run: BenchRun, comparison: Comparison | None = None) -> str:
    """The whole page."""
    template = html.template("bench.html.j2")
    return template.render(run=run, comparison=comparison, words=bench_wording, plot=bench_plot)
