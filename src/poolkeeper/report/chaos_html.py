"""A run of chaos as one HTML file that needs nothing else: no script, no font, no image, no network.

Invariant: text from outside never becomes markup, and a name that the template does not know is an error.
"""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined

from poolkeeper.model.chaos_run import ChaosRun
from poolkeeper.report import chaos_plot, chaos_wording, wording


def render(run: ChaosRun) -> str:
    """The whole page."""
    environment = Environment(
        loader=PackageLoader("poolkeeper.report", "templates"),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "duration": wording.duration,
        "moment": wording.moment,
        "symbol": lambda outcome: wording.SYMBOLS[outcome],
    }
    template = environment.get_template("chaos.html.j2")
    return template.render(run=run, words=chaos_wording, plot=chaos_plot, picture=chaos_plot.picture(run))
