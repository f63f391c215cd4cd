"""A suite as one HTML file that needs nothing else: no script, no font, no image, no network.

Invariant: text from outside never becomes markup (autoescape), and a name that the template does not know is an error
(StrictUndefined). The page carries a content security policy that forbids scripts and every request.
"""

from __future__ import annotations

import functools
import re

from jinja2 import Environment, PackageLoader, StrictUndefined

from poolkeeper.model.verdict import Outcome, Suite
from poolkeeper.report import clean, wording

_NOT_IN_ANCHORS = re.compile(r"[^A-Za-z0-9_.-]+")


def render(suite: Suite) -> str:
    """The whole page. Passwords are redacted."""
    suite = clean.legible(suite)
    return (
        _environment()
        .get_template("suite.html.j2")
        .render(
            suite=suite,
            groups=wording.groups(suite),
            wording=wording,
            outcomes=tuple(Outcome),
        )
    )


def anchor(check: str) -> str:
    """The id of a check's place in the page."""
    return f"check-{_NOT_IN_ANCHORS.sub('-', check)}"


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("poolkeeper.report", "templates"),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "anchor": anchor,
        "duration": wording.duration,
        "moment": wording.moment,
        "symbol": lambda outcome: wording.SYMBOLS[outcome],
    }
    return environment
