"""A document as one HTML file that needs nothing else: no script, no font, no image, no network.

Invariant: foreign text never becomes markup (autoescape). A name that the template does not know is an error
(StrictUndefined). A content security policy forbids scripts and every request.
"""

from __future__ import annotations

import functools
import re

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from poolkeeper.model.verdict import Outcome
from poolkeeper.report import svg, wording
from poolkeeper.report.document import Document

# The space between a number, or its comparison sign, and what belongs to it.
_NUMBER_AND_UNIT = re.compile(r"(?<=[\d.]) (?=(?:s|ms|µs|min|%|×|MB|GB|kB|tps)(?:\W|$))|(?<=[≤≥]) (?=\d)")


def render(document: Document) -> str:
    """Return the page."""
    return _template().render(document=document, wording=wording)


@functools.cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("poolkeeper.report", "templates"),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"symbol": _symbol, "drawn": _drawn, "with_units": _with_units}
    return environment.get_template("page.html.j2")


def _with_units(text: str) -> str:
    """Keep a number and its unit on one line."""
    return _NUMBER_AND_UNIT.sub("\N{NO-BREAK SPACE}", text)


def _symbol(outcome: Outcome) -> str:
    return wording.SYMBOLS[outcome]


def _drawn(drawing: svg.Drawing) -> Markup:
    return Markup(svg.inline(drawing))  # svg escapes every text
