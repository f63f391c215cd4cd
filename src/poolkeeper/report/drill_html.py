"""A drill as one HTML file that needs nothing else: no script, no font, no image, no network."""

from __future__ import annotations

from poolkeeper.drill.results import Drill
from poolkeeper.report import drill_plot, drill_wording, page


def render(drill: Drill) -> str:
    """The whole page."""
    template = page.template("drill.html.j2", seconds=drill_wording.seconds)
    return template.render(drill=drill, words=drill_wording, plot=drill_plot)
