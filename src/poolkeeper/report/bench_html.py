"""A run of the bench as one HTML file that needs nothing else: no script, no font, no image, no network."""

from __future__ import annotations

from poolkeeper.model.bench import BenchRun
from poolkeeper.model.bench_compare import Comparison
from poolkeeper.report import bench_plot, bench_wording, page


def render(run: BenchRun, comparison: Comparison | None = None) -> str:
    """The whole page."""
    template = page.template("bench.html.j2")
    return template.render(run=run, comparison=comparison, words=bench_wording, plot=bench_plot)
