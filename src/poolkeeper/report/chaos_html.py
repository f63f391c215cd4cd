"""A run of chaos as one HTML file that needs nothing else: no script, no font, no image, no network."""

from __future__ import annotations

from poolkeeper.model.chaos_run import ChaosRun
from poolkeeper.report import chaos_plot, chaos_wording, page


def render(run: ChaosRun) -> str:
    """The whole page."""
    template = page.template("chaos.html.j2")
    return template.render(run=run, words=chaos_wording, plot=chaos_plot, picture=chaos_plot.picture(run))
