"""A drill as one HTML file that needs nothing else: no script, no font, no image, no network."""

from __future__ import annotations

from poolkeeper.report import html
from poolkeeper_lab.drill import drill_plot, drill_wording
from poolkeeper_lab.drill.drill_results import Drill


def render(drill: Drill) -> str:
    """The whole page."""
    template = html.template("drill.html.j2", seconds=drill_wording.seconds)
    return template.render(drill=drill, words=drill_wording, plot=drill_plot)
