"""What every HTML report is made with: one file that needs nothing else, and no script.

Invariant: text from outside never becomes markup (autoescape), and a name that the template does not know is an error
(StrictUndefined).
"""

from __future__ import annotations

from collections.abc import Callable

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from poolkeeper.report import wording


def template(name: str, **filters: Callable[..., object]) -> Template:
    """A template of report/templates; beside `filters` it knows `duration`, `moment` and `symbol`."""
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
        **filters,
    }
    return environment.get_template(name)
