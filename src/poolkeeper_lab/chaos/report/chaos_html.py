"""A run of chaos as one HTML file that needs nothing else: no script, no font, no image, no network."""

from __future__ import annotations

from poolkeeper.report import html
from poolkeeper_lab.chaos.report import chaos_plot, chaos_wording
from poolkeeper_lab.chaos.report.chaos_model import ChaosRun


def render(run: ChaosRun) -> str:
    """The whole page."""
    template = html.template("chaos.html.j2")
    return template.render(run=run, words=chaos_wording, plot=chaos_plot, picture=chaos_plot.picture(run))
