"""A drill as one HTML file that needs nothing else: no script, no font, no image, no network.

Invariant: text from outside never becomes markup, and a name that the template does not know is an error.
"""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined

from poolkeeper.drill.results import Drill
from poolkeeper.report import drill_plot, drill_wording, wording


def render(drill: Drill) -> str:
    """The whole page."""
    environment = Environment(
        loader=PackageLoader("poolkeeper.report", "templates"),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"duration": wording.duration, "moment": wording.moment, "seconds": drill_wording.seconds}
    template = environment.get_template("drill.html.j2")
    return template.render(drill=drill, words=drill_wording, plot=drill_plot)
